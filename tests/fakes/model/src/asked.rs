//! Reading a request of the Messages API: what is wrong with it, whether it is a turn of the conversation, and what it asks.
//!
//! Promises: pure. What the command line puts around a prompt (reminders, notes on interrupts and resumes) is not taken for the prompt.
//! Does not: judge more of a request than the fake needs to answer it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::Value;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A step of the conversation. Scripts apply.
    Turn,
    /// Something the command line wants for itself: a title, a summary of a topic, a probe of the quota.
    Side,
}

/// A request, understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// What it is for.
    pub purpose: Purpose,
    /// The model's name.
    pub model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The prompt of the turn that this is a step of.
    pub prompt: String,
    /// What the tools of that turn have said so far, in order.
    pub outcomes: Vec<String>,
    /// Whether the command line asked to go on with an interrupted turn.
    pub continued: bool,
    /// Names of the tools on offer.
    pub tools: Vec<String>,
    /// Everything the system prompt says.
    #[serde(skip)]
    pub system: String,
    /// The same for every step and every attempt of one turn of one session.
    #[serde(skip)]
    pub turn: u64,
}

/// Where a prompt stands: the text, and the tools' words behind it.
struct Place {
    /// Counts the prompts of the conversation.
    ordinal: usize,
    prompt: String,
    outcomes: Vec<String>,
}

/// Understands a request, or says as the API does what is wrong with it.
///
/// # Errors
/// The words of an `invalid_request_error`.
pub(crate) fn read(body: &Value, session: Option<&str>) -> Result<Asked, String> {
    for field in ["model", "max_tokens", "messages"] {
        if body.get(field).is_none() {
            return Err(format!("{field}: Field required"));
        }
    }
    let model = body["model"]
        .as_str()
        .ok_or("model: Input should be a valid string")?;
    let max_tokens = body["max_tokens"].as_u64().filter(|n| *n > 0);
    let max_tokens = max_tokens.ok_or("max_tokens: Input should be greater than or equal to 1")?;
    let messages = body["messages"].as_array().filter(|list| !list.is_empty());
    let messages = messages.ok_or("messages: at least one message is required")?;
    let tools: Vec<_> = body["tools"].as_array().into_iter().flatten().collect();
    let tools: Vec<_> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .map(str::to_owned)
        .collect();
    let system = texts(&body["system"]).join("\n");

    let (place, continued) = prompt(messages);
    let purpose = purpose(model, max_tokens, &tools, &place.prompt);
    let mut turn = DefaultHasher::new();
    (session, place.ordinal, &place.prompt).hash(&mut turn);
    Ok(Asked {
        purpose,
        model: model.to_owned(),
        stream: body["stream"].as_bool().unwrap_or(false),
        prompt: place.prompt,
        outcomes: place.outcomes,
        continued,
        tools,
        system,
        turn: turn.finish(),
    })
}

/// The command line's own requests go to a small model without tools, or probe the quota with a single token.
fn purpose(model: &str, max_tokens: u64, tools: &[String], prompt: &str) -> Purpose {
    let small = tools.is_empty() && model.contains("haiku");
    let probe = max_tokens == 1 || prompt == "quota";
    if small || probe {
        Purpose::Side
    } else {
        Purpose::Turn
    }
}

/// The last prompt of a conversation and what the tools said since.
///
/// A prompt is the last text of a user's message: what stands before it in the same message belongs to earlier turns
/// (a turn that failed leaves its prompt there, an interrupted one its tool's refusal).
fn prompt(messages: &[Value]) -> (Place, bool) {
    let mut place = Place {
        ordinal: 0,
        prompt: String::new(),
        outcomes: Vec::new(),
    };
    let mut continued = false;
    for message in messages {
        if message["role"] != "user" {
            continue;
        }
        for part in parts(&message["content"]) {
            match part {
                Part::Said(text) if text.trim() == CONTINUE => continued = true,
                Part::Said(text) if !is_wrapping(&text) => {
                    place = Place {
                        ordinal: place.ordinal + 1,
                        prompt: text.trim().to_owned(),
                        outcomes: Vec::new(),
                    };
                    continued = false;
                }
                Part::Said(_) => {}
                Part::Outcome(text) => place.outcomes.push(text),
            }
        }
    }
    (place, continued)
}

enum Part {
    Said(String),
    Outcome(String),
}

fn parts(content: &Value) -> Vec<Part> {
    if let Some(text) = content.as_str() {
        return vec![Part::Said(text.to_owned())];
    }
    let blocks = content.as_array().into_iter().flatten();
    blocks
        .filter_map(|block| match block["type"].as_str()? {
            "text" => Some(Part::Said(block["text"].as_str()?.to_owned())),
            "tool_result" => Some(Part::Outcome(texts(&block["content"]).join("\n"))),
            _ => None,
        })
        .collect()
}

/// The texts of a string or of a list of blocks.
fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block["text"].as_str())
            .collect(),
        _ => Vec::new(),
    }
}

/// What the command line says when it goes on with an interrupted turn.
pub const CONTINUE: &str = "Continue from where you left off.";

/// Texts that the command line adds by itself.
fn is_wrapping(text: &str) -> bool {
    let starts = [
        "<system-reminder>",
        "<local-command-",
        "<command-name>",
        "[Request interrupted by user",
        "[Image: source:",
    ];
    let text = text.trim_start();
    text.is_empty() || starts.iter().any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(messages: Value) -> Asked {
        let body = json!({ "model": "claude-opus-5-5", "max_tokens": 128_000, "stream": true,
            "tools": [{ "name": "Bash" }], "messages": messages });
        read(&body, Some("s")).expect("a good request")
    }

    fn user(content: Value) -> Value {
        json!({ "role": "user", "content": content })
    }

    fn say(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    fn outcome(text: &str) -> Value {
        json!({ "type": "tool_result", "tool_use_id": "t", "content": text })
    }

    fn called() -> Value {
        json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "Bash", "input": {} }] })
    }

    #[test]
    fn the_prompt_is_found_among_reminders() {
        let first = user(json!([
            say("<system-reminder>\nbe good\n</system-reminder>\n"),
            say("hello")
        ]));
        let environment = json!({ "role": "system", "content": [say("# Environment")] });
        assert_eq!(asked(json!([first, environment])).prompt, "hello");
        assert_eq!(asked(json!([user(json!("plain"))])).prompt, "plain");
    }

    #[test]
    fn outcomes_count_from_the_prompt_on() {
        let step = asked(json!([
            user(json!([say("do it")])),
            called(),
            user(json!([outcome("one")])),
            called(),
            user(json!([outcome("two")])),
        ]));
        assert_eq!(
            (step.prompt.as_str(), step.outcomes.as_slice()),
            ("do it", &["one".to_owned(), "two".to_owned()][..])
        );
        // The next prompt stands in one message with the refusal of the tool before it.
        let next = asked(json!([
            user(json!([say("do it")])),
            called(),
            user(json!([
                outcome("refused"),
                say("[Request interrupted by user for tool use]"),
                say("and now?")
            ])),
        ]));
        assert_eq!((next.prompt.as_str(), next.outcomes.len()), ("and now?", 0));
    }

    #[test]
    fn a_failed_turn_before_it_does_not_speak_for_the_next() {
        assert_eq!(
            asked(json!([user(json!([say("#error 400"), say("hi")]))])).prompt,
            "hi"
        );
    }

    #[test]
    fn a_continued_turn_is_the_same_turn() {
        let begun = asked(json!([user(json!([say("do it")]))]));
        let resumed = asked(json!([user(json!([say("do it\n"), say(CONTINUE)]))]));
        assert_eq!((begun.continued, resumed.continued), (false, true));
        assert_eq!((&resumed.prompt, resumed.turn), (&begun.prompt, begun.turn));
        let after_tool = asked(json!([
            user(json!([say("do it")])),
            called(),
            user(json!([outcome("one"), say(CONTINUE)]))
        ]));
        assert_eq!(
            (after_tool.outcomes.len(), after_tool.turn),
            (1, begun.turn)
        );
    }

    #[test]
    fn side_requests_are_told_apart() {
        let side = |model: &str, max_tokens: u64, text: &str| {
            let body = json!({ "model": model, "max_tokens": max_tokens, "messages": [user(json!(text))] });
            read(&body, None).expect("a good request").purpose
        };
        assert_eq!(
            side("claude-haiku-4-5", 512, "a title for: hello"),
            Purpose::Side
        );
        assert_eq!(side("claude-opus-5-5", 1, "quota"), Purpose::Side);
        // `--tools ""` takes every tool away; it is a turn all the same.
        assert_eq!(side("claude-opus-5-5", 128_000, "hello"), Purpose::Turn);
    }

    #[test]
    fn a_wrong_request_is_named() {
        let wrong = |body: Value| read(&body, None).expect_err("a bad request");
        assert_eq!(
            wrong(json!({ "model": "m", "max_tokens": 1 })),
            "messages: Field required"
        );
        assert!(
            wrong(json!({ "model": "m", "max_tokens": 0, "messages": [] }))
                .starts_with("max_tokens")
        );
        assert!(
            wrong(json!({ "model": "m", "max_tokens": 1, "messages": [] })).starts_with("messages")
        );
    }
}
