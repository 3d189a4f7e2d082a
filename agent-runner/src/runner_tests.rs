//! The runner against a hub and agents that the test plays.

use std::collections::BTreeSet;
use std::time::Duration;

use ipc_schema::{
    Decision, Fault, QuestionKind, Standing as TurnStanding, TurnRef, TurnUpdate, UnpromptedKept,
    UpdatesKept,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::board::HELD_BYTES;
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
        attachments: Vec::new(),
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
        let options = Options {
            kind,
            cmd: "agent".into(),
            ..Options::default()
        };
        let mut world = World {
            runner: Runner::new(Arc::new(options), "n".into()),
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
        self.step(Input::Hub(body, "trace".into()));
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
        (launch, start)
    }

    fn prepares(&mut self, file: bool, standing: Standing, blocks: &[(&str, &str)]) -> u64 {
        let launch = self.took(|effect| match effect {
            Effect::Prepare { launch, .. } => Some(*launch),
            _ => None,
        });
        let reading = reading(standing, blocks);
        self.event(launch, Event::Prepared(Ok(Prepared { file, reading })));
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

use crate::claude::argv::Start;

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

#[test]
fn a_turn_starts_an_agent_and_the_next_finds_it_warm() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 1)));
    world.hub(Body::Prompt(prompt(1, 1)));
    let (launch, start) = world.starts(false, Standing::Absent, &[]);
    assert_eq!(
        start,
        Start {
            session: SESSION.into(),
            resume: false,
            revive: false
        }
    );
    assert_eq!(world.written()["uuid"], id(1));
    world.says(launch, "a", "one");
    world.ends(launch, 1);
    assert_eq!(world.texts(&at(1, 1)), ["one"]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
    world.hub(Body::Prompt(prompt(2, 1)));
    assert_eq!(world.written()["uuid"], id(2));
    assert_eq!(world.runner.counts(), (1, 1));
}

#[test]
fn prompts_wait_for_the_turn_before_them() {
    let (mut world, launch) = running();
    world.written();
    world.hub(Body::Prompt(prompt(2, 1)));
    assert!(
        !world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Write { .. }))
    );
    world.ends(launch, 1);
    assert_eq!(world.written()["uuid"], id(2));
}

#[test]
fn an_agent_that_dies_is_continued_and_says_each_block_once() {
    let (mut world, launch) = running();
    world.says(launch, "a", "one");
    world.says(launch, "b", "two");
    world.event(launch, Event::Written(vec!["b".into()]));
    assert_eq!(world.texts(&at(1, 1)), ["one"]);
    world.dies(launch);
    // "two" was never written down; the CLI will say it anew.
    let (launch, start) = world.starts(true, Standing::Open, &[]);
    assert_eq!(
        start,
        Start {
            session: SESSION.into(),
            resume: true,
            revive: true
        }
    );
    assert_eq!(world.written()["uuid"], id(1));
    world.line(
        launch,
        json!({"type": "system", "subtype": "init", "session_id": SESSION}),
    );
    world.says(launch, "c", "two again");
    world.ends(launch, 1);
    world.reads(Standing::Answered, &[("a", "one"), ("c", "two again")]);
    assert_eq!(world.texts(&at(1, 1)), ["one", "two again"]);
    let told: Vec<bool> = world
        .events(&at(1, 1))
        .into_iter()
        .filter_map(started)
        .collect();
    assert_eq!(told, [false, true]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
}

#[test]
fn an_agent_that_died_after_its_answer_is_not_started_again() {
    let (mut world, launch) = running();
    world.dies(launch);
    let launch = world.prepares(true, Standing::Answered, &[("a", "one")]);
    assert!(world.effects.contains(&Effect::Release { launch }));
    assert_eq!(world.texts(&at(1, 1)), ["one"]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
    assert_eq!(world.runner.counts(), (0, 0));
}

#[test]
fn an_agent_that_keeps_dying_is_given_up() {
    let (mut world, mut launch) = running();
    for _ in 0..crate::session::claude::RESTARTS {
        world.dies(launch);
        launch = world.starts(true, Standing::Open, &[]).0;
        world.line(
            launch,
            json!({"type": "system", "subtype": "init", "session_id": SESSION}),
        );
    }
    world.dies(launch);
    let Some(Outcome::Failed {
        fault: Fault::Died { words },
    }) = world.outcome(&at(1, 1))
    else {
        panic!("{:?}", world.told)
    };
    assert!(words.contains("signal 9"), "{words}");
}

#[test]
fn an_agent_that_says_no_at_once_is_heard_and_not_asked_again() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 1)));
    let (launch, _) = world.starts(false, Standing::Absent, &[]);
    let words = "--dangerously-skip-permissions cannot be used with root".to_owned();
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(1),
            signal: None,
            words: words.clone(),
        }),
    );
    let Some(Outcome::Failed {
        fault: Fault::Agent { words: said },
    }) = world.outcome(&at(1, 1))
    else {
        panic!("{:?}", world.told)
    };
    assert!(said.contains(&words), "{said}");
}

#[test]
fn a_resend_reads_an_answer_that_is_there() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 2)));
    world.prepares(true, Standing::Answered, &[("a", "one"), ("b", "two")]);
    assert_eq!(world.texts(&at(1, 2)), ["one", "two"]);
    assert_eq!(world.outcome(&at(1, 2)), Some(&Outcome::Done));
    assert!(
        !world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Launch { .. }))
    );
}

#[test]
fn a_resend_of_a_stopped_turn_is_not_revived() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 2)));
    world.prepares(true, Standing::Stopped, &[]);
    let cannot = Outcome::Failed {
        fault: Fault::CannotResume,
    };
    assert_eq!(world.outcome(&at(1, 2)), Some(&cannot));
}

#[test]
fn a_resend_that_never_arrived_starts_without_reviving_what_came_before() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 2)));
    let (_, start) = world.starts(true, Standing::Absent, &[]);
    assert_eq!(
        start,
        Start {
            session: SESSION.into(),
            resume: true,
            revive: false
        }
    );
}

#[test]
fn a_resend_to_a_live_agent_looks_first() {
    let (mut world, launch) = running();
    world.ends(launch, 1);
    world.written();
    world.hub(Body::Prompt(prompt(2, 2)));
    world.reads(Standing::Absent, &[]);
    assert_eq!(world.written()["uuid"], id(2));
    world.ends(launch, 2);
    world.hub(Body::Prompt(prompt(3, 2)));
    world.reads(Standing::Answered, &[("z", "known")]);
    assert_eq!(world.texts(&at(3, 2)), ["known"]);
}

#[test]
fn stop_interrupts_and_ends_once_nothing_is_left() {
    let (mut world, launch) = running();
    let interrupt = || {
        Body::Interrupt(Interrupt {
            at: at(1, 1),
            session: "s".into(),
        })
    };
    world.hub(interrupt());
    assert_eq!(world.written()["request"]["subtype"], "interrupt");
    world.hub(interrupt());
    world.line(
        launch,
        json!({"type": "result", "subtype": "error_during_execution", "is_error": true}),
    );
    assert_eq!(world.outcome(&at(1, 1)), None);
    world.took(|effect| matches!(effect, Effect::Sweep { .. }).then_some(()));
    world.event(launch, Event::Swept);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
    assert_eq!(
        world.runner.counts(),
        (1, 0),
        "the agent stays for the next turn"
    );
}

#[test]
fn an_agent_that_does_not_heed_an_interrupt_is_killed_within_a_second() {
    let (mut world, launch) = running();
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    }));
    let since = world.now;
    for effect in [Effect::Nudge { launch }, Effect::Kill { launch }] {
        let due = world.runner.deadline(world.now).unwrap();
        world.wait(due - world.now);
        assert!(world.effects.contains(&effect), "{effect:?}");
    }
    assert!(world.now - since < Duration::from_secs(1));
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
    assert!(
        !world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Prepare { .. }))
    );
}

#[test]
fn a_stop_that_overtakes_its_prompt_is_remembered() {
    let mut world = claude();
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    }));
    world.hub(Body::Prompt(prompt(1, 1)));
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
    assert_eq!(world.effects, []);
}

#[test]
fn a_stop_during_the_start_leaves_no_agent() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 1)));
    let stop = Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    });
    world.hub(stop.clone());
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
    let launch = world.prepares(false, Standing::Absent, &[]);
    assert_eq!(world.effects, [Effect::Release { launch }]);

    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.prepares(false, Standing::Absent, &[]);
    world.hub(stop);
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.event(launch, Event::Launched);
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
}

#[test]
fn a_turn_prepared_for_a_stopped_one_is_prepared_anew() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 2)));
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 2),
        session: "s".into(),
    }));
    world.hub(Body::Prompt(prompt(2, 2)));
    // What was read is the first turn's, and none of the second's business.
    world.prepares(true, Standing::Answered, &[("a", "one")]);
    assert_eq!(world.texts(&at(2, 2)), Vec::<&str>::new());
    world.prepares(true, Standing::Answered, &[("b", "two")]);
    assert_eq!(world.texts(&at(2, 2)), ["two"]);
}

#[test]
fn silence_ends_a_turn_unless_a_person_is_asked() {
    let (mut world, launch) = running();
    world.line(
        launch,
        json!({"type": "control_request", "request_id": "q", "request": {
            "subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}}}),
    );
    let question = world.told.iter().find_map(|update| match &update.event {
        TurnEvent::Asked(question) => Some(question.clone()),
        _ => None,
    });
    let question = question.unwrap();
    assert!(matches!(question.about, QuestionKind::Permission { .. }));
    world.wait(Duration::from_secs(599));
    let decide = Body::Decide(Decide {
        question: question.question,
        decision: Decision::Allow,
    });
    world.hub(decide.clone());
    assert_eq!(world.written()["response"]["response"]["behavior"], "allow");
    world.hub(decide);
    let decided: Vec<bool> = world
        .told
        .iter()
        .filter_map(|update| match update.event {
            TurnEvent::Decided { applied, .. } => Some(applied),
            _ => None,
        })
        .collect();
    assert_eq!(decided, [true, false]);
    world.wait(Duration::from_secs(7199));
    assert_eq!(world.outcome(&at(1, 1)), None);
    world.wait(Duration::from_secs(1));
    assert_eq!(world.written()["request"]["subtype"], "interrupt");
    world.dies(launch);
    let timed_out = Outcome::Failed {
        fault: Fault::TimedOut { minutes: 120 },
    };
    assert_eq!(world.outcome(&at(1, 1)), Some(&timed_out));
}

#[test]
fn a_question_is_withdrawn_when_its_agent_dies() {
    let (mut world, launch) = running();
    world.line(
        launch,
        json!({"type": "control_request", "request_id": "q", "request": {
            "subtype": "can_use_tool", "tool_name": "Bash", "input": {}}}),
    );
    world.dies(launch);
    let withdrawn =
        |event: &&TurnEvent| matches!(event, TurnEvent::Withdrawn { expired: false, .. });
    assert_eq!(
        world
            .events(&at(1, 1))
            .iter()
            .filter(|event| withdrawn(event))
            .count(),
        1
    );
}

#[test]
fn an_idle_agent_is_ended_and_resumed() {
    let (mut world, launch) = running();
    world.ends(launch, 1);
    let due = world.runner.deadline(world.now).unwrap();
    assert_eq!(due - world.now, Duration::from_secs(900));
    world.wait(due - world.now);
    assert!(world.effects.contains(&Effect::CloseInput { launch }));
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    assert_eq!(world.runner.counts(), (0, 0));
    world.hub(Body::Prompt(prompt(2, 1)));
    let (_, start) = world.starts(true, Standing::Absent, &[]);
    assert!(start.resume && !start.revive);
}

#[test]
fn a_prompt_that_meets_a_leaving_agent_waits_for_its_end() {
    let (mut world, launch) = running();
    world.ends(launch, 1);
    world.hub(Body::CloseSession(CloseSession {
        session: "s".into(),
    }));
    world.hub(Body::Prompt(prompt(2, 1)));
    assert!(
        !world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Prepare { .. }))
    );
    world.wait(Duration::from_secs(5));
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.dies(launch);
    world.starts(true, Standing::Absent, &[]);
}

#[test]
fn what_the_hub_does_not_know_is_ended() {
    let (mut world, launch) = running();
    world.step(Input::Link);
    world.told.clear();
    world.hub(Body::OpenTurns(OpenTurns {
        turns: vec![at(9, 1)],
    }));
    let Body::TurnsAnswer(answer) = &world.bodies[0] else {
        panic!("{:?}", world.bodies)
    };
    assert_eq!(answer.turns[0].standing, TurnStanding::Unknown);
    assert_eq!(world.written()["request"]["subtype"], "interrupt");
    world.dies(launch);
    assert_eq!(world.told, []);
    assert!(world.runner.is_settled());
}

#[test]
fn more_than_may_be_held_is_read_again_when_there_is_room() {
    let (mut world, launch) = running();
    let big = "x".repeat(HELD_BYTES);
    world.says(launch, "a", &big);
    world.says(launch, "b", &big);
    world.says(launch, "c", "end");
    world.ends(launch, 1);
    let blocks = [("a", big.as_str()), ("b", big.as_str()), ("c", "end")];
    let mut reads = 0;
    while world.outcome(&at(1, 1)).is_none() {
        if world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Read { .. }))
        {
            reads += 1;
            world.reads(Standing::Answered, &blocks);
            continue;
        }
        let n = world.told.last().unwrap().n;
        world.hub(Body::UpdatesKept(UpdatesKept { at: at(1, 1), n }));
    }
    assert!(reads > 1);
    assert_eq!(world.texts(&at(1, 1)).concat(), format!("{big}{big}end"));
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
}

#[test]
fn words_that_nobody_asked_for_are_told_until_they_are_kept() {
    let (mut world, launch) = running();
    world.line(
        launch,
        json!({"type": "user", "uuid": id(1), "isReplay": true}),
    );
    world.ends(launch, 1);
    world.says(launch, "u", "the build is done");
    world.line(
        launch,
        json!({"type": "result", "subtype": "success", "origin": {"kind": "task-notification"}}),
    );
    let said =
        |body: &Body| matches!(body, Body::Unprompted(said) if said.text == "the build is done");
    assert!(world.bodies.iter().any(said), "{:?}", world.bodies);
    world.hub(Body::UpdatesKept(UpdatesKept { at: at(1, 1), n: 9 }));
    assert!(!world.runner.is_settled());
    world.hub(Body::UnpromptedKept(UnpromptedKept { id: "u".into() }));
    assert!(world.runner.is_settled());
}

#[test]
fn a_missing_agent_is_told_as_that() {
    let mut world = claude();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.prepares(false, Standing::Absent, &[]);
    let fault = Fault::AgentMissing {
        cmd: "claude".into(),
        why: "not in PATH".into(),
    };
    world.event(launch, Event::NotLaunched(fault.clone()));
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Failed { fault }));
    assert_eq!(world.runner.counts(), (0, 0));
}

#[test]
fn what_cannot_be_a_uuid_starts_nothing() {
    let mut world = claude();
    world.hub(Body::Prompt(Prompt {
        agent_session: "../../x".into(),
        ..prompt(1, 1)
    }));
    assert!(matches!(
        world.outcome(&at(1, 1)),
        Some(Outcome::Failed { .. })
    ));
    assert_eq!(world.effects, []);
    assert_eq!(
        world
            .runner
            .step(world.now, Input::Hub(Body::Unknown, String::new())),
        Err(NotForUs)
    );
}

fn command() -> (World, u64) {
    let mut world = World::new(AgentKind::Command);
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.took(|effect| match effect {
        Effect::Launch {
            launch,
            what: What::Command { text, .. },
            ..
        } if text == "say 1" => Some(*launch),
        _ => None,
    });
    world.event(launch, Event::Launched);
    (world, launch)
}

#[test]
fn a_command_answers_with_its_output() {
    let (mut world, launch) = command();
    world.event(launch, Event::Output(b"one ".to_vec()));
    world.event(launch, Event::Output(b"two\n".to_vec()));
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    assert_eq!(world.texts(&at(1, 1)), ["one two"]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
}

#[test]
fn a_command_is_never_run_twice() {
    let (mut world, launch) = command();
    world.dies(launch);
    let cannot = Outcome::Failed {
        fault: Fault::CannotResume,
    };
    assert_eq!(world.outcome(&at(1, 1)), Some(&cannot));
    world.effects.clear();
    world.hub(Body::Prompt(prompt(2, 2)));
    assert_eq!(world.outcome(&at(2, 2)), Some(&cannot));
    assert_eq!(world.effects, []);
}

#[test]
fn a_commands_result_is_given_again_while_it_is_held() {
    let (mut world, launch) = command();
    world.event(launch, Event::Output(b"one".to_vec()));
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    world.hub(Body::Prompt(prompt(1, 2)));
    assert_eq!(world.texts(&at(1, 2)), ["one"]);
    assert_eq!(world.outcome(&at(1, 2)), Some(&Outcome::Done));
}

#[test]
fn a_command_that_fails_says_why_and_one_that_floods_is_cut() {
    let (mut world, launch) = command();
    let exit = Exit {
        code: Some(3),
        signal: None,
        words: "no such thing".into(),
    };
    world.event(launch, Event::Exited(exit));
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = world.outcome(&at(1, 1))
    else {
        panic!("{:?}", world.told)
    };
    assert_eq!(words, "agent ended with code 3: no such thing");

    let (mut world, launch) = command();
    for _ in 0..100 {
        world.event(launch, Event::Output(vec![b'x'; 65536]));
    }
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    let all = world.texts(&at(1, 1)).concat();
    assert!(all.len() < HELD_BYTES + 200);
    assert!(
        all.contains("longer than 1 MiB"),
        "{}",
        &all[all.len() - 200..]
    );
}

#[test]
fn a_stopped_command_is_killed() {
    let (mut world, launch) = command();
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    }));
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
}

#[derive(Debug, Clone)]
enum Deed {
    Prompt(u32, u32),
    Interrupt(u32, u32),
    Close,
    Relink(bool),
    Keep,
    Prepared(bool, u8),
    Launch(bool),
    Line(u8, u32),
    Exit(bool),
    Read(u8),
    Swept,
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1..5u32, 1..3u32).prop_map(|(turn, attempt)| Deed::Prompt(turn, attempt)),
        1 => (1..5u32, 1..3u32).prop_map(|(turn, attempt)| Deed::Interrupt(turn, attempt)),
        1 => Just(Deed::Close),
        1 => any::<bool>().prop_map(Deed::Relink),
        2 => Just(Deed::Keep),
        5 => (any::<bool>(), 0..4u8).prop_map(|(file, standing)| Deed::Prepared(file, standing)),
        5 => prop::bool::weighted(0.9).prop_map(Deed::Launch),
        9 => (0..6u8, 1..5u32).prop_map(|(kind, turn)| Deed::Line(kind, turn)),
        1 => any::<bool>().prop_map(Deed::Exit),
        3 => (0..4u8).prop_map(Deed::Read),
        2 => Just(Deed::Swept),
        1 => (0..10_000u64).prop_map(Deed::Wait),
    ]
}

fn standing(n: u8) -> Standing {
    [
        Standing::Absent,
        Standing::Open,
        Standing::Stopped,
        Standing::Answered,
    ][usize::from(n)]
}

/// What the shell would have under way: launches in each of its states.
#[derive(Default)]
struct Shell {
    preparing: Vec<u64>,
    locked: BTreeSet<u64>,
    launching: Vec<u64>,
    live: Vec<u64>,
    reading: Vec<(u64, String)>,
    sweeping: Vec<u64>,
}

impl Shell {
    fn take(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Prepare { launch, .. } => self.preparing.push(launch),
                Effect::Release { launch } => {
                    assert!(self.locked.remove(&launch), "released twice")
                }
                Effect::Launch { launch, what, .. } => {
                    assert!(self.locked.remove(&launch), "no start without the lock");
                    assert!(matches!(what, What::Claude(_)));
                    self.launching.push(launch);
                }
                Effect::Read { launch, prompt, .. } => self.reading.push((launch, prompt)),
                Effect::Sweep { launch } => self.sweeping.push(launch),
                _ => {}
            }
        }
        assert!(
            self.launching.len() + self.live.len() <= 1,
            "one process a session"
        );
    }
}

fn pop<T>(list: &mut Vec<T>) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(0))
}

proptest! {
    /// Whatever comes in whatever order: updates without gaps, one `Ended` an attempt and it is the
    /// last, no process beside another, every lock given back or handed over.
    #[test]
    fn any_order_of_events_keeps_the_promises(deeds in prop::collection::vec(deed(), 0..150)) {
        let mut world = claude();
        let mut shell = Shell::default();
        let mut prompted: BTreeSet<TurnRef> = BTreeSet::new();
        let mut n = 0;
        for deed in deeds {
            n += 1;
            match deed {
                Deed::Prompt(turn, attempt) => {
                    prompted.insert(at(turn, attempt));
                    world.hub(Body::Prompt(prompt(turn, attempt)));
                }
                Deed::Interrupt(turn, attempt) => world.hub(Body::Interrupt(Interrupt {
                    at: at(turn, attempt), session: "s".into(),
                })),
                Deed::Close => world.hub(Body::CloseSession(CloseSession { session: "s".into() })),
                Deed::Relink(all) => {
                    world.step(Input::Link);
                    // A hub that forgets is as good as a new one: it does not know what was told.
                    let turns = if all { prompted.iter().cloned().collect() } else { Vec::new() };
                    world.hub(Body::OpenTurns(OpenTurns { turns }));
                    if !all {
                        prompted.clear();
                        world.told.clear();
                    }
                }
                Deed::Keep => {
                    for update in world.told.clone() {
                        world.hub(Body::UpdatesKept(UpdatesKept { at: update.at, n: update.n }));
                    }
                }
                Deed::Prepared(file, kind) => if let Some(launch) = pop(&mut shell.preparing) {
                    shell.locked.insert(launch);
                    let reading = reading(standing(kind), &[("a", "one")]);
                    world.event(launch, Event::Prepared(Ok(Prepared { file, reading })));
                },
                Deed::Launch(works) => if let Some(launch) = pop(&mut shell.launching) {
                    if works {
                        shell.live.push(launch);
                        world.event(launch, Event::Launched);
                    } else {
                        let fault = Fault::AgentMissing { cmd: String::new(), why: String::new() };
                        world.event(launch, Event::NotLaunched(fault));
                    }
                },
                Deed::Line(kind, turn) => if let Some(launch) = shell.live.first().copied() {
                    match kind {
                        0 | 1 => world.says(launch, &format!("u{n}"), "text"),
                        2 | 3 => world.ends(launch, turn),
                        4 => world.line(launch, json!({"type": "result", "subtype": "error_during_execution", "is_error": true})),
                        _ => world.line(launch, json!({"type": "control_request", "request_id": n.to_string(),
                            "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}})),
                    }
                },
                Deed::Exit(code) => if let Some(launch) = pop(&mut shell.live) {
                    let exit = Exit { code: code.then_some(1), ..Exit::default() };
                    world.event(launch, Event::Exited(exit));
                },
                Deed::Read(kind) => if let Some((launch, prompt)) = pop(&mut shell.reading) {
                    let reading = Ok(reading(standing(kind), &[("a", "one")]));
                    world.event(launch, Event::Read { prompt, reading });
                },
                Deed::Swept => if let Some(launch) = pop(&mut shell.sweeping) {
                    world.event(launch, Event::Swept);
                },
                Deed::Wait(seconds) => world.wait(Duration::from_secs(seconds)),
            }
            shell.take(&mut world.effects);
        }
        for of in &prompted {
            let mut numbers: Vec<u64> =
                world.told.iter().filter(|u| u.at == *of).map(|u| u.n).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert!(numbers.iter().enumerate().all(|(i, n)| *n == i as u64 + 1), "{numbers:?}");
            let ends: BTreeSet<u64> = world.told.iter()
                .filter(|u| u.at == *of && matches!(u.event, TurnEvent::Ended { .. }))
                .map(|u| u.n)
                .collect();
            prop_assert!(ends.len() <= 1);
            prop_assert!(ends.iter().all(|end| Some(end) == numbers.last()));
        }
        // Left alone, everything comes to an end.
        for _ in 0..200 {
            for launch in std::mem::take(&mut shell.preparing) {
                shell.locked.insert(launch);
                let reading = reading(Standing::Absent, &[]);
                world.event(launch, Event::Prepared(Ok(Prepared { file: false, reading })));
            }
            shell.take(&mut world.effects);
            for launch in std::mem::take(&mut shell.launching) {
                shell.live.push(launch);
                world.event(launch, Event::Launched);
            }
            for (launch, prompt) in std::mem::take(&mut shell.reading) {
                world.event(launch, Event::Read { prompt, reading: Ok(reading(Standing::Answered, &[])) });
            }
            for launch in std::mem::take(&mut shell.sweeping) {
                world.event(launch, Event::Swept);
            }
            for launch in std::mem::take(&mut shell.live) {
                world.event(launch, Event::Exited(Exit { code: Some(1), ..Exit::default() }));
            }
            for update in world.told.clone() {
                world.hub(Body::UpdatesKept(UpdatesKept { at: update.at, n: update.n }));
            }
            shell.take(&mut world.effects);
        }
        prop_assert_eq!(world.runner.counts(), (0, 0));
        prop_assert!(shell.locked.is_empty(), "a lock is left: {:?}", shell.locked);
        prop_assert!(world.runner.owners.is_empty());
    }
}
