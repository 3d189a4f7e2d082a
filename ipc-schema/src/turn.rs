//! What the hub and a runner say of turns.
//!
//! The hub owns the queue and the state of a turn; the runner owns the agent. Every update of a
//! turn is numbered and held by the runner until the hub has committed it ([`UpdatesKept`]), so
//! either side may die at any instant and the two agree again at the next link-up
//! ([`OpenTurns`] → [`TurnsAnswer`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{BlobRef, Refusal};

/// One attempt at one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TurnRef {
    /// The turn, unique for ever.
    pub turn: String,
    /// Counted from 1.
    pub attempt: u32,
}

/// Hub → runner: run this. The same (turn, attempt) again is the same request; an attempt that was
/// interrupted before its prompt came is answered as stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// Which.
    pub at: TurnRef,
    /// The session: opaque, stable, names the agent process. One turn at a time runs in it.
    pub session: String,
    /// The agent's own id of the session, a UUID made by the hub.
    pub agent_session: String,
    /// The id that agents dedup by, a UUID that depends on the turn alone.
    pub prompt_id: String,
    /// An earlier attempt may have reached the agent: continue it if it did.
    #[serde(default)]
    pub resend: bool,
    /// What the agent is to read, sender line and hints included.
    pub text: String,
    /// Files that came along; fetched with [`crate::BlobGet`].
    #[serde(default)]
    pub attachments: Vec<BlobRef>,
    /// The session's mode, one of [`crate::Capabilities::modes`]; empty = as configured.
    #[serde(default)]
    pub mode: String,
    /// The session's model; empty = as configured.
    #[serde(default)]
    pub model: String,
    /// The largest file that may be sent to the chat that asks, bytes; 0 = none at all; absent = not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_limit: Option<u64>,
}

/// Hub → runner: end this turn now. Committed before it is sent; never taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interrupt {
    /// Which. A turn without a name is none: end what the session's agent does of its own accord,
    /// should it do anything.
    pub at: TurnRef,
    /// Its session.
    pub session: String,
}

/// Hub → runner: end the agent process of a session whose turns are over; it will not be resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloseSession {
    /// Which.
    pub session: String,
}

/// Runner → hub: number `n` of an attempt. Updates with `n` > 0 come in order without gaps and are
/// held until [`UpdatesKept`]; `n` = 0 is progress, which may be lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnUpdate {
    /// Which.
    pub at: TurnRef,
    /// From 1, or 0 for progress.
    pub n: u64,
    /// What happened.
    pub event: TurnEvent,
}

/// Something that happened in a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TurnEvent {
    /// The agent has the prompt. `agent_session` is the id to resume by, should it have changed.
    Started {
        /// The agent's own id of the session.
        agent_session: String,
        /// The agent went on with what an earlier attempt had begun.
        #[serde(default)]
        continued: bool,
    },
    /// A piece of a text block that is content: it will stand in the agent's history. Pieces of a
    /// block come in order.
    Text {
        /// Names the block in the turn.
        block: String,
        /// At most [`crate::MAX_TEXT`].
        text: String,
        /// More pieces of this block follow.
        #[serde(default)]
        more: bool,
    },
    /// The agent sends a file to the chat; the hub has it ([`crate::BlobKept`]). Content.
    File {
        /// The file.
        file: BlobRef,
        /// A word with it; may be empty.
        #[serde(default)]
        caption: String,
    },
    /// What the session has used so far; 0 = not known. Told before the turn's end.
    Usage {
        /// Tokens in the context now.
        #[serde(default)]
        context_tokens: u64,
        /// Tokens that the context can hold.
        #[serde(default)]
        context_window: u64,
        /// What the session has cost, millionths of a dollar.
        #[serde(default)]
        cost_microusd: u64,
        /// The model that answered.
        #[serde(default)]
        model: String,
    },
    /// The turn waits until there is room for its agent's process. Told once a wait, before `Started`.
    Waiting {
        /// Turns that wait before it.
        #[serde(default)]
        ahead: u64,
        /// There is too little memory; else there are as many processes as may be.
        #[serde(default)]
        memory: bool,
    },
    /// Progress: the agent thinks.
    Thinking {
        /// What it thought, once that is whole; empty while it thinks. May be cut at its end.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// Progress: text that is not content yet.
    Partial {
        /// So far, possibly cut at its front.
        text: String,
    },
    /// Progress: a tool runs.
    Tool {
        /// The tool.
        name: String,
        /// What it was given, in a line.
        #[serde(default)]
        input: String,
    },
    /// Progress: something to be said in the agent's own words.
    Note {
        /// The words.
        text: String,
    },
    /// Something that the runner has to say, for the hub to put into words. Numbered if it belongs to the
    /// answer, else progress.
    Remark {
        /// What.
        about: Remark,
    },
    /// The agent asks; the turn waits.
    Asked(Question),
    /// The question is no longer open: its agent has gone, or its time is over.
    Withdrawn {
        /// The question.
        question: String,
        /// It ran into its deadline and was denied.
        #[serde(default)]
        expired: bool,
    },
    /// A decision reached the question, or came too late.
    Decided {
        /// The question.
        question: String,
        /// Whether it was in time.
        applied: bool,
    },
    /// The turn is over. Always the last update of an attempt.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// An event that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a runner has to say of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Remark {
    /// The model does not answer; the agent asks it again.
    Retry {
        /// The HTTP status that came; 0 = it cannot be reached.
        #[serde(default)]
        status: u16,
        /// The try that comes, from 1.
        #[serde(default)]
        attempt: u64,
        /// The last try.
        #[serde(default)]
        of: u64,
        /// Until it, milliseconds.
        #[serde(default)]
        wait_ms: u64,
    },
    /// The sandbox has refused the agent something that the runner's user could have.
    Refused {
        /// What.
        what: Refusal,
    },
    /// The agent's conversation was made shorter; tokens, 0 = not known.
    Compacted {
        /// Before.
        #[serde(default)]
        before: u64,
        /// After.
        #[serde(default)]
        after: u64,
    },
    /// The agent does not remember what was said before; a new conversation of its has begun.
    Forgot {
        /// Why, in the system's or the agent's words.
        #[serde(default)]
        why: String,
    },
    /// The end of the answer is missing: it was longer than it may be.
    Cut {
        /// What an answer may have, bytes.
        #[serde(default)]
        most: u64,
        /// What is missing, bytes.
        #[serde(default)]
        missing: u64,
    },
    /// A remark that this version has no words for.
    #[serde(other)]
    Unknown,
}

/// A question of the agent's to the person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Names the question for ever.
    pub question: String,
    /// What is asked.
    pub about: QuestionKind,
    /// Milliseconds that the runner waits before it denies.
    pub deadline_ms: u64,
}

/// The kinds of question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum QuestionKind {
    /// May this tool run?
    Permission {
        /// The tool.
        tool: String,
        /// The whole command, diff or input, for a person to read. At most
        /// [`crate::MAX_TEXT`].
        detail: String,
        /// What "always allow" would cover, in words; absent = not offered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        always: Option<String>,
    },
    /// Choose.
    Choice {
        /// The question.
        text: String,
        /// The options.
        options: Vec<Choice>,
        /// More than one may be chosen.
        #[serde(default)]
        multiple: bool,
    },
    /// Is this plan good?
    Plan {
        /// The plan, markdown.
        text: String,
    },
    /// A kind that this version does not know; deny it.
    #[serde(other)]
    Unknown,
}

/// One option of a [`QuestionKind::Choice`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What is chosen by.
    pub label: String,
    /// What it means.
    #[serde(default)]
    pub description: String,
}

/// Hub → runner: the person's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decide {
    /// The question.
    pub question: String,
    /// The answer.
    pub decision: Decision,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// This once.
    Allow,
    /// No, with a reason for the agent.
    Deny {
        /// The reason; may be empty.
        #[serde(default)]
        why: String,
    },
    /// This and what the question said "always" would cover.
    AllowAlways,
    /// The chosen labels, or the person's own words, by the text of the question.
    Answers {
        /// Question → answer.
        answers: BTreeMap<String, String>,
    },
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The agent answered; its content came before this.
    Done,
    /// It was interrupted as asked.
    Stopped,
    /// It did not.
    Failed {
        /// Why.
        fault: Fault,
    },
}

/// Why a turn failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The agent's program is not there or cannot be started.
    AgentMissing {
        /// What was to be started.
        cmd: String,
        /// What the system said.
        #[serde(default)]
        why: String,
    },
    /// The agent has no valid login.
    LoggedOut {
        /// Its own words.
        words: String,
    },
    /// The agent said that it failed.
    Agent {
        /// Its own words.
        words: String,
    },
    /// The runner failed, not the agent.
    Runner {
        /// At what.
        at: Trouble,
        /// What the system said; may be empty.
        #[serde(default)]
        detail: String,
    },
    /// It ran longer, or was silent for longer, than it may.
    TimedOut {
        /// The limit, minutes.
        minutes: u64,
    },
    /// It died and this kind of agent cannot go on where it was.
    CannotResume,
    /// It died before the prompt could be handed over, or while it ran; another attempt may do.
    Died {
        /// How: exit code or signal, and its last words on stderr.
        words: String,
    },
    /// A fault that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a runner failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Closing the agent's sandbox: the agent was not started.
    Sandbox,
    /// Making, or finding, a directory that the agent needs (its home, where it works).
    Directory,
    /// Taking the session up: its lock, its file.
    Session,
    /// Starting the agent's process.
    Start,
    /// Taking the message: too many wait in its session.
    Crowded,
    /// Telling the whole answer.
    Answer,
    /// Something that this version has no words for.
    #[serde(other)]
    Other,
}

/// Hub → runner: what was running as far as the hub knows. Sent at each link-up, before any prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenTurns {
    /// In no order.
    pub turns: Vec<TurnRef>,
}

/// Runner → hub: one [`TurnStanding`] for each of [`OpenTurns`]. Updates that were held follow.
/// Running attempts that the hub did not list are interrupted by the runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnsAnswer {
    /// In the order of the question.
    pub turns: Vec<TurnStanding>,
}

/// How one turn stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnStanding {
    /// Which.
    pub at: TurnRef,
    /// How.
    pub standing: Standing,
}

/// What a runner knows of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It runs; updates will follow.
    Running,
    /// It ended; the held updates follow now.
    Ended,
    /// Never heard of it, or it was before this runner's time.
    Unknown,
}

/// Hub → runner: every update of this attempt up to `n` is committed; forget them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdatesKept {
    /// Which.
    pub at: TurnRef,
    /// Up to and including.
    pub n: u64,
}

/// Runner → hub: the agent said something that belongs to no turn (background work that ended).
/// Held until [`UnpromptedKept`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unprompted {
    /// Names the text for ever.
    pub id: String,
    /// The session.
    pub session: String,
    /// At most [`crate::MAX_TEXT`].
    pub text: String,
}

/// Hub → runner: that text is committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnpromptedKept {
    /// The text.
    pub id: String,
}
