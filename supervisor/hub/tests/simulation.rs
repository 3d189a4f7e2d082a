//! A day of kills in milliseconds: the engine, a chat platform, a worker, a runner and an agent as
//! state machines, joined by links that lose whatever was on them.
//!
//! Every process dies at random instants, between any two envelopes. In the end every message must
//! have been answered exactly once and in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use desk::*;
use hub::engine::{Engine, Event, Out};
use ipc_schema::*;
use proptest::prelude::*;
use spool::Spool;

const USERS: [&str; 3] = ["ann", "bob", "eve"];

/// What the platform has: it keeps everything, and drops a repeated nonce.
#[derive(Default)]
struct Platform {
    said: Vec<(String, Body)>,
    posted: BTreeMap<String, Vec<String>>,
    nonces: BTreeSet<String>,
}

/// A worker: replays what is not accepted, posts, remembers results until they are kept.
#[derive(Default)]
struct Worker {
    linked: bool,
    offered: BTreeSet<String>,
    accepted: BTreeSet<String>,
    results: BTreeMap<String, bool>,
}

/// An agent's history on disk: prompt id → its text, and whether it was answered.
#[derive(Default)]
struct Agent {
    history: BTreeMap<String, (String, bool)>,
    runs: BTreeMap<String, u32>,
}

/// A runner: holds updates until they are kept.
#[derive(Default)]
struct Runner {
    linked: bool,
    attempts: BTreeMap<TurnRef, Attempt>,
}

#[derive(Default)]
struct Attempt {
    held: BTreeMap<u64, TurnEvent>,
    said: u64,
    prompt_id: String,
    over: bool,
}

struct World {
    engine: Engine,
    spool: Rc<Spool>,
    now: u64,
    next: u32,
    /// Hubs so far: each gives out names of its own.
    hubs: u64,
    platform: Platform,
    worker: Worker,
    runner: Runner,
    agent: Agent,
    to_worker: VecDeque<Body>,
    to_runner: VecDeque<Body>,
    from_worker: VecDeque<Body>,
    from_runner: VecDeque<Body>,
}

#[derive(Debug, Clone, Copy)]
enum Do {
    Say(u8),
    Hub(u8),
    Worker,
    Runner,
    AgentStep,
    KillHub,
    KillWorker,
    KillRunner,
    Time,
}

impl World {
    fn new() -> World {
        let spool = Rc::new(Spool::in_memory().unwrap());
        let now = 1_000_000;
        let engine = Engine::new(plan(), Rc::clone(&spool), 7, now).unwrap();
        World {
            engine,
            spool,
            now,
            next: 0,
            hubs: 7,
            platform: Platform::default(),
            worker: Worker::default(),
            runner: Runner::default(),
            agent: Agent::default(),
            to_worker: VecDeque::new(),
            to_runner: VecDeque::new(),
            from_worker: VecDeque::new(),
            from_runner: VecDeque::new(),
        }
    }

    fn act(&mut self, what: Do) {
        match what {
            Do::Say(user) => {
                self.next += 1;
                let user = USERS[usize::from(user) % USERS.len()];
                let body = inbound(&format!("e{}", self.next), user, &format!("{}", self.next));
                self.platform.said.push((user.to_owned(), body));
            }
            Do::Hub(many) => self.hub(usize::from(many)),
            Do::Worker => self.worker(),
            Do::Runner => self.runner(),
            Do::AgentStep => self.agent_step(),
            Do::KillHub => {
                self.hubs += 1;
                // What was not committed never happened; both links are gone.
                self.engine =
                    Engine::new(plan(), Rc::clone(&self.spool), self.hubs, self.now).unwrap();
                self.cut_worker();
                self.cut_runner();
            }
            Do::KillWorker => {
                self.cut_worker();
                self.worker = Worker::default();
                self.feed(vec![Event::Down {
                    peer: WORKER.into(),
                }]);
            }
            Do::KillRunner => {
                self.cut_runner();
                self.runner = Runner::default();
                self.feed(vec![Event::Down {
                    peer: RUNNER.into(),
                }]);
            }
            Do::Time => self.now += 1000,
        }
    }

    fn cut_worker(&mut self) {
        self.to_worker.clear();
        self.from_worker.clear();
        self.worker.linked = false;
    }

    fn cut_runner(&mut self) {
        self.to_runner.clear();
        self.from_runner.clear();
        self.runner.linked = false;
    }

    /// The hub handles some of what waits.
    fn hub(&mut self, many: usize) {
        let mut events = Vec::new();
        for _ in 0..many % 6 {
            let (peer, body) = match (self.from_worker.pop_front(), self.from_runner.pop_front()) {
                (Some(one), Some(two)) => {
                    self.from_runner.push_front(two);
                    (WORKER, one)
                }
                (Some(one), None) => (WORKER, one),
                (None, Some(two)) => (RUNNER, two),
                (None, None) => break,
            };
            events.push(Event::Got {
                peer: peer.into(),
                id: 1,
                trace: String::new(),
                body,
            });
        }
        self.feed(events);
    }

    fn feed(&mut self, events: Vec<Event>) {
        for Out { peer, body, .. } in self.engine.batch(events, self.now).unwrap() {
            match peer.as_str() {
                WORKER if self.worker.linked => self.to_worker.push_back(body),
                RUNNER if self.runner.linked => self.to_runner.push_back(body),
                _ => {}
            }
        }
    }

    fn worker(&mut self) {
        if !self.worker.linked {
            self.worker.linked = true;
            self.worker.offered = self.worker.accepted.clone();
            let up = Event::Up {
                peer: WORKER.into(),
                capabilities: worker_can(),
            };
            self.feed(vec![up]);
            let results: Vec<_> = self.worker.results.keys().cloned().collect();
            for key in results {
                self.from_worker.push_back(delivered(key));
            }
            return;
        }
        // Replay and live alike: whatever the platform has and the hub has not accepted, in order.
        let unsaid = self.platform.said.iter().find_map(|(_, body)| match body {
            Body::Inbound(m) if !self.worker.offered.contains(&m.event_id) => Some(body.clone()),
            _ => None,
        });
        if let Some(Body::Inbound(m)) = unsaid {
            self.worker.offered.insert(m.event_id.clone());
            self.from_worker.push_back(Body::Inbound(m));
        }
        match self.to_worker.pop_front() {
            Some(Body::Accepted(accepted)) => {
                self.worker.accepted.insert(accepted.event_id);
            }
            Some(Body::Deliver(deliver)) => {
                if !self.worker.results.contains_key(&deliver.key) {
                    if self.platform.nonces.insert(deliver.key.clone()) {
                        let lane = self.platform.posted.entry(deliver.address).or_default();
                        lane.push(deliver.text);
                    }
                    self.worker.results.insert(deliver.key.clone(), true);
                }
                // Half of the time the worker dies between the post and this; see `KillWorker`.
                self.from_worker.push_back(delivered(deliver.key));
            }
            Some(Body::DeliveryKept(kept)) => {
                self.worker.results.remove(&kept.key);
            }
            _ => {}
        }
    }

    fn runner(&mut self) {
        if !self.runner.linked {
            self.runner.linked = true;
            let up = Event::Up {
                peer: RUNNER.into(),
                capabilities: runner_can(true),
            };
            self.feed(vec![up]);
            return;
        }
        match self.to_runner.pop_front() {
            Some(Body::OpenTurns(open)) => {
                let standing = |at: &TurnRef| match self.runner.attempts.get(at) {
                    Some(attempt) if attempt.over => Standing::Ended,
                    Some(_) => Standing::Running,
                    None => Standing::Unknown,
                };
                let turns = open
                    .turns
                    .iter()
                    .map(|at| TurnStanding {
                        at: at.clone(),
                        standing: standing(at),
                    })
                    .collect();
                self.from_runner
                    .push_back(Body::TurnsAnswer(TurnsAnswer { turns }));
                self.runner.attempts.retain(|at, _| open.turns.contains(at));
                for (at, attempt) in &self.runner.attempts {
                    for (n, event) in &attempt.held {
                        self.from_runner.push_back(update(at, *n, event));
                    }
                }
            }
            Some(Body::Prompt(prompt)) => {
                self.runner.attempts.entry(prompt.at).or_insert_with(|| {
                    // The agent drops an id that it has had.
                    let known = self.agent.history.contains_key(&prompt.prompt_id);
                    if !known {
                        let entry = (prompt.text.clone(), false);
                        self.agent.history.insert(prompt.prompt_id.clone(), entry);
                        *self.agent.runs.entry(prompt.prompt_id.clone()).or_default() += 1;
                    }
                    Attempt {
                        prompt_id: prompt.prompt_id,
                        ..Attempt::default()
                    }
                });
            }
            Some(Body::UpdatesKept(kept)) => {
                if let Some(attempt) = self.runner.attempts.get_mut(&kept.at) {
                    attempt.held.retain(|n, _| *n > kept.n);
                }
            }
            _ => {}
        }
    }

    /// The oldest attempt that is not over says its next word.
    fn agent_step(&mut self) {
        let Some((at, attempt)) = self.runner.attempts.iter_mut().find(|(_, a)| !a.over) else {
            return;
        };
        attempt.said += 1;
        let history = &mut self.agent.history;
        let text = history
            .get(&attempt.prompt_id)
            .map(|(text, _)| text.clone())
            .unwrap();
        let event = match attempt.said {
            1 => started(false),
            2 => block("b1", &format!("re {text}")),
            _ => {
                attempt.over = true;
                history.insert(attempt.prompt_id.clone(), (text, true));
                ended(Outcome::Done)
            }
        };
        attempt.held.insert(attempt.said, event.clone());
        if self.runner.linked {
            let body = update(at, attempt.said, &event);
            self.from_runner.push_back(body);
        }
    }

    /// No more kills: everything comes to rest.
    fn rest(&mut self) {
        for _ in 0..20_000 {
            let before = (self.spool.waiting().unwrap(), self.platform.nonces.len());
            for what in [Do::Worker, Do::Runner, Do::AgentStep, Do::Hub(5), Do::Time] {
                self.act(what);
            }
            let idle = self.to_worker.is_empty()
                && self.to_runner.is_empty()
                && self.from_worker.is_empty()
                && self.from_runner.is_empty()
                && self.worker.accepted.len() == self.platform.said.len();
            let after = (self.spool.waiting().unwrap(), self.platform.nonces.len());
            let counts = after.0;
            let nothing_open = counts.queued_turns + counts.open_turns + counts.pending_chunks == 0;
            if idle && nothing_open && before.1 == after.1 {
                return;
            }
        }
        panic!(
            "it never comes to rest: {:?}",
            self.spool.waiting().unwrap()
        );
    }

    /// What each person was answered, notices left out, against what they said.
    fn judge(&self) -> Result<(), TestCaseError> {
        for user in USERS {
            let asked: Vec<String> = self
                .platform
                .said
                .iter()
                .filter(|(who, _)| who == user)
                .map(|(_, body)| match body {
                    Body::Inbound(m) => m.text.clone(),
                    _ => String::new(),
                })
                .collect();
            let posted = self.platform.posted.get(&format!("to-{user}"));
            let gave_up = hub::texts::say(&hub::texts::Text::TooManyAttempts, hub::texts::Lang::En);
            let answered: Vec<&String> = posted
                .into_iter()
                .flatten()
                .filter(|text| text.starts_with("re ") || **text == gave_up)
                .collect();
            prop_assert_eq!(answered.len(), asked.len(), "{}: {:?}", user, posted);
            for (answer, text) in answered.iter().zip(&asked) {
                // Three lost attempts end in words; anything else is the answer, in its place.
                let right = **answer == gave_up || **answer == format!("re {text}");
                prop_assert!(right, "{user} asked {text} and got {answer}");
            }
        }
        for (prompt, runs) in &self.agent.runs {
            prop_assert_eq!(*runs, 1, "{} ran more than once", prompt);
        }
        Ok(())
    }
}

fn delivered(key: String) -> Body {
    Body::Delivered(Delivered {
        key,
        platform_id: "m".into(),
        ..Delivered::default()
    })
}

fn update(at: &TurnRef, n: u64, event: &TurnEvent) -> Body {
    Body::TurnUpdate(TurnUpdate {
        at: at.clone(),
        n,
        event: event.clone(),
    })
}

fn any_act() -> impl Strategy<Value = Do> {
    prop_oneof![
        3 => any::<u8>().prop_map(Do::Say),
        8 => any::<u8>().prop_map(Do::Hub),
        8 => Just(Do::Worker),
        8 => Just(Do::Runner),
        6 => Just(Do::AgentStep),
        1 => Just(Do::KillHub),
        1 => Just(Do::KillWorker),
        1 => Just(Do::KillRunner),
        1 => Just(Do::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 128, ..ProptestConfig::default()
    })]

    #[test]
    fn everything_is_answered_once_and_in_order_whatever_dies(
        acts in prop::collection::vec(any_act(), 1..400)
    ) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        world.rest();
        world.judge()?;
    }
}
