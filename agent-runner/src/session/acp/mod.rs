//! A session with an agent that speaks the Agent Client Protocol.
//!
//! Promises: a start is preceded by the lock; a prompt goes out once. Agents of this kind do not know
//! a prompt again, so a turn that was cut off after that ends in words and is not run again, by
//! whatever death; before that it is started anew, [`RESTARTS`] times. A stopped turn is over within
//! a second, and its process with all that it started is gone.
//!
//! The agent's own id of the conversation is told to the hub with `Started`, before the prompt goes
//! out, marked by [`MARK`]: the hub keeps it, and gives it with the next prompt, so that another
//! process goes on with the conversation.

mod answer;
mod calls;
mod start;
mod turn;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_schema::{Decision, Outcome, Prompt, TurnEvent, TurnRef};

use self::turn::{Stage, Turn};
use super::junk::Junk;
use super::questions::{Questions, Standing};
use super::turn::Stop;
use super::{Cx, Effect, Event, Image, Session, crowded};
use crate::acp::protocol::Protocol;
use crate::berths::Berth;
use crate::tools::Catalogue;
use crate::tools::mcp::Talk;

/// What an id of the agent's is told by from one that the hub made up.
pub const MARK: &str = "acp:";
/// How often an agent that died before it had the prompt is started again in the same attempt.
pub const RESTARTS: u32 = 2;
/// How many prompts may wait.
const WAITING: usize = 8;
/// How long a process may take to leave once its stdin is closed.
const LEAVE: Duration = Duration::from_secs(5);

/// One session.
#[derive(Debug)]
pub struct AcpSession {
    name: String,
    /// The agent's id of the conversation; none: it begins with the next prompt.
    conversation: Option<String>,
    /// What the hub gave last.
    given: String,
    /// Where its process works.
    work_dir: PathBuf,
    life: Life,
    /// The talk of its process about the runner's tools.
    talk: Talk,
    turn: Option<Turn>,
    waiting: VecDeque<(Prompt, Vec<Image>)>,
    used: Instant,
    /// Nobody is to come back to it: its process goes with its turn.
    closed: bool,
    /// Lines in a row that made no sense.
    junk: Junk,
    /// Why the process is being ended before its time.
    doom: Option<String>,
}

#[derive(Debug)]
enum Life {
    Gone,
    /// The lock is being taken.
    Preparing(u64),
    /// It is being started.
    Launching(u64),
    Live(u64, Box<Protocol>),
    /// It was told to go; killed at the time given, if that is set.
    Leaving(u64, Option<Instant>),
}

impl AcpSession {
    /// A session without a process.
    pub fn new(name: String, tools: Arc<Catalogue>, now: Instant) -> AcpSession {
        AcpSession {
            name,
            talk: Talk::new(tools),
            conversation: None,
            given: String::new(),
            work_dir: PathBuf::new(),
            life: Life::Gone,
            turn: None,
            waiting: VecDeque::new(),
            used: now,
            closed: false,
            junk: Junk::default(),
            doom: None,
        }
    }

    fn is_patient(&self) -> bool {
        match (&self.turn, &self.life) {
            (Some(turn), _) if turn.stage == Stage::Waits => true,
            (_, Life::Live(_, protocol)) => protocol.is_asking(),
            _ => false,
        }
    }

    /// When an idle process is closed. One that could not go on with its conversation stays.
    fn closes(&self, cx: &Cx<'_>) -> Option<Instant> {
        match &self.life {
            Life::Live(_, protocol) if protocol.is_free() && protocol.can_resume() => {
                Some(self.used + cx.options.idle_close()?)
            }
            _ => None,
        }
    }
}

impl Session for AcpSession {
    fn is_over(&self) -> bool {
        matches!(self.life, Life::Gone) && !self.is_busy()
    }

    fn is_live(&self) -> bool {
        !matches!(self.life, Life::Gone | Life::Preparing(_))
    }

    fn is_busy(&self) -> bool {
        self.turn.is_some() || !self.waiting.is_empty()
    }

    fn prompt(&mut self, prompt: Prompt, images: Vec<Image>, cx: &mut Cx<'_>) {
        if self.waiting.len() == WAITING {
            let outcome = Outcome::Failed { fault: crowded() };
            cx.keep(&prompt.at, TurnEvent::Ended { outcome });
            return;
        }
        self.closed = false;
        self.waiting.push_back((prompt, images));
        self.next(cx);
    }

    fn interrupt(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        if let Some(index) = self.waiting.iter().position(|(prompt, _)| prompt.at == *at) {
            self.waiting.remove(index);
            let outcome = Outcome::Stopped;
            cx.keep(at, TurnEvent::Ended { outcome });
        } else if self.turn.as_ref().is_some_and(|turn| turn.prompt.at == *at) {
            self.stop(Stop::Asked, cx);
        }
    }

    fn decide(&mut self, question: &str, decision: &Decision, cx: &mut Cx<'_>) -> bool {
        let Some(turn) = &mut self.turn else {
            return false;
        };
        match (turn.questions.standing(question), &mut self.life) {
            (Standing::Unknown, _) => return false,
            (Standing::Open, Life::Live(_, protocol)) => {
                turn.clock.heard(cx.now);
                let acts = protocol.decide(question, decision, cx.now);
                self.acts(acts, cx);
            }
            _ => {
                let at = turn.prompt.at.clone();
                cx.keep(&at, Questions::late(question));
            }
        }
        true
    }

    fn close(&mut self, cx: &mut Cx<'_>) {
        while let Some((prompt, _)) = self.waiting.pop_front() {
            let outcome = Outcome::Stopped;
            cx.keep(&prompt.at, TurnEvent::Ended { outcome });
        }
        self.closed = true;
        self.stop(Stop::Asked, cx);
        if self.turn.is_none() {
            self.leave(cx);
        }
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        if let Life::Live(launch, _) = self.life {
            cx.does(Effect::CloseInput { launch });
            self.life = Life::Leaving(launch, Some(cx.now + LEAVE));
        }
    }

    fn room(&mut self, _: &TurnRef, _: &mut Cx<'_>) {}

    fn kept(&mut self, at: &TurnRef, n: u64, cx: &mut Cx<'_>) {
        self.files_kept(at, n, cx);
    }

    fn event(&mut self, launch: u64, event: Event, cx: &mut Cx<'_>) {
        let current = match &self.life {
            Life::Gone => None,
            Life::Preparing(launch)
            | Life::Launching(launch)
            | Life::Live(launch, _)
            | Life::Leaving(launch, _) => Some(*launch),
        };
        if current != Some(launch) {
            if let Event::Prepared(Ok(_)) = event {
                cx.does(Effect::Release { launch });
            }
            return;
        }
        match event {
            Event::Prepared(found) => self.prepared(launch, found, cx),
            Event::Launched => self.launched(launch, cx),
            Event::NotLaunched(fault) => {
                self.life = Life::Gone;
                let stop = self.turn.as_ref().and_then(|turn| turn.clock.stopping());
                self.end(stop.map_or(Outcome::Failed { fault }, Stop::outcome), cx);
            }
            Event::Line(line) => self.line(&line, cx),
            Event::Overlong => self.junk("has more than 16 MiB", cx),
            Event::Exited(exit) => self.exited(&exit, cx),
            Event::Refused(about) => {
                if let Some(turn) = &mut self.turn {
                    let at = turn.prompt.at.clone();
                    turn.clock.show(&at, TurnEvent::Remark { about }, cx);
                }
            }
            Event::Mcp { client, line } => self.mcp(launch, client, &line, cx),
            Event::McpGone { client } => self.mcp_gone(launch, client, cx),
            Event::Called { call, came } => self.called(launch, call, came, cx),
            Event::Output(_)
            | Event::Written(_)
            | Event::Read { .. }
            | Event::Swept
            | Event::Placed(_)
            | Event::Measured(_) => {}
        }
    }

    fn berth(&self) -> Berth {
        match (&self.life, &self.turn) {
            (Life::Gone, Some(turn)) if self.wants_process() => Berth::Wants {
                at: turn.prompt.at.clone(),
                again: turn.launch > 0,
            },
            (Life::Gone, _) => Berth::None,
            (Life::Leaving(..), _) => Berth::Leaving,
            // One that could not go on with its conversation makes room for nobody.
            (Life::Live(_, protocol), None)
                if self.waiting.is_empty() && protocol.is_free() && protocol.can_resume() =>
            {
                Berth::Idle(self.used)
            }
            _ => Berth::Busy,
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        if !self.wants_process() {
            return;
        }
        let Some(turn) = &mut self.turn else { return };
        turn.clock.waited(cx.now);
        let launch = cx.launch();
        self.life = Life::Preparing(launch);
        turn.launch = launch;
        cx.does(Effect::Prepare {
            launch,
            session: self.name.clone(),
            agent_session: String::new(),
            begun: self.conversation.is_some(),
            prompt: None,
            known: Default::default(),
        });
    }

    fn deadline(&self, cx: &Cx<'_>) -> Option<Instant> {
        let patient = self.is_patient();
        let clock = self
            .turn
            .as_ref()
            .filter(|_| !self.wants_process())
            .and_then(|turn| {
                let runs = turn.stage != Stage::Waits
                    && matches!(self.life, Life::Live(..) | Life::Leaving(..));
                turn.clock.deadline(cx.now, runs, patient, cx.options)
            });
        let life = match &self.life {
            Life::Live(_, protocol) => {
                let closes = self.closes(cx).filter(|_| self.turn.is_none());
                protocol.deadline().into_iter().chain(closes).min()
            }
            Life::Leaving(_, kill) => *kill,
            _ => None,
        };
        let files = self.turn.as_ref().and_then(|turn| turn.outgoing.due());
        clock.into_iter().chain(life).chain(files).min()
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        if let Life::Live(_, protocol) = &mut self.life {
            let acts = protocol.tick(cx.now);
            self.acts(acts, cx);
        }
        self.send_files(false, cx);
        let patient = self.is_patient();
        // Who waits for room for a process is under no limit: nothing of theirs runs.
        let ashore = self.wants_process();
        if let Some(turn) = self.turn.as_mut().filter(|_| !ashore) {
            let at = turn.prompt.at.clone();
            turn.clock.shows(&at, cx);
            if turn.stage != Stage::Waits
                && let Life::Live(launch, _) | Life::Leaving(launch, _) = self.life
            {
                turn.clock.escalate(launch, cx);
            }
            if turn.clock.stopping().is_none()
                && let Some(limit) = turn.clock.limit(cx.now, patient, cx.options)
            {
                let turn = &at.turn;
                tracing::warn!(turn, "the turn ran into its limit and is interrupted");
                self.stop(limit, cx);
            }
        }
        if self.turn.is_none() && self.closes(cx).is_some_and(|at| at <= cx.now) {
            tracing::info!("an idle agent process is ended");
            self.leave(cx);
        }
        if let Life::Leaving(launch, kill) = &mut self.life
            && kill.is_some_and(|kill| kill <= cx.now)
        {
            *kill = None;
            let launch = *launch;
            cx.does(Effect::Kill { launch });
        }
    }
}
