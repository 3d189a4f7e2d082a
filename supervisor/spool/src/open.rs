//! Opening the spool, or saying why not.
//!
//! Nothing that is refused is changed. What can be told from the first bytes of a file is told
//! before SQLite sees it; until the file has passed, SQLite may read it but not tidy up after
//! itself. (It may then leave an empty log and the log's index beside the file. They hold nothing,
//! and to remove them would harm whoever else has the file open.)

use std::cell::Cell;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::blobs::Store;
use crate::lock::{Denied, Lock, this_boot};
use crate::schema::{APPLICATION_ID, STEPS, VERSION};
use crate::{SpoolError, create, header};

/// How long another program (a backup, an operator's shell) may keep the file locked before a batch
/// fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// Statements kept prepared: all that there are, with room.
const STATEMENTS: usize = 128;

/// Pages of the log after which a commit also moves it into the file. Far above SQLite's default, so
/// that this work (two more syncs) falls to [`Spool::checkpoint`] in a quiet moment and not to one
/// message in forty. After a kill the log is read again, which bounds it from above.
const WAL_PAGES: i64 = 4096;

/// The log is cut back to this after a burst.
const WAL_LIMIT: i64 = WAL_PAGES * 4096;

/// A file up to this size is looked over at every start, which takes some twenty milliseconds. A
/// larger one only at the first start after a boot and after it has shown damage: a process that
/// dies does not damage a file, a machine that loses power may.
const SMALL: u64 = 8 << 20;

/// Why the spool could not be opened. Whatever it was, the file is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the spool {} is in use by process {pid}: two hubs never share one; stop that process or give this one a directory of its own",
        dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, as it noted itself.
        pid: String,
    },
    /// Its content is not whole.
    #[error(
        "{} is damaged ({what}). It was not touched: copy the directory away, then restore a backup of it, or try sqlite3's .recover on the copy. Moving it aside starts an empty spool and drops every message in it",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A later version of the program wrote it.
    #[error(
        "{} has version {found}, and this program knows versions up to {known}: a later bulkhead wrote it. It was not touched: run that bulkhead, or a later one",
        file.display()
    )]
    TooNew {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: usize,
        /// The last version known here.
        known: usize,
    },
    /// It is a database of another program.
    #[error(
        "{} is a database, but not a bulkhead spool. It was not touched: point the spool at a directory of its own, or move that file away",
        file.display()
    )]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// It may not be written.
    #[error(
        "{} cannot be written ({why}): the spool needs a directory that belongs to the user of the hub, on a file system mounted for writing",
        path.display()
    )]
    ReadOnly {
        /// The directory or file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// No room.
    #[error(
        "the disk under {} is full ({why}): make room and start again; nothing was changed",
        path.display()
    )]
    Full {
        /// The directory or file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// Another program holds the database locked.
    #[error(
        "{} is locked by another program ({why}): close the sqlite3 shell or backup that has it open",
        path.display()
    )]
    Busy {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        why: String,
    },
    /// Anything else the system said.
    #[error("{} cannot be opened ({why}); see dmesg and the mount of its directory", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

impl OpenError {
    pub(crate) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        OpenError::Damaged {
            file: file.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn from_io(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let (path, why) = (path.to_owned(), error.to_string());
        match error.kind() {
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => OpenError::ReadOnly { path, why },
            Kind::StorageFull | Kind::QuotaExceeded => OpenError::Full { path, why },
            _ => OpenError::Io { path, why },
        }
    }

    pub(crate) fn from_spool(path: &Path, error: SpoolError) -> Self {
        let path = path.to_owned();
        match error {
            SpoolError::Full(why) => OpenError::Full { path, why },
            SpoolError::Corrupt(what) => OpenError::Damaged { file: path, what },
            SpoolError::Busy(why) => OpenError::Busy { path, why },
            SpoolError::Io(why) => OpenError::Io { path, why },
            other => OpenError::Io {
                path,
                why: other.to_string(),
            },
        }
    }
}

/// The open spool. It belongs to one thread.
pub struct Spool {
    pub(crate) db: Connection,
    /// Between `begin` and `commit` or `rollback`.
    pub(crate) in_batch: Cell<bool>,
    pub(crate) blobs: Store,
    /// None in memory. Dropped last: the lock falls when all else is closed.
    lock: Option<Lock>,
    /// Every statement that ran, and the most steps that one run took.
    #[cfg(test)]
    pub(crate) ran: std::cell::RefCell<std::collections::BTreeMap<&'static str, i32>>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("file", &self.db.path())
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the spool in `dir`, which is made if it is not there (its parent must be), and locks it
    /// until the `Spool` is dropped. An older version is brought up to date.
    ///
    /// # Errors
    /// Each in words; none of them changes what was there.
    pub fn open(dir: &Path) -> Result<Spool, OpenError> {
        let dir = &own_directory(dir)?;
        let lock_path = dir.join("spool.lock");
        let lock = Lock::take(&lock_path).map_err(|denied| match denied {
            Denied::Held(pid) => OpenError::InUse {
                dir: dir.clone(),
                pid,
            },
            Denied::Io(error) => OpenError::from_io(&lock_path, &error),
        })?;

        let file = dir.join("spool.db");
        let wal = dir.join("spool.db-wal");
        if file
            .try_exists()
            .map_err(|error| OpenError::from_io(&file, &error))?
        {
            header::check(&file)?;
            header::check_wal(&wal)?;
        } else if wal.exists() {
            // SQLite would play that log into a new file.
            return Err(OpenError::damaged(
                &file,
                "it is gone, but its log spool.db-wal is there",
            ));
        } else {
            create::create(dir, &file)?;
        }

        let boot = this_boot();
        let size = fs::metadata(&file)
            .map_err(|error| OpenError::from_io(&file, &error))?
            .len();
        let look_over = size <= SMALL || boot.is_empty() || lock.noted_boot != boot;
        let db = connect(&file, look_over)?;
        if look_over && let Err(error) = lock.note_boot(&boot) {
            tracing::warn!(%error, "the spool could not note that it was looked over");
        }
        let blobs = Store::open(dir.join("blobs"))
            .map_err(|error| OpenError::from_io(&dir.join("blobs"), &error))?;
        Ok(Spool::new(db, blobs, Some(lock)))
    }

    /// A spool that is gone when it is dropped, with its files in a temporary directory: for tests
    /// and simulation.
    pub fn in_memory() -> Result<Spool, OpenError> {
        let name = Path::new(":memory:");
        let build = || {
            let db = Connection::open_in_memory()?;
            db.set_prepared_statement_cache_capacity(STATEMENTS);
            create::migrate(&db, 0, STEPS)?;
            Ok(db)
        };
        let db = build().map_err(|error| OpenError::from_spool(name, error))?;
        Ok(Spool::new(db, Store::temporary(), None))
    }

    fn new(db: Connection, blobs: Store, lock: Option<Lock>) -> Spool {
        Spool {
            db,
            in_batch: Cell::new(false),
            blobs,
            lock,
            #[cfg(test)]
            ran: Default::default(),
        }
    }

    /// Has the next start look over the whole file.
    pub(crate) fn suspect(&self) {
        if let Some(lock) = &self.lock
            && let Err(error) = lock.note_boot("")
        {
            tracing::warn!(%error, "the spool could not note that it is damaged");
        }
    }

    /// Looks over the whole file (SQLite's `quick_check`) and returns what is wrong with it, a line
    /// each; none = sound. Takes about a second for every few hundred megabytes.
    pub fn check(&self) -> Result<Vec<String>, SpoolError> {
        Ok(quick_check(&self.db)?)
    }

    /// Moves the log into the file as far as it goes without waiting. The spool does so by itself
    /// when the log has grown; called in a quiet moment it keeps that work out of the busy ones.
    pub fn checkpoint(&self) -> Result<(), SpoolError> {
        self.one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Makes the directory or takes it as it is, and closes it to others.
fn own_directory(dir: &Path) -> Result<PathBuf, OpenError> {
    let io = |error: std::io::Error| OpenError::from_io(dir, &error);
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io(error)),
        _ => {}
    }
    let dir = dir.canonicalize().map_err(io)?;
    access(
        &dir,
        AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK,
    )
    .map_err(|errno| OpenError::from_io(&dir, &errno.into()))?;
    let mode = fs::metadata(&dir).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        match fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)) {
            Ok(()) => tracing::warn!(dir = %dir.display(), "the spool was open to others; closed"),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "the spool is open to others; close it with chmod 700");
            }
        }
    }
    Ok(dir)
}

/// Opens a file that has passed the look at its header.
fn connect(file: &Path, look_over: bool) -> Result<Connection, OpenError> {
    let refused = |error: rusqlite::Error| OpenError::from_spool(file, error.into());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let db = Connection::open_with_flags(file, flags).map_err(refused)?;
    // A file that is refused keeps its log as it is.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(refused)?;
    db.busy_timeout(PATIENCE).map_err(refused)?;
    if db.is_readonly(rusqlite::MAIN_DB).map_err(refused)? {
        let why = "it is open for reading only".into();
        return Err(OpenError::ReadOnly {
            path: file.to_owned(),
            why,
        });
    }

    // Asked again, because the log may know of a later version than the header does.
    let version = pragma(&db, "user_version").map_err(refused)?;
    header::check_version(file, version)?;
    if pragma(&db, "application_id").map_err(refused)? != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign {
            file: file.to_owned(),
        });
    }
    if look_over {
        let found = quick_check(&db).map_err(refused)?;
        if !found.is_empty() {
            return Err(OpenError::damaged(file, found.join("; ")));
        }
    }

    let settle = || {
        let mode: String =
            db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(SpoolError::Io(format!("the journal stays in mode {mode}")));
        }
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.pragma_update(None, "cell_size_check", true)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(()))?;
        db.pragma_update_and_check(None, "journal_size_limit", WAL_LIMIT, |_| Ok(()))?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        if version < VERSION as i64 {
            create::migrate(&db, usize::try_from(version).unwrap_or(0), STEPS)?;
            // The header tells the version at once, without the log.
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    };
    settle().map_err(|error| OpenError::from_spool(file, error))?;
    Ok(db)
}

fn pragma(db: &Connection, name: &str) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, name, |row| row.get(0))
}

fn quick_check(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare("PRAGMA quick_check(10)")?;
    let lines: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
