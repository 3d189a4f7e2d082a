//! `bulkhead volume`: the homes of agents, listed, measured, taken along and removed.
//!
//! Promises: a volume that a runner holds is not removed; nothing outside of a volume is read or
//! removed, whatever a link in it says; an export is whole or is not there, and holds no login.
//!
//! A volume is the agent's to change at any time, so an export of one that is in use is what stood
//! there when it was read.

mod export;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, IsTerminal as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use supervisor_config::SecretMode;

use crate::Where;
use crate::check;
use crate::places::{self, Places};
use crate::status::print;

/// Where volumes are, below the state directory.
pub(crate) const VOLUMES: &str = "volumes";
/// Their locks, beside them: a runner holds the one of its volume (shared).
const LOCKS: &str = ".locks";
/// The volumes of sessions, in one that is not all sessions'.
const SESSIONS: &str = "sessions";
/// How deep a volume is looked into.
const DEPTH: usize = 64;

/// Where a volume is.
pub(crate) fn path(state_dir: &Path, name: &str) -> PathBuf {
    state_dir.join(VOLUMES).join(name)
}

/// Where volumes are looked for.
#[derive(Args, Clone)]
pub(crate) struct Of {
    /// The configuration: its `data_dir` is where the volumes are.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

#[derive(Subcommand)]
pub(crate) enum VolumeCommand {
    /// List the volumes, with their size and whether a project uses them now.
    List {
        /// One JSON document.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Say how large a volume is.
    Size {
        /// Its name.
        name: String,
        #[command(flatten)]
        of: Of,
    },
    /// Write a volume into a tar file. A login in it is left out.
    Export {
        /// Its name.
        name: String,
        /// The file, which must not be there yet.
        file: PathBuf,
        #[command(flatten)]
        of: Of,
    },
    /// Remove a volume with everything in it, for good.
    Remove {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        of: Of,
    },
}

/// Obeys.
///
/// # Errors
/// In words: there is no such volume, it is in use, or what the system says.
pub(crate) fn volume(command: VolumeCommand) -> Result<ExitCode> {
    match command {
        VolumeCommand::List { json, of } => list(&Volumes::of(&of), json)?,
        VolumeCommand::Size { name, of } => {
            let size = measure(&Volumes::of(&of).find(&name)?)?;
            print(&format!("{name}: {}\n", size.in_words()));
        }
        VolumeCommand::Export { name, file, of } => {
            let volume = Volumes::of(&of).find(&name)?;
            let written = export::export(&volume, &name, &file)?;
            print(&written.in_words(&name, &file));
        }
        VolumeCommand::Remove { name, yes, of } => {
            return remove(&Volumes::of(&of), &name, yes);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The volumes of one tree.
struct Volumes {
    dir: PathBuf,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Size {
    bytes: u64,
    files: u64,
}

/// A volume, for the list.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    size: Size,
    sessions: usize,
    in_use: bool,
}

impl Volumes {
    fn of(of: &Of) -> Volumes {
        let state_dir = of.at.state_dir.clone().or_else(|| {
            let config = places::config(of.config.clone());
            let plan = check::read(&config, SecretMode::Placeholders, &of.at).plan?;
            plan.state_dir
        });
        Volumes {
            dir: Places::new(state_dir, of.at.runtime_dir.clone())
                .state_dir
                .join(VOLUMES),
        }
    }

    /// A volume that is there.
    fn find(&self, name: &str) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let good = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
        let path = self.dir.join(name);
        // A link in its place would lead elsewhere.
        if !good || !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            bail!(
                "there is no volume `{}` in {}; `bulkhead volume list` shows them",
                name.escape_default(),
                self.dir.display()
            );
        }
        Ok(path)
    }

    /// Its lock, for us alone; `None` = a runner holds it.
    fn claim(&self, name: &str) -> io::Result<Option<File>> {
        let locks = self.dir.join(LOCKS);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&locks)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(locks.join(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a runner holds it. Whoever may not look at the lock does not know, and says no.
    fn in_use(&self, name: &str) -> bool {
        let lock = File::open(self.dir.join(LOCKS).join(name));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    fn rows(&self) -> Result<Vec<Row>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let shown = self.dir.display();
                return Err(error).context(format!("cannot look into {shown}"));
            }
        };
        let mut rows = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !entry.file_type()?.is_dir() {
                continue;
            }
            let sessions = fs::read_dir(entry.path().join(SESSIONS));
            rows.push(Row {
                size: measure(&entry.path())?,
                sessions: sessions.map_or(0, Iterator::count),
                in_use: self.in_use(&name),
                name,
            });
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }
}

fn list(volumes: &Volumes, json: bool) -> Result<()> {
    let rows = volumes.rows()?;
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
        return Ok(());
    }
    if rows.is_empty() {
        let shown = volumes.dir.display();
        print(&format!(
            "there is no volume in {shown}; one is made for a project with `volume = \"NAME\"`\n"
        ));
        return Ok(());
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    for row in rows {
        let sessions = match row.sessions {
            0 => String::new(),
            sessions => format!(", of {sessions} sessions"),
        };
        let in_use = if row.in_use { ", in use" } else { "" };
        let size = row.size.in_words();
        print(&format!("{:width$}  {size}{sessions}{in_use}\n", row.name));
    }
    Ok(())
}

fn remove(volumes: &Volumes, name: &str, yes: bool) -> Result<ExitCode> {
    let path = volumes.find(name)?;
    let in_use = "is in use: take `volume` out of its project and type  bulkhead reload , or stop \
                  Bulkhead; then remove it";
    let size = measure(&path)?.in_words();
    if !yes {
        if !io::stdin().is_terminal() {
            bail!("`{name}` holds {size}; say --yes to remove them for good");
        }
        print(&format!(
            "{} holds {size}: an agent's memory, history and configuration.\nRemove them for good? (y/N) ",
            path.display()
        ));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            print("nothing was removed\n");
            return Ok(ExitCode::FAILURE);
        }
    }
    let cannot = || format!("cannot remove {}", path.display());
    // Held until the end: a runner that starts meanwhile is started again.
    let Some(lock) = volumes.claim(name).with_context(cannot)? else {
        bail!("the volume {name} {in_use}");
    };
    // Follows no link, also none that is put there meanwhile.
    fs::remove_dir_all(&path).with_context(cannot)?;
    // The lock's file stays: a runner that has just opened it is to find it in its place.
    drop(lock);
    print(&format!("{name} is removed: {size}\n"));
    Ok(ExitCode::SUCCESS)
}

/// How much is below a directory; links are not followed, and what goes away meanwhile is not
/// counted.
fn measure(dir: &Path) -> Result<Size> {
    let mut size = Size::default();
    let mut todo = vec![(dir.to_owned(), 0)];
    while let Some((dir, depth)) = todo.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(format!("cannot look into {}", dir.display())),
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_dir() {
                size.files += 1;
                size.bytes += meta.len();
            } else if depth < DEPTH {
                todo.push((entry.path(), depth + 1));
            }
        }
    }
    Ok(size)
}

impl Size {
    fn in_words(self) -> String {
        let amount = match self.bytes {
            0..1024 => format!("{} bytes", self.bytes),
            1024..0x10_0000 => format!("{:.1} KiB", self.bytes as f64 / 1024.0),
            0x10_0000..0x4000_0000 => format!("{:.1} MiB", self.bytes as f64 / 1_048_576.0),
            _ => format!("{:.1} GiB", self.bytes as f64 / 1_073_741_824.0),
        };
        format!("{amount} in {} files", self.files)
    }
}

#[cfg(test)]
mod tests;
