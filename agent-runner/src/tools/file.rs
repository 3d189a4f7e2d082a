//! The tool `send_file`: which file may go to the chat, and its bytes.
//!
//! Promises: only a regular file that lies in the work directory is read, whatever links the agent
//! lays and swaps meanwhile ([`Dir::within`]), what was opened is what is looked at, and a pipe or
//! device is never waited for. What is read is one snapshot, no larger than the bound.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use crate::beneath::Dir;

/// What the agent hears once the file is in the chat's queue.
pub const SENT: &str = "sent to the chat";
/// What it hears if it sends the same content twice in a turn.
pub const AGAIN: &str = "this file was sent already in this turn; it is not sent twice";

/// The largest file that may be sent, bytes. `limit` is what the platform of the turn takes, if it
/// said so; outside a turn there is none.
///
/// # Errors
/// Why none can be sent, in words for the agent.
pub fn most(limit: Option<Option<u64>>, own: u64) -> Result<u64, String> {
    match limit {
        None => Err("nobody waits for an answer now, so there is no chat to send a file to".into()),
        Some(Some(0)) => Err(
            "the chat on this platform takes no files: put what matters of it into your answer"
                .into(),
        ),
        Some(Some(limit)) => Ok(limit.min(own)),
        Some(None) => Ok(own),
    }
}

/// A file as it was at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its own name, without directories.
    pub name: String,
    /// Media type by its name's ending; may be empty.
    pub mime: &'static str,
    /// What stood in it.
    pub bytes: Vec<u8>,
}

/// Reads a file of the work directory. Blocks.
///
/// # Errors
/// Why not, in words for the agent.
pub fn read(work_dir: &Dir, path: &str, most: u64) -> Result<Snapshot, String> {
    let (file, inside) = open_below(work_dir, path)?;
    let shown = inside.display();
    let cannot = |error: std::io::Error| format!("{shown} cannot be read: {error}");
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(format!("{shown} is no regular file"));
    }
    let too_large = |size: u64| {
        format!(
            "{shown} is too large: it has {size} bytes, and {most} can be sent at most. Send a \
             smaller one, or a part of it"
        )
    };
    if about.len() > most {
        return Err(too_large(about.len()));
    }
    if about.len() == 0 {
        return Err(format!("{shown} is empty; a chat takes no empty file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
    // It may grow meanwhile.
    (&file)
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64));
    }
    let name = inside
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| "file".to_owned());
    let mime = mime(&name);
    Ok(Snapshot { name, mime, bytes })
}

/// Opens a path that lies in the directory; it, and what it is from there.
fn open_below(work_dir: &Dir, path: &str) -> Result<(File, PathBuf), String> {
    let outside = || {
        format!(
            "{} is outside the working directory; only files in it can be sent: copy it there first",
            crate::text::head(path, 200)
        )
    };
    // A whole path is good if it leads into the directory.
    let asked = Path::new(path);
    let real = work_dir.path().canonicalize();
    let inside = match asked.is_absolute() {
        false => Some(asked),
        true => asked
            .strip_prefix(work_dir.path())
            .ok()
            .or_else(|| asked.strip_prefix(real.as_ref().ok()?).ok()),
    };
    let inside: PathBuf = inside
        .ok_or_else(outside)?
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    let shown = crate::text::head(path, 200);
    let error = |errno: Errno| match errno {
        // A link or `..` that leads out, or a link of /proc's.
        Errno::EXDEV => outside(),
        Errno::ENOENT | Errno::ENOTDIR => format!("there is no file {shown}"),
        Errno::ENOSYS => {
            format!("{shown} cannot be opened safely: this kernel has no openat2 (Linux 5.6)")
        }
        Errno::ELOOP => format!("{shown} leads through too many links"),
        errno => format!("{shown} cannot be opened: {}", errno.desc()),
    };
    if inside.as_os_str().is_empty() {
        return Err(format!("{shown} is a directory"));
    }
    let file = work_dir.within(&inside).map_err(error)?;
    Ok((file, inside))
}

/// Media types that chats show by themselves; for the rest the name has to do.
fn mime(name: &str) -> &'static str {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("pdf") => "application/pdf",
        Some("txt" | "log") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("zip") => "application/zip",
        Some("mp4") => "video/mp4",
        Some("mp3") => "audio/mpeg",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn held(dir: &Path) -> Dir {
        Dir::open(dir).unwrap()
    }

    fn wrong(dir: &Path, path: &str) -> String {
        read(&held(dir), path, 100).unwrap_err()
    }

    #[test]
    fn a_file_of_the_work_directory_is_read_by_any_path_that_stays_in_it() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("work");
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("sub/a.PNG"), "bytes").unwrap();
        symlink("sub/a.PNG", dir.join("link.txt")).unwrap();
        let whole = dir.join("sub/a.PNG");
        for path in ["sub/a.PNG", "./sub/../sub/a.PNG", whole.to_str().unwrap()] {
            let read = read(&held(&dir), path, 5).unwrap();
            assert_eq!((read.name.as_str(), read.mime), ("a.PNG", "image/png"));
            assert_eq!(read.bytes, b"bytes");
        }
        let linked = read(&held(&dir), "link.txt", 5).unwrap();
        assert_eq!((linked.name.as_str(), linked.bytes.len()), ("link.txt", 5));
    }

    #[test]
    fn nothing_leads_out() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("work");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        symlink("../secret", dir.join("relative")).unwrap();
        symlink(root.path().join("secret"), dir.join("absolute")).unwrap();
        symlink("..", dir.join("up")).unwrap();
        symlink("/proc/self/root", dir.join("magic")).unwrap();
        for path in [
            "../secret",
            "/etc/passwd",
            "relative",
            "absolute",
            "up/secret",
            "magic/etc/passwd",
            "sub/../../secret",
        ] {
            let why = wrong(&dir, path);
            assert!(
                why.contains("outside") || why.contains("no file"),
                "{path}: {why}"
            );
        }
        let beside = format!("{}-beside/secret", dir.display());
        assert!(wrong(&dir, &beside).contains("outside"));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        assert!(wrong(dir.path(), "pipe").contains("no regular file"));
        assert!(wrong(dir.path(), "dir").contains("no regular file"));
        assert!(wrong(dir.path(), "socket").contains("cannot be opened"));
        for path in [".", "", "./."] {
            assert!(wrong(dir.path(), path).contains("directory"), "{path}");
        }
        assert!(wrong(dir.path(), "missing").contains("no file missing"));
    }

    #[test]
    fn a_file_has_a_size_that_can_be_sent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("large"), [0; 101]).unwrap();
        std::fs::write(dir.path().join("right"), [0; 100]).unwrap();
        std::fs::write(dir.path().join("empty"), "").unwrap();
        assert!(wrong(dir.path(), "large").contains("101 bytes"));
        assert!(wrong(dir.path(), "empty").contains("empty"));
        let right = read(&held(dir.path()), "right", 100).unwrap();
        assert_eq!(right.bytes.len(), 100);
    }

    #[test]
    fn the_platform_has_the_last_word_on_size() {
        assert_eq!(most(Some(None), 10), Ok(10));
        assert_eq!(most(Some(Some(7)), 10), Ok(7));
        assert_eq!(most(Some(Some(70)), 10), Ok(10));
        assert!(most(Some(Some(0)), 10).unwrap_err().contains("no files"));
        assert!(most(None, 10).is_err());
    }
}
