//! Dialects and chunking, pure.
//!
//! An agent writes Markdown. [`render`] turns it into what a platform can show, [`chunk`] cuts the
//! result into messages that the platform accepts. [`tail`] is what a message shows of a text that is
//! still being written, [`literal`] sets foreign words into a line of ours. All are functions of their
//! arguments alone.
//!
//! Promises of [`chunk`], for every text and every limit:
//! - no chunk is longer than the limit, and none is blank;
//! - nothing is lost: [`Chunks::source`] gives the text back, byte for byte;
//! - a chunk neither begins nor ends with whitespace, so a platform that trims takes nothing away;
//! - a code fence that is open at a cut is closed before it and reopened behind it, inside the
//!   limit; only a limit too small for the fence's own marks leaves it as it is;
//! - no cut goes through a grapheme that fits into a chunk.
//!
//! What this crate does not do: it knows no platform beyond the two dialects, sends nothing, and
//! is no CommonMark parser. Where Markdown is ambiguous it keeps the characters.

mod blank;
mod blocks;
mod chunk;
mod cut;
mod discord;
mod fence;
mod inline;
mod literal;
mod outline;
mod plain;
mod table;
mod tail;

pub use chunk::{Chunk, Chunks, Limit, chunk};
pub use literal::literal;
pub use tail::tail;

/// What a platform can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Discord's Markdown: bold, headings up to three, lists, quotes, masked web links and
    /// backtick fences; no tables, images, tilde fences or indented code.
    Discord,
    /// No markup at all: characters are shown as they are, in a proportional font.
    Plain,
}

impl Dialect {
    /// The dialect that a worker names in its capabilities. A name that this version does not know
    /// is [`Dialect::Plain`], which every platform can show.
    pub fn from_name(name: &str) -> Dialect {
        match name {
            "discord" => Dialect::Discord,
            _ => Dialect::Plain,
        }
    }
}

/// Turns an agent's Markdown into `dialect`. Lines end in `\n` afterwards.
///
/// Code keeps its characters, with one exception: a run of three backticks inside a fence would
/// end Discord's code block, so for Discord zero-width spaces are put into it.
pub fn render(text: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Discord => discord::render(text),
        Dialect::Plain => plain::render(text),
    }
}
