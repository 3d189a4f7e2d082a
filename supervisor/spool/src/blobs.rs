//! Files, by their content.
//!
//! A file lies at `blobs/ab/cdef…`, its SHA-256 in hex. It is written under another name, synced,
//! checked against its name, renamed, and only then does a row name it: a row never names a file
//! that is not whole. A file without a row is the rest of something cut off, and is swept up.

use std::cell::{Cell, RefCell};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::params;
use sha2::{Digest, Sha256};

use crate::create::sync_dir;
use crate::words::{signed, unsigned};
use crate::{Result, Spool, SpoolError};

/// The most bytes of one file.
pub const MAX_BLOB: u64 = 64 << 20;

/// The most bytes of all files together.
pub const MAX_BLOBS: u64 = 2 << 30;

/// After so many bytes of a file it is synced: a whole large one at its end would hold everything
/// up for long.
const SYNC_BYTES: u64 = 2 << 20;

/// Where files that are not whole yet are written.
const INCOMING: &str = "incoming";

/// A file that came with a turn's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// As the sender named it; not to be trusted as a path.
    pub name: String,
    /// Media type; may be empty.
    pub mime: String,
    /// Bytes.
    pub size: u64,
}

/// The directory of the files.
pub(crate) struct Store {
    /// None until a temporary one is needed.
    root: RefCell<Option<PathBuf>>,
    temporary: bool,
    /// Bytes announced by writers that are not done.
    announced: Arc<AtomicU64>,
    /// Names the files that are being written.
    begun: Cell<u64>,
    /// The part of the directory to be swept next.
    pub(crate) sweep: Cell<u8>,
}

impl Store {
    /// The directory `root`, made when it is first needed; what was being written there is gone.
    pub(crate) fn open(root: PathBuf) -> io::Result<Store> {
        match fs::remove_dir_all(root.join(INCOMING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Store::at(Some(root)))
    }

    /// A directory of its own, made when it is first needed and removed at the end.
    pub(crate) fn temporary() -> Store {
        Store::at(None)
    }

    fn at(root: Option<PathBuf>) -> Store {
        Store {
            temporary: root.is_none(),
            root: RefCell::new(root),
            announced: Arc::default(),
            begun: Cell::new(0),
            sweep: Cell::new(0),
        }
    }

    pub(crate) fn root(&self) -> io::Result<PathBuf> {
        let mut root = self.root.borrow_mut();
        if let Some(root) = &*root {
            return Ok(root.clone());
        }
        static MADE: AtomicU64 = AtomicU64::new(0);
        loop {
            let made = MADE.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("bulkhead-blobs-{}-{made}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(root.insert(path).clone()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self, sha256: &str) -> io::Result<PathBuf> {
        let (shard, rest) = sha256.split_at(2);
        Ok(self.root()?.join(shard).join(rest))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.temporary
            && let Some(root) = self.root.get_mut()
        {
            // Nothing can be done about what stays in a temporary directory.
            let _ = fs::remove_dir_all(root);
        }
    }
}

/// A file that is being written. Dropped before [`BlobWriter::finish`] it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    sha256: String,
    total: u64,
    written: u64,
    hasher: Sha256,
    file: File,
    path: PathBuf,
    announced: Arc<AtomicU64>,
}

impl BlobWriter {
    /// Appends the piece that begins at `offset`. True once the file has all its bytes.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] if the piece does not follow the one before or passes the announced
    /// end; the file is as it was.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<bool> {
        let end = self.written.saturating_add(bytes.len() as u64);
        if offset != self.written || end > self.total {
            return Err(SpoolError::Refused(format!(
                "a piece of a file has bytes {offset} to {}, expected from {} and to {} at most",
                offset.saturating_add(bytes.len() as u64),
                self.written,
                self.total
            )));
        }
        // At its place, so that a piece that failed half way may be written again.
        self.file.write_all_at(bytes, self.written)?;
        self.hasher.update(bytes);
        if end / SYNC_BYTES > self.written / SYNC_BYTES {
            self.file.sync_data()?;
        }
        self.written = end;
        Ok(self.written == self.total)
    }

    /// Syncs the file, gives it its name and stores the row that names it; returns where it is.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] if bytes are missing or are not those of the announced hash.
    pub fn finish(self, spool: &Spool, now: u64) -> Result<PathBuf> {
        if self.written != self.total {
            return Err(SpoolError::Refused(format!(
                "a file ended after {} of {} bytes",
                self.written, self.total
            )));
        }
        if hex(&self.hasher.clone().finalize()) != self.sha256 {
            return Err(SpoolError::Refused(format!(
                "the content of file {} has another hash than announced",
                self.sha256
            )));
        }
        self.file.sync_all()?;
        let path = spool.blobs.path(&self.sha256)?;
        let root = spool.blobs.root()?;
        if let Some(shard) = path.parent() {
            make(shard)?;
            fs::rename(&self.path, &path)?;
            sync_dir(shard)?;
            sync_dir(&root)?;
        }
        spool.name_blob(&self.sha256, self.total, now)?;
        Ok(path)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        self.announced.fetch_sub(self.total, Ordering::Relaxed);
        // After `finish` there is no file of this name any more.
        let _ = fs::remove_file(&self.path);
    }
}

impl Spool {
    /// Begins to write the file of this hash and size.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] if the hash is not 64 lower-case hex digits, or the file would pass
    /// [`MAX_BLOB`] or all files [`MAX_BLOBS`].
    pub fn blob_writer(&self, sha256: &str, total: u64) -> Result<BlobWriter> {
        check_name(sha256)?;
        if total > MAX_BLOB {
            return Err(SpoolError::Refused(format!(
                "a file of {} MiB is too big; at most {} MiB are kept",
                total.div_ceil(1 << 20),
                MAX_BLOB >> 20
            )));
        }
        let kept = self.blob_bytes()?;
        let announced = self.blobs.announced.load(Ordering::Relaxed);
        if kept.saturating_add(announced).saturating_add(total) > MAX_BLOBS {
            return Err(SpoolError::Refused(format!(
                "the files of the spool have reached {} MiB; older ones go as their turns end",
                MAX_BLOBS >> 20
            )));
        }
        let root = self.blobs.root()?;
        make(&root)?;
        let incoming = root.join(INCOMING);
        make(&incoming)?;
        let begun = self.blobs.begun.get();
        self.blobs.begun.set(begun + 1);
        let path = incoming.join(begun.to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        self.blobs.announced.fetch_add(total, Ordering::Relaxed);
        Ok(BlobWriter {
            sha256: sha256.to_owned(),
            total,
            written: 0,
            hasher: Sha256::new(),
            file,
            path,
            announced: Arc::clone(&self.blobs.announced),
        })
    }

    /// Keeps a file that is at hand whole; returns its name.
    ///
    /// # Errors
    /// As those of [`Spool::blob_writer`] and [`BlobWriter::finish`].
    pub fn keep_bytes(&self, bytes: &[u8], now: u64) -> Result<String> {
        let sha256 = hex(&Sha256::digest(bytes));
        if !self.touch_blob(&sha256, now)? {
            let mut writer = self.blob_writer(&sha256, bytes.len() as u64)?;
            writer.write(0, bytes)?;
            writer.finish(self, now)?;
        }
        Ok(sha256)
    }

    /// Whether the file is kept; if so it is as good as new.
    pub fn touch_blob(&self, sha256: &str, now: u64) -> Result<bool> {
        if self.blob_path(sha256)?.is_none() {
            return Ok(false);
        }
        self.run(
            "UPDATE blobs SET kept_at = max(kept_at, ?2) WHERE sha256 = ?1",
            params![sha256, signed(now)],
        )?;
        Ok(true)
    }

    /// Where the file is, if it is kept whole.
    pub fn blob_path(&self, sha256: &str) -> Result<Option<PathBuf>> {
        check_name(sha256)?;
        let kept = self
            .one(
                "SELECT 1 FROM blobs WHERE sha256 = ?1",
                [sha256],
                |_| Ok(()),
            )?
            .is_some();
        if !kept {
            return Ok(None);
        }
        let path = self.blobs.path(sha256)?;
        // Somebody may have tidied up by hand.
        Ok(path.is_file().then_some(path))
    }

    /// At most `most` bytes of a kept file from `offset` on, and its size; none if it is not kept.
    pub fn read_blob(
        &self,
        sha256: &str,
        offset: u64,
        most: usize,
    ) -> Result<Option<(Vec<u8>, u64)>> {
        let Some(path) = self.blob_path(sha256)? else {
            return Ok(None);
        };
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most)];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(Some((bytes, size)))
    }

    /// How many bytes all files have together.
    pub fn blob_bytes(&self) -> Result<u64> {
        self.number("SELECT bytes FROM blobs_size WHERE only = 1", [])
            .map(unsigned)
    }

    /// Names a file as the next attachment of the turn; it stays at least until the turn is over.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] if the file is not kept, [`SpoolError::Bug`] if the turn is not.
    pub fn attach(&self, turn: &str, sha256: &str, name: &str, mime: &str) -> Result<()> {
        let number = self.turn_number(turn)?;
        if self.blob_path(sha256)?.is_none() {
            return Err(SpoolError::Refused(format!("file {sha256} is not kept")));
        }
        self.run(
            "INSERT INTO attachments (turn, position, sha256, name, mime)
             VALUES (?1, 1 + coalesce(
                 (SELECT max(position) FROM attachments WHERE turn = ?1), 0), ?2, ?3, ?4)",
            params![number, sha256, name, mime],
        )?;
        Ok(())
    }

    /// Has a file stay until the chunk is delivered.
    ///
    /// # Errors
    /// [`SpoolError::Refused`] if the file is not kept, [`SpoolError::Bug`] if the chunk is not.
    pub fn enclose(&self, chunk: &str, sha256: &str) -> Result<()> {
        if self.blob_path(sha256)?.is_none() {
            return Err(SpoolError::Refused(format!("file {sha256} is not kept")));
        }
        let known = self.run(
            "INSERT INTO enclosures (chunk, sha256) SELECT number, ?2 FROM chunks WHERE key = ?1
             ON CONFLICT DO NOTHING",
            [chunk, sha256],
        )?;
        if known == 0 && self.chunk(chunk)?.is_none() {
            return Err(SpoolError::Bug(format!(
                "chunk {chunk} is not in the spool"
            )));
        }
        Ok(())
    }

    /// The files of the turn, in order.
    pub fn attachments(&self, turn: &str) -> Result<Vec<Attachment>> {
        self.all(
            "SELECT attachments.sha256, name, mime, size
             FROM attachments JOIN blobs ON blobs.sha256 = attachments.sha256
             WHERE turn = (SELECT number FROM turns WHERE id = ?1) ORDER BY position",
            [turn],
            |row| {
                Ok(Attachment {
                    sha256: row.get(0)?,
                    name: row.get(1)?,
                    mime: row.get(2)?,
                    size: unsigned(row.get(3)?),
                })
            },
        )
    }

    fn name_blob(&self, sha256: &str, size: u64, now: u64) -> Result<()> {
        self.scoped(|spool| {
            let again = spool.run(
                "UPDATE blobs SET kept_at = max(kept_at, ?2) WHERE sha256 = ?1",
                params![sha256, signed(now)],
            )?;
            if again == 0 {
                spool.run(
                    "INSERT INTO blobs (sha256, size, kept_at) VALUES (?1, ?2, ?3)",
                    params![sha256, signed(size), signed(now)],
                )?;
                spool.count_bytes(signed(size))?;
            }
            Ok(())
        })
    }

    pub(crate) fn count_bytes(&self, by: i64) -> Result<()> {
        self.run(
            "UPDATE blobs_size SET bytes = bytes + ?1 WHERE only = 1",
            [by],
        )?;
        Ok(())
    }
}

pub(crate) fn check_name(sha256: &str) -> Result<()> {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if sha256.len() == 64 && sha256.bytes().all(digit) {
        return Ok(());
    }
    Err(SpoolError::Refused(
        "the name of a file is not a SHA-256 in lower-case hex".into(),
    ))
}

fn make(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
