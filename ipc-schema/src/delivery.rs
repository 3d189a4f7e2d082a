//! What goes out to people.
//!
//! `Deliver → Delivered | DeliveryFailed → DeliveryKept`. The key names one chunk for ever: a worker
//! that gets the same key twice answers with what it knows instead of posting again.

use serde::{Deserialize, Serialize};

use crate::{BlobRef, Lack};

/// Hub → worker: post this text as it is. One address is one lane: its chunks are posted in the
/// order in which they come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// The message to change instead of posting one, by the platform's id; empty = post. What is
    /// not named in this chunk (controls, a card) is taken away by the change.
    #[serde(default)]
    pub edits: String,
    /// Where the message of `edits` can no longer be changed, post a new one; otherwise it counts
    /// as delivered.
    #[serde(default)]
    pub or_post: bool,
    /// Show this card instead of `text`, where cards may be posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// The question that the controls answer; empty where there are none.
    #[serde(default)]
    pub question: String,
    /// What can be pressed under the message.
    #[serde(default)]
    pub controls: Vec<Control>,
    /// Files to post with it; fetched with [`crate::BlobGet`].
    #[serde(default)]
    pub files: Vec<BlobRef>,
    /// The event ([`crate::Act::Command`], [`crate::Act::Pressed`]) that this answers, where the
    /// platform has a way to answer one; where it is closed by now, post as usual.
    #[serde(default)]
    pub answers: String,
    /// Only whoever did `answers` should see it.
    #[serde(default)]
    pub private: bool,
}

/// A message in a frame of its own, changed as work goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// A line; at most 256 code points.
    #[serde(default)]
    pub title: String,
    /// Rendered for the dialect, within the text limit.
    #[serde(default)]
    pub text: String,
    /// A line below; at most 256 code points.
    #[serde(default)]
    pub footer: String,
    /// How things stand, for a colour.
    #[serde(default)]
    pub tone: Tone,
}

/// How things stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Work goes on.
    Working,
    /// It went well; of a control: yes.
    Good,
    /// It did not; of a control: no.
    Bad,
    /// Nothing in particular.
    #[default]
    #[serde(other)]
    Neutral,
}

/// Something to press.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "snake_case")]
pub enum Control {
    /// A button.
    Button {
        /// What pressing it says ([`crate::Act::Pressed`]); at most 32 bytes.
        value: String,
        /// What stands on it; at most 80 code points.
        label: String,
        /// Its colour.
        #[serde(default)]
        tone: Tone,
    },
    /// A list to choose from. Alone in its message.
    Select {
        /// At most 25.
        options: Vec<SelectOption>,
        /// The most that may be chosen at once; at least 1.
        most: u32,
        /// Shown while nothing is chosen.
        #[serde(default)]
        hint: String,
    },
    /// A control that this version does not know: leave it out.
    #[serde(other)]
    Unknown,
}

/// One entry of a [`Control::Select`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectOption {
    /// What choosing it says; at most 32 bytes.
    pub value: String,
    /// At most 100 code points.
    pub label: String,
    /// At most 100 code points; may be empty.
    #[serde(default)]
    pub about: String,
}

/// Hub → worker: a message that shows progress now reads like this. Lossy: only the newest counts,
/// a worker sends it when the platform's limits allow and never before a [`Deliver`] of the address
/// that waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Revise {
    /// Where it stands.
    pub address: String,
    /// The platform's id of the message.
    pub platform_id: String,
    /// As in [`Deliver`].
    pub text: String,
    /// As in [`Deliver`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
}

/// Worker → hub: the platform has it. Said again after each relink until [`DeliveryKept`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// The chunk.
    pub key: String,
    /// The platform's id of the message; empty where it gives none.
    #[serde(default)]
    pub platform_id: String,
    /// What could not be posted with it, for want of a right.
    #[serde(default)]
    pub lacks: Vec<Lack>,
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
