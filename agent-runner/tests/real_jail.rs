//! The real Claude Code in its jail: what it is to do with each preset, and how a refusal is told.
//!
//! Ignored unless asked for, since the command line is not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE=/path/to/claude cargo test -p agent-runner --test real_jail -- --ignored`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;

use fake_model::FakeModel;
use serde_json::{Value, json};
use support::Desk;

/// A desk with the real command line, which needs no question for its tools; and its model.
async fn desk(sandbox: Value, env: Value) -> (Desk, FakeModel) {
    let cli = std::env::var("BULKHEAD_CLAUDE")
        .unwrap_or_else(|_| panic!("BULKHEAD_CLAUDE=/path/to/claude names the command line"));
    let model = FakeModel::start().await.unwrap();
    let mut all = json!({
        "ANTHROPIC_BASE_URL": model.url(), "ANTHROPIC_API_KEY": "dummy", "IS_SANDBOX": "1",
    });
    for (name, value) in env.as_object().unwrap() {
        all[name] = value.clone();
    }
    let desk = Desk::start(json!({
        "cmd": cli, "allowed_tools": ["Bash"], "env": all, "sandbox": sandbox,
    }))
    .await;
    (desk, model)
}

/// Runs a script by the agent's Bash, and what it wrote.
async fn bash(desk: &Desk, turn: &str, script: &str) -> String {
    let file = desk.work().join(format!("{turn}.sh"));
    std::fs::write(file, script).unwrap();
    let line = format!("sh {turn}.sh >{turn}.out 2>&1; true");
    desk.prompt("s", turn, &format!("#tool Bash {line}\n#say done"));
    let ended = desk.answer(turn).await;
    assert_eq!(ended.texts(), ["done"], "{ended:?}");
    std::fs::read_to_string(desk.work().join(format!("{turn}.out"))).unwrap()
}

fn own_home(below: &str) -> String {
    let home = std::env::var("HOME").unwrap();
    Path::new(&home).join(below).to_str().unwrap().to_owned()
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_commit_a_build_and_an_install_pass_with_their_presets() {
    let cargo = std::env::var("CARGO_HOME").unwrap_or_else(|_| own_home(".cargo"));
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or_else(|_| own_home(".rustup"));
    let path = format!("{cargo}/bin:{}", std::env::var("PATH").unwrap());
    let env = json!({"CARGO_HOME": cargo, "RUSTUP_HOME": rustup, "PATH": path});
    let presets = json!({"presets": ["git", "rust", "node", "python"]});
    let (desk, _model) = desk(presets, env).await;

    let said = bash(
        &desk,
        "git",
        "set -e; git init -q repo; cd repo; git config user.name n; git config user.email e@x\n\
         echo a > a; git add a; git commit -qm first; git log --oneline | wc -l; echo committed",
    )
    .await;
    assert!(said.ends_with("1\ncommitted\n"), "{said}");

    let said = bash(
        &desk,
        "cargo",
        "set -e; cargo --version; cargo new --offline -q --vcs none hello; cd hello\n\
         cargo build -q --offline; ./target/debug/hello",
    )
    .await;
    assert!(said.ends_with("Hello, world!\n"), "{said}");

    let said = bash(
        &desk,
        "npm",
        "set -e; mkdir -p js/dep; cd js\n\
         echo '{\"name\":\"dep\",\"version\":\"1.0.0\",\"main\":\"i.js\"}' > dep/package.json\n\
         echo 'module.exports = 42' > dep/i.js; (cd dep; npm pack --silent)\n\
         echo '{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":{\"dep\":\"file:dep/dep-1.0.0.tgz\"}}' > package.json\n\
         npm install --offline --no-audit --no-fund --silent; rm -rf node_modules\n\
         npm ci --offline --no-audit --no-fund --silent; node -p 'require(\"dep\")'",
    )
    .await;
    assert!(said.ends_with("42\n"), "{said}");

    let said = bash(
        &desk,
        "python",
        "python3 -c 'import ssl, subprocess, multiprocessing as m; m.Lock(); print(1 + 1)'",
    )
    .await;
    assert!(said.ends_with("2\n"), "{said}");
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_refusal_is_told_with_the_key_that_would_allow_it() {
    let (desk, _model) = desk(json!({}), json!({})).await;
    // There for everybody to see, but none of the agent's business.
    let file = Path::new("/etc/fstab");
    assert!(file.exists() && !file.starts_with("/tmp"));
    desk.prompt(
        "s",
        "t",
        &format!("#tool Bash cat {}\n#say done", file.display()),
    );
    let wanted = format!("read = [\"{}\"]", file.display());
    let turn = desk.answer("t").await;
    assert_eq!(turn.texts(), ["done"]);
    let log = desk.log();
    assert!(log.contains(&wanted), "{log}");
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn without_network_the_model_answers_and_nobody_else() {
    let (desk, model) = desk(json!({"network": "none"}), json!({})).await;
    let said = bash(
        &desk,
        "net",
        &format!(
            "curl -s -m 5 -o /dev/null -w '%{{http_code}}\\n' {}/ || echo no model\n\
             curl -s -m 5 http://127.0.0.1:1/ || echo nobody\n\
             ls /sys/class/net 2>/dev/null; cat /proc/net/dev | grep -c : ",
            model.url()
        ),
    )
    .await;
    assert!(
        !said.contains("no model") && said.contains("nobody"),
        "{said}"
    );
    let (desk, _model) = self::desk(json!({"network": "ports"}), json!({})).await;
    desk.prompt("s", "one", "hello");
    assert_eq!(desk.answer("one").await.texts(), ["You said: hello"]);
}

/// An agent may write its user's settings, and Claude Code runs the hooks in them at its next start.
#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn a_hook_that_an_agent_leaves_for_later_runs_in_the_sandbox() {
    let (desk, _model) = desk(json!({}), json!({})).await;
    let secret = desk.work().with_file_name("secret");
    std::fs::write(&secret, "canary").unwrap();
    let found = desk.work().join("found");
    let hook = format!(
        "cat {} >{1} 2>&1; echo ran >>{1}",
        secret.display(),
        found.display()
    );
    let settings = json!({"hooks": {"UserPromptSubmit": [
        {"hooks": [{"type": "command", "command": hook}]}
    ]}});
    std::fs::write(desk.work().join("settings"), settings.to_string()).unwrap();
    bash(
        &desk,
        "plant",
        "mkdir -p ~/.claude; cp settings ~/.claude/settings.json",
    )
    .await;
    assert!(!found.exists());
    desk.prompt("another", "later", "hello");
    assert_eq!(desk.answer("later").await.texts(), ["You said: hello"]);
    let found = std::fs::read_to_string(found).unwrap();
    assert!(
        found.ends_with("ran\n") && !found.contains("canary"),
        "{found}"
    );
}
