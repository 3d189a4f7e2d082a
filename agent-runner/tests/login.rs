//! What an agent sees of the keys of its model, with the fake Claude Code: a token where there is
//! one, and of a key nothing but the way to the model.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fake_claude::Event;
use fake_model::{FakeModel, Key};
use serde_json::json;
use support::{Desk, SOON, fake_claude, kill};

/// A key unlike any other: what is looked at may be the arguments of every process of the machine,
/// those of other tests included.
fn canary() -> String {
    format!("sk-ant-canary-{}", uuid::Uuid::new_v4().simple())
}

/// Everything that an agent can see of itself, of its descriptors and of anybody's arguments.
const LOOK: &str = "{ env; tr '\\0' '\\n' </proc/$PPID/environ; ls -l /proc/self/fd /proc/$PPID/fd; \
     cat /proc/[0-9]*/cmdline | tr '\\0' ' '; } >seen 2>/dev/null; true";

fn read(desk: &Desk, name: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(desk.work().join(name)).unwrap()).into_owned()
}

/// The value of a variable in what was seen.
fn variable(seen: &str, name: &str) -> Option<String> {
    let start = format!("{name}=");
    let line = seen.lines().find(|line| line.starts_with(&start))?;
    Some(line[start.len()..].to_owned())
}

// pitfall: Bash sees the whole environment, and /proc/$PPID/environ leaks the key again: a proxy has it
#[tokio::test]
async fn a_key_stays_with_the_runner_and_the_agent_reaches_its_model_all_the_same() {
    let model = FakeModel::start().await.unwrap();
    let canary = canary();
    model.expect_key(&canary);
    let desk = Desk::start(json!({
        "cmd": fake_claude(), "allowed_tools": ["Bash"], "api_key": canary, "base_url": model.url(),
        "env": {"ANTHROPIC_AUTH_TOKEN": "other"},
    }))
    .await;
    desk.prompt("s", "one", &format!("#tool Bash {LOOK}\n#say done"));
    let one = desk.answer("one").await;
    let seen = read(&desk, "seen");
    let token = variable(&seen, "ANTHROPIC_API_KEY").unwrap();
    let url = variable(&seen, "ANTHROPIC_BASE_URL").unwrap();
    assert!(token.starts_with("bulkhead-session-"), "{seen}");
    assert!(url.starts_with("http://127.0.0.1:"), "{seen}");
    assert_eq!(variable(&seen, "ANTHROPIC_AUTH_TOKEN"), None);
    for text in [&seen, &desk.log(), &format!("{one:?}")] {
        assert!(!text.contains(&canary), "{text}");
        assert!(!text.contains(&model.url()), "{text}");
    }

    // As the agent would: with what it has.
    let body = json!({
        "model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}],
    })
    .to_string();
    let script = format!(
        "exec 9<>/dev/tcp/127.0.0.1/${{ANTHROPIC_BASE_URL##*:}}; printf 'POST /v1/messages \
         HTTP/1.1\\r\\nhost: x\\r\\nx-api-key: %s\\r\\nanthropic-version: 2023-06-01\\r\\nconnection: \
         close\\r\\ncontent-length: {}\\r\\n\\r\\n{body}' $ANTHROPIC_API_KEY >&9; cat <&9 >answer",
        body.len()
    );
    desk.prompt("s", "two", &format!("#tool Bash {script}\n#say done"));
    desk.answer("two").await;
    let answer = read(&desk, "answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains(&canary), "{answer}");
    let right = |event: &fake_model::Event| {
        matches!(event, fake_model::Event::Request { key: Key::Good, .. })
    };
    assert_eq!(model.ledger().count(right), 1);

    // The token ends with its agent, and the next one has another.
    let pid = desk.control.ledger().filter_map(|event| match event {
        Event::Started(hello) => Some(hello.pid),
        _ => None,
    });
    kill(desk.outside(pid[0], "s"));
    desk.prompt("s", "three", &format!("#tool Bash {LOOK}\n#say done"));
    desk.answer("three").await;
    assert_ne!(
        variable(&read(&desk, "seen"), "ANTHROPIC_API_KEY").unwrap(),
        token
    );
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(format!("{url}/v1/messages"))
        .header("x-api-key", &token);
    let answer = request.body(body).send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_token_is_the_agents_own() {
    let canary = canary();
    let desk = Desk::start(json!({
        "cmd": fake_claude(), "allowed_tools": ["Bash"], "oauth_token": canary,
    }))
    .await;
    desk.prompt("s", "one", &format!("#tool Bash {LOOK}\n#say done"));
    desk.answer("one").await;
    let seen = read(&desk, "seen");
    assert_eq!(variable(&seen, "CLAUDE_CODE_OAUTH_TOKEN").unwrap(), canary);
    assert_eq!(variable(&seen, "ANTHROPIC_BASE_URL"), None);
    // In its environment, and there alone.
    assert!(!desk.log().contains(&canary));
    let arguments = seen.lines().last().unwrap();
    assert!(!arguments.contains(&canary), "{arguments}");
}

/// A user without rights, where the tests run as root: root may look into anything.
const NOBODY: u32 = 65534;

/// A command of an ordinary user.
fn ordinary(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[test]
fn nobody_looks_into_a_runner_not_even_its_own_user() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    open(dir.path());
    // The program may lie where an ordinary user cannot go.
    let program = dir.path().join("agent-runner");
    std::fs::copy(env!("CARGO_BIN_EXE_agent-runner"), &program).unwrap();
    open(&program);
    let options = json!({"work_dir": dir.path(), "state_dir": dir.path().join("state")});
    let config = dir.path().join("config.json");
    let told = json!({
        "instance": "p", "generation": 1, "link_key": "00".repeat(32), "options": options,
        "log_level": "info",
    });
    std::fs::write(&config, told.to_string()).unwrap();
    let mut runner = ordinary(&program)
        .args(["p", "--link", "unix:/nowhere/hub", "--config-file"])
        .arg(&config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    let mut last = String::new();
    let closed = loop {
        let looked = ordinary("/bin/cat")
            .arg(format!("/proc/{}/environ", runner.id()))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&looked.stderr).into_owned();
        match runner.try_wait().unwrap() {
            Some(status) => break Err(format!("it ended: {status}")),
            None if words.contains("Permission denied") => break Ok(()),
            // It has not come so far yet.
            None if begun.elapsed() < SOON => last = words,
            None => break Err(format!("it can be looked into: {last}")),
        }
        std::thread::yield_now();
    };
    runner.kill().unwrap();
    runner.wait().unwrap();
    closed.unwrap();
}
