//! What a worker has asked to keep of its place on the platform: opaque, small, few.

use rusqlite::params;

use crate::words::unsigned;
use crate::{Result, Spool, SpoolError};

/// The most cursors of one instance.
pub const MAX_CURSORS: usize = 64;

/// The most bytes of one cursor.
pub const MAX_CURSOR: usize = 64 * 1024;

impl Spool {
    /// Stores the cursor, in place of what was stored under its name.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] past [`MAX_CURSORS`] names or [`MAX_CURSOR`] bytes.
    pub fn put_cursor(&self, instance: &str, name: &str, value: &[u8]) -> Result<()> {
        if value.len() > MAX_CURSOR {
            return Err(SpoolError::Refused(format!(
                "a cursor of {instance} has {} bytes; at most {MAX_CURSOR} are kept",
                value.len()
            )));
        }
        let replaced = self.run(
            "UPDATE cursors SET value = ?3 WHERE instance = ?1 AND name = ?2",
            params![instance, name, value],
        )?;
        if replaced > 0 {
            return Ok(());
        }
        let names = self.number(
            "SELECT count(*) FROM cursors WHERE instance = ?1",
            [instance],
        )?;
        if unsigned(names) >= MAX_CURSORS as u64 {
            return Err(SpoolError::Refused(format!(
                "{instance} has {names} cursors; at most {MAX_CURSORS} are kept"
            )));
        }
        self.run(
            "INSERT INTO cursors (instance, name, value) VALUES (?1, ?2, ?3)",
            params![instance, name, value],
        )?;
        Ok(())
    }

    /// The instance's cursors, by name.
    pub fn cursors(&self, instance: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.all(
            "SELECT name, value FROM cursors WHERE instance = ?1 ORDER BY name",
            [instance],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}
