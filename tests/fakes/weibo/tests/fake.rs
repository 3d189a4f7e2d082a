//! The fake holds to its rules, whoever the client is; and its binary serves people.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

use std::process::Stdio;

use fake_weibo::{Event, FakeWeibo, SOON, TokenFault};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A request by hand; status and body.
async fn http(url: &str, method: &str, body: &str) -> (u16, Value) {
    let url = url::Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let path = &url[url::Position::BeforePath..];
    let mut stream = TcpStream::connect((host, port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

async fn token(weibo: &FakeWeibo) -> Value {
    let account = weibo.account();
    let asked = json!({"app_id": account.app_id, "app_secret": account.app_secret});
    http(&weibo.token_endpoint(), "POST", &asked.to_string())
        .await
        .1
}

async fn connect(weibo: &FakeWeibo, token: &str) -> Client {
    let mut url = url::Url::parse(&weibo.ws_endpoint()).unwrap();
    let id = &weibo.account().app_id;
    url.query_pairs_mut()
        .append_pair("app_id", id)
        .append_pair("token", token);
    connect_async(url.as_str()).await.unwrap().0
}

async fn connected(weibo: &FakeWeibo) -> Client {
    let answer = token(weibo).await;
    let mut client = connect(weibo, answer["data"]["token"].as_str().unwrap()).await;
    assert_eq!(next(&mut client).await["type"], "connected");
    client
}

async fn text(client: &mut Client) -> String {
    match timeout(SOON, client.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
    {
        Message::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn next(client: &mut Client) -> Value {
    serde_json::from_str(&text(client).await).unwrap()
}

async fn chunk(client: &mut Client, message_id: &str, chunk_id: u32, text: &str, done: bool) {
    let payload = json!({"toUserId": "7", "text": text, "messageId": message_id,
        "chunkId": chunk_id, "done": done});
    let frame = json!({"type": "send_message", "payload": payload});
    client.send(Message::text(frame.to_string())).await.unwrap();
}

#[tokio::test]
async fn tokens_are_for_the_account_alone_and_checked_at_connect() {
    let weibo = FakeWeibo::start().await.unwrap();
    let wrong = r#"{"app_id": "5012345678", "app_secret": "guess"}"#;
    let (status, answer) = http(&weibo.token_endpoint(), "POST", wrong).await;
    assert_eq!((status, &answer["code"]), (200, &json!(40001)));
    let answer = token(&weibo).await;
    assert_eq!(
        (&answer["code"], &answer["data"]["expire_in"]),
        (&json!(0), &json!(7199))
    );
    assert!(answer["data"]["uid"].is_u64());
    let mut client = connect(&weibo, "guess").await;
    match timeout(SOON, client.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
    {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 4002),
        other => panic!("{other:?}"),
    }
    connected(&weibo).await;
    weibo.fault(|faults| faults.token = Some(TokenFault::Status(503)));
    let (status, _) = http(&weibo.token_endpoint(), "POST", "{}").await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn chunks_grow_a_message_and_what_breaks_the_rules_is_shown_to_nobody() {
    let weibo = FakeWeibo::start().await.unwrap();
    let mut client = connected(&weibo).await;
    chunk(&mut client, "m", 0, "one ", false).await;
    chunk(&mut client, "m", 2, "a gap", false).await;
    chunk(&mut client, "m", 1, "two", true).await;
    chunk(&mut client, "m", 2, "after the end", true).await;
    chunk(&mut client, "n", 1, "no beginning", true).await;
    let bare = r#"{"type":"send_message","payload":{"toUserId":"7","text":"x","messageId":"o"}}"#;
    client.send(Message::text(bare)).await.unwrap();
    client
        .send(Message::text(r#"{"type":"ping"}"#))
        .await
        .unwrap();
    for _ in 0..4 {
        assert_eq!(next(&mut client).await["type"], "error");
    }
    assert_eq!(text(&mut client).await, "pong");
    let bubbles = weibo.bubbles(7);
    assert_eq!(
        (bubbles.len(), bubbles[0].text.as_str(), bubbles[0].done),
        (1, "one two", true)
    );
    assert_eq!(weibo.violations().len(), 4);
}

#[tokio::test]
async fn what_is_said_to_nobody_waits_and_comes_once() {
    let weibo = FakeWeibo::start().await.unwrap();
    let id = weibo.user_says(7, "anybody?");
    let mut client = connected(&weibo).await;
    let frame = next(&mut client).await;
    assert_eq!(
        (&frame["payload"]["messageId"], &frame["payload"]["text"]),
        (&json!(id), &json!("anybody?"))
    );
    weibo.fault(|faults| faults.hold = true);
    weibo.user_says(7, "held");
    weibo.fault(|faults| {
        faults.hold = false;
        faults.duplicate = true;
    });
    assert_eq!(next(&mut client).await["payload"]["text"], "held");
    assert_eq!(next(&mut client).await["payload"]["text"], "held");
}

#[tokio::test]
async fn faults_count_down_and_end() {
    let weibo = FakeWeibo::start().await.unwrap();
    weibo.fault(|faults| faults.cut_after = Some(2));
    let mut client = connected(&weibo).await;
    for n in 0..2 {
        chunk(&mut client, "m", n, "x", false).await;
    }
    assert!(
        !matches!(timeout(SOON, client.next()).await.unwrap(), Some(Ok(_))),
        "reset"
    );
    let mut client = connected(&weibo).await;
    chunk(&mut client, "m", 2, "x", true).await;
    assert_eq!(weibo.wait_reply(7, 1).await.unwrap()[0].text, "xxx");
    let closed = |event: &Event| matches!(event, Event::Closed { .. });
    weibo.wait_events(1, closed).await.unwrap();
}

#[tokio::test]
async fn the_binary_says_where_it_is_and_serves_its_control_surface() {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_fake-weibo"))
        .args(["--owner", "77"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    timeout(SOON, stdout.read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    assert!(
        line.starts_with("fake-weibo ready token_endpoint=http://127.0.0.1:"),
        "{line}"
    );
    assert!(line.contains(" owner=77"));
    let control = line
        .split(' ')
        .find_map(|fact| fact.strip_prefix("control="))
        .unwrap();
    let at = |path: &str| format!("{control}/{path}");
    let (status, said) = http(&at("say"), "POST", r#"{"uid": 77, "text": "hi"}"#).await;
    assert!(
        status == 200 && said["message_id"].is_string(),
        "{status} {said}"
    );
    let (status, said) = http(&at("say"), "POST", r#"{"user": 77}"#).await;
    assert!(
        status == 400 && said["error"].as_str().unwrap().contains("user"),
        "{said}"
    );
    let faults = r#"{"token": {"status": 500}, "token_times": 1, "pong": "json"}"#;
    assert_eq!(http(&at("faults"), "POST", faults).await.0, 200);
    assert_eq!(http(&at("faults"), "GET", "").await.1["pong"], "json");
    assert_eq!(http(&at("faults"), "POST", r#"{"tokn": 1}"#).await.0, 400);
    assert_eq!(http(&at("bubbles?uid=77"), "GET", "").await.1, json!([]));
    assert_eq!(http(&at("protocol?since=0"), "GET", "").await.1["next"], 0);
    assert_eq!(http(&at("cut"), "POST", "").await.0, 200);
    assert_eq!(http(&at("nothing"), "GET", "").await.0, 404);
    child.kill().await.unwrap();
}
