//! Git, as the runner calls it: with a bound on its time and its output, and deaf to whatever the
//! repository would have it run.
//!
//! A repository's own settings can name programs (hooks, filters, a monitor of files, ways to fetch
//! what is missing), and an agent may write those settings. Hooks and the monitor are switched off, the
//! filters that are set are emptied one by one, nothing is fetched, and neither the machine's nor a
//! person's settings are read. What a filter would have done is left out: files of Git LFS, say, stay
//! pointers until the agent fetches them.
//!
//! That is the first wall. Where agents have a sandbox, git has one too, with the work directory, its
//! repository and no network in it: whatever a repository may lead it to, it stays inside.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipc_schema::Fault;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Beside;
use crate::jail::kernel::System;
use crate::jail::repository::{self, Trust};
use crate::process::cage::{Cage, Served};
use crate::process::{launch, scratch, spawn};

/// The most of an output that is kept, in bytes; the rest is read and dropped.
const OUTPUT: u64 = 1 << 20;
/// How long a call may take that only looks.
pub const LOOK: Duration = Duration::from_secs(30);
/// How long a call may take that writes out a whole tree.
pub const WRITE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(2);

/// What every call is given.
const SAFE: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.editor=false",
    "diff.external=",
    "submodule.recurse=false",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// What git's environment is, beside PATH and HOME.
const ENVIRONMENT: [(&str, &str); 9] = [
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "false"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    // What is missing is not fetched, by no way: a repository's settings may allow one for itself, but
    // not against this list.
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
];

/// Children of ours that are waited for where they were started.
#[derive(Debug, Clone, Default)]
pub struct Own(Arc<Mutex<HashSet<i32>>>);

impl Own {
    /// Calls with their numbers; meanwhile none is started.
    pub fn with<R>(&self, call: impl FnOnce(&HashSet<i32>) -> R) -> R {
        call(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        own.insert(child.id().cast_signed());
        Ok(child)
    }

    fn done(&self, child: &Child) {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.remove(&child.id().cast_signed());
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Git said no, in its own words.
    #[error("{0}")]
    Said(String),
    /// It did not end in time and was killed.
    #[error("git took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    /// It could not be started.
    #[error("git cannot be started: {0}")]
    NotStarted(std::io::Error),
}

/// Calls git in one directory.
#[derive(Debug, Clone)]
pub struct Git {
    path: String,
    home: String,
    own: Own,
    jail: Option<Arc<GitJail>>,
}

/// How git is closed in.
#[derive(Debug)]
struct GitJail {
    cage: Cage,
    work_dir: PathBuf,
}

impl Git {
    /// `path` and `home` are those of the agent.
    pub fn new(path: String, home: String, own: Own) -> Git {
        Git {
            path,
            home,
            own,
            jail: None,
        }
    }

    /// The same, let into a work directory and its repository only.
    #[must_use]
    pub fn jailed(self, cage: Option<Cage>, work_dir: PathBuf) -> Git {
        let jail = cage.map(|cage| Arc::new(GitJail { cage, work_dir }));
        Git { jail, ..self }
    }

    /// The agent's home.
    pub fn home(&self) -> &str {
        &self.home
    }

    /// Runs a command in a directory; what it printed, without the end of the last line. Blocks.
    ///
    /// # Errors
    /// See [`GitError`].
    pub fn run<A: AsRef<OsStr>>(
        &self,
        dir: &Path,
        arguments: &[A],
        limit: Duration,
    ) -> Result<String, GitError> {
        let filters = self.call(
            dir,
            &[],
            &["config", "--name-only", "--get-regexp", "^filter\\."],
            LOOK,
        );
        let filters: Vec<String> = match filters {
            Ok(names) => names.lines().map(without).collect::<Result<_, _>>()?,
            // None is set, or this is no repository, which the call itself says.
            Err(GitError::Said(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        self.call(dir, &filters, arguments, limit)
    }

    fn call<A: AsRef<OsStr>>(
        &self,
        dir: &Path,
        set: &[String],
        arguments: &[A],
        limit: Duration,
    ) -> Result<String, GitError> {
        let (mut command, scratch) = self.command(dir)?;
        command.arg("-C").arg(dir);
        for set in SAFE.iter().copied().chain(set.iter().map(String::as_str)) {
            command.args(["-c", set]);
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.own.spawn(&mut command).map_err(GitError::NotStarted)?;
        let ended = finish(&mut child, limit);
        self.own.done(&child);
        scratch::remove_later(scratch.into_iter().collect());
        ended
    }
}

impl Git {
    /// Git itself, or what becomes it once it is in its jail; the first of a process group.
    /// With it, where its /tmp is.
    fn command(&self, dir: &Path) -> Result<(Command, Option<PathBuf>), GitError> {
        let mut environment: BTreeMap<String, String> = ENVIRONMENT
            .into_iter()
            .chain([("PATH", self.path.as_str()), ("HOME", &self.home)])
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let Some(GitJail { cage, work_dir }) = self.jail.as_deref() else {
            let mut command = Command::new("git");
            command.env_clear().envs(environment).process_group(0);
            return Ok((command, None));
        };
        let missing = |why| GitError::NotStarted(io::Error::new(io::ErrorKind::NotFound, why));
        let program = spawn::find("git", &self.path, dir).map_err(missing)?;
        let beside = beside(work_dir, &self.home);
        let ready = cage
            .prepare(
                &program,
                dir,
                &mut environment,
                "git",
                Served::default(),
                &beside,
            )
            .map_err(|fault| match fault {
                Fault::Agent { words } | Fault::Runner { detail: words, .. } => {
                    GitError::Said(words)
                }
                fault => GitError::Said(format!("{fault:?}")),
            })?;
        // It makes itself the first of a session.
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(launch::FLAG)
            .arg(std::process::id().to_string())
            .arg(ready.told)
            .arg(program)
            .env_clear()
            .envs(environment)
            .current_dir(dir);
        Ok((command, Some(ready.jail.scratch)))
    }
}

/// What git needs beside a work directory: the repository that it is in, and what leads there.
fn beside(work_dir: &Path, home: &str) -> Beside {
    let trust = Trust {
        nowhere_in: &[work_dir.to_owned()],
        not_above: &[home.into()],
    };
    let leads = work_dir.ancestors().map(|dir| dir.join(".git"));
    Beside {
        read: leads.filter(|path| path.is_file()).take(1).collect(),
        write: [work_dir.to_owned()]
            .into_iter()
            .chain(repository::common(work_dir, trust, &System))
            .collect(),
    }
}

/// The setting that empties another one of a filter's.
///
/// # Errors
/// Of some names git takes the wrong part for the value, and the filter would stay as it is.
fn without(name: &str) -> Result<String, GitError> {
    if name.contains('=') {
        let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
        let why =
            format!("its settings hold {name}, a filter that cannot be switched off: remove it");
        return Err(GitError::Said(why));
    }
    Ok(match name.ends_with(".required") {
        true => format!("{name}=false"),
        false => format!("{name}="),
    })
}

fn finish(child: &mut Child, limit: Duration) -> Result<String, GitError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let hears = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || pipe.map(hear).unwrap_or_default())
    };
    let stdout = hears(stdout.map(|pipe| Box::new(pipe) as _));
    let stderr = hears(stderr.map(|pipe| Box::new(pipe) as _));
    let until = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(POLL),
            _ => break None,
        }
    };
    // With whatever it has started, which may hold its pipes.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    let Some(status) = status else {
        // It may not have come to lead a group yet.
        let _ = child.kill();
        let _ = child.wait();
        return Err(GitError::TooSlow(limit));
    };
    let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap_or_default());
    match status.success() {
        true => Ok(stdout.trim_end_matches('\n').to_owned()),
        false => Err(GitError::Said(words(&stderr, status.code()))),
    }
}

fn hear(mut pipe: Box<dyn Read + Send>) -> String {
    let mut kept = Vec::new();
    // What cannot be read is not there.
    let _ = pipe.by_ref().take(OUTPUT).read_to_end(&mut kept);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

/// The line of git's that says why.
fn words(stderr: &str, code: Option<i32>) -> String {
    let mut lines = stderr.lines().map(str::trim);
    let fatal = lines
        .clone()
        .find(|line| line.starts_with("fatal:") || line.starts_with("error:"));
    let line = fatal.or_else(|| lines.rfind(|line| !line.is_empty()));
    match line {
        Some(line) => line.chars().filter(|c| !c.is_control()).take(300).collect(),
        None => format!("git ended with code {}", code.unwrap_or(-1)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn git() -> Git {
        let path = std::env::var("PATH").unwrap();
        Git::new(path, "/nonexistent".into(), Own::default())
    }

    /// A repository with one commit.
    pub(crate) fn repository(dir: &Path) {
        let git = git();
        let run = |arguments: &[&str]| {
            git.run(dir, arguments, LOOK)
                .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
        };
        run(&["init", "--quiet", "--initial-branch=main"]);
        for (key, value) in [("user.name", "T"), ("user.email", "t@example.org")] {
            run(&["config", key, value]);
        }
        std::fs::write(dir.join("file"), "one\n").unwrap();
        run(&["add", "file"]);
        run(&["commit", "--quiet", "-m", "one"]);
    }

    #[test]
    fn what_a_repository_would_have_run_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        repository(&repo);
        let proof = dir.path().join("ran");
        let evil = format!("sh -c 'touch {}; cat'", proof.display());
        let set = |key: &str, value: &str| {
            git().run(&repo, &["config", key, value], LOOK).unwrap();
        };
        for key in ["filter.a.smudge", "filter.a.clean", "filter.b c.process"] {
            set(key, &evil);
        }
        set("filter.a.required", "true");
        set("core.fsmonitor", &evil);
        let hooks = repo.join("hooks");
        std::fs::create_dir(&hooks).unwrap();
        let hook = hooks.join("post-checkout");
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", proof.display())).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        set("core.hooksPath", hooks.to_str().unwrap());
        std::fs::write(repo.join(".gitattributes"), "* filter=a\n").unwrap();
        let tree = dir.path().join("tree");
        git().run(&repo, &["add", ".gitattributes"], LOOK).unwrap();
        git().run(&repo, &["commit", "-qm", "two"], LOOK).unwrap();
        let add = ["worktree", "add", "--quiet", tree.to_str().unwrap(), "HEAD"];
        git().run(&repo, &add, WRITE).unwrap();
        git().run(&tree, &["status", "--porcelain"], LOOK).unwrap();
        assert!(tree.join("file").exists());
        assert!(!proof.exists());
        // A name that cannot be switched off is not risked.
        set("filter.c=d.smudge", &evil);
        let error = git().run(&repo, &["status"], LOOK).unwrap_err();
        assert!(error.to_string().contains("filter.c=d.smudge"), "{error}");
        assert!(!proof.exists());
        git()
            .call(
                &repo,
                &[],
                &["config", "--unset", "filter.c=d.smudge"],
                LOOK,
            )
            .unwrap();
        // The same, called by somebody else: the proof proves something.
        let other = Command::new("git")
            .args([
                "-C",
                tree.to_str().unwrap(),
                "checkout",
                "--quiet",
                "HEAD~0",
            ])
            .status();
        assert!(other.unwrap().success() && proof.exists());
    }

    #[test]
    fn what_is_missing_is_not_fetched_whatever_the_repository_allows() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        repository(&repo);
        let proof = dir.path().join("ran");
        let url = format!("ext::touch {}", proof.display());
        for (key, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "o"),
            ("remote.o.promisor", "true"),
            ("remote.o.url", &url),
            ("protocol.ext.allow", "always"),
        ] {
            git().run(&repo, &["config", key, value], LOOK).unwrap();
        }
        let blob = git().run(&repo, &["rev-parse", "HEAD:file"], LOOK).unwrap();
        let (dir_of, rest) = blob.split_at(2);
        std::fs::remove_file(repo.join(".git/objects").join(dir_of).join(rest)).unwrap();
        let tree = dir.path().join("tree");
        let add = ["worktree", "add", "--quiet", tree.to_str().unwrap(), "HEAD"];
        assert!(git().run(&repo, &add, WRITE).is_err());
        assert!(!proof.exists());
        // The same, called by somebody else.
        let mut other = Command::new("git");
        other.arg("-C").arg(&repo).args(["cat-file", "-p", &blob]);
        let _ = other.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(proof.exists());
    }

    #[test]
    fn what_goes_wrong_is_told_in_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let error = git().run(dir.path(), &["status"], LOOK).unwrap_err();
        assert!(
            error.to_string().contains("not a git repository"),
            "{error}"
        );
        let nowhere = Git::new("/nowhere".into(), String::new(), Own::default());
        let error = nowhere.run(dir.path(), &["status"], LOOK).unwrap_err();
        assert!(error.to_string().contains("cannot be started"), "{error}");
        repository(dir.path());
        let slow = ["-c", "alias.nap=!sleep 7305", "nap"];
        let error = git().run(dir.path(), &slow, Duration::ZERO).unwrap_err();
        assert!(matches!(error, GitError::TooSlow(_)), "{error}");
    }
}
