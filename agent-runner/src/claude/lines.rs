//! What Claude Code prints: one line of stream-json, read into what the runner needs of it.
//!
//! Promises: a line of a type, a subtype or a field that this version does not know is
//! [`Line::Other`], never an error; only what is no JSON object is [`Junk`]. Nothing here keeps
//! state or decides anything.
//!
//! The shapes are those of Claude Code 2.1; older ones lack `session_state_changed`,
//! `command_lifecycle` and `user_message_uuids`, and every such field is optional here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::message::{Message, Part};
use super::tasks::Task;

/// The longest name (of a line, a session, a request, a call) and the longest model that is taken, in
/// bytes: Claude Code's have 36 or so. What names itself at greater length is [`Line::Other`].
const NAME: usize = 256;

/// A line that is no JSON object.
#[derive(Debug, thiserror::Error)]
#[error("not a line of stream-json: {0}")]
pub struct Junk(#[from] serde_json::Error);

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A turn begins; names the session.
    Init {
        /// The CLI's id of the session.
        session: String,
    },
    /// The CLI says whether it is busy.
    State(State),
    /// What became of one user line.
    Command {
        /// The line's uuid.
        prompt: String,
        /// It was taken up (and not merely queued).
        started: bool,
    },
    /// So many tools run in the background.
    Background(usize),
    /// Something happens to work beside the conversation.
    Task(Task),
    /// The model's API answered with an error and will be asked again.
    ApiRetry(ApiRetry),
    /// A piece of the model's stream.
    Delta(Delta),
    /// A piece of the model's answer, whole.
    Assistant(Assistant),
    /// A user line that came back: the CLI has taken it up.
    Echo {
        /// Its uuid.
        prompt: String,
    },
    /// A subagent was told something.
    Subagent {
        /// The call that began it.
        call: String,
    },
    /// The conversation was made shorter.
    Compacted {
        /// Tokens before; 0 = not said.
        before: u64,
        /// Tokens after; 0 = not said.
        after: u64,
    },
    /// A turn is over.
    Result(Ended),
    /// The CLI asks whether a tool may run.
    MayUse {
        /// Names the request in this process.
        request: String,
        /// What for.
        tool: ToolUse,
    },
    /// The CLI says something to a server of tools.
    Mcp {
        /// Names the request in this process.
        request: String,
        /// Which server.
        server: String,
        /// What.
        message: Value,
    },
    /// The CLI answers a request of ours, or echoes an answer of ours.
    Answer,
    /// Another request of the CLI's, which is to be refused.
    OtherRequest {
        /// Names it.
        request: String,
        /// Its kind.
        subtype: String,
    },
    /// A request is withdrawn.
    Cancelled {
        /// Which.
        request: String,
    },
    /// Anything else.
    Other,
}

/// `session_state_changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It works.
    Running,
    /// It waits for an answer of ours.
    Asking,
    /// It waits for the next user line.
    Idle,
}

/// `system/api_retry`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ApiRetry {
    /// Which try failed, from 1.
    pub attempt: u64,
    /// How many there will be.
    pub max_retries: u64,
    /// Until the next.
    pub retry_delay_ms: f64,
    /// HTTP status, if there was an answer.
    pub error_status: Option<u64>,
}

/// A piece of the stream that is worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// A text block begins.
    TextBegins,
    /// More of it.
    Text(String),
    /// The model thinks.
    Thinking,
    /// More of what it thinks.
    Thought(String),
    /// A block is over.
    BlockEnds,
    /// The message is over; so many tokens were written.
    Wrote(u64),
}

/// `assistant`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assistant {
    /// Names the line, here and in the session file.
    pub uuid: String,
    /// Names the message of the model's that it is a part of.
    pub message: String,
    /// Its parts; thinking is left out.
    pub parts: Vec<Part>,
    /// The model.
    pub model: String,
    /// Tokens that the model has read for it.
    pub read: u64,
    /// The call that began the subagent that said it.
    pub sub: Option<String>,
    /// The CLI made it up to report this kind of error.
    pub error: Option<String>,
}

/// `result`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// Names the line.
    pub uuid: String,
    /// `success`, `error_during_execution`, …
    pub subtype: String,
    /// It is none, whatever the subtype says.
    pub is_error: bool,
    /// The last text, or the error's words.
    pub words: String,
    /// The API's HTTP status, if that was the trouble.
    pub status: Option<u64>,
    /// The user lines it answers, where the CLI says so.
    pub prompts: Vec<String>,
    /// It answers no user line, but work in the background that ended.
    pub background: bool,
    /// What the session has cost so far, millionths of a dollar.
    pub cost_microusd: u64,
    /// Model → tokens that its context can hold.
    pub windows: BTreeMap<String, u64>,
}

/// `can_use_tool`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ToolUse {
    /// The tool.
    pub tool_name: String,
    /// What it is to be given.
    pub input: Value,
    /// What the CLI would have us say to "always".
    pub permission_suggestions: Vec<Value>,
    /// Names the call.
    pub tool_use_id: String,
    /// The path that made it ask.
    pub blocked_path: Option<String>,
    /// Why it asks, in words.
    pub decision_reason: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Raw<'a> {
    r#type: String,
    subtype: Option<String>,
    state: Option<String>,
    uuid: String,
    session_id: String,
    command_uuid: Option<String>,
    parent_tool_use_id: Option<String>,
    #[serde(rename = "isReplay")]
    replay: bool,
    request_id: Option<String>,
    tasks: Vec<serde::de::IgnoredAny>,
    error: Option<Value>,
    compact_metadata: Option<Value>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
}

/// Reads one line.
///
/// # Errors
/// [`Junk`], if it is no JSON object.
pub fn read(line: &str) -> Result<Line, Junk> {
    // A field of an unexpected type is no reason to lose the turn: the line then counts as unknown.
    let raw: Raw<'_> = match serde_json::from_str(line) {
        // A list would be read as one, field by field.
        Ok(raw) if line.trim_start().starts_with('{') => raw,
        Ok(_) => return Err(Junk(serde::de::Error::custom("it is a list"))),
        Err(_) if serde_json::from_str::<serde_json::Map<String, Value>>(line).is_ok() => {
            return Ok(Line::Other);
        }
        Err(error) => return Err(error.into()),
    };
    let names = [
        Some(&raw.uuid),
        Some(&raw.session_id),
        raw.command_uuid.as_ref(),
        raw.parent_tool_use_id.as_ref(),
        raw.request_id.as_ref(),
    ];
    if names.into_iter().flatten().any(|name| name.len() > NAME) {
        return Ok(Line::Other);
    }
    let subtype = raw.subtype.as_deref().unwrap_or_default();
    let known = match (raw.r#type.as_str(), subtype) {
        ("system", "init") => Some(Line::Init {
            session: raw.session_id,
        }),
        ("system", "session_state_changed") | ("session_state_changed", _) => {
            state(raw.state.as_deref().unwrap_or_default()).map(Line::State)
        }
        ("system", "background_tasks_changed") => Some(Line::Background(raw.tasks.len())),
        ("system", task) if task.starts_with("task_") => {
            serde_json::from_str(line).ok().map(Line::Task)
        }
        ("system", "api_retry") => serde_json::from_str(line).ok().map(Line::ApiRetry),
        ("system", "compact_boundary") => {
            let tokens = |key: &str| raw.compact_metadata.as_ref()?[key].as_u64();
            Some(Line::Compacted {
                before: tokens("pre_tokens").unwrap_or_default(),
                after: tokens("post_tokens").unwrap_or_default(),
            })
        }
        ("command_lifecycle", _) => raw.command_uuid.map(|prompt| Line::Command {
            prompt,
            started: raw.state.as_deref() == Some("started"),
        }),
        ("stream_event", _) if raw.parent_tool_use_id.is_none() => {
            raw.event.and_then(delta).map(Line::Delta)
        }
        ("assistant", _) => raw.message.and_then(message).map(|message| {
            Line::Assistant(Assistant {
                uuid: raw.uuid,
                message: message.id,
                model: message.model,
                read: [
                    "input_tokens",
                    "cache_creation_input_tokens",
                    "cache_read_input_tokens",
                ]
                .iter()
                .filter_map(|key| message.usage[*key].as_u64())
                .fold(0, u64::saturating_add),
                parts: message.content.into_parts(),
                sub: raw.parent_tool_use_id,
                error: raw
                    .error
                    .and_then(|error| error.as_str().map(str::to_owned)),
            })
        }),
        ("user", _) if raw.parent_tool_use_id.is_some() => {
            raw.parent_tool_use_id.map(|call| Line::Subagent { call })
        }
        ("user", _) if raw.replay => Some(Line::Echo { prompt: raw.uuid }),
        ("result", _) => serde_json::from_str::<RawResult>(line)
            .ok()
            .map(|r| Line::Result(r.into())),
        ("control_request", _) => raw.request_id.zip(raw.request).and_then(request),
        ("control_response", _) => Some(Line::Answer),
        ("control_cancel_request", _) => raw.request_id.map(|request| Line::Cancelled { request }),
        _ => None,
    };
    Ok(known.unwrap_or(Line::Other))
}

fn state(name: &str) -> Option<State> {
    match name {
        "running" => Some(State::Running),
        "requires_action" => Some(State::Asking),
        "idle" => Some(State::Idle),
        _ => None,
    }
}

fn delta(event: &RawValue) -> Option<Delta> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Event {
        r#type: String,
        delta: Piece,
        content_block: Piece,
        usage: Value,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Piece {
        r#type: String,
        text: String,
        thinking: String,
    }
    let event: Event = serde_json::from_str(event.get()).ok()?;
    match (event.r#type.as_str(), event.content_block.r#type.as_str()) {
        ("content_block_start", "text") => Some(Delta::TextBegins),
        ("content_block_start", "thinking" | "redacted_thinking") => Some(Delta::Thinking),
        ("content_block_delta", _) if event.delta.r#type == "text_delta" => {
            Some(Delta::Text(event.delta.text))
        }
        ("content_block_delta", _) if event.delta.r#type == "thinking_delta" => {
            Some(Delta::Thought(event.delta.thinking))
        }
        ("content_block_stop", _) => Some(Delta::BlockEnds),
        ("message_delta", _) => event.usage["output_tokens"].as_u64().map(Delta::Wrote),
        _ => None,
    }
}

fn message(message: &RawValue) -> Option<Message> {
    let message: Message = serde_json::from_str(message.get()).ok()?;
    (message.id.len() <= NAME && message.model.len() <= NAME).then_some(message)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawResult {
    uuid: String,
    subtype: String,
    is_error: bool,
    result: Option<String>,
    errors: Vec<Value>,
    api_error_status: Option<u64>,
    user_message_uuid: Option<String>,
    user_message_uuids: Vec<String>,
    origin: Option<Origin>,
    total_cost_usd: Value,
    #[serde(rename = "modelUsage")]
    models: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Origin {
    kind: String,
}

impl From<RawResult> for Ended {
    fn from(raw: RawResult) -> Ended {
        let errors = || {
            let words: Vec<&str> = raw.errors.iter().filter_map(Value::as_str).collect();
            words.join("\n")
        };
        let words = raw.result.clone().unwrap_or_else(errors);
        let mut prompts = raw.user_message_uuids;
        prompts.extend(raw.user_message_uuid);
        Ended {
            uuid: raw.uuid,
            subtype: raw.subtype,
            is_error: raw.is_error,
            words,
            status: raw.api_error_status,
            prompts,
            background: raw
                .origin
                .is_some_and(|origin| origin.kind == "task-notification"),
            cost_microusd: microusd(&raw.total_cost_usd),
            windows: raw
                .models
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(model, used)| Some((model.clone(), used["contextWindow"].as_u64()?)))
                .collect(),
        }
    }
}

/// Dollars as millionths; what is no sensible sum is 0.
pub(super) fn microusd(dollars: &Value) -> u64 {
    let sum = dollars.as_f64().unwrap_or_default() * 1e6;
    if sum.is_finite() && (0.0..1e15).contains(&sum) {
        // In range, as was just seen.
        sum.round() as u64
    } else {
        0
    }
}

fn request((id, request): (String, &RawValue)) -> Option<Line> {
    #[derive(Deserialize)]
    struct Kind {
        subtype: String,
    }
    #[derive(Deserialize)]
    struct Mcp {
        server_name: String,
        message: Value,
    }
    let Kind { subtype } = serde_json::from_str(request.get()).ok()?;
    if subtype == "mcp_message"
        && let Ok(Mcp {
            server_name,
            message,
        }) = serde_json::from_str(request.get())
    {
        return Some(Line::Mcp {
            request: id,
            server: server_name,
            message,
        });
    }
    if subtype == "can_use_tool"
        && let Ok(tool) = serde_json::from_str(request.get())
    {
        return Some(Line::MayUse { request: id, tool });
    }
    Some(Line::OtherRequest {
        request: id,
        subtype,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // pitfall: unknown output types are tolerated
    #[test]
    fn unknown_types_and_fields_are_passed_over() {
        for line in [
            r#"{"type":"florp","uuid":"u"}"#,
            r#"{"type":"system","subtype":"florp"}"#,
            r#"{"type":"system","subtype":"session_state_changed","state":"florp"}"#,
            r#"{"type":17}"#,
            r#"{}"#,
            r#"{"type":"stream_event","event":{"type":"ping"}}"#,
            r#"{"type":"assistant","message":"words"}"#,
        ] {
            assert_eq!(read(line).unwrap(), Line::Other, "{line}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_for_an_envelope_is_none() {
        let long = "u".repeat(300_000);
        for line in [
            format!(r#"{{"type":"assistant","uuid":"{long}","message":{{"content":"hi"}}}}"#),
            format!(
                r#"{{"type":"assistant","uuid":"u","message":{{"model":"{long}","content":"hi"}}}}"#
            ),
            format!(r#"{{"type":"control_cancel_request","request_id":"{long}"}}"#),
            format!(r#"{{"type":"user","isReplay":true,"uuid":"{long}"}}"#),
        ] {
            let short = line.replace(&long, "u");
            assert_ne!(read(&short).unwrap(), Line::Other, "{short}");
            assert_eq!(read(&line).unwrap(), Line::Other);
        }
    }

    // pitfall: user lines are tool results, replays and synthetic lines: only a replay says something
    #[test]
    fn of_user_lines_only_a_replay_is_an_echo() {
        let echo = r#"{"type":"user","isReplay":true,"uuid":"p","message":{"content":"hi"}}"#;
        assert_eq!(read(echo).unwrap(), Line::Echo { prompt: "p".into() });
        for line in [
            r#"{"type":"user","uuid":"u","message":{"content":[{"type":"tool_result","tool_use_id":"t"}]}}"#,
            r#"{"type":"user","uuid":"u","isSynthetic":true,"message":{"content":"[Request interrupted by user]"}}"#,
        ] {
            assert_eq!(read(line).unwrap(), Line::Other, "{line}");
        }
        let sub = r#"{"type":"user","parent_tool_use_id":"t","message":{"content":"do it"}}"#;
        assert_eq!(read(sub).unwrap(), Line::Subagent { call: "t".into() });
    }

    #[test]
    fn what_is_no_object_is_junk() {
        for line in [
            "",
            "   ",
            "Segmentation fault",
            "12",
            "[]",
            "\"x\"",
            "{",
            "\u{0}",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_result_says_what_it_answers() {
        let line = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":401,
            "result":"words","user_message_uuid":"p","uuid":"r"}"#;
        let Line::Result(ended) = read(line).unwrap() else {
            panic!()
        };
        assert!(ended.is_error && !ended.background);
        assert_eq!(
            (ended.status, ended.prompts),
            (Some(401), vec!["p".to_owned()])
        );
        let line = r#"{"type":"result","subtype":"success","result":null,"errors":["a","b"],
            "origin":{"kind":"task-notification"}}"#;
        let Line::Result(ended) = read(line).unwrap() else {
            panic!()
        };
        assert!(ended.background);
        assert_eq!(ended.words, "a\nb");
    }

    #[test]
    fn what_was_used_is_read_and_nonsense_is_nothing() {
        let line = r#"{"type":"result","subtype":"success","total_cost_usd":0.25,
            "modelUsage":{"m":{"contextWindow":200000},"n":{}}}"#;
        let Line::Result(ended) = read(line).unwrap() else {
            panic!()
        };
        assert_eq!(ended.cost_microusd, 250_000);
        assert_eq!(ended.windows, BTreeMap::from([("m".to_owned(), 200_000)]));
        for cost in ["-1", "1e300", "\"x\"", "null"] {
            let line = format!(r#"{{"type":"result","total_cost_usd":{cost},"modelUsage":3}}"#);
            let Line::Result(ended) = read(&line).unwrap() else {
                panic!("{line}")
            };
            assert_eq!((ended.cost_microusd, ended.windows.len()), (0, 0));
        }
        let line = r#"{"type":"assistant","message":{"model":"m","content":[],"usage":
            {"input_tokens":1,"cache_read_input_tokens":20,"cache_creation_input_tokens":300,"output_tokens":1}}}"#;
        let Line::Assistant(said) = read(line).unwrap() else {
            panic!()
        };
        assert_eq!((said.model.as_str(), said.read), ("m", 321));
    }

    // pitfall: stream_event: none for subagents, and one that came would be no text of the answer
    #[test]
    fn a_subagents_stream_is_not_shown() {
        let delta = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}"#;
        let own = format!(r#"{{"type":"stream_event","event":{delta},"parent_tool_use_id":null}}"#);
        assert_eq!(read(&own).unwrap(), Line::Delta(Delta::Text("x".into())));
        let sub = format!(r#"{{"type":"stream_event","event":{delta},"parent_tool_use_id":"t"}}"#);
        assert_eq!(read(&sub).unwrap(), Line::Other);
    }
}
