//! What `status` says: the shape of its JSON. Fields are only added.

use serde::{Deserialize, Serialize};

use crate::spec::Role;

/// The tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The monitor's version.
    pub version: String,
    /// The monitor's process id.
    pub pid: i32,
    /// Since the monitor started, in milliseconds.
    pub uptime_ms: u64,
    /// Where its sockets are.
    pub runtime_dir: String,
    /// Whether it is in its ordered stop.
    pub stopping: bool,
    /// What the operator should know about this machine, such as containment that it lacks.
    pub notes: Vec<String>,
    /// Every process, in start order.
    pub processes: Vec<ProcessStatus>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its name.
    pub name: String,
    /// Its place in the order.
    pub role: Role,
    /// `waiting` (for its turn), `starting`, `ready`, `backoff`, `draining`, `held` or `stopped`.
    pub state: String,
    /// Its process id, while there is one.
    pub pid: Option<i32>,
    /// Since its birth, in milliseconds, while it lives.
    pub uptime_ms: Option<u64>,
    /// How many times it has been started.
    pub generation: u64,
    /// How many times it has been started again.
    pub restarts: u64,
    /// Deaths that nobody asked for since it was last steady.
    pub failures: u32,
    /// How its last process ended, in words.
    pub last_exit: Option<String>,
    /// Until it starts again, in milliseconds, in backoff.
    pub next_start_in_ms: Option<u64>,
    /// What it says of itself: escaped and bounded, but its own words.
    pub status: Option<String>,
    /// Why it is held and what a person must do.
    pub held: Option<String>,
    /// It has died too often lately.
    pub degraded: bool,
}
