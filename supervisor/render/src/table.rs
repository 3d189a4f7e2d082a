//! Pipe tables: finding them, reading them, and setting them without Markdown.

use unicode_segmentation::UnicodeSegmentation;

use crate::blank::is_blank;
use crate::inline;

/// Which side a column leans to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lean {
    Left,
    Right,
    Middle,
}

/// A table, its cells still in Markdown. The first row is the heading.
pub(crate) struct Table {
    leans: Vec<Lean>,
    rows: Vec<Vec<String>>,
}

/// Whether `head` and the line after it begin a table.
pub(crate) fn starts(head: &str, rule: &str) -> bool {
    is_row(head) && leans(rule).is_some_and(|leans| leans.len() == cells(head).len())
}

/// Whether `line` can be a row of a table that has begun.
pub(crate) fn is_row(line: &str) -> bool {
    line.contains('|')
}

/// Reads the second line of a table: `| --- | :-: |`.
fn leans(rule: &str) -> Option<Vec<Lean>> {
    if !is_row(rule) {
        return None;
    }
    let lean = |cell: &String| {
        let (left, right) = (cell.starts_with(':'), cell.ends_with(':'));
        let dashes = cell.trim_matches(':');
        (!dashes.is_empty() && dashes.chars().all(|c| c == '-')).then_some(match (left, right) {
            (true, true) => Lean::Middle,
            (false, true) => Lean::Right,
            _ => Lean::Left,
        })
    };
    cells(rule).iter().map(lean).collect()
}

/// Splits a row at its pipes; an escaped pipe and one inside a code span belong to the cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut codes = inline::code_spans(row).into_iter().peekable();
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for (at, c) in row.char_indices() {
        while codes.next_if(|span| span.end <= at).is_some() {}
        let in_code = codes.peek().is_some_and(|span| span.start <= at);
        match cells.last_mut() {
            Some(cell) if c == '|' && escaped => {
                cell.pop();
                cell.push(c);
            }
            Some(cell) if c != '|' || in_code => cell.push(c),
            _ => cells.push(String::new()),
        }
        escaped = c == '\\' && !escaped;
    }
    if cells.len() > 1 && cells.last().is_some_and(|cell| cell.trim().is_empty()) {
        cells.pop();
    }
    cells
        .into_iter()
        .map(|cell| cell.trim().to_owned())
        .collect()
}

impl Table {
    /// Reads the lines of a table that [`starts`] has found. Short rows are filled up, long rows
    /// keep what they have.
    pub(crate) fn read(lines: &[&str]) -> Table {
        let leans = lines
            .get(1)
            .and_then(|rule| leans(rule))
            .unwrap_or_default();
        let mut rows: Vec<Vec<String>> = Vec::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            if at != 1 {
                rows.push(cells(line));
            }
        }
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        for row in &mut rows {
            row.resize(columns, String::new());
        }
        Table { leans, rows }
    }

    /// The table in columns for a fixed-width font, or nothing if that takes more than `widest`
    /// columns. Markup inside cells is taken off.
    pub(crate) fn columns(&self, widest: usize) -> Option<Vec<String>> {
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| inline::flatten(cell)).collect())
            .collect();
        let count = rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..count)
            .map(|at| {
                rows.iter()
                    .map(|row| width(&row[at]))
                    .max()
                    .unwrap_or(0)
                    .max(1)
            })
            .collect();
        if widths.iter().sum::<usize>() + 3 * count.saturating_sub(1) > widest {
            return None;
        }
        let mut lines = Vec::with_capacity(rows.len() + 1);
        for (at, row) in rows.iter().enumerate() {
            let set: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(at, cell)| pad(cell, widths[at], self.lean(at)))
                .collect();
            lines.push(set.join(" | ").trim_end().to_owned());
            if at == 0 {
                let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                lines.push(dashes.join("-+-"));
            }
        }
        Some(lines)
    }

    /// The table as a list, a row an item and a cell a line, with `show` setting heading and cell.
    /// An empty cell is
    /// left out, but in the first item, so that every heading is said.
    pub(crate) fn records(&self, show: impl Fn(&str, &str) -> String) -> Vec<String> {
        let Some((heading, rows)) = self.rows.split_first() else {
            return Vec::new();
        };
        if rows.is_empty() {
            return vec![format!("- {}", show("", &heading.join(" | ")))];
        }
        let mut lines = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let mut lead = "- ";
            for (head, cell) in heading.iter().zip(row) {
                if at == 0 && !head.is_empty() || !cell.is_empty() {
                    lines.push(format!("{lead}{}", show(head, cell).trim_end()));
                    lead = "  ";
                }
            }
        }
        lines
    }

    fn lean(&self, column: usize) -> Lean {
        self.leans.get(column).copied().unwrap_or(Lean::Left)
    }
}

fn pad(cell: &str, to: usize, lean: Lean) -> String {
    let gap = to.saturating_sub(width(cell));
    let before = match lean {
        Lean::Left => 0,
        Lean::Right => gap,
        Lean::Middle => gap / 2,
    };
    format!("{}{cell}{}", " ".repeat(before), " ".repeat(gap - before))
}

/// Columns that `text` takes in a fixed-width font. A grapheme is as wide as its widest character.
fn width(text: &str) -> usize {
    text.graphemes(true)
        .map(|g| g.chars().map(char_width).max().unwrap_or(0))
        .sum()
}

fn char_width(c: char) -> usize {
    match c {
        ' ' => 1,
        // Shown as a picture, and so wide, when it follows a character that has both forms.
        '\u{FE0F}' => 2,
        _ if is_blank(c) => 0,
        '\u{1100}'..='\u{115F}'
        | '\u{2E80}'..='\u{303E}'
        | '\u{3041}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FE30}'..='\u{FE6F}'
        | '\u{FF00}'..='\u{FF60}'
        | '\u{FFE0}'..='\u{FFE6}'
        | '\u{1F300}'..='\u{1F64F}'
        | '\u{1F680}'..='\u{1F6FF}'
        | '\u{1F900}'..='\u{1F9FF}'
        | '\u{20000}'..='\u{3FFFD}' => 2,
        _ => 1,
    }
}
