//! What the hub is told at its start: projects, platforms, limits and the secrets that links are
//! proved by. JSON on the inherited descriptor `config`.
//!
//! No secret of a platform is in it: the hub needs none and gets none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The hub's whole configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// Counts the spawns of the hub.
    pub generation: u64,
    /// The spool's directory.
    pub state_dir: PathBuf,
    /// The largest the spool's database may grow, in bytes.
    pub spool_max_bytes: u64,
    /// How long turns that are over and delivered chunks stay, in milliseconds.
    pub spool_max_age_ms: u64,
    /// Where the hub's own control socket goes.
    pub runtime_dir: PathBuf,
    /// `error` … `trace`.
    pub log_level: String,
    /// `en`, `zh`, or empty: by platform and by person.
    #[serde(default)]
    pub language: String,
    /// The most turns that wait in one session.
    pub queue_depth: u64,
    /// Messages a person may send in a window; 0 = no limit.
    #[serde(default)]
    pub rate: Rate,
    /// A message that contains one of these is refused.
    #[serde(default)]
    pub banned_words: Vec<String>,
    /// `/name` → a prompt ([`crate::command::expand`]).
    #[serde(default)]
    pub commands: Vec<PromptCommand>,
    /// `/name` → another command.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// Said at once when a message becomes a turn with nothing ahead of it; empty = a word of the
    /// catalogue, absent = nothing.
    #[serde(default)]
    pub instant_reply: Option<String>,
    /// The text of a running turn, as it grows.
    #[serde(default)]
    pub stream_preview: StreamPreview,
    /// Files in and out.
    #[serde(default)]
    pub attachments: Attachments,
    /// By name.
    pub projects: BTreeMap<String, Project>,
    /// By process name, for example `discord-main`.
    pub platforms: BTreeMap<String, Platform>,
    /// By process name: 64 hex digits.
    pub link_secrets: BTreeMap<String, Secret>,
}

/// How the text of a running turn is shown. Lengths are in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPreview {
    /// Whether it is.
    pub enabled: bool,
    /// Between two changes of a message, at least, milliseconds.
    pub interval_ms: u64,
    /// So much new text is worth a change.
    pub min_delta_chars: u32,
    /// So much of it is shown.
    pub max_chars: u32,
}

impl Default for StreamPreview {
    fn default() -> StreamPreview {
        StreamPreview {
            enabled: true,
            interval_ms: 1500,
            min_delta_chars: 30,
            max_chars: 2000,
        }
    }
}

/// Files in and out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// An agent may send files to the chat.
    pub send: bool,
    /// The largest that is taken in, bytes.
    pub max_bytes: u64,
}

impl Default for Attachments {
    fn default() -> Attachments {
        Attachments {
            send: true,
            max_bytes: 50 << 20,
        }
    }
}

/// A limit a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Messages in one window; 0 = no limit.
    pub max_messages: u32,
    /// Seconds.
    pub window_secs: u64,
}

/// An operator's command that is a prompt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PromptCommand {
    /// Without the slash.
    pub name: String,
    /// For `/help`.
    #[serde(default)]
    pub description: String,
    /// What the agent is to read.
    pub prompt: String,
}

/// One project.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Project {
    /// The process that runs its agents, for example `runner-demo`.
    pub runner: String,
    /// People who may do what changes others' sessions: platform ids, or `*`.
    #[serde(default)]
    pub admins: Vec<String>,
    /// Name the sender to the agent; absent = where several people share a session.
    #[serde(default)]
    pub inject_sender: Option<bool>,
    /// Tell the agent which platform it answers on.
    pub style_hint: bool,
    /// Commands that nobody may use here, without the slash; `*` = all.
    #[serde(default)]
    pub disabled_commands: Vec<String>,
    /// Who may use less than that, and how often anyone may write ([`crate::roles`]).
    #[serde(default)]
    pub users: Users,
    /// A session that nobody used for so many minutes is followed by a new one; 0 = never.
    #[serde(default)]
    pub reset_on_idle_mins: u64,
    /// The agent's program, for words to people.
    pub agent: String,
    /// How it gets at its model, for words to people.
    #[serde(default)]
    pub login: Login,
    /// What logs it in, for a shell; empty = its program.
    #[serde(default)]
    pub login_command: String,
    /// Whether its project's own settings are loaded; absent = it knows no such thing.
    #[serde(default)]
    pub trust_project: Option<bool>,
    /// The name of its volume; may be empty.
    #[serde(default)]
    pub volume: String,
    /// Its mode, for `/status`; may be empty.
    #[serde(default)]
    pub mode: String,
    /// Its model, for `/status`; may be empty.
    #[serde(default)]
    pub model: String,
    /// What the chat sees of a turn.
    #[serde(default)]
    pub display: Display,
    /// The line under an answer.
    #[serde(default)]
    pub footer: Footer,
    /// The modes that a session can be put into; empty = there are none to choose from.
    #[serde(default)]
    pub modes: Vec<String>,
    /// Its agent can make its conversation shorter.
    #[serde(default)]
    pub compacts: bool,
    /// The longest entry of `/history`, in characters; absent = all of it.
    #[serde(default)]
    pub history_max_len: Option<u32>,
}

/// How an agent gets at its model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// By a login that its program keeps for its user, and that it can read.
    #[default]
    Stored,
    /// The same, in a way that only the agent knows; it says how when it is asked.
    Own,
    /// By a token that it can read.
    Token,
    /// By a key that its runner keeps from it.
    Key,
}

/// What the line under an answer says; without any of it there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The model that answered.
    pub model: bool,
    /// How full the agent's context is.
    pub context: bool,
    /// The work directory; empty = not said.
    pub work_dir: String,
}

/// What the chat sees of a turn. Lengths are in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// Anything before the answer.
    pub progress: bool,
    /// That the agent thinks.
    pub thinking: bool,
    /// The longest thought; absent = all of it.
    #[serde(default)]
    pub thinking_max_len: Option<u32>,
    /// The tools that it uses.
    pub tools: bool,
    /// The longest line of a tool; absent = all of it.
    #[serde(default)]
    pub tool_max_len: Option<u32>,
}

impl Default for Display {
    fn default() -> Display {
        Display {
            progress: true,
            thinking: true,
            thinking_max_len: Some(300),
            tools: true,
            tool_max_len: Some(500),
        }
    }
}

/// The roles of a project; without any, all people are alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// The role of whoever is in none.
    #[serde(default)]
    pub default_role: Option<String>,
    /// By name.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
}

/// What people of a role may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Who has it: platform ids, or `*` for everyone without another one.
    pub user_ids: Vec<String>,
    /// Commands that they may not use, beside the project's; without the slash; `*` = all.
    #[serde(default)]
    pub disabled_commands: Vec<String>,
    /// Instead of [`Plan::rate`].
    #[serde(default)]
    pub rate: Option<Rate>,
}

/// One account on one platform.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Platform {
    /// `discord`, `weibo`, ….
    pub kind: String,
    /// The project that its messages go to.
    pub project: String,
    /// `en`, `zh`, or empty: as the whole plan says.
    #[serde(default)]
    pub language: String,
    /// What is posted of an answer.
    #[serde(default)]
    pub reply: Reply,
    /// How fast messages may go out; absent = as fast as the worker takes them.
    #[serde(default)]
    pub pace: Option<Pace>,
    /// How a turn is shown while it runs.
    #[serde(default)]
    pub progress: Style,
    /// The most messages of an answer; a longer one goes as a file. Absent = 5, or no bound where
    /// the platform joins them.
    #[serde(default)]
    pub max_reply_messages: Option<u32>,
}

/// How a turn is shown while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// A message for each step.
    Legacy,
    /// One message that is changed.
    Compact,
    /// One card that is changed.
    Card,
    /// One word, should it take long.
    Bubble,
    /// Not at all.
    #[default]
    Off,
}

/// A steady rate, and how much may go at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Messages a second; above 0.
    pub max_per_second: f64,
    /// Messages at once; 0 counts as 1.
    pub burst: u32,
}

/// What is posted of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// One reply: every text block, the last one last.
    #[default]
    Final,
    /// A message for each text block.
    All,
}

/// 64 hex digits that `Debug` does not print.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps random bytes.
    pub fn new(bytes: &[u8; 32]) -> Secret {
        Secret(hex(bytes))
    }

    /// The bytes, if the digits are right.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        let digits = self.0.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(bytes)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
