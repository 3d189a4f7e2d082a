//! The state of one fake behind one lock, and its settings.
//!
//! Promises: every rule runs under the lock, in one step, with the time passed to it. Does not: wait for anything while it holds the lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fake_kit::Ledger;
use serde::{Deserialize, Serialize};

use crate::Id;
use crate::armed::Faults;
use crate::cdn::Signer;
use crate::gateway::{Link, Session};
use crate::ids::Mint;
use crate::interactions::Interaction;
use crate::ledger::{Seen, Wire};
use crate::ratelimit::RateLimits;
use crate::world::World;

/// The numbers of one fake. The defaults are Discord's, where Discord tells them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `heartbeat_interval` of Hello, in milliseconds.
    pub heartbeat_ms: u64,
    /// How much later than the interval a heartbeat may come before the connection is closed, in milliseconds.
    pub heartbeat_grace_ms: u64,
    /// Whether REST is limited, per route and 50 a second; off for benchmarks.
    pub rate_limits: bool,
    /// Requests a second that a bot may make in all.
    pub global_per_second: u32,
    /// Requests answered with 401, 403 or 429 that an address may make in ten minutes before it is banned for their rest.
    pub bad_requests: u32,
    /// IDENTIFYs in 24 hours.
    pub identify_total: u32,
    /// IDENTIFYs in `identify_window_ms`.
    pub max_concurrency: u32,
    /// The window of `max_concurrency`, in milliseconds.
    pub identify_window_ms: u64,
    /// How long a session without a connection can be resumed, in milliseconds; Discord says "a few minutes".
    pub session_ttl_ms: u64,
    /// Events kept for a replay; a RESUME from before them is refused. Not published by Discord.
    pub replay_events: usize,
    /// How long a nonce is remembered, in milliseconds; Discord says "a few minutes".
    pub nonce_window_ms: u64,
    /// How long an attachment's address works, in milliseconds.
    pub attachment_ttl_ms: u64,
    /// How long an interaction waits for its first answer, in milliseconds.
    pub interaction_deadline_ms: u64,
    /// Edits to messages older than an hour that a channel takes in an hour before 30046. Not published by Discord.
    pub old_edits: usize,
    /// Added to every frame and every response, in milliseconds.
    pub latency_ms: u64,
    /// Whether dispatches are written to the wire ledger; off for long benchmarks.
    pub record_dispatches: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat_ms: 41_250,
            heartbeat_grace_ms: 20_000,
            rate_limits: true,
            global_per_second: 50,
            bad_requests: 10_000,
            identify_total: 1000,
            max_concurrency: 1,
            identify_window_ms: 5000,
            session_ttl_ms: 180_000,
            replay_events: 10_000,
            nonce_window_ms: 180_000,
            attachment_ttl_ms: 86_400_000,
            interaction_deadline_ms: 3000,
            old_edits: 3,
            latency_ms: 0,
            record_dispatches: true,
        }
    }
}

/// Where the parts listen, without a slash at the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses {
    /// `http://HOST:PORT/api/v10`
    pub(crate) api: String,
    /// `ws://HOST:PORT/gateway`
    pub(crate) gateway: String,
    /// `ws://HOST:PORT/resume`
    pub(crate) resume: String,
    /// `http://HOST:PORT`
    pub(crate) cdn: String,
}

/// Everything, under the lock.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) addresses: Addresses,
    /// How far [`crate::FakeDiscord::advance`] has moved the clock.
    pub(crate) ahead_ms: u64,
    /// Where the clock stands still, before what it was moved.
    pub(crate) frozen_at: Option<u64>,
    pub(crate) mint: Mint,
    pub(crate) world: World,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) next_link: u64,
    pub(crate) next_request: u64,
    pub(crate) limits: RateLimits,
    pub(crate) faults: Faults,
    pub(crate) interactions: BTreeMap<Id, Interaction>,
    pub(crate) files_key: u64,
    /// Attachment addresses issued at or before this (Unix seconds) are void.
    pub(crate) files_void_until_s: u64,
    pub(crate) seen: Ledger<Seen>,
    pub(crate) wire: Ledger<Wire>,
}

impl Core {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            addresses: Addresses::default(),
            ahead_ms: 0,
            frozen_at: None,
            mint: Mint::default(),
            world: World::default(),
            sessions: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            next_request: 0,
            limits: RateLimits::default(),
            faults: Faults::default(),
            interactions: BTreeMap::new(),
            files_key: fastrand::u64(..),
            files_void_until_s: 0,
            seen: Ledger::new(),
            wire: Ledger::new(),
        }
    }

    /// The fake's Unix time in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let real = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.frozen_at.unwrap_or(real).saturating_add(self.ahead_ms)
    }

    pub(crate) fn mint(&mut self) -> Id {
        let now = self.now();
        self.mint.next(now)
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer {
            base: self.addresses.cdn.clone(),
            key: self.files_key,
            lives_s: self.options.attachment_ttl_ms / 1000,
            now_s: self.now() / 1000,
            void_until_s: self.files_void_until_s,
        }
    }
}

/// What the servers and the handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// For the deadlines of interactions, which anybody may start from anywhere.
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) seen: Ledger<Seen>,
    pub(crate) wire: Ledger<Wire>,
}

impl Shared {
    pub(crate) fn new(core: Core) -> Arc<Self> {
        let (seen, wire) = (core.seen.clone(), core.wire.clone());
        let runtime = tokio::runtime::Handle::current();
        Arc::new(Self {
            core: Mutex::new(core),
            runtime,
            seen,
            wire,
        })
    }

    /// The state. A test that panicked while it held the lock must not hide its own message behind a poisoned one.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
