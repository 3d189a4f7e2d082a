//! The real runner with real agents over ACP, which talk to a fake model on loopback.
//!
//! Ignored unless asked for, since they are not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE_ACP=/path/to/claude-agent-acp BULKHEAD_OPENCODE=/path/to/opencode
//! BULKHEAD_NODE=/directory/of/node cargo test -p agent-runner --test real_acp -- --ignored`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use fake_model::FakeModel;
use fake_model::script::Point;
use ipc_schema::{Decision, Fault, Outcome, QuestionKind, TurnEvent};
use serde_json::{Value, json};
use support::{Desk, SOON, Turn, nap, processes};

fn set(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see the head of this file"))
}

/// An agent, and how its shell is called.
#[derive(Clone, Copy, PartialEq)]
enum Agent {
    Claude,
    OpenCode,
}

impl Agent {
    async fn start(self) -> (Desk, FakeModel) {
        let model = FakeModel::start().await.unwrap();
        let path = format!("{}:/usr/bin:/bin", set("BULKHEAD_NODE"));
        let options = match self {
            Agent::Claude => json!({
                "cmd": set("BULKHEAD_CLAUDE_ACP"), "mode": "default",
                "env": {"PATH": path, "ANTHROPIC_BASE_URL": model.url(),
                    "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1"},
            }),
            Agent::OpenCode => {
                let config = json!({
                    "model": "anthropic/fake", "small_model": "anthropic/fake",
                    "autoupdate": false, "permission": {"bash": "ask"},
                    "provider": {"anthropic": {
                        "options": {"baseURL": format!("{}/v1", model.url()), "apiKey": "dummy"},
                        "models": {"fake": {"name": "Fake",
                            "limit": {"context": 200_000, "output": 8000}}},
                    }},
                });
                json!({
                    "cmd": set("BULKHEAD_OPENCODE"), "args": ["acp"],
                    "env": {"PATH": path, "OPENCODE_CONFIG_CONTENT": config.to_string(),
                        "OPENCODE_DISABLE_AUTOUPDATE": "1",
                        "OPENCODE_DISABLE_MODELS_FETCH": "1"},
                })
            }
        };
        let mut options: Value = options;
        options["kind"] = json!("acp");
        options["sandbox"] = json!("off");
        (Desk::start(options).await, model)
    }

    /// A directive that calls the shell.
    fn shell(self, command: &str) -> String {
        let input = json!({"command": command, "description": "as the test wants"});
        let name = match self {
            Agent::Claude => "Bash",
            Agent::OpenCode => "bash",
        };
        format!("#tool {name} {input}")
    }
}

async fn asked(desk: &Desk, turn: &str) -> Turn {
    desk.turn(turn, |turn| !turn.questions.is_empty()).await
}

async fn a_turn_and_its_permissions(agent: Agent) {
    let (mut desk, _model) = agent.start().await;
    desk.prompt("s", "hello", "hello");
    let turn = desk.answer("hello").await;
    assert_eq!(turn.texts(), ["You said: hello"]);
    let used = |event: &TurnEvent| matches!(event, TurnEvent::Usage { context_tokens, .. } if *context_tokens > 0);
    assert!(turn.events.iter().any(used), "{turn:#?}");

    let allowed = format!("#say before\n{}\n#say done", agent.shell("touch allowed"));
    desk.prompt("s", "allowed", &allowed);
    let turn = asked(&desk, "allowed").await;
    let QuestionKind::Permission { detail, .. } = &turn.questions[0].about else {
        panic!("{turn:?}")
    };
    assert!(detail.starts_with("touch allowed"), "{detail}");
    assert!(!desk.work().join("allowed").exists());
    desk.decide(&turn.questions[0], Decision::Allow);
    assert_eq!(desk.answer("allowed").await.texts(), ["before", "done"]);
    assert!(desk.work().join("allowed").exists());

    desk.prompt(
        "s",
        "denied",
        &format!("{}\n#say done", agent.shell("touch denied")),
    );
    let turn = asked(&desk, "denied").await;
    let why = String::new();
    desk.decide(&turn.questions[0], Decision::Deny { why });
    let turn = desk.answer("denied").await;
    match agent {
        Agent::Claude => assert_eq!(turn.texts(), ["done"]),
        // The turn ends there.
        Agent::OpenCode => assert!(turn.texts()[0].contains("because that was denied")),
    }
    assert!(!desk.work().join("denied").exists());

    desk.prompt("s", "error", "#error 400");
    let turn = desk.ended("error").await;
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = &turn.outcome
    else {
        panic!("{turn:#?}")
    };
    assert!(words.contains("refused on request"), "{words}");
    assert_eq!(turn.texts(), [""; 0], "it is told once");

    desk.kill_runner(2).await;
    desk.compared(2).await;
    desk.prompt("s", "again", "hello again");
    let turn = desk.answer("again").await;
    assert_eq!(
        turn.texts(),
        ["You said: hello again"],
        "and nothing of before"
    );
}

async fn a_stop(agent: Agent) {
    let (desk, model) = agent.start().await;
    desk.prompt("s", "text", "#say never\n#hold first-delta");
    model.held(Point::FirstDelta, SOON).await.unwrap();
    desk.interrupt("text");
    assert_eq!(desk.ended("text").await.outcome, Some(Outcome::Stopped));
    model.release_all();

    let [a, b] = match agent {
        Agent::Claude => [7501, 7502],
        Agent::OpenCode => [7503, 7504],
    }
    .map(nap);
    let script = agent.shell(&format!("trap '' TERM; setsid {a} & touch up; {b}"));
    desk.prompt("s", "tool", &format!("{script}\n#say done"));
    let turn = asked(&desk, "tool").await;
    desk.decide(&turn.questions[0], Decision::Allow);
    while !desk.work().join("up").exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("tool");
    assert_eq!(desk.ended("tool").await.outcome, Some(Outcome::Stopped));
    for nap in [a, b] {
        assert_eq!(processes(&nap), Vec::<i32>::new(), "{nap}");
    }
    desk.prompt("s", "question", &agent.shell("touch never"));
    asked(&desk, "question").await;
    desk.interrupt("question");
    assert_eq!(desk.ended("question").await.outcome, Some(Outcome::Stopped));
    desk.prompt("s", "next", "hello");
    assert_eq!(desk.answer("next").await.texts(), ["You said: hello"]);
    assert!(!desk.work().join("never").exists());
}

// pitfall: ACP: initialize, session/new, session/prompt, session/update, session/request_permission
#[tokio::test]
#[ignore = "needs claude-agent-acp in BULKHEAD_CLAUDE_ACP"]
async fn claude_over_acp_answers_asks_and_goes_on() {
    a_turn_and_its_permissions(Agent::Claude).await;
}

#[tokio::test]
#[ignore = "needs opencode in BULKHEAD_OPENCODE"]
async fn opencode_answers_asks_and_goes_on() {
    a_turn_and_its_permissions(Agent::OpenCode).await;
}

// pitfall: ACP: session/cancel
#[tokio::test]
#[ignore = "needs claude-agent-acp in BULKHEAD_CLAUDE_ACP"]
async fn claude_over_acp_is_stopped_with_what_it_started() {
    a_stop(Agent::Claude).await;
}

#[tokio::test]
#[ignore = "needs opencode in BULKHEAD_OPENCODE"]
async fn opencode_is_stopped_with_what_it_started() {
    a_stop(Agent::OpenCode).await;
}
