//! What an agent or a model is told to do in a turn, written as directives in the prompt itself.
//!
//! A directive is a line that starts with `#WORD`; every other line is text. So a person can type one in a chat, and it survives
//! whatever stands around the prompt (a sender's line, a hint of style).
//!
//! | directive | what happens |
//! |---|---|
//! | `#say TEXT` | a text block; `TEXT` may be a JSON string, for line breaks |
//! | `#think TEXT` | the model thinks before what comes next |
//! | `#chars N` | a text block of N characters ([`prose`]) |
//! | `#tool NAME ARG` | a tool call: Bash takes a command, Read and Write a path, all a JSON object |
//! | `#ask QUESTION \| OPTION \| OPTION` | the tool `AskUserQuestion` |
//! | `#plan TEXT` | the tool `ExitPlanMode` |
//! | `#hold POINT` | the turn stops at a [`Point`] until it is released |
//! | `#error KIND [TIMES]` | the model API fails: see [`Trouble`]; with TIMES only that often |
//! | `#drop` | the model's connection is cut after the first delta |
//! | `#pace MS` | a pause between deltas, for people who watch |
//! | `#junk [TEXT]`, `#flood BYTES` | the agent prints a line that is not JSON; so many bytes on one line |
//! | `#exit CODE`, `#silent` | the agent dies with CODE after the first delta; says and hears nothing any more |
//! | `#later TEXT` | the agent's background work begins a turn of its own once this one is over, and says TEXT |
//!
//! Without any block the answer is an echo (`You said: …`), or after a tool its outcome (`Tool said: …`).
//!
//! Promises: pure; the same prompt gives the same script. A directive that is not understood becomes an answer that says so.
//! Does not: run anything.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use crate::point::Point;
pub use crate::trouble::Trouble;

/// One thing that the model says or does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Block {
    /// Thinking, before what comes next.
    Think(String),
    /// A text block.
    Say(String),
    /// A tool call; it ends a message of the model.
    Tool(ToolCall),
}

/// A tool and its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// `Bash`, `Read`, …
    pub name: String,
    /// The input as its schema wants it.
    pub input: Value,
}

/// One message of the model: thinking, texts, then perhaps a tool call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Thinking, in order.
    pub thoughts: Vec<String>,
    /// Text blocks in order.
    pub texts: Vec<String>,
    /// The call that ends it; without one the turn is over.
    pub tool: Option<ToolCall>,
}

/// A turn's script.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Script {
    /// Texts and tool calls in order.
    pub blocks: Vec<Block>,
    /// Where the turn stops until released.
    pub holds: BTreeSet<Point>,
    /// How the API fails, and how often; `None` is always.
    pub trouble: Option<(Trouble, Option<u32>)>,
    /// The model's connection is cut after the first delta.
    pub dropped: bool,
    /// Pause between deltas.
    pub pace: Option<Duration>,
    /// A line that is not JSON, printed by the agent.
    pub junk: Option<String>,
    /// So many bytes without an end of line, printed by the agent.
    pub flood: Option<usize>,
    /// What the agent's background work says in a turn that nobody asked for.
    pub later: Option<String>,
    /// The agent dies with this code.
    pub exit: Option<i32>,
    /// The agent says nothing at all.
    pub silent: bool,
    /// The prompt without its directives.
    pub said: String,
}

impl Script {
    /// Reads the directives out of a prompt.
    #[must_use]
    pub fn parse(prompt: &str) -> Self {
        let mut script = Self::default();
        let mut said = Vec::new();
        for line in prompt.lines() {
            match script.directive(line.trim_end()) {
                None => said.push(line),
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    let words = format!("This directive was not understood: `{line}`: {why}");
                    script.blocks.push(Block::Say(words));
                }
            }
        }
        script.said = said.join("\n").trim().to_owned();
        script
    }

    /// `None`: the line is no directive.
    fn directive(&mut self, line: &str) -> Option<Result<(), String>> {
        let rest = line.strip_prefix('#')?;
        let (word, arg) = rest.split_once(' ').unwrap_or((rest, ""));
        let arg = arg.trim();
        let done = match word {
            "say" => text(arg).map(|text| self.blocks.push(Block::Say(text))),
            "think" => text(arg).map(|text| self.blocks.push(Block::Think(text))),
            "chars" => number(arg).map(|n| self.blocks.push(Block::Say(prose(n)))),
            "tool" => tool(arg).map(|call| self.blocks.push(Block::Tool(call))),
            "ask" => {
                self.blocks.push(Block::Tool(question(arg)));
                Ok(())
            }
            "plan" => {
                let plan = if arg.is_empty() { "1. Do it." } else { arg };
                self.blocks.push(Block::Tool(ToolCall {
                    name: "ExitPlanMode".to_owned(),
                    input: json!({ "plan": plan }),
                }));
                Ok(())
            }
            "hold" => arg.parse().map(|point| {
                self.holds.insert(point);
            }),
            "error" => trouble(arg).map(|trouble| self.trouble = Some(trouble)),
            "drop" => {
                self.dropped = true;
                Ok(())
            }
            "pace" => number(arg).map(|ms| self.pace = Some(Duration::from_millis(ms as u64))),
            "junk" => {
                let junk = if arg.is_empty() {
                    "this is not JSON"
                } else {
                    arg
                };
                self.junk = Some(junk.to_owned());
                Ok(())
            }
            "flood" => number(arg).map(|bytes| self.flood = Some(bytes)),
            "later" => text(arg).map(|text| self.later = Some(text)),
            "exit" => arg
                .parse()
                .map(|code| self.exit = Some(code))
                .map_err(|_| "an exit code is a number".to_owned()),
            "silent" => {
                self.silent = true;
                Ok(())
            }
            _ => return None,
        };
        Some(done)
    }

    /// The model's next message, given what the tools of this turn have said so far.
    #[must_use]
    pub fn message(&self, outcomes: &[String]) -> Message {
        let mut message = Message::default();
        let mut calls = 0;
        for block in &self.blocks {
            match block {
                Block::Think(text) if calls == outcomes.len() => {
                    message.thoughts.push(text.clone());
                }
                Block::Say(text) if calls == outcomes.len() => message.texts.push(text.clone()),
                Block::Tool(call) if calls == outcomes.len() => {
                    message.tool = Some(call.clone());
                    return message;
                }
                Block::Think(_) | Block::Say(_) => {}
                Block::Tool(_) => calls += 1,
            }
        }
        if message.texts.is_empty() {
            message.texts.push(match outcomes.last() {
                Some(outcome) => format!("Tool said: {outcome}"),
                None => format!("You said: {}", self.said),
            });
        }
        message
    }
}

fn number(arg: &str) -> Result<usize, String> {
    let n = arg.parse();
    n.map_err(|_| format!("`{arg}` is no number"))
}

fn text(arg: &str) -> Result<String, String> {
    if arg.starts_with('"') {
        serde_json::from_str(arg).map_err(|e| e.to_string())
    } else {
        Ok(arg.to_owned())
    }
}

fn tool(arg: &str) -> Result<ToolCall, String> {
    let (name, arg) = arg.split_once(' ').unwrap_or((arg, ""));
    if name.is_empty() {
        return Err("it needs the tool's name".to_owned());
    }
    let object = serde_json::from_str::<serde_json::Map<String, Value>>(arg);
    let input = match (name, object) {
        (_, Ok(object)) => Value::Object(object),
        ("Bash", _) => json!({ "command": arg, "description": "As the script says" }),
        ("Read", _) => json!({ "file_path": arg }),
        ("Write", _) => json!({ "file_path": arg, "content": "written by the script\n" }),
        _ if arg.is_empty() => json!({}),
        (_, Err(e)) => return Err(format!("the input of `{name}` is a JSON object: {e}")),
    };
    Ok(ToolCall {
        name: name.to_owned(),
        input,
    })
}

fn question(arg: &str) -> ToolCall {
    let mut words = arg
        .split('|')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let question = words.next().unwrap_or("Which one?");
    let mut options: Vec<_> = words.collect();
    if options.is_empty() {
        options = vec!["left", "right"];
    }
    let options: Vec<_> = options
        .iter()
        .map(|label| json!({ "label": label, "description": format!("take {label}") }))
        .collect();
    ToolCall {
        name: "AskUserQuestion".to_owned(),
        input: json!({ "questions": [{
            "question": question, "header": "Choice", "options": options, "multiSelect": false,
        }] }),
    }
}

fn trouble(arg: &str) -> Result<(Trouble, Option<u32>), String> {
    let (kind, times) = arg.split_once(' ').unwrap_or((arg, ""));
    let times = match times.trim() {
        "" => None,
        times => Some(
            times
                .parse()
                .map_err(|_| format!("`{times}` is no number"))?,
        ),
    };
    Ok((kind.parse()?, times))
}

/// Text of exactly `chars` characters: numbered sentences in paragraphs of five, so that a lost, doubled or swapped piece shows.
#[must_use]
pub fn prose(chars: usize) -> String {
    let mut text = String::with_capacity(chars + 64);
    let mut sentence = 0;
    while text.len() < chars {
        sentence += 1;
        if sentence > 1 {
            text.push_str(if sentence % 5 == 1 { "\n\n" } else { " " });
        }
        text.push_str(&format!(
            "Sentence {sentence} of a long answer stands here."
        ));
    }
    text.truncate(chars); // ASCII only
    // Ends are trimmed on the way to a chat, so the last character must not be white space.
    if text.ends_with([' ', '\n']) {
        text.pop();
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_without_directives_is_echoed() {
        let script = Script::parse("Ann says:\nhello #there\n# a heading\n");
        assert_eq!(script.said, "Ann says:\nhello #there\n# a heading");
        let message = script.message(&[]);
        assert_eq!(
            message.texts,
            ["You said: Ann says:\nhello #there\n# a heading"]
        );
        assert_eq!(message.tool, None);
    }

    #[test]
    fn directives_are_found_between_other_lines() {
        let script = Script::parse("Ann says:\n#chars 6000\nquestion 7\n#hold first-delta\n");
        assert_eq!(script.said, "Ann says:\nquestion 7");
        assert_eq!(script.holds, BTreeSet::from([Point::FirstDelta]));
        assert_eq!(script.message(&[]).texts, [prose(6000)]);
    }

    #[test]
    fn a_tool_call_ends_a_message_and_its_outcome_moves_on() {
        let script =
            Script::parse("#say before\n#tool Bash ls -l\n#ask Which? | a | b\n#say after");
        let first = script.message(&[]);
        assert_eq!(first.texts, ["before"]);
        let call = first.tool.expect("a call");
        assert_eq!(call.name, "Bash");
        assert_eq!(call.input["command"], "ls -l");
        let second = script.message(&["x".into()]);
        assert_eq!(second.texts, [""; 0]);
        let asked = second.tool.expect("a question").input;
        assert_eq!(asked["questions"][0]["question"], "Which?");
        assert_eq!(asked["questions"][0]["options"][1]["label"], "b");
        let third = script.message(&["x".into(), "y".into()]);
        assert_eq!(
            (third.texts.as_slice(), third.tool),
            (&["after".to_owned()][..], None)
        );
    }

    #[test]
    fn a_tool_takes_its_whole_input_too() {
        let script = Script::parse(r#"#tool Bash {"command":"ls","run_in_background":true}"#);
        let call = script.message(&[]).tool.expect("a call");
        assert_eq!(
            call.input,
            json!({ "command": "ls", "run_in_background": true })
        );
    }

    #[test]
    fn without_a_last_word_the_tool_has_it() {
        let script = Script::parse("#tool Bash ls");
        assert_eq!(
            script.message(&["a.txt".into()]).texts,
            ["Tool said: a.txt"]
        );
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, part) in [
            ("#chars many", "is no number"),
            ("#hold somewhere", "there is no point"),
            ("#error 418", "there is no trouble"),
            ("#tool", "name"),
            ("#tool Grep nonsense", "JSON object"),
            ("#exit soon", "number"),
        ] {
            let texts = Script::parse(line).message(&[]).texts;
            assert!(texts[0].contains(part), "{line}: {texts:?}");
        }
    }

    #[test]
    fn trouble_can_pass() {
        let parse = |text| Script::parse(text).trouble;
        assert_eq!(parse("#error 529 2"), Some((Trouble::Status(529), Some(2))));
        assert_eq!(parse("#error logged-out"), Some((Trouble::LoggedOut, None)));
    }

    #[test]
    fn prose_has_the_length_that_was_asked_for_and_no_blank_end() {
        for chars in 0..500 {
            let text = prose(chars);
            assert_eq!(text.chars().count(), chars);
            assert_eq!(text.trim(), text);
        }
    }
}
