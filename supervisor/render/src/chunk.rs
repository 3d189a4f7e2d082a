//! Cutting rendered text into messages. [`crate::cut`] decides where; this module writes them out.

use crate::blank::is_blank;
use crate::cut::{Cutter, Spot};
use crate::outline::Outline;

/// What a platform takes in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Unicode code points in a message, inserted lines included. Zero counts as one.
    pub max_chars: usize,
    /// The platform joins the chunks to one message again, as Weibo does. Then nothing is
    /// inserted, and whitespace between chunks stays at the end of the earlier one.
    pub joined: bool,
}

impl Limit {
    /// For a platform where every chunk is a message of its own.
    pub fn messages(max_chars: usize) -> Limit {
        Limit {
            max_chars,
            joined: false,
        }
    }

    /// For a platform that joins the chunks of a reply.
    pub fn joined(max_chars: usize) -> Limit {
        Limit {
            max_chars,
            joined: true,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// What to send, inserted lines included: within the limit, not blank.
    pub text: String,
    /// The inserted start of `text`: the reopened fence with its line break, or nothing.
    pub head: String,
    /// The inserted end of `text`: a line break and the fence's closing, or nothing.
    pub tail: String,
    /// What stands in the source between this chunk and the next, or the end, and is in neither:
    /// whitespace and characters that show nothing.
    pub separator: String,
}

impl Chunk {
    /// What of `text` is the source's.
    pub fn body(&self) -> &str {
        let text = self
            .text
            .strip_prefix(self.head.as_str())
            .unwrap_or(&self.text);
        text.strip_suffix(self.tail.as_str()).unwrap_or(text)
    }
}

/// A text cut into messages. Blank text has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// What stands before the first chunk: whitespace and characters that show nothing.
    pub prefix: String,
    /// The messages, in order.
    pub chunks: Vec<Chunk>,
}

impl Chunks {
    /// The text that was cut, byte for byte.
    pub fn source(&self) -> String {
        let mut source = self.prefix.clone();
        for chunk in &self.chunks {
            source.push_str(chunk.body());
            source.push_str(&chunk.separator);
        }
        source
    }
}

/// Cuts rendered `text` into messages; the crate's page says what it promises.
pub fn chunk(text: &str, limit: Limit) -> Chunks {
    let max = limit.max_chars.max(1);
    let outline = Outline::of(text, max, !limit.joined);
    let first = outline.lines.iter().position(|line| !line.is_blank());
    let Some(line) = first.filter(|_| !text.chars().all(is_blank)) else {
        return Chunks {
            prefix: text.to_owned(),
            chunks: Vec::new(),
        };
    };
    let cutter = Cutter {
        text,
        outline: &outline,
        max,
        joined: limit.joined,
    };
    let mut at = Spot {
        place: outline.lines[line].first,
        line,
    };
    let mut out = Chunks {
        prefix: text[..at.place.byte].to_owned(),
        chunks: Vec::new(),
    };
    let mut head = String::new();
    loop {
        let cut = cutter.cut(at, head.chars().count());
        let body = &text[at.place.byte..cut.end.byte];
        let next = cut.next.map_or(text.len(), |next| next.place.byte);
        let separator = &text[cut.end.byte..next];
        if body.chars().all(is_blank) {
            // Nothing to see here: it joins what separates its neighbours.
            let gap = out
                .chunks
                .last_mut()
                .map_or(&mut out.prefix, |last| &mut last.separator);
            gap.push_str(body);
            gap.push_str(separator);
        } else {
            let tail = cut
                .fence
                .map(|id| outline.fences[id].tail())
                .unwrap_or_default();
            let text = format!("{head}{body}{tail}");
            out.chunks.push(Chunk {
                text,
                head,
                tail,
                separator: separator.to_owned(),
            });
        }
        let Some(next) = cut.next else { break };
        head = cut
            .fence
            .map(|id| outline.fences[id].head(max))
            .unwrap_or_default();
        at = next;
    }
    if limit.joined {
        let between = out.chunks.len() - 1;
        out.chunks[..between]
            .iter_mut()
            .for_each(|chunk| keep_separator(chunk, max));
    }
    out
}

/// Moves the separator into the chunk, as far as it fits.
fn keep_separator(chunk: &mut Chunk, max: usize) {
    let room = max.saturating_sub(chunk.text.chars().count());
    let taken = chunk
        .separator
        .char_indices()
        .nth(room)
        .map_or(chunk.separator.len(), |(at, _)| at);
    chunk.text.extend(chunk.separator.drain(..taken));
}
