//! The end of a session file, watched for ids that are to appear in it.
//!
//! It is the agent's file: only a regular one is read, and never waited for.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::beneath;

/// How far back the first look goes: what is waited for was printed a moment ago.
const BACK: u64 = 1 << 20;
/// The most that is read at one look.
const LOOK: u64 = 1 << 20;
/// How much of a look is looked at again: an id may have been cut, or be asked for only now.
const OVERLAP: usize = 64 << 10;
/// The most ids that are waited for; more only make content come later.
const IDS: usize = 256;

/// One file.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    at: Option<u64>,
    /// The end of the last look, at most [`OVERLAP`] between looks.
    rest: Vec<u8>,
    ids: Vec<String>,
}

impl Tail {
    /// Of that file, which need not be there yet.
    pub fn new(path: PathBuf) -> Tail {
        Tail {
            path,
            at: None,
            rest: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Waits for an id.
    pub fn wait_for(&mut self, id: String) {
        if self.ids.len() < IDS {
            self.ids.push(id);
        }
    }

    /// Waits for nothing any more.
    pub fn clear(&mut self) {
        self.ids.clear();
    }

    /// Whether it waits for something.
    pub fn waits(&self) -> bool {
        !self.ids.is_empty()
    }

    /// The ids that have appeared.
    pub fn look(&mut self) -> Vec<String> {
        // A file that cannot be read now may be there the next time.
        if let Err(error) = self.read() {
            tracing::debug!(%error, "the session file cannot be read yet");
            return Vec::new();
        }
        let (found, waited) = std::mem::take(&mut self.ids)
            .into_iter()
            .partition(|id| contains(&self.rest, id.as_bytes()));
        self.ids = waited;
        let done = self.rest.len().saturating_sub(OVERLAP);
        self.rest.drain(..done);
        found
    }

    fn read(&mut self) -> io::Result<()> {
        let mut file = beneath::regular(&self.path)?;
        let length = file.metadata()?.len();
        let at = self.at.unwrap_or(length.saturating_sub(BACK));
        file.seek(SeekFrom::Start(at))?;
        let n = file.take(LOOK).read_to_end(&mut self.rest)?;
        self.at = Some(at + n as u64);
        Ok(())
    }
}

fn contains(text: &[u8], id: &[u8]) -> bool {
    !id.is_empty() && text.windows(id.len()).any(|window| window == id)
}

/// Where the session's file is, under any working directory; the newest, if there are several.
pub fn find(projects: &Path, agent_session: &str) -> Option<PathBuf> {
    let name = format!("{agent_session}.jsonl");
    let candidates = fs::read_dir(projects).ok()?.filter_map(Result::ok);
    candidates
        .map(|dir| dir.path().join(&name))
        .filter_map(|path| {
            let about = fs::symlink_metadata(&path).ok()?;
            let modified = about.modified().ok()?;
            about.is_file().then_some((modified, path))
        })
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    #[test]
    fn ids_are_found_when_they_appear_even_if_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut tail = Tail::new(path.clone());
        tail.wait_for("id-one".into());
        tail.wait_for("id-two".into());
        assert_eq!(tail.look(), Vec::<String>::new());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"{\"uuid\":\"id-one\"}\n{\"uuid\":\"id-")
            .unwrap();
        assert_eq!(tail.look(), ["id-one"]);
        file.write_all(b"two\"}\n").unwrap();
        assert_eq!(tail.look(), ["id-two"]);
        assert!(!tail.waits());
        tail.wait_for("id-one".into());
        assert_eq!(tail.look(), ["id-one"], "asked for a little too late");
    }

    // pitfall: session files are found by glob
    #[test]
    fn a_session_file_is_found_under_any_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path(), "s"), None);
        let file = dir.path().join("-some-where").join("s.jsonl");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(find(dir.path(), "s"), Some(file));
        assert_eq!(find(&dir.path().join("no"), "s"), None);
    }

    #[test]
    fn a_pipe_or_a_link_in_its_place_is_no_session_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("-a");
        fs::create_dir(&place).unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "id-one").unwrap();
        let file = place.join("s.jsonl");
        let looks = || {
            let mut tail = Tail::new(file.clone());
            tail.wait_for("id-one".into());
            (find(dir.path(), "s"), tail.look())
        };
        mkfifo(&file, Mode::S_IRWXU).unwrap();
        assert_eq!(looks(), (None, Vec::new()));
        fs::remove_file(&file).unwrap();
        symlink(&secret, &file).unwrap();
        assert_eq!(looks(), (None, Vec::new()));
        fs::remove_file(&file).unwrap();
        fs::rename(&secret, &file).unwrap();
        assert_eq!(looks(), (Some(file.clone()), vec!["id-one".into()]));
    }
}
