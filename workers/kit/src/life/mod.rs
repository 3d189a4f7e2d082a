//! The process contract between a peer (worker or runner) and whatever started it: a monitor, an
//! init system or a person in a shell.
//!
//! Arguments ([`args`]), inherited descriptors ([`inherited`]), readiness, liveness and status
//! ([`Notify`]), the drain ([`Life::draining`]), the log, and the exit code ([`Stop`]).

pub(crate) mod args;
mod drain;
pub mod inherited;
pub mod log;
mod notify;
mod spawned;
mod stop;

use std::time::Duration;

use tokio::sync::watch;

pub use drain::watch as watch_drain;
pub use notify::Notify;
pub use spawned::Spawned;
pub use stop::Stop;
pub(crate) use stop::USAGE;

/// Variables that the contract uses. They are of no use to children and must not reach them.
pub const CONTRACT_VARIABLES: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
];

/// How long a drain may take before the process ends with what it has.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(8);

/// The process's own life: what it says of itself, and whether it is to end. Clones share it.
#[derive(Debug, Clone)]
pub struct Life {
    notify: Notify,
    draining: watch::Receiver<bool>,
}

impl Life {
    /// A life that is supervised through `notify` and ends when `draining` turns true.
    pub fn new(notify: Notify, draining: watch::Receiver<bool>) -> Life {
        Life { notify, draining }
    }

    /// A life that nobody watches, for tests: the sender says when to drain.
    pub fn unwatched() -> (Life, watch::Sender<bool>) {
        let (drain, draining) = watch::channel(false);
        (Life::new(Notify::nobody(), draining), drain)
    }

    /// Says in one line, at most 200 characters, how things stand. For `status`. No secrets, no
    /// bodies. Never blocks; only the newest line counts.
    pub fn status(&self, line: &str) {
        self.notify.status(line);
    }

    /// Returns when the process is to end: take in nothing more, finish or hand back what is in
    /// hand, and return. After [`DRAIN_DEADLINE`] the process ends anyway.
    pub async fn draining(&self) {
        // An error means that nobody can ask any more; then nobody does.
        if self
            .draining
            .clone()
            .wait_for(|draining| *draining)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the process is to end.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}
