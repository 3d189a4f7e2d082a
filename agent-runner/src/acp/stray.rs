//! What an agent says to nobody's question: collected until it is silent for a while, or a prompt comes.
//! Pure.

use std::time::{Duration, Instant};

use super::protocol::Act;
use crate::text;

/// After so much silence it is whole.
const SILENCE: Duration = Duration::from_secs(2);
/// The most of one text, bytes; the rest is left out.
const BYTES: usize = 64 << 10;

/// What is being said.
#[derive(Debug)]
pub(super) struct Stray {
    /// Makes ids unlike those of any other process.
    nonce: String,
    said: String,
    until: Option<Instant>,
    count: u64,
}

impl Stray {
    pub(super) fn new(nonce: String) -> Stray {
        Stray {
            nonce,
            said: String::new(),
            until: None,
            count: 0,
        }
    }

    /// More of it came.
    pub(super) fn add(&mut self, said: &str, now: Instant) {
        let room = BYTES.saturating_sub(self.said.len());
        self.said.push_str(text::head(said, room));
        self.until = Some(now + SILENCE);
    }

    /// When it is whole, if nothing more comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// It is whole: what was said, if it was anything.
    pub(super) fn take(&mut self) -> Option<Act> {
        self.until = None;
        let said = std::mem::take(&mut self.said);
        if said.trim().is_empty() {
            return None;
        }
        self.count += 1;
        let id = format!("{}/said/{}", self.nonce, self.count);
        Some(Act::Unprompted(id, said))
    }
}
