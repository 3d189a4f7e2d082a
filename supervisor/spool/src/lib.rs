//! The spool: what must survive.
//!
//! One SQLite file holds what has been accepted and not yet answered, and enough of what is over to
//! recognise it when it comes again: the inbox of dedup keys, the turns, the outbox, the questions,
//! the cursors of the workers, the sessions, and the rows that name the files of `blobs/`. The hub
//! keeps no other state: it may be killed at any instant and finds itself again here.
//!
//! Promises:
//! - What [`Spool::commit`] returned from is on the disk (WAL, `synchronous=FULL`).
//! - A batch is stored whole or not at all; [`Spool::scoped`] undoes one event of a batch alone.
//! - Every question about open work costs the same whatever the length of the history.
//! - A file that is damaged, foreign or of a later version is refused in words and left as it is.
//! - One process at a time.
//!
//! It does not decide: which state follows which is the hub's business. It opens no socket, knows
//! no platform and never looks into a prompt or a reply.

mod blobs;
mod create;
mod cursors;
mod error;
mod header;
mod inbox;
mod lock;
mod open;
mod outbox;
mod people;
mod progress;
mod prune;
mod questions;
mod rows;
mod schema;
mod sessions;
mod size;
mod statements;
mod sweep;
#[cfg(test)]
mod tests;
mod told;
mod turns;
mod words;

pub use blobs::{Attachment, BlobWriter, MAX_BLOB, MAX_BLOBS};
pub use cursors::{MAX_CURSOR, MAX_CURSORS};
pub use error::{Result, SpoolError};
pub use open::{OpenError, Spool};
pub use outbox::Counts;
pub use progress::Piece;
pub use prune::{Keep, Pruned, SETTLE_MS};
pub use rows::*;
