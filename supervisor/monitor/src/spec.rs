//! What to run: the tree, its processes and their timings, as the composition root gives them.
//!
//! A spec is data and two callbacks. It promises nothing about the programs it names; the monitor
//! checks only what would confuse itself (names, descriptors).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::claim::Claim;
use crate::table::Limits;

/// Bytes that no `Debug` prints and that are wiped when dropped.
pub type SecretBytes = secrecy::SecretSlice<u8>;

/// What the configuration wants of the monitor.
pub struct Wanted {
    /// The processes, in no particular order.
    pub processes: Vec<ProcessSpec>,
    /// Every duration of the monitor's own.
    pub timing: Timing,
}

/// A callback that reads the configuration again: what it wants, or what is wrong, in words.
///
/// It runs inside the monitor's loop, so it should take milliseconds; a longer pause is treated
/// like a suspended monitor and costs no process its life.
pub type Reload = Box<dyn FnMut() -> Result<Wanted, String>>;

/// The whole tree.
pub struct TreeSpec {
    /// The state and runtime directories, locked.
    pub claim: Claim,
    /// The program and the first arguments of the launcher: the binary's hidden subcommand that
    /// calls [`crate::launch::run`] with the arguments after these.
    pub launcher: (PathBuf, Vec<OsString>),
    /// The processes and their timings, at first.
    pub wanted: Wanted,
    /// How many projects this tree serves; only for the log line that says it runs.
    pub projects: usize,
    /// Reads the configuration again, for SIGHUP and the verb `reload`.
    pub reload: Reload,
}

/// Who a process is to the start order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Routes and keeps; started first, stopped last.
    Hub,
    /// Drives the agents of one project.
    Runner,
    /// One account on one platform; started last, stopped first.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hub => "hub",
            Self::Runner => "runner",
            Self::Worker => "worker",
        })
    }
}

/// One process.
pub struct ProcessSpec {
    /// Its name in `status`, the log and `restart NAME`: unique, at most 64 characters.
    pub name: String,
    /// Its place in the order.
    pub role: Role,
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments. Never a secret: every user of the machine can read them.
    pub args: Vec<OsString>,
    /// Its environment beside the allowed part of the monitor's own. Never a secret.
    pub env: Vec<(OsString, OsString)>,
    /// Makes the content of the descriptor `config` for one generation.
    pub config: Box<dyn Fn(u64) -> SecretBytes>,
    /// Listening sockets it inherits, by descriptor name (`link.PEER`).
    pub listeners: Vec<(String, Arc<OwnedFd>)>,
    /// The time between two beats, once it is ready. The process is told twice this as
    /// `WATCHDOG_USEC` (the convention is to beat at half of that) and is ended after
    /// [`Timing::missed_beats`] times this without one. `None`: no watchdog.
    pub watchdog: Option<Duration>,
    /// From its start to READY=1.
    pub ready_timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub drain_timeout: Duration,
    /// Changes exactly when a reload must restart the process: with what the process itself is told,
    /// its beat included.
    pub fingerprint: String,
}

/// The monitor's own durations. Tests shorten them; nobody else has to.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The shortest wait before a restart.
    pub backoff_min: Duration,
    /// The longest wait before a restart, jitter included.
    pub backoff_max: Duration,
    /// A process that was ready this long starts again with the shortest wait.
    pub steady: Duration,
    /// The window of the alarm "degraded".
    pub alarm_window: Duration,
    /// This many unasked deaths within the window raise it.
    pub alarm_deaths: usize,
    /// This many beats may be missed in a row.
    pub missed_beats: u32,
    /// From SIGABRT (missed beats) to SIGKILL.
    pub abort_grace: Duration,
    /// From SIGTERM to SIGKILL for what a dead process left behind.
    pub stray_grace: Duration,
    /// How often the monitor looks for strays when no death tells it to.
    pub stray_scan: Duration,
    /// The longest sleep of the loop.
    pub tick: Duration,
    /// Waking up this much too late means that the monitor itself was stopped.
    pub asleep: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(60),
            steady: Duration::from_secs(60),
            alarm_window: Duration::from_secs(600),
            alarm_deaths: 5,
            missed_beats: 3,
            abort_grace: Duration::from_secs(2),
            stray_grace: Duration::from_secs(5),
            stray_scan: Duration::from_secs(30),
            tick: Duration::from_secs(5),
            asleep: Duration::from_secs(2),
        }
    }
}

impl ProcessSpec {
    /// The durations the restart table works with.
    pub(crate) fn limits(&self, timing: &Timing) -> Limits {
        Limits {
            ready: self.ready_timeout,
            drain: self.drain_timeout,
            silence: self
                .watchdog
                .map(|beat| beat.saturating_mul(timing.missed_beats)),
            abort: timing.abort_grace,
            backoff_min: timing.backoff_min,
            backoff_max: timing.backoff_max,
            steady: timing.steady,
            alarm_window: timing.alarm_window,
            alarm_deaths: timing.alarm_deaths,
        }
    }
}

/// Refuses what would confuse the monitor itself: names that are missing, doubled or unprintable,
/// descriptors that cannot be told apart.
pub(crate) fn check(processes: &[ProcessSpec]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for process in processes {
        let name = &process.name;
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(format!(
                "{name:?} is no name: 1 to 64 printable characters are"
            ));
        }
        if !names.insert(name) {
            return Err(format!(
                "two processes are called {name:?}; give one another name"
            ));
        }
        let mut descriptors = BTreeSet::from(["config", "alive"]);
        for (descriptor, _) in &process.listeners {
            // LISTEN_FDNAMES joins the names with colons and allows 255 bytes for each.
            let printable = !descriptor.chars().any(|c| c == ':' || c.is_control());
            if descriptor.is_empty() || descriptor.len() > 255 || !printable {
                return Err(format!(
                    "{name:?} would inherit a descriptor called {descriptor:?}: names have 1 to \
                     255 bytes without colons"
                ));
            }
            if !descriptors.insert(descriptor) {
                return Err(format!(
                    "{name:?} would inherit two descriptors {descriptor:?}"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, descriptors: &[&str]) -> ProcessSpec {
        let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        let null = Arc::new(null);
        ProcessSpec {
            name: name.into(),
            role: Role::Hub,
            program: "/bin/true".into(),
            args: vec![],
            env: vec![],
            config: Box::new(|_| Vec::new().into()),
            listeners: descriptors
                .iter()
                .map(|d| ((*d).to_owned(), null.clone()))
                .collect(),
            watchdog: None,
            ready_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            fingerprint: String::new(),
        }
    }

    #[test]
    fn sensible_processes_pass() {
        assert_eq!(
            check(&[
                process("hub", &["link.a", "link.项目"]),
                process("项目", &[])
            ]),
            Ok(())
        );
    }

    #[test]
    fn what_would_confuse_the_monitor_is_refused() {
        assert!(
            check(&[process("a", &[]), process("a", &[])])
                .unwrap_err()
                .contains("two")
        );
        assert!(check(&[process("", &[])]).is_err());
        assert!(check(&[process("a\nb", &[])]).is_err());
        assert!(check(&[process(&"x".repeat(65), &[])]).is_err());
        assert!(
            check(&[process("a", &["link:b"])])
                .unwrap_err()
                .contains("colons")
        );
        assert!(check(&[process("a", &["config"])]).is_err());
        assert!(check(&[process("a", &["l", "l"])]).is_err());
    }
}
