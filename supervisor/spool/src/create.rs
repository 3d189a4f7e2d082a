//! Making a new file and bringing an old one up to date.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::SpoolError;
use crate::open::OpenError;
use crate::schema::{APPLICATION_ID, STEPS};

/// Makes `file`. It appears under its name only when it is whole, so a file of that name always has
/// a header that can be trusted.
pub(crate) fn create(dir: &Path, file: &Path) -> Result<(), OpenError> {
    let new = dir.join("spool.db.new");
    // Left by a start that was cut off. The lock is ours, so nobody is writing it.
    for left in [
        new.clone(),
        dir.join("spool.db.new-journal"),
        dir.join("spool.db.new-wal"),
    ] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::from_io(&left, &error));
            }
            _ => {}
        }
    }
    let io = |error: std::io::Error| OpenError::from_io(&new, &error);
    // Made here, because SQLite gives the log and the index of a file the mode of the file.
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(io)?;
    build(&new).map_err(|error| OpenError::from_spool(&new, error))?;
    File::open(&new)
        .and_then(|made| made.sync_all())
        .map_err(io)?;
    fs::rename(&new, file).map_err(io)?;
    sync_dir(dir).map_err(io)
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

fn build(new: &Path) -> Result<(), SpoolError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(new, flags)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    migrate(&db, 0, STEPS)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.close().map_err(|(_, error)| SpoolError::from(error))
}

/// Runs the steps from version `from` on, all or none.
pub(crate) fn migrate(db: &Connection, from: usize, steps: &[&str]) -> Result<(), SpoolError> {
    let done = (|| {
        db.execute_batch("BEGIN IMMEDIATE")?;
        for step in steps.iter().skip(from) {
            db.execute_batch(step)?;
        }
        db.pragma_update(None, "application_id", APPLICATION_ID)?;
        db.pragma_update(None, "user_version", steps.len() as i64)?;
        db.execute_batch("COMMIT")
    })();
    if done.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    done.map_err(SpoolError::from)
}
