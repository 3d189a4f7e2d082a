//! The control that a test holds: what every agent process reached, and leave to go on.
//!
//! Promises: an agent that has it stands at no point before the ledger says so; a turn is held at a point once, however many
//! processes try it; dropping the control lets everything go on.
//! Does not: start agents. They find it by the variable [`CONTROL`](crate::CONTROL).

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fake_kit::{Ledger, Timeout};
use fake_model::script::Point;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::link::{At, Hello, Said, Told};

/// What an agent did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Event {
    /// A process began.
    Started(Hello),
    /// A turn reached a point.
    Reached(Stand),
    /// A tool began to run.
    Tool {
        /// The process.
        pid: u32,
        /// The prompt's uuid.
        uuid: String,
        /// The tool.
        name: String,
        /// Its input.
        input: Value,
    },
    /// A process ended, or let go of the control.
    Gone {
        /// The process.
        pid: u32,
    },
}

/// A turn at a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// The process.
    pub pid: u32,
    /// The session.
    pub session: String,
    /// The prompt's uuid; of merged prompts the last one's; empty for a turn that nobody asked for.
    pub uuid: String,
    /// The prompt.
    pub prompt: String,
    /// Where.
    pub point: Point,
    /// Whether it stands there until released.
    pub held: bool,
    /// Whether an earlier process began the turn.
    pub continued: bool,
}

struct Held {
    stand: Stand,
    n: u64,
    to: mpsc::UnboundedSender<Told>,
}

#[derive(Default)]
struct State {
    held: HashMap<(u64, u64), Held>,
    been: HashSet<(String, Point)>,
    /// Points where the next turn that comes is held, whatever its script says.
    next: Vec<Point>,
}

struct Shared {
    ledger: Ledger<Event>,
    state: Mutex<State>,
    connections: AtomicU64,
}

impl Shared {
    // A test that panicked while it held the lock must not hide its own message behind a poisoned one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The accept loop; the connections' tasks are its own, so they end with it.
struct Listening {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        // What is held hears that nobody is there any more when the last end of its connection is gone.
        self.shared.state().held.clear();
    }
}

/// A running control. Clones are handles to the same one; the last one to go ends it.
#[derive(Clone)]
pub struct ClaudeControl {
    shared: Arc<Shared>,
    address: String,
    _listening: Arc<Listening>,
}

impl std::fmt::Debug for ClaudeControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaudeControl")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl ClaudeControl {
    /// Listens on a port of 127.0.0.1 that the kernel picks.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        Ok(Self::with(address, move |shared| async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true); // else it is merely slower
                connections.spawn(attend(stream, Arc::clone(&shared)));
                while connections.try_join_next().is_some() {} // ended ones are let go
            }
        }))
    }

    /// Listens on a Unix socket, for agents that have no network.
    ///
    /// # Errors
    /// The path cannot be bound.
    pub async fn start_at(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        Ok(Self::with(
            path.to_string_lossy().into_owned(),
            move |shared| async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(attend(stream, Arc::clone(&shared)));
                    while connections.try_join_next().is_some() {}
                }
            },
        ))
    }

    fn with<F>(address: String, accept: impl FnOnce(Arc<Shared>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Arc::new(Shared {
            ledger: Ledger::new(),
            state: Mutex::default(),
            connections: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(Arc::clone(&shared)));
        let listening = Arc::new(Listening {
            task,
            shared: Arc::clone(&shared),
        });
        Self {
            shared,
            address,
            _listening: listening,
        }
    }

    /// What the variable [`CONTROL`](crate::CONTROL) is to be.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Everything that happened.
    #[must_use]
    pub fn ledger(&self) -> &Ledger<Event> {
        &self.shared.ledger
    }

    /// The next turn that comes to `point` is held there, whatever its script says.
    pub fn hold_next(&self, point: Point) {
        self.shared.state().next.push(point);
    }

    /// Waits until a turn is held at `point`.
    ///
    /// # Errors
    /// [`Timeout`] with what happened instead.
    pub async fn held(&self, point: Point, deadline: Duration) -> Result<Stand, Timeout> {
        self.held_where(|stand| stand.point == point, deadline)
            .await
    }

    /// Waits until a turn is held that `wanted` picks.
    ///
    /// # Errors
    /// [`Timeout`] with what happened instead.
    pub async fn held_where(
        &self,
        wanted: impl Fn(&Stand) -> bool,
        deadline: Duration,
    ) -> Result<Stand, Timeout> {
        let standing = |_: &[fake_kit::Entry<Event>]| {
            let state = self.shared.state();
            state
                .held
                .values()
                .map(|held| &held.stand)
                .find(|stand| wanted(stand))
                .cloned()
        };
        self.shared.ledger.wait_until(standing, deadline).await
    }

    /// Lets what is held at `point` go on; says how many turns that were.
    pub fn release(&self, point: Point) -> usize {
        self.release_where(|stand| stand.point == point)
    }

    /// Lets everything go on.
    pub fn release_all(&self) -> usize {
        self.release_where(|_| true)
    }

    /// Lets go on what `wanted` picks.
    pub fn release_where(&self, wanted: impl Fn(&Stand) -> bool) -> usize {
        let mut state = self.shared.state();
        let before = state.held.len();
        state.held.retain(|_, held| {
            let goes = wanted(&held.stand);
            if goes {
                let _ = held.to.send(Told::Go { n: held.n }); // or it is gone
            }
            !goes
        });
        before - state.held.len()
    }

    /// How often a prompt that holds `text` was run: begun or continued, in whatever process. Echoes do not count.
    #[must_use]
    pub fn runs(&self, text: &str) -> usize {
        self.shared.ledger.count(|event| {
            matches!(event, Event::Reached(stand) if stand.point == Point::Persisted && stand.prompt.contains(text))
        })
    }
}

async fn attend<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
    let (reader, mut writer) = tokio::io::split(stream);
    let (to, mut told) = mpsc::unbounded_channel::<Told>();
    let writing = tokio::spawn(async move {
        while let Some(told) = told.recv().await {
            let Ok(mut line) = serde_json::to_vec(&told) else {
                continue;
            };
            line.push(b'\n');
            if writer.write_all(&line).await.is_err() {
                return;
            }
        }
    });
    let mut lines = BufReader::new(reader).lines();
    let mut pid = 0;
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Said::Hello(hello)) => {
                pid = hello.pid;
                shared.ledger.push(Event::Started(hello));
            }
            Ok(Said::At(at)) => arrive(&shared, (connection, pid), at, &to),
            Ok(Said::Left { n }) => {
                shared.state().held.remove(&(connection, n));
            }
            Ok(Said::Tool { uuid, name, input }) => {
                shared.ledger.push(Event::Tool {
                    pid,
                    uuid,
                    name,
                    input,
                });
            }
            Err(_) => break, // not one of ours
        }
    }
    shared.state().held.retain(|(of, _), _| *of != connection);
    shared.ledger.push(Event::Gone { pid });
    drop(to);
    // What was told last may go to nobody.
    let _ = writing.await;
}

fn arrive(
    shared: &Shared,
    (connection, pid): (u64, u32),
    at: At,
    to: &mpsc::UnboundedSender<Told>,
) {
    let At {
        n,
        session,
        uuid,
        prompt,
        point,
        wanted,
        continued,
    } = at;
    let mut stand = Stand {
        pid,
        session,
        uuid,
        prompt,
        point,
        held: false,
        continued,
    };
    {
        let mut state = shared.state();
        let first = state.been.insert((stand.uuid.clone(), point));
        let told = state.next.iter().position(|next| *next == point);
        if let Some(told) = told {
            state.next.remove(told);
        }
        stand.held = told.is_some() || (wanted && first);
        if stand.held {
            state.held.insert(
                (connection, n),
                Held {
                    stand: stand.clone(),
                    n,
                    to: to.clone(),
                },
            );
        }
    }
    let held = stand.held;
    // Written down before the agent may go on: whoever sees its next line finds this in the ledger.
    shared.ledger.push(Event::Reached(stand));
    if !held {
        let _ = to.send(Told::Go { n }); // or it is gone
    }
}
