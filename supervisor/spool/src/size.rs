//! The bound of the database file.

use crate::{Spool, error::Result};

impl Spool {
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
