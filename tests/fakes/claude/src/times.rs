//! When prompts were read and results were written, for whoever measures what stands around an agent.
//!
//! Promises: a moment is taken before anything else is done about its line, and by a clock that every process of the machine shares
//! (`CLOCK_MONOTONIC`); it is noted in the file that [`TIMES`] names, one line a moment, and nowhere if it names none.
//! Does not: take part in a turn. A moment may be noted a little after its line is out.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// The variable that names the file. It is appended to.
pub const TIMES: &str = "FAKE_CLAUDE_TIMES";

/// A moment of a turn, by [`clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A prompt was read from stdin.
    Read(Duration),
    /// A result is about to be written to stdout.
    Answered(Duration),
}

/// The clock that moments are taken by: since some time in the past, the same for every process.
///
/// # Errors
/// The system has no such clock.
pub fn clock() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}

/// What a file holds, in order.
///
/// # Errors
/// It cannot be read, or somebody else has written in it.
pub fn moments(file: &Path) -> io::Result<Vec<Moment>> {
    let parse = |line: &str| {
        let (word, at) = line.split_once(' ')?;
        let at = Duration::from_nanos(at.parse().ok()?);
        match word {
            "read" => Some(Moment::Read(at)),
            "answered" => Some(Moment::Answered(at)),
            _ => None,
        }
    };
    fs::read_to_string(file)?
        .lines()
        .map(|line| parse(line).ok_or_else(|| io::Error::other(format!("no moment: {line}"))))
        .collect()
}

/// The file, if there is to be one.
#[derive(Debug, Clone)]
pub(crate) struct Times(Option<Arc<File>>);

impl Times {
    pub(crate) fn from_environment() -> io::Result<Self> {
        let Some(path) = env::var_os(TIMES) else {
            return Ok(Self(None));
        };
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Some(Arc::new(file))))
    }

    /// A line has come.
    pub(crate) fn read(&self, line: &[u8]) -> io::Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let at = clock()?;
        let is_prompt = |line: &Value| line["type"] == "user";
        match serde_json::from_slice(line).is_ok_and(|line| is_prompt(&line)) {
            true => note(file, "read", at),
            false => Ok(()),
        }
    }

    /// Writes a text that holds a result.
    pub(crate) fn answer(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let Some(file) = &self.0 else { return write() };
        let at = clock()?;
        write()?;
        note(file, "answered", at)
    }
}

/// In one write, since two threads do.
fn note(mut file: &File, word: &str, at: Duration) -> io::Result<()> {
    file.write_all(format!("{word} {}\n", at.as_nanos()).as_bytes())
}
