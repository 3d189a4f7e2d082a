//! A look at the file tree, and where a path leads in it: links are followed by ourselves, since each
//! of them matters.

use std::path::{Path, PathBuf};

/// A look at the file tree.
pub trait Disk {
    /// What a symbolic link says; none = it is no link, or nothing.
    fn link(&self, path: &Path) -> Option<PathBuf>;
    /// The first bytes of a file; empty = there is none.
    fn head(&self, path: &Path) -> Vec<u8>;
    /// Whether there is anything.
    fn exists(&self, path: &Path) -> bool;
}

/// The most symbolic links that are followed, as the kernel does.
const LINKS: usize = 40;

/// A path, and what it leads to link by link; directories on the way are made real.
pub(super) fn hops(path: &Path, disk: &impl Disk) -> Vec<PathBuf> {
    let mut hops = Vec::new();
    let mut next = path.to_owned();
    for _ in 0..LINKS {
        let (dir, name) = (next.parent(), next.file_name());
        let (Some(dir), Some(name)) = (dir, name) else {
            break;
        };
        let here = walk(dir, disk).real.join(name);
        hops.push(here.clone());
        let Some(to) = disk.link(&here) else { break };
        next = here.parent().unwrap_or(Path::new("/")).join(to);
    }
    hops
}

/// Where a path leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// The links that were met, in order: where, and what they say.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// The end, without any link.
    pub real: PathBuf,
}

/// Walks a whole path.
pub fn walk(path: &Path, disk: &impl Disk) -> Walk {
    use std::path::Component;
    let mut walk = Walk {
        links: Vec::new(),
        real: "/".into(),
    };
    let parts = |path: &Path| -> Vec<PathBuf> {
        let plain = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        let mut plain: Vec<PathBuf> = plain.collect();
        plain.reverse();
        plain
    };
    let mut rest = parts(path);
    while let Some(part) = rest.pop() {
        if part == Path::new("..") {
            walk.real.pop();
            continue;
        }
        let here = walk.real.join(part);
        match disk.link(&here) {
            Some(to) if walk.links.len() < LINKS => {
                if to.is_absolute() {
                    walk.real = "/".into();
                }
                rest.extend(parts(&to));
                walk.links.push((here, to));
            }
            _ => walk.real = here,
        }
    }
    walk
}
