//! The walls between the parts are lines in Cargo.toml; this reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// By crate of the workspace: what it depends on, dev-dependencies left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let normal = dependencies
                .iter()
                .filter(|d| d["kind"] != "dev")
                .map(name)
                .collect();
            (name(package), normal)
        })
        .collect()
}

/// Everything below a crate, through crates of the workspace.
fn below(all: &BTreeMap<String, BTreeSet<String>>, of: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<String> = all[of].iter().cloned().collect();
    while let Some(next) = todo.pop() {
        if let Some(more) = all.get(&next)
            && !seen.contains(&next)
        {
            todo.extend(more.iter().cloned());
        }
        seen.insert(next);
    }
    seen
}

fn assert_without(of: &str, forbidden: &[&str]) {
    let below = below(&dependencies(), of);
    let found: Vec<_> = forbidden
        .iter()
        .filter(|name| below.contains(**name))
        .collect();
    assert!(found.is_empty(), "{of} depends on {found:?}");
}

const NETWORK: [&str; 6] = [
    "reqwest",
    "tokio-tungstenite",
    "rustls",
    "tokio-rustls",
    "hyper",
    "axum",
];
const SUPERVISOR: [&str; 6] = [
    "supervisor",
    "supervisor-config",
    "monitor",
    "hub",
    "spool",
    "render",
];

#[test]
fn the_monitor_knows_no_envelope_no_network_and_no_database() {
    assert_without("monitor", &NETWORK);
    assert_without(
        "monitor",
        &[
            "ipc-schema",
            "rmp-serde",
            "rusqlite",
            "worker-kit",
            "hub",
            "spool",
        ],
    );
}

#[test]
fn the_hub_has_no_network() {
    assert_without("hub", &NETWORK);
}

#[test]
fn the_command_has_no_network_either() {
    assert_without("supervisor", &NETWORK);
}

#[test]
fn workers_and_the_runner_know_nothing_of_the_supervisor() {
    for peer in [
        "worker-kit",
        "discord-worker",
        "weibo-worker",
        "agent-runner",
    ] {
        assert_without(peer, &SUPERVISOR);
    }
}

#[test]
fn the_schema_does_no_io() {
    assert_without("ipc-schema", &NETWORK);
    assert_without(
        "ipc-schema",
        &["tokio", "interprocess", "nix", "rusqlite", "tracing"],
    );
}

#[test]
fn rendering_is_pure() {
    assert_without(
        "render",
        &["tokio", "nix", "ipc-schema", "rusqlite", "tracing", "serde"],
    );
}

#[test]
fn nothing_that_is_shipped_depends_on_a_fake() {
    for (name, _) in dependencies() {
        let shipped = [
            "supervisor",
            "worker",
            "agent-runner",
            "ipc-schema",
            "hub",
            "monitor",
        ]
        .iter()
        .any(|part| name.contains(part));
        if shipped && !name.starts_with("fake") {
            assert_without(
                &name,
                &[
                    "fake-kit",
                    "fake-discord",
                    "fake-weibo",
                    "fake-model",
                    "fake-claude",
                    "harness",
                ],
            );
        }
    }
}

#[test]
fn a_platform_can_be_left_out_of_a_build() {
    // `cargo build --workspace --exclude weibo-worker` leaves nothing of it behind.
    let all = dependencies();
    for worker in ["discord-worker", "weibo-worker"] {
        assert!(all.contains_key(worker));
        let users = all.iter().filter(|(_, below)| below.contains(worker));
        let users: Vec<_> = users.map(|(name, _)| name).collect();
        assert!(users.is_empty(), "{users:?} need {worker}");
    }
}
