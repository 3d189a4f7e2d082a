//! What Claude Code does and asks, in words for a person.
//!
//! Promises: what is to be approved is shown whole, or says how much is missing. Pure.

use ipc_schema::{MAX_TEXT, Remark, TurnEvent};
use serde_json::Value;

use super::lines::{ApiRetry, ToolUse};
use crate::text;

/// The longest line that shows what a tool is given, in characters.
const TOOL_CHARS: usize = 200;

/// The whole of what the tool is to do.
pub(super) fn detail(tool: &ToolUse) -> String {
    let input = &tool.input;
    let text = |key: &str| input[key].as_str().unwrap_or_default();
    let mut words = match tool.tool_name.as_str() {
        "Bash" => match text("description") {
            "" => text("command").to_owned(),
            purpose => format!("{}\n\n({purpose})", text("command")),
        },
        "Edit" => format!(
            "{}{}\n{}",
            text("file_path"),
            if input["replace_all"] == true {
                " (every occurrence)"
            } else {
                ""
            },
            diff(text("old_string"), text("new_string"))
        ),
        "MultiEdit" => {
            let edits = input["edits"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let diffs: Vec<String> = edits
                .iter()
                .map(|edit| {
                    let text = |key: &str| edit[key].as_str().unwrap_or_default();
                    diff(text("old_string"), text("new_string"))
                })
                .collect();
            format!("{}\n{}", text("file_path"), diffs.join("\n"))
        }
        "Write" => format!("{}\n{}", text("file_path"), diff("", text("content"))),
        "WebFetch" => format!("{}\n{}", text("url"), text("prompt")),
        "WebSearch" => text("query").to_owned(),
        _ => serde_json::to_string_pretty(input).unwrap_or_default(),
    };
    if let Some(path) = &tool.blocked_path
        && !words.contains(path.as_str())
    {
        words = format!("{words}\n\n(outside of what it may touch: {path})");
    }
    cut(words.trim())
}

fn diff(old: &str, new: &str) -> String {
    let lines = |text: &str, sign: &str| -> Vec<String> {
        text.lines().map(|line| format!("{sign} {line}")).collect()
    };
    let mut all = lines(old, "-");
    all.extend(lines(new, "+"));
    all.join("\n")
}

/// At most [`MAX_TEXT`], and it says what is missing: nothing is to be approved unseen.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let shown = text::head(text, MAX_TEXT - 100);
    format!(
        "{shown}\n[{} more bytes are not shown]",
        text.len() - shown.len()
    )
}

/// What approving this suggestion for good would cover.
pub(super) fn always(suggestion: &Value) -> String {
    let what = match suggestion["type"].as_str() {
        Some("addRules") => rules(suggestion).join(", "),
        _ => "edits of files".into(),
    };
    // Edits without a question are a mode of the process; rules are kept for the project.
    let place = match (
        suggestion["type"].as_str(),
        suggestion["destination"].as_str(),
    ) {
        (_, Some("session")) => "in this session",
        (Some("addRules"), _) => "in this project",
        _ => "in this session",
    };
    cut(&format!("{what} {place}"))
}

/// The rules that a suggestion would add.
pub(super) fn rules(suggestion: &Value) -> Vec<String> {
    let rules = suggestion["rules"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    rules
        .iter()
        .filter_map(|rule| {
            let tool = rule["toolName"].as_str()?;
            Some(match rule["ruleContent"].as_str() {
                Some(content) => format!("{tool}({content})"),
                None => tool.to_owned(),
            })
        })
        .collect()
}

/// A line about a tool that is called.
pub(super) fn tool_note(name: &str, input: &Value) -> TurnEvent {
    const TELLING: [&str; 8] = [
        "command",
        "file_path",
        "path",
        "pattern",
        "url",
        "query",
        "description",
        "prompt",
    ];
    let telling = TELLING
        .iter()
        .find_map(|key| input[*key].as_str())
        .unwrap_or_default();
    let own = name
        .strip_prefix("mcp__")
        .and_then(|name| name.strip_prefix(crate::tools::SERVER))
        .and_then(|name| name.strip_prefix("__"));
    TurnEvent::Tool {
        name: own.unwrap_or(name).to_owned(),
        input: short(telling),
    }
}

/// As one line that is not too long to be shown.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(TOOL_CHARS).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// A line about work beside the conversation: who does it, what for, and how it stands.
pub(super) fn task_note(who: &str, what: &str, said: &str) -> TurnEvent {
    let input = match what {
        "" => short(said),
        what => format!("{what}: {}", short(said)),
    };
    let name = who.to_owned();
    TurnEvent::Tool { name, input }
}

/// A line about a conversation that was made shorter.
pub(super) fn compacted(before: u64, after: u64) -> String {
    match (before, after) {
        (0, _) | (_, 0) => "The conversation was compacted.".into(),
        _ => format!("The conversation was compacted: {before} → {after} tokens."),
    }
}

/// A remark about a model that does not answer.
pub(super) fn retry_note(retry: &ApiRetry) -> TurnEvent {
    let about = Remark::Retry {
        status: retry
            .error_status
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(0),
        attempt: retry.attempt.saturating_add(1),
        of: retry.max_retries.saturating_add(1),
        wait_ms: retry.retry_delay_ms.max(0.0) as u64,
    };
    TurnEvent::Remark { about }
}
