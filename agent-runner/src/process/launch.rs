//! The step between the runner and an agent: `agent-runner --launch-agent PARENT PROGRAM ARGS…`.
//!
//! A program can only arrange its own death, session and file mode mask from the inside, so the
//! runner starts itself again; this arranges them and becomes the agent. Descriptors, environment
//! and working directory are the runner's choice already.
//!
//! Exit code 127 and a line that starts with [`FAILED`] say that there was no agent to become.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getppid, setsid};

/// The first argument that means this.
pub const FLAG: &str = "--launch-agent";
/// What a failure's line starts with.
pub const FAILED: &str = "agent-runner cannot start the agent: ";
/// The exit code of a failure.
pub const FAILURE: u8 = 127;

/// Becomes the agent; returns only on failure. `arguments` are those after [`FLAG`].
pub fn become_agent(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent: Option<i32> = arguments
        .next()
        .and_then(|parent| parent.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return fail("it is for the runner's own use only");
    };
    // Its own session: a signal for the runner's terminal is none for the agent, and everything
    // that it starts is known by it.
    if let Err(error) = setsid() {
        return fail(&format!("setsid: {error}"));
    }
    // A runner that is killed takes its agents with it; the next one goes on where they were.
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return fail(&format!("PR_SET_PDEATHSIG: {error}"));
    }
    if getppid().as_raw() != parent {
        return fail("the runner is gone already");
    }
    // Files in the work dir are the project's, to be read like any others of it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let error = Command::new(&program).args(arguments).exec();
    fail(&format!("{}: {error}", program.display()))
}

fn fail(why: &str) -> ExitCode {
    // Nobody to tell if even this fails; the exit code says it too.
    let _ = writeln!(std::io::stderr(), "{FAILED}{why}");
    FAILURE.into()
}
