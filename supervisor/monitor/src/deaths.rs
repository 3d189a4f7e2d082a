//! Deaths: the one place that reaps.
//!
//! A dead child is first looked at without being reaped: as long as it is a zombie its pid and
//! process group cannot belong to anybody else, so that a signal to them cannot hit a stranger.
//! Then it is reaped. Nothing else in the monitor waits for a process, and neither `tokio::process`
//! nor a `Child` of the standard library is kept, because two reapers steal from each other.
//!
//! A process that dies by a real-time signal has no name for it in `nix`, which then reports an
//! error instead of a death; it must not be able to stop the reaping of everybody behind it.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::strays;
use crate::table::Death;

const LOOK: WaitPidFlag = WaitPidFlag::WEXITED
    .union(WaitPidFlag::WNOHANG)
    .union(WaitPidFlag::WNOWAIT);

/// Whether this child is dead, and how it died. It stays a zombie.
pub(crate) fn look(pid: Pid) -> Option<Death> {
    match waitid(Id::Pid(pid), LOOK) {
        Ok(WaitStatus::Exited(_, code)) => Some(Death::Code(code)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(Death::Signal(signal as i32)),
        Ok(_) | Err(Errno::EINTR) => None,
        Err(Errno::ECHILD) => {
            // Somebody else reaped it. That is a bug of ours, but hiding it would leave the
            // process without a successor.
            tracing::error!(
                pid = pid.as_raw(),
                "a child vanished without being reaped here"
            );
            Some(Death::Signal(0))
        }
        Err(_) => Some(Death::Signal(0)),
    }
}

/// Buries a child that [`look`] saw dead: first its process group is told to end, then its pid is
/// given back.
pub(crate) fn bury(pid: Pid) {
    // ESRCH: it left nobody behind, which is the rule.
    let _ = killpg(pid, Signal::SIGTERM);
    reap(pid);
}

/// Reaps every dead child that is not one of the table's, which must have been buried before:
/// orphans that came to the monitor. Says whether there was one.
pub(crate) fn reap_strangers(table: &[Pid]) -> bool {
    let mut any = false;
    loop {
        match waitid(Id::All, LOOK) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                if table.contains(&pid) {
                    // It died since its turn; the next turn buries it, and the signal for that is
                    // already here.
                    return any;
                }
                reap(pid);
            }
            Ok(_) | Err(Errno::ECHILD) => return any,
            Err(Errno::EINTR) => continue,
            Err(_) => {
                let Ok(census) = strays::census() else {
                    return any;
                };
                let me = nix::unistd::getpid().as_raw();
                let nameless: Vec<Pid> = census
                    .iter()
                    .filter(|process| process.dead && process.parent == me)
                    .map(|process| Pid::from_raw(process.pid))
                    .filter(|pid| !table.contains(pid))
                    .collect();
                if nameless.is_empty() {
                    return any;
                }
                nameless.into_iter().for_each(reap);
            }
        }
        any = true;
    }
}

fn reap(pid: Pid) {
    while waitpid(pid, Some(WaitPidFlag::WNOHANG)) == Err(Errno::EINTR) {}
}
