//! The connection: heartbeats in every form, dead lines, slow lines, junk.

use std::time::Duration;

use fake_weibo::{Event, PongForm};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::stage::{Bench, granted};

fn connections(bench: &Bench) -> usize {
    bench
        .weibo
        .protocol()
        .count(|event| matches!(event, Event::Connected { .. }))
}

/// Heartbeats are answered in one form: the connection stands, and replies are counted.
async fn beats_with(form: PongForm) {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["heartbeat_ms"] = json!(20);
        options["timing"]["pong_ms"] = json!(2_000);
        weibo.fault(|faults| faults.pong = form);
    })
    .await;
    let ping = |event: &Event| matches!(event, Event::Ping { connection: 0 });
    bench.weibo.wait_events(5, ping).await.unwrap();
    bench.reply("a", 0, 2, 2);
    assert_eq!(bench.delivered(2).await, ["a-0", "a-1"]);
    assert_eq!(connections(&bench), 1);
}

#[tokio::test]
async fn pong_as_text() {
    beats_with(PongForm::Text).await;
}

#[tokio::test]
async fn pong_as_json() {
    beats_with(PongForm::Json).await;
}

#[tokio::test]
async fn pong_as_frame() {
    beats_with(PongForm::Frame).await;
}

/// It is left, and found again.
#[tokio::test]
async fn silent_peer() {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["heartbeat_ms"] = json!(30);
        options["timing"]["pong_ms"] = json!(60);
        weibo.fault(|faults| faults.silent = true);
    })
    .await;
    bench.weibo.connected(3).await.unwrap();
    bench.weibo.fault(|faults| faults.silent = false);
    bench.flush("hello").await;
}

#[tokio::test]
async fn the_servers_own_pings_are_answered_in_kind() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.weibo.raw(r#"{"type":"ping"}"#);
    let pong = |event: &Event| matches!(event, Event::Pong { .. });
    bench.weibo.wait_events(1, pong).await.unwrap();
    bench.weibo.frame_ping();
    let pong = |event: &Event| matches!(event, Event::FramePong { .. });
    bench.weibo.wait_events(1, pong).await.unwrap();
}

#[tokio::test]
async fn unknown_frame_types() {
    let bench = Bench::new().await;
    for frame in [
        r#"{"type":"from_the_future","payload":1}"#,
        r#"{"type":7}"#,
        r#"{"type":"connected","app_id":"1","connection_id":"2","message":"hi"}"#,
        r#"{"type":"system"}"#,
        r#"{"type":"ack","payload":{}}"#,
        r#"{"type":"error","code":5,"message":"something"}"#,
    ] {
        bench.weibo.raw(frame);
    }
    bench.flush("still here").await;
    assert_eq!(granted(&bench.inbounds()), ["still here"]);
    assert_eq!(connections(&bench), 1);
}

#[tokio::test]
async fn junk_json() {
    let bench = Bench::new().await;
    let deep = "[".repeat(100_000);
    for junk in [
        "",
        "{",
        "null",
        "[[[[",
        &deep,
        r#"{"type":"message"}"#,
        r#"{"type":"message","payload":{}}"#,
        r#"{"type":"message","payload":{"fromUserId":[],"text":{}}}"#,
        r#"{"type":"message","payload":{"fromUserId":1,"input":7,"text":[]}"#,
        "\u{0}\u{1}",
    ] {
        bench.weibo.raw(junk);
    }
    bench.flush("still here").await;
    assert_eq!(granted(&bench.inbounds()), ["still here"]);
    assert_eq!(connections(&bench), 1);
}

/// Takes a WebSocket as a server does.
async fn accept(listener: &TcpListener) -> tokio_tungstenite::WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    tokio_tungstenite::accept_async(stream).await.unwrap()
}

#[tokio::test]
async fn a_picture_that_takes_longer_than_a_pong_may_arrives() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let bench = Bench::with(|options, _| {
        options["timing"]["heartbeat_ms"] = json!(10);
        options["timing"]["pong_ms"] = json!(1_500);
        options["ws_endpoint"] = json!(format!("ws://{address}/ws"));
    })
    .await;
    let mut socket = accept(&listener).await;
    // The ping comes in while the frame goes out; its answer has to wait behind it.
    assert!(socket.next().await.unwrap().unwrap().is_text());
    let text = "x".repeat(20_000);
    let frame = json!({"type": "message", "payload":
        {"messageId": "slow", "fromUserId": bench.owner, "text": text}})
    .to_string();
    let mut bytes = vec![0x81, 126];
    bytes.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
    bytes.extend(frame.as_bytes());
    let mut line = tokio::time::interval(Duration::from_millis(100));
    for piece in bytes.chunks(bytes.len() / 24) {
        line.tick().await; // 2.4 s in all: more than one wait for a pong, fewer than three
        socket.get_mut().write_all(piece).await.unwrap();
    }
    socket.send(Message::text("pong")).await.unwrap();
    let inbound = bench.inbound(1).await;
    assert_eq!((&*inbound.event_id, inbound.text.len()), ("slow", 20_000));
    // The same connection goes on.
    loop {
        let message = socket.next().await.unwrap().unwrap();
        if message == Message::text(r#"{"type":"ping"}"#) {
            break;
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_larger_than_any_is_taken_is_told_and_the_next_connection_stands() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.weibo.raw(&"x".repeat(17 << 20));
    bench.weibo.connected(2).await.unwrap();
    let told = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert!(told[0].text.contains("16 MB"), "{}", told[0].text);
    bench.flush("hello").await;
}
