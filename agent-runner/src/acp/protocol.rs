//! The talk with one ACP agent, as a machine over lines: lines, prompts, decisions and the time go
//! in, [`Act`]s come out. No I/O.
//!
//! Promises:
//! - One prompt is in flight at most, and every prompt gets exactly one [`Act::Over`], unless the
//!   process dies first. [`Act::Begins`] comes before the agent can know of it.
//! - An old conversation is gone on with where the agent can; what it replays is not said again. One
//!   that it no longer has is never replaced silently.
//! - The mode and the model that were asked for are set before the prompt goes out, or it does not.
//! - Every request of the agent's is answered: by a person, at its deadline, or with a refusal.
//! - What is kept of an answer is bounded ([`TURN_BYTES`]), and an answer that was cut says so.
//!
//! It offers the agent neither files nor terminals: the agent works with its own.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    CancelNotification, ContentBlock, ContentChunk, Error, ErrorCode, ImageContent, Implementation,
    InitializeRequest, InitializeResponse, LoadSessionRequest, McpServer, NewSessionRequest,
    PromptRequest, RequestPermissionRequest, ResumeSessionRequest, SessionNotification,
    SessionUpdate, StopReason, TextContent, ToolCallStatus, ToolCallUpdateFields, UsageUpdate,
};
use ipc_schema::{Decision, Fault, Question, TurnEvent};
use serde::Serialize;
use serde_json::{Value, json};

use super::asks::{Asks, cancelled};
use super::rpc::{self, Line};
use super::setup::{Knobs, Offer, Opened, Turn};
use super::words::{self, Tool};
use crate::session::Image;
use crate::text;

/// How long the agent may be silent while something else than a prompt is to be answered. Generous:
/// some agents download a part of themselves first.
pub const ANSWER: Duration = Duration::from_secs(120);
/// The most text of one turn, bytes.
pub const TURN_BYTES: usize = 1 << 20;
/// What is kept of text that is being written, and of a thought, for show.
const PARTIAL_BYTES: usize = 4096;
/// After so much silence a text that nobody asked for is whole.
const STRAY: Duration = Duration::from_secs(2);
/// The most of such a text, bytes.
const STRAY_BYTES: usize = 64 << 10;
/// Calls of tools that are remembered, in case a permission for one is asked for.
const TOOLS: usize = 64;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Write this line to the process.
    Write(String),
    /// The agent is ready. Its id of the conversation; and if an old one is not gone on with, why.
    Opened(String, Option<String>),
    /// It will not be ready.
    Cannot(Fault),
    /// The prompt goes out now: from here on the agent may have it.
    Begins,
    /// This is content of the turn.
    Content(String),
    /// Something to show; may be lost.
    Progress(TurnEvent),
    /// Ask a person.
    Asked(Question),
    /// Do not ask any more; `expired` = rejected because nobody answered in time.
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
    /// What the session has used so far.
    Used(TurnEvent),
    /// The turn is over.
    Over(Over),
    /// Said to nobody's question; with an id that no other text has.
    Unprompted(String, String),
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
}

/// What the agent is to begin with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beginning {
    /// Where it works.
    pub cwd: PathBuf,
    /// The conversation to go on with.
    pub conversation: Option<String>,
    /// How to log in, an id of the agent's; none: it is logged in, or says that it is not.
    pub login: Option<String>,
    /// Servers of tools that it is to start.
    pub servers: Vec<McpServer>,
}

/// What a prompt is to be run with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The mode, in the agent's words or in those of Claude Code; empty = `default`.
    pub mode: String,
    /// The model; empty = the agent's own choice.
    pub model: String,
}

/// One process.
#[derive(Debug)]
pub struct Protocol {
    nonce: String,
    beginning: Beginning,
    stage: Stage,
    /// The number of the last request of ours.
    last: u64,
    /// The answer to that is waited for until then.
    answer_by: Option<Instant>,
    /// The agent's id of the conversation.
    session: String,
    offer: Offer,
    knobs: Knobs,
    flight: Option<Flight>,
    asks: Asks,
    used: Option<UsageUpdate>,
    stray: String,
    stray_until: Option<Instant>,
    strays: u64,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Nothing was said.
    Silent,
    /// `initialize` is to be answered.
    Greeted,
    /// `authenticate` is.
    LogsIn,
    /// `session/new`, `session/load` or `session/resume` is. What was tried before, and why that
    /// failed; whether an old conversation is asked for.
    Opens {
        old: bool,
        logged_in: bool,
        lost: Option<String>,
    },
    Open,
    /// It cannot be used.
    Failed,
}

/// The prompt in flight.
#[derive(Debug)]
struct Flight {
    prompt: Vec<ContentBlock>,
    /// What is to be set before it goes out; the first is being answered.
    sets: VecDeque<Turn>,
    /// The number of its request, once it is out.
    out: Option<u64>,
    interrupted: bool,
    /// The text that is being written, and the agent's id of its message.
    text: String,
    message: Option<String>,
    /// Bytes of text so far, and those that are passed over.
    bytes: usize,
    dropped: usize,
    tools: BTreeMap<String, Tool>,
    /// A call of which too little is known to be shown.
    dim: Option<String>,
    /// Something was denied, and nothing said since.
    denied: bool,
    /// What is being thought.
    thought: String,
}

impl Protocol {
    /// Of a process that was just started. `nonce` is unique to it.
    pub fn new(nonce: String, beginning: Beginning, question_timeout: Duration) -> Protocol {
        Protocol {
            asks: Asks::new(nonce.clone(), question_timeout),
            nonce,
            beginning,
            stage: Stage::Silent,
            last: 0,
            answer_by: None,
            session: String::new(),
            offer: Offer::default(),
            knobs: Knobs::default(),
            flight: None,
            used: None,
            stray: String::new(),
            stray_until: None,
            strays: 0,
        }
    }

    /// The first words. Once.
    pub fn open(&mut self, now: Instant) -> Vec<Act> {
        self.stage = Stage::Greeted;
        let us = Implementation::new("bulkhead", env!("CARGO_PKG_VERSION"));
        // No files, no terminals: the default of the capabilities.
        let hello = InitializeRequest::new(ProtocolVersion::V1).client_info(us);
        vec![self.request("initialize", &hello, now)]
    }

    /// Whether a prompt may be handed over now.
    pub fn is_free(&self) -> bool {
        self.stage == Stage::Open && self.flight.is_none()
    }

    /// Whether a person is being waited for.
    pub fn is_asking(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether the agent has said that it speaks this protocol.
    pub fn has_spoken(&self) -> bool {
        !matches!(self.stage, Stage::Silent | Stage::Greeted)
    }

    /// Whether another process can go on with this conversation.
    pub fn can_resume(&self) -> bool {
        self.offer.load || self.offer.resume
    }

    /// What the agent calls itself.
    pub fn name(&self) -> &str {
        &self.offer.name
    }

    /// Hands over a prompt. Only when [`Self::is_free`].
    pub fn prompt(
        &mut self,
        text: &str,
        images: &[Image],
        wanted: &Wanted,
        now: Instant,
    ) -> Vec<Act> {
        debug_assert!(self.flight.is_none(), "one prompt is in flight at most");
        let mut acts = self.stray();
        let mode = self.knobs.to_mode(&self.session, &wanted.mode);
        let model = self.knobs.to_model(&self.session, &wanted.model);
        let sets = match (mode, model) {
            (Ok(mode), Ok(model)) => mode.into_iter().chain(model).collect(),
            (Err(words), _) | (_, Err(words)) => {
                acts.push(Act::Over(Over::Failed(Fault::Agent { words })));
                return acts;
            }
        };
        // Of one that takes no pictures the text names their files.
        let images = images.iter().filter(|_| self.offer.image).map(|image| {
            ContentBlock::Image(ImageContent::new(
                image.data.clone(),
                image.media_type.clone(),
            ))
        });
        let text = ContentBlock::Text(TextContent::new(text));
        self.flight = Some(Flight {
            prompt: std::iter::once(text).chain(images).collect(),
            sets,
            out: None,
            interrupted: false,
            text: String::new(),
            message: None,
            bytes: 0,
            dropped: 0,
            tools: BTreeMap::new(),
            dim: None,
            denied: false,
            thought: String::new(),
        });
        acts.extend(self.go_on(now));
        acts
    }

    /// Asks the agent to end what it does.
    pub fn interrupt(&mut self) -> Vec<Act> {
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        flight.interrupted = true;
        if flight.out.is_none() {
            // The agent does not know of it.
            flight.sets.clear();
            return Vec::new();
        }
        let cancel = CancelNotification::new(self.session.clone());
        let mut acts = vec![Act::Write(rpc::notice("session/cancel", &cancel))];
        acts.extend(self.asks.cancel());
        acts
    }

    /// A person decided.
    pub fn decide(&mut self, question: &str, decision: &Decision) -> Vec<Act> {
        let mut acts = self.asks.decide(question, decision);
        let used = acts
            .iter()
            .any(|act| matches!(act, Act::Decided { applied: true, .. }));
        if let (Some(flight), Decision::Deny { why }, true) = (&mut self.flight, decision, used) {
            flight.denied = true;
            if !why.trim().is_empty() {
                let text =
                    "The agent hears only the no: this kind of agent takes no reason with it.";
                let text = text.to_owned();
                acts.push(Act::Progress(TurnEvent::Note { text }));
            }
        }
        acts
    }

    /// When [`Self::tick`] has something to do, if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        [self.answer_by, self.stray_until, self.asks.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Act> {
        let mut acts = self.asks.expire(now);
        if !acts.is_empty()
            && let Some(flight) = &mut self.flight
        {
            flight.denied = true;
        }
        if self.stray_until.is_some_and(|until| until <= now) {
            acts.extend(self.stray());
        }
        if self.answer_by.is_some_and(|until| until <= now) {
            self.answer_by = None;
            let seconds = ANSWER.as_secs();
            let what = match self.stage {
                Stage::Greeted => "it says nothing that this protocol knows",
                _ => "it does not get ready",
            };
            let words = format!(
                "{what}: no answer within {seconds} s. Does its command line start an agent that \
                 speaks ACP?"
            );
            acts.extend(self.cannot(Fault::Agent { words }));
        }
        acts
    }

    /// The process printed this line.
    ///
    /// # Errors
    /// It is no JSON-RPC.
    pub fn line(&mut self, line: &str, now: Instant) -> Result<Vec<Act>, serde_json::Error> {
        let line = rpc::read(line)?;
        if self.answer_by.is_some() {
            self.answer_by = Some(now + ANSWER);
        }
        Ok(match line {
            Line::Request { id, method, params } => self.asked(id, &method, params, now),
            Line::Notice { method, params } => match method.as_str() {
                "session/update" => self.update(params, now),
                _ => Vec::new(),
            },
            Line::Reply { id, result } => self.answered(id, result, now),
            Line::Other => Vec::new(),
        })
    }

    fn request(&mut self, method: &str, params: &impl Serialize, now: Instant) -> Act {
        self.last += 1;
        self.answer_by = Some(now + ANSWER);
        Act::Write(rpc::request(self.last, method, params))
    }

    /// A request of the agent's.
    fn asked(&mut self, id: &str, method: &str, params: &str, now: Instant) -> Vec<Act> {
        if method != "session/request_permission" {
            let why = format!("this client does not serve {}", text::head(method, 100));
            return vec![Act::Write(rpc::refusal(id, rpc::NO_SUCH_METHOD, &why))];
        }
        let Ok(asked) = serde_json::from_str::<RequestPermissionRequest>(params) else {
            let why = "not understood: nobody is asked";
            return vec![Act::Write(rpc::refusal(id, rpc::BAD_PARAMS, why))];
        };
        let ours = asked.session_id.0.as_ref() == self.session;
        match &mut self.flight {
            Some(flight) if ours && flight.out.is_some() && !flight.interrupted => {
                let call = asked.tool_call.tool_call_id.to_string();
                let mut tool = flight.tools.remove(&call).unwrap_or_default();
                tool.take(&asked.tool_call.fields);
                let mut acts = flight.flush();
                if flight.dim.take_if(|dim| *dim == call).is_some() {
                    acts.push(Act::Progress(tool.note()));
                }
                let content = asked.tool_call.fields.content.unwrap_or_default();
                acts.push(self.asks.ask(id, &tool, &content, &asked.options, now));
                acts
            }
            // Nobody can be asked now.
            _ => vec![Act::Write(cancelled(id))],
        }
    }

    /// An answer of the agent's.
    fn answered(&mut self, id: u64, result: Result<&str, Error>, now: Instant) -> Vec<Act> {
        if let Some(flight) = &self.flight
            && flight.out == Some(id)
        {
            return self.over(result);
        }
        if id != self.last || self.answer_by.is_none() {
            return Vec::new();
        }
        self.answer_by = None;
        match (self.stage.clone(), result) {
            (Stage::Greeted, Ok(said)) => self.greeted(said, now),
            (Stage::LogsIn, Ok(_)) => self.opens(true, now),
            (
                Stage::Opens {
                    old,
                    logged_in,
                    lost,
                },
                result,
            ) => self.opened(result, old, logged_in, lost, now),
            (Stage::Open, result) => self.set(result, now),
            (_, Err(error)) => self.cannot(words::failed(&error, &self.offer)),
            (_, Ok(_)) => Vec::new(),
        }
    }

    fn greeted(&mut self, said: &str, now: Instant) -> Vec<Act> {
        let Ok(said) = serde_json::from_str::<InitializeResponse>(said) else {
            let words = "its answer to `initialize` is not that of an ACP agent".into();
            return self.cannot(Fault::Agent { words });
        };
        self.offer = Offer::of(&said);
        if said.protocol_version != ProtocolVersion::V1 {
            let words = format!(
                "it speaks version {} of ACP and not version 1: another release of it may do",
                said.protocol_version
            );
            return self.cannot(Fault::Agent { words });
        }
        self.opens(false, now)
    }

    /// Asks for the conversation.
    fn opens(&mut self, logged_in: bool, now: Instant) -> Vec<Act> {
        let cwd = self.beginning.cwd.clone();
        let old = self.beginning.conversation.clone();
        let (old, lost) = match old {
            Some(old) if self.can_resume() => (Some(old), None),
            Some(_) => {
                let why = "this agent keeps no conversation beyond its process".to_owned();
                (None, Some(why))
            }
            None => (None, None),
        };
        self.stage = Stage::Opens {
            old: old.is_some(),
            logged_in,
            lost,
        };
        let servers = self.beginning.servers.clone();
        let act = match old {
            // Without a replay, where that can be had.
            Some(old) if self.offer.resume => self.request(
                "session/resume",
                // Some want the list even if there is nothing in it.
                &with_servers(&ResumeSessionRequest::new(old, cwd).mcp_servers(servers)),
                now,
            ),
            Some(old) => {
                let load = LoadSessionRequest::new(old, cwd).mcp_servers(servers);
                self.request("session/load", &load, now)
            }
            None => self.begins(now),
        };
        vec![act]
    }

    /// Asks for a new conversation.
    fn begins(&mut self, now: Instant) -> Act {
        let beginning = &self.beginning;
        let new = NewSessionRequest::new(beginning.cwd.clone());
        let new = new.mcp_servers(beginning.servers.clone());
        self.request("session/new", &new, now)
    }

    fn opened(
        &mut self,
        result: Result<&str, Error>,
        old: bool,
        logged_in: bool,
        lost: Option<String>,
        now: Instant,
    ) -> Vec<Act> {
        let opened = match result {
            Ok(said) => serde_json::from_str::<Opened>(said).unwrap_or_default(),
            Err(error) if error.code == ErrorCode::AuthRequired && !logged_in => {
                let Some(login) = self.beginning.login.clone() else {
                    return self.cannot(words::failed(&error, &self.offer));
                };
                self.stage = Stage::LogsIn;
                return vec![self.request("authenticate", &json!({"methodId": login}), now)];
            }
            // It does not have it any more: told, and a new one is begun.
            Err(error) if old && error.code == ErrorCode::ResourceNotFound => {
                self.stage = Stage::Opens {
                    old: false,
                    logged_in,
                    lost: Some("the agent no longer has it".into()),
                };
                return vec![self.begins(now)];
            }
            Err(error) => {
                let mut fault = words::failed(&error, &self.offer);
                if let (Fault::Agent { words }, true) = (&mut fault, old) {
                    *words = format!(
                        "it cannot go on with this conversation: {words}. If it stays so, /new \
                         begins another"
                    );
                }
                return self.cannot(fault);
            }
        };
        let session = match (&self.beginning.conversation, old) {
            (Some(old), true) => Some(old.clone()),
            _ => opened.session_id.clone().filter(|id| !id.is_empty()),
        };
        let Some(session) = session else {
            let words = "its answer to `session/new` names no session".into();
            return self.cannot(Fault::Agent { words });
        };
        self.session.clone_from(&session);
        self.knobs = opened.knobs();
        self.stage = Stage::Open;
        vec![Act::Opened(session, lost)]
    }

    /// Something was set, or could not be.
    fn set(&mut self, result: Result<&str, Error>, now: Instant) -> Vec<Act> {
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        match (result, flight.sets.pop_front()) {
            (Ok(_), Some(set)) => self.knobs.chose(&set),
            // It was interrupted meanwhile.
            (_, None) => {}
            (Err(error), Some(_)) => {
                self.flight = None;
                return vec![Act::Over(Over::Failed(words::failed(&error, &self.offer)))];
            }
        }
        self.go_on(now)
    }

    /// Sets what is still to be set, then lets the prompt out.
    fn go_on(&mut self, now: Instant) -> Vec<Act> {
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        if flight.interrupted {
            self.flight = None;
            return vec![Act::Over(Over::Stopped)];
        }
        if let Some((method, params)) = flight.sets.front().cloned() {
            return vec![self.request(method, &params, now)];
        }
        let prompt = std::mem::take(&mut flight.prompt);
        let prompt = PromptRequest::new(self.session.clone(), prompt);
        let out = self.request("session/prompt", &prompt, now);
        // How long it may take is none of the protocol's business.
        self.answer_by = None;
        if let Some(flight) = &mut self.flight {
            flight.out = Some(self.last);
        }
        vec![Act::Begins, out]
    }

    fn cannot(&mut self, fault: Fault) -> Vec<Act> {
        match self.flight.take() {
            Some(_) => vec![Act::Over(Over::Failed(fault))],
            None => {
                self.stage = Stage::Failed;
                vec![Act::Cannot(fault)]
            }
        }
    }

    /// The agent is done with the prompt.
    fn over(&mut self, result: Result<&str, Error>) -> Vec<Act> {
        let Some(mut flight) = self.flight.take() else {
            return Vec::new();
        };
        // Some say their error aloud first.
        let aloud = |error: &Error| error.message.trim().ends_with(flight.text.trim());
        if result.as_ref().is_err_and(aloud) {
            flight.text.clear();
        }
        let failed = result
            .as_ref()
            .err()
            .map(|error| words::failed(error, &self.offer));
        let mut acts = flight.goes_on();
        acts.extend(flight.flush());
        acts.extend(flight.cut());
        let reason = result.as_ref().ok().and_then(|said| {
            let said: Value = serde_json::from_str(said).ok()?;
            serde_json::from_value::<StopReason>(said.get("stopReason")?.clone()).ok()
        });
        let over = match (failed, reason) {
            (_, Some(StopReason::Cancelled)) if flight.interrupted => Over::Stopped,
            (Some(_), _) if flight.interrupted => Over::Stopped,
            (Some(fault), _) => Over::Failed(fault),
            (None, reason) => match reason.and_then(words::stopped) {
                Some(words) => Over::Failed(Fault::Agent {
                    words: words.into(),
                }),
                None => Over::Answered,
            },
        };
        if flight.denied && over == Over::Answered {
            let text =
                "(The agent ended the turn because that was denied. Tell it what to do instead.)";
            acts.push(Act::Content(text.into()));
        }
        acts.extend(self.asks.cancel());
        acts.extend(self.used());
        acts.push(Act::Over(over));
        acts
    }

    /// What was said so far is whole: something that was not said comes next.
    pub fn flush(&mut self) -> Vec<Act> {
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        let mut acts = flight.goes_on();
        acts.extend(flight.flush());
        acts
    }

    /// What the process leaves behind that dies now: the text so far.
    pub fn last_words(&mut self) -> Vec<Act> {
        let mut acts = self.flight.as_mut().map(Flight::flush).unwrap_or_default();
        acts.extend(self.stray());
        acts
    }

    /// What the session has used, if anything is known of it.
    fn used(&self) -> Option<Act> {
        let used = self.used.as_ref()?;
        let cost = used.cost.as_ref().filter(|cost| cost.currency == "USD");
        let model = used.meta.as_ref().and_then(|it| it.get("_claude/model"));
        let model = model.and_then(Value::as_str).unwrap_or(self.knobs.model());
        Some(Act::Used(TurnEvent::Usage {
            context_tokens: used.used,
            context_window: used.size,
            // A float that is out of range is cut to it.
            cost_microusd: cost.map_or(0, |cost| (cost.amount.max(0.0) * 1e6).round() as u64),
            model: text::head(model, 200).to_owned(),
        }))
    }

    fn update(&mut self, params: &str, now: Instant) -> Vec<Act> {
        let Ok(told) = serde_json::from_str::<SessionNotification>(params) else {
            return Vec::new();
        };
        // A replay, or a conversation within this one.
        if self.stage != Stage::Open || told.session_id.0.as_ref() != self.session {
            return Vec::new();
        }
        match told.update {
            SessionUpdate::UsageUpdate(used) => {
                // Some tell zero when a turn failed; the cost comes at its end only.
                let before = self.used.take();
                let (tokens, cost) = before.map_or((0, None), |used| (used.used, used.cost));
                let tokens = if used.used > 0 { used.used } else { tokens };
                let cost = used.cost.clone().or(cost);
                let mut used = used;
                (used.used, used.cost) = (tokens, cost);
                self.used = Some(used);
            }
            SessionUpdate::CurrentModeUpdate(mode) => {
                if let Some(knob) = &mut self.knobs.mode {
                    knob.current = mode.current_mode_id.to_string();
                }
            }
            SessionUpdate::ConfigOptionUpdate(options) => {
                let options = serde_json::to_value(options.config_options).unwrap_or_default();
                self.knobs.options(options);
            }
            SessionUpdate::AgentMessageChunk(chunk) => return self.chunk(&chunk, now),
            update => {
                if let Some(flight) = self.flight.as_mut().filter(|it| it.out.is_some()) {
                    return flight.update(update);
                }
            }
        }
        Vec::new()
    }

    fn chunk(&mut self, chunk: &ContentChunk, now: Instant) -> Vec<Act> {
        let said = words::said(&chunk.content);
        if said.is_empty() {
            return Vec::new();
        }
        let aside = chunk.meta.as_ref().and_then(|meta| meta.get("claudeCode"));
        if aside.is_some_and(|meta| meta["kind"] == "informational") {
            let text = words::line(&said, 500);
            return vec![Act::Progress(TurnEvent::Note { text })];
        }
        if let Some(flight) = self.flight.as_mut().filter(|it| it.out.is_some()) {
            return flight.says(&said, chunk.message_id.as_ref().map(|id| id.0.as_ref()));
        }
        let room = STRAY_BYTES.saturating_sub(self.stray.len());
        self.stray.push_str(text::head(&said, room));
        self.stray_until = Some(now + STRAY);
        Vec::new()
    }

    /// What was said to nobody's question is whole.
    fn stray(&mut self) -> Vec<Act> {
        self.stray_until = None;
        let said = std::mem::take(&mut self.stray);
        if said.trim().is_empty() {
            return Vec::new();
        }
        self.strays += 1;
        let id = format!("{}/said/{}", self.nonce, self.strays);
        vec![Act::Unprompted(id, said)]
    }
}

impl Flight {
    fn says(&mut self, said: &str, message: Option<&str>) -> Vec<Act> {
        let mut acts = self.goes_on();
        if message.is_some() && self.message.is_some() && message != self.message.as_deref() {
            acts.extend(self.flush());
        }
        if let Some(message) = message {
            self.message = Some(text::head(message, 200).to_owned());
        }
        self.denied = false;
        let kept = text::head(said, TURN_BYTES - self.bytes);
        self.text.push_str(kept);
        self.bytes += kept.len();
        self.dropped += said.len() - kept.len();
        let text = text::tail(&self.text, PARTIAL_BYTES).to_owned();
        acts.push(Act::Progress(TurnEvent::Partial { text }));
        acts
    }

    fn update(&mut self, update: SessionUpdate) -> Vec<Act> {
        match update {
            SessionUpdate::AgentThoughtChunk(chunk) => {
                let more = words::said(&chunk.content);
                if more.is_empty() {
                    return Vec::new();
                }
                let mut acts = self.shows_dim();
                acts.extend(self.flush());
                let begins = self.thought.is_empty();
                let room = PARTIAL_BYTES.saturating_sub(self.thought.len());
                self.thought.push_str(text::head(&more, room));
                if begins {
                    let text = String::new();
                    acts.push(Act::Progress(TurnEvent::Thinking { text }));
                }
                acts
            }
            SessionUpdate::ToolCall(call) => {
                let mut acts = self.goes_on();
                acts.extend(self.flush());
                let fields = ToolCallUpdateFields::new()
                    .name(call.name)
                    .kind(call.kind)
                    .title(call.title)
                    .raw_input(call.raw_input);
                let mut tool = Tool::default();
                tool.take(&fields);
                let id = call.tool_call_id.to_string();
                match tool.telling() {
                    Some(_) => acts.push(Act::Progress(tool.note())),
                    // What it is called with comes soon.
                    None => self.dim = Some(id.clone()),
                }
                if self.tools.len() == TOOLS {
                    self.tools.pop_first();
                }
                self.tools.insert(id, tool);
                acts
            }
            SessionUpdate::ToolCallUpdate(call) => {
                let id = call.tool_call_id.to_string();
                let Some(tool) = self.tools.get_mut(&id) else {
                    return Vec::new();
                };
                tool.take(&call.fields);
                let begun = tool.telling().is_some()
                    || matches!(
                        call.fields.status,
                        Some(
                            ToolCallStatus::InProgress
                                | ToolCallStatus::Completed
                                | ToolCallStatus::Failed
                        )
                    );
                let acts = match self.dim.take_if(|dim| begun && *dim == id) {
                    Some(_) => vec![Act::Progress(tool.note())],
                    None => Vec::new(),
                };
                if matches!(
                    call.fields.status,
                    Some(ToolCallStatus::Completed | ToolCallStatus::Failed)
                ) {
                    self.tools.remove(&id);
                }
                acts
            }
            SessionUpdate::Plan(plan) => {
                words::steps(&plan).map_or_else(Vec::new, |note| vec![Act::Progress(note)])
            }
            _ => Vec::new(),
        }
    }

    /// Something else comes than before: what was held back for more to come is shown.
    fn goes_on(&mut self) -> Vec<Act> {
        let text = std::mem::take(&mut self.thought);
        let mut acts = match text.trim() {
            "" => Vec::new(),
            _ => vec![Act::Progress(TurnEvent::Thinking { text })],
        };
        acts.extend(self.shows_dim());
        acts
    }

    /// Shows the call of which too little is known, since something else comes.
    fn shows_dim(&mut self) -> Vec<Act> {
        let dim = self.dim.take().and_then(|id| self.tools.get(&id));
        dim.map(|tool| Act::Progress(tool.note()))
            .into_iter()
            .collect()
    }

    /// The text so far is whole.
    fn flush(&mut self) -> Vec<Act> {
        let text = std::mem::take(&mut self.text);
        match text.trim() {
            "" => Vec::new(),
            _ => vec![Act::Content(text)],
        }
    }

    /// Says what is missing.
    fn cut(&self) -> Option<Act> {
        (self.dropped > 0).then(|| {
            let (limit, dropped) = (TURN_BYTES >> 20, self.dropped);
            Act::Content(format!(
                "[The reply was longer than {limit} MiB; {dropped} bytes are missing.]"
            ))
        })
    }
}

/// With an empty list of servers, which the crate leaves out.
fn with_servers(request: &ResumeSessionRequest) -> Value {
    let mut request = serde_json::to_value(request).unwrap_or_default();
    if let Value::Object(fields) = &mut request {
        fields.entry("mcpServers").or_insert_with(|| json!([]));
    }
    request
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
