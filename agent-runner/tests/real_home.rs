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

/// A project that would do everything it can as soon as it is trusted.
fn busy_project(work: &std::path::Path) {
    let put = |path: &str, text: &str| {
        let path = work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let touch = |name: &str| format!("touch {}", work.join(name).display());
    let hook = |name: &str| json!([{"hooks": [{"type": "command", "command": touch(name)}]}]);
    let settings = json!({
        "hooks": {"SessionStart": hook("ran-hook"), "UserPromptSubmit": hook("ran-hook")},
        "env": {"FROM_THE_PROJECT": "canary-of-the-project"},
        "apiKeyHelper": format!("{}; echo {CANARY}", touch("ran-helper")),
        "enableAllProjectMcpServers": true,
    });
    put(".claude/settings.json", &settings.to_string());
    let local = json!({"hooks": {"UserPromptSubmit": hook("ran-local-hook")}});
    put(".claude/settings.local.json", &local.to_string());
    let server = json!({"command": "/bin/sh", "args": ["-c", touch("ran-server")]});
    put(
        ".mcp.json",
        &json!({"mcpServers": {"server": server}}).to_string(),
    );
    put(
        ".claude/commands/order.md",
        "#say the command was carried out",
    );
    put(
        ".claude/skills/ability/SKILL.md",
        "---\nname: ability\ndescription: skill-of-the-project\n---\n#say skill",
    );
    put("CLAUDE.md", "word-of-the-project\n");
}

/// What of that was done.
fn done(work: &std::path::Path) -> Vec<String> {
    let mut done: Vec<String> = std::fs::read_dir(work)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("ran-"))
        .collect();
    done.sort();
    done
}

/// All that the model was told beside prompts.
fn system(model: &FakeModel) -> String {
    let systems = model.ledger().filter_map(|event| match event {
        Event::Request { asked, .. } => Some(asked.system.clone()),
        _ => None,
    });
    systems.join("\n")
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn of_a_project_that_is_not_trusted_nothing_runs_and_its_words_are_read() {
    for trusted in [false, true] {
        let model = FakeModel::start().await.unwrap();
        let desk = desk(json!({
            "trust_project": trusted, "api_key": CANARY, "base_url": model.url(),
        }))
        .await;
        busy_project(&desk.work());
        desk.prompt(
            "s",
            "one",
            "#tool Bash echo \"<$FROM_THE_PROJECT>\" >seen\n#say done",
        );
        assert_eq!(desk.answer("one").await.texts(), ["done"]);
        desk.prompt("s", "two", "/order");
        let two = desk.ended("two").await;
        let seen = std::fs::read_to_string(desk.work().join("seen")).unwrap();
        let system = system(&model);
        eprintln!(
            "trusted: {trusted}: {:?}, {:?}, {:?}",
            done(&desk.work()),
            two.texts(),
            seen
        );
        let carried_out = two.texts() == ["the command was carried out"];
        match trusted {
            false => {
                assert_eq!(done(&desk.work()), [""; 0]);
                assert_eq!((seen.trim(), carried_out), ("<>", false), "{two:?}");
                assert!(system.contains("word-of-the-project"));
            }
            true => {
                let all = ["ran-hook", "ran-local-hook", "ran-server"];
                for one in all {
                    assert!(done(&desk.work()).iter().any(|done| done == one), "{one}");
                }
                assert_eq!(
                    (seen.trim(), carried_out),
                    ("<canary-of-the-project>", true),
                    "{two:?}"
                );
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_projects_helper_for_keys_runs_only_if_it_is_trusted() {
    for trusted in [false, true] {
        let model = FakeModel::start().await.unwrap();
        model.expect_key(CANARY);
        let env = json!({"ANTHROPIC_BASE_URL": model.url()});
        let desk = desk(json!({"trust_project": trusted, "env": env})).await;
        busy_project(&desk.work());
        desk.prompt("s", "one", "hello");
        let one = desk.ended("one").await;
        let ran = done(&desk.work()).iter().any(|done| done == "ran-helper");
        assert_eq!(ran, trusted, "{one:?}");
        let logged_out = Fault::LoggedOut {
            words: "Not logged in · Please run /login".into(),
        };
        let outcome = match trusted {
            false => Outcome::Failed { fault: logged_out },
            true => Outcome::Done,
        };
        assert_eq!(one.outcome, Some(outcome));
    }
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_volume_is_the_home_and_a_persona_is_heard() {
    let model = FakeModel::start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let volume = dir.path().join("mine");
    std::fs::create_dir_all(volume.join(".claude")).unwrap();
    std::fs::write(volume.join("persona.md"), "persona-of-the-volume").unwrap();
    std::fs::write(volume.join(".claude/CLAUDE.md"), "memory-of-the-volume").unwrap();
    let mut desk = desk(json!({
        "volume": volume, "persona": "persona.md", "api_key": CANARY, "base_url": model.url(),
    }))
    .await;
    desk.prompt("s", "one", "hello");
    desk.answer("one").await;
    assert!(system(&model).contains("persona-of-the-volume"));
    let projects = std::fs::read_dir(volume.join(".claude/projects")).unwrap();
    assert_eq!(projects.count(), 1);
    assert!(
        !desk.dir.path().join("home/.claude").exists(),
        "its home stays as it was"
    );
    // What is in the volume may be read without a question.
    let read = format!(
        "#tool Bash cat {}/persona.md >seen\n#say done",
        volume.display()
    );
    desk.prompt("s", "two", &read);
    desk.answer("two").await;
    desk.kill_runner(2).await;
    desk.prompt("s", "three", "hello again");
    let turn = desk.answer("three").await;
    assert_eq!(turn.texts(), ["You said: hello again"]);
    assert_eq!(turn.continued, 0);
}
