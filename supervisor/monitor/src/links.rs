//! The hub's listening sockets, one a peer.
//!
//! The monitor binds them and keeps them, whoever inherits them: while the hub is down its peers
//! connect as before and wait in the backlog. A socket is bound once in the life of a monitor;
//! asking again gives the same one, because binding anew would cut off whoever listens on the old.
//!
//! They live in `RUNTIME/links/`, a directory of mode 0700, as files of mode 0600. That a peer is
//! who its socket says is not decided here.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::MonitorError;

/// `sockaddr_un.sun_path` (unix(7)), with its final zero.
const SUN_PATH_BYTES: usize = 108;

/// The listening sockets minted so far. Made by [`crate::Claim::links`].
pub struct Links {
    dir: PathBuf,
    minted: BTreeMap<String, Arc<OwnedFd>>,
}

impl Links {
    pub(crate) fn within(dir: PathBuf) -> Self {
        Self {
            dir,
            minted: BTreeMap::new(),
        }
    }

    /// Where this peer connects to (`--link unix:PATH`).
    pub fn path(&self, peer: &str) -> PathBuf {
        self.dir.join(format!("{peer}.sock"))
    }

    /// The socket this peer is listened for on: nonblocking, bound in the place of what a dead
    /// monitor left behind.
    ///
    /// # Errors
    /// If the name cannot be a file's, the path is too long for a socket, or binding fails.
    pub fn listener(&mut self, peer: &str) -> Result<Arc<OwnedFd>, MonitorError> {
        if let Some(minted) = self.minted.get(peer) {
            return Ok(minted.clone());
        }
        let path = self.path(peer);
        if peer.is_empty() || peer.starts_with('.') || peer.contains(['/', '\0']) {
            let why = format!("{peer:?} cannot be a file name; rename the peer");
            return Err(MonitorError::Socket { path, why });
        }
        let listener = Arc::new(OwnedFd::from(listen(&path)?));
        self.minted.insert(peer.to_owned(), listener.clone());
        Ok(listener)
    }

    /// Forgets the peers that the configuration no longer has, and removes their sockets' files.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        let gone: Vec<String> = self
            .minted
            .keys()
            .filter(|peer| !wanted(peer))
            .cloned()
            .collect();
        for peer in gone {
            self.minted.remove(&peer);
            let _ = fs::remove_file(self.path(&peer));
        }
    }
}

/// Listens at this path with mode 0600, in the place of whatever is there.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, MonitorError> {
    socket_address(path)?;
    let bind = || {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|error| MonitorError::Socket {
        path: path.into(),
        why: error.to_string(),
    })
}

/// Checks that a path is short enough for a socket.
pub(crate) fn socket_address(path: &Path) -> Result<(), MonitorError> {
    let bytes = path.as_os_str().len();
    if bytes < SUN_PATH_BYTES {
        return Ok(());
    }
    let why = format!(
        "its path has {bytes} bytes and the system allows {}; use a shorter --runtime-dir",
        SUN_PATH_BYTES - 1
    );
    Err(MonitorError::Socket {
        path: path.into(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn links() -> (tempfile::TempDir, Links) {
        let dir = tempfile::tempdir().unwrap();
        let links = Links::within(dir.path().to_owned());
        (dir, links)
    }

    #[test]
    fn a_peer_has_one_socket_for_the_whole_life() {
        let (_dir, mut links) = links();
        let first = links.listener("main").unwrap();
        let waiting = UnixStream::connect(links.path("main")).unwrap();
        let again = links.listener("main").unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let mode = fs::metadata(links.path("main"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let listener = UnixListener::from(again.try_clone().unwrap());
        assert!(
            listener.accept().is_ok(),
            "who connected before waits in the backlog"
        );
        drop(waiting);
    }

    #[test]
    fn a_dead_monitors_socket_is_replaced() {
        let (_dir, mut links) = links();
        drop(UnixListener::bind(links.path("main")).unwrap());
        assert!(UnixStream::connect(links.path("main")).is_err());
        links.listener("main").unwrap();
        UnixStream::connect(links.path("main")).unwrap();
    }

    #[test]
    fn peers_that_are_gone_lose_their_socket() {
        let (_dir, mut links) = links();
        links.listener("a").unwrap();
        links.listener("b").unwrap();
        links.retain(|peer| peer == "a");
        assert!(links.path("a").exists() && !links.path("b").exists());
    }

    #[test]
    fn names_and_lengths_are_refused_in_words() {
        let (_dir, mut links) = links();
        for peer in ["", ".", "..", "a/b", "a\0b"] {
            assert!(links.listener(peer).is_err(), "{peer:?}");
        }
        let error = links.listener(&"x".repeat(100)).unwrap_err().to_string();
        assert!(error.contains("shorter --runtime-dir"), "{error}");
        let room = SUN_PATH_BYTES - 1 - links.path("").as_os_str().len();
        links.listener(&"x".repeat(room)).unwrap();
        assert!(links.listener(&"x".repeat(room + 1)).is_err());
    }
}
