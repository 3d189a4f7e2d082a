//! A question that is shown, what can be pressed under it, and whether a message can be an answer
//! to it.
//!
//! What somebody wrote before they can have seen a question is no answer to it: a "1" that was meant
//! for the question before must not approve the next one. What is pressed names its question.

use std::collections::BTreeMap;

use ipc_schema::{Control, Decision, QuestionKind, SelectOption, Tone};
use serde::{Deserialize, Serialize};
use spool::{Chunk, ChunkState};

use crate::texts::Button;

/// A question as the spool keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// What is asked.
    pub about: QuestionKind,
    /// The key of the last chunk that shows it.
    pub last_chunk: String,
}

/// An answer as the spool keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The answer.
    pub decision: Decision,
    /// The name of whoever gave it; may be empty.
    #[serde(default)]
    pub who: String,
}

/// Up to so many options of a single choice are buttons; more are a list.
const BUTTONS: usize = 5;
/// The most entries of a list.
const ENTRIES: usize = 25;
/// The longest label of a button and of an entry, in code points.
const BUTTON: usize = 80;
const ENTRY: usize = 100;

const ALLOW: &str = "allow";
const DENY: &str = "deny";
const ALWAYS: &str = "always";

/// What can be pressed under a question; nothing where it has to be typed. `words` gives the text
/// on a button.
pub fn controls(about: &QuestionKind, words: impl Fn(Button) -> String) -> Vec<Control> {
    let button = |value: &str, button: Button, tone| Control::Button {
        value: value.to_owned(),
        label: words(button),
        tone,
    };
    match about {
        QuestionKind::Permission { always, .. } => {
            let mut controls = vec![
                button(ALLOW, Button::Allow, Tone::Good),
                button(DENY, Button::Deny, Tone::Bad),
            ];
            if always.is_some() {
                controls.push(button(ALWAYS, Button::Always, Tone::Neutral));
            }
            controls
        }
        QuestionKind::Plan { .. } => vec![
            button(ALLOW, Button::CarryOut, Tone::Good),
            button(DENY, Button::KeepPlanning, Tone::Neutral),
        ],
        QuestionKind::Choice {
            options, multiple, ..
        } => {
            let labels = || options.iter().map(|option| option.label.trim());
            if options.is_empty() || options.len() > ENTRIES || labels().any(str::is_empty) {
                return Vec::new();
            }
            if !multiple && options.len() <= BUTTONS {
                let button = |(n, label): (usize, &str)| Control::Button {
                    value: n.to_string(),
                    label: cut(label, BUTTON),
                    tone: Tone::Neutral,
                };
                return labels().enumerate().map(button).collect();
            }
            let entry = |(n, option): (usize, &ipc_schema::Choice)| SelectOption {
                value: n.to_string(),
                label: cut(&option.label, ENTRY),
                about: cut(&option.description, ENTRY),
            };
            vec![Control::Select {
                options: options.iter().enumerate().map(entry).collect(),
                most: if *multiple { options.len() as u32 } else { 1 },
                hint: words(Button::Choose),
            }]
        }
        QuestionKind::Unknown => Vec::new(),
    }
}

/// What was pressed means; `None` = no control of this question says so.
pub fn pressed(values: &[String], about: &QuestionKind) -> Option<Decision> {
    let deny = || Decision::Deny { why: String::new() };
    match (about, values) {
        (QuestionKind::Permission { always, .. }, [value]) => match value.as_str() {
            ALLOW => Some(Decision::Allow),
            DENY => Some(deny()),
            ALWAYS => always.as_ref().map(|_| Decision::AllowAlways),
            _ => None,
        },
        (QuestionKind::Plan { .. }, [value]) => match value.as_str() {
            ALLOW => Some(Decision::Allow),
            DENY => Some(deny()),
            _ => None,
        },
        (
            QuestionKind::Choice {
                text,
                options,
                multiple,
            },
            [_, ..],
        ) if *multiple || values.len() == 1 => {
            let label = |value: &String| {
                let option = options.get(value.parse::<usize>().ok()?)?;
                Some(option.label.clone())
            };
            let chosen: Option<Vec<String>> = values.iter().map(label).collect();
            Some(Decision::Answers {
                answers: BTreeMap::from([(text.clone(), chosen?.join(", "))]),
            })
        }
        _ => None,
    }
}

/// The message of a question that is over: what it showed, and what came of it. Where both do not
/// fit, only its first line stays; the whole was there to be read while it mattered.
pub fn outcome(shown: &str, words: &str, max_chars: usize) -> String {
    let both = format!("{}\n\n{words}", shown.trim_end());
    if both.chars().count() <= max_chars {
        return both;
    }
    let room = max_chars.saturating_sub(words.chars().count() + 4);
    let first: String = shown
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(room)
        .collect();
    format!("{first} …\n\n{words}")
}

/// Foreign text as one line of at most so many code points.
fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some(_) => line.chars().take(most - 1).chain(['…']).collect(),
        None => line,
    }
}

/// A chunk that was delivered so soon after it was handed out was shown at once, milliseconds.
const PROMPT: u64 = 2_000;

/// Whether a message (its place in the channel's order and its time, 0 = unknown) was certainly
/// written by somebody who could see `chunk`, which asks about `about`.
///
/// A chunk that is only handed out is not proved to be shown: the platform may have refused it, the
/// worker may have died with it, or it may wait there for a connection. Nothing is allowed for clocks
/// that differ: a message that is taken for too early is asked for again, one that is taken for late
/// enough allows a command.
pub fn seen(chunk: &Chunk, about: &QuestionKind, order: u64, sent_at_ms: u64) -> bool {
    if chunk.state != ChunkState::Delivered {
        return false;
    }
    match chunk.platform_id.parse::<u64>() {
        Ok(shown) if order > 0 => order > shown,
        _ if sent_at_ms == 0 => matches!(about, QuestionKind::Choice { .. }),
        _ => sent_at_ms >= shown_at(chunk),
    }
}

/// Since when a delivered chunk can have been seen, as far as is known.
fn shown_at(chunk: &Chunk) -> u64 {
    let at_once = chunk.changed_at.saturating_sub(chunk.leased_at) <= PROMPT;
    match chunk.retries {
        0 if at_once => chunk.leased_at,
        _ => chunk.changed_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(state: ChunkState, platform_id: &str) -> Chunk {
        Chunk {
            key: "r-0".into(),
            number: 1,
            reply: "r".into(),
            position: 0,
            count: 1,
            instance: "discord-main".into(),
            address: "1".into(),
            text: "?".into(),
            state,
            leased_at: 100_000,
            changed_at: 101_000,
            platform_id: platform_id.into(),
            ..Chunk::default()
        }
    }

    fn choice(options: usize, multiple: bool) -> QuestionKind {
        let option = |n| ipc_schema::Choice {
            label: format!("{n}\n{}", "x".repeat(200)),
            description: String::new(),
        };
        QuestionKind::Choice {
            text: "Which?".into(),
            options: (0..options).map(option).collect(),
            multiple,
        }
    }

    fn permission(always: bool) -> QuestionKind {
        QuestionKind::Permission {
            tool: "Bash".into(),
            detail: "ls".into(),
            always: always.then(|| "ls".into()),
        }
    }

    fn values(controls: &[Control]) -> Vec<String> {
        controls
            .iter()
            .flat_map(|control| match control {
                Control::Button { value, label, .. } => {
                    assert!(!label.is_empty() && label.chars().count() <= BUTTON);
                    vec![value.clone()]
                }
                Control::Select { options, .. } => {
                    options.iter().map(|option| option.value.clone()).collect()
                }
                Control::Unknown => Vec::new(),
            })
            .collect()
    }

    #[test]
    fn every_control_means_something() {
        let plan = QuestionKind::Plan { text: "1".into() };
        for (about, count) in [
            (permission(false), 2),
            (permission(true), 3),
            (plan, 2),
            (choice(5, false), 5),
            (choice(6, false), 6),
            (choice(3, true), 3),
            (choice(26, false), 0),
            (choice(0, false), 0),
        ] {
            let controls = controls(&about, |button| format!("{button:?}"));
            let values = values(&controls);
            assert_eq!(values.len(), count, "{about:?}");
            for value in values {
                assert!(pressed(&[value], &about).is_some());
            }
        }
        assert_eq!(controls(&choice(5, true), |_| "?".into()).len(), 1);
    }

    #[test]
    fn an_outcome_stands_under_its_question_and_fits() {
        assert_eq!(
            outcome("May I?\nls\n", "Allowed.", 50),
            "May I?\nls\n\nAllowed."
        );
        let long = format!("May I?\n{}", "x".repeat(100));
        assert_eq!(outcome(&long, "Allowed.", 100), "May I? …\n\nAllowed.");
        let line = "x".repeat(200);
        assert_eq!(outcome(&line, "Allowed.", 100).chars().count(), 100);
    }

    #[test]
    fn what_no_control_says_decides_nothing() {
        let press = |values: &[&str], about: &QuestionKind| {
            let values: Vec<String> = values.iter().map(|value| value.to_string()).collect();
            pressed(&values, about)
        };
        assert_eq!(press(&["always"], &permission(false)), None);
        assert_eq!(press(&["allow", "allow"], &permission(true)), None);
        assert_eq!(press(&[], &permission(true)), None);
        assert_eq!(press(&["7"], &choice(5, false)), None);
        assert_eq!(press(&["0", "1"], &choice(5, false)), None);
        let both = press(&["0", "1"], &choice(5, true));
        assert!(matches!(both, Some(Decision::Answers { .. })));
    }

    #[test]
    fn the_platforms_own_order_decides_where_there_is_one() {
        let shown = chunk(ChunkState::Delivered, "500");
        assert!(seen(&shown, &permission(true), 501, 0));
        assert!(!seen(&shown, &permission(true), 499, 200_000));
    }

    #[test]
    fn else_the_time_does() {
        let shown = chunk(ChunkState::Delivered, "");
        assert!(seen(&shown, &permission(true), 0, 100_000));
        assert!(!seen(&shown, &permission(true), 0, 99_999));
        // A message's id that is no number proves nothing.
        assert!(!seen(&shown, &permission(true), 7, 99_999));
    }

    #[test]
    fn what_was_refused_or_waited_counts_from_when_it_was_delivered() {
        let delivered = |retries, changed_at| Chunk {
            retries,
            changed_at,
            ..chunk(ChunkState::Delivered, "msg_1")
        };
        for late in [delivered(1, 101_000), delivered(0, 160_000)] {
            let at = late.changed_at;
            assert!(!seen(&late, &permission(true), 0, at - 1));
            assert!(seen(&late, &permission(true), 0, at));
        }
    }

    #[test]
    fn a_message_of_no_time_allows_nothing() {
        let shown = chunk(ChunkState::Delivered, "");
        let plan = QuestionKind::Plan { text: "1".into() };
        assert!(!seen(&shown, &permission(true), 0, 0));
        assert!(!seen(&shown, &plan, 0, 0));
        assert!(seen(&shown, &choice(2, false), 0, 0));
    }

    #[test]
    fn nobody_answers_what_was_not_shown() {
        use ChunkState::{Leased, Parked, Pending};
        for state in [Pending, Leased, Parked] {
            for order in [0, 900] {
                let chunk = chunk(state, "");
                assert!(
                    !seen(&chunk, &permission(true), order, 900_000),
                    "{state:?}"
                );
                assert!(
                    !seen(&chunk, &choice(2, false), order, 900_000),
                    "{state:?}"
                );
            }
        }
    }
}
