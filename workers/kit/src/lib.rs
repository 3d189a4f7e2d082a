//! Everything that makes a worker a worker, so that a new platform is one trait and its own files.
//!
//! - [`link`]: the client's side of the link to the hub, for workers and for the runner.
//! - [`Hub`]: what a platform worker owes the hub and is owed by it, kept across relinks.
//! - [`life`]: the process contract: arguments, inherited descriptors, readiness, liveness, status,
//!   drain, exit codes.
//! - [`doctor`]: `--doctor`, with which a program examines for real what it depends on.
//! - [`Platform`] and [`main_with`]; beneath them [`Peer`] and [`peer_main`], which the runner uses.
//! - [`Backoff`], [`RecentIds`], [`options`]: small things that every platform needs.
//!
//! It knows no platform and decides nothing about conversations. It runs on a current-thread
//! runtime on Linux.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "Bulkhead runs on Linux only: its process contract rests on /proc and abstract sockets"
);

mod backoff;
pub mod doctor;
pub mod hub;
pub mod life;
pub mod link;
mod missing;
pub mod options;
mod peer;
mod platform;
mod recent;

pub use backoff::Backoff;
pub use doctor::{Doctor, Finding};
pub use hub::{Hub, Work};
pub use life::{Life, Stop};
pub use missing::Missing;
pub use options::OptionProblem;
pub use peer::{Peer, PeerContext, peer_main};
pub use platform::{Context, Platform, main_with};
pub use recent::RecentIds;
