//! The session file: where it is, and when lines reach it.
//!
//! Promises: with the eager flag a prompt is in the file before anything is said about it and every block before the result; without it
//! lines gather for a tenth of a second. A line is appended whole.
//! Does not: sync to disk, lock (the real one does neither).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// How long lines gather without the eager flag.
const LATE: Duration = Duration::from_millis(100);
/// How long lines gather with it that nothing waits for.
const SOON: Duration = Duration::from_millis(10);

/// The directory of a working directory's sessions below `projects`: everything but letters and digits of ASCII becomes `-`.
#[must_use]
pub fn slug(cwd: &Path) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    cwd.to_string_lossy().chars().map(plain).collect()
}

/// Where a session of `cwd` has its file, under the configuration directory (`$CLAUDE_CONFIG_DIR`, else `$HOME/.claude`).
#[must_use]
pub fn session_file(config: &Path, cwd: &Path, session: &str) -> PathBuf {
    config
        .join("projects")
        .join(slug(cwd))
        .join(format!("{session}.jsonl"))
}

/// The file of a session in whatever working directory it was begun.
pub(crate) fn anywhere(config: &Path, session: &str) -> Option<PathBuf> {
    let name = format!("{session}.jsonl");
    let projects = fs::read_dir(config.join("projects")).ok()?;
    projects
        .filter_map(Result::ok)
        .map(|project| project.path().join(&name))
        .find(|path| path.is_file())
}

/// An open session file.
#[derive(Debug)]
pub(crate) struct SessionFile {
    path: PathBuf,
    eager: bool,
    gathered: Vec<u8>,
}

impl SessionFile {
    pub(crate) fn new(path: PathBuf, eager: bool) -> Self {
        Self {
            path,
            eager,
            gathered: Vec::new(),
        }
    }

    /// From now on lines go elsewhere; what has gathered is written first.
    ///
    /// # Errors
    /// The old file cannot be written.
    pub(crate) fn turn_to(&mut self, path: PathBuf) -> io::Result<()> {
        self.save()?;
        self.path = path;
        Ok(())
    }

    /// Takes a line; `now`: with the eager flag it is written at once.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&mut self, row: &Value, now: bool) -> io::Result<()> {
        self.gathered.extend_from_slice(row.to_string().as_bytes());
        self.gathered.push(b'\n');
        if now && self.eager {
            self.save()
        } else {
            Ok(())
        }
    }

    /// How long what has gathered may wait; `None` if nothing has.
    pub(crate) fn due(&self) -> Option<Duration> {
        (!self.gathered.is_empty()).then_some(if self.eager { SOON } else { LATE })
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        file.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn slugs_are_as_measured() {
        assert_eq!(
            slug(Path::new("/tmp/w_sl/Some_dir.x y-é")),
            "-tmp-w-sl-Some-dir-x-y--"
        );
    }

    #[test]
    fn lines_gather_unless_they_are_wanted_now() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("p/s.jsonl");
        let mut file = SessionFile::new(path.clone(), true);
        file.add(&json!(1), false).expect("taken");
        assert!(!path.exists());
        file.add(&json!(2), true).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "1\n2\n");
        let mut late = SessionFile::new(path.clone(), false);
        late.add(&json!(3), true).expect("taken");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "1\n2\n");
        late.save().expect("written");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "1\n2\n3\n");
    }
}
