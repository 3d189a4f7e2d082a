//! The rows of the spool, as the hub reads and writes them.
//!
//! Times are milliseconds since 1970. Names of states are stored as the words below, so that an
//! operator can read the file with any SQLite tool.

/// The conversation that a worker reports, and the session that its next message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// The project it belongs to.
    pub project: String,
    /// The process that serves it, for example `discord-main`.
    pub instance: String,
    /// The worker's own name for it.
    pub conversation: String,
    /// The current session's id.
    pub session: String,
    /// Several people may write in it.
    pub shared: bool,
    /// Where its last message came from.
    pub address: String,
}

/// One thread of talk with an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    /// Unique for ever.
    pub id: String,
    /// The project.
    pub project: String,
    /// The process that serves its conversation.
    pub instance: String,
    /// Its conversation.
    pub conversation: String,
    /// The agent's own id of it (a UUID).
    pub agent_session: String,
    /// When it began.
    pub created_at: u64,
    /// When a turn of it last began or ended.
    pub used_at: u64,
    /// What it is called: the beginning of its first message; may be empty.
    pub title: String,
    /// The mode that it was put into; empty = as configured.
    pub mode: String,
    /// The model that was chosen for it; empty = as configured.
    pub model: String,
    /// What it has used so far, JSON, opaque to the spool; may be empty.
    pub used: String,
    /// Its conversation has begun another: its agent ends with its last turn.
    pub closing: bool,
}

/// What is remembered of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// `en` or `zh`.
    pub language: String,
    /// When they were last told that they are not on the allow list; 0 = never.
    pub refused_at: u64,
    /// When they were last heard, as far as it was noted.
    pub heard_at: u64,
}

/// The states of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TurnState {
    /// Waits for its session.
    Queued,
    /// Handed to the runner, or about to be.
    Starting,
    /// The agent has it.
    Running,
    /// To be ended; never prompted again.
    Stopping,
    /// Over: answered.
    Ended,
    /// Over: stopped by a person.
    Stopped,
    /// Over: the agent died and could not go on.
    Interrupted,
    /// Over: it failed, and the person was told why.
    Failed,
}

/// One message to the agent and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Unique for ever.
    pub id: String,
    /// Its place in the order of all turns; set by the spool at insertion (0 before).
    pub number: i64,
    /// The project.
    pub project: String,
    /// The session.
    pub session: String,
    /// The process that the message came from and its answer goes to.
    pub instance: String,
    /// Where the answer goes.
    pub address: String,
    /// The platform's id of the message to refer to; may be empty.
    pub reply_to: String,
    /// Who asked: the platform's id.
    pub asker: String,
    /// `en` or `zh`.
    pub language: String,
    /// What the agent is to read.
    pub prompt: String,
    /// The id that agents dedup by (a UUID).
    pub prompt_id: String,
    /// From the chat event to the last chunk.
    pub trace: String,
    /// Where it stands.
    pub state: TurnState,
    /// 0 until first started.
    pub attempt: u32,
    /// The number of the last update of this attempt that was committed.
    pub updates: u64,
    /// When it came in.
    pub queued_at: u64,
    /// When its state last changed.
    pub changed_at: u64,
    /// The platform's id of the event that it came from; may be empty.
    pub event_id: String,
    /// What the person wrote, for the history; possibly cut.
    pub said: String,
}

/// The states of a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ChunkState {
    /// Never handed out.
    #[default]
    Pending,
    /// Handed out at least once.
    Leased,
    /// The platform has it.
    Delivered,
    /// Given up, together with the rest of its reply; an operator can see and requeue it.
    Parked,
}

/// One chunk of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Unique for ever, at most 25 characters.
    pub key: String,
    /// Its place in the order of all chunks; set by the spool at insertion (0 before).
    pub number: i64,
    /// The reply it is a part of.
    pub reply: String,
    /// Position in the reply, from 0.
    pub position: u32,
    /// Chunks in the reply.
    pub count: u32,
    /// The process that posts it.
    pub instance: String,
    /// Where.
    pub address: String,
    /// The rendered text.
    pub text: String,
    /// How it is shown, where that is more than its text: JSON, opaque to the spool; may be empty.
    pub form: String,
    /// The message to refer to; may be empty.
    pub reply_to: String,
    /// From the chat event to the last chunk.
    pub trace: String,
    /// Where it stands.
    pub state: ChunkState,
    /// When it was first handed out; 0 = never.
    pub leased_at: u64,
    /// Not to be handed out before.
    pub not_before: u64,
    /// How often the platform refused it for the moment.
    pub retries: u32,
    /// The platform's id, once delivered.
    pub platform_id: String,
    /// Why it was refused or parked, in words.
    pub why: String,
    /// When it was made.
    pub created_at: u64,
    /// When its state last changed, or it was last handed out; set by the spool.
    pub changed_at: u64,
}

/// The states of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuestionState {
    /// Shown, unanswered.
    Open,
    /// A person answered; the runner has not confirmed yet.
    Decided,
    /// The answer reached the agent, or came too late, or the question was withdrawn.
    Closed,
}

/// A question of an agent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Unique for ever.
    pub id: String,
    /// Its turn.
    pub turn: String,
    /// Its attempt.
    pub attempt: u32,
    /// The session.
    pub session: String,
    /// What is asked, JSON, opaque to the spool.
    pub about: String,
    /// Where it stands.
    pub state: QuestionState,
    /// The answer, JSON, opaque to the spool; empty while open.
    pub decision: String,
    /// When it was asked.
    pub asked_at: u64,
}
