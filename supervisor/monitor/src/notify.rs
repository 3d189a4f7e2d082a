//! The notify socket: how a process says that it is ready, alive, stopping, and how it is.
//!
//! The protocol is sd_notify(3): datagrams of `NAME=VALUE` lines. Each process has a socket of its
//! own, so that one that floods it fills only its own queue. A datagram counts only if the kernel
//! says (SCM_CREDENTIALS) that the process itself sent it: not a grandchild, not the generation
//! before. Longer than 2 KiB, or with descriptors attached: dropped whole.
//!
//! It understands READY=1, WATCHDOG=1, STOPPING=1 and STATUS=; everything else is ignored. The
//! status text is for people's eyes only: cut, escaped, never interpreted.

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::error::MonitorError;
use crate::links::socket_address;
use crate::table::Now;

/// The longest status text, in characters before escaping.
const STATUS_CHARS: usize = 256;
/// The longest datagram, in bytes.
const DATAGRAM_BYTES: usize = 2048;
/// This many datagrams are read at a time; one who sends more is read again after a pause.
const DATAGRAMS: usize = 64;
const PAUSE: Duration = Duration::from_millis(100);

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Ready,
    Beat,
    Stopping,
    /// Printable text of a bounded length, safe for a terminal and a log line.
    Status(String),
}

/// Reads one datagram.
fn parse(datagram: &[u8]) -> Vec<Note> {
    let lines = datagram.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| match line {
            b"READY=1" => Some(Note::Ready),
            b"WATCHDOG=1" => Some(Note::Beat),
            b"STOPPING=1" => Some(Note::Stopping),
            _ => Some(Note::Status(printable(line.strip_prefix(b"STATUS=")?))),
        })
        .collect()
}

fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::new();
    for (n, char) in text.chars().enumerate() {
        if n == STATUS_CHARS {
            out.push('…');
            break;
        }
        match char {
            // Characters that are not seen but change how others are.
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => out.extend(char.escape_unicode()),
            char if char.is_control() => out.extend(char.escape_default()),
            char => out.push(char),
        }
    }
    out
}

/// The receiving end of one process' notify socket. Its file is removed with it.
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    paused_until: Option<Now>,
}

impl NotifySocket {
    /// Binds a socket at this path, in the place of whatever is there.
    pub(crate) fn bind(path: PathBuf) -> Result<Self, MonitorError> {
        socket_address(&path)?;
        let bind = || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let socket = UnixDatagram::bind(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            setsockopt(&socket, PassCred, &true)?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => Ok(Self {
                socket,
                path,
                paused_until: None,
            }),
            Err(error) => Err(MonitorError::Socket {
                path,
                why: error.to_string(),
            }),
        }
    }

    /// Where the process sends to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ready when there is something to read, except during the pause of a flooder.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.paused_until.is_some() {
            return Poll::Pending;
        }
        // An error says that the runtime is going down; then there is nothing left to wait for.
        match self.socket.poll_recv_ready(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// When a flooder's pause ends.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.paused_until
    }

    /// Reads the socket dry and returns what this process said. Never waits.
    ///
    /// It asks the system, not the runtime, whether there is something: a judge of a deadline must
    /// not depend on whether the runtime has had a look since the datagram came.
    pub(crate) fn read(&mut self, from: Option<Pid>, now: Now) -> Vec<Note> {
        self.paused_until = self.paused_until.filter(|until| now < *until);
        let mut notes = Vec::new();
        for _ in 0..DATAGRAMS {
            match receive(&self.socket) {
                Ok(Some((sender, datagram))) if Some(sender) == from => {
                    notes.extend(parse(&datagram));
                }
                Ok(Some((sender, _))) => {
                    tracing::debug!(
                        pid = sender.as_raw(),
                        "ignored a notification from a stranger"
                    );
                }
                Ok(None) => tracing::debug!("ignored an oversized or malformed notification"),
                Err(Errno::EINTR) => {}
                Err(_) => {
                    // Dry: the runtime may wait for the next one. What comes between the last
                    // read and this line wakes it anew.
                    let dry = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _ = self.socket.try_io(Interest::READABLE, dry);
                    return notes;
                }
            }
        }
        self.paused_until.get_or_insert(now + PAUSE);
        notes
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One datagram and its sender; `None` for one that is not to be trusted.
fn receive(socket: &UnixDatagram) -> Result<Option<(Pid, Vec<u8>)>, Errno> {
    let mut bytes = vec![0; DATAGRAM_BYTES];
    // Room for credentials and not for one descriptor more: the kernel then drops any that come
    // with the datagram instead of opening them here.
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let length = message.bytes;
    let whole = !message
        .flags
        .intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
    let sender = message
        .cmsgs()
        .ok()
        .into_iter()
        .flatten()
        .find_map(|one| match one {
            ControlMessageOwned::ScmCredentials(who) => Some(Pid::from_raw(who.pid())),
            _ => None,
        });
    bytes.truncate(length);
    Ok(sender.filter(|_| whole).map(|sender| (sender, bytes)))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixDatagram;

    use nix::sys::socket::{ControlMessage, sendmsg};

    use super::*;

    #[test]
    fn datagrams_are_read_line_by_line() {
        assert_eq!(
            parse(b"READY=1\nSTATUS=linked\nWATCHDOG=1\n"),
            [Note::Ready, Note::Status("linked".into()), Note::Beat]
        );
        assert_eq!(parse(b"STOPPING=1"), [Note::Stopping]);
        assert_eq!(
            parse(b"READY=0\nMAINPID=1\nFDSTORE=1\nready=1\n READY=1\n\n"),
            []
        );
    }

    #[test]
    fn status_text_is_cut_and_escaped() {
        let status = |text: &[u8]| match parse(&[b"STATUS=", text].concat()).pop() {
            Some(Note::Status(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(status("已连接".as_bytes()), "已连接");
        assert_eq!(status(b"\x1b[2Jboo\r"), "\\u{1b}[2Jboo\\r");
        assert_eq!(status("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(status(b"\xff"), "\u{fffd}");
        assert_eq!(status("é".repeat(300).as_bytes()), "é".repeat(256) + "…");
    }

    fn socket() -> (tempfile::TempDir, NotifySocket, UnixDatagram) {
        let dir = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(dir.path().join("1.sock")).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(socket.path()).unwrap();
        sender.set_nonblocking(true).unwrap();
        (dir, socket, sender)
    }

    const NOW: Now = Duration::from_secs(1);

    #[tokio::test]
    async fn only_the_process_itself_is_heard() {
        let (_dir, mut socket, sender) = socket();
        let me = Pid::from_raw(std::process::id() as i32);
        sender.send(b"READY=1").unwrap();
        assert_eq!(socket.read(Some(me), NOW), [Note::Ready]);
        sender.send(b"READY=1").unwrap();
        assert_eq!(socket.read(Some(Pid::from_raw(1)), NOW), []);
        sender.send(b"READY=1").unwrap();
        assert_eq!(socket.read(None, NOW), []);
        assert_eq!(socket.read(Some(me), NOW), [], "what was not heard is gone");
    }

    #[tokio::test]
    async fn what_is_too_long_or_carries_descriptors_is_dropped_whole() {
        let (_dir, mut socket, sender) = socket();
        let me = Some(Pid::from_raw(std::process::id() as i32));
        sender
            .send(&[b"READY=1\n".as_slice(), &[b'x'; DATAGRAM_BYTES]].concat())
            .unwrap();
        assert_eq!(socket.read(me, NOW), []);

        let (mut reads, writes) = std::io::pipe().unwrap();
        let fds = [writes.as_raw_fd()];
        let parts = [std::io::IoSlice::new(b"READY=1")];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(sender.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).unwrap();
        assert_eq!(socket.read(me, NOW), []);
        drop(writes);
        let mut rest = Vec::new();
        reads
            .read_to_end(&mut rest)
            .expect("no copy of the descriptor stayed open here");
        sender.send(b"READY=1").unwrap();
        assert_eq!(
            socket.read(me, NOW),
            [Note::Ready],
            "and the next one is heard"
        );
    }

    #[tokio::test]
    async fn a_flooder_is_read_in_portions() {
        let (_dir, mut socket, sender) = socket();
        let me = Some(Pid::from_raw(std::process::id() as i32));
        // The system queues only a few; keep it full while it is being read.
        let flood = std::thread::spawn(move || {
            let mut sent = 0;
            while sent < 4 * DATAGRAMS {
                match sender.send(b"WATCHDOG=1") {
                    Ok(_) => sent += 1,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::yield_now();
                    }
                    Err(_) => return,
                }
            }
        });
        let mut heard = 0;
        while !flood.is_finished() || heard < 4 * DATAGRAMS {
            let portion = socket.read(me, NOW).len();
            assert!(portion <= DATAGRAMS);
            heard += portion;
        }
        assert_eq!(heard, 4 * DATAGRAMS);
    }

    #[tokio::test]
    async fn readiness_wakes_once_more_after_being_read_dry() {
        let (_dir, mut socket, sender) = socket();
        let me = Some(Pid::from_raw(std::process::id() as i32));
        for _ in 0..3 {
            sender.send(b"WATCHDOG=1").unwrap();
            let readable = std::future::poll_fn(|cx| socket.poll_readable(cx));
            tokio::time::timeout(Duration::from_secs(5), readable)
                .await
                .unwrap();
            assert_eq!(socket.read(me, NOW), [Note::Beat]);
        }
    }
}
