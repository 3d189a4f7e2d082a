//! Starts the real process tree, kills what it is told to, and waits on events.
//!
//! - [`programs`] builds every program that is started, so that no test runs a missing or stale one.
//! - [`Setup`] writes a configuration; [`Tree`] runs `bulkhead` with it in a temporary directory.
//!
//! Promises: directories are temporary, sockets are in them, processes are ended by pid, and nothing
//! is left behind when a [`Tree`] is dropped. Nothing here sleeps: the tree's log is a ledger, and
//! whatever is asked again is asked when a line has come.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a broken set-up is a failed test"
)]

mod processes;
mod programs;
mod setup;
mod tree;

pub use processes::{children, descendants, is_alive, running};
pub use programs::{program, programs, real_cli};
pub use setup::{Agent, Setup};
pub use tree::{Status, Tree};

use std::time::Duration;

/// How long anything may take before a test gives up on it: long, because machines are slow.
pub const DEADLINE: Duration = Duration::from_secs(60);
