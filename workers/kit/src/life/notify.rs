//! What a process says of itself: readiness, liveness and a line of status, as datagrams in the
//! format of sd_notify(3).
//!
//! Never blocks: some ten datagrams fill the socket of a parent that is slow or stopped, and a
//! worker must outlive that. Readiness, the end and the newest status are sent again until they are
//! through; a lost sign of life is followed by the next one.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

/// The longest status line, in characters.
const LONGEST_STATUS: usize = 200;
/// How often something that did not get through is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest time between two looks at what is left to say.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
struct Unsaid {
    ready: bool,
    stopping: bool,
    status: Option<String>,
    last_status: String,
}

#[derive(Debug)]
struct Inner {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    unsaid: Mutex<Unsaid>,
    more: tokio::sync::Notify,
}

/// The way to whoever supervises the process; does nothing if nobody does. Clones share it.
#[derive(Debug, Clone)]
pub struct Notify {
    inner: Arc<Inner>,
}

impl Notify {
    /// By `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_env() -> Notify {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let watchdog = period(|name| std::env::var(name).ok(), std::process::id());
        match socket.map(|path| open(&path)).transpose() {
            Ok(socket) => Notify::over(socket, watchdog),
            Err(error) => {
                warn!("NOTIFY_SOCKET is of no use, so nobody hears of our state: {error}");
                Notify::nobody()
            }
        }
    }

    /// Tells nobody.
    pub fn nobody() -> Notify {
        Notify::over(None, None)
    }

    fn over(socket: Option<(UnixDatagram, SocketAddr)>, watchdog: Option<Duration>) -> Notify {
        let unsaid = Mutex::default();
        let more = tokio::sync::Notify::new();
        Notify {
            inner: Arc::new(Inner {
                socket,
                watchdog,
                unsaid,
                more,
            }),
        }
    }

    fn unsaid(&self) -> MutexGuard<'_, Unsaid> {
        self.inner
            .unsaid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// READY=1: the options are valid and the loops run. Independent of hub and platform.
    pub fn ready(&self) {
        self.unsaid().ready = true;
        self.say();
    }

    /// STOPPING=1.
    pub fn stopping(&self) {
        self.unsaid().stopping = true;
        self.say();
    }

    /// STATUS=: cut to one line of 200 characters; control characters become spaces. A line that
    /// says what the last one said is not sent again.
    pub fn status(&self, line: &str) {
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LONGEST_STATUS)
            .collect();
        {
            let mut unsaid = self.unsaid();
            if unsaid.last_status == line {
                return;
            }
            unsaid.last_status.clone_from(&line);
            unsaid.status = Some(line);
        }
        self.say();
    }

    /// Says what is left to say; what does not get through now stays.
    fn say(&self) {
        let mut unsaid = self.unsaid();
        if unsaid.ready && self.send("READY=1") {
            unsaid.ready = false;
        }
        if let Some(status) = unsaid
            .status
            .take_if(|status| self.send(&format!("STATUS={status}")))
        {
            drop(status);
        }
        if unsaid.stopping && self.send("STOPPING=1") {
            unsaid.stopping = false;
        }
        if unsaid.left() {
            self.inner.more.notify_one();
        }
    }

    /// Whether the matter is settled: sent, or there is nobody to hear it.
    fn send(&self, words: &str) -> bool {
        let Some((socket, to)) = &self.inner.socket else {
            return true;
        };
        match socket.send_to_addr(words.as_bytes(), to) {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }

    /// Signs of life at a third of the period, and what was left unsaid. Runs on the loop that does
    /// the work: if that hangs, this does.
    pub async fn run(self) {
        let beat = self.inner.watchdog.map_or(IDLE, |period| period / 3);
        let mut next_beat = tokio::time::Instant::now();
        loop {
            if self.inner.watchdog.is_some() && next_beat <= tokio::time::Instant::now() {
                self.send("WATCHDOG=1");
                next_beat = tokio::time::Instant::now() + beat;
            }
            let left = self.unsaid().left();
            let again = if left { AGAIN.min(beat) } else { beat };
            tokio::select! {
                () = tokio::time::sleep(again) => {}
                () = self.inner.more.notified(), if !left => {}
            }
            if left {
                self.say();
            }
        }
    }
}

impl Unsaid {
    fn left(&self) -> bool {
        self.ready || self.stopping || self.status.is_some()
    }
}

/// The watchdog's period, if it is meant for us.
fn period(variable: impl Fn(&str) -> Option<String>, pid: u32) -> Option<Duration> {
    let meant = variable("WATCHDOG_PID").is_none_or(|meant| meant.parse() == Ok(pid));
    let usec: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    (meant && usec > 0).then_some(Duration::from_micros(usec))
}

/// A path, or with a leading `@` a name in the abstract namespace.
fn open(address: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let to = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(OsString::from(address))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(watchdog: Option<Duration>) -> (Notify, UnixDatagram, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let parent = UnixDatagram::bind(&path).unwrap();
        parent
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let socket = open(path.as_os_str()).unwrap();
        (Notify::over(Some(socket), watchdog), parent, dir)
    }

    fn read(parent: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let n = parent.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    #[test]
    fn says_it_in_the_known_format_and_once() {
        let (notify, parent, _dir) = pair(None);
        notify.ready();
        notify.status("line one\nline two\u{1b}[0m");
        notify.status("line one\nline two\u{1b}[0m");
        notify.status(&"长".repeat(500));
        notify.stopping();
        assert_eq!(read(&parent), "READY=1");
        assert_eq!(read(&parent), "STATUS=line one line two [0m");
        assert_eq!(read(&parent), format!("STATUS={}", "长".repeat(200)));
        assert_eq!(read(&parent), "STOPPING=1");
    }

    #[test]
    fn abstract_names_work_too() {
        let name = format!("kit-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let parent = UnixDatagram::bind_addr(&address).unwrap();
        let socket = open(OsStr::new(&format!("@{name}"))).unwrap();
        Notify::over(Some(socket), None).ready();
        assert_eq!(read(&parent), "READY=1");
    }

    #[tokio::test]
    async fn a_full_socket_never_blocks_and_the_newest_status_gets_through() {
        let (notify, parent, _dir) = pair(None);
        tokio::spawn(notify.clone().run());
        tokio::task::yield_now().await; // it has nothing to do and sleeps
        (0..500).for_each(|n| notify.status(&format!("n {n}")));
        notify.ready();
        assert!(notify.unsaid().left(), "the socket should be full by now");
        let seen = tokio::task::spawn_blocking(move || {
            let mut seen = Vec::new();
            while !(seen.contains(&"READY=1".to_string()) && seen.contains(&"STATUS=n 499".into()))
            {
                seen.push(read(&parent));
            }
            seen
        });
        let seen = seen.await.unwrap();
        assert!(seen.len() < 100, "only the newest waits: {}", seen.len());
    }

    #[tokio::test]
    async fn beats_while_the_loop_runs() {
        let (notify, parent, _dir) = pair(Some(Duration::from_millis(30)));
        tokio::spawn(notify.run());
        let beats = tokio::task::spawn_blocking(move || [read(&parent), read(&parent)]);
        assert_eq!(beats.await.unwrap(), ["WATCHDOG=1", "WATCHDOG=1"]);
    }

    #[test]
    fn the_watchdog_is_ours_or_nobodys() {
        let of = |pid: Option<&str>, usec: &str| {
            let variable = |name: &str| match name {
                "WATCHDOG_PID" => pid.map(String::from),
                _ => Some(usec.to_string()),
            };
            period(variable, 7)
        };
        assert_eq!(of(None, "3000000"), Some(Duration::from_secs(3)));
        assert_eq!(of(Some("7"), "3000000"), Some(Duration::from_secs(3)));
        assert_eq!(of(Some("8"), "3000000"), None);
        assert_eq!(of(None, "0"), None);
        assert_eq!(of(None, "soon"), None);
    }
}
