//! How a chunk is shown, where that is more than its text; kept with it in the spool.

use ipc_schema::{BlobRef, Card, Control};
use serde::{Deserialize, Serialize};

/// See the module. A chunk that is a plain text has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Form {
    /// Without a push notification.
    #[serde(skip_serializing_if = "is_off")]
    pub silent: bool,
    /// The chunk whose message this one changes; it is earlier in the same lane. Empty = none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Where that message is not there or cannot be changed, post another; else nothing is done.
    #[serde(skip_serializing_if = "is_off")]
    pub or_post: bool,
    /// Instead of the text, where cards may be posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// What can be pressed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
    /// The question that the controls answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// Files that go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<BlobRef>,
    /// The event that it answers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answers: String,
    /// Only for whoever did that.
    #[serde(skip_serializing_if = "is_off")]
    pub private: bool,
    /// The turn whose progress it shows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub turn: String,
    /// Nothing is lost without it: refused for good, it is dropped without a word.
    #[serde(skip_serializing_if = "is_off")]
    pub passing: bool,
    /// Its first file is the whole of an answer that is too long for messages, and its text the
    /// first piece of so many code points; 0 = not so.
    #[serde(skip_serializing_if = "is_zero")]
    pub whole: u32,
}

fn is_off(flag: &bool) -> bool {
    !flag
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Form {
    /// As the spool keeps it.
    pub fn write(&self) -> String {
        if *self == Form::default() {
            return String::new();
        }
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As the spool has kept it. What a later version wrote is left out.
    pub fn read(kept: &str) -> Form {
        if kept.is_empty() {
            return Form::default();
        }
        serde_json::from_str(kept).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_schema::Tone;

    #[test]
    fn a_form_comes_back_as_it_was_and_a_plain_text_has_none() {
        let form = Form {
            silent: true,
            target: "r-0".into(),
            or_post: true,
            card: Some(Card::default()),
            controls: vec![Control::Button {
                value: "1".into(),
                label: "Allow".into(),
                tone: Tone::Good,
            }],
            question: "q".into(),
            files: vec![BlobRef::default()],
            answers: "e".into(),
            private: true,
            turn: "t".into(),
            passing: true,
            whole: 1960,
        };
        assert_eq!(Form::read(&form.write()), form);
        assert_eq!(Form::default().write(), "");
        assert_eq!(
            Form::read(r#"{"silent":true,"later":1}"#).write(),
            r#"{"silent":true}"#
        );
    }
}
