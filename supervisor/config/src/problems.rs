//! What is wrong with a config file, and where.
//!
//! Promises: every problem has a line and a column that an editor jumps to, the path of the key, and
//! a message that says what to do next. They come out in the order of the file, errors and warnings
//! together. No message holds the value of a secret. Their number is bounded.
//! Does not: print anything; the command line does.

use std::fmt;
use std::path::{Path, PathBuf};

/// More problems than this are counted, not kept: nobody mends two hundred lines in one go.
const MAX_PROBLEMS: usize = 200;

/// Whether a config with this problem can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The config is refused.
    Error,
    /// The config runs; somebody should read this.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing to mend in a config file. Prints as `FILE:LINE:COLUMN: error: KEY: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Refused, or only warned about.
    pub severity: Severity,
    /// The config file as the caller named it.
    pub file: PathBuf,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key, such as `projects[0].agent.options.work_dir`; empty for the file as a whole.
    pub key_path: String,
    /// What happened, what it means and what to do next.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}: ",
            self.file.display(),
            self.line,
            self.column,
            self.severity
        )?;
        if !self.key_path.is_empty() {
            write!(f, "{}: ", self.key_path)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects problems by byte offset and turns offsets into lines.
pub(crate) struct Problems<'t> {
    file: &'t Path,
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<(usize, Problem)>,
    errors: usize,
    left_out: usize,
}

impl<'t> Problems<'t> {
    pub(crate) fn new(file: &'t Path, text: &'t str) -> Self {
        let mut line_starts = vec![0];
        line_starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            file,
            text,
            line_starts,
            found: Vec::new(),
            errors: 0,
            left_out: 0,
        }
    }

    /// Line and column, both from 1, of a byte offset.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let line = self
            .line_starts
            .partition_point(|start| *start <= at)
            .max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = match self.text.get(start..at) {
            Some(before) => before.chars().count(),
            None => at.saturating_sub(start),
        };
        (line, column + 1)
    }

    /// The line of a byte offset, for messages that point at a second place.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.position(at).0
    }

    pub(crate) fn error(&mut self, at: usize, path: &str, message: impl Into<String>) {
        self.errors += 1;
        self.push(Severity::Error, at, path, message.into());
    }

    pub(crate) fn warn(&mut self, at: usize, path: &str, message: impl Into<String>) {
        self.push(Severity::Warning, at, path, message.into());
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    fn push(&mut self, severity: Severity, at: usize, path: &str, message: String) {
        if self.found.len() >= MAX_PROBLEMS {
            self.left_out += 1;
            return;
        }
        let (line, column) = self.position(at);
        let problem = Problem {
            severity,
            file: self.file.to_path_buf(),
            line,
            column,
            key_path: path.to_owned(),
            message,
        };
        self.found.push((at, problem));
    }

    /// Everything found, in the order of the file.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.found
            .sort_by_key(|(at, problem)| (*at, problem.severity));
        let mut sorted: Vec<Problem> = self.found.into_iter().map(|(_, problem)| problem).collect();
        if self.left_out > 0 {
            let severity = if self.errors > 0 {
                Severity::Error
            } else {
                Severity::Warning
            };
            sorted.push(Problem {
                severity,
                file: self.file.to_path_buf(),
                line: self.line_starts.len(),
                column: 1,
                key_path: String::new(),
                message: format!(
                    "{} more problems are not shown; mend these and check again",
                    self.left_out
                ),
            });
        }
        sorted
    }
}

/// A piece of the file that is safe to show in a message: short, on one line, nothing that moves a
/// terminal's cursor. Never called with a secret.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().count() > LONGEST {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines() {
        let text = "a = 1\r\nwört = 2\n";
        let problems = Problems::new(Path::new("c.toml"), text);
        assert_eq!(problems.position(0), (1, 1));
        assert_eq!(problems.position(7), (2, 1));
        let equals = text.rfind('=').unwrap();
        assert_eq!(problems.position(equals), (2, 6));
        assert_eq!(problems.position(text.len()), (3, 1));
        assert_eq!(
            problems.position(text.len() + 9).0,
            3,
            "an offset past the end is no panic"
        );
    }

    #[test]
    fn the_number_of_problems_is_bounded_and_says_so() {
        let mut problems = Problems::new(Path::new("c.toml"), "");
        for at in 0..MAX_PROBLEMS + 7 {
            problems.error(at, "k", "bad");
        }
        let sorted = problems.into_sorted();
        assert_eq!(sorted.len(), MAX_PROBLEMS + 1);
        assert!(
            sorted
                .last()
                .unwrap()
                .message
                .starts_with("7 more problems")
        );
    }

    #[test]
    fn what_is_shown_stays_on_one_short_line() {
        let long = shown(&format!("\x1b[2J\n{}", "x".repeat(500)));
        assert!(
            !long.contains(['\x1b', '\n']) && long.chars().count() < 100,
            "{long}"
        );
    }
}
