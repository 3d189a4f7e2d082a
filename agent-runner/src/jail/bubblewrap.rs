//! The other way to build a jail: the program bubblewrap, where it is installed and this kernel's
//! Landlock is too old. The same file tree and the same filter of system calls; what Landlock alone
//! can do, ports, it cannot.
//!
//! It makes mounts, so it is never started from within a Landlock domain: the kernel would refuse
//! them. The environment is cleared before it starts, not by it: what it was started with stays to
//! be read in its own entry of /proc. It mounts by paths: a link laid between its start and its look
//! at them, by another agent of the project, is followed.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::{IntoRawFd as _, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::disk::{Disk, walk};
use super::kernel::System;
use super::policy::Planted;
use super::{Access, Broken, Jail, Net, seccomp, view};

/// Where the program is looked for: not in a PATH, which may be the agent's.
const PLACES: [&str; 3] = ["/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"];

/// The program, if it is installed.
pub fn installed() -> Option<PathBuf> {
    let mut places = PLACES.iter().map(PathBuf::from);
    places.find(|place| place.is_file())
}

/// Its arguments, up to and including the program that it is to start. `filters`: descriptors from
/// which it reads filters of system calls.
///
/// # Errors
/// See [`view::plan`].
pub fn arguments(
    jail: &Jail,
    work_dir: &Path,
    program: &OsStr,
    filters: &[RawFd],
    disk: &impl Disk,
) -> Result<Vec<OsString>, Planted> {
    let mut all: Vec<OsString> = Vec::new();
    let mut add = |parts: &[&OsStr]| all.extend(parts.iter().map(|part| (*part).to_owned()));
    let word = OsStr::new;
    for flag in [
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--die-with-parent",
    ] {
        add(&[word(flag)]);
    }
    if let Net::Closed(_) = jail.net {
        add(&[word("--unshare-net")]);
    }
    add(&[word("--cap-drop"), word("ALL")]);
    add(&[word("--proc"), word("/proc"), word("--dev"), word("/dev")]);
    add(&[word("--bind"), jail.scratch.as_os_str(), word("/tmp")]);
    let plan = view::plan(&jail.grants, &jail.owned, disk)?;
    for (at, to) in &plan.links {
        add(&[word("--symlink"), to.as_os_str(), at.as_os_str()]);
    }
    for dir in &jail.empty {
        add(&[word("--dir"), walk(dir, disk).real.as_os_str()]);
    }
    for mount in &plan.mounts {
        let how = match mount.access {
            Access::Write => "--bind",
            // Its own /dev has the same.
            Access::Device => continue,
            Access::Read | Access::List => "--ro-bind",
        };
        let path = mount.path.as_os_str();
        add(&[word(how), path, path]);
    }
    add(&[word("--remount-ro"), word("/")]);
    for filter in filters {
        add(&[word("--add-seccomp-fd"), word(&filter.to_string())]);
    }
    add(&[word("--chdir"), work_dir.as_os_str(), word("--"), program]);
    Ok(all)
}

/// Becomes bubblewrap, which starts the program.
///
/// # Errors
/// If it is not installed, or the filter cannot be handed over.
pub(super) fn become_agent(
    jail: &Jail,
    program: OsString,
    rest: impl Iterator<Item = OsString>,
) -> Result<Infallible, Broken> {
    let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let bwrap = installed().ok_or_else(|| Broken::Step("bubblewrap", missing()))?;
    jail.limits.set()?;
    let mut filters = Vec::new();
    for bytes in seccomp::bytes(jail)? {
        // Without close-on-exec, and open until this process is another.
        let memory = memfd_create("filter", MFdFlags::empty())
            .map_err(Broken::step("memory for a filter"))?;
        let mut memory = File::from(memory);
        memory
            .write_all(&bytes)
            .and_then(|()| memory.rewind())
            .map_err(|error| Broken::Step("write a filter", error))?;
        filters.push(memory.into_raw_fd());
    }
    let work_dir =
        std::env::current_dir().map_err(|error| Broken::Step("the working directory", error))?;
    let arguments = arguments(jail, &work_dir, &program, &filters, &System)?;
    let error = Command::new(&bwrap).args(arguments).args(rest).exec();
    Err(Broken::At("start", bwrap, error))
}

#[cfg(test)]
mod tests {
    use super::super::{Grant, Limits, Shape};
    use super::*;

    struct Links;

    impl Disk for Links {
        fn link(&self, path: &Path) -> Option<PathBuf> {
            (path == Path::new("/bin")).then(|| "usr/bin".into())
        }
        fn head(&self, _: &Path) -> Vec<u8> {
            Vec::new()
        }
        fn exists(&self, path: &Path) -> bool {
            !path.ends_with("absent")
        }
    }

    fn jail(net: Net) -> Jail {
        Jail {
            shape: Shape::Bubblewrap,
            abi: 0,
            grants: vec![
                Grant::new("/bin", Access::Read),
                Grant::new("/dev/null", Access::Device),
                Grant::new("/opt/absent", Access::Write),
                Grant::new("/tmp/work", Access::Write),
                Grant::new("/usr", Access::Read),
            ],
            owned: Vec::new(),
            scratch: "/state/tmp/s".into(),
            empty: vec!["/home/me".into()],
            net,
            unix_sockets: false,
            limits: Limits::default(),
        }
    }

    fn of(net: Net) -> String {
        let program = OsStr::new("/bin/sh");
        let all = arguments(&jail(net), Path::new("/tmp/work"), program, &[7, 8], &Links).unwrap();
        let words: Vec<_> = all.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn its_arguments_say_the_same_as_the_jail() {
        assert_eq!(
            of(Net::Closed(None)),
            "--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try \
             --die-with-parent --unshare-net --cap-drop ALL --proc /proc --dev /dev \
             --bind /state/tmp/s /tmp --symlink usr/bin /bin --dir /home/me \
             --bind /tmp/work /tmp/work --ro-bind /usr /usr --remount-ro / \
             --add-seccomp-fd 7 --add-seccomp-fd 8 --chdir /tmp/work -- /bin/sh"
        );
        assert!(!of(Net::Full).contains("--unshare-net"));
        // It is cleared before, and by nobody's hand but the runner's.
        assert!(!of(Net::Full).contains("--clearenv"));
    }
}
