//! Sessions with an agent that speaks ACP.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

pub(super) fn acp() -> World {
    World::new(AgentKind::Acp)
}

impl World {
    /// Answers the lock and the launch of an ACP agent.
    pub(super) fn acp_launched(&mut self) -> u64 {
        let launch = self.prepares(false, Standing::Absent, &[]);
        self.took(|effect| match effect {
            Effect::Launch {
                what: What::Acp, ..
            } => Some(()),
            _ => None,
        });
        self.event(launch, Event::Launched);
        launch
    }

    /// Answers the newest request of ours, which must be that.
    pub(super) fn acp_answers(&mut self, launch: u64, method: &str, result: Value) -> Value {
        let request = self.written();
        assert_eq!(request["method"], method);
        self.line(
            launch,
            json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
        );
        request["params"].clone()
    }

    /// Lets an agent get ready that goes on with conversations, or does not.
    pub(super) fn acp_ready(&mut self, launch: u64, loads: bool) {
        let hello = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": loads}});
        self.acp_answers(launch, "initialize", hello);
        self.acp_answers(launch, "session/new", json!({"sessionId": "theirs"}));
    }

    pub(super) fn acp_says(&mut self, launch: u64, text: &str) {
        self.line(
            launch,
            json!({"method": "session/update", "params": {"sessionId": "theirs",
                "update": {"sessionUpdate": "agent_message_chunk",
                    "content": {"type": "text", "text": text}}}}),
        );
    }
}

/// A turn whose prompt is with the agent.
pub(super) fn acp_running(loads: bool) -> (World, u64) {
    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.acp_launched();
    world.acp_ready(launch, loads);
    (world, launch)
}

/// What the hub gives from now on: the agent's own id.
pub(super) fn known(turn: u32) -> Prompt {
    Prompt {
        agent_session: "acp:theirs".into(),
        ..prompt(turn, 1)
    }
}

pub(super) fn stop(world: &mut World, turn: u32) {
    let session = "s".into();
    let at = at(turn, 1);
    world.hub(Body::Interrupt(Interrupt { at, session }));
}

/// A stop that names no turn takes no agent away that has its conversation in its process alone.
#[test]
fn a_stop_of_nothing_costs_no_conversation() {
    let (mut world, launch) = acp_running(false);
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    world.effects.clear();
    world.hub(Body::Interrupt(Interrupt {
        at: TurnRef::default(),
        session: "s".into(),
    }));
    assert_eq!(world.effects, []);
}

#[test]
fn the_agents_own_id_is_told_before_the_prompt_goes_out() {
    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.acp_launched();
    assert_eq!(world.events(&at(1, 1)), [] as [&TurnEvent; 0]);
    world.acp_ready(launch, true);
    let started = TurnEvent::Started {
        agent_session: "acp:theirs".into(),
        continued: false,
    };
    assert_eq!(world.events(&at(1, 1)), [&started]);
    world.acp_says(launch, "hello");
    let params = world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    assert_eq!(params["prompt"][0]["text"], "say 1");
    assert_eq!(world.texts(&at(1, 1)), ["hello"]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));

    // The same process has the next one.
    world.hub(Body::Prompt(known(2)));
    assert_eq!(world.written()["method"], "session/prompt");
    assert!(
        !world
            .effects
            .iter()
            .any(|e| matches!(e, Effect::Prepare { .. }))
    );
}

fn words(world: &World, turn: u32) -> &str {
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = world.outcome(&at(turn, 1))
    else {
        panic!("{:?}", world.told.last())
    };
    words
}

#[test]
fn bad_input_junk_is_no_sign_of_life_and_too_much_of_it_ends_the_agent() {
    let (mut world, launch) = acp_running(true);
    for _ in 0..999 {
        world.event(launch, Event::Line("junk".into()));
    }
    world.acp_says(launch, "hello");
    for _ in 0..999 {
        world.event(launch, Event::Line("junk".into()));
    }
    assert!(!world.effects.contains(&Effect::Kill { launch }));
    world.event(launch, Event::Overlong);
    assert!(world.effects.contains(&Effect::Kill { launch }));
    assert_eq!(world.outcome(&at(1, 1)), None, "not before it is gone");
    world.dies(launch);
    assert!(words(&world, 1).contains("no JSON-RPC"));
    // The next message has an agent of its own; one that never speaks ACP is not started again.
    world.hub(Body::Prompt(known(2)));
    let launch = world.acp_launched();
    for _ in 0..1000 {
        world.event(launch, Event::Line("junk".into()));
    }
    world.dies(launch);
    assert!(words(&world, 2).contains("no JSON-RPC"));

    let (mut world, launch) = acp_running(true);
    world.wait(Duration::from_secs(7199));
    world.event(launch, Event::Line("junk".into()));
    world.wait(Duration::from_secs(1));
    assert_eq!(world.written()["method"], "session/cancel");
}

#[test]
fn bad_input_more_news_than_can_wait_for_the_hub_end_the_agent() {
    let (mut world, launch) = acp_running(true);
    world.step(Input::Link);
    let mut told = 0;
    while !world.effects.contains(&Effect::Kill { launch }) {
        world.acp_says(launch, "x");
        world.line(
            launch,
            json!({"method": "session/update", "params": {"sessionId": "theirs",
                "update": {"sessionUpdate": "tool_call", "toolCallId": "t", "title": "look"}}}),
        );
        told += 1;
        assert!(told < 100_000);
    }
    world.dies(launch);
    world.hub(Body::OpenTurns(OpenTurns {
        turns: vec![at(1, 1)],
    }));
    assert!(words(&world, 1).contains("wait for the hub"));
}

#[test]
fn another_process_goes_on_with_the_conversation() {
    let (mut world, launch) = acp_running(true);
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    world.dies(launch);
    world.hub(Body::Prompt(known(2)));
    let launch = world.acp_launched();
    let hello = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}});
    world.acp_answers(launch, "initialize", hello);
    let load = world.acp_answers(launch, "session/load", json!({}));
    assert_eq!(load["sessionId"], "theirs");
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    assert_eq!(world.outcome(&at(2, 1)), Some(&Outcome::Done));
    assert_eq!(world.texts(&at(2, 1)), [""; 0]);
}

#[test]
fn a_conversation_that_is_lost_is_told() {
    let mut world = acp();
    world.hub(Body::Prompt(known(1)));
    let launch = world.acp_launched();
    world.acp_ready(launch, false);
    let forgot = |event: &&TurnEvent| {
        matches!(
            event,
            TurnEvent::Remark {
                about: Remark::Forgot { .. }
            }
        )
    };
    assert_eq!(
        world.events(&at(1, 1)).into_iter().filter(forgot).count(),
        1
    );
    assert_eq!(world.texts(&at(1, 1)), [""; 0]);
}

#[test]
fn a_prompt_that_the_agent_had_is_never_sent_again() {
    let (mut world, launch) = acp_running(true);
    world.acp_says(launch, "half");
    world.dies(launch);
    let cannot = Outcome::Failed {
        fault: Fault::CannotResume,
    };
    assert_eq!(world.outcome(&at(1, 1)), Some(&cannot));
    assert_eq!(world.texts(&at(1, 1)), ["half"]);
    world.effects.clear();
    world.hub(Body::Prompt(prompt(2, 2)));
    assert_eq!(world.outcome(&at(2, 2)), Some(&cannot));
    assert_eq!(world.effects, []);
}

#[test]
fn one_that_it_did_not_have_is() {
    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    for _ in 0..2 {
        let launch = world.acp_launched();
        world.dies(launch);
        assert_eq!(world.outcome(&at(1, 1)), None);
    }
    let launch = world.acp_launched();
    world.dies(launch);
    let fault = world.outcome(&at(1, 1));
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = fault
    else {
        panic!("{fault:?}")
    };
    assert!(words.contains("killed by signal 9"), "{words}");

    world.hub(Body::Prompt(prompt(2, 1)));
    let launch = world.acp_launched();
    let code = Some(0);
    world.event(
        launch,
        Event::Exited(Exit {
            code,
            ..Exit::default()
        }),
    );
    let told = format!("{:?}", world.outcome(&at(2, 1)));
    assert!(told.contains("without a word of ACP"), "{told}");
}

#[test]
fn a_stopped_turn_takes_its_process_along_and_the_next_has_another() {
    let (mut world, launch) = acp_running(true);
    stop(&mut world, 1);
    assert_eq!(world.written()["method"], "session/cancel");
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "cancelled"}));
    assert_eq!(
        world.outcome(&at(1, 1)),
        None,
        "not before everything is gone"
    );
    assert!(world.effects.contains(&Effect::CloseInput { launch }));
    world.hub(Body::Prompt(known(2)));
    world.event(launch, Event::Exited(Exit::default()));
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
    assert_ne!(world.acp_launched(), launch);
}

#[test]
fn an_agent_that_cannot_go_on_elsewhere_is_kept_for_as_long_as_it_lives() {
    let (mut world, launch) = acp_running(false);
    stop(&mut world, 1);
    world.written();
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "cancelled"}));
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
    world.wait(Duration::from_secs(3600));
    assert!(!world.effects.contains(&Effect::CloseInput { launch }));
    assert!(!world.effects.contains(&Effect::Kill { launch }));
}

#[test]
fn an_agent_that_heeds_no_cancel_is_killed_within_a_second() {
    let (mut world, launch) = acp_running(true);
    stop(&mut world, 1);
    world.wait(Duration::from_millis(500));
    assert!(world.effects.contains(&Effect::Nudge { launch }));
    world.wait(Duration::from_millis(300));
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
}

#[test]
fn a_turn_that_is_stopped_before_the_agent_is_ready_never_reaches_it() {
    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.acp_launched();
    stop(&mut world, 1);
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
}

#[test]
fn an_idle_agent_is_closed_and_one_that_says_nothing_is_given_up() {
    let (mut world, launch) = acp_running(true);
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    world.wait(Duration::from_secs(15 * 60));
    assert!(world.effects.contains(&Effect::CloseInput { launch }));

    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.acp_launched();
    world.wait(Duration::from_secs(120));
    let told = format!("{:?}", world.outcome(&at(1, 1)));
    assert!(told.contains("no answer within 120 s"), "{told}");
    assert!(world.effects.contains(&Effect::Kill { launch }));
}

#[test]
fn a_question_that_its_agent_leaves_behind_is_withdrawn() {
    let (mut world, launch) = acp_running(true);
    world.line(
        launch,
        json!({"id": 1, "method": "session/request_permission", "params": {
            "sessionId": "theirs", "toolCall": {"toolCallId": "t", "title": "touch a"},
            "options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"}]}}),
    );
    let asked = world
        .events(&at(1, 1))
        .into_iter()
        .find_map(|event| match event {
            TurnEvent::Asked(question) => Some(question.question.clone()),
            _ => None,
        });
    let question = asked.unwrap();
    world.dies(launch);
    let expired = false;
    let withdrawn = TurnEvent::Withdrawn {
        question: question.clone(),
        expired,
    };
    assert!(world.events(&at(1, 1)).contains(&&withdrawn));
    let decision = Decision::Allow;
    world.hub(Body::Decide(ipc_schema::Decide { question, decision }));
    let late = |event: &&TurnEvent| matches!(event, TurnEvent::Decided { applied: false, .. });
    assert!(!world.events(&at(1, 1)).iter().any(late), "it is over");
}

#[test]
fn a_conversation_of_another_kind_of_agent_is_no_claude_codes() {
    let mut world = claude();
    world.hub(Body::Prompt(known(1)));
    let (launch, start) = world.starts(false, Standing::Absent, &[]);
    assert!(uuid::Uuid::try_parse(&start.session).is_ok(), "{start:?}");
    world.dies(launch);
}

#[derive(Debug, Clone)]
enum Deed {
    Prompt(u32, u32),
    Interrupt(u32),
    Close,
    Relink,
    Prepared,
    Launch(bool),
    /// The agent answers what it was asked first, with success or not.
    Answer(bool),
    /// The agent says, tells or asks something.
    Says(u8),
    Decide(bool),
    Exit(bool),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1..5u32, 1..3u32).prop_map(|(turn, attempt)| Deed::Prompt(turn, attempt)),
        1 => (1..5u32).prop_map(Deed::Interrupt),
        1 => Just(Deed::Close),
        1 => Just(Deed::Relink),
        4 => Just(Deed::Prepared),
        4 => prop::bool::weighted(0.9).prop_map(Deed::Launch),
        9 => prop::bool::weighted(0.8).prop_map(Deed::Answer),
        5 => (0..5u8).prop_map(Deed::Says),
        2 => any::<bool>().prop_map(Deed::Decide),
        1 => any::<bool>().prop_map(Deed::Exit),
        1 => (0..2000u64).prop_map(Deed::Wait),
    ]
}

/// What the shell and the agents would have under way.
#[derive(Default)]
struct Agents {
    preparing: Vec<u64>,
    locked: BTreeSet<u64>,
    launching: Vec<u64>,
    live: Vec<u64>,
    /// What a live agent was asked.
    asked: VecDeque<Value>,
    /// The texts that agents were given.
    given: Vec<String>,
}

impl Agents {
    fn take(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Prepare { launch, .. } => self.preparing.push(launch),
                Effect::Release { launch } => assert!(self.locked.remove(&launch)),
                Effect::Launch { launch, what, .. } => {
                    assert!(self.locked.remove(&launch), "no start without the lock");
                    assert!(matches!(what, What::Acp));
                    self.launching.push(launch);
                }
                Effect::Write { launch, line } if self.live.contains(&launch) => {
                    let line: Value = serde_json::from_str(&line).unwrap();
                    if let Some(text) = line["params"]["prompt"][0]["text"].as_str() {
                        self.given.push(text.to_owned());
                    }
                    if line.get("id").is_some() && line.get("method").is_some() {
                        self.asked.push_back(line);
                    }
                }
                _ => {}
            }
        }
        assert!(
            self.launching.len() + self.live.len() <= 1,
            "one process a session"
        );
    }

    fn answer(&mut self, world: &mut World, well: bool) {
        let (Some(launch), Some(asked)) = (self.live.first(), self.asked.pop_front()) else {
            return;
        };
        let result = match asked["method"].as_str() {
            Some("initialize") => {
                json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}})
            }
            Some("session/new") => json!({"sessionId": "theirs"}),
            Some("session/prompt") => json!({"stopReason": "end_turn"}),
            _ => json!({}),
        };
        let answer = match well {
            true => json!({"id": asked["id"], "result": result}),
            false => json!({"id": asked["id"], "error": {"code": -32603, "message": "no"}}),
        };
        world.line(*launch, answer);
    }
}

proptest! {
    /// Whatever comes in whatever order: updates without gaps, one `Ended` an attempt and it is the
    /// last, no process beside another, every lock given back or handed over, no prompt given to an
    /// agent twice.
    #[test]
    fn any_order_of_events_keeps_the_promises(deeds in prop::collection::vec(deed(), 0..150)) {
        let mut world = acp();
        let mut agents = Agents::default();
        let mut prompted: BTreeSet<TurnRef> = BTreeSet::new();
        for deed in deeds {
            match deed {
                Deed::Prompt(turn, attempt) => {
                    prompted.insert(at(turn, attempt));
                    world.hub(Body::Prompt(prompt(turn, attempt)));
                }
                Deed::Interrupt(turn) => stop(&mut world, turn),
                Deed::Close => world.hub(Body::CloseSession(CloseSession { session: "s".into() })),
                Deed::Relink => {
                    world.step(Input::Link);
                    let turns = prompted.iter().cloned().collect();
                    world.hub(Body::OpenTurns(OpenTurns { turns }));
                }
                Deed::Prepared => if !agents.preparing.is_empty() {
                    let launch = agents.preparing.remove(0);
                    agents.locked.insert(launch);
                    let reading = reading(Standing::Absent, &[]);
                    world.event(launch, Event::Prepared(Ok(prepared(false, reading))));
                },
                Deed::Launch(works) => if !agents.launching.is_empty() {
                    let launch = agents.launching.remove(0);
                    if works {
                        agents.live.push(launch);
                        world.event(launch, Event::Launched);
                    } else {
                        let fault = Fault::CannotResume;
                        world.event(launch, Event::NotLaunched(fault));
                    }
                },
                Deed::Answer(well) => agents.answer(&mut world, well),
                Deed::Says(kind) => if let Some(launch) = agents.live.first().copied() {
                    match kind {
                        0 => world.acp_says(launch, "text"),
                        1 => world.event(launch, Event::Line("junk".into())),
                        2 => world.event(launch, Event::Overlong),
                        3 => world.line(launch, json!({"method": "session/update", "params": {
                            "sessionId": "theirs", "update": {"sessionUpdate": "tool_call",
                                "toolCallId": "t", "title": "look"}}})),
                        _ => world.line(launch, json!({"id": 7, "method": "session/request_permission",
                            "params": {"sessionId": "theirs", "toolCall": {"toolCallId": "t"},
                                "options": [{"optionId": "y", "name": "", "kind": "allow_once"}]}})),
                    }
                },
                Deed::Decide(allow) => {
                    let asked = world.told.iter().rev().find_map(|update| match &update.event {
                        TurnEvent::Asked(question) => Some(question.question.clone()),
                        _ => None,
                    });
                    if let Some(question) = asked {
                        let decision = match allow {
                            true => Decision::Allow,
                            false => Decision::Deny { why: String::new() },
                        };
                        world.hub(Body::Decide(ipc_schema::Decide { question, decision }));
                    }
                }
                Deed::Exit(code) => if !agents.live.is_empty() {
                    let launch = agents.live.remove(0);
                    agents.asked.clear();
                    let exit = Exit { code: code.then_some(1), ..Exit::default() };
                    world.event(launch, Event::Exited(exit));
                },
                Deed::Wait(seconds) => world.wait(Duration::from_secs(seconds)),
            }
            agents.take(&mut world.effects);
        }
        // Left alone, everything comes to an end.
        for _ in 0..50 {
            for launch in std::mem::take(&mut agents.preparing) {
                agents.locked.insert(launch);
                let reading = reading(Standing::Absent, &[]);
                world.event(launch, Event::Prepared(Ok(prepared(false, reading))));
            }
            agents.take(&mut world.effects);
            for launch in std::mem::take(&mut agents.launching) {
                agents.live.push(launch);
                world.event(launch, Event::Launched);
            }
            agents.take(&mut world.effects);
            for launch in std::mem::take(&mut agents.live) {
                world.event(launch, Event::Exited(Exit { code: Some(1), ..Exit::default() }));
            }
            agents.take(&mut world.effects);
        }
        for of in &prompted {
            let mut numbers: Vec<u64> =
                world.told.iter().filter(|u| u.at == *of).map(|u| u.n).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert!(numbers.iter().enumerate().all(|(i, n)| *n == i as u64 + 1), "{numbers:?}");
            prop_assert!(world.outcome(of).is_some() || world.told.iter().filter(|u| u.at == *of)
                .any(|u| u.n == *numbers.last().unwrap_or(&0)
                    && matches!(u.event, TurnEvent::Ended { .. })), "{of:?} did not end");
        }
        let given = agents.given.len();
        agents.given.sort_unstable();
        agents.given.dedup();
        prop_assert_eq!(agents.given.len(), given, "a prompt was given twice");
        prop_assert_eq!(world.runner.counts(), (0, 0));
        prop_assert!(agents.locked.is_empty(), "a lock is left: {:?}", agents.locked);
    }
}
