//! What is owed to the hub, against a hub on a real socket that dies and comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

use fake_hub::{FakeHub, SOON, chunk, inbound};
use ipc_schema::{
    Activity, BlobRef, Body, Capabilities, CommandSpec, Deferred, DeliveryKept, Failure, Nack,
    Revise,
};
use tokio::time::timeout;
use worker_kit::hub::{Answer, BadCursor, NotFetched, OPEN_EVENTS};
use worker_kit::link::LinkConfig;
use worker_kit::{Hub, Work};

fn start(hub: &FakeHub) -> Hub {
    Hub::start(LinkConfig {
        address: hub.address().parse().unwrap(),
        software: "test 1".into(),
        kind: "test".into(),
        instance: "main".into(),
        generation: 1,
        capabilities: Capabilities::default(),
        link_key: hub.key(),
    })
}

fn events(hub: &FakeHub) -> Vec<String> {
    hub.ledger()
        .filter_map(|seen| seen.inbound().map(|inbound| inbound.event_id.clone()))
}

fn event(body: &Body) -> Option<String> {
    match body {
        Body::Inbound(inbound) => Some(inbound.event_id.clone()),
        _ => None,
    }
}

fn result(body: &Body) -> Option<(String, String)> {
    match body {
        Body::Delivered(delivered) => Some((delivered.key.clone(), delivered.platform_id.clone())),
        Body::DeliveryFailed(failed) => Some((failed.key.clone(), format!("{:?}", failed.failure))),
        _ => None,
    }
}

async fn work(worker: &Hub) -> Work {
    timeout(SOON, worker.next()).await.expect("work in time")
}

async fn key(worker: &Hub) -> String {
    match work(worker).await {
        Work::Deliver { deliver, .. } => deliver.key,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_is_offered_after_each_relink_until_it_is_accepted() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.accept = false);
    let worker = start(&hub);
    let offer = worker.offer(inbound("e1", "c"), "t").await;
    let joined = worker.offer(inbound("e1", "c"), "t").await;
    for times in 1..=3 {
        hub.wait_nth(times, event).await.unwrap();
        hub.drop_link();
        hub.linked(times + 1).await.unwrap();
    }
    hub.rule(|rules| rules.accept = true);
    hub.drop_link();
    timeout(SOON, offer.accepted()).await.unwrap().unwrap();
    timeout(SOON, joined.accepted()).await.unwrap().unwrap();
    timeout(SOON, worker.settled()).await.unwrap();
    assert!(events(&hub).iter().all(|id| id == "e1"));
    assert_eq!(worker.open_events(), 0);
}

#[tokio::test]
async fn a_deferred_event_is_told_kept_and_not_overtaken() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.accept = false);
    let worker = start(&hub);
    let mut first = worker.offer(inbound("e1", "c"), "").await;
    let second = worker.offer(inbound("e2", "c"), "").await;
    hub.wait(event).await.unwrap();
    let why = "the disk is full".to_string();
    hub.say(Body::Deferred(Deferred {
        event_id: "e1".into(),
        retry_after_ms: 1,
        why,
    }));
    let answer = timeout(SOON, first.answer()).await.unwrap();
    assert!(matches!(answer, Answer::Deferred { .. }), "{answer:?}");
    hub.wait_nth(2, event).await.unwrap();
    assert_eq!(events(&hub), ["e1", "e1"]);
    hub.accept("e1");
    assert_eq!(
        timeout(SOON, first.answer()).await.unwrap(),
        Answer::Accepted
    );
    assert_eq!(hub.wait_nth(3, event).await.unwrap(), "e2");
    hub.accept("e2");
    timeout(SOON, second.accepted()).await.unwrap().unwrap();
}

#[tokio::test]
async fn too_many_open_events_make_the_caller_wait() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.accept = false);
    let worker = start(&hub);
    for n in 0..OPEN_EVENTS {
        let _ = worker
            .offer(inbound(&format!("e{n}"), &format!("c{n}")), "")
            .await;
    }
    let one_more = worker.clone();
    let mut waiting =
        tokio::spawn(async move { one_more.inbound(inbound("late", "late"), "").await });
    // All credit is used up, so the hub has all that can come.
    hub.wait_nth(OPEN_EVENTS, event).await.unwrap();
    assert!(!waiting.is_finished());
    hub.accept("e0");
    assert_eq!(hub.wait_nth(OPEN_EVENTS + 1, event).await.unwrap(), "late");
    hub.accept("late");
    timeout(SOON, &mut waiting).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_event_that_the_hub_cannot_use_is_let_go() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.accept = false);
    let worker = start(&hub);
    let offer = worker.offer(inbound("bad", "c"), "").await;
    let next = worker.offer(inbound("good", "c"), "").await;
    hub.wait(event).await.unwrap();
    hub.say(Body::Nack(Nack {
        id: 2,
        why: "no".into(),
    })); // 1 was the Hello
    assert!(timeout(SOON, offer.accepted()).await.unwrap().is_err());
    hub.wait_nth(2, event).await.unwrap();
    hub.accept("good");
    timeout(SOON, next.accepted()).await.unwrap().unwrap();
    let mut long = inbound("long", "c");
    long.text = "x".repeat(ipc_schema::MAX_TEXT + 1);
    assert!(
        timeout(SOON, worker.inbound(long, ""))
            .await
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn a_chunk_comes_out_once_and_its_result_is_told_until_kept() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.keep_results = false);
    let worker = start(&hub);
    worker.linked().await;
    let deliver = || Body::Deliver(chunk("k1", "r", 0, 1, "a", "text"));
    hub.say(deliver());
    hub.say(deliver());
    assert_eq!(key(&worker).await, "k1");
    hub.drop_link();
    hub.linked(2).await.unwrap();
    hub.say(deliver()); // a hub that lost track hands it out again
    hub.say(Body::Activity(Activity {
        address: "a".into(),
        turn: "t".into(),
        working: true,
    }));
    assert!(
        matches!(work(&worker).await, Work::Activity(_)),
        "k1 is in flight"
    );
    worker.delivered("k1", "42");
    let delivered = ("k1".to_string(), "42".to_string());
    assert_eq!(hub.wait(result).await.unwrap(), delivered);
    hub.drop_link();
    hub.linked(3).await.unwrap();
    assert_eq!(
        hub.wait_nth(2, result).await.unwrap(),
        delivered,
        "told again after the relink"
    );
    hub.say(deliver());
    assert_eq!(
        hub.wait_nth(3, result).await.unwrap(),
        delivered,
        "a repeat is answered"
    );
    hub.say(Body::DeliveryKept(DeliveryKept { key: "k1".into() }));
    timeout(SOON, worker.settled()).await.unwrap();
    hub.say(Body::Deliver(chunk("k2", "r", 0, 1, "a", "")));
    assert_eq!(key(&worker).await, "k2");
    worker.failed("k2", Failure::Permanent, "gone");
    assert_eq!(hub.wait_nth(4, result).await.unwrap().1, "Permanent");
}

#[tokio::test]
async fn a_cursor_is_kept_when_the_call_returns() {
    let hub = FakeHub::start().unwrap();
    hub.set_cursor("old", b"before");
    hub.rule(|rules| rules.keep_cursors = false);
    let worker = start(&hub);
    worker.linked().await;
    assert_eq!(worker.cursor("old").as_deref(), Some(&b"before"[..]));
    assert_eq!(worker.cursor("new"), None);
    let putting = tokio::spawn({
        let worker = worker.clone();
        async move { worker.put_cursor("new", b"1".to_vec()).await }
    });
    hub.wait(|b| matches!(b, Body::CursorPut(_)).then_some(()))
        .await
        .unwrap();
    assert!(!putting.is_finished());
    hub.rule(|rules| rules.keep_cursors = true);
    hub.drop_link();
    timeout(SOON, putting).await.unwrap().unwrap().unwrap();
    assert_eq!(hub.cursor("new").as_deref(), Some(&b"1"[..]));
    assert_eq!(worker.cursor("new").as_deref(), Some(&b"1"[..]));
    assert_eq!(worker.put_cursor("", vec![]).await, Err(BadCursor::Name));
}

#[tokio::test]
async fn a_file_arrives_whole_through_a_relink() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.keep_files = false);
    let worker = start(&hub);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let putting = tokio::spawn({
        let (worker, bytes) = (worker.clone(), bytes.clone());
        async move {
            worker
                .put_blob(&bytes, "a.bin", "application/octet-stream")
                .await
        }
    });
    let segment = |body: &Body| matches!(body, Body::BlobSegment(_)).then_some(());
    hub.wait_nth(3, segment).await.unwrap();
    hub.rule(|rules| rules.keep_files = true);
    hub.drop_link();
    let blob = timeout(SOON, putting).await.unwrap().unwrap().unwrap();
    assert_eq!((blob.size, blob.name.as_str()), (3_000_000, "a.bin"));
    assert!(hub.file(&blob.sha256) == Some(bytes));
    let empty = timeout(SOON, worker.put_blob(b"", "", ""))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(hub.file(&empty.sha256), Some(Vec::new()));
}

#[tokio::test]
async fn a_file_that_the_hub_will_not_keep_is_said() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.keep_files = false);
    let worker = start(&hub);
    let putting = tokio::spawn(async move { worker.put_blob(b"x", "", "").await });
    hub.wait(|body| matches!(body, Body::BlobSegment(_)).then_some(()))
        .await
        .unwrap();
    hub.say(Body::Nack(Nack {
        id: 2,
        why: "the disk is full".into(),
    }));
    let unkept = timeout(SOON, putting).await.unwrap().unwrap().unwrap_err();
    assert!(unkept.to_string().contains("disk is full"));
}

#[tokio::test]
async fn a_kind_for_runners_is_nacked() {
    let hub = FakeHub::start().unwrap();
    let worker = start(&hub);
    worker.linked().await;
    hub.say(Body::OpenTurns(ipc_schema::OpenTurns { turns: Vec::new() }));
    hub.wait(|body| matches!(body, Body::Nack(_)).then_some(()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_is_fetched_whole_through_a_relink() {
    let hub = FakeHub::start().unwrap();
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let blob = hub.keep_file("a.bin", "", &bytes);
    let worker = start(&hub);
    worker.linked().await;
    hub.die();
    let fetching = {
        let (worker, blob) = (worker.clone(), blob.clone());
        tokio::spawn(async move { worker.fetch(&blob, 1 << 20).await })
    };
    hub.come_back();
    hub.linked(2).await.unwrap();
    assert!(timeout(SOON, fetching).await.unwrap().unwrap() == Ok(bytes));
    let empty = hub.keep_file("", "", b"");
    assert_eq!(worker.fetch(&empty, 0).await, Ok(Vec::new()));
    let large = worker.fetch(&blob, 1000).await;
    assert!(matches!(large, Err(NotFetched::TooLarge { .. })));
    let gone = BlobRef {
        sha256: "0".repeat(64),
        size: 1,
        ..BlobRef::default()
    };
    assert!(matches!(
        timeout(SOON, worker.fetch(&gone, 10)).await.unwrap(),
        Err(NotFetched::Gone(_))
    ));
}

#[tokio::test]
async fn of_progress_only_the_newest_form_waits_and_commands_are_known() {
    let hub = FakeHub::start().unwrap();
    let spec = CommandSpec {
        name: "new".into(),
        ..CommandSpec::default()
    };
    hub.rule(|rules| rules.commands = vec![spec.clone()]);
    let worker = start(&hub);
    worker.linked().await;
    assert_eq!(worker.commands(), [spec]);
    for text in ["1", "2", "3"] {
        hub.say(Body::Revise(Revise {
            platform_id: "7".into(),
            text: text.into(),
            ..Revise::default()
        }));
    }
    hub.say(Body::Deliver(chunk("k", "r", 0, 1, "a", "")));
    // In order: once the chunk is in hand, the forms were there before it.
    timeout(SOON, async {
        while worker.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let Work::Revise(revise) = work(&worker).await else {
        panic!("no form")
    };
    assert_eq!(revise.text, "3");
    assert_eq!(key(&worker).await, "k");
}
