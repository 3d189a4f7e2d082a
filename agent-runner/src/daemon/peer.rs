//! The runner as a peer of the hub: what it can do, and all that it takes hold of before it runs.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use ipc_schema::Capabilities;
use serde_json::Value;
use worker_kit::{Doctor, OptionProblem, Peer, PeerContext, Stop};

use super::Shell;
use crate::claude::argv;
use crate::doctor;
use crate::home;
use crate::model::{self, ModelProxy, Upstream};
use crate::options::{self, AgentKind, Options};
use crate::process::cage::Cage;
use crate::process::lock::Locks;
use crate::process::scratch;
use crate::tools::Catalogue;

/// The runner as a peer of the hub.
#[derive(Debug)]
pub(crate) struct AgentRunner;

impl Peer for AgentRunner {
    const KIND: &'static str = "runner";
    const PROGRAM: &'static str = "agent-runner";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;

    fn check(options: &Value) -> Vec<OptionProblem> {
        options::check(options)
    }

    fn capabilities(options: Option<&Options>) -> Capabilities {
        let kind = options.map_or(AgentKind::ClaudeCode, |options| options.kind);
        let claude = kind == AgentKind::ClaudeCode;
        let modes = if claude { &argv::MODES[..] } else { &[] };
        Capabilities {
            dedups_prompts: claude,
            modes: modes.iter().map(|mode| (*mode).to_owned()).collect(),
            models: kind != AgentKind::Command,
            ..Capabilities::default()
        }
    }

    async fn doctor(options: Options, doctor: &mut Doctor) {
        doctor::examine(options, doctor).await;
    }

    async fn run(options: Options, context: PeerContext) -> Result<(), Stop> {
        let failed = |what: &str, error: std::io::Error| {
            Stop::Failed(anyhow::anyhow!(
                "{what} {}: {error}",
                options.state_dir.display()
            ))
        };
        let tools = Catalogue::new(&options).map_err(|(tool, why)| {
            Stop::Failed(anyhow::anyhow!(
                "the input of tool {tool} is no JSON Schema: {why}"
            ))
        })?;
        let locks = Locks::new(&options.state_dir)
            .map_err(|e| failed("cannot make the state directory", e))?;
        let guard = locks.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let lock = guard.runner()?;
            // What a runner that was killed has left behind.
            let left = guard.all().end(false, Duration::from_secs(2));
            if !left.is_empty() {
                tracing::warn!(?left, "processes of the last runner's agents do not end");
            }
            Ok(lock)
        });
        let _lock: File = match taken.await {
            Ok(lock) => lock.map_err(|e| failed("another runner works in", e))?,
            Err(error) => return Err(Stop::Failed(error.into())),
        };
        // Orphans of agents come to us, so that their end can be seen to.
        nix::sys::prctl::set_child_subreaper(true).map_err(|e| Stop::Failed(e.into()))?;
        let held = home::hold(&options);
        let _volume = held.map_err(|e| failed("cannot hold the volume for the runner in", e))?;
        let model = model_proxy(&options).await?;
        let told = options.clone();
        let cage = tokio::task::spawn_blocking(move || {
            scratch::clear(&told.state_dir);
            Cage::new(&told, &scratch::place(&told.state_dir))
        })
        .await;
        let cage = match cage {
            Ok(cage) => cage.map_err(Stop::Config)?,
            Err(error) => return Err(Stop::Failed(error.into())),
        };
        match &cage {
            None => tracing::warn!("the agent's sandbox is off: it may do what this user may"),
            Some(cage) => {
                if let Some(why) = cage.no_namespaces() {
                    tracing::warn!(
                        why,
                        "the agent's sandbox has no namespaces of its own: it makes no Unix sockets, and \
                         sees nothing of /proc but its own process"
                    );
                }
            }
        }
        let program = std::env::current_exe().map_err(|e| Stop::Failed(e.into()))?;
        Shell::new(
            options,
            Arc::new(tools),
            program,
            context,
            locks,
            model,
            cage,
        )
        .run()
        .await
    }
}

/// The way to the model, if it is for the runner to keep the key.
async fn model_proxy(options: &Options) -> Result<Option<ModelProxy>, Stop> {
    let Some(upstream) = Upstream::new(options).map_err(Stop::Config)? else {
        return Ok(None);
    };
    let started = ModelProxy::start(upstream, model::Limits::default()).await;
    started.map(Some).map_err(|error| {
        Stop::Failed(anyhow::anyhow!(
            "the way to the model cannot be opened: {error}"
        ))
    })
}
