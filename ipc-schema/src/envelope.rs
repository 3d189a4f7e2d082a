//! The outer map of every frame, and the list of kinds.

use serde::{Deserialize, Serialize};

use crate::*;

/// One message on a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's number for this envelope on this link, counted from 1. A [`Nack`] names it.
    pub id: u64,
    /// Opaque, the same from the chat event to the last chunk of its answer. May be empty.
    #[serde(default)]
    pub trace: String,
    /// What is said.
    pub body: Body,
}

/// Every kind of message. Direction and meaning stand with each payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// Peer → hub, first.
    Hello(Hello),
    /// Hub → peer, the answer to a good Hello.
    Welcome(Welcome),
    /// Hub → peer, the answer to a bad Hello; the link closes after it.
    Refuse(Refuse),
    /// Either way: the envelope could not be used; the link goes on.
    Nack(Nack),
    /// Either way: more data frames may be sent.
    Credit(Credit),

    /// Worker → hub: somebody said something.
    Inbound(Inbound),
    /// Hub → worker: that event is committed.
    Accepted(Accepted),
    /// Hub → worker: that event is not committed; offer it again.
    Deferred(Deferred),
    /// Worker → hub: keep this value.
    CursorPut(CursorPut),
    /// Hub → worker: the value is committed.
    CursorKept(CursorKept),
    /// Worker ↔ hub ↔ runner: a piece of a file.
    BlobSegment(BlobSegment),
    /// The answer to the last segment: the file is on disk.
    BlobKept(BlobKept),
    /// Peer → hub: send a piece of a file.
    BlobGet(BlobGet),
    /// Hub → peer: there is no such file.
    BlobGone(BlobGone),

    /// Hub → worker: post this.
    Deliver(Deliver),
    /// Worker → hub: it is posted.
    Delivered(Delivered),
    /// Worker → hub: it is not posted.
    DeliveryFailed(DeliveryFailed),
    /// Hub → worker: the result is committed, forget it.
    DeliveryKept(DeliveryKept),
    /// Hub → worker: a message that shows progress has changed.
    Revise(Revise),
    /// Hub → worker: somebody is, or is no longer, being worked for.
    Activity(Activity),

    /// Hub → runner, at each link-up: these turns are open on my side.
    OpenTurns(OpenTurns),
    /// Runner → hub: how each of them stands.
    TurnsAnswer(TurnsAnswer),
    /// Hub → runner: run this turn.
    Prompt(Prompt),
    /// Hub → runner: end this turn.
    Interrupt(Interrupt),
    /// Hub → runner: the answer to a question.
    Decide(Decide),
    /// Hub → runner: end this session's agent process.
    CloseSession(CloseSession),
    /// Runner → hub: something happened in a turn.
    TurnUpdate(TurnUpdate),
    /// Hub → runner: updates up to a number are committed.
    UpdatesKept(UpdatesKept),
    /// Runner → hub: the agent spoke without having been asked.
    Unprompted(Unprompted),
    /// Hub → runner: that is committed.
    UnpromptedKept(UnpromptedKept),

    /// Runner → hub: where the project's sessions work.
    Worktrees(Worktrees),
    /// Runner → hub: how the project's agents are closed in.
    Sandbox(Sandbox),

    /// A kind that this version does not know. Never sent.
    #[serde(other)]
    Unknown,
}

impl Body {
    /// Whether a frame of this kind uses up one credit. Requests of bounded number (control,
    /// acknowledgements) are free, so that they never wait behind data.
    pub fn costs_credit(&self) -> bool {
        matches!(
            self,
            Body::Inbound(_)
                | Body::BlobSegment(_)
                | Body::Deliver(_)
                | Body::TurnUpdate(_)
                | Body::Unprompted(_)
                | Body::Worktrees(_)
                | Body::Sandbox(_)
        )
    }

    /// Whether the kind overtakes whatever else waits to be written: what ends or unblocks work.
    pub fn urgent(&self) -> bool {
        matches!(
            self,
            Body::Interrupt(_) | Body::Decide(_) | Body::Credit(_) | Body::Nack(_)
        )
    }
}

/// The envelope `id` could not be used. The link stays open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nack {
    /// The refused envelope's id.
    pub id: u64,
    /// In words, for a log.
    #[serde(default)]
    pub why: String,
}
