//! The whole tree between a fake Discord, a fake Weibo and an agent that answers at once.
//!
//! The agent is the fake `claude`: one process a session, told by the prompt what to say. Everybody may talk to the bot, in as many
//! channels as are asked for; the fake's rate limits and the hub's own are off unless a subject turns them on. The Discord
//! worker's own are not: it sends Discord at most 45 requests a second, whatever the fake would take.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result};
use fake_claude::{CONTROL, ClaudeControl};
use fake_discord::{FakeDiscord, Id};
use fake_weibo::FakeWeibo;
use harness::{Agent, DEADLINE, Setup, Tree, program};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::report::Times;

/// What runs.
pub(crate) struct Rig {
    pub(crate) discord: FakeDiscord,
    pub(crate) tree: Tree,
    pub(crate) weibo: FakeWeibo,
}

/// The fakes and a configuration, nothing started yet.
pub(crate) struct Stage {
    pub(crate) discord: FakeDiscord,
    pub(crate) weibo: FakeWeibo,
    setup: Setup,
}

/// The processes of the product, without the agents.
pub(crate) const PROCESSES: [&str; 4] = ["hub", "runner-demo", "discord-main", "weibo-main"];

/// No limit on what people may send, …
const ANYTHING_IN: &str = "[rate_limit]\nmax_messages = 0\n";
/// … and none on what they are sent.
const ANYTHING_OUT: &str =
    "[outgoing_rate_limit]\nmax_per_second = 0\nplatforms.weibo = { max_per_second = 0 }\n";

impl Stage {
    pub(crate) async fn new() -> Result<Stage> {
        let discord = FakeDiscord::start().await;
        discord.set(|options| {
            options.rate_limits = false;
            options.record_dispatches = false;
        });
        let weibo = FakeWeibo::start().await.context("no fake Weibo")?;
        let mut setup = Setup::new(Agent::ClaudeCode {
            cmd: program("fake-claude"),
            env: Vec::new(),
        });
        setup.top = [ANYTHING_IN, ANYTHING_OUT].concat();
        // A hundred agents at once are what is measured.
        setup.agent_table = "reserve_memory_mb = 0\n".into();
        setup.discord = Some((discord.api_base(), discord.token()));
        setup.discord_options = "group_reply_all = true\nallow_from = \"*\"\n".into();
        setup.weibo_options = "allow_from = \"*\"\n".into();
        let account = weibo.account();
        setup.weibo = Some((
            weibo.token_endpoint(),
            weibo.ws_endpoint(),
            account.app_id.clone(),
            account.app_secret.clone(),
        ));
        Ok(Stage {
            discord,
            weibo,
            setup,
        })
    }

    /// The same for people each of whom has one message that is answered; the rest is taken in and refused in words now and then.
    pub(crate) async fn of_one_answer() -> Result<Stage> {
        let mut stage = Stage::new().await?;
        let limit = "[rate_limit]\nmax_messages = 1\nwindow_secs = 86400\n";
        stage.setup.top = [limit, ANYTHING_OUT].concat();
        Ok(stage)
    }

    /// The same with agents that stop where `control` holds them.
    pub(crate) async fn held_by(control: &ClaudeControl) -> Result<Stage> {
        let mut stage = Stage::new().await?;
        if let Agent::ClaudeCode { env, .. } = &mut stage.setup.agent {
            env.push((CONTROL.to_owned(), control.address().to_owned()));
        }
        Ok(stage)
    }

    /// Starts the tree and waits until both platforms are connected, as the fakes see it.
    pub(crate) async fn connect(self) -> Result<Rig> {
        let tree = Tree::start(&self.setup);
        self.discord.wait_connected(0, DEADLINE).await?;
        self.weibo.connected(1).await?;
        Ok(Rig {
            discord: self.discord,
            tree,
            weibo: self.weibo,
        })
    }
}

impl Rig {
    /// Everything ready and connected.
    pub(crate) async fn start() -> Result<Rig> {
        let rig = Stage::new().await?.connect().await?;
        rig.tree.logged("bulkhead is running").await;
        Ok(rig)
    }

    /// New channels of the guild.
    pub(crate) fn channels(&self, count: usize) -> Vec<Id> {
        let guild = self.discord.scene().guild;
        (0..count)
            .map(|n| self.discord.add_channel(guild, &format!("bench-{n}")))
            .collect()
    }

    /// Process ids by name, the monitor's among them.
    pub(crate) async fn pids(&self) -> Result<BTreeMap<&'static str, i32>> {
        let mut pids = BTreeMap::from([("monitor", self.tree.monitor())]);
        for name in PROCESSES {
            pids.insert(name, self.tree.pid(name).await);
        }
        Ok(pids)
    }
}

/// The agent asked directly, without anything between: from the prompt on its stdin to its result.
pub(crate) async fn agent_alone(rounds: usize) -> Result<Times> {
    let directory = tempfile::tempdir()?;
    let mut child = Command::new(program("fake-claude"))
        .args([
            "-p",
            "--output-format",
            "stream-json",
            "--input-format",
            "stream-json",
        ])
        .args([
            "--verbose",
            "--include-partial-messages",
            "--replay-user-messages",
        ])
        .args(["--permission-prompt-tool", "stdio"])
        .args(["--session-id", "00000000-0000-4000-8000-000000000000"])
        .env_clear()
        .env("HOME", directory.path())
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("fake-claude does not start")?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let stdout = child.stdout.take().context("no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut times = Times::default();
    for n in 0..=rounds {
        let content = format!("#say {n}");
        let prompt = json!({ "type": "user", "message": { "role": "user", "content": content } });
        let begun = Instant::now();
        stdin.write_all(format!("{prompt}\n").as_bytes()).await?;
        loop {
            let line = timeout(DEADLINE, lines.next_line()).await??;
            let line = line.context("the agent has ended")?;
            if line.contains("\"type\":\"result\"") {
                break;
            }
        }
        // The first prompt waits for its start as well.
        if n > 0 {
            times.push(begun.elapsed());
        }
    }
    Ok(times)
}
