//! Threads over REST.

use super::client::{Gateway, Rest};
use fake_discord::{FakeDiscord, Refused, Say, Seen, permissions as may};
use serde_json::json;

#[tokio::test]
async fn from_a_message_once_with_its_id() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let message = fake.user_says(scene.alice, scene.general, "topic");
    let path = format!("/channels/{}/messages/{message}/threads", scene.general);
    assert_eq!(
        rest.call("POST", &path, json!({ "name": "" })).await.code(),
        (400, 50035)
    );
    assert_eq!(
        rest.call(
            "POST",
            &path,
            json!({ "name": "n", "auto_archive_duration": 61 })
        )
        .await
        .code(),
        (400, 50035)
    );
    let got = rest
        .call(
            "POST",
            &path,
            json!({ "name": "topic", "auto_archive_duration": 1440 }),
        )
        .await;
    assert_eq!((got.status, got.id()), (201, message));
    assert_eq!(
        (
            &got.body["type"],
            &got.body["thread_metadata"]["auto_archive_duration"]
        ),
        (&json!(11), &json!(1440))
    );
    assert_eq!(
        rest.call("POST", &path, json!({ "name": "topic" }))
            .await
            .code(),
        (400, 160_004)
    );
    assert_eq!(
        fake.seen()
            .count(|seen| matches!(seen, Seen::ThreadMade { .. })),
        1
    );
    rest.say(message, "in the thread").await.id();
    let starter = rest
        .get(&format!("/channels/{}/messages/{message}", scene.general))
        .await;
    assert_eq!(starter.body["thread"]["id"], json!(message));
    let active = rest
        .get(&format!("/guilds/{}/threads/active", scene.guild))
        .await;
    assert_eq!(active.body["threads"][0]["id"], json!(message));
}

#[tokio::test]
async fn without_a_message_private_is_the_default() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let path = format!("/channels/{}/threads", scene.general);
    let private = rest.call("POST", &path, json!({ "name": "quiet" })).await;
    assert_eq!(private.body["type"], 12);
    assert!(
        fake.says(scene.alice, private.id(), Say::text("let me in"))
            .is_err()
    );
    let member = format!("/channels/{}/thread-members/{}", private.id(), scene.alice);
    assert_eq!(Rest::send(rest.request("PUT", &member)).await.status, 204);
    fake.user_says(scene.alice, private.id(), "thanks");
    assert_eq!(
        rest.call("POST", &path, json!({ "name": "open", "type": 11 }))
            .await
            .body["type"],
        11
    );
    let dm = fake.dm_channel(scene.alice);
    let got = rest
        .call(
            "POST",
            &format!("/channels/{dm}/threads"),
            json!({ "name": "x" }),
        )
        .await;
    assert_eq!(got.code(), (403, 50003));
}

#[tokio::test]
async fn missing_permissions_are_said() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let message = fake.user_says(scene.alice, scene.general, "topic");
    fake.deny(scene.bot, scene.general, may::CREATE_PUBLIC_THREADS);
    let path = format!("/channels/{}/messages/{message}/threads", scene.general);
    assert_eq!(
        rest.call("POST", &path, json!({ "name": "n" }))
            .await
            .code(),
        (403, 50013)
    );
    fake.deny(scene.bot, scene.general, may::SEND_MESSAGES_IN_THREADS);
    let thread = rest.call("POST", &path, json!({ "name": "n" })).await.id();
    assert_eq!(rest.say(thread, "x").await.code(), (403, 50013));
    fake.deny(scene.bot, scene.general, may::SEND_MESSAGES);
    rest.say(thread, "SEND_MESSAGES means nothing in a thread")
        .await
        .id();
}

#[tokio::test]
async fn archived_and_locked() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let path = format!("/channels/{}/threads", scene.general);
    let thread = rest
        .call("POST", &path, json!({ "name": "t", "type": 11 }))
        .await
        .id();
    let message = rest.say(thread, "one").await.id();
    let edit = format!("/channels/{thread}/messages/{message}");
    fake.set_thread(thread, true, false);
    assert_eq!(
        rest.call("PATCH", &edit, json!({ "content": "x" }))
            .await
            .code(),
        (400, 50083)
    );
    // Writing opens it again.
    rest.say(thread, "two").await.id();
    assert_eq!(
        rest.call("PATCH", &edit, json!({ "content": "x" }))
            .await
            .status,
        200
    );
    fake.set_thread(thread, false, true);
    assert_eq!(rest.say(thread, "three").await.code(), (403, 160_005));
    assert!(fake.says(scene.alice, thread, Say::text("me too")).is_err());
    assert_eq!(
        rest.call("PATCH", &edit, json!({ "content": "y" }))
            .await
            .code(),
        (403, 160_005)
    );
    let channel = format!("/channels/{thread}");
    assert_eq!(
        rest.call("PATCH", &channel, json!({ "locked": false }))
            .await
            .code(),
        (403, 50013)
    );
    fake.set_thread(thread, false, false);
    let got = rest
        .call(
            "PATCH",
            &channel,
            json!({ "name": "renamed", "archived": true }),
        )
        .await;
    assert_eq!(
        (&got.body["name"], &got.body["thread_metadata"]["archived"]),
        (&json!("renamed"), &json!(true))
    );
    assert_eq!(
        Rest::send(rest.request("DELETE", &channel)).await.code(),
        (403, 50013)
    );
    fake.grant(scene.bot, scene.general, may::MANAGE_THREADS);
    assert_eq!(
        Rest::send(rest.request("DELETE", &channel)).await.status,
        200
    );
    assert_eq!(rest.get(&channel).await.code(), (404, 10003));
}

#[tokio::test]
async fn an_archived_thread_takes_deletes_and_nothing_else() {
    let fake = FakeDiscord::start().await;
    fake.set(|options| options.rate_limits = false);
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let path = format!("/channels/{}/threads", scene.general);
    let open = json!({ "name": "t", "type": 11 });
    let thread = rest.call("POST", &path, open).await.id();
    let (one, two) = (
        rest.say(thread, "one").await.id(),
        rest.say(thread, "two").await.id(),
    );
    let theirs = fake.user_says(scene.alice, thread, "theirs");
    fake.set_thread(thread, true, false);
    let at = |message| format!("/channels/{thread}/messages/{message}");
    let react = format!("{}/reactions/%F0%9F%91%8D/@me", at(one));
    assert_eq!(
        Rest::send(rest.request("PUT", &react)).await.code(),
        (400, 50083)
    );
    let join = format!("/channels/{thread}/thread-members/{}", scene.bob);
    assert_eq!(
        Rest::send(rest.request("PUT", &join)).await.code(),
        (400, 50083)
    );
    let refused = |got: Result<(), Refused>| matches!(got, Err(Refused::NotAllowed { .. }));
    assert!(refused(fake.edit(scene.alice, theirs, "x")));
    assert!(refused(fake.react(scene.alice, one, "👍", true)));
    assert_eq!(
        Rest::send(rest.request("DELETE", &at(one))).await.status,
        204
    );
    // Locked as well, not even that; who manages threads may.
    fake.set_thread(thread, true, true);
    assert_eq!(
        Rest::send(rest.request("DELETE", &at(two))).await.code(),
        (403, 160_005)
    );
    fake.set_thread(thread, false, true);
    let edit = json!({ "content": "x" });
    assert_eq!(
        rest.call("PATCH", &at(two), edit.clone()).await.code(),
        (403, 160_005)
    );
    fake.grant(scene.bot, scene.general, may::MANAGE_THREADS);
    assert_eq!(rest.call("PATCH", &at(two), edit).await.status, 200);
    assert_eq!(
        Rest::send(rest.request("DELETE", &at(two))).await.status,
        204
    );
}

#[tokio::test]
async fn writing_in_an_archived_thread_opens_it_for_all_to_see() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let thread = fake
        .make_thread(scene.alice, scene.general, None, "t")
        .unwrap();
    fake.set_thread(thread, true, false);
    let mut bot = Gateway::ready(&fake).await;
    fake.user_says(scene.alice, thread, "still here?");
    let event = bot.event("THREAD_UPDATE").await;
    assert_eq!(event["thread_metadata"]["archived"], false);
    assert_eq!(bot.event("MESSAGE_CREATE").await["content"], "still here?");
    // A bot that writes joins the thread, and is told so.
    Rest::new(&fake).say(thread, "yes").await.id();
    let joined = bot.event("THREAD_MEMBERS_UPDATE").await;
    assert_eq!(joined["added_members"][0]["user_id"], json!(scene.bot));
    bot.event("MESSAGE_CREATE").await;
}

#[tokio::test]
async fn what_the_system_writes_about_threads_is_no_ones_message() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let topic = fake.user_says(scene.alice, scene.general, "topic");
    let mut bot = Gateway::ready(&fake).await;
    let thread = fake
        .make_thread(scene.bob, scene.general, Some(topic), "topic")
        .unwrap();
    bot.event("THREAD_CREATE").await;
    assert_eq!(bot.event("MESSAGE_UPDATE").await["flags"], 1 << 5);
    let starter = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (
            &starter["type"],
            &starter["content"],
            &starter["channel_id"]
        ),
        (&json!(21), &json!(""), &json!(thread))
    );
    let reference = &starter["message_reference"];
    assert_eq!(
        (&reference["message_id"], &reference["channel_id"]),
        (&json!(topic), &json!(scene.general))
    );
    assert_eq!(starter["referenced_message"]["content"], "topic");
    let alone = fake
        .make_thread(scene.bob, scene.general, None, "on its own")
        .unwrap();
    bot.event("THREAD_CREATE").await;
    let word = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&word["type"], &word["content"], &word["channel_id"]),
        (&json!(18), &json!("on its own"), &json!(scene.general))
    );
    let reference = &word["message_reference"];
    assert_eq!(reference["channel_id"], json!(alone));
    assert!(reference.get("message_id").is_none());
    // They are in the history and not in what people wrote.
    let page = Rest::new(&fake)
        .get(&format!("/channels/{thread}/messages"))
        .await;
    assert_eq!(page.body[0]["type"], 21);
    assert!(fake.transcript(thread).is_empty());
    assert_eq!(fake.transcript(scene.general).len(), 1);
}
