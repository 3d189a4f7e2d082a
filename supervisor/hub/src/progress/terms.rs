//! What goes into the machine, and what comes out of it.

use ipc_schema::Card;
use render::Dialect;
use serde::{Deserialize, Serialize};

use super::Item;
use crate::plan::Style;
use crate::texts::Lang;

/// How a turn is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Show {
    /// In which style.
    pub style: Style,
    /// That the agent thinks.
    pub thinking: bool,
    /// The longest thought, in characters; none: all of it.
    pub thinking_max: Option<usize>,
    /// Which tools it uses.
    pub tools: bool,
    /// The longest call of a tool, in characters; none: all of it.
    pub tool_max: Option<usize>,
    /// The text that is being written: so many characters of it, if at all.
    pub preview: Option<usize>,
    /// So much new text is worth a change.
    pub min_delta: usize,
    /// Between two changes, milliseconds.
    pub interval: u64,
    /// The longest message, in code points.
    pub limit: usize,
    /// What the platform shows.
    pub dialect: Dialect,
    /// Whose words.
    pub lang: Lang,
}

/// Something that the agent does; any of it may be lost on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen<'a> {
    /// It thinks.
    /// What it thought; empty while it thinks.
    Thinking(&'a str),
    /// It uses a tool.
    Tool {
        /// Which.
        name: &'a str,
        /// What it was given.
        input: &'a str,
    },
    /// Something that the agent wants said.
    Note(&'a str),
    /// Something of ours to be said; rendered.
    Remark(&'a str),
    /// Text so far, possibly cut at its front.
    Partial(&'a str),
}

/// What a message reads.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Rendered, within the limit.
    pub text: String,
    /// The same as a card.
    pub card: Option<Card>,
    /// It holds text of the agent's that stands nowhere else.
    pub content: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// A message of its own, with this line.
    Step(String),
    /// Post a page; it is open from now on ([`super::Progress::opened`]).
    Page(View),
    /// The open page reads so for good.
    Freeze(View),
    /// The open page reads so for the moment.
    Revise(View),
    /// This text block is not the last: it is shown now ([`super::Progress::earlier`]).
    Earlier(String),
}

/// What must survive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// As it was when the turn began.
    pub style: Style,
    /// When that was.
    pub started_at: u64,
    /// The chunk that posted the open page; empty = there is none.
    pub page: String,
    /// No cards can be posted here.
    pub plain: bool,
    /// The one word of the bubble style has been said.
    pub bubble: bool,
    /// Content of the turn has been posted.
    pub shown: bool,
    /// Some of it with a notification.
    pub aloud: bool,
    /// What stands on the open page.
    pub items: Vec<Item>,
}
