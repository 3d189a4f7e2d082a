//! The start of an agent: the program found, its environment and working directory given, its lock
//! handed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use ipc_schema::{Fault, Trouble};
use nix::unistd::{AccessFlags, access};

use super::cage::{Cage, Served};
use super::{launch, sweep};
use crate::beneath::Dir;
use crate::jail::Jail;
use crate::workspace::Beside;

/// The number under which an agent holds its lock.
const LOCK_FD: i32 = 3;

/// What to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// A bare name for PATH, or a path.
    pub program: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// Its whole environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Its working directory, held.
    pub work_dir: &'a Dir,
    /// What it holds as long as it lives.
    pub lock: Option<File>,
    /// What the runner serves it on loopback.
    pub served: Served,
    /// What it uses beside its working directory.
    pub beside: Beside,
    /// How it is jailed; none = it is not.
    pub cage: Option<&'a Cage>,
}

impl Spawn<'_> {
    /// Starts it; with the jail that it is in. To be called on the runtime's own thread: an agent dies with the thread that
    /// started it.
    ///
    /// # Errors
    /// A fault in words for the person who sent the message.
    pub fn start(self) -> Result<(tokio::process::Child, Option<Jail>), Fault> {
        let start = |detail: String| Fault::Runner {
            at: Trouble::Start,
            detail,
        };
        let missing = |why: String| Fault::AgentMissing {
            cmd: self.program.to_owned(),
            why,
        };
        let path = self
            .environment
            .get("PATH")
            .map(String::as_str)
            .unwrap_or_default();
        let program = find(self.program, path, self.work_dir.path()).map_err(missing)?;
        let mut environment = self.environment.clone();
        let mut told = launch::NO_JAIL.to_owned();
        let mut jail = None;
        if let Some(cage) = self.cage {
            let mark = environment.get(sweep::MARK).cloned().unwrap_or_default();
            let ready = cage.prepare(
                &program,
                self.work_dir.path(),
                &mut environment,
                &mark,
                self.served,
                &self.beside,
            )?;
            told = ready.told;
            jail = Some(ready.jail);
            if let Some(passage) = ready.passage {
                tokio::spawn(passage.serve());
            }
        }
        // This very program, also after an upgrade has put another in its place.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(launch::FLAG)
            .arg(std::process::id().to_string())
            .arg(told)
            .arg(program)
            .args(self.arguments)
            .env_clear()
            .envs(environment)
            .current_dir(self.work_dir.held())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(lock) = self.lock {
            let mapping = FdMapping {
                parent_fd: OwnedFd::from(lock),
                child_fd: LOCK_FD,
            };
            command
                .fd_mappings(vec![mapping])
                .map_err(|error| start(format!("the lock cannot be handed over: {error}")))?;
        }
        // Our copy of the lock goes with `command`.
        let mut command = tokio::process::Command::from(command);
        let child = command
            .spawn()
            .map_err(|error| start(format!("the system starts no more processes: {error}")))?;
        Ok((child, jail))
    }
}

/// The file that a program's name stands for.
pub(crate) fn find(program: &str, path: &str, work_dir: &Path) -> Result<PathBuf, String> {
    if program.contains('/') {
        let file = work_dir.join(program);
        return match is_program(&file) {
            true => Ok(file),
            false if file.exists() => Err(format!("{} may not be run", file.display())),
            false => Err(format!("{} is not there", file.display())),
        };
    }
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| is_program(file))
        .ok_or_else(|| format!("it is in none of the directories of PATH ({path})"))
}

fn is_program(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_path_only_by_a_bare_name() {
        let root = Path::new("/");
        assert_eq!(find("sh", "/nowhere:/bin", root), Ok("/bin/sh".into()));
        assert_eq!(find("/bin/sh", "", root), Ok("/bin/sh".into()));
        assert_eq!(find("bin/sh", "", root), Ok("/bin/sh".into()));
        assert!(find("sh", "bin", root).unwrap_err().contains("PATH (bin)"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        assert!(find(path, "", root).unwrap_err().contains("may not be run"));
        assert!(
            find("/no/such", "", root)
                .unwrap_err()
                .contains("not there")
        );
    }
}
