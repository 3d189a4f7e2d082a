//! Which repository a directory belongs to, as far as that can be believed.
//!
//! Git believes what stands in a tree: `.git` may be a file that names any directory of the machine
//! as the repository. An agent writes in its tree, and whoever wrote the project wrote in it before;
//! so what stands there is a claim, and a repository is opened for an agent only if it is found in
//! its usual place, or names the tree itself from a place that no agent writes in.
//!
//! Pure, given a look at the disk. What cannot be believed is none.

use std::path::{Path, PathBuf};

use super::disk::{Disk, walk};

/// What is known of who writes where.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Where agents may have written, and where no repository is: nothing in there is believed.
    pub nowhere_in: &'a [PathBuf],
    /// What no repository is or lies around: a home, a state directory.
    pub not_above: &'a [PathBuf],
}

/// The directory that all working trees of the work dir's repository share: `.git` of the nearest
/// directory that has one, upwards from the work dir, or what a linked working tree there belongs to.
pub fn common(work_dir: &Path, trust: Trust<'_>, disk: &impl Disk) -> Option<PathBuf> {
    let work_dir = walk(work_dir, disk).real;
    let top = work_dir
        .ancestors()
        .find(|dir| disk.link(&dir.join(".git")).is_some() || disk.exists(&dir.join(".git")))?;
    let git = top.join(".git");
    if top == work_dir && disk.link(&git).is_some() {
        return None;
    }
    let git = walk(&git, disk).real;
    match is_repository(&git, disk) {
        true => Some(git),
        false => of_linked(top, trust, disk),
    }
}

/// The same directory for a linked working tree, whose `.git` is a file that names it.
pub fn of_linked(tree: &Path, trust: Trust<'_>, disk: &impl Disk) -> Option<PathBuf> {
    let place = place_of(tree, disk)?;
    let common = common_of(&place)?;
    let written = |dir: &PathBuf| place.starts_with(walk(dir, disk).real);
    let above = |kept: &PathBuf| walk(kept, disk).real.starts_with(common);
    let good = names_back(&place, tree, disk)
        && is_repository(common, disk)
        && !trust.nowhere_in.iter().any(written)
        && !trust.not_above.iter().any(above);
    good.then(|| common.to_owned())
}

/// What a repository keeps of a linked working tree, `COMMON/worktrees/NAME`, if the tree and it
/// name each other.
pub fn kept_of(tree: &Path, common: &Path, disk: &impl Disk) -> Option<PathBuf> {
    let place = place_of(tree, disk)?;
    let good = common_of(&place)? == walk(common, disk).real && names_back(&place, tree, disk);
    good.then_some(place)
}

/// What `.git` of a linked working tree names: a claim.
fn place_of(tree: &Path, disk: &impl Disk) -> Option<PathBuf> {
    let tree = walk(tree, disk).real;
    let file = tree.join(".git");
    if disk.link(&file).is_some() {
        return None;
    }
    let said = String::from_utf8(disk.head(&file)).ok()?;
    let named = said.strip_prefix("gitdir:")?.trim();
    Some(walk(&tree.join(named), disk).real)
}

/// Whether what a repository keeps of a tree names that tree.
fn names_back(place: &Path, tree: &Path, disk: &impl Disk) -> bool {
    let said = String::from_utf8(disk.head(&place.join("gitdir"))).unwrap_or_default();
    walk(&place.join(said.trim()), disk).real == walk(&tree.join(".git"), disk).real
}

/// `COMMON/worktrees/NAME`, without links.
fn common_of(place: &Path) -> Option<&Path> {
    let worktrees = place.parent()?;
    (worktrees.file_name()? == "worktrees").then(|| worktrees.parent())?
}

fn is_repository(dir: &Path, disk: &impl Disk) -> bool {
    ["HEAD", "objects", "refs"]
        .iter()
        .all(|part| disk.exists(&dir.join(part)))
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::Told;
    use super::*;

    /// A repository with a working tree in /repo and a linked one in /tree.
    fn disk() -> Told {
        Told::default()
            .repository("/repo/.git")
            .file("/tree/.git", "gitdir: /repo/.git/worktrees/tree\n")
            .file("/repo/.git/worktrees/tree/gitdir", "/tree/.git\n")
    }

    fn of(work_dir: &str, disk: &Told) -> Option<String> {
        let trust = Trust {
            nowhere_in: &[work_dir.into(), "/state".into()],
            not_above: &["/home/me".into(), "/state".into()],
        };
        let found = common(Path::new(work_dir), trust, disk)?;
        Some(found.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_repository_is_found_where_git_finds_it() {
        let git = Some("/repo/.git".to_owned());
        assert_eq!(of("/repo", &disk()), git);
        assert_eq!(of("/tree", &disk()), git);
        // Below the top, and in a work dir that is a link itself.
        let more = disk().file("/repo/a/b/x", "").link("/work", "/repo/a/b");
        assert_eq!(of("/repo/a/b", &more), git);
        assert_eq!(of("/work", &more), git);
        assert_eq!(of("/elsewhere", &more), None);
        // Named from where it stands, as newer git does.
        let relative = Told::default()
            .repository("/repo/.git")
            .file("/tree/.git", "gitdir: ../repo/.git/worktrees/tree\n")
            .file(
                "/repo/.git/worktrees/tree/gitdir",
                "../../../../tree/.git\n",
            );
        assert_eq!(of("/tree", &relative), git);
        let place = Path::new("/repo/.git/worktrees/tree").to_owned();
        let (tree, common) = (Path::new("/tree"), Path::new("/repo/.git"));
        assert_eq!(kept_of(tree, common, &relative), Some(place));
    }

    #[test]
    fn what_a_tree_claims_opens_nothing_else() {
        let claims = |said: &'static str| {
            Told::default()
                .repository("/repo/.git")
                .repository("/home/me/.config")
                .file("/repo/.git/worktrees/other/gitdir", "/other/.git\n")
                .file("/etc/b/a/b", "")
                .file("/tree/.git", said)
        };
        // What names no tree, and what names another one.
        for said in [
            "gitdir: /etc/b/a/b",
            "gitdir: /etc/b/worktrees/b",
            "gitdir: /repo/.git/worktrees/other",
            "gitdir: /repo/.git/worktrees/../worktrees/other",
            "",
        ] {
            assert_eq!(of("/tree", &claims(said)), None, "{said}");
        }
        // What lies in the tree names it back as it likes: what is around it is none.
        let own = Told::default()
            .repository("/srv")
            .file("/srv/worktrees/t/.git", "gitdir: /srv/worktrees/t")
            .file("/srv/worktrees/t/gitdir", "/srv/worktrees/t/.git");
        assert_eq!(of("/srv/worktrees/t", &own), None);
        // Around a home, or in the state.
        let around = Told::default()
            .repository("/home")
            .file("/tree/.git", "gitdir: /home/worktrees/t")
            .file("/home/worktrees/t/gitdir", "/tree/.git");
        assert_eq!(of("/tree", &around), None);
        let state = Told::default()
            .repository("/state/r")
            .file("/tree/.git", "gitdir: /state/r/worktrees/t")
            .file("/state/r/worktrees/t/gitdir", "/tree/.git");
        assert_eq!(of("/tree", &state), None);
    }

    #[test]
    fn a_link_in_the_work_dir_is_a_claim_too() {
        let linked = disk().link("/work/.git", "/repo/.git");
        assert_eq!(of("/work", &linked), None);
        let dangling = disk().link("/repo/a/.git", "/nowhere");
        assert_eq!(of("/repo/a", &dangling), None);
        let tree = Path::new("/work");
        assert_eq!(kept_of(tree, Path::new("/repo/.git"), &linked), None);
        // One above it is not an agent's.
        let above = disk().link("/top/.git", "/repo/.git").file("/top/a/x", "");
        assert_eq!(of("/top/a", &above), Some("/repo/.git".into()));
        // A place that only looks like one of the repository's.
        let evil = disk()
            .link("/repo/.git/worktrees/evil", "/etc/b/worktrees/x")
            .file("/bad/.git", "gitdir: /repo/.git/worktrees/evil");
        let bad = Path::new("/bad");
        assert_eq!(kept_of(bad, Path::new("/repo/.git"), &evil), None);
    }
}
