//! A file tree that holds nothing but what is granted, and the process it is built for in it.
//!
//! It is made of empty directories in memory, of the symbolic links on the way to what is granted,
//! and of what is granted, mounted where it is. What is not granted is not refused but absent:
//! files, and sockets too, which Landlock does not refuse.
//!
//! A grant is where its way ended when it was looked at: who lays a link meanwhile, into the way or
//! in its place, ends the start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{chdir, pivot_root};

use super::disk::{Disk, walk};
use super::kernel::System;
use super::policy::{Planted, places, written};
use super::{Access, Broken, Grant, Jail};
use crate::beneath;

/// Where the tree is put together: any directory that every system has.
const STAGE: &str = "/tmp";
const OLD: &str = "/old";
const NEW: &str = "/new";

/// What the tree is made of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Symbolic links: where, and what they say.
    pub links: BTreeMap<PathBuf, PathBuf>,
    /// What is mounted: parents before children.
    pub mounts: Vec<Grant>,
}

/// Plans the tree. Of what lies inside of what is granted as much anyway, nothing is mounted.
/// `owned`: where agents may write, whatever is granted here.
///
/// # Errors
/// See [`places`].
pub fn plan(grants: &[Grant], owned: &[PathBuf], disk: &impl Disk) -> Result<Plan, Planted> {
    let mut links = BTreeMap::new();
    let mut real: BTreeMap<PathBuf, Access> = BTreeMap::new();
    for (walked, access) in places(grants, &written(grants, owned, disk), disk)? {
        if !disk.exists(&walked.real) || walked.real == Path::new("/") {
            continue;
        }
        links.extend(walked.links);
        let so_far = real.entry(walked.real).or_insert(access);
        *so_far = access.max(*so_far);
    }
    let mut mounts: Vec<Grant> = Vec::new();
    // In order of names a parent comes before its children.
    for (path, access) in real {
        let inside = mounts
            .iter()
            .rev()
            .find(|mount: &&Grant| path.starts_with(&mount.path));
        if inside.is_none_or(|mount| mount.access < access) {
            mounts.push(Grant { path, access });
        }
    }
    // A link inside of what is mounted is there already.
    links.retain(|at, _| !mounts.iter().any(|mount| at.starts_with(&mount.path)));
    Ok(Plan { links, mounts })
}

/// What is in the tree beside the grants.
pub(super) fn own_places() -> Vec<Grant> {
    vec![
        // Nothing is there but what is granted: its names are no secret.
        Grant::new("/", Access::List),
        // Read only: what is the system's in it belongs to user 0, who may be the agent's too.
        Grant::new("/proc", Access::Read),
        Grant::new("/tmp", Access::Write),
        Grant::new("/dev/shm", Access::Write),
        Grant::new("/dev/pts", Access::Device),
    ]
}

/// Builds the tree and moves this process into it, which has mount and process namespaces of its own
/// and one thread. It is in `work_dir` then.
pub(super) fn enter(jail: &Jail, work_dir: &Path) -> Result<(), Broken> {
    let plan = plan(&jail.grants, &jail.owned, &System)?;
    let scratch = walk(&jail.scratch, &System).real;
    // Nothing that is mounted here is to be seen outside.
    mount_flags(Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    memory(Path::new(STAGE), "mode=0755,size=1m")?;
    let stage = Path::new(STAGE);
    for dir in [OLD, NEW] {
        let dir = stage.join(dir.trim_start_matches('/'));
        fs::create_dir(&dir).map_err(Broken::at("make", &dir))?;
    }
    pivot_root(stage, &stage.join("old")).map_err(Broken::step("change the root"))?;
    chdir("/").map_err(Broken::step("go to the new root"))?;
    memory(Path::new(NEW), "mode=0755,size=4m")?;

    system(&scratch)?;
    for (at, to) in &plan.links {
        let at = inside(at);
        parents(&at)?;
        match symlink(to, &at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Broken::At("link", at, error));
            }
            _ => {}
        }
    }
    for dir in &jail.empty {
        directory(&inside(&walk(dir, &System).real))?;
    }
    for grant in &plan.mounts {
        bind(&outside(&grant.path), &inside(&grant.path), grant.access)?;
    }

    chdir(NEW).map_err(Broken::step("go to the file tree"))?;
    pivot_root(".", ".").map_err(Broken::step("change the root again"))?;
    // The old one lies above the new one now.
    umount2(".", MntFlags::MNT_DETACH).map_err(Broken::step("leave the old root"))?;
    chdir("/").map_err(Broken::step("go to the root"))?;
    chdir(work_dir).map_err(|error| Broken::At("go to", work_dir.to_owned(), error.into()))
}

/// /proc, /dev and /tmp.
fn system(scratch: &Path) -> Result<(), Broken> {
    let none: Option<&str> = None;
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let proc = inside(Path::new("/proc"));
    directory(&proc)?;
    mount(Some("proc"), &proc, Some("proc"), plain, none)
        .map_err(|error| Broken::At("mount a /proc of its own at", proc, error.into()))?;
    let shm = inside(Path::new("/dev/shm"));
    directory(&shm)?;
    memory(&shm, "mode=1777,size=256m")?;
    let pts = inside(Path::new("/dev/pts"));
    directory(&pts)?;
    let terminals = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let how = "newinstance,ptmxmode=0666,mode=620";
    mount(Some("devpts"), &pts, Some("devpts"), terminals, Some(how))
        .map_err(|error| Broken::At("mount terminals of its own at", pts, error.into()))?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, to) in links {
        let at = inside(&Path::new("/dev").join(name));
        symlink(to, &at).map_err(Broken::at("link", &at))?;
    }
    let tmp = inside(Path::new("/tmp"));
    bind(&outside(scratch), &tmp, Access::Write)
}

fn inside(path: &Path) -> PathBuf {
    Path::new(NEW).join(path.strip_prefix("/").unwrap_or(path))
}

fn outside(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

fn directory(path: &Path) -> Result<(), Broken> {
    fs::create_dir_all(path).map_err(Broken::at("make", path))
}

fn parents(path: &Path) -> Result<(), Broken> {
    path.parent().map_or(Ok(()), directory)
}

fn memory(at: &Path, how: &str) -> Result<(), Broken> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(how))
        .map_err(|error| Broken::At("mount an empty tree at", at.to_owned(), error.into()))
}

fn mount_flags(at: &Path, flags: MsFlags) -> Result<(), Broken> {
    let none: Option<&str> = None;
    mount(none, at, none, flags, none)
        .map_err(|error| Broken::At("change the mount", at.to_owned(), error.into()))
}

fn bind(from: &Path, to: &Path, access: Access) -> Result<(), Broken> {
    // What vanished since it was looked for is granted to nobody.
    let Some(held) = beneath::exactly(from).map_err(Broken::at("open", from))? else {
        return Ok(());
    };
    let meta = held.metadata().map_err(Broken::at("look at", from))?;
    if meta.is_dir() {
        directory(to)?;
    } else {
        parents(to)?;
        if !to.exists() {
            File::create(to).map_err(Broken::at("make", to))?;
        }
    }
    let none: Option<&str> = None;
    let way = inside(Path::new("/proc/self/fd")).join(held.as_raw_fd().to_string());
    mount(
        Some(&way),
        to,
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )
    .map_err(|error| Broken::At("mount", from.to_owned(), error.into()))?;
    if !matches!(access, Access::Read | Access::List) {
        return Ok(());
    }
    // Landlock refuses to write; this refuses to change rights and times as well. What the mount
    // has of its own must be kept, or the system takes it for an attempt to get rid of it.
    let kept = statvfs(to).map_err(|error| Broken::At("look at", to.to_owned(), error.into()))?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | same(kept.flags());
    mount_flags(to, flags)
}

fn same(flags: FsFlags) -> MsFlags {
    let pairs: BTreeSet<_> = [
        (FsFlags::ST_NOSUID.bits(), MsFlags::MS_NOSUID.bits()),
        (FsFlags::ST_NODEV.bits(), MsFlags::MS_NODEV.bits()),
        (FsFlags::ST_NOEXEC.bits(), MsFlags::MS_NOEXEC.bits()),
        (FsFlags::ST_NOATIME.bits(), MsFlags::MS_NOATIME.bits()),
        (FsFlags::ST_NODIRATIME.bits(), MsFlags::MS_NODIRATIME.bits()),
        (FsFlags::ST_RELATIME.bits(), MsFlags::MS_RELATIME.bits()),
    ]
    .into();
    let has = pairs.iter().filter(|(has, _)| flags.bits() & has != 0);
    has.fold(MsFlags::empty(), |all, (_, flag)| {
        all | MsFlags::from_bits_truncate(*flag)
    })
}
