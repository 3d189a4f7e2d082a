//! The validated plan: what a config asks for, with every default filled in.
//!
//! Promises: plain values that can be compared, so that a reload restarts only what changed; secrets
//! stand in [`crate::Secret`] alone. Durations and sizes carry their unit in the name, as in the config.

mod project;
mod settings;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use project::*;
pub use settings::*;

/// Everything a config asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The language of our own words; none: zh on Weibo, on Discord by the first message.
    pub language: Option<Lang>,
    /// The log's level.
    pub log_level: LogLevel,
    /// `data_dir`: instead of the usual state directory.
    pub state_dir: Option<PathBuf>,
    /// What the chat sees of a turn, before a project's own wishes.
    pub display: Display,
    /// The message that grows while the agent writes.
    pub stream_preview: StreamPreview,
    /// A word at once, before the answer.
    pub instant_reply: InstantReply,
    /// Messages a user may send.
    pub rate_limit: RateLimit,
    /// Messages that are sent to platforms.
    pub outgoing_rate_limit: OutgoingRateLimit,
    /// Messages that wait while a turn runs.
    pub queue: Queue,
    /// The operator's own commands.
    pub commands: Vec<Command>,
    /// Other names for commands.
    pub aliases: Vec<Alias>,
    /// Words whose message is refused, in small letters.
    pub banned_words: Vec<String>,
    /// Files in and out.
    pub attachments: Attachments,
    /// Minutes without a sign of the agent after which its turn is ended.
    pub idle_timeout_mins: Option<u32>,
    /// The longest turn in minutes.
    pub max_turn_time_mins: Option<u32>,
    /// How processes are watched and restarted.
    pub supervision: Supervision,
    /// Where messages are kept.
    pub spool: Spool,
    /// The projects, in the order of the file; at least one.
    pub projects: Vec<Project>,
}

/// A language that our own words are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Lang {
    En,
    Zh,
}

impl Lang {
    /// Its code, `en` or `zh`.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }
}

/// The log's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// Its name as a filter directive.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
