//! How many messages a person may send in a window.
//!
//! In memory only: a restart of the hub forgives. Bounded: when too many people are remembered the
//! ones that were quiet longest are forgotten first.

use std::collections::{HashMap, VecDeque};

use crate::plan::Rate;

/// The most people remembered.
const PEOPLE: usize = 10_000;

/// Times of each person's recent messages.
#[derive(Default)]
pub struct RateLimit {
    recent: HashMap<(String, String), Recent>,
}

#[derive(Default)]
struct Recent {
    times: VecDeque<u64>,
    /// Milliseconds; roles have windows of their own.
    window: u64,
}

impl RateLimit {
    /// Counts a message of `user` on `instance`; over the limit it is not counted and the seconds
    /// to wait are returned.
    pub fn admit(&mut self, rate: Rate, instance: &str, user: &str, now: u64) -> Result<(), u64> {
        if rate.max_messages == 0 || rate.window_secs == 0 {
            return Ok(());
        }
        let window = rate.window_secs * 1000;
        if self.recent.len() >= PEOPLE {
            self.forget_quiet(now);
        }
        let recent = self
            .recent
            .entry((instance.to_owned(), user.to_owned()))
            .or_default();
        recent.window = window;
        let times = &mut recent.times;
        while times.front().is_some_and(|time| time + window <= now) {
            times.pop_front();
        }
        match times.front() {
            Some(oldest) if times.len() >= rate.max_messages as usize => {
                Err((oldest + window - now).div_ceil(1000))
            }
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }

    fn forget_quiet(&mut self, now: u64) {
        self.recent.retain(|_, recent| {
            let last = recent.times.back();
            last.is_some_and(|last| last + recent.window > now)
        });
        if self.recent.len() >= PEOPLE {
            self.recent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_slides() {
        let rate = Rate {
            max_messages: 2,
            window_secs: 10,
        };
        let mut limit = RateLimit::default();
        assert_eq!(limit.admit(rate, "d", "ann", 0), Ok(()));
        assert_eq!(limit.admit(rate, "d", "ann", 4_000), Ok(()));
        assert_eq!(limit.admit(rate, "d", "ann", 5_001), Err(5));
        assert_eq!(limit.admit(rate, "d", "bob", 5_001), Ok(()));
        assert_eq!(limit.admit(rate, "d", "ann", 10_000), Ok(()));
    }

    #[test]
    fn zero_is_no_limit() {
        let mut limit = RateLimit::default();
        for now in 0..100 {
            assert_eq!(limit.admit(Rate::default(), "d", "ann", now), Ok(()));
        }
    }

    #[test]
    fn a_short_window_does_not_forgive_who_has_a_long_one() {
        let rate = |window_secs| Rate {
            max_messages: 1,
            window_secs,
        };
        let mut limit = RateLimit::default();
        assert_eq!(limit.admit(rate(3600), "d", "ann", 0), Ok(()));
        for user in 1..PEOPLE {
            let _ = limit.admit(rate(1), "d", &user.to_string(), 0);
        }
        assert_eq!(limit.admit(rate(1), "d", "bob", 5_000), Ok(()));
        assert_eq!(limit.recent.len(), 2);
        assert_eq!(limit.admit(rate(3600), "d", "ann", 5_000), Err(3595));
    }

    #[test]
    fn a_flood_of_people_is_bounded() {
        let rate = Rate {
            max_messages: 1,
            window_secs: 3600,
        };
        let mut limit = RateLimit::default();
        for user in 0..3 * PEOPLE {
            let _ = limit.admit(rate, "d", &user.to_string(), 0);
        }
        assert!(limit.recent.len() <= PEOPLE);
    }
}
