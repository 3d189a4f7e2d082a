//! The real runner with the real Claude Code, which talks to a fake model on loopback.
//!
//! `BULKHEAD_CLAUDE` names the command line; without it these tests say that they are ignored.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use fake_model::FakeModel;
use fake_model::script::Point;
use ipc_schema::{Decision, Outcome, QuestionKind, TurnEvent};
use serde_json::json;
use support::{Desk, SOON, kill, processes};

async fn real() -> Option<(Desk, FakeModel)> {
    let Some(cli) = std::env::var_os("BULKHEAD_CLAUDE") else {
        eprintln!("ignored: no real CLI; BULKHEAD_CLAUDE=/path/to/claude runs this test");
        return None;
    };
    let model = FakeModel::start().await.unwrap();
    let desk = Desk::start(json!({
        "cmd": cli.to_str().unwrap(),
        "env": {"ANTHROPIC_BASE_URL": model.url(), "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1"},
    }))
    .await;
    Some((desk, model))
}

/// The agent's process: what has the session's id in its command line.
fn agent(session: &str) -> i32 {
    let id = support::agent_session(session).to_string();
    let found = processes(&id);
    *found.iter().max().unwrap_or_else(|| panic!("no agent of {session}"))
}

#[tokio::test]
async fn turns_are_answered_and_the_session_is_resumed() {
    let Some((mut desk, _model)) = real().await else { return };
    desk.prompt("s", "one", "#say first\n#say second");
    assert_eq!(desk.answer("one").await.texts(), ["first", "second"]);
    desk.prompt("s", "two", "hello");
    assert_eq!(desk.answer("two").await.texts(), ["You said: hello"]);
    desk.kill_runner(2).await;
    desk.prompt("s", "three", "hello again");
    let turn = desk.answer("three").await;
    assert_eq!(turn.texts(), ["You said: hello again"]);
    assert_eq!(turn.continued, 0);
}

#[tokio::test]
async fn a_question_is_asked_and_answered() {
    let Some((desk, _model)) = real().await else { return };
    desk.prompt("s", "t", "#tool Bash touch made\n#say done");
    let turn = desk.turn("t", |turn| !turn.questions.is_empty()).await;
    let QuestionKind::Permission { tool, detail, always } = &turn.questions[0].about else {
        panic!("{turn:?}")
    };
    assert_eq!(tool, "Bash");
    assert!(detail.starts_with("touch made") && always.is_some(), "{turn:?}");
    assert!(!desk.work().join("made").exists());
    desk.decide(&turn.questions[0], Decision::Allow);
    let turn = desk.answer("t").await;
    assert!(turn.events.iter().any(|e| matches!(e, TurnEvent::Decided { applied: true, .. })));
    assert_eq!(turn.texts(), ["done"]);
    assert!(desk.work().join("made").exists());
}

#[tokio::test]
async fn an_interrupt_ends_a_turn_and_what_it_started() {
    let Some((desk, model)) = real().await else { return };
    desk.prompt("s", "text", "#say never\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    desk.interrupt("text");
    assert_eq!(desk.ended("text").await.outcome, Some(Outcome::Stopped));
    model.release_all();

    let script = "trap '' TERM; setsid sleep 7201 & touch up; sleep 7202";
    desk.prompt("s", "tool", &format!("#tool Bash {script}\n#say done"));
    let turn = desk.turn("tool", |turn| !turn.questions.is_empty()).await;
    desk.decide(&turn.questions[0], Decision::Allow);
    while !desk.work().join("up").exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("tool");
    assert_eq!(desk.ended("tool").await.outcome, Some(Outcome::Stopped));
    for text in ["sleep 7201", "sleep 7202"] {
        assert_eq!(processes(text), Vec::<i32>::new(), "{text}");
    }
    desk.prompt("s", "next", "hello");
    assert_eq!(desk.answer("next").await.texts(), ["You said: hello"]);
}

#[tokio::test]
async fn an_agent_and_a_runner_that_are_killed_in_mid_turn_are_continued() {
    let Some((mut desk, model)) = real().await else { return };
    desk.prompt("s", "agent", "#say The end.\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    kill(agent("s"));
    model.release_all();
    let turn = desk.answer("agent").await;
    assert_eq!((turn.texts(), turn.continued), (vec!["The end."], 1));

    desk.prompt("s", "runner", "#say Another end.\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    let old = agent("s");
    desk.kill_runner(2).await;
    model.release_all();
    let turn = desk.answer("runner").await;
    assert_eq!((turn.texts(), turn.continued, turn.attempt), (vec!["Another end."], 1, 2));
    assert_ne!(agent("s"), old);
}
