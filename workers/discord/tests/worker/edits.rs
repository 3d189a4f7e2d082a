//! Messages that their writers change or take back.

use fake_discord::{Act as Happens, File, Id, Say};
use ipc_schema::{Access, Act, Body, Inbound};
use serde_json::json;

use crate::stage::Stage;

/// Waits for the `n`-th event that is no message.
async fn act(stage: &Stage, n: usize) -> Inbound {
    let pick = |body: &Body| match body {
        Body::Inbound(inbound) if inbound.act != Act::Message => Some(inbound.clone()),
        _ => None,
    };
    stage.hub.wait_nth(n, pick).await.unwrap()
}

/// Waits until a later message has come through: what was before it is dealt with.
async fn passed(stage: &Stage) {
    let text = format!("passed {}", stage.hub.ledger().next());
    stage.discord.dm(stage.discord.scene().owner, &text);
    stage.heard(&text).await;
    stage.settled().await;
}

fn acts(stage: &Stage) -> usize {
    let act = |seen: &fake_hub::Seen| seen.inbound().is_some_and(|it| it.act != Act::Message);
    stage.hub.ledger().count(act)
}

#[tokio::test]
async fn a_changed_message_is_told_whole() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({"thread_isolation": true})).await;
    let say = Say {
        files: vec![File {
            name: "a".into(),
            content_type: None,
            data: b"x".to_vec(),
        }],
        ..Say::text(format!("<@{}> one", scene.bot))
    };
    let asked = stage.discord.says(scene.owner, scene.general, say).unwrap();
    let first = stage.heard("one").await;
    // The mention may go: it is the bot's message already.
    stage.discord.edit(scene.owner, asked, "two").unwrap();
    let it = act(&stage, 1).await;
    assert_eq!(
        it.act,
        Act::Edited {
            of: asked.to_string()
        }
    );
    assert_eq!((it.text.as_str(), it.order), ("two", 0));
    assert_eq!(it.event_id, format!("{asked}:e:{}", it.sent_at_ms));
    assert!(it.sent_at_ms >= first.sent_at_ms);
    assert_eq!(
        (it.conversation, it.address, it.sender, it.attachments),
        (
            first.conversation,
            first.address,
            first.sender,
            first.attachments
        )
    );
    stage.settled().await;
}

#[tokio::test]
async fn what_discord_does_to_a_message_is_no_change() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let asked = stage.discord.dm(scene.owner, "one");
    stage.heard("one").await;
    let update = |extra: serde_json::Value| {
        let mut body = json!({"id": asked, "channel_id": stage.discord.dm_channel(scene.owner),
            "author": {"id": scene.owner}, "content": "two"});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        stage.discord.now(Happens::Event {
            name: "MESSAGE_UPDATE".into(),
            body,
        });
    };
    update(json!({"edited_timestamp": null, "embeds": [{"url": "https://example.com"}]}));
    update(json!({"edited_timestamp": "junk"}));
    update(json!({"edited_timestamp": "2026-04-19T20:53:53+00:00", "content": ""}));
    let gone = json!({"id": asked, "channel_id": "1", "edited_timestamp": "2026-04-19T20:53:53Z"});
    stage.discord.now(Happens::Event {
        name: "MESSAGE_UPDATE".into(),
        body: gone,
    });
    let other = stage
        .discord
        .user_says(scene.owner, scene.general, "not for the bot");
    stage
        .discord
        .edit(scene.owner, other, "nor is this")
        .unwrap();
    passed(&stage).await;
    assert_eq!(acts(&stage), 0);
    // A message that was changed before it was seen, and that Discord then shows a link of.
    let body = json!({"id": "1", "channel_id": stage.discord.dm_channel(scene.owner), "author": {"id": scene.owner},
        "content": "seen late", "edited_timestamp": "2026-04-19T20:53:53+00:00"});
    for name in ["MESSAGE_CREATE", "MESSAGE_UPDATE"] {
        let (name, body) = (name.to_owned(), body.clone());
        stage.discord.now(Happens::Event { name, body });
    }
    stage.heard("seen late").await;
    passed(&stage).await;
    assert_eq!(acts(&stage), 0);
    // The same change twice is one.
    let at = json!({"edited_timestamp": "2036-04-19T20:53:53+00:00"});
    update(at.clone());
    update(at);
    passed(&stage).await;
    assert_eq!(acts(&stage), 1);
}

#[tokio::test]
async fn a_change_may_speak_to_the_bot_for_the_first_time() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let asked = stage.discord.user_says(scene.owner, scene.general, "hello");
    let text = format!("<@{}> hello", scene.bot);
    stage.discord.edit(scene.owner, asked, &text).unwrap();
    let it = act(&stage, 1).await;
    assert_eq!(it.text, "hello");
    assert_eq!(
        it.act,
        Act::Edited {
            of: asked.to_string()
        }
    );
    // A stranger who does so is not answered.
    let strange = stage.discord.user_says(scene.alice, scene.general, "hello");
    stage.discord.edit(scene.alice, strange, &text).unwrap();
    passed(&stage).await;
    assert_eq!(acts(&stage), 1);
}

#[tokio::test]
async fn a_message_that_is_taken_back_is_told_if_it_was_ours() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    let asked = stage.mention(scene.owner, scene.general, "one");
    let first = stage.heard("one").await;
    let other = stage
        .discord
        .user_says(scene.owner, scene.general, "not for the bot");
    stage.discord.delete(scene.owner, other).unwrap();
    stage.discord.delete(scene.owner, asked).unwrap();
    let it = act(&stage, 1).await;
    assert_eq!(
        it.act,
        Act::Deleted {
            of: asked.to_string()
        }
    );
    assert_eq!((it.event_id, it.order), (format!("{asked}:d"), 0));
    assert_eq!((it.text.as_str(), it.access), ("", Access::Granted));
    assert_eq!(
        (it.conversation, it.address, it.sender),
        (first.conversation, first.address, first.sender)
    );
    // Many at once.
    let many: Vec<Id> = (0..3)
        .map(|n| stage.mention(scene.owner, scene.general, &format!("many {n}")))
        .collect();
    stage.heard("many 2").await;
    let ids = [many[0], other, many[2]];
    stage.discord.now(Happens::Event {
        name: "MESSAGE_DELETE_BULK".into(),
        body: json!({"ids": ids, "channel_id": scene.general, "guild_id": scene.guild}),
    });
    assert_eq!(act(&stage, 2).await.event_id, format!("{}:d", many[0]));
    assert_eq!(act(&stage, 3).await.event_id, format!("{}:d", many[2]));
    stage.settled().await;
    // After a restart nobody knows where it went.
    worker.kill().await;
    let _worker = stage.up(json!({})).await;
    stage.discord.delete(scene.owner, many[1]).unwrap();
    passed(&stage).await;
    assert_eq!(acts(&stage), 3);
}

#[tokio::test]
async fn changes_come_after_their_message_and_outlive_a_kill() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    stage.settled().await;
    stage.hub.rule(|rules| rules.accept = false);
    let asked = stage.discord.dm(scene.owner, "one");
    stage.discord.edit(scene.owner, asked, "two").unwrap();
    stage.discord.delete(scene.owner, asked).unwrap();
    stage.heard("one").await;
    assert_eq!(acts(&stage), 0, "the message itself comes first");
    worker.kill().await;
    stage.hub.rule(|rules| rules.accept = true);
    let _worker = stage.up(json!({})).await;
    act(&stage, 2).await;
    stage.settled().await;
    let ids: Vec<_> = stage
        .hub
        .ledger()
        .filter_map(|seen| seen.inbound().map(|it| it.event_id.clone()));
    let one = asked.to_string();
    assert_eq!(ids[..2], [one.clone(), one.clone()]);
    assert!(ids[2].starts_with(&format!("{one}:e:")), "{ids:?}");
    assert_eq!(ids[3], format!("{one}:d"));
    assert_eq!(ids.len(), 4);
}
