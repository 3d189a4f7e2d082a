//! Programs of the operator's tools, run by themselves: what they get, what is taken of what they say, and
//! their end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_runner::process::sweep::Claim;
use agent_runner::tools::options::ToolOptions;
use agent_runner::tools::program::Surroundings;
use agent_runner::tools::run::run;
use serde_json::json;

fn around() -> Surroundings {
    let mark = format!("test-{:x}", fastrand());
    Surroundings {
        environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        claim: Claim {
            mark,
            ..Claim::default()
        },
        launcher: env!("CARGO_BIN_EXE_agent-runner").into(),
        programs: Arc::default(),
    }
}

fn fastrand() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

fn shell(script: &str) -> ToolOptions {
    ToolOptions {
        name: "t".into(),
        command: ["sh", "-c", script].map(str::to_owned).into(),
        secrets: BTreeMap::from([("KEY".into(), "hunter2-canary".into())]),
        timeout_secs: 20,
        max_output_bytes: 1000,
        ..ToolOptions::default()
    }
}

#[tokio::test]
async fn a_program_reads_its_input_and_has_its_secret_and_nothing_else() {
    let tool =
        shell("cat; test \"$KEY\" = hunter2-canary && echo good; env | cut -d= -f1 | sort; pwd");
    let said = run(&tool, &json!({"id": 7}), around()).await;
    assert!(!said.failed, "{said:?}");
    let lines: Vec<&str> = said.text.lines().collect();
    assert_eq!(lines[..2], ["{\"id\":7}", "good"]);
    assert_eq!(lines[2..], ["BULKHEAD_AGENT", "KEY", "PATH", "PWD", "/"]);
}

#[tokio::test]
async fn a_secret_that_is_said_is_covered() {
    let said = run(&shell("echo key is $KEY; exit 3"), &json!({}), around()).await;
    assert!(said.failed);
    assert_eq!(said.text, "key is [secret]\n(exit status: 3)");
}

#[tokio::test]
async fn what_it_says_is_bounded_and_it_says_so() {
    let said = run(
        &shell("head -c 100000 /dev/zero | tr '\\0' x; echo no >&2"),
        &json!({}),
        around(),
    )
    .await;
    assert!(
        !said.failed && said.text.len() < 1100,
        "{}",
        said.text.len()
    );
    assert!(said.text.ends_with("[99000 more bytes are not shown]"));
}

#[tokio::test]
async fn what_takes_too_long_is_ended_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join("alive");
    nix::unistd::mkfifo(&alive, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Both hold its other end as long as they live.
    let held = format!("exec 9>{}", alive.display());
    let nap = format!("sleep 7401.{}", std::process::id());
    let tool = ToolOptions {
        timeout_secs: 1,
        ..shell(&format!("{held}; setsid {nap} & {nap}"))
    };
    let (ends, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || ends.send(std::fs::read(alive)));
    let said = run(&tool, &json!({}), around()).await;
    assert!(said.failed && said.text.contains("within 1 s"), "{said:?}");
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    assert_eq!(ended.unwrap().unwrap().unwrap(), b"");
}

#[tokio::test]
async fn a_program_that_leaves_somebody_behind_is_not_waited_for() {
    let said = run(&shell("sleep 7402 & echo done"), &json!({}), around()).await;
    assert_eq!((said.text.as_str(), said.failed), ("done", false));
}

#[tokio::test]
async fn a_missing_program_is_told() {
    let tool = ToolOptions {
        command: vec!["/no/such".into()],
        ..shell("")
    };
    let said = run(&tool, &json!({}), around()).await;
    assert!(
        said.failed && said.text.contains("cannot be started"),
        "{said:?}"
    );
}
