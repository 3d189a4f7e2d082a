//! The runner as one machine: what the hub says, what processes do and the time go in, effects
//! come out. No I/O, no clock of its own.
//!
//! Promises: the same attempt is run once however often it is asked for; a turn that was stopped
//! before its prompt came never runs; what the hub does not know of is ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ipc_schema::{Body, CloseSession, Decide, Interrupt, OpenTurns, Outcome, Prompt, TurnEvent};

use crate::berths::{self, Berth, Limits, Live, Memory, Queue, Room};
use crate::board::{Begin, Board};
use crate::options::{AgentKind, Options};
use crate::session::acp::{self, AcpSession};
use crate::session::claude::ClaudeSession;
use crate::session::command::CommandSession;
use crate::session::{Cx, Effect, Event, Image, Session};
use crate::tools::Catalogue;

/// What happens to the runner.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The link came up, or fell: nothing is told until the hub has compared notes.
    Link,
    /// The hub said something; with its trace.
    Hub(Box<Body>, String),
    /// A prompt of the hub's, with its files laid down and the pictures among them.
    Prompt(Box<Prompt>, String, Vec<Image>),
    /// Something that was said did not get through: say it again.
    Again,
    /// Something happened to a start.
    Process(u64, Event),
    /// How the memory stands, as was asked ([`Effect::Measure`]).
    Measured(Memory),
    /// Time has passed.
    Tick,
    /// No more prompts are taken, and idle processes end.
    Drain,
}

/// The body is of a kind that a runner has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a runner has no use for this kind of message")]
pub struct NotForUs;

/// One project's agents.
#[derive(Debug)]
pub struct Runner {
    options: Arc<Options>,
    tools: Arc<Catalogue>,
    program: PathBuf,
    nonce: String,
    board: Board,
    sessions: BTreeMap<String, Box<dyn Session>>,
    /// Start → session.
    owners: BTreeMap<u64, String>,
    launches: u64,
    draining: bool,
    /// Sessions that were closed and whose process is not gone yet.
    closed: BTreeSet<String>,
    /// Who waits for room for a process.
    queue: Queue,
    /// When each session's last process was started.
    since: BTreeMap<String, Instant>,
    /// How the memory stood last, and when.
    reading: Option<(Instant, Memory)>,
    /// The memory is being looked at.
    measuring: bool,
    /// When to look at the memory again, while somebody waits for some.
    look: Option<Instant>,
}

/// Everything a session needs, borrowed from the runner's other fields.
macro_rules! cx {
    ($runner:ident, $now:expr, $effects:expr) => {
        Cx {
            now: $now,
            options: &$runner.options,
            tools: &$runner.tools,
            program: &$runner.program,
            board: &mut $runner.board,
            effects: $effects,
            launches: &mut $runner.launches,
            nonce: &$runner.nonce,
        }
    };
}

impl Runner {
    /// `program` is this very program; `nonce` is unlike that of any other run of any runner.
    pub fn new(
        options: Arc<Options>,
        tools: Arc<Catalogue>,
        program: PathBuf,
        nonce: String,
    ) -> Runner {
        Runner {
            options,
            tools,
            program,
            nonce,
            board: Board::default(),
            sessions: BTreeMap::new(),
            owners: BTreeMap::new(),
            launches: 0,
            draining: false,
            closed: BTreeSet::new(),
            queue: Queue::default(),
            since: BTreeMap::new(),
            reading: None,
            measuring: false,
            look: None,
        }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`NotForUs`]; nothing has changed then.
    pub fn step(&mut self, now: Instant, input: Input) -> Result<Vec<Effect>, NotForUs> {
        let mut effects = Vec::new();
        match input {
            Input::Link => self.board.close(),
            Input::Hub(body, trace) => self.hub(now, *body, trace, &mut effects)?,
            Input::Prompt(prompt, trace, images) => {
                self.prompt(now, *prompt, &trace, images, &mut effects);
            }
            Input::Again => cx!(self, now, &mut effects).tell(|board, say| board.again(say)),
            Input::Process(launch, event) => self.process(now, launch, event, &mut effects),
            Input::Measured(reading) => {
                self.measuring = false;
                self.reading = Some((now, reading));
            }
            Input::Tick => {
                for session in self.sessions.values_mut() {
                    session.tick(&mut cx!(self, now, &mut effects));
                }
            }
            Input::Drain => {
                self.draining = true;
                for session in self
                    .sessions
                    .values_mut()
                    .filter(|session| !session.is_busy())
                {
                    session.leave(&mut cx!(self, now, &mut effects));
                }
            }
        }
        self.admit(now, &mut effects);
        for effect in &effects {
            if let Effect::Prepare {
                launch, session, ..
            }
            | Effect::Launch {
                launch, session, ..
            } = effect
            {
                self.owners.insert(*launch, session.clone());
                self.since.insert(session.clone(), now);
            }
        }
        let before = self.sessions.len();
        self.sessions.retain(|_, session| !session.is_over());
        let sessions = &self.sessions;
        // A step is a line of an agent's, and there may be hundreds of sessions.
        if sessions.len() < before {
            self.owners
                .retain(|_, session| sessions.contains_key(session));
            self.since
                .retain(|session, _| sessions.contains_key(session));
        }
        self.closed.retain(|session| {
            let gone = !sessions.contains_key(session);
            if gone {
                let session = session.clone();
                effects.push(Effect::Tidy { session });
            }
            !gone
        });
        Ok(effects)
    }

    /// When [`Input::Tick`] is due, if nothing else happens.
    pub fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let mut none = Vec::new();
        let look = self.look;
        let cx = cx!(self, now, &mut none);
        self.sessions
            .values()
            .filter_map(|session| session.deadline(&cx))
            .chain(look)
            .min()
    }

    /// Sessions with a process, and turns that run or wait.
    pub fn counts(&self) -> (usize, usize) {
        let live = self
            .sessions
            .values()
            .filter(|session| session.is_live())
            .count();
        let busy = self
            .sessions
            .values()
            .filter(|session| session.is_busy())
            .count();
        (live, busy)
    }

    /// How many sessions wait for room for a process.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Lets those start that there is room for, and tells the others that they wait.
    fn admit(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let limits = Limits::of(&self.options);
        self.look = None;
        // Each round starts one at most.
        for _ in 0..=self.sessions.len() {
            let wants: Vec<_> = self
                .sessions
                .iter()
                .filter_map(|(name, session)| match session.berth() {
                    Berth::Wants { at, again } => Some((name.clone(), at, again)),
                    _ => None,
                })
                .collect();
            self.queue.note(&wants);
            let Some(first) = self.queue.first().filter(|_| !self.draining) else {
                return;
            };
            let live = self.live(now);
            let name = first.session.clone();
            let fresh = |at: &Instant| now < *at + berths::FRESH;
            let reading = self.reading.filter(|(at, _)| fresh(at));
            let weigh = limits.weigh() && !live.is_empty();
            let room = match reading {
                None if weigh => {
                    if !std::mem::replace(&mut self.measuring, true) {
                        let agents = limits.memory > 0;
                        effects.push(Effect::Measure { agents });
                    }
                    return;
                }
                None => berths::room(&limits, &Memory::default(), &live, now),
                Some((_, reading)) => berths::room(&limits, &reading, &live, now),
            };
            match room {
                Room::Free => {
                    self.queue.served();
                    // The next round counts it as young.
                    self.since.insert(name.clone(), now);
                    if let Some(session) = self.sessions.get_mut(&name) {
                        session.start(&mut cx!(self, now, effects));
                    }
                }
                Room::Close(idle) => {
                    tracing::info!("an idle agent process makes room for another");
                    if let Some(session) = self.sessions.get_mut(&idle) {
                        session.leave(&mut cx!(self, now, effects));
                    }
                    return;
                }
                // Its end is an event.
                Room::Soon => return,
                Room::Full(lack) => {
                    self.look = weigh.then(|| now + berths::LOOK);
                    for (at, ahead) in self.queue.tell() {
                        tracing::info!(
                            turn = at.turn,
                            ?lack,
                            "a turn waits for room for its agent"
                        );
                        let memory = lack == berths::Lack::Memory;
                        let mut cx = cx!(self, now, effects);
                        cx.keep(&at, TurnEvent::Waiting { ahead, memory });
                    }
                    return;
                }
            }
        }
    }

    /// The sessions with a process.
    fn live(&self, now: Instant) -> Vec<Live> {
        let mut live = Vec::new();
        for (name, session) in &self.sessions {
            let berth = session.berth();
            if !matches!(berth, Berth::None | Berth::Wants { .. }) {
                live.push(Live {
                    since: self.since.get(name).copied().unwrap_or(now),
                    session: name.clone(),
                    berth,
                });
            }
        }
        live
    }

    /// The hub has committed everything it was told.
    pub fn is_settled(&self) -> bool {
        self.board.is_settled()
    }

    fn hub(
        &mut self,
        now: Instant,
        body: Body,
        trace: String,
        effects: &mut Vec<Effect>,
    ) -> Result<(), NotForUs> {
        match body {
            Body::Prompt(prompt) => self.prompt(now, prompt, &trace, Vec::new(), effects),
            // No turn: what the agent does of its own accord. Only Claude Code does so, and its
            // conversation is in its file; others might lose theirs.
            Body::Interrupt(Interrupt { at, session }) if at.turn.is_empty() => {
                if self.options.kind == AgentKind::ClaudeCode
                    && let Some(session) = self.sessions.get_mut(&session)
                    && !session.is_busy()
                    && session.berth() == Berth::Busy
                {
                    session.leave(&mut cx!(self, now, effects));
                }
            }
            Body::Interrupt(Interrupt { at, session }) => {
                self.board.stop(&at.turn);
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.interrupt(&at, &mut cx!(self, now, effects));
                }
            }
            Body::Decide(Decide { question, decision }) => {
                let mut cx = cx!(self, now, effects);
                let known = self
                    .sessions
                    .values_mut()
                    .any(|session| session.decide(&question, &decision, &mut cx));
                if !known {
                    tracing::debug!("a decision came for a question that is long over");
                }
            }
            Body::CloseSession(CloseSession { session }) => {
                self.closed.insert(session.clone());
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.close(&mut cx!(self, now, effects));
                }
            }
            Body::OpenTurns(OpenTurns { turns }) => {
                let unknown = cx!(self, now, effects).tell(|board, say| board.compare(&turns, say));
                for at in unknown {
                    tracing::warn!(
                        turn = at.turn,
                        "the hub does not know this turn: it is ended"
                    );
                    for session in self.sessions.values_mut() {
                        session.interrupt(&at, &mut cx!(self, now, effects));
                        // What it has still to say goes nowhere: nothing of it is waited for.
                        session.room(&at, &mut cx!(self, now, effects));
                    }
                }
            }
            Body::UpdatesKept(kept) => {
                let room = self.board.kept(&kept.at, kept.n);
                for session in self.sessions.values_mut() {
                    session.kept(&kept.at, kept.n, &mut cx!(self, now, effects));
                    if room {
                        session.room(&kept.at, &mut cx!(self, now, effects));
                    }
                }
            }
            Body::UnpromptedKept(kept) => self.board.unprompted_kept(&kept.id),
            _ => return Err(NotForUs),
        }
        Ok(())
    }

    fn prompt(
        &mut self,
        now: Instant,
        mut prompt: Prompt,
        trace: &str,
        images: Vec<Image>,
        effects: &mut Vec<Effect>,
    ) {
        if self.draining {
            // Not begun: the next runner is asked again.
            return;
        }
        let mut cx = cx!(self, now, effects);
        match cx.tell(|board, say| board.begin(&prompt.at, trace, say)) {
            Begin::Known | Begin::Stopped => return,
            Begin::New => {}
        }
        tracing::info!(
            turn = prompt.at.turn,
            attempt = prompt.at.attempt,
            "a turn begins"
        );
        // A conversation of an agent that the project had before is none of this one's.
        if self.options.kind == AgentKind::ClaudeCode && prompt.agent_session.starts_with(acp::MARK)
        {
            let old = prompt.agent_session.as_bytes();
            prompt.agent_session = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, old).to_string();
        }
        // They become file names and arguments.
        let is_uuid = |id: &str| uuid::Uuid::try_parse(id).is_ok();
        if self.options.kind == AgentKind::ClaudeCode
            && !(is_uuid(&prompt.prompt_id) && is_uuid(&prompt.agent_session))
        {
            let fault = ipc_schema::Fault::Runner {
                at: ipc_schema::Trouble::Session,
                detail: "the hub named it or the message by what is no UUID".into(),
            };
            let outcome = Outcome::Failed { fault };
            cx.keep(&prompt.at, TurnEvent::Ended { outcome });
            return;
        }
        let name = prompt.session.clone();
        self.closed.remove(&name);
        let session =
            self.sessions
                .entry(name.clone())
                .or_insert_with(|| match self.options.kind {
                    AgentKind::ClaudeCode => Box::new(ClaudeSession::new(name, now)),
                    AgentKind::Acp => Box::new(AcpSession::new(name, Arc::clone(&self.tools), now)),
                    AgentKind::Command => Box::new(CommandSession::new(name)),
                });
        session.prompt(prompt, images, &mut cx);
    }

    fn process(&mut self, now: Instant, launch: u64, event: Event, effects: &mut Vec<Effect>) {
        let session = self
            .owners
            .get(&launch)
            .and_then(|name| self.sessions.get_mut(name));
        match session {
            Some(session) => session.event(launch, event, &mut cx!(self, now, effects)),
            // Nobody waits for it any more: it is not to hold the lock.
            None => {
                if let Event::Prepared(Ok(_)) = event {
                    effects.push(Effect::Release { launch });
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "runner_tests/mod.rs"]
mod tests;
