//! A Weibo that obeys what is known of it, on loopback: the token endpoint, the WebSocket and
//! `send_file`, with faults on request and a record of what every person saw.
//!
//! What it holds to, because clients are seen to rely on it: tokens are opaque and checked at
//! connect only (close 4002); a reply is chunks of one `messageId`, `chunkId` from 0 without gaps,
//! all fields present, nothing after `done`. A frame that breaks this is shown to nobody, answered
//! with `error`, and stands in the protocol record as a violation.
//!
//! What nobody knows, it chooses: what people say while no client is connected waits for the next
//! one; a second connection leaves the first alone and gets what is said from then on; nothing is
//! sent twice unless asked for.

mod control;
mod faults;
mod phone;
mod socket;
mod token;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use fake_kit::{Ledger, Server, Timeout};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use faults::{Close, Faults, FileFault, PongForm, TokenFault};
pub use phone::{Bubble, Phone, Shown};

/// How long a test waits for something before it fails.
pub const SOON: Duration = Duration::from_secs(20);

/// The account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub app_id: String,
    /// Its secret.
    pub app_secret: String,
    /// Its owner.
    pub owner: u64,
}

impl Default for Account {
    fn default() -> Account {
        // The quotes and the ampersand catch clients that build JSON or addresses by hand.
        Account {
            app_id: "5012345678".into(),
            app_secret: r#"se"cret&=\+"#.into(),
            owner: 1_234_567_890,
        }
    }
}

/// What happened on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Event {
    /// A token was asked for.
    Token {
        /// `given`, `refused`, or the fault.
        outcome: String,
    },
    /// A WebSocket stands.
    Connected {
        /// Counted from 0.
        connection: u64,
    },
    /// A WebSocket was refused at the upgrade.
    Refused {
        /// With this.
        status: u16,
    },
    /// A person's message was sent to the client.
    Said {
        /// On this connection.
        connection: u64,
        /// The frame.
        frame: String,
    },
    /// The client sent a chunk that is in order.
    Chunk {
        /// On this connection.
        connection: u64,
        /// To whom.
        uid: String,
        /// Its `messageId`.
        message_id: String,
        /// Its `chunkId`.
        chunk_id: u64,
        /// Whether it is the last.
        done: bool,
    },
    /// The client sent a ping.
    Ping {
        /// On this connection.
        connection: u64,
    },
    /// The client sent `{"type":"pong"}`.
    Pong {
        /// On this connection.
        connection: u64,
    },
    /// The client answered a WebSocket ping.
    FramePong {
        /// On this connection.
        connection: u64,
    },
    /// The client sent a file.
    File {
        /// Its name.
        name: String,
        /// Its size.
        bytes: usize,
        /// Its media type.
        mime: String,
    },
    /// A connection ended.
    Closed {
        /// Which.
        connection: u64,
    },
    /// The client broke a rule.
    Violation {
        /// Which one.
        words: String,
    },
}

enum Order {
    Send(String),
    FramePing,
    Close(u16, String),
    Reset,
}

#[derive(Default)]
struct State {
    faults: Faults,
    tokens: HashMap<String, Instant>,
    connections: BTreeMap<u64, mpsc::UnboundedSender<Order>>,
    next_connection: u64,
    next_message: u64,
    /// What people said while nobody was connected.
    unsent: VecDeque<String>,
    phone: Phone,
    /// What `send_file` brought.
    files: Vec<Vec<u8>>,
}

struct Shared {
    account: Account,
    protocol: Ledger<Event>,
    shown: Ledger<Shown>,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To the newest connection, or to the queue.
    fn deliver(&self, frame: String) {
        let mut state = self.state();
        let held = state.faults.hold;
        let copies = if state.faults.duplicate { 2 } else { 1 };
        for _ in 0..copies {
            let newest = state.connections.values().next_back().filter(|_| !held);
            let sent = newest.is_some_and(|newest| newest.send(Order::Send(frame.clone())).is_ok());
            if !sent {
                state.unsent.push_back(frame.clone());
            }
        }
    }
}

/// The service. Ends when it is dropped.
pub struct FakeWeibo {
    shared: Arc<Shared>,
    server: Server,
}

impl FakeWeibo {
    /// Starts on a port that the kernel picks.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> std::io::Result<FakeWeibo> {
        FakeWeibo::start_on(([127, 0, 0, 1], 0).into(), Account::default()).await
    }

    /// Starts on `listen`, for `account`.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start_on(listen: SocketAddr, account: Account) -> std::io::Result<FakeWeibo> {
        let shared = Arc::new(Shared {
            account,
            protocol: Ledger::new(),
            shown: Ledger::new(),
            state: Mutex::default(),
        });
        let api = Router::new()
            .route("/open/auth/ws_token", post(token::ask))
            .route("/ws/stream", get(socket::upgrade))
            .route("/open/dm/send_file", post(token::send_file))
            .layer(axum::extract::DefaultBodyLimit::max(16 << 20))
            .with_state(Arc::clone(&shared));
        let server = Server::start(listen, control::router(&shared).merge(api)).await?;
        Ok(FakeWeibo { shared, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The value of the worker's `token_endpoint`.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        format!("http://{}/open/auth/ws_token", self.addr())
    }

    /// The value of the worker's `ws_endpoint`.
    #[must_use]
    pub fn ws_endpoint(&self) -> String {
        format!("ws://{}/ws/stream", self.addr())
    }

    /// The account that it serves.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.shared.account
    }

    /// Options of a worker for this account, as JSON.
    #[must_use]
    pub fn options(&self) -> Value {
        json!({
            "app_id": self.shared.account.app_id,
            "app_secret": self.shared.account.app_secret,
            "token_endpoint": self.token_endpoint(),
            "ws_endpoint": self.ws_endpoint(),
        })
    }

    /// Every token that was given; secrets, to be looked for where they must not be.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.shared.state().tokens.keys().cloned().collect()
    }

    /// Changes the faults.
    pub fn fault(&self, change: impl FnOnce(&mut Faults)) {
        control::set_faults(&self.shared, change);
    }

    /// A person says something; the message's id.
    pub fn user_says(&self, uid: u64, text: &str) -> String {
        control::say(&self.shared, &uid.to_string(), text)
    }

    /// A person's message with this payload, whatever it is.
    pub fn user_sends(&self, payload: &Value) {
        self.shared
            .deliver(json!({"type": "message", "payload": payload}).to_string());
    }

    /// A text frame, whatever it is.
    pub fn raw(&self, text: &str) {
        self.shared.deliver(text.into());
    }

    /// A WebSocket ping on every connection.
    pub fn frame_ping(&self) {
        control::order(&self.shared, || Order::FramePing);
    }

    /// Closes every connection in the normal way.
    pub fn close(&self, code: u16, reason: &str) {
        control::order(&self.shared, || Order::Close(code, reason.into()));
    }

    /// Resets every connection.
    pub fn cut(&self) {
        control::order(&self.shared, || Order::Reset);
    }

    /// What happened on the wire.
    #[must_use]
    pub fn protocol(&self) -> &Ledger<Event> {
        &self.shared.protocol
    }

    /// What people saw, piece by piece.
    #[must_use]
    pub fn shown(&self) -> &Ledger<Shown> {
        &self.shared.shown
    }

    /// The messages that a person sees, in the order of their beginnings.
    #[must_use]
    pub fn bubbles(&self, uid: u64) -> Vec<Bubble> {
        phone::bubbles(&self.shared.shown.snapshot(), &uid.to_string())
    }

    /// The files that the owner got, in order.
    #[must_use]
    pub fn files(&self) -> Vec<Vec<u8>> {
        self.shared.state().files.clone()
    }

    /// Which rules the client broke.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.protocol.filter_map(|event| match event {
            Event::Violation { words } => Some(words.clone()),
            _ => None,
        })
    }

    /// Waits until a person sees `count` finished messages, and gives all that they see.
    ///
    /// # Errors
    /// They do not, within [`SOON`].
    pub async fn wait_reply(&self, uid: u64, count: usize) -> Result<Vec<Bubble>, Timeout> {
        self.wait_shown(uid, |bubbles| {
            let done = bubbles.iter().filter(|bubble| bubble.done).count();
            (done >= count).then(|| bubbles.to_vec())
        })
        .await
    }

    /// Waits until what a person sees is as `judge` wants it.
    ///
    /// # Errors
    /// It is not, within [`SOON`].
    pub async fn wait_shown<R>(
        &self,
        uid: u64,
        judge: impl Fn(&[Bubble]) -> Option<R>,
    ) -> Result<R, Timeout> {
        let uid = uid.to_string();
        self.shared
            .shown
            .wait_until(|shown| judge(&phone::bubbles(shown, &uid)), SOON)
            .await
    }

    /// Waits until there were `count` connections in all.
    ///
    /// # Errors
    /// There were not, within [`SOON`].
    pub async fn connected(&self, count: usize) -> Result<(), Timeout> {
        self.wait_events(count, |event| matches!(event, Event::Connected { .. }))
            .await
    }

    /// Waits until `count` events in all are such.
    ///
    /// # Errors
    /// They are not, within [`SOON`].
    pub async fn wait_events(
        &self,
        count: usize,
        such: impl Fn(&Event) -> bool,
    ) -> Result<(), Timeout> {
        let enough = |events: &[fake_kit::Entry<Event>]| {
            (events.iter().filter(|entry| such(&entry.what)).count() >= count).then_some(())
        };
        self.shared.protocol.wait_until(enough, SOON).await
    }
}
