//! The prompt in flight: what the agent says, thinks and calls in its turn, cut into blocks of content
//! and things to show. Pure.
//!
//! Promises: a text is content once another message, a call or the end of the turn shows that it is
//! whole; what is kept of it is bounded ([`TURN_BYTES`]), and an answer that was cut says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent_client_protocol_schema::v1::{
    ContentBlock, SessionUpdate, ToolCallStatus, ToolCallUpdateFields,
};
use ipc_schema::{Remark, TurnEvent};

use super::protocol::Act;
use super::setup::Turn;
use super::words::{self, Tool};
use crate::text;

/// The most text of one turn, bytes.
pub const TURN_BYTES: usize = 1 << 20;
/// What is kept of text that is being written, and of a thought, for show.
const PARTIAL_BYTES: usize = 4096;
/// Calls of tools that are remembered, in case a permission for one is asked for.
const TOOLS: usize = 64;

/// The prompt in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) prompt: Vec<ContentBlock>,
    /// What is to be set before it goes out; the first is being answered.
    pub(super) sets: VecDeque<Turn>,
    /// The number of its request, once it is out.
    pub(super) out: Option<u64>,
    pub(super) interrupted: bool,
    /// The text that is being written, and the agent's id of its message.
    pub(super) text: String,
    message: Option<String>,
    /// Bytes of text so far, and those that are passed over.
    bytes: usize,
    dropped: usize,
    tools: BTreeMap<String, Tool>,
    /// A call of which too little is known to be shown.
    dim: Option<String>,
    /// Calls that send a file, as far as they were told of, and how many of the files went.
    sends: BTreeSet<String>,
    gone: usize,
    /// Something was denied, and nothing said since.
    pub(super) denied: bool,
    /// What is being thought.
    thought: String,
}

impl Flight {
    /// A prompt, with what is to be set before it goes out.
    pub(super) fn new(prompt: Vec<ContentBlock>, sets: VecDeque<Turn>) -> Flight {
        Flight {
            prompt,
            sets,
            out: None,
            interrupted: false,
            text: String::new(),
            message: None,
            bytes: 0,
            dropped: 0,
            tools: BTreeMap::new(),
            dim: None,
            sends: BTreeSet::new(),
            gone: 0,
            denied: false,
            thought: String::new(),
        }
    }

    fn tells(&mut self, call: &str, tool: &Tool) {
        if tool.sends_file() && self.sends.len() < TOOLS {
            self.sends.insert(call.to_owned());
        }
    }

    /// Whether a call was told of that sends a file which has not gone yet.
    pub(super) fn has_told_of_file(&self) -> bool {
        self.sends.len() > self.gone
    }

    /// So many files go: what was said so far is whole.
    pub(super) fn file_goes(&mut self, files: usize) -> Vec<Act> {
        self.gone += files;
        let mut acts = self.goes_on();
        acts.extend(self.flush());
        acts
    }

    /// The agent asks about a call: what is known of it, and what is shown before.
    pub(super) fn asks(&mut self, call: &str, fields: &ToolCallUpdateFields) -> (Tool, Vec<Act>) {
        let mut tool = self.tools.remove(call).unwrap_or_default();
        tool.take(fields);
        self.tells(call, &tool);
        let mut acts = self.flush();
        if self.dim.take_if(|dim| *dim == call).is_some() {
            acts.push(Act::Progress(tool.note()));
        }
        (tool, acts)
    }

    pub(super) fn says(&mut self, said: &str, message: Option<&str>) -> Vec<Act> {
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

    pub(super) fn update(&mut self, update: SessionUpdate) -> Vec<Act> {
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
                self.tells(&id, &tool);
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
                if tool.sends_file() && self.sends.len() < TOOLS {
                    self.sends.insert(id.clone());
                }
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
    pub(super) fn goes_on(&mut self) -> Vec<Act> {
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
    pub(super) fn flush(&mut self) -> Vec<Act> {
        let text = std::mem::take(&mut self.text);
        match text.trim() {
            "" => Vec::new(),
            _ => vec![Act::Content(text)],
        }
    }

    /// Says what is missing.
    pub(super) fn cut(&self) -> Option<Act> {
        let cut = Remark::Cut {
            most: TURN_BYTES as u64,
            missing: self.dropped as u64,
        };
        (self.dropped > 0).then_some(Act::Remark(cut))
    }
}
