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

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_client_protocol_schema::ProtocolVersion;
use agent_client_protocol_schema::v1::{
    CancelNotification, ClientCapabilities, ContentBlock, ContentChunk, ElicitationCapabilities,
    ElicitationFormCapabilities, Error, ImageContent, Implementation, InitializeRequest, McpServer,
    PromptRequest, RequestPermissionRequest, SessionNotification, SessionUpdate, StopReason,
    TextContent, UsageUpdate,
};
use ipc_schema::{Decision, Fault, Question, Remark, TurnEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::asks::{Asks, cancelled};
use super::flight::Flight;
pub use super::flight::TURN_BYTES;
use super::form;
use super::rpc::{self, Line};
use super::setup::{Knobs, Offer};
use super::stray::Stray;
use super::words;
use crate::session::Image;
use crate::text;

/// How long the agent may be silent while something else than a prompt is to be answered. Generous:
/// some agents download a part of themselves first.
pub const ANSWER: Duration = Duration::from_secs(120);

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
    /// What is to be known of the turn beside that; not to be lost.
    Remark(Remark),
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
    pub(super) beginning: Beginning,
    pub(super) stage: Stage,
    /// The number of the last request of ours.
    last: u64,
    /// The answer to that is waited for until then.
    answer_by: Option<Instant>,
    /// The agent's id of the conversation.
    pub(super) session: String,
    pub(super) offer: Offer,
    pub(super) knobs: Knobs,
    flight: Option<Flight>,
    asks: Asks,
    used: Option<UsageUpdate>,
    stray: Stray,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
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

impl Protocol {
    /// Of a process that was just started. `nonce` is unique to it.
    pub fn new(nonce: String, beginning: Beginning, question_timeout: Duration) -> Protocol {
        Protocol {
            asks: Asks::new(nonce.clone(), question_timeout),
            stray: Stray::new(nonce),
            beginning,
            stage: Stage::Silent,
            last: 0,
            answer_by: None,
            session: String::new(),
            offer: Offer::default(),
            knobs: Knobs::default(),
            flight: None,
            used: None,
        }
    }

    /// The first words. Once.
    pub fn open(&mut self, now: Instant) -> Vec<Act> {
        self.stage = Stage::Greeted;
        let us = Implementation::new("bulkhead", env!("CARGO_PKG_VERSION"));
        // No files, no terminals: the default of the capabilities.
        let forms = ElicitationCapabilities::new().form(ElicitationFormCapabilities::new());
        let hello = InitializeRequest::new(ProtocolVersion::V1)
            .client_info(us)
            .client_capabilities(ClientCapabilities::new().elicitation(forms));
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
        let mut acts = Vec::from_iter(self.stray.take());
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
        let prompt = std::iter::once(text).chain(images).collect();
        self.flight = Some(Flight::new(prompt, sets));
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
    pub fn decide(&mut self, question: &str, decision: &Decision, now: Instant) -> Vec<Act> {
        let mut acts = self.asks.decide(question, decision, now);
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
        [self.answer_by, self.stray.deadline(), self.asks.deadline()]
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
        if self.stray.deadline().is_some_and(|until| until <= now) {
            acts.extend(self.stray.take());
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

    pub(super) fn request(&mut self, method: &str, params: &impl Serialize, now: Instant) -> Act {
        self.last += 1;
        self.answer_by = Some(now + ANSWER);
        Act::Write(rpc::request(self.last, method, params))
    }

    /// A request of the agent's.
    fn asked(&mut self, id: &str, method: &str, params: &str, now: Instant) -> Vec<Act> {
        if method == "elicitation/create" {
            return self.asked_form(id, params, now);
        }
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
                let (tool, mut acts) = flight.asks(&call, &asked.tool_call.fields);
                let content = asked.tool_call.fields.content.unwrap_or_default();
                acts.push(self.asks.ask(id, &tool, &content, &asked.options, now));
                acts
            }
            // Nobody can be asked now.
            _ => vec![Act::Write(cancelled(id))],
        }
    }

    /// The agent has a form to be filled in.
    fn asked_form(&mut self, id: &str, params: &str, now: Instant) -> Vec<Act> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Scope {
            session_id: String,
        }
        let scope = serde_json::from_str::<Scope>(params);
        let ours = scope.is_ok_and(|scope| scope.session_id == self.session);
        match &mut self.flight {
            Some(flight) if ours && flight.out.is_some() && !flight.interrupted => {
                let mut acts = flight.goes_on();
                acts.extend(flight.flush());
                acts.push(self.asks.ask_form(id, params, now));
                acts
            }
            // Nobody can be asked now.
            _ => vec![Act::Write(rpc::answer(id, &form::cancelled()))],
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

    pub(super) fn cannot(&mut self, fault: Fault) -> Vec<Act> {
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

    /// Whether the agent has told of a call that sends a file and did not go yet.
    pub fn has_told_of_file(&self) -> bool {
        let flight = self.flight.as_ref();
        flight.is_some_and(Flight::has_told_of_file)
    }

    /// So many files go to the chat: what was said so far is whole.
    pub fn file_goes(&mut self, files: usize) -> Vec<Act> {
        let Some(flight) = &mut self.flight else {
            return Vec::new();
        };
        flight.file_goes(files)
    }

    /// What the process leaves behind that dies now: the text so far.
    pub fn last_words(&mut self) -> Vec<Act> {
        let mut acts = self.flight.as_mut().map(Flight::flush).unwrap_or_default();
        acts.extend(self.stray.take());
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
        self.stray.add(&said, now);
        Vec::new()
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
