//! A person's message out of the payload of a `message` frame. Pure.
//!
//! The text is that of the `input_text` parts, joined by line ends, else the payload's own `text`.
//! Ids come as text, as a number or not at all. Unknown parts are passed over.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ipc_schema::MAX_TEXT;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use worker_kit::Missing;

use crate::frame::id_text;

/// The largest picture, decoded.
pub(crate) const LARGEST_IMAGE: usize = 10 << 20;
/// The largest file, decoded.
pub(crate) const LARGEST_FILE: usize = 5 << 20;
/// The most files of one message.
const MOST_FILES: usize = 16;
const IMAGE_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What somebody said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// The platform's id, or a hash of the content if it gave none.
    pub(crate) id: String,
    /// Who.
    pub(crate) from: String,
    /// What; at most [`MAX_TEXT`].
    pub(crate) text: String,
    /// Files.
    pub(crate) files: Vec<File>,
    /// What could not be taken along.
    pub(crate) left_out: Vec<Missing>,
    /// Milliseconds since 1970; 0 = not said.
    pub(crate) sent_at_ms: u64,
}

/// A file that came along.
#[derive(Clone, PartialEq)]
pub(crate) struct File {
    /// As the sender named it.
    pub(crate) name: String,
    /// Media type.
    pub(crate) mime: String,
    /// Content.
    pub(crate) bytes: Vec<u8>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "File({} {}, {} bytes)",
            self.name,
            self.mime,
            self.bytes.len()
        )
    }
}

/// Who wrote a payload, if it says so; cheap, so that it can be asked before anything is decoded.
pub(crate) fn sender(payload: &Value) -> Option<String> {
    payload.get("fromUserId").and_then(id_text)
}

/// What names a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// The platform's id, or a hash over who, what and when: the same again is a repeat.
    Certain(String),
    /// There is neither an id nor a time. The same again may be a repeat, or the same words said
    /// once more; only the moment tells.
    Doubtful(String),
}

/// The payload's name: its own id, else a hash.
pub(crate) fn name(payload: &Value) -> Name {
    if let Some(id) = payload.get("messageId").and_then(id_text) {
        return Name::Certain(id);
    }
    let mut hasher = Sha256::new();
    // The id is among them: one that is of no use as it is (too long, too large for a number)
    // still tells two messages apart.
    for key in ["messageId", "fromUserId", "text", "timestamp", "input"] {
        let value = payload.get(key).filter(|value| !value.is_null());
        let value = value.map(Value::to_string).unwrap_or_default();
        hasher.update((value.len() as u64).to_be_bytes());
        hasher.update(value);
    }
    let hash: String = hasher
        .finalize()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect();
    let has = |key: &str| payload.get(key).is_some_and(|value| !value.is_null());
    let name = format!("hash-{hash}");
    if has("messageId") || has("timestamp") {
        Name::Certain(name)
    } else {
        Name::Doubtful(name)
    }
}

/// Reads a payload whose sender and id are known.
pub(crate) fn read(payload: &Value, from: String, id: String) -> Message {
    let mut message = Message {
        id,
        from,
        text: String::new(),
        files: Vec::new(),
        left_out: Vec::new(),
        sent_at_ms: milliseconds(payload.get("timestamp")),
    };
    let mut texts = Vec::new();
    for part in parts(payload) {
        match part.get("type").and_then(Value::as_str) {
            Some("input_text") => texts.extend(part.get("text").and_then(Value::as_str)),
            Some("input_image") => message.attach(part, "image", LARGEST_IMAGE),
            Some("input_file") => message.attach(part, "file", LARGEST_FILE),
            _ => {}
        }
    }
    let text = texts.join("\n");
    let text = match payload.get("text").and_then(Value::as_str) {
        Some(own) if text.is_empty() => own.to_owned(),
        _ => text,
    };
    message.take_text(text);
    message
}

/// The parts of every item of the user's.
fn parts(payload: &Value) -> impl Iterator<Item = &Value> {
    let items = payload
        .get("input")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let users = items.filter(|item| {
        item.get("role")
            .and_then(Value::as_str)
            .is_none_or(|role| role == "user")
    });
    users
        .filter_map(|item| item.get("content")?.as_array())
        .flatten()
}

/// Milliseconds since 1970; 0 = not said. Seconds and microseconds are told by their size.
fn milliseconds(value: Option<&Value>) -> u64 {
    let number = match value {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let number = match number.unwrap_or(0.0) {
        seconds if seconds < 1.0e11 => seconds * 1000.0,
        microseconds if microseconds >= 1.0e14 => microseconds / 1000.0,
        milliseconds => milliseconds,
    };
    // A cast from a float saturates: nonsense becomes 0 or very late, both harmless.
    number as u64
}

impl Message {
    fn take_text(&mut self, mut text: String) {
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            let most = MAX_TEXT / 1024;
            self.left_out.push(Missing::new(
                format!("the text beyond {most} KiB"),
                format!("超出 {most} KiB 的文字"),
            ));
        }
        self.text = text;
    }

    fn attach(&mut self, part: &Value, kind: &str, largest: usize) {
        let text = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str).unwrap_or_default();
            text.chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect::<String>()
        };
        let source = part.get("source").unwrap_or(&Value::Null);
        let mime = text(source.get("media_type"));
        let name = match text(part.get("filename")) {
            name if name.is_empty() => kind.to_owned(),
            name => name,
        };
        let why = if kind == "image" && !IMAGE_TYPES.contains(&mime.as_str()) {
            Missing::new(
                "not jpeg, png, gif or webp",
                "不是 jpeg、png、gif 或 webp 图片",
            )
        } else if self.files.len() >= MOST_FILES {
            Missing::new(
                format!("more than {MOST_FILES} files at once"),
                format!("一次超过 {MOST_FILES} 个文件"),
            )
        } else {
            match decode(source, largest) {
                Ok(bytes) => {
                    self.files.push(File { name, mime, bytes });
                    return;
                }
                Err(why) => why,
            }
        };
        if self.left_out.len() < MOST_FILES {
            self.left_out.push(why.of(&name, &name));
        }
    }
}

fn decode(source: &Value, largest: usize) -> Result<Vec<u8>, Missing> {
    let most = largest >> 20;
    let too_large = || Missing::new(format!("over {most} MiB"), format!("超过 {most} MiB"));
    let data = source
        .get("data")
        .and_then(Value::as_str)
        .ok_or_else(|| Missing::new("it came without content", "没有内容"))?;
    // Four letters are three bytes: what cannot fit is not decoded.
    if data.len() / 4 * 3 > largest + 3 {
        return Err(too_large());
    }
    let bytes = BASE64
        .decode(data)
        .map_err(|_| Missing::new("its content is damaged", "内容已损坏"))?;
    if bytes.len() > largest {
        Err(too_large())
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    fn of(payload: &Value) -> Message {
        read(payload, sender(payload).unwrap(), "m".into())
    }

    fn with_parts(parts: Value) -> Value {
        json!({"messageId": "m", "fromUserId": "1", "text": "own", "timestamp": 1.5e12,
            "input": [{"type": "message", "role": "user", "content": parts}]})
    }

    fn image(mime: &str, bytes: usize) -> Value {
        json!({"type": "input_image", "filename": "a.png", "source":
            {"type": "base64", "media_type": mime, "data": STANDARD.encode(vec![7; bytes])}})
    }

    #[test]
    fn text_comes_from_the_parts_else_from_the_payload() {
        let parts = json!([{"type": "input_text", "text": "a"}, {"type": "new"},
            {"type": "input_text", "text": "b"}]);
        let message = of(&with_parts(parts));
        assert_eq!(
            (message.text.as_str(), message.sent_at_ms),
            ("a\nb", 1_500_000_000_000)
        );
        assert_eq!(of(&with_parts(json!([]))).text, "own");
        assert_eq!(of(&json!({"fromUserId": 5, "text": "x"})).from, "5");
        let system = json!({"fromUserId": 1, "text": "own", "input": [
            {"role": "system", "content": [{"type": "input_text", "text": "not theirs"}]}]});
        assert_eq!(of(&system).text, "own");
    }

    #[test]
    fn ids_are_theirs_or_a_stable_hash() {
        let certain = |payload: &Value| match name(payload) {
            Name::Certain(id) => id,
            Name::Doubtful(_) => panic!("{payload}"),
        };
        assert_eq!(certain(&json!({"messageId": 12345})), "12345");
        assert_eq!(certain(&json!({"messageId": " x "})), "x");
        let without = json!({"fromUserId": 1, "text": "x", "timestamp": 5});
        assert_eq!(certain(&without), certain(&without.clone()));
        assert!(certain(&without).starts_with("hash-"));
        for other in [
            json!({"fromUserId": 2, "text": "x", "timestamp": 5}),
            json!({"fromUserId": 1, "text": "y", "timestamp": 5}),
            json!({"fromUserId": 1, "text": "x", "timestamp": 6}),
            json!({"fromUserId": 1, "text": "x", "timestamp": 5, "input": [1]}),
        ] {
            assert_ne!(certain(&without), certain(&other));
        }
        assert_eq!(sender(&json!({"text": "x"})), None);
    }

    #[test]
    fn an_id_that_is_of_no_use_still_tells_messages_apart() {
        let long = |end: &str| json!({"messageId": "x".repeat(200) + end, "text": "t"});
        // Past what a number can hold, neighbours read as the same number.
        let big: Value = serde_json::from_str(r#"{"messageId":98765432109876543210}"#).unwrap();
        assert!(matches!(name(&big), Name::Certain(id) if id.starts_with("hash-")));
        assert_eq!(name(&long("1")), name(&long("1")));
        assert_ne!(name(&long("1")), name(&long("2")));
    }

    #[test]
    fn without_an_id_and_a_time_a_repeat_is_in_doubt() {
        let bare = json!({"fromUserId": 1, "text": "go on", "messageId": null});
        assert!(matches!(name(&bare), Name::Doubtful(_)));
        assert_eq!(
            name(&bare),
            name(&json!({"fromUserId": 1, "text": "go on"}))
        );
    }

    #[test]
    fn times_come_in_seconds_milliseconds_and_microseconds_as_anything() {
        let now = 1_776_632_033_273;
        for (time, milliseconds) in [
            (json!(1_776_632_033_273_u64), now),
            (json!(1_776_632_033_273.4), now),
            (json!("1776632033273"), now),
            (json!(1_776_632_033.273), now),
            (json!(1_776_632_033_273_999_u64), now),
            (json!(-5), 0),
            (json!("yesterday"), 0),
            (json!(null), 0),
            (json!({}), 0),
        ] {
            assert_eq!(super::milliseconds(Some(&time)), milliseconds, "{time}");
        }
        assert_eq!(super::milliseconds(None), 0);
    }

    #[test]
    fn files_are_taken_within_their_limits_and_the_rest_is_named() {
        let big = json!({"type": "input_file", "filename": "b.bin", "source":
            {"media_type": "application/zip", "data": STANDARD.encode(vec![7; LARGEST_FILE + 1])}});
        let damaged = json!({"type": "input_file", "source": {"data": "***"}});
        let parts = json!([image("image/png", LARGEST_IMAGE), image("image/bmp", 1),
            image("image/png", LARGEST_IMAGE + 1), big, damaged, {"type": "input_file"}]);
        let message = of(&with_parts(parts));
        assert_eq!(message.files.len(), 1);
        assert_eq!(message.files[0].bytes.len(), LARGEST_IMAGE);
        let expected = [
            "a.png: not jpeg, png, gif or webp",
            "a.png: over 10 MiB",
            "b.bin: over 5 MiB",
            "file: its content is damaged",
            "file: it came without content",
        ];
        let english: Vec<_> = message.left_out.iter().map(|it| it.en.as_str()).collect();
        assert_eq!(english, expected);
        let chinese = |it: &Missing| !it.zh.is_ascii();
        assert!(message.left_out.iter().all(chinese));
    }

    #[test]
    fn a_message_may_be_nothing_but_a_file_and_a_text_has_an_end() {
        let mut only = with_parts(json!([image("image/png", 3)]));
        only["text"] = json!(null);
        let message = of(&only);
        assert_eq!((message.text.as_str(), message.files.len()), ("", 1));
        let long = of(&json!({"fromUserId": 1, "text": "长".repeat(MAX_TEXT)}));
        assert!(long.text.len() <= MAX_TEXT && long.text.ends_with('长'));
        assert_eq!(long.left_out.len(), 1);
    }
}
