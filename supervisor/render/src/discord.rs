//! Markdown for Discord: what Discord would show raw or wrongly is set in what it knows.

use crate::blocks::{Block, blocks, heading};
use crate::inline::{self, Kind};

/// Wider tables wrap inside a code block and are set as lists.
const TABLE_WIDTH: usize = 72;
/// Between backticks that must not end a code block.
const BREAK: char = '\u{200B}';

pub(crate) fn render(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for block in blocks(text) {
        match block {
            Block::Code { info, lines } => fence(&mut out, info, lines.into_iter()),
            Block::Table(table) => match table.columns(TABLE_WIDTH) {
                Some(lines) => fence(&mut out, "", lines.iter().map(String::as_str)),
                None => out.extend(table.records(record)),
            },
            Block::Line(text) => out.push(line(text)),
        }
    }
    out.join("\n")
}

fn record(head: &str, cell: &str) -> String {
    let cell = inside(cell);
    if head.is_empty() {
        cell
    } else {
        format!("**{}**: {cell}", head.replace("**", ""))
    }
}

/// Discord ends a code block at the first three backticks, whatever stands around them.
fn fence<'a>(out: &mut Vec<String>, info: &str, lines: impl Iterator<Item = &'a str>) {
    out.push(format!("```{}", info.replace('`', "")));
    out.extend(lines.map(|line| {
        let mut run = 0;
        let mut safe = String::with_capacity(line.len());
        for c in line.chars() {
            if c == '`' && run == 2 {
                safe.push(BREAK);
                run = 0;
            }
            run = if c == '`' { run + 1 } else { 0 };
            safe.push(c);
        }
        safe
    }));
    out.push("```".to_owned());
}

fn line(text: &str) -> String {
    if let Some((level, title)) = heading(text)
        && level > 3
        && !title.is_empty()
    {
        return format!("**{}**", inside(title).replace("**", ""));
    }
    // Three marks would quote everything that follows.
    if text.starts_with(">>> ") {
        return format!("\\{}", inside(text));
    }
    inside(text)
}

fn inside(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in inline::pieces(text) {
        let raw = &text[piece.at];
        match piece.kind {
            // Two bars would hide what stands between them and the next two.
            Kind::Text => out.push_str(&raw.replace("||", "\\|\\|")),
            Kind::Link {
                label,
                target,
                image,
            } => out.push_str(&link(raw, label, target, image)),
            _ => out.push_str(raw),
        }
    }
    out
}

/// Discord masks web addresses only, and has no images in text.
fn link(raw: &str, label: &str, target: &str, image: bool) -> String {
    let web = target.starts_with("https://") || target.starts_with("http://");
    match (web, image) {
        (true, false) => raw.to_owned(),
        (true, true) if !label.is_empty() => format!("[{label}]({target})"),
        _ => inline::spelled_out(label, target),
    }
}
