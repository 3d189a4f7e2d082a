//! What a session file says about its last turn.
//!
//! Promises: pure; lines that are not understood are skipped.
//! Does not: follow branches; it reads the file from top to bottom, which is how it is written.

use std::collections::HashSet;

use fake_model::CONTINUE;
use serde_json::Value;

/// The words that mark a turn as stopped.
pub(crate) const STOPPED: &str = "[Request interrupted by user";

/// A session file, read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// The uuids of every user line.
    pub(crate) prompts: HashSet<String>,
    /// The uuid that the next line hangs below.
    pub(crate) leaf: Option<String>,
    /// The last turn, if it did not come to its end.
    pub(crate) open: Option<Open>,
}

/// A turn that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) uuid: String,
    pub(crate) prompt: String,
    /// What its tools said.
    pub(crate) outcomes: Vec<String>,
    /// Nothing stands after the prompt.
    pub(crate) bare: bool,
}

pub(crate) fn read(file: &str) -> History {
    let mut history = History::default();
    for line in file.lines() {
        let Ok(row) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if let Some(uuid) = row["uuid"].as_str() {
            history.leaf = Some(uuid.to_owned());
        }
        match row["type"].as_str() {
            Some("user") => history.user(&row),
            Some("assistant") => history.assistant(&row),
            _ => {}
        }
    }
    history
}

/// The texts of a message.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<_> = blocks
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

impl History {
    fn user(&mut self, row: &Value) {
        let Some(uuid) = row["uuid"].as_str() else {
            return;
        };
        self.prompts.insert(uuid.to_owned());
        let content = &row["message"]["content"];
        let blocks = content.as_array().into_iter().flatten();
        let outcomes: Vec<_> = blocks
            .filter(|block| block["type"] == "tool_result")
            .map(|block| text_of(&block["content"]))
            .collect();
        let text = text_of(content);
        if !outcomes.is_empty() {
            if let Some(open) = &mut self.open {
                open.outcomes.extend(outcomes);
                open.bare = false;
            }
        } else if text.starts_with(STOPPED) || text.starts_with("<command-name>") {
            self.open = None;
        } else if row["isMeta"] == true {
            // A turn that ended in an API error is open again when it is continued.
            if let Some(open) = self.open.as_mut().filter(|_| text == CONTINUE) {
                open.bare = false;
            }
        } else {
            self.open = Some(Open {
                uuid: uuid.to_owned(),
                prompt: text,
                outcomes: Vec::new(),
                bare: true,
            });
        }
    }

    fn assistant(&mut self, row: &Value) {
        let message = &row["message"];
        let failed = row["isApiErrorMessage"] == true;
        if message["model"] == "<synthetic>" && !failed {
            return;
        }
        let Some(open) = &mut self.open else {
            return;
        };
        open.bare = false;
        let ended =
            !failed && row["isAbortedMidStream"] != true && message["stop_reason"] == "end_turn";
        if ended {
            self.open = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// The session file of a capture after its `process`th process, counted from 0.
    fn captured(name: &str, process: usize) -> History {
        let fixtures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../agent-runner/tests/fixtures");
        let rows = fs::read_to_string(fixtures.join(name)).expect("a fixture");
        let rows = rows
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut files: Vec<String> = Vec::new();
        for row in rows {
            match row["at"].as_str() {
                Some("session_file") => files.push(String::new()),
                Some("file") => {
                    let file = files.last_mut().expect("a file");
                    file.push_str(&format!("{}\n", row["line"]));
                }
                _ => {}
            }
        }
        read(&files[process])
    }

    #[test]
    fn the_real_files_are_judged_as_the_real_ones_judge_them() {
        for version in ["claude-2.1.329", "claude-2.1.197"] {
            let at = |name: &str| captured(&format!("{version}/{name}.jsonl"), 0);
            for done in [
                "resume-completed",
                "resume-stopped",
                "simple-turn",
                "tool-allowed",
            ] {
                assert_eq!(at(done).open, None, "{version} {done}");
            }
            let text = at("resume-interrupted-text").open.expect("an open turn");
            assert!(text.bare && text.outcomes.is_empty());
            assert!(text.prompt.contains("#chars 60"), "{}", text.prompt);
            let tool = at("resume-interrupted-tool-no-flag")
                .open
                .expect("an open turn");
            assert!(!tool.bare && tool.outcomes.is_empty());
            assert!(at("resume-after-error").open.is_some());
        }
        assert_eq!(
            captured("claude-2.1.329/resume-interrupted-text.jsonl", 1).open,
            None
        );
        assert_eq!(
            captured("claude-2.1.329/resume-interrupted-tool.jsonl", 1).open,
            None
        );
        assert_eq!(
            captured("claude-2.1.329/resume-interrupted-no-flag.jsonl", 1).open,
            None
        );
    }

    #[test]
    fn a_tools_outcome_is_kept_for_the_turn_that_goes_on() {
        let rows = [
            r#"{"type":"user","uuid":"u","message":{"role":"user","content":"do it"}}"#,
            r#"{"type":"assistant","uuid":"a","message":{"content":[{"type":"tool_use","id":"t"}],"stop_reason":"tool_use"}}"#,
            r#"{"type":"user","uuid":"r","message":{"content":[{"type":"tool_result","content":"done"}]}}"#,
            "half a li",
        ];
        let open = read(&rows.join("\n")).open.expect("an open turn");
        assert_eq!(
            (open.uuid.as_str(), open.outcomes, open.bare),
            ("u", vec!["done".to_owned()], false)
        );
    }
}
