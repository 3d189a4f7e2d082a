//! A running tree.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fake_kit::Ledger;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::{DEADLINE, Setup, program};

/// `bulkhead status --json`, parsed.
pub type Status = Value;

/// `bulkhead run` in a temporary directory, until dropped.
pub struct Tree {
    /// Every line that any of its processes logged.
    pub log: Ledger<String>,
    directory: TempDir,
    home: PathBuf,
    path: std::ffi::OsString,
    env: Vec<(String, String)>,
    monitor: Option<Child>,
}

impl Tree {
    /// Writes the configuration and starts the tree; does not wait for it.
    pub fn start(setup: &Setup) -> Tree {
        let directory = tempfile::Builder::new()
            .prefix("bh")
            .tempdir()
            .expect("a directory");
        let home = setup.home.clone().unwrap_or_else(|| {
            let home = directory.path().join("home");
            std::fs::create_dir(&home).expect("a home");
            home
        });
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let first = setup.path.iter().cloned();
        let path = std::env::join_paths(first.chain(std::env::split_paths(&usual)));
        let mut tree = Tree {
            log: Ledger::new(),
            directory,
            home,
            path: path.expect("directories without a colon"),
            env: setup.env.clone(),
            monitor: None,
        };
        std::fs::create_dir(tree.work_dir()).expect("a work dir");
        tree.configure(setup);
        tree.run();
        tree
    }

    /// Starts the tree and waits until every process has been ready.
    pub async fn running(setup: &Setup) -> Tree {
        let tree = Tree::start(setup);
        tree.logged("bulkhead is running").await;
        tree
    }

    /// Writes the configuration anew.
    pub fn configure(&self, setup: &Setup) {
        let path = self.config();
        std::fs::write(&path, setup.config(&self.work_dir())).expect("a configuration");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    /// Starts the monitor (again).
    pub fn run(&mut self) {
        let mut command = self.command(&["run"]);
        command.args(["--config".as_ref(), self.config().as_os_str()]);
        command.args(["--state-dir".as_ref(), self.state_dir().as_os_str()]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("bulkhead starts");
        let stderr = child.stderr.take().expect("its stderr");
        tokio::spawn(collect(stderr, self.log.clone()));
        self.monitor = Some(child);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("bulkhead"));
        command
            .args(args)
            .args(["--runtime-dir".as_ref(), self.runtime_dir().as_os_str()])
            // What the person who runs the tests has set up is none of the tree's business.
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.home())
            .env("RUST_BACKTRACE", "1")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The directory of everything.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the agents work.
    pub fn work_dir(&self) -> PathBuf {
        self.directory().join("work")
    }

    /// The home of every process.
    pub fn home(&self) -> PathBuf {
        self.home.clone()
    }

    /// What must survive.
    pub fn state_dir(&self) -> PathBuf {
        self.directory().join("state")
    }

    /// Its sockets.
    pub fn runtime_dir(&self) -> PathBuf {
        self.directory().join("run")
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.directory().join("config.toml")
    }

    /// The monitor's pid.
    ///
    /// # Panics
    /// If it does not run.
    pub fn monitor(&self) -> i32 {
        let id = self
            .monitor
            .as_ref()
            .and_then(Child::id)
            .expect("the monitor runs");
        i32::try_from(id).expect("a pid")
    }

    /// Waits until some line of the log holds these words, also one that came before.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn logged(&self, words: &str) -> String {
        self.logged_since(0, words).await
    }

    /// The same, of lines from `since` on (see [`Ledger::next`]).
    ///
    /// # Panics
    /// At the deadline.
    pub async fn logged_since(&self, since: u64, words: &str) -> String {
        let found = self
            .log
            .wait_for_since(since, |line| line.contains(words), DEADLINE)
            .await
            .unwrap_or_else(|timeout| panic!("{words:?} was never logged: {timeout}"));
        found.what
    }

    /// Runs one of bulkhead's commands against this tree: exit code, stdout, stderr.
    ///
    /// # Errors
    /// If it cannot be run or does not end.
    pub async fn ask(&self, args: &[&str]) -> Result<(i32, String, String)> {
        let output = tokio::time::timeout(DEADLINE, self.command(args).output())
            .await
            .with_context(|| format!("bulkhead {args:?} does not end"))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        ))
    }

    /// What `bulkhead status --json` says now.
    ///
    /// # Errors
    /// If the monitor does not answer.
    pub async fn status(&self) -> Result<Status> {
        let (_, out, err) = self.ask(&["status", "--json"]).await?;
        serde_json::from_str(&out).with_context(|| format!("no status: {err}"))
    }

    /// Waits until the status is as wanted; asked again at each line of the log.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn status_where(&self, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + DEADLINE;
        let mut last = Value::Null;
        loop {
            let seen = self.log.next();
            if let Ok(status) = self.status().await {
                if wanted(&status) {
                    return status;
                }
                last = status;
            }
            // A state may change without a line of its own; look again after a while as well.
            let patience = Duration::from_millis(300);
            let _ = self.log.wait_for_since(seen, |_| true, patience).await;
            assert!(
                Instant::now() < deadline,
                "the status never became as wanted: {last:#}"
            );
        }
    }

    /// One process of a status.
    pub fn process<'a>(status: &'a Status, name: &str) -> &'a Value {
        status["processes"]
            .as_array()
            .and_then(|all| all.iter().find(|process| process["name"] == name))
            .unwrap_or(&Value::Null)
    }

    /// The pid of a process, once it is ready.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn pid(&self, name: &str) -> i32 {
        let status = self
            .status_where(|status| {
                let process = Tree::process(status, name);
                process["state"] == "ready" && process["pid"].is_i64()
            })
            .await;
        i32::try_from(Tree::process(&status, name)["pid"].as_i64().expect("a pid")).expect("a pid")
    }

    /// Kills a process by name with SIGKILL; its pid.
    ///
    /// # Panics
    /// If it cannot be found.
    pub async fn kill(&self, name: &str) -> i32 {
        let pid = self.pid(name).await;
        self.signal(pid, Signal::SIGKILL);
        pid
    }

    /// Signals a process; one that is gone already is fine.
    pub fn signal(&self, pid: i32, signal: Signal) {
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// Waits until a process runs as another pid than before, and is ready.
    ///
    /// # Panics
    /// At the deadline.
    pub async fn back(&self, name: &str, before: i32) -> i32 {
        let status = self
            .status_where(|status| {
                let process = Tree::process(status, name);
                process["state"] == "ready"
                    && process["pid"]
                        .as_i64()
                        .is_some_and(|pid| pid != i64::from(before))
            })
            .await;
        i32::try_from(Tree::process(&status, name)["pid"].as_i64().expect("a pid")).expect("a pid")
    }

    /// Kills the monitor itself with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill_monitor(&mut self) -> Result<()> {
        let Some(mut monitor) = self.monitor.take() else {
            bail!("the monitor does not run")
        };
        monitor.kill().await?;
        Ok(())
    }

    /// Asks the monitor to stop and waits for its end; its exit code.
    ///
    /// # Errors
    /// If it does not end.
    pub async fn stop(&mut self) -> Result<Option<i32>> {
        let Some(mut monitor) = self.monitor.take() else {
            bail!("the monitor does not run")
        };
        let id = monitor.id().context("the monitor has ended")?;
        self.signal(i32::try_from(id)?, Signal::SIGTERM);
        let status = tokio::time::timeout(DEADLINE, monitor.wait())
            .await
            .context("the tree does not stop")??;
        Ok(status.code())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(id) = self.monitor.as_ref().and_then(Child::id) {
            let monitor = i32::try_from(id).unwrap_or(0);
            let below = crate::descendants(monitor);
            self.signal(monitor, Signal::SIGKILL);
            // They end with their monitor by themselves; a test that fails must leave none all the
            // same.
            for pid in below {
                self.signal(pid, Signal::SIGKILL);
            }
        }
        if std::thread::panicking() {
            for line in self.log.snapshot() {
                eprintln!("| {}", line.what);
            }
        }
    }
}

async fn collect(from: impl AsyncRead + Unpin, log: Ledger<String>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(line);
    }
}
