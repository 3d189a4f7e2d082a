//! What a platform worker owes the hub, and what the hub owes it, kept across relinks.
//!
//! Promises:
//! - An event given to [`Hub::offer`] is offered again after each relink, and after each time that
//!   the hub defers it, until it is Accepted; events of one conversation are accepted in order.
//! - A chunk comes out of [`Hub::next`] once, however often the hub hands it out; its result is
//!   reported after each relink until the hub has kept it.
//! - A value given to [`Hub::put_cursor`] is committed when the call returns.
//! - Everything is bounded: 256 open events (further callers wait), 1024 chunks in hand (the hub is
//!   told to come back), 64 cursors, one file at a time each way.
//!
//! It survives the hub's death, not its own: what must outlive the worker is what the hub accepted.

mod blobs;
mod core;
mod cursors;
mod deliveries;
mod intake;
mod offer;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipc_schema::{Activity, CommandSpec, Deliver, Delivered, Failure, Inbound, Revise};
use tokio::sync::{Mutex as Turn, Notify, Semaphore, watch};
use tracing::warn;

use crate::link::{self, LinkConfig, LinkEvents, LinkSender};

use self::core::Core;
pub use blobs::{NotFetched, Unkept};
pub use cursors::BadCursor;
pub use offer::{Answer, Offer, Unusable};

/// The most events that are open at a time; whoever offers another waits.
pub const OPEN_EVENTS: usize = 256;

/// Something that the hub wants done.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most of it is chunks, and each is handed on once"
)]
pub enum Work {
    /// Post this, then say [`Hub::delivered`] or [`Hub::failed`]. Chunks of one address are posted
    /// in the order in which they come.
    Deliver {
        /// The chunk.
        deliver: Deliver,
        /// Goes back with the result by itself; for logs.
        trace: String,
    },
    /// Show, or stop showing, that somebody is being worked for.
    Activity(Activity),
    /// A message that shows progress now reads like this; best effort, the newest counts.
    Revise(Revise),
}

/// The hub as a platform worker sees it. Clones share everything.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

struct Inner {
    core: Mutex<Core>,
    link: LinkSender,
    /// One permit an open event.
    room: Arc<Semaphore>,
    /// One file at a time, each way.
    file: Turn<()>,
    fetch: Turn<()>,
    /// Counts changes of `core`.
    changed: watch::Sender<u64>,
    work: Notify,
}

impl Inner {
    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the core, sends what it wants sent and wakes whoever waits for a change.
    fn with<R>(&self, change: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = self.core();
        let result = change(&mut core);
        core.flush(&self.link);
        if core.has_work() {
            self.work.notify_one();
        }
        drop(core);
        self.changed
            .send_modify(|count| *count = count.wrapping_add(1));
        result
    }

    async fn until<R>(&self, mut look: impl FnMut(&Core) -> Option<R>) -> R {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = look(&self.core()) {
                return found;
            }
            // Cannot fail: the sender lives in `self`.
            let _ = changed.changed().await;
        }
    }
}

impl Hub {
    /// Starts the link and the bookkeeping as tasks of the current runtime.
    pub fn start(config: LinkConfig) -> Hub {
        let (link, events) = link::start(config);
        let inner = Arc::new(Inner {
            core: Mutex::default(),
            link,
            room: Arc::new(Semaphore::new(OPEN_EVENTS)),
            file: Turn::default(),
            fetch: Turn::default(),
            changed: watch::Sender::new(0),
            work: Notify::new(),
        });
        tokio::spawn(pump(Arc::clone(&inner), events));
        Hub { inner }
    }

    /// Waits for the first link, so that the cursors are known.
    pub async fn linked(&self) {
        self.inner.until(|core| core.ever_up.then_some(())).await;
    }

    /// Whether the link stands now.
    pub fn is_linked(&self) -> bool {
        self.inner.core().up
    }

    /// The commands for the platform's own menu, as the hub said at the last link-up.
    pub fn commands(&self) -> Vec<CommandSpec> {
        self.inner.core().commands.clone()
    }

    /// Waits for a refusal that no retry mends; gives the hub's words. End with
    /// [`crate::Stop::Schema`]; [`crate::main_with`] does so by itself.
    pub async fn over(&self) -> String {
        self.inner.until(|core| core.over.clone()).await
    }

    /// Takes an event from the platform. Waits while [`OPEN_EVENTS`] are open; then it is kept and
    /// offered to the hub until it is Accepted, whatever becomes of the [`Offer`].
    ///
    /// Call it in the order of the events. The same `event_id` again, while open, joins the first.
    pub async fn offer(&self, inbound: Inbound, trace: &str) -> Offer {
        if let Err(unusable) = offer::usable(&inbound) {
            warn!(
                event = inbound.event_id,
                "an event that the hub cannot take: {unusable}"
            );
            return Offer::unusable(unusable);
        }
        // An error would mean a closed semaphore; it never is.
        let permit = Arc::clone(&self.inner.room).acquire_owned().await.ok();
        self.inner.with(|core| core.offer(inbound, trace, permit))
    }

    /// [`Hub::offer`], and waits until it is Accepted.
    ///
    /// # Errors
    /// [`Unusable`] if the hub cannot take it at all; it is not offered again.
    pub async fn inbound(&self, inbound: Inbound, trace: &str) -> Result<(), Unusable> {
        self.offer(inbound, trace).await.accepted().await
    }

    /// Events that are not Accepted yet.
    pub fn open_events(&self) -> usize {
        self.inner.core().intake.len()
    }

    /// The value of a cursor as last committed: what the hub said at the link-up, or a later put
    /// that it has kept. Wait for [`Hub::linked`] first.
    pub fn cursor(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.core().cursors.get(name).map(<[u8]>::to_vec)
    }

    /// Has a value kept in place of the earlier one (name at most 64 bytes, value at most 64 KiB)
    /// and waits until that, or a later value, is committed: through relinks, for as long as it
    /// takes. The value is on its way as soon as the future is first polled.
    ///
    /// # Errors
    /// [`BadCursor`]; nothing is kept then.
    pub async fn put_cursor(&self, name: &str, value: Vec<u8>) -> Result<(), BadCursor> {
        let number = self.inner.with(|core| core.put_cursor(name, value))?;
        self.inner
            .until(|core| core.cursors.outcome(name, number))
            .await
    }

    /// As [`Hub::put_cursor`], without waiting.
    ///
    /// # Errors
    /// [`BadCursor`].
    pub fn put_cursor_soon(&self, name: &str, value: Vec<u8>) -> Result<(), BadCursor> {
        self.inner
            .with(|core| core.put_cursor(name, value))
            .map(drop)
    }

    /// The next thing to do. Safe to drop in mid-wait.
    pub async fn next(&self) -> Work {
        loop {
            let work = self.inner.core().next_work();
            match work {
                Some(work) => return work,
                // A permit is kept for a notify that comes in between.
                None => self.inner.work.notified().await,
            }
        }
    }

    /// The next thing to do, if it is there already. A platform that writes in batches takes the rest
    /// of what came together by this.
    pub fn try_next(&self) -> Option<Work> {
        self.inner.core().next_work()
    }

    /// The chunk is posted. `platform_id` may be empty. A key that is not in flight is ignored.
    pub fn delivered(&self, key: &str, platform_id: &str) {
        self.report(Delivered {
            key: key.into(),
            platform_id: platform_id.into(),
            ..Delivered::default()
        });
    }

    /// [`Hub::delivered`], with what could not be posted with it.
    pub fn report(&self, delivered: Delivered) {
        self.inner.with(|core| core.delivered(delivered));
    }

    /// The chunk is not posted. `why` is for the log and the queue list: no bodies, no secrets.
    pub fn failed(&self, key: &str, failure: Failure, why: &str) {
        self.inner.with(|core| core.failed(key, failure, why));
    }

    /// Chunks that were handed out and have no result yet.
    pub fn in_flight(&self) -> usize {
        self.inner.core().deliveries.in_flight()
    }

    /// Waits until the hub has accepted every event, kept every result and every cursor. Used in a
    /// drain, under a deadline: with the hub away it does not return.
    pub async fn settled(&self) {
        self.inner
            .until(|core| core.is_settled().then_some(()))
            .await;
    }
}

/// Carries the link's events into the core, and time.
async fn pump(inner: Arc<Inner>, mut events: LinkEvents) {
    loop {
        let (due, unsent) = {
            let core = inner.core();
            (core.intake.next_due(), core.has_unsent())
        };
        let due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => match event {
                Some(event) => inner.with(|core| core.on(event, &inner.link, Instant::now())),
                None => return,
            },
            () = due => inner.with(|core| core.due(Instant::now())),
            () = inner.link.flushed(), if unsent => inner.with(|_| ()),
        }
    }
}
