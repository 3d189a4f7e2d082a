//! Births, deaths and restarts of the processes.
//!
//! The monitor is the root of the process tree. It starts every other process with the descriptors
//! it inherits by name, notices when one dies, hangs or asks to be left alone, and starts it again
//! by one pure table ([`table`]). From the processes below it reads exit codes and bounded notify
//! datagrams; from the operator the four verbs of its control socket.
//!
//! **Promises.** No process is given up that may heal by itself; none is restarted that cannot.
//! No zombie stays. Nothing that a process left behind outlives it by more than the grace. The
//! tree dies with its monitor, even with one that was killed by SIGKILL. Nothing the monitor does
//! depends on another process being alive, and none of them can make it wait.
//!
//! **What is absent.** No envelope, no network byte, no database and no output of a child is parsed
//! here, and the crate depends on nothing that could. Secrets pass through as opaque bytes from a
//! callback to a sealed memory file and are kept nowhere.
//!
//! One file, one concern: [`spec`] is what to run, [`table`] decides, `tree` is the loop around it,
//! `births` and [`launch`] start, `deaths` and `strays` bury, `notify` and [`control`] listen,
//! `order` and `reload` say who comes when, [`claim`] and [`links`] own the places.

#[cfg(not(target_os = "linux"))]
compile_error!("bulkhead runs on Linux only: it needs memfd, /proc and subreapers");

mod births;
pub mod claim;
pub mod control;
mod deaths;
mod error;
pub mod launch;
pub mod links;
mod notify;
mod order;
mod process;
mod reload;
mod signals;
pub mod spec;
mod strays;
pub mod table;
mod tree;

pub use births::is_allowed;
pub use claim::Claim;
pub use error::MonitorError;
pub use links::Links;
pub use spec::{ProcessSpec, Role, SecretBytes, Timing, TreeSpec, Wanted};
pub use tree::{Exit, run};
