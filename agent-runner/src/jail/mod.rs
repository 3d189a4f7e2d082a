//! The jail of an agent: what it and everything that it starts may see, reach and use.
//!
//! [`policy`] decides, without I/O, from what the operator wrote ([`options`]), the tables in
//! [`presets`] and what the [`kernel`] has; `opened` says what that opens, [`disk`] where a path leads,
//! [`repository`] which repository is the agent's. Its word is a [`Jail`], which the runner hands to
//! the process that becomes the agent. That process closes the jail around itself: [`own`] gives it
//! namespaces and a file tree of its own, [`view`] builds that tree, [`fence`] is Landlock and
//! [`seccomp`] the filter of system calls. [`passage`] leads to what the runner serves where there is
//! no network. [`bubblewrap`] is the other way to build one. [`denial`] tells afterwards what a jail
//! refused.
//!
//! Promises:
//! - A jail that cannot be closed as it was decided is no jail: the agent is not started.
//! - Nothing of it can be undone from the inside, nor by what the agent starts.
//! - The agent's environment, descriptors and arguments are none of its business: those are an
//!   allow-list already when it comes to close.
//!
//! It does not hide what the agent is given: its work dir, its home, its own login where it has
//! one. It is no virtual machine either: a hole in the kernel is a hole in the jail.

pub mod bubblewrap;
pub mod denial;
pub mod disk;
pub mod fence;
pub mod kernel;
mod opened;
pub mod options;
pub mod own;
pub mod passage;
pub mod policy;
pub mod presets;
pub mod repository;
pub mod seccomp;
pub mod view;

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

/// Why there is no jail.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A step failed.
    #[error("{0}: {1}")]
    Step(&'static str, std::io::Error),
    /// A step failed, at this place.
    #[error("{0} {path}: {2}", path = .1.display())]
    At(&'static str, PathBuf, std::io::Error),
    /// Landlock refuses.
    #[error("Landlock: {0}")]
    Landlock(String),
    /// A link that an agent may have laid.
    #[error(transparent)]
    Planted(#[from] policy::Planted),
    /// The filter cannot be made.
    #[error("the filter of system calls: {0}")]
    Seccomp(String),
    /// There is a jail, but no agent in it.
    #[error("{program}: {1}", program = .0.to_string_lossy())]
    Program(OsString, std::io::Error),
}

impl Broken {
    /// For `map_err` of a system call.
    pub(crate) fn step(what: &'static str) -> impl FnOnce(Errno) -> Broken {
        move |errno| Broken::Step(what, errno.into())
    }

    /// For `map_err` of a system call that has to do with a path.
    pub(crate) fn at(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Broken {
        move |error| Broken::At(what, path.to_owned(), error)
    }
}

/// What may be done with a path and everything below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// List the names of directories.
    List,
    /// Read, list and execute. Who may read a program may run a copy of it, so to refuse its
    /// execution would be no protection.
    Read,
    /// A device: read and written, but neither made nor removed.
    Device,
    /// Everything.
    Write,
}

/// One path that the jail opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// As it is written, symbolic links included; whole.
    pub path: PathBuf,
    /// How far.
    pub access: Access,
}

impl Grant {
    /// Opens a path.
    pub fn new(path: impl Into<PathBuf>, access: Access) -> Grant {
        let path = path.into();
        Grant { path, access }
    }
}

/// The network, as the jail leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Net {
    /// Everything but what would go round the others.
    Full,
    /// TCP to these ports, wherever; no UDP, and no listening, on Unix sockets neither.
    Ports(Vec<u16>),
    /// None; in an own file tree a loopback of its own, and on it at most what is let in.
    Closed(Option<LetIn>),
}

/// What serves on this machine's loopback and is let into a jail that has no network: the model, and
/// the runner's tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetIn {
    /// Ports on 127.0.0.1, the same inside and outside; at most [`passage::PORTS`].
    pub ports: Vec<u16>,
    /// Where the runner waits for the listeners that are made inside.
    pub socket: PathBuf,
}

/// How the jail stands to the system around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// Namespaces of its own: a file tree that holds nothing but what is granted, its own processes,
    /// its own /tmp. Nothing of it outlives the agent.
    Own,
    /// The system's file tree and processes, closed off by Landlock alone.
    Shared,
    /// As [`Shape::Own`], built by [`bubblewrap`] and without Landlock.
    Bubblewrap,
}

/// Limits of each process; none = as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of data (RLIMIT_DATA; reservations do not count, as those of JavaScript engines).
    pub data: Option<u64>,
    /// Processes and threads of the jail; of the user, where the jail has no namespaces.
    pub processes: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
}

/// A jail, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// Its shape.
    pub shape: Shape,
    /// The Landlock that is demanded, by number of its interface.
    pub abi: u8,
    /// What it opens. What is not there is passed over.
    pub grants: Vec<Grant>,
    /// Where agents may have written, this one or others: a link there leads no grant anywhere.
    pub owned: Vec<PathBuf>,
    /// Its own directory for temporary files: /tmp in a file tree of its own.
    pub scratch: PathBuf,
    /// Directories that are there, though nothing is in them but what is granted: a home.
    pub empty: Vec<PathBuf>,
    /// The network.
    pub net: Net,
    /// Whether Unix sockets may be made. By name they reach whatever serves on one, which Landlock
    /// does not refuse: only where the file tree holds nothing of that kind.
    pub unix_sockets: bool,
    /// Limits.
    pub limits: Limits,
}

impl Jail {
    /// Closes the jail around this process, which has one thread, and becomes the program.
    ///
    /// # Errors
    /// What could not be closed, or that there is no such program.
    pub fn become_agent(
        &self,
        program: OsString,
        arguments: impl Iterator<Item = OsString>,
    ) -> Result<Infallible, Broken> {
        if self.shape == Shape::Bubblewrap {
            return bubblewrap::become_agent(self, program, arguments);
        }
        self.close(&own_proc())?;
        let error = Command::new(&program).args(arguments).exec();
        Err(Broken::Program(program, error))
    }

    /// Everything but the namespaces. `more`: what beside the grants is open in this shape.
    pub(crate) fn close(&self, more: &[Grant]) -> Result<(), Broken> {
        self.limits.set()?;
        drop_privileges()?;
        fence::close(self, more)?;
        seccomp::close(self)
    }
}

/// In the system's own /proc only what is this process's.
fn own_proc() -> Vec<Grant> {
    vec![Grant::new("/proc/self", Access::Read)]
}

impl Limits {
    fn set(self) -> Result<(), Broken> {
        let limits = [
            // A core would lay the agent's memory, and what keys there are in it, into a file.
            (Resource::RLIMIT_CORE, Some(0)),
            (Resource::RLIMIT_DATA, self.data),
            (Resource::RLIMIT_NPROC, self.processes),
            (Resource::RLIMIT_NOFILE, self.files),
        ];
        for (resource, wanted) in limits {
            let Some(wanted) = wanted else { continue };
            let (_, most) = getrlimit(resource).map_err(Broken::step("read a limit"))?;
            // Nobody may raise what they were given.
            let limit = wanted.min(most);
            setrlimit(resource, limit, limit).map_err(Broken::step("set a limit"))?;
        }
        Ok(())
    }
}

/// No capability, none to come, and no program that would give one.
fn drop_privileges() -> Result<(), Broken> {
    let failed = |error: rustix::io::Errno| Broken::Step("give up privileges", error.into());
    rustix::thread::clear_ambient_capability_set().map_err(failed)?;
    let now = rustix::thread::capabilities(None).map_err(failed)?;
    // Who has the right to, closes the door behind: a user 0 would get them back by any exec.
    if now.effective.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all() {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // A name that this kernel does not know.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(failed)?;
    nix::sys::prctl::set_no_new_privs().map_err(Broken::step("PR_SET_NO_NEW_PRIVS"))
}
