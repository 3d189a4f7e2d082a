//! The real worker between a fake Discord and a fake hub.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fake_discord::{FakeDiscord, Id, Options, Outcome, Wire};
use fake_hub::FakeHub;
use fake_kit::Ledger;
use ipc_schema::{Body, Deliver, DeliveryFailed, Inbound};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

/// How long anything is waited for before a test fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) discord: FakeDiscord,
    pub(crate) hub: FakeHub,
    directory: TempDir,
    /// What the worker said of itself: log lines, and `STATUS=…`.
    pub(crate) said: Ledger<String>,
    /// Certificates in place of the machine's.
    authority: Option<PathBuf>,
}

pub(crate) struct Worker {
    child: Child,
}

impl Stage {
    pub(crate) async fn new() -> Stage {
        // Two sessions in quick succession are begun in many tests.
        Stage::with(|options| options.max_concurrency = 3).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Stage {
        let discord = FakeDiscord::start().await;
        discord.set(change);
        let stage = Stage {
            discord,
            hub: FakeHub::start().unwrap(),
            directory: tempfile::tempdir().unwrap(),
            said: Ledger::new(),
            authority: None,
        };
        let notify = UnixDatagram::bind(stage.directory.path().join("notify")).unwrap();
        let said = stage.said.clone();
        tokio::spawn(async move {
            let mut datagram = [0; 2048];
            while let Ok(length) = notify.recv(&mut datagram).await {
                said.push(String::from_utf8_lossy(&datagram[..length]).into_owned());
            }
        });
        stage
    }

    /// Has workers believe this authority and no other.
    pub(crate) fn trust(&mut self, authority: &Path) {
        self.authority = Some(authority.to_owned());
    }

    /// Starts a worker; `extra` options go over the usual ones.
    pub(crate) fn spawn(&self, extra: Value) -> Worker {
        let mut options = json!({
            "token": self.discord.token(),
            "api_base": self.discord.api_base(),
            "timing": {"reconnect_ms": 20, "hello_ms": 500, "probe_ms": 100},
        });
        options
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let config = self.directory.path().join("config.json");
        std::fs::write(&config, self.hub.config("main", &options.to_string())).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_discord-worker"))
            .args(["main", "--link", &self.hub.address(), "--config-file"])
            .arg(config)
            .env("NOTIFY_SOCKET", self.directory.path().join("notify"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .envs(self.authority.iter().map(|path| ("SSL_CERT_FILE", path)))
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = self.said.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
                said.push(line);
            }
        });
        Worker { child }
    }

    /// A worker whose session stands.
    pub(crate) async fn up(&self, extra: Value) -> Worker {
        let since = self.discord.wire().next();
        let worker = self.spawn(extra);
        self.greeted(since).await;
        worker
    }

    /// Waits for READY or RESUMED past `since`.
    pub(crate) async fn greeted(&self, since: u64) -> Wire {
        self.discord.wait_connected(since, SOON).await.unwrap().what
    }

    pub(crate) async fn said(&self, words: &str) -> String {
        let line = self.said.wait_for(|line| line.contains(words), SOON).await;
        line.unwrap_or_else(|error| panic!("waited for {words:?}: {error}"))
            .what
    }

    /// As [`Stage::said`], of what it said from `since` on.
    pub(crate) async fn said_since(&self, since: u64, words: &str) {
        let says = |line: &String| line.contains(words);
        let line = self.said.wait_for_since(since, says, SOON).await;
        line.unwrap_or_else(|error| panic!("waited for {words:?}: {error}"));
    }

    /// The `n`-th event that was offered, from 1.
    pub(crate) async fn inbound(&self, n: usize) -> Inbound {
        let pick = |body: &Body| match body {
            Body::Inbound(inbound) => Some(inbound.clone()),
            _ => None,
        };
        self.hub.wait_nth(n, pick).await.unwrap()
    }

    /// Every event that was offered so far, by the text.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.hub
            .ledger()
            .filter_map(|seen| seen.inbound().map(|inbound| inbound.text.clone()))
    }

    /// Waits until an event with this text was offered.
    pub(crate) async fn heard(&self, text: &str) -> Inbound {
        let pick = |body: &Body| match body {
            Body::Inbound(inbound) if inbound.text == text => Some(inbound.clone()),
            _ => None,
        };
        self.hub.wait(pick).await.unwrap()
    }

    /// Hands out a chunk.
    pub(crate) fn deliver(&self, deliver: Deliver) {
        self.hub.say(Body::Deliver(deliver));
    }

    /// The id under which the chunk was reported to stand.
    pub(crate) async fn delivered(&self, key: &str) -> String {
        let pick = |body: &Body| match body {
            Body::Delivered(delivered) if delivered.key == key => {
                Some(delivered.platform_id.clone())
            }
            Body::DeliveryFailed(failed) if failed.key == key => panic!("{failed:?}"),
            _ => None,
        };
        self.hub.wait(pick).await.unwrap()
    }

    pub(crate) async fn failed(&self, key: &str) -> DeliveryFailed {
        let pick = |body: &Body| match body {
            Body::DeliveryFailed(failed) if failed.key == key => Some(failed.clone()),
            _ => None,
        };
        self.hub.wait(pick).await.unwrap()
    }

    /// Waits until the hub keeps the session with everything up to the last event done, and no
    /// reading back owed.
    pub(crate) async fn settled(&self) {
        let last = || {
            let dispatched = self.discord.wire().filter_map(|wire| match wire {
                Wire::Dispatched { seq, session, .. } => Some((session.clone(), *seq)),
                _ => None,
            });
            dispatched.last().cloned().unwrap_or_default()
        };
        let settled = || {
            let kept: Value = serde_json::from_slice(&self.hub.cursor("gateway")?).ok()?;
            let (session, seq) = last();
            let all = kept["session"] == json!(session) && kept["seq"] == json!(seq);
            (all && kept["owed"] == json!(false)).then_some(())
        };
        // The ledger wakes this whenever a cursor came; the cursor is kept right after.
        let looked = self.hub.wait(|_| settled()).await;
        looked.unwrap_or_else(|error| panic!("{error}: {:?}", self.hub.cursor("gateway")));
    }

    /// Every RESUME: its session, its sequence and how it ended.
    pub(crate) fn resumes(&self) -> Vec<(String, u64, Outcome)> {
        self.discord.wire().filter_map(|wire| match wire {
            Wire::Resume {
                session,
                seq,
                outcome,
                ..
            } => Some((session.clone(), *seq, outcome.clone())),
            _ => None,
        })
    }

    /// The intents of every IDENTIFY.
    pub(crate) fn identifies(&self) -> Vec<u64> {
        self.discord.wire().filter_map(|wire| match wire {
            Wire::Identify { intents, .. } => Some(*intents),
            _ => None,
        })
    }

    /// Close codes of the worker.
    pub(crate) fn codes(&self) -> Vec<Option<u16>> {
        self.discord.wire().filter_map(|wire| match wire {
            Wire::Closed {
                by: fake_discord::Ender::Client,
                code,
                ..
            } => Some(*code),
            _ => None,
        })
    }

    /// Posts that were tried.
    pub(crate) fn posts(&self) -> Vec<Value> {
        let posts = self
            .discord
            .requests("POST", "/channels/{channel.id}/messages");
        posts.into_iter().map(|(_, body)| body).collect()
    }

    pub(crate) fn mention(&self, user: Id, channel: Id, text: &str) -> Id {
        let text = format!("<@{}> {text}", self.discord.scene().bot);
        self.discord.user_says(user, channel, &text)
    }
}

impl Worker {
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// The most memory that it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits for its end: the exit code.
    pub(crate) async fn ended(&mut self) -> i32 {
        let status = tokio::time::timeout(SOON, self.child.wait())
            .await
            .expect("it ends");
        status.unwrap().code().unwrap_or(-1)
    }

    /// Asks it to end.
    pub(crate) async fn drain(mut self) -> i32 {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }
}
