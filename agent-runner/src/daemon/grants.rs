//! What people have allowed for good ("always"), kept in a file of the runner's state directory.
//!
//! Promises: a rule that was kept outlives this process; the file is whole or the old one. A file that
//! cannot be read is left as it is, and nothing is allowed from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The file's name.
const NAME: &str = "allowed.json";
/// The most rules that are kept; more are asked about again.
const RULES: usize = 256;

/// The rules of a project.
#[derive(Debug)]
pub(super) struct Grants {
    path: PathBuf,
    rules: Vec<String>,
    /// What stands in the file is not ours to overwrite.
    unreadable: bool,
}

impl Grants {
    /// Those kept in that directory.
    pub(super) fn open(state_dir: &Path) -> Grants {
        let path = state_dir.join(NAME);
        let read = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        if let Err(error) = &read {
            tracing::warn!(
                path = %path.display(), %error,
                "what people allowed for good cannot be read: everything is asked again. Mend or remove the file"
            );
        }
        Grants {
            path,
            unreadable: read.is_err(),
            rules: read.unwrap_or_default(),
        }
    }

    /// All of them, oldest first.
    pub(super) fn rules(&self) -> &[String] {
        &self.rules
    }

    /// Keeps more.
    pub(super) fn add(&mut self, rules: Vec<String>) {
        for rule in rules {
            if self.rules.contains(&rule) {
                continue;
            }
            if self.rules.len() == RULES {
                tracing::warn!(
                    path = %self.path.display(),
                    "{RULES} rules are allowed for good already: another one holds for its session only"
                );
                break;
            }
            self.rules.push(rule);
        }
        if self.unreadable {
            return;
        }
        if let Err(error) = self.save() {
            tracing::warn!(
                path = %self.path.display(), %error,
                "what was allowed for good cannot be kept: it is asked again after a restart"
            );
        }
    }

    fn save(&self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.rules)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.path
            .parent()
            .map_or(Ok(()), |dir| File::open(dir).and_then(|dir| dir.sync_all()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_kept_once_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut grants = Grants::open(dir.path());
        assert!(grants.rules().is_empty());
        grants.add(vec!["a".into(), "b".into(), "a".into()]);
        grants.add(vec!["b".into()]);
        assert_eq!(Grants::open(dir.path()).rules(), ["a", "b"]);
        grants.add((0..2 * RULES).map(|n| n.to_string()).collect());
        assert_eq!(Grants::open(dir.path()).rules().len(), RULES);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        fs::write(&path, "[1").unwrap();
        let mut grants = Grants::open(dir.path());
        grants.add(vec!["a".into()]);
        assert_eq!(grants.rules(), ["a"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "[1");
    }
}
