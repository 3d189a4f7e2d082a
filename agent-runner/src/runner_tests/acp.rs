//! Sessions with an agent that speaks ACP.

use super::*;

fn acp() -> World {
    World::new(AgentKind::Acp)
}

impl World {
    /// Answers the lock and the launch of an ACP agent.
    fn acp_launched(&mut self) -> u64 {
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
    fn acp_answers(&mut self, launch: u64, method: &str, result: Value) -> Value {
        let request = self.written();
        assert_eq!(request["method"], method);
        self.line(
            launch,
            json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
        );
        request["params"].clone()
    }

    /// Lets an agent get ready that goes on with conversations, or does not.
    fn acp_ready(&mut self, launch: u64, loads: bool) {
        let hello = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": loads}});
        self.acp_answers(launch, "initialize", hello);
        self.acp_answers(launch, "session/new", json!({"sessionId": "theirs"}));
    }

    fn acp_says(&mut self, launch: u64, text: &str) {
        self.line(
            launch,
            json!({"method": "session/update", "params": {"sessionId": "theirs",
                "update": {"sessionUpdate": "agent_message_chunk",
                    "content": {"type": "text", "text": text}}}}),
        );
    }
}

/// A turn whose prompt is with the agent.
fn acp_running(loads: bool) -> (World, u64) {
    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.acp_launched();
    world.acp_ready(launch, loads);
    (world, launch)
}

/// What the hub gives from now on: the agent's own id.
fn known(turn: u32) -> Prompt {
    Prompt {
        agent_session: "acp:theirs".into(),
        ..prompt(turn, 1)
    }
}

fn stop(world: &mut World, turn: u32) {
    let session = "s".into();
    let at = at(turn, 1);
    world.hub(Body::Interrupt(Interrupt { at, session }));
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
    assert!(world.texts(&at(1, 1))[0].contains("does not remember"));
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
}

#[test]
fn a_conversation_of_another_kind_of_agent_is_no_claude_codes() {
    let mut world = claude();
    world.hub(Body::Prompt(known(1)));
    let (launch, start) = world.starts(false, Standing::Absent, &[]);
    assert!(uuid::Uuid::try_parse(&start.session).is_ok(), "{start:?}");
    world.dies(launch);
}
