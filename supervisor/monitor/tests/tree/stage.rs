//! A monitor of its own for each test: started from a plan, watched through what it and its
//! children print, asked through its control socket.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use monitor::control::{Client, ProcessStatus, Request, Status};
use monitor::{Claim, ProcessSpec, Role, Timing, TreeSpec, Wanted};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_secs(30);

/// One process of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) verbs: Vec<String>,
    pub(crate) watchdog_ms: Option<u64>,
    pub(crate) ready_ms: u64,
    pub(crate) drain_ms: u64,
    pub(crate) links: Vec<String>,
    pub(crate) program: Option<PathBuf>,
}

pub(crate) fn row(name: &str, role: Role, verbs: &str) -> Row {
    Row {
        name: name.to_owned(),
        role,
        verbs: verbs.split(' ').map(str::to_owned).collect(),
        watchdog_ms: None,
        ready_ms: 30_000,
        drain_ms: 30_000,
        links: vec![],
        program: None,
    }
}

/// The role "monitor" of this program: runs the plan in this directory.
pub(crate) fn monitor(dir: &Path) {
    tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .init();
    let claim = match Claim::take(&dir.join("state"), &dir.join("run")) {
        Ok(claim) => claim,
        Err(error) => return println!("no claim: {error}"),
    };
    let links = Rc::new(RefCell::new(claim.links()));
    let plan = dir.join("plan.json");
    let read = move || read(&plan, &mut links.borrow_mut());
    let spec = TreeSpec {
        claim,
        launcher: (std::env::current_exe().unwrap(), vec!["launch".into()]),
        wanted: read().unwrap(),
        projects: 1,
        reload: Box::new(read),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("monitor ended: {:?}", runtime.block_on(monitor::run(spec)));
}

fn read(plan: &Path, links: &mut monitor::Links) -> Result<Wanted, String> {
    let rows = fs::read(plan).map_err(|error| error.to_string())?;
    let rows: Vec<Row> = serde_json::from_slice(&rows).map_err(|error| error.to_string())?;
    let processes = rows
        .into_iter()
        .map(|row| {
            // As in the product: how long it may drain is nothing that it is told.
            let told = Row {
                drain_ms: 0,
                ..row.clone()
            };
            let fingerprint = format!("{told:?}");
            let own = std::env::current_exe().unwrap();
            let args = [vec!["child".to_owned(), row.name.clone()], row.verbs].concat();
            let listen = |peer: &String| Ok((format!("link.{peer}"), links.listener(peer)?));
            let listeners: Result<_, monitor::MonitorError> =
                row.links.iter().map(listen).collect();
            Ok(ProcessSpec {
                name: row.name,
                role: row.role,
                program: row.program.unwrap_or(own),
                args: args.into_iter().map(Into::into).collect(),
                env: vec![("GIVEN".into(), "1".into())],
                config: Box::new(|generation| {
                    format!("token=hunter2;generation={generation}")
                        .into_bytes()
                        .into()
                }),
                listeners: listeners.map_err(|error| error.to_string())?,
                watchdog: row.watchdog_ms.map(Duration::from_millis),
                ready_timeout: Duration::from_millis(row.ready_ms),
                drain_timeout: Duration::from_millis(row.drain_ms),
                fingerprint,
            })
        })
        .collect::<Result<_, String>>()?;
    let timing = Timing {
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(100),
        alarm_deaths: 3,
        stray_grace: Duration::from_millis(200),
        tick: Duration::from_millis(500),
        asleep: Duration::from_secs(1),
        ..Timing::default()
    };
    Ok(Wanted { processes, timing })
}

/// A running monitor.
pub(crate) struct Stage {
    pub(crate) dir: Rc<tempfile::TempDir>,
    monitor: Child,
    lines: Receiver<String>,
    /// What was printed and not yet waited for.
    seen: Vec<Option<String>>,
}

impl Stage {
    pub(crate) fn new(rows: &[Row]) -> Self {
        Self::in_dir(Rc::new(tempfile::tempdir().unwrap()), rows)
    }

    /// With a directory that another stage has used, or still uses.
    pub(crate) fn in_dir(dir: Rc<tempfile::TempDir>, rows: &[Row]) -> Self {
        write_plan(dir.path(), rows);
        // As a careless shell would start it: with an open descriptor, a secret, and signals
        // ignored. None of it may reach a child.
        let script = "exec 9</dev/null; trap '' HUP QUIT USR1; exec \"$0\" monitor \"$1\"";
        let mut monitor = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .arg(dir.path())
            .env("TOKEN", "hunter2")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = monitor.stdout.take().unwrap();
        let (sender, lines) = channel();
        // It ends, and with it the channel, when nobody holds the pipe any more: neither the
        // monitor nor anything it started.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            dir,
            monitor,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line that contains all of these, and takes it.
    pub(crate) fn wait(&mut self, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        let matches = |line: &String| parts.iter().all(|part| line.contains(part));
        loop {
            let found = self
                .seen
                .iter_mut()
                .find(|line| line.as_ref().is_some_and(matches));
            if let Some(line) = found {
                return line.take().unwrap();
            }
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(Some(line)),
                Err(error) => panic!("{parts:?} did not come ({error}); left:\n{}", self.left()),
            }
        }
    }

    /// Waits until the monitor and everything it started are gone.
    pub(crate) fn wait_for_the_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(Some(line)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("somebody lives:\n{}", self.left()),
            }
        }
        self.monitor.wait().unwrap();
    }

    /// Whether a line with these has been printed and not been waited for.
    pub(crate) fn has(&self, parts: &[&str]) -> bool {
        let lines = self.seen.iter().flatten();
        lines
            .into_iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    }

    fn left(&self) -> String {
        self.seen
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Everything printed so far and not taken, in order.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.seen.iter().flatten().cloned().collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.monitor.id() as i32)
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.dir.path().join("run"))
    }

    pub(crate) fn status(&self) -> Status {
        self.client().status().unwrap()
    }

    pub(crate) fn process(&self, name: &str) -> ProcessStatus {
        let found = self
            .status()
            .processes
            .into_iter()
            .find(|process| process.name == name);
        found.unwrap_or_else(|| panic!("no {name}"))
    }

    /// Asks until the answer pleases. Each answer comes after a whole turn of the monitor's loop,
    /// so asking is also what moves it.
    pub(crate) fn until(&self, what: &str, pleases: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if pleases(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what}: {status:#?}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn restart(&self, name: &str) -> String {
        self.client()
            .order(&Request::Restart(name.to_owned()))
            .unwrap()
    }

    pub(crate) fn reload(&self, rows: &[Row]) -> String {
        write_plan(self.dir.path(), rows);
        self.client().order(&Request::Reload).unwrap()
    }

    /// The zombies among the monitor's children.
    pub(crate) fn zombies(&self) -> usize {
        let parent = format!(" Z {} ", self.pid());
        let stats = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
        stats.filter(|stat| stat.contains(&parent)).count()
    }
}

impl Drop for Stage {
    /// Even a failed test leaves nobody behind: asked twice, a monitor ends everything at once.
    fn drop(&mut self) {
        if !matches!(self.monitor.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = kill(self.pid(), Signal::SIGINT);
        let deadline = Instant::now() + PATIENCE;
        let left = || deadline.saturating_duration_since(Instant::now());
        while self.lines.recv_timeout(left()).is_ok() {}
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

pub(crate) fn write_plan(dir: &Path, rows: &[Row]) {
    fs::write(dir.join("plan.json"), serde_json::to_vec(rows).unwrap()).unwrap();
}

pub(crate) fn exists(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// The number after `pid=` in a line.
pub(crate) fn pid_in(line: &str) -> i32 {
    line.split_once("pid=")
        .unwrap()
        .1
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
