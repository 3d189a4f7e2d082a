//! A conversation and its file: a line of JSON for each thing that was said.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::lines::Lines;

/// One conversation.
pub(crate) struct Conversation {
    pub(crate) id: String,
    pub(crate) mode: String,
    pub(crate) model: String,
    /// Something was allowed for good.
    pub(crate) always: bool,
}

fn directory() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_default();
    PathBuf::from(home).join(".fake-acp")
}

impl Conversation {
    fn of(id: String) -> Conversation {
        Conversation {
            id,
            mode: "free".into(),
            model: "small".into(),
            always: false,
        }
    }

    pub(crate) fn new() -> io::Result<Conversation> {
        std::fs::create_dir_all(directory())?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos());
        let new = Conversation::of(format!("ses_{}_{nanos}", std::process::id()));
        new.add(&json!({"began": true}))?;
        Ok(new)
    }

    /// An old one, if it is there.
    pub(crate) fn open(id: &str) -> Option<Conversation> {
        let old = Conversation::of(id.to_owned());
        (!id.contains('/') && old.file().is_file()).then_some(old)
    }

    fn file(&self) -> PathBuf {
        directory().join(format!("{}.jsonl", self.id))
    }

    /// Adds a line.
    pub(crate) fn add(&self, said: &Value) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.file())?;
        writeln!(file, "{said}")
    }

    /// What people said in it, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some(line["user"].as_str()?.to_owned())
        });
        lines.collect()
    }

    /// Tells everything again.
    pub(crate) fn replay(&self, lines: &mut Lines) {
        let text = std::fs::read_to_string(self.file()).unwrap_or_default();
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if let Some(text) = line["agent"].as_str() {
                lines.says(text);
            }
            if let Some(text) = line["user"].as_str() {
                lines.update(json!({"sessionUpdate": "user_message_chunk",
                    "content": {"type": "text", "text": text}}));
            }
        }
    }
}
