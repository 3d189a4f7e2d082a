//! The gateway, fault by fault, named as in the list of cases that a Discord worker has to survive.

use std::time::Duration;

use fake_discord::{
    Act, Fault, GatewayFault, Host, Outcome, Part, Portal, RestAct, RestFault, Times, Wire,
};
use serde_json::json;

use crate::stage::{SOON, Stage};

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

/// A worker that is up, what a fault does to it, and that it comes back by a RESUME with nothing
/// lost or doubled.
async fn comes_back_by_resume(stage: &Stage, fault: impl AsyncFnOnce(&Stage)) {
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.dm(scene.owner, "before");
    stage.heard("before").await;
    let since = stage.discord.wire().next();
    fault(stage).await;
    stage.discord.dm(scene.owner, "meanwhile");
    assert!(matches!(stage.greeted(since).await, Wire::Resume { .. }));
    stage.discord.dm(scene.owner, "after");
    stage.heard("after").await;
    assert_eq!(stage.texts(), ["before", "meanwhile", "after"]);
    assert_eq!(stage.identifies().len(), 1);
    assert!(
        !stage
            .codes()
            .iter()
            .any(|code| matches!(code, Some(1000 | 1001))),
        "{:?}",
        stage.codes()
    );
}

// case 1
#[tokio::test]
async fn no_hello() {
    let stage = Stage::new().await;
    stage
        .discord
        .gateway_fault(GatewayFault::NoHello, Times::Next(1));
    let _worker = stage.up(json!({})).await;
    assert_eq!(stage.codes(), [Some(4000)]);
    assert_eq!(stage.identifies().len(), 1);
}

// case 2
#[tokio::test]
async fn half_open_after_ready() {
    let stage = Stage::with(|options| options.heartbeat_ms = 200).await;
    comes_back_by_resume(&stage, async |stage| stage.discord.now(Act::Mute)).await;
    assert_eq!(stage.codes().first(), Some(&Some(4000)));
}

// case 3
#[tokio::test]
async fn op7_mute_peer() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage.discord.now(Act::Reconnect { mute: true })
    })
    .await;
}

// case 28
#[tokio::test]
async fn op7_before_hello() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage
            .discord
            .gateway_fault(GatewayFault::ReconnectBeforeHello, Times::Next(1));
        stage.discord.now(Act::Cut { reset: true });
    })
    .await;
}

// case 22
#[tokio::test]
async fn op9_true() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage.discord.now(Act::InvalidSession { resumable: true });
    })
    .await;
}

#[tokio::test]
async fn a_dispatch_before_hello_is_no_event_of_ours() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage
            .discord
            .gateway_fault(GatewayFault::DispatchBeforeHello, Times::Next(1));
        stage.discord.now(Act::Close { code: 4000 });
    })
    .await;
}

// case 23
#[tokio::test]
async fn resume_url_dead() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage.discord.outage(Part::Resume).await;
        stage.discord.now(Act::Cut { reset: false });
    })
    .await;
}

// case 29
#[tokio::test]
async fn op1_request() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({})).await;
    stage.discord.now(Act::AskHeartbeat);
    let beat = |wire: &Wire| matches!(wire, Wire::Heartbeat { acked: true, .. });
    stage.discord.wait_wire(beat, SOON).await.unwrap();
}

// case 30
#[tokio::test]
async fn jitter_null() {
    let stage = Stage::with(|options| options.heartbeat_ms = 200).await;
    stage
        .discord
        .gateway_fault(GatewayFault::SilentIdentify, Times::Next(1));
    let _worker = stage.spawn(json!({}));
    let beat = |wire: &Wire| matches!(wire, Wire::Heartbeat { .. });
    let beat = stage.discord.wait_wire(beat, SOON).await.unwrap();
    let Wire::Heartbeat { seq, .. } = beat.what else {
        panic!()
    };
    assert_eq!(seq, None, "there was no event yet");
}

// case 21
#[tokio::test]
async fn op9_false() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.dm(scene.owner, "before");
    stage.heard("before").await;
    stage.settled().await;
    let since = stage.discord.wire().next();
    stage.discord.now(Act::InvalidSession { resumable: false });
    stage.discord.dm(scene.owner, "meanwhile");
    assert!(matches!(stage.greeted(since).await, Wire::Identify { .. }));
    stage.heard("meanwhile").await;
    stage.discord.dm(scene.owner, "after");
    stage.heard("after").await;
    assert_eq!(stage.texts(), ["before", "meanwhile", "after"]);
    assert_eq!((stage.identifies().len(), stage.resumes().len()), (2, 0));
}

// case 25
#[tokio::test]
async fn ready_backfill() {
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

// case 4
#[tokio::test]
async fn resume_reject_loop() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({})).await;
    let since = stage.discord.wire().next();
    stage.discord.gateway_fault(
        GatewayFault::RefuseResume { resumable: true },
        Times::Next(10),
    );
    stage.discord.now(Act::Cut { reset: false });
    assert!(matches!(stage.greeted(since).await, Wire::Identify { .. }));
    assert_eq!(stage.resumes().len(), 3);
}

// case 32
#[tokio::test]
async fn codes_4007_4009() {
    for code in [4007, 4009] {
        let stage = Stage::new().await;
        let scene = stage.discord.scene();
        let _worker = stage.up(json!({})).await;
        let since = stage.discord.wire().next();
        stage.discord.now(Act::Close { code });
        assert!(matches!(stage.greeted(since).await, Wire::Identify { .. }));
        stage.discord.dm(scene.owner, "hello");
        stage.heard("hello").await;
        assert_eq!(stage.resumes().len(), 0);
    }
}

// case 5
#[tokio::test]
async fn accept_close_storm() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({})).await;
    stage
        .discord
        .gateway_fault(GatewayFault::AcceptClose { code: None }, Times::Next(4));
    let since = stage.discord.wire().next();
    stage.discord.now(Act::Cut { reset: false });
    stage.greeted(since).await;
    let connects = stage
        .discord
        .wire()
        .count(|wire| matches!(wire, Wire::Connected { .. }));
    assert_eq!(
        connects, 6,
        "and the limit of ten a minute is a test of the session itself"
    );
}

// case 6
#[tokio::test]
async fn identify_budget_zero() {
    let stage = Stage::new().await;
    stage.discord.portal(Portal::IdentifyBudget {
        remaining: 0,
        reset_after_ms: 2_500,
    });
    let _worker = stage.up(json!({})).await;
    stage.said("daily limit of session starts").await;
    let reset = stage
        .discord
        .wire()
        .count(|wire| matches!(wire, Wire::TokenReset { .. }));
    assert_eq!((reset, stage.identifies().len()), (0, 1));
}

// case 7
#[tokio::test]
async fn crash_loop_budget() {
    let stage = Stage::new().await;
    for _ in 0..50 {
        let (wire, said) = (stage.discord.wire().next(), stage.said.next());
        let worker = stage.spawn(json!({}));
        tokio::select! {
            _ = stage.greeted(wire) => {}
            waits = stage.said.wait_for_since(said, |line| line.contains("a session may be begun in"), SOON) => {
                waits.unwrap();
            }
        }
        worker.kill().await;
        stage.hub.set_cursor("gateway", b""); // it dies before the session is kept
    }
    // Three at once, then one after each wait, and every wait is twice the one before: as many as
    // fit into the longest that these kills may take.
    let spent = stage.identifies().len();
    assert!((3..=10).contains(&spent), "{spent} of 50");
    let reset = |wire: &Wire| matches!(wire, Wire::TokenReset { .. });
    assert_eq!(stage.discord.wire().count(reset), 0);
}

// case 31
#[tokio::test]
async fn slow_acks_flood() {
    let stage = Stage::with(|options| options.heartbeat_ms = 100).await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.now(Act::NoAcks);
    let mut since = stage.discord.wire().next();
    for _ in 0..5 {
        stage
            .discord
            .user_says(scene.owner, scene.general, "not for the bot");
        let beat = |wire: &Wire| matches!(wire, Wire::Heartbeat { acked: false, .. });
        since = stage
            .discord
            .wire()
            .wait_for_since(since, beat, SOON)
            .await
            .unwrap()
            .index
            + 1;
        stage
            .discord
            .user_says(scene.owner, scene.general, "not for the bot");
    }
    let connects = stage
        .discord
        .wire()
        .count(|wire| matches!(wire, Wire::Connected { .. }));
    assert_eq!(connects, 1);
}

// case 8
#[tokio::test]
async fn kill9_resume() {
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

// case 9
#[tokio::test]
async fn seq_after_handoff() {
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

// case 24
#[tokio::test]
async fn replay_dup() {
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

// case 36
#[tokio::test]
async fn malformed_event() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    for body in [
        "canary",
        "{\"id\":",
        "[]",
        "{\"id\":\"canary\"}",
        "null",
        "{}",
    ] {
        let (name, body) = ("MESSAGE_CREATE".to_owned(), body.to_owned());
        stage.discord.now(Act::MalformedEvent { name, body });
    }
    stage.discord.now(Act::Event {
        name: "GUILD_CREATE".into(),
        body: json!("canary"),
    });
    stage.discord.now(Act::Event {
        name: "NEW_EVENT".into(),
        body: json!({"x": [1]}),
    });
    stage.discord.now(Act::Text {
        frame: "canary".into(),
    });
    stage.discord.now(Act::Binary { bytes: 100 });
    stage.settled().await; // the sequence advances past all of them
    stage.discord.dm(scene.owner, "hello");
    stage.heard("hello").await;
    stage.said("not as documented").await;
    assert_eq!(stage.said.count(|line| line.contains("canary")), 0);
    assert_eq!((stage.identifies().len(), stage.resumes().len()), (1, 0));
}

// case 42
#[tokio::test]
async fn oversize_fragmented() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    for act in [
        Act::EndlessFragments {
            count: 40,
            bytes: 1 << 20,
        },
        Act::Oversize { bytes: 20 << 20 },
        Act::Junk { bytes: 100 },
    ] {
        let since = stage.discord.wire().next();
        stage.discord.now(act);
        assert!(matches!(stage.greeted(since).await, Wire::Resume { .. }));
    }
    stage.discord.dm(scene.owner, "hello");
    stage.heard("hello").await;
    let peak = worker.peak_kib();
    assert!(peak < 80 * 1024, "{peak} KiB");
}

// case 38
#[tokio::test]
async fn guild_unavailable() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.portal(Portal::GuildOutage {
        guild: scene.guild,
        out: true,
    });
    stage.discord.portal(Portal::GuildOutage {
        guild: scene.guild,
        out: false,
    });
    stage.discord.user_says(
        scene.owner,
        scene.general,
        &format!("<@&{}> back", scene.role),
    );
    stage.heard("back").await;
    stage.said("connected as Bulkhead, 1 server").await;
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
async fn the_session_is_resumed_at_its_own_address() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage.discord.now(Act::Close { code: 4000 })
    })
    .await;
    let hosts = stage.discord.wire().filter_map(|wire| match wire {
        Wire::Connected { host, query, .. } => Some((*host, query.clone())),
        _ => None,
    });
    let query = "v=10&encoding=json".to_owned();
    assert_eq!(hosts, [(Host::Base, query.clone()), (Host::Resume, query)]);
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
