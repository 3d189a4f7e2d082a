//! What each permission lets one do in a channel, and what is said to who lacks it.
//!
//! Source: Discord's "Permissions" topic and "Message" resource; what happens to embeds without EMBED_LINKS is told by its maintainers and
//! users in discord-api-docs#2601 and #5648.

use super::client::{Gateway, Rest};
use fake_discord::{FakeDiscord, File, Id, Refused, Say, Scene, permissions as may};
use serde_json::{Value, json};

async fn start() -> (FakeDiscord, Scene, Rest) {
    let fake = FakeDiscord::start().await;
    fake.set(|options| options.rate_limits = false);
    let rest = Rest::new(&fake);
    (fake.clone(), fake.scene(), rest)
}

fn embed(content: &str) -> Value {
    json!({ "content": content, "embeds": [{ "title": "t" }] })
}

#[tokio::test]
async fn embeds_without_embed_links_fall_away_in_silence_unless_they_were_all() {
    let (fake, scene, rest) = start().await;
    let shown = rest.post(scene.general, embed("words")).await;
    assert_eq!(shown.body["embeds"].as_array().unwrap().len(), 1);
    fake.deny(scene.bot, scene.general, may::EMBED_LINKS);
    let got = rest.post(scene.general, embed("words")).await;
    assert_eq!(
        (got.status, &got.body["content"], &got.body["embeds"]),
        (200, &json!("words"), &json!([]))
    );
    let only = json!({ "embeds": [{ "title": "t" }] });
    assert_eq!(
        rest.post(scene.general, only.clone()).await.code(),
        (403, 50013)
    );
    // An edit loses them as well; what would be nothing then is an empty message.
    let path = |id: Id| format!("/channels/{}/messages/{id}", scene.general);
    let words = path(got.id());
    let edited = rest.call("PATCH", &words, embed("other words")).await;
    assert_eq!(
        (&edited.body["content"], &edited.body["embeds"]),
        (&json!("other words"), &json!([]))
    );
    let nothing = json!({ "content": "", "embeds": [{ "title": "t" }] });
    assert_eq!(
        rest.call("PATCH", &words, nothing).await.code(),
        (400, 50006)
    );
    // Other channels are other channels, and so are direct messages.
    assert_eq!(rest.post(scene.random, only.clone()).await.status, 200);
    assert_eq!(
        rest.post(fake.dm_channel(scene.alice), only).await.status,
        200
    );
}

#[tokio::test]
async fn files_need_attach_files() {
    let (fake, scene, rest) = start().await;
    fake.deny(scene.bot, scene.general, may::ATTACH_FILES);
    let body = json!({ "content": "see" });
    let got = rest.upload(scene.general, body, &[("a.txt", b"x")]).await;
    assert_eq!(got.code(), (403, 50013));
    assert_eq!(rest.say(scene.general, "see").await.status, 200);
    fake.deny(scene.alice, scene.general, may::ATTACH_FILES);
    let say = Say {
        files: vec![File::default()],
        ..Say::text("see")
    };
    assert!(matches!(
        fake.says(scene.alice, scene.general, say),
        Err(Refused::NotAllowed { .. })
    ));
}

#[tokio::test]
async fn reactions_need_the_history_and_new_ones_add_reactions() {
    let (fake, scene, rest) = start().await;
    let message = fake.user_says(scene.alice, scene.general, "nice");
    let react = async |emoji: &str| {
        let path = format!(
            "/channels/{}/messages/{message}/reactions/{emoji}/@me",
            scene.general
        );
        let got = Rest::send(rest.request("PUT", &path)).await;
        (got.status, got.body["code"].as_u64())
    };
    let (thumb, heart) = ("%F0%9F%91%8D", "%F0%9F%92%99");
    fake.react(scene.bob, message, "👍", true).unwrap();
    fake.deny(scene.bot, scene.general, may::ADD_REACTIONS);
    assert_eq!(react(heart).await, (403, Some(50013)));
    // Somebody else's may be joined.
    assert_eq!(react(thumb).await, (204, None));
    fake.deny(scene.bot, scene.general, may::READ_MESSAGE_HISTORY);
    assert_eq!(react(heart).await, (403, Some(50013)));
    fake.deny(scene.bot, scene.general, 0);
    assert_eq!(react(heart).await, (204, None));
}

#[tokio::test]
async fn typing_and_writing_need_the_right_of_their_place() {
    let (fake, scene, rest) = start().await;
    let thread = fake
        .make_thread(scene.alice, scene.general, None, "t")
        .unwrap();
    let type_in = async |channel: Id| {
        let path = format!("/channels/{channel}/typing");
        Rest::send(rest.request("POST", &path)).await.status
    };
    for (denied, in_channel, in_thread) in [
        (may::SEND_MESSAGES, 403, 200),
        (may::SEND_MESSAGES_IN_THREADS, 200, 403),
    ] {
        fake.deny(scene.bot, scene.general, denied);
        assert_eq!(rest.say(scene.general, "x").await.status, in_channel);
        assert_eq!(rest.say(thread, "x").await.status, in_thread);
        assert_eq!(type_in(scene.general).await == 204, in_channel == 200);
        assert_eq!(type_in(thread).await == 204, in_thread == 200);
    }
}

#[tokio::test]
async fn a_thread_from_nothing_needs_the_right_of_its_kind() {
    let (fake, scene, rest) = start().await;
    let path = format!("/channels/{}/threads", scene.general);
    for (denied, public, private) in [
        (may::CREATE_PUBLIC_THREADS, 403, 201),
        (may::CREATE_PRIVATE_THREADS, 201, 403),
    ] {
        fake.deny(scene.bot, scene.general, denied);
        for (kind, status) in [(11, public), (12, private)] {
            let body = json!({ "name": "t", "type": kind });
            assert_eq!(rest.call("POST", &path, body).await.status, status);
        }
    }
}

#[tokio::test]
async fn overwrites_are_told_with_what_they_allow_and_deny() {
    let (fake, scene, rest) = start().await;
    let mut bot = Gateway::ready(&fake).await;
    fake.deny(scene.bot, scene.general, may::EMBED_LINKS);
    bot.event("CHANNEL_UPDATE").await;
    fake.grant(scene.bot, scene.general, may::MANAGE_THREADS);
    let told = bot.event("CHANNEL_UPDATE").await["permission_overwrites"].clone();
    let overwrite = json!({
        "id": scene.bot, "type": 1,
        "deny": may::EMBED_LINKS.to_string(), "allow": may::MANAGE_THREADS.to_string(),
    });
    assert_eq!(told, json!([overwrite]));
    let read = rest.get(&format!("/channels/{}", scene.general)).await;
    assert_eq!(read.body["permission_overwrites"], told);
}

#[tokio::test]
async fn an_interaction_is_answered_whatever_the_bot_may_do_there() {
    let (fake, scene, rest) = start().await;
    let row = json!([{ "type": 1, "components": [{ "type": 2, "style": 1, "label": "x", "custom_id": "x" }] }]);
    let body = json!({ "content": "x", "components": row });
    let message = rest.post(scene.general, body).await.id();
    fake.deny(
        scene.bot,
        scene.general,
        may::SEND_MESSAGES | may::EMBED_LINKS,
    );
    let mut bot = Gateway::ready(&fake).await;
    fake.click(scene.alice, message, "x").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    let mine: u64 = event["app_permissions"].as_str().unwrap().parse().unwrap();
    assert_eq!(mine & (may::SEND_MESSAGES | may::EMBED_LINKS), 0);
    let (id, token) = (
        event["id"].as_str().unwrap(),
        event["token"].as_str().unwrap(),
    );
    let url = format!("{}/interactions/{id}/{token}/callback", fake.api_base());
    let body = json!({ "type": 4, "data": { "embeds": [{ "title": "t" }] } });
    let got = Rest::send(super::client::http().post(url).json(&body)).await;
    assert_eq!(got.status, 204, "{}", got.text);
    assert_eq!(fake.transcript(scene.general)[1].embeds.len(), 1);
}
