//! What can go wrong with an open spool, in words for somebody who is woken by them.

use std::io;

use rusqlite::ErrorCode;

/// What the methods of [`crate::Spool`] return.
pub type Result<T, E = SpoolError> = std::result::Result<T, E>;

/// Why something was not stored or not found.
///
/// None of these texts holds a value that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// No room on the disk, or none within the bound of the file. Passes once there is room.
    #[error(
        "the spool has no room ({0}): the disk is full or spool.db has grown to its bound. Nothing of this was stored; make room and it goes on by itself"
    )]
    Full(String),
    /// The disk or the file system failed.
    #[error(
        "the spool could not be read or written ({0}): nothing of this was stored; see dmesg and the mount of its directory"
    )]
    Io(String),
    /// The content contradicts itself.
    #[error(
        "the spool is damaged ({0}): stop the service, copy its directory away, then restore a backup or mend spool.db with sqlite3's .recover"
    )]
    Corrupt(String),
    /// Another program keeps the database locked for longer than the spool waits.
    #[error(
        "another program has locked the spool ({0}): close the sqlite3 shell or backup that has spool.db open"
    )]
    Busy(String),
    /// SQLite gave up the whole batch after an earlier error in it.
    #[error(
        "an earlier error undid the whole batch: nothing of it was stored, roll back and begin again"
    )]
    Undone,
    /// What was given is over a bound or is not what it claims to be.
    #[error("{0}")]
    Refused(String),
    /// The program contradicts itself.
    #[error("a fault in the program: {0}")]
    Bug(String),
}

impl SpoolError {
    /// Whether there is no room: the one error that is answered with "again later".
    pub fn is_full(&self) -> bool {
        matches!(self, SpoolError::Full(_))
    }

    /// Whether it is the giver's fault alone: the spool is well and the batch may go on.
    pub fn is_refused(&self) -> bool {
        matches!(self, SpoolError::Refused(_))
    }
}

impl From<rusqlite::Error> for SpoolError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let rusqlite::Error::SqliteFailure(failure, _) = &error else {
            return match error {
                // A word or number in the file that this version never writes.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => SpoolError::Corrupt(text),
                _ => SpoolError::Bug(text),
            };
        };
        match failure.code {
            ErrorCode::DiskFull => SpoolError::Full(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => SpoolError::Corrupt(text),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => SpoolError::Busy(text),
            ErrorCode::TooBig => SpoolError::Refused("a text is over 1 GB".into()),
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory
            | ErrorCode::NoLargeFileSupport => SpoolError::Io(text),
            _ => SpoolError::Bug(text),
        }
    }
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                SpoolError::Full(error.to_string())
            }
            _ => SpoolError::Io(error.to_string()),
        }
    }
}
