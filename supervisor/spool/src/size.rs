//! The bound of the database file.

use crate::{Spool, error::Result};

/// Of a hundred parts of the bound, those that are left to work that has been taken on.
const RESERVE: i64 = 10;

impl Spool {
    /// Whether only the reserve is left: what has been accepted can still be finished in it, and
    /// nothing more should be taken on.
    ///
    /// # Errors
    /// If the database does not say.
    pub fn is_crowded(&self) -> Result<bool> {
        let used =
            self.number("PRAGMA page_count", [])? - self.number("PRAGMA freelist_count", [])?;
        let most = self.number("PRAGMA max_page_count", [])?;
        Ok(used > most - most / 100 * RESERVE)
    }

    /// Lets the file grow to `bytes` at the most, whatever room the disk has; over it every write
    /// fails as on a full disk. A file that is larger already keeps its size and grows no more.
    ///
    /// # Errors
    /// If the database does not take it.
    pub fn limit_size(&self, bytes: u64) -> Result<()> {
        let page: i64 = self
            .db
            .pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
        let pages = pages.clamp(1, i64::from(u32::MAX) - 1);
        self.db
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        Ok(())
    }
}
