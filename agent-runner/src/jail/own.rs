//! The two processes that stand between the runner and an agent with namespaces of its own.
//!
//! The outer one is what the runner started: it asks for the namespaces, starts the inner one,
//! passes signals on and ends as the agent ends. The inner one is the first process of the agent's
//! own: it builds the file tree, closes the jail around itself, starts the agent in it, and reaps
//! what the agent leaves behind. When it ends, the kernel ends every process of the namespace.
//!
//! Neither has a thread, nor anything to hide from the agent: the inner one is in its jail.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, send, sendmsg, socket,
};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, close, dup2_stdin, dup2_stdout, getgid, getuid, pipe2};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Broken, Jail, Net, view};

/// The first argument of the inner process.
pub const FLAG: &str = "--jailed-agent";
/// Where the inner process tells the signal that ended the agent: what it cannot die of itself.
const VERDICT_FD: i32 = 4;
/// What is passed on to the agent.
const PASSED_ON: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Starts the agent in namespaces of its own, and ends as it ends. `told` is the jail as it was
/// handed over.
///
/// # Errors
/// If there are no such namespaces.
pub fn outer(
    jail: &Jail,
    told: &str,
    program: OsString,
    arguments: impl Iterator<Item = OsString>,
) -> Result<u8, Broken> {
    let (user, group) = (getuid(), getgid());
    let mut namespaces =
        CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    if let Net::Closed(_) = jail.net {
        namespaces |= CloneFlags::CLONE_NEWNET;
    }
    unshare(namespaces).map_err(Broken::step("namespaces of its own"))?;
    // The same user inside as outside, and nobody else.
    for (file, map) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{user} {user} 1")),
        ("/proc/self/gid_map", format!("{group} {group} 1")),
    ] {
        let file = Path::new(file);
        fs::write(file, map).map_err(Broken::at("write", file))?;
    }
    keep_for_the_next(&[
        CapabilitySet::SYS_ADMIN,
        CapabilitySet::NET_ADMIN,
        CapabilitySet::SETPCAP,
    ])?;
    // A change of what one may do takes it back.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Broken::step("PR_SET_PDEATHSIG"))?;
    let (verdict, told_there) = pipe2(OFlag::O_CLOEXEC).map_err(Broken::step("a pipe"))?;
    // The inner process begins with them waiting, too.
    let signals = wait_for_signals()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(FLAG).arg(told).arg(program).args(arguments);
    command
        .fd_mappings(vec![FdMapping {
            parent_fd: told_there,
            child_fd: VERDICT_FD,
        }])
        .map_err(|error| Broken::Step("hand over a pipe", std::io::Error::other(error)))?;
    let inner = command
        .spawn()
        .map_err(|error| Broken::Step("start the inner process", error))?;
    drop(command);
    step_back()?;
    let status = follow(&signals, &inner)?;
    let mut signal = Vec::new();
    // Without a word it was no signal.
    let _ = File::from(verdict).take(1).read_to_end(&mut signal);
    let signal = signal.first().map(|signal| i32::from(*signal));
    if let Some(signal) = signal.or(status.signal()) {
        die_of(signal);
    }
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

/// The first process of the namespaces, until the agent has ended: its exit code.
///
/// # Errors
/// What could not be closed, or that there is no such program.
pub fn inner(
    jail: &Jail,
    program: OsString,
    arguments: impl Iterator<Item = OsString>,
) -> Result<u8, Broken> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Broken::step("PR_SET_PDEATHSIG"))?;
    // Opened anew, it does not reach the agent.
    let way = format!("/proc/self/fd/{VERDICT_FD}");
    let way = Path::new(&way);
    let mut verdict = File::options()
        .write(true)
        .open(way)
        .map_err(Broken::at("open", way))?;
    close(VERDICT_FD).map_err(Broken::step("close a pipe"))?;
    // Held to the end: by its end the runner knows ours.
    let mut _to_runner = None;
    if let Net::Closed(let_in) = &jail.net {
        bring_up_loopback()?;
        if let Some(let_in) = let_in {
            _to_runner = Some(hand_out_listeners(let_in)?);
        }
    }
    // Its alone: who changes the root of a namespace changes it for everyone in it.
    unshare(CloneFlags::CLONE_NEWNS).map_err(Broken::step("a file tree of its own"))?;
    let work_dir =
        std::env::current_dir().map_err(|error| Broken::Step("the working directory", error))?;
    view::enter(jail, &work_dir)?;
    jail.close(&view::own_places())?;
    // The agent is to begin as any program does. What comes just now is lost: the kernel ends no
    // first process by it.
    SigSet::empty()
        .thread_set_mask()
        .map_err(Broken::step("empty the signal mask"))?;
    let mut command = Command::new(&program);
    command.args(arguments);
    let agent = command
        .spawn()
        .map_err(|error| Broken::Program(program, error))?;
    let signals = wait_for_signals()?;
    step_back()?;
    let status = follow(&signals, &agent)?;
    if let Some(signal) = status.signal().and_then(|signal| u8::try_from(signal).ok()) {
        // Who would read it is gone then.
        let _ = verdict.write_all(&[signal]);
    }
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

/// Capabilities in the new namespaces, which only user 0 would have after the next exec.
fn keep_for_the_next(kept: &[CapabilitySet]) -> Result<(), Broken> {
    let failed = |error: rustix::io::Errno| Broken::Step("keep capabilities", error.into());
    let now = rustix::thread::capabilities(None).map_err(failed)?;
    let kept_all = kept
        .iter()
        .fold(CapabilitySet::empty(), |all, one| all | *one);
    let sets = CapabilitySets {
        inheritable: now.inheritable | kept_all,
        ..now
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed)?;
    for capability in kept {
        rustix::thread::configure_capability_in_ambient_set(*capability, true).map_err(failed)?;
    }
    Ok(())
}

/// From here on these signals wait until they are asked for.
fn wait_for_signals() -> Result<SigSet, Broken> {
    let mut signals = SigSet::empty();
    for signal in PASSED_ON {
        signals.add(signal);
    }
    signals.add(Signal::SIGCHLD);
    signals
        .thread_block()
        .map_err(Broken::step("wait for signals"))?;
    Ok(signals)
}

/// What the agent reads and writes is the agent's alone: that it closes its end is to be noticed.
fn step_back() -> Result<(), Broken> {
    let path = Path::new("/dev/null");
    let null = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(Broken::at("open", path))?;
    dup2_stdin(&null).map_err(Broken::step("let go of stdin"))?;
    dup2_stdout(&null).map_err(Broken::step("let go of stdout"))
}

/// Passes signals on until the child has ended, and reaps whatever else ends meanwhile.
fn follow(signals: &SigSet, child: &Child) -> Result<ExitStatus, Broken> {
    let pid = Pid::from_raw(child.id().cast_signed());
    loop {
        // First of all: it may have ended before its end would have been told.
        if let Some(ended) = reap(pid) {
            return Ok(ended);
        }
        let signal = signals.wait().map_err(Broken::step("wait for a signal"))?;
        if signal != Signal::SIGCHLD {
            // Gone meanwhile: the next look tells.
            let _ = kill(pid, signal);
        }
    }
}

/// Reaps all that has ended; how the child has, if it is among them.
fn reap(child: Pid) -> Option<ExitStatus> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(ended, code)) if ended == child => {
                return Some(ExitStatus::from_raw((code & 0xff) << 8));
            }
            Ok(WaitStatus::Signaled(ended, signal, _)) if ended == child => {
                return Some(ExitStatus::from_raw(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return None,
            // Somebody else's child.
            Ok(_) => {}
        }
    }
}

/// Ends as the agent ended.
fn die_of(signal: i32) {
    if let Ok(signal) = Signal::try_from(signal) {
        let _ = SigSet::empty().thread_set_mask();
        // Whoever lives on has ignored it, and ends with a code.
        let _ = raise(signal);
    }
}

/// A network namespace begins with a loopback that is down.
fn bring_up_loopback() -> Result<(), Broken> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(Broken::step("a netlink socket"))?;
    send(netlink.as_raw_fd(), &loopback_up(), MsgFlags::empty())
        .map(|_| ())
        .map_err(Broken::step("bring up the loopback"))
}

/// `RTM_NEWLINK` for the interface 1, which is always the loopback: IFF_UP.
fn loopback_up() -> Vec<u8> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]); // sequence and sender
    message.extend([0; 4]); // family, padding, type
    message.extend(1_u32.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes()); // flags
    message.extend(IFF_UP.to_ne_bytes()); // which of them change
    message
}

/// Listeners on the jail's own loopback, for the runner to answer on.
fn hand_out_listeners(let_in: &super::LetIn) -> Result<UnixStream, Broken> {
    let failed = |error| Broken::Step("listen for the runner", error);
    let ports = let_in.ports.iter();
    let listeners = ports.map(|port| TcpListener::bind(("127.0.0.1", *port)));
    let listeners: Vec<TcpListener> = listeners.collect::<Result<_, _>>().map_err(failed)?;
    let stream = UnixStream::connect(&let_in.socket)
        .map_err(Broken::at("tell the runner at", &let_in.socket))?;
    let descriptors: Vec<_> = listeners.iter().map(|it| it.as_raw_fd()).collect();
    sendmsg::<UnixAddr>(
        stream.as_raw_fd(),
        &[std::io::IoSlice::new(b"p")],
        &[ControlMessage::ScmRights(&descriptors)],
        MsgFlags::empty(),
        None,
    )
    .map_err(Broken::step("hand out listeners"))?;
    Ok(stream)
}
