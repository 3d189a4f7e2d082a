//! A session with Claude Code.
//!
//! Promises: a start is preceded by the lock and by a look at the session file; an agent that dies
//! in mid-turn is continued [`RESTARTS`] times in the same attempt, never run twice; a stopped turn
//! is never brought back to life; an attempt says each block once and in order, and `Ended` last.
//!
//! Once an attempt has met a crash, or has more to say than may be held, its content is taken from
//! the session file at the end of the turn: the file alone knows what a crash cut off.

mod answer;
mod calls;
mod start;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_schema::{Decision, Outcome, Prompt, TurnEvent, TurnRef};

use self::turn::{Stage, Turn};
use super::junk::Junk;
use super::questions::{Questions, Standing};
use super::turn::Stop;
use super::{Cx, Effect, Event, Image, Session, crowded};
use crate::berths::Berth;
use crate::claude::protocol::Protocol;

/// How often an agent that died in mid-turn is started again in the same attempt.
pub const RESTARTS: u32 = 2;
/// How many prompts may wait.
const WAITING: usize = 8;
/// How long a process may take to leave once its stdin is closed.
const LEAVE: Duration = Duration::from_secs(5);

/// One session.
#[derive(Debug)]
pub struct ClaudeSession {
    name: String,
    /// The agent's id of it.
    agent_session: String,
    /// The id that the hub gave last.
    given: String,
    life: Life,
    turn: Option<Turn>,
    waiting: VecDeque<(Prompt, Vec<Image>)>,
    /// The mode and the model that the process has; empty = as configured.
    set: (String, String),
    /// The last start; what is read is asked for in its name, alive or not.
    launch: u64,
    used: Instant,
    /// What the conversation had cost when the process was started, until that is told.
    spent: Option<u64>,
    /// How many lines in a row made no sense.
    junk: Junk,
    /// Why the process is being ended before its time.
    doom: Option<String>,
}

#[derive(Debug)]
enum Life {
    Gone,
    /// The lock is being taken, the file being read.
    Preparing(u64),
    /// It is being started.
    Launching(u64),
    Live(u64, Box<Protocol>),
    /// It was told to go; killed at the time given, if that is set.
    Leaving(u64, Option<Instant>),
}

impl ClaudeSession {
    /// A session without a process.
    pub fn new(name: String, now: Instant) -> ClaudeSession {
        ClaudeSession {
            name,
            agent_session: String::new(),
            given: String::new(),
            life: Life::Gone,
            turn: None,
            waiting: VecDeque::new(),
            set: Default::default(),
            launch: 0,
            used: now,
            spent: None,
            junk: Junk::default(),
            doom: None,
        }
    }
}

impl Session for ClaudeSession {
    fn is_over(&self) -> bool {
        matches!(self.life, Life::Gone) && self.turn.is_none() && self.waiting.is_empty()
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
        self.waiting.push_back((prompt, images));
        self.next(cx);
    }

    fn interrupt(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        if let Some(index) = self.waiting.iter().position(|(prompt, _)| prompt.at == *at) {
            self.waiting.remove(index);
            cx.keep(
                at,
                TurnEvent::Ended {
                    outcome: Outcome::Stopped,
                },
            );
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
                let acts = protocol.decide(question, decision.clone(), cx.now);
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
            cx.keep(
                &prompt.at,
                TurnEvent::Ended {
                    outcome: Outcome::Stopped,
                },
            );
        }
        self.stop(Stop::Asked, cx);
        self.leave(cx);
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        if let Life::Live(launch, _) = self.life {
            cx.does(Effect::CloseInput { launch });
            self.life = Life::Leaving(launch, Some(cx.now + LEAVE));
        }
    }

    fn room(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.prompt.at == *at) else {
            return;
        };
        if let Stage::Full(outcome) = &mut turn.stage {
            let outcome = outcome.take();
            self.read(outcome, cx);
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
            (Life::Live(_, protocol), None) if self.waiting.is_empty() && protocol.is_idle() => {
                Berth::Idle(self.used)
            }
            _ => Berth::Busy,
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        if self.wants_process() {
            self.prepare(cx);
        }
    }

    fn kept(&mut self, at: &TurnRef, n: u64, cx: &mut Cx<'_>) {
        self.files_kept(at, n, cx);
    }

    fn deadline(&self, cx: &Cx<'_>) -> Option<Instant> {
        let clock = self
            .turn
            .as_ref()
            .filter(|_| !self.wants_process())
            .and_then(|turn| {
                let runs = turn.stage == Stage::Runs;
                turn.clock
                    .deadline(cx.now, runs, self.is_patient(), cx.options)
            });
        let files = self.turn.as_ref().and_then(|turn| turn.outgoing.due());
        let life = match &self.life {
            Life::Live(_, protocol) if self.turn.is_some() => protocol.deadline(),
            Life::Live(_, protocol) => {
                let closes = self.closes(protocol, cx);
                closes.into_iter().chain(protocol.deadline()).min()
            }
            Life::Leaving(_, kill) => *kill,
            _ => None,
        };
        clock.into_iter().chain(life).chain(files).min()
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        if let Life::Live(_, protocol) = &mut self.life {
            let acts = protocol.tick(cx.now);
            self.acts(acts, cx);
        }
        self.send_files(cx);
        let patient = self.is_patient();
        // Who waits for room for a process is under no limit: nothing of theirs runs.
        let ashore = self.wants_process();
        if let Some(turn) = self.turn.as_mut().filter(|_| !ashore) {
            let at = turn.prompt.at.clone();
            turn.clock.shows(&at, cx);
            if turn.stage == Stage::Runs
                && let Life::Live(launch, _) | Life::Leaving(launch, _) = self.life
            {
                turn.clock.escalate(launch, cx);
            }
            if turn.clock.stopping().is_none()
                && let Some(limit) = turn.clock.limit(cx.now, patient, cx.options)
            {
                tracing::warn!(
                    turn = at.turn,
                    "the turn ran into its limit and is interrupted"
                );
                self.stop(limit, cx);
            }
        }
        match &mut self.life {
            Life::Leaving(launch, kill) if kill.is_some_and(|kill| kill <= cx.now) => {
                *kill = None;
                let launch = *launch;
                cx.does(Effect::Kill { launch });
            }
            _ => {}
        }
        if let Life::Live(launch, protocol) = &self.life
            && self.turn.is_none()
            && self.closes(protocol, cx).is_some_and(|at| at <= cx.now)
        {
            let (launch, idle) = (*launch, protocol.is_idle());
            if idle {
                tracing::info!("an idle agent process is ended");
                self.leave(cx);
            } else {
                tracing::warn!("the agent does something unasked and has gone silent: it is ended");
                self.kill(launch, cx);
            }
        }
    }

    fn event(&mut self, launch: u64, event: Event, cx: &mut Cx<'_>) {
        let current = match &self.life {
            Life::Gone => None,
            Life::Preparing(launch)
            | Life::Launching(launch)
            | Life::Live(launch, _)
            | Life::Leaving(launch, _) => Some(*launch),
        };
        // A reading may outlive the process that it was for.
        let reading = matches!(event, Event::Read { .. });
        if current != Some(launch) && !reading {
            if let Event::Prepared(Ok(_)) = event {
                cx.does(Effect::Release { launch });
            }
            return;
        }
        match event {
            Event::Prepared(found) => self.prepared(launch, found, cx),
            Event::Launched => {
                if let Life::Launching(_) = self.life {
                    let nonce = format!("{}.{launch}", cx.nonce);
                    let timeout = cx.options.question_timeout();
                    let tools = Arc::clone(cx.tools);
                    let protocol = Protocol::new(nonce, self.agent_session.clone(), timeout, tools);
                    let greeting = protocol.greet();
                    self.life = Life::Live(launch, Box::new(protocol));
                    self.junk.ends();
                    self.act(greeting, cx);
                    self.advance(cx);
                }
            }
            Event::NotLaunched(fault) => {
                self.life = Life::Gone;
                let stop = self.turn.as_ref().and_then(|turn| turn.clock.stopping());
                self.end(stop.map_or(Outcome::Failed { fault }, Stop::outcome), cx);
            }
            Event::Line(line) => self.line(&line, cx),
            Event::Refused(about) => {
                if let Some(turn) = &mut self.turn {
                    let at = turn.prompt.at.clone();
                    turn.clock.show(&at, TurnEvent::Remark { about }, cx);
                }
            }
            Event::Overlong => self.junk("has more than 16 MiB", cx),
            Event::Output(_)
            | Event::Mcp { .. }
            | Event::McpGone { .. }
            | Event::Placed(_)
            | Event::Measured(_) => {}
            Event::Exited(exit) => self.exited(&exit, cx),
            Event::Written(ids) => {
                if let Life::Live(_, protocol) = &mut self.life {
                    let acts = protocol.written(&ids);
                    self.acts(acts, cx);
                    self.send_files(cx);
                }
            }
            Event::Read { prompt, reading } => {
                if self
                    .turn
                    .as_ref()
                    .is_some_and(|turn| turn.prompt.prompt_id == prompt)
                {
                    self.was_read(reading, cx);
                }
            }
            Event::Called { call, came } => self.called(call, came, cx),
            Event::Swept => {
                if let Some(turn) = &mut self.turn
                    && let Stage::Sweeps(outcome) = &turn.stage
                {
                    let outcome = outcome.clone();
                    self.end(outcome, cx);
                }
            }
        }
    }
}

impl ClaudeSession {
    /// A turn waits, and there is no process.
    fn wants_process(&self) -> bool {
        let waits = |turn: &Turn| turn.stage == Stage::Waits && turn.clock.stopping().is_none();
        matches!(self.life, Life::Gone) && self.turn.as_ref().is_some_and(waits)
    }

    /// When a process without a turn is ended: one that idles, and one that works unasked and hangs.
    /// What merely runs in the background may be silent.
    fn closes(&self, protocol: &Protocol, cx: &Cx<'_>) -> Option<Instant> {
        let after = match (protocol.is_idle(), protocol.is_free()) {
            (true, _) => cx.options.idle_close(),
            (false, false) if !protocol.is_asking() => cx.options.turn_idle(),
            _ => None,
        };
        after.map(|after| self.used + after)
    }

    fn is_patient(&self) -> bool {
        match (&self.turn, &self.life) {
            // A turn whose process is done with it depends on the agent no more.
            (Some(turn), _) if !matches!(turn.stage, Stage::Runs | Stage::Waits) => true,
            (_, Life::Live(_, protocol)) => protocol.is_asking(),
            _ => false,
        }
    }
}
