//! From a person to the hub.

use fake_discord::Portal;
use ipc_schema::Access;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn a_direct_message_a_mention_and_what_is_neither() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    assert!(
        stage
            .said("discord: connected")
            .await
            .ends_with("discord: connected bot=Bulkhead")
    );
    stage.said("STATUS=connected as Bulkhead, 1 server").await;

    stage
        .discord
        .user_says(scene.owner, scene.general, "not for the bot");
    let asked = stage.discord.user_says(
        scene.owner,
        scene.general,
        &format!(
            "<@!{}> tell <@{}> about <#{}>",
            scene.bot, scene.bob, scene.random
        ),
    );
    let it = stage.inbound(1).await;
    assert_eq!(it.text, "tell @bob about #random");
    assert_eq!(
        (it.access, it.direct, it.shared),
        (Access::Granted, false, false)
    );
    assert_eq!(it.event_id, asked.to_string());
    assert_eq!(
        (it.reply_to.clone(), it.order),
        (asked.to_string(), asked.0)
    );
    assert_eq!(it.sent_at_ms, asked.at_ms());
    assert_eq!(it.address, scene.general.to_string());
    assert_eq!(
        it.conversation,
        format!("channel:{}:{}", scene.general, scene.owner)
    );
    assert_eq!(
        (it.sender.id.as_str(), it.sender.name.as_str()),
        (scene.owner.to_string().as_str(), "owner")
    );

    stage.discord.user_says(
        scene.owner,
        scene.general,
        &format!("<@&{}> by role", scene.role),
    );
    assert_eq!(stage.inbound(2).await.text, "by role");
    stage.discord.dm(scene.owner, "hello");
    let dm = stage.inbound(3).await;
    assert_eq!((dm.text.as_str(), dm.direct), ("hello", true));
    assert_eq!(dm.conversation, format!("dm:{}", scene.owner));
    assert_eq!(
        dm.address,
        stage.discord.dm_channel(scene.owner).to_string()
    );

    stage
        .discord
        .reply_to(scene.owner, asked, &format!("<@{}> and this?", scene.bot))
        .unwrap();
    let reply = stage.inbound(4).await;
    assert_eq!(reply.quoted.as_deref(), Some("tell @bob about #random"));
    stage.settled().await;
    let token = stage.discord.token();
    assert_eq!(
        stage
            .said
            .count(|line| line.contains(&token) || line.contains("by role")),
        0
    );
}

#[tokio::test]
async fn strangers_are_refused_once_and_without_their_text() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.dm(scene.alice, "let me in");
    stage.discord.dm(scene.alice, "please");
    stage.mention(scene.alice, scene.general, "now");
    stage.mention(scene.bob, scene.general, "me too");
    stage.discord.dm(scene.owner, "hello");
    let refused = stage.inbound(1).await;
    assert_eq!(
        (refused.access, refused.text.as_str()),
        (Access::Refused, "")
    );
    assert_eq!(refused.sender.id, scene.alice.to_string());
    assert_eq!(stage.inbound(2).await.sender.id, scene.bob.to_string());
    assert_eq!(stage.inbound(3).await.text, "hello");
    stage.settled().await;
}

#[tokio::test]
async fn a_team_owns_the_bot_together() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    stage.discord.portal(Portal::Team(vec![scene.alice]));
    let _worker = stage.up(json!({})).await;
    stage.discord.dm(scene.alice, "hello");
    assert_eq!(stage.inbound(1).await.access, Access::Granted);
}

#[tokio::test]
async fn a_shared_channel_and_its_threads() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let extra = json!({"allow_channels": [scene.general.to_string()], "share_session_in_channel": true,
        "group_reply_all": true});
    let worker = stage.up(extra.clone()).await;
    let thread = stage
        .discord
        .make_thread(scene.alice, scene.general, None, "talk")
        .unwrap();
    stage
        .discord
        .user_says(scene.bob, scene.random, "elsewhere");
    stage.mention(scene.owner, scene.random, "elsewhere too");
    stage.discord.user_says(scene.alice, scene.general, "one");
    stage.discord.user_says(scene.bob, thread, "two");
    let one = stage.inbound(1).await;
    assert_eq!((one.text.as_str(), one.shared), ("one", true));
    assert_eq!(one.conversation, format!("channel:{}", scene.general));
    let two = stage.inbound(2).await;
    assert_eq!(
        (two.text.as_str(), two.address.clone()),
        ("two", thread.to_string())
    );
    assert_eq!(two.conversation, format!("channel:{thread}"));
    stage.settled().await;
    // A resumed session tells of no channel: the thread's parent is asked for.
    worker.kill().await;
    let _worker = stage.up(extra).await;
    stage.discord.user_says(scene.bob, thread, "three");
    assert_eq!(stage.inbound(3).await.text, "three");
}

#[tokio::test]
async fn roles_let_people_in_also_after_a_restart() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let crew = stage.discord.add_role(scene.guild, "crew", &[scene.alice]);
    let extra = json!({"allow_roles": crew.to_string()});
    let worker = stage.up(extra.clone()).await;
    stage.mention(scene.alice, scene.general, "one");
    assert_eq!(stage.inbound(1).await.access, Access::Granted);
    stage.mention(scene.bob, scene.general, "no");
    assert_eq!(stage.inbound(2).await.access, Access::Refused);
    stage.settled().await;
    worker.kill().await;
    let _worker = stage.up(extra).await;
    // Whose role is mentioned is asked for as well.
    stage.discord.user_says(
        scene.alice,
        scene.general,
        &format!("<@&{}> two", scene.role),
    );
    let two = stage.inbound(3).await;
    assert_eq!((two.text.as_str(), two.access), ("two", Access::Granted));
}

#[tokio::test]
async fn case_37_content_intent_missing() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    stage.discord.portal(Portal::ContentIntent(false));
    let _worker = stage.up(json!({})).await;
    let status = stage.said("STATUS=connected as Bulkhead, 1 server; ").await;
    assert!(status.ends_with("/bot"), "{status}");
    assert!(status.len() <= 7 + 200, "{}", status.len());
    stage.discord.dm(scene.owner, "direct");
    assert_eq!(stage.inbound(1).await.text, "direct");
    stage.mention(scene.owner, scene.general, "mentioned");
    assert_eq!(stage.inbound(2).await.text, "mentioned");
    assert_eq!(stage.identifies(), [4609]);

    let since = stage.discord.wire().next();
    stage.discord.portal(Portal::ContentIntent(true));
    stage.greeted(since).await;
    assert_eq!(stage.identifies(), [4609, 37377]);
    stage.mention(scene.owner, scene.general, "still here");
    assert_eq!(stage.inbound(3).await.text, "still here");
}

#[tokio::test]
async fn a_message_that_the_hub_puts_off_is_marked_until_it_is_taken() {
    use fake_discord::Seen;
    use ipc_schema::{Body, Deferred};
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    stage.hub.rule(|rules| rules.accept = false);
    let _worker = stage.up(json!({})).await;
    let asked = stage.discord.dm(scene.owner, "hello");
    stage.inbound(1).await;
    let (event_id, why) = (asked.to_string(), "the disk is full".to_owned());
    stage.hub.say(Body::Deferred(Deferred {
        event_id: event_id.clone(),
        retry_after_ms: 60_000,
        why,
    }));
    let mark = |on: bool| move |seen: &Seen| matches!(seen, Seen::Reacted { emoji, added, .. } if emoji == "⏳" && *added == on);
    stage
        .discord
        .wait_seen(mark(true), crate::stage::SOON)
        .await
        .unwrap();
    stage.hub.accept(&event_id);
    stage
        .discord
        .wait_seen(mark(false), crate::stage::SOON)
        .await
        .unwrap();
}
