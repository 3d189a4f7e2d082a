//! The engine on a desk: events by hand, batches committed, envelopes collected.

use std::collections::BTreeMap;
use std::rc::Rc;

use hub::engine::{Engine, Event, Out};
use hub::plan::{Plan, Platform, Project, Rate};
use ipc_schema::*;
use spool::Spool;

pub const WORKER: &str = "discord-main";
pub const RUNNER: &str = "runner-demo";

pub fn plan() -> Plan {
    Plan {
        generation: 1,
        state_dir: "/nowhere".into(),
        spool_max_bytes: 1 << 30,
        spool_max_age_ms: 1 << 40,
        runtime_dir: "/nowhere".into(),
        log_level: "info".into(),
        language: String::new(),
        queue_depth: 50,
        rate: Rate::default(),
        projects: BTreeMap::from([(
            "demo".into(),
            Project {
                runner: RUNNER.into(),
                admins: vec!["boss".into()],
                agent: "claude".into(),
                mode: "default".into(),
                modes: ["default", "plan", "bypassPermissions"]
                    .map(String::from)
                    .into(),
                ..Project::default()
            },
        )]),
        platforms: BTreeMap::from([(
            WORKER.into(),
            Platform {
                kind: "discord".into(),
                project: "demo".into(),
                ..Platform::default()
            },
        )]),
        ..Plan::default()
    }
}

pub fn worker_can() -> Capabilities {
    Capabilities {
        text_limit: 2000,
        dialect: "discord".into(),
        window: 1,
        typing: true,
        ..Capabilities::default()
    }
}

pub fn runner_can(dedups_prompts: bool) -> Capabilities {
    Capabilities {
        dedups_prompts,
        ..Capabilities::default()
    }
}

pub struct Desk {
    pub engine: Engine,
    pub spool: Rc<Spool>,
    pub now: u64,
    pub plan: Plan,
    /// What the worker can do.
    pub can: Capabilities,
}

impl Desk {
    pub fn new(plan: Plan) -> Desk {
        let spool = Rc::new(Spool::in_memory().unwrap());
        let now = 1_000_000;
        let engine = Engine::new(plan.clone(), Rc::clone(&spool), 7, now).unwrap();
        Desk {
            engine,
            spool,
            now,
            plan,
            can: worker_can(),
        }
    }

    /// Both peers linked, the runner's answer given.
    pub fn linked() -> Desk {
        Desk::linked_with(plan())
    }

    /// The same with another plan.
    pub fn linked_with(plan: Plan) -> Desk {
        Desk::linked_to(plan, worker_can())
    }

    /// The same with a worker that can do other things.
    pub fn linked_to(plan: Plan, can: Capabilities) -> Desk {
        let mut desk = Desk::new(plan);
        desk.can = can;
        desk.worker_up();
        desk.runner_up(true, Standing::Unknown);
        desk
    }

    pub fn batch(&mut self, events: Vec<Event>) -> Vec<Out> {
        self.engine.batch(events, self.now).unwrap()
    }

    pub fn got(&mut self, peer: &str, mut body: Body) -> Vec<Out> {
        if let Body::Inbound(inbound) = &mut body
            && inbound.sent_at_ms == 0
        {
            inbound.sent_at_ms = self.now;
        }
        self.batch(vec![Event::Got {
            peer: peer.into(),
            id: 1,
            trace: "t".into(),
            body,
        }])
    }

    pub fn wait(&mut self, ms: u64) -> Vec<Out> {
        self.now += ms;
        self.batch(Vec::new())
    }

    pub fn worker_up(&mut self) -> Vec<Out> {
        self.batch(vec![Event::Up {
            peer: WORKER.into(),
            capabilities: self.can.clone(),
        }])
    }

    /// The runner links and says of every open turn that it stands so.
    pub fn runner_up(&mut self, dedups: bool, standing: Standing) -> Vec<Out> {
        let up = Event::Up {
            peer: RUNNER.into(),
            capabilities: runner_can(dedups),
        };
        let out = self.batch(vec![up]);
        let open = out.iter().find_map(|out| match &out.body {
            Body::OpenTurns(open) => Some(open.turns.clone()),
            _ => None,
        });
        let turns = open
            .expect("a runner is asked how the open turns stand")
            .into_iter()
            .map(|at| TurnStanding { at, standing })
            .collect();
        self.got(RUNNER, Body::TurnsAnswer(TurnsAnswer { turns }))
    }

    /// The hub dies: what was not committed is gone, and so is all memory.
    pub fn kill_hub(&mut self) {
        self.spool.rollback();
        self.engine = Engine::new(
            self.plan.clone(),
            Rc::clone(&self.spool),
            self.now,
            self.now,
        )
        .unwrap();
    }

    pub fn says(&mut self, id: &str, text: &str) -> Vec<Out> {
        self.got(WORKER, inbound(id, "ann", text))
    }

    pub fn update(&mut self, at: &TurnRef, n: u64, event: TurnEvent) -> Vec<Out> {
        self.got(
            RUNNER,
            Body::TurnUpdate(TurnUpdate {
                at: at.clone(),
                n,
                event,
            }),
        )
    }

    /// Started, one block, done.
    pub fn answer(&mut self, at: &TurnRef, text: &str) -> Vec<Out> {
        let mut out = self.update(at, 1, started(false));
        out.extend(self.update(at, 2, block("b", text)));
        out.extend(self.update(at, 3, ended(Outcome::Done)));
        out
    }

    /// Reports everything handed out as posted until nothing more comes; the texts, in order.
    pub fn post_all(&mut self, out: Vec<Out>) -> Vec<String> {
        let mut texts = Vec::new();
        let mut todo = deliveries(&out);
        while let Some(deliver) = todo.pop() {
            texts.push(deliver.text.clone());
            let done = Delivered {
                key: deliver.key,
                platform_id: "m".into(),
                ..Delivered::default()
            };
            let out = self.got(WORKER, Body::Delivered(done));
            todo.extend(deliveries(&out));
        }
        texts
    }
}

pub fn started(continued: bool) -> TurnEvent {
    TurnEvent::Started {
        agent_session: String::new(),
        continued,
    }
}

/// After so long who waits behind others is told, milliseconds.
pub const QUEUED: u64 = 3_000;

pub fn thinking() -> TurnEvent {
    TurnEvent::Thinking {
        text: String::new(),
    }
}

pub fn block(block: &str, text: &str) -> TurnEvent {
    TurnEvent::Text {
        block: block.into(),
        text: text.into(),
        more: false,
    }
}

pub fn ended(outcome: Outcome) -> TurnEvent {
    TurnEvent::Ended { outcome }
}

pub fn inbound(id: &str, user: &str, text: &str) -> Body {
    Body::Inbound(Inbound {
        event_id: id.into(),
        conversation: format!("dm:{user}"),
        address: format!("to-{user}"),
        direct: true,
        shared: false,
        sender: Sender {
            id: user.into(),
            name: user.to_uppercase(),
            ..Sender::default()
        },
        access: Access::Granted,
        text: text.into(),
        reply_to: id.into(),
        ..Inbound::default()
    })
}

pub fn prompts(out: &[Out]) -> Vec<Prompt> {
    out.iter()
        .filter_map(|out| match &out.body {
            Body::Prompt(prompt) => Some(prompt.clone()),
            _ => None,
        })
        .collect()
}

pub fn deliveries(out: &[Out]) -> Vec<Deliver> {
    out.iter()
        .filter_map(|out| match &out.body {
            Body::Deliver(deliver) => Some(deliver.clone()),
            _ => None,
        })
        .collect()
}

pub fn kinds(out: &[Out]) -> Vec<String> {
    out.iter()
        .map(|out| {
            serde_json::to_value(&out.body).unwrap()["kind"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}
