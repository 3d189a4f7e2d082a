//! A hub without a mind, for tests of workers and runners: it greets, grants credit, accepts, keeps
//! what it is told to keep, and says what the test has it say.
//!
//! Promises: what it keeps (cursors, files, accepted events) outlives its links, as a real hub's
//! does; everything that peers say stands in [`FakeHub::ledger`].
//! Does not: route, decide, or dedup for the test; the ledger shows every repeat.

mod link;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fake_kit::Ledger;
use ipc_schema::{
    Accepted, Access, BlobRef, Body, CREDIT_WINDOW, CommandSpec, Deliver, Envelope, Hello, Inbound,
    LinkKey, RefuseCode, Sender,
};
use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

/// The link key that peers are to show, as hex.
pub const KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// How long a test waits for something before it fails.
pub const SOON: Duration = Duration::from_secs(20);

/// What a peer did.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It linked, and was welcomed or refused.
    Hello(Hello),
    /// It said something.
    Got(Envelope),
    /// It sent bytes that are no frame.
    Junk(String),
    /// Its link ended.
    Closed,
}

impl Seen {
    /// What it said, if it did.
    #[must_use]
    pub fn body(&self) -> Option<&Body> {
        match self {
            Seen::Got(envelope) => Some(&envelope.body),
            _ => None,
        }
    }

    /// The event, if it is one.
    #[must_use]
    pub fn inbound(&self) -> Option<&Inbound> {
        match self.body()? {
            Body::Inbound(inbound) => Some(inbound),
            _ => None,
        }
    }
}

/// What the hub does by itself. Changed at any time with [`FakeHub::rule`].
#[derive(Debug, Clone)]
pub struct Rules {
    /// Refuse every Hello with this.
    pub refuse: Option<RefuseCode>,
    /// Answer a Hello at all.
    pub greet: bool,
    /// Credit at the handshake.
    pub credit: u32,
    /// Grant more as frames come.
    pub grant: bool,
    /// Answer events with Accepted.
    pub accept: bool,
    /// Answer cursors with CursorKept.
    pub keep_cursors: bool,
    /// Answer results with DeliveryKept.
    pub keep_results: bool,
    /// Answer whole files with BlobKept.
    pub keep_files: bool,
    /// Commands that workers are to offer.
    pub commands: Vec<CommandSpec>,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            refuse: None,
            greet: true,
            credit: CREDIT_WINDOW,
            grant: true,
            accept: true,
            keep_cursors: true,
            keep_results: true,
            keep_files: true,
            commands: Vec::new(),
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "a test says little")]
enum Order {
    Say(Body, String),
    Raw(Vec<u8>),
    Drop,
}

#[derive(Default)]
struct Kept {
    cursors: BTreeMap<String, Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
}

struct Shared {
    ledger: Ledger<Seen>,
    rules: Mutex<Rules>,
    kept: Mutex<Kept>,
    /// The newest link.
    link: Mutex<Option<mpsc::UnboundedSender<Order>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hub on a Unix socket in a directory of its own. Ends when it is dropped.
pub struct FakeHub {
    shared: Arc<Shared>,
    path: PathBuf,
    away: watch::Sender<bool>,
    _directory: tempfile::TempDir,
}

impl FakeHub {
    /// Listens. Call it within a tokio runtime.
    ///
    /// # Errors
    /// No directory, or no socket in it.
    pub fn start() -> std::io::Result<FakeHub> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("hub.sock");
        let listener = UnixListener::bind(&path)?;
        let shared = Arc::new(Shared {
            ledger: Ledger::new(),
            rules: Mutex::default(),
            kept: Mutex::default(),
            link: Mutex::default(),
        });
        let (away, watched) = watch::channel(false);
        tokio::spawn(link::accept(listener, Arc::clone(&shared), watched));
        Ok(FakeHub {
            shared,
            path,
            away,
            _directory: directory,
        })
    }

    /// The value for `--link`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    /// The key that peers are to show.
    #[must_use]
    pub fn key(&self) -> LinkKey {
        LinkKey(vec![1; 32])
    }

    /// The content of a peer's `config` descriptor or `--config-file`. `options` is JSON.
    #[must_use]
    pub fn config(&self, instance: &str, options: &str) -> String {
        format!(
            r#"{{"instance":"{instance}","generation":1,"link_key":"{KEY}","options":{options},"log_level":"debug"}}"#
        )
    }

    /// What peers did, in order.
    #[must_use]
    pub fn ledger(&self) -> &Ledger<Seen> {
        &self.shared.ledger
    }

    /// Changes what the hub does by itself.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut lock(&self.shared.rules));
    }

    /// Says something on the newest link; nothing if there is none.
    pub fn say(&self, body: Body) {
        self.order(Order::Say(body, "trace".into()));
    }

    /// Says that an event is committed.
    pub fn accept(&self, event_id: &str) {
        self.say(Body::Accepted(Accepted {
            event_id: event_id.into(),
        }));
    }

    /// Writes bytes as they are.
    pub fn raw(&self, bytes: &[u8]) {
        self.order(Order::Raw(bytes.to_vec()));
    }

    /// Closes the newest link.
    pub fn drop_link(&self) {
        self.order(Order::Drop);
    }

    fn order(&self, order: Order) {
        if let Some(link) = &*lock(&self.shared.link) {
            // The link is gone already: what it is to do is moot.
            let _ = link.send(order);
        }
    }

    /// Dies, as far as peers can see, while its socket lives on: links fall, new ones queue
    /// unanswered.
    pub fn die(&self) {
        self.away.send_replace(true);
        self.drop_link(); // also if it is back before anybody looks
    }

    /// Comes back and answers whoever queued.
    pub fn come_back(&self) {
        self.away.send_replace(false);
    }

    /// The committed value of a cursor.
    #[must_use]
    pub fn cursor(&self, name: &str) -> Option<Vec<u8>> {
        lock(&self.shared.kept).cursors.get(name).cloned()
    }

    /// Sets a cursor as if it had been kept long ago.
    pub fn set_cursor(&self, name: &str, value: &[u8]) {
        lock(&self.shared.kept)
            .cursors
            .insert(name.into(), value.to_vec());
    }

    /// A file that was kept.
    #[must_use]
    pub fn file(&self, sha256: &str) -> Option<Vec<u8>> {
        lock(&self.shared.kept).files.get(sha256).cloned()
    }

    /// Keeps a file as if somebody had sent it.
    pub fn keep_file(&self, name: &str, mime: &str, bytes: &[u8]) -> BlobRef {
        let sha256: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        lock(&self.shared.kept)
            .files
            .insert(sha256.clone(), bytes.to_vec());
        BlobRef {
            sha256,
            name: name.into(),
            mime: mime.into(),
            size: bytes.len() as u64,
        }
    }

    /// Waits until a peer has linked `times` times in all.
    ///
    /// # Errors
    /// It did not, within [`SOON`].
    pub async fn linked(&self, times: usize) -> Result<(), fake_kit::Timeout> {
        let linked = |entries: &[fake_kit::Entry<Seen>]| {
            let count = entries
                .iter()
                .filter(|e| matches!(e.what, Seen::Hello(_)))
                .count();
            (count >= times).then_some(())
        };
        self.ledger().wait_until(linked, SOON).await
    }

    /// Waits for the first thing that `pick` turns into something.
    ///
    /// # Errors
    /// None came within [`SOON`].
    pub async fn wait<R>(&self, pick: impl Fn(&Body) -> Option<R>) -> Result<R, fake_kit::Timeout> {
        self.wait_nth(1, pick).await
    }

    /// Waits for the `n`-th, counted from 1.
    ///
    /// # Errors
    /// It did not come within [`SOON`].
    pub async fn wait_nth<R>(
        &self,
        n: usize,
        pick: impl Fn(&Body) -> Option<R>,
    ) -> Result<R, fake_kit::Timeout> {
        // One step a match, so that a test of many thousands stays linear.
        let (mut since, mut left) = (0, n.max(1));
        loop {
            let mut found = None;
            let such = |seen: &Seen| {
                found = seen.body().and_then(&pick);
                found.is_some()
            };
            let entry = self.ledger().wait_for_since(since, such, SOON).await?;
            (since, left) = (entry.index + 1, left - 1);
            if let Some(found) = found.filter(|_| left == 0) {
                return Ok(found);
            }
        }
    }
}

/// A chunk of a reply, to be said with [`FakeHub::say`].
#[must_use]
pub fn chunk(key: &str, reply: &str, index: u32, count: u32, address: &str, text: &str) -> Deliver {
    Deliver {
        key: key.into(),
        reply: reply.into(),
        index,
        count,
        address: address.into(),
        text: text.into(),
        ..Deliver::default()
    }
}

/// Somebody said "hello", as a worker would offer it.
#[must_use]
pub fn inbound(event_id: &str, conversation: &str) -> Inbound {
    Inbound {
        event_id: event_id.into(),
        conversation: conversation.into(),
        address: conversation.into(),
        direct: true,
        shared: false,
        sender: Sender {
            id: "1".into(),
            ..Sender::default()
        },
        access: Access::Granted,
        text: "hello".into(),
        ..Inbound::default()
    }
}
