//! Repeats: a first line against them. What holds across restarts, and for long, is the hub's. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use worker_kit::RecentIds;

use crate::message::Name;

/// Message ids that are remembered here; the hub remembers more.
const RECENT: usize = 10_000;
/// Within this the same words without an id and without a time are a repeat; after it they are
/// something that was said once more.
const DOUBT: Duration = Duration::from_secs(10);
/// Names of that kind that are remembered.
const DOUBTFUL: usize = 256;

/// What came in lately.
#[derive(Debug)]
pub(crate) struct Dedup {
    recent: RecentIds,
    doubtful: VecDeque<(String, Instant)>,
}

impl Default for Dedup {
    fn default() -> Dedup {
        Dedup {
            recent: RecentIds::new(RECENT),
            doubtful: VecDeque::new(),
        }
    }
}

impl Dedup {
    /// The event's id if it is no repeat. `unix_ms` is the time of day.
    pub(crate) fn look(&self, name: &Name, now: Instant, unix_ms: u64) -> Option<String> {
        match name {
            Name::Certain(id) => (!self.recent.contains(id)).then(|| id.clone()),
            Name::Doubtful(hash) => {
                let near = |at: &Instant| now.saturating_duration_since(*at) < DOUBT;
                let known = self.doubtful.iter().any(|(h, at)| h == hash && near(at));
                (!known).then(|| format!("{hash}-{unix_ms}"))
            }
        }
    }

    /// It was taken.
    pub(crate) fn taken(&mut self, name: Name, now: Instant) {
        match name {
            Name::Certain(id) => {
                self.recent.insert(&id);
            }
            Name::Doubtful(hash) => {
                if self.doubtful.len() == DOUBTFUL {
                    self.doubtful.pop_front();
                }
                self.doubtful.push_back((hash, now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_once() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        let name = Name::Certain("a".into());
        assert_eq!(dedup.look(&name, now, 5).as_deref(), Some("a"));
        assert_eq!(dedup.look(&name, now, 5).as_deref(), Some("a"), "not taken");
        dedup.taken(name.clone(), now);
        assert_eq!(dedup.look(&name, now, 5), None);
    }

    #[test]
    fn the_same_words_without_id_and_time_are_a_repeat_only_at_once() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        let name = Name::Doubtful("h".into());
        assert_eq!(dedup.look(&name, now, 5).as_deref(), Some("h-5"));
        dedup.taken(name.clone(), now);
        assert_eq!(dedup.look(&name, now + DOUBT / 2, 6), None);
        assert_eq!(dedup.look(&name, now + DOUBT, 7).as_deref(), Some("h-7"));
        for n in 0..1000 {
            dedup.taken(Name::Doubtful(n.to_string()), now);
        }
        assert_eq!(dedup.doubtful.len(), DOUBTFUL);
    }
}
