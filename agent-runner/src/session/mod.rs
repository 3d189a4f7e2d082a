//! One conversation with one agent: what all kinds of agent have in common.
//!
//! A session is a machine: what the hub says, what its process does and the time go in, effects
//! come out. It owns at most one process and at most one running turn; further prompts wait in
//! order.

pub mod acp;
pub mod claude;
pub mod command;
mod junk;
pub mod outgoing;
mod progress;
pub mod questions;
pub mod turn;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ipc_schema::{
    BlobRef, Body, Decision, Fault, Outcome, Prompt, Remark, Trouble, TurnEvent, TurnRef,
};
use serde_json::Value;

use crate::berths::{Berth, Memory};
use crate::board::{Board, Say};
use crate::claude::argv::Start;
use crate::claude::transcript::Reading;
use crate::options::Options;
use crate::tools::Catalogue;
use crate::tools::mcp::{Call, Client, Said};

/// A picture that goes to the model as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `image/png`, ….
    pub media_type: String,
    /// Base64.
    pub data: String,
}

/// What the shell is to do. A launch is one start of one process, named by a number that is never
/// used again.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "most of them are words to the hub, and each is done at once"
)]
pub enum Effect {
    /// Say this to the hub.
    Say(Body, String),
    /// Take the session's lock, ending whatever still holds it, then look at its session file;
    /// [`Event::Prepared`] follows.
    Prepare {
        /// Which start.
        launch: u64,
        /// The session.
        session: String,
        /// The agent's id of it.
        agent_session: String,
        /// The session has been at work before, whatever a file says.
        begun: bool,
        /// The prompt to look for; none: only whether the file is there.
        prompt: Option<String>,
        /// Blocks that need not be read.
        known: BTreeSet<String>,
    },
    /// Give the lock back: there will be no start.
    Release {
        /// Which start.
        launch: u64,
    },
    /// Start the agent; [`Event::Launched`] or [`Event::NotLaunched`] follows, and after the former
    /// exactly one [`Event::Exited`].
    Launch {
        /// Which start.
        launch: u64,
        /// The session.
        session: String,
        /// What to start.
        what: What,
    },
    /// Write a line to its stdin.
    Write {
        /// Which.
        launch: u64,
        /// Without its end.
        line: String,
    },
    /// Close its stdin.
    CloseInput {
        /// Which.
        launch: u64,
    },
    /// Send it SIGINT.
    Nudge {
        /// Which.
        launch: u64,
    },
    /// Kill it and everything it started.
    Kill {
        /// Which.
        launch: u64,
    },
    /// Kill everything it started, but not itself; [`Event::Swept`] follows.
    Sweep {
        /// Which.
        launch: u64,
    },
    /// Watch its session file for this id; [`Event::Written`] follows.
    Await {
        /// Which.
        launch: u64,
        /// The session.
        session: String,
        /// The agent's id of the session.
        agent_session: String,
        /// What to look for.
        id: String,
    },
    /// Run a tool; [`Event::Called`] follows, unless nobody waits for it any more.
    Call {
        /// Whose.
        launch: u64,
        /// The session.
        session: String,
        /// What to do.
        call: Call,
        /// The largest file that may be sent, bytes.
        most: u64,
    },
    /// Nobody waits for that call any more: end it.
    Uncall {
        /// Whose.
        launch: u64,
        /// Which.
        call: u64,
    },
    /// Say a message to a client of the agent's, from the runner's tools.
    Mcp {
        /// Whose.
        launch: u64,
        /// Which.
        client: Client,
        /// What to say.
        message: Value,
    },
    /// Keep these rules: what they cover is allowed in this project from now on.
    Grant {
        /// In the agent's words.
        rules: Vec<String>,
    },
    /// The session is closed and nothing of it runs: what was made for it goes, if nothing is lost
    /// with it.
    Tidy {
        /// Which.
        session: String,
    },
    /// Look how the memory stands; [`Event::Measured`] follows.
    Measure {
        /// The agents' own too, which takes longer.
        agents: bool,
    },
    /// Watch for nothing any more.
    AwaitNothing {
        /// Which.
        launch: u64,
    },
    /// Read what became of a prompt; [`Event::Read`] follows.
    Read {
        /// Which.
        launch: u64,
        /// The session.
        session: String,
        /// The agent's id of the session.
        agent_session: String,
        /// The prompt.
        prompt: String,
        /// Blocks that need not be read.
        known: BTreeSet<String>,
    },
}

/// A process to start.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Claude Code.
    Claude(Start),
    /// An agent that speaks ACP.
    Acp,
    /// A program for one turn.
    Command {
        /// The turn.
        turn: TurnRef,
        /// What it reads on stdin.
        text: String,
    },
}

/// What became of an effect, or of a process.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The lock is ours, and this is what the file says.
    Prepared(Result<Prepared, Fault>),
    /// It runs.
    Launched,
    /// It does not.
    NotLaunched(Fault),
    /// It printed a line.
    Line(String),
    /// It printed a line that was too long to be kept.
    Overlong,
    /// It printed bytes.
    Output(Vec<u8>),
    /// The sandbox refused it something.
    Refused(Remark),
    /// It is gone, and everything it printed has been told.
    Exited(Exit),
    /// These ids stand in the session file.
    Written(Vec<String>),
    /// What the file says of a prompt, or why it cannot be read.
    Read {
        /// The prompt.
        prompt: String,
        /// What became of it.
        reading: Result<Reading, String>,
    },
    /// Whatever it had started is gone.
    Swept,
    /// A directory for a program to work in is there, or why not; for the shell alone.
    Placed(Result<(), String>),
    /// How the memory stands; of no start.
    Measured(Memory),
    /// A client of the agent's says this to the runner's tools.
    Mcp {
        /// Which.
        client: Client,
        /// A line.
        line: String,
    },
    /// It is gone.
    McpGone {
        /// Which.
        client: Client,
    },
    /// A tool is done.
    Called {
        /// Which call.
        call: u64,
        /// What came of it.
        came: Came,
    },
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// The tool says this.
    Said(Said),
    /// The hub has this file, which is to be shown.
    File {
        /// The file.
        file: BlobRef,
        /// A word with it.
        caption: String,
    },
}

/// What was found before a start.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The session file is there.
    pub file: bool,
    /// What became of the prompt.
    pub reading: Reading,
    /// What the conversation had cost by what is written down, millionths of a dollar; none: not known,
    /// or there is no file.
    pub spent: Option<u64>,
    /// Where the agent works.
    pub work_dir: PathBuf,
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, unless a signal killed it.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Its last words on stderr.
    pub words: String,
}

impl Exit {
    /// In words.
    pub fn describe(&self, program: &str) -> String {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("{program} ended with code {code}"),
            (None, Some(signal)) => format!("{program} was killed by signal {signal}"),
            (None, None) => format!("{program} is gone"),
        };
        match self.words.trim() {
            "" => how,
            words => format!("{how}: {words}"),
        }
    }
}

/// More messages wait in the session than may.
fn crowded() -> Fault {
    Fault::Runner {
        at: Trouble::Crowded,
        detail: String::new(),
    }
}

/// One line a turn; no words of the agent's.
fn log_end(at: &TurnRef, outcome: &Outcome) {
    let how = match outcome {
        Outcome::Done => "answered",
        Outcome::Stopped => "stopped",
        Outcome::Failed { fault } => match fault {
            Fault::AgentMissing { .. } => "agent missing",
            Fault::LoggedOut { .. } => "agent logged out",
            Fault::Agent { .. } => "agent failed",
            Fault::Runner { .. } => "runner failed",
            Fault::TimedOut { .. } => "timed out",
            Fault::CannotResume => "cannot resume",
            Fault::Died { .. } => "agent died",
            Fault::Unknown => "failed",
        },
    };
    tracing::info!(turn = at.turn, attempt = at.attempt, how, "a turn ended");
}

/// A session of any kind.
pub trait Session: std::fmt::Debug {
    /// A prompt that the board has begun, with the pictures that came along.
    fn prompt(&mut self, prompt: Prompt, images: Vec<Image>, cx: &mut Cx<'_>);
    /// This attempt is to end.
    fn interrupt(&mut self, at: &TurnRef, cx: &mut Cx<'_>);
    /// A person decided. `false` = the question is none of this session's.
    fn decide(&mut self, question: &str, decision: &Decision, cx: &mut Cx<'_>) -> bool;
    /// The session will not be used again.
    fn close(&mut self, cx: &mut Cx<'_>);
    /// An idle process is not needed any more.
    fn leave(&mut self, cx: &mut Cx<'_>);
    /// The hub has made room for more of what this attempt has to say.
    fn room(&mut self, at: &TurnRef, cx: &mut Cx<'_>);
    /// The hub has committed what this attempt said, up to number `n`.
    fn kept(&mut self, at: &TurnRef, n: u64, cx: &mut Cx<'_>);
    /// What became of an effect, or of a process.
    fn event(&mut self, launch: u64, event: Event, cx: &mut Cx<'_>);
    /// When [`Self::tick`] has something to do.
    fn deadline(&self, cx: &Cx<'_>) -> Option<Instant>;
    /// Time has passed.
    fn tick(&mut self, cx: &mut Cx<'_>);
    /// Nothing is left of it.
    fn is_over(&self) -> bool;
    /// It has a process.
    fn is_live(&self) -> bool;
    /// A turn of it runs or waits.
    fn is_busy(&self) -> bool;
    /// How it stands to its process. One that wants a process waits for [`Session::start`].
    fn berth(&self) -> Berth {
        match self.is_live() {
            true => Berth::Busy,
            false => Berth::None,
        }
    }
    /// There is room for the process that it wants.
    fn start(&mut self, cx: &mut Cx<'_>) {
        let _ = cx;
    }
}

/// What a session works with.
pub struct Cx<'a> {
    /// The time.
    pub now: Instant,
    /// The agent's options.
    pub options: &'a Options,
    /// The tools that it is offered.
    pub tools: &'a Arc<Catalogue>,
    /// This very program, by which agents reach the tools ([`crate::tools::bridge`]).
    pub program: &'a Path,
    /// What the hub is told.
    pub board: &'a mut Board,
    /// What is to be done.
    pub effects: &'a mut Vec<Effect>,
    /// The last number given to a start.
    pub launches: &'a mut u64,
    /// Makes ids of this runner unlike those of any other.
    pub nonce: &'a str,
}

impl Cx<'_> {
    /// The number of a new start.
    pub fn launch(&mut self) -> u64 {
        *self.launches += 1;
        *self.launches
    }

    /// Does something.
    pub fn does(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Tells the hub what happened; the number of what was told, if it was.
    pub fn keep(&mut self, at: &TurnRef, event: TurnEvent) -> Option<u64> {
        self.tell(|board, say| board.keep(at, event, say))
    }

    /// Tells what the session has used; the context is as large as the operator says, if they do.
    pub fn used(&mut self, at: &TurnRef, mut used: TurnEvent) {
        if let (TurnEvent::Usage { context_window, .. }, Some(configured)) = (
            &mut used,
            self.options.max_context_tokens.filter(|n| *n > 0),
        ) {
            *context_window = configured;
        }
        self.keep(at, used);
    }

    /// Does something with the board and says what comes of it.
    pub fn tell<R>(&mut self, with: impl FnOnce(&mut Board, &mut Vec<Say>) -> R) -> R {
        let mut say = Vec::new();
        let result = with(self.board, &mut say);
        self.effects.extend(
            say.into_iter()
                .map(|(body, trace)| Effect::Say(body, trace)),
        );
        result
    }
}
