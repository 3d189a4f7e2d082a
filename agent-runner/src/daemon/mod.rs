//! The shell around the [`Runner`]: the link, the processes, the session files and the clock.

mod calls;
mod effects;
mod files;
mod grants;
mod peer;
mod refusals;
mod status;
mod upload;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_schema::{BlobGet, Body, Envelope, Fault, RefuseCode};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use worker_kit::link::{LinkEvent, LinkSender, Ticket};
use worker_kit::{Life, PeerContext, Stop};

use self::calls::Calls;
use self::files::Files;
use self::grants::Grants;
use self::peer::AgentRunner;
use self::refusals::Refusals;
use crate::claude::argv;
use crate::jail::denial::Judge;
use crate::jail::own as jailed;
use crate::lacks;
use crate::model::ModelProxy;
use crate::options::{AgentKind, Options, Workspace};
use crate::process::cage::Cage;
use crate::process::lock::Locks;
use crate::process::pump::{Hold, Order};
use crate::process::sweep::Claim;
use crate::process::tail::Tail;
use crate::process::{launch, scratch, sweep};
use crate::runner::{Input, Runner};
use crate::session::{Effect, Event, What};
use crate::tools::door::{self, Door};
use crate::tools::{Catalogue, bridge};
use crate::workspace::Workspaces;
use crate::workspace::git::{Git, Own};

pub(crate) use effects::own;

/// Events of processes that wait for the runner. Few: a line may be 16 MiB.
const EVENTS: usize = 8;
/// No figures of a runner's.
const NOT_SHOWN: (usize, usize, usize) = (usize::MAX, 0, 0);
/// Between two looks for what has lain in the work directory for too long.
const CLEAN: Duration = Duration::from_secs(6 * 3600);
/// Between two looks at the session files that are watched.
const LOOK: Duration = Duration::from_millis(50);
/// Pieces of a file that may wait on the link; whatever else is said is behind no more than these.
const AHEAD: usize = 4;
/// How long a turn may go on once the runner is to end, of agents that cannot continue it.
const LONG_GRACE: Duration = Duration::from_secs(6);
/// How long Claude Code may; the next runner goes on where it was.
const CLAUDE_GRACE: Duration = Duration::from_secs(1);
/// How long killed agents are waited for at the end.
const LAST_SWEEP: Duration = Duration::from_millis(500);

/// The jail of an agent that lives.
struct Jailed {
    session: String,
    /// Its /tmp.
    scratch: PathBuf,
    /// Judges what it refuses.
    judge: Judge,
}

struct Shell {
    options: Arc<Options>,
    project: String,
    runner: Runner,
    link: LinkSender,
    events: worker_kit::link::LinkEvents,
    life: Life,
    locks: Locks,
    model: Option<ModelProxy>,
    cage: Option<Cage>,
    /// The jails of the agents that live.
    jails: HashMap<u64, Jailed>,
    /// What the jails have refused.
    refusals: Refusals,
    /// The hub does not know of the sandbox as it is.
    sandbox_untold: bool,
    /// What a process or a look at a file came to, on the way to the runner.
    inbox: mpsc::Receiver<(u64, Event)>,
    outbox: mpsc::Sender<(u64, Event)>,
    /// What a person should know of the last start's texts.
    remarks: Vec<String>,
    /// Locks that were taken and wait for their agent.
    taken: Arc<std::sync::Mutex<HashMap<u64, File>>>,
    /// What people have allowed for good.
    grants: Grants,
    /// Prompts that wait for what came with them.
    files: Files,
    /// The piece of a file that was asked for last, and whether the hub would not have it asked.
    piece: Option<(Ticket, BlobGet, bool)>,
    calls: Calls,
    /// The way to the tools of agents that come to them by themselves.
    door: Option<Door>,
    /// This very program.
    program: PathBuf,
    /// Where sessions work that have a directory of their own.
    spaces: Workspaces,
    /// Children of ours that are no agents.
    own: Own,
    /// Programs that wait for their directory.
    placing: HashMap<u64, (String, What)>,
    /// The hub does not know of the worktrees as they are.
    untold: bool,
    holds: HashMap<u64, (Hold, Claim)>,
    tails: HashMap<u64, Tail>,
    /// The link took no more: what is kept is said again once it does.
    stalled: bool,
    /// The hub could not use something: when what is kept is said again.
    again: Option<Instant>,
    status: (usize, usize, usize),
}

impl Shell {
    fn new(
        options: Options,
        tools: Arc<Catalogue>,
        program: PathBuf,
        mut context: PeerContext,
        locks: Locks,
        model: Option<ModelProxy>,
        cage: Option<Cage>,
    ) -> Shell {
        let options = Arc::new(options);
        let nonce = format!("{:016x}", context.rng.u64(..));
        let (link, events) = worker_kit::link::start(context.link);
        let (outbox, inbox) = mpsc::channel(EVENTS);
        let own = Own::default();
        let agents = argv::base_environment(&options, effects::own);
        let of_agents = |name: &str| agents.get(name).cloned().unwrap_or_default();
        let git = Git::new(of_agents("PATH"), of_agents("HOME"), own.clone())
            .jailed(cage.as_ref().map(Cage::for_git), options.work_dir.clone());
        let wanted = options.workspace == Workspace::Worktree;
        Shell {
            runner: Runner::new(Arc::clone(&options), tools, program.clone(), nonce),
            calls: Calls::new(),
            door: None,
            program,
            spaces: Workspaces::new(options.work_dir.clone(), wanted, git),
            own,
            placing: HashMap::new(),
            untold: false,
            files: Files::new(options.work_dir.clone()),
            piece: None,
            grants: Grants::open(&options.state_dir),
            options,
            project: context.instance,
            link,
            events,
            life: context.life,
            locks,
            model,
            cage,
            jails: HashMap::new(),
            refusals: Refusals::default(),
            sandbox_untold: false,
            inbox,
            outbox,
            remarks: Vec::new(),
            taken: Arc::default(),
            holds: HashMap::new(),
            tails: HashMap::new(),
            stalled: false,
            again: None,
            status: NOT_SHOWN,
        }
    }

    async fn run(mut self) -> Result<(), Stop> {
        let mut children =
            signal(SignalKind::child()).map_err(|error| Stop::Failed(error.into()))?;
        if self.options.kind == AgentKind::Acp {
            let (state_dir, events) = (&self.options.state_dir, self.outbox.clone());
            let door = Door::open(state_dir, door::Limits::default(), events).await;
            self.door = Some(door.map_err(|error| {
                Stop::Failed(anyhow::anyhow!(
                    "the way to the agents' tools cannot be opened: {error}"
                ))
            })?);
        }
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut clean = tokio::time::interval(CLEAN);
        clean.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let life = self.life.clone();
        let mut end: Option<Instant> = None;
        self.show();
        loop {
            if end.is_some_and(|end| Instant::now() >= end || self.is_done()) {
                return self.finish().await;
            }
            let due = self.runner.deadline(Instant::now());
            let due = due
                .into_iter()
                .chain(end)
                .chain(self.again)
                .min()
                .map(tokio::time::Instant::from_std);
            let tick = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let link = self.link.clone();
            let watching = self.tails.values().any(Tail::waits);
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => self.link_event(event)?,
                    None => return Err(Stop::Failed(anyhow::anyhow!("the link is over"))),
                },
                Some((launch, event)) = self.inbox.recv() => self.process(launch, event),
                () = tick => {
                    if self.again.take_if(|at| Instant::now() >= *at).is_some() {
                        self.step(Input::Again);
                        if let Some((_, get, _)) = self.piece.take_if(|(_, _, again)| *again) {
                            self.fetch(Some(get));
                        }
                    }
                    self.step(Input::Tick);
                }
                _ = look.tick(), if watching => self.look(),
                _ = clean.tick() => self.clean(),
                () = link.room(256), if self.stalled => {
                    self.stalled = false;
                    self.step(Input::Again);
                }
                _ = children.recv() => self.orphans(),
                Some(upload) = self.calls.inbox.recv() => self.calls.uploads.take(upload),
                () = link.room(AHEAD), if self.calls.uploads.waits() => self.upload(),
                () = life.draining(), if end.is_none() => {
                    let grace = match self.options.kind {
                        AgentKind::ClaudeCode => CLAUDE_GRACE,
                        AgentKind::Acp | AgentKind::Command => LONG_GRACE,
                    };
                    end = Some(Instant::now() + grace);
                    self.step(Input::Drain);
                }
            }
        }
    }

    /// On this thread, which is the one that starts agents and tools: none is taken for an orphan
    /// because it has just been started.
    fn orphans(&self) {
        let agents = self.holds.values().map(|(hold, _)| hold.pid);
        let children: HashSet<i32> = agents.chain(self.calls.pids()).collect();
        let living: Vec<&Claim> = self.holds.values().map(|(_, claim)| claim).collect();
        self.own.with(|own| sweep::orphans(&children, own, &living));
    }

    fn is_done(&self) -> bool {
        self.runner.counts().1 == 0 && (self.runner.is_settled() || !self.link.is_up())
    }

    /// Ends what still runs. What the hub was not told it asks for again; a turn that was cut off
    /// is continued by the next runner, where its agent can.
    async fn finish(mut self) -> Result<(), Stop> {
        self.calls.end_all();
        for (hold, _) in self.holds.values() {
            hold.order(Order::Kill);
        }
        let all = self.locks.all();
        let left = tokio::task::spawn_blocking(move || all.end(false, LAST_SWEEP)).await;
        if left.is_ok_and(|left| !left.is_empty()) {
            tracing::warn!("some processes of agents do not end; the next runner ends them");
        }
        self.holds.clear();
        self.orphans();
        let _ = tokio::time::timeout(LAST_SWEEP, self.link.flushed()).await;
        Ok(())
    }

    fn link_event(&mut self, event: LinkEvent) -> Result<(), Stop> {
        match event {
            LinkEvent::Up(_) | LinkEvent::Down { .. } => {
                match event {
                    LinkEvent::Up(_) => self.calls.uploads.again(),
                    _ => self.calls.uploads.pause(),
                }
                self.stalled = false;
                self.untold = true;
                self.sandbox_untold = true;
                self.files.forget();
                self.piece = None;
                self.step(Input::Link);
            }
            LinkEvent::Got(Envelope {
                body: Body::Prompt(prompt),
                trace,
                ..
            }) if !prompt.attachments.is_empty() => {
                let whole = self.spaces.wanted() || self.spaces.has(&prompt.session);
                let get = self.files.take(prompt, trace, whole);
                self.fetch(get);
            }
            LinkEvent::Got(Envelope {
                body: Body::BlobSegment(segment),
                ..
            }) => {
                let get = self.files.piece(&segment);
                self.fetch(get);
            }
            LinkEvent::Got(Envelope {
                body: Body::BlobKept(kept),
                ..
            }) => self.blob_kept(&kept.sha256),
            LinkEvent::Got(Envelope {
                body: Body::BlobGone(gone),
                ..
            }) => {
                let get = self.files.lost(&gone.sha256, "the hub keeps it no longer");
                self.fetch(get);
            }
            LinkEvent::Got(envelope) => {
                let taken = self.runner.step(
                    Instant::now(),
                    Input::Hub(Box::new(envelope.body), envelope.trace),
                );
                match taken {
                    Ok(effects) => self.effects(effects),
                    Err(error) => self.link.nack(envelope.id, error.to_string()),
                }
            }
            LinkEvent::Nacked { ticket, why } => {
                if self.blob_refused(ticket, &why) {
                    return Ok(());
                }
                tracing::warn!(why, "the hub could not use what it was told");
                if let Some((asked, _, again)) = &mut self.piece {
                    *again |= Some(*asked) == ticket;
                }
                // Once a second: a hub that refuses everything is not to be flooded.
                self.again
                    .get_or_insert_with(|| Instant::now() + Duration::from_secs(1));
            }
            LinkEvent::Refused {
                code: RefuseCode::Schema,
                hint,
            } => {
                return Err(Stop::Schema(hint));
            }
            LinkEvent::Refused { hint, .. } => tracing::warn!(hint, "the hub refuses the link"),
        }
        Ok(())
    }

    /// Asks for the next piece of a file, and goes on with every prompt that has all of its own.
    fn fetch(&mut self, mut get: Option<BlobGet>) {
        loop {
            if let Some(get) = get.take() {
                match self.link.send(Body::BlobGet(get.clone()), "") {
                    Ok(ticket) => self.piece = Some((ticket, get, false)),
                    Err(_) if self.link.is_up() => {
                        let why = "too much waits on the link to the hub";
                        self.fetch_again(&get.sha256, why);
                    }
                    Err(_) => {}
                }
            }
            let Some((complete, next)) = self.files.complete() else {
                return;
            };
            get = next;
            let files::Complete {
                prompt,
                trace,
                images,
            } = complete;
            self.step(Input::Prompt(Box::new(prompt), trace, images));
        }
    }

    fn fetch_again(&mut self, sha256: &str, why: &str) {
        let get = self.files.lost(sha256, why);
        self.fetch(get);
    }

    fn process(&mut self, launch: u64, event: Event) {
        self.refused(launch, &event);
        if matches!(event, Event::Swept) {
            // Its parent is the agent's, whose end is none of ours: no signal tells that it came to us.
            self.orphans();
        }
        if let Event::Measured(reading) = event {
            return self.step(Input::Measured(reading));
        }
        if let Event::Called { call, .. } = event {
            self.calls.end(launch, call);
        }
        if let Event::Placed(placed) = event {
            return self.placed(launch, placed);
        }
        if matches!(event, Event::Exited(_) | Event::NotLaunched(_)) {
            if let Some(model) = &self.model {
                model.revoke(launch);
            }
            if let Some(door) = &self.door {
                door.shut(launch);
            }
            self.holds.remove(&launch);
            let jail = self.jails.remove(&launch).into_iter();
            scratch::remove_later(jail.map(|jail| jail.scratch).collect());
            self.orphans();
            self.tails.remove(&launch);
        }
        let event = match event {
            Event::NotLaunched(Fault::AgentMissing { why, .. }) => {
                let cmd = self.options.program().to_owned();
                Event::NotLaunched(Fault::AgentMissing { cmd, why })
            }
            event => event,
        };
        self.step(Input::Process(launch, event));
    }

    fn look(&mut self) {
        let found: Vec<(u64, Vec<String>)> = self
            .tails
            .iter_mut()
            .filter(|(_, tail)| tail.waits())
            .map(|(launch, tail)| (*launch, tail.look()))
            .filter(|(_, ids)| !ids.is_empty())
            .collect();
        for (launch, ids) in found {
            self.step(Input::Process(launch, Event::Written(ids)));
        }
    }

    fn step(&mut self, input: Input) {
        match self.runner.step(Instant::now(), input) {
            Ok(effects) => self.effects(effects),
            Err(error) => tracing::warn!(%error, "an input was not used"),
        }
    }

    fn effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.effect(effect);
        }
        self.show();
        self.tell_worktrees();
        self.tell_sandbox();
    }
}

/// The whole of the program.
pub fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == launch::FLAG => return launch::become_agent(arguments),
        Some(first) if first == launch::TOOL_FLAG => return launch::become_tool(arguments),
        Some(first) if first == jailed::FLAG => return launch::stay_with_agent(arguments),
        Some(first) if first == bridge::FLAG => return bridge::main(arguments),
        Some(first) if first == lacks::FLAG => return lacks::main(),
        _ => {}
    }
    // An agent may run as the same user: it is not to look into this memory, nor to read our
    // descriptors, for the keys. What we start can be looked into again: that ends with exec.
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        eprintln!("agent-runner: PR_SET_DUMPABLE: {error}");
        return std::process::ExitCode::FAILURE;
    }
    worker_kit::peer_main::<AgentRunner>()
}
