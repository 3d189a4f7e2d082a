//! What an agent does, asks and fails with, in words for a person.
//!
//! Promises: what is to be approved is shown whole, or says how much is missing. Pure.

use agent_client_protocol_schema::v1::{
    ContentBlock, Diff, EmbeddedResourceResource, Error, ErrorCode, Plan, PlanEntryStatus,
    StopReason, ToolCallContent, ToolCallUpdateFields, ToolKind,
};
use ipc_schema::{Fault, MAX_TEXT, TurnEvent};
use serde_json::Value;

use super::setup::Offer;
use crate::claude::fault;
use crate::text;
use crate::tools::SEND_FILE;

/// The longest line that shows what a tool is given, in characters.
const LINE: usize = 200;
/// The most lines of a plan that are shown.
const STEPS: usize = 20;
/// What tells most of what a tool is given, by the names that agents use.
const TELLING: [&str; 10] = [
    "command",
    "file_path",
    "filePath",
    "path",
    "pattern",
    "url",
    "query",
    "description",
    "prompt",
    "name",
];

/// What is known of a call of a tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tool {
    pub(super) name: Option<String>,
    pub(super) kind: ToolKind,
    pub(super) title: String,
    pub(super) input: Option<Value>,
}

impl Tool {
    /// Takes over what is told of it. An input of more than [`MAX_TEXT`] is not remembered.
    pub(super) fn take(&mut self, told: &ToolCallUpdateFields) {
        if let Some(name) = &told.name {
            self.name = Some(text::head(name, LINE).to_owned());
        }
        self.kind = told.kind.unwrap_or(self.kind);
        if let Some(title) = &told.title {
            self.title = text::head(title, MAX_TEXT).to_owned();
        }
        if let Some(input) = &told.raw_input {
            self.input = (size(input) <= MAX_TEXT).then(|| input.clone());
        }
    }

    /// Its name, for a person.
    pub(super) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| kind(self.kind).into())
    }

    /// Whether it is the runner's own that sends a file to the chat, as far as its names tell: agents
    /// put the server's before it, or behind.
    pub(super) fn sends_file(&self) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        name.contains(SEND_FILE) || self.title.contains(SEND_FILE)
    }

    /// What tells most of its input.
    pub(super) fn telling(&self) -> Option<&str> {
        let input = self.input.as_ref()?;
        TELLING
            .iter()
            .find_map(|key| input[*key].as_str())
            .filter(|words| !words.trim().is_empty())
    }

    /// A line about it.
    pub(super) fn note(&self) -> TurnEvent {
        let name = self.name();
        let title = Some(self.title.as_str()).filter(|title| *title != name);
        let input = line(self.telling().or(title).unwrap_or_default(), LINE);
        TurnEvent::Tool { name, input }
    }
}

/// About how much of a person's reading this is, in bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.iter().map(|(key, it)| key.len() + size(it)).sum(),
        _ => 8,
    }
}

fn kind(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Read => "read",
        ToolKind::Edit => "edit",
        ToolKind::Delete => "delete",
        ToolKind::Move => "move",
        ToolKind::Search => "search",
        ToolKind::Execute => "run",
        ToolKind::Think => "think",
        ToolKind::Fetch => "fetch",
        ToolKind::SwitchMode => "mode",
        _ => "tool",
    }
}

/// The whole of what a tool is to do: its command or its changes, else whatever it is given.
pub(super) fn detail(tool: &Tool, content: &[ToolCallContent]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let of_input = |key: &str| tool.input.as_ref()?.get(key)?.as_str();
    let diffs: Vec<&Diff> = content
        .iter()
        .filter_map(|part| match part {
            ToolCallContent::Diff(diff) => Some(diff),
            _ => None,
        })
        .collect();
    match (of_input("command"), diffs.as_slice()) {
        (Some(command), _) => {
            parts.push(command.to_owned());
            if let Some(purpose) = of_input("description") {
                parts.push(format!("({purpose})"));
            }
        }
        (None, []) => {
            parts.push(tool.title.clone());
            let says = content.iter().filter_map(|part| match part {
                ToolCallContent::Content(content) => Some(said(&content.content)),
                _ => None,
            });
            parts.extend(says.filter(|says| *says != tool.title));
            if let Some(input) = tool.input.as_ref().filter(|input| size(input) > 0) {
                parts.push(serde_json::to_string_pretty(input).unwrap_or_default());
            }
        }
        (None, diffs) => parts.extend(diffs.iter().map(|diff| change(diff))),
    }
    parts.retain(|part| !part.trim().is_empty());
    cut(parts.join("\n\n").trim())
}

/// The text of a plan that is to be approved.
pub(super) fn plan(tool: &Tool, content: &[ToolCallContent]) -> Option<String> {
    let of_input = tool.input.as_ref().and_then(|input| input["plan"].as_str());
    let in_content = || {
        let says = content.iter().filter_map(|part| match part {
            ToolCallContent::Content(content) => Some(said(&content.content)),
            _ => None,
        });
        says.collect::<Vec<_>>().join("\n\n")
    };
    let text = of_input.map_or_else(in_content, str::to_owned);
    (!text.trim().is_empty()).then(|| cut(&text))
}

fn change(diff: &Diff) -> String {
    let lines = |text: &str, sign: &str| -> Vec<String> {
        text.lines().map(|line| format!("{sign} {line}")).collect()
    };
    let mut all = vec![diff.path.display().to_string()];
    all.extend(lines(diff.old_text.as_deref().unwrap_or_default(), "-"));
    all.extend(lines(&diff.new_text, "+"));
    all.join("\n")
}

/// At most [`MAX_TEXT`], and it says what is missing: nothing is to be approved unseen.
fn cut(words: &str) -> String {
    if words.len() <= MAX_TEXT {
        return words.to_owned();
    }
    let shown = text::head(words, MAX_TEXT - 100);
    let missing = words.len() - shown.len();
    format!("{shown}\n[{missing} more bytes are not shown]")
}

/// What a piece of content says.
pub(super) fn said(content: &ContentBlock) -> String {
    match content {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::ResourceLink(link) => format!("[{}]({})", link.name, link.uri),
        ContentBlock::Resource(resource) => match &resource.resource {
            EmbeddedResourceResource::TextResourceContents(it) => it.text.clone(),
            _ => "[a file that cannot be shown]".into(),
        },
        ContentBlock::Image(_) => "[a picture that cannot be shown]".into(),
        ContentBlock::Audio(_) => "[a sound that cannot be played]".into(),
        _ => String::new(),
    }
}

/// A line about the agent's list of steps.
pub(super) fn steps(plan: &Plan) -> Option<TurnEvent> {
    let steps = plan.entries.iter().take(STEPS).map(|entry| {
        let sign = match entry.status {
            PlanEntryStatus::Completed => "✓",
            PlanEntryStatus::InProgress => "▸",
            _ => "·",
        };
        format!("{sign} {}", line(&entry.content, LINE))
    });
    let mut steps: Vec<String> = steps.collect();
    let more = plan.entries.len().saturating_sub(STEPS);
    if more > 0 {
        steps.push(format!("… and {more} more"));
    }
    let text = steps.join("\n");
    (!text.is_empty()).then_some(TurnEvent::Note { text })
}

/// In one line of so many characters.
pub(super) fn line(words: &str, max: usize) -> String {
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(max).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// Why a turn ended that was not answered as it should be; `None` = it was.
pub(super) fn stopped(reason: StopReason) -> Option<&'static str> {
    match reason {
        StopReason::MaxTokens => Some(
            "the model reached the limit of tokens for one answer, so it is cut off. Ask it to go on",
        ),
        StopReason::MaxTurnRequests => {
            Some("it asked the model as often as it may in one turn. Ask it to go on")
        }
        StopReason::Refusal => Some(
            "the model refuses this message, and the agent forgets it. Put it another way, or start \
             a new session with /new",
        ),
        StopReason::Cancelled => Some("the agent was interrupted, but not from the chat"),
        _ => None,
    }
}

/// What an error of the agent's means.
pub(super) fn failed(error: &Error, offer: &Offer) -> Fault {
    let mut words = error.message.trim().to_owned();
    if words.is_empty() {
        words = format!("error {}", i32::from(error.code));
    }
    for key in ["details", "detail", "message", "error"] {
        let more = error.data.as_ref().and_then(|data| data[key].as_str());
        if let Some(more) = more.filter(|more| !words.contains(more)) {
            words = format!("{words}: {more}");
        }
    }
    if error.code == ErrorCode::AuthRequired || fault::is_logged_out(&words) {
        if !offer.logins.is_empty() {
            words = format!("{words}. Ways to log in: {}", offer.logins.join("; "));
        }
        return Fault::LoggedOut {
            words: text::head(&words, 2048).to_owned(),
        };
    }
    Fault::Agent {
        words: fault::clip(&words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(of: Value) -> Tool {
        let mut tool = Tool::default();
        tool.take(&serde_json::from_value(of).unwrap());
        tool
    }

    fn content(of: Value) -> Vec<ToolCallContent> {
        serde_json::from_value(of).unwrap()
    }

    #[test]
    fn a_command_is_shown_whole_with_its_purpose() {
        let tool = tool(json!({"kind": "execute", "title": "touch a",
            "rawInput": {"command": "touch a\ntouch b", "description": "make files"}}));
        assert_eq!(detail(&tool, &[]), "touch a\ntouch b\n\n(make files)");
        let note = TurnEvent::Tool {
            name: "run".into(),
            input: "touch a touch b".into(),
        };
        assert_eq!(tool.note(), note);
    }

    #[test]
    fn an_edit_is_shown_as_its_change_and_anything_else_with_its_input() {
        let edit = tool(json!({"kind": "edit", "title": "Edit a", "rawInput": {"path": "/a"}}));
        let diff =
            content(json!([{"type": "diff", "path": "/a", "oldText": "x", "newText": "y\nz"}]));
        assert_eq!(detail(&edit, &diff), "/a\n- x\n+ y\n+ z");
        let other = tool(json!({"title": "Look", "rawInput": {"n": 1}}));
        let says =
            content(json!([{"type": "content", "content": {"type": "text", "text": "why"}}]));
        assert_eq!(detail(&other, &says), "Look\n\nwhy\n\n{\n  \"n\": 1\n}");
        let long = tool(json!({"rawInput": {"command": "é".repeat(MAX_TEXT / 2)}}));
        assert!(detail(&long, &[]).len() <= MAX_TEXT);
        let long =
            content(json!([{"type": "diff", "path": "/a", "newText": "é".repeat(MAX_TEXT)}]));
        assert!(detail(&edit, &long).ends_with("more bytes are not shown]"));
    }

    #[test]
    fn a_line_is_one_line_and_bounded() {
        assert_eq!(line("a\n b\tc", 10), "a b c");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("ab cd", 4), "ab c…");
        assert_eq!(line(&"é".repeat(9), 4), "éééé…");
        assert_eq!(line("", 4), "");
    }

    #[test]
    fn a_missing_login_is_told_from_other_errors_with_what_to_do() {
        let offer = Offer {
            logins: vec!["Login (run `x login`)".into()],
            ..Offer::default()
        };
        let fault = failed(&Error::new(-32000, "Authentication required"), &offer);
        let Fault::LoggedOut { words } = fault else {
            panic!("{fault:?}")
        };
        assert!(words.ends_with("Ways to log in: Login (run `x login`)"));
        let error = Error::new(-32603, "Internal error").data(json!({"details": "no such model"}));
        assert_eq!(
            failed(&error, &offer),
            Fault::Agent {
                words: "Internal error: no such model".into()
            }
        );
    }

    #[test]
    fn a_plan_is_listed_and_bounded() {
        let entry = |n: usize| {
            json!({"content": n.to_string(), "priority": "low",
            "status": if n == 0 { "completed" } else { "pending" }})
        };
        let entries: Vec<Value> = (0..30).map(entry).collect();
        let plan: Plan = serde_json::from_value(json!({"entries": entries})).unwrap();
        let Some(TurnEvent::Note { text }) = steps(&plan) else {
            panic!()
        };
        assert!(text.starts_with("✓ 0\n· 1\n") && text.ends_with("… and 10 more"));
    }
}
