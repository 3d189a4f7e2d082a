//! What the hub decides: an event in, rows changed in the spool, envelopes to send once they are
//! committed.
//!
//! The spool is the state. What stands here beside it can be thrown away at any time: which links
//! are up, what is in flight on them, what has to be looked at before the next commit. The clock
//! and chance are passed in; nothing here waits or does network I/O, so a whole day of kills is
//! simulated in milliseconds.
//!
//! Events come in batches ([`Engine::batch`]), a transaction each; what a batch says may be sent once
//! it is committed, and not before.

mod acts;
mod batch;
mod blobs;
mod chat;
mod content;
mod delivery;
mod intake;
mod outbox;
mod pages;
mod progress;
mod questions;
mod runner;
mod sessions;
mod worktrees;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use ipc_schema::{
    Activity, Body, Capabilities, CommandSpec, CursorKept, CursorPut, Nack, Sandbox, Worktree,
};
use spool::{Spool, SpoolError, Turn};

use self::blobs::Incoming;
use self::progress::Live;
use crate::ids::Ids;
use crate::menu::menu;
use crate::pace::Bucket;
use crate::plan::Plan;
use crate::rate::RateLimit;

/// Something happened.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a batch holds few, each for a moment"
)]
pub enum Event {
    /// A peer has proved itself and was welcomed.
    Up {
        /// The process.
        peer: String,
        /// What it can do.
        capabilities: Capabilities,
    },
    /// Its link is gone.
    Down {
        /// The process.
        peer: String,
    },
    /// It said something.
    Got {
        /// The process.
        peer: String,
        /// The envelope's number on its link.
        id: u64,
        /// The envelope's trace.
        trace: String,
        /// What it said.
        body: Body,
    },
}

/// To be sent after the commit, if the peer's link is up.
#[derive(Debug, Clone, PartialEq)]
pub struct Out {
    /// The process.
    pub peer: String,
    /// For the envelope.
    pub trace: String,
    /// What to say.
    pub body: Body,
}

/// An address of a worker: everything to it goes out in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Lane {
    instance: String,
    address: String,
}

#[derive(Default)]
struct Worker {
    up: bool,
    capabilities: Rc<Capabilities>,
    in_flight: HashSet<String>,
    bucket: Bucket,
}

#[derive(Default)]
struct Runner {
    /// Linked, and has said how the open turns stand.
    ready: bool,
    capabilities: Capabilities,
}

/// What can be looked up again when its time has come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A chunk of the lane may be handed out again.
    Lane(Lane),
    /// The turn has been waiting behind others for long enough to say so.
    Queued { turn: String },
    /// The turn's runner has been away for long enough to say so.
    RunnerAway { turn: String },
    /// What is shown of the turn may be due.
    Progress(String),
    /// The turn takes long, and nothing of it was shown.
    Silence(String),
}

/// Until somebody whose message waits behind others is told, milliseconds.
const QUEUED: u64 = 3_000;
/// Until somebody whose message waits for a runner is told, milliseconds.
const RUNNER_AWAY: u64 = 15_000;
/// The spool's own entries among the cursors, where a name is asked for.
const HUB: &str = "hub";

/// See the module.
pub struct Engine {
    plan: Plan,
    spool: Rc<Spool>,
    ids: Ids,
    rate: RateLimit,
    workers: HashMap<String, Worker>,
    /// By process name.
    runners: HashMap<String, Runner>,
    timers: BTreeMap<u64, BTreeSet<Timer>>,
    /// Turns whose asker has heard that the runner is away; forgotten when one is back.
    told_away: HashSet<String>,
    /// What is shown of turns that run, by turn.
    live: HashMap<String, Live>,
    /// Where a turn runs of which nothing was said yet.
    quiet: HashMap<Lane, String>,
    /// Files that are being handed over, by peer.
    incoming: HashMap<String, Vec<Incoming>>,
    /// The worktrees of each runner's sessions, as it said last.
    worktrees: HashMap<String, Vec<Worktree>>,
    /// How each runner closes its agents in, as it said last.
    sandboxes: HashMap<String, Sandbox>,
    dirty_sessions: BTreeSet<String>,
    dirty_lanes: BTreeSet<Lane>,
    out: Vec<Out>,
    /// Timers that went off in this transaction.
    rung: Vec<Timer>,
    /// Events that found no room and that nobody says again, and when to try them again.
    held: Vec<Event>,
    retry_at: Option<u64>,
    /// What ends the hub, once what was committed before it is said.
    broken: Option<SpoolError>,
}

impl Engine {
    /// Takes over a spool. `seed` makes the names that this run gives out.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub fn new(plan: Plan, spool: Rc<Spool>, seed: u64, now: u64) -> Result<Engine, SpoolError> {
        let known: HashMap<String, Capabilities> = spool
            .cursors(HUB)?
            .into_iter()
            .filter_map(|(peer, value)| Some((peer, serde_json::from_slice(&value).ok()?)))
            .collect();
        let workers = plan
            .platforms
            .keys()
            .map(|peer| {
                let capabilities = known.get(peer).cloned().unwrap_or_default();
                (
                    peer.clone(),
                    Worker {
                        capabilities: Rc::new(capabilities),
                        ..Worker::default()
                    },
                )
            })
            .collect();
        let runners = plan
            .projects
            .values()
            .map(|p| (p.runner.clone(), Runner::default()))
            .collect();
        let mut engine = Engine {
            plan,
            spool,
            ids: Ids::new(seed),
            rate: RateLimit::default(),
            workers,
            runners,
            timers: BTreeMap::new(),
            told_away: HashSet::new(),
            live: HashMap::new(),
            quiet: HashMap::new(),
            incoming: HashMap::new(),
            worktrees: HashMap::new(),
            sandboxes: HashMap::new(),
            dirty_sessions: BTreeSet::new(),
            dirty_lanes: BTreeSet::new(),
            out: Vec::new(),
            rung: Vec::new(),
            held: Vec::new(),
            retry_at: None,
            broken: None,
        };
        for runner in engine.runners.keys().cloned().collect::<Vec<_>>() {
            engine.runner_away(&runner, now)?;
        }
        for project in engine.plan.projects.keys().cloned().collect::<Vec<_>>() {
            for turn in engine.spool.open_turns(&project)? {
                engine.await_silence(&turn, now)?;
            }
            for session in engine.spool.sessions_with_queued(&project)? {
                engine.await_queued(&session, now)?;
            }
        }
        Ok(engine)
    }

    /// The spool, for whoever commits and for the operator's questions.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The commands that a worker is to offer in its platform's own menu.
    pub fn menu(&self, peer: &str) -> Vec<CommandSpec> {
        let platform = self.plan.platforms.get(peer);
        let project = platform.and_then(|platform| self.plan.projects.get(&platform.project));
        project.map_or_else(Vec::new, |project| menu(&self.plan, project))
    }

    /// Whether each peer is linked, by process name; a runner counts once it has answered.
    pub fn links(&self) -> BTreeMap<String, bool> {
        let workers = self
            .workers
            .iter()
            .map(|(peer, worker)| (peer.clone(), worker.up));
        let runners = self
            .runners
            .iter()
            .map(|(peer, runner)| (peer.clone(), runner.ready));
        workers.chain(runners).collect()
    }

    fn handle(&mut self, event: Event, now: u64) -> Result<(), SpoolError> {
        match event {
            Event::Up { peer, capabilities } => self.up(&peer, capabilities),
            Event::Down { peer } => self.down(&peer, now),
            Event::Got {
                peer,
                id,
                trace,
                body,
            } => self.got(&peer, id, &trace, body, now),
        }
    }

    fn up(&mut self, peer: &str, capabilities: Capabilities) -> Result<(), SpoolError> {
        self.incoming.remove(peer);
        if let Some(runner) = self.runners.get_mut(peer) {
            runner.capabilities = capabilities;
            runner.ready = false;
            return self.runner_up(peer);
        }
        let Some(worker) = self.workers.get_mut(peer) else {
            return Ok(());
        };
        worker.up = true;
        worker.in_flight.clear();
        if *worker.capabilities != capabilities {
            let bytes = serde_json::to_vec(&capabilities).unwrap_or_default();
            self.spool.put_cursor(HUB, peer, &bytes)?;
            worker.capabilities = Rc::new(capabilities);
        }
        for address in self.spool.lane_heads(peer)? {
            self.dirty_lanes.insert(Lane {
                instance: peer.to_owned(),
                address,
            });
        }
        for project in self.plan.projects.keys().cloned().collect::<Vec<_>>() {
            for turn in self
                .spool
                .open_turns(&project)?
                .iter()
                .filter(|t| t.instance == peer)
            {
                self.show_activity(turn, true);
            }
        }
        self.doubt_progress(peer);
        if let Some(platform) = self.plan.platforms.get(peer) {
            tracing::info!(project = %platform.project, platform = %peer, "platform started");
        }
        Ok(())
    }

    fn down(&mut self, peer: &str, now: u64) -> Result<(), SpoolError> {
        self.incoming.remove(peer);
        if let Some(worker) = self.workers.get_mut(peer) {
            worker.up = false;
            worker.in_flight.clear();
        }
        match self.runners.get_mut(peer) {
            Some(runner) => {
                runner.ready = false;
                self.runner_away(peer, now)
            }
            None => Ok(()),
        }
    }

    fn got(
        &mut self,
        peer: &str,
        id: u64,
        trace: &str,
        body: Body,
        now: u64,
    ) -> Result<(), SpoolError> {
        let is_worker = self.workers.contains_key(peer);
        match body {
            Body::Inbound(inbound) if is_worker => self.inbound(peer, inbound, trace, now),
            Body::Delivered(done) if is_worker => self.delivered(peer, done, now),
            Body::DeliveryFailed(failed) if is_worker => self.delivery_failed(peer, failed, now),
            Body::CursorPut(put) => self.cursor_put(peer, id, put),
            Body::BlobSegment(segment) => self.blob_segment(peer, id, segment, now),
            Body::BlobGet(get) => self.blob_get(peer, id, get),
            Body::TurnsAnswer(answer) if !is_worker => self.turns_answer(peer, answer, now),
            Body::TurnUpdate(update) if !is_worker => self.turn_update(peer, id, update, now),
            Body::Worktrees(told) if !is_worker => self.worktrees_told(peer, told, now),
            Body::Sandbox(told) if !is_worker => {
                self.sandboxes.insert(peer.to_owned(), told);
                Ok(())
            }
            Body::Unprompted(said) if !is_worker => self.unprompted(peer, said, now),
            Body::Nack(nack) => {
                tracing::warn!(peer, why = %nack.why, "the peer could not use an envelope");
                Ok(())
            }
            _ => {
                let why = "this kind is not known here, or not from this peer".to_owned();
                self.send(peer, trace, Body::Nack(Nack { id, why }));
                Ok(())
            }
        }
    }

    fn cursor_put(&mut self, peer: &str, id: u64, put: CursorPut) -> Result<(), SpoolError> {
        const NAME: usize = 64;
        // They all go into one Welcome, which is one frame.
        const CURSORS: usize = 128 * 1024;
        const VALUE: usize = 64 * 1024;
        if put.name.is_empty() || put.name.len() > NAME || put.value.len() > VALUE {
            let why = format!("a cursor has a name of 1 to {NAME} bytes and at most {VALUE} bytes");
            self.send(peer, "", Body::Nack(Nack { id, why }));
            return Ok(());
        }
        let others = self.spool.cursors(peer)?;
        let others = others.iter().filter(|(name, _)| *name != put.name);
        let sum: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if sum + put.value.len() > CURSORS {
            let why = format!("all cursors of a peer together have at most {CURSORS} bytes");
            self.send(peer, "", Body::Nack(Nack { id, why }));
            return Ok(());
        }
        match self.spool.put_cursor(peer, &put.name, &put.value) {
            // The peer has too many of them: its fault, and nobody else's trouble.
            Err(error) if error.is_refused() => {
                let why = error.to_string();
                self.send(peer, "", Body::Nack(Nack { id, why }));
                return Ok(());
            }
            kept => kept?,
        }
        self.send(
            peer,
            "",
            Body::CursorKept(CursorKept {
                name: put.name,
                number: put.number,
            }),
        );
        Ok(())
    }

    fn tick(&mut self, now: u64) -> Result<(), SpoolError> {
        while let Some(entry) = self
            .timers
            .first_entry()
            .filter(|entry| *entry.key() <= now)
        {
            for timer in entry.remove() {
                self.rung.push(timer.clone());
                match timer {
                    Timer::Lane(lane) => {
                        self.dirty_lanes.insert(lane);
                    }
                    Timer::Queued { turn } => self.tell_queued(&turn, now)?,
                    Timer::RunnerAway { turn } => self.tell_runner_away(&turn, now)?,
                    Timer::Progress(turn) => self.tick_progress(&turn, now)?,
                    Timer::Silence(turn) => self.silence(&turn, now)?,
                }
            }
        }
        Ok(())
    }

    /// Starts what can start and hands out what can go. Once a batch, before the commit.
    fn settle(&mut self, now: u64) -> Result<(), SpoolError> {
        while let Some(session) = self.dirty_sessions.pop_first() {
            self.schedule(&session, now)?;
        }
        while let Some(lane) = self.dirty_lanes.pop_first() {
            self.hand_out(lane, now)?;
        }
        Ok(())
    }

    /// When to run the next batch even without an event, if anything waits for its time.
    pub fn next_wake(&self) -> Option<u64> {
        let at_once = self.broken.as_ref().map(|_| 0);
        let timer = self.timers.keys().next().copied();
        [at_once, timer, self.retry_at].into_iter().flatten().min()
    }

    fn at(&mut self, when: u64, timer: Timer) {
        self.timers.entry(when).or_default().insert(timer);
    }

    fn cancel(&mut self, when: u64, timer: &Timer) {
        if let Some(timers) = self.timers.get_mut(&when) {
            timers.remove(timer);
            if timers.is_empty() {
                self.timers.remove(&when);
            }
        }
    }

    fn send(&mut self, peer: &str, trace: &str, body: Body) {
        self.out.push(Out {
            peer: peer.to_owned(),
            trace: trace.to_owned(),
            body,
        });
    }

    fn show_activity(&mut self, turn: &Turn, working: bool) {
        if self
            .workers
            .get(&turn.instance)
            .is_some_and(|worker| worker.capabilities.typing)
        {
            let activity = Activity {
                address: turn.address.clone(),
                turn: turn.id.clone(),
                working,
            };
            self.send(&turn.instance, &turn.trace, Body::Activity(activity));
        }
    }
}
