//! Everything that the hub itself says in a chat, in each language.
//!
//! One variant a text. [`say`] has no arm for "anything else" and every arm names every language,
//! so a text that lacks one does not compile. A text has at most three lines, what to do next in
//! the last; only lists (`/help`, `/status`, `/whoami`, options) and what an agent wants to do are
//! longer, and those are never cut: somebody decides by them. Texts are Markdown for
//! `render::render`.
//!
//! What comes from outside keeps to its place: a line stays a line, a notice's is bounded, and
//! nothing inside a command's code block can end it. An agent's question and plan are its own
//! Markdown.

use ipc_schema::{Refusal, Remark, Trouble};

use crate::plan::Login;

/// Formats one text in each language; there is no way to name only one.
macro_rules! both {
    ($lang:expr, $en:literal, $zh:literal) => {
        match $lang {
            Lang::En => format!($en),
            Lang::Zh => format!($zh),
        }
    };
}

mod foreign;
mod parts;
pub mod progress;
mod words;

pub use parts::{HELP_OWN, about};
pub use words::say;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

impl Lang {
    /// The language to answer `text` in: Chinese if there is any Han character.
    pub fn of_text(text: &str) -> Lang {
        let han = |c| {
            matches!(c, '々' | '〇' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
                | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFD}')
        };
        if text.chars().any(han) {
            Lang::Zh
        } else {
            Lang::En
        }
    }

    /// `en` or `zh`.
    pub fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
        }
    }

    /// The language of a code, if it is one of ours.
    pub fn from_code(code: &str) -> Option<Lang> {
        match code {
            "en" => Some(Lang::En),
            "zh" => Some(Lang::Zh),
            _ => None,
        }
    }
}

/// A text, with what it speaks of.
#[derive(Debug, Clone, PartialEq)]
pub enum Text<'a> {
    /// A turn is running; the message waits. Said once to a person while that turn runs.
    Queued {
        /// Turns before it, the running one included.
        ahead: usize,
    },
    /// The message became a turn that starts now.
    InstantReply,
    /// The message is with the runner and waits until its agent can be started.
    Waiting {
        /// Messages that wait before it.
        ahead: usize,
        /// For memory; else for another agent to be done.
        memory: bool,
    },
    /// Too many wait already; the message was not taken.
    QueueFull {
        /// How many wait.
        depth: usize,
    },
    /// The agent died in a turn and went on with it.
    Resumed,
    /// The agent died in a turn and cannot go on with it.
    CannotResume,
    /// Every attempt at a turn was cut off.
    TooManyAttempts,
    /// Nobody answered the agent's question in time.
    QuestionExpired,
    /// The question was taken back: its agent is gone, or goes on without an answer.
    QuestionWithdrawn,
    /// The agent asks for leave to use a tool.
    PermissionQuestion {
        /// The tool's name.
        tool: &'a str,
        /// What it is to do, whole.
        detail: &'a str,
        /// What "always" would mean, if it is on offer.
        always: Option<&'a str>,
        /// How it can be answered.
        by: By,
    },
    /// The agent asks to choose.
    ChoiceQuestion {
        /// What it asks.
        question: &'a str,
        /// Labels and descriptions; a description may be empty.
        options: &'a [(&'a str, &'a str)],
        /// Several may be chosen.
        multiple: bool,
        /// How it can be answered.
        by: By,
    },
    /// The agent has made a plan and asks whether to carry it out.
    PlanQuestion {
        /// The plan, in the agent's Markdown.
        plan: &'a str,
        /// How it can be answered.
        by: By,
    },
    /// What is asked about is too long to stand in the message, and comes as a file.
    WholeInFile,
    /// What stands on a button.
    Button(Button),
    /// Somebody answered a question that was put to somebody else.
    QuestionNotYours,
    /// A prompt came while the agent waits for an answer.
    QuestionStillOpen,
    /// The agent has the answer to its question.
    QuestionAnswered {
        /// What was chosen.
        what: &'a str,
        /// The name of whoever chose it; may be empty.
        who: &'a str,
    },
    /// The agent has leave.
    DecidedAllow {
        /// The name of whoever said so; may be empty.
        who: &'a str,
    },
    /// The agent has leave, and will not ask the like again.
    DecidedAlways {
        /// The name of whoever said so; may be empty.
        who: &'a str,
    },
    /// The agent has no leave.
    DecidedDeny {
        /// The name of whoever said so; may be empty.
        who: &'a str,
    },
    /// The answer came after the question was closed.
    DecidedLate,
    /// What would answer the question was written before it is known to have been shown.
    AnsweredEarly,
    /// The sender is not on the allow list.
    Refused {
        /// The sender's id on the platform.
        id: &'a str,
        /// The key of the config that it must be added to.
        key: &'a str,
    },
    /// The agent's program could not be started.
    AgentMissing {
        /// The program.
        cmd: &'a str,
    },
    /// The agent has no valid login.
    AgentLoggedOut {
        /// What it said.
        words: &'a str,
        /// How it was to get at its model.
        login: Login,
        /// What logs it in; its program, for one that logs in in a way of its own.
        cmd: &'a str,
    },
    /// The agent failed.
    AgentError {
        /// What it said.
        words: &'a str,
    },
    /// The agent's runner failed.
    RunnerError {
        /// At what.
        at: Trouble,
        /// What the system said; may be empty.
        detail: &'a str,
    },
    /// The runner has something to say that belongs to the answer.
    Remark(&'a Remark),
    /// Where nothing else of a turn is shown: its model has not answered for a while.
    Retrying(&'a Remark),
    /// The agent ended its turn without a word.
    EmptyAnswer,
    /// The agent took longer than it may.
    TurnTimedOut {
        /// The limit, minutes.
        mins: usize,
    },
    /// The turn is being stopped.
    Stopping,
    /// `/stop`, and the runner is away.
    StoppingLater,
    /// The turn was stopped.
    Stopped,
    /// `/stop`, and no message was being worked on.
    NothingToStop {
        /// The runner was told to end what its agent does of its own accord.
        told: bool,
    },
    /// `/new`.
    NewSession,
    /// `/new`, and messages waited.
    NewSessionDropped {
        /// How many.
        dropped: usize,
    },
    /// `/new`, and something ran.
    NewSessionWhileRunning,
    /// `/help`.
    Help {
        /// Names of [`crate::command::BUILT_IN`] that the sender may use, in that order.
        built_in: &'a [&'a str],
        /// The operator's commands that they may use, and what each is for. The first
        /// [`HELP_OWN`] are named.
        own: &'a [(&'a str, &'a str)],
    },
    /// `/whoami`.
    Whoami {
        /// The sender's id on the platform.
        id: &'a str,
        /// The sender's name, as the platform shows it.
        name: &'a str,
        /// The platform's instance.
        platform: &'a str,
        /// The conversation's key.
        conversation: &'a str,
        /// Whether the sender may use the operator's commands.
        admin: bool,
    },
    /// `/status`.
    Status {
        /// The project's name.
        project: &'a str,
        /// The agent's kind.
        agent: &'a str,
        /// The session's id.
        session: &'a str,
        /// The runner is linked and ready.
        runner_up: bool,
        /// For how long the current turn has been under way, if there is one.
        running_secs: Option<usize>,
        /// The current turn is being stopped.
        stopping: bool,
        /// Messages that wait.
        queued: usize,
        /// The model, or nothing for the agent's own choice.
        model: &'a str,
        /// The permission mode, or nothing for the agent's own choice.
        mode: &'a str,
        /// What the session has used, in words; may be empty.
        used: &'a str,
        /// How the agent gets at its model.
        login: Login,
        /// Whether the project's own settings are loaded, if the agent knows such.
        trust: Option<bool>,
        /// The name of the agent's volume; may be empty.
        volume: &'a str,
        /// The branch of the session's own worktree; may be empty.
        branch: &'a str,
        /// What closes the agent in (nothing = there is no sandbox), and what of the network is left;
        /// none: its runner has not said.
        sandbox: Option<(&'a str, &'a str)>,
        /// What the sandbox has refused the session last.
        refused: Option<&'a Refusal>,
    },
    /// A closed session's worktree stays, because of what is in it.
    WorktreeKept {
        /// Its branch.
        branch: &'a str,
        /// Files that are not committed.
        changes: u64,
        /// Commits that are on no other branch.
        commits: u64,
    },
    /// `/compact`, for an agent that cannot.
    NoCompact,
    /// `/list`.
    Sessions {
        /// Titles, ages in seconds, and whether it is the current one; the last used first.
        sessions: &'a [(&'a str, usize, bool)],
    },
    /// `/switch` to a session that is not there.
    NoSuchSession,
    /// `/switch`.
    Switched {
        /// The session's title.
        title: &'a str,
    },
    /// `/history`, and there is none.
    NoHistory,
    /// One message of `/history` and its answer.
    HistoryEntry {
        /// What was written.
        said: &'a str,
        /// What was answered; may be empty.
        answer: &'a str,
    },
    /// `/mode` alone, or with one that there is not.
    Modes {
        /// The current one.
        current: &'a str,
        /// Those that there are.
        modes: &'a [&'a str],
    },
    /// `/mode`, for an agent that has none.
    NoModes,
    /// `/mode`.
    ModeSet {
        /// The mode.
        mode: &'a str,
        /// In it the agent asks nobody.
        unasked: bool,
    },
    /// `/model` alone, or with what cannot be a model's name.
    Model {
        /// The current one, or nothing for the agent's own choice.
        current: &'a str,
    },
    /// `/model`.
    ModelSet {
        /// The model, or nothing for the configured one.
        model: &'a str,
    },
    /// What changes a session that others use too.
    OthersSession {
        /// The command's name, without the slash.
        name: &'a str,
    },
    /// The bot lacks a right here.
    Lacks(ipc_schema::Lack),
    /// What looks like a mistyped command.
    UnknownCommand {
        /// As typed, without its slash.
        name: &'a str,
        /// The command that it resembles.
        nearest: &'a str,
    },
    /// A command that the operator has switched off.
    CommandDisabled {
        /// Its name, without the slash.
        name: &'a str,
    },
    /// A command for admins.
    AdminsOnly {
        /// Its name, without the slash.
        name: &'a str,
    },
    /// Too many messages in too short a time; this one was not taken.
    RateLimited {
        /// Seconds until the next one is taken.
        secs: usize,
    },
    /// Only the reserve of the spool is left; the message was not taken.
    SpoolCrowded,
    /// The message has a word that the operator does not let through.
    BannedWord,
    /// The message is longer than the hub takes.
    TooLong {
        /// The most that it takes, KiB.
        limit_kib: usize,
    },
    /// Files were not passed on; the message was.
    LeftOut {
        /// Each with the reason, in words.
        files: &'a [String],
    },
    /// The runner is away; the message waits for it.
    RunnerDown,
    /// The platform refused a part of an answer for good.
    PartFailed,
}

/// How a question can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By buttons or a list under it, and by typing.
    Pressing,
    /// By typing a number.
    Typing,
}

/// The buttons under a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Button {
    /// This once.
    Allow,
    /// No.
    Deny,
    /// This and what the question says "always" covers.
    Always,
    /// The plan is good.
    CarryOut,
    /// The plan is not good yet.
    KeepPlanning,
    /// The list's hint.
    Choose,
}

#[cfg(test)]
mod tests;
