//! A session with Claude Code.
//!
//! Promises: a start is preceded by the lock and by a look at the session file; an agent that dies
//! in mid-turn is continued [`RESTARTS`] times in the same attempt, never run twice; a stopped turn
//! is never brought back to life; an attempt says each block once and in order, and `Ended` last.
//!
//! Once an attempt has met a crash, or has more to say than may be held, its content is taken from
//! the session file at the end of the turn: the file alone knows what a crash cut off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use ipc_schema::{Decision, Fault, Outcome, Prompt, TurnEvent, TurnRef};

use super::turn::{Clock, Stop};
use super::{Cx, Effect, Event, Exit, Prepared, Session, What};
use crate::claude::argv::Start;
use crate::claude::fault;
use crate::claude::lines;
use crate::claude::protocol::{Act, Over, Protocol};
use crate::claude::transcript::{Block, Reading, Standing};

/// How often an agent that died in mid-turn is started again in the same attempt.
pub const RESTARTS: u32 = 2;
/// How many prompts may wait.
const WAITING: usize = 8;
/// How long a process may take to leave once its stdin is closed.
const LEAVE: Duration = Duration::from_secs(5);
/// Text that is kept beside the session file, should the file lack it.
const SPARE_BYTES: usize = 1 << 20;
/// How many questions of one turn are remembered.
const QUESTIONS: usize = 256;

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
    waiting: VecDeque<Prompt>,
    /// The last start; what is read is asked for in its name, alive or not.
    launch: u64,
    used: Instant,
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

#[derive(Debug)]
struct Turn {
    prompt: Prompt,
    /// The start that is being prepared for it.
    launch: u64,
    stage: Stage,
    clock: Clock,
    restarts: u32,
    /// An agent may have had it: look before it is handed over.
    seen: bool,
    /// The process was started to go on with it.
    revived: bool,
    /// This process has told that it has the prompt.
    begun: bool,
    /// Content comes from the session file, at the end.
    from_file: bool,
    /// What was said on stdout meanwhile, within [`SPARE_BYTES`].
    spare: Vec<Block>,
    spare_bytes: usize,
    said: BTreeSet<String>,
    /// Question → still open.
    asked: BTreeMap<String, bool>,
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// For the process, or for it to be free.
    Waits,
    /// A live process may have had it: the file is being read.
    Checked,
    /// It is with the agent.
    Runs,
    /// The process is done with it. `None` = the file is to tell how.
    Read(Option<Outcome>),
    /// The rest of what is to be said waits for the hub.
    Full(Option<Outcome>),
    /// What the agent had started is being ended.
    Sweeps(Outcome),
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
            launch: 0,
            used: now,
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

    fn prompt(&mut self, prompt: Prompt, cx: &mut Cx<'_>) {
        if self.waiting.len() == WAITING {
            let words = "too many messages wait in this session; send it again later".into();
            let outcome = Outcome::Failed {
                fault: Fault::Agent { words },
            };
            cx.keep(&prompt.at, TurnEvent::Ended { outcome });
            return;
        }
        self.waiting.push_back(prompt);
        self.next(cx);
    }

    fn interrupt(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        if let Some(index) = self.waiting.iter().position(|prompt| prompt.at == *at) {
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
        match (turn.asked.get(question), &mut self.life) {
            (None, _) => return false,
            (Some(true), Life::Live(_, protocol)) => {
                turn.clock.heard(cx.now);
                let acts = protocol.decide(question, decision.clone(), cx.now);
                self.acts(acts, cx);
            }
            // It was withdrawn, or decided before.
            (Some(_), _) => {
                let question = question.to_owned();
                let at = turn.prompt.at.clone();
                cx.keep(
                    &at,
                    TurnEvent::Decided {
                        question,
                        applied: false,
                    },
                );
            }
        }
        true
    }

    fn close(&mut self, cx: &mut Cx<'_>) {
        while let Some(prompt) = self.waiting.pop_front() {
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

    fn deadline(&self, cx: &Cx<'_>) -> Option<Instant> {
        let clock = self
            .turn
            .as_ref()
            .and_then(|turn| turn.clock.deadline(cx.now, self.is_patient(), cx.options));
        let life = match &self.life {
            Life::Live(_, protocol) if self.turn.is_some() => protocol.deadline(),
            Life::Live(_, protocol) => {
                let close = cx.options.idle_close().filter(|_| protocol.is_free());
                close
                    .map(|close| self.used + close)
                    .into_iter()
                    .chain(protocol.deadline())
                    .min()
            }
            Life::Leaving(_, kill) => *kill,
            _ => None,
        };
        clock.into_iter().chain(life).min()
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        if let Life::Live(_, protocol) = &mut self.life {
            let acts = protocol.tick(cx.now);
            self.acts(acts, cx);
        }
        let patient = self.is_patient();
        if let Some(turn) = &mut self.turn {
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
            Life::Live(_, protocol)
                if self.turn.is_none()
                    && protocol.is_free()
                    && cx
                        .options
                        .idle_close()
                        .is_some_and(|idle| self.used + idle <= cx.now) =>
            {
                tracing::info!("an idle agent process is ended");
                self.leave(cx);
            }
            _ => {}
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
                    let protocol = Protocol::new(nonce, self.agent_session.clone(), timeout);
                    self.life = Life::Live(launch, Box::new(protocol));
                    self.advance(cx);
                }
            }
            Event::NotLaunched(fault) => {
                self.life = Life::Gone;
                let stop = self.turn.as_ref().and_then(|turn| turn.clock.stopping());
                self.end(stop.map_or(Outcome::Failed { fault }, Stop::outcome), cx);
            }
            Event::Line(line) => self.line(&line, cx),
            Event::Overlong => {
                tracing::warn!("the agent printed a line of more than 16 MiB; it is passed over");
                self.heard(cx);
            }
            Event::Output(_) => {}
            Event::Exited(exit) => self.exited(&exit, cx),
            Event::Written(ids) => {
                if let Life::Live(_, protocol) = &mut self.life {
                    let acts = protocol.written(&ids);
                    self.acts(acts, cx);
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
    fn is_patient(&self) -> bool {
        match (&self.turn, &self.life) {
            // A turn whose process is done with it depends on the agent no more.
            (Some(turn), _) if !matches!(turn.stage, Stage::Runs | Stage::Waits) => true,
            (_, Life::Live(_, protocol)) => protocol.is_asking(),
            _ => false,
        }
    }

    fn heard(&mut self, cx: &Cx<'_>) {
        if let Some(turn) = &mut self.turn {
            turn.clock.heard(cx.now);
        }
    }

    fn line(&mut self, line: &str, cx: &mut Cx<'_>) {
        self.heard(cx);
        let line = match lines::read(line) {
            Ok(line) => line,
            Err(_) => {
                // Not its words: they may be anybody's.
                tracing::warn!(
                    bytes = line.len(),
                    "the agent printed a line that is no JSON"
                );
                return;
            }
        };
        if let Life::Live(_, protocol) = &mut self.life {
            let acts = protocol.line(line, cx.now);
            self.acts(acts, cx);
            self.advance(cx);
        }
    }

    /// Takes up the next prompt, if nothing runs.
    fn next(&mut self, cx: &mut Cx<'_>) {
        if self.turn.is_none()
            && let Some(prompt) = self.waiting.pop_front()
        {
            if prompt.agent_session != self.given {
                self.given.clone_from(&prompt.agent_session);
                if prompt.agent_session != self.agent_session {
                    self.agent_session.clone_from(&prompt.agent_session);
                    // Another conversation under the same name: not this process's.
                    self.leave(cx);
                }
            }
            self.turn = Some(Turn {
                launch: 0,
                stage: Stage::Waits,
                clock: Clock::new(cx.now),
                restarts: 0,
                seen: prompt.resend,
                revived: false,
                begun: false,
                from_file: false,
                spare: Vec::new(),
                spare_bytes: 0,
                said: BTreeSet::new(),
                asked: BTreeMap::new(),
                prompt,
            });
        }
        self.advance(cx);
    }

    /// Brings a waiting turn nearer to the agent.
    fn advance(&mut self, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if turn.stage != Stage::Waits || turn.clock.stopping().is_some() {
            return;
        }
        match &mut self.life {
            Life::Gone => {
                let launch = cx.launch();
                self.life = Life::Preparing(launch);
                turn.launch = launch;
                self.launch = launch;
                cx.does(Effect::Prepare {
                    launch,
                    session: self.name.clone(),
                    agent_session: self.agent_session.clone(),
                    prompt: turn.seen.then(|| turn.prompt.prompt_id.clone()),
                    known: turn.said.clone(),
                });
            }
            Life::Live(launch, protocol) if protocol.is_free() => {
                if turn.seen && !turn.revived {
                    turn.stage = Stage::Checked;
                    cx.does(Effect::Read {
                        launch: *launch,
                        agent_session: self.agent_session.clone(),
                        prompt: turn.prompt.prompt_id.clone(),
                        known: turn.said.clone(),
                    });
                } else {
                    self.hand_over(cx);
                }
            }
            _ => {}
        }
    }

    fn hand_over(&mut self, cx: &mut Cx<'_>) {
        let (Some(turn), Life::Live(_, protocol)) = (&mut self.turn, &mut self.life) else {
            return;
        };
        turn.stage = Stage::Runs;
        turn.begun = false;
        turn.clock.heard(cx.now);
        let acts = protocol.prompt(&turn.prompt.prompt_id, &turn.prompt.text, turn.revived);
        self.acts(acts, cx);
    }

    fn prepared(&mut self, launch: u64, found: Result<Prepared, Fault>, cx: &mut Cx<'_>) {
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                self.life = Life::Gone;
                if self.turn.as_ref().is_none_or(|turn| turn.launch != launch) {
                    return self.next(cx);
                }
                return self.end(Outcome::Failed { fault }, cx);
            }
        };
        // The turn that it was for may have been stopped meanwhile.
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.launch == launch) else {
            cx.does(Effect::Release { launch });
            self.life = Life::Gone;
            return self.next(cx);
        };
        turn.seen = false;
        turn.revived = match found.reading.standing {
            Standing::Absent => false,
            Standing::Open => true,
            // There is nothing left to run.
            Standing::Stopped | Standing::Answered => {
                cx.does(Effect::Release { launch });
                self.life = Life::Gone;
                self.started(cx, false);
                return self.told(found.reading, None, cx);
            }
        };
        turn.from_file |= turn.revived;
        let start = Start {
            session: self.agent_session.clone(),
            resume: found.file,
            revive: turn.revived,
        };
        tracing::info!(
            resume = start.resume,
            revive = start.revive,
            "starting the agent"
        );
        self.life = Life::Launching(launch);
        let session = self.name.clone();
        cx.does(Effect::Launch {
            launch,
            session,
            what: What::Claude(start),
        });
    }

    fn started(&mut self, cx: &mut Cx<'_>, continued: bool) {
        let Some(turn) = &mut self.turn else { return };
        turn.begun = true;
        let agent_session = self.agent_session.clone();
        let at = turn.prompt.at.clone();
        cx.keep(
            &at,
            TurnEvent::Started {
                agent_session,
                continued,
            },
        );
    }

    fn acts(&mut self, acts: Vec<Act>, cx: &mut Cx<'_>) {
        for act in acts {
            self.act(act, cx);
        }
    }

    fn act(&mut self, act: Act, cx: &mut Cx<'_>) {
        let (Life::Live(launch, _) | Life::Leaving(launch, _)) = self.life else {
            return;
        };
        match act {
            Act::Write(line) => return cx.does(Effect::Write { launch, line }),
            Act::Session(id) => {
                if uuid::Uuid::try_parse(&id).is_err() {
                    return tracing::warn!("the agent names its session by what is no UUID");
                }
                self.agent_session = id;
                if self.turn.as_ref().is_some_and(|turn| turn.begun) {
                    self.started(cx, false);
                }
                return;
            }
            Act::Unprompted(block) => {
                let name = self.name.clone();
                self.used = cx.now;
                return cx.tell(|board, say| board.unprompted(&name, &block.id, &block.text, say));
            }
            _ => {}
        }
        let Some(turn) = &mut self.turn else { return };
        let at = turn.prompt.at.clone();
        match act {
            Act::Begun => {
                let revived = turn.revived;
                self.started(cx, revived);
            }
            Act::Await(id) if !turn.from_file => {
                let agent_session = self.agent_session.clone();
                cx.does(Effect::Await {
                    launch,
                    agent_session,
                    id,
                });
            }
            Act::Content(block) => turn.content(block, cx),
            Act::Progress(event) => turn.clock.show(&at, event, cx),
            Act::Asked(question) => {
                if turn.asked.len() == QUESTIONS {
                    turn.asked.pop_first();
                }
                turn.asked.insert(question.question.clone(), true);
                cx.keep(&at, TurnEvent::Asked(question));
            }
            Act::Withdrawn { question, expired } => {
                turn.clock.heard(cx.now);
                turn.asked.insert(question.clone(), false);
                cx.keep(&at, TurnEvent::Withdrawn { question, expired });
            }
            Act::Decided { question, applied } => {
                turn.asked.insert(question.clone(), !applied);
                cx.keep(&at, TurnEvent::Decided { question, applied });
            }
            Act::Over(over) => self.over(over, cx),
            _ => {}
        }
    }

    /// The agent is done with the prompt.
    fn over(&mut self, over: Over, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        let stop = turn.clock.stopping();
        let outcome = match (over, stop) {
            (Over::Answered, _) => Some(Outcome::Done),
            (_, Some(stop)) => Some(stop.outcome()),
            (Over::Known, None) => None,
            (Over::Failed(fault), None) => Some(Outcome::Failed { fault }),
            (Over::Stopped, None) => {
                let words = "the agent was interrupted, but not from the chat".into();
                Some(Outcome::Failed {
                    fault: Fault::Agent { words },
                })
            }
        };
        match outcome {
            Some(outcome) if !turn.from_file => self.settle(outcome, cx),
            outcome => self.read(outcome, cx),
        }
    }

    /// Looks into the session file for what is still to be said.
    fn read(&mut self, outcome: Option<Outcome>, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        turn.stage = Stage::Read(outcome);
        cx.does(Effect::Read {
            launch: self.launch,
            agent_session: self.agent_session.clone(),
            prompt: turn.prompt.prompt_id.clone(),
            known: turn.said.clone(),
        });
    }

    fn was_read(&mut self, reading: Result<Reading, String>, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        match &mut turn.stage {
            Stage::Checked => match reading {
                Ok(Reading {
                    standing: Standing::Absent,
                    ..
                }) => {
                    turn.seen = false;
                    self.hand_over(cx);
                }
                // This process does nothing about it any more; another one, started for it, will.
                Ok(Reading {
                    standing: Standing::Open,
                    ..
                }) => {
                    turn.stage = Stage::Waits;
                    self.leave(cx);
                }
                Ok(reading) => {
                    self.started(cx, false);
                    self.told(reading, None, cx);
                }
                Err(words) => self.end(
                    Outcome::Failed {
                        fault: Fault::Agent { words },
                    },
                    cx,
                ),
            },
            Stage::Read(outcome) => {
                let outcome = outcome.take();
                match reading {
                    Ok(reading) => self.told(reading, outcome, cx),
                    Err(words) => {
                        tracing::warn!(words, "the session file cannot be read");
                        let whole = turn.spare_bytes <= SPARE_BYTES && !turn.revived;
                        turn.say_spare(cx);
                        let words = format!("a part of the answer is lost: {words}");
                        let failed = Outcome::Failed {
                            fault: Fault::Agent { words },
                        };
                        self.settle(outcome.filter(|_| whole).unwrap_or(failed), cx);
                    }
                }
            }
            _ => {}
        }
    }

    /// Says what the file holds; `outcome` as in [`Stage::Read`].
    fn told(&mut self, reading: Reading, outcome: Option<Outcome>, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        for block in reading.blocks {
            if !cx.board.has_room(&turn.prompt.at) {
                turn.stage = Stage::Full(outcome);
                return;
            }
            turn.say(block, cx);
        }
        // Said, and neither kept nor written down.
        let lost = reading.standing == Standing::Absent
            && (turn.revived || turn.spare_bytes > SPARE_BYTES);
        let outcome = outcome.filter(|_| !lost).unwrap_or_else(|| match reading.standing {
            Standing::Absent if lost => {
                let words = "a part of the answer is lost: the session file is not there".into();
                Outcome::Failed { fault: Fault::Agent { words } }
            }
            Standing::Answered => Outcome::Done,
            Standing::Stopped => Outcome::Failed {
                fault: Fault::CannotResume,
            },
            Standing::Absent | Standing::Open => {
                let words = "the agent has had this message and does not go on with it".into();
                Outcome::Failed {
                    fault: Fault::Agent { words },
                }
            }
        });
        turn.say_spare(cx);
        self.settle(outcome, cx);
    }

    /// Everything is said; ends the turn once nothing that was stopped still runs.
    fn settle(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        match self.life {
            Life::Live(launch, _) if turn.clock.stopping().is_some() => {
                turn.stage = Stage::Sweeps(outcome);
                cx.does(Effect::Sweep { launch });
            }
            _ => self.end(outcome, cx),
        }
    }

    fn end(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        if let Some(turn) = self.turn.take() {
            if let Life::Live(launch, _) = self.life {
                cx.does(Effect::AwaitNothing { launch });
            }
            super::log_end(&turn.prompt.at, &outcome);
            cx.keep(&turn.prompt.at, TurnEvent::Ended { outcome });
        }
        self.used = cx.now;
        self.next(cx);
    }

    fn stop(&mut self, stop: Stop, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if !turn.clock.stop(stop, cx.now) {
            return;
        }
        match (&turn.stage, &mut self.life) {
            // A process that goes on by itself must not outlive the stop; what has not given a sign
            // of life has nothing to lose.
            (Stage::Waits, Life::Launching(launch)) => {
                let launch = *launch;
                self.kill(launch, cx);
            }
            (Stage::Runs, Life::Live(launch, _)) if !turn.begun => {
                let launch = *launch;
                self.kill(launch, cx);
            }
            (Stage::Runs, Life::Live(_, protocol)) => {
                let acts = protocol.interrupt();
                self.acts(acts, cx);
            }
            (Stage::Waits | Stage::Checked, _) => self.end(stop.outcome(), cx),
            // The agent is done with it: it ends by itself.
            _ => {}
        }
    }

    fn kill(&mut self, launch: u64, cx: &mut Cx<'_>) {
        cx.does(Effect::Kill { launch });
        self.life = Life::Leaving(launch, None);
    }

    fn exited(&mut self, exit: &Exit, cx: &mut Cx<'_>) {
        let life = std::mem::replace(&mut self.life, Life::Gone);
        let mut spoke = true;
        if let Life::Live(_, protocol) = &life {
            spoke = protocol.has_spoken();
        }
        let Some(turn) = &mut self.turn else {
            return self.next(cx);
        };
        let at = turn.prompt.at.clone();
        for (question, open) in &mut turn.asked {
            if std::mem::take(open) {
                let question = question.clone();
                cx.keep(
                    &at,
                    TurnEvent::Withdrawn {
                        question,
                        expired: false,
                    },
                );
            }
        }
        match &turn.stage {
            Stage::Runs | Stage::Waits => {}
            Stage::Sweeps(outcome) => {
                let outcome = outcome.clone();
                return self.end(outcome, cx);
            }
            Stage::Checked => {
                turn.stage = Stage::Waits;
                return self.advance(cx);
            }
            // The file tells, or has told, the rest.
            Stage::Read(_) | Stage::Full(_) => return,
        }
        if let Some(stop) = turn.clock.stopping() {
            return self.end(stop.outcome(), cx);
        }
        if let Life::Leaving(..) = life
            && turn.stage == Stage::Waits
        {
            return self.advance(cx);
        }
        let words = fault::clip(&exit.describe(cx.options.program()));
        tracing::warn!(
            code = exit.code,
            signal = exit.signal,
            "the agent ended in mid-turn"
        );
        // An agent that says no at once says it again the next time.
        if !spoke && exit.code.is_some_and(|code| code != 0) {
            let fault = match fault::is_logged_out(&words) {
                true => Fault::LoggedOut { words },
                false => Fault::Agent { words },
            };
            return self.end(Outcome::Failed { fault }, cx);
        }
        if turn.restarts == RESTARTS {
            return self.end(
                Outcome::Failed {
                    fault: Fault::Died { words },
                },
                cx,
            );
        }
        turn.restarts += 1;
        turn.seen = true;
        turn.from_file = true;
        turn.spare.clear();
        turn.spare_bytes = 0;
        turn.stage = Stage::Waits;
        self.advance(cx);
    }
}

impl Turn {
    /// A block is content: it is said now, or read from the file at the end.
    fn content(&mut self, block: Block, cx: &mut Cx<'_>) {
        self.from_file |= !cx.board.has_room(&self.prompt.at);
        if !self.from_file {
            return self.say(block, cx);
        }
        self.spare_bytes += block.text.len();
        if self.spare_bytes <= SPARE_BYTES {
            self.spare.push(block);
        }
    }

    fn say(&mut self, block: Block, cx: &mut Cx<'_>) {
        if self.said.insert(block.id.clone()) {
            let at = &self.prompt.at;
            cx.tell(|board, say| board.keep_text(at, &block.id, &block.text, say));
        }
    }

    /// Says what the file lacked.
    fn say_spare(&mut self, cx: &mut Cx<'_>) {
        for block in std::mem::take(&mut self.spare) {
            self.say(block, cx);
        }
    }
}
