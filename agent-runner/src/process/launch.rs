//! The step between the runner and an agent: `agent-runner --launch-agent PARENT JAIL PROGRAM ARGS…`,
//! and between it and the program of a tool, which is in no jail: `agent-runner --launch-tool PARENT
//! PROGRAM ARGS…`.
//!
//! A program can only arrange its own death, session, file mode mask and jail from the inside, so
//! the runner starts itself again; this arranges them and becomes the agent, or stays as the outer
//! one of two processes around it (see [`crate::jail::own`]). Descriptors, environment and working
//! directory are the runner's choice already.
//!
//! Exit code 127 and a line that starts with [`FAILED`] say that there was no agent to become; one
//! that starts with [`UNJAILED`], that there was no jail to put it into.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getppid, setsid};

use crate::jail::{Broken, Jail, Shape, own};

/// The first argument that means this.
pub const FLAG: &str = "--launch-agent";
/// The first argument that means the program of a tool.
pub const TOOL_FLAG: &str = "--launch-tool";
/// What a failure's line starts with.
pub const FAILED: &str = "agent-runner cannot start the agent: ";
/// What the line starts with if the jail could not be closed.
pub const UNJAILED: &str = "agent-runner cannot close the agent's sandbox: ";
/// The exit code of a failure.
pub const FAILURE: u8 = 127;
/// What stands in place of a jail if there is to be none.
pub const NO_JAIL: &str = "-";

/// Becomes the agent; returns on failure, or when the agent has ended that it stood around.
/// `arguments` are those after [`FLAG`].
pub fn become_agent(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent: Option<i32> = arguments
        .next()
        .and_then(|parent| parent.to_str()?.parse().ok());
    let (jail, program) = (arguments.next(), arguments.next());
    let (Some(parent), Some(jail), Some(program)) = (parent, jail, program) else {
        return misused();
    };
    if let Err(why) = depend_on(parent) {
        return fail(FAILED, &why);
    }
    // Files in the work dir are the project's, to be read like any others of it.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    if jail == NO_JAIL {
        let error = Command::new(&program).args(arguments).exec();
        return fail(FAILED, &format!("{}: {error}", program.display()));
    }
    let Some((told, jail)) = read(&jail) else {
        return misused();
    };
    let ended = match jail.shape {
        Shape::Own => own::outer(&jail, &told, program, arguments),
        Shape::Shared | Shape::Bubblewrap => match jail.become_agent(program, arguments) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    };
    end(ended)
}

/// Becomes the program of a tool; returns on failure. `arguments` are those after [`TOOL_FLAG`].
pub fn become_tool(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let parent: Option<i32> = arguments
        .next()
        .and_then(|parent| parent.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return misused();
    };
    if let Err(why) = depend_on(parent) {
        return fail(FAILED, &why);
    }
    let error = Command::new(&program).args(arguments).exec();
    fail(FAILED, &format!("{}: {error}", program.display()))
}

/// Leaves the runner's session and dies with the runner.
fn depend_on(runner: i32) -> Result<(), String> {
    // A signal for the runner's terminal is none for what it starts, and everything that that starts
    // is known by its session.
    setsid().map_err(|error| format!("setsid: {error}"))?;
    // A runner that is killed takes all of it along; the next one goes on where its agents were.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("PR_SET_PDEATHSIG: {error}"))?;
    match getppid().as_raw() == runner {
        true => Ok(()),
        false => Err("the runner is gone already".into()),
    }
}

/// The process inside of the agent's namespaces. `arguments` are those after [`own::FLAG`].
pub fn stay_with_agent(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let (jail, program) = (arguments.next(), arguments.next());
    let (Some((_, jail)), Some(program)) = (jail.and_then(|jail| read(&jail)), program) else {
        return misused();
    };
    end(own::inner(&jail, program, arguments))
}

fn read(jail: &OsStr) -> Option<(String, Jail)> {
    let told = jail.to_str()?.to_owned();
    let jail = serde_json::from_str(&told).ok()?;
    Some((told, jail))
}

fn end(ended: Result<u8, Broken>) -> ExitCode {
    match ended {
        Ok(code) => code.into(),
        Err(error @ Broken::Program(..)) => fail(FAILED, &error.to_string()),
        Err(error) => fail(UNJAILED, &error.to_string()),
    }
}

fn misused() -> ExitCode {
    fail(FAILED, "it is for the runner's own use only")
}

fn fail(what: &str, why: &str) -> ExitCode {
    // Nobody to tell if even this fails; the exit code says it too.
    let _ = writeln!(std::io::stderr(), "{what}{why}");
    FAILURE.into()
}
