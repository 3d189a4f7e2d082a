//! One project's agents.
//!
//! The runner starts the project's agent, one process a session, hands it what people wrote, and
//! tells the hub what comes of it. [`runner`] decides, without I/O; [`daemon`] does; [`claude`] and
//! [`acp`] speak the agents' languages; [`process`] starts and ends; [`jail`] closes agents in. `doctor`
//! examines before anything runs.
//!
//! Promises:
//! - What an agent said is held until the hub has committed it, and said again after a relink.
//! - A turn that was cut off, by whatever death at whatever instant, is continued where the agent
//!   can, and otherwise ended in words; it is never silently run twice.
//! - No agent runs beside an older one of the same session, and none outlives its end with any of
//!   its children.
//! - Memory is bounded whatever an agent prints.
//!
//! It renders nothing and knows no chat platform. On the disk it keeps locks, what was always allowed,
//! and below the project's `.bulkhead` the files that were sent and worktrees. [`model`] is the
//! way to the model for an agent that is not to have the key.

#[cfg(not(target_os = "linux"))]
compile_error!("Bulkhead runs on Linux only: its agents are contained by means of Linux");

pub mod acp;
pub mod beneath;
pub mod berths;
pub mod board;
pub mod claude;
pub mod daemon;
mod doctor;
pub mod home;
pub mod jail;
mod lacks;
pub mod model;
pub mod options;
pub mod process;
pub mod runner;
pub mod session;
mod text;
mod tls;
mod tokens;
pub mod tools;
pub mod workspace;

pub use daemon::main;
