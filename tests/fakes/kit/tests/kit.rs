//! The ledger waits on events, the server cuts single connections, the WebSocket is a real one.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use fake_kit::tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use fake_kit::tokio_tungstenite::{connect_async, tungstenite::Message};
use fake_kit::{Connection, DropConnection, Ledger, Server, Upgrade, control};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

async fn http(addr: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A cut connection may end in a reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn get_request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_waiter_sees_what_came_before_and_after_it() {
    let ledger = Ledger::new();
    ledger.push(1);
    assert_eq!(ledger.wait_for(|n| *n == 1, SOON).await.unwrap().index, 0);
    let waiting = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.wait_for(|n| *n == 3, SOON).await }
    });
    tokio::task::yield_now().await;
    ledger.push(2);
    ledger.push(3);
    assert_eq!(waiting.await.unwrap().unwrap().index, 2);
    let sum = ledger.wait_until(
        |all| (all.len() == 3).then(|| all.iter().map(|e| e.what).sum::<i32>()),
        SOON,
    );
    assert_eq!(sum.await.unwrap(), 6);
}

#[tokio::test]
async fn indices_survive_forgetting() {
    let ledger = Ledger::new();
    (0..10).for_each(|n| {
        ledger.push(n);
    });
    ledger.forget_before(7);
    let kept: Vec<_> = ledger
        .snapshot()
        .iter()
        .map(|e| (e.index, e.what))
        .collect();
    assert_eq!(kept, [(7, 7), (8, 8), (9, 9)]);
    assert_eq!(ledger.push(10), 10);
    assert_eq!(ledger.since(9).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_what_came_instead() {
    let ledger = Ledger::new();
    ledger.push("something else");
    let error = ledger
        .wait_for(|what| *what == "it", SOON)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
}

#[tokio::test]
async fn one_connection_is_cut_and_the_next_is_served() {
    let router = Router::new()
        .route("/cut", get(|| async { DropConnection }))
        .route(
            "/fine",
            get(|connection: axum::Extension<Connection>| async move { connection.id.to_string() }),
        );
    let server = Server::start_anywhere(router).await.unwrap();
    assert_eq!(http(server.addr(), &get_request("/cut")).await, "");
    let fine = http(server.addr(), &get_request("/fine")).await;
    assert!(fine.ends_with("\r\n\r\n1"), "{fine}");
}

#[tokio::test]
async fn a_stopped_server_cuts_websockets_and_frees_its_port() {
    let router = || {
        Router::new().route(
            "/ws",
            get(|upgrade: Upgrade| async move {
                upgrade.accept(WebSocketConfig::default(), |mut socket| async move {
                    while let Some(Ok(message)) = socket.next().await {
                        if message.is_text() && socket.send(message).await.is_err() {
                            break;
                        }
                    }
                })
            }),
        )
    };
    let server = Server::start_anywhere(router()).await.unwrap();
    let addr = server.addr();
    let (mut client, _) = connect_async(format!("ws://{addr}/ws")).await.unwrap();
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Message::text("hello")
    );
    server.stop().await;
    assert!(!matches!(client.next().await, Some(Ok(_))));
    assert!(TcpStream::connect(addr).await.is_err());
    let server = Server::start(addr, router()).await.unwrap();
    connect_async(format!("ws://{}/ws", server.addr()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_plain_request_to_a_websocket_is_refused_in_words() {
    let router =
        Router::new().route(
            "/ws",
            get(|upgrade: Upgrade| async move {
                upgrade.accept(WebSocketConfig::default(), |_| async {})
            }),
        );
    let server = Server::start_anywhere(router).await.unwrap();
    let answer = http(server.addr(), &get_request("/ws")).await;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("WebSocket only"),
        "{answer}"
    );
}

#[tokio::test]
async fn the_control_surface_long_polls_and_names_what_is_wrong() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Say {
        text: String,
    }
    let ledger = Ledger::new();
    let router = control::router("fake")
        .route("/control/ledger", control::ledger(ledger.clone()))
        .route(
            "/control/say",
            post({
                let ledger = ledger.clone();
                move |control::Asked(say): control::Asked<Say>| async move {
                    ledger.push(say.text).to_string()
                }
            }),
        );
    let server = Server::start_anywhere(router).await.unwrap();
    let addr = server.addr();
    let poll = tokio::spawn(async move {
        http(addr, &get_request("/control/ledger?since=1&wait_ms=10000")).await
    });
    let say = |body: &str| {
        format!(
            "POST /control/say HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert!(http(addr, &say(r#"{"text":"one"}"#)).await.ends_with('0'));
    assert!(http(addr, &say(r#"{"text":"two"}"#)).await.ends_with('1'));
    let page = poll.await.unwrap();
    assert!(
        page.contains("\"what\":\"two\"") && !page.contains("\"one\""),
        "{page}"
    );
    assert!(
        http(addr, &say(r#"{"test":1}"#))
            .await
            .contains("unknown field `test`")
    );
    assert!(
        http(addr, &get_request("/control/nothing"))
            .await
            .contains("fake --help")
    );
    assert!(
        http(addr, &get_request("/control/health"))
            .await
            .contains("\"ok\":true")
    );
    assert_eq!(
        control::ready_line("fake", &[("api", "http://x")]),
        "fake ready api=http://x"
    );
}
