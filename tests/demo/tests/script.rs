//! The demo's script, played by the built program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::process::{Command, Stdio};

/// Exit code, and what it printed.
fn play(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), printed)
}

/// The numbers of the last line of the count.
fn tally(printed: &str) -> [u64; 5] {
    let line = printed
        .lines()
        .find(|line| line.starts_with("sent "))
        .unwrap_or_else(|| panic!("no count in:\n{printed}"));
    let numbers: Vec<u64> = line
        .split(" · ")
        .map(|part| part.split_once(' ').unwrap().1.parse().unwrap())
        .collect();
    numbers.try_into().unwrap()
}

#[test]
fn every_process_is_killed_and_every_message_answered_once() {
    let (code, printed) = play(&["--", "--script"]);
    assert_eq!(code, Some(0), "{printed}");
    let [sent, answered, lost, doubled, restarts] = tally(&printed);
    assert!(sent > 0 && sent == answered, "{printed}");
    assert_eq!((lost, doubled), (0, 0), "{printed}");
    let kills = printed
        .lines()
        .filter(|line| line.starts_with("kill -9"))
        .count();
    assert_eq!(restarts, kills as u64, "{printed}");
    for victim in ["hub", "discord-main", "weibo-main", "runner-demo", "agent"] {
        let killed = |line: &str| line.starts_with("kill -9") && line.contains(victim);
        assert!(printed.lines().any(killed), "{victim}: {printed}");
    }
    assert!(
        printed.contains("check --config"),
        "the next step: {printed}"
    );
}

/// A count that cannot say "twice" would prove nothing.
#[test]
fn a_message_that_stands_twice_is_counted_and_fails() {
    let (code, printed) = play(&["--script", "--break-dedup"]);
    assert_eq!(code, Some(1), "{printed}");
    let [.., doubled, _] = tally(&printed);
    assert!(doubled >= 1, "{printed}");
}
