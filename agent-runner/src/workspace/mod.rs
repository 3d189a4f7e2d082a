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
//! Blocks: to be called where that is allowed.

pub mod git;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use ipc_schema::{Worktree, Worktrees};
use uuid::Uuid;

use self::git::{Git, GitError, LOOK, WRITE};

/// Where everything of ours lies, from the work directory.
pub const OURS: &str = ".bulkhead";
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

    fn root(&self) -> PathBuf {
        self.work_dir.join(OURS).join("worktrees")
    }

    fn tree(&self, session: &str) -> PathBuf {
        self.root().join(name(session))
    }

    /// Whether the session has one.
    pub fn has(&self, session: &str) -> bool {
        self.tree(session).join(".git").exists()
    }

    /// Where the session's agent works.
    pub fn dir(&self, session: &str) -> PathBuf {
        match (self.has(session), self.prefix.get()) {
            (true, Some(prefix)) => self.tree(session).join(prefix),
            _ => self.work_dir.clone(),
        }
    }

    /// A mark that a session had one which was removed. It would look for its past there.
    fn gone(&self, session: &str) -> PathBuf {
        self.root().join(name(session) + GONE)
    }

    /// What its agent uses beside: of a session with a worktree, the whole of it, its repository, and what
    /// came with messages.
    pub fn beside(&self, session: &str) -> Beside {
        if !self.has(session) {
            return Beside::default();
        }
        let tree = self.tree(session);
        // `REPOSITORY/.git/worktrees/NAME`
        let common = git_dir(&tree).and_then(|dir| Some(dir.parent()?.parent()?.to_owned()));
        Beside {
            read: vec![self.work_dir.join(OURS).join("attachments")],
            write: common.into_iter().chain([tree]).collect(),
        }
    }

    /// Makes the session's worktree, if it is to have one: `begun` = it has been at work already, in
    /// a worktree or not.
    ///
    /// # Errors
    /// In words for whoever wrote.
    pub fn ensure(&self, session: &str, begun: bool) -> Result<(), String> {
        let there = self.has(session);
        let gone = self.gone(session);
        let new = self.wanted && !begun;
        if !there && !new && !gone.exists() {
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
        if there && is_half_made(&tree) {
            tracing::warn!(session, "a worktree was being made when the runner died");
            self.throw_away(&tree);
        }
        if !tree.join(".git").exists() {
            self.make(session, &tree).map_err(cannot)?;
            // Kept if it cannot be removed, which does no harm.
            let _ = fs::remove_file(&gone);
        }
        // An untracked directory is in no commit.
        let inside = tree.join(prefix);
        let place = fs::create_dir_all(&inside).and_then(|()| touch(&tree.join(".git")));
        place.map_err(|error| format!("{}: {error}", inside.display()))?;
        let worktree = Worktree {
            session: session.to_owned(),
            path: tree.display().to_string(),
            branch: branch(session),
            ..Worktree::default()
        };
        self.known().put(worktree);
        Ok(())
    }

    fn make(&self, session: &str, tree: &Path) -> Result<(), GitError> {
        let io = |error: io::Error| GitError::Said(error.to_string());
        let ours = ours(&self.work_dir).map_err(io)?;
        // Where what comes with messages lies: an agent is told of it before anything came.
        for dir in [self.root(), ours.join("attachments")] {
            fs::create_dir_all(dir).map_err(io)?;
        }
        let run = |arguments: &[&str], limit| self.git.run(&self.work_dir, arguments, limit);
        run(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], LOOK)
            .map_err(|_| GitError::Said("there is no commit yet".into()))?;
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
            self.throw_away(tree);
        }
        made.map(drop)
    }

    /// Removes what nobody has worked in.
    fn throw_away(&self, tree: &Path) {
        let path = tree.to_string_lossy();
        let remove = ["worktree", "remove", "--force", "--force", &*path];
        if self.git.run(&self.work_dir, &remove, WRITE).is_err() {
            // Git may not know of it yet; what cannot be removed is in the way of the next try.
            let _ = fs::remove_dir_all(tree);
        }
    }

    /// A session is closed: its worktree goes if nothing is lost with it.
    pub fn close(&self, session: &str) {
        if !self.has(session) {
            return;
        }
        let _alone = self.alone();
        let tree = self.tree(session);
        let removed = self.remove(session, &tree);
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
        fs::write(self.gone(session), "").map_err(|error| GitError::Said(error.to_string()))?;
        let path = tree.to_string_lossy();
        let remove = ["worktree", "remove", &*path];
        self.git.run(&self.work_dir, &remove, WRITE)?;
        let delete = ["branch", "--quiet", "-D", &branch];
        self.git.run(&self.work_dir, &delete, LOOK)?;
        Ok(None)
    }

    /// Looks at what lies there, and closes what nobody has used for long. `used` = a session that
    /// is in use now.
    pub fn sweep(&self, now: SystemTime, used: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(self.root()) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(session) = entry.file_name().into_string() else {
                continue;
            };
            let age = |path: &Path| {
                let since = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
                now.duration_since(since).ok()
            };
            if session.ends_with(GONE) {
                if age(&entry.path()).is_some_and(|age| age > MARKED) {
                    let _ = fs::remove_file(entry.path());
                }
                continue;
            }
            let mark = entry.path().join(".git");
            if !mark.exists() || used(&session) {
                continue;
            }
            if age(&mark).is_some_and(|age| age > KEPT) {
                self.close(&session);
            } else {
                let mut known = self.known();
                if !known.worktrees.contains_key(&session) {
                    known.put(self.about(&session, &entry.path()));
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
/// What the system says.
pub fn ours(work_dir: &Path) -> io::Result<PathBuf> {
    let dir = work_dir.join(OURS);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)?;
    let ignore = dir.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n")?;
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

/// Whether it was being made when its maker died.
fn is_half_made(tree: &Path) -> bool {
    let Some(git_dir) = git_dir(tree) else {
        return true;
    };
    let locked = fs::read_to_string(git_dir.join("locked"));
    locked.is_ok_and(|why| why.trim() == MAKING || why.trim() == "initializing")
}

/// What git keeps of a worktree.
fn git_dir(tree: &Path) -> Option<PathBuf> {
    let said = fs::read_to_string(tree.join(".git")).ok()?;
    Some(said.trim().strip_prefix("gitdir: ")?.into())
}

fn touch(path: &Path) -> io::Result<()> {
    let file = fs::File::options().append(true).open(path)?;
    file.set_modified(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::git::tests::{git, repository};
    use super::*;

    struct Repo {
        dir: tempfile::TempDir,
        spaces: Workspaces,
    }

    impl Repo {
        fn new() -> Repo {
            let dir = tempfile::tempdir().unwrap();
            repository(dir.path());
            let spaces = Workspaces::new(dir.path().into(), true, git());
            Repo { dir, spaces }
        }

        fn git(&self, dir: &Path, arguments: &[&str]) -> String {
            git()
                .run(dir, arguments, LOOK)
                .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
        }

        fn commit(&self, session: &str, file: &str) {
            let dir = self.spaces.dir(session);
            fs::write(dir.join(file), file).unwrap();
            self.git(&dir, &["add", "-A"]);
            self.git(&dir, &["commit", "-qm", file]);
        }

        fn kept(&self) -> Vec<(String, u64, u64)> {
            let told = self.spaces.told().worktrees.into_iter();
            told.filter(|tree| tree.kept)
                .map(|tree| (tree.session, tree.changes, tree.commits))
                .collect()
        }
    }

    #[test]
    fn each_session_has_a_directory_and_a_branch_of_its_own() {
        let repo = Repo::new();
        for session in ["a", "b"] {
            repo.spaces.ensure(session, false).unwrap();
            repo.spaces.ensure(session, true).unwrap();
            let dir = repo.spaces.dir(session);
            assert_eq!(fs::read_to_string(dir.join("file")).unwrap(), "one\n");
            fs::write(dir.join("file"), session).unwrap();
            let on = repo.git(&dir, &["branch", "--show-current"]);
            assert_eq!(on, format!("bulkhead/{session}"));
        }
        let here = fs::read_to_string(repo.dir.path().join("file")).unwrap();
        assert_eq!(here, "one\n");
        let status = repo.git(repo.dir.path(), &["status", "--porcelain"]);
        assert_eq!(status, "", "git ignores what is ours");
        assert_eq!(repo.spaces.news().unwrap().worktrees.len(), 2);
        assert_eq!(repo.spaces.news(), None);
    }

    #[test]
    fn a_session_stays_where_it_began() {
        let repo = Repo::new();
        repo.spaces.ensure("old", true).unwrap();
        assert_eq!(repo.spaces.dir("old"), repo.dir.path());
        repo.spaces.ensure("new", false).unwrap();
        let shared = Workspaces::new(repo.dir.path().into(), false, git());
        shared.ensure("new", true).unwrap();
        shared.ensure("newer", false).unwrap();
        assert_eq!(shared.dir("new"), repo.spaces.dir("new"));
        assert_eq!(shared.dir("newer"), repo.dir.path());
    }

    #[test]
    fn a_directory_below_the_repositorys_top_is_where_the_agent_works_there_too() {
        let repo = Repo::new();
        let below = repo.dir.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let spaces = Workspaces::new(below.clone(), true, git());
        spaces.ensure("s", false).unwrap();
        assert_eq!(
            spaces.dir("s"),
            below.join(".bulkhead/worktrees/s").join("a/b")
        );
        assert!(spaces.dir("s").is_dir());
    }

    #[test]
    fn a_closed_sessions_worktree_goes_unless_there_is_work_in_it() {
        let repo = Repo::new();
        for session in ["clean", "changed", "ahead", "merged"] {
            repo.spaces.ensure(session, false).unwrap();
        }
        fs::write(repo.spaces.dir("changed").join("new"), "x").unwrap();
        repo.commit("ahead", "x");
        repo.commit("merged", "y");
        repo.git(repo.dir.path(), &["merge", "--quiet", "bulkhead/merged"]);
        let here = repo.dir.path();
        for session in ["clean", "changed", "ahead", "merged"] {
            repo.spaces.close(session);
        }
        assert_eq!(
            repo.kept(),
            [("ahead".into(), 0, 1), ("changed".into(), 1, 0)]
        );
        let branches = repo.git(here, &["branch", "--format=%(refname:short)"]);
        assert_eq!(branches, "bulkhead/ahead\nbulkhead/changed\nmain");
        assert!(!repo.spaces.has("clean") && !repo.spaces.has("merged"));
        // Once its work is elsewhere it goes as well.
        repo.git(here, &["merge", "--quiet", "bulkhead/ahead"]);
        repo.spaces.close("ahead");
        assert_eq!(repo.kept(), [("changed".into(), 1, 0)]);
        // Whoever comes back finds the directory that its past is kept under.
        repo.spaces.ensure("clean", true).unwrap();
        assert!(repo.spaces.has("clean"));
    }

    #[test]
    fn what_nobody_uses_goes_after_two_weeks() {
        let repo = Repo::new();
        for session in ["old", "used"] {
            repo.spaces.ensure(session, false).unwrap();
        }
        let again = Workspaces::new(repo.dir.path().into(), true, git());
        let now = SystemTime::now();
        again.sweep(now, |_| false);
        assert_eq!(again.told().worktrees.len(), 2);
        again.sweep(now + KEPT + Duration::from_secs(60), |name| name == "used");
        assert!(!again.has("old") && again.has("used"));
    }

    #[test]
    fn one_that_was_being_made_is_made_anew() {
        let repo = Repo::new();
        repo.spaces.ensure("s", false).unwrap();
        let tree = repo.spaces.dir("s");
        fs::remove_file(tree.join("file")).unwrap();
        let lock = [
            "worktree",
            "lock",
            "--reason",
            MAKING,
            tree.to_str().unwrap(),
        ];
        repo.git(repo.dir.path(), &lock);
        repo.spaces.ensure("s", false).unwrap();
        assert!(tree.join("file").exists());
        // Gone by somebody's hand.
        fs::remove_dir_all(&tree).unwrap();
        repo.spaces.ensure("s", false).unwrap();
        assert!(tree.join("file").exists());
    }

    #[test]
    fn without_a_repository_or_a_commit_it_says_what_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let spaces = Workspaces::new(dir.path().into(), true, git());
        let why = spaces.ensure("s", false).unwrap_err();
        assert!(why.contains("not a git repository"), "{why}");
        git().run(dir.path(), &["init", "-q"], LOOK).unwrap();
        let why = spaces.ensure("s", false).unwrap_err();
        assert!(why.contains("no commit yet"), "{why}");
    }

    #[test]
    fn names_are_safe_in_paths_and_branches() {
        assert_eq!(name("k3x9"), "k3x9");
        for odd in ["", "..", "-x", "a/b", "a b", &"x".repeat(65)] {
            assert!(Uuid::try_parse(&name(odd)).is_ok(), "{odd}");
        }
    }
}
