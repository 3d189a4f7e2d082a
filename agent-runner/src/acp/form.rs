//! A form that an agent wants filled in (`elicitation/create`), as far as it is made of choices: put to a
//! person question by question, and answered as a whole. Pure.
//!
//! Promises: what is answered is what a person chose, by the values that the form has for it, or their
//! own words where the form has a field for them. A form that wants anything else is none of ours.
//!
//! Source: <https://agentclientprotocol.com/protocol/v1/elicitation>. A field for own words is one named
//! like the choice with `_custom` behind, as claude-agent-acp 0.101 has it for AskUserQuestion.

use std::collections::BTreeMap;

use ipc_schema::{Choice, QuestionKind};
use serde_json::{Map, Value, json};

/// The most questions of one form.
const QUESTIONS: usize = 8;
/// The most options of one question.
const OPTIONS: usize = 25;
/// The longest question with its options, bytes.
const LONGEST: usize = 64 << 10;
/// Between the labels of several options, as the hub puts them together.
const BETWEEN: &str = ", ";

/// A form that is being filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form {
    /// The fields in order; the first so many are filled in.
    fields: Vec<Field>,
    filled: usize,
    content: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
struct Field {
    key: String,
    /// The field for own words.
    own: Option<String>,
    text: String,
    multiple: bool,
    options: Vec<Choice>,
    /// What stands for each option, in their order.
    values: Vec<Value>,
}

impl Form {
    /// Reads the parameters of a request; nothing: it is none that can be shown here.
    pub(super) fn read(params: &Value) -> Option<Form> {
        if params["mode"] != "form" {
            return None;
        }
        let schema = &params["requestedSchema"];
        let properties = schema["properties"].as_object()?;
        let required = schema["required"].as_array();
        let is_required = |key: &str| required.is_some_and(|all| all.iter().any(|it| it == key));
        let mut fields = Vec::new();
        for (key, property) in properties {
            match options(property) {
                Some(options) => fields.push(Field::new(key, property, options, properties)?),
                // What is not asked must be free to be left out.
                None if is_required(key) => return None,
                None => {}
            }
        }
        let message = params["message"].as_str().unwrap_or_default();
        if let [only] = fields.as_mut_slice() {
            only.text = message.to_owned();
        }
        let texts: Vec<&str> = fields.iter().map(|field| field.text.as_str()).collect();
        let distinct = (1..texts.len()).all(|n| !texts[..n].contains(&texts[n]));
        let fits = (1..=QUESTIONS).contains(&fields.len()) && distinct;
        (fits && fields.iter().all(Field::fits)).then(|| Form {
            fields,
            filled: 0,
            content: Map::new(),
        })
    }

    /// What a person is to be asked next; nothing: it is filled in.
    pub(super) fn question(&self) -> Option<QuestionKind> {
        let field = self.fields.get(self.filled)?;
        Some(QuestionKind::Choice {
            text: field.text.clone(),
            options: field.options.clone(),
            multiple: field.multiple,
        })
    }

    /// Takes the answer to the question that is asked, from answers by their questions' texts; whether
    /// there was one that fits.
    pub(super) fn fill(&mut self, answers: &BTreeMap<String, String>) -> bool {
        let Some(field) = self.fields.get(self.filled) else {
            return false;
        };
        let Some(answer) = answers.get(&field.text) else {
            return false;
        };
        match (field.chosen(answer), &field.own) {
            (Some(value), _) => self.content.insert(field.key.clone(), value),
            (None, Some(own)) => self.content.insert(own.clone(), json!(answer)),
            (None, None) => return false,
        };
        self.filled += 1;
        true
    }

    /// The result of the request, once it is filled in.
    pub(super) fn accepted(&self) -> Value {
        json!({"action": "accept", "content": self.content})
    }
}

/// The result of a request whose form a person does not fill in.
pub(super) fn declined() -> Value {
    json!({"action": "decline"})
}

/// The result of a request that nobody answers.
pub(super) fn cancelled() -> Value {
    json!({"action": "cancel"})
}

/// The options of a property: whether several may be chosen, and each as the schema has it.
fn options(property: &Value) -> Option<(bool, &Vec<Value>)> {
    match property["type"].as_str()? {
        "string" => {
            let found = property["oneOf"].as_array().or(property["enum"].as_array());
            Some((false, found?))
        }
        "array" => {
            let items = &property["items"];
            let found = items["anyOf"].as_array().or(items["enum"].as_array());
            Some((true, found?))
        }
        _ => None,
    }
}

impl Field {
    fn new(
        key: &str,
        property: &Value,
        (multiple, options): (bool, &Vec<Value>),
        all: &Map<String, Value>,
    ) -> Option<Field> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let value = |option: &Value| match option {
            Value::Object(option) => option.get("const").cloned(),
            plain => Some(plain.clone()),
        };
        let values: Option<Vec<Value>> = options.iter().map(value).collect();
        let choice = |(option, value): (&Value, &Value)| Choice {
            label: match option["title"].as_str() {
                Some(title) => title.to_owned(),
                None => text(value),
            },
            description: text(&option["description"]),
        };
        let values = values?;
        let choices = options.iter().zip(&values).map(choice).collect();
        let own = format!("{key}_custom");
        let is_text = |it: &Value| it["type"] == "string" && self::options(it).is_none();
        let own = all.get(&own).is_some_and(is_text).then_some(own);
        let asked = property["description"].as_str();
        Some(Field {
            key: key.to_owned(),
            own,
            text: asked
                .or(property["title"].as_str())
                .unwrap_or(key)
                .to_owned(),
            multiple,
            options: choices,
            values,
        })
    }

    /// Whether it can be shown, and its options be told apart.
    fn fits(&self) -> bool {
        let labels: Vec<&str> = self.options.iter().map(|it| it.label.as_str()).collect();
        let distinct = (0..labels.len()).all(|n| !labels[..n].contains(&labels[n]));
        let bytes: usize = self
            .options
            .iter()
            .map(|it| it.label.len() + it.description.len())
            .sum();
        (1..=OPTIONS).contains(&labels.len())
            && distinct
            && !self.text.trim().is_empty()
            && self.text.len() + bytes <= LONGEST
    }

    /// What stands for an answer made of labels.
    fn chosen(&self, answer: &str) -> Option<Value> {
        let of = |label: &str| {
            let at = self.options.iter().position(|it| it.label == label)?;
            self.values.get(at).cloned()
        };
        if !self.multiple {
            return of(answer);
        }
        let mut chosen = Vec::new();
        let mut rest = answer;
        loop {
            // The longest that fits: a label may be the beginning of another, and hold what stands
            // between them.
            let begins = |label: &&str| {
                rest.strip_prefix(*label)
                    .is_some_and(|after| after.is_empty() || after.starts_with(BETWEEN))
            };
            let labels = self.options.iter().map(|it| it.label.as_str());
            let label = labels.filter(begins).max_by_key(|label| label.len())?;
            chosen.push(of(label)?);
            rest = match rest[label.len()..].strip_prefix(BETWEEN) {
                Some(rest) => rest,
                None => return Some(Value::Array(chosen)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As claude-agent-acp 0.101 asks for AskUserQuestion.
    fn ask(questions: Value) -> Value {
        json!({"mode": "form", "sessionId": "s", "toolCallId": "t", "message": "Which one?",
            "requestedSchema": {"type": "object", "properties": questions}})
    }

    fn single() -> Value {
        json!({"type": "string", "title": "Store", "oneOf": [
            {"const": "Redis", "title": "Redis", "description": "fast"},
            {"const": "b", "title": "Postgres"}]})
    }

    fn several() -> Value {
        json!({"type": "array", "title": "Which", "description": "Which of them?", "items": {"anyOf": [
            {"const": "a", "title": "One"}, {"const": "b", "title": "One, two"},
            {"const": "c", "title": "two"}]}})
    }

    fn own() -> Value {
        json!({"type": "string", "title": "Other", "description": "Type your own answer"})
    }

    fn fill(form: &mut Form, answer: &str) -> bool {
        let Some(QuestionKind::Choice { text, .. }) = form.question() else {
            panic!("{form:?}")
        };
        form.fill(&[(text, answer.to_owned())].into())
    }

    #[test]
    fn questions_are_put_one_by_one_and_answered_together() {
        let both = json!({"question_0": single(), "question_0_custom": own(),
            "question_1": several(), "question_1_custom": own()});
        let mut form = Form::read(&ask(both)).unwrap();
        let Some(QuestionKind::Choice {
            text,
            options,
            multiple,
        }) = form.question()
        else {
            panic!("{form:?}")
        };
        assert_eq!((text.as_str(), multiple), ("Store", false));
        assert_eq!(
            (options[0].label.as_str(), options[0].description.as_str()),
            ("Redis", "fast")
        );
        assert!(!form.fill(&[("another".to_owned(), "Redis".to_owned())].into()));
        assert!(fill(&mut form, "Postgres"));
        assert!(fill(&mut form, "One, two, One"));
        assert_eq!(form.question(), None);
        let content = json!({"question_0": "b", "question_1": ["b", "a"]});
        assert_eq!(
            form.accepted(),
            json!({"action": "accept", "content": content})
        );
    }

    #[test]
    fn own_words_go_where_the_form_has_a_place_for_them() {
        let alone = json!({"question_0": single(), "question_0_custom": own()});
        let mut form = Form::read(&ask(alone)).unwrap();
        let Some(QuestionKind::Choice { text, .. }) = form.question() else {
            panic!("{form:?}")
        };
        assert_eq!(text, "Which one?");
        assert!(fill(&mut form, "neither"));
        assert_eq!(
            form.accepted()["content"],
            json!({"question_0_custom": "neither"})
        );
        let mut form = Form::read(&ask(json!({"q": single()}))).unwrap();
        assert!(!fill(&mut form, "neither"), "it is asked again");
        assert!(fill(&mut form, "Redis"));
    }

    #[test]
    fn what_is_no_choice_is_not_shown() {
        let mut wants = ask(json!({"name": own(), "q": single()}));
        assert!(Form::read(&wants).is_some(), "it may be left out");
        wants["requestedSchema"]["required"] = json!(["name"]);
        assert_eq!(Form::read(&wants), None);
        let twice = json!({"type": "string", "enum": ["a", "a"]});
        let many: Vec<String> = (0..=OPTIONS).map(|n| n.to_string()).collect();
        for bad in [
            ask(json!({})),
            ask(json!({"name": own()})),
            ask(json!({"a": single(), "b": single()})),
            ask(json!({"q": twice})),
            ask(json!({"q": {"type": "string", "enum": many}})),
            json!({"mode": "url", "url": "https://x"}),
            json!({"mode": "form"}),
            json!(7),
        ] {
            assert_eq!(Form::read(&bad), None, "{bad}");
        }
    }
}
