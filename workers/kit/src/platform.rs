//! A chat platform: implement [`Platform`], call [`main_with`], and that is a worker.

use std::future::Future;
use std::marker::PhantomData;
use std::process::ExitCode;

use ipc_schema::Capabilities;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::doctor::Doctor;
use crate::hub::Hub;
use crate::life::{Life, Stop};
use crate::options::OptionProblem;
use crate::peer::{Peer, PeerContext, peer_main};

/// One kind of chat platform.
pub trait Platform: 'static {
    /// Its name, as `type = "…"` in the configuration: `discord`, `weibo`, …
    const KIND: &'static str;
    /// The program's name: `KIND-worker`.
    const PROGRAM: &'static str;
    /// The program's version: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// Its options. Secrets belong in [`secrecy::SecretString`].
    type Options: DeserializeOwned;

    /// Every problem of these options; see [`crate::options::check_keys`]. Secrets may be
    /// placeholders; nothing is connected to.
    fn check(options: &Value) -> Vec<OptionProblem>;

    /// What the platform can do; without options, what it can do at most.
    fn capabilities(options: Option<&Self::Options>) -> Capabilities;

    /// Examines for real everything that these options depend on (credentials, connection, rights,
    /// clock) and says what it finds, as [`Doctor`] wants it; each question has a deadline of its
    /// own. It takes nothing that a running process of the same account needs. Without this, nothing
    /// is examined.
    fn doctor(_options: Self::Options, _doctor: &mut Doctor) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Keeps the connection to the platform and carries messages both ways, until
    /// [`Life::draining`] says to end and what was in hand is done. Trouble with the platform is
    /// its own to mend: it reconnects with backoff and says how things stand with
    /// [`Life::status`]. Only what a retry cannot mend is a [`Stop`].
    fn run(options: Self::Options, context: Context) -> impl Future<Output = Result<(), Stop>>;
}

/// What a platform is given.
#[derive(Debug)]
pub struct Context {
    /// Which account.
    pub instance: String,
    /// The hub.
    pub hub: Hub,
    /// What the process says of itself, and whether it is to end.
    pub life: Life,
    /// Chance, seeded by the system.
    pub rng: fastrand::Rng,
}

/// The whole of a worker's `main`.
pub fn main_with<P: Platform>() -> ExitCode {
    peer_main::<Worker<P>>()
}

struct Worker<P>(PhantomData<P>);

impl<P: Platform> Peer for Worker<P> {
    const KIND: &'static str = P::KIND;
    const PROGRAM: &'static str = P::PROGRAM;
    const VERSION: &'static str = P::VERSION;
    type Options = P::Options;

    fn check(options: &Value) -> Vec<OptionProblem> {
        P::check(options)
    }

    fn capabilities(options: Option<&P::Options>) -> Capabilities {
        P::capabilities(options)
    }

    fn doctor(options: P::Options, doctor: &mut Doctor) -> impl Future<Output = ()> {
        P::doctor(options, doctor)
    }

    async fn run(options: P::Options, context: PeerContext) -> Result<(), Stop> {
        let PeerContext {
            instance,
            generation: _,
            link,
            life,
            rng,
        } = context;
        let hub = Hub::start(link);
        let context = Context {
            instance,
            hub: hub.clone(),
            life,
            rng,
        };
        tokio::select! {
            ended = P::run(options, context) => ended,
            hint = hub.over() => Err(Stop::Schema(format!(
                "the hub speaks no grammar that this worker knows; install both from one release: {hint}"
            ))),
        }
    }
}
