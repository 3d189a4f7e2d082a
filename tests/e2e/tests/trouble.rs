//! What is wrong is said in words, and what can heal does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::{DEADLINE, Scene};
use harness::{Agent, Tree};

#[tokio::test]
async fn a_worker_that_crashes_five_times_backs_off_and_recovers() {
    let scene = Scene::with(|setup| {
        setup.top = "[supervision]\nbackoff_min_ms = 20\nbackoff_max_ms = 1000\n".into();
    })
    .await;
    for _ in 0..5 {
        let before = scene.tree.kill("weibo-main").await;
        scene.tree.back("weibo-main", before).await;
    }
    let status = scene.tree.status().await.unwrap();
    let worker = Tree::process(&status, "weibo-main");
    assert_eq!(worker["restarts"], 5, "{worker:#}");
    assert_eq!(Tree::process(&status, "discord-main")["link"], "up");
    assert_eq!(worker["last_exit"], "killed by SIGKILL");
    let waits = scene
        .log()
        .count(|line| line.contains("weibo-main") && line.contains("starts again"));
    assert!(waits >= 5, "each wait is said: {waits}");
    scene.weibo_dm("#say still here");
    let bubbles = scene.bubbles(1).await;
    assert_eq!(bubbles[0].text, "still here");
}

#[tokio::test]
async fn a_bad_discord_token_is_held_and_said() {
    let scene = Scene::unready(|setup| {
        let (api_base, _) = setup.discord.take().unwrap();
        setup.discord = Some((api_base, "MTAw.bad.token-canary-4711".into()));
    })
    .await;
    let status = scene
        .tree
        .status_where(|status| Tree::process(status, "discord-main")["state"] == "held")
        .await;
    let worker = Tree::process(&status, "discord-main");
    let words = format!("{} {}", worker["held"], worker["status"]);
    assert!(words.contains("Reset Token"), "{words}");
    let (code, table, _) = scene.tree.ask(&["status"]).await.unwrap();
    assert_eq!(code, 1, "something is held");
    assert!(table.contains("discord-main is held"), "{table}");
    // The rest goes on.
    scene.weibo_dm("#say I am well");
    assert_eq!(scene.bubbles(1).await[0].text, "I am well");
    for line in scene.log().snapshot() {
        assert!(
            !line.what.contains("canary-4711"),
            "the token is in the log: {}",
            line.what
        );
    }
}

#[tokio::test]
async fn an_agent_that_is_not_installed_is_said_with_what_to_install() {
    let scene = Scene::with(|setup| {
        setup.agent = Agent::ClaudeCode {
            cmd: "/nowhere/claude".into(),
            env: Vec::new(),
        };
    })
    .await;
    let asked = scene.dm("hello");
    let answer = scene.reply(asked, |_| true).await;
    assert!(answer.text.contains("/nowhere/claude"), "{}", answer.text);
    assert!(answer.text.contains("install"), "{}", answer.text);
}

#[tokio::test]
async fn an_agent_that_is_logged_out_is_said_with_what_to_do() {
    let scene = Scene::with(|setup| {
        let Agent::ClaudeCode { env, .. } = &mut setup.agent else {
            panic!("the scene's agent is Claude Code");
        };
        env.push(("FAKE_CLAUDE_LOGIN".into(), "checked".into()));
    })
    .await;
    let asked = scene.dm("hello");
    let answer = scene.reply(asked, |_| true).await;
    let words = answer.text.to_lowercase();
    assert!(words.contains("log") && words.contains("/login"), "{words}");
}

#[tokio::test]
async fn an_agent_that_prints_junk_or_dies_ends_its_turn_with_a_word() {
    let scene = Scene::start().await;
    let asked = scene.dm("#junk this is not json\n#say after the junk");
    scene
        .reply(asked, |line| line.text == "after the junk")
        .await;
    let asked = scene.dm("#exit 3\n#say never");
    scene
        .reply(asked, |line| !line.text.contains("never"))
        .await;
    let asked = scene.dm("#say still here");
    scene.reply(asked, |line| line.text == "still here").await;
}

#[tokio::test]
async fn junk_from_the_platforms_is_skipped_and_the_next_message_answered() {
    let scene = Scene::start().await;
    scene.weibo.raw("{\"type\":\"message\",\"payload\":[]");
    scene.weibo.raw("\u{0}\u{1}");
    scene.weibo_dm("#say fine");
    assert_eq!(scene.bubbles(1).await[0].text, "fine");
    scene.discord.now(fake_discord::Act::MalformedEvent {
        name: "MESSAGE_CREATE".into(),
        body: "{\"id\": 7, \"content\": [}".into(),
    });
    let asked = scene.dm("#say fine too");
    scene.reply(asked, |line| line.text == "fine too").await;
}

#[tokio::test]
async fn a_permission_question_is_answered_from_the_chat() {
    let scene = Scene::start().await;
    let asked = scene.dm("#tool Bash touch allowed-file\n#say done");
    let question = scene
        .reply(asked, |line| line.text.contains("asks to use"))
        .await;
    assert!(
        question.text.contains("touch allowed-file"),
        "{}",
        question.text
    );
    let answer = scene.dm("1");
    scene.reply(answer, |line| line.text.contains("done")).await;
}

#[tokio::test]
async fn stop_ends_a_turn_and_the_session_goes_on() {
    let scene = Scene::start().await;
    scene.dm("#hold first-delta\n#say never");
    scene
        .claude
        .held(fake_claude::Point::FirstDelta, DEADLINE)
        .await
        .unwrap();
    let stop = scene.dm("/stop");
    scene.reply(stop, |_| true).await;
    let asked = scene.dm("#say next");
    scene.reply(asked, |line| line.text == "next").await;
}

#[tokio::test]
async fn an_orderly_stop_leaves_nothing_behind_and_loses_nothing() {
    let mut scene = Scene::start().await;
    let asked = scene.dm("#hold first-delta\n#say the answer");
    scene
        .claude
        .held(fake_claude::Point::FirstDelta, DEADLINE)
        .await
        .unwrap();
    let below = harness::descendants(scene.tree.monitor());
    assert_eq!(scene.tree.stop().await.unwrap(), Some(0));
    for pid in below {
        assert!(!harness::is_alive(pid), "{pid} is left behind");
    }
    scene.claude.release_all();
    scene.discord.set(|options| options.identify_window_ms = 0);
    scene.tree.run();
    scene.reply(asked, |line| line.text == "the answer").await;
}

#[tokio::test]
async fn reload_restarts_only_what_changed_and_an_invalid_config_changes_nothing() {
    let scene = Scene::start().await;
    let hub = scene.tree.pid("hub").await;
    let weibo = scene.tree.pid("weibo-main").await;
    let discord = scene.tree.pid("discord-main").await;
    scene.discord.set(|options| options.identify_window_ms = 0);
    let path = scene.tree.config();
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("[projects.agent]", "[projects.agnt]")).unwrap();
    let (code, _, words) = scene.tree.ask(&["reload"]).await.unwrap();
    assert_ne!(code, 0);
    assert!(
        words.contains("agnt") && words.contains("nothing was changed"),
        "{words}"
    );
    std::fs::write(&path, format!("{good}\nmax_chars = 500\n")).unwrap();
    let (code, out, words) = scene.tree.ask(&["reload"]).await.unwrap();
    assert_eq!(code, 0, "{out} {words}");
    scene.tree.back("weibo-main", weibo).await;
    assert_eq!(scene.tree.pid("discord-main").await, discord);
    assert_eq!(scene.tree.pid("hub").await, hub);
}
