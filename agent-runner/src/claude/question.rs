//! Claude Code's questions: put into words for a person, and a person's decision put into the
//! answer that the command line expects.
//!
//! Promises: an answer names exactly the request it was asked by; `updatedInput` stands in every
//! permission; "always" gives back exactly the one suggestion whose words were shown, for the session:
//! the CLI's own files of settings are not read ([`super::argv`]), so for the project the rule is kept
//! here ([`Question::grants`]); whatever does not fit the question changes nothing. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipc_schema::{Choice, Decision, QuestionKind};
use serde_json::{Value, json};

use super::lines::ToolUse;
use super::words;

/// The longest words of an "always" that are offered, in bytes: nobody reads more.
const LONGEST_ALWAYS: usize = 2 * 1024;
/// The longest question with its options, in bytes.
const LONGEST_CHOICE: usize = 64 * 1024;

/// The most options that are shown of one question.
const OPTIONS: usize = 25;
/// The most questions that one request may put.
const QUESTIONS: usize = 8;

/// A request of the CLI's that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    request: String,
    input: Value,
    about: About,
}

#[derive(Debug, Clone, PartialEq)]
enum About {
    Permission {
        tool: Box<ToolUse>,
        always: Option<Value>,
    },
    Plan {
        text: String,
    },
    /// Asked one after the other, answered together.
    Choices {
        asked: Vec<QuestionKind>,
        answers: BTreeMap<String, String>,
    },
}

/// What a decision does.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The request is answered with this line.
    Line(String),
    /// The next question of the same request is to be put.
    Next,
    /// The decision does not fit the question, which stays open.
    Unfit,
}

impl Question {
    /// Reads a request. `plan` is the text of the plan that goes with it, where the request itself
    /// does not carry one.
    pub fn new(request: String, tool: ToolUse, plan: Option<&str>) -> Question {
        let input = tool.input.clone();
        let about = match tool.tool_name.as_str() {
            "AskUserQuestion" => match choices(&input) {
                asked if asked.is_empty() => About::Permission {
                    tool: Box::new(tool),
                    always: None,
                },
                asked => About::Choices {
                    asked,
                    answers: BTreeMap::new(),
                },
            },
            "ExitPlanMode" => {
                let text = input["plan"].as_str().or(plan);
                let text = text.unwrap_or("(The plan stands in the agent's messages.)");
                About::Plan {
                    text: words::cut(text),
                }
            }
            _ => {
                let always = offered(&tool.permission_suggestions)
                    .filter(|always| words::always(always).len() <= LONGEST_ALWAYS)
                    .cloned();
                let tool = Box::new(tool);
                About::Permission { tool, always }
            }
        };
        Question {
            request,
            input,
            about,
        }
    }

    /// The request it belongs to.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// Which of the request's questions is open, from 0.
    pub fn index(&self) -> usize {
        match &self.about {
            About::Choices { answers, .. } => answers.len(),
            _ => 0,
        }
    }

    /// What a person is to be asked now.
    pub fn words(&self) -> QuestionKind {
        match &self.about {
            About::Permission { tool, always } => QuestionKind::Permission {
                tool: crate::text::head(&tool.tool_name, 200).to_owned(),
                detail: words::detail(tool),
                always: always.as_ref().map(words::always),
            },
            About::Plan { text } => QuestionKind::Plan { text: text.clone() },
            About::Choices { asked, .. } => asked
                .get(self.index())
                .cloned()
                .unwrap_or(QuestionKind::Unknown),
        }
    }

    /// The rules that "always" allows beyond this session.
    pub fn grants(&self) -> Vec<String> {
        match &self.about {
            About::Permission {
                always: Some(always),
                ..
            } if always["type"] == "addRules" && always["destination"] != "session" => {
                words::rules(always)
            }
            _ => Vec::new(),
        }
    }

    /// Applies a decision.
    pub fn decide(&mut self, decision: Decision) -> Reply {
        match (&mut self.about, decision) {
            (_, Decision::Deny { why }) => Reply::Line(self.denial(&why)),
            (About::Permission { .. } | About::Plan { .. }, Decision::Allow) => {
                Reply::Line(self.allowance(self.input.clone(), None))
            }
            (
                About::Permission {
                    always: Some(always),
                    ..
                },
                Decision::AllowAlways,
            ) => {
                let always = always.clone();
                Reply::Line(self.allowance(self.input.clone(), Some(always)))
            }
            (About::Choices { asked, answers }, Decision::Answers { answers: given }) => {
                let Some(QuestionKind::Choice { text, .. }) = asked.get(answers.len()) else {
                    return Reply::Unfit;
                };
                let Some(answer) = given.get(text).cloned() else {
                    return Reply::Unfit;
                };
                answers.insert(text.clone(), answer);
                if answers.len() < asked.len() {
                    return Reply::Next;
                }
                let mut input = self.input.clone();
                if let Value::Object(fields) = &mut input {
                    fields.insert("answers".into(), json!(answers));
                }
                Reply::Line(self.allowance(input, None))
            }
            _ => Reply::Unfit,
        }
    }

    /// The line that denies, with a reason for the agent.
    pub fn denial(&self, why: &str) -> String {
        let message = match (why.trim(), &self.about) {
            ("", About::Plan { .. }) => {
                "The user does not want this plan carried out yet. Keep planning; ask what to change."
            }
            ("", _) => {
                "The user does not allow this. Do not try it again another way; ask what to do instead."
            }
            (why, _) => why,
        };
        response(
            &self.request,
            &json!({"behavior": "deny", "message": message}),
        )
    }

    fn allowance(&self, input: Value, always: Option<Value>) -> String {
        // An object is required here, whatever the tool was to be given.
        let input = if input.is_object() { input } else { json!({}) };
        let mut answer = json!({"behavior": "allow", "updatedInput": input});
        if let (Some(mut always), Some(fields)) = (always, answer.as_object_mut()) {
            if let Some(place) = always.get_mut("destination") {
                *place = json!("session");
            }
            fields.insert("updatedPermissions".into(), json!([always]));
        }
        response(&self.request, &answer)
    }
}

fn response(request: &str, answer: &Value) -> String {
    json!({
        "type": "control_response",
        "response": {"subtype": "success", "request_id": request, "response": answer},
    })
    .to_string()
}

/// The line that turns down a request which is no question.
pub fn refusal(request: &str, why: &str) -> String {
    json!({
        "type": "control_response",
        "response": {"subtype": "error", "request_id": request, "error": why},
    })
    .to_string()
}

/// The line that denies a question which nobody can be asked.
pub fn nobody_to_ask(request: &str) -> String {
    let why = "Nobody can be asked now: no message of the user's is being worked on.";
    response(request, &json!({"behavior": "deny", "message": why}))
}

/// The one suggestion that "always" stands for: a rule if there is one, else edits without asking.
/// A rule widens least.
fn offered(suggestions: &[Value]) -> Option<&Value> {
    let rule = |s: &&Value| {
        s["type"] == "addRules" && s["behavior"] == "allow" && !words::rules(s).is_empty()
    };
    let edits = |s: &&Value| s["type"] == "setMode" && s["mode"] == "acceptEdits";
    suggestions
        .iter()
        .find(rule)
        .or_else(|| suggestions.iter().find(edits))
}

fn choices(input: &Value) -> Vec<QuestionKind> {
    let questions = input["questions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if questions.len() > QUESTIONS {
        return Vec::new();
    }
    let choices: Option<Vec<QuestionKind>> = questions.iter().map(choice).collect();
    choices
        .filter(|choices| fit_to_be_asked(choices))
        .unwrap_or_default()
}

/// One question with all its options; `None` = it cannot be shown as one.
fn choice(question: &Value) -> Option<QuestionKind> {
    let options = question["options"].as_array()?;
    if options.len() > OPTIONS {
        return None;
    }
    let options: Option<Vec<Choice>> = options
        .iter()
        .map(|option| {
            let words = option["description"].as_str().unwrap_or_default();
            Some(Choice {
                label: option["label"].as_str()?.to_owned(),
                description: words.to_owned(),
            })
        })
        .collect();
    Some(QuestionKind::Choice {
        text: question["question"].as_str()?.to_owned(),
        options: options?,
        multiple: question["multiSelect"].as_bool().unwrap_or_default(),
    })
}

/// Whether each question can be told from the others by its text, and fits where it has to go; if not
/// they are shown as what they are, the input of a tool.
fn fit_to_be_asked(choices: &[QuestionKind]) -> bool {
    let mut texts = BTreeSet::new();
    choices.iter().all(|choice| match choice {
        QuestionKind::Choice { text, options, .. } => {
            let options: usize = options
                .iter()
                .map(|option| option.label.len() + option.description.len())
                .sum();
            text.len() + options <= LONGEST_CHOICE && texts.insert(text)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_schema::MAX_TEXT;

    fn tool(name: &str, input: Value, suggestions: Value) -> ToolUse {
        ToolUse {
            tool_name: name.into(),
            input,
            permission_suggestions: serde_json::from_value(suggestions).unwrap(),
            ..ToolUse::default()
        }
    }

    fn answer(reply: Reply) -> Value {
        let Reply::Line(line) = reply else {
            panic!("{reply:?}")
        };
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["type"], "control_response");
        assert_eq!(line["response"]["request_id"], "r");
        line["response"]["response"].clone()
    }

    fn bash() -> Question {
        let suggestions = json!([
            {"type": "setMode", "mode": "acceptEdits", "destination": "session"},
            {"type": "addDirectories", "directories": ["/"], "destination": "session"},
            {"type": "addRules", "rules": [{"toolName": "Bash", "ruleContent": "touch *"}],
             "behavior": "allow", "destination": "localSettings"},
        ]);
        let input = json!({"command": "touch a\ntouch b", "description": "make files"});
        Question::new("r".into(), tool("Bash", input, suggestions), None)
    }

    #[test]
    fn a_permission_shows_the_whole_command_and_what_always_means() {
        let QuestionKind::Permission {
            tool,
            detail,
            always,
        } = bash().words()
        else {
            panic!()
        };
        assert_eq!(tool, "Bash");
        assert_eq!(detail, "touch a\ntouch b\n\n(make files)");
        assert_eq!(always.as_deref(), Some("Bash(touch *) in this project"));
    }

    #[test]
    fn always_gives_back_exactly_the_suggestion_that_was_shown() {
        let allowed = answer(bash().decide(Decision::AllowAlways));
        assert_eq!(allowed["behavior"], "allow");
        assert_eq!(allowed["updatedInput"]["command"], "touch a\ntouch b");
        assert_eq!(allowed["updatedPermissions"].as_array().unwrap().len(), 1);
        assert_eq!(
            allowed["updatedPermissions"][0]["rules"][0]["ruleContent"],
            "touch *"
        );
        assert_eq!(allowed["updatedPermissions"][0]["destination"], "session");
        assert_eq!(bash().grants(), ["Bash(touch *)"]);
        let once = answer(bash().decide(Decision::Allow));
        assert!(once.get("updatedPermissions").is_none());
        assert_eq!(once["updatedInput"]["command"], "touch a\ntouch b");
    }

    #[test]
    fn what_is_too_long_or_ambiguous_is_not_offered() {
        let long = json!([{"type": "addRules", "destination": "session",
            "rules": [{"toolName": "Bash", "ruleContent": "x".repeat(5000)}]}]);
        let asked = Question::new(
            "r".into(),
            tool("Bash", json!({"command": "x"}), long),
            None,
        );
        assert!(matches!(
            asked.words(),
            QuestionKind::Permission { always: None, .. }
        ));
        let one = json!({"question": "Which?", "options": [{"label": "a"}]});
        let huge = json!({"question": "Which?", "options": [{"label": "a".repeat(100_000)}]});
        let many = json!({"question": "Which?", "options": vec![json!({"label": "a"}); 26]});
        let odd = json!({"question": "Which?", "options": [{"label": 1}]});
        for questions in [
            json!([one, one]),
            json!([huge]),
            json!([many]),
            json!([one, odd]),
        ] {
            let input = json!({"questions": questions});
            let asked = Question::new("r".into(), tool("AskUserQuestion", input, json!([])), None);
            assert!(matches!(asked.words(), QuestionKind::Permission { .. }));
        }
    }

    #[test]
    fn always_where_it_was_not_offered_approves_nothing() {
        let mut question = Question::new("r".into(), tool("X", json!({"a": 1}), json!([])), None);
        assert_eq!(question.decide(Decision::AllowAlways), Reply::Unfit);
        assert_eq!(
            question.decide(Decision::Answers {
                answers: BTreeMap::new()
            }),
            Reply::Unfit
        );
        let QuestionKind::Permission { detail, always, .. } = question.words() else {
            panic!()
        };
        assert_eq!((detail.as_str(), always), ("{\n  \"a\": 1\n}", None));
    }

    #[test]
    fn a_denial_carries_its_reason() {
        let denied = answer(bash().decide(Decision::Deny {
            why: "not on a Friday".into(),
        }));
        assert_eq!(
            (denied["behavior"].as_str(), denied["message"].as_str()),
            (Some("deny"), Some("not on a Friday"))
        );
        let denied = answer(bash().decide(Decision::Deny { why: String::new() }));
        assert!(
            denied["message"]
                .as_str()
                .unwrap()
                .contains("does not allow")
        );
    }

    #[test]
    fn an_edit_is_shown_as_a_diff() {
        let input = json!({"file_path": "/a", "old_string": "x\ny", "new_string": "z"});
        let question = Question::new("r".into(), tool("Edit", input, json!([])), None);
        let QuestionKind::Permission { detail, .. } = question.words() else {
            panic!()
        };
        assert_eq!(detail, "/a\n- x\n- y\n+ z");
    }

    #[test]
    fn what_does_not_fit_says_how_much_is_missing() {
        let input = json!({"command": "é".repeat(MAX_TEXT)});
        let question = Question::new("r".into(), tool("Bash", input, json!([])), None);
        let QuestionKind::Permission { detail, .. } = question.words() else {
            panic!()
        };
        assert!(detail.len() <= MAX_TEXT);
        assert!(
            detail.ends_with("more bytes are not shown]"),
            "{}",
            &detail[detail.len() - 50..]
        );
    }

    // pitfall: questions come one at a time; answers are those of updatedInput.answers
    #[test]
    fn several_choices_are_put_in_turn_and_answered_together() {
        let input = json!({"questions": [
            {"question": "Which DB?", "multiSelect": false,
             "options": [{"label": "sqlite", "description": "small"}]},
            {"question": "Which colours?", "multiSelect": true, "options": [{"label": "red"}]},
        ]});
        let mut question =
            Question::new("r".into(), tool("AskUserQuestion", input, json!([])), None);
        let given = |text: &str, answer: &str| Decision::Answers {
            answers: BTreeMap::from([(text.to_owned(), answer.to_owned())]),
        };
        assert_eq!(
            question.decide(given("Which colours?", "red")),
            Reply::Unfit
        );
        assert_eq!(question.decide(Decision::Allow), Reply::Unfit);
        assert_eq!(question.decide(given("Which DB?", "sqlite")), Reply::Next);
        assert_eq!(question.index(), 1);
        let QuestionKind::Choice { text, multiple, .. } = question.words() else {
            panic!()
        };
        assert_eq!((text.as_str(), multiple), ("Which colours?", true));
        let allowed = answer(question.decide(given("Which colours?", "red, blue")));
        assert_eq!(
            allowed["updatedInput"]["answers"],
            json!({"Which DB?": "sqlite", "Which colours?": "red, blue"})
        );
        assert_eq!(
            allowed["updatedInput"]["questions"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn a_plan_is_shown_wherever_it_stands() {
        let plan =
            |input, known| Question::new("r".into(), tool("ExitPlanMode", input, json!([])), known);
        let text = |question: Question| match question.words() {
            QuestionKind::Plan { text } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(plan(json!({"plan": "1. do"}), None)), "1. do");
        assert_eq!(text(plan(json!({}), Some("2. do"))), "2. do");
        assert!(text(plan(json!({}), None)).contains("messages"));
        assert_eq!(
            answer(plan(json!({}), None).decide(Decision::Allow))["updatedInput"],
            json!({})
        );
    }
}
