//! The gateway, fault by fault, named as in the list of cases that a Discord worker has to survive.

use fake_discord::{Act, GatewayFault, Host, Part, Portal, Times, Wire};
use serde_json::json;

use crate::stage::{SOON, Stage};

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

#[tokio::test]
async fn case_01_no_hello() {
    let stage = Stage::new().await;
    stage
        .discord
        .gateway_fault(GatewayFault::NoHello, Times::Next(1));
    let _worker = stage.up(json!({})).await;
    assert_eq!(stage.codes(), [Some(4000)]);
    assert_eq!(stage.identifies().len(), 1);
}

#[tokio::test]
async fn case_02_half_open_after_ready() {
    let stage = Stage::with(|options| options.heartbeat_ms = 200).await;
    comes_back_by_resume(&stage, async |stage| stage.discord.now(Act::Mute)).await;
    assert_eq!(stage.codes().first(), Some(&Some(4000)));
}

#[tokio::test]
async fn case_03_op7_mute_peer() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage.discord.now(Act::Reconnect { mute: true })
    })
    .await;
}

#[tokio::test]
async fn case_28_op7_before_hello() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage
            .discord
            .gateway_fault(GatewayFault::ReconnectBeforeHello, Times::Next(1));
        stage.discord.now(Act::Cut { reset: true });
    })
    .await;
}

#[tokio::test]
async fn case_22_op9_true() {
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

#[tokio::test]
async fn case_23_resume_url_dead() {
    let stage = Stage::new().await;
    comes_back_by_resume(&stage, async |stage| {
        stage.discord.outage(Part::Resume).await;
        stage.discord.now(Act::Cut { reset: false });
    })
    .await;
}

#[tokio::test]
async fn case_29_op1_request() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({})).await;
    stage.discord.now(Act::AskHeartbeat);
    let beat = |wire: &Wire| matches!(wire, Wire::Heartbeat { acked: true, .. });
    stage.discord.wait_wire(beat, SOON).await.unwrap();
}

#[tokio::test]
async fn case_30_jitter_null() {
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

#[tokio::test]
async fn case_21_op9_false() {
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

#[tokio::test]
async fn case_04_resume_reject_loop() {
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

#[tokio::test]
async fn case_32_4007_4009() {
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

#[tokio::test]
async fn case_05_accept_close_storm() {
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

#[tokio::test]
async fn case_06_identify_budget_zero() {
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

#[tokio::test]
async fn case_07_crash_loop_budget() {
    let stage = Stage::with(|options| {
        options.rate_limits = false;
        options.max_concurrency = 3;
    })
    .await;
    // A window so long that none of it passes here: the count is exact, however slow the machine.
    let timing = json!({"timing": {"reconnect_ms": 20, "hello_ms": 500, "identify_ms": 600_000}});
    for _ in 0..50 {
        let (wire, said) = (stage.discord.wire().next(), stage.said.next());
        let worker = stage.spawn(timing.clone());
        tokio::select! {
            _ = stage.greeted(wire) => {}
            waits = stage.said.wait_for_since(said, |line| line.contains("a session may be begun in"), SOON) => {
                waits.unwrap();
            }
        }
        worker.kill().await;
        stage.hub.set_cursor("gateway", b""); // it dies before the session is kept
    }
    assert_eq!(stage.identifies().len(), 3, "of 50");
    let reset = |wire: &Wire| matches!(wire, Wire::TokenReset { .. });
    assert_eq!(stage.discord.wire().count(reset), 0);
}

#[tokio::test]
async fn case_31_slow_acks_flood() {
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

#[tokio::test]
async fn case_36_malformed_event() {
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

#[tokio::test]
async fn case_42_oversize_fragmented() {
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

#[tokio::test]
async fn case_38_guild_unavailable() {
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
