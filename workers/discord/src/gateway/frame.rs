//! The frames of the gateway, read and written. Pure.
//!
//! The outer map is read by ourselves and the body left as it came: a body that is not as
//! documented costs that one event.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

/// Discord closes with 4002 at a larger frame, in bytes.
const LARGEST: usize = 4096;

/// What came.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    /// Op 0.
    Dispatch {
        seq: u64,
        name: Cow<'a, str>,
        data: &'a str,
    },
    /// Op 10.
    Hello { interval: Duration },
    /// Op 11.
    Ack,
    /// Op 1: beat at once.
    BeatNow,
    /// Op 7: please reconnect.
    Reconnect,
    /// Op 9, and whether the session can be resumed.
    Invalid { resumable: bool },
    /// An op that means nothing here.
    Other(u64),
}

/// What came is no frame, or half of one. `seq`: its sequence, where that could be made out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Junk {
    pub(crate) seq: Option<u64>,
}

#[derive(Deserialize)]
struct Outer<'a> {
    op: u64,
    #[serde(default)]
    s: Option<u64>,
    #[serde(borrow, default)]
    t: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

/// Reads a text frame.
///
/// # Errors
/// [`Junk`]; to be skipped.
pub(crate) fn read(text: &str) -> Result<Frame<'_>, Junk> {
    let Ok(outer) = serde_json::from_str::<Outer<'_>>(text) else {
        return Err(Junk { seq: salvage(text) });
    };
    let data = outer.d.map_or("null", RawValue::get);
    Ok(match (outer.op, outer.s, outer.t) {
        (0, Some(seq), Some(name)) => Frame::Dispatch { seq, name, data },
        (0, seq, _) => return Err(Junk { seq }),
        (1, ..) => Frame::BeatNow,
        (7, ..) => Frame::Reconnect,
        (9, ..) => Frame::Invalid {
            resumable: data == "true",
        },
        (10, ..) => {
            #[derive(Deserialize)]
            struct Hello {
                heartbeat_interval: u64,
            }
            let hello: Hello = serde_json::from_str(data).map_err(|_| Junk { seq: None })?;
            Frame::Hello {
                interval: Duration::from_millis(hello.heartbeat_interval),
            }
        }
        (11, ..) => Frame::Ack,
        (op, ..) => Frame::Other(op),
    })
}

/// The sequence of an event whose body is no JSON: Discord writes the body last.
fn salvage(text: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Head {
        op: u64,
        s: Option<u64>,
    }
    let (head, _) = text.split_once(",\"d\":")?;
    let head: Head = serde_json::from_str(&format!("{head}}}")).ok()?;
    head.s.filter(|_| head.op == 0)
}

/// Op 1.
pub(crate) fn heartbeat(seq: u64) -> String {
    // `null` before any event.
    let seq = (seq > 0).then_some(seq);
    json!({"op": 1, "d": seq}).to_string()
}

/// Op 2; `None` if the token makes it too long.
pub(crate) fn identify(token: &str, intents: u64) -> Option<String> {
    let properties = json!({"os": "linux", "browser": "bulkhead", "device": "bulkhead"});
    let data = json!({"token": token, "intents": intents, "properties": properties});
    fits(json!({"op": 2, "d": data}).to_string())
}

/// Op 6; `None` if it is too long.
pub(crate) fn resume(token: &str, session: &str, seq: u64) -> Option<String> {
    fits(json!({"op": 6, "d": {"token": token, "session_id": session, "seq": seq}}).to_string())
}

fn fits(frame: String) -> Option<String> {
    (frame.len() <= LARGEST).then_some(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_op_is_told_apart() {
        let dispatch = r#"{"t":"MESSAGE_CREATE","s":5,"op":0,"d":{"id":"1"}}"#;
        assert!(matches!(
            read(dispatch),
            Ok(Frame::Dispatch {
                seq: 5,
                data: r#"{"id":"1"}"#,
                ..
            })
        ));
        let hello = r#"{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250,"_trace":[]}}"#;
        assert!(
            matches!(read(hello), Ok(Frame::Hello { interval }) if interval.as_millis() == 41_250)
        );
        assert!(matches!(read(r#"{"op":11}"#), Ok(Frame::Ack)));
        assert!(matches!(read(r#"{"op":1,"d":null}"#), Ok(Frame::BeatNow)));
        assert!(matches!(read(r#"{"op":7,"d":null}"#), Ok(Frame::Reconnect)));
        assert!(matches!(
            read(r#"{"op":9,"d":true}"#),
            Ok(Frame::Invalid { resumable: true })
        ));
        assert!(matches!(
            read(r#"{"op":9}"#),
            Ok(Frame::Invalid { resumable: false })
        ));
        assert!(matches!(read(r#"{"op":99}"#), Ok(Frame::Other(99))));
    }

    #[test]
    fn junk_keeps_its_sequence_where_it_has_one() {
        let broken = r#"{"t":"MESSAGE_CREATE","s":7,"op":0,"d":not json at all}"#;
        assert_eq!(read(broken).unwrap_err(), Junk { seq: Some(7) });
        for text in [
            "",
            "hello",
            "[]",
            r#"{"op":10,"d":{}}"#,
            r#"{"op":0,"t":"X"}"#,
            "{\"s\":7,\"d\":",
        ] {
            assert_eq!(read(text).unwrap_err(), Junk { seq: None }, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_as_documented() {
        let heard = |frame: String| serde_json::from_str::<serde_json::Value>(&frame).unwrap();
        assert_eq!(heard(heartbeat(0)), json!({"op": 1, "d": null}));
        assert_eq!(heard(heartbeat(7)), json!({"op": 1, "d": 7}));
        let identify = identify("tok", 37_377).unwrap();
        assert!(identify.contains(r#""intents":37377"#) && identify.contains(r#""token":"tok""#));
        assert!(super::identify(&"x".repeat(5000), 1).is_none());
        assert!(resume("tok", "abc", 9).unwrap().contains(r#""seq":9"#));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_panic(text in "\\PC{0,200}") {
            let _ = read(&text);
        }
    }
}
