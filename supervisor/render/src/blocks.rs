//! An agent's Markdown as a row of blocks: code, tables, and lines of everything else.
//!
//! Code is found by fences at any indentation, inside quotes too, and by indentation outside of
//! lists. A fence that is never closed runs to the end of the text, or of the quote around it.

use crate::fence;
use crate::table::{self, Table};

/// One block of the text, in order. Nothing of the text is outside of them.
pub(crate) enum Block<'a> {
    /// Code without its fence and without the fence's indentation.
    Code {
        info: &'a str,
        lines: Vec<&'a str>,
    },
    Table(Table),
    /// Any other line, blank ones included.
    Line(&'a str),
}

/// Splits `text` into blocks.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .collect();
    let mut blocks = Vec::new();
    let mut in_list = false;
    let mut after_blank = true;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let taken = if let Some((block, taken)) = indented(&lines[at..], !in_list && after_blank) {
            blocks.push(block);
            taken
        } else if let Some((block, taken)) = fenced(line, 0, &lines[at + 1..]) {
            blocks.push(block);
            taken
        } else if let Some((mark, rest)) = list_item(line).map(|(_, rest)| mark_of(line, rest))
            && let Some((block, taken)) = fenced(rest, mark.len(), &lines[at + 1..])
        {
            blocks.extend([Block::Line(mark), block]);
            taken
        } else if at + 1 < lines.len() && table::starts(line, lines[at + 1]) {
            let rows = lines[at..]
                .iter()
                .take_while(|line| table::is_row(line))
                .count();
            blocks.push(Block::Table(Table::read(&lines[at..at + rows])));
            rows
        } else {
            blocks.push(Block::Line(line));
            1
        };
        if list_item(line).is_some() {
            in_list = true;
        } else if !line.is_empty() && !line.starts_with([' ', '\t']) {
            in_list = false;
        }
        at += taken;
        after_blank = lines[at - 1].trim().is_empty();
    }
    blocks
}

/// The code block at the head of `lines` that is marked by four columns of indentation. Inside a
/// list such lines belong to the item, and behind a line of text they continue it.
fn indented<'a>(lines: &[&'a str], allowed: bool) -> Option<(Block<'a>, usize)> {
    let body = |line: &'a str| {
        line.strip_prefix("    ")
            .or_else(|| line.strip_prefix('\t'))
    };
    let opens = |line: &&'a str| body(line).is_some_and(|rest| !rest.trim().is_empty());
    if !allowed || !lines.first().is_some_and(opens) {
        return None;
    }
    let run = lines
        .iter()
        .take_while(|line| line.trim().is_empty() || opens(line))
        .count();
    let taken = lines[..run]
        .iter()
        .rposition(|line| !line.trim().is_empty())?
        + 1;
    let code = lines[..taken]
        .iter()
        .map(|line| body(line).unwrap_or(""))
        .collect();
    Some((
        Block::Code {
            info: "",
            lines: code,
        },
        taken,
    ))
}

/// Splits an item's line into its mark and the `rest` behind it.
fn mark_of<'a>(line: &'a str, rest: &'a str) -> (&'a str, &'a str) {
    (&line[..line.len() - rest.len()], rest)
}

/// The fenced block that `first` opens, inside a quote or not; `before` columns stand in front of
/// `first`. With it, how many lines it takes.
fn fenced<'a>(first: &'a str, before: usize, rest: &[&'a str]) -> Option<(Block<'a>, usize)> {
    let (depth, first) = unquote(first, usize::MAX);
    let open = fence::opener(first)?;
    let column = before + open.indent;
    let mut code = Vec::new();
    let mut taken = 1;
    for line in rest {
        let (found, line) = unquote(line, depth);
        if found < depth {
            break;
        }
        taken += 1;
        // Code may show a fence of its own, indented deeper.
        if fence::closes(line, open.tick, open.len) && indent(line) <= column + 3 {
            break;
        }
        code.push(&line[indent(line).min(column)..]);
    }
    Some((
        Block::Code {
            info: open.info,
            lines: code,
        },
        taken,
    ))
}

/// Takes at most `depth` quote marks off `line`; how many there were, and the rest.
fn unquote(line: &str, depth: usize) -> (usize, &str) {
    let mut found = 0;
    let mut rest = line;
    while found < depth
        && let Some(inner) = rest.trim_start_matches(' ').strip_prefix('>')
    {
        rest = inner.strip_prefix(' ').unwrap_or(inner);
        found += 1;
    }
    (found, rest)
}

/// Bytes of blanks at the head of `line`.
fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// If `line` is an item of a list: where its mark stands and what follows the mark.
pub(crate) fn list_item(line: &str) -> Option<(usize, &str)> {
    let at = indent(line);
    let rest = &line[at..];
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let after = match digits {
        0 => rest.strip_prefix(['-', '*', '+'])?,
        1..=9 => rest[digits..].strip_prefix(['.', ')'])?,
        _ => return None,
    };
    after.starts_with([' ', '\t']).then_some((at, after))
}

/// If `line` is a heading: its level and its text.
pub(crate) fn heading(line: &str) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches('#');
    let level = line.len() - rest.len();
    if !(1..=6).contains(&level) || !rest.starts_with([' ', '\t']) {
        return None;
    }
    let text = rest.trim();
    let bare = text.trim_end_matches('#');
    Some((
        level,
        if bare.is_empty() || bare.ends_with(' ') {
            bare.trim_end()
        } else {
            text
        },
    ))
}
