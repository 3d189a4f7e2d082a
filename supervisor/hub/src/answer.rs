//! A person's answer to a question, typed.
//!
//! The whole message counts, after normalisation, and nothing else: nothing is ever approved by a
//! part of a sentence. What is no answer is a prompt.

use std::collections::BTreeMap;

use ipc_schema::{Decision, QuestionKind};
use unicode_normalization::UnicodeNormalization as _;

/// What a message means while a question is open; `None` = it is no answer to it.
pub fn read(message: &str, question: &QuestionKind) -> Option<Decision> {
    let said = normalise(message);
    match question {
        QuestionKind::Permission { always, .. } => match verdict(&said)? {
            Verdict::Allow => Some(Decision::Allow),
            Verdict::Deny => Some(deny()),
            Verdict::Always => always.as_ref().map(|_| Decision::AllowAlways),
        },
        QuestionKind::Plan { .. } => match verdict(&said)? {
            Verdict::Allow => Some(Decision::Allow),
            Verdict::Deny => Some(deny()),
            Verdict::Always => None,
        },
        QuestionKind::Choice {
            text,
            options,
            multiple,
        } => {
            let chosen = chosen(
                &said,
                options.iter().map(|option| &*option.label),
                *multiple,
            )?;
            Some(Decision::Answers {
                answers: BTreeMap::from([(text.clone(), chosen)]),
            })
        }
        QuestionKind::Unknown => None,
    }
}

fn deny() -> Decision {
    Decision::Deny { why: String::new() }
}

enum Verdict {
    Allow,
    Deny,
    Always,
}

fn verdict(said: &str) -> Option<Verdict> {
    match said {
        "1" | "allow" | "允许" => Some(Verdict::Allow),
        "2" | "deny" | "拒绝" => Some(Verdict::Deny),
        "3" | "always allow" | "always" | "总是允许" => Some(Verdict::Always),
        _ => None,
    }
}

/// A number or a label; several, parted by commas, where several may be chosen.
fn chosen<'a>(
    said: &str,
    options: impl Iterator<Item = &'a str> + Clone,
    multiple: bool,
) -> Option<String> {
    let one = |said: &str| {
        let said = said.trim();
        let by_number = said
            .parse::<usize>()
            .ok()
            .and_then(|number| options.clone().nth(number.checked_sub(1)?));
        by_number.or_else(|| options.clone().find(|label| normalise(label) == said))
    };
    if let Some(label) = one(said) {
        return Some(label.to_owned());
    }
    if !multiple {
        return None;
    }
    let labels: Option<Vec<_>> = said.split([',', '、']).map(one).collect();
    Some(labels?.join(", "))
}

/// Full-width to half-width, spaces and a final full stop off, lower case.
fn normalise(text: &str) -> String {
    let text: String = text.nfkc().collect();
    let text = text.trim().trim_end_matches(['。', '.']).trim_end();
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_schema::Choice;

    fn permission(always: bool) -> QuestionKind {
        QuestionKind::Permission {
            tool: "Bash".into(),
            detail: "ls".into(),
            always: always.then(|| "ls in this session".into()),
        }
    }

    #[test]
    fn whole_words_answer() {
        for yes in ["1", "１", "1。", " 1. ", "允许", "Allow", "ALLOW."] {
            assert_eq!(
                read(yes, &permission(false)),
                Some(Decision::Allow),
                "{yes}"
            );
        }
        for no in ["2", "２", "拒绝", "deny"] {
            assert_eq!(read(no, &permission(false)), Some(deny()), "{no}");
        }
        assert_eq!(
            read("总是允许", &permission(true)),
            Some(Decision::AllowAlways)
        );
        assert_eq!(read("3", &permission(true)), Some(Decision::AllowAlways));
    }

    #[test]
    fn nothing_is_approved_by_a_part_of_a_sentence() {
        for prompt in [
            "please don't allow",
            "1 more thing",
            "never always allow",
            "不允许",
            "11",
            "yes",
            "",
        ] {
            assert_eq!(read(prompt, &permission(true)), None, "{prompt}");
        }
    }

    #[test]
    fn always_counts_only_where_it_was_offered() {
        assert_eq!(read("3", &permission(false)), None);
    }

    #[test]
    fn a_choice_takes_a_number_or_a_label() {
        let labels = ["SQLite", "Postgres"];
        let choice = |multiple| QuestionKind::Choice {
            text: "Which DB?".into(),
            options: labels
                .iter()
                .map(|label| Choice {
                    label: label.to_string(),
                    description: String::new(),
                })
                .collect(),
            multiple,
        };
        let answer = |said, multiple| match read(said, &choice(multiple)) {
            Some(Decision::Answers { answers }) => answers.get("Which DB?").cloned(),
            _ => None,
        };
        assert_eq!(answer("1", false).as_deref(), Some("SQLite"));
        assert_eq!(answer("postgres", false).as_deref(), Some("Postgres"));
        assert_eq!(answer("1, 2", true).as_deref(), Some("SQLite, Postgres"));
        assert_eq!(answer("1, 2", false), None);
        assert_eq!(answer("0", false), None);
        assert_eq!(answer("3", true), None);
    }
}
