//! A scene for end-to-end tests: the fakes, and the real process tree between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a broken set-up is a failed test"
)]

use std::time::Duration;

use fake_claude::ClaudeControl;
use fake_discord::{FakeDiscord, Id, Line};
use fake_kit::Ledger;
use fake_weibo::{Bubble, FakeWeibo};
use harness::{Agent, Setup, Tree, program};

/// How long anything may take.
pub const DEADLINE: Duration = harness::DEADLINE;

/// The fakes and the tree.
pub struct Scene {
    /// Discord.
    pub discord: FakeDiscord,
    /// Weibo.
    pub weibo: FakeWeibo,
    /// What the fake `claude` does and waits for.
    pub claude: ClaudeControl,
    /// The tree.
    pub tree: Tree,
}

impl Scene {
    /// Both platforms, the fake `claude`, everything ready and connected.
    pub async fn start() -> Scene {
        Scene::with(|_| ()).await
    }

    /// The same after a change to the configuration.
    pub async fn with(change: impl FnOnce(&mut Setup)) -> Scene {
        let scene = Scene::unready(change).await;
        scene.tree.logged("bulkhead is running").await;
        scene.tree.logged("discord: connected").await;
        scene.tree.logged("weibo: connected").await;
        scene
    }

    /// The same, not waiting for anything.
    pub async fn unready(change: impl FnOnce(&mut Setup)) -> Scene {
        let discord = FakeDiscord::start().await;
        let weibo = FakeWeibo::start().await.expect("a loopback port");
        let claude = ClaudeControl::start().await.expect("a loopback port");
        let mut setup = Setup::new(Agent::ClaudeCode {
            cmd: program("fake-claude"),
            env: vec![(fake_claude::CONTROL.to_owned(), claude.address().to_owned())],
        });
        setup.discord = Some((discord.api_base(), discord.token()));
        let account = weibo.account();
        setup.weibo = Some((
            weibo.token_endpoint(),
            weibo.ws_endpoint(),
            account.app_id.clone(),
            account.app_secret.clone(),
        ));
        change(&mut setup);
        let tree = Tree::start(&setup);
        Scene {
            discord,
            weibo,
            claude,
            tree,
        }
    }

    /// The bot's owner writes to it in Discord; the message's id and its channel.
    pub fn dm(&self, text: &str) -> Asked {
        let owner = self.discord.scene().owner;
        let message = self.discord.dm(owner, text);
        Asked {
            channel: self.discord.dm_channel(owner),
            message,
        }
    }

    /// The owner writes in a channel of the guild.
    pub fn in_guild(&self, text: &str) -> Asked {
        let scene = self.discord.scene();
        let message = self.discord.user_says(scene.owner, scene.general, text);
        Asked {
            channel: scene.general,
            message,
        }
    }

    /// The account's owner writes on Weibo.
    pub fn weibo_dm(&self, text: &str) {
        self.weibo.user_says(self.weibo.account().owner, text);
    }

    /// The next message of the bot that fits.
    pub async fn reply(&self, asked: Asked, fits: impl FnMut(&Line) -> bool) -> Line {
        self.discord
            .wait_line(asked.channel, asked.message, fits, DEADLINE)
            .await
            .unwrap_or_else(|timeout| panic!("no such reply on Discord: {timeout}"))
    }

    /// The texts of the bot in a channel since a message, in order.
    pub fn replies(&self, asked: Asked) -> Vec<String> {
        self.discord
            .replies(asked.channel, asked.message)
            .into_iter()
            .map(|l| l.text)
            .collect()
    }

    /// The owner's Weibo messages once there are so many whole ones.
    pub async fn bubbles(&self, count: usize) -> Vec<Bubble> {
        self.weibo
            .wait_reply(self.weibo.account().owner, count)
            .await
            .unwrap_or_else(|timeout| panic!("no such reply on Weibo: {timeout}"))
    }

    /// The tree's log.
    pub fn log(&self) -> &Ledger<String> {
        &self.tree.log
    }
}

/// A message on Discord.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Where.
    pub channel: Id,
    /// Which.
    pub message: Id,
}
