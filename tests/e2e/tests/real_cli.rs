//! The real Claude Code command line in the real tree; only the model behind it is a fake.
//!
//! Ignored unless asked for, since the command line is not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE=/path/to/claude cargo test -p e2e --test real_cli -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::{Asked, DEADLINE, Scene};
use fake_model::FakeModel;
use fake_model::script::Point;
use harness::{Agent, real_cli};
use nix::sys::signal::Signal;

/// The scene with the real command line in it.
async fn real() -> (Scene, FakeModel) {
    let cli = real_cli();
    let model = FakeModel::start().await.unwrap();
    let url = model.url();
    let scene = Scene::with(|setup| {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        setup.agent = Agent::ClaudeCode {
            cmd: cli,
            env: vec![
                set("ANTHROPIC_BASE_URL", &url),
                set("ANTHROPIC_API_KEY", "dummy-key"),
            ],
        };
        setup.top = "[supervision]\nbackoff_min_ms = 50\n".into();
    })
    .await;
    scene.discord.set(|options| options.identify_window_ms = 0);
    (scene, model)
}

async fn whole(scene: &Scene, asked: Asked, text: &str) {
    scene.reply(asked, |line| line.text.contains(text)).await;
}

/// How often a text was said on Discord since a message, once a last question is answered.
async fn times(scene: &Scene, since: Asked, text: &str) -> usize {
    let probe = scene.dm("#say that was all");
    whole(scene, probe, "that was all").await;
    let replies = scene.replies(since);
    replies.iter().filter(|reply| reply.contains(text)).count()
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn real_cli_answers_a_turn() {
    let (scene, _model) = real().await;
    let asked = scene.dm("#think let me see\n#say the answer");
    whole(&scene, asked, "🤔 Thinking…").await;
    whole(&scene, asked, "the answer").await;
    // The same process, warm, and the session goes on.
    let again = scene.dm("#say another");
    whole(&scene, again, "another").await;
    scene.weibo_dm("#say 好的");
    assert!(scene.bubbles(1).await[0].text.contains("好的"));
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn real_cli_asks_for_a_tool_and_is_answered_from_discord() {
    let (scene, _model) = real().await;
    let allowed = scene.tree.work_dir().join("allowed");
    let asked = scene.dm("#tool Bash touch allowed\n#say touched");
    let asks = |line: &fake_discord::Line, what: &str| {
        line.text.contains("asks to use") && line.text.contains(what)
    };
    scene.reply(asked, |line| asks(line, "touch allowed")).await;
    assert!(!allowed.exists());
    let yes = scene.dm("1");
    whole(&scene, yes, "touched").await;
    assert!(allowed.exists());

    let denied = scene.tree.work_dir().join("denied");
    let asked = scene.dm("#tool Bash touch denied\n#say it was refused");
    scene.reply(asked, |line| asks(line, "touch denied")).await;
    let no = scene.dm("2");
    whole(&scene, no, "it was refused").await;
    assert!(!denied.exists());
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn real_cli_is_interrupted() {
    let (scene, model) = real().await;
    scene.dm("#hold first-delta\n#say never said");
    model.held(Point::FirstDelta, DEADLINE).await.unwrap();
    let stop = scene.dm("/stop");
    scene.reply(stop, |_| true).await;
    model.release_all();
    let asked = scene.dm("#say goes on");
    whole(&scene, asked, "goes on").await;
}

#[tokio::test]
#[ignore = "needs the real command line in BULKHEAD_CLAUDE"]
async fn real_cli_survives_kill_nine_in_mid_turn() {
    let (scene, model) = real().await;
    let first = scene.dm("#say hello");
    whole(&scene, first, "hello").await;
    for victim in ["agent", "runner-demo", "hub"] {
        let asked = scene.dm(&format!(
            "#hold first-delta\n#say the answer after {victim}"
        ));
        model.held(Point::FirstDelta, DEADLINE).await.unwrap();
        if victim == "agent" {
            let runner = scene.tree.pid("runner-demo").await;
            for agent in harness::children(runner) {
                scene.tree.signal(agent, Signal::SIGKILL);
            }
        } else {
            let before = scene.tree.kill(victim).await;
            scene.tree.back(victim, before).await;
        }
        model.release_all();
        whole(&scene, asked, &format!("the answer after {victim}")).await;
    }
    for victim in ["agent", "runner-demo", "hub"] {
        let text = format!("the answer after {victim}");
        assert_eq!(times(&scene, first, &text).await, 1, "{text}");
    }
}
