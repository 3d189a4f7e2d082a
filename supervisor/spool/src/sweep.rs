//! How files end: those that nobody needs any more, and what a crash left behind.

use std::{fs, io};

use rusqlite::params;

use crate::blobs::check_name;
use crate::words::{signed, unsigned};
use crate::{MAX_BLOBS, Result, Spool, SpoolError};

/// Past this many bytes, files that no open turn needs go early, oldest first.
const CROWDED: u64 = MAX_BLOBS / 2;

/// A file younger than this is never pruned: the message that names it may still be on its way.
const FRESH_MS: u64 = 60 * 60 * 1000;

impl Spool {
    /// Removes at most `limit` files that are older than `age_ms` and belong to no turn that waits
    /// or runs and to no chunk that is not delivered; more eagerly when there is little room. Also sweeps up a part of what has no row.
    /// Not within a batch: a file may go only after its row has gone for good.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] within a batch.
    pub fn prune_blobs(&self, now: u64, age_ms: u64, limit: usize) -> Result<u64> {
        if !self.db.is_autocommit() {
            return Err(SpoolError::Bug(
                "files were to be pruned within a batch".into(),
            ));
        }
        let crowded = self.blob_bytes()? > CROWDED;
        let age_ms = if crowded {
            FRESH_MS
        } else {
            age_ms.max(FRESH_MS)
        };
        let removed = self.scoped(|spool| {
            let removed = spool.all(
                "SELECT sha256, size FROM blobs WHERE kept_at < ?1 AND NOT EXISTS (
                     SELECT 1 FROM attachments JOIN turns ON turns.number = attachments.turn
                     WHERE attachments.sha256 = blobs.sha256
                     AND turns.state IN ('queued', 'starting', 'running', 'stopping'))
                 AND NOT EXISTS (
                     SELECT 1 FROM enclosures JOIN chunks ON chunks.number = enclosures.chunk
                     WHERE enclosures.sha256 = blobs.sha256
                     AND chunks.state IN ('pending', 'leased', 'parked'))
                 ORDER BY kept_at LIMIT ?2",
                params![signed(now.saturating_sub(age_ms)), signed(limit as u64)],
                |row| Ok((row.get::<_, String>(0)?, unsigned(row.get(1)?))),
            )?;
            for (sha256, size) in &removed {
                spool.run("DELETE FROM blobs WHERE sha256 = ?1", [sha256])?;
                spool.count_bytes(-signed(*size))?;
            }
            Ok::<_, SpoolError>(removed)
        })?;
        for (sha256, _) in &removed {
            // One that stays is swept up later.
            if let Err(error) = fs::remove_file(self.blobs.path(sha256)?) {
                tracing::warn!(%error, sha256, "a file of the spool could not be removed");
            }
        }
        self.sweep()?;
        Ok(removed.len() as u64)
    }

    /// Removes the files of one part of the directory that have no row, and moves on to the next.
    fn sweep(&self) -> Result<()> {
        let part = self.blobs.sweep.get();
        self.blobs.sweep.set(part.wrapping_add(1));
        let shard = format!("{part:02x}");
        let entries = match fs::read_dir(self.blobs.root()?.join(&shard)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(rest) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let sha256 = format!("{shard}{rest}");
            if check_name(&sha256).is_err() {
                continue;
            }
            let known = self.one("SELECT 1 FROM blobs WHERE sha256 = ?1", [&sha256], |_| {
                Ok(())
            })?;
            if known.is_none() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
