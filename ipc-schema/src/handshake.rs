//! The first words on a link: who speaks, which grammar, what the peer can do.

use serde::{Deserialize, Serialize};

use crate::LinkKey;

/// The newest grammar this build reads and writes.
pub const SCHEMA: u32 = 1;
/// The oldest grammar this build still reads and writes.
pub const SCHEMA_MIN: u32 = 1;

/// Peer → hub, the first envelope on a link.
///
/// Who the peer *is* follows from the socket it came in on, its uid and the key; what it says of
/// itself here is for logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest grammar it speaks.
    pub schema_min: u32,
    /// The newest grammar it speaks.
    pub schema_max: u32,
    /// Name and version of the program.
    #[serde(default)]
    pub software: String,
    /// `discord`, `weibo`, `runner`, …
    pub peer_kind: String,
    /// Which of its kind.
    pub instance: String,
    /// Counts the spawns of this peer; the key is good for one of them.
    pub generation: u64,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Proof that the monitor started it. See [`crate::LinkSecret`].
    pub link_key: LinkKey,
}

/// What a peer can do. Features are decided by these, never by a version. All off by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// The longest text of one message, in code points; 0 = this peer posts no text.
    pub text_limit: u32,
    /// `discord` (its markdown) or `plain`.
    pub dialect: String,
    /// The platform shows the chunks of a reply as one message, as if they had never been cut.
    pub joins_chunks: bool,
    /// How many [`crate::Deliver`]s of one address it takes before the first is answered; 0 counts
    /// as 1. A platform without message ids wants a whole reply at once.
    pub window: u32,
    /// The language of people who have shown none, `zh` or `en`; empty = told by their text.
    pub language: String,
    /// Can show that it is working ([`crate::Activity`]).
    pub typing: bool,
    /// Can edit what it posted.
    pub edit: bool,
    /// Can post embeds.
    pub embeds: bool,
    /// Can show buttons.
    pub buttons: bool,
    /// Can open threads.
    pub threads: bool,
    /// Can post files.
    pub files: bool,
    /// The largest file that it can post, bytes; 0 counts as none.
    pub file_limit: u64,
    /// Runner: the modes that a session can be put into; empty = it has none.
    pub modes: Vec<String>,
    /// Runner: a session's model can be chosen.
    pub models: bool,
    /// Runner: the agent drops a prompt whose id it has seen, so one may be sent again.
    pub dedups_prompts: bool,
}

/// Hub → peer: the link stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The grammar of everything that follows on this link.
    pub schema: u32,
    /// Data frames the peer may send before it is granted more.
    pub credit: u32,
    /// Every cursor that this peer has put, as last committed.
    #[serde(default)]
    pub cursors: Vec<Cursor>,
    /// Worker: the commands to offer in the platform's own menu, if it has one.
    #[serde(default)]
    pub commands: Vec<CommandSpec>,
}

/// A command for a platform's own menu. Whoever chooses it is taken to have typed `/name` and the
/// options in their order ([`crate::Act::Command`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandSpec {
    /// Without the slash.
    pub name: String,
    /// What it does, in English; at most 100 code points.
    pub about: String,
    /// The same in Chinese.
    #[serde(default)]
    pub about_zh: String,
    /// What can be given with it.
    #[serde(default)]
    pub options: Vec<CommandOption>,
    /// Its answer concerns nobody else.
    #[serde(default)]
    pub private: bool,
}

/// An option of a [`CommandSpec`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandOption {
    /// Lower-case letters.
    pub name: String,
    /// What it is, in English; at most 100 code points.
    pub about: String,
    /// The same in Chinese.
    #[serde(default)]
    pub about_zh: String,
    /// It is a whole number, else a text.
    #[serde(default)]
    pub number: bool,
    /// It has to be given.
    #[serde(default)]
    pub required: bool,
    /// What may be given; empty = anything. At most 25.
    #[serde(default)]
    pub choices: Vec<String>,
}

/// A small value that a peer keeps in the spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// At most 64 bytes.
    pub name: String,
    /// At most 64 KiB, and 128 KiB of all of a peer's together; opaque to the hub.
    #[serde(with = "serde_bytes")]
    pub value: Vec<u8>,
}

/// Hub → peer: no link. Closed after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refuse {
    /// Why, for a program.
    pub code: RefuseCode,
    /// Why and what to do, for a person.
    #[serde(default)]
    pub hint: String,
}

/// Why a link was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefuseCode {
    /// No grammar in common: exit 76, to be held until one side is upgraded.
    Schema,
    /// Wrong or outdated key.
    Key,
    /// The first envelope was no Hello, or came too late.
    Protocol,
    /// Try again later.
    Busy,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

/// The grammar for a link with a peer that speaks `min..=max`, if there is one.
pub fn agree(min: u32, max: u32) -> Option<u32> {
    let schema = max.min(SCHEMA);
    (schema >= min && schema >= SCHEMA_MIN).then_some(schema)
}
