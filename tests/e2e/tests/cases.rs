//! What a worker for Discord has to survive is a list, and each entry is a test of that name.
//!
//! The tests themselves stand where their subject does: in the worker, against a fake Discord or in
//! virtual time; in the renderer; here, through every process. A case may have several, the name of
//! each begins with its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::collections::BTreeSet;
use std::path::Path;

/// The most important first.
const CASES: [&str; 42] = [
    "no_hello",
    "half_open_after_ready",
    "op7_mute_peer",
    "resume_reject_loop",
    "accept_close_storm",
    "identify_budget_zero",
    "crash_loop_budget",
    "kill9_resume",
    "seq_after_handoff",
    "fatal_codes",
    "mentions_none",
    "nonce_retry",
    "nonce_deleted",
    "ack_3s",
    "ack_under_load",
    "unauthorised_click",
    "double_click",
    "cloudflare_429",
    "global_429",
    "user_429_order",
    "op9_false",
    "op9_true",
    "resume_url_dead",
    "replay_dup",
    "ready_backfill",
    "split_fence",
    "split_unicode",
    "op7_before_hello",
    "op1_request",
    "jitter_null",
    "slow_acks_flood",
    "4007_4009",
    "restart_close_code",
    "401_stop",
    "bucket_new_message",
    "malformed_event",
    "content_intent_missing",
    "guild_unavailable",
    "thread_cases",
    "attachment",
    "commands_unchanged",
    "oversize_fragmented",
];

const WHERE: [&str; 4] = [
    "workers/discord/src",
    "workers/discord/tests",
    "supervisor/render/tests",
    "tests/e2e/tests",
];

/// The tests below a directory whose names begin like a case's.
fn tests(below: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(of(&text));
        }
    }
}

/// Those of a file: functions that are tests, and are run.
fn of(text: &str) -> Vec<String> {
    let mut attributes = Vec::new();
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        let name = function.and_then(|rest| rest.split('(').next());
        if let Some(name) = name.filter(|name| name.starts_with("case_")) {
            let test = |it: &&str| it.starts_with("#[test") || it.starts_with("#[tokio::test");
            let run = attributes.iter().any(test)
                && !attributes.iter().any(|it| it.starts_with("#[ignore"));
            assert!(run, "{name} is no test that is run");
            found.push(name.to_owned());
        }
        attributes.clear();
    }
    found
}

#[test]
fn each_case_is_a_test_of_its_name() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut found = BTreeSet::new();
    WHERE
        .iter()
        .for_each(|at| tests(&root.join(at), &mut found));
    let names: Vec<String> = CASES
        .iter()
        .enumerate()
        .map(|(nth, name)| format!("case_{:02}_{name}", nth + 1))
        .collect();
    let is = |test: &str, name: &str| {
        let rest = test.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', 's']))
    };
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !found.iter().any(|test| is(test, name)))
        .collect();
    assert!(missing.is_empty(), "no test: {missing:?}");
    let strangers: Vec<_> = found
        .iter()
        .filter(|test| !names.iter().any(|name| is(test, name)))
        .collect();
    assert!(strangers.is_empty(), "no case: {strangers:?}");
}
