//! What people see: chunks grow into messages, by the rules of the protocol.

use std::collections::HashMap;

use fake_kit::Entry;
use serde::Serialize;
use serde_json::Value;

/// A piece that appeared on somebody's phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Whose.
    pub uid: String,
    /// In which message.
    pub message_id: String,
    /// What was added.
    pub text: String,
    /// Whether the message is finished by it.
    pub done: bool,
}

/// A message as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bubble {
    /// Its id.
    pub message_id: String,
    /// Its text so far.
    pub text: String,
    /// Of how many chunks.
    pub chunks: usize,
    /// Whether it is finished.
    pub done: bool,
}

/// What is known of every message that was begun.
#[derive(Debug, Default)]
pub struct Phone {
    /// The next `chunkId`, by person and message; absent once it is finished.
    messages: HashMap<(String, String), Option<u64>>,
}

/// A chunk that is in order.
pub(crate) struct Chunk {
    pub(crate) shown: Shown,
    pub(crate) chunk_id: u64,
}

impl Phone {
    /// Takes the payload of a `send_message`, or says which rule it breaks.
    pub(crate) fn take(&mut self, payload: &Value) -> Result<Chunk, String> {
        let text = |key: &str| {
            let value = payload.get(key).and_then(Value::as_str);
            value
                .map(String::from)
                .ok_or_else(|| format!("send_message without the text `{key}`"))
        };
        let (uid, message_id, words) = (text("toUserId")?, text("messageId")?, text("text")?);
        if uid.is_empty() || message_id.is_empty() {
            return Err("send_message to nobody, or without a name".into());
        }
        let chunk_id = payload.get("chunkId").and_then(Value::as_u64);
        let chunk_id = chunk_id.ok_or("send_message without the number `chunkId`")?;
        let done = payload.get("done").and_then(Value::as_bool);
        let done = done.ok_or("send_message without `done`")?;
        let next = self
            .messages
            .entry((uid.clone(), message_id.clone()))
            .or_insert(Some(0));
        match *next {
            None => return Err(format!("chunk {chunk_id} after the end of {message_id}")),
            Some(next) if next != chunk_id => {
                return Err(format!(
                    "chunk {chunk_id} of {message_id}, where {next} was due"
                ));
            }
            Some(_) => *next = (!done).then_some(chunk_id + 1),
        }
        Ok(Chunk {
            shown: Shown {
                uid,
                message_id,
                text: words,
                done,
            },
            chunk_id,
        })
    }
}

/// Puts together what one person sees.
pub(crate) fn bubbles(shown: &[Entry<Shown>], uid: &str) -> Vec<Bubble> {
    let mut bubbles: Vec<Bubble> = Vec::new();
    let mut at: HashMap<&str, usize> = HashMap::new();
    for Entry { what, .. } in shown.iter().filter(|entry| entry.what.uid == uid) {
        let index = *at.entry(&what.message_id).or_insert_with(|| {
            bubbles.push(Bubble {
                message_id: what.message_id.clone(),
                text: String::new(),
                chunks: 0,
                done: false,
            });
            bubbles.len() - 1
        });
        if let Some(bubble) = bubbles.get_mut(index) {
            bubble.text.push_str(&what.text);
            bubble.chunks += 1;
            bubble.done |= what.done;
        }
    }
    bubbles
}
