//! A day of kills in milliseconds: the engine, a chat platform, a worker, a runner and an agent as
//! state machines, joined by links that lose whatever was on them.
//!
//! Every process dies at random instants, between any two envelopes. In the end every message must
//! have been answered exactly once and in order, whatever was written before the answer must stand
//! once, and no message may read as if work went on.

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
use hub::plan::{Plan, Style};
use ipc_schema::*;
use proptest::prelude::*;
use spool::Spool;

const USERS: [&str; 3] = ["ann", "bob", "eve"];

/// A message as the platform has it now.
struct Message {
    address: String,
    text: String,
    silent: bool,
}

/// What the platform has: it keeps everything, and drops a repeated nonce. A message's id is its
/// place, from 1.
#[derive(Default)]
struct Platform {
    said: Vec<(String, Body)>,
    posted: Vec<Message>,
    nonces: BTreeMap<String, String>,
}

impl Platform {
    fn edit(&mut self, id: &str, text: &str) {
        let at: usize = id.parse().unwrap();
        text.clone_into(&mut self.posted[at - 1].text);
    }

    /// Posts or changes; the message's id.
    fn take(&mut self, deliver: &Deliver) -> String {
        if !deliver.edits.is_empty() {
            self.edit(&deliver.edits, &deliver.text);
            return deliver.edits.clone();
        }
        if let Some(id) = self.nonces.get(&deliver.key) {
            return id.clone();
        }
        self.posted.push(Message {
            address: deliver.address.clone(),
            text: deliver.text.clone(),
            silent: deliver.silent,
        });
        let id = self.posted.len().to_string();
        self.nonces.insert(deliver.key.clone(), id.clone());
        id
    }

    fn at(&self, user: &str) -> impl Iterator<Item = &Message> {
        let address = format!("to-{user}");
        self.posted.iter().filter(move |m| m.address == address)
    }
}

/// A worker: replays what is not accepted, posts, remembers results until they are kept.
#[derive(Default)]
struct Worker {
    linked: bool,
    offered: BTreeSet<String>,
    accepted: BTreeSet<String>,
    results: BTreeMap<String, String>,
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
    done: usize,
    prompt_id: String,
    over: bool,
}

struct World {
    plan: Plan,
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
    fn new(style: Style) -> World {
        let spool = Rc::new(Spool::in_memory().unwrap());
        let now = 1_000_000;
        let mut plan = plan();
        plan.platforms.get_mut(WORKER).unwrap().progress = style;
        let engine = Engine::new(plan.clone(), Rc::clone(&spool), 7, now).unwrap();
        World {
            plan,
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
                let (plan, spool) = (self.plan.clone(), Rc::clone(&self.spool));
                self.engine = Engine::new(plan, spool, self.hubs, self.now).unwrap();
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
                capabilities: Capabilities {
                    edit: true,
                    embeds: true,
                    ..worker_can()
                },
            };
            self.feed(vec![up]);
            for (key, id) in &self.worker.results {
                self.from_worker.push_back(delivered(key, id));
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
        // What waits for credit is overtaken.
        let is_control = |body: &Body| !body.costs_credit();
        let next = self.to_worker.iter().position(is_control).unwrap_or(0);
        match self.to_worker.remove(next) {
            Some(Body::Accepted(accepted)) => {
                self.worker.accepted.insert(accepted.event_id);
            }
            Some(Body::Deliver(deliver)) => {
                let known = self.worker.results.get(&deliver.key).cloned();
                let id = known.unwrap_or_else(|| self.platform.take(&deliver));
                self.worker.results.insert(deliver.key.clone(), id.clone());
                // Half of the time the worker dies between the post and this; see `KillWorker`.
                self.from_worker.push_back(delivered(&deliver.key, &id));
            }
            Some(Body::Revise(revise)) => self.platform.edit(&revise.platform_id, &revise.text),
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
        let history = &mut self.agent.history;
        let text = history
            .get(&attempt.prompt_id)
            .map(|(text, _)| text.clone())
            .unwrap();
        attempt.done += 1;
        let (held, event) = match attempt.done {
            1 => (true, started(false)),
            2 => (false, thinking()),
            3 => (true, block("b1", &format!("note {text}"))),
            4 => (
                false,
                TurnEvent::Tool {
                    name: "Bash".into(),
                    input: "ls".into(),
                },
            ),
            5 => (
                false,
                TurnEvent::Partial {
                    text: "re".to_owned(),
                },
            ),
            6 => (true, block("b2", &format!("re {text}"))),
            _ => {
                attempt.over = true;
                history.insert(attempt.prompt_id.clone(), (text, true));
                (true, ended(Outcome::Done))
            }
        };
        let mut n = 0;
        if held {
            attempt.said += 1;
            n = attempt.said;
            attempt.held.insert(n, event.clone());
        }
        if self.runner.linked {
            let body = update(at, n, &event);
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
            let unsent = counts.pending_chunks + counts.leased_chunks;
            let nothing_open = counts.queued_turns + counts.open_turns + unsent == 0;
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
            let all: Vec<&str> = self.platform.at(user).map(|m| m.text.as_str()).collect();
            let gave_up = hub::texts::say(&hub::texts::Text::TooManyAttempts, hub::texts::Lang::En);
            let has = |text: &str, line: &str| text.lines().any(|other| other == line);
            let answered: Vec<&str> = self
                .platform
                .at(user)
                .filter(|m| !m.silent)
                .map(|m| m.text.as_str())
                .filter(|text| *text == gave_up || text.lines().any(|l| l.starts_with("re ")))
                .collect();
            prop_assert_eq!(answered.len(), asked.len(), "{}: {:?}", user, all);
            for (answer, text) in answered.iter().zip(&asked) {
                // Three lost attempts end in words; anything else is the answer, in its place.
                let right = *answer == gave_up || has(answer, &format!("re {text}"));
                prop_assert!(right, "{user} asked {text} and got {answer}");
                for word in ["note", "re"] {
                    let line = format!("{word} {text}");
                    let times = all.iter().filter(|text| has(text, &line)).count();
                    let least = usize::from(*answer != gave_up);
                    prop_assert!(
                        (least..=1).contains(&times),
                        "{line:?} {times} times: {all:?}"
                    );
                }
            }
            let open = all.iter().find(|text| text.contains('⏳'));
            prop_assert_eq!(open, None, "left open: {:?}", all);
        }
        for (prompt, runs) in &self.agent.runs {
            prop_assert_eq!(*runs, 1, "{} ran more than once", prompt);
        }
        Ok(())
    }
}

fn delivered(key: &str, id: &str) -> Body {
    Body::Delivered(Delivered {
        key: key.into(),
        platform_id: id.into(),
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
        acts in prop::collection::vec(any_act(), 1..400),
        style in prop::sample::select(vec![
            Style::Off, Style::Legacy, Style::Compact, Style::Card,
        ]),
    ) {
        let mut world = World::new(style);
        for act in acts {
            world.act(act);
        }
        world.rest();
        world.judge()?;
    }
}

/// A history that was found above: a partial text of before, ahead of the block that it follows.
#[test]
fn a_word_before_notes_are_compared_takes_nobodys_place() {
    use Do::*;
    let acts = vec![
        Worker,
        Say(83),
        Worker,
        Say(33),
        Runner,
        Worker,
        Runner,
        Hub(159),
        Runner,
        Runner,
        KillHub,
        AgentStep,
        AgentStep,
        AgentStep,
        AgentStep,
        AgentStep,
        AgentStep,
        Say(0),
        AgentStep,
        AgentStep,
        AgentStep,
        AgentStep,
        KillHub,
        AgentStep,
        Runner,
        AgentStep,
        AgentStep,
        Runner,
        Hub(238),
        Hub(135),
        Time,
        Hub(188),
        Time,
        Hub(13),
    ];
    let mut world = World::new(Style::Compact);
    for act in acts {
        world.act(act);
    }
    world.rest();
    world.judge().unwrap();
}
