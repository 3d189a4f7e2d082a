//! Nothing is lost and nothing doubled between Discord and the hub, whoever dies or falls behind;
//! the cases are named as in the list that a Discord worker has to survive.

use std::time::Duration;

use fake_discord::{Act, Fault, GatewayFault, Outcome, RestAct, RestFault, Times, Wire};
use serde_json::json;

use crate::stage::{SOON, Stage};

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn case_25_ready_backfill() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    stage.discord.dm(scene.owner, "dm one");
    stage.mention(scene.owner, scene.general, "one");
    stage.heard("one").await;
    stage.settled().await;
    worker.kill().await;
    // The session is over by the time that the worker is back.
    stage.discord.dm(scene.owner, "dm two");
    stage
        .discord
        .user_says(scene.owner, scene.general, "not for the bot");
    stage.mention(scene.owner, scene.general, "two");
    stage.mention(scene.owner, scene.general, "three");
    stage.discord.gateway_fault(
        GatewayFault::RefuseResume { resumable: false },
        Times::Next(1),
    );
    let history = RestFault {
        method: Some("GET".into()),
        route: Some("/channels/{channel.id}/messages".into()),
        skip: 0,
        times: Times::Next(1),
        what: RestAct::HoldRequest,
    };
    let hold = stage.discord.fault(Fault::Rest(history)).unwrap();
    let _worker = stage.up(json!({})).await;
    assert!(hold.reached(SOON).await);
    // What comes meanwhile must not hide what was missed, nor overtake it.
    stage
        .discord
        .user_says(scene.owner, scene.general, "not for the bot either");
    stage.mention(scene.owner, scene.general, "four");
    hold.release();
    stage.heard("four").await;
    let texts = stage.texts();
    let in_general: Vec<_> = texts
        .iter()
        .filter(|text| !text.starts_with("dm"))
        .collect();
    assert_eq!(in_general, ["one", "two", "three", "four"]);
    let direct: Vec<_> = texts.iter().filter(|text| text.starts_with("dm")).collect();
    assert_eq!(direct, ["dm one", "dm two"]);
    assert_eq!(stage.identifies().len(), 2);
    stage.settled().await;
}

#[tokio::test]
async fn case_08_kill9_resume() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let mut worker = stage.up(json!({})).await;
    for round in 0..3 {
        for n in 0..5 {
            stage.discord.dm(scene.owner, &format!("{round} {n}"));
        }
        stage.heard(&format!("{round} 2")).await;
        worker.kill().await;
        stage.discord.dm(scene.owner, &format!("{round} down"));
        worker = stage.up(json!({})).await;
        stage.heard(&format!("{round} down")).await;
    }
    stage.settled().await;
    let mut texts = stage.texts();
    texts.sort();
    texts.dedup(); // the hub drops what is offered twice
    assert_eq!(texts.len(), 18, "{texts:?}");
    let resumes = stage.resumes();
    assert!(
        resumes.len() == 3 && resumes.iter().all(|(_, _, outcome)| accepted(outcome)),
        "{resumes:?}"
    );
    assert_eq!(stage.identifies().len(), 1);
}

#[tokio::test]
async fn case_09_seq_after_handoff() {
    let stage = Stage::with(|options| options.heartbeat_ms = 100).await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    stage.settled().await;
    stage.hub.rule(|rules| rules.accept = false);
    stage.discord.dm(scene.owner, "stalled");
    stage.discord.dm(scene.owner, "behind it");
    stage.heard("stalled").await;
    let create = |wire: &Wire| match wire {
        Wire::Dispatched { seq, event, .. } if event == "MESSAGE_CREATE" => Some(*seq),
        _ => None,
    };
    let undelivered = stage.discord.wire().filter_map(create)[0];
    let mut since = stage.discord.wire().next();
    // Long enough for a commit, if there were anything to commit.
    for _ in 0..12 {
        let beat = |wire: &Wire| matches!(wire, Wire::Heartbeat { .. });
        let entry = stage
            .discord
            .wire()
            .wait_for_since(since, beat, SOON)
            .await
            .unwrap();
        since = entry.index + 1;
        let Wire::Heartbeat { seq, .. } = entry.what else {
            continue;
        };
        assert!(
            seq.unwrap_or(0) < undelivered,
            "{seq:?} passes {undelivered}"
        );
    }
    worker.kill().await;
    stage.hub.rule(|rules| rules.accept = true);
    let _worker = stage.up(json!({})).await;
    stage.heard("behind it").await;
    stage.settled().await;
    assert!(stage.resumes()[0].1 < undelivered);
    assert_eq!(stage.texts(), ["stalled", "stalled", "behind it"]);
}

#[tokio::test]
async fn more_than_fits_is_fetched_again() {
    let stage = Stage::with(|options| options.rate_limits = false).await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.hub.rule(|rules| rules.accept = false);
    for n in 0..1500 {
        stage.discord.dm(scene.owner, &format!("{n}"));
    }
    stage.said("too many messages wait for the hub").await;
    stage.hub.rule(|rules| rules.accept = true);
    stage.hub.drop_link(); // a new link offers again
    stage.heard("1499").await;
    stage.settled().await;
    let mut seen = std::collections::HashSet::new();
    let order: Vec<_> = stage
        .texts()
        .into_iter()
        .filter(|text| seen.insert(text.clone()))
        .collect();
    let expected: Vec<_> = (0..1500).map(|n| n.to_string()).collect();
    assert_eq!(order, expected, "each in its place");
}

#[tokio::test]
async fn case_24_replay_dup() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let message = stage.discord.dm(scene.owner, "once");
    stage.heard("once").await;
    stage.settled().await;
    stage.discord.now(Act::RepeatLast);
    stage.discord.now(Act::RepeatMessage { message });
    stage.discord.dm(scene.owner, "next");
    stage.heard("next").await;
    assert_eq!(stage.texts(), ["once", "next"]);
}

#[tokio::test]
async fn a_hub_that_dies_costs_no_connection() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.hub.die();
    stage.discord.dm(scene.owner, "meanwhile");
    stage.hub.come_back();
    stage.heard("meanwhile").await;
    stage.settled().await;
    let connects = stage
        .discord
        .wire()
        .count(|wire| matches!(wire, Wire::Connected { .. }));
    assert_eq!(connects, 1);
}

#[tokio::test]
async fn a_bot_that_was_offline_for_hours_reads_its_channels_back() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    stage.discord.dm(scene.owner, "one");
    stage.heard("one").await;
    stage.settled().await;
    assert_eq!(worker.drain().await, 0);
    stage.discord.advance(Duration::from_secs(7200));
    stage.discord.dm(scene.owner, "two");
    let _worker = stage.up(json!({})).await;
    stage.heard("two").await;
    stage.settled().await;
    assert_eq!(stage.texts(), ["one", "two"]);
}

#[tokio::test]
async fn a_gap_in_what_was_read_back_is_told_to_the_next_who_is_answered_there() {
    let stage = Stage::with(|options| options.rate_limits = false).await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    stage.mention(scene.owner, scene.general, "one");
    stage.heard("one").await;
    stage.settled().await;
    worker.kill().await;
    stage.mention(scene.owner, scene.general, "too old");
    for n in 0..299 {
        let noise = format!("noise {n}");
        stage.discord.user_says(scene.alice, scene.general, &noise);
    }
    stage.mention(scene.owner, scene.general, "two");
    stage.discord.gateway_fault(
        GatewayFault::RefuseResume { resumable: false },
        Times::Next(1),
    );
    let worker = stage.up(json!({})).await;
    let it = stage.heard("two").await;
    assert_eq!(it.left_out.len(), 1);
    assert!(it.left_out[0].starts_with("older messages here: more than 300 came"));
    stage.settled().await;
    stage.mention(scene.owner, scene.general, "three");
    assert_eq!(stage.heard("three").await.left_out, [""; 0]);
    stage.settled().await;
    worker.kill().await;
    // One less is none.
    for n in 0..299 {
        let noise = format!("more noise {n}");
        stage.discord.user_says(scene.alice, scene.general, &noise);
    }
    stage.mention(scene.owner, scene.general, "four");
    stage.discord.gateway_fault(
        GatewayFault::RefuseResume { resumable: false },
        Times::Next(1),
    );
    let _worker = stage.up(json!({})).await;
    assert_eq!(stage.heard("four").await.left_out, [""; 0]);
    assert_eq!(stage.texts(), ["one", "two", "three", "four"]);
}
