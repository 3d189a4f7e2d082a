//! A Discord that obeys the documented rules, on loopback.
//!
//! It speaks Gateway v10 and REST v10 in plain `ws` and `http`, keeps a world of users, guilds and channels, lets a test act as any of its
//! users, and strikes faults on request. Two ledgers can be waited on: [`Seen`] (what people saw) and [`Wire`] (what bots did).
//!
//! ```no_run
//! # async fn test() {
//! use std::time::Duration;
//! let discord = fake_discord::FakeDiscord::start().await;
//! let scene = discord.scene();
//! println!("api_base = {}, token = {}", discord.api_base(), discord.token());
//! // ... a bot connects ...
//! let asked = discord.user_says(scene.owner, scene.general, &format!("<@{}> hello", scene.bot));
//! let answer = discord.wait_reply(scene.general, asked, Duration::from_secs(10)).await;
//! # }
//! ```
//!
//! Promises: where Discord documents a rule, that rule; the same world and the same faults as library and as binary; nothing outlives the last handle.
//! Does not: TLS, compression, ETF, voice, stickers, polls, forums, webhooks other than those of interactions, commands of other kinds than
//! those that are typed, or more than one shard.

mod armed;
mod cdn;
mod clicks;
pub mod control;
mod core;
mod dispatch;
mod drive;
mod faults;
mod gateway;
mod ids;
mod interactions;
mod ledger;
mod mentions;
mod objects;
pub mod permissions;
mod ratelimit;
mod rest;
mod scene;
mod strike;
mod wait;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use fake_kit::{Ledger, Server};

pub use crate::core::Options;
pub use drive::{File, Refused, Say};
pub use fake_kit::{Entry, Timeout};
pub use faults::{Act, Fault, GatewayFault, Portal, RestAct, RestFault, Times};
pub use ids::Id;
pub use ledger::{Ender, FileSeen, Host, Line, Outcome, Seen, Wire};
pub use scene::{Scene, Seat};
pub use strike::Hold;
pub use wait::Tally;

use crate::core::{Core, Shared};

/// A listener of the fake, for outages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// REST and the base gateway address.
    Main,
    /// The address of `resume_gateway_url`.
    Resume,
    /// Attachments.
    Cdn,
}

#[derive(Debug)]
struct Listener {
    addr: SocketAddr,
    router: Router,
    server: Option<Server>,
}

impl Listener {
    async fn start(addr: SocketAddr, router: Router) -> io::Result<Self> {
        let server = Server::start(addr, router.clone()).await?;
        Ok(Self {
            addr: server.addr(),
            router,
            server: Some(server),
        })
    }
}

#[derive(Debug)]
struct Running {
    parts: tokio::sync::Mutex<[Listener; 3]>,
    scene: Scene,
}

/// A running fake. Clones are handles to the same one; it stops when the last is dropped.
#[derive(Debug, Clone)]
pub struct FakeDiscord {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

impl FakeDiscord {
    /// Starts on kernel-picked loopback ports, with a small world ([`Scene`]) in it.
    ///
    /// # Panics
    /// Where no loopback port can be had, which no test survives.
    #[allow(clippy::panic, reason = "a test without a loopback cannot go on")]
    pub async fn start() -> Self {
        match Self::start_with(Options::default()).await {
            Ok(fake) => fake,
            Err(error) => panic!("the fake Discord could not listen on 127.0.0.1: {error}"),
        }
    }

    /// As [`FakeDiscord::start`], with other numbers.
    ///
    /// # Errors
    /// No loopback port can be had.
    pub async fn start_with(options: Options) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).await
    }

    /// As [`FakeDiscord::start_with`], with REST and gateway on an address of one's choice.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn start_at(listen: SocketAddr, options: Options) -> io::Result<Self> {
        let mut core = Core::new(options);
        let scene = core.furnish();
        let shared = Shared::new(core);
        let anywhere = SocketAddr::new(listen.ip(), 0);
        let base = Router::new()
            .route("/gateway", get(gateway::connection::base))
            .route("/gateway/", get(gateway::connection::base))
            .fallback(rest::entry)
            .with_state(Arc::clone(&shared));
        let resume = Router::new()
            .route("/resume", get(gateway::connection::resume))
            .route("/resume/", get(gateway::connection::resume))
            .with_state(Arc::clone(&shared));
        let parts = [
            Listener::start(listen, base).await?,
            Listener::start(anywhere, resume).await?,
            Listener::start(anywhere, cdn::router(Arc::clone(&shared))).await?,
        ];
        {
            let addresses = &mut shared.core().addresses;
            addresses.api = format!("http://{}{}", parts[0].addr, rest::BASE);
            addresses.gateway = format!("ws://{}/gateway", parts[0].addr);
            addresses.resume = format!("ws://{}/resume", parts[1].addr);
            addresses.cdn = format!("http://{}", parts[2].addr);
        }
        Ok(Self {
            shared,
            running: Arc::new(Running {
                parts: tokio::sync::Mutex::new(parts),
                scene,
            }),
        })
    }

    /// The world it started with.
    #[must_use]
    pub fn scene(&self) -> Scene {
        self.running.scene
    }

    /// `http://127.0.0.1:PORT/api/v10`
    #[must_use]
    pub fn api_base(&self) -> String {
        self.shared.core().addresses.api.clone()
    }

    /// `ws://127.0.0.1:PORT/gateway`, as `GET /gateway/bot` says it.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        self.shared.core().addresses.gateway.clone()
    }

    /// `ws://127.0.0.1:OTHER_PORT/resume`, as READY says it.
    #[must_use]
    pub fn resume_url(&self) -> String {
        self.shared.core().addresses.resume.clone()
    }

    /// `http://127.0.0.1:OTHER_PORT`, where attachments are.
    #[must_use]
    pub fn cdn_base(&self) -> String {
        self.shared.core().addresses.cdn.clone()
    }

    /// Has other addresses told to bots than those it listens on, for something that stands before it and ends TLS: the origin
    /// (`wss://HOST`) of the gateway, that of `resume_gateway_url`, and that (`https://HOST`) of attachments.
    pub fn told_as(&self, gateway: &str, resume: &str, cdn: &str) {
        let addresses = &mut self.shared.core().addresses;
        addresses.gateway = format!("{gateway}/gateway");
        addresses.resume = format!("{resume}/resume");
        cdn.clone_into(&mut addresses.cdn);
    }

    /// What people saw.
    #[must_use]
    pub fn seen(&self) -> &Ledger<Seen> {
        &self.shared.seen
    }

    /// What bots did.
    #[must_use]
    pub fn wire(&self) -> &Ledger<Wire> {
        &self.shared.wire
    }

    /// Changes numbers while it runs. Open connections keep the heartbeat and latency they began with.
    pub fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.shared.core().options);
    }

    /// The numbers as they are.
    #[must_use]
    pub fn options(&self) -> Options {
        self.shared.core().options.clone()
    }

    /// Moves the fake's clock ahead: windows, budgets, sessions and addresses age at once. Heartbeats and interaction deadlines
    /// already under way go by the real clock.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let mut core = self.shared.core();
        core.ahead_ms = core.ahead_ms.saturating_add(ms);
    }

    /// Stops the fake's clock: from now on only [`FakeDiscord::advance`] moves it, so that no window ends by itself in a slow test.
    pub fn freeze(&self) {
        let mut core = self.shared.core();
        core.frozen_at = Some(core.now() - core.ahead_ms);
    }

    /// Takes a listener away: connections are cut, new ones refused.
    pub async fn outage(&self, part: Part) {
        let server = self.running.parts.lock().await[part as usize].server.take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Brings a listener back, on the same port.
    ///
    /// # Errors
    /// Someone else took the port meanwhile.
    pub async fn restore(&self, part: Part) -> io::Result<()> {
        let listener = &mut self.running.parts.lock().await[part as usize];
        if listener.server.is_none() {
            listener.server = Some(Server::start(listener.addr, listener.router.clone()).await?);
        }
        Ok(())
    }
}
