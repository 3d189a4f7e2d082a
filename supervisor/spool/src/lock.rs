//! One process at a time: a lock on `spool.lock`, which falls with its process however it dies.
//!
//! The file also says who holds it, and during which boot of the machine the whole database was
//! last looked over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    /// The boot noted by whoever held it before; empty = none.
    pub(crate) noted_boot: String,
}

/// Why it was not had.
pub(crate) enum Denied {
    /// By this process, as far as its note can be read.
    Held(String),
    Io(std::io::Error),
}

impl Lock {
    /// Takes the lock at once or not at all.
    pub(crate) fn take(path: &Path) -> Result<Lock, Denied> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(Denied::Io)?;
        let locked = file.try_lock();
        let mut note = String::new();
        // What cannot be read says nothing; the lock itself is what counts.
        let _ = (&file).take(1024).read_to_string(&mut note);
        let mut lines = note.lines();
        let pid = lines.next().unwrap_or_default().to_owned();
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Denied::Held(pid)),
            Err(TryLockError::Error(error)) => return Err(Denied::Io(error)),
        }
        let noted_boot = lines.next().unwrap_or_default().to_owned();
        write(&file, &noted_boot).map_err(Denied::Io)?;
        Ok(Lock { file, noted_boot })
    }

    /// Notes the boot during which the database was looked over; empty = it was not.
    pub(crate) fn note_boot(&self, boot: &str) -> std::io::Result<()> {
        write(&self.file, boot)
    }
}

fn write(mut file: &File, boot: &str) -> std::io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(format!("{}\n{boot}\n", std::process::id()).as_bytes())
}

/// The machine's current boot; empty if it does not say.
pub(crate) fn this_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}
