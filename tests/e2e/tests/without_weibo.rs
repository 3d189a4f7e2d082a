//! A Bulkhead that was built without Weibo: the other programs in a directory, `weibo-worker` nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use harness::{Agent, Setup, program};

/// Installs everything but the one in a prefix of its own.
fn install(prefix: &Path) {
    let bin = prefix.join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in ["bulkhead", "agent-runner", "discord-worker"] {
        std::fs::hard_link(program(name), bin.join(name)).unwrap();
    }
}

/// What `bulkhead check` of that installation says, and ends with.
fn check(prefix: &Path, setup: &Setup) -> (Option<i32>, String) {
    let config = prefix.join("config.toml");
    std::fs::write(&config, setup.config(&prefix.join("bin"))).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = Command::new(prefix.join("bin/bulkhead"))
        .args(["check".as_ref(), "--config".as_ref(), config.as_os_str()])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", prefix)
        .output()
        .unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), words)
}

#[test]
fn check_says_that_weibo_needs_its_worker_and_the_rest_is_good() {
    // On the same disk as the programs, so that they can be linked.
    let prefix = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    install(prefix.path());
    let mut setup = Setup::new(Agent::Command {
        cmd: "/bin/cat".into(),
        args: Vec::new(),
    });
    setup.discord = Some(("https://discord.example/api/v10".into(), "a.b.c".into()));
    let (code, words) = check(prefix.path(), &setup);
    assert_eq!(code, Some(0), "{words}");

    let https = |path: &str| format!("https://weibo.example/{path}");
    let wss = "wss://weibo.example/ws".to_owned();
    setup.weibo = Some((https("token"), wss, "1".into(), "canary".into()));
    let (code, words) = check(prefix.path(), &setup);
    assert_eq!(code, Some(78), "{words}");
    let at = |below: &str| prefix.path().join(below).display().to_string();
    for expected in [
        "projects[0].platforms[1].type",
        "needs the program `weibo-worker`",
        &at("bin"),
        &at("libexec/bulkhead"),
        "PATH",
        "cargo install --path workers/weibo",
        "1 to mend",
    ] {
        assert!(
            words.contains(expected),
            "{expected} is missing in:\n{words}"
        );
    }
    assert!(!words.contains("canary"));

    // It is all that was missing.
    std::fs::hard_link(
        program("weibo-worker"),
        prefix.path().join("bin/weibo-worker"),
    )
    .unwrap();
    let (code, words) = check(prefix.path(), &setup);
    assert_eq!(code, Some(0), "{words}");
}
