//! Settings that hold for every project, or are repeated in one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How much of a turn is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisplayMode {
    /// Thinking, tools and text.
    Full,
    /// Text as it comes.
    Compact,
    /// The answer only.
    Quiet,
}

/// What the chat sees of a turn. Lengths are in characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// How much is shown.
    pub mode: DisplayMode,
    /// Thinking is shown.
    pub thinking_messages: bool,
    /// The longest thinking shown; none: all of it.
    pub thinking_max_len: Option<u32>,
    /// Tool calls are shown.
    pub tool_messages: bool,
    /// The longest tool call shown; none: all of it.
    pub tool_max_len: Option<u32>,
    /// The longest entry of `/history`; none: all of it.
    pub history_max_len: Option<u32>,
    /// How full the context is, under an answer.
    pub show_context_indicator: bool,
    /// The work directory, under an answer.
    pub show_workdir_indicator: bool,
    /// The lines under an answer at all.
    pub reply_footer: bool,
}

/// The message that grows while the agent writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct StreamPreview {
    pub enabled: bool,
    pub interval_ms: u32,
    pub min_delta_chars: u32,
    pub max_chars: u32,
}

/// A word at once, before the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstantReply {
    /// Whether it is said.
    pub enabled: bool,
    /// What is said; none: a word in the user's language.
    pub content: Option<String>,
}

/// At most so many messages in a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RateLimit {
    pub max_messages: u32,
    pub window_secs: u32,
}

impl RateLimit {
    /// No limit at all.
    pub fn is_off(self) -> bool {
        self.max_messages == 0 || self.window_secs == 0
    }
}

/// A pace: a steady rate and how much may go at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Messages a second; 0 = no limit.
    pub max_per_second: f64,
    /// Messages at once; at least 1.
    pub burst: u32,
}

/// The pace of what is sent, beside the platforms' own limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutgoingRateLimit {
    /// For platforms without a pace of their own.
    pub default: Pace,
    /// By platform type.
    pub platforms: BTreeMap<String, Pace>,
}

impl OutgoingRateLimit {
    /// The pace for a platform type, or none for no limit.
    pub fn pace(&self, kind: &str) -> Option<Pace> {
        Some(*self.platforms.get(kind).unwrap_or(&self.default))
            .filter(|pace| pace.max_per_second > 0.0)
    }
}

/// Messages that wait while a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// So many a session.
    pub max_depth: u32,
}

/// A command of the operator's: `/name` asks the agent `prompt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Command {
    pub name: String,
    pub description: String,
    pub prompt: String,
}

/// A first word that stands for a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Alias {
    pub name: String,
    pub command: String,
}

/// Files in and out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// The agent may send files to the chat.
    pub send: bool,
    /// The largest one in MiB.
    pub max_size_mb: u32,
}

/// How processes are watched and restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervision {
    /// The shortest wait before a restart.
    pub backoff_min_ms: u32,
    /// The longest; never below the shortest.
    pub backoff_max_ms: u32,
    /// Health after which the wait starts small again.
    pub backoff_reset_secs: u32,
    /// The time to become ready.
    pub ready_timeout_secs: u32,
    /// The beat of signs of life; none: not watched.
    pub watchdog_secs: Option<u32>,
    /// The time to finish when stopped.
    pub drain_timeout_secs: u32,
    /// Restarts within the window that raise an alarm.
    pub degraded_restarts: u32,
    /// That window.
    pub degraded_window_secs: u32,
}

/// Where messages are kept until they are answered, and a while after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spool {
    /// Instead of `spool` in the state directory.
    pub dir: Option<PathBuf>,
    /// Its largest size in MiB.
    pub max_size_mb: u32,
    /// How long finished messages are kept.
    pub max_age_days: u32,
}
