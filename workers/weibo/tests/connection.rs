//! Token and connection: every failure heals, none makes a tight loop, junk is survived.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

#[allow(dead_code, reason = "shared by the tests of this crate")]
mod bench;

use bench::{Bench, granted};
use fake_weibo::{Close, Event, TokenFault};
use serde_json::json;

fn tokens(bench: &Bench) -> usize {
    bench
        .weibo
        .protocol()
        .count(|event| matches!(event, Event::Token { .. }))
}

#[tokio::test]
async fn every_failure_of_the_token_endpoint_heals() {
    for fault in [
        TokenFault::Status(401),
        TokenFault::Status(403),
        TokenFault::Status(429),
        TokenFault::Status(500),
        TokenFault::Code(40001),
        TokenFault::Html,
        TokenFault::Drop,
        TokenFault::Hang,
    ] {
        let bench = Bench::with(|options, weibo| {
            options["timing"]["request_ms"] = json!(200);
            weibo.fault(|faults| {
                faults.token = Some(fault.clone());
                faults.token_times = Some(2);
            });
        })
        .await;
        bench.weibo.connected(1).await.unwrap();
        assert!(tokens(&bench) >= 3, "{fault:?}");
        bench.flush("hello").await;
    }
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew_and_the_next_connection_stands() {
    for code in [4002, 4003, 4004] {
        let bench = Bench::with(|_, weibo| {
            weibo.fault(|faults| {
                faults.close = Some(Close {
                    code,
                    reason: String::new(),
                });
                faults.close_times = Some(1);
            });
        })
        .await;
        bench.weibo.connected(2).await.unwrap();
        bench.flush("hello").await;
        assert_eq!(tokens(&bench), 2);
    }
}

#[tokio::test]
async fn an_upgrade_refused_with_401_or_403_fetches_a_new_token() {
    for status in [401, 403] {
        let bench = Bench::with(|_, weibo| {
            weibo.fault(|faults| {
                faults.upgrade = Some(status);
                faults.upgrade_times = Some(1);
            });
        })
        .await;
        bench.weibo.connected(1).await.unwrap();
        assert_eq!(tokens(&bench), 2);
    }
}

#[tokio::test]
async fn another_close_reconnects_with_the_cached_token() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.weibo.close(1001, "restart");
    bench.weibo.connected(2).await.unwrap();
    bench.weibo.cut();
    bench.weibo.connected(3).await.unwrap();
    bench.flush("hello").await;
    assert_eq!(tokens(&bench), 1);
}

#[tokio::test]
async fn a_token_that_ends_while_connected_is_refreshed_without_a_drop() {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["token_margin_ms"] = json!(900);
        weibo.fault(|faults| faults.expire_in = Some(1));
    })
    .await;
    let given = |event: &Event| matches!(event, Event::Token { .. });
    bench.weibo.wait_events(3, given).await.unwrap();
    bench.flush("hello").await;
    let connections = bench
        .weibo
        .protocol()
        .count(|e| matches!(e, Event::Connected { .. }));
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn a_silent_peer_is_left_and_found_again() {
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
async fn heartbeats_go_on_while_nothing_is_said() {
    let bench = Bench::with(|options, _| options["timing"]["heartbeat_ms"] = json!(20)).await;
    let ping = |event: &Event| matches!(event, Event::Ping { connection: 0 });
    bench.weibo.wait_events(5, ping).await.unwrap();
}

#[tokio::test]
async fn the_servers_own_pings_are_answered() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.weibo.raw(r#"{"type":"ping"}"#);
    let pong = |event: &Event| matches!(event, Event::Pong { .. });
    bench.weibo.wait_events(1, pong).await.unwrap();
    bench.weibo.frame_ping();
    bench.flush("hello").await;
}

#[tokio::test]
async fn junk_is_skipped() {
    let bench = Bench::new().await;
    for junk in [
        "",
        "{",
        "null",
        "[[[[",
        r#"{"type":"message"}"#,
        r#"{"type":"message","payload":{}}"#,
        r#"{"type":"message","payload":{"fromUserId":[],"text":{}}}"#,
        r#"{"type":"from_the_future","payload":1}"#,
        r#"{"type":"error","code":5,"message":"something"}"#,
        r#"{"type":"system"}"#,
        r#"{"type":"ack","payload":{}}"#,
        "\u{0}\u{1}",
    ] {
        bench.weibo.raw(junk);
    }
    bench.flush("still here").await;
    assert_eq!(granted(&bench.inbounds()), ["still here"]);
    let connections = bench
        .weibo
        .protocol()
        .count(|e| matches!(e, Event::Connected { .. }));
    assert_eq!(connections, 1);
}
