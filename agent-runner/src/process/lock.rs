//! One lock a session, and one a runner.
//!
//! The lock of a session is a file lock whose descriptor the agent inherits and the runner then
//! closes, so it falls when the agent is gone, and not before: no agent is resumed beside an old
//! one. A runner that was killed may leave an agent behind; it is ours, so it is ended here.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipc_schema::{Fault, Trouble};
use uuid::Uuid;

use super::sweep::{self, Claim};

/// How long an old agent may take to notice that its runner is gone.
const DIES_ITSELF: Duration = Duration::from_millis(200);
/// How long whoever holds the lock is killed again and again.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);
/// How long a start waits while this runner itself puts the session's worktree away: two of git's own
/// time limits.
const TIDIES: Duration = Duration::from_secs(600);

/// The locks of one runner, in its state directory.
#[derive(Debug, Clone)]
pub struct Locks {
    dir: PathBuf,
    runner: Uuid,
    /// Sessions whose lock this runner holds to tidy up after them.
    tidied: Arc<Mutex<HashSet<String>>>,
}

/// A session that nobody starts until this is dropped.
#[derive(Debug)]
pub struct Tidying {
    locks: Locks,
    session: String,
    _lock: File,
}

impl Drop for Tidying {
    fn drop(&mut self) {
        self.locks.tidied().remove(&self.session);
    }
}

impl Locks {
    /// Makes the state directory, if it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(state_dir: &Path) -> io::Result<Locks> {
        let dir = state_dir.join("sessions");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)?;
        // /proc shows real paths.
        let dir = dir.canonicalize()?;
        let runner = Uuid::new_v5(&Uuid::NAMESPACE_OID, dir.as_os_str().as_encoded_bytes());
        Ok(Locks {
            dir,
            runner,
            tidied: Arc::default(),
        })
    }

    /// What all agents of this runner have in common, those of its last life included.
    pub fn all(&self) -> Claim {
        Claim {
            mark: self.runner.to_string(),
            ..Claim::default()
        }
    }

    /// What belongs to this session's agent.
    pub fn claim(&self, session: &str) -> Claim {
        let name = Uuid::new_v5(&self.runner, session.as_bytes());
        Claim {
            mark: format!("{}/{name}", self.runner),
            lock: Some(self.dir.join(format!("{name}.lock"))),
            ..Claim::default()
        }
    }

    /// The lock of the runner itself: one runner a state directory. Held until it is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another holds it; else what the system says.
    pub fn runner(&self) -> io::Result<File> {
        let file = open(&self.dir.join("runner.lock"))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Takes the lock of a session to tidy up after it, if nobody holds it. A start waits meanwhile.
    pub fn tidy(&self, session: &str) -> Option<Tidying> {
        let file = open(self.claim(session).lock.as_deref()?).ok()?;
        let mut tidied = self.tidied();
        file.try_lock().ok()?;
        tidied.insert(session.to_owned());
        drop(tidied);
        Some(Tidying {
            locks: self.clone(),
            session: session.to_owned(),
            _lock: file,
        })
    }

    fn tidied(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.tidied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock of a session, ending whatever holds it, and then whatever else its last agent
    /// left behind. Blocks for seconds at most, or for [`TIDIES`] behind a [`Tidying`] of this runner's.
    ///
    /// # Errors
    /// A fault in words, if the lock cannot be had.
    pub fn take(&self, session: &str) -> Result<File, Fault> {
        let claim = self.claim(session);
        let cannot = |detail: String| Fault::Runner {
            at: Trouble::Session,
            detail,
        };
        let Some(path) = &claim.lock else {
            return Err(cannot("there is no lock".into()));
        };
        let file = open(path)
            .map_err(|error| cannot(format!("cannot open the lock {}: {error}", path.display())))?;
        let begun = Instant::now();
        let mut start = begun;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(cannot(format!("cannot lock {}: {error}", path.display())));
                }
                Err(TryLockError::WouldBlock)
                    if begun.elapsed() < TIDIES && self.tidied().contains(session) =>
                {
                    start = Instant::now();
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::WouldBlock) if start.elapsed() < DIES_ITSELF => {
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => {
                    tracing::warn!("an old agent of this session lives on; it is ended");
                    claim.end(false, LOOK);
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::WouldBlock) => {
                    let left: Vec<String> = claim
                        .all()
                        .iter()
                        .map(|pid| format!("{pid} ({})", sweep::name(*pid)))
                        .collect();
                    return Err(cannot(format!(
                        "an old agent of this session does not end: process {}. End it, then send \
                         the message again",
                        if left.is_empty() {
                            "unknown".into()
                        } else {
                            left.join(", ")
                        }
                    )));
                }
            }
        }
        let left = claim.end(false, PATIENCE);
        if !left.is_empty() {
            tracing::warn!(?left, "processes of this session's last agent do not end");
        }
        Ok(file)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command, Stdio};

    use command_fds::{CommandFdExt as _, FdMapping};

    use super::*;

    /// A process that holds a session's lock as an agent does, and nothing else of it.
    fn agent(lock: File) -> Child {
        let mapping = FdMapping {
            parent_fd: OwnedFd::from(lock),
            child_fd: 3,
        };
        let mut command = Command::new("sleep");
        command
            .arg("7301")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.fd_mappings(vec![mapping]).unwrap();
        command.spawn().unwrap()
    }

    #[test]
    fn an_old_agent_that_holds_the_lock_is_ended_before_it_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks::new(dir.path()).unwrap();
        let mut old = agent(locks.take("s").unwrap());
        let _other = locks.take("another session").unwrap();
        let lock = locks.take("s").unwrap();
        let ended = old.wait().unwrap();
        assert!(!ended.success());
        assert!(matches!(
            open(locks.claim("s").lock.as_ref().unwrap())
                .unwrap()
                .try_lock(),
            Err(TryLockError::WouldBlock)
        ));
        drop(lock);
    }

    #[test]
    fn a_start_waits_until_this_runner_has_tidied_up() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks::new(dir.path()).unwrap();
        let tidying = locks.tidy("s").unwrap();
        assert!(locks.tidy("s").is_none());
        let (begins, begun) = std::sync::mpsc::channel();
        let start = std::thread::spawn({
            let locks = locks.clone();
            move || {
                begins.send(()).unwrap();
                locks.take("s").is_ok()
            }
        });
        begun.recv().unwrap();
        assert!(!start.is_finished());
        drop(tidying);
        assert!(start.join().unwrap());
        assert!(locks.tidied().is_empty());
    }

    #[test]
    fn what_only_bears_the_mark_is_ended_too() {
        let dir = tempfile::tempdir().unwrap();
        let locks = Locks::new(dir.path()).unwrap();
        let marked = |session: &str| {
            let mut command = Command::new("sleep");
            command
                .arg("7302")
                .env(sweep::MARK, locks.claim(session).mark);
            command.spawn().unwrap()
        };
        let (mut old, mut other) = (marked("s"), marked("another session"));
        let _lock = locks.take("s").unwrap();
        assert!(!old.wait().unwrap().success());
        assert_eq!(other.try_wait().unwrap(), None);
        assert_eq!(locks.all().end(false, PATIENCE), Vec::<i32>::new());
        assert!(!other.wait().unwrap().success());
    }
}
