//! Sessions that outlive their connections.

use super::client::{Gateway, INTENTS, Next, SOON};
use fake_discord::{Act, Ender, FakeDiscord, GatewayFault, Host, Options, Outcome, Times, Wire};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn missed_events_come_again_in_order_and_end_with_resumed() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let bot = Gateway::ready(&fake).await;
    fake.dm(scene.owner, "zero"); // sent, but not read before the end: it comes again
    let parted = bot.part();
    drop(bot);
    fake.wait_wire(
        |wire| {
            matches!(
                wire,
                Wire::Closed {
                    by: Ender::Client,
                    code: None,
                    ..
                }
            )
        },
        SOON,
    )
    .await
    .unwrap();
    fake.dm(scene.owner, "one");
    fake.dm(scene.owner, "two");
    let mut bot = parted.resume(&fake).await;
    for text in ["zero", "one", "two"] {
        assert_eq!(bot.event("MESSAGE_CREATE").await["content"], text);
    }
    bot.event("RESUMED").await;
    fake.dm(scene.owner, "three");
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "three");
    let resumed = fake
        .wire()
        .find(|wire| matches!(wire, Wire::Resume { .. }))
        .unwrap()
        .what;
    let Wire::Resume {
        host, seq, outcome, ..
    } = resumed
    else {
        panic!("{resumed:?}")
    };
    assert_eq!((host, seq), (Host::Resume, 2));
    assert_eq!(
        outcome,
        Outcome::Accepted {
            session: parted.session,
            replayed: 3
        }
    );
}

#[tokio::test]
async fn codes_1000_and_1001_end_the_session_and_others_do_not() {
    for (code, lives) in [(1000, false), (1001, false), (4000, true), (4999, true)] {
        let fake = FakeDiscord::start().await;
        let parted = Gateway::ready(&fake).await.close(code).await;
        let closed = |wire: &Wire| matches!(wire, Wire::Closed { by: Ender::Client, code: Some(it), .. } if *it == code);
        fake.wait_wire(closed, SOON).await.unwrap();
        let mut bot = parted.resume(&fake).await;
        let frame = bot.frame().await;
        if lives {
            assert_eq!(frame["t"], "RESUMED", "{code}");
        } else {
            assert_eq!(
                (&frame["op"], &frame["d"]),
                (&json!(9), &json!(false)),
                "{code}"
            );
        }
    }
}

#[tokio::test]
async fn a_resume_of_nothing_known_is_invalid() {
    let fake = FakeDiscord::start().await;
    let mut parted = Gateway::ready(&fake).await.part();
    parted.session = "unknown".into();
    assert_eq!(parted.resume(&fake).await.frame().await["op"], 9);
}

#[tokio::test]
async fn a_sequence_from_the_future_is_4007_and_ends_the_session() {
    let fake = FakeDiscord::start().await;
    let mut parted = Gateway::ready(&fake).await.part();
    parted.seq = Some(99);
    assert_eq!(parted.resume(&fake).await.end().await, Next::Closed(4007));
    parted.seq = Some(2);
    assert_eq!(parted.resume(&fake).await.frame().await["op"], 9);
}

#[tokio::test]
async fn a_session_is_lost_after_a_few_minutes_alone() {
    let fake = FakeDiscord::start().await;
    let parted = Gateway::ready(&fake).await.close(4000).await;
    fake.advance(Duration::from_secs(179));
    let bot = parted.resume(&fake).await;
    let parted = { bot }.close(4000).await;
    fake.wait_wire(
        |wire| matches!(wire, Wire::Closed { connection: 1, .. }),
        SOON,
    )
    .await
    .unwrap();
    fake.advance(Duration::from_secs(181));
    assert_eq!(parted.resume(&fake).await.frame().await["op"], 9);
}

#[tokio::test]
async fn the_replay_buffer_is_bounded() {
    let fake = FakeDiscord::start_with(Options {
        replay_events: 3,
        ..Options::default()
    })
    .await
    .unwrap();
    let parted = Gateway::ready(&fake).await.close(4000).await;
    (0..3).for_each(|n| {
        fake.dm(fake.scene().owner, &format!("{n}"));
    });
    let mut bot = parted.resume(&fake).await;
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "0");
    let parted = bot.close(4000).await; // read up to 0 only
    (3..6).for_each(|n| {
        fake.dm(fake.scene().owner, &format!("{n}"));
    });
    assert_eq!(parted.resume(&fake).await.frame().await["op"], 9);
}

#[tokio::test]
async fn a_second_connection_takes_the_session_over() {
    let fake = FakeDiscord::start().await;
    let mut first = Gateway::ready(&fake).await;
    let mut second = first.part().resume(&fake).await;
    second.event("RESUMED").await;
    assert_eq!(first.end().await, Next::Closed(4000));
    fake.dm(fake.scene().owner, "hello");
    second.event("MESSAGE_CREATE").await;
}

#[tokio::test]
async fn resume_works_on_the_base_address_too() {
    let fake = FakeDiscord::start().await;
    let mut parted = Gateway::ready(&fake).await.part();
    parted.url = fake.gateway_url();
    parted.resume(&fake).await.event("RESUMED").await;
}

#[tokio::test]
async fn resumes_can_be_refused_both_ways() {
    let fake = FakeDiscord::start().await;
    let parted = Gateway::ready(&fake).await.close(4000).await;
    fake.gateway_fault(
        GatewayFault::RefuseResume { resumable: true },
        Times::Next(1),
    );
    let mut bot = parted.resume(&fake).await;
    let frame = bot.frame().await;
    assert_eq!((&frame["op"], &frame["d"]), (&json!(9), &json!(true)));
    parted.resume(&fake).await.event("RESUMED").await;
    fake.gateway_fault(
        GatewayFault::RefuseResume { resumable: false },
        Times::Always,
    );
    for _ in 0..3 {
        assert_eq!(parted.resume(&fake).await.frame().await["d"], json!(false));
    }
    fake.clear_faults();
    assert_eq!(parted.resume(&fake).await.frame().await["op"], 9);
}

#[tokio::test]
async fn close_codes_on_request_end_the_session_where_they_say_so() {
    for (code, lives) in [(4000, true), (4008, true), (4007, false), (4009, false)] {
        let fake = FakeDiscord::start().await;
        let mut bot = Gateway::ready(&fake).await;
        fake.now(Act::Close { code });
        assert_eq!(bot.end().await, Next::Closed(code));
        let frame = bot.part().resume(&fake).await.frame().await;
        assert_eq!(frame["t"] == "RESUMED", lives, "{code} {frame}");
    }
}

#[tokio::test]
async fn an_invalidated_session_leaves_the_connection_without_one() {
    for resumable in [true, false] {
        let fake = FakeDiscord::start().await;
        fake.set(|options| options.max_concurrency = 2);
        let mut bot = Gateway::ready(&fake).await;
        let scene = fake.scene();
        fake.now(Act::InvalidSession { resumable });
        let frame = bot.frame().await;
        assert_eq!((&frame["op"], &frame["d"]), (&json!(9), &json!(resumable)));
        fake.user_says(scene.alice, scene.general, "meanwhile");
        let d =
            json!({ "token": fake.token(), "session_id": bot.session, "seq": bot.seq.unwrap() });
        bot.send(6, d).await;
        if resumable {
            assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "meanwhile");
            bot.event("RESUMED").await;
        } else {
            assert_eq!(bot.frame().await["d"], json!(false));
            bot.identify(INTENTS).await;
            bot.event("READY").await;
        }
    }
}

#[tokio::test]
async fn an_outage_and_its_end_leave_the_session_resumable() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.outage(fake_discord::Part::Main).await;
    assert_eq!(bot.end().await, Next::Cut);
    assert!(
        tokio_tungstenite::connect_async(fake.gateway_url())
            .await
            .is_err()
    );
    fake.dm(fake.scene().owner, "meanwhile");
    fake.restore(fake_discord::Part::Main).await.unwrap();
    let mut bot = bot.part().resume(&fake).await;
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "meanwhile");
}
