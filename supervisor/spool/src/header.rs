//! What a file says of itself, read without SQLite.
//!
//! SQLite repairs and rewrites as it opens. A file that is not a spool of a known version must be
//! left exactly as it is, so it is judged by its first bytes before SQLite touches it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::open::OpenError;
use crate::schema::{APPLICATION_ID, VERSION};

/// The first bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The length of its header.
const HEADER: usize = 100;

/// Offsets in the header (SQLite, "Database File Format", section 1.3).
const USER_VERSION: usize = 60;
const APPLICATION: usize = 68;

/// The first four bytes of a write-ahead log, by the byte order of its checksums (section 4.1).
const WAL_MAGIC: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];

/// Refuses a file that is not a spool that this version can open.
pub(crate) fn check(file: &Path) -> Result<(), OpenError> {
    let head = first_bytes(file, HEADER)?;
    if head.is_empty() {
        return Err(OpenError::damaged(file, "it is empty"));
    }
    if !head.starts_with(MAGIC) {
        return Err(OpenError::damaged(
            file,
            "it does not begin like a database",
        ));
    }
    let (Some(version), Some(application)) =
        (number(&head, USER_VERSION), number(&head, APPLICATION))
    else {
        return Err(OpenError::damaged(file, "it ends within its header"));
    };
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign {
            file: file.to_owned(),
        });
    }
    check_version(file, i64::from(version))
}

/// Refuses a version that this program does not know.
pub(crate) fn check_version(file: &Path, version: i64) -> Result<(), OpenError> {
    match usize::try_from(version) {
        Ok(1..=VERSION) => Ok(()),
        Ok(found) if found > VERSION => Err(OpenError::TooNew {
            file: file.to_owned(),
            found,
            known: VERSION,
        }),
        _ => Err(OpenError::damaged(file, "its version is not a version")),
    }
}

/// Refuses a write-ahead log that SQLite would quietly throw away, and with it what was stored last:
/// one that begins with something else than a log does. A log that was only just begun when the
/// power failed may be short or begin with zeros; that one holds nothing.
pub(crate) fn check_wal(file: &Path) -> Result<(), OpenError> {
    if !file.exists() {
        return Ok(());
    }
    let head = first_bytes(file, 4)?;
    let begun = head.len() < 4 || head.iter().all(|byte| *byte == 0);
    if begun || WAL_MAGIC.iter().any(|magic| head == magic) {
        return Ok(());
    }
    Err(OpenError::damaged(
        file,
        "it does not begin like a write-ahead log",
    ))
}

fn first_bytes(file: &Path, count: usize) -> Result<Vec<u8>, OpenError> {
    let mut head = Vec::with_capacity(count);
    File::open(file)
        .and_then(|opened| opened.take(count as u64).read_to_end(&mut head))
        .map_err(|error| OpenError::from_io(file, &error))?;
    Ok(head)
}

fn number(head: &[u8], at: usize) -> Option<i32> {
    head.get(at..at + 4)?
        .try_into()
        .ok()
        .map(i32::from_be_bytes)
}
