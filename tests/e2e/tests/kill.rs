//! `kill -9` of any process at any instant: the answer arrives exactly once and in order.
//!
//! Each test kills one process at one instant of a message's way, pinned by a hold in a fake, and
//! then asks once more: replies of one conversation come in order, so whatever was said twice stands
//! before the answer to that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::{Asked, DEADLINE, Scene};
use fake_claude::Point;
use harness::Agent;
use nix::sys::signal::Signal;

#[derive(Clone, Copy, PartialEq)]
enum Victim {
    Hub,
    Discord,
    Weibo,
    Runner,
    Agent,
}

#[derive(Clone, Copy, PartialEq)]
enum Instant {
    BeforeAccepted,
    Queued,
    FirstDelta,
    Tool,
    AfterResult,
    BetweenChunks,
    AfterPost,
}

const LONG: usize = 6000;

async fn strike(scene: &Scene, victim: Victim) {
    let name = match victim {
        Victim::Hub => "hub",
        Victim::Discord => "discord-main",
        Victim::Weibo => "weibo-main",
        Victim::Runner => "runner-demo",
        Victim::Agent => {
            let runner = scene.tree.pid("runner-demo").await;
            for agent in harness::children(runner) {
                scene.tree.signal(agent, Signal::SIGKILL);
            }
            return;
        }
    };
    let before = scene.tree.kill(name).await;
    scene.tree.back(name, before).await;
}

/// Brings the scene to the instant, strikes, and lets everything go on.
async fn act(scene: &Scene, victim: Victim, instant: Instant, say: impl Fn(&str)) {
    match instant {
        Instant::BeforeAccepted => {
            // The hub is stopped, so nothing can be accepted.
            let hub = scene.tree.pid("hub").await;
            scene.tree.signal(hub, Signal::SIGSTOP);
            say("#say the answer");
            if victim == Victim::Hub {
                scene.tree.signal(hub, Signal::SIGKILL);
                scene.tree.back("hub", hub).await;
            } else {
                strike(scene, victim).await;
                scene.tree.signal(hub, Signal::SIGCONT);
            }
        }
        Instant::Queued => {
            say("#hold first-delta\n#say the first");
            scene
                .claude
                .held(Point::FirstDelta, DEADLINE)
                .await
                .unwrap();
            let inbound = scene.log().next();
            say("#say the answer");
            scene.tree.logged_since(inbound, " inbound ").await;
            strike(scene, victim).await;
        }
        Instant::FirstDelta => {
            say("#hold first-delta\n#say the answer");
            scene
                .claude
                .held(Point::FirstDelta, DEADLINE)
                .await
                .unwrap();
            strike(scene, victim).await;
        }
        Instant::Tool => {
            say("#hold tool\n#tool Bash echo done\n#say the answer");
            scene.claude.held(Point::Tool, DEADLINE).await.unwrap();
            strike(scene, victim).await;
        }
        Instant::AfterResult => {
            say("#hold after-result\n#say the answer");
            scene
                .claude
                .held(Point::AfterResult, DEADLINE)
                .await
                .unwrap();
            strike(scene, victim).await;
        }
        Instant::BetweenChunks if victim == Victim::Weibo => {
            scene.weibo.fault(|faults| faults.deaf_after = Some(2));
            say(&format!("#chars {LONG}"));
            let owner = scene.weibo.account().owner.to_string();
            let two = |shown: &[fake_kit::Entry<fake_weibo::Shown>]| {
                (shown.iter().filter(|entry| entry.what.uid == owner).count() >= 2).then_some(())
            };
            scene.weibo.shown().wait_until(two, DEADLINE).await.unwrap();
            strike(scene, victim).await;
        }
        Instant::AfterPost if victim == Victim::Weibo => {
            // Everything is on the phone and nothing is confirmed.
            scene.weibo.fault(|faults| faults.silent = true);
            say("#say the answer");
            scene.bubbles(1).await;
            strike(scene, victim).await;
            scene.weibo.fault(|faults| faults.silent = false);
        }
        Instant::BetweenChunks => {
            let hold = scene.discord.hold_post_request(2);
            say(&format!("#chars {LONG}"));
            assert!(
                hold.reached(DEADLINE).await,
                "the third chunk is never posted"
            );
            strike(scene, victim).await;
            hold.release();
        }
        Instant::AfterPost => {
            let hold = scene.discord.hold_post_response(0);
            say("#say the answer");
            assert!(hold.reached(DEADLINE).await, "nothing is posted");
            strike(scene, victim).await;
            hold.release();
        }
    }
    scene.claude.release_all();
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// How often the whole of `part` stands in `text`.
fn count(text: &str, part: &str) -> usize {
    squeezed(text).matches(&squeezed(part)).count()
}

async fn matrix(victim: Victim, instant: Instant) {
    let on_weibo = victim == Victim::Weibo;
    conversation(victim, instant, on_weibo).await;
}

async fn conversation(victim: Victim, instant: Instant, on_weibo: bool) {
    let scene = Scene::with(|setup| {
        setup.agent_options = "allowed_tools = [\"Bash\"]".into();
        // Restarted at once after a kill, the worker identifies or resumes again.
        setup.top = "[supervision]\nbackoff_min_ms = 50\n".into();
    })
    .await;
    scene.discord.set(|options| options.identify_window_ms = 0);
    let expected = match instant {
        Instant::BetweenChunks => fake_claude::prose(LONG),
        _ => "the answer".to_owned(),
    };
    if on_weibo {
        act(&scene, victim, instant, |text| scene.weibo_dm(text)).await;
        let all = until_probe_on_weibo(&scene).await;
        // Weibo acknowledges nothing: what was written after the last sign of life may stand twice,
        // and nothing else may.
        let most = match instant {
            Instant::BetweenChunks | Instant::AfterPost if victim == Victim::Weibo => 2,
            _ => 1,
        };
        for sentence in expected.split_inclusive(". ") {
            let times = count(&all, sentence);
            assert!(
                (1..=most).contains(&times),
                "{sentence:?} {times} times: {all}"
            );
        }
    } else {
        let first = scene.dm("#say hello");
        scene.reply(first, |line| line.text == "hello").await;
        act(&scene, victim, instant, |text| {
            scene.dm(text);
        })
        .await;
        let texts = until_probe_on_discord(&scene, first).await;
        let all = texts.join("\n");
        assert_eq!(count(&all, &expected), 1, "{texts:#?}");
        if instant == Instant::Queued {
            let at = |words: &str| texts.iter().position(|text| text == words);
            assert!(
                at("the first").unwrap() < at("the answer").unwrap(),
                "{texts:#?}"
            );
        }
        if instant == Instant::BetweenChunks {
            let prose = squeezed(&expected);
            let parts: String = texts
                .iter()
                .map(|text| squeezed(text))
                .filter(|text| text.chars().count() > 100 && prose.contains(text.as_str()))
                .collect();
            assert_eq!(parts, prose, "no chunk twice, none missing, all in order");
        }
    }
}

/// What the bot said from `first` on, once it has answered a last question.
async fn until_probe_on_discord(scene: &Scene, first: Asked) -> Vec<String> {
    let probe = scene.dm("#say that was all");
    scene.reply(probe, |line| line.text == "that was all").await;
    scene.replies(first)
}

async fn until_probe_on_weibo(scene: &Scene) -> String {
    scene.weibo_dm("#say that was all");
    let owner = scene.weibo.account().owner.to_string();
    let probe = |shown: &[fake_kit::Entry<fake_weibo::Shown>]| {
        shown
            .iter()
            .any(|entry| entry.what.uid == owner && entry.what.text.contains("that was all"))
            .then_some(())
    };
    scene
        .weibo
        .shown()
        .wait_until(probe, DEADLINE)
        .await
        .unwrap();
    let bubbles = scene.weibo.bubbles(scene.weibo.account().owner);
    bubbles
        .into_iter()
        .map(|bubble| bubble.text + "\n")
        .collect()
}

macro_rules! matrix {
    ($($name:ident: $victim:ident at $instant:ident;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                matrix(Victim::$victim, Instant::$instant).await;
            }
        )*
    };
}

matrix! {
    hub_before_accepted: Hub at BeforeAccepted;
    hub_queued: Hub at Queued;
    hub_first_delta: Hub at FirstDelta;
    hub_tool: Hub at Tool;
    hub_after_result: Hub at AfterResult;
    hub_between_chunks: Hub at BetweenChunks;
    hub_after_post: Hub at AfterPost;

    discord_before_accepted: Discord at BeforeAccepted;
    discord_queued: Discord at Queued;
    discord_first_delta: Discord at FirstDelta;
    discord_tool: Discord at Tool;
    discord_after_result: Discord at AfterResult;
    discord_between_chunks: Discord at BetweenChunks;
    discord_after_post: Discord at AfterPost;

    weibo_queued: Weibo at Queued;
    weibo_first_delta: Weibo at FirstDelta;
    weibo_tool: Weibo at Tool;
    weibo_after_result: Weibo at AfterResult;
    weibo_between_chunks: Weibo at BetweenChunks;
    weibo_after_post: Weibo at AfterPost;

    runner_before_accepted: Runner at BeforeAccepted;
    runner_queued: Runner at Queued;
    runner_first_delta: Runner at FirstDelta;
    runner_tool: Runner at Tool;
    runner_after_result: Runner at AfterResult;
    runner_between_chunks: Runner at BetweenChunks;
    runner_after_post: Runner at AfterPost;

    agent_before_accepted: Agent at BeforeAccepted;
    agent_queued: Agent at Queued;
    agent_first_delta: Agent at FirstDelta;
    agent_tool: Agent at Tool;
    agent_after_result: Agent at AfterResult;
    agent_between_chunks: Agent at BetweenChunks;
    agent_after_post: Agent at AfterPost;
}

/// The worker outlives its hub, so on Weibo nothing stands twice either.
#[tokio::test]
async fn hub_queued_on_weibo() {
    conversation(Victim::Hub, Instant::Queued, true).await;
}

#[tokio::test]
async fn hub_first_delta_on_weibo() {
    conversation(Victim::Hub, Instant::FirstDelta, true).await;
}

#[tokio::test]
async fn hub_after_result_on_weibo() {
    conversation(Victim::Hub, Instant::AfterResult, true).await;
}

/// A message that Weibo's socket gave and the hub never got may be lost: that bound is documented,
/// and nothing beyond it is.
#[tokio::test]
async fn weibo_before_accepted() {
    let scene = Scene::start().await;
    act(&scene, Victim::Weibo, Instant::BeforeAccepted, |text| {
        scene.weibo_dm(text)
    })
    .await;
    let all = until_probe_on_weibo(&scene).await;
    assert!(count(&all, "the answer") <= 1, "{all}");
}

/// A command is never run twice: who asked is told that it cannot go on.
async fn command_agent(victim: Victim) {
    let directory = tempfile::tempdir().unwrap();
    let (ran, go) = (directory.path().join("ran"), directory.path().join("go"));
    // Runs until `go` is there, and leaves a line each time it is run.
    let script = format!(
        "echo run >> {}; for i in $(seq 600); do [ -e {} ] && break; sleep 0.1; done; echo done",
        ran.display(),
        go.display()
    );
    let scene = Scene::with(|setup| {
        let args = vec!["-c".to_owned(), script.clone()];
        // It leaves its traces where the test looks for them.
        setup.agent_table = format!("sandbox = {{ write = [{:?}] }}", directory.path());
        setup.agent = Agent::Command {
            cmd: "/bin/sh".into(),
            args,
        };
    })
    .await;
    let asked = scene.dm("go");
    scene.tree.logged("a turn begins").await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !ran.exists() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the command never ran"
        );
        tokio::task::yield_now().await;
    }
    strike(&scene, victim).await;
    std::fs::write(&go, "").unwrap();
    let survives = victim == Victim::Hub;
    let wanted = if survives { "done" } else { "resend" };
    scene.reply(asked, |line| line.text.contains(wanted)).await;
    let runs = std::fs::read_to_string(&ran).unwrap();
    assert_eq!(runs.lines().count(), 1, "it ran more than once");
}

#[tokio::test]
async fn a_command_survives_its_hub() {
    command_agent(Victim::Hub).await;
}

#[tokio::test]
async fn a_command_whose_runner_dies_is_not_run_again() {
    command_agent(Victim::Runner).await;
}

#[tokio::test]
async fn a_command_that_is_killed_is_not_run_again() {
    command_agent(Victim::Agent).await;
}

/// The monitor itself: everything ends with it, and its successor goes on.
#[tokio::test]
async fn monitor_in_mid_turn() {
    let mut scene = Scene::start().await;
    let first = scene.dm("#say hello");
    scene.reply(first, |line| line.text == "hello").await;
    scene.dm("#hold first-delta\n#say the answer");
    scene
        .claude
        .held(Point::FirstDelta, DEADLINE)
        .await
        .unwrap();
    let below = harness::descendants(scene.tree.monitor());
    scene.discord.set(|options| options.identify_window_ms = 0);
    scene.tree.kill_monitor().await.unwrap();
    scene.claude.release_all();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while below.iter().any(|pid| harness::is_alive(*pid)) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "something outlives its monitor"
        );
        tokio::task::yield_now().await;
    }
    scene.tree.run();
    let texts = until_probe_on_discord(&scene, first).await;
    assert_eq!(count(&texts.join("\n"), "the answer"), 1, "{texts:#?}");
}
