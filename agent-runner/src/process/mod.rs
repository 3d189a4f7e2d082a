//! Processes: started, listened to, ended with everything that they started. The thin shell under
//! the machines; what it decides is only how, never whether.

pub mod cage;
pub mod launch;
pub mod lock;
pub mod memory;
pub mod pump;
pub mod reader;
pub mod scratch;
pub mod spawn;
pub mod sweep;
pub mod tail;
