//! A git worktree for each session, so that two conversations of one project do not overwrite each
//! other's files.
//!
//! They lie in `.bulkhead/worktrees/SESSION` of the project's work directory, on the branch
//! `bulkhead/SESSION`, which begins at what the work directory has checked out when the session
//! first starts. In the work directory, because an agent may write there already, the repository's
//! own `.git` included, and git is told to ignore `.bulkhead`.
//!
//! Promises: a session stays where it began, whatever the configuration says later, since an agent
//! resumes only in the directory of its start; a worktree goes only when everything in it is
//! committed and its commits are on another branch too (what git ignores goes with it), and git
//! itself has the last word on the first; one that was being made when the runner died is made anew.
//! What stands in a worktree is its agent's: no link in there is followed, and which repository it
//! belongs to is found out without it.
//! Blocks: to be called where that is allowed.

pub mod git;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use ipc_schema::{Worktree, Worktrees};
use uuid::Uuid;

use self::git::{Git, GitError, LOOK, WRITE};
use crate::beneath::{self, Dir};
use crate::jail::kernel::System;
use crate::jail::repository::{self, Trust};

/// Where everything of ours lies, from the work directory.
pub const OURS: &str = ".bulkhead";
/// The worktrees, in there.
const TREES: &str = "worktrees";
/// What the branches begin with.
const BRANCH: &str = "bulkhead";
/// Why git finds a worktree locked that is being made.
const MAKING: &str = "bulkhead is making it";
/// How long a worktree stays that no session has been started in.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
/// The end of the name of a mark that a worktree was removed, and how long it stays.
const GONE: &str = ".gone";
const MARKED: Duration = Duration::from_secs(366 * 24 * 3600);
/// The most worktrees that the hub is told of.
const TOLD: usize = 200;

/// What an agent uses beside the directory that it works in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// To read.
    pub read: Vec<PathBuf>,
    /// To write.
    pub write: Vec<PathBuf>,
}

impl Beside {
    /// With a volume, if there is one: the agent may write there.
    #[must_use]
    pub fn and(mut self, volume: Option<PathBuf>) -> Beside {
        self.write.extend(volume);
        self
    }
}

/// The worktrees of one project.
#[derive(Debug, Clone)]
pub struct Workspaces {
    work_dir: PathBuf,
    /// New sessions get one.
    wanted: bool,
    git: Git,
    /// Where the work directory is in its repository; known once a worktree was made or found.
    prefix: Arc<OnceLock<PathBuf>>,
    /// One at a time: they share the repository.
    repository: Arc<Mutex<()>>,
    /// What is known of each worktree.
    known: Arc<Mutex<Known>>,
}

/// How it stands with a worktree.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Absent,
    /// It was being made when its maker died.
    Half,
    /// It is one of the repository's.
    Whole,
    /// Something is in its place of which that cannot be said.
    Foreign,
}

#[derive(Debug, Default)]
struct Known {
    worktrees: BTreeMap<String, Worktree>,
    changed: bool,
}

impl Workspaces {
    /// Of a work directory; `wanted` = new sessions get one each.
    pub fn new(work_dir: PathBuf, wanted: bool, git: Git) -> Workspaces {
        Workspaces {
            work_dir,
            wanted,
            git,
            prefix: Arc::default(),
            repository: Arc::default(),
            known: Arc::default(),
        }
    }

    /// Whether a new session gets one.
    pub fn wanted(&self) -> bool {
        self.wanted
    }

    fn tree(&self, session: &str) -> PathBuf {
        self.work_dir.join(OURS).join(TREES).join(name(session))
    }

    /// The directory of the worktrees.
    fn trees(&self) -> io::Result<Dir> {
        Dir::open(&self.work_dir)?.below(&Path::new(OURS).join(TREES))
    }

    /// Whether the session has one. Its directory counts, not what lies in it: an agent that takes
    /// its `.git` away is not to get the work directory for it.
    pub fn has(&self, session: &str) -> bool {
        let about = self
            .trees()
            .and_then(|trees| trees.about(Path::new(&name(session))));
        about.is_ok_and(|about| about.is_dir())
    }

    /// Where the session's agent works.
    pub fn dir(&self, session: &str) -> PathBuf {
        match (self.has(session), self.prefix.get()) {
            (true, Some(prefix)) => self.tree(session).join(prefix),
            _ => self.work_dir.clone(),
        }
    }

    /// Where the session's agent works, held open: no link that an agent has laid leads elsewhere.
    ///
    /// # Errors
    /// In words for whoever wrote.
    pub fn open(&self, session: &str) -> Result<Dir, String> {
        let dir = self.dir(session);
        let opened =
            Dir::open(&self.work_dir).and_then(|root| match dir.strip_prefix(&self.work_dir) {
                Ok(below) if !below.as_os_str().is_empty() => root.below(below),
                _ => Ok(root),
            });
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => format!(
                "its working directory {} is not there. Make it, or set `work_dir` right",
                dir.display()
            ),
            _ => format!("its working directory cannot be used: {error}"),
        })
    }

    /// Whether there is a mark that a session had one which was removed. It would look for its past
    /// there.
    fn is_gone(&self, session: &str) -> bool {
        let mark = name(session) + GONE;
        let about = self.trees().and_then(|trees| trees.about(Path::new(&mark)));
        about.is_ok_and(|about| about.is_file())
    }

    /// The repository's own directory.
    fn common(&self) -> Option<PathBuf> {
        let trust = Trust {
            nowhere_in: std::slice::from_ref(&self.work_dir),
            not_above: &[self.git.home().into()],
        };
        repository::common(&self.work_dir, trust, &System)
    }

    /// What its agent uses beside: of a session with a worktree, the whole of it, its repository, and what
    /// came with messages.
    pub fn beside(&self, session: &str) -> Beside {
        if !self.has(session) {
            return Beside::default();
        }
        let tree = self.tree(session);
        Beside {
            read: vec![self.work_dir.join(OURS).join("attachments")],
            write: self.common().into_iter().chain([tree]).collect(),
        }
    }

    /// Makes the session's worktree, if it is to have one: `begun` = it has been at work already, in
    /// a worktree or not.
    ///
    /// # Errors
    /// In words for whoever wrote.
    pub fn ensure(&self, session: &str, begun: bool) -> Result<(), String> {
        let there = self.has(session);
        let new = self.wanted && !begun;
        if self.wanted
            && let Err(error) = self.trees()
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(format!(
                "the worktrees of this project are out of reach: {error}"
            ));
        }
        if !there && !new && !self.is_gone(session) {
            return Ok(());
        }
        let _alone = self.alone();
        let cannot = |error: GitError| {
            let dir = self.work_dir.display();
            format!(
                "`workspace = \"worktree\"` needs a git repository with a commit, and {dir} gives \
                 none: {error}"
            )
        };
        let prefix = match self.prefix.get() {
            Some(prefix) => prefix.clone(),
            None => {
                let show = ["rev-parse", "--show-prefix"];
                let prefix = self.git.run(&self.work_dir, &show, LOOK).map_err(cannot)?;
                self.prefix.get_or_init(|| prefix.into()).clone()
            }
        };
        let tree = self.tree(session);
        let name = name(session);
        match self.state(session) {
            State::Absent => self.make(session, &tree).map_err(cannot)?,
            State::Half => {
                tracing::warn!(session, "a worktree was being made when the runner died");
                self.throw_away(session);
                self.make(session, &tree).map_err(cannot)?;
            }
            State::Whole => {}
            State::Foreign => return Err(self.foreign(&tree)),
        }
        let place = self.trees().and_then(|trees| {
            // Kept if it cannot be removed, which does no harm.
            let _ = trees.remove_file(OsStr::new(&(name.clone() + GONE)));
            // An untracked directory is in no commit.
            let tree = trees.make(Path::new(&name))?;
            if !prefix.as_os_str().is_empty() {
                tree.make(&prefix)?;
            }
            tree.regular(Path::new(".git"))?
                .set_modified(SystemTime::now())
        });
        place.map_err(|error| format!("{}: {error}", tree.join(prefix).display()))?;
        self.known().put(self.about(session, &tree));
        Ok(())
    }

    /// How it stands with a session's worktree.
    fn state(&self, session: &str) -> State {
        let tree = self
            .trees()
            .and_then(|trees| trees.below(Path::new(&name(session))));
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return State::Absent,
            Err(_) => return State::Foreign,
        };
        let kept = self
            .common()
            .and_then(|common| repository::kept_of(&self.tree(session), &common, &System));
        let Some(kept) = kept else {
            // Git makes the directory, then `.git`, then what is in it: nothing is lost yet.
            let begun = |name: OsString| {
                let about = tree.about(Path::new(&name));
                name == ".git" && about.is_ok_and(|about| about.is_file())
            };
            return match tree.names().is_ok_and(|mut names| names.all(begun)) {
                true => State::Half,
                false => State::Foreign,
            };
        };
        let locked = beneath::regular(&kept.join("locked"))
            .and_then(|file| beneath::head(&file, 4096))
            .unwrap_or_default();
        match String::from_utf8_lossy(&locked).trim() {
            MAKING | "initializing" => State::Half,
            _ => State::Whole,
        }
    }

    fn foreign(&self, tree: &Path) -> String {
        let (tree, work_dir) = (tree.display(), self.work_dir.display());
        format!(
            "the worktree {tree} does not belong to the repository of {work_dir}, or can not be \
             shown to: its .git was changed or removed, or that of {work_dir} is a link. Run  git \
             -C {work_dir} worktree repair  or save what is of use in it and remove it"
        )
    }

    fn make(&self, session: &str, tree: &Path) -> Result<(), GitError> {
        let io = |error: io::Error| GitError::Said(error.to_string());
        let ours = ours(&self.work_dir).map_err(io)?;
        // Where what comes with messages lies: an agent is told of it before anything came.
        for dir in [TREES, "attachments"] {
            ours.make(Path::new(dir)).map_err(io)?;
        }
        let run = |arguments: &[&str], limit| self.git.run(&self.work_dir, arguments, limit);
        run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], LOOK)
            .map_err(|_| GitError::Said("there is no commit yet".into()))?;
        if self.common().is_none() {
            let words = "its .git is a link, or names a repository that does not name it back";
            return Err(GitError::Said(words.into()));
        }
        // Somebody may have removed one by hand.
        run(&["worktree", "prune"], LOOK)?;
        let branch = branch(session);
        let path = tree.to_string_lossy();
        let known = format!("refs/heads/{branch}");
        let is_known = run(&["show-ref", "--verify", "--quiet", &known], LOOK).is_ok();
        let mut add = vec!["worktree", "add", "--quiet", "--lock", "--reason", MAKING];
        match is_known {
            true => add.extend([&*path, &branch]),
            false => add.extend(["--no-track", "-b", &branch, &*path, "HEAD"]),
        }
        let made = run(&add, WRITE).and_then(|_| run(&["worktree", "unlock", &path], LOOK));
        if made.is_err() {
            self.throw_away(session);
        }
        made.map(drop)
    }

    /// Removes what nobody has worked in.
    fn throw_away(&self, session: &str) {
        if !self.has(session) {
            return;
        }
        let tree = self.tree(session);
        let path = tree.to_string_lossy();
        let remove = ["worktree", "remove", "--force", "--force", &*path];
        if self.git.run(&self.work_dir, &remove, WRITE).is_err() {
            // Git may not know of it yet; what cannot be removed is in the way of the next try.
            let _ = self
                .trees()
                .and_then(|trees| trees.remove_all(OsStr::new(&name(session))));
        }
    }

    /// A session is closed: its worktree goes if nothing is lost with it.
    pub fn close(&self, session: &str) {
        if !self.has(session) {
            return;
        }
        let _alone = self.alone();
        let tree = self.tree(session);
        let removed = match self.state(session) {
            State::Foreign => Err(GitError::Said(self.foreign(&tree))),
            _ => self.remove(session, &tree),
        };
        let mut known = self.known();
        match removed {
            Ok(None) => {
                tracing::info!(session, "the worktree of a closed session is removed");
                known.changed |= known.worktrees.remove(session).is_some();
            }
            Ok(Some(worktree)) => {
                tracing::info!(
                    session,
                    changes = worktree.changes,
                    commits = worktree.commits,
                    "the worktree of a closed session is kept: there is work in it"
                );
                known.put(worktree);
            }
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(session, why, "the worktree of a closed session is kept");
                known.put(Worktree {
                    kept: true,
                    ..self.about(session, &tree)
                });
            }
        }
    }

    fn about(&self, session: &str, tree: &Path) -> Worktree {
        Worktree {
            session: session.to_owned(),
            path: tree.display().to_string(),
            branch: branch(session),
            ..Worktree::default()
        }
    }

    /// Removes it; what stands against that otherwise.
    fn remove(&self, session: &str, tree: &Path) -> Result<Option<Worktree>, GitError> {
        let branch = branch(session);
        let status = ["status", "--porcelain", "--untracked-files=all"];
        let changes = self.git.run(tree, &status, LOOK)?.lines().count() as u64;
        // On a branch of its own, commits are lost with the branch; on another, none is.
        let exclude = format!("--exclude={branch}");
        let count = [
            "rev-list",
            "--count",
            "HEAD",
            &branch,
            "--not",
            &exclude,
            "--branches",
            "--remotes",
            "--tags",
        ];
        let commits = self.git.run(tree, &count, LOOK)?.parse().unwrap_or(0);
        if changes > 0 || commits > 0 {
            return Ok(Some(Worktree {
                kept: true,
                changes,
                commits,
                ..self.about(session, tree)
            }));
        }
        let mark = self
            .trees()
            .and_then(|trees| trees.create(&(name(session) + GONE)));
        match mark {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(GitError::Said(error.to_string()));
            }
            _ => {}
        }
        let path = tree.to_string_lossy();
        let remove = ["worktree", "remove", &*path];
        self.git.run(&self.work_dir, &remove, WRITE)?;
        let delete = ["branch", "--quiet", "-D", &branch];
        self.git.run(&self.work_dir, &delete, LOOK)?;
        Ok(None)
    }

    /// Looks at what lies there, and closes what nobody has used for long. `hold` keeps a session from
    /// being used while what it gives lives; it gives nothing for one that is in use now.
    pub fn sweep<Hold>(&self, now: SystemTime, hold: impl Fn(&str) -> Option<Hold>) {
        let Ok(trees) = self.trees() else {
            return;
        };
        let age = |path: &Path| {
            let since = trees.about(path).and_then(|about| about.modified()).ok()?;
            now.duration_since(since).ok()
        };
        for entry in trees.names().into_iter().flatten() {
            let Some(session) = entry.to_str() else {
                continue;
            };
            if session.ends_with(GONE) {
                if age(Path::new(session)).is_some_and(|age| age > MARKED) {
                    let _ = trees.remove_file(&entry);
                }
                continue;
            }
            let mark = Path::new(session).join(".git");
            if trees.about(&mark).is_err() {
                continue;
            }
            let Some(_held) = hold(session) else {
                continue;
            };
            if age(&mark).is_some_and(|age| age > KEPT) {
                self.close(session);
            } else {
                let mut known = self.known();
                if !known.worktrees.contains_key(session) {
                    known.put(self.about(session, &self.tree(session)));
                }
            }
        }
    }

    /// What the hub is to know, if that has changed since this was asked last.
    pub fn news(&self) -> Option<Worktrees> {
        let mut known = self.known();
        std::mem::take(&mut known.changed).then(|| known.told())
    }

    /// What the hub is to know.
    pub fn told(&self) -> Worktrees {
        self.known().told()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        let alone = self.repository.lock();
        alone.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, worktree: Worktree) {
        let session = worktree.session.clone();
        let old = self.worktrees.insert(session, worktree.clone());
        self.changed |= old.as_ref() != Some(&worktree);
    }

    fn told(&self) -> Worktrees {
        Worktrees {
            worktrees: self.worktrees.values().take(TOLD).cloned().collect(),
        }
    }
}

/// Makes the directory of ours in a work directory, which git is told to ignore.
///
/// # Errors
/// If a link is in its place, in words; else what the system says.
pub fn ours(work_dir: &Path) -> io::Result<Dir> {
    let dir = Dir::open(work_dir)?.make(Path::new(OURS))?;
    match dir.create(".gitignore") {
        Ok(mut ignore) => ignore.write_all(b"*\n")?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    Ok(dir)
}

/// A session as part of a path and of a branch's name.
fn name(session: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let good = (1..=64).contains(&session.len())
        && session.chars().all(plain)
        && !session.starts_with('-');
    match good {
        true => session.to_owned(),
        false => Uuid::new_v5(&Uuid::NAMESPACE_OID, session.as_bytes()).to_string(),
    }
}

fn branch(session: &str) -> String {
    format!("{BRANCH}/{}", name(session))
}

#[cfg(test)]
mod tests;
