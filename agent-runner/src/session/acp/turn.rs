//! The running turn of a session with an ACP agent.

use std::time::Instant;

use ipc_schema::{Outcome, Prompt};

use crate::session::outgoing::Outgoing;
use crate::session::questions::Questions;
use crate::session::turn::Clock;
use crate::session::{Cx, Image};

#[derive(Debug)]
pub(super) struct Turn {
    pub(super) prompt: Prompt,
    pub(super) images: Vec<Image>,
    /// The start that is being prepared for it.
    pub(super) launch: u64,
    pub(super) stage: Stage,
    pub(super) clock: Clock,
    pub(super) restarts: u32,
    /// The agent may have had it: it is not run again.
    pub(super) sent: bool,
    /// Why the conversation is a new one though there was an old.
    pub(super) lost: Option<String>,
    /// Blocks of text so far.
    blocks: u32,
    /// Files that were sent to the chat.
    pub(super) outgoing: Outgoing,
    pub(super) questions: Questions,
}

#[derive(Debug, PartialEq)]
pub(super) enum Stage {
    /// For the process, or for it to be ready.
    Waits,
    /// It is with the protocol.
    Runs,
    /// Everything is said; its process is going.
    Ends(Outcome),
}

impl Turn {
    /// A turn that waits for its agent.
    pub(super) fn new(prompt: Prompt, images: Vec<Image>, now: Instant) -> Turn {
        Turn {
            prompt,
            images,
            launch: 0,
            stage: Stage::Waits,
            clock: Clock::new(now),
            restarts: 0,
            sent: false,
            lost: None,
            blocks: 0,
            outgoing: Outgoing::default(),
            questions: Questions::default(),
        }
    }

    /// Says a block of text.
    pub(super) fn say(&mut self, text: &str, cx: &mut Cx<'_>) {
        let at = &self.prompt.at;
        self.blocks += 1;
        let block = self.blocks.to_string();
        self.clock.shows_rest(at, cx);
        cx.tell(|board, say| board.keep_text(at, &block, text, say));
    }

    /// Nobody waits any more for what the agent asked.
    pub(super) fn withdraws(&mut self, cx: &mut Cx<'_>) {
        for event in self.questions.withdraw() {
            cx.keep(&self.prompt.at, event);
        }
    }
}
