//! The hub as a process: inherited descriptors in, an exit code out.

use std::io::Read as _;
use std::os::fd::OwnedFd;

use interprocess::local_socket::tokio::Listener;
use ipc_schema::LinkSecret;
use spool::{OpenError, Spool, SpoolError};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use worker_kit::life::{Life, Notify, inherited, log, watch_drain};

use crate::control;
use crate::engine::Engine;
use crate::link::{Door, admit};
use crate::plan::Plan;
use crate::serve::{Inputs, now, serve};

/// Events that may wait for the hub's loop.
const INPUTS: usize = 1024;
/// Operator's questions that may wait.
const ASKS: usize = 16;
/// The largest configuration, in bytes.
const CONFIG: u64 = 4 << 20;
/// What the descriptors of listeners are called: `link.PEER`.
const LINK: &str = "link.";

/// Why the hub ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It was not started by a monitor, or by one that it does not understand. Exit code 78.
    #[error("{0}")]
    Config(String),
    /// The spool cannot be used. Exit code 75 where that may pass by itself (another process has it, the
    /// disk is full or in trouble), else 78: a person must look.
    #[error("{0}")]
    Spool(#[from] OpenError),
    /// A commit failed: nothing was said of it. Exit code 74.
    #[error("{0}; nothing that was accepted is lost, the hub starts again from the disk")]
    Commit(#[from] SpoolError),
    /// The system refused something. Exit code 71.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl HubError {
    /// The exit code, of sysexits.
    pub fn code(&self) -> u8 {
        match self {
            HubError::Config(_) => 78,
            HubError::Spool(
                OpenError::InUse { .. }
                | OpenError::Full { .. }
                | OpenError::Busy { .. }
                | OpenError::Io { .. },
            ) => 75,
            HubError::Spool(_) => 78,
            HubError::Commit(_) => 74,
            HubError::Io(_) => 71,
        }
    }
}

/// What the hub was given at its start.
struct Given {
    plan: Plan,
    alive: Option<std::fs::File>,
    listeners: Vec<(String, Listener)>,
}

/// Runs the hub until it is asked to end.
///
/// # Errors
/// Any [`HubError`], already logged.
pub fn run() -> Result<(), HubError> {
    let notify = Notify::from_env();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = LocalSet::new();
    let outcome = tasks.block_on(&runtime, async {
        let given = take_over();
        let level = given
            .as_ref()
            .map_or("info", |given| given.plan.log_level.as_str());
        log::start("bulkhead hub", &["hub", "spool"], level);
        log::abort_on_panic();
        work(given?, notify.clone()).await
    });
    if let Err(error) = &outcome {
        notify.status(&error.to_string());
        tracing::error!("ending with code {}: {error}", error.code());
    }
    runtime.shutdown_background();
    outcome
}

async fn work(given: Given, notify: Notify) -> Result<(), HubError> {
    let Given {
        plan,
        alive,
        listeners,
    } = given;
    let life = Life::new(notify.clone(), watch_drain(alive)?);
    tokio::spawn(notify.clone().run());

    let spool = Spool::open(&plan.state_dir)?;
    spool.limit_size(plan.spool_max_bytes)?;
    let runtime_dir = plan.runtime_dir.clone();
    let (report, links) = mpsc::channel(INPUTS);
    let (ask, asks) = mpsc::channel(ASKS);
    for (peer, listener) in listeners {
        let bytes = plan
            .link_secrets
            .get(&peer)
            .and_then(|secret| secret.bytes());
        let Some(bytes) = bytes else {
            return Err(HubError::Config(format!(
                "there is no link secret for {peer}"
            )));
        };
        let door = Door {
            peer,
            secret: LinkSecret::new(bytes),
            report: report.clone(),
        };
        tokio::task::spawn_local(admit(listener, door));
    }
    drop(report);
    tokio::task::spawn_local(async move {
        if let Err(error) = control::listen(&runtime_dir, ask).await {
            tracing::warn!(%error, "no control socket: `bulkhead queue` will not work");
        }
    });
    let engine = Engine::new(plan, std::rc::Rc::new(spool), fastrand::u64(..), now())?;
    notify.ready();
    let drained = async {
        life.draining().await;
        notify.stopping();
    };
    serve(engine, Inputs { links, asks }, drained, |line| {
        life.status(line)
    })
    .await?;
    Ok(())
}

/// Reads what the monitor handed over.
fn take_over() -> Result<Given, HubError> {
    let variable = |name: &str| std::env::var(name).ok();
    let names = inherited::names(variable, std::process::id());
    let mut sockets = listenfd::ListenFd::from_env();
    let (mut config, mut alive, mut listeners) = (None, None, Vec::new());
    for (name, number) in names {
        match name.as_str() {
            "config" => config = Some(inherited::reopen(&name, number)?),
            "alive" => alive = Some(inherited::reopen(&name, number)?),
            link => {
                let Some(peer) = link.strip_prefix(LINK) else {
                    continue;
                };
                let index = usize::try_from(number - 3).unwrap_or(usize::MAX);
                let socket = sockets.take_unix_listener(index)?;
                let socket = socket.ok_or_else(|| {
                    HubError::Config(format!("the descriptor {name} is no listening socket"))
                })?;
                listeners.push((
                    peer.to_owned(),
                    Listener::UdSocket(OwnedFd::from(socket).try_into()?),
                ));
            }
        }
    }
    let Some(config) = config else {
        return Err(HubError::Config(
            "the hub is started by `bulkhead run`, which hands it its configuration on an \
             inherited descriptor; start that instead"
                .into(),
        ));
    };
    let mut text = String::new();
    config.take(CONFIG).read_to_string(&mut text)?;
    // serde's words could quote a secret: only the place is told.
    let plan = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        HubError::Config(format!(
            "the hub's configuration is unreadable at {line}:{column}"
        ))
    })?;
    Ok(Given {
        plan,
        alive,
        listeners,
    })
}

/// The name of the descriptor for a peer's listener.
pub fn descriptor(peer: &str) -> String {
    format!("{LINK}{peer}")
}
