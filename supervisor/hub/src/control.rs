//! The hub's control socket: what waits, what is parked, what to try again.
//!
//! One line in (a JSON [`Ask`]), one line out (a JSON [`Answer`]), from the same user or root only.
//! Bounded: a line of 4 KiB, 16 clients at a time, five seconds for each to ask and as long to take the
//! answer. A slow one waits alone.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spool::{Chunk, SpoolError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::engine::Engine;

/// The longest question, in bytes.
const LINE: u64 = 4096;
/// Clients served at the same time.
const CLIENTS: usize = 16;
/// For a client to send its question, and again to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most rows of one answer.
const ROWS: usize = 200;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// How the links stand and what waits.
    Overview,
    /// The parked replies.
    Parked,
    /// Try a parked reply again.
    Requeue {
        /// Its id, as [`Ask::Parked`] gives it.
        reply: String,
    },
    /// The sessions last used.
    Sessions,
    /// The directories of sessions that have one of their own.
    Workspaces,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Overview`].
    Overview {
        /// By process: whether it is linked.
        links: BTreeMap<String, bool>,
        /// What waits.
        waiting: Waiting,
    },
    /// To [`Ask::Parked`].
    Parked {
        /// One a reply.
        replies: Vec<Parked>,
    },
    /// To [`Ask::Requeue`].
    Requeued {
        /// Chunks that wait again; 0 = there is no such parked reply.
        chunks: u64,
    },
    /// To [`Ask::Sessions`].
    Sessions {
        /// Last used first.
        sessions: Vec<SessionLine>,
    },
    /// To [`Ask::Workspaces`].
    Workspaces {
        /// By project and session.
        worktrees: Vec<WorktreeLine>,
    },
    /// The question could not be read, or there is no room to do what it asks.
    Error {
        /// In words.
        why: String,
    },
}

/// What waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// Turns that wait for their session.
    pub queued_turns: u64,
    /// Turns that run.
    pub open_turns: u64,
    /// Chunks on their way out.
    pub pending_chunks: u64,
    /// Chunks that were given up.
    pub parked_chunks: u64,
}

/// A reply that was given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parked {
    /// Its id.
    pub reply: String,
    /// The process that was to post it.
    pub instance: String,
    /// Where.
    pub address: String,
    /// Why not.
    pub why: String,
    /// Chunks that are missing.
    pub chunks: u64,
    /// Milliseconds since 1970.
    pub created_at: u64,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionLine {
    /// Its id.
    pub id: String,
    /// The project.
    pub project: String,
    /// The process that serves it.
    pub instance: String,
    /// The conversation.
    pub conversation: String,
    /// The agent's id of it.
    pub agent_session: String,
    /// Milliseconds since 1970.
    pub used_at: u64,
}

/// A worktree of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorktreeLine {
    /// The project.
    pub project: String,
    /// The session.
    pub session: String,
    /// Its branch.
    pub branch: String,
    /// The whole path.
    pub path: String,
    /// Its session was closed, and it stays because of what is in it.
    pub kept: bool,
    /// Files that were not committed then.
    pub changes: u64,
    /// Commits that were on no other branch then.
    pub commits: u64,
}

/// Answers one question; runs between two batches of the hub's loop.
pub fn answer(engine: &mut Engine, ask: Ask, now: u64) -> Result<Answer, SpoolError> {
    Ok(match ask {
        Ask::Overview => {
            let counts = engine.spool().waiting()?;
            Answer::Overview {
                links: engine.links(),
                waiting: Waiting {
                    queued_turns: counts.queued_turns,
                    open_turns: counts.open_turns,
                    pending_chunks: counts.pending_chunks + counts.leased_chunks,
                    parked_chunks: counts.parked_chunks,
                },
            }
        }
        Ask::Parked => Answer::Parked {
            replies: by_reply(engine.spool().parked(ROWS)?),
        },
        Ask::Requeue { reply } => Answer::Requeued {
            chunks: engine.requeue(&reply, now)?,
        },
        Ask::Workspaces => {
            let line = |(project, tree): (String, ipc_schema::Worktree)| WorktreeLine {
                project,
                session: tree.session,
                branch: tree.branch,
                path: tree.path,
                kept: tree.kept,
                changes: tree.changes,
                commits: tree.commits,
            };
            Answer::Workspaces {
                worktrees: engine.worktrees().into_iter().map(line).collect(),
            }
        }
        Ask::Sessions => {
            let line = |s: spool::Session| SessionLine {
                id: s.id,
                project: s.project,
                instance: s.instance,
                conversation: s.conversation,
                agent_session: s.agent_session,
                used_at: s.used_at,
            };
            Answer::Sessions {
                sessions: engine
                    .spool()
                    .sessions(ROWS)?
                    .into_iter()
                    .map(line)
                    .collect(),
            }
        }
    })
}

fn by_reply(chunks: Vec<Chunk>) -> Vec<Parked> {
    let mut replies: Vec<Parked> = Vec::new();
    for chunk in chunks {
        match replies.iter_mut().find(|reply| reply.reply == chunk.reply) {
            Some(reply) => reply.chunks += 1,
            None => replies.push(Parked {
                reply: chunk.reply,
                instance: chunk.instance,
                address: chunk.address,
                why: chunk.why,
                chunks: 1,
                created_at: chunk.created_at,
            }),
        }
    }
    replies
}

/// Where the socket is.
pub fn path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("hub.sock")
}

/// A question, and where its answer goes.
pub type Asked = (Ask, oneshot::Sender<Answer>);

/// Takes questions for ever.
///
/// # Errors
/// If the socket cannot be made.
pub async fn listen(runtime_dir: &Path, asks: mpsc::Sender<Asked>) -> io::Result<()> {
    let path = path(runtime_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    admit(UnixListener::bind(&path)?, asks).await
}

async fn admit(listener: UnixListener, asks: mpsc::Sender<Asked>) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(CLIENTS));
    let me = nix::unistd::geteuid().as_raw();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot accept a client");
                // Out of descriptors, most likely; trying again at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == me || peer.uid() == 0 => {}
            Ok(peer) => {
                tracing::warn!(
                    uid = peer.uid(),
                    "turned a stranger away from the control socket"
                );
                continue;
            }
            Err(_) => continue,
        }
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            let busy = Answer::Error {
                why: format!("{CLIENTS} others are asking; try again"),
            };
            let _ = stream.try_write(&document(&busy));
            continue;
        };
        let asks = asks.clone();
        tokio::spawn(async move {
            if let Err(error) = one(stream, asks).await {
                tracing::debug!(%error, "a control client left");
            }
            drop(seat);
        });
    }
}

/// One client: a question within [`PATIENCE`], its answer taken within as much again.
async fn one(mut stream: UnixStream, asks: mpsc::Sender<Asked>) -> io::Result<()> {
    let answer = match timeout(PATIENCE, read_line(&mut stream)).await {
        Ok(line) => match serde_json::from_str(&line?) {
            Ok(ask) => put(ask, asks).await?,
            Err(error) => Answer::Error {
                why: format!("not a question: {error}"),
            },
        },
        Err(_) => Answer::Error {
            why: format!("no question came within {} s", PATIENCE.as_secs()),
        },
    };
    timeout(PATIENCE, stream.write_all(&document(&answer))).await?
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE))
        .read_line(&mut line)
        .await?;
    Ok(line)
}

async fn put(ask: Ask, asks: mpsc::Sender<Asked>) -> io::Result<Answer> {
    let ending = || io::Error::other("the hub is ending");
    let (reply, answer) = oneshot::channel();
    asks.send((ask, reply)).await.map_err(|_| ending())?;
    answer.await.map_err(|_| ending())
}

fn document(answer: &Answer) -> Vec<u8> {
    // Strings and numbers always have a JSON form.
    let mut bytes = serde_json::to_vec(answer).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Asks a running hub; blocks for at most five seconds.
///
/// # Errors
/// If there is no hub, or it does not answer.
pub fn ask(runtime_dir: &Path, ask: &Ask) -> io::Result<Answer> {
    use std::io::{BufRead as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(path(runtime_dir))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = serde_json::to_vec(ask)?;
    bytes.push(b'\n');
    stream.write_all(&bytes)?;
    let mut line = String::new();
    io::BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says so by failing")]
mod tests {
    use super::*;

    /// A control socket whose hub answers everything alike.
    fn open() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(path(dir.path())).unwrap();
        let (asks, mut asked) = mpsc::channel(1);
        tokio::spawn(admit(listener, asks));
        tokio::spawn(async move {
            while let Some((_, reply)) = asked.recv().await {
                let _ = reply.send(Answer::Requeued { chunks: 7 });
            }
        });
        let path = path(dir.path());
        (dir, path)
    }

    async fn answer(path: &Path, line: &str) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // The hub may answer and close before it has read everything.
        let _ = stream.write_all(line.as_bytes()).await;
        let mut document = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut document).await {}
        String::from_utf8(document).unwrap()
    }

    const ASK: &str = "{\"ask\":\"overview\"}\n";

    #[tokio::test]
    async fn one_line_one_document() {
        let (_dir, path) = open();
        assert!(answer(&path, ASK).await.contains("requeued"));
        assert!(answer(&path, "dance\n").await.contains("not a question"));
    }

    #[tokio::test]
    async fn silent_clients_delay_nobody_and_too_many_are_told() {
        let (_dir, path) = open();
        let mut silent = Vec::new();
        for _ in 0..CLIENTS - 1 {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        assert!(answer(&path, ASK).await.contains("requeued"));
        silent.push(UnixStream::connect(&path).await.unwrap());
        assert!(answer(&path, ASK).await.contains("others are asking"));
    }
}
