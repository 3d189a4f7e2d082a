//! What goes out to people.
//!
//! `Deliver → Delivered | DeliveryFailed → DeliveryKept`. The key names one chunk for ever: a worker
//! that gets the same key twice answers with what it knows instead of posting again.

use serde::{Deserialize, Serialize};

/// Hub → worker: post this text as it is. One address is one lane: its chunks are posted in the
/// order in which they come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deliver {
    /// Names this chunk for ever; at most 25 characters of `[0-9A-Za-z_-]`.
    pub key: String,
    /// Names the reply that the chunk is a part of.
    pub reply: String,
    /// Position in the reply, from 0.
    pub index: u32,
    /// Chunks of the reply.
    pub count: u32,
    /// Where to, as the worker gave it.
    pub address: String,
    /// Rendered for the worker's dialect, within its limit.
    pub text: String,
    /// The message to refer to, if any.
    #[serde(default)]
    pub reply_to: String,
    /// Milliseconds since the chunk was first handed to any worker; 0 = never before. Old ones may
    /// be past the platform's own dedup window: look before posting.
    #[serde(default)]
    pub age_ms: u64,
    /// When it was first handed out, milliseconds since 1970; 0 = never before.
    #[serde(default)]
    pub first_attempt_at_ms: u64,
    /// Post without a push notification.
    #[serde(default)]
    pub silent: bool,
}

/// Worker → hub: the platform has it. Said again after each relink until [`DeliveryKept`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// The chunk.
    pub key: String,
    /// The platform's id of the message; empty where it gives none.
    #[serde(default)]
    pub platform_id: String,
}

/// Worker → hub: the platform does not have it, as far as can be known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryFailed {
    /// The chunk.
    pub key: String,
    /// What next.
    pub failure: Failure,
    /// In words, for the log and the queue list. No bodies, no secrets.
    #[serde(default)]
    pub why: String,
}

/// What is to become of a chunk that was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Hand it out again after this many milliseconds.
    Retry(u64),
    /// Never will be; park the reply.
    Permanent,
    /// Nothing can be posted until an operator mends the credentials.
    Credentials,
    /// It may or may not be posted, and nobody can tell: park it.
    Ambiguous,
}

/// Hub → worker: the result is committed; the key can be forgotten.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryKept {
    /// The chunk.
    pub key: String,
}

/// Hub → worker: the agent works, or no longer works, for `address`. Lossy; said again after a
/// relink. A worker shows it as typing and stops by itself after ten minutes without a repeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Where.
    pub address: String,
    /// The turn that it is about.
    pub turn: String,
    /// Whether work goes on.
    pub working: bool,
}
