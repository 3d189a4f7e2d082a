//! Faults on request, on the gateway and on REST.

use super::client::{Gateway, INTENTS, Next, Rest, SOON, http};
use fake_discord::{Act, Ender, FakeDiscord, GatewayFault, RestAct, Times, Wire};
use futures_util::{FutureExt, StreamExt};
use serde_json::json;

#[tokio::test]
async fn no_hello_as_often_as_asked() {
    let fake = FakeDiscord::start().await;
    fake.gateway_fault(GatewayFault::NoHello, Times::Next(1));
    let mut silent = Gateway::connect(&fake).await;
    let mut fine = Gateway::connect(&fake).await;
    fine.hello().await;
    // Had there been a Hello, it would have come before that of the later connection.
    assert!(silent.socket.next().now_or_never().is_none());
}

#[tokio::test]
async fn accept_then_close() {
    let fake = FakeDiscord::start().await;
    fake.gateway_fault(GatewayFault::AcceptClose { code: None }, Times::Next(1));
    assert_eq!(Gateway::connect(&fake).await.next().await, Next::Cut);
    fake.gateway_fault(
        GatewayFault::AcceptClose { code: Some(1006) },
        Times::Next(0),
    );
    fake.gateway_fault(
        GatewayFault::AcceptClose { code: Some(4000) },
        Times::Next(1),
    );
    assert_eq!(
        Gateway::connect(&fake).await.next().await,
        Next::Closed(4000)
    );
    Gateway::connect(&fake).await.hello().await;
}

#[tokio::test]
async fn an_upgrade_can_be_refused() {
    let fake = FakeDiscord::start().await;
    fake.gateway_fault(GatewayFault::RefuseUpgrade { status: 503 }, Times::Next(1));
    let url = format!("{}/?v=10&encoding=json", fake.gateway_url());
    let error = tokio_tungstenite::connect_async(url).await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    Gateway::connect(&fake).await.hello().await;
}

#[tokio::test]
async fn things_before_hello() {
    let fake = FakeDiscord::start().await;
    fake.gateway_fault(GatewayFault::ReconnectBeforeHello, Times::Next(1));
    let mut bot = Gateway::connect(&fake).await;
    assert_eq!(bot.frame().await["op"], 7);
    bot.hello().await;
    fake.gateway_fault(GatewayFault::DispatchBeforeHello, Times::Next(1));
    let mut bot = Gateway::connect(&fake).await;
    assert_eq!(bot.frame().await["op"], 0);
    bot.hello().await;
}

#[tokio::test]
async fn mute_after_ready_takes_a_close_without_answering_it() {
    let fake = FakeDiscord::start().await;
    fake.gateway_fault(GatewayFault::MuteAfterReady, Times::Next(1));
    let mut bot = Gateway::ready(&fake).await;
    bot.send(1, json!(bot.seq)).await;
    let unanswered = |wire: &Wire| matches!(wire, Wire::Heartbeat { acked: false, .. });
    fake.wait_wire(unanswered, SOON).await.unwrap();
    fake.dm(fake.scene().owner, "unheard");
    let parted = bot.part();
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 4000.into(),
        reason: "".into(),
    };
    bot.socket.close(Some(frame)).await.unwrap();
    let closed = |wire: &Wire| {
        matches!(
            wire,
            Wire::Closed {
                by: Ender::Client,
                code: Some(4000),
                ..
            }
        )
    };
    fake.wait_wire(closed, SOON).await.unwrap();
    assert!(bot.socket.next().now_or_never().is_none());
    let mut bot = parted.resume(&fake).await;
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "unheard");
    bot.event("RESUMED").await;
}

#[tokio::test]
async fn without_acks_events_still_come() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.now(Act::NoAcks);
    bot.send(1, json!(bot.seq)).await;
    fake.wait_wire(
        |wire| matches!(wire, Wire::Heartbeat { acked: false, .. }),
        SOON,
    )
    .await
    .unwrap();
    fake.dm(fake.scene().owner, "still");
    bot.event("MESSAGE_CREATE").await;
    fake.now(Act::Unmute);
    assert_eq!(bot.beat().await["op"], 11);
}

#[tokio::test]
async fn op7_with_and_without_silence() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.now(Act::Reconnect { mute: false });
    assert_eq!(bot.frame().await["op"], 7);
    assert_eq!(bot.beat().await["op"], 11);
    fake.now(Act::Reconnect { mute: true });
    assert_eq!(bot.frame().await["op"], 7);
    let parted = bot.part();
    // The mute peer keeps its socket while the session moves on.
    parted.resume(&fake).await.event("RESUMED").await;
    assert!(bot.socket.next().now_or_never().is_none());
}

#[tokio::test]
async fn op9_now() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.now(Act::InvalidSession { resumable: true });
    assert_eq!(bot.frame().await["d"], true);
    let mut bot = bot.part().resume(&fake).await;
    bot.event("RESUMED").await;
    fake.now(Act::InvalidSession { resumable: false });
    // Both connections are open and both hear it.
    assert_eq!(bot.frame().await["d"], false);
    assert_eq!(bot.part().resume(&fake).await.frame().await["op"], 9);
}

#[tokio::test]
async fn a_cut_has_no_close_frame() {
    for reset in [false, true] {
        let fake = FakeDiscord::start().await;
        let mut bot = Gateway::ready(&fake).await;
        fake.now(Act::Cut { reset });
        assert_eq!(bot.end().await, Next::Cut);
        bot.part().resume(&fake).await.event("RESUMED").await;
    }
}

#[tokio::test]
async fn the_same_event_twice_with_the_same_or_a_new_sequence() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    let message = fake.dm(fake.scene().owner, "once");
    let first = bot.frame().await;
    fake.now(Act::RepeatLast);
    assert_eq!(bot.frame().await, first);
    fake.now(Act::RepeatMessage { message });
    let again = bot.frame().await;
    assert_eq!(again["d"], first["d"]);
    assert_eq!(
        again["s"].as_u64().unwrap(),
        first["s"].as_u64().unwrap() + 1
    );
}

#[tokio::test]
async fn malformed_and_strange_events_are_numbered() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.now(Act::Event {
        name: "MESSAGE_CREATE".into(),
        body: json!({ "id": 5, "author": null }),
    });
    assert_eq!(bot.event("MESSAGE_CREATE").await["author"], json!(null));
    fake.now(Act::MalformedEvent {
        name: "MESSAGE_CREATE".into(),
        body: "{\"id\":".into(),
    });
    let raw = bot
        .socket
        .next()
        .await
        .unwrap()
        .unwrap()
        .into_text()
        .unwrap();
    assert!(raw.contains("\"s\":4") && serde_json::from_str::<serde_json::Value>(&raw).is_err());
    fake.dm(fake.scene().owner, "after");
    assert_eq!(bot.frame().await["s"], 5);
}

#[tokio::test]
async fn junk_large_and_endless_frames() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.now(Act::Text {
        frame: "hello?".into(),
    });
    assert_eq!(
        bot.socket
            .next()
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap(),
        "hello?"
    );
    fake.now(Act::Binary { bytes: 9 });
    assert_eq!(bot.socket.next().await.unwrap().unwrap().len(), 9);
    fake.now(Act::Oversize { bytes: 3 << 20 });
    assert_eq!(bot.socket.next().await.unwrap().unwrap().len(), 3 << 20);
    fake.now(Act::EndlessFragments {
        count: 40,
        bytes: 1 << 20,
    });
    // The default client takes 64 MiB a message; 40 MiB that never end give it nothing yet.
    fake.now(Act::Junk { bytes: 100 });
    assert_eq!(bot.end().await, Next::Cut);
}

#[tokio::test]
async fn a_lost_response_has_been_done_and_a_cut_request_has_not() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let rest = Rest::new(&fake);
    let path = format!("/channels/{}/messages", scene.general);
    fake.lose_post_response(1);
    rest.say(scene.general, "passes").await.id();
    assert!(
        rest.request("POST", &path)
            .json(&json!({ "content": "lost" }))
            .send()
            .await
            .is_err()
    );
    fake.rest_fault("POST", &path, Times::Next(1), RestAct::Cut);
    assert!(
        rest.request("POST", &path)
            .json(&json!({ "content": "cut" }))
            .send()
            .await
            .is_err()
    );
    let shown: Vec<_> = fake
        .transcript(scene.general)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(shown, ["passes", "lost"]);
    assert_eq!(
        fake.wire()
            .count(|wire| matches!(wire, Wire::Unanswered { .. })),
        2
    );
}

#[tokio::test]
async fn a_held_response_waits_after_the_message_stands() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let rest = Rest::new(&fake);
    let hold = fake.hold_post_response(0);
    let post = tokio::spawn(async move { rest.say(scene.general, "held").await });
    assert!(hold.reached(SOON).await);
    assert_eq!(fake.transcript(scene.general).len(), 1);
    assert!(!post.is_finished());
    hold.release();
    post.await.unwrap().id();
}

#[tokio::test]
async fn a_held_request_is_not_done_before_it_is_released_and_its_sender_may_leave() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let rest = Rest::new(&fake);
    let hold = fake.hold_post_request(0);
    let post = tokio::spawn(async move { rest.say(scene.general, "held").await });
    assert!(hold.reached(SOON).await);
    assert!(fake.transcript(scene.general).is_empty());
    post.abort();
    fake.wait_wire(|wire| matches!(wire, Wire::Unanswered { .. }), SOON)
        .await
        .unwrap();
    hold.release();
    assert!(fake.transcript(scene.general).is_empty());
}

#[tokio::test]
async fn limits_and_errors_on_request() {
    let fake = FakeDiscord::start().await;
    let rest = Rest::new(&fake);
    fake.any_rest_fault(Times::Next(1), RestAct::GlobalLimit { retry_after: 1.5 });
    let got = rest.get("/users/@me").await;
    assert_eq!(
        (got.status, &got.body["global"], &got.body["retry_after"]),
        (429, &json!(true), &json!(1.5))
    );
    assert_eq!(
        (got.header("retry-after"), got.header("x-ratelimit-global")),
        ("2", "true")
    );
    fake.any_rest_fault(
        Times::Next(1),
        RestAct::UserLimit {
            retry_after: 0.3,
            shared: true,
        },
    );
    let got = rest.get("/users/@me").await;
    assert_eq!(
        (got.status, got.header("x-ratelimit-scope")),
        (429, "shared")
    );
    fake.any_rest_fault(Times::Next(1), RestAct::Cloudflare { retry_after: None });
    let got = rest.get("/users/@me").await;
    assert_eq!((got.status, got.header("retry-after")), (429, ""));
    assert!(got.header("content-type").starts_with("text/html") && got.text.contains("1015"));
    fake.rest_fault(
        "GET",
        "/users/@me",
        Times::Next(1),
        RestAct::Error {
            status: 500,
            code: 0,
            message: "oops".into(),
        },
    );
    assert_eq!(rest.get("/users/@me/guilds").await.status, 200);
    assert_eq!(rest.get("/users/@me").await.status, 500);
    fake.any_rest_fault(Times::Next(1), RestAct::Garbage);
    let got = rest.get("/users/@me").await;
    assert!(got.status == 200 && got.body.is_null());
    fake.any_rest_fault(
        Times::ForMs(60_000),
        RestAct::Cloudflare {
            retry_after: Some(60),
        },
    );
    assert_eq!(rest.get("/users/@me").await.status, 429);
    fake.advance(std::time::Duration::from_secs(60));
    assert_eq!(rest.get("/users/@me").await.status, 200);
}

#[tokio::test]
async fn a_hanging_request_is_never_answered() {
    let fake = FakeDiscord::start().await;
    fake.any_rest_fault(Times::Next(1), RestAct::Hang);
    let url = format!("{}/users/@me", fake.api_base());
    let request = http()
        .get(url)
        .timeout(std::time::Duration::from_millis(50))
        .send();
    assert!(request.await.unwrap_err().is_timeout());
    fake.wait_wire(|wire| matches!(wire, Wire::Unanswered { .. }), SOON)
        .await
        .unwrap();
}

#[tokio::test]
async fn silent_resume_and_refused_identify() {
    let fake = FakeDiscord::start().await;
    let parted = Gateway::ready(&fake).await.close(4000).await;
    fake.gateway_fault(GatewayFault::SilentResume, Times::Next(1));
    let mut bot = parted.resume(&fake).await;
    assert_eq!(bot.beat().await["op"], 11); // alive, and the only answer
    fake.advance(std::time::Duration::from_secs(5));
    fake.gateway_fault(GatewayFault::RefuseIdentify, Times::Next(1));
    let mut bot = Gateway::connect(&fake).await;
    bot.hello().await;
    bot.identify(INTENTS).await;
    assert_eq!(bot.frame().await["op"], 9);
}

#[tokio::test]
async fn latency_delays_but_keeps_the_order() {
    let fake = FakeDiscord::start().await;
    fake.set(|options| options.latency_ms = 5);
    let mut bot = Gateway::ready(&fake).await;
    for text in ["one", "two", "three"] {
        fake.dm(fake.scene().owner, text);
    }
    for text in ["one", "two", "three"] {
        assert_eq!(bot.event("MESSAGE_CREATE").await["content"], text);
    }
    assert_eq!(Rest::new(&fake).get("/users/@me").await.status, 200);
}
