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
        self.start_with(json!({"sandbox": "off"})).await
    }

    async fn start_with(self, more: Value) -> (Desk, FakeModel) {
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
        if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
            options.extend(more);
        }
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

async fn said(desk: &Desk, turn: &str, prompt: &str) -> String {
    desk.prompt("s", turn, prompt);
    // Of what it asks here everything is allowed.
    let mut allowed = 0;
    loop {
        let news = |turn: &Turn| turn.outcome.is_some() || turn.questions.len() > allowed;
        let turn = desk.turn(turn, news).await;
        if turn.outcome.is_some() {
            break;
        }
        for question in turn.questions.iter().skip(allowed) {
            desk.decide(question, Decision::Allow);
        }
        allowed = turn.questions.len();
    }
    desk.answer(turn).await.texts().join("\n")
}

async fn calls_of_the_operators_tools(agent: Agent) {
    const CANARY: &str = "canary-of-a-tool-51d7";
    let script = "cat; test -n \"$ORDERS_KEY\" && echo $ORDERS_KEY is there";
    let order = json!({
        "name": "order", "description": "Looks an order up.", "command": ["sh", "-c", script],
        "input": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
        "secrets": {"ORDERS_KEY": CANARY},
    });
    // Closed in as usual, but for where its program lies.
    let node = std::path::PathBuf::from(set("BULKHEAD_NODE"));
    let read = json!([node.parent().unwrap()]);
    let more = json!({"sandbox": {"read": read}, "home_dirs": [".claude", ".config", ".local", ".cache"],
        "tools": [order]});
    let (desk, _model) = agent.start_with(more).await;
    let call = |name: &str, input: &str| match agent {
        Agent::Claude => format!("#tool mcp__bulkhead__{name} {input}"),
        Agent::OpenCode => format!("#tool bulkhead_{name} {input}"),
    };
    let text = said(&desk, "order", &call("order", "{\"id\": 7}")).await;
    assert!(
        text.contains("{\"id\":7}") && text.contains("[secret] is there"),
        "{text}"
    );
    let text = said(&desk, "junk", &call("order", "{\"id\": \"x\"}")).await;
    assert!(!text.contains("is there"), "{text}");
    let text = said(&desk, "time", &call("current_time", "{}")).await;
    assert!(text.contains("UTC"), "{text}");

    std::fs::write(desk.work().join("plot.png"), "a plot").unwrap();
    let send = call("send_file", "{\"path\": \"plot.png\"}");
    let text = said(&desk, "file", &format!("#say Here:\n{send}\n#say done")).await;
    assert_eq!(text, "Here:\ndone");
    let turn = desk.answer("file").await;
    let place = |wanted: fn(&TurnEvent) -> bool| turn.events.iter().position(wanted).unwrap();
    let here = place(|event| matches!(event, TurnEvent::Text { text, .. } if text == "Here:"));
    let file = place(|event| matches!(event, TurnEvent::File { .. }));
    assert!(here < file, "{turn:#?}");

    // What the agent can see of itself and of what it has started holds no secret.
    let look = agent.shell("env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'");
    let text = said(&desk, "look", &look).await;
    assert!(text.contains("PATH=") && !text.contains(CANARY), "{text}");
    assert!(!desk.log().contains(CANARY));
    // The token stands in no argument, inside or outside.
    let passes = std::fs::read_dir(desk.dir.path().join("state/tools")).unwrap();
    for pass in passes.flatten() {
        let pass = std::fs::read_to_string(pass.path()).unwrap();
        let token = pass.trim().split_once(' ').unwrap().1;
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        for line in all.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok()) {
            assert!(!String::from_utf8_lossy(&line).contains(token));
        }
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

/// What the tool AskUserQuestion asks is a form over ACP.
#[tokio::test]
#[ignore = "needs claude-agent-acp in BULKHEAD_CLAUDE_ACP"]
async fn claude_over_acp_lets_a_person_choose() {
    let (desk, _model) = Agent::Claude.start().await;
    for (name, answer) in [("choice", "Postgres"), ("own", "a file will do")] {
        desk.prompt("s", name, "#ask Which store? | Redis | Postgres");
        let turn = asked(&desk, name).await;
        let QuestionKind::Choice { text, options, .. } = &turn.questions[0].about else {
            panic!("{turn:?}")
        };
        assert_eq!(text, "Which store?");
        let labels: Vec<&str> = options.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(labels, ["Redis", "Postgres"]);
        let answers = [(text.clone(), answer.to_owned())].into();
        desk.decide(&turn.questions[0], Decision::Answers { answers });
        let turn = desk.answer(name).await;
        assert!(turn.texts().join("\n").contains(answer), "{turn:#?}");
    }
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

#[tokio::test]
#[ignore = "needs claude-agent-acp in BULKHEAD_CLAUDE_ACP"]
async fn claude_over_acp_calls_the_operators_tools() {
    calls_of_the_operators_tools(Agent::Claude).await;
}

#[tokio::test]
#[ignore = "needs opencode in BULKHEAD_OPENCODE"]
async fn opencode_calls_the_operators_tools() {
    calls_of_the_operators_tools(Agent::OpenCode).await;
}
