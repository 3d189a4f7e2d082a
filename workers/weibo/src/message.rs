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
    /// What could not be taken along, in words.
    pub(crate) left_out: Vec<String>,
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

/// The payload's id: its own, or a hash over who, what and when.
pub(crate) fn id(payload: &Value) -> String {
    payload
        .get("messageId")
        .and_then(id_text)
        .unwrap_or_else(|| {
            let mut hasher = Sha256::new();
            for key in ["fromUserId", "text", "timestamp", "input"] {
                let value = payload.get(key).map(Value::to_string).unwrap_or_default();
                hasher.update((value.len() as u64).to_be_bytes());
                hasher.update(value);
            }
            let hash: String = hasher
                .finalize()
                .iter()
                .take(16)
                .map(|b| format!("{b:02x}"))
                .collect();
            format!("hash-{hash}")
        })
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

fn milliseconds(value: Option<&Value>) -> u64 {
    let number = match value {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    // A cast from a float saturates: nonsense becomes 0 or very late, both harmless.
    number.map_or(0, |number| number as u64)
}

impl Message {
    fn take_text(&mut self, mut text: String) {
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            self.left_out
                .push(format!("the text beyond {} KiB", MAX_TEXT / 1024));
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
            "not jpeg, png, gif or webp".to_owned()
        } else if self.files.len() >= MOST_FILES {
            format!("more than {MOST_FILES} files at once")
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
            self.left_out.push(format!("{name}: {why}"));
        }
    }
}

fn decode(source: &Value, largest: usize) -> Result<Vec<u8>, String> {
    let too_large = || format!("over {} MiB", largest >> 20);
    let data = source
        .get("data")
        .and_then(Value::as_str)
        .ok_or("it came without content")?;
    // Four letters are three bytes: what cannot fit is not decoded.
    if data.len() / 4 * 3 > largest + 3 {
        return Err(too_large());
    }
    let bytes = BASE64.decode(data).map_err(|_| "its content is damaged")?;
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
        read(payload, sender(payload).unwrap(), id(payload))
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
        assert_eq!(id(&json!({"messageId": 12345})), "12345");
        let without = json!({"fromUserId": 1, "text": "x", "timestamp": 5});
        assert_eq!(id(&without), id(&without.clone()));
        assert!(id(&without).starts_with("hash-"));
        for other in [
            json!({"fromUserId": 2, "text": "x", "timestamp": 5}),
            json!({"fromUserId": 1, "text": "y", "timestamp": 5}),
            json!({"fromUserId": 1, "text": "x", "timestamp": 6}),
            json!({"fromUserId": 1, "text": "x", "timestamp": 5, "input": [1]}),
        ] {
            assert_ne!(id(&without), id(&other));
        }
        assert_eq!(sender(&json!({"text": "x"})), None);
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
        assert_eq!(message.left_out, expected);
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
