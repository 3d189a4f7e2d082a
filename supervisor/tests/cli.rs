//! The command line, as a person meets it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::path::Path;
use std::process::{Command, Output};

fn bulkhead(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bulkhead"))
        .args(args)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn check_prints_every_problem_at_once_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[[projects]]\nname = \"demo\"\n[projects.agent]\ntype = \"command\"\n\
                  [projects.agent.options]\nwork_dir = \"/nowhere/at/all\"\ncmd = \"cat\"\n\
                  [[projects.platforms]]\ntype = \"discord\"\n[projects.platforms.options]\n\
                  tokn = \"x\"\n";
    std::fs::write(directory.path().join("config.toml"), config).unwrap();
    let output = bulkhead(directory.path(), &["check", "--config", "config.toml"]);
    assert_eq!(output.status.code(), Some(78));
    let words = words(&output);
    for expected in [
        "config.toml:6:",
        "/nowhere/at/all",
        "config.toml:11:",
        "did you mean `token`?",
    ] {
        assert!(
            words.contains(expected),
            "{expected} is missing in:\n{words}"
        );
    }
}

#[test]
fn run_refuses_what_check_refuses_and_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.toml"), "projects = 3\n").unwrap();
    let state = directory.path().join("state");
    let output = bulkhead(
        directory.path(),
        &[
            "run",
            "--config",
            "config.toml",
            "--state-dir",
            "state",
            "--runtime-dir",
            "run",
        ],
    );
    assert_eq!(output.status.code(), Some(78), "{}", words(&output));
    assert!(!state.exists());
}

#[test]
fn commands_say_in_words_that_nothing_runs() {
    let directory = tempfile::tempdir().unwrap();
    for args in [
        &["status", "--runtime-dir", "run"][..],
        &["stop", "--runtime-dir", "run"],
        &["queue", "list", "--runtime-dir", "run"],
    ] {
        let output = bulkhead(directory.path(), args);
        assert_eq!(output.status.code(), Some(1));
        let words = words(&output);
        assert!(
            words.starts_with("bulkhead: ") && words.contains("run"),
            "{args:?}: {words}"
        );
    }
}

#[test]
fn the_hub_is_not_for_typing() {
    let directory = tempfile::tempdir().unwrap();
    let output = bulkhead(directory.path(), &["hub"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        words(&output).contains("bulkhead run"),
        "{}",
        words(&output)
    );
    let help = words(&bulkhead(directory.path(), &["--help"]));
    assert!(!help.contains("launch"), "{help}");
}
