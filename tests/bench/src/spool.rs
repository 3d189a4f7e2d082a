//! The hub's spool, looked at from outside while the hub writes it.
//!
//! `Accepted` is said only after the commit, and a commit is seen by other processes only once it is on the disk (WAL, synchronous=FULL). So
//! the moment at which the event's row can be read here is that of `Accepted`, less the few microseconds of saying it.
//! Does not: write, or hold a read open.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use harness::DEADLINE;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

/// How often it is looked; so exact is the figure.
pub(crate) const LOOKED: Duration = Duration::from_micros(50);

/// A reader of a tree's spool.
pub(crate) struct Reader {
    db: Connection,
}

impl Reader {
    pub(crate) fn open(state_dir: &Path) -> Result<Reader> {
        let file = find(state_dir)?;
        let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        Ok(Reader { db })
    }

    /// Waits until an event of this worker is committed. Blocks.
    pub(crate) fn committed(&self, instance: &str, event: &str) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        let sql = "SELECT 1 FROM inbox WHERE instance = ?1 AND event_id = ?2";
        let mut look = self.db.prepare_cached(sql)?;
        while Instant::now() < until {
            let row = look.query_row(params![instance, event], |_| Ok(()));
            if row.optional()?.is_some() {
                return Ok(());
            }
            sleep(LOOKED);
        }
        bail!("the event {event} of {instance} was never committed")
    }
}

/// The spool's file, wherever in the state directory it is.
fn find(dir: &Path) -> Result<std::path::PathBuf> {
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.ends_with("spool.db") {
                return Ok(path);
            }
        }
    }
    bail!("there is no spool.db in {}", dir.display())
}
