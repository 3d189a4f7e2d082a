//! The marks of a code fence: a line of three or more backticks or tildes.
//!
//! Indentation does not matter here: fences stand inside lists, and a chunk may begin with one
//! whose indentation was trimmed.

use crate::blank::is_spacing;

/// A line that opens a fence.
pub(crate) struct Opener<'a> {
    pub(crate) tick: char,
    /// Length of the run, in ticks; at least 3. All of it is ASCII.
    pub(crate) len: usize,
    /// What follows the run, trimmed: usually a language.
    pub(crate) info: &'a str,
    /// Bytes of whitespace in front of the run.
    pub(crate) indent: usize,
}

/// Reads `line` as an opening mark. An info string with a backtick in it belongs to an inline code
/// span, not to a fence.
pub(crate) fn opener(line: &str) -> Option<Opener<'_>> {
    let (tick, len, indent) = run(line)?;
    let info = line[indent + len..].trim_matches(is_spacing);
    if tick == '`' && info.contains('`') {
        return None;
    }
    Some(Opener {
        tick,
        len,
        info,
        indent,
    })
}

/// Whether `line` closes a fence that was opened with `len` ticks.
pub(crate) fn closes(line: &str, tick: char, len: usize) -> bool {
    run(line).is_some_and(|(found, n, indent)| {
        found == tick && n >= len && line[indent + n..].chars().all(is_spacing)
    })
}

/// The run of ticks at the start of `line`: its character, its length, the bytes before it.
pub(crate) fn run(line: &str) -> Option<(char, usize, usize)> {
    let rest = line.trim_start_matches(is_spacing);
    let tick = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let len = rest.len() - rest.trim_start_matches(tick).len();
    (len >= 3).then_some((tick, len, line.len() - rest.len()))
}
