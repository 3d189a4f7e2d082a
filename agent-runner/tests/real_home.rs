//! The real Claude Code and what it is given: keys, a project's own files, a home of its own.
//!
//! Ignored unless asked for, since the command line is not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE=/path/to/claude cargo test -p agent-runner --test real_home -- --ignored`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use fake_model::{Event, FakeModel, Key};
use ipc_schema::{Fault, Outcome};
use serde_json::{Value, json};
use support::Desk;

const CANARY: &str = "sk-ant-canary-0123456789";

fn cli() -> String {
    std::env::var("BULKHEAD_CLAUDE")
        .unwrap_or_else(|_| panic!("BULKHEAD_CLAUDE=/path/to/claude names the command line"))
}

/// A desk with the real command line, which needs no question for its tools.
async fn desk(more: Value) -> Desk {
    let mut options = json!({
        "cmd": cli(), "allowed_tools": ["Bash"], "env": {"IS_SANDBOX": "1"},
    });
    for (name, value) in more.as_object().unwrap() {
        match (&mut options[name], value) {
            (Value::Object(into), Value::Object(more)) => into.extend(more.clone()),
            (into, value) => *into = value.clone(),
        }
    }
    Desk::start(options).await
}

/// Requests of turns, by what was seen of their key.
fn requests(model: &FakeModel, wanted: Key) -> usize {
    let is = |event: &Event| matches!(event, Event::Request { key, .. } if *key == wanted);
    model.ledger().count(is)
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_turn_by_a_key_shows_the_agent_a_token_of_its_session_only() {
    let model = FakeModel::start().await.unwrap();
    model.expect_key(CANARY);
    let desk = desk(json!({"api_key": CANARY, "base_url": model.url()})).await;
    let look = "{ env; tr '\\0' '\\n' </proc/$PPID/environ; cat /proc/[0-9]*/cmdline; } >seen 2>/dev/null; true";
    desk.prompt("s", "one", &format!("#tool Bash {look}\n#say done"));
    let turn = desk.answer("one").await;
    assert_eq!(turn.texts(), ["done"]);
    assert!(requests(&model, Key::Good) >= 2);
    assert_eq!(
        requests(&model, Key::Wrong) + requests(&model, Key::Missing),
        0
    );
    let seen = std::fs::read(desk.work().join("seen")).unwrap();
    let seen = String::from_utf8_lossy(&seen);
    assert!(
        seen.contains("ANTHROPIC_API_KEY=bulkhead-session-"),
        "{seen}"
    );
    for text in [&*seen, &desk.log(), &format!("{turn:?}")] {
        assert!(!text.contains("canary"), "{text}");
    }

    model.expect_key("another");
    desk.prompt("s", "two", "hello");
    let turn = desk.ended("two").await;
    let Some(Outcome::Failed {
        fault: Fault::LoggedOut { words },
    }) = &turn.outcome
    else {
        panic!("{turn:?}")
    };
    assert!(!words.contains("canary"), "{words}");
    eprintln!("the agent says of a key that is refused: {words}");
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_turn_by_a_token_of_setup_token() {
    let token = "sk-ant-oat01-canary-0123456789";
    let model = FakeModel::start().await.unwrap();
    model.expect_key(token);
    let env = json!({"ANTHROPIC_BASE_URL": model.url()});
    let desk = desk(json!({"oauth_token": token, "env": env})).await;
    desk.prompt("s", "one", "hello");
    assert_eq!(desk.answer("one").await.texts(), ["You said: hello"]);
    assert!(requests(&model, Key::Good) >= 1);
    model.expect_key("another");
    desk.prompt("s", "two", "hello");
    let turn = desk.ended("two").await;
    let Some(Outcome::Failed {
        fault: Fault::LoggedOut { words },
    }) = &turn.outcome
    else {
        panic!("{turn:?}")
    };
    eprintln!("the agent says of a token that is refused: {words}");
}
