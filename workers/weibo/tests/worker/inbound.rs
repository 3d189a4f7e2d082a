//! What people say: access, ids, files, floods, and a hub that cannot take it.

use crate::stage::{Bench, granted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipc_schema::{Access, Body, Deferred};
use serde_json::{Value, json};

fn image(bytes: &[u8], mime: &str) -> Value {
    json!({"type": "input_image", "filename": "a.png", "source":
        {"type": "base64", "media_type": mime, "data": STANDARD.encode(bytes)}})
}

fn with_parts(id: &str, from: u64, parts: Value) -> Value {
    json!({"messageId": id, "fromUserId": from.to_string(), "timestamp": 1_776_632_033_273.5,
        "input": [{"type": "message", "role": "user", "content": parts}]})
}

#[tokio::test]
async fn a_message_comes_in_with_all_that_an_answer_needs() {
    let bench = Bench::new().await;
    let id = bench.weibo.user_says(bench.owner, "你好");
    let inbound = bench.inbound(1).await;
    let owner = bench.owner.to_string();
    assert_eq!(inbound.event_id, id);
    assert_eq!(inbound.conversation, format!("dm:{owner}"));
    assert_eq!((&inbound.address, &inbound.sender.id), (&owner, &owner));
    assert!(inbound.direct && !inbound.shared && inbound.access == Access::Granted);
    assert!(inbound.sender.owner);
    assert_eq!(
        (inbound.text.as_str(), inbound.sent_at_ms > 0),
        ("你好", true)
    );
    let traced = bench
        .hub
        .ledger()
        .find(|seen| seen.inbound().is_some())
        .unwrap();
    assert!(matches!(traced.what, fake_hub::Seen::Got(envelope) if !envelope.trace.is_empty()));
}

/// Each is refused once and without their words, and the owner does not notice.
#[tokio::test]
async fn strangers_flooding() {
    let bench = Bench::new().await;
    let stranger = 666;
    let first = bench.weibo.user_says(stranger, "let me in");
    bench.weibo.user_says(stranger, "let me in!");
    // More strangers than ids are remembered: they must not push out the owner's.
    let owners = with_parts(
        "theirs",
        bench.owner,
        json!([{"type": "input_text", "text": "x"}]),
    );
    bench.weibo.user_sends(&owners);
    (0..11_000).for_each(|n| drop(bench.weibo.user_says(10_000 + n, "hello")));
    bench.weibo.user_sends(&owners);
    bench.flush("y").await;
    let inbounds = bench.inbounds();
    assert_eq!(granted(&inbounds), ["x", "y"]);
    let refused: Vec<_> = inbounds
        .iter()
        .filter(|i| i.access == Access::Refused)
        .collect();
    assert_eq!(
        (&refused[0].event_id, &refused[0].sender.id),
        (&first, &stranger.to_string())
    );
    assert!(refused.iter().all(|inbound| inbound.text.is_empty()));
    assert_eq!(
        refused
            .iter()
            .filter(|i| i.sender.id == stranger.to_string())
            .count(),
        1
    );
    assert!(refused.len() <= 20, "{} an hour", refused.len());
}

#[tokio::test]
async fn an_allow_list_replaces_the_owner() {
    let bench = Bench::with(|options, _| options["allow_from"] = json!("7, 8")).await;
    bench.weibo.user_says(bench.owner, "not me");
    bench.weibo.user_says(8, "me");
    bench.inbound(2).await;
    assert_eq!(granted(&bench.inbounds()), ["me"]);
    assert!(
        bench
            .inbounds()
            .iter()
            .all(|i| i.sender.owner == (i.access == Access::Refused))
    );
}

#[tokio::test]
async fn ids_numeric_absent_and_repeated() {
    let bench = Bench::with(|_, weibo| weibo.fault(|faults| faults.duplicate = true)).await;
    let owner = bench.owner;
    let text = |text: &str| json!([{"type": "input_text", "text": text}]);
    let mut numeric = with_parts("", owner, text("numeric"));
    numeric["messageId"] = json!(4_611_686_018_427_387_904_u64);
    numeric["fromUserId"] = json!(owner);
    let mut absent = with_parts("", owner, text("absent"));
    absent.as_object_mut().unwrap().remove("messageId");
    bench.weibo.user_sends(&numeric);
    bench.weibo.user_sends(&absent);
    bench
        .weibo
        .user_sends(&with_parts("text", owner, text("text")));
    bench.flush("end").await;
    bench.weibo.user_sends(&absent); // and again when the first is long accepted
    bench.weibo.user_sends(&numeric);
    bench.flush("now").await;
    let inbounds = bench.inbounds();
    assert_eq!(
        granted(&inbounds),
        ["numeric", "absent", "text", "end", "now"]
    );
    assert_eq!(inbounds[0].event_id, "4611686018427387904");
}

/// A picture of 10 MiB arrives whole, and what is refused is named.
#[tokio::test]
async fn image_frame_of_14_mb() {
    let bench = Bench::new().await;
    let bytes: Vec<u8> = (0..10 << 20).map(|n: u32| (n % 253) as u8).collect();
    bench.weibo.user_sends(&with_parts(
        "big",
        bench.owner,
        json!([image(&bytes, "image/png")]),
    ));
    let inbound = bench.inbound(1).await;
    assert_eq!((inbound.text.as_str(), inbound.left_out.len()), ("", 0));
    let blob = &inbound.attachments[0];
    assert_eq!(
        (blob.name.as_str(), blob.mime.as_str()),
        ("a.png", "image/png")
    );
    assert!(bench.hub.file(&blob.sha256) == Some(bytes));
    let parts = json!([image(&[1; 100], "image/tiff"), {"type": "input_text", "text": "see"}]);
    bench
        .weibo
        .user_sends(&with_parts("odd", bench.owner, parts));
    let inbound = bench.inbound(2).await;
    assert_eq!(
        (inbound.text.as_str(), inbound.attachments.len()),
        ("see", 0)
    );
    assert_eq!(inbound.left_out, ["a.png: not jpeg, png, gif or webp"]);
}

/// All are offered, once and in order.
#[tokio::test]
async fn ten_thousand_messages_in_a_minute() {
    let bench = Bench::new().await;
    let all = 10_000;
    let ids: Vec<_> = (0..all)
        .map(|_| bench.weibo.user_says(bench.owner, "m"))
        .collect();
    bench.inbound(all).await;
    let offered: Vec<_> = bench
        .inbounds()
        .into_iter()
        .map(|inbound| inbound.event_id)
        .collect();
    assert!(offered == ids);
}

#[tokio::test]
async fn a_hub_that_is_away_gets_everything_when_it_is_back() {
    let bench = Bench::new().await;
    bench.flush("before").await;
    bench.hub.die();
    bench.weibo.user_says(bench.owner, "one");
    bench.weibo.user_says(bench.owner, "two");
    let said = |event: &fake_weibo::Event| matches!(event, fake_weibo::Event::Said { .. });
    bench.weibo.wait_events(3, said).await.unwrap();
    bench.hub.come_back();
    bench.inbound(3).await;
    assert_eq!(granted(&bench.inbounds()), ["before", "one", "two"]);
}

#[tokio::test]
async fn who_wrote_is_told_when_the_hub_cannot_commit() {
    let bench = Bench::new().await;
    bench.hub.rule(|rules| rules.accept = false);
    let event_id = bench.weibo.user_says(bench.owner, "hello");
    bench.inbound(1).await;
    let why = "the disk is full".to_string();
    bench.hub.say(Body::Deferred(Deferred {
        event_id,
        retry_after_ms: 20,
        why,
    }));
    let told = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert!(told[0].text.contains("重试"));
    bench.hub.rule(|rules| rules.accept = true);
    bench.inbound(2).await;
}

#[tokio::test]
async fn more_than_can_be_held_is_refused_in_words() {
    let bench = Bench::with(|_, _| {}).await;
    bench.flush("before").await;
    bench.hub.die();
    // Files wait for the hub; texts would be in its care already.
    let file = json!([image(&vec![7; 9 << 20], "image/png")]);
    (0..7).for_each(|n| {
        bench
            .weibo
            .user_sends(&with_parts(&format!("m{n}"), bench.owner, file.clone()));
    });
    let told = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert!(told[0].text.contains("稍后再发"));
    assert_eq!(bench.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn words_without_id_and_time_that_are_said_again_at_once_are_a_repeat() {
    let bench = Bench::new().await;
    let bare = json!({"fromUserId": bench.owner, "text": "go on"});
    bench.weibo.user_sends(&bare);
    bench.weibo.user_sends(&bare);
    bench.flush("end").await;
    assert_eq!(granted(&bench.inbounds()), ["go on", "end"]);
    assert_ne!(bench.inbounds()[0].event_id, "");
}

#[tokio::test]
async fn a_message_that_the_hub_cannot_use_is_told_to_who_wrote_it() {
    let bench = Bench::new().await;
    bench.hub.rule(|rules| rules.accept = false);
    bench.weibo.user_says(bench.owner, "hello");
    let offered = |seen: &fake_hub::Seen| seen.inbound().is_some();
    let entry = bench.hub.ledger().wait_for(offered, fake_hub::SOON);
    let fake_hub::Seen::Got(envelope) = entry.await.unwrap().what else {
        panic!("an event comes in an envelope");
    };
    let id = envelope.id;
    let why = "no such kind".to_string();
    bench.hub.say(Body::Nack(ipc_schema::Nack { id, why }));
    let told = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert!(told[0].text.contains("无法处理"), "{}", told[0].text);
}

#[tokio::test]
async fn a_drain_takes_in_what_weibo_had_sent_before_it() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    (0..200).for_each(|n| drop(bench.weibo.user_says(bench.owner, &format!("m{n}"))));
    let said = |event: &fake_weibo::Event| match event {
        fake_weibo::Event::Said { frame, .. } => Some(frame.clone()),
        _ => None,
    };
    let some = |event: &fake_weibo::Event| said(event).is_some();
    bench.weibo.wait_events(1, some).await.unwrap();
    let (hub, weibo) = bench.end_keeping().await;
    let sent = weibo.protocol().filter_map(said);
    let texts = hub
        .ledger()
        .filter_map(|seen| seen.inbound().map(|inbound| inbound.text.clone()));
    assert!(
        !sent.is_empty() && sent.len() == texts.len(),
        "{}",
        sent.len()
    );
    for (frame, text) in sent.iter().zip(&texts) {
        assert!(frame.contains(&format!("\"{text}\"")), "{text} for {frame}");
    }
}
