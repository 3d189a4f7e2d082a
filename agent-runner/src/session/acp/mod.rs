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

mod calls;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_client_protocol_schema::v1::{McpServer, McpServerStdio};
use ipc_schema::{Decision, Fault, Outcome, Prompt, TurnEvent, TurnRef};

use self::turn::{Stage, Turn};
use super::turn::Stop;
use super::{Cx, Effect, Event, Exit, Image, Session, What};
use crate::acp::protocol::{Act, Beginning, Over, Protocol, Wanted};
use crate::berths::Berth;
use crate::claude::fault;
use crate::tools::mcp::Talk;
use crate::tools::{Catalogue, SERVER, bridge};

/// What an id of the agent's is told by from one that the hub made up.
pub const MARK: &str = "acp:";
/// How often an agent that died before it had the prompt is started again in the same attempt.
pub const RESTARTS: u32 = 2;
/// How many prompts may wait.
const WAITING: usize = 8;
/// How long a process may take to leave once its stdin is closed.
const LEAVE: Duration = Duration::from_secs(5);
/// How many questions of one turn are remembered.
const QUESTIONS: usize = 256;

/// One session.
#[derive(Debug)]
pub struct AcpSession {
    name: String,
    /// The agent's id of the conversation; none: it begins with the next prompt.
    conversation: Option<String>,
    /// What the hub gave last.
    given: String,
    life: Life,
    /// The talk of its process about the runner's tools.
    talk: Talk,
    turn: Option<Turn>,
    waiting: VecDeque<(Prompt, Vec<Image>)>,
    used: Instant,
    /// Nobody is to come back to it: its process goes with its turn.
    closed: bool,
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
            life: Life::Gone,
            turn: None,
            waiting: VecDeque::new(),
            used: now,
            closed: false,
        }
    }

    /// Takes up the next prompt, if nothing runs.
    fn next(&mut self, cx: &mut Cx<'_>) {
        while self.turn.is_none()
            && let Some((prompt, images)) = self.waiting.pop_front()
        {
            if prompt.agent_session != self.given {
                self.given.clone_from(&prompt.agent_session);
                let given = prompt.agent_session.strip_prefix(MARK);
                if given != self.conversation.as_deref() {
                    // Another conversation under the same name: not this process's.
                    self.conversation = given.map(str::to_owned);
                    self.leave(cx);
                }
            }
            if prompt.resend {
                self.answer_again(&prompt, cx);
                continue;
            }
            self.turn = Some(Turn::new(prompt, images, cx.now));
        }
        self.advance(cx);
    }

    /// An earlier attempt may have reached the agent: it is told again what is still held of it, and
    /// else that it was cut off.
    fn answer_again(&mut self, prompt: &Prompt, cx: &mut Cx<'_>) {
        let fault = Fault::CannotResume;
        let unknown = vec![TurnEvent::Ended {
            outcome: Outcome::Failed { fault },
        }];
        for event in cx.board.result_of(&prompt.at.turn).unwrap_or(unknown) {
            cx.keep(&prompt.at, event);
        }
    }

    /// Brings a waiting turn nearer to the agent.
    fn advance(&mut self, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if turn.stage != Stage::Waits || turn.clock.stopping().is_some() {
            return;
        }
        // Without a process it waits for room for one: see [`Session::start`].
        if let Life::Live(_, protocol) = &mut self.life
            && protocol.is_free()
        {
            turn.stage = Stage::Runs;
            turn.clock.heard(cx.now);
            let of = |set: &str, configured: &Option<String>| match set {
                "" => configured.clone().unwrap_or_default(),
                set => set.to_owned(),
            };
            let wanted = Wanted {
                mode: of(&turn.prompt.mode, &cx.options.mode),
                model: of(&turn.prompt.model, &cx.options.model),
            };
            let acts = protocol.prompt(&turn.prompt.text, &turn.images, &wanted, cx.now);
            self.acts(acts, cx);
        }
    }

    /// A turn waits, and there is no process.
    fn wants_process(&self) -> bool {
        let waits = |turn: &Turn| turn.stage == Stage::Waits && turn.clock.stopping().is_none();
        matches!(self.life, Life::Gone) && self.turn.as_ref().is_some_and(waits)
    }

    fn prepared(&mut self, launch: u64, found: Result<super::Prepared, Fault>, cx: &mut Cx<'_>) {
        let waits = self.turn.as_ref().is_some_and(|turn| turn.launch == launch);
        match found {
            Err(fault) if waits => {
                self.life = Life::Gone;
                self.end(Outcome::Failed { fault }, cx);
            }
            Ok(_) if waits => {
                tracing::info!(resume = self.conversation.is_some(), "starting the agent");
                self.life = Life::Launching(launch);
                let session = self.name.clone();
                let what = What::Acp;
                cx.does(Effect::Launch {
                    launch,
                    session,
                    what,
                });
            }
            // The turn that it was for was stopped meanwhile.
            found => {
                if found.is_ok() {
                    cx.does(Effect::Release { launch });
                }
                self.life = Life::Gone;
                self.next(cx);
            }
        }
    }

    fn line(&mut self, line: &str, cx: &mut Cx<'_>) {
        self.heard(cx);
        let Life::Live(_, protocol) = &mut self.life else {
            return;
        };
        match protocol.line(line, cx.now) {
            Ok(acts) => self.acts(acts, cx),
            // Not its words: they may be anybody's.
            Err(_) => {
                let bytes = line.len();
                tracing::warn!(bytes, "the agent printed a line that is no JSON-RPC");
            }
        }
        self.advance(cx);
    }

    fn heard(&mut self, cx: &Cx<'_>) {
        if let Some(turn) = &mut self.turn {
            turn.clock.heard(cx.now);
        }
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
            Act::Opened(conversation, lost) => {
                self.conversation = Some(conversation);
                if let (Some(turn), Some(why)) = (&mut self.turn, lost) {
                    turn.lost = Some(why);
                }
                return;
            }
            Act::Unprompted(id, text) => {
                let name = self.name.clone();
                self.used = cx.now;
                return cx.tell(|board, say| board.unprompted(&name, &id, &text, say));
            }
            Act::Cannot(fault) => {
                self.kill(launch, cx);
                return self.end(Outcome::Failed { fault }, cx);
            }
            _ => {}
        }
        let Some(turn) = &mut self.turn else { return };
        let at = turn.prompt.at.clone();
        match act {
            Act::Begins => {
                turn.sent = true;
                let id = self.conversation.as_deref().unwrap_or_default();
                let agent_session = format!("{MARK}{id}");
                self.given.clone_from(&agent_session);
                cx.keep(
                    &at,
                    TurnEvent::Started {
                        agent_session,
                        continued: false,
                    },
                );
                if let Some(why) = turn.lost.take() {
                    let text = format!(
                        "(The agent does not remember what was said before: {why}. This is a new \
                         conversation.)"
                    );
                    turn.say(&text, cx);
                }
            }
            Act::Content(text) => turn.say(&text, cx),
            Act::Used(mut used) => {
                if let (TurnEvent::Usage { context_window, .. }, Some(configured)) =
                    (&mut used, cx.options.max_context_tokens.filter(|n| *n > 0))
                {
                    *context_window = configured;
                }
                cx.keep(&at, used);
            }
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
            (Over::Answered, _) => Outcome::Done,
            (_, Some(stop)) => stop.outcome(),
            (Over::Failed(fault), None) => Outcome::Failed { fault },
            (Over::Stopped, None) => Outcome::Stopped,
        };
        if let (Some(_), Life::Live(launch, _)) = (stop, &self.life) {
            let launch = *launch;
            self.answer_ended_calls(launch, cx);
        }
        let Some(turn) = &mut self.turn else { return };
        match &self.life {
            // What it has started cannot be told from what it needs: all of it goes, and the next
            // prompt has a new process.
            Life::Live(_, protocol) if self.closed || (stop.is_some() && protocol.can_resume()) => {
                turn.stage = Stage::Ends(outcome);
                self.leave(cx);
            }
            _ => self.end(outcome, cx),
        }
    }

    fn end(&mut self, outcome: Outcome, cx: &mut Cx<'_>) {
        if let Some(mut turn) = self.turn.take() {
            turn.clock.shows_rest(&turn.prompt.at, cx);
            super::log_end(&turn.prompt.at, &outcome);
            cx.keep(&turn.prompt.at, TurnEvent::Ended { outcome });
        }
        self.used = cx.now;
        if self.closed {
            self.leave(cx);
        }
        self.next(cx);
    }

    fn stop(&mut self, stop: Stop, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if !turn.clock.stop(stop, cx.now) {
            return;
        }
        match (&turn.stage, &mut self.life) {
            (Stage::Runs, Life::Live(launch, protocol)) => {
                let launch = *launch;
                let acts = protocol.interrupt();
                self.acts(acts, cx);
                self.end_calls(launch, cx);
            }
            // What has not had the prompt has nothing to lose.
            (Stage::Waits, Life::Launching(launch) | Life::Live(launch, _)) => {
                let launch = *launch;
                self.kill(launch, cx);
            }
            (Stage::Waits, _) => self.end(stop.outcome(), cx),
            // It ends by itself.
            _ => {}
        }
    }

    fn kill(&mut self, launch: u64, cx: &mut Cx<'_>) {
        cx.does(Effect::Kill { launch });
        self.life = Life::Leaving(launch, None);
    }

    fn exited(&mut self, exit: &Exit, cx: &mut Cx<'_>) {
        let mut life = std::mem::replace(&mut self.life, Life::Gone);
        let mut spoke = true;
        if let Life::Live(launch, protocol) = &mut life {
            spoke = protocol.has_spoken();
            let acts = protocol.last_words();
            // Only a live agent's acts are done.
            self.life = Life::Leaving(*launch, None);
            self.acts(acts, cx);
            self.end_calls(*launch, cx);
            self.life = Life::Gone;
        }
        let Some(turn) = &mut self.turn else {
            return self.next(cx);
        };
        turn.withdraws(cx);
        if let Stage::Ends(outcome) = &turn.stage {
            let outcome = outcome.clone();
            return self.end(outcome, cx);
        }
        if let Some(stop) = turn.clock.stopping() {
            return self.end(stop.outcome(), cx);
        }
        if let Life::Leaving(..) = life
            && turn.stage == Stage::Waits
        {
            return self.advance(cx);
        }
        tracing::warn!(
            code = exit.code,
            signal = exit.signal,
            "the agent ended in mid-turn"
        );
        let words = fault::clip(&exit.describe(cx.options.program()));
        let fault = match exit.code {
            // Somebody killed it: what it did until then is done, and is not done again.
            None if turn.sent => Fault::CannotResume,
            None if turn.restarts < RESTARTS => {
                turn.restarts += 1;
                turn.stage = Stage::Waits;
                return self.advance(cx);
            }
            _ if fault::is_logged_out(&words) => Fault::LoggedOut { words },
            Some(0) if !spoke => {
                let words = format!("{words}, without a word of ACP");
                Fault::Agent { words }
            }
            _ => Fault::Agent { words },
        };
        self.end(Outcome::Failed { fault }, cx);
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

/// The server by which the agent reaches the runner's tools, as it is told to start it.
fn server(launch: u64, cx: &Cx<'_>) -> McpServer {
    let pass = bridge::pass(&cx.options.state_dir, launch);
    let arguments = vec![bridge::FLAG.to_owned(), pass.display().to_string()];
    McpServer::Stdio(McpServerStdio::new(SERVER, cx.program).args(arguments))
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
            let words = "too many messages wait in this session; send it again later".into();
            let outcome = Outcome::Failed {
                fault: Fault::Agent { words },
            };
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
        match (turn.asked.get(question), &mut self.life) {
            (None, _) => return false,
            (Some(true), Life::Live(_, protocol)) => {
                turn.clock.heard(cx.now);
                let acts = protocol.decide(question, decision);
                self.acts(acts, cx);
            }
            // It was withdrawn, or decided before.
            (Some(_), _) => {
                let at = turn.prompt.at.clone();
                let question = question.to_owned();
                let applied = false;
                cx.keep(&at, TurnEvent::Decided { question, applied });
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
            Event::Launched => {
                if let Life::Launching(_) = self.life {
                    let beginning = Beginning {
                        cwd: cx.options.work_dir.clone(),
                        conversation: self.conversation.clone(),
                        login: cx.options.auth_method.clone(),
                        servers: vec![server(launch, cx)],
                    };
                    self.offers(cx);
                    let nonce = format!("{}.{launch}", cx.nonce);
                    let timeout = cx.options.question_timeout();
                    let mut protocol = Protocol::new(nonce, beginning, timeout);
                    let acts = protocol.open(cx.now);
                    self.life = Life::Live(launch, Box::new(protocol));
                    self.acts(acts, cx);
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
            Event::Exited(exit) => self.exited(&exit, cx),
            Event::Refused(text) => {
                if let Some(turn) = &mut self.turn {
                    let at = turn.prompt.at.clone();
                    turn.clock.show(&at, TurnEvent::Note { text }, cx);
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
            .and_then(|turn| turn.clock.deadline(cx.now, patient, cx.options));
        let life = match &self.life {
            Life::Live(_, protocol) => {
                let closes = self.closes(cx).filter(|_| self.turn.is_none());
                protocol.deadline().into_iter().chain(closes).min()
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
