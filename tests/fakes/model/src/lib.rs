//! A model API on loopback that the real Claude Code talks to: `ANTHROPIC_BASE_URL` = [`FakeModel::url`], any key.
//!
//! Promises: the Messages API as documented, streamed and in one piece, with its errors; answers are scripted ([`script`]) by the
//! prompt or by [`FakeModel::next_turn`]; every request stands in a ledger that can be waited on; the command line's own small
//! requests never use up a script.
//! Does not: think, keep a conversation (each request brings its own), or write a key down anywhere.

mod asked;
mod control;
mod point;
pub mod script;
mod server;
mod state;
mod trouble;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fake_kit::{Ledger, Server, Timeout};

pub use asked::{Asked, CONTINUE, Purpose};
use script::{Point, Script};
use state::Shared;
pub use state::{Event, Key};
pub use wire::{id, pieces};

/// A running fake. Clones are handles to the same one; the last one to go stops it.
#[derive(Clone)]
pub struct FakeModel {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

impl std::fmt::Debug for FakeModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeModel")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl FakeModel {
    /// Starts on a port of 127.0.0.1 that the kernel picks.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts on `listen`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_at(listen: SocketAddr) -> io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let router = control::router(&shared).fallback_service(server::router(Arc::clone(&shared)));
        let server = Arc::new(Server::start(listen, router).await?);
        Ok(Self { shared, server })
    }

    /// `http://127.0.0.1:PORT`: what `ANTHROPIC_BASE_URL` is to be.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Everything that happened.
    #[must_use]
    pub fn ledger(&self) -> &Ledger<Event> {
        &self.shared.ledger
    }

    /// From now on any other key is refused.
    pub fn expect_key(&self, key: &str) {
        self.shared.expect_key(key);
    }

    /// The next turn that comes plays this, whatever its prompt says. Scripts queue up, one a turn.
    pub fn next_turn(&self, script: Script) {
        self.shared.next_turn(script);
    }

    /// Waits until a turn stands at `point`; gives the request's id.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn held(&self, point: Point, deadline: Duration) -> Result<u64, Timeout> {
        self.shared.held(point, deadline).await
    }

    /// Lets everything that stands at `point` go on; says how many that was.
    pub fn release(&self, point: Point) -> usize {
        self.shared.release(Some(point))
    }

    /// Lets everything go on.
    pub fn release_all(&self) -> usize {
        self.shared.release(None)
    }
}
