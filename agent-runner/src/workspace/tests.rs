use super::git::tests::{git, repository};
use super::*;
use std::fs;
use std::os::unix::fs::symlink;

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
fn a_link_in_place_of_where_an_agent_works_is_refused() {
    let repo = Repo::new();
    let below = repo.dir.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    let spaces = Workspaces::new(below.clone(), true, git());
    spaces.ensure("s", false).unwrap();
    assert_eq!(spaces.open("s").unwrap().path(), spaces.dir("s"));
    assert_eq!(spaces.open("other").unwrap().path(), below);
    let at = spaces.tree("s").join("a");
    fs::remove_dir_all(&at).unwrap();
    symlink(repo.dir.path().join("a"), &at).unwrap();
    let why = spaces.open("s").unwrap_err();
    assert!(why.contains("symbolic link"), "{why}");
    assert!(spaces.ensure("s", true).is_err());
    let nowhere = Workspaces::new("/nowhere".into(), false, git());
    let why = nowhere.open("s").unwrap_err();
    assert!(why.contains("Make it"), "{why}");
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
    again.sweep(now, |_| Some(()));
    assert_eq!(again.told().worktrees.len(), 2);
    again.sweep(now + KEPT + Duration::from_secs(60), |name| {
        (name != "used").then_some(())
    });
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
fn a_tree_does_not_say_which_repository_is_written() {
    let repo = Repo::new();
    repo.spaces.ensure("s", false).unwrap();
    let (tree, git) = (repo.spaces.tree("s"), repo.dir.path().join(".git"));
    assert_eq!(repo.spaces.beside("s").write, [git.clone(), tree.clone()]);
    let outside = tempfile::tempdir().unwrap();
    repository(outside.path());
    let place = outside.path().join(".git/worktrees/s");
    fs::create_dir_all(&place).unwrap();
    let named = format!("gitdir: {}\n", place.display());
    for said in [named.as_str(), "gitdir: /etc/bulkhead/a/b", ""] {
        fs::write(tree.join(".git"), said).unwrap();
        assert_eq!(repo.spaces.beside("s").write, [git.clone(), tree.clone()]);
        let why = repo.spaces.ensure("s", true).unwrap_err();
        assert!(why.contains("worktree repair"), "{why}");
        // What an agent did is not thrown away for it, nor git run in there.
        repo.spaces.close("s");
        assert!(tree.join("file").exists());
    }
    // Nor does who removes it get the work directory.
    fs::remove_file(tree.join(".git")).unwrap();
    assert_eq!(repo.spaces.dir("s"), tree);
    assert!(repo.spaces.ensure("s", true).is_err());
    repo.git(repo.dir.path(), &["worktree", "repair"]);
    repo.spaces.ensure("s", true).unwrap();
}

#[test]
fn a_pipe_or_an_endless_file_in_place_of_dot_git_holds_nobody_up() {
    let repo = Repo::new();
    repo.spaces.ensure("s", false).unwrap();
    let dot_git = repo.spaces.tree("s").join(".git");
    fs::remove_file(&dot_git).unwrap();
    symlink("/dev/zero", &dot_git).unwrap();
    assert!(repo.spaces.ensure("s", true).is_err());
    fs::remove_file(&dot_git).unwrap();
    nix::unistd::mkfifo(&dot_git, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(repo.spaces.ensure("s", true).is_err());
    repo.spaces
        .sweep(SystemTime::now() + 2 * KEPT, |_| Some(()));
    assert!(repo.spaces.has("s"));
}

#[test]
fn a_link_in_place_of_the_worktrees_leads_nowhere() {
    for place in [".bulkhead", ".bulkhead/worktrees"] {
        let repo = Repo::new();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(outside.path().join("worktrees/s")).unwrap();
        fs::write(outside.path().join("worktrees/s.gone"), "").unwrap();
        fs::write(outside.path().join("worktrees/s/work"), "").unwrap();
        let link = repo.dir.path().join(place);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let to = match place.contains('/') {
            true => outside.path().join("worktrees"),
            false => outside.path().to_owned(),
        };
        symlink(to, link).unwrap();
        assert!(!repo.spaces.has("s"));
        assert_eq!(repo.spaces.dir("s"), repo.dir.path());
        let why = repo.spaces.ensure("s", false).unwrap_err();
        assert!(why.contains("symbolic link"), "{why}");
        assert!(repo.spaces.ensure("s", true).is_err());
        repo.spaces.throw_away("s");
        repo.spaces
            .sweep(SystemTime::now() + 2 * MARKED, |_| Some(()));
        for kept in ["worktrees/s/work", "worktrees/s.gone"] {
            assert!(outside.path().join(kept).exists(), "{kept}");
        }
        let entries = fs::read_dir(outside.path()).unwrap().count();
        assert_eq!(entries, 1, "nothing new lies there");
    }
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
