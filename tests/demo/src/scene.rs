//! The fakes and the real tree between them, and what can be done to them.
//!
//! Promises: waits are on events with a deadline, and what does not happen is an error in words, not
//! a panic.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use fake_claude::ClaudeControl;
use fake_discord::{FakeDiscord, Id};
use fake_kit::Entry;
use fake_weibo::{Event, FakeWeibo};
use harness::{Setup, Status, Tree, program};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::agent::Agent;

/// How long a process may take to come back.
pub(crate) const BACK: Duration = Duration::from_secs(30);
/// How long is waited for a line of the log before the status is looked at again all the same.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const RUNNER: &str = "runner-demo";

/// A platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Discord,
    Weibo,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Place::Discord => "discord",
            Place::Weibo => "weibo",
        })
    }
}

/// The platforms, the agent's strings, the tree.
pub(crate) struct Scene {
    pub(crate) discord: FakeDiscord,
    pub(crate) weibo: FakeWeibo,
    /// Absent where the agent is a real one.
    pub(crate) claude: Option<ClaudeControl>,
    pub(crate) tree: Tree,
}

impl Scene {
    /// Starts everything and waits until both platforms are connected.
    pub(crate) async fn start(agent: &Agent) -> Result<Scene> {
        let discord = FakeDiscord::start().await;
        let weibo = FakeWeibo::start().await.context("no loopback port")?;
        // Discord gives a bot a new session every five seconds only; here somebody would wait.
        discord.set(|options| options.identify_window_ms = 0);
        let mut claude = None;
        let mut setup = match agent {
            Agent::Fake => {
                let control = ClaudeControl::start().await.context("no loopback port")?;
                let address = control.address().to_owned();
                claude = Some(control);
                let mut setup = Setup::new(harness::Agent::ClaudeCode {
                    cmd: program("fake-claude"),
                    env: vec![(fake_claude::CONTROL.to_owned(), address)],
                });
                // It echoes what it reads; how to write for a platform is lost on it.
                setup.project = "style_hint = false\n".into();
                setup
            }
            Agent::Claude { cmd, home, env } => {
                let mut setup = Setup::new(harness::Agent::ClaudeCode {
                    cmd: cmd.clone(),
                    env: env.clone(),
                });
                setup.home = Some(home.clone());
                setup
            }
        };
        // The usual wait after a first death is up to 200 ms; here somebody watches.
        setup.top = "[supervision]\nbackoff_min_ms = 50\n".into();
        setup.discord = Some((discord.api_base(), discord.token()));
        let account = weibo.account();
        setup.weibo = Some((
            weibo.token_endpoint(),
            weibo.ws_endpoint(),
            account.app_id.clone(),
            account.app_secret.clone(),
        ));
        let scene = Scene {
            tree: Tree::start(&setup),
            discord,
            weibo,
            claude,
        };
        for words in [
            "bulkhead is running",
            "discord: connected",
            "weibo: connected",
        ] {
            let came = scene.logged(0, words, 1, BACK).await;
            came.with_context(|| format!("the log:\n{}", scene.log(30)))?;
        }
        Ok(scene)
    }

    /// Somebody says something; on Discord the message's id.
    pub(crate) fn say(&self, place: Place, text: &str) -> Result<Option<Id>> {
        match place {
            Place::Discord => {
                let owner = self.discord.scene().owner;
                let say = fake_discord::Say::text(text);
                let id = self
                    .discord
                    .says(owner, self.discord.dm_channel(owner), say)?;
                Ok(Some(id))
            }
            Place::Weibo => {
                self.weibo.user_says(self.weibo.account().owner, text);
                Ok(None)
            }
        }
    }

    /// Waits until `count` lines of the log from `since` on hold these words.
    pub(crate) async fn logged(
        &self,
        since: u64,
        words: &str,
        count: usize,
        deadline: Duration,
    ) -> Result<()> {
        let mut seen = 0;
        let enough = |line: &String| {
            seen += usize::from(line.contains(words));
            seen >= count
        };
        let came = self.tree.log.wait_for_since(since, enough, deadline).await;
        came.map(|_| ())
            .map_err(|_| anyhow!("{words:?} did not stand in the log within {deadline:?}"))
    }

    /// The last lines of the log.
    pub(crate) fn log(&self, lines: u64) -> String {
        let log = &self.tree.log;
        let last = log.since(log.next().saturating_sub(lines));
        let last: Vec<String> = last.into_iter().map(|entry| entry.what).collect();
        last.join("\n")
    }

    /// What `bulkhead status` prints, and the agents, which are the runner's to know.
    pub(crate) async fn table(&self) -> Result<String> {
        let (_, table, trouble) = self.tree.ask(&["status"]).await?;
        let agents = match self.agents().await.as_slice() {
            [] => "none now; the next message starts one".to_owned(),
            agents => {
                let pids: Vec<String> = agents.iter().map(i32::to_string).collect();
                format!("pid {}, below {RUNNER}", pids.join(" and "))
            }
        };
        Ok(format!("{table}{trouble}Agents: {agents}"))
    }

    /// The names of the processes that can be killed.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let status = self.tree.status().await?;
        let processes = status["processes"].as_array().into_iter().flatten();
        let names = processes.filter_map(|process| process["name"].as_str());
        Ok(names.map(String::from).chain(["agent".into()]).collect())
    }

    /// How often processes were started again, as the monitor counts.
    pub(crate) async fn restarts(&self) -> Result<u64> {
        let status = self.tree.status().await?;
        let processes = status["processes"].as_array().into_iter().flatten();
        Ok(processes
            .filter_map(|process| process["restarts"].as_u64())
            .sum())
    }

    /// The pids of the agents.
    pub(crate) async fn agents(&self) -> Vec<i32> {
        let Ok(status) = self.tree.status().await else {
            return Vec::new();
        };
        let mut agents = pid(&status, RUNNER).map_or_else(Vec::new, harness::children);
        agents.sort_unstable();
        agents
    }

    /// Kills what has this name, an agent or a process; its pids.
    pub(crate) async fn kill(&self, name: &str) -> Result<Vec<i32>> {
        let pids = if name == "agent" {
            self.agents().await
        } else {
            pid(&self.tree.status().await?, name).into_iter().collect()
        };
        for pid in &pids {
            self.tree.signal(*pid, Signal::SIGKILL);
        }
        Ok(pids)
    }

    /// Whether a process that was killed is there again, and ready.
    pub(crate) async fn is_back(&self, name: &str, before: i32) -> Result<bool> {
        let status = self.tree.status().await?;
        let ready = Tree::process(&status, name)["state"] == "ready";
        Ok(ready && pid(&status, name).is_some_and(|pid| pid != before))
    }

    /// Waits until a process that was killed is there again, and ready.
    pub(crate) async fn back(&self, name: &str, before: i32) -> Result<()> {
        let deadline = Instant::now() + BACK;
        loop {
            let seen = self.tree.log.next();
            if self.is_back(name, before).await? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{name} is not back within {BACK:?}");
            }
            self.moved(seen).await;
        }
    }

    /// Waits until nothing waits in the spool, so that nothing more is about to be said.
    pub(crate) async fn settled(&self, deadline: Duration) -> Result<()> {
        let deadline = Instant::now() + deadline;
        loop {
            let seen = self.tree.log.next();
            let status = self.tree.status().await?;
            let waiting = &status["waiting"];
            let left = ["queued_turns", "open_turns", "pending_chunks"]
                .map(|key| waiting[key].as_u64().unwrap_or(u64::MAX));
            if left == [0; 3] {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("something is still on its way: {waiting}");
            }
            self.moved(seen).await;
        }
    }

    /// Waits until the Weibo worker has asked for a sign of life after the last thing it said. Weibo
    /// confirms nothing; this stands for it, and a worker killed before would rightly say that again.
    pub(crate) async fn confirmed(&self, deadline: Duration) -> Result<()> {
        let pinged_last = |events: &[Entry<Event>]| {
            let last = events.iter().rev().find_map(|entry| match entry.what {
                Event::Chunk { .. } => Some(false),
                Event::Ping { .. } => Some(true),
                _ => None,
            });
            last.unwrap_or(true).then_some(())
        };
        let pinged = self.weibo.protocol().wait_until(pinged_last, deadline);
        pinged
            .await
            .map_err(|_| anyhow!("the Weibo worker sent no ping within {deadline:?}"))
    }

    /// Waits until the log goes on past `seen`, or for a moment.
    pub(crate) async fn moved(&self, seen: u64) {
        self.tree.log.wait_past(seen, LOOK_AGAIN).await;
    }
}

fn pid(status: &Status, name: &str) -> Option<i32> {
    i32::try_from(Tree::process(status, name)["pid"].as_i64()?).ok()
}
