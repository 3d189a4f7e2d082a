//! What need not be said again for a while.

use rusqlite::params;

use crate::words::signed;
use crate::{Result, Spool};

impl Spool {
    /// Whether `what` is to be said at this address now: it was not said there within `pause_ms`.
    /// Remembered as said, if so.
    pub fn tell_once(
        &self,
        instance: &str,
        address: &str,
        what: &str,
        pause_ms: u64,
        now: u64,
    ) -> Result<bool> {
        let due = self.run(
            "INSERT INTO told (instance, address, what, told_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (instance, address, what) DO UPDATE SET told_at = excluded.told_at
             WHERE told.told_at + ?5 <= excluded.told_at",
            params![instance, address, what, signed(now), signed(pause_ms)],
        )?;
        Ok(due > 0)
    }
}
