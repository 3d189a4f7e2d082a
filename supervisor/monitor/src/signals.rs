//! The signals of the monitor itself.
//!
//! SIGTERM and SIGINT ask for an ordered stop, a second one for a stop at once; SIGHUP asks for a
//! reload; SIGCHLD says that somebody died. Everything the monitor was started with as *ignored*
//! (a shell does that to background jobs, `nohup` to SIGHUP) is caught and dropped instead: a
//! caught signal is reset by exec, an ignored one would be ignored by every process below.

use std::fs;
use std::io;

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator asked for by signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The operator's signals.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches them all; SIGCHLD comes apart from the others. Must precede the first birth.
    pub(crate) fn catch() -> io::Result<(Signal, Self)> {
        for number in ignored(&fs::read_to_string("/proc/self/status").unwrap_or_default()) {
            // SIGPIPE stays ignored (writes report it); the others cannot be caught.
            let exempt = [
                Number::SIGPIPE,
                Number::SIGILL,
                Number::SIGFPE,
                Number::SIGSEGV,
            ];
            if !exempt.iter().any(|one| *one as i32 == number) {
                // The C library keeps two real-time signals for itself and refuses.
                let _ = signal(SignalKind::from_raw(number));
            }
        }
        let child = signal(SignalKind::child())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        Ok((
            child,
            Self {
                terminate,
                interrupt,
                hangup,
            },
        ))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

/// The numbers in the mask `SigIgn` of `/proc/self/status` (proc(5)): bit 0 is signal 1.
fn ignored(status: &str) -> impl Iterator<Item = i32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    (0..64)
        .filter(move |bit| mask & (1 << bit) != 0)
        .map(|bit| bit + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read() {
        let status = "Name:\tx\nSigBlk:\tffff\nSigIgn:\t0000000000001006\nSigCgt:\t0\n";
        assert_eq!(ignored(status).collect::<Vec<_>>(), [2, 3, 13]);
        assert_eq!(ignored("").count(), 0);
    }
}
