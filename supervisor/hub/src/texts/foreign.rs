//! How foreign text is set among our words: a line stays a line, and nothing ends the code block that
//! it stands in.

/// The longest piece of foreign text in a line, in code points.
pub(super) const LINE_MAX: usize = 500;

/// Foreign text as one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Foreign text as one line of bounded length.
pub(super) fn line(text: &str) -> String {
    bounded(text, LINE_MAX)
}

/// Foreign text as one line of at most so many code points, and `…` for the rest.
pub(super) fn bounded(text: &str, most: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Foreign text as a code span, to be copied as it is.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", line(text).replace('`', "'"))
}

/// Foreign text as a code block that nothing in it can end, its line break included. Nothing for
/// nothing.
pub(super) fn fenced(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() {
        return String::new();
    }
    let run = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(3.max(run + 1));
    format!("{ticks}\n{text}\n{ticks}\n")
}
