//! `proxy`: REST, the gateway and files go through it and nothing past it; one that is in the way is
//! told in the status, and heals.

use std::sync::Arc;

use fake_discord::{Act, File, Say, Seen, Wire};
use fake_hub::chunk;
use fake_kit::Ledger;
use ipc_schema::{Body, Control, Deliver, Tone};
use serde_json::{Value, json};

use crate::relay::{ALL, Behind, Manner, Relay};
use crate::stage::{SOON, Stage};

/// What a password may look like, and how it is then written in an address.
const LOGIN: &str = "me:p@ss/w+rd";
const IN_ADDRESS: &str = "me:p%40ss%2Fw+rd@";

async fn stage() -> (Stage, Arc<Behind>) {
    let mut stage = Stage::new().await;
    let behind = Arc::new(Behind::new(&stage.discord));
    stage.trust(&behind.authority());
    (stage, behind)
}

/// Quick to give up, for a proxy at `address`.
fn options(address: &str) -> Value {
    json!({"api_base": Behind::api_base(), "proxy": address,
        "timing": {"reconnect_ms": 20, "connect_ms": 1000, "hello_ms": 2000, "probe_ms": 100}})
}

/// The status says that the proxy is at fault, from `since` on.
async fn says(stage: &Stage, since: u64, words: &str) {
    let is_it = |line: &String| {
        line.starts_with("STATUS=") && line.contains("proxy") && line.contains(words)
    };
    let said = stage.said.wait_for_since(since, is_it, SOON).await;
    said.unwrap_or_else(|error| panic!("waited for {words:?}: {error}"));
}

/// A file in, an answer with a file, a button, a reconnect: each way that Discord is gone to.
async fn everything(scheme: &str, in_address: &str, extra: Value, login: &str) {
    let (stage, behind) = stage().await;
    let relay = Relay::start(&behind, login).await;
    let port = relay.port;
    let mut options = options(&format!("{scheme}://{in_address}127.0.0.1:{port}"));
    let extra = extra.as_object().unwrap().clone();
    options.as_object_mut().unwrap().extend(extra);
    let _worker = stage.up(options).await;

    let scene = stage.discord.scene();
    let dm = stage.discord.dm_channel(scene.owner);
    let file = File {
        name: "a.txt".into(),
        content_type: None,
        data: b"through".to_vec(),
    };
    let say = Say {
        files: vec![file],
        ..Say::text("look")
    };
    let asked = stage.discord.says(scene.owner, dm, say).unwrap();
    let inbound = stage.heard("look").await;
    assert_eq!(inbound.left_out, [""; 0]);
    let kept = stage.hub.file(&inbound.attachments[0].sha256);
    assert_eq!(kept.unwrap(), b"through");

    let allow = Control::Button {
        value: "allow".into(),
        label: "Allow".into(),
        tone: Tone::Good,
    };
    stage.deliver(Deliver {
        question: "q-1".into(),
        controls: vec![allow],
        reply_to: asked.to_string(),
        ..chunk("r", "r", 0, 1, &dm.to_string(), "seen; may I?")
    });
    let question = stage.delivered("r").await.parse().unwrap();
    let click = stage.discord.click(scene.owner, question, "q:q-1:allow");
    let click = click.unwrap();
    let acknowledged =
        |seen: &Seen| matches!(seen, Seen::Answered { interaction, .. } if *interaction == click);
    stage.discord.wait_seen(acknowledged, SOON).await.unwrap();
    let click = click.to_string();
    let told =
        |body: &Body| matches!(body, Body::Inbound(it) if it.event_id == click).then_some(());
    stage.hub.wait(told).await.unwrap();

    let since = stage.discord.wire().next();
    stage.discord.now(Act::Close { code: 4000 });
    let greeted = stage.greeted(since).await;
    assert!(matches!(greeted, Wire::Resume { .. }), "{greeted:?}");
    assert_eq!(relay.places(), ALL);
    let logins = relay
        .asked
        .filter_map(|asked| (asked.login != login).then(|| asked.clone()));
    assert_eq!(logins, []);
}

#[tokio::test]
async fn everything_goes_through_an_http_proxy_with_a_login_in_its_address() {
    everything("http", IN_ADDRESS, json!({}), LOGIN).await;
}

#[tokio::test]
async fn everything_goes_through_a_socks_proxy_that_resolves_the_names() {
    let login = json!({"proxy_username": "me", "proxy_password": "p@ss/w+rd"});
    everything("socks5", "", login, LOGIN).await;
}

#[tokio::test]
async fn everything_goes_through_a_proxy_without_a_login() {
    everything("socks5h", "", json!({}), "").await;
}

#[tokio::test]
async fn a_proxy_that_is_down_is_told_and_is_found_when_it_is_back() {
    let (stage, behind) = stage().await;
    let relay = Relay::start(&behind, "").await;
    let port = relay.port;
    relay.stop().await;
    let worker = stage.spawn(options(&format!("http://127.0.0.1:{port}")));
    says(&stage, 0, "refused").await;
    let since = stage.discord.wire().next();
    let relay = Relay::start_at(port, &behind, "").await;
    stage.greeted(since).await;

    // And once more while the worker has a session.
    let said = stage.said.next();
    relay.stop().await;
    says(&stage, said, "refused").await;
    let since = stage.discord.wire().next();
    let _relay = Relay::start_at(port, &behind, "").await;
    let greeted = stage.greeted(since).await;
    assert!(matches!(greeted, Wire::Resume { .. }), "{greeted:?}");
    drop(worker);
}

#[tokio::test]
async fn a_proxy_that_refuses_the_login_is_told_and_never_the_password() {
    for scheme in ["http", "socks5"] {
        let (stage, behind) = stage().await;
        let relay = Relay::start(&behind, LOGIN).await;
        let address = format!("{scheme}://me:canary@127.0.0.1:{}", relay.port);
        let worker = stage.spawn(options(&address));
        says(&stage, 0, "refuses proxy_username and proxy_password").await;
        worker.kill().await;
        let _worker = stage.spawn(options(&format!("{scheme}://127.0.0.1:{}", relay.port)));
        says(&stage, 0, "set proxy_username and proxy_password").await;
        assert_eq!(relay.places(), [""; 0]);
        assert_eq!(said(&stage.said, "canary"), [""; 0]);
    }
}

#[tokio::test]
async fn a_proxy_that_forbids_is_told() {
    for (scheme, words) in [("http", "refuses with HTTP 403"), ("socks5", "its rules")] {
        let (stage, behind) = stage().await;
        let relay = Relay::start(&behind, "").await;
        relay.behave(Manner::Forbids);
        let _worker = stage.spawn(options(&format!("{scheme}://127.0.0.1:{}", relay.port)));
        says(&stage, 0, words).await;
    }
}

#[tokio::test]
async fn a_proxy_that_hangs_is_told_and_found_when_it_serves() {
    let (stage, behind) = stage().await;
    let relay = Relay::start(&behind, "").await;
    relay.behave(Manner::Hangs);
    let _worker = stage.spawn(options(&format!("http://127.0.0.1:{}", relay.port)));
    says(&stage, 0, "in time").await;
    relay.behave(Manner::Serves);
    stage.greeted(0).await;
}

/// Every line with the word in it.
fn said(ledger: &Ledger<String>, word: &str) -> Vec<String> {
    ledger.filter_map(|line| line.contains(word).then(|| line.clone()))
}
