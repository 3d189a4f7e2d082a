//! A worker alone, between a fake platform and a fake hub.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result};
use fake_discord::FakeDiscord;
use fake_hub::FakeHub;
use harness::{DEADLINE, program};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The Discord worker and what is around it.
pub(crate) struct Discord {
    pub(crate) discord: FakeDiscord,
    pub(crate) hub: FakeHub,
    child: Child,
    _directory: TempDir,
}

impl Discord {
    /// Starts one that takes every message, and waits until its session stands.
    pub(crate) async fn start() -> Result<Discord> {
        let discord = FakeDiscord::start().await;
        discord.set(|options| {
            options.rate_limits = false;
            options.record_dispatches = false;
        });
        let hub = FakeHub::start().context("no fake hub")?;
        let directory = tempfile::tempdir()?;
        let options = serde_json::json!({
            "token": discord.token(), "api_base": discord.api_base(),
            "group_reply_all": true, "allow_from": "*",
        });
        let config = directory.path().join("config.json");
        // The tests' hub asks for a talkative log, which is not what runs in the world.
        let text = hub.config("main", &options.to_string());
        std::fs::write(&config, text.replace("\"debug\"", "\"info\""))?;
        let child = Command::new(program("discord-worker"))
            .args(["main", "--link", &hub.address(), "--config-file"])
            .arg(&config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("discord-worker does not start")?;
        discord.wait_connected(0, DEADLINE).await?;
        Ok(Discord {
            discord,
            hub,
            child,
            _directory: directory,
        })
    }

    pub(crate) fn pid(&self) -> Result<i32> {
        let id = self.child.id().context("the worker has ended")?;
        Ok(i32::try_from(id)?)
    }

    /// Waits until the hub has been offered an event; when that was.
    pub(crate) async fn offered(&self, since: u64, event: &str) -> Result<Instant> {
        let such = |seen: &fake_hub::Seen| seen.inbound().is_some_and(|it| it.event_id == event);
        self.hub
            .ledger()
            .wait_for_since(since, such, DEADLINE)
            .await?;
        Ok(Instant::now())
    }
}
