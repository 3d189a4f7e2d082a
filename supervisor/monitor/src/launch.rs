//! The launcher: the few steps between the monitor's spawn and the program itself.
//!
//! The monitor cannot run code of its own between fork and exec without `unsafe`, so it spawns its
//! own binary's hidden subcommand, which calls [`run`]; that process prepares *itself* and becomes
//! the program by exec. The pid stays the same all the way.
//!
//! The order of the steps is the point:
//!
//! 1. a session and process group of its own, so that a terminal's Ctrl-C reaches the monitor only
//!    and a death can be followed by a signal to everything that shared the group;
//! 2. limits and umask: no core dumps (they would hold secrets), new files for the owner only;
//! 3. descriptors: 0, 1, 2 and the inherited ones by name; everything else is closed;
//! 4. **here another user id is taken on**, once processes have their own: groups, gid, uid;
//! 5. death with the parent: after 4, because a change of user clears it. The parent is checked
//!    after it is set, because it may have died before;
//! 6. **here the jail closes**, once processes have one: no_new_privs, Landlock, seccomp, in this
//!    order, because each forbids what the one before needs;
//! 7. `LISTEN_PID` and `WATCHDOG_PID` are this process; an empty signal mask; exec.
//!
//! It promises that a failed step ends the process: a half prepared program is never run. It takes
//! nothing from the environment but the number of descriptors.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getpid, getppid, setsid};

/// The exit code when a step fails (EX_OSERR). Transient: the monitor tries again.
pub const NOT_SET_UP: i32 = 71;
/// The exit code when the program cannot be executed (EX_OSFILE). Transient as well: it may just
/// be being replaced.
pub const NOT_EXECUTED: i32 = 72;

/// The number of the first inherited descriptor, by the convention of `LISTEN_FDS`.
pub(crate) const FIRST_FD: RawFd = 3;

/// What stopped the launcher.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("called without PARENT_PID PROGRAM [ARGUMENT]...; only bulkhead itself calls it")]
    Usage,
    #[error("cannot {0}: {1}")]
    Step(&'static str, io::Error),
    #[error("the monitor that asked for this start is gone")]
    Orphaned,
    #[error("cannot execute {}: {}; is it installed and executable?", .0.display(), .1)]
    Exec(OsString, io::Error),
}

/// Prepares this process and becomes the program.
///
/// The arguments are `PARENT_PID PROGRAM [ARGUMENT]...`, without the prefix that led here. Call it
/// first in `main`, before any runtime, thread or file.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ! {
    let error = match launch(args.into_iter()) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    eprintln!("bulkhead launch: {error}");
    std::process::exit(match error {
        LaunchError::Exec(..) => NOT_EXECUTED,
        _ => NOT_SET_UP,
    })
}

fn launch(mut args: impl Iterator<Item = OsString>) -> Result<Infallible, LaunchError> {
    let parent = args
        .next()
        .and_then(|pid| pid.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return Err(LaunchError::Usage);
    };

    setsid().map_err(step("open a session"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(step("forbid core dumps"))?;
    umask(Mode::from_bits_truncate(0o077));
    close_all_but(inherited())?;
    prctl::set_pdeathsig(Signal::SIGTERM).map_err(step("be told of the monitor's death"))?;
    if getppid().as_raw() != parent {
        return Err(LaunchError::Orphaned);
    }
    SigSet::empty()
        .thread_set_mask()
        .map_err(step("empty the signal mask"))?;

    let own = getpid().to_string();
    let mut command = Command::new(&program);
    command.args(args).env("LISTEN_PID", &own);
    if std::env::var_os("WATCHDOG_USEC").is_some() {
        command.env("WATCHDOG_PID", &own);
    }
    // Signal dispositions need no step: exec resets what the monitor caught, and the monitor
    // ignores nothing that it does not also catch (see `signals`), except SIGPIPE, which `exec`
    // of the standard library sets back.
    let error = command.exec();
    Err(LaunchError::Exec(program, error))
}

fn step(what: &'static str) -> impl FnOnce(nix::Error) -> LaunchError {
    move |errno| LaunchError::Step(what, errno.into())
}

/// How many descriptors the monitor handed over.
fn inherited() -> RawFd {
    let count = std::env::var("LISTEN_FDS").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Closes what nobody meant to hand over. The monitor's own descriptors close by themselves on
/// exec; these are the ones that the monitor itself was started with, by a shell or a build tool.
fn close_all_but(inherited: RawFd) -> Result<(), LaunchError> {
    let read = || -> io::Result<Vec<RawFd>> {
        let entries = fs::read_dir("/proc/self/fd")?;
        Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect())
    };
    let open = read().map_err(|error| LaunchError::Step("list the open descriptors", error))?;
    for fd in open.into_iter().filter(|fd| *fd >= FIRST_FD + inherited) {
        // The list's own descriptor is in it and already closed.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}
