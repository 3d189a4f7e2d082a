//! The frames on the WebSocket: what the server sends, told apart, and what is sent to it. Pure.
//!
//! Certain are `message` and the bare text `pong`; `connected`, `system`, `ack` and `error` are
//! tolerated. Whatever else comes is skipped.

use serde::Serialize;
use serde_json::Value;

use crate::veil::Veil;

/// The longest id that is taken as it is, in bytes.
const LONGEST_ID: usize = 100;
/// Below this every whole number has a float of its own.
const EXACT: f64 = 9.0e15;
/// The longest piece of the server's own words that is passed on, in characters.
const LONGEST_WORDS: usize = 200;

/// A text frame from the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// A sign of life, in any form.
    Pong,
    /// Asks for one.
    Ping,
    /// Somebody said something: the payload.
    Message(Value),
    /// The server says that something went wrong, in its words.
    Error(String),
    /// `connected`, `system`, `ack`: nothing to do.
    Noted(String),
    /// Of no known type, or no JSON at all: a word for the log, without content.
    Junk(String),
}

/// Tells a text frame apart. `veil` covers what the server may repeat.
pub(crate) fn read(text: &str, veil: &Veil) -> Frame {
    let bare = text.trim();
    if bare.eq_ignore_ascii_case("pong") {
        return Frame::Pong;
    }
    if bare.eq_ignore_ascii_case("ping") {
        return Frame::Ping;
    }
    let Ok(Value::Object(mut frame)) = serde_json::from_str::<Value>(bare) else {
        return Frame::Junk(format!("{} bytes that are no JSON object", text.len()));
    };
    let kind = frame
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    match kind.as_str() {
        "pong" => Frame::Pong,
        "ping" => Frame::Ping,
        "message" => match frame.remove("payload") {
            Some(payload @ Value::Object(_)) => Frame::Message(payload),
            _ => Frame::Junk("a message without a payload".into()),
        },
        "error" => {
            let words = ["message", "error", "code"]
                .iter()
                .find_map(|k| frame.get(*k));
            let words = words.map(Value::to_string).unwrap_or_default();
            Frame::Error(veil.line(&words, LONGEST_WORDS))
        }
        "connected" | "system" | "ack" => Frame::Noted(kind),
        "" => Frame::Junk("an object without a type".into()),
        _ => Frame::Junk(format!(
            "the unknown type `{}`",
            veil.line(&kind, LONGEST_WORDS)
        )),
    }
}

/// An id that may come as a text or as a number; `None` if there is none, or none of use.
pub(crate) fn id_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => match number.as_f64() {
            // Past this a float stands for many whole numbers: two things would have one name.
            Some(float) if number.is_f64() && float.abs() >= EXACT => return None,
            // A number that went through a float still names the same thing.
            Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        _ => return None,
    };
    (!text.is_empty() && text.len() <= LONGEST_ID).then_some(text)
}

/// The heartbeat.
pub(crate) const PING: &str = r#"{"type":"ping"}"#;
/// The answer to the server's own.
pub(crate) const PONG: &str = r#"{"type":"pong"}"#;

/// A piece of a reply on its way to a person. All fields are always written: a `chunkId` of 0 and a
/// `done` of false must be on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendMessage {
    /// The person.
    pub(crate) to_user_id: String,
    /// What is added to the message; not the whole of it.
    pub(crate) text: String,
    /// Names the message; made here.
    pub(crate) message_id: String,
    /// From 0, rising by 1.
    pub(crate) chunk_id: u32,
    /// Whether this is the last piece.
    pub(crate) done: bool,
}

impl SendMessage {
    /// The frame's text.
    pub(crate) fn to_text(&self) -> String {
        #[derive(Serialize)]
        struct Outer<'a> {
            r#type: &'static str,
            payload: &'a SendMessage,
        }
        // Strings and numbers always make JSON.
        serde_json::to_string(&Outer {
            r#type: "send_message",
            payload: self,
        })
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Frame {
        read(text, &Veil::default())
    }

    #[test]
    fn every_form_of_pong_is_a_pong() {
        for text in [
            "pong",
            "PONG",
            " pong\n",
            r#"{"type":"pong"}"#,
            r#"{"type":"pong","x":1}"#,
        ] {
            assert_eq!(of(text), Frame::Pong, "{text}");
        }
        assert_eq!(of(r#"{"type":"ping"}"#), Frame::Ping);
        assert_eq!(of("ping"), Frame::Ping);
    }

    #[test]
    fn known_types_are_told_apart_and_junk_is_junk() {
        assert_eq!(
            of(r#"{"type":"message","payload":{"a":1}}"#),
            Frame::Message(json!({"a":1}))
        );
        assert_eq!(of(r#"{"type":"ack"}"#), Frame::Noted("ack".into()));
        assert_eq!(
            of(r#"{"type":"error","message":"a\nb"}"#),
            Frame::Error(r#""a\nb""#.into())
        );
        for junk in [
            "",
            "{",
            "[]",
            "3",
            "null",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"message"}"#,
            r#"{"type":"message","payload":3}"#,
            r#"{"type":"from_the_future"}"#,
        ] {
            assert!(matches!(of(junk), Frame::Junk(_)), "{junk}");
        }
    }

    #[test]
    fn ids_come_in_all_forms() {
        let ids = [
            json!("a"),
            json!(5),
            json!(5.0),
            json!(1.5),
            json!(6_012_345_678_901_u64),
            json!(" x "),
        ];
        let texts: Vec<_> = ids.iter().map(|id| id_text(id).unwrap()).collect();
        assert_eq!(texts, ["a", "5", "5", "1.5", "6012345678901", "x"]);
        for none in [
            json!(null),
            json!(""),
            json!(" "),
            json!([]),
            json!("x".repeat(101)),
            json!(1.8e19),
        ] {
            assert_eq!(id_text(&none), None);
        }
    }

    #[test]
    fn zero_and_false_are_on_the_wire() {
        let frame = SendMessage {
            to_user_id: "1".into(),
            text: "a\"b".into(),
            message_id: "m".into(),
            chunk_id: 0,
            done: false,
        };
        let expected = r#"{"type":"send_message","payload":{"toUserId":"1","text":"a\"b","messageId":"m","chunkId":0,"done":false}}"#;
        assert_eq!(frame.to_text(), expected);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".*") {
            let _ = of(&text);
        }
    }
}
