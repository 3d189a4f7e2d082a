//! May a tool run: without a question, after one, or not at all.
//!
//! Promises: pure.
//! Does not: know every rule of the real one; what is unclear is asked.

use std::path::Path;

use fake_model::script::ToolCall;
use serde_json::{Value, json};

/// The built-in tools.
pub(crate) const TOOLS: [&str; 12] = [
    "Task",
    "AskUserQuestion",
    "Bash",
    "Edit",
    "ExitPlanMode",
    "Glob",
    "Grep",
    "Read",
    "TodoWrite",
    "WebFetch",
    "WebSearch",
    "Write",
];

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Run,
    Ask,
    /// With the words that the model hears.
    Refuse(String),
}

/// Everything that bears on it.
pub(crate) struct Permissions<'a> {
    pub(crate) mode: &'a str,
    pub(crate) asks: bool,
    pub(crate) allowed: &'a [String],
    pub(crate) offered: &'a [String],
    pub(crate) cwd: &'a Path,
}

impl Permissions<'_> {
    pub(crate) fn judge(&self, call: &ToolCall) -> Verdict {
        let name = call.name.as_str();
        if !self.offered.iter().any(|tool| tool == name) {
            let words =
                format!("<tool_use_error>Error: No such tool available: {name}</tool_use_error>");
            return Verdict::Refuse(words);
        }
        let question = matches!(name, "AskUserQuestion" | "ExitPlanMode");
        if !question
            && (self.mode == "bypassPermissions" || self.harmless(call) || self.granted(call))
        {
            return Verdict::Run;
        }
        if !question && matches!(self.mode, "dontAsk" | "plan") {
            return Verdict::Refuse(format!("{name} may not run in the mode {}.", self.mode));
        }
        if self.asks {
            Verdict::Ask
        } else {
            Verdict::Refuse(format!(
                "{name} needs a permission, and there is nobody to ask."
            ))
        }
    }

    fn inside(&self, call: &ToolCall) -> bool {
        let path = call.input["file_path"].as_str().map(Path::new);
        path.is_some_and(|path| path.is_relative() || path.starts_with(self.cwd))
    }

    fn harmless(&self, call: &ToolCall) -> bool {
        match call.name.as_str() {
            "Task" | "TodoWrite" | "Glob" | "Grep" => true,
            "Read" => self.inside(call),
            "Write" | "Edit" => self.mode == "acceptEdits" && self.inside(call),
            "Bash" => call.input["command"].as_str().is_some_and(looks_only),
            _ => false,
        }
    }

    fn granted(&self, call: &ToolCall) -> bool {
        self.allowed.iter().any(|rule| {
            let Some((name, content)) =
                rule.strip_suffix(')').and_then(|rule| rule.split_once('('))
            else {
                // The name of a server allows all of its tools.
                return *rule == call.name
                    || (rule.starts_with("mcp__") && call.name.starts_with(&format!("{rule}__")));
            };
            let said = call.input["command"]
                .as_str()
                .or(call.input["file_path"].as_str());
            name == call.name && said.is_some_and(|said| covers(content, said))
        })
    }
}

fn covers(content: &str, said: &str) -> bool {
    let prefix = content
        .strip_suffix(":*")
        .or(content.strip_suffix(" *"))
        .or(content.strip_suffix('*'));
    match prefix {
        Some(prefix) => said.starts_with(prefix),
        None => said == content,
    }
}

/// A single command that only looks, as the real one lets it pass.
fn looks_only(command: &str) -> bool {
    if command.contains(['|', '&', ';', '<', '>', '$', '`', '(', '\n']) {
        return false;
    }
    let mut words = command.split_whitespace();
    match words.next() {
        Some("ls" | "pwd" | "cat" | "echo" | "sleep" | "true") => true,
        Some("git") => matches!(words.next(), Some("status" | "log" | "diff")),
        _ => false,
    }
}

/// What the question offers as "always".
pub(crate) fn suggestions(call: &ToolCall) -> Value {
    match (call.name.as_str(), call.input["command"].as_str()) {
        ("AskUserQuestion" | "ExitPlanMode", _) => Value::Null,
        ("Bash", Some(command)) => json!([
            { "type": "addRules", "rules": [{ "toolName": "Bash", "ruleContent": command }], "behavior": "allow", "destination": "localSettings" },
            { "type": "setMode", "mode": "acceptEdits", "destination": "session" },
        ]),
        (name, _) => json!([
            { "type": "addRules", "rules": [{ "toolName": name }], "behavior": "allow", "destination": "localSettings" },
            { "type": "setMode", "mode": "acceptEdits", "destination": "session" },
        ]),
    }
}

/// The rules that an answer's `updatedPermissions` grants.
pub(crate) fn granted_rules(update: &Value) -> Vec<String> {
    if update["type"] != "addRules" || update["behavior"] != "allow" {
        return Vec::new();
    }
    let rules = update["rules"].as_array().into_iter().flatten();
    rules
        .filter_map(|rule| {
            let name = rule["toolName"].as_str()?;
            Some(match rule["ruleContent"].as_str() {
                Some(content) => format!("{name}({content})"),
                None => name.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fake_model::script::{Block, Script};

    fn call(line: &str) -> ToolCall {
        match Script::parse(&format!("#tool {line}")).blocks.remove(0) {
            Block::Tool(call) => call,
            Block::Think(text) | Block::Say(text) => panic!("{text}"),
        }
    }

    fn judge(mode: &str, allowed: &[&str], line: &str) -> Verdict {
        let allowed: Vec<String> = allowed.iter().map(|&rule| rule.to_owned()).collect();
        let offered: Vec<String> = TOOLS.iter().map(|&tool| tool.to_owned()).collect();
        let permissions = Permissions {
            mode,
            asks: true,
            allowed: &allowed,
            offered: &offered,
            cwd: Path::new("/w"),
        };
        permissions.judge(&call(line))
    }

    #[test]
    fn the_truth_table() {
        use Verdict::{Ask, Run};
        assert_eq!(judge("default", &[], "Bash touch x"), Ask);
        assert_eq!(judge("default", &[], "Bash ls -l"), Run);
        assert_eq!(judge("default", &[], "Bash ls > x"), Ask);
        assert_eq!(judge("default", &[], "Bash git status"), Run);
        assert_eq!(judge("default", &[], "Bash git push"), Ask);
        assert_eq!(judge("default", &[], "Read /w/a"), Run);
        assert_eq!(judge("default", &[], "Read /etc/passwd"), Ask);
        assert_eq!(judge("default", &[], "Write /w/a"), Ask);
        assert_eq!(judge("acceptEdits", &[], "Write /w/a"), Run);
        assert_eq!(judge("acceptEdits", &[], "Write /etc/a"), Ask);
        assert_eq!(judge("bypassPermissions", &[], "Bash rm x"), Run);
        assert_eq!(judge("bypassPermissions", &[], "AskUserQuestion"), Ask);
        assert_eq!(judge("default", &["Bash"], "Bash rm x"), Run);
        assert_eq!(judge("default", &["Bash(git *)"], "Bash git push"), Run);
        assert_eq!(
            judge("default", &["Bash(git push)"], "Bash git push -f"),
            Ask
        );
        assert!(matches!(
            judge("dontAsk", &[], "Bash rm x"),
            Verdict::Refuse(_)
        ));
        assert!(matches!(
            judge("bypassPermissions", &[], "Florp"),
            Verdict::Refuse(_)
        ));
    }

    #[test]
    fn always_means_exactly_the_suggestion() {
        let suggested = suggestions(&call("Bash touch x"));
        assert_eq!(granted_rules(&suggested[0]), ["Bash(touch x)"]);
        assert_eq!(granted_rules(&suggested[1]), [""; 0]);
    }
}
