//! What keeps a monitor from starting, in words for whoever reads the log.

use std::io;
use std::path::PathBuf;

/// Why the monitor could not start. Once it runs, it no longer fails: what goes wrong below it is
/// state, shown by `status` and the log.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Another monitor holds the directory.
    #[error(
        "another bulkhead{} already runs with {}; stop it first (bulkhead stop), or give this one \
         directories of its own", .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(),
        .dir.display()
    )]
    Taken {
        /// The directory that is held.
        dir: PathBuf,
        /// The holder's process id, where it could be read.
        pid: Option<i32>,
    },
    /// A directory cannot be made, opened or trusted.
    #[error("the directory {} cannot be used: {why}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// A socket cannot be bound.
    #[error("the socket {} cannot be opened: {why}", .path.display())]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// The list of processes contradicts itself.
    #[error("the processes cannot be started: {0}")]
    Spec(String),
    /// The system refuses something that the monitor cannot do without.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl MonitorError {
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
