//! The tables, as steps from one version of the file to the next.
//!
//! A step that has been released is never edited: a change is a new step, however small. The
//! version of a file is the number of steps that it has seen (`PRAGMA user_version`).
//!
//! Every index over open work is partial, so that rows leave it when they are over: the history
//! may be long, the indexes that are searched stay short.

/// `PRAGMA application_id`: "BLKH". It tells a spool from any other SQLite file.
pub(crate) const APPLICATION_ID: i32 = 0x424c_4b48;

/// The steps.
pub(crate) const STEPS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];

/// The version that this program writes.
pub(crate) const VERSION: usize = STEPS.len();
