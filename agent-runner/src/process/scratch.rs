//! Agents' directories for temporary files, which are their /tmp.
//!
//! An agent may leave whatever it likes in its own: directories closed to their owner, as Go's module
//! cache makes them, or nested deeper than any path is long. So none is used twice, and no start waits
//! until an old one is gone.
//!
//! Promises: what belongs to this user is removed whatever its rights and depth, with two descriptors
//! and no recursion; no link is followed. What stays all the same is tried again by the next runner.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use uuid::Uuid;

/// The most looks at one directory, each of which takes a level of what is nested in it away.
const LOOKS: usize = 1 << 20;
/// The most names that a look takes in.
const NAMES: usize = 1 << 12;
/// What the names of those begin with that a runner left behind, beside those in use.
const LEFT: &str = "tmp.left-";

/// Where the agents of a runner have theirs.
pub fn place(state_dir: &Path) -> PathBuf {
    state_dir.join("tmp")
}

/// Makes a directory, if it is not there, for its owner alone.
///
/// # Errors
/// What the system says.
pub fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// One that was never used, to be made.
pub fn new(place: &Path) -> PathBuf {
    place.join(Uuid::new_v4().simple().to_string())
}

/// Puts aside what the last runner's agents left, and removes it by the by.
pub fn clear(state_dir: &Path) {
    let aside = state_dir.join(format!("{LEFT}{}", Uuid::new_v4().simple()));
    match fs::rename(place(state_dir), &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "what the last agents left in their /tmp stays");
        }
        _ => {}
    }
    let entries = fs::read_dir(state_dir).into_iter().flatten().flatten();
    let left = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(LEFT));
    remove_later(left.map(|entry| entry.path()).collect());
}

/// Removes them on a thread of its own, which holds nobody up, the end of the runner included.
pub fn remove_later(dirs: Vec<PathBuf>) {
    if dirs.is_empty() {
        return;
    }
    let work = move || {
        for dir in dirs {
            if let Err(error) = remove(&dir) {
                tracing::warn!(
                    dir = %dir.display(), %error,
                    "what an agent left in its /tmp stays until the runner starts again"
                );
            }
        }
    };
    let thread = std::thread::Builder::new().name("remove".into());
    if let Err(error) = thread.spawn(work) {
        tracing::warn!(%error, "what an agent left in its /tmp stays until the runner starts again");
    }
}

/// Takes a directory away with all that is in it.
///
/// # Errors
/// The last thing that the system refused, unless all is gone.
pub fn remove(dir: &Path) -> io::Result<()> {
    let top = match Held::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        top => top?,
    };
    let unique = Uuid::new_v4().simple();
    let mut tally = Tally::default();
    for _ in 0..LOOKS {
        let before = tally.done;
        for name in top.names()? {
            let at = top.path().join(name);
            let Ok(child) = Held::open(&at) else {
                tally.took(fs::remove_file(&at));
                continue;
            };
            // What is nested in it comes up to where a short path leads.
            for name in child.names().unwrap_or_default() {
                let from = child.path().join(name);
                let to = top.path().join(format!("{unique}-{}", tally.done));
                tally.took(match Held::open(&from) {
                    // Opened, it may be moved: that takes the right to write in it.
                    Ok(_) => fs::rename(&from, &to),
                    Err(_) => fs::remove_file(&from),
                });
            }
            tally.took(fs::remove_dir(&at));
        }
        if tally.done == before {
            break;
        }
    }
    fs::remove_dir(dir).map_err(|error| tally.refused.unwrap_or(error))
}

#[derive(Default)]
struct Tally {
    done: u64,
    refused: Option<io::Error>,
}

impl Tally {
    fn took(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.done += 1,
            Err(error) => self.refused = Some(error),
        }
    }
}

/// A directory that is open, however it is called and whatever its rights were.
struct Held(File);

impl Held {
    /// A link is none.
    fn open(path: &Path) -> io::Result<Held> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(path)?;
        let held = Held(file);
        // Whoever may not is refused what comes after.
        let _ = fs::set_permissions(held.path(), Permissions::from_mode(0o700));
        Ok(held)
    }

    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Up to [`NAMES`]; the rest is for the next look.
    fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = fs::read_dir(self.path())?.take(NAMES);
        Ok(entries.flatten().map(|entry| entry.file_name()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

    use super::*;

    fn closed(dir: &Path, mode: u32) {
        fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
    }

    /// On a thread that may do no more than any owner of files may, whoever runs this.
    fn as_an_owner(work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            let none = CapabilitySets {
                effective: CapabilitySet::empty(),
                permitted: CapabilitySet::empty(),
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, none).unwrap();
            work();
        });
        thread.join().unwrap();
    }

    #[test]
    fn what_is_closed_or_deep_or_leads_away_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("tmp");
        let scratch = new(&place);
        make(&scratch).unwrap();
        let kept = root.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        closed(&kept, 0o500);
        // As Go's module cache has it.
        let cache = scratch.join("mod/m@v1/sub");
        fs::create_dir_all(&cache).unwrap();
        fs::write(cache.join("file"), "").unwrap();
        symlink(&kept, scratch.join("mod/out")).unwrap();
        symlink(&kept, scratch.join("out")).unwrap();
        for dir in [&cache, &scratch.join("mod/m@v1"), &scratch.join("mod")] {
            closed(dir, 0o555);
        }
        fs::create_dir_all(scratch.join("shut/in")).unwrap();
        closed(&scratch.join("shut"), 0);
        // Deeper than there are descriptors, and than a path may be long.
        let (deep, above) = (scratch.join("deep"), scratch.join("above"));
        fs::create_dir(&deep).unwrap();
        for _ in 0..3000 {
            fs::create_dir(&above).unwrap();
            fs::rename(&deep, above.join("a-name-of-some-length")).unwrap();
            fs::rename(&above, &deep).unwrap();
        }
        for n in 0..NAMES + 1 {
            fs::write(scratch.join(n.to_string()), "").unwrap();
        }
        closed(&scratch, 0o300);
        as_an_owner(move || {
            remove(&scratch).unwrap();
            assert!(!scratch.exists());
            remove(&scratch).unwrap();
        });
        assert!(kept.join("file").exists());
        let mode = fs::metadata(&kept).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o500);
    }

    #[test]
    fn what_cannot_be_removed_is_told_and_the_rest_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let scratch = root.path().join("tmp");
        fs::create_dir_all(scratch.join("in")).unwrap();
        closed(root.path(), 0o500);
        let dir = scratch.clone();
        as_an_owner(move || {
            let error = remove(&dir).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        });
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
        closed(root.path(), 0o700);
    }

    #[test]
    fn none_is_used_twice_and_a_runner_puts_those_of_the_last_aside() {
        let state = tempfile::tempdir().unwrap();
        let place = place(state.path());
        assert_ne!(new(&place), new(&place));
        make(&new(&place)).unwrap();
        clear(state.path());
        assert!(!place.exists());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while fs::read_dir(state.path()).unwrap().count() > 0 {
            assert!(std::time::Instant::now() < until);
            std::thread::yield_now();
        }
    }
}
