//! Files on their way to the owner.

use fake_weibo::{Event, FileFault};
use ipc_schema::{Body, Deliver, Delivered, DeliveryFailed, Failure, Lack};

use crate::stage::Bench;

/// Has the hub hand out a text with a file of `bytes` behind it.
fn hand_out(bench: &Bench, key: &str, text: &str, name: &str, bytes: &[u8], uid: u64) {
    let file = bench.hub.keep_file(name, "text/plain", bytes);
    bench.hub.say(Body::Deliver(Deliver {
        key: key.into(),
        reply: key.into(),
        index: 0,
        count: 1,
        address: uid.to_string(),
        text: text.into(),
        files: vec![file],
        ..Deliver::default()
    }));
}

async fn connected() -> Bench {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.hub.linked(1).await.unwrap();
    bench
}

async fn delivered(bench: &Bench) -> Delivered {
    let delivered = bench.hub.wait(|body| match body {
        Body::Delivered(delivered) => Some(delivered.clone()),
        Body::DeliveryFailed(failed) => panic!("{failed:?}"),
        _ => None,
    });
    delivered.await.unwrap()
}

async fn failed(bench: &Bench) -> DeliveryFailed {
    let failed = bench.hub.wait(|body| match body {
        Body::DeliveryFailed(failed) => Some(failed.clone()),
        _ => None,
    });
    failed.await.unwrap()
}

fn sent(event: &Event) -> bool {
    matches!(event, Event::File { .. })
}

#[tokio::test]
async fn a_file_comes_after_its_text_whole_and_under_its_name() {
    let bench = connected().await;
    let bytes: Vec<u8> = (0..3 << 20).map(|n: u32| (n % 251) as u8).collect();
    hand_out(&bench, "a-0", "see", "报告 1.txt", &bytes, bench.owner);
    let delivered = delivered(&bench).await;
    assert_eq!((&*delivered.key, &delivered.lacks[..]), ("a-0", &[][..]));
    let events = bench.weibo.protocol().filter_map(|event| match event {
        Event::Chunk { done: true, .. } => Some("text".to_owned()),
        Event::File { name, mime, .. } => Some(format!("{name} {mime}")),
        _ => None,
    });
    assert_eq!(events, ["text", "报告 1.txt text/plain"]);
    assert!(bench.weibo.files() == [bytes]);
    bench.end().await.unwrap();
}

#[tokio::test]
async fn a_file_may_come_alone() {
    let bench = connected().await;
    hand_out(&bench, "a-0", "", "a.txt", b"x", bench.owner);
    assert!(!delivered(&bench).await.platform_id.is_empty());
    assert_eq!(bench.weibo.bubbles(bench.owner), []);
    assert_eq!(bench.weibo.files(), [b"x"]);
}

#[tokio::test]
async fn others_than_the_owner_get_the_text_and_the_hub_hears_what_they_lack() {
    let bench = connected().await;
    hand_out(&bench, "a-0", "see", "a.txt", b"x", 7);
    assert_eq!(delivered(&bench).await.lacks, [Lack::Files]);
    assert_eq!(bench.weibo.bubbles(7)[0].text, "see");
    assert_eq!(bench.weibo.files(), [[0_u8; 0]; 0]);
}

#[tokio::test]
async fn trouble_that_passes_is_waited_out() {
    for fault in [FileFault::Status(503), FileFault::Code(9)] {
        let bench = connected().await;
        bench.weibo.fault(|faults| {
            faults.file = Some(fault);
            faults.file_times = Some(3);
        });
        hand_out(&bench, "a-0", "see", "a.txt", b"x", bench.owner);
        delivered(&bench).await;
        assert_eq!(bench.weibo.files(), [b"x"]);
        assert_eq!(bench.weibo.bubbles(bench.owner).len(), 1, "the text once");
    }
}

#[tokio::test]
async fn a_refused_token_is_fetched_anew() {
    let bench = connected().await;
    bench.weibo.fault(|faults| {
        faults.file = Some(FileFault::Token);
        faults.file_times = Some(1);
    });
    hand_out(&bench, "a-0", "", "a.txt", b"x", bench.owner);
    delivered(&bench).await;
    let tokens = |event: &Event| matches!(event, Event::Token { .. });
    assert_eq!(bench.weibo.protocol().count(tokens), 2);
}

/// The stated bound: nobody can tell whether a request without an answer was obeyed.
#[tokio::test]
async fn an_answer_that_is_lost_may_make_a_file_stand_twice() {
    let bench = connected().await;
    bench.weibo.fault(|faults| {
        faults.file = Some(FileFault::Drop);
        faults.file_times = Some(1);
    });
    hand_out(&bench, "a-0", "see", "a.txt", b"x", bench.owner);
    delivered(&bench).await;
    assert_eq!(bench.weibo.files().len(), 2);
    assert_eq!(bench.weibo.bubbles(bench.owner).len(), 1, "the text once");
}

#[tokio::test]
async fn what_stays_refused_is_given_up_in_words_and_the_lane_goes_on() {
    for fault in [FileFault::Status(413), FileFault::Status(500)] {
        let bench = connected().await;
        bench
            .weibo
            .fault(|faults| faults.file = Some(fault.clone()));
        hand_out(&bench, "a-0", "", "a.txt", b"x", bench.owner);
        bench.reply("b", 0, 1, 1);
        let failed = failed(&bench).await;
        assert_eq!((&*failed.key, failed.failure), ("a-0", Failure::Permanent));
        assert!(failed.why.contains("HTTP"), "{}", failed.why);
        bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
        assert_eq!(bench.weibo.protocol().count(sent), 0);
    }
}

#[tokio::test]
async fn a_file_that_the_hub_no_longer_has_or_that_is_too_large_is_given_up() {
    let bench = connected().await;
    let mut file = bench.hub.keep_file("a.txt", "", b"x");
    for (key, sha256, size) in [("a-0", "00", 1), ("b-0", &*file.sha256.clone(), 11 << 20)] {
        (file.sha256, file.size) = (sha256.into(), size);
        bench.hub.say(Body::Deliver(Deliver {
            key: key.into(),
            count: 1,
            address: bench.owner.to_string(),
            files: vec![file.clone()],
            ..Deliver::default()
        }));
    }
    let both = |body: &Body| matches!(body, Body::DeliveryFailed(_)).then_some(());
    bench.hub.wait_nth(2, both).await.unwrap();
    assert_eq!(bench.weibo.protocol().count(sent), 0);
}

#[tokio::test]
async fn a_drain_waits_for_a_file_that_is_under_way() {
    let bench = connected().await;
    hand_out(&bench, "a-0", "see", "a.txt", &[7; 1 << 20], bench.owner);
    bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    let (hub, weibo) = bench.end_keeping().await;
    assert_eq!(weibo.files().len(), 1);
    let delivered = hub
        .ledger()
        .count(|seen| matches!(seen.body(), Some(Body::Delivered(_))));
    assert_eq!(delivered, 1);
}
