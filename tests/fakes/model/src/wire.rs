//! What the Messages API sends: server-sent events, whole messages, errors.
//!
//! Promises: pure; the shapes of the API's documentation ("Streaming messages", "Errors").
//! Does not: count tokens truly. A token is taken for four characters.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::script::{Message, Point, Script, ToolCall, Trouble};

/// Characters of a text in one delta.
const DELTA: usize = 40;

/// A step of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Beat {
    /// An event to send.
    Event(Value),
    /// Stop here until released, if this turn has not been held here before.
    Hold(Point),
    /// A pause.
    Pause(Duration),
    /// The connection is cut.
    Cut,
}

/// `PREFIX_` and 24 hexadecimal digits, as the API's ids look.
#[must_use]
pub fn id(prefix: &str) -> String {
    let hex = Uuid::new_v4().simple().to_string();
    format!("{prefix}_{}", &hex[..24])
}

/// The body of an error answer.
pub(crate) fn error(trouble: Trouble, words: &str, request: &str) -> Value {
    json!({
        "type": "error",
        "error": { "type": trouble.kind(), "message": words },
        "request_id": request,
    })
}

/// What a real model signs its thinking with; opaque.
const SIGNATURE: &str = "c2lnbmVk";

fn tokens(text: &str) -> usize {
    text.len().div_ceil(4).max(1)
}

fn spoken(message: &Message) -> usize {
    let called = message
        .tool
        .iter()
        .map(|call| tokens(&call.input.to_string()));
    message
        .texts
        .iter()
        .map(|text| tokens(text))
        .chain(called)
        .sum()
}

fn usage(asked: usize, said: usize) -> Value {
    json!({ "input_tokens": asked, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": said })
}

fn stop_reason(message: &Message) -> &'static str {
    if message.tool.is_some() {
        "tool_use"
    } else {
        "end_turn"
    }
}

fn call_block(call: &ToolCall, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": id("toolu"), "name": call.name, "input": input })
}

/// An answer in one piece.
pub(crate) fn whole(model: &str, message: &Message, asked: usize) -> Value {
    let thoughts = message
        .thoughts
        .iter()
        .map(|text| json!({ "type": "thinking", "thinking": text, "signature": SIGNATURE }));
    let texts = message
        .texts
        .iter()
        .map(|text| json!({ "type": "text", "text": text }));
    let calls = message
        .tool
        .iter()
        .map(|call| call_block(call, &call.input));
    json!({
        "id": id("msg"), "type": "message", "role": "assistant", "model": model,
        "content": thoughts.chain(texts).chain(calls).collect::<Vec<_>>(),
        "stop_reason": stop_reason(message), "stop_sequence": null,
        "usage": usage(asked, spoken(message)),
    })
}

/// A streamed answer. Holds of a whole turn: the first delta is that of its first message, the end that of its last.
pub(crate) fn streamed(
    model: &str,
    message: &Message,
    script: &Script,
    first: bool,
    asked: usize,
) -> Vec<Beat> {
    let mut beats = vec![
        Beat::Event(json!({ "type": "message_start", "message": {
            "id": id("msg"), "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage(asked, 1),
        } })),
        Beat::Event(json!({ "type": "ping" })),
    ];
    let mut delta_seen = false;
    let mut delta = |beats: &mut Vec<Beat>, index: usize, delta: Value| {
        beats.push(Beat::Event(
            json!({ "type": "content_block_delta", "index": index, "delta": delta }),
        ));
        beats.extend(script.pace.map(Beat::Pause));
        if !delta_seen && first {
            beats.push(Beat::Hold(Point::FirstDelta));
        }
        if !delta_seen && script.dropped {
            beats.push(Beat::Cut);
        }
        delta_seen = true;
    };
    for (index, text) in message.thoughts.iter().enumerate() {
        beats.push(Beat::Event(
            json!({ "type": "content_block_start", "index": index,
            "content_block": { "type": "thinking", "thinking": "", "signature": "" } }),
        ));
        for piece in pieces(text) {
            beats.push(Beat::Event(
                json!({ "type": "content_block_delta", "index": index,
                "delta": { "type": "thinking_delta", "thinking": piece } }),
            ));
        }
        beats.push(Beat::Event(
            json!({ "type": "content_block_delta", "index": index,
            "delta": { "type": "signature_delta", "signature": SIGNATURE } }),
        ));
        beats.push(Beat::Event(
            json!({ "type": "content_block_stop", "index": index }),
        ));
    }
    let thought = message.thoughts.len();
    for (index, text) in (thought..).zip(&message.texts) {
        beats.push(Beat::Event(
            json!({ "type": "content_block_start", "index": index,
            "content_block": { "type": "text", "text": "" } }),
        ));
        for piece in pieces(text) {
            delta(
                &mut beats,
                index,
                json!({ "type": "text_delta", "text": piece }),
            );
        }
        beats.push(Beat::Event(
            json!({ "type": "content_block_stop", "index": index }),
        ));
    }
    if let Some(call) = &message.tool {
        let index = thought + message.texts.len();
        beats.push(Beat::Event(
            json!({ "type": "content_block_start", "index": index,
            "content_block": call_block(call, &json!({})) }),
        ));
        let input = call.input.to_string();
        delta(
            &mut beats,
            index,
            json!({ "type": "input_json_delta", "partial_json": input }),
        );
        beats.push(Beat::Event(
            json!({ "type": "content_block_stop", "index": index }),
        ));
    } else {
        beats.push(Beat::Hold(Point::BeforeResult));
    }
    beats.push(Beat::Event(json!({ "type": "message_delta",
        "delta": { "stop_reason": stop_reason(message), "stop_sequence": null },
        "usage": { "output_tokens": spoken(message) } })));
    beats.push(Beat::Event(json!({ "type": "message_stop" })));
    beats
}

/// Pieces of a text as deltas bring them, never inside a character.
#[must_use]
pub fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(DELTA)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// An event in the format of `text/event-stream`.
pub(crate) fn event(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap_or("error");
    format!("event: {kind}\ndata: {event}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(beats: &[Beat]) -> Vec<String> {
        let name = |beat: &Beat| match beat {
            Beat::Event(event) => event["type"].as_str().unwrap_or("?").to_owned(),
            Beat::Hold(point) => format!("hold {point}"),
            Beat::Pause(_) => "pause".to_owned(),
            Beat::Cut => "cut".to_owned(),
        };
        beats.iter().map(name).collect()
    }

    #[test]
    fn a_stream_has_the_documented_order() {
        let script = Script::parse("#say hello\n#tool Bash ls");
        let beats = streamed("m", &script.message(&[]), &script, true, 1);
        let expected = [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "hold first-delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ];
        assert_eq!(kinds(&beats), expected);
    }

    #[test]
    fn the_last_message_can_be_held_before_its_end() {
        let script = Script::parse("hello");
        let beats = streamed("m", &script.message(&[]), &script, false, 1);
        let kinds = kinds(&beats);
        let expected = [
            "content_block_stop",
            "hold before-result",
            "message_delta",
            "message_stop",
        ];
        assert_eq!(kinds[kinds.len() - 4..], expected);
        assert!(!kinds.contains(&"hold first-delta".to_owned()));
    }

    #[test]
    fn a_drop_cuts_after_the_first_delta() {
        let script = Script::parse("#drop\n#chars 90");
        let kinds = kinds(&streamed("m", &script.message(&[]), &script, true, 1));
        let cut = kinds.iter().position(|kind| kind == "cut").expect("a cut");
        assert_eq!(
            kinds[..cut]
                .iter()
                .filter(|kind| *kind == "content_block_delta")
                .count(),
            1
        );
    }

    #[test]
    fn pieces_make_the_text_again() {
        let text = "ä".repeat(95);
        assert_eq!(pieces(&text).len(), 3);
        assert_eq!(pieces(&text).concat(), text);
    }
}
