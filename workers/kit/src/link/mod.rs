//! The client's side of the link to the hub, for workers and runners.
//!
//! Promises:
//! - **It relinks for ever.** A hub that was killed is found again within some tens of
//!   milliseconds; only a refusal for the schema ends it.
//! - **It never blocks the sender.** [`LinkSender::send`] queues or says why not. Urgent kinds
//!   overtake what waits; data goes as the hub grants credit.
//! - **It forgets.** What was queued but not written when the link fell is dropped. The layer above
//!   says again whatever still matters after each [`LinkEvent::Up`].
//! - **Junk is survived.** Bytes that are no frame, a frame that is no envelope and a hub that
//!   overdraws its credit close the link with a logged reason; an unknown kind is answered by a
//!   nack and goes unseen.
//!
//! It does not know what the envelopes are about.

mod address;
mod outgoing;
mod pump;
mod relink;
mod session;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipc_schema::{Body, Capabilities, Envelope, Grant, LinkKey, Nack, RefuseCode, Welcome};
use tokio::sync::{Notify, mpsc};

pub use address::{BadAddress, LinkAddress};
use outgoing::Outgoing;

/// Events that wait for [`LinkEvents::next`] before the link stops reading.
const EVENTS: usize = 256;

/// Who links, and where to.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The hub's socket.
    pub address: LinkAddress,
    /// Name and version of the program, for logs.
    pub software: String,
    /// `discord`, `weibo`, `runner`, …
    pub kind: String,
    /// Which of its kind.
    pub instance: String,
    /// Which spawn of it.
    pub generation: u64,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The proof that goes with the generation.
    pub link_key: LinkKey,
}

/// Names one sent body, so that a later [`LinkEvent::Nacked`] can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Why a body was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The link is down. Say it again after the next [`LinkEvent::Up`], if it still matters.
    #[error("the link is down")]
    Down,
    /// Too much waits already. [`LinkSender::room`] tells when to try again.
    #[error("too much waits to be written on the link")]
    Full,
}

/// What happens on the link.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation a frame"
)]
pub enum LinkEvent {
    /// It stands. Say again what matters.
    Up(Welcome),
    /// It fell, and is being taken up again. What was queued is gone.
    Down {
        /// In words.
        why: String,
    },
    /// The hub said something. Never a Credit, a Nack, a handshake or an unknown kind.
    Got(Envelope),
    /// The hub could not use something that was sent on this link.
    Nacked {
        /// What; absent if it was too long ago.
        ticket: Option<Ticket>,
        /// In words, for the log.
        why: String,
    },
    /// The hub would not link. After [`RefuseCode::Schema`] the link is over: exit with 76. After
    /// any other code it is asked again, slowly.
    Refused {
        /// Why, for a program.
        code: RefuseCode,
        /// Why, for a person.
        hint: String,
    },
}

#[derive(Default)]
struct State {
    out: Outgoing,
    grant: Grant,
    /// Counts link-ups: credit is owed only to the connection that a frame came by.
    epoch: u64,
    /// Bytes were taken from `out` and are not on the socket yet.
    writing: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    wake: Notify,
    /// Something was written, or the link came up or fell.
    moved: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the link as a task of the current runtime. It ends when the [`LinkEvents`] are dropped.
pub fn start(config: LinkConfig) -> (LinkSender, LinkEvents) {
    let shared = Arc::new(Shared::default());
    let (events, inbox) = mpsc::channel(EVENTS);
    tokio::spawn(pump::run(config, Arc::clone(&shared), events));
    (
        LinkSender {
            shared: Arc::clone(&shared),
        },
        LinkEvents { shared, inbox },
    )
}

/// The way out. Clones share one queue.
#[derive(Clone)]
pub struct LinkSender {
    shared: Arc<Shared>,
}

impl fmt::Debug for LinkSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSender")
    }
}

impl LinkSender {
    /// Queues `body`; never waits.
    ///
    /// # Errors
    /// [`NotSent`]; nothing was queued then.
    pub fn send(&self, body: Body, trace: &str) -> Result<Ticket, NotSent> {
        let ticket = self.shared.state().out.push(body, trace)?;
        self.shared.wake.notify_one();
        Ok(ticket)
    }

    /// Tells the hub that its envelope `id` could not be used.
    pub fn nack(&self, id: u64, why: impl Into<String>) {
        // Not sent: the link is down and the envelope with it, or the hub reads nothing.
        let _ = self.send(
            Body::Nack(Nack {
                id,
                why: why.into(),
            }),
            "",
        );
    }

    /// Whether the link stands.
    pub fn is_up(&self) -> bool {
        self.shared.state().out.is_open()
    }

    /// Counts link-ups; changes when what was queued may have been dropped.
    pub fn epoch(&self) -> u64 {
        self.shared.state().epoch
    }

    /// Waits until fewer than `frames` data frames wait to be written, or the link falls.
    pub async fn room(&self, frames: usize) {
        self.until(|state| state.out.waiting_data() < frames).await;
    }

    /// Waits until everything that was queued is on the socket, or the link falls.
    pub async fn flushed(&self) {
        self.until(|state| state.out.is_empty() && !state.writing)
            .await;
    }

    async fn until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let moved = self.shared.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable(); // before the look, so that nothing is missed
            if done(&self.shared.state()) {
                return;
            }
            moved.await;
        }
    }
}

/// The way in.
pub struct LinkEvents {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<(u64, LinkEvent)>,
}

impl fmt::Debug for LinkEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkEvents")
    }
}

impl LinkEvents {
    /// The next event; `None` once the link is over for good. Safe to drop in mid-wait.
    ///
    /// Taking an event is what grants the hub more credit: whoever stops calling this stops the
    /// hub from sending, after a bounded number of frames.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        let (epoch, event) = self.inbox.recv().await?;
        if let LinkEvent::Got(envelope) = &event
            && envelope.body.costs_credit()
        {
            let mut state = self.shared.state();
            if state.epoch == epoch
                && let Some(credit) = state.grant.finished()
                && state.out.push(Body::Credit(credit), "").is_ok()
            {
                self.shared.wake.notify_one();
            }
        }
        Some(event)
    }
}
