//! How the worker ends: drained, refused, or held.

use std::io::Write as _;
use std::process::{Command, Stdio};

use fake_discord::{Act, Portal, Wire};
use fake_hub::chunk;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::stage::{SOON, Stage};

#[tokio::test]
async fn a_bad_token_is_refused_at_once_and_in_words() {
    let stage = Stage::new().await;
    let mut worker = stage.spawn(json!({"token": "canary.canary.canary"}));
    assert_eq!(worker.ended().await, 77);
    let words = stage.said("STATUS=Discord refused the bot token").await;
    assert!(
        words.contains("Reset Token") && words.contains("bulkhead reload"),
        "{words}"
    );
    assert_eq!(stage.said.count(|line| line.contains("canary")), 0);
    let requests = stage
        .discord
        .wire()
        .count(|wire| matches!(wire, Wire::Request { .. }));
    assert!(
        requests <= 2,
        "{requests} requests with a token that is no good"
    );
    let connects = stage
        .discord
        .wire()
        .count(|wire| matches!(wire, Wire::Connected { .. }));
    assert_eq!(connects, 0);
}

#[tokio::test]
async fn the_token_is_reset_while_the_bot_runs() {
    let stage = Stage::new().await;
    let mut worker = stage.up(json!({})).await;
    stage.discord.portal(Portal::VoidToken);
    assert_eq!(worker.ended().await, 77);
    stage.said("STATUS=Discord refused the bot token").await;
}

#[tokio::test]
async fn case_34_401_stop() {
    use fake_discord::{RestAct, Times};
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let mut worker = stage.up(json!({})).await;
    let error = RestAct::Error {
        status: 401,
        code: 0,
        message: "401: Unauthorized".into(),
    };
    stage.discord.any_rest_fault(Times::Always, error);
    let before = stage.discord.wire().next();
    for n in 0..5 {
        stage.deliver(chunk(
            &format!("r{n}-0"),
            "r",
            0,
            1,
            &scene.general.to_string(),
            "x",
        ));
    }
    assert_eq!(worker.ended().await, 77);
    let asked = stage.discord.wire().since(before);
    let asked = asked
        .iter()
        .filter(|entry| matches!(entry.what, Wire::Request { .. }))
        .count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn case_10_fatal_codes() {
    for (code, exit, words) in [
        (4014, 78, "Message Content Intent"),
        (4013, 78, "newer release"),
        (4012, 78, "newer release"),
        (4010, 78, "too many servers"),
        (4011, 78, "too many servers"),
        (4004, 77, "Reset Token"),
    ] {
        let stage = Stage::new().await;
        let mut worker = stage.up(json!({})).await;
        stage.discord.now(Act::Close { code });
        assert_eq!(worker.ended().await, exit, "{code}");
        stage.said(words).await;
        assert_eq!(stage.identifies().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn case_33_restart_close_code() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let mut worker = stage.up(json!({})).await;
    let hold = stage.discord.hold_post_response(0);
    stage.deliver(chunk(
        "r-0",
        "r",
        0,
        1,
        &scene.general.to_string(),
        "finished",
    ));
    assert!(hold.reached(SOON).await);
    worker.signal(Signal::SIGTERM);
    let closed = |wire: &Wire| {
        matches!(
            wire,
            Wire::Closed {
                code: Some(4000),
                ..
            }
        )
    };
    stage.discord.wait_wire(closed, SOON).await.unwrap();
    hold.release();
    stage.delivered("r-0").await;
    assert_eq!(worker.ended().await, 0);
    // The session stayed: it is resumed, not begun anew.
    stage.discord.dm(scene.owner, "hello");
    let _worker = stage.up(json!({})).await;
    stage.heard("hello").await;
    assert_eq!((stage.identifies().len(), stage.resumes().len()), (1, 1));
}

#[tokio::test]
async fn it_drains_before_it_ever_met_the_hub() {
    let stage = Stage::new().await;
    stage.hub.die();
    let worker = stage.spawn(json!({}));
    stage.said("READY=1").await;
    assert_eq!(worker.drain().await, 0);
}

#[test]
fn it_says_what_it_is_and_what_is_wrong_with_options() {
    let program = env!("CARGO_BIN_EXE_discord-worker");
    let describe = Command::new(program).arg("--describe").output().unwrap();
    let described: serde_json::Value = serde_json::from_slice(&describe.stdout).unwrap();
    assert_eq!(described["kind"], "discord");
    assert_eq!(described["capabilities"]["text_limit"], 2000);
    let mut check = Command::new(program)
        .arg("--check")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(br#"{"tokn": "canary", "allow_from": "bob"}"#)
        .unwrap();
    let output = check.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(
        lines.contains("tokn: is no known key; did you mean `token`?"),
        "{lines}"
    );
    assert!(
        lines.contains("token: is missing") && lines.contains("allow_from: entry 1"),
        "{lines}"
    );
    assert!(!lines.contains("canary"));
}
