//! Markdown as plain text: markup goes, words, code and addresses stay.
//!
//! Code stands without its fence, set off by blank lines, so that it can be copied as it is.

use crate::blocks::{Block, blocks, heading, list_item};
use crate::inline::flatten;

pub(crate) fn render(text: &str) -> String {
    let mut out = Page::default();
    for block in blocks(text) {
        match block {
            Block::Code { info, lines } => {
                // One word names a language; more is something to read.
                let title = Some(info).filter(|info| info.contains(char::is_whitespace));
                out.apart(title.into_iter().chain(lines).map(str::to_owned));
            }
            Block::Table(table) => out.apart(table.records(record).into_iter()),
            Block::Line(text) => out.push(line(text)),
        }
    }
    out.lines.join("\n")
}

/// Lines, and whether the next one must stand apart from the last.
#[derive(Default)]
struct Page {
    lines: Vec<String>,
    gap: bool,
}

impl Page {
    fn push(&mut self, line: String) {
        let open = self
            .lines
            .last()
            .is_some_and(|last| !last.trim().is_empty());
        if std::mem::take(&mut self.gap) && open && !line.trim().is_empty() {
            self.lines.push(String::new());
        }
        self.lines.push(line);
    }

    /// Adds a block with a blank line on either side.
    fn apart(&mut self, lines: impl Iterator<Item = String>) {
        for (at, line) in lines.enumerate() {
            if at == 0 {
                self.gap = true;
            }
            self.push(line);
        }
        self.gap = true;
    }
}

fn record(head: &str, cell: &str) -> String {
    let cell = flatten(cell);
    if head.is_empty() {
        cell
    } else {
        format!("{}: {cell}", flatten(head))
    }
}

fn line(text: &str) -> String {
    if let Some((_, title)) = heading(text) {
        return flatten(title);
    }
    match list_item(text) {
        Some((at, rest)) if text[at..].starts_with(['*', '+']) => {
            format!("{}-{}", &text[..at], flatten(rest))
        }
        _ => flatten(text),
    }
}
