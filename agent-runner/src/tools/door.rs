//! The runner's end of the way to the tools: a listener on loopback, to which the [`bridge`]s of agents
//! connect.
//!
//! Promises:
//! - Whoever is let in has said the token of a running agent process, and is heard as that one's. It
//!   was made for that one start, lies in a file that only this user reads, and ends with the process;
//!   so does every connection by it.
//! - Connections, lines and answers that wait are bounded ([`Limits`]); who goes over a bound is cut
//!   off, and the log says why. Whoever has no token keeps nobody out who has one.
//!
//! A line is a message of the Model Context Protocol; what it means is [`mcp`](super::mcp)'s business.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::bridge;
use super::mcp::Client;
use crate::process::reader::{Lines, Read};
use crate::session::Event;
use crate::tokens::{Bounds, Leave, NoLeave, Place, Tokens};

/// What may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that have said no token yet; over that the oldest is closed.
    pub strangers: usize,
    /// Connections of one agent process.
    pub clients: usize,
    /// The longest message, bytes.
    pub line: usize,
    /// Answers that wait for one client to read.
    pub answers: usize,
    /// How long a connection may be without its token.
    pub greeting: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            strangers: 64,
            clients: 8,
            line: 1 << 20,
            answers: 64,
            greeting: Duration::from_secs(10),
        }
    }
}

/// The longest token, bytes.
const GREETING: usize = 256;
/// Where a system has no descriptor left, it is tried again after that.
const PAUSE: Duration = Duration::from_millis(100);

type Writers = Arc<Mutex<HashMap<(u64, Client), mpsc::Sender<Value>>>>;

/// The open way; it shuts when it is dropped.
#[derive(Debug)]
pub struct Door {
    port: u16,
    state_dir: PathBuf,
    tokens: Arc<Tokens>,
    writers: Writers,
    accepting: AbortHandle,
}

impl Door {
    /// Listens on a port of 127.0.0.1 that the kernel picks. What clients say goes to `events`, as
    /// [`Event::Mcp`] and [`Event::McpGone`] of their agent's start.
    ///
    /// # Errors
    /// No port could be bound, or the directory of passes not be made anew.
    pub async fn open(
        state_dir: &Path,
        limits: Limits,
        events: mpsc::Sender<(u64, Event)>,
    ) -> io::Result<Door> {
        let passes = bridge::passes(state_dir);
        // Those of the last runner's agents.
        match fs::remove_dir_all(&passes) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&passes)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let tokens = Arc::new(Tokens::new(Bounds {
            // Each connection is one request, however long.
            requests: limits.clients,
            connections: limits.clients,
        }));
        let writers = Writers::default();
        let house = House {
            limits,
            tokens: Arc::clone(&tokens),
            writers: Arc::clone(&writers),
            events,
            clients: AtomicU64::new(0),
        };
        let accepting = tokio::spawn(accept(listener, Arc::new(house))).abort_handle();
        Ok(Door {
            port,
            state_dir: state_dir.to_owned(),
            tokens,
            writers,
            accepting,
        })
    }

    /// The port of 127.0.0.1 that an agent must be able to reach.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lays down a pass for one start of an agent, which holds until [`Door::shut`]; where it lies.
    ///
    /// # Errors
    /// What the system says.
    pub fn admit(&self, launch: u64) -> io::Result<PathBuf> {
        let token = self.tokens.grant(launch)?;
        let pass = bridge::pass(&self.state_dir, launch);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&pass)?;
        writeln!(file, "{} {}", self.port, token.expose_secret())?;
        Ok(pass)
    }

    /// The agent of that start is gone.
    pub fn shut(&self, launch: u64) {
        self.tokens.revoke(launch);
        // It may have had none.
        let _ = fs::remove_file(bridge::pass(&self.state_dir, launch));
    }

    /// Says a message to a client. One that does not read what it is told is cut off.
    pub fn say(&self, launch: u64, client: Client, message: Value) {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writers.get(&(launch, client))
            && writer.try_send(message).is_err()
        {
            tracing::warn!(
                "an agent does not read what its tools say; its connection to them ends"
            );
            writers.remove(&(launch, client));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
        self.tokens.revoke_all();
        let _ = fs::remove_dir_all(bridge::passes(&self.state_dir));
    }
}

/// What all connections have in common.
struct House {
    limits: Limits,
    tokens: Arc<Tokens>,
    writers: Writers,
    events: mpsc::Sender<(u64, Event)>,
    clients: AtomicU64,
}

async fn accept(listener: TcpListener, house: Arc<House>) {
    let mut strangers: VecDeque<oneshot::Sender<()>> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the tools is not taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        strangers.retain(|stranger| !stranger.is_closed());
        if strangers.len() >= house.limits.strangers {
            // An agent says its token at once: who has had the most time is the least likely to be one.
            strangers.pop_front();
        }
        let (stays, unwanted) = oneshot::channel();
        strangers.push_back(stays);
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.serve(stream, unwanted).await });
    }
}

impl House {
    async fn serve(&self, stream: TcpStream, unwanted: oneshot::Receiver<()>) {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let mut lines = Lines::bounded(reader, GREETING);
        let greeting = timeout(self.limits.greeting, lines.next());
        let token = tokio::select! {
            greeting = greeting => match greeting {
                Ok(Ok(Some(Read::Line(token)))) => token,
                // It is nobody's.
                _ => return,
            },
            _ = unwanted => return,
        };
        let place = Place::default();
        let mut leave = match self.tokens.leave(token.as_bytes(), &place) {
            Ok(leave) => leave,
            Err(NoLeave::Unknown) => {
                return tracing::debug!("somebody wants the tools without a token that holds");
            }
            Err(NoLeave::Busy(clients) | NoLeave::Crowded(clients)) => {
                return tracing::warn!(clients, "an agent wants its tools too often at once");
            }
        };
        lines.set_bound(self.limits.line);
        let launch = leave.launch;
        let client = self.clients.fetch_add(1, Ordering::Relaxed);
        let (say, said) = mpsc::channel(self.limits.answers);
        let writers = || self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        writers().insert((launch, client), say);
        tokio::select! {
            () = self.hear(launch, client, &mut lines) => {}
            () = write(writer, said) => {}
            () = end(&mut leave) => {}
        }
        writers().remove(&(launch, client));
        let _ = self.events.send((launch, Event::McpGone { client })).await;
    }

    async fn hear(
        &self,
        launch: u64,
        client: Client,
        lines: &mut Lines<tokio::net::tcp::OwnedReadHalf>,
    ) {
        loop {
            let line = match lines.next().await {
                Ok(Some(Read::Line(line))) => line,
                Ok(Some(Read::Overlong)) => {
                    let most = self.limits.line;
                    tracing::warn!(
                        most,
                        "an agent says more to its tools than they take at once"
                    );
                    return;
                }
                Ok(None) | Err(_) => return,
            };
            if line.trim().is_empty() {
                continue;
            }
            let event = Event::Mcp { client, line };
            if self.events.send((launch, event)).await.is_err() {
                return;
            }
        }
    }
}

/// Until nobody has anything to say any more.
async fn write(mut to: OwnedWriteHalf, mut said: mpsc::Receiver<Value>) {
    while let Some(message) = said.recv().await {
        if to
            .write_all(format!("{message}\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn end(leave: &mut Leave) {
    while leave.alive.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn connect(door: &Door) -> TcpStream {
        TcpStream::connect(("127.0.0.1", door.port()))
            .await
            .unwrap()
    }

    /// What is read until the end; a reset is one.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn who_has_a_token_is_let_in_whoever_crowds_there_and_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (events, mut inbox) = mpsc::channel(8);
        let limits = Limits {
            strangers: 2,
            clients: 1,
            ..Limits::default()
        };
        let door = Door::open(dir.path(), limits, events).await.unwrap();
        let pass = door.admit(7).unwrap();
        let mode = fs::metadata(&pass).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&pass).unwrap();
        let (port, token) = text.trim_end().split_once(' ').unwrap();
        assert_eq!(port, door.port().to_string());

        let mut strangers = Vec::new();
        for _ in 0..5 {
            strangers.push(connect(&door).await);
        }
        assert_eq!(rest(&mut strangers[0]).await, "", "it made room");
        let mut agent = connect(&door).await;
        let hello = format!("{token}\nhello\n");
        agent.write_all(hello.as_bytes()).await.unwrap();
        let Some((7, Event::Mcp { client, line })) = inbox.recv().await else {
            panic!("nobody was let in")
        };
        assert_eq!(line, "hello");
        let mut second = connect(&door).await;
        second.write_all(hello.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut second).await, "", "one too many");
        door.say(7, client, json!({"a": 1}));
        door.say(8, client, json!("for another"));
        let mut said = [0; 8];
        agent.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"{\"a\":1}\n");

        door.shut(7);
        assert_eq!(rest(&mut agent).await, "");
        assert_eq!(inbox.recv().await, Some((7, Event::McpGone { client })));
        assert!(!pass.exists());
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_cuts_its_client_off() {
        let dir = tempfile::tempdir().unwrap();
        let (events, mut inbox) = mpsc::channel(8);
        let door = Door::open(dir.path(), Limits::default(), events)
            .await
            .unwrap();
        let text = fs::read_to_string(door.admit(1).unwrap()).unwrap();
        let token = text.trim_end().split_once(' ').unwrap().1;
        let mut agent = connect(&door).await;
        let flood = format!("{token}\n{}\n", "x".repeat(3 << 20));
        // It may be cut off before all is written.
        let _ = agent.write_all(flood.as_bytes()).await;
        assert!(matches!(
            inbox.recv().await,
            Some((1, Event::McpGone { .. }))
        ));
    }
}
