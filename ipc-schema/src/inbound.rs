//! What comes in from people, and what a worker asks to have kept.

use serde::{Deserialize, Serialize};

use crate::BlobRef;

/// The longest text of one [`Inbound`] or piece of content, in bytes of UTF-8. A frame holds it
/// with room to spare.
pub const MAX_TEXT: usize = 128 * 1024;

/// Worker → hub: somebody said something. Offered again after each relink until it is
/// [`Accepted`]; the hub drops repeats by (instance, `event_id`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Inbound {
    /// The platform's id of the event, unique in the account.
    pub event_id: String,
    /// The conversation in the account: opaque, stable, at most 128 bytes. The worker decides what
    /// shares one (a person, a channel, a thread).
    pub conversation: String,
    /// Where answers go: opaque to the hub, given back in [`crate::Deliver`].
    pub address: String,
    /// One person writes to the bot alone.
    #[serde(default)]
    pub direct: bool,
    /// Several people may write in this conversation.
    #[serde(default)]
    pub shared: bool,
    /// Who wrote.
    pub sender: Sender,
    /// Whether they may.
    pub access: Access,
    /// What they wrote, the bot's own mention removed. Empty for a bare mention. At most
    /// [`MAX_TEXT`].
    #[serde(default)]
    pub text: String,
    /// The text they replied to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<String>,
    /// Files, each already kept under its hash.
    #[serde(default)]
    pub attachments: Vec<BlobRef>,
    /// What could not be taken along (too big, of no use), for a word to the sender.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The same in Chinese, entry by entry; empty, or an empty entry: there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_zh: Vec<String>,
    /// The platform's id of the message that an answer should refer to; may be empty.
    #[serde(default)]
    pub reply_to: String,
    /// Rises with each event of one address, where the platform numbers them so (Discord's
    /// snowflakes); 0 = it does not. Lets the hub prune what it remembers of old events.
    #[serde(default)]
    pub order: u64,
    /// When it was written, milliseconds since 1970; 0 = unknown.
    #[serde(default)]
    pub sent_at_ms: u64,
    /// What they did.
    #[serde(default)]
    pub act: Act,
    /// What the worker may not do here and would have done, for a word to the sender.
    #[serde(default)]
    pub lacks: Vec<Lack>,
}

/// What a person did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Wrote a message.
    #[default]
    Message,
    /// Chose a command from the platform's own menu; the text is what they would have typed. The
    /// reply carries [`crate::Deliver::answers`].
    Command,
    /// Pressed a control ([`crate::Control`]) under a question. The reply carries
    /// [`crate::Deliver::answers`].
    Pressed {
        /// The question.
        question: String,
        /// Values of the controls.
        values: Vec<String>,
    },
    /// Changed an earlier message; the text is the new one.
    Edited {
        /// The earlier message's event.
        of: String,
    },
    /// Took an earlier message back.
    Deleted {
        /// The earlier message's event.
        of: String,
    },
    /// An act that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A right that the bot lacks in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// Opening a thread.
    Threads,
    /// Writing in threads.
    InThreads,
    /// Posting cards.
    Cards,
    /// Posting files.
    Files,
    /// A right that this version does not know.
    #[serde(other)]
    Other,
}

/// The person behind an [`Inbound`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sender {
    /// The platform's id of the person.
    pub id: String,
    /// As shown to others; not to be trusted.
    #[serde(default)]
    pub name: String,
    /// The account belongs to them: they may do what admins may where no admin is named.
    #[serde(default)]
    pub owner: bool,
}

/// The worker's verdict over a sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// May talk to the agent.
    Granted,
    /// May not, and is to be told how to be let in; the text is not sent along.
    #[default]
    Refused,
}

/// Hub → worker: the event is committed, with what comes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The event.
    pub event_id: String,
}

/// Hub → worker: the event is **not** committed (disk full, too much at once): offer it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deferred {
    /// The event.
    pub event_id: String,
    /// Not before this many milliseconds.
    pub retry_after_ms: u64,
    /// In words, for the log.
    #[serde(default)]
    pub why: String,
}

/// Worker → hub: keep this value under this name, in place of an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CursorPut {
    /// At most 64 bytes.
    pub name: String,
    /// Rises with each put of this peer's process; comes back in [`CursorKept`].
    pub number: u64,
    /// At most 64 KiB.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// Hub → worker: that put, and every earlier one of the name, is committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CursorKept {
    /// The name.
    pub name: String,
    /// The put's number.
    pub number: u64,
}
