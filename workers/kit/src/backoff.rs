//! How long to wait before the next try. Pure: the clock and the chance are the caller's.

use std::time::{Duration, Instant};

/// Exponential backoff with jitter at every step, forgotten after a stable time.
///
/// The n-th delay is drawn evenly from `min ..= min * 2^n`, never past `max`. A connection that
/// comes up and falls again soon goes on where the backoff stood; only one that stayed up for
/// `stable` starts it anew. So a peer that lets us in and throws us out is not hammered.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    stable: Duration,
    tries: u32,
    up_since: Option<Instant>,
}

impl Backoff {
    /// `min` is the shortest delay, `max` the longest; `stable` is how long something must be up
    /// before the next failure counts as the first.
    pub fn new(min: Duration, max: Duration, stable: Duration) -> Backoff {
        Backoff {
            min,
            max: max.max(min),
            stable,
            tries: 0,
            up_since: None,
        }
    }

    /// The delay before the next try. `chance` is in `0.0 ..= 1.0`.
    pub fn next(&mut self, chance: f64) -> Duration {
        self.tries = self.tries.saturating_add(1);
        let factor = 1_u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        let ceiling = self.min.saturating_mul(factor).min(self.max);
        self.min + (ceiling - self.min).mul_f64(chance.clamp(0.0, 1.0))
    }

    /// It is up.
    pub fn up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// It is down, or never came up.
    pub fn down(&mut self, now: Instant) {
        let up = self
            .up_since
            .take()
            .map(|since| now.saturating_duration_since(since));
        if up.is_some_and(|up| up >= self.stable) {
            self.tries = 0;
        }
    }

    /// Failures since the last stable time.
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn grows_to_its_bound_and_never_past_it() {
        let mut backoff = Backoff::new(S(1), S(60), S(60));
        let delays: Vec<_> = (0..8).map(|_| backoff.next(1.0).as_secs()).collect();
        assert_eq!(delays, [2, 4, 8, 16, 32, 60, 60, 60]);
        (0..100).for_each(|_| assert!(backoff.next(1.0) <= S(60)));
        assert_eq!(backoff.next(0.0), S(1));
    }

    #[test]
    fn only_a_stable_time_resets_it() {
        let start = Instant::now();
        let mut backoff = Backoff::new(S(1), S(60), S(60));
        assert_eq!((0..4).map(|_| backoff.next(1.0)).last(), Some(S(16)));
        backoff.up(start);
        backoff.down(start + S(59));
        assert_eq!(backoff.next(1.0), S(32));
        backoff.up(start);
        backoff.down(start + S(60));
        assert_eq!(backoff.next(1.0), S(2));
        backoff.down(start + S(600)); // was not up
        assert_eq!(backoff.next(1.0), S(4));
    }
}
