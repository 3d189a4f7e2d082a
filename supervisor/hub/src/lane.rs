//! Which chunks of a lane may be handed to the worker now.
//!
//! One address is one lane, first in first out: nothing overtakes a chunk that waits. The worker
//! says how many it takes at once (its window); a platform that gives ids takes one, so that a
//! failure can park the rest before it is posted.

use std::collections::HashSet;

use spool::Chunk;

/// What a lane offers.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    /// Indices into the lane, in order.
    pub hand_out: Vec<usize>,
    /// When to look again, if a chunk waits for its time.
    pub due: Option<u64>,
}

/// Looks at the first chunks of a lane, in order. `in_flight` holds the keys that the worker has on
/// this link.
pub fn offer(lane: &[Chunk], in_flight: &HashSet<String>, window: usize, now: u64) -> Offer {
    let mut hand_out = Vec::new();
    for (index, chunk) in lane.iter().take(window.max(1)).enumerate() {
        if chunk.not_before > now {
            return Offer {
                hand_out,
                due: Some(chunk.not_before),
            };
        }
        if !in_flight.contains(&chunk.key) {
            hand_out.push(index);
        }
    }
    Offer {
        hand_out,
        due: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(key: &str, not_before: u64) -> Chunk {
        Chunk {
            key: key.into(),
            reply: "r".into(),
            count: 1,
            not_before,
            ..Chunk::default()
        }
    }

    fn flying(keys: &[&str]) -> HashSet<String> {
        keys.iter().map(|key| key.to_string()).collect()
    }

    #[test]
    fn one_at_a_time_where_the_window_is_one() {
        let lane = [chunk("a", 0), chunk("b", 0)];
        assert_eq!(offer(&lane, &flying(&[]), 1, 0).hand_out, [0]);
        assert_eq!(offer(&lane, &flying(&["a"]), 1, 0).hand_out, [0; 0]);
        assert_eq!(offer(&lane, &flying(&[]), 0, 0).hand_out, [0]);
    }

    #[test]
    fn a_window_is_filled_in_order() {
        let lane = [chunk("a", 0), chunk("b", 0), chunk("c", 0)];
        assert_eq!(offer(&lane, &flying(&["a"]), 2, 0).hand_out, [1]);
        assert_eq!(offer(&lane, &flying(&[]), 8, 0).hand_out, [0, 1, 2]);
    }

    #[test]
    fn nothing_overtakes_a_chunk_that_waits() {
        let lane = [chunk("a", 50), chunk("b", 0)];
        assert_eq!(
            offer(&lane, &flying(&[]), 8, 49),
            Offer {
                hand_out: vec![],
                due: Some(50)
            }
        );
        assert_eq!(offer(&lane, &flying(&[]), 8, 50).hand_out, [0, 1]);
    }
}
