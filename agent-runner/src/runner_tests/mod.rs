//! The runner against a hub and agents that the test plays.

mod acp;
mod acp_calls;
mod any_order;
mod berths;
mod calls;
mod claude;
mod command;

use std::time::Duration;

use ipc_schema::{
    Decision, Fault, QuestionKind, Remark, Standing as TurnStanding, Trouble, TurnRef, TurnUpdate,
    UnpromptedKept, UpdatesKept,
};
use serde_json::{Value, json};

use super::*;
use crate::claude::argv::Start;
use crate::claude::transcript::{Block, Reading, Standing};
use crate::session::{Exit, Prepared, What};

const SESSION: &str = "5e551011-0000-4000-8000-000000000001";

fn id(turn: u32) -> String {
    format!("00000000-0000-4000-8000-{turn:012}")
}

fn at(turn: u32, attempt: u32) -> TurnRef {
    TurnRef {
        turn: format!("t{turn}"),
        attempt,
    }
}

fn prompt(turn: u32, attempt: u32) -> Prompt {
    Prompt {
        at: at(turn, attempt),
        session: "s".into(),
        agent_session: SESSION.into(),
        prompt_id: id(turn),
        resend: attempt > 1,
        text: format!("say {turn}"),
        ..Prompt::default()
    }
}

fn prepared(file: bool, reading: Reading) -> Prepared {
    Prepared {
        file,
        reading,
        spent: None,
        work_dir: "/work".into(),
    }
}

/// A runner, its clock, and everything it did.
struct World {
    runner: Runner,
    now: Instant,
    told: Vec<TurnUpdate>,
    bodies: Vec<Body>,
    effects: Vec<Effect>,
}

impl World {
    fn new(kind: AgentKind) -> World {
        World::with(Options {
            kind,
            reserve_memory_mb: 0,
            ..Options::default()
        })
    }

    fn with(options: Options) -> World {
        let options = Options {
            cmd: "agent".into(),
            ..options
        };
        let tools = Arc::new(Catalogue::new(&options).unwrap());
        let mut world = World {
            runner: Runner::new(Arc::new(options), tools, "/runner".into(), "n".into()),
            now: Instant::now(),
            told: Vec::new(),
            bodies: Vec::new(),
            effects: Vec::new(),
        };
        world.hub(Body::OpenTurns(OpenTurns { turns: Vec::new() }));
        world.bodies.clear();
        world
    }

    fn step(&mut self, input: Input) {
        let effects = self.runner.step(self.now, input).unwrap();
        for effect in effects {
            match effect {
                Effect::Say(Body::TurnUpdate(update), _) => {
                    if update.n > 0 {
                        self.told.push(update);
                    }
                }
                Effect::Say(body, _) => self.bodies.push(body),
                effect => self.effects.push(effect),
            }
        }
    }

    fn hub(&mut self, body: Body) {
        self.step(Input::Hub(Box::new(body), "trace".into()));
    }

    fn event(&mut self, launch: u64, event: Event) {
        self.step(Input::Process(launch, event));
    }

    fn line(&mut self, launch: u64, line: Value) {
        self.event(launch, Event::Line(line.to_string()));
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.step(Input::Tick);
    }

    /// Takes out the newest effect that `pick` likes.
    fn took<R>(&mut self, pick: impl Fn(&Effect) -> Option<R>) -> R {
        let at = self
            .effects
            .iter()
            .rposition(|effect| pick(effect).is_some());
        let effect = self
            .effects
            .remove(at.unwrap_or_else(|| panic!("{:?}", self.effects)));
        pick(&effect).unwrap()
    }

    /// Answers a preparation and a launch.
    fn starts(&mut self, file: bool, standing: Standing, blocks: &[(&str, &str)]) -> (u64, Start) {
        let launch = self.prepares(file, standing, blocks);
        let start = self.took(|effect| match effect {
            Effect::Launch {
                what: What::Claude(start),
                ..
            } => Some(start.clone()),
            _ => None,
        });
        self.event(launch, Event::Launched);
        let greeting = self.took(|effect| match effect {
            Effect::Write { line, .. } => Some(line.clone()).filter(|l| l.contains("initialize")),
            _ => None,
        });
        assert!(greeting.contains(r#""sdkMcpServers":["bulkhead"]"#));
        (launch, start)
    }

    /// Whether something is to be written to an agent.
    fn is_told(&self) -> bool {
        self.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Write { .. }))
    }

    fn prepares(&mut self, file: bool, standing: Standing, blocks: &[(&str, &str)]) -> u64 {
        let launch = self.took(|effect| match effect {
            Effect::Prepare { launch, .. } => Some(*launch),
            _ => None,
        });
        let reading = reading(standing, blocks);
        let prepared = Prepared {
            spent: file.then_some(70),
            ..prepared(file, reading)
        };
        self.event(launch, Event::Prepared(Ok(prepared)));
        launch
    }

    /// Answers a look at the session file.
    fn reads(&mut self, standing: Standing, blocks: &[(&str, &str)]) {
        let (launch, prompt, known) = self.took(|effect| match effect {
            Effect::Read {
                launch,
                prompt,
                known,
                ..
            } => Some((*launch, prompt.clone(), known.clone())),
            _ => None,
        });
        let mut reading = reading(standing, blocks);
        reading.blocks.retain(|block| !known.contains(&block.id));
        self.event(
            launch,
            Event::Read {
                prompt,
                reading: Ok(reading),
            },
        );
    }

    fn written(&mut self) -> Value {
        let line = self.took(|effect| match effect {
            Effect::Write { line, .. } => Some(line.clone()),
            _ => None,
        });
        serde_json::from_str(&line).unwrap()
    }

    fn says(&mut self, launch: u64, uuid: &str, text: &str) {
        self.line(
            launch,
            json!({"type": "assistant", "uuid": uuid, "message": {"id": uuid,
                "content": [{"type": "text", "text": text}]}}),
        );
    }

    fn ends(&mut self, launch: u64, turn: u32) {
        self.line(
            launch,
            json!({"type": "result", "subtype": "success", "result": "x", "uuid": "r",
                "user_message_uuid": id(turn)}),
        );
    }

    fn dies(&mut self, launch: u64) {
        self.event(
            launch,
            Event::Exited(Exit {
                signal: Some(9),
                ..Exit::default()
            }),
        );
    }

    fn events(&self, of: &TurnRef) -> Vec<&TurnEvent> {
        self.told
            .iter()
            .filter(|update| update.at == *of)
            .map(|update| &update.event)
            .collect()
    }

    fn texts(&self, of: &TurnRef) -> Vec<&str> {
        self.events(of)
            .into_iter()
            .filter_map(|event| match event {
                TurnEvent::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    fn outcome(&self, of: &TurnRef) -> Option<&Outcome> {
        match self.events(of).last()? {
            TurnEvent::Ended { outcome } => Some(outcome),
            _ => None,
        }
    }
}

fn reading(standing: Standing, blocks: &[(&str, &str)]) -> Reading {
    let blocks = blocks
        .iter()
        .map(|(id, text)| Block {
            id: (*id).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    Reading { standing, blocks }
}

fn claude() -> World {
    World::new(AgentKind::ClaudeCode)
}

/// A turn that has begun in a live process.
fn running() -> (World, u64) {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 1)));
    let (launch, _) = world.starts(false, Standing::Absent, &[]);
    world.line(
        launch,
        json!({"type": "system", "subtype": "init", "session_id": SESSION}),
    );
    (world, launch)
}

fn started(event: &TurnEvent) -> Option<bool> {
    match event {
        TurnEvent::Started { continued, .. } => Some(*continued),
        _ => None,
    }
}
