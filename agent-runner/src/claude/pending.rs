//! Text of a turn that may still be taken back: what the CLI prints runs ahead of its session file, and
//! after a crash it forgets a message whose tool has not answered.
//!
//! Promises: text comes out in order, and only once the line that makes it certain stands in the file,
//! or the turn is over; what waits is bounded ([`WAITING_BYTES`]). Pure.

use std::collections::VecDeque;

use super::protocol::Act;
use super::transcript::Block;

/// Text that may wait, in bytes.
pub(super) const WAITING_BYTES: usize = 1 << 20;
/// What a block weighs beside its text: it may have none.
const BLOCK_BYTES: usize = 256;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pending {
    blocks: VecDeque<Waiting>,
    /// What they weigh; once that was too much, no more are kept.
    weight: usize,
    /// The last line of the model's.
    last: String,
}

#[derive(Debug)]
struct Waiting {
    block: Block,
    /// The message that it is a part of.
    message: String,
    /// The line that makes it certain.
    by: Option<String>,
}

impl Pending {
    /// The model's message `message` went on with the line `uuid`.
    pub(super) fn said(
        &mut self,
        uuid: &str,
        message: &str,
        blocks: impl Iterator<Item = Block>,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        let before = |waiting: &Waiting| waiting.message != message;
        acts.extend(self.certain_by(uuid, before));
        uuid.clone_into(&mut self.last);
        for block in blocks {
            if self.weight <= WAITING_BYTES {
                self.weight += weight(&block);
                self.blocks.push_back(Waiting {
                    block,
                    message: message.to_owned(),
                    by: None,
                });
            }
        }
        if self.weight > WAITING_BYTES && !self.blocks.is_empty() {
            self.blocks = VecDeque::new();
            acts.push(Act::TooMuch);
        }
        acts
    }

    /// The last message calls a tool: it is whole, and what it says will not be taken back.
    pub(super) fn whole(&mut self) -> Option<Act> {
        let last = self.last.clone();
        match last.as_str() {
            "" => None,
            last => self.certain_by(last, |_| true),
        }
    }

    fn certain_by(&mut self, uuid: &str, which: impl Fn(&Waiting) -> bool) -> Option<Act> {
        let mut certain = false;
        for waiting in &mut self.blocks {
            if waiting.by.is_none() && which(waiting) {
                waiting.by = Some(uuid.to_owned());
                certain = true;
            }
        }
        certain.then(|| Act::Await(uuid.to_owned()))
    }

    /// These ids now stand in the session file.
    pub(super) fn written(&mut self, ids: &[String]) -> Vec<Act> {
        let stands = |waiting: &Waiting| waiting.by.as_ref().is_some_and(|by| ids.contains(by));
        let mut acts = Vec::new();
        while self.blocks.front().is_some_and(stands)
            && let Some(Waiting { block, .. }) = self.blocks.pop_front()
        {
            self.weight -= weight(&block);
            acts.push(Act::Content(block));
        }
        acts
    }

    /// Whether text that is certain waits for the file.
    pub(super) fn owes(&self) -> bool {
        self.blocks.iter().any(|waiting| waiting.by.is_some())
    }

    /// The turn is over: all of it is certain.
    pub(super) fn all(&mut self) -> Vec<Act> {
        let all = self.blocks.drain(..);
        all.map(|waiting| Act::Content(waiting.block)).collect()
    }

    #[cfg(test)]
    pub(super) fn holds(&self) -> usize {
        self.blocks.capacity()
    }
}

/// What a block that waits takes, about.
fn weight(block: &Block) -> usize {
    block.text.len() + BLOCK_BYTES
}
