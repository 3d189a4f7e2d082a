//! Batches, and the one way in which statements reach SQLite.
//!
//! SQLite may undo a whole transaction on its own after a serious error. Statements that follow
//! would then be committed one by one; so each asks first whether its batch still stands.

use rusqlite::{CachedStatement, Params, Row};

use crate::{Result, Spool, SpoolError};

impl Spool {
    /// Begins a batch.
    ///
    /// # Errors
    /// [`SpoolError::Busy`] if another program holds the file.
    pub fn begin(&self) -> Result<()> {
        if self.in_batch.get() {
            return Err(SpoolError::Bug("a batch began inside a batch".into()));
        }
        self.run("BEGIN IMMEDIATE", [])?;
        self.in_batch.set(true);
        Ok(())
    }

    /// Stores the batch; on return it is on the disk. On an error nothing of it is stored, and the
    /// batch is over.
    ///
    /// After an error of the disk the last batch may yet turn up when the file is next opened, as
    /// with any commit whose answer was lost: senders repeat, and the dedup keys tell.
    pub fn commit(&self) -> Result<()> {
        if !self.in_batch.get() {
            return Err(SpoolError::Bug("a commit without a batch".into()));
        }
        let done = self.run("COMMIT", []);
        if done.is_err() {
            self.rollback();
        }
        self.in_batch.set(false);
        done.map(|_| ())
    }

    /// Drops the batch, if there is one.
    pub fn rollback(&self) {
        self.in_batch.set(false);
        if self.db.is_autocommit() {
            return;
        }
        if let Err(error) = self.run("ROLLBACK", []) {
            // Whatever stops a rollback also stops every later `begin`, in words.
            tracing::error!(%error, "the spool could not roll back");
        }
    }

    /// Runs `f` so that an `Err` undoes what it stored, and only that. Outside of a batch it is a
    /// batch of its own, committed at its end. May be nested.
    ///
    /// # Errors
    /// Those of `f`, and those of the spool.
    pub fn scoped<T, E: From<SpoolError>>(
        &self,
        f: impl FnOnce(&Spool) -> Result<T, E>,
    ) -> Result<T, E> {
        self.run("SAVEPOINT event", [])?;
        let result = f(self);
        let error = match result {
            Ok(value) => match self.run("RELEASE event", []) {
                Ok(_) => return Ok(value),
                Err(error) => error.into(),
            },
            Err(error) => error,
        };
        if !self.db.is_autocommit() {
            let undone = self
                .run("ROLLBACK TO event", [])
                .and_then(|_| self.run("RELEASE event", []));
            if let Err(error) = undone {
                tracing::error!(%error, "the spool could not undo one event; the batch is dropped");
                let _ = self.db.execute_batch("ROLLBACK");
            }
        }
        Err(error)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(crate) fn run(&self, sql: &'static str, params: impl Params) -> Result<usize> {
        let mut statement = self.prepare(sql)?;
        let changed = statement.execute(params);
        self.note(sql, &statement);
        self.checked(changed)
    }

    /// The first row, if there is one.
    pub(crate) fn one<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(sql)?;
        let found = (|| {
            let mut rows = statement.query(params)?;
            rows.next()?.map(read).transpose()
        })();
        self.note(sql, &statement);
        self.checked(found)
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let found = statement
            .query_map(params, read)
            .and_then(Iterator::collect);
        self.note(sql, &statement);
        self.checked(found)
    }

    /// The single number that a query over aggregates always has.
    pub(crate) fn number(&self, sql: &'static str, params: impl Params) -> Result<i64> {
        let number = self.one(sql, params, |row| row.get::<_, Option<i64>>(0))?;
        Ok(number.flatten().unwrap_or(0))
    }

    fn prepare(&self, sql: &'static str) -> Result<CachedStatement<'_>> {
        if self.in_batch.get() && self.db.is_autocommit() {
            return Err(SpoolError::Undone);
        }
        self.checked(self.db.prepare_cached(sql))
    }

    /// Turns SQLite's error into words. Damage is noted, so that the next start looks at the whole
    /// file before it uses it.
    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|error| {
            let error = SpoolError::from(error);
            if matches!(error, SpoolError::Corrupt(_)) {
                self.suspect();
            }
            error
        })
    }

    /// Tests look at every statement that ran, and at what it cost.
    #[cfg(test)]
    fn note(&self, sql: &'static str, statement: &CachedStatement<'_>) {
        let steps = statement.reset_status(rusqlite::StatementStatus::VmStep);
        let most = &mut *self.ran.borrow_mut();
        let entry = most.entry(sql).or_insert(0);
        *entry = steps.max(*entry);
    }

    #[cfg(not(test))]
    #[inline]
    fn note(&self, _sql: &'static str, _statement: &CachedStatement<'_>) {}
}
