//! The running turn of a session with Claude Code, and how its content is told.

use std::collections::BTreeSet;
use std::time::Instant;

use ipc_schema::{Outcome, Prompt};

use crate::claude::transcript::Block;
use crate::session::outgoing::Outgoing;
use crate::session::questions::Questions;
use crate::session::turn::Clock;
use crate::session::{Cx, Image};

/// Text that is kept beside the session file, should the file lack it.
pub(super) const SPARE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Turn {
    pub(super) prompt: Prompt,
    pub(super) images: Vec<Image>,
    /// The start that is being prepared for it.
    pub(super) launch: u64,
    pub(super) stage: Stage,
    pub(super) clock: Clock,
    pub(super) restarts: u32,
    /// An agent may have had it: look before it is handed over.
    pub(super) seen: bool,
    /// The process was started to go on with it.
    pub(super) revived: bool,
    /// This process has told that it has the prompt.
    pub(super) begun: bool,
    /// Content comes from the session file, at the end.
    pub(super) from_file: bool,
    /// What was said on stdout meanwhile, within [`SPARE_BYTES`].
    pub(super) spare: Vec<Block>,
    pub(super) spare_bytes: usize,
    pub(super) said: BTreeSet<String>,
    pub(super) questions: Questions,
    /// Files that were sent to the chat.
    pub(super) outgoing: Outgoing,
}

#[derive(Debug, PartialEq)]
pub(super) enum Stage {
    /// For the process, or for it to be free.
    Waits,
    /// A live process may have had it: the file is being read.
    Checked,
    /// It is with the agent.
    Runs,
    /// The process is done with it. `None` = the file is to tell how.
    Read(Option<Outcome>),
    /// The rest of what is to be said waits for the hub.
    Full(Option<Outcome>),
    /// What the agent had started is being ended.
    Sweeps(Outcome),
}

impl Turn {
    /// A turn that waits for its agent.
    pub(super) fn new(prompt: Prompt, images: Vec<Image>, now: Instant) -> Turn {
        Turn {
            launch: 0,
            stage: Stage::Waits,
            clock: Clock::new(now),
            restarts: 0,
            seen: prompt.resend,
            revived: false,
            begun: false,
            from_file: false,
            spare: Vec::new(),
            spare_bytes: 0,
            said: BTreeSet::new(),
            questions: Questions::default(),
            outgoing: Outgoing::default(),
            images,
            prompt,
        }
    }

    /// A block is content: it is said now, or read from the file at the end.
    pub(super) fn content(&mut self, block: Block, cx: &mut Cx<'_>) {
        self.from_file |= !cx.board.has_room(&self.prompt.at);
        if !self.from_file {
            return self.say(block, cx);
        }
        self.spare_bytes += block.text.len() + block.id.len();
        if self.spare_bytes <= SPARE_BYTES {
            self.spare.push(block);
        }
    }

    /// There is more content than can be held: what the session file lacks of it is lost.
    pub(super) fn too_much(&mut self) {
        self.from_file = true;
        self.spare.clear();
        self.spare_bytes = SPARE_BYTES + 1;
    }

    pub(super) fn say(&mut self, block: Block, cx: &mut Cx<'_>) {
        if self.said.insert(block.id.clone()) {
            let at = &self.prompt.at;
            self.clock.shows_rest(at, cx);
            cx.tell(|board, say| board.keep_text(at, &block.id, &block.text, say));
        }
    }

    /// Says what the file lacked.
    pub(super) fn say_spare(&mut self, cx: &mut Cx<'_>) {
        for block in std::mem::take(&mut self.spare) {
            self.say(block, cx);
        }
    }
}
