//! `--doctor`: each thing that can be wrong is provoked, and told with what to do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

use std::process::Stdio;

use fake_weibo::{Close, Event, FakeWeibo, SOON, TokenFault};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

struct Examined {
    code: Option<i32>,
    lines: Vec<Value>,
}

impl Examined {
    fn of(&self, check: &str) -> &Value {
        let found = self.lines.iter().find(|line| line["check"] == check);
        found.unwrap_or_else(|| panic!("nothing of {check} in {:#?}", self.lines))
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.lines.iter().filter(|line| line["verdict"] == "fail");
        failed.map(|line| line["check"].as_str().unwrap()).collect()
    }

    /// This failed and nothing else, with these words in what it says or advises.
    fn only(&self, check: &str, words: &[&str]) {
        assert_eq!(self.code, Some(0), "it could examine");
        assert_eq!(self.failed(), [check], "{:#?}", self.lines);
        let told = self.of(check).to_string();
        for word in words {
            assert!(told.contains(word), "{word} is missing in {told}");
        }
    }
}

async fn examine(weibo: &FakeWeibo, more: Value, arguments: &[&str]) -> Examined {
    let mut options = weibo.options();
    options["timing"] = json!({"request_ms": 1000});
    options
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let mut child = Command::new(env!("CARGO_BIN_EXE_weibo-worker"))
        .arg("--doctor")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(options.to_string().as_bytes())
        .await
        .unwrap();
    drop(stdin);
    let output = tokio::time::timeout(SOON * 3, child.wait_with_output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let mut secrets = weibo.tokens();
    secrets.push(weibo.account().app_secret.clone());
    for secret in secrets {
        assert!(!said.contains(&secret), "{secret} in {said}");
    }
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    Examined {
        code: output.status.code(),
        lines: said.lines().map(read).collect(),
    }
}

fn connections(weibo: &FakeWeibo) -> usize {
    weibo
        .protocol()
        .count(|event| matches!(event, Event::Connected { .. }))
}

#[tokio::test]
async fn an_account_that_is_well_is_named() {
    let weibo = FakeWeibo::start().await.unwrap();
    let found = examine(&weibo, json!({}), &[]).await;
    assert_eq!((found.code, found.failed()), (Some(0), vec![]));
    for check in ["clock", "token", "connection"] {
        assert_eq!(found.of(check)["verdict"], "ok", "{:#?}", found.of(check));
    }
    let owner = weibo.account().owner.to_string();
    assert!(found.of("token").to_string().contains("119 minutes"));
    assert!(
        found
            .lines
            .contains(&json!({"fact": "uid", "value": owner}))
    );
    let closed = |event: &Event| matches!(event, Event::Closed { .. });
    weibo.wait_events(1, closed).await.unwrap();
    assert_eq!((connections(&weibo), weibo.violations().len()), (1, 0));
}

#[tokio::test]
async fn the_token_is_refused() {
    let weibo = FakeWeibo::start().await.unwrap();
    let found = examine(&weibo, json!({"app_secret": "canary-secret"}), &[]).await;
    found.only("token", &["40001", "连接龙虾", "app_secret"]);
    assert_eq!(connections(&weibo), 0);
    weibo.fault(|faults| faults.token = Some(TokenFault::Echo));
    let found = examine(&weibo, json!({}), &[]).await;
    found.only("token", &["refuses"]);
}

#[tokio::test]
async fn there_is_no_token_for_another_reason() {
    for (fault, words) in [
        (TokenFault::Status(503), "HTTP 503"),
        (TokenFault::Html, "no JSON"),
        (TokenFault::Hang, "does not answer"),
        (TokenFault::Drop, "cannot be reached"),
    ] {
        let weibo = FakeWeibo::start().await.unwrap();
        weibo.fault(|faults| faults.token = Some(fault));
        let found = examine(&weibo, json!({}), &[]).await;
        found.only("reach", &[words, "open-im.api.weibo.com"]);
    }
}

#[tokio::test]
async fn the_connection_is_refused_closed_or_mute() {
    let weibo = FakeWeibo::start().await.unwrap();
    weibo.fault(|faults| faults.upgrade = Some(403));
    let found = examine(&weibo, json!({}), &[]).await;
    found.only("connection", &["HTTP 403", "credentials"]);
    weibo.fault(|faults| {
        faults.upgrade = None;
        faults.close = Some(Close {
            code: 4002,
            reason: "invalid token".into(),
        });
    });
    let found = examine(&weibo, json!({}), &[]).await;
    found.only("connection", &["4002", "credentials"]);
    weibo.fault(|faults| {
        faults.close = None;
        faults.silent = true;
    });
    let found = examine(&weibo, json!({}), &[]).await;
    found.only("connection", &["ping is not answered", "network"]);
    let nowhere = json!({"ws_endpoint": "ws://127.0.0.1:1/ws"});
    let found = examine(&weibo, nowhere, &[]).await;
    found.only("connection", &["cannot connect"]);
}

#[tokio::test]
async fn what_was_said_in_that_moment_is_owned_up_to() {
    let weibo = FakeWeibo::start().await.unwrap();
    weibo.user_says(weibo.account().owner, "hello");
    let found = examine(&weibo, json!({}), &[]).await;
    let told = found.of("connection");
    assert_eq!(told["verdict"], "warn");
    assert!(told.to_string().contains("1 message(s)") && !told.to_string().contains("hello"));
}

#[tokio::test]
async fn a_running_worker_is_not_disturbed_and_offline_nothing_is_asked() {
    let weibo = FakeWeibo::start().await.unwrap();
    let found = examine(&weibo, json!({}), &["--running"]).await;
    assert_eq!(found.failed(), [""; 0]);
    assert!(found.of("connection").to_string().contains("not tried"));
    assert_eq!(connections(&weibo), 0);
    let before = weibo.protocol().count(|_| true);
    let found = examine(&weibo, json!({}), &["--offline"]).await;
    assert_eq!((found.code, found.lines.len()), (Some(0), 0));
    assert_eq!(weibo.protocol().count(|_| true), before);
}
