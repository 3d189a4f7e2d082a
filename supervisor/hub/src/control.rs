//! The hub's control socket: what waits, what is parked, what to try again.
//!
//! One line in (a JSON [`Ask`]), one line out (a JSON [`Answer`]), from the same user only. Bounded:
//! a line of 4 KiB, one question at a time, five seconds for each.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spool::{Chunk, SpoolError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Engine;

/// The longest question, in bytes.
const LINE: u64 = 4096;
/// How long a client may take.
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
    /// The question could not be read.
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

/// Takes questions for ever.
///
/// # Errors
/// If the socket cannot be made.
pub async fn listen(
    runtime_dir: &Path,
    asks: mpsc::Sender<(Ask, oneshot::Sender<Answer>)>,
) -> io::Result<()> {
    let path = path(runtime_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let outcome = tokio::time::timeout(PATIENCE, one(stream, &asks)).await;
        if let Ok(Err(error)) = outcome {
            tracing::debug!(%error, "a control client left");
        }
    }
}

async fn one(
    mut stream: UnixStream,
    asks: &mpsc::Sender<(Ask, oneshot::Sender<Answer>)>,
) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if uid != 0 && uid != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("uid {uid} may not ask")));
    }
    let (from, mut to) = stream.split();
    let mut line = String::new();
    BufReader::new(from.take(LINE)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => {
            let (reply, answer) = oneshot::channel();
            let gone = |_| io::Error::other("the hub is ending");
            asks.send((ask, reply)).await.map_err(|_| gone(()))?;
            answer.await.map_err(|_| gone(()))?
        }
        Err(error) => Answer::Error {
            why: format!("not a question: {error}"),
        },
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    to.write_all(&bytes).await
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
