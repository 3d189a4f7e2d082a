//! Directories and files in places where somebody else may write: an agent, or whoever wrote the
//! repository that it works in.
//!
//! A [`Dir`] is held open, and everything in it is reached from what is held, by the kernel's own
//! rule (`openat2` with `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`): who swaps a directory for a
//! link, or has laid one before, gets an error and no access.
//!
//! Promises: no symbolic link in a place is followed, wherever it leads and whenever it was laid
//! ([`Dir::within`] alone follows those that stay in it);
//! nothing is waited for, be it a pipe or a device; what is read is a regular file, and no more of
//! it than was asked for; a file that is made was not there before. A kernel without `openat2`
//! (before Linux 5.6) is an error in words, never a look without the rule. The way to the place
//! itself is the operator's word: links on it are followed.
//!
//! It does not say who may write where, nor hinder anybody from changing what is regular.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// What is opened is for this process alone, is not waited for, and becomes no terminal of ours.
const CALM: OFlag = OFlag::O_CLOEXEC
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY);
/// What is held without being opened; the kernel takes no other flags with this one.
const HELD: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// A directory that is held open.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// Where it was, for words.
    path: PathBuf,
}

impl Dir {
    /// Opens a directory whose path nobody but the operator has a hand in.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Dir> {
        let fd = open(path, HELD | OFlag::O_DIRECTORY, Mode::empty())?;
        let path = path.to_owned();
        Ok(Dir { fd, path })
    }

    /// A directory below.
    ///
    /// # Errors
    /// If there is a link on the way, in words; else what the system says.
    pub fn below(&self, path: &Path) -> io::Result<Dir> {
        let fd = self.at(path, HELD | OFlag::O_DIRECTORY, Mode::empty())?;
        let path = self.path.join(path);
        Ok(Dir { fd, path })
    }

    /// A directory below, made with what is missing on the way; it is its owner's alone.
    ///
    /// # Errors
    /// As [`Dir::below`].
    pub fn make(&self, path: &Path) -> io::Result<Dir> {
        let mut parts = path.components();
        let first = match parts.next() {
            Some(Component::Normal(first)) => first,
            _ => return Err(no_name(path.as_os_str())),
        };
        match mkdirat(&self.fd, first, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let dir = self.below(Path::new(first))?;
        match parts.as_path() {
            rest if rest.as_os_str().is_empty() => Ok(dir),
            rest => dir.make(rest),
        }
    }

    /// Makes a file in it, to write and to read; it is its owner's alone.
    ///
    /// # Errors
    /// If anything of that name is there, a link that leads nowhere included; else what the system
    /// says.
    pub fn create(&self, name: &str) -> io::Result<File> {
        let flags = CALM | OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = self.at(
            single(OsStr::new(name))?,
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )?;
        Ok(file.into())
    }

    /// A regular file below, to read.
    ///
    /// # Errors
    /// If it is no regular file or there is a link on the way, in words; else what the system says.
    pub fn regular(&self, path: &Path) -> io::Result<File> {
        let flags = CALM | OFlag::O_RDONLY | OFlag::O_NOFOLLOW;
        let file = self.at(path, flags, Mode::empty())?;
        only_regular(file.into(), &self.path.join(path))
    }

    /// What is known of something below: of a link, of itself.
    ///
    /// # Errors
    /// As [`Dir::below`].
    pub fn about(&self, path: &Path) -> io::Result<Metadata> {
        // A link at the end is held itself, not refused.
        let file = self.at(path, HELD | OFlag::O_NOFOLLOW, Mode::empty())?;
        File::from(file).metadata()
    }

    /// The names of what lies in it.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self) -> io::Result<impl Iterator<Item = OsString>> {
        let entries = fs::read_dir(self.held())?;
        Ok(entries.filter_map(|entry| Some(entry.ok()?.file_name())))
    }

    /// Removes a file of it, or a link.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(
            &self.fd,
            single(name)?,
            UnlinkatFlags::NoRemoveDir,
        )?)
    }

    /// Removes a directory of it with all that is in that; of links, the links.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_all(&self, name: &OsStr) -> io::Result<()> {
        // The library goes down by descriptors, and follows no link from here on.
        fs::remove_dir_all(self.held().join(single(name)?))
    }

    /// Opens a file below to read it, whatever it is. Links are followed where they stay below.
    ///
    /// # Errors
    /// [`Errno::EXDEV`] if one leads out; else what the system says.
    pub fn within(&self, path: &Path) -> Result<File, Errno> {
        let rule = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(CALM | OFlag::O_RDONLY).resolve(rule);
        let mut tries = 0;
        loop {
            match openat2(&self.fd, path, how) {
                // Something was renamed in the midst of it.
                Err(Errno::EAGAIN) if tries < 10 => tries += 1,
                opened => return opened.map(File::from),
            }
        }
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path to what is held, wherever it is now: good in this process, and in one that it starts
    /// until that becomes another program.
    pub fn held(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into()
    }

    fn at(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let rule = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(flags).mode(mode).resolve(rule);
        openat2(&self.fd, path, how).map_err(|errno| told(errno, &self.path.join(path)))
    }
}

/// What lies at a whole path that has no link in it, held but not opened. None = nothing that we
/// could reach.
///
/// # Errors
/// If there is a link in it by now, in words; else what the system says.
pub fn exactly(path: &Path) -> io::Result<Option<File>> {
    let rule = ResolveFlag::RESOLVE_NO_SYMLINKS;
    let how = OpenHow::new().flags(HELD).resolve(rule);
    match openat2(AT_FDCWD, path, how) {
        Ok(held) => Ok(Some(held.into())),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => Ok(None),
        Err(errno) => Err(told(errno, path)),
    }
}

/// A regular file, to read. Links on the way to it are followed; it is none itself.
///
/// # Errors
/// If it is no regular file, in words; else what the system says.
pub fn regular(path: &Path) -> io::Result<File> {
    let file = open(
        path,
        CALM | OFlag::O_RDONLY | OFlag::O_NOFOLLOW,
        Mode::empty(),
    );
    only_regular(file.map_err(|errno| told(errno, path))?.into(), path)
}

/// What stands in a file from where it is, up to `most` bytes.
///
/// # Errors
/// What the system says.
pub fn head(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn only_regular(file: File, path: &Path) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => {
            let words = format!("{} is no regular file", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, words))
        }
    }
}

/// A name of something in a directory, and no way to somewhere else.
fn single(name: &OsStr) -> io::Result<&Path> {
    let path = Path::new(name);
    let mut parts = path.components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(path),
        _ => Err(no_name(name)),
    }
}

fn no_name(name: &OsStr) -> io::Error {
    let words = format!("{} is no name of a file", name.display());
    io::Error::new(io::ErrorKind::InvalidInput, words)
}

fn told(errno: Errno, path: &Path) -> io::Error {
    let path = path.display();
    match errno {
        Errno::ELOOP => io::Error::other(format!(
            "there is a symbolic link in {path}, and it is not followed. Remove it"
        )),
        Errno::ENOSYS => io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{path} cannot be opened safely: this kernel has no openat2 (Linux 5.6)"),
        ),
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};
    use std::os::unix::fs::symlink;

    struct Place {
        root: tempfile::TempDir,
        dir: Dir,
    }

    /// A place, and beside it what is none of its business.
    fn place() -> Place {
        let root = tempfile::tempdir().unwrap();
        for name in ["place", "outside"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("outside/secret"), "canary").unwrap();
        let dir = Dir::open(&root.path().join("place")).unwrap();
        Place { root, dir }
    }

    impl Place {
        fn link(&self, to: &str, name: &str) {
            symlink(to, self.root.path().join("place").join(name)).unwrap();
        }

        fn outside(&self) -> Vec<String> {
            let entries = fs::read_dir(self.root.path().join("outside")).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        }
    }

    #[test]
    fn no_link_is_followed_whatever_is_done() {
        let place = place();
        place.link("../outside", "dir");
        place.link("../outside/secret", "file");
        place.link("../outside/new", "dangling");
        let dir = &place.dir;
        for path in ["dir", "dir/x", "../outside"] {
            assert!(dir.below(Path::new(path)).is_err(), "{path}");
            assert!(dir.make(Path::new(path)).is_err(), "{path}");
        }
        for path in ["file", "dir/secret", "../outside/secret", "/etc/hostname"] {
            assert!(dir.regular(Path::new(path)).is_err(), "{path}");
        }
        for name in ["file", "dangling", "dir/new", "../new", "..", ""] {
            assert!(dir.create(name).is_err(), "{name}");
        }
        assert!(dir.about(Path::new("dir/secret")).is_err());
        assert!(dir.about(Path::new("file")).unwrap().is_symlink());
        let why = dir.below(Path::new("dir")).unwrap_err().to_string();
        assert!(why.contains("symbolic link in") && why.contains("place/dir"));
        assert_eq!(place.outside(), ["secret"]);
    }

    #[test]
    fn what_is_removed_lies_in_it() {
        let place = place();
        place.link("../outside", "dir");
        let dir = &place.dir;
        let own = dir.make(Path::new("own/deep")).unwrap();
        own.create("file").unwrap();
        symlink(place.root.path().join("outside"), own.held().join("out")).unwrap();
        dir.remove_all(OsStr::new("own")).unwrap();
        dir.remove_all(OsStr::new("dir")).unwrap();
        for name in ["..", ".", "", "../outside", "/"] {
            assert!(dir.remove_all(OsStr::new(name)).is_err(), "{name}");
            assert!(dir.remove_file(OsStr::new(name)).is_err(), "{name}");
        }
        assert_eq!(dir.names().unwrap().count(), 0);
        assert_eq!(place.outside(), ["secret"]);
    }

    #[test]
    fn what_was_opened_stays_what_it_is() {
        let place = place();
        let work = place.root.path().join("place");
        let own = place.dir.make(Path::new("own")).unwrap();
        fs::rename(work.join("own"), work.join("moved")).unwrap();
        place.link("../outside", "own");
        let mut file = own.create("file").unwrap();
        file.write_all(b"text").unwrap();
        file.rewind().unwrap();
        assert_eq!(head(&file, 3).unwrap(), b"tex");
        assert_eq!(fs::read(work.join("moved/file")).unwrap(), b"text");
        assert_eq!(own.names().unwrap().collect::<Vec<_>>(), ["file"]);
        assert_eq!(place.outside(), ["secret"]);
    }

    #[test]
    fn a_path_that_was_looked_at_is_held_to_it() {
        let place = place();
        let root = place.root.path().canonicalize().unwrap();
        assert!(exactly(&root.join("outside/secret")).unwrap().is_some());
        assert!(exactly(&root.join("outside/no")).unwrap().is_none());
        assert!(exactly(&root.join("outside/secret/no")).unwrap().is_none());
        place.link("../outside", "dir");
        place.link("../outside/secret", "file");
        assert!(exactly(&root.join("place/dir/secret")).is_err());
        assert!(exactly(&root.join("place/file")).is_err_and(|e| e.to_string().contains("link")));
    }

    #[test]
    fn nothing_is_waited_for() {
        let place = place();
        let pipe = place.root.path().join("place/pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let told = |error: io::Error| error.to_string();
        let why = place.dir.regular(Path::new("pipe")).map_err(told);
        assert!(why.unwrap_err().contains("no regular file"));
        assert!(regular(&pipe).is_err());
        assert!(regular(Path::new("/dev/zero")).is_err());
        place.link("/dev/zero", "endless");
        assert!(regular(&place.root.path().join("place/endless")).is_err());
    }
}
