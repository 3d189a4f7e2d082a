//! Threads over REST.

use super::client::Rest;
use fake_discord::{FakeDiscord, Seen, permissions as may};
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
        fake.says(
            scene.alice,
            private.id(),
            fake_discord::Say::text("let me in")
        )
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
