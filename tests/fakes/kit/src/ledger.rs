//! An append-only record that can be waited on.
//!
//! Promises: entries keep their index and order for ever; a waiter that starts late sees what came before it; waiting is on an event.
//! Does not: bound itself. A ledger lives as long as one test; a long benchmark calls [`Ledger::forget_before`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;

/// One line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry<T> {
    /// Position, from 0, without gaps.
    pub index: u64,
    /// Wall-clock time of the append in Unix milliseconds. For people; order is by `index`.
    pub at_ms: u64,
    /// What happened.
    pub what: T,
}

/// Nothing that was waited for came in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing in the ledger matched within {waited:?}; {seen} entries were looked at, the last ones:{last}"
)]
pub struct Timeout {
    /// How long it was waited.
    pub waited: Duration,
    /// How many entries were looked at.
    pub seen: u64,
    /// The last few of them, one a line, for the failure message.
    pub last: String,
}

struct Shared<T> {
    lines: Mutex<Lines<T>>,
    next: watch::Sender<u64>,
}

struct Lines<T> {
    first: u64,
    kept: VecDeque<Entry<T>>,
}

impl<T> Lines<T> {
    fn next(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn from(&self, index: u64) -> impl Iterator<Item = &Entry<T>> {
        let skip = usize::try_from(index.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.range(skip.min(self.kept.len())..)
    }
}

/// An append-only record. Clones share it.
pub struct Ledger<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Ledger<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Ledger<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("next", &self.next())
            .finish_non_exhaustive()
    }
}

impl<T> Ledger<T> {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        let lines = Lines {
            first: 0,
            kept: VecDeque::new(),
        };
        Self {
            shared: Arc::new(Shared {
                lines: Mutex::new(lines),
                next: watch::Sender::new(0),
            }),
        }
    }

    // A test that panicked while it held the lock must not hide its own message behind a poisoned one.
    fn lines(&self) -> MutexGuard<'_, Lines<T>> {
        self.shared
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends, wakes every waiter, and returns the index of the new entry.
    pub fn push(&self, what: T) -> u64 {
        let mut lines = self.lines();
        let index = lines.next();
        lines.kept.push_back(Entry {
            index,
            at_ms: unix_ms(),
            what,
        });
        // Published under the lock: the number never runs ahead of, or behind, another push.
        self.shared.next.send_replace(index + 1);
        index
    }

    /// The index that the next entry will get; so also how many there have been.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.lines().next()
    }

    /// How many kept entries match. The predicate must not touch this ledger.
    pub fn count(&self, mut predicate: impl FnMut(&T) -> bool) -> usize {
        self.lines()
            .kept
            .iter()
            .filter(|entry| predicate(&entry.what))
            .count()
    }

    /// Drops what stands before `index`, to bound the memory of long runs. Later indices stay as they are.
    pub fn forget_before(&self, index: u64) {
        let mut lines = self.lines();
        while lines.first < index && lines.kept.pop_front().is_some() {
            lines.first += 1;
        }
    }

    /// Waits until there is an entry at or past `index`, at most `deadline`. Says whether there is.
    pub async fn wait_past(&self, index: u64, deadline: Duration) -> bool {
        let mut next = self.shared.next.subscribe();
        let came = next.wait_for(|next| *next > index);
        matches!(tokio::time::timeout(deadline, came).await, Ok(Ok(_)))
    }
}

impl<T: Clone> Ledger<T> {
    /// A copy of everything kept.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Entry<T>> {
        self.since(0)
    }

    /// A copy of the entries from `index` on.
    #[must_use]
    pub fn since(&self, index: u64) -> Vec<Entry<T>> {
        self.lines().from(index).cloned().collect()
    }

    /// The first kept entry that matches. The predicate must not touch this ledger.
    pub fn find(&self, mut predicate: impl FnMut(&T) -> bool) -> Option<Entry<T>> {
        self.lines()
            .kept
            .iter()
            .find(|entry| predicate(&entry.what))
            .cloned()
    }

    /// Every kept `what` that `pick` turns into something, in order.
    pub fn filter_map<R>(&self, mut pick: impl FnMut(&T) -> Option<R>) -> Vec<R> {
        self.lines()
            .kept
            .iter()
            .filter_map(|entry| pick(&entry.what))
            .collect()
    }
}

impl<T: Clone + fmt::Debug> Ledger<T> {
    /// Waits for the first entry, old or new, that matches, at most `deadline`.
    ///
    /// The predicate must not touch this ledger; use [`Ledger::wait_until`] to judge several entries together.
    ///
    /// # Errors
    /// [`Timeout`] with the last entries, so that a failed test says what came instead.
    pub async fn wait_for(
        &self,
        predicate: impl FnMut(&T) -> bool,
        deadline: Duration,
    ) -> Result<Entry<T>, Timeout> {
        self.wait_for_since(0, predicate, deadline).await
    }

    /// As [`Ledger::wait_for`], looking only at entries from index `since` on.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_for_since(
        &self,
        since: u64,
        mut predicate: impl FnMut(&T) -> bool,
        deadline: Duration,
    ) -> Result<Entry<T>, Timeout> {
        let mut seen = since;
        self.wait(deadline, |lines| {
            let hit = lines
                .from(seen)
                .find(|entry| predicate(&entry.what))
                .cloned();
            seen = lines.next();
            hit
        })
        .await
    }

    /// Waits until `judge`, shown everything kept so far after every change, gives something.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_until<R>(
        &self,
        mut judge: impl FnMut(&[Entry<T>]) -> Option<R>,
        deadline: Duration,
    ) -> Result<R, Timeout> {
        self.wait(deadline, |lines| judge(lines.kept.make_contiguous()))
            .await
    }

    async fn wait<R>(
        &self,
        deadline: Duration,
        mut look: impl FnMut(&mut Lines<T>) -> Option<R>,
    ) -> Result<R, Timeout> {
        // Subscribed before the first look: what is pushed in between wakes us.
        let mut next = self.shared.next.subscribe();
        let search = async {
            loop {
                next.mark_unchanged();
                if let Some(found) = look(&mut self.lines()) {
                    return found;
                }
                // The sender lives in `self`, so this cannot fail while we borrow it.
                let _ = next.changed().await;
            }
        };
        match tokio::time::timeout(deadline, search).await {
            Ok(found) => Ok(found),
            Err(_) => Err(self.timed_out(deadline)),
        }
    }

    fn timed_out(&self, waited: Duration) -> Timeout {
        let lines = self.lines();
        let last = lines.from(lines.next().saturating_sub(12));
        let last = last
            .map(|entry| format!("\n  {:>4} {:?}", entry.index, entry.what))
            .collect();
        Timeout {
            waited,
            seen: lines.next(),
            last,
        }
    }
}

/// Unix time in milliseconds.
fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
