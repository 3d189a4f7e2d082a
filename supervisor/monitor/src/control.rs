//! The monitor's control socket: `monitor.sock` in the runtime directory.
//!
//! One line asks, one JSON document answers, the connection ends. The verbs are `status`,
//! `restart NAME`, `stop` and `reload`. The socket's mode is 0600 and the peer's uid is checked
//! (the monitor's own, or root). It works without a hub.
//!
//! Bounds: a question of 256 bytes, 16 clients at a time, 5 seconds for each of them to ask and to
//! take the answer. A client is served by a task of its own that meets the loop in a queue; a slow
//! one waits alone.

mod client;
mod status;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::error::MonitorError;
use crate::links::listen;

pub use client::{Client, ClientError};
pub use status::{ProcessStatus, Status};

/// The longest question, its newline included.
const REQUEST_BYTES: u64 = 256;
/// Clients served at the same time.
const CLIENTS: usize = 16;
/// For a client to send its question, and again to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// How everything is.
    Status,
    /// Start this process anew, also out of held and backoff.
    Restart(String),
    /// End the tree in order.
    Stop,
    /// Read the configuration again.
    Reload,
}

/// An answer, as JSON: `{"status":{…}}`, `{"done":"…"}` or `{"refused":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How everything is.
    Status(Status),
    /// What was done or has begun, in words.
    Done(String),
    /// Why nothing was done, in words.
    Refused(String),
}

impl Request {
    /// Reads one line, without its newline.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        match line.split_once(' ') {
            None if line == "status" => Ok(Self::Status),
            None if line == "stop" => Ok(Self::Stop),
            None if line == "reload" => Ok(Self::Reload),
            Some(("restart", name)) if !name.trim().is_empty() => {
                Ok(Self::Restart(name.trim().to_owned()))
            }
            _ => Err("the verbs are: status, restart NAME, stop, reload".to_owned()),
        }
    }

    /// The line that [`Request::parse`] reads.
    pub fn line(&self) -> String {
        match self {
            Self::Status => "status".to_owned(),
            Self::Restart(name) => format!("restart {name}"),
            Self::Stop => "stop".to_owned(),
            Self::Reload => "reload".to_owned(),
        }
    }
}

/// A question that waits for its answer.
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The open control socket. Its file is removed with it.
pub(crate) struct Control {
    questions: mpsc::Receiver<Question>,
    door: AbortHandle,
    path: PathBuf,
}

impl Control {
    /// Opens the socket, in the place of a dead monitor's.
    pub(crate) fn open(path: &Path) -> Result<Self, MonitorError> {
        let fault = |error: io::Error| MonitorError::Socket {
            path: path.into(),
            why: error.to_string(),
        };
        let listener = UnixListener::from_std(listen(path)?).map_err(fault)?;
        let (sender, questions) = mpsc::channel(CLIENTS);
        let door = tokio::spawn(admit(listener, sender)).abort_handle();
        Ok(Self {
            questions,
            door,
            path: path.into(),
        })
    }

    /// The next question.
    pub(crate) async fn next(&mut self) -> Question {
        match self.questions.recv().await {
            Some(question) => question,
            // The door never closes by itself.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.door.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn admit(listener: UnixListener, questions: mpsc::Sender<Question>) {
    let seats = Arc::new(Semaphore::new(CLIENTS));
    let me = nix::unistd::geteuid().as_raw();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the control socket cannot accept a client: {error}");
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
        let Ok(seat) = seats.clone().try_acquire_owned() else {
            let busy = Answer::Refused(format!("{CLIENTS} others are asking; try again"));
            let _ = stream.try_write(&document(&busy));
            continue;
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            serve(stream, questions).await;
            drop(seat);
        });
    }
}

async fn serve(mut stream: UnixStream, questions: mpsc::Sender<Question>) {
    let answer = match timeout(PATIENCE, read_line(&mut stream)).await {
        Ok(Ok(line)) => match Request::parse(&line) {
            Ok(request) => ask(request, questions).await,
            Err(words) => Answer::Refused(words),
        },
        Ok(Err(error)) => Answer::Refused(format!("the question cannot be read: {error}")),
        Err(_) => Answer::Refused(format!("no question came within {} s", PATIENCE.as_secs())),
    };
    let document = document(&answer);
    let _ = timeout(PATIENCE, async {
        stream.write_all(&document).await?;
        stream.shutdown().await
    })
    .await;
}

async fn ask(request: Request, questions: mpsc::Sender<Question>) -> Answer {
    let (answer, answered) = oneshot::channel();
    // The loop answers each question in the turn in which it takes it.
    let _ = questions.send(Question { request, answer }).await;
    answered
        .await
        .unwrap_or_else(|_| Answer::Refused("the monitor is ending".to_owned()))
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(REQUEST_BYTES))
        .read_line(&mut line)
        .await?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::Error::other(format!(
            "it has no end within {REQUEST_BYTES} bytes"
        ))),
    }
}

fn document(answer: &Answer) -> Vec<u8> {
    let json = serde_json::to_vec(answer);
    let mut json = json.unwrap_or_else(|error| format!("{{\"refused\":\"{error}\"}}").into());
    json.push(b'\n');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_their_line() {
        let restart = Request::Restart("discord:my bot".into());
        for request in [Request::Status, restart, Request::Stop, Request::Reload] {
            assert_eq!(Request::parse(&request.line()), Ok(request));
        }
        for junk in [
            "",
            "restart",
            "restart ",
            "STATUS",
            "status now",
            "exec /bin/sh",
            "\0",
        ] {
            assert!(
                Request::parse(junk).unwrap_err().contains("restart NAME"),
                "{junk:?}"
            );
        }
    }

    /// A control socket whose loop refuses everything, so that the transport can be tested alone.
    fn open() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("monitor.sock");
        let mut control = Control::open(&path).unwrap();
        tokio::spawn(async move {
            loop {
                let question = control.next().await;
                let _ = question.answer.send(Answer::Done(question.request.line()));
            }
        });
        (dir, path)
    }

    async fn answer(path: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // The monitor may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut document = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut document).await {}
        String::from_utf8(document).unwrap()
    }

    #[tokio::test]
    async fn one_line_one_document() {
        let (_dir, path) = open();
        assert_eq!(answer(&path, b"reload\n").await, "{\"done\":\"reload\"}\n");
        assert!(answer(&path, b"dance\n").await.contains("refused"));
        assert!(answer(&path, &[b'x'; 300]).await.contains("256 bytes"));
        assert!(answer(&path, b"\xff\xfe\n").await.contains("refused"));
    }

    #[tokio::test]
    async fn silent_clients_delay_nobody_and_too_many_are_told() {
        let (_dir, path) = open();
        let mut silent = Vec::new();
        for _ in 0..CLIENTS - 1 {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        assert!(answer(&path, b"status\n").await.contains("done"));
        silent.push(UnixStream::connect(&path).await.unwrap());
        assert!(
            answer(&path, b"status\n")
                .await
                .contains("others are asking")
        );
    }
}
