//! The token: every failure of its endpoint heals, and none makes a tight loop.

use fake_weibo::{Close, Event, TokenFault};
use serde_json::json;

use crate::stage::Bench;

fn tokens(bench: &Bench) -> usize {
    bench
        .weibo
        .protocol()
        .count(|event| matches!(event, Event::Token { .. }))
}

fn connections(bench: &Bench) -> usize {
    bench
        .weibo
        .protocol()
        .count(|event| matches!(event, Event::Connected { .. }))
}

/// The endpoint fails twice in this way; then somebody is answered.
async fn heals(fault: TokenFault) {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["request_ms"] = json!(200);
        weibo.fault(|faults| {
            faults.token = Some(fault);
            faults.token_times = Some(2);
        });
    })
    .await;
    bench.weibo.connected(1).await.unwrap();
    assert!(tokens(&bench) >= 3);
    bench.flush("hello").await;
}

#[tokio::test]
async fn token_401() {
    heals(TokenFault::Status(401)).await;
}

#[tokio::test]
async fn token_403() {
    heals(TokenFault::Status(403)).await;
}

#[tokio::test]
async fn token_429() {
    heals(TokenFault::Status(429)).await;
}

#[tokio::test]
async fn token_500() {
    heals(TokenFault::Status(500)).await;
}

#[tokio::test]
async fn token_timeout() {
    heals(TokenFault::Hang).await;
}

#[tokio::test]
async fn token_code_nonzero() {
    heals(TokenFault::Code(40001)).await;
}

#[tokio::test]
async fn token_html() {
    heals(TokenFault::Html).await;
}

#[tokio::test]
async fn token_without_an_answer() {
    heals(TokenFault::Drop).await;
}

/// It is refreshed without a drop.
#[tokio::test]
async fn expiry_in_mid_connection() {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["token_margin_ms"] = json!(900);
        weibo.fault(|faults| faults.expire_in = Some(1));
    })
    .await;
    let given = |event: &Event| matches!(event, Event::Token { .. });
    bench.weibo.wait_events(3, given).await.unwrap();
    bench.flush("hello").await;
    assert_eq!(connections(&bench), 1);
    // The next connection is made with a token that is good.
    bench.weibo.cut();
    bench.weibo.connected(2).await.unwrap();
    bench.flush("again").await;
    assert_eq!(connections(&bench), 2);
}

/// It does not touch a live connection.
#[tokio::test]
async fn hung_token_endpoint() {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["request_ms"] = json!(100);
        options["timing"]["token_margin_ms"] = json!(900);
        weibo.fault(|faults| faults.expire_in = Some(1));
    })
    .await;
    bench.weibo.connected(1).await.unwrap();
    bench
        .weibo
        .fault(|faults| faults.token = Some(TokenFault::Hang));
    let hung = |event: &Event| matches!(event, Event::Token { outcome } if outcome == "Hang");
    bench.weibo.wait_events(3, hung).await.unwrap();
    bench.flush("hello").await;
    assert_eq!(connections(&bench), 1);
}

/// Another token is fetched, and the next connection stands.
#[tokio::test]
async fn close_4002_once() {
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
        assert_eq!(tokens(&bench), 2, "{code}");
    }
}

/// A reply that is written to a connection that has just ended must not hide why it ended.
#[tokio::test]
async fn close_4002_while_a_reply_waits() {
    for _ in 0..20 {
        let bench = Bench::with(|_, weibo| {
            weibo.fault(|faults| {
                faults.close = Some(Close {
                    code: 4002,
                    reason: String::new(),
                });
                faults.close_times = Some(1);
            });
        })
        .await;
        bench.hub.linked(1).await.unwrap();
        bench.reply("a", 0, 3, 3);
        assert_eq!(bench.delivered(3).await, ["a-0", "a-1", "a-2"]);
        assert_eq!(tokens(&bench), 2);
        assert_eq!(bench.weibo.bubbles(bench.owner).len(), 1);
    }
}

#[tokio::test]
async fn a_reason_with_invalid_token_fetches_another() {
    let bench = Bench::with(|_, weibo| {
        weibo.fault(|faults| {
            faults.close = Some(Close {
                code: 1008,
                reason: "Invalid token".into(),
            });
            faults.close_times = Some(1);
        });
    })
    .await;
    bench.weibo.connected(2).await.unwrap();
    bench.flush("hello").await;
    assert_eq!(tokens(&bench), 2);
}

/// One token is asked for at a try, and a wait lies between two. The bound of the requests a minute,
/// with the real waits, is in the session's own test of this name.
#[tokio::test]
async fn close_4002_for_ever() {
    const WAIT: u64 = 60;
    let bench = Bench::with(|options, weibo| {
        options["timing"]["backoff_min_ms"] = json!(WAIT);
        options["timing"]["backoff_max_ms"] = json!(WAIT);
        weibo.fault(|faults| {
            faults.close = Some(Close {
                code: 4002,
                reason: "invalid token".into(),
            });
        });
    })
    .await;
    bench.weibo.connected(8).await.unwrap();
    assert!(tokens(&bench) <= connections(&bench) + 1);
    let events = bench.weibo.protocol().snapshot();
    let tries: Vec<u64> = events
        .iter()
        .filter(|entry| matches!(entry.what, Event::Token { .. }))
        .map(|entry| entry.at_ms)
        .collect();
    for pair in tries.windows(2) {
        // Both ends are rounded to milliseconds.
        assert!(pair[1] + 2 >= pair[0] + WAIT, "{tries:?}");
    }
    bench.weibo.fault(|faults| faults.close = None);
    bench.flush("hello").await;
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
        assert_eq!(tokens(&bench), 2, "{status}");
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
async fn without_a_named_owner_nobody_gets_in_and_a_later_token_names_them() {
    let bench = Bench::with(|_, weibo| weibo.fault(|faults| faults.no_uid = true)).await;
    bench.weibo.connected(1).await.unwrap();
    bench.weibo.user_says(bench.owner, "me?");
    let refused = bench.inbound(1).await;
    assert_eq!(refused.access, ipc_schema::Access::Refused);
    bench.weibo.fault(|faults| faults.no_uid = false);
    bench.weibo.close(4002, "");
    bench.weibo.connected(2).await.unwrap();
    bench.flush("me!").await;
}
