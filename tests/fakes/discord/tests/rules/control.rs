//! The HTTP control surface, and the binary.

use super::client::{Gateway, Rest, SOON, http};
use fake_discord::{FakeDiscord, control};
use fake_kit::Server;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

async fn call(url: &str, path: &str, body: Value) -> (u16, Value) {
    let got = Rest::send(http().post(format!("{url}/control/{path}")).json(&body)).await;
    (got.status, got.body)
}

#[tokio::test]
async fn a_conversation_and_faults_over_http() {
    let fake = FakeDiscord::start().await;
    let surface = Server::start_anywhere(control::router(fake.clone()))
        .await
        .unwrap();
    let (scene, url) = (fake.scene(), surface.url());
    let mut bot = Gateway::ready(&fake).await;
    let (status, said) = call(
        &url,
        "say",
        json!({ "user": scene.alice, "channel": scene.general, "text": "hello" }),
    )
    .await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(bot.event("MESSAGE_CREATE").await["id"], said["message"]);
    Rest::new(&fake)
        .say(scene.general, "hello yourself")
        .await
        .id();
    let (_, line) = call(
        &url,
        "wait_reply",
        json!({ "channel": scene.general, "after": said["message"] }),
    )
    .await;
    assert_eq!(line["text"], "hello yourself");
    let page = Rest::send(http().get(format!("{url}/control/ledger?since=1")))
        .await
        .body;
    assert_eq!(
        (&page["next"], &page["entries"][0]["what"]["text"]),
        (&json!(2), &json!("hello yourself"))
    );

    let hold = json!({ "rest": { "method": "POST", "route": "/channels/{channel.id}/messages", "what": "hold_response" } });
    let (_, hold) = call(&url, "fault", hold).await;
    assert_eq!(hold, json!({ "hold": 0 }));
    assert_eq!(call(&url, "release", hold).await.0, 200);
    for fault in [
        json!({ "gateway": { "what": "no_hello", "times": { "next": 2 } } }),
        json!({ "gateway": { "what": { "refuse_resume": {} }, "times": "always" } }),
        json!({ "now": { "reconnect": { "mute": true } } }),
        json!({ "now": { "cut": {} } }),
        json!({ "rest": { "times": { "for_ms": 60000 }, "what": { "cloudflare": {} } } }),
        json!({ "portal": { "content_intent": false } }),
        json!({ "portal": "void_token" }),
        json!("clear"),
    ] {
        let (status, answer) = call(&url, "fault", fault.clone()).await;
        assert_eq!(status, 200, "{fault} {answer}");
    }
    assert_eq!(
        call(&url, "options", json!({ "rate_limits": false }))
            .await
            .1["rate_limits"],
        false
    );
    assert!(!fake.options().rate_limits);
    let (status, error) = call(&url, "options", json!({ "rate_limit": false })).await;
    assert!(
        status == 400 && error["error"].as_str().unwrap().contains("unknown field"),
        "{error}"
    );
    let (status, error) = call(
        &url,
        "say",
        json!({ "user": "1", "channel": scene.general, "text": "x" }),
    )
    .await;
    assert!(
        status == 404 && error["error"] == "there is no user 1",
        "{error}"
    );
}

#[tokio::test]
async fn the_binary_prints_its_addresses_and_serves() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_fake-discord"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(SOON, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        line.starts_with("fake-discord ready api=http://127.0.0.1:"),
        "{line}"
    );
    let fact = |key: &str| {
        let fact = line
            .split(' ')
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        fact.unwrap_or_else(|| panic!("no {key} in {line}"))
            .to_owned()
    };
    let request = http().get(format!("{}/users/@me", fact("api")));
    let me = Rest::send(request.header("authorization", format!("Bot {}", fact("token")))).await;
    assert_eq!(me.body["id"], json!(fact("bot")));
    let health = Rest::send(http().get(format!("{}/control/health", fact("control")))).await;
    assert_eq!(health.body["fake"], "fake-discord");
    child.kill().await.unwrap();
}
