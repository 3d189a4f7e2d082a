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
        QuestionKind::Permission { .. } | QuestionKind::Plan { .. }
            if reason(message).is_some() =>
        {
            let why = reason(message)?;
            Some(Decision::Deny { why })
        }
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
            let labels = options.iter().map(|option| &*option.label);
            let chosen = chosen(&said, labels, *multiple)
                .or_else(|| own_words(message, &["0", "other", "其他"]))?;
            Some(Decision::Answers {
                answers: BTreeMap::from([(text.clone(), chosen)]),
            })
        }
        QuestionKind::Unknown => None,
    }
}

/// A denial with a reason: "2: too slow". A reason never approves anything.
fn reason(message: &str) -> Option<String> {
    own_words(message, &["2", "deny", "拒绝"])
}

/// What somebody wrote behind one of these words and a colon.
fn own_words(message: &str, words: &[&str]) -> Option<String> {
    let (word, own) = message.split_once([':', '：'])?;
    let own = own.trim();
    (words.contains(&normalise(word).as_str()) && !own.is_empty()).then(|| own.to_owned())
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
        // Digits only: a "+1" is applause and no number.
        let digits = said.chars().all(|c| c.is_ascii_digit());
        let number = said.parse::<usize>().ok().filter(|_| digits);
        let by_number = number.and_then(|number| options.clone().nth(number.checked_sub(1)?));
        by_number.or_else(|| options.clone().find(|label| normalise(label) == said))
    };
    if let Some(label) = one(said) {
        return Some(label.to_owned());
    }
    if !multiple {
        return None;
    }
    let mut labels: Vec<&str> = Vec::new();
    for label in said.split([',', '、']).map(one) {
        let label = label?;
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    Some(labels.join(", "))
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

    const ALLOW: Option<Decision> = Some(Decision::Allow);
    const ALWAYS: Option<Decision> = Some(Decision::AllowAlways);

    #[test]
    fn a_denial_may_have_a_reason() {
        let deny = |why: &str| Some(Decision::Deny { why: why.into() });
        let plan = QuestionKind::Plan { text: "1".into() };
        for question in [&permission(true), &plan] {
            assert_eq!(
                read("2: Use the other one", question),
                deny("Use the other one")
            );
            assert_eq!(
                read(" ２： 太慢了\n换一个", question),
                deny("太慢了\n换一个")
            );
            assert_eq!(read("Deny: no", question), deny("no"));
            // Only a no has reasons.
            for said in ["1: go", "allow: go", "3: go", "because: 2", "2 no", "2:"] {
                assert_eq!(read(said, question), None, "{said}");
            }
        }
    }

    #[test]
    fn every_form_that_a_phone_types() {
        for (said, decision) in [
            ("1", ALLOW),
            ("１", ALLOW),
            ("1。", ALLOW),
            ("1｡", ALLOW),
            ("1.", ALLOW),
            ("１．", ALLOW),
            (" 1 \n", ALLOW),
            ("\u{3000}1 。\u{3000}", ALLOW),
            ("允许", ALLOW),
            ("允许。", ALLOW),
            ("Allow", ALLOW),
            ("ＡＬＬＯＷ.", ALLOW),
            ("2", Some(deny())),
            ("２。", Some(deny())),
            ("拒绝", Some(deny())),
            ("拒绝。", Some(deny())),
            ("deny", Some(deny())),
            ("3", ALWAYS),
            ("３", ALWAYS),
            ("3。", ALWAYS),
            ("总是允许", ALWAYS),
            ("总是允许.", ALWAYS),
            ("Always allow", ALWAYS),
        ] {
            assert_eq!(read(said, &permission(true)), decision, "{said:?}");
            let unoffered = decision.filter(|decision| *decision != Decision::AllowAlways);
            assert_eq!(read(said, &permission(false)), unoffered, "{said:?}");
            let plan = QuestionKind::Plan {
                text: String::new(),
            };
            assert_eq!(read(said, &plan), unoffered, "{said:?} to a plan");
            assert_eq!(read(said, &QuestionKind::Unknown), None);
        }
    }

    #[test]
    fn nothing_is_approved_by_a_part_of_a_sentence() {
        for prompt in [
            "please don't allow",
            "1 more thing",
            "never always allow",
            "不允许",
            "我允许",
            "允许吗？",
            "允许！",
            "允许 1",
            "1\n1",
            "1,2",
            "1、",
            "11",
            "01",
            "-1",
            "+1",
            "1.0",
            "。1",
            "4",
            "0",
            "一",
            "好",
            "yes",
            "y",
            "ok",
            "👍",
            "。",
            "",
        ] {
            assert_eq!(read(prompt, &permission(true)), None, "{prompt:?}");
        }
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
        assert_eq!(
            answer("0: Both, Please", false).as_deref(),
            Some("Both, Please")
        );
        assert_eq!(answer("其他：都要", true).as_deref(), Some("都要"));
        assert_eq!(answer("3: x", false), None);
        assert_eq!(answer("1", false).as_deref(), Some("SQLite"));
        assert_eq!(answer("postgres", false).as_deref(), Some("Postgres"));
        assert_eq!(answer("1, 2", true).as_deref(), Some("SQLite, Postgres"));
        assert_eq!(answer("1, 2", false), None);
        for (said, chosen) in [
            ("１，２。", "SQLite, Postgres"),
            ("2、1", "Postgres, SQLite"),
            ("1,1", "SQLite"),
            ("ｐｏｓｔｇｒｅｓ。", "Postgres"),
        ] {
            assert_eq!(answer(said, true).as_deref(), Some(chosen), "{said}");
        }
        for said in ["1,", "+1", "1 2", "1,3", "both", ""] {
            assert_eq!(answer(said, true), None, "{said}");
        }
        assert_eq!(answer("0", false), None);
        assert_eq!(answer("3", true), None);
    }
}
