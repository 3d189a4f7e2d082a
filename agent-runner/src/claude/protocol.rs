//! The talk with one Claude Code process, as a machine over lines: lines, prompts, decisions and
//! the time go in, [`Act`]s come out. No I/O.
//!
//! Promises:
//! - One prompt is in flight at most, and every prompt gets exactly one [`Act::Over`], unless the
//!   process dies first.
//! - Text is handed out as content only once it is certain to stand in the agent's history: the
//!   message after it is in the session file ([`Act::Await`], [`Protocol::written`]), or `result`
//!   has come. What the CLI prints runs ahead of that file, and after a crash it forgets a message
//!   whose tool has not answered.
//! - What the CLI says of its own accord is told apart from the answer to a prompt.
//! - Every request of the CLI's is answered: by a person, at its deadline, or with a refusal.
//!
//! It does not know of attempts, of processes, or of limits on a turn's time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_schema::{Decision, Fault, Question, Remark, TurnEvent};
use serde_json::{Value, json};

use super::asks::Asks;
use super::fault;
use super::lines::{Assistant, Delta, Ended, Line, State};
use super::message::Part;
use super::pending::Pending;
use super::question;
use super::tasks::Tasks;
use super::transcript::{Block, block_id};
use super::words;
use crate::session::Image;
use crate::text;
use crate::tools::mcp::{Call, Client, Heard, Said, Talk};
use crate::tools::{self, Catalogue};

/// How long `idle` may take after `result`, and a `result` after a prompt's bare echo.
const SETTLE: Duration = Duration::from_secs(2);
/// Its one client of the runner's tools.
const CLIENT: Client = 0;
/// What is kept of text that is being written, for show.
const PARTIAL_BYTES: usize = 4096;
/// The longest thought that is told, in bytes; more of it is left out.
const THOUGHT_BYTES: usize = 16 * 1024;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Write this line to the process.
    Write(String),
    /// The prompt has reached the agent.
    Begun,
    /// The session has this id.
    Session(String),
    /// Tell [`Protocol::written`] when this id stands in the session file.
    Await(String),
    /// This is content of the turn.
    Content(Block),
    /// More text waits to be certain than may be held: the rest of this turn's content, beginning
    /// with what waited, is in the session file alone.
    TooMuch,
    /// Something to show; may be lost.
    Progress(TurnEvent),
    /// Ask a person.
    Asked(Question),
    /// Do not ask any more; `expired` = denied because nobody answered in time.
    Withdrawn {
        /// The question.
        question: String,
        /// See above.
        expired: bool,
    },
    /// A decision was used, or came too late.
    Decided {
        /// The question.
        question: String,
        /// Whether it was used.
        applied: bool,
    },
    /// Run a tool; its end is told by [`Protocol::called`].
    Call(Call),
    /// Nobody waits for that call any more.
    Uncall(u64),
    /// These rules are allowed in this project from now on.
    Grant(Vec<String>),
    /// What the session has used so far.
    Used(TurnEvent),
    /// The turn is over.
    Over(Over),
    /// Said to nobody's question.
    Unprompted(Block),
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    /// The agent answered.
    Answered,
    /// It was interrupted.
    Stopped,
    /// It failed.
    Failed(Fault),
    /// The CLI has had this prompt before and does nothing about it now; what became of it stands
    /// in the session file.
    Known,
}

/// One process.
#[derive(Debug)]
pub struct Protocol {
    session: String,
    flight: Option<Flight>,
    /// The CLI says that it works.
    running: bool,
    /// This CLI says `session_state_changed`.
    states: bool,
    /// This CLI echoes prompts.
    echoes: bool,
    /// The last text of a turn that nobody asked for.
    stray: Option<Block>,
    asks: Asks,
    interrupts: u64,
    spoken: bool,
    /// How many tasks run in the background.
    background: usize,
    /// What is known of them.
    tasks: Tasks,
    /// The model that spoke last.
    model: String,
    /// The talk about the runner's own tools.
    talk: Talk,
    /// Call → the CLI's request that it answers.
    calls: BTreeMap<u64, String>,
    /// Tokens in the context after that: read for it, and written by it.
    context: (u64, u64),
}

/// The prompt in flight.
#[derive(Debug)]
struct Flight {
    prompt: String,
    /// The process was started to go on with it: whatever it does is this turn.
    continued: bool,
    begun: bool,
    /// The CLI has taken it up.
    claimed: bool,
    /// Something was done since it was handed over.
    worked: bool,
    /// The model said something in whole.
    spoke: bool,
    /// A result that came before the prompt was claimed: of a turn that nobody asked for, or of
    /// this one, from a CLI that does not echo every prompt.
    unclaimed: Option<Ended>,
    interrupted: bool,
    /// The conversation was made shorter meanwhile, in words.
    compacted: Option<String>,
    over: Option<Over>,
    settle: Option<Instant>,
    /// Text that may still be taken back.
    pending: Pending,
    partial: String,
    /// What the model thinks, as far as it is told.
    thought: String,
}

impl Protocol {
    /// Of a process that was just started. `nonce` is unique to it.
    pub fn new(
        nonce: String,
        session: String,
        question_timeout: Duration,
        tools: Arc<Catalogue>,
    ) -> Protocol {
        Protocol {
            session,
            flight: None,
            running: false,
            states: false,
            echoes: false,
            stray: None,
            asks: Asks::new(nonce, question_timeout),
            interrupts: 0,
            spoken: false,
            background: 0,
            tasks: Tasks::default(),
            model: String::new(),
            talk: Talk::new(tools),
            calls: BTreeMap::new(),
            context: (0, 0),
        }
    }

    /// The first words: which tools there are besides the CLI's own.
    pub fn greet(&self) -> Act {
        let request = json!({"subtype": "initialize", "sdkMcpServers": [tools::SERVER]});
        let line = json!({"type": "control_request", "request_id": "greeting", "request": request});
        Act::Write(line.to_string())
    }

    /// A tool is done. Whether somebody still waits for it is seen here.
    pub fn called(&mut self, call: u64, said: &Said) -> Option<Act> {
        let (_, message) = self.talk.called(call, said)?;
        let request = self.calls.remove(&call)?;
        Some(Act::Write(mcp(&request, &message)))
    }

    /// Calls that somebody waits for.
    pub fn open_calls(&self) -> Vec<u64> {
        self.calls.keys().copied().collect()
    }

    /// Whether a prompt may be handed over now.
    pub fn is_free(&self) -> bool {
        self.flight.is_none() && !self.running
    }

    /// Whether the process has printed anything that was understood.
    pub fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// Whether nothing of the agent's runs, not even in the background.
    pub fn is_idle(&self) -> bool {
        self.is_free() && self.background == 0
    }

    /// Whether a person is being waited for.
    pub fn is_asking(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Hands over a prompt. `continued` = the process was started to go on with it.
    /// Only when [`Self::is_free`].
    pub fn prompt(
        &mut self,
        prompt: &str,
        text: &str,
        images: &[Image],
        continued: bool,
    ) -> Vec<Act> {
        debug_assert!(self.flight.is_none(), "one prompt is in flight at most");
        self.stray = None;
        self.flight = Some(Flight {
            prompt: prompt.to_owned(),
            continued,
            begun: false,
            claimed: false,
            worked: false,
            spoke: false,
            unclaimed: None,
            interrupted: false,
            compacted: None,
            over: None,
            settle: None,
            pending: Pending::default(),
            partial: String::new(),
            thought: String::new(),
        });
        let content = match images {
            [] => json!(text),
            images => {
                let pictures = images.iter().map(|image| {
                    json!({"type": "image", "source": {
                        "type": "base64", "media_type": image.media_type, "data": image.data,
                    }})
                });
                let text = std::iter::once(json!({"type": "text", "text": text}));
                text.chain(pictures).collect()
            }
        };
        let message = json!({"role": "user", "content": content});
        vec![Act::Write(
            json!({"type": "user", "uuid": prompt, "message": message}).to_string(),
        )]
    }

    /// Asks the CLI to end what it does.
    pub fn interrupt(&mut self) -> Vec<Act> {
        if let Some(flight) = &mut self.flight {
            flight.interrupted = true;
        }
        self.interrupts += 1;
        let id = format!("interrupt-{}", self.interrupts);
        let line = json!({
            "type": "control_request", "request_id": id, "request": {"subtype": "interrupt"},
        });
        vec![Act::Write(line.to_string())]
    }

    /// These ids now stand in the session file.
    pub fn written(&mut self, ids: &[String]) -> Vec<Act> {
        let flight = self.flight.as_mut();
        flight.map_or_else(Vec::new, |flight| flight.pending.written(ids))
    }

    /// A person decided.
    pub fn decide(&mut self, question: &str, decision: Decision, now: Instant) -> Vec<Act> {
        self.asks.decide(question, decision, now)
    }

    /// When [`Self::tick`] has something to do, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let settle = self.flight.as_ref().and_then(|flight| flight.settle);
        settle.into_iter().chain(self.asks.deadline()).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Act> {
        let mut acts = self.asks.expire(now);
        if let Some(flight) = &mut self.flight
            && flight.settle.is_some_and(|settle| settle <= now)
        {
            flight.settle = None;
            // It may never say that it is idle: the next prompt does not wait for it.
            self.running = false;
            acts.extend(self.over());
        }
        acts
    }

    /// The process printed this line.
    pub fn line(&mut self, line: Line, now: Instant) -> Vec<Act> {
        let mut acts = Vec::new();
        // A greeting is answered by a process that then does not start.
        self.spoken |= !matches!(line, Line::Answer | Line::Mcp { .. });
        if self.flight.as_ref().is_some_and(|flight| !flight.begun) && self.is_ours(&line) {
            if let Some(flight) = &mut self.flight {
                flight.begun = true;
            }
            acts.push(Act::Begun);
        }
        match line {
            Line::Init { session } => {
                if !session.is_empty() && session != self.session {
                    self.session.clone_from(&session);
                    acts.push(Act::Session(session));
                }
            }
            Line::State(state) => acts.extend(self.state(state, now)),
            Line::Command {
                prompt,
                started: true,
            } => acts.extend(self.claim(&prompt)),
            Line::Command { .. } => {}
            Line::Echo { prompt } => {
                self.echoes = true;
                acts.extend(self.claim(&prompt));
            }
            Line::Background(tasks) => self.background = tasks,
            Line::Task(task) => {
                let shown = self.tasks.hear(task).filter(|_| self.owns());
                acts.extend(shown.map(Act::Progress));
            }
            Line::Compacted { before, after } => acts.extend(self.compacted(before, after)),
            Line::Subagent { call } => self.tasks.spoke(&call),
            Line::ApiRetry(retry) => acts.push(Act::Progress(words::retry_note(&retry))),
            Line::Delta(delta) => acts.extend(self.delta(delta)),
            Line::Assistant(assistant) => acts.extend(self.assistant(assistant)),
            Line::Result(ended) => acts.extend(self.result(ended, now)),
            Line::MayUse { request, tool } => {
                let heard = self.owns();
                acts.push(self.asks.ask(request, tool, heard, now));
            }
            Line::Mcp {
                request,
                server,
                message,
            } => acts.extend(self.mcp(request, &server, &message)),
            Line::Answer => {}
            Line::OtherRequest { request, subtype } => {
                let why = format!("this client does not serve {subtype}");
                acts.push(Act::Write(question::refusal(&request, &why)));
            }
            Line::Cancelled { request } => {
                acts.extend(self.asks.withdraw(Some(&request)));
                let call = self.calls.iter().find(|(_, by)| **by == request);
                if let Some(call) = call.map(|(call, _)| *call) {
                    self.calls.remove(&call);
                    self.talk.forget(call);
                    acts.push(Act::Uncall(call));
                }
            }
            Line::Other => {}
        }
        acts
    }

    fn mcp(&mut self, request: String, server: &str, message: &Value) -> Vec<Act> {
        if server != tools::SERVER {
            let line = question::refusal(&request, &format!("there is no server {server}"));
            return vec![Act::Write(line)];
        }
        // Every message wants an answer here, also one that is none of a request's.
        let nothing = || json!({"jsonrpc": "2.0", "id": 0, "result": {}});
        match self.talk.hear(CLIENT, message) {
            Heard::Answer(answer) => vec![Act::Write(mcp(&request, &answer))],
            Heard::Nothing => vec![Act::Write(mcp(&request, &nothing()))],
            Heard::Cancel(call) => {
                self.calls.remove(&call);
                vec![Act::Uncall(call), Act::Write(mcp(&request, &nothing()))]
            }
            Heard::Call(call) => {
                self.calls.insert(call.id, request);
                let flight = self.flight.as_mut();
                let certain = flight.and_then(|flight| flight.pending.whole());
                certain.into_iter().chain([Act::Call(call)]).collect()
            }
        }
    }

    /// Whether text that is certain is not told yet: the session file is being waited for.
    pub fn owes_text(&self) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|flight| flight.pending.owes())
    }

    /// The CLI takes up the prompt: a result before this was another turn's.
    fn claim(&mut self, prompt: &str) -> Vec<Act> {
        let Some(flight) = self
            .flight
            .as_mut()
            .filter(|flight| flight.prompt == prompt)
        else {
            return Vec::new();
        };
        flight.claimed = true;
        match flight.unclaimed.take() {
            Some(ended) => self.nobodys(&ended),
            None => Vec::new(),
        }
    }

    /// A turn is over that nobody asked for.
    fn nobodys(&mut self, ended: &Ended) -> Vec<Act> {
        match self.stray.take() {
            Some(block) if !ended.is_error => vec![Act::Unprompted(block)],
            _ => Vec::new(),
        }
    }

    /// Whether what the CLI prints now belongs to the prompt in flight. A turn that the CLI began of
    /// its own accord may still be going on when a prompt is handed over; its end is not the
    /// prompt's. The first prompt of a process cannot meet one.
    fn owns(&self) -> bool {
        self.flight
            .as_ref()
            .is_some_and(|flight| flight.claimed || flight.continued || !self.echoes)
    }

    fn is_ours(&self, line: &Line) -> bool {
        let Some(flight) = &self.flight else {
            return false;
        };
        match line {
            Line::Command { prompt, .. } | Line::Echo { prompt } => *prompt == flight.prompt,
            Line::Result(ended) => ended.prompts.contains(&flight.prompt),
            Line::Other
            | Line::Answer
            | Line::Mcp { .. }
            | Line::Cancelled { .. }
            | Line::Subagent { .. } => false,
            _ => self.owns(),
        }
    }

    fn state(&mut self, state: State, now: Instant) -> Vec<Act> {
        self.states = true;
        self.running = state != State::Idle;
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        match state {
            State::Running | State::Asking => flight.worked = true,
            State::Idle if flight.over.is_some() => return self.over(),
            // A prompt that the CLI knows is echoed, and nothing more comes.
            State::Idle if flight.claimed && !flight.worked => {
                flight.over = Some(Over::Known);
                return self.over();
            }
            State::Idle if flight.claimed => {
                flight.settle = Some(now + SETTLE);
                flight.over = Some(Over::Known);
            }
            // Nothing is queued any more, so the result that came was the prompt's after all.
            State::Idle => {
                if let Some(ended) = flight.unclaimed.take() {
                    flight.claimed = true;
                    let stray = self.stray.take();
                    flight.spoke |= stray.is_some();
                    let mut acts: Vec<Act> = stray.map(Act::Content).into_iter().collect();
                    acts.extend(self.result(ended, now));
                    acts.extend(self.over());
                    return acts;
                }
            }
        }
        Vec::new()
    }

    fn delta(&mut self, delta: Delta) -> Vec<Act> {
        if !self.owns() {
            return Vec::new();
        }
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        flight.worked = true;
        let event = match delta {
            Delta::Thinking => {
                flight.thought.clear();
                TurnEvent::Thinking {
                    text: String::new(),
                }
            }
            Delta::Thought(more) => {
                let room = THOUGHT_BYTES.saturating_sub(flight.thought.len());
                let mut ends = (0..=room.min(more.len())).rev();
                let end = ends.find(|end| more.is_char_boundary(*end));
                flight.thought.push_str(&more[..end.unwrap_or(0)]);
                return Vec::new();
            }
            Delta::BlockEnds => match std::mem::take(&mut flight.thought) {
                thought if thought.trim().is_empty() => return Vec::new(),
                text => TurnEvent::Thinking { text },
            },
            Delta::Wrote(tokens) => {
                self.context.1 = tokens;
                return Vec::new();
            }
            Delta::TextBegins => {
                flight.partial.clear();
                return Vec::new();
            }
            Delta::Text(more) => {
                flight.partial.push_str(&more);
                let kept = text::tail(&flight.partial, PARTIAL_BYTES).len();
                flight.partial.drain(..flight.partial.len() - kept);
                TurnEvent::Partial {
                    text: flight.partial.clone(),
                }
            }
        };
        vec![Act::Progress(event)]
    }

    fn assistant(&mut self, said: Assistant) -> Vec<Act> {
        let owned = self.owns();
        let mut acts = Vec::new();
        for part in &said.parts {
            if let Part::Tool { name, input, .. } = part {
                self.asks.note(name, input);
                if owned {
                    acts.push(Act::Progress(words::tool_note(name, input)));
                }
            }
        }
        if let Some(call) = &said.sub {
            self.tasks.spoke(call);
        }
        // A subagent speaks to the agent; a report of an error comes again with `result`.
        if said.sub.is_some() || said.error.is_some() {
            return acts;
        }
        if said.read > 0 {
            self.context = (said.read, 0);
            self.model.clone_from(&said.model);
        }
        let texts = said.parts.into_iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Tool { .. } => None,
        });
        let blocks = texts.enumerate().map(|(index, text)| Block {
            id: block_id(&said.uuid, index),
            text,
        });
        match &mut self.flight {
            Some(flight) if owned => {
                flight.worked = true;
                let mut blocks = blocks.peekable();
                flight.spoke |= blocks.peek().is_some();
                acts.extend(flight.pending.said(&said.uuid, &said.message, blocks));
            }
            _ => self.stray = blocks.last().or(self.stray.take()),
        }
        acts
    }

    /// The conversation was made shorter: told, since a command that does so says nothing else.
    fn compacted(&mut self, before: u64, after: u64) -> Vec<Act> {
        self.context = (after, 0);
        let owned = self.owns();
        match &mut self.flight {
            Some(flight) if owned => {
                flight.worked = true;
                let text = words::compacted(before, after);
                flight.compacted = Some(text);
                let about = Remark::Compacted { before, after };
                vec![Act::Progress(TurnEvent::Remark { about })]
            }
            _ => Vec::new(),
        }
    }

    /// What the session has used, if anything is known of it.
    fn used(&self, ended: &Ended) -> Option<Act> {
        let context_tokens = self.context.0.saturating_add(self.context.1);
        let known = context_tokens > 0 || ended.cost_microusd > 0;
        known.then(|| {
            Act::Used(TurnEvent::Usage {
                context_tokens,
                context_window: ended.windows.get(&self.model).copied().unwrap_or_default(),
                cost_microusd: ended.cost_microusd,
                model: self.model.clone(),
            })
        })
    }

    fn result(&mut self, ended: Ended, now: Instant) -> Vec<Act> {
        let ours = self.flight.as_ref().is_some_and(|flight| {
            ended.prompts.contains(&flight.prompt) || (!ended.background && self.owns())
        });
        if !ours {
            return match &mut self.flight {
                Some(flight) if !ended.background => {
                    flight.unclaimed = Some(ended);
                    Vec::new()
                }
                _ => self.nobodys(&ended),
            };
        }
        let used = self.used(&ended);
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        let mut acts = flight.pending.all();
        acts.extend(used);
        let failed = ended.is_error || ended.subtype != "success";
        let over = match failed {
            false => Over::Answered,
            true if flight.interrupted => Over::Stopped,
            true => Over::Failed(fault::of_result(&ended)),
        };
        // A command of the CLI's own (such as /cost) answers in `result` alone.
        let bare = match (ended.words.trim(), flight.compacted.take()) {
            ("", compacted) => compacted.unwrap_or_default(),
            _ => ended.words,
        };
        if !failed && !flight.spoke && !bare.trim().is_empty() {
            acts.push(Act::Content(Block {
                id: ended.uuid,
                text: bare,
            }));
        }
        flight.over = Some(over);
        flight.settle = Some(now + SETTLE);
        if !self.states {
            acts.extend(self.over());
        }
        acts
    }

    /// Ends the flight.
    fn over(&mut self) -> Vec<Act> {
        let Some(flight) = self.flight.take() else {
            return Vec::new();
        };
        let mut acts = self.asks.withdraw(None);
        acts.push(Act::Over(flight.over.unwrap_or(Over::Known)));
        acts
    }
}

/// The line that carries an answer of the server's.
fn mcp(request: &str, message: &Value) -> String {
    json!({
        "type": "control_response",
        "response": {
            "subtype": "success", "request_id": request, "response": {"mcp_response": message},
        },
    })
    .to_string()
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
