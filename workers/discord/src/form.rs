//! A message in Discord's form: text or card, and what can be pressed under it. Pure.
//!
//! Lengths that Discord limits are kept to; what does not fit a limit that the hub knows of is cut,
//! never refused, since a message that is refused is nobody's to read.

use ipc_schema::{Card, Control, SelectOption, Tone};
use serde_json::{Map, Value, json};

/// Buttons of a row, rows of a message, options of a list.
const A_ROW: usize = 5;
const ROWS: usize = 5;
const OPTIONS: usize = 25;
/// Code points of a button's label, of an option's texts, of a list's hint, of a card's title and
/// footer.
const LABEL: usize = 80;
const OPTION: usize = 100;
const HINT: usize = 150;
const TITLE: usize = 256;
const FOOTER: usize = 2048;
/// Code points of a message's text, and of a card's.
pub(crate) const TEXT: usize = 2000;
const CARD: usize = 4096;
/// Bytes of what a control is known by.
const CUSTOM_ID: usize = 100;

/// Nobody is pinged by what a model wrote. Belongs on every write: without it Discord reads the text
/// for mentions, also that of an edit.
pub(crate) fn no_pings() -> Value {
    json!({"parse": [], "replied_user": false})
}

/// The visible part of a message: `content` and `embeds`, both named, so that an edit takes away what
/// is not there any more. `note`: a line of our own below.
pub(crate) fn visible(text: &str, card: Option<&Card>, note: &str) -> Map<String, Value> {
    let mut embeds: Vec<Value> = card.map(embed).into_iter().collect();
    let mut content = if embeds.is_empty() { text } else { "" }.to_owned();
    if !note.is_empty() {
        let together = content.chars().count() + 1 + note.chars().count();
        if together <= TEXT {
            if !content.is_empty() {
                content.push('\n');
            }
            content.push_str(note);
        } else {
            embeds.push(json!({"description": cut(note, CARD)}));
        }
    }
    let mut body = Map::new();
    body.insert("content".into(), json!(content));
    body.insert("embeds".into(), json!(embeds));
    body.insert("allowed_mentions".into(), no_pings());
    body
}

/// Whether a card has anything to show.
pub(crate) fn is_blank(card: &Card) -> bool {
    [&card.title, &card.text, &card.footer]
        .iter()
        .all(|text| text.trim().is_empty())
}

fn embed(card: &Card) -> Value {
    let mut embed = Map::new();
    let mut text = |key: &str, value: Value, shown: &str| {
        if !shown.trim().is_empty() {
            embed.insert(key.into(), value);
        }
    };
    text("title", json!(cut(&card.title, TITLE)), &card.title);
    text("description", json!(cut(&card.text, CARD)), &card.text);
    let footer = json!({"text": cut(&card.footer, FOOTER)});
    text("footer", footer, &card.footer);
    let color = match card.tone {
        Tone::Working => Some(0x58_65_F2),
        Tone::Good => Some(0x3B_A5_5D),
        Tone::Bad => Some(0xED_42_45),
        Tone::Neutral => None,
    };
    if let Some(color) = color {
        embed.insert("color".into(), json!(color));
    }
    Value::Object(embed)
}

/// The rows of what can be pressed. What Discord has no room for is left out, with the number of it.
pub(crate) fn rows(question: &str, controls: &[Control]) -> (Vec<Value>, usize) {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut open = false; // the last row takes more buttons
    let mut left_out = 0;
    for control in controls {
        let (cell, button) = match control {
            Control::Button { value, label, tone } => (button(question, value, label, *tone), true),
            Control::Select {
                options,
                most,
                hint,
            } => (select(question, options, *most, hint), false),
            Control::Unknown => (None, false),
        };
        let Some(cell) = cell else {
            left_out += 1;
            continue;
        };
        let count = rows.len();
        match rows.last_mut() {
            Some(row) if button && open && row.len() < A_ROW => row.push(cell),
            _ if count < ROWS => {
                rows.push(vec![cell]);
                open = button;
            }
            _ => left_out += 1,
        }
    }
    let rows = rows
        .into_iter()
        .map(|cells| json!({"type": 1, "components": cells}));
    (rows.collect(), left_out)
}

fn button(question: &str, value: &str, label: &str, tone: Tone) -> Option<Value> {
    let style = match tone {
        Tone::Working => 1,
        Tone::Neutral => 2,
        Tone::Good => 3,
        Tone::Bad => 4,
    };
    let label = if label.trim().is_empty() {
        value
    } else {
        label
    };
    let id = custom_id(question, value)?;
    Some(json!({"type": 2, "style": style, "label": cut(label, LABEL), "custom_id": id}))
}

fn select(question: &str, options: &[SelectOption], most: u32, hint: &str) -> Option<Value> {
    let options: Vec<_> = options.iter().take(OPTIONS).map(option).collect();
    if options.is_empty() {
        return None;
    }
    let most = usize::try_from(most).unwrap_or(OPTIONS);
    let most = most.clamp(1, options.len());
    let mut select = json!({"type": 3, "custom_id": custom_id(question, "")?, "options": options,
        "min_values": 1, "max_values": most});
    if !hint.trim().is_empty() {
        select["placeholder"] = json!(cut(hint, HINT));
    }
    Some(select)
}

fn option(it: &SelectOption) -> Value {
    let label = if it.label.trim().is_empty() {
        &it.value
    } else {
        &it.label
    };
    let mut option = json!({"value": it.value, "label": cut(label, OPTION)});
    if !it.about.trim().is_empty() {
        option["description"] = json!(cut(&it.about, OPTION));
    }
    option
}

/// What a control is known by; none if Discord could not keep it.
fn custom_id(question: &str, value: &str) -> Option<String> {
    let id = format!("q:{question}:{value}");
    (!question.is_empty() && id.len() <= CUSTOM_ID).then_some(id)
}

/// The question and the value of a control of ours; a list has no value of its own.
pub(crate) fn pressed(custom_id: &str) -> Option<(&str, &str)> {
    let (question, value) = custom_id.strip_prefix("q:")?.rsplit_once(':')?;
    (!question.is_empty()).then_some((question, value))
}

/// At most so many code points, the last of them an ellipsis if there were more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_button(value: &str) -> Control {
        Control::Button {
            value: value.into(),
            label: format!("press {value}"),
            tone: Tone::Good,
        }
    }

    fn a_list(count: usize) -> Control {
        let option = |n: usize| SelectOption {
            value: n.to_string(),
            label: "x".repeat(300),
            about: String::new(),
        };
        Control::Select {
            options: (0..count).map(option).collect(),
            most: 9,
            hint: "choose".into(),
        }
    }

    #[test]
    fn five_buttons_a_row_and_five_rows() {
        let buttons: Vec<_> = (0..30).map(|n| a_button(&n.to_string())).collect();
        let (rows, left_out) = rows("1-2", &buttons);
        assert_eq!((rows.len(), left_out), (5, 5));
        for row in &rows {
            assert_eq!(row["components"].as_array().unwrap().len(), 5);
        }
        let first = &rows[0]["components"][0];
        assert_eq!(first["custom_id"], "q:1-2:0");
        assert_eq!(
            (&first["style"], &first["label"]),
            (&json!(3), &json!("press 0"))
        );
    }

    #[test]
    fn a_list_stands_alone_in_its_row_and_within_limits() {
        let (found, left_out) = rows("q", &[a_button("a"), a_list(40), a_button("b")]);
        assert_eq!((found.len(), left_out), (3, 0));
        let list = &found[1]["components"][0];
        assert_eq!(list["options"].as_array().unwrap().len(), 25);
        assert_eq!(
            (list["max_values"].as_u64(), &list["custom_id"]),
            (Some(9), &json!("q:q:"))
        );
        let label = list["options"][0]["label"].as_str().unwrap();
        assert_eq!(label.chars().count(), 100);
        let (found, left_out) = rows("q", &[a_list(0), Control::Unknown]);
        assert_eq!((found.len(), left_out), (0, 2));
        let (found, _) = rows("q", &[a_list(2)]);
        assert_eq!(found[0]["components"][0]["max_values"], 2);
    }

    #[test]
    fn what_was_pressed_is_read_back() {
        for (question, value) in [("1-2", "allow"), ("a:b", ""), ("x", "3")] {
            let id = custom_id(question, value).unwrap();
            assert_eq!(pressed(&id), Some((question, value)));
        }
        for strange in ["", "q:", "q::x", "other", "q:x"] {
            assert_eq!(pressed(strange), None, "{strange}");
        }
        assert_eq!(custom_id(&"x".repeat(100), ""), None);
        assert_eq!(rows("", &[a_button("a")]), (Vec::new(), 1));
    }

    #[test]
    fn a_card_takes_the_place_of_the_text() {
        let card = Card {
            title: "t".repeat(300),
            text: "**bold**".into(),
            footer: " ".into(),
            tone: Tone::Bad,
        };
        let body = visible("the text", Some(&card), "");
        assert_eq!(body["content"], "");
        let embed = &body["embeds"][0];
        assert_eq!(embed["description"], "**bold**");
        assert_eq!(embed["title"].as_str().unwrap().chars().count(), 256);
        assert!(embed.get("footer").is_none());
        assert_eq!(embed["color"], 0xED_42_45);
        let body = visible("the text", None, "");
        assert_eq!(
            (&body["content"], &body["embeds"]),
            (&json!("the text"), &json!([]))
        );
        assert_eq!(body["allowed_mentions"], no_pings());
    }

    #[test]
    fn a_note_stands_below_or_where_there_is_room() {
        assert_eq!(visible("text", None, "note")["content"], "text\nnote");
        assert_eq!(visible("", None, "note")["content"], "note");
        let full = "x".repeat(1999);
        let body = visible(&full, None, "note");
        assert_eq!(body["content"], json!(full));
        assert_eq!(body["embeds"][0]["description"], "note");
        let card = Card {
            text: "card".into(),
            ..Card::default()
        };
        let body = visible("text", Some(&card), "note");
        assert_eq!(body["content"], "note");
        assert_eq!(body["embeds"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("中文字", 2), "中…");
        assert_eq!(cut(" ab ", 2), "ab");
        assert_eq!(cut("", 2), "");
    }
}
