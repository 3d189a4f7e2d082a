//! A question that is shown, and whether a message can be an answer to it.
//!
//! What somebody wrote before they can have seen a question is no answer to it: a "1" that was meant
//! for the question before must not approve the next one.

use ipc_schema::QuestionKind;
use serde::{Deserialize, Serialize};
use spool::{Chunk, ChunkState};

/// A question as the spool keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What is asked.
    pub about: QuestionKind,
    /// The key of the last chunk that shows it.
    pub last_chunk: String,
}

/// By how much the clocks of a platform and of this machine may differ, milliseconds.
const SKEW: u64 = 2_000;

/// Whether a message (its place in the channel's order and its time, 0 = unknown) can have been
/// written by somebody who saw `chunk`.
pub fn seen(chunk: &Chunk, order: u64, sent_at_ms: u64) -> bool {
    match chunk.state {
        ChunkState::Pending | ChunkState::Parked => false,
        ChunkState::Delivered if order > 0 => match chunk.platform_id.parse::<u64>() {
            Ok(shown) => order > shown,
            Err(_) => later(sent_at_ms, chunk.leased_at),
        },
        // Handed out, and its word that it is posted may be on its way.
        ChunkState::Delivered | ChunkState::Leased => later(sent_at_ms, chunk.leased_at),
    }
}

fn later(sent_at_ms: u64, shown_at_ms: u64) -> bool {
    sent_at_ms == 0 || sent_at_ms.saturating_add(SKEW) >= shown_at_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(state: ChunkState, platform_id: &str) -> Chunk {
        Chunk {
            key: "r-0".into(),
            number: 1,
            reply: "r".into(),
            position: 0,
            count: 1,
            instance: "discord-main".into(),
            address: "1".into(),
            text: "?".into(),
            reply_to: String::new(),
            trace: String::new(),
            state,
            leased_at: 100_000,
            not_before: 0,
            retries: 0,
            platform_id: platform_id.into(),
            why: String::new(),
            created_at: 0,
        }
    }

    #[test]
    fn the_platforms_own_order_decides_where_there_is_one() {
        let shown = chunk(ChunkState::Delivered, "500");
        assert!(seen(&shown, 501, 0));
        assert!(!seen(&shown, 499, 200_000));
    }

    #[test]
    fn else_the_time_does() {
        let shown = chunk(ChunkState::Delivered, "");
        assert!(seen(&shown, 0, 100_000));
        assert!(seen(&shown, 0, 0));
        assert!(!seen(&shown, 0, 90_000));
        let leased = chunk(ChunkState::Leased, "");
        assert!(seen(&leased, 7, 99_000));
        assert!(!seen(&leased, 7, 90_000));
    }

    #[test]
    fn nobody_answers_what_was_not_shown() {
        for state in [ChunkState::Pending, ChunkState::Parked] {
            assert!(!seen(&chunk(state, ""), 900, 900_000));
        }
    }
}
