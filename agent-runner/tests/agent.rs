//! The real runner with the fake Claude Code: turns, deaths at every point, stops, drains.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Instant;

use fake_claude::{Event, Point};
use ipc_schema::{Body, Decision, Fault, Outcome, QuestionKind, TurnEvent};
use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::Pid;
use serde_json::json;
use support::{Desk, SOON, fake_claude, kill, nap, processes};

/// Every point of a turn where it can be cut off, with a prompt that passes it.
fn points() -> Vec<(Point, String)> {
    Point::ALL
        .into_iter()
        .map(|point| {
            let tool = if point == Point::Tool {
                "#tool Bash echo effect >> effects\n"
            } else {
                ""
            };
            (
                point,
                format!("#say Before.\n{tool}#say The end.\n#hold {point}"),
            )
        })
        .collect()
}

fn starts(desk: &Desk) -> usize {
    desk.control
        .ledger()
        .count(|event| matches!(event, Event::Started(_)))
}

// pitfall: the environment is an allow-list; RESUME_INTERRUPTED_TURN only for a start that sends an open turn again
#[tokio::test]
async fn turns_of_a_session_share_a_process() {
    let desk = Desk::claude().await;
    desk.prompt("s", "one", "hello");
    assert_eq!(desk.answer("one").await.texts(), ["You said: hello"]);
    desk.prompt("s", "two", "#say first\n#say second");
    assert_eq!(desk.answer("two").await.texts(), ["first", "second"]);
    desk.prompt("other", "three", "hello");
    desk.answer("three").await;
    assert_eq!(starts(&desk), 2);
    let hello = desk.control.ledger().filter_map(|event| match event {
        Event::Started(hello) => Some(hello.clone()),
        _ => None,
    });
    let env = &hello[0].env;
    assert!(
        env.contains(&"HOME".to_owned()) && !env.contains(&"CANARY".to_owned()),
        "{env:?}"
    );
    assert!(
        !env.contains(&"CLAUDE_CODE_RESUME_INTERRUPTED_TURN".to_owned()),
        "{env:?}"
    );
}

// pitfall: a turn survives kill -9: never persisted, interrupted, completed
#[tokio::test]
async fn an_agent_that_is_killed_at_any_point_says_everything_once() {
    let desk = Desk::claude().await;
    for (point, prompt) in points() {
        let (session, turn) = (format!("s-{point}"), format!("t-{point}"));
        desk.prompt(&session, &turn, &prompt);
        let stand = desk.control.held(point, SOON).await.unwrap();
        kill(desk.outside(stand.pid, &session));
        let turn = desk.answer(&turn).await;
        assert_eq!(turn.texts().last(), Some(&"The end."), "{point}: {turn:#?}");
        assert_eq!(turn.texts().len(), 2, "{point}: {turn:#?}");
        assert_eq!(turn.attempt, 1, "{point}");
        // pitfall: a tool that was interrupted may run again: the chat says so of a turn that went on
        if point == Point::Tool {
            assert!(turn.continued > 0, "{point}: {turn:#?}");
        }
    }
}

#[tokio::test]
async fn a_runner_that_is_killed_at_any_point_loses_nothing() {
    let mut desk = Desk::claude().await;
    for (generation, (point, prompt)) in (2..).zip(points()) {
        let (session, turn) = (format!("s-{point}"), format!("t-{point}"));
        desk.prompt(&session, &turn, &prompt);
        let stand = desk.control.held(point, SOON).await.unwrap();
        let agent = desk.outside(stand.pid, &session);
        desk.kill_runner(generation).await;
        let turn = desk.answer(&turn).await;
        assert_eq!(turn.texts().last(), Some(&"The end."), "{point}: {turn:#?}");
        assert_eq!(turn.texts().len(), 2, "{point}: {turn:#?}");
        assert!(!alive(agent), "{point}");
    }
}

fn alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

// pitfall: SIGKILL of the runner: claude would finish the turn alone
#[tokio::test]
async fn agents_die_with_their_runner() {
    let mut desk = Desk::claude().await;
    desk.prompt("s", "t", "#say x\n#hold first-delta");
    let stand = desk.control.held(Point::FirstDelta, SOON).await.unwrap();
    kill(desk.pid());
    desk.runner.wait().await.unwrap();
    let gone = |event: &Event| matches!(event, Event::Gone { pid } if *pid == stand.pid);
    desk.control.ledger().wait_for(gone, SOON).await.unwrap();
}

// pitfall: it buffers without limit when not drained: always drain
#[tokio::test]
async fn a_hub_that_is_away_at_any_point_misses_nothing() {
    let desk = Desk::claude().await;
    for (times, (point, prompt)) in (2..).zip(points()) {
        let (session, turn) = (format!("s-{point}"), format!("t-{point}"));
        desk.prompt(&session, &turn, &prompt);
        desk.control.held(point, SOON).await.unwrap();
        desk.hub.die();
        desk.control.release_all();
        desk.hub.come_back();
        desk.compared(times).await;
        let turn = desk.answer(&turn).await;
        assert_eq!(turn.texts(), ["Before.", "The end."], "{point}: {turn:#?}");
        assert_eq!((turn.attempt, turn.continued), (1, 0), "{point}");
    }
}

#[tokio::test]
async fn twenty_sessions_at_once_are_all_answered() {
    let desk = Desk::claude().await;
    for n in 0..20 {
        desk.prompt(
            &format!("s{}", n % 5),
            &format!("t{n}"),
            &format!("#say answer {n}"),
        );
    }
    for n in 0..20 {
        assert_eq!(
            desk.answer(&format!("t{n}")).await.texts(),
            [format!("answer {n}")]
        );
    }
    assert_eq!(starts(&desk), 5);
}

// pitfall: questions are withdrawn when their process is gone
#[tokio::test]
async fn a_question_is_asked_and_answered() {
    let desk = Desk::start(json!({"cmd": fake_claude()})).await;
    desk.prompt("s", "yes", "#tool Bash touch made\n#say done");
    let turn = desk.turn("yes", |turn| !turn.questions.is_empty()).await;
    let QuestionKind::Permission { tool, detail, .. } = &turn.questions[0].about else {
        panic!("{turn:?}")
    };
    assert_eq!(tool, "Bash");
    assert!(detail.starts_with("touch made"), "{detail}");
    assert!(!desk.work().join("made").exists());
    desk.decide(&turn.questions[0], Decision::Allow);
    let turn = desk.answer("yes").await;
    assert!(
        turn.events
            .iter()
            .any(|e| matches!(e, TurnEvent::Decided { applied: true, .. }))
    );
    assert!(desk.work().join("made").exists());

    desk.prompt("s", "no", "#tool Bash touch unmade\n#say done");
    let turn = desk.turn("no", |turn| !turn.questions.is_empty()).await;
    desk.decide(
        &turn.questions[0],
        Decision::Deny {
            why: "not now".into(),
        },
    );
    desk.answer("no").await;
    assert!(!desk.work().join("unmade").exists());

    // A question of an agent that died is withdrawn and asked again.
    desk.prompt("s", "dies", "#tool Bash touch later\n#say done");
    let turn = desk.turn("dies", |turn| !turn.questions.is_empty()).await;
    let pid = desk.control.ledger().filter_map(|event| match event {
        Event::Started(hello) => Some(hello.pid),
        _ => None,
    });
    kill(desk.outside(*pid.last().unwrap(), "s"));
    let again = desk.turn("dies", |turn| turn.questions.len() == 2).await;
    assert!(again.events.iter().any(
        |e| matches!(e, TurnEvent::Withdrawn { question, expired: false } if *question == turn.questions[0].question)
    ));
    desk.decide(&turn.questions[0], Decision::Allow);
    desk.turn("dies", |turn| {
        turn.events
            .iter()
            .any(|e| matches!(e, TurnEvent::Decided { applied: false, .. }))
    })
    .await;
    assert!(!desk.work().join("later").exists());
    desk.decide(&again.questions[1], Decision::Allow);
    desk.answer("dies").await;
    assert!(desk.work().join("later").exists());
}

// pitfall: echo only the suggestion that was approved
#[tokio::test]
async fn always_is_exactly_what_was_shown_and_outlives_runner_and_agent() {
    let mut desk = Desk::start(json!({"cmd": fake_claude()})).await;
    desk.prompt("s", "one", "#tool Bash touch made\n#say done");
    let turn = desk.turn("one", |turn| !turn.questions.is_empty()).await;
    let QuestionKind::Permission { always, .. } = &turn.questions[0].about else {
        panic!("{turn:?}")
    };
    assert_eq!(always.as_deref(), Some("Bash(touch made) in this project"));
    desk.decide(&turn.questions[0], Decision::AllowAlways);
    desk.answer("one").await;
    desk.prompt("s", "two", "#tool Bash touch made\n#say done");
    assert!(desk.answer("two").await.questions.is_empty());
    assert!(!desk.work().join(".claude").exists());
    desk.kill_runner(2).await;
    desk.prompt("other", "three", "#tool Bash touch made\n#say done");
    assert!(desk.answer("three").await.questions.is_empty());
    desk.prompt("other", "four", "#tool Bash touch another\n#say done");
    let turn = desk.turn("four", |turn| !turn.questions.is_empty()).await;
    desk.decide(&turn.questions[0], Decision::Deny { why: String::new() });
    desk.answer("four").await;
}

// pitfall: a child that ignores TERM, and any setsid grandchild, survives an interrupt
#[tokio::test]
async fn stop_leaves_nothing_running() {
    let desk = Desk::claude().await;
    // One child that ignores TERM, one in a session of its own, and two without a parent: one
    // without the environment, one without the descriptors.
    let [a, b, c, d] = [7001, 7002, 7003, 7004].map(nap);
    let script = format!(
        "trap '' TERM; setsid {a} & (env -i setsid {b} &) ; (setsid {c} 3>&- &) ; touch up; {d}"
    );
    desk.prompt("s", "t", &format!("#tool Bash {script}\n#say done"));
    let up = desk.work().join("up");
    while !up.exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("t");
    let turn = desk.ended("t").await;
    assert_eq!(turn.outcome, Some(Outcome::Stopped));
    for nap in [a, b, c, d] {
        assert_eq!(processes(&nap), Vec::<i32>::new(), "{nap}");
    }
    // The session goes on, and the stopped turn stays stopped.
    desk.prompt("s", "next", "hello");
    assert_eq!(desk.answer("next").await.texts(), ["You said: hello"]);
}

#[tokio::test]
async fn who_hides_from_its_agent_ends_all_the_same() {
    let open = json!({"cmd": fake_claude(), "allowed_tools": ["Bash"], "sandbox": "off"});
    let desk = Desk::start(open).await;
    let gone = async |nap: &str| {
        let until = Instant::now() + SOON;
        while !processes(nap).is_empty() {
            assert!(Instant::now() < until, "{nap}\n{}", desk.log());
            tokio::task::yield_now().await;
        }
    };
    // Of another session, without the environment, the descriptors and a parent; and so its child.
    let hide = |n: u32| {
        let (a, b) = (nap(n), nap(n + 1));
        format!("env -i setsid -f sh -c '{a} & exec {b}' >/dev/null 2>&1 3>&-; touch up{n}")
    };
    let up = async |n: u32| {
        let file = desk.work().join(format!("up{n}"));
        while !file.exists() || processes(&nap(n)).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let other = format!(
        "#tool Bash {} >/dev/null 2>&1 & touch up7033\n#say done\n#hold before-result",
        nap(7033)
    );
    desk.prompt("other", "goes on", &other);
    up(7033).await;
    desk.prompt(
        "s",
        "stopped",
        &format!("#tool Bash {}; {}", hide(7030), nap(7035)),
    );
    up(7030).await;
    desk.interrupt("stopped");
    assert_eq!(desk.ended("stopped").await.outcome, Some(Outcome::Stopped));
    gone(&nap(7030)).await;
    gone(&nap(7031)).await;
    desk.prompt(
        "s",
        "closed",
        &format!("#tool Bash {}\n#say done", hide(7036)),
    );
    desk.answer("closed").await;
    desk.close("s");
    gone(&nap(7036)).await;
    gone(&nap(7037)).await;
    // Nobody else's has ended.
    assert!(!processes(&nap(7033)).is_empty());
}

// pitfall: a stopped turn comes back to life with RESUME_INTERRUPTED_TURN
#[tokio::test]
async fn a_stopped_turn_stays_stopped_whatever_dies_afterwards() {
    let mut desk = Desk::claude().await;
    desk.prompt(
        "s",
        "t",
        &format!(
            "#say Before.\n#tool Bash touch effect; {}\n#say The end.",
            nap(7010)
        ),
    );
    while !desk.work().join("effect").exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("t");
    desk.ended("t").await;
    std::fs::remove_file(desk.work().join("effect")).unwrap();
    desk.kill_runner(2).await;
    desk.prompt("s", "next", "hello");
    desk.answer("next").await;
    assert!(!desk.work().join("effect").exists());
}

// pitfall: no lock of its own: never resume until the old process is gone
#[tokio::test]
async fn what_an_agent_left_behind_is_ended_before_the_session_goes_on() {
    let mut desk = Desk::claude().await;
    desk.prompt(
        "s",
        "t",
        &format!(
            "#tool Bash setsid {} >/dev/null 2>&1 & touch up\n#say done\n#hold before-result",
            nap(7020)
        ),
    );
    desk.control.held(Point::BeforeResult, SOON).await.unwrap();
    assert!(!processes(&nap(7020)).is_empty());
    desk.kill_runner(2).await;
    desk.answer("t").await;
    assert!(processes(&nap(7020)).is_empty());
}

// pitfall: SIGTERM orphans the children of Bash; a drain closes stdin
#[tokio::test]
async fn a_drain_in_mid_turn_ends_soon_and_the_next_runner_goes_on() {
    let mut desk = Desk::claude().await;
    desk.prompt("s", "t", "#say Before.\n#say The end.\n#hold first-delta");
    let stand = desk.control.held(Point::FirstDelta, SOON).await.unwrap();
    let agent = desk.outside(stand.pid, "s");
    signal(Pid::from_raw(desk.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(desk.runner.wait().await.unwrap().code(), Some(0));
    assert!(!alive(agent));
    desk.restart(2);
    let turn = desk.answer("t").await;
    assert_eq!(turn.texts(), ["Before.", "The end."]);
    assert_eq!((turn.attempt, turn.continued), (2, 1));
}

// pitfall: stdin that is closed in mid turn denies the pending questions
#[tokio::test]
async fn a_drain_answers_no_question() {
    let mut desk = Desk::start(json!({"cmd": fake_claude()})).await;
    desk.prompt("s", "t", "#tool Bash touch made\n#say done");
    desk.turn("t", |turn| !turn.questions.is_empty()).await;
    signal(Pid::from_raw(desk.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(desk.runner.wait().await.unwrap().code(), Some(0));
    desk.restart(2);
    let again = |turn: &support::Turn| turn.attempt == 2 && !turn.questions.is_empty();
    let turn = desk.turn("t", again).await;
    desk.decide(&turn.questions[0], Decision::Allow);
    assert_eq!(desk.answer("t").await.texts(), ["done"]);
    assert!(desk.work().join("made").exists());
}

#[tokio::test]
async fn junk_is_passed_over_and_an_agent_that_leaves_is_told() {
    let desk = Desk::claude().await;
    desk.prompt("s", "junk", "#junk\n#say done");
    assert_eq!(desk.answer("junk").await.texts(), ["done"]);
    desk.prompt("exits", "exit", "#exit 3");
    let turn = desk.ended("exit").await;
    assert!(
        matches!(turn.outcome, Some(Outcome::Failed { .. } | Outcome::Done)),
        "{turn:?}"
    );
    desk.prompt("exits", "after", "hello");
    desk.answer("after").await;
}

#[tokio::test]
async fn an_agent_that_is_logged_out_is_told_from_other_faults() {
    let desk =
        Desk::start(json!({"cmd": fake_claude(), "env": {"FAKE_CLAUDE_LOGIN": "checked"}})).await;
    desk.prompt("s", "t", "hello");
    let turn = desk.ended("t").await;
    assert!(
        matches!(&turn.outcome, Some(Outcome::Failed { fault: Fault::LoggedOut { words } }) if words.contains("/login")),
        "{turn:?}"
    );
}

// pitfall: session_state_changed is the best busy signal, and older versions lack it
#[tokio::test]
async fn older_versions_are_served_too() {
    for version in ["2.1.197", "older"] {
        let mut desk =
            Desk::start(json!({"cmd": fake_claude(), "env": {"FAKE_CLAUDE_AS": version}})).await;
        desk.prompt("s", "one", "#say first\n#say second");
        assert_eq!(
            desk.answer("one").await.texts(),
            ["first", "second"],
            "{version}"
        );
        desk.prompt("s", "two", "#say The end.\n#hold first-delta");
        desk.control.held(Point::FirstDelta, SOON).await.unwrap();
        desk.kill_runner(2).await;
        assert_eq!(desk.answer("two").await.texts(), ["The end."], "{version}");
        desk.prompt("s", "three", "#hold first-delta");
        desk.control
            .held_where(
                |s| {
                    s.prompt.contains("first-delta")
                        && s.uuid == support::prompt_id("three").to_string()
                },
                SOON,
            )
            .await
            .unwrap();
        desk.interrupt("three");
        assert_eq!(
            desk.ended("three").await.outcome,
            Some(Outcome::Stopped),
            "{version}"
        );
    }
}

#[tokio::test]
async fn an_unknown_turn_of_the_runners_is_ended_quietly() {
    let desk = Desk::claude().await;
    desk.prompt("s", "t", "#say x\n#hold first-delta");
    desk.control.held(Point::FirstDelta, SOON).await.unwrap();
    desk.hub
        .say(Body::OpenTurns(ipc_schema::OpenTurns { turns: Vec::new() }));
    desk.compared(2).await;
    desk.prompt("s", "next", "hello");
    desk.answer("next").await;
}

#[tokio::test]
async fn files_reach_the_agent() {
    let desk = Desk::claude().await;
    let notes = vec![b'n'; 300_000];
    let notes = desk.hub.keep_file("my notes.txt", "text/plain", &notes);
    let picture = desk.hub.keep_file("a.png", "image/png", b"picture");
    let mut gone = picture.clone();
    gone.sha256 = "0".repeat(64);
    gone.name = "gone.zip".into();
    let files = vec![notes, gone, picture];
    desk.prompt_with("s", "t1", "look", |prompt| prompt.attachments = files);
    let answer = desk.answer("t1").await;
    let said = answer.texts().join("\n");
    let place = ".bulkhead/attachments/t1";
    assert!(said.contains(&format!("{place}/my_notes.txt")), "{said}");
    assert!(said.contains("gone.zip could not be had"), "{said}");
    let laid = std::fs::read(desk.work().join(place).join("my_notes.txt")).unwrap();
    assert_eq!(laid.len(), 300_000);
    let laid = std::fs::read(desk.work().join(place).join("a.png")).unwrap();
    assert_eq!(laid, b"picture");
    // The link goes on, and so does the session.
    desk.prompt("s", "t2", "#say next");
    assert_eq!(desk.answer("t2").await.texts(), ["next"]);
}

#[tokio::test]
async fn what_was_used_is_told_before_the_end() {
    let desk = Desk::start(json!({"cmd": fake_claude(), "max_context_tokens": 64_000})).await;
    desk.prompt("s", "t", "hello");
    let turn = desk.answer("t").await;
    let [
        ..,
        TurnEvent::Usage {
            context_tokens,
            context_window,
            cost_microusd,
            ..
        },
        _,
    ] = &turn.events[..]
    else {
        panic!("{turn:#?}")
    };
    assert_eq!((*context_window, *cost_microusd), (64_000, 1_000));
    assert!(*context_tokens > 0);
}

// pitfall: set_permission_mode is not validated
#[tokio::test]
async fn another_mode_or_model_is_another_process_of_the_same_session() {
    let desk = Desk::claude().await;
    desk.prompt("s", "t1", "#say one");
    desk.answer("t1").await;
    desk.prompt_with("s", "t2", "#say two", |prompt| prompt.mode = "plan".into());
    assert_eq!(desk.answer("t2").await.texts(), ["two"]);
    desk.prompt_with("s", "t3", "#say three", |prompt| {
        prompt.mode = "plan".into()
    });
    desk.answer("t3").await;
    assert_eq!(starts(&desk), 2, "the third has what it wants");
    let arguments = desk.control.ledger().filter_map(|event| match event {
        Event::Started(hello) => Some(hello.args.join(" ")),
        _ => None,
    });
    assert!(!arguments[0].contains("--permission-mode plan"));
    assert!(
        arguments[1].contains("--permission-mode plan"),
        "{arguments:?}"
    );
    assert!(arguments[1].contains("--resume"), "{arguments:?}");
}
