//! Messages in, answers out, through every process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::Scene;

#[tokio::test]
async fn a_direct_message_on_discord_is_answered() {
    let scene = Scene::start().await;
    let asked = scene.dm("hello there");
    let answer = scene.reply(asked, |_| true).await;
    assert!(answer.text.contains("hello there"), "{}", answer.text);
    assert_eq!(answer.reply_to, Some(asked.message));
    assert!(answer.pings.is_empty());
}

#[tokio::test]
async fn a_mention_in_a_guild_is_answered_and_other_talk_is_not() {
    let scene = Scene::start().await;
    let bot = scene.discord.scene().bot;
    let idle = scene.in_guild("just talking");
    let asked = scene.in_guild(&format!("<@{bot}> are you there?"));
    let answer = scene.reply(asked, |_| true).await;
    assert!(answer.text.contains("are you there?"), "{}", answer.text);
    assert!(
        !answer.text.contains(&bot.to_string()),
        "the mention is removed"
    );
    let first = scene.replies(idle);
    assert_eq!(first.len(), 1, "{first:?}");
}

#[tokio::test]
async fn a_bare_mention_is_help() {
    let scene = Scene::start().await;
    let asked = scene.in_guild(&format!("<@{}>", scene.discord.scene().bot));
    let answer = scene.reply(asked, |_| true).await;
    assert!(answer.text.contains("/status"), "{}", answer.text);
}

#[tokio::test]
async fn a_message_on_weibo_is_answered() {
    let scene = Scene::start().await;
    scene.weibo_dm("你好");
    let bubble = scene.bubbles(1).await.remove(0);
    assert!(bubble.text.contains("你好"), "{}", bubble.text);
    assert!(bubble.done);
    assert_eq!(scene.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn six_thousand_characters_come_in_ordered_chunks_on_both() {
    let scene = Scene::start().await;
    let asked = scene.dm("#chars 6000");
    scene.weibo_dm("#chars 6000");
    let bubble = scene.bubbles(1).await.remove(0);
    assert!(
        bubble.done && bubble.chunks >= 3,
        "{} chunks",
        bubble.chunks
    );
    let probe = scene.dm("#say that was all");
    scene.reply(probe, |line| line.text == "that was all").await;
    let mut lines = scene.replies(asked);
    lines.retain(|line| line.contains("Sentence"));
    assert!(lines.iter().all(|line| line.chars().count() <= 2000));
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let on_discord: String = lines.iter().map(|line| squeezed(line)).collect();
    // The same script gives the same text, so each platform is the other's measure.
    assert!(on_discord == squeezed(&bubble.text), "the texts differ");
    assert!(bubble.text.chars().count() >= 6000);
}

#[tokio::test]
async fn the_same_event_twice_is_answered_once() {
    let scene = Scene::start().await;
    let first = scene.dm("first");
    scene.reply(first, |line| line.text.contains("first")).await;
    scene.discord.now(fake_discord::Act::RepeatMessage {
        message: first.message,
    });
    let second = scene.dm("second");
    scene
        .reply(second, |line| line.text.contains("second"))
        .await;
    let answers = scene.replies(first);
    let once = answers.iter().filter(|text| text.contains("first")).count();
    assert_eq!(once, 1, "{answers:?}");
}

#[tokio::test]
async fn a_stranger_is_told_how_to_be_let_in_and_never_reaches_the_agent() {
    let scene = Scene::start().await;
    let alice = scene.discord.scene().alice;
    let message = scene.discord.dm(alice, "let me in");
    let asked = e2e::Asked {
        channel: scene.discord.dm_channel(alice),
        message,
    };
    let answer = scene.reply(asked, |_| true).await;
    assert!(answer.text.contains(&alice.to_string()), "{}", answer.text);
    assert!(answer.text.contains("allow_from"), "{}", answer.text);
}

#[tokio::test]
async fn the_log_has_its_fixed_lines_and_no_bodies() {
    let scene = Scene::start().await;
    let secret = "xyzzy-in-a-body";
    let asked = scene.dm(secret);
    scene.reply(asked, |line| line.text.contains(secret)).await;
    scene.tree.logged("replied").await;
    let lines: Vec<String> = scene
        .log()
        .snapshot()
        .into_iter()
        .map(|entry| entry.what)
        .collect();
    let has = |parts: &[&str]| {
        let found = lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "no line with {parts:?} in:\n{}", lines.join("\n"));
    };
    has(&["INFO", "discord: connected", "bot="]);
    has(&["INFO", "weibo: connected", "uid="]);
    has(&[
        "INFO",
        "platform started",
        "project=demo",
        "platform=discord-main",
    ]);
    has(&["INFO", "bulkhead is running", "projects=1"]);
    has(&["INFO", "inbound", "conversation=", "user=", "chars=15"]);
    has(&["INFO", "replied", "chars=", "chunks=1", "ms="]);
    for line in &lines {
        assert!(!line.contains(secret), "a body is in the log: {line}");
        let token = scene.discord.token();
        assert!(!line.contains(&token), "the token is in the log: {line}");
    }
}
