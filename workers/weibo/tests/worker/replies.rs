//! Replies: one message each, counted by pongs, whole through every kind of drop.

use crate::stage::{Bench, piece, pieces, unique};
use fake_hub::chunk;
use fake_weibo::Event;
use ipc_schema::{Body, Failure};
use serde_json::json;

fn all(reply: &str, count: u32) -> Vec<String> {
    (0..count).map(|index| piece(reply, index)).collect()
}

fn keys(reply: &str, count: u32) -> Vec<String> {
    (0..count).map(|index| format!("{reply}-{index}")).collect()
}

#[tokio::test]
async fn a_reply_is_one_message_in_order_and_each_chunk_is_delivered_once() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 20, 20);
    bench.reply("b", 0, 1, 1);
    let bubbles = bench.weibo.wait_reply(bench.owner, 2).await.unwrap();
    assert_eq!(
        (bubbles[0].text.clone(), bubbles[0].chunks),
        (all("a", 20).concat(), 20)
    );
    assert_eq!(bubbles[1].text, "<b0>");
    let mut expected = keys("a", 20);
    expected.extend(keys("b", 1));
    assert_eq!(bench.delivered(21).await, expected);
    assert_eq!(bench.weibo.violations(), [""; 0]);
    bench.end().await.unwrap();
}

#[tokio::test]
async fn nothing_is_delivered_without_a_pong_and_the_doubtful_goes_again() {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["pong_ms"] = json!(200);
        weibo.fault(|faults| faults.silent = true);
    })
    .await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 3, 3);
    bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    bench.weibo.connected(2).await.unwrap();
    let results = |body: &Body| matches!(body, Body::Delivered(_)).then_some(());
    assert_eq!(
        bench
            .hub
            .ledger()
            .count(|seen| seen.body().and_then(results).is_some()),
        0
    );
    bench.weibo.fault(|faults| faults.silent = false);
    assert_eq!(bench.delivered(3).await, keys("a", 3));
    // The stated bound: what was written after the last sign of life stands twice, as a whole.
    for bubble in bench.weibo.bubbles(bench.owner) {
        assert_eq!(bubble.text, all("a", 3).concat());
    }
    assert_eq!(bench.weibo.violations(), [""; 0]);
}

/// Nothing is lost, and the rest is a new message.
#[tokio::test]
async fn tcp_drop_in_a_20_chunk_reply() {
    let bench = Bench::with(|_, weibo| weibo.fault(|faults| faults.cut_after = Some(7))).await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 20, 20);
    assert_eq!(bench.delivered(20).await, keys("a", 20));
    let bubbles = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert_eq!(bubbles.len(), 2);
    assert_eq!(
        (bubbles[0].chunks, bubbles[0].done, bubbles[1].done),
        (7, false, true)
    );
    let shown: Vec<_> = bubbles
        .iter()
        .flat_map(|bubble| pieces(&bubble.text))
        .collect();
    assert_eq!(unique(shown), all("a", 20), "in order, nothing missing");
    assert_eq!(bench.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn what_has_its_pong_never_stands_twice() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 10, 20);
    bench.delivered(10).await;
    bench.weibo.cut();
    bench.weibo.connected(2).await.unwrap();
    bench.reply("a", 10, 20, 20);
    bench.delivered(20).await;
    let bubbles = bench.weibo.wait_reply(bench.owner, 2).await.unwrap();
    let texts: Vec<_> = bubbles.iter().map(|bubble| bubble.text.clone()).collect();
    assert_eq!(texts, [all("a", 10).concat(), all("a", 20)[10..].concat()]);
    assert_eq!(bench.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn chunks_that_fell_into_a_dead_line_are_sent_again() {
    let bench = Bench::with(|options, weibo| {
        options["timing"]["pong_ms"] = json!(200);
        weibo.fault(|faults| faults.deaf_after = Some(4));
    })
    .await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 9, 9);
    assert_eq!(bench.delivered(9).await, keys("a", 9));
    let bubbles = bench.weibo.bubbles(bench.owner);
    let shown: Vec<_> = bubbles
        .iter()
        .flat_map(|bubble| pieces(&bubble.text))
        .collect();
    assert_eq!(unique(shown), all("a", 9));
}

/// They wait.
#[tokio::test]
async fn replies_while_disconnected() {
    let bench = Bench::with(|_, weibo| weibo.fault(|faults| faults.upgrade = Some(503))).await;
    let refused = |event: &Event| matches!(event, Event::Refused { .. });
    bench.weibo.wait_events(1, refused).await.unwrap();
    bench.hub.linked(1).await.unwrap();
    bench.reply("a", 0, 3, 3);
    bench.weibo.wait_events(3, refused).await.unwrap();
    bench.weibo.fault(|faults| faults.upgrade = None);
    assert_eq!(bench.delivered(3).await, keys("a", 3));
    let bubbles = bench.weibo.bubbles(bench.owner);
    assert_eq!(
        (bubbles.len(), bubbles[0].text.clone()),
        (1, all("a", 3).concat())
    );
}

#[tokio::test]
async fn the_owner_is_written_to_without_having_written() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 1, 1);
    assert_eq!(bench.delivered(1).await, keys("a", 1));
    assert_eq!(bench.weibo.bubbles(bench.owner)[0].text, "<a0>");
    assert_eq!(bench.inbounds(), []);
}

#[tokio::test]
async fn a_message_left_open_is_closed_however_often_the_next_connection_fails() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 2, 5);
    bench.delivered(2).await;
    bench.weibo.fault(|faults| {
        faults.upgrade = Some(503);
        faults.upgrade_times = Some(3);
    });
    bench.weibo.cut();
    bench.weibo.connected(2).await.unwrap();
    let bubbles = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert_eq!(
        (bubbles[0].text.as_str(), bubbles[0].done),
        ("<a0><a1>", true)
    );
    assert_eq!(bench.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn a_reply_that_stops_half_way_is_finished_for_the_phone() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 2, 5);
    let bubbles = bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    assert_eq!(
        (bubbles[0].text.as_str(), bubbles[0].done),
        ("<a0><a1>", true)
    );
    bench.reply("a", 2, 3, 5);
    bench.reply("b", 0, 1, 1);
    let bubbles = bench.weibo.wait_reply(bench.owner, 3).await.unwrap();
    let texts: Vec<_> = bubbles.iter().map(|bubble| bubble.text.as_str()).collect();
    assert_eq!(texts, ["<a0><a1>", "<a2>", "<b0>"]);
    assert_eq!(bench.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn a_hub_that_dies_does_not_disturb_the_connection_and_hears_of_the_result() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.hub.rule(|rules| rules.keep_results = false);
    bench.reply("a", 0, 2, 2);
    bench.delivered(2).await;
    bench.hub.die();
    bench.hub.come_back();
    bench.hub.linked(2).await.unwrap();
    bench.delivered(4).await;
    bench.reply("a", 0, 2, 2); // a hub that lost track hands it out again
    bench.delivered(6).await;
    assert_eq!(
        bench.weibo.bubbles(bench.owner).len(),
        1,
        "and it is not posted again"
    );
    let connections = bench
        .weibo
        .protocol()
        .count(|e| matches!(e, Event::Connected { .. }));
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn a_drain_hands_back_what_it_cannot_write() {
    let bench = Bench::with(|_, weibo| weibo.fault(|faults| faults.upgrade = Some(503))).await;
    let refused = |event: &Event| matches!(event, Event::Refused { .. });
    bench.weibo.wait_events(1, refused).await.unwrap();
    bench.hub.linked(1).await.unwrap();
    bench.reply("a", 0, 1, 1);
    // Comes after the chunk on the link, so the chunk is in hand once this is refused.
    bench
        .hub
        .say(Body::OpenTurns(ipc_schema::OpenTurns { turns: Vec::new() }));
    bench
        .hub
        .wait(|body| matches!(body, Body::Nack(_)).then_some(()))
        .await
        .unwrap();
    bench.drain.send_replace(true);
    let failed = bench.hub.wait(|body| match body {
        Body::DeliveryFailed(failed) => Some((failed.key.clone(), failed.failure)),
        _ => None,
    });
    let (key, failure) = failed.await.unwrap();
    assert_eq!(key, "a-0");
    assert!(matches!(failure, Failure::Retry(_)));
    bench.end().await.unwrap();
}

#[tokio::test]
async fn a_drain_waits_for_the_pong_of_what_was_written() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    bench.reply("a", 0, 5, 5);
    bench.weibo.wait_reply(bench.owner, 1).await.unwrap();
    let hub = bench.hub.ledger().clone();
    bench.end().await.unwrap();
    let delivered = hub.count(|seen| matches!(seen.body(), Some(Body::Delivered(_))));
    assert_eq!(delivered, 5);
}

#[tokio::test]
async fn people_get_their_own_replies() {
    let bench = Bench::new().await;
    bench.weibo.connected(1).await.unwrap();
    for n in 0..40_u64 {
        let (key, address) = (format!("k{n}"), (n % 4).to_string());
        bench.hub.say(Body::Deliver(chunk(
            &key,
            &key,
            0,
            1,
            &address,
            &format!("{n} "),
        )));
    }
    bench.delivered(40).await;
    for uid in 0..4 {
        let texts: String = bench
            .weibo
            .bubbles(uid)
            .into_iter()
            .map(|b| b.text)
            .collect();
        let expected: String = (0..10).map(|n| format!("{} ", 4 * n + uid)).collect();
        assert_eq!(texts, expected);
    }
}
