//! A volume as a tar file.
//!
//! Everything is opened below what was opened before, without following a link: the agent may put
//! one in the place of a file at any moment, and whoever exports may be root.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::OFlag;
use tar::{Builder, EntryType, Header};

use super::DEPTH;

/// The login of Claude Code: whoever has it is logged in.
const LOGIN: &str = ".credentials.json";

/// What was written, and what was not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) files: u64,
    /// Logins, which do not travel.
    pub(super) logins: u64,
    /// Sockets, pipes and what lies too deep.
    pub(super) left_out: u64,
}

impl Written {
    pub(super) fn in_words(&self, name: &str, file: &Path) -> String {
        let mut words = format!("{}: {} files of {name}\n", file.display(), self.files);
        if self.logins > 0 {
            words.push_str("The login is left out; log in anew where you take the volume to.\n");
        }
        if self.left_out > 0 {
            words.push_str(&format!(
                "Left out: {} sockets, pipes or directories that lie too deep.\n",
                self.left_out
            ));
        }
        words
    }
}

/// Writes the volume at `root` into `file`, below a directory `name`.
///
/// # Errors
/// The file is there already, or what the system says. The file is removed again then.
pub(super) fn export(root: &Path, name: &str, file: &Path) -> Result<Written> {
    let inside = |file: &Path| {
        let parent = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new(".")).canonicalize()?;
        Ok::<_, io::Error>(parent.starts_with(root.canonicalize()?))
    };
    let shown = file.display();
    if inside(file).with_context(|| format!("cannot write {shown}"))? {
        bail!("{shown} would lie in the volume itself; name another place");
    }
    let out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {shown}"))?;
    let written = write(root, name, &out);
    if written.is_err() {
        // Half of it is of no use to anybody.
        let _ = fs::remove_file(file);
    }
    written.with_context(|| format!("cannot export {}", root.display()))
}

fn write(root: &Path, name: &str, out: &File) -> io::Result<Written> {
    let mut archive = Builder::new(BufWriter::new(out));
    let mut written = Written::default();
    let root = open(root, OFlag::O_DIRECTORY)?;
    directory(&root, Path::new(name), 0, &mut archive, &mut written)?;
    archive.into_inner()?.flush()?;
    out.sync_all()?;
    Ok(written)
}

type Archive<'a> = Builder<BufWriter<&'a File>>;

fn directory(
    dir: &File,
    name: &Path,
    depth: usize,
    archive: &mut Archive<'_>,
    written: &mut Written,
) -> io::Result<()> {
    if depth > DEPTH {
        written.left_out += 1;
        return Ok(());
    }
    let mut header = header(dir)?;
    header.set_size(0);
    archive.append_data(&mut header, name, io::empty())?;
    let here = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    let mut names = Vec::new();
    for entry in fs::read_dir(&here)? {
        names.push(entry?.file_name());
    }
    names.sort();
    for entry in names {
        let (path, name) = (here.join(&entry), name.join(&entry));
        let kind = match fs::symlink_metadata(&path) {
            Ok(meta) => meta.file_type(),
            // Gone meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if kind.is_symlink() {
            link(&path, &name, archive)?;
        } else if kind.is_dir() {
            let inner = open(&path, OFlag::O_DIRECTORY)?;
            directory(&inner, &name, depth + 1, archive, written)?;
        } else if entry == LOGIN {
            written.logins += 1;
        } else if kind.is_file() {
            file(&open(&path, OFlag::empty())?, &name, archive, written)?;
        } else {
            written.left_out += 1;
        }
    }
    Ok(())
}

fn file(
    file: &File,
    name: &Path,
    archive: &mut Archive<'_>,
    written: &mut Written,
) -> io::Result<()> {
    // It was a file a moment ago.
    let meta = file.metadata()?;
    if !meta.is_file() {
        written.left_out += 1;
        return Ok(());
    }
    let mut header = header(file)?;
    // As long as it says it is, whatever becomes of it meanwhile: else all that follows is lost.
    let content = file.take(meta.len()).chain(io::repeat(0)).take(meta.len());
    archive.append_data(&mut header, name, content)?;
    written.files += 1;
    Ok(())
}

fn link(path: &Path, name: &Path, archive: &mut Archive<'_>) -> io::Result<()> {
    let target = match fs::read_link(path) {
        Ok(target) => target,
        // It was one a moment ago.
        Err(_) => return Ok(()),
    };
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    archive.append_link(&mut header, name, target)
}

fn header(file: &File) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_metadata(&file.metadata()?);
    Ok(header)
}

/// Opens without following a link in the last place, and without waiting for whoever writes a pipe.
fn open(path: &Path, more: OFlag) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | more;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}
