//! The claim on the directories: one monitor to a state directory and to a runtime directory.
//!
//! Both are locked (flock) before anything in them is touched, and for as long as the process
//! lives; the kernel lets go of a lock however the process ends. Only who holds the claim can mint
//! sockets, so that a second `bulkhead run` cannot pull the sockets from under the first.
//!
//! Under the claim, everything in the runtime directory that looks like a socket of ours is a dead
//! monitor's, and is replaced without asking.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;

use crate::error::MonitorError;
use crate::links::Links;

const LOCK: &str = "monitor.lock";

/// Two locked directories.
#[derive(Debug)]
pub struct Claim {
    state_dir: PathBuf,
    runtime_dir: PathBuf,
    _locks: [Flock<File>; 2],
}

impl Claim {
    /// Creates the directories where they are missing (mode 0700) and locks them.
    ///
    /// # Errors
    /// [`MonitorError::Taken`] if another monitor holds one of them, and [`MonitorError::Directory`]
    /// if one cannot be used or could be written to by somebody else.
    pub fn take(state_dir: &Path, runtime_dir: &Path) -> Result<Self, MonitorError> {
        if state_dir == runtime_dir {
            let why = "state and runtime directory must be two directories".to_owned();
            return Err(MonitorError::Directory {
                dir: state_dir.into(),
                why,
            });
        }
        let state = lock(state_dir)?;
        let runtime = lock(runtime_dir)?;
        for dir in ["links", "notify"] {
            own_dir(&runtime_dir.join(dir))?;
        }
        Ok(Self {
            state_dir: state_dir.into(),
            runtime_dir: runtime_dir.into(),
            _locks: [state, runtime],
        })
    }

    /// The directory for what must survive.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// The directory for sockets.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    /// Where the hub's listening sockets are minted. One for the life of the monitor.
    pub fn links(&self) -> Links {
        Links::within(self.runtime_dir.join("links"))
    }

    /// The monitor's control socket in a runtime directory.
    pub fn control_socket(runtime_dir: &Path) -> PathBuf {
        runtime_dir.join("monitor.sock")
    }

    pub(crate) fn notify_socket(&self, serial: u64) -> PathBuf {
        self.runtime_dir
            .join("notify")
            .join(format!("{serial}.sock"))
    }
}

fn lock(dir: &Path) -> Result<Flock<File>, MonitorError> {
    own_dir(dir)?;
    let fault = |why: String| MonitorError::Directory {
        dir: dir.into(),
        why,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(LOCK))
        .map_err(|error| fault(format!("its {LOCK} cannot be opened: {error}")))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // Only for the words above; the lock itself does not depend on it.
            let written = lock
                .set_len(0)
                .and_then(|()| lock.rewind())
                .and_then(|()| writeln!(lock, "{}", std::process::id()));
            written.map_err(|error| fault(format!("its {LOCK} cannot be written: {error}")))?;
            Ok(lock)
        }
        Err((file, Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            let _ = file.take(32).read_to_string(&mut holder);
            Err(MonitorError::Taken {
                dir: dir.into(),
                pid: holder.trim().parse().ok(),
            })
        }
        Err((_, errno)) => Err(fault(format!("it cannot be locked: {}", errno.desc()))),
    }
}

/// Makes a directory ours: created with mode 0700, or found to be ours and not open to others'
/// writing. The mode of one that exists is its owner's business and is not changed.
fn own_dir(dir: &Path) -> Result<(), MonitorError> {
    let fault = |why: String| MonitorError::Directory {
        dir: dir.into(),
        why,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| fault(format!("it cannot be created: {error}")))?;
    let meta = fs::metadata(dir).map_err(|error| fault(error.to_string()))?;
    if !geteuid().is_root() && meta.uid() != geteuid().as_raw() {
        return Err(fault(format!(
            "it belongs to uid {}, not to you",
            meta.uid()
        )));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(fault(format!(
            "others may write to it (mode {:o}), so they could put their sockets in the place of \
             ours; use a directory of its own, or: chmod go-w {}",
            meta.mode() & 0o7777,
            dir.display()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_claim_names_the_first_and_a_dropped_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let (state, run) = (dir.path().join("state"), dir.path().join("run"));
        let first = Claim::take(&state, &run).unwrap();
        assert_eq!(fs::metadata(&run).unwrap().mode() & 0o777, 0o700);
        for (state, run, taken) in [
            (state.clone(), dir.path().join("other"), "state"),
            (dir.path().join("other"), run.clone(), "run"),
        ] {
            let error = Claim::take(&state, &run).unwrap_err().to_string();
            assert!(
                error.contains(&format!("pid {}", std::process::id())),
                "{error}"
            );
            assert!(error.contains(taken), "{error}");
        }
        drop(first);
        Claim::take(&state, &run).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Claim::take(&dir.path().join("state"), &run)
            .unwrap_err()
            .to_string();
        assert!(error.contains("chmod go-w"), "{error}");
        assert_eq!(
            fs::metadata(&run).unwrap().mode() & 0o777,
            0o777,
            "and is left as it was"
        );
    }
}
