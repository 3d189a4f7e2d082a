//! Sessions with Claude Code.

use super::*;
use crate::board::HELD_BYTES;

// pitfall: nothing is printed until the first input
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
            revive: false,
            ..Start::default()
        }
    );
    assert_eq!(world.written()["uuid"], id(1));
    world.says(launch, "a", "one");
    world.ends(launch, 1);
    assert_eq!(world.texts(&at(1, 1)), ["one"]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
    assert!(world.effects.contains(&Effect::AwaitNothing { launch }));
    world.hub(Body::Prompt(prompt(2, 1)));
    assert_eq!(world.written()["uuid"], id(2));
    assert_eq!(world.runner.counts(), (1, 1));
}

// pitfall: input while busy merges or is injected: one message in flight, the next only on idle
#[test]
fn prompts_wait_for_the_turn_before_them() {
    let (mut world, launch) = running();
    world.written();
    world.hub(Body::Prompt(prompt(2, 1)));
    assert!(!world.is_told());
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
            revive: true,
            ..Start::default()
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

// pitfall: completed before the kill: the answer is read from the session file
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

// pitfall: root refuses bypassPermissions unless IS_SANDBOX=1
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
            revive: false,
            ..Start::default()
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

// pitfall: an interrupt does not clear the CLI's queue, so what waits is not in it
#[test]
fn a_stop_leaves_those_alone_that_wait() {
    let (mut world, launch) = running();
    world.written();
    world.hub(Body::Prompt(prompt(2, 1)));
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    }));
    assert_eq!(world.written()["request"]["subtype"], "interrupt");
    world.line(
        launch,
        json!({"type": "result", "subtype": "error_during_execution", "is_error": true}),
    );
    assert!(!world.is_told(), "not before everything is ended");
    world.event(launch, Event::Swept);
    assert_eq!(world.written()["uuid"], id(2));
}

// pitfall: /clear changes the session id in mid-process: follow it
#[test]
fn a_conversation_that_is_cleared_is_followed() {
    let (mut world, launch) = running();
    let cleared = "5e551011-0000-4000-8000-000000000002";
    world.line(
        launch,
        json!({"type": "system", "subtype": "init", "session_id": cleared}),
    );
    let told = world.events(&at(1, 1)).into_iter().rev();
    let told = told.into_iter().find_map(|event| match event {
        TurnEvent::Started { agent_session, .. } => Some(agent_session.clone()),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some(cleared));
    world.ends(launch, 1);
    world.dies(launch);
    world.hub(Body::Prompt(Prompt {
        agent_session: cleared.into(),
        ..prompt(2, 1)
    }));
    let (_, start) = world.starts(true, Standing::Absent, &[]);
    assert_eq!((start.session.as_str(), start.resume), (cleared, true));
}

#[test]
fn what_a_process_that_resumes_begins_to_count_from_is_told_first() {
    let (mut world, launch) = running();
    let sums = |world: &World, turn| {
        let events = world.events(&at(turn, 1)).into_iter();
        let sums = events.filter_map(|event| match event {
            TurnEvent::Usage { cost_microusd, .. } => Some(*cost_microusd),
            _ => None,
        });
        sums.collect::<Vec<u64>>()
    };
    assert!(
        sums(&world, 1).is_empty(),
        "a new conversation begins with nothing"
    );
    world.ends(launch, 1);
    world.dies(launch);
    world.hub(Body::Prompt(prompt(2, 1)));
    let (launch, _) = world.starts(true, Standing::Absent, &[]);
    world.line(
        launch,
        json!({"type": "system", "subtype": "init", "session_id": SESSION}),
    );
    world.line(
        launch,
        json!({"type": "result", "subtype": "success", "total_cost_usd": 0.0001,
            "user_message_uuid": id(2)}),
    );
    assert_eq!(sums(&world, 2), [70, 100]);
    world.hub(Body::Prompt(prompt(3, 1)));
    world.ends(launch, 3);
    assert!(sums(&world, 3).is_empty(), "it goes on counting");
}

#[test]
fn bad_input_junk_is_no_sign_of_life_and_too_much_of_it_ends_the_agent() {
    let (mut world, launch) = running();
    for _ in 0..999 {
        world.event(launch, Event::Line("junk".into()));
    }
    world.event(launch, Event::Line("{}".into()));
    world.wait(Duration::from_secs(7199));
    for _ in 0..999 {
        world.event(launch, Event::Line("junk".into()));
    }
    assert!(!world.effects.contains(&Effect::Kill { launch }));
    world.event(launch, Event::Overlong);
    assert!(world.effects.contains(&Effect::Kill { launch }));
    assert_eq!(world.outcome(&at(1, 1)), None, "not before it is gone");
    world.dies(launch);
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = world.outcome(&at(1, 1))
    else {
        panic!("{:?}", world.told)
    };
    assert!(words.contains("no stream-json"), "{words}");
    // The next message has an agent of its own.
    world.hub(Body::Prompt(prompt(2, 1)));
    world.starts(true, Standing::Absent, &[]);

    let (mut world, launch) = running();
    world.wait(Duration::from_secs(7199));
    world.event(launch, Event::Line("junk".into()));
    world.wait(Duration::from_secs(1));
    assert!(world.is_told(), "it is interrupted");
}

#[test]
fn bad_input_more_news_than_can_wait_for_the_hub_end_the_agent() {
    let (mut world, launch) = running();
    world.step(Input::Link);
    let mut told = 0;
    while !world.effects.contains(&Effect::Kill { launch }) {
        let session = format!("5e551011-0000-4000-8000-{told:012}");
        world.line(
            launch,
            json!({"type": "system", "subtype": "init", "session_id": session}),
        );
        told += 1;
        assert!(told < 100_000);
    }
    world.dies(launch);
    world.hub(Body::OpenTurns(OpenTurns {
        turns: vec![at(1, 1)],
    }));
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = world.outcome(&at(1, 1))
    else {
        panic!("{:?}", world.told.last())
    };
    assert!(words.contains("wait for the hub"), "{words}");
}

// pitfall: hard stop: interrupt, SIGINT, kill everything
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

// pitfall: a stall in mid-stream is not bounded by the CLI
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

/// A stop that names no turn ends what the agent does by itself, and no agent that does nothing.
#[test]
fn work_of_the_agents_own_can_be_stopped() {
    let (mut world, launch) = running();
    let own = || {
        Body::Interrupt(Interrupt {
            at: TurnRef::default(),
            session: "s".into(),
        })
    };
    world.hub(own());
    assert!(
        !world.effects.contains(&Effect::CloseInput { launch }),
        "a turn runs"
    );
    world.ends(launch, 1);
    world.hub(own());
    assert!(
        !world.effects.contains(&Effect::CloseInput { launch }),
        "it is idle"
    );
    let begins = json!({"type": "system", "subtype": "session_state_changed", "state": "running"});
    world.line(launch, begins);
    world.hub(own());
    assert!(world.effects.contains(&Effect::CloseInput { launch }));
    world.wait(Duration::from_secs(5));
    assert!(world.effects.contains(&Effect::Kill { launch }));
    // The next message goes on in the same conversation.
    world.dies(launch);
    world.hub(Body::Prompt(prompt(2, 1)));
    let (_, start) = world.starts(true, Standing::Absent, &[]);
    assert!(start.resume);
}

#[test]
fn too_many_messages_are_refused_as_the_runners_own() {
    let (mut world, _) = running();
    for turn in 2..=10 {
        world.hub(Body::Prompt(prompt(turn, 1)));
    }
    let fault = Fault::Runner {
        at: Trouble::Crowded,
        detail: String::new(),
    };
    assert_eq!(world.outcome(&at(10, 1)), Some(&Outcome::Failed { fault }));
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
        world.runner.step(
            world.now,
            Input::Hub(Box::new(Body::Unknown), String::new())
        ),
        Err(NotForUs)
    );
}

/// An agent that works, and no turn is its reason.
fn unasked() -> (World, u64) {
    let (mut world, launch) = running();
    world.says(launch, "a", "one");
    world.ends(launch, 1);
    world.line(
        launch,
        json!({"type": "system", "subtype": "session_state_changed", "state": "running"}),
    );
    (world, launch)
}

#[test]
fn a_stop_ends_what_the_agent_does_unasked_too() {
    let (mut world, launch) = unasked();
    world.hub(Body::Prompt(prompt(2, 1)));
    world.hub(Body::Interrupt(Interrupt {
        at: at(2, 1),
        session: "s".into(),
    }));
    assert_eq!(world.outcome(&at(2, 1)), Some(&Outcome::Stopped));
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.hub(Body::Prompt(prompt(3, 1)));
    world.dies(launch);
    world.starts(true, Standing::Absent, &[]);
    assert_eq!(world.written()["uuid"], id(3));
}

#[test]
fn an_agent_that_hangs_in_what_nobody_asked_for_is_ended() {
    let (mut world, launch) = unasked();
    let silence = world.runner.options.turn_idle().unwrap();
    world.wait(silence - Duration::from_secs(1));
    assert!(!world.effects.contains(&Effect::Kill { launch }));
    world.wait(Duration::from_secs(1));
    assert!(world.effects.contains(&Effect::Kill { launch }));
}

#[test]
fn a_stopped_turn_whose_file_is_read_makes_nothing_due() {
    let (mut world, launch) = running();
    world.says(launch, "a", "one");
    world.dies(launch);
    let (launch, _) = world.starts(true, Standing::Open, &[]);
    world.line(
        launch,
        json!({"type": "system", "subtype": "init", "session_id": SESSION}),
    );
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    }));
    world.ends(launch, 1);
    world.wait(Duration::from_secs(5));
    let due = world.runner.deadline(world.now);
    assert!(due.is_none_or(|due| due > world.now), "{due:?}");
}
