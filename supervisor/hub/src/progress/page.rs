//! What stands on a page, and how it is laid out.

use ipc_schema::Tone;
use render::{Dialect, Limit, tail};
use serde::{Deserialize, Serialize};
use spool::TurnState;

/// Room for the line that says how things stand, its line break included, in code points.
pub(super) const STANDING: usize = 48;

/// A thing on the open page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Item {
    /// A step, in the platform's dialect.
    Line(String),
    /// Text of the agent's, in the platform's dialect; whole.
    Text(String),
    /// Text that is being written, as the agent wrote it.
    #[serde(skip)]
    Partial(String),
    /// A whole text block that may be the answer, as the agent wrote it.
    #[serde(skip)]
    Held {
        /// The block.
        id: String,
        /// Its text.
        text: String,
    },
}

impl Item {
    /// Whether it stays on the page.
    pub(super) fn lasts(&self) -> bool {
        matches!(self, Item::Line(_) | Item::Text(_))
    }

    /// Whether it is a block that this growing text is, or was, a part of.
    pub(super) fn has(&self, partial: &str) -> bool {
        matches!(self, Item::Held { text, .. } if text.contains(partial.trim_end()))
    }

    /// The text that has grown to `partial`, if it is that.
    pub(super) fn grows(&mut self, partial: &str) -> Option<&mut String> {
        match self {
            Item::Partial(old) if partial.starts_with(old.as_str()) || joins(old, partial) => {
                Some(old)
            }
            _ => None,
        }
    }

    /// Whether it is what was seen of a block while that was being written.
    pub(super) fn becomes(&self, block: &str) -> bool {
        matches!(self, Item::Partial(text) if block.contains(text.trim()))
    }
}

/// Whether a text whose front was cut goes on with another.
fn joins(old: &str, new: &str) -> bool {
    const SEAM: usize = 64;
    let from = old.char_indices().rev().nth(SEAM).map(|(at, _)| at);
    from.is_some_and(|from| new.contains(&old[from..]))
}

/// The colour of an end.
pub(super) fn tone(over: Option<TurnState>) -> Tone {
    match over {
        None => Tone::Working,
        Some(TurnState::Ended) => Tone::Good,
        Some(TurnState::Stopped) => Tone::Neutral,
        Some(_) => Tone::Bad,
    }
}

/// At most so many code points.
pub(super) fn clip(line: &str, most: usize) -> String {
    let end = line
        .char_indices()
        .nth(most)
        .map_or(line.len(), |(at, _)| at);
    line[..end].to_owned()
}

/// Puts a piece behind others: lines of steps follow each other, text has an empty line around it.
fn append(all: &mut String, piece: &str, text: bool, text_before: bool) {
    if piece.is_empty() {
        return;
    }
    if !all.is_empty() {
        all.push_str(if text || text_before { "\n\n" } else { "\n" });
    }
    all.push_str(piece);
}

/// What lasts.
fn lasting(items: &[Item]) -> String {
    let (mut all, mut before) = (String::new(), false);
    for item in items {
        let (piece, text) = match item {
            Item::Line(line) => (line, false),
            Item::Text(text) => (text, true),
            _ => continue,
        };
        append(&mut all, piece, text, before);
        before = text;
    }
    all
}

/// Takes off what fills pages of `room` code points, if it is more than one: the full pages, and
/// whether each holds text of the agent's. What was on trust moves behind the rest.
pub(super) fn overflow(items: &mut Vec<Item>, room: usize) -> Option<Vec<(String, bool)>> {
    let all = lasting(items);
    if all.chars().count() <= room {
        return None;
    }
    let content = items.iter().any(|item| matches!(item, Item::Text(_)));
    let mut pages: Vec<String> = render::chunk(&all, Limit::messages(room))
        .chunks
        .into_iter()
        .map(|chunk| chunk.text)
        .collect();
    let rest = pages.pop()?;
    items.retain(|item| !item.lasts());
    let rest = match content {
        true => Item::Text(rest),
        false => Item::Line(rest),
    };
    items.insert(0, rest);
    let full: Vec<_> = pages.into_iter().map(|page| (page, content)).collect();
    (!full.is_empty()).then_some(full)
}

/// The page, with as much of what is on trust as there is room for: the newest first, and of each
/// its end.
pub(super) fn lay_out(items: &[Item], room: usize, preview: usize, dialect: Dialect) -> String {
    let lasts = lasting(items).chars().count();
    let mut left = room.saturating_sub(lasts);
    let mut shown: Vec<(usize, String)> = Vec::new();
    for (at, item) in items.iter().enumerate().rev() {
        let (Item::Partial(text) | Item::Held { text, .. }) = item else {
            continue;
        };
        // An empty line on each side.
        let most = left.saturating_sub(4).min(preview);
        if most < 8 {
            break;
        }
        let piece = tail(render::render(text, dialect).trim(), most);
        left = left.saturating_sub(piece.chars().count() + 4);
        shown.push((at, piece));
    }
    let (mut all, mut before) = (String::new(), false);
    for (at, item) in items.iter().enumerate() {
        let (piece, text) = match item {
            Item::Line(line) => (line.as_str(), false),
            Item::Text(text) => (text.as_str(), true),
            _ => match shown.iter().find(|(of, _)| *of == at) {
                Some((_, piece)) => (piece.as_str(), true),
                None => continue,
            },
        };
        append(&mut all, piece, text, before);
        before = text;
    }
    all
}

/// The end: what is on trust goes, or, if the turn was cut off, stays as far as it was seen and
/// stands nowhere else.
pub(super) fn settle(
    items: &mut Vec<Item>,
    texts: &[&str],
    stays: Option<usize>,
    dialect: Dialect,
) {
    items.retain_mut(|item| match item {
        Item::Line(_) | Item::Text(_) => true,
        Item::Held { .. } => false,
        Item::Partial(text) => {
            let elsewhere = texts.iter().any(|block| block.contains(text.trim()));
            let seen = stays.filter(|most| *most >= 8 && !elsewhere);
            let Some(most) = seen else { return false };
            *item = Item::Text(tail(render::render(text, dialect).trim(), most));
            true
        }
    });
}
