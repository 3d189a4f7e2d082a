//! Hello, heartbeats, IDENTIFY, intents, events.

use super::client::{Gateway, INTENTS, Next, Rest, SOON};
use fake_discord::{Act, FakeDiscord, Options, Portal, Wire};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn hello_ready_and_guilds() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::connect(&fake).await;
    assert_eq!(bot.hello().await["d"]["heartbeat_interval"], 41_250);
    bot.identify(INTENTS).await;
    let ready = bot.event("READY").await;
    assert_eq!(ready["user"]["id"], json!(scene.bot));
    assert_eq!(ready["application"]["id"], json!(scene.application));
    assert_eq!(
        ready["guilds"],
        json!([{ "id": scene.guild, "unavailable": true }])
    );
    assert_eq!(ready["resume_gateway_url"], json!(fake.resume_url()));
    let guild = bot.event("GUILD_CREATE").await;
    assert_eq!(guild["channels"].as_array().unwrap().len(), 2);
    let managed = guild["roles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["managed"] == true)
        .unwrap();
    assert_eq!(
        (&managed["id"], &managed["tags"]["bot_id"]),
        (&json!(scene.role), &json!(scene.bot))
    );
    assert_eq!(bot.seq, Some(2));
}

#[tokio::test]
async fn heartbeats_are_acknowledged_and_asked_for() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    assert_eq!(bot.beat().await["op"], 11);
    fake.now(Act::AskHeartbeat);
    assert_eq!(bot.frame().await["op"], 1);
    assert_eq!(bot.beat().await["op"], 11);
    let beat = |wire: &Wire| {
        matches!(
            wire,
            Wire::Heartbeat {
                seq: Some(2),
                acked: true,
                ..
            }
        )
    };
    assert_eq!(fake.wire().count(beat), 2);
}

#[tokio::test]
async fn a_heartbeat_before_identify_is_fine_and_may_be_null() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::connect(&fake).await;
    bot.hello().await;
    assert_eq!(bot.beat().await["op"], 11);
    assert_eq!(
        fake.wire()
            .count(|wire| matches!(wire, Wire::Heartbeat { seq: None, .. })),
        1
    );
}

#[tokio::test]
async fn a_late_heartbeat_closes_but_does_not_end_the_session() {
    let options = Options {
        heartbeat_ms: 50,
        heartbeat_grace_ms: 50,
        ..Options::default()
    };
    let fake = FakeDiscord::start_with(options).await.unwrap();
    let mut bot = Gateway::ready(&fake).await;
    assert_eq!(bot.end().await, Next::Closed(4000));
    let mut again = bot.part().resume(&fake).await;
    again.event("RESUMED").await;
}

async fn refused(intents: u64, change: impl FnOnce(&FakeDiscord)) -> Next {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::connect(&fake).await;
    bot.hello().await;
    change(&fake);
    bot.identify(intents).await;
    bot.next().await
}

#[tokio::test]
async fn fatal_close_codes_of_identify() {
    assert_eq!(
        refused(INTENTS, |fake| fake.portal(Portal::VoidToken)).await,
        Next::Closed(4004)
    );
    assert_eq!(refused(1 << 17, |_| {}).await, Next::Closed(4013));
    assert_eq!(
        refused(INTENTS, |fake| fake.portal(Portal::ContentIntent(false))).await,
        Next::Closed(4014)
    );
    assert_eq!(refused(1 << 1, |_| {}).await, Next::Closed(4014));
}

#[tokio::test]
async fn a_wrong_version_is_4012() {
    let fake = FakeDiscord::start().await;
    let url = format!("{}/?v=9&encoding=json", fake.gateway_url());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    match socket.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 4012),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_frames_have_their_codes() {
    let fake = FakeDiscord::start_with(Options {
        max_concurrency: 100,
        ..Options::default()
    })
    .await
    .unwrap();
    let cases = [
        ("{}".to_owned(), 4002),
        ("not json".to_owned(), 4002),
        (json!({ "op": 1, "d": "x".repeat(5000) }).to_string(), 4002),
        (json!({ "op": 99, "d": null }).to_string(), 4001),
        (json!({ "op": 3, "d": {} }).to_string(), 4003),
        (json!({ "op": 2, "d": { "token": fake.token(), "intents": 1, "properties": {}, "shard": [1, 1] } }).to_string(), 4010),
    ];
    for (frame, code) in cases {
        let mut bot = Gateway::connect(&fake).await;
        bot.hello().await;
        bot.text(frame.clone()).await;
        assert_eq!(bot.end().await, Next::Closed(code), "{frame:.60}");
    }
    let mut bot = Gateway::connect(&fake).await;
    bot.socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(bot.end().await, Next::Closed(4002));
}

#[tokio::test]
async fn a_second_identify_is_4005() {
    let fake = FakeDiscord::start().await;
    let mut bot = Gateway::ready(&fake).await;
    bot.identify(INTENTS).await;
    assert_eq!(bot.end().await, Next::Closed(4005));
}

#[tokio::test]
async fn more_than_120_frames_a_minute_is_4008() {
    let fake = FakeDiscord::start().await;
    fake.freeze();
    let mut bot = Gateway::ready(&fake).await;
    for _ in 0..119 {
        assert_eq!(bot.beat().await["op"], 11);
    }
    bot.send(1, json!(1)).await;
    assert_eq!(bot.end().await, Next::Closed(4008));
    // The session lives on.
    bot.part().resume(&fake).await.event("RESUMED").await;
}

#[tokio::test]
async fn identifies_have_a_window_and_a_budget() {
    let fake = FakeDiscord::start().await;
    fake.freeze();
    let rest = Rest::new(&fake);
    let limit = rest.get("/gateway/bot").await.body["session_start_limit"].clone();
    assert_eq!(
        (
            &limit["total"],
            &limit["remaining"],
            &limit["max_concurrency"]
        ),
        (&json!(1000), &json!(1000), &json!(1))
    );
    let _first = Gateway::ready(&fake).await;
    let mut second = Gateway::connect(&fake).await;
    second.hello().await;
    second.identify(INTENTS).await;
    assert_eq!(
        second.frame().await,
        json!({ "op": 9, "d": false, "s": null, "t": null })
    );
    fake.advance(Duration::from_secs(5));
    second.identify(INTENTS).await;
    second.event("READY").await;
    let limit = rest.get("/gateway/bot").await.body["session_start_limit"].clone();
    assert_eq!(limit["remaining"], 997);
}

#[tokio::test]
async fn an_overrun_budget_voids_the_token() {
    let fake = FakeDiscord::start().await;
    let mut first = Gateway::ready(&fake).await;
    fake.portal(Portal::IdentifyBudget {
        remaining: 0,
        reset_after_ms: 60_000,
    });
    let limit = Rest::new(&fake).get("/gateway/bot").await.body["session_start_limit"].clone();
    assert_eq!(limit["remaining"], 0);
    assert!(limit["reset_after"].as_u64().unwrap() <= 60_000);
    let mut second = Gateway::connect(&fake).await;
    second.hello().await;
    second.identify(INTENTS).await;
    assert_eq!(second.end().await, Next::Closed(4004));
    assert_eq!(first.end().await, Next::Closed(4004));
    assert_eq!(Rest::new(&fake).get("/users/@me").await.status, 401);
    assert_eq!(
        fake.wire()
            .count(|wire| matches!(wire, Wire::TokenReset { .. })),
        1
    );
}

#[tokio::test]
async fn message_create_has_author_member_and_mentions() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::ready(&fake).await;
    let text = format!(
        "  <@{}> and <@&{}> and <@!{}>  ",
        scene.bot, scene.role, scene.bob
    );
    let id = fake.user_says(scene.alice, scene.general, &text);
    let event = bot.event("MESSAGE_CREATE").await;
    assert_eq!(event["id"], json!(id));
    assert_eq!(event["content"], text.trim());
    assert_eq!(event["author"]["username"], "alice");
    assert_eq!(event["guild_id"], json!(scene.guild));
    assert!(event["member"]["roles"].is_array() && event["member"].get("user").is_none());
    let mentioned: Vec<_> = event["mentions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["id"].clone())
        .collect();
    assert_eq!(mentioned, [json!(scene.bob), json!(scene.bot)]);
    assert_eq!(event["mention_roles"], json!([scene.role]));
    fake.dm(scene.owner, "hi");
    let event = bot.event("MESSAGE_CREATE").await;
    assert!(event.get("guild_id").is_none() && event.get("member").is_none());
    assert_eq!(event["channel_type"], 1);
}

#[tokio::test]
async fn events_go_by_intents_and_permissions() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::connect(&fake).await;
    bot.hello().await;
    bot.identify(1 << 12).await; // direct messages only: no guilds, no typing
    bot.event("READY").await;
    fake.user_says(scene.alice, scene.general, "not for it");
    fake.types(scene.alice, fake.dm_channel(scene.alice));
    fake.dm(scene.alice, "for it");
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "for it");

    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::ready(&fake).await;
    fake.deny(
        scene.bot,
        scene.random,
        fake_discord::permissions::VIEW_CHANNEL,
    );
    fake.user_says(scene.alice, scene.random, "unseen");
    fake.user_says(scene.alice, scene.general, "seen");
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "seen");
}

#[tokio::test]
async fn without_the_content_intent_content_is_empty_but_for_the_exceptions() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::connect(&fake).await;
    bot.hello().await;
    bot.identify(INTENTS & !(1 << 15)).await;
    bot.event("READY").await;
    bot.event("GUILD_CREATE").await;
    fake.user_says(scene.alice, scene.general, "plain");
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "");
    let mention = format!("<@{}> mention", scene.bot);
    fake.user_says(scene.alice, scene.general, &mention);
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], mention);
    fake.dm(scene.alice, "direct");
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "direct");
    Rest::new(&fake).say(scene.general, "own").await.id();
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "own");
}

#[tokio::test]
async fn the_bot_hears_its_own_messages() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::ready(&fake).await;
    let id = Rest::new(&fake)
        .post(scene.general, json!({ "content": "me", "nonce": "n1" }))
        .await
        .id();
    let event = bot.event("MESSAGE_CREATE").await;
    assert_eq!((&event["id"], &event["nonce"]), (&json!(id), &json!("n1")));
    assert_eq!(
        (&event["author"]["id"], &event["author"]["bot"]),
        (&json!(scene.bot), &json!(true))
    );
}

#[tokio::test]
async fn edits_and_deletes_are_events() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::ready(&fake).await;
    let id = fake.user_says(scene.alice, scene.general, "one");
    bot.event("MESSAGE_CREATE").await;
    fake.edit(scene.alice, id, "two").unwrap();
    let event = bot.event("MESSAGE_UPDATE").await;
    assert_eq!(
        (&event["id"], &event["content"]),
        (&json!(id), &json!("two"))
    );
    assert!(event["edited_timestamp"].is_string());
    fake.delete(scene.alice, id).unwrap();
    let event = bot.event("MESSAGE_DELETE").await;
    assert_eq!(
        event,
        json!({ "id": id, "channel_id": scene.general, "guild_id": scene.guild })
    );
    assert!(fake.edit(scene.bob, id, "x").is_err());
}

#[tokio::test]
async fn a_guild_outage_is_a_delete_marked_unavailable() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let mut bot = Gateway::ready(&fake).await;
    fake.portal(Portal::GuildOutage {
        guild: scene.guild,
        out: true,
    });
    assert_eq!(
        bot.event("GUILD_DELETE").await,
        json!({ "id": scene.guild, "unavailable": true })
    );
    fake.portal(Portal::GuildOutage {
        guild: scene.guild,
        out: false,
    });
    assert_eq!(bot.event("GUILD_CREATE").await["id"], json!(scene.guild));
}

#[tokio::test]
async fn two_sessions_of_one_token_both_hear_everything() {
    let fake = FakeDiscord::start_with(Options {
        max_concurrency: 2,
        ..Options::default()
    })
    .await
    .unwrap();
    let (mut one, mut two) = (Gateway::ready(&fake).await, Gateway::ready(&fake).await);
    fake.dm(fake.scene().owner, "hello");
    assert_eq!(
        one.event("MESSAGE_CREATE").await,
        two.event("MESSAGE_CREATE").await
    );
}

#[tokio::test]
async fn several_bots_are_apart() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let other = fake.add_bot("Other", scene.owner);
    let mut bot = Gateway::ready(&fake).await;
    let dm = fake.dm_channel_with(scene.alice, other.bot);
    fake.user_says(scene.alice, dm, "for the other");
    fake.dm(scene.alice, "for the first");
    assert_eq!(
        bot.event("MESSAGE_CREATE").await["content"],
        "for the first"
    );
    assert_eq!(
        Rest::with_token(&fake, &other.token)
            .get("/users/@me")
            .await
            .body["username"],
        "Other"
    );
    let missing = Rest::with_token(&fake, &other.token)
        .say(scene.general, "hi")
        .await;
    assert_eq!(missing.code(), (403, 50001));
    assert!(
        fake.wait_seen(
            |seen| seen.posted().is_some_and(|line| line.channel == dm),
            SOON
        )
        .await
        .is_ok()
    );
}
