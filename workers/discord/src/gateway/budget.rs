//! When the next IDENTIFY may go. Pure.
//!
//! Discord grants 1000 a day and voids the token of a bot that takes more; it also limits how many
//! may come within 5 s. RESUME is free. Beside Discord's own figures this looks at the IDENTIFYs that
//! were spent, which are kept across restarts: a worker that dies right after each IDENTIFY gets
//! fewer and fewer.

use std::time::Duration;

use serde::Deserialize;

/// Discord's window for `max_concurrency`, milliseconds.
pub(crate) const WINDOW_MS: u64 = 5_000;
/// IDENTIFYs of this last time slow the next one down, milliseconds.
const LATELY_MS: u64 = 3_600_000;
/// So many of them are free.
const FREE: usize = 3;
/// The longest that they slow it down, milliseconds.
const LONGEST_GAP_MS: u64 = 600_000;
/// A budget that is used up is asked after at least so often, milliseconds.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// `session_start_limit` of `GET /gateway/bot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct StartLimit {
    /// IDENTIFYs that are left.
    pub(crate) remaining: u64,
    /// Milliseconds until there are more.
    #[serde(default)]
    pub(crate) reset_after: u64,
    /// How many may go within 5 s.
    #[serde(default)]
    pub(crate) max_concurrency: u64,
}

/// Whether an IDENTIFY may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Now.
    Go,
    /// Ask again then.
    Wait(Duration),
    /// There is none left: ask again then.
    UsedUp(Duration),
}

/// The times of the IDENTIFYs that were spent, milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spent(Vec<u64>);

impl Spent {
    /// The most that are kept.
    const MOST: usize = 64;

    /// As they were kept; nonsense is none.
    pub(crate) fn read(kept: &[u8]) -> Spent {
        Spent(serde_json::from_slice(kept).unwrap_or_default())
    }

    /// To be kept.
    pub(crate) fn write(&self) -> Vec<u8> {
        // Numbers always make JSON.
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// One is spent now.
    pub(crate) fn spend(&mut self, now_ms: u64) {
        // Times from the future are of a clock that was wrong.
        self.0.retain(|at| *at <= now_ms && now_ms - at < LATELY_MS);
        self.0.push(now_ms);
        let over = self.0.len().saturating_sub(Spent::MOST);
        self.0.drain(..over);
    }

    /// Whether another may go now. `window_ms`: that of `max_concurrency`, [`WINDOW_MS`].
    pub(crate) fn judge(&self, limit: StartLimit, window_ms: u64, now_ms: u64) -> Verdict {
        if limit.remaining == 0 {
            let wait = limit.reset_after.clamp(1_000, LONGEST_WAIT_MS);
            return Verdict::UsedUp(Duration::from_millis(wait));
        }
        let lately = |within: u64| {
            self.0
                .iter()
                .copied()
                .filter(move |at| *at <= now_ms && now_ms - at < within)
        };
        let concurrency = usize::try_from(limit.max_concurrency)
            .unwrap_or(usize::MAX)
            .max(1);
        let in_window = lately(window_ms).count();
        let window_opens = (in_window >= concurrency)
            .then(|| lately(window_ms).min().map(|first| first + window_ms))
            .flatten();
        let slowed = lately(LATELY_MS).count().saturating_sub(FREE - 1);
        let gap_ends = (slowed > 0)
            .then(|| {
                let doubled = window_ms.checked_shl(u32::try_from(slowed).unwrap_or(63).min(20));
                let gap = doubled.unwrap_or(u64::MAX).min(LONGEST_GAP_MS);
                lately(LATELY_MS).max().map(|last| last + gap)
            })
            .flatten();
        match window_opens.max(gap_ends) {
            Some(at) if at > now_ms => Verdict::Wait(Duration::from_millis(at - now_ms)),
            _ => Verdict::Go,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: StartLimit = StartLimit {
        remaining: 1000,
        reset_after: 1,
        max_concurrency: 1,
    };

    #[test]
    fn nothing_goes_before_the_reset() {
        let none = StartLimit {
            remaining: 0,
            reset_after: 120_000,
            max_concurrency: 1,
        };
        assert_eq!(
            Spent::default().judge(none, WINDOW_MS, 0),
            Verdict::UsedUp(Duration::from_secs(120))
        );
        let soon = StartLimit {
            reset_after: 0,
            ..none
        };
        assert_eq!(
            Spent::default().judge(soon, WINDOW_MS, 0),
            Verdict::UsedUp(Duration::from_secs(1))
        );
    }

    #[test]
    fn concurrency_is_kept_within_five_seconds() {
        let mut spent = Spent::default();
        assert_eq!(spent.judge(PLENTY, WINDOW_MS, 1_000), Verdict::Go);
        spent.spend(1_000);
        assert_eq!(
            spent.judge(PLENTY, WINDOW_MS, 2_000),
            Verdict::Wait(Duration::from_millis(4_000))
        );
        let two = StartLimit {
            max_concurrency: 2,
            ..PLENTY
        };
        assert_eq!(spent.judge(two, WINDOW_MS, 2_000), Verdict::Go);
        assert_eq!(spent.judge(PLENTY, WINDOW_MS, 6_000), Verdict::Go);
    }

    #[test]
    fn a_crash_loop_gets_fewer_and_fewer() {
        let mut spent = Spent::default();
        let day = 24 * 3_600_000;
        let mut times = Vec::new();
        for now in (1_000_000_000..1_000_000_000 + day).step_by(500) {
            if spent.judge(PLENTY, WINDOW_MS, now) == Verdict::Go {
                spent = Spent::read(&spent.write()); // as after a restart
                spent.spend(now);
                times.push(now);
            }
        }
        assert!(times.len() < 300, "{} a day", times.len());
        let first_minute = times.iter().filter(|at| **at < 1_000_060_000).count();
        assert!(first_minute <= 6, "{first_minute} in the first minute");
        assert!(spent.0.len() <= Spent::MOST);
    }

    #[test]
    fn case_07_crash_loop_budget() {
        let mut spent = Spent::default();
        let mut times = Vec::new();
        // It dies a second after each start, right after an IDENTIFY if that may go.
        for second in 0..50 {
            let now = 1_000_000_000 + second * 1000;
            spent = Spent::read(&spent.write());
            if spent.judge(PLENTY, WINDOW_MS, now) == Verdict::Go {
                spent.spend(now);
                times.push(second);
            }
        }
        assert_eq!(times, [0, 5, 10, 20, 40]);
    }

    #[test]
    fn a_calm_hour_forgets_and_a_wrong_clock_does_not_lock_out() {
        let mut spent = Spent::default();
        (0..10).for_each(|n| spent.spend(1_000_000 + n));
        assert!(matches!(
            spent.judge(PLENTY, WINDOW_MS, 1_100_000),
            Verdict::Wait(_)
        ));
        assert_eq!(
            spent.judge(PLENTY, WINDOW_MS, 1_000_010 + LATELY_MS),
            Verdict::Go
        );
        assert_eq!(
            spent.judge(PLENTY, WINDOW_MS, 5),
            Verdict::Go,
            "all of them are in the future"
        );
        assert_eq!(Spent::read(b"junk"), Spent::default());
    }
}
