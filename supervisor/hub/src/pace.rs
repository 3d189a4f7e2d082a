//! How fast messages go out on one account.
//!
//! A token bucket, kept as the time at which it will be full again. A lane that finds it empty is
//! promised the next token, so lanes take turns in the order in which they asked and none starves.
//! In memory only: a hub that starts again starts with a full bucket. Platforms' own limits are the
//! workers' to keep.

use std::collections::HashMap;

use crate::plan::Pace;

/// The longest that one token takes, milliseconds: a slower pace than one message an hour is one an
/// hour.
const SLOWEST: f64 = 3_600_000.0;
/// A promised token that nobody fetched for so long, milliseconds, or for as long as a token takes,
/// is lost: what waited for a link must not go out all at once.
const KEPT: f64 = 1000.0;

/// The tokens of one account.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Milliseconds since 1970.
    full_at: f64,
    /// By lane: when its token is there. One entry for each lane that has something to send.
    promised: HashMap<String, u64>,
}

impl Bucket {
    /// Takes a token for the next message of a lane.
    ///
    /// # Errors
    /// When to ask again, if it is not there yet; the token is kept for the lane.
    pub fn take(&mut self, pace: Pace, lane: &str, now: u64) -> Result<(), u64> {
        let token = (1000.0 / pace.max_per_second).min(SLOWEST);
        if let Some(due) = self.promised.get(lane).copied() {
            if now < due {
                return Err(due);
            }
            self.promised.remove(lane);
            if (now - due) as f64 <= token.max(KEPT) {
                return Ok(());
            }
        }
        let full_at = self.full_at.max(now as f64);
        let due = full_at - f64::from(pace.burst.max(1) - 1) * token;
        self.full_at = full_at + token;
        if due <= now as f64 {
            return Ok(());
        }
        let due = due.ceil() as u64;
        self.promised.insert(lane.to_owned(), due);
        Err(due)
    }

    /// The lane has nothing to send: a token that was kept for it is lost.
    pub fn forget(&mut self, lane: &str) {
        self.promised.remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace(max_per_second: f64, burst: u32) -> Pace {
        Pace {
            max_per_second,
            burst,
        }
    }

    #[test]
    fn a_full_bucket_goes_at_once_and_then_a_token_at_a_time() {
        let mut bucket = Bucket::default();
        let two = pace(2.0, 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(two, "a", 10_000), Ok(()));
        }
        assert_eq!(bucket.take(two, "a", 10_000), Err(10_500));
        assert_eq!(bucket.take(two, "a", 10_499), Err(10_500), "the same token");
        assert_eq!(bucket.take(two, "a", 10_500), Ok(()));
        assert_eq!(bucket.take(two, "a", 10_500), Err(11_000));
        // Quiet for long enough, it is full again and no fuller.
        assert_eq!(bucket.take(two, "a", 60_000), Ok(()));
        for _ in 0..2 {
            assert_eq!(bucket.take(two, "a", 60_000), Ok(()));
        }
        assert_eq!(bucket.take(two, "a", 60_000), Err(60_500));
    }

    #[test]
    fn lanes_take_turns() {
        let mut bucket = Bucket::default();
        let one = pace(1.0, 1);
        assert_eq!(bucket.take(one, "a", 0), Ok(()));
        assert_eq!(bucket.take(one, "a", 0), Err(1000));
        assert_eq!(bucket.take(one, "b", 0), Err(2000));
        assert_eq!(bucket.take(one, "a", 1000), Ok(()));
        assert_eq!(bucket.take(one, "a", 1000), Err(3000), "b is before");
        assert_eq!(bucket.take(one, "b", 2000), Ok(()));
        assert_eq!(bucket.take(one, "a", 3000), Ok(()));
    }

    #[test]
    fn a_lane_without_a_message_keeps_no_token() {
        let mut bucket = Bucket::default();
        let one = pace(1.0, 1);
        assert_eq!(bucket.take(one, "a", 0), Ok(()));
        assert_eq!(bucket.take(one, "b", 0), Err(1000));
        bucket.forget("b");
        assert!(bucket.promised.is_empty());
    }

    #[test]
    fn what_waited_for_a_link_does_not_go_out_all_at_once() {
        let mut bucket = Bucket::default();
        let one = pace(1.0, 1);
        let lanes = ["a", "b", "c", "d"];
        let mut all = |now| lanes.map(|lane| bucket.take(one, lane, now));
        assert_eq!(all(0), [Ok(()), Err(1000), Err(2000), Err(3000)]);
        let later = [Ok(()), Err(61_000), Err(62_000), Err(63_000)];
        assert_eq!(all(60_000), later);
    }

    #[test]
    fn a_pace_has_a_slowest() {
        let mut bucket = Bucket::default();
        let never = pace(f64::MIN_POSITIVE, 0);
        assert_eq!(bucket.take(never, "a", 5), Ok(()));
        assert_eq!(bucket.take(never, "a", 5), Err(3_600_005));
    }

    proptest! {
        /// Whoever asks whenever: no stretch of time sees more than the burst and its tokens.
        #[test]
        fn never_more_than_the_pace(
            rate in 0.2f64..50.0,
            burst in 1u32..6,
            asks in prop::collection::vec((0u64..3000, 0usize..4), 1..200),
        ) {
            let (mut bucket, mut now, mut sent) = (Bucket::default(), 1_700_000_000_000, Vec::new());
            for (later, lane) in asks {
                now += later;
                if bucket.take(pace(rate, burst), ["a", "b", "c", "d"][lane], now).is_ok() {
                    sent.push(now);
                }
            }
            for (n, from) in sent.iter().enumerate() {
                for (m, to) in sent.iter().enumerate().skip(n) {
                    // A promised token may be fetched late, by a token's time or a second.
                    let secs = (to - from) as f64 / 1000.0;
                    let most = secs * rate + f64::from(burst) + rate.max(1.0);
                    prop_assert!((m - n + 1) as f64 <= most + 1e-6);
                }
            }
        }
    }
}
