//! Posting, editing, deleting, reading.

use super::client::{Gateway, Rest};
use fake_discord::{FakeDiscord, Id, Seen, permissions as may};
use serde_json::{Value, json};
use std::time::Duration;

async fn start() -> (FakeDiscord, fake_discord::Scene, Rest) {
    let fake = FakeDiscord::start().await;
    fake.set(|options| options.rate_limits = false);
    let rest = Rest::new(&fake);
    (fake.clone(), fake.scene(), rest)
}

#[tokio::test]
async fn two_thousand_code_points_and_not_one_more() {
    let (fake, scene, rest) = start().await;
    rest.say(scene.general, &"é".repeat(2000)).await.id();
    let got = rest.say(scene.general, &"é".repeat(2001)).await;
    assert_eq!(got.code(), (400, 50035));
    assert_eq!(
        got.body["errors"]["content"]["_errors"][0]["code"],
        "BASE_TYPE_MAX_LENGTH"
    );
    assert_eq!(fake.transcript(scene.general).len(), 1);
}

#[tokio::test]
async fn ends_are_trimmed_and_blank_is_50006() {
    let (_fake, scene, rest) = start().await;
    assert_eq!(
        rest.say(scene.general, "\n  text \n\n").await.body["content"],
        "text"
    );
    assert_eq!(rest.say(scene.general, " \n ").await.code(), (400, 50006));
    assert_eq!(
        rest.post(scene.general, json!({})).await.code(),
        (400, 50006)
    );
    assert_eq!(
        rest.post(scene.general, json!({ "content": ["x"] }))
            .await
            .code(),
        (400, 50035)
    );
}

#[tokio::test]
async fn a_nonce_that_is_enforced_gives_the_first_message() {
    let (fake, scene, rest) = start().await;
    let body = |text: &str| json!({ "content": text, "nonce": "abc", "enforce_nonce": true });
    let first = rest.post(scene.general, body("one")).await.id();
    let again = rest.post(scene.general, body("two")).await;
    assert_eq!((again.id(), &again.body["content"]), (first, &json!("one")));
    // Not enforced, it is only a label.
    let free = rest
        .post(scene.general, json!({ "content": "three", "nonce": "abc" }))
        .await
        .id();
    assert_ne!(free, first);
    fake.advance(Duration::from_secs(200));
    assert_ne!(rest.post(scene.general, body("four")).await.id(), free);
    let long = json!({ "content": "x", "nonce": "n".repeat(26) });
    assert_eq!(rest.post(scene.general, long).await.code(), (400, 50035));
    rest.post(scene.general, json!({ "content": "x", "nonce": 12345 }))
        .await
        .id();
    // It is told in the answer and in the event, and not kept.
    assert_eq!(again.body["nonce"], "abc");
    let path = format!("/channels/{}/messages/{first}", scene.general);
    assert!(rest.get(&path).await.body.get("nonce").is_none());
}

#[tokio::test]
async fn an_edit_without_flags_leaves_them() {
    let (_fake, scene, rest) = start().await;
    let body = json!({ "content": "x", "flags": 1 << 2 | 1 << 12 });
    let id = rest.post(scene.general, body).await.id();
    let path = format!("/channels/{}/messages/{id}", scene.general);
    let edit = async |body: Value| rest.call("PATCH", &path, body).await.body["flags"].clone();
    let both = json!(1 << 2 | 1 << 12);
    assert_eq!(edit(json!({ "content": "y" })).await, both);
    let silent = json!(1 << 12);
    assert_eq!(edit(json!({ "flags": 0 })).await, silent);
    assert_eq!(edit(json!({ "flags": 1 << 2 })).await, both);
}

#[tokio::test]
async fn an_edit_of_other_fields_leaves_the_mentions() {
    let (_fake, scene, rest) = start().await;
    let body =
        json!({ "content": format!("<@{}>", scene.alice), "allowed_mentions": { "parse": [] } });
    let id = rest.post(scene.general, body).await.id();
    let path = format!("/channels/{}/messages/{id}", scene.general);
    let edit = json!({ "embeds": [{ "title": "t" }] });
    assert_eq!(
        rest.call("PATCH", &path, edit).await.body["mentions"],
        json!([])
    );
    let edit = json!({ "content": format!("@everyone <@{}>", scene.bob), "allowed_mentions": { "users": [scene.bob] } });
    let got = rest.call("PATCH", &path, edit).await;
    assert_eq!(
        (
            &got.body["mentions"][0]["id"],
            &got.body["mention_everyone"]
        ),
        (&json!(scene.bob), &json!(false))
    );
}

#[tokio::test]
async fn a_nonce_whose_message_was_deleted_is_unknown_message() {
    let (fake, scene, rest) = start().await;
    let body = json!({ "content": "one", "nonce": "abc", "enforce_nonce": true });
    let first = rest.post(scene.general, body.clone()).await.id();
    fake.delete(scene.owner, first).unwrap();
    assert_eq!(rest.post(scene.general, body).await.code(), (404, 10008));
    assert!(fake.transcript(scene.general).is_empty());
}

fn pings(fake: &FakeDiscord, message: Id) -> (Vec<Id>, bool) {
    let line = fake
        .seen()
        .find(|seen| seen.posted().is_some_and(|line| line.message == message));
    let Some(Seen::Posted(line)) = line.map(|entry| entry.what) else {
        panic!("not posted")
    };
    (line.pings, line.everyone)
}

#[tokio::test]
async fn without_allowed_mentions_everything_pings() {
    let (fake, scene, rest) = start().await;
    let text = format!("@everyone <@{}>", scene.alice);
    let id = rest.say(scene.general, &text).await.id();
    assert_eq!(
        pings(&fake, id),
        (vec![scene.owner, scene.alice, scene.bob], true)
    );
    let none = json!({ "parse": [], "replied_user": false });
    let got = rest
        .post(
            scene.general,
            json!({ "content": text, "allowed_mentions": none }),
        )
        .await;
    assert_eq!(got.body["mentions"], json!([]));
    assert_eq!(pings(&fake, got.id()), (vec![], false));
    let one = json!({ "users": [scene.bob] });
    let text = format!("<@{}> <@{}> @here", scene.alice, scene.bob);
    let id = rest
        .post(
            scene.general,
            json!({ "content": text, "allowed_mentions": one }),
        )
        .await
        .id();
    assert_eq!(pings(&fake, id), (vec![scene.bob], false));
    let both = json!({ "parse": ["users"], "users": [scene.bob] });
    let got = rest
        .post(
            scene.general,
            json!({ "content": text, "allowed_mentions": both }),
        )
        .await;
    assert_eq!(got.code(), (400, 50035));
}

#[tokio::test]
async fn roles_ping_their_members() {
    let (fake, scene, rest) = start().await;
    let role = fake.add_role(scene.guild, "crew", &[scene.bob]);
    let id = rest.say(scene.general, &format!("<@&{role}>")).await.id();
    assert_eq!(pings(&fake, id).0, [scene.bob]);
}

#[tokio::test]
async fn an_edit_without_allowed_mentions_parses_again() {
    let (_fake, scene, rest) = start().await;
    let none = json!({ "parse": [] });
    let text = format!("<@{}>", scene.alice);
    let id = rest
        .post(
            scene.general,
            json!({ "content": text, "allowed_mentions": none }),
        )
        .await
        .id();
    let path = format!("/channels/{}/messages/{id}", scene.general);
    let got = rest
        .call(
            "PATCH",
            &path,
            json!({ "content": format!("{text}!"), "allowed_mentions": none }),
        )
        .await;
    assert_eq!(got.body["mentions"], json!([]));
    let got = rest
        .call("PATCH", &path, json!({ "content": format!("{text}!!") }))
        .await;
    assert_eq!(got.body["mentions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn replies_refer_and_ping_and_survive_a_missing_message() {
    let (fake, scene, rest) = start().await;
    let asked = fake.user_says(scene.alice, scene.general, "question");
    let reply = |id: Id, extra: Value| {
        let mut body = json!({ "content": "answer", "message_reference": { "message_id": id } });
        body["message_reference"]["fail_if_not_exists"] = extra;
        body
    };
    let got = rest.post(scene.general, reply(asked, json!(true))).await;
    assert_eq!(
        (&got.body["type"], &got.body["referenced_message"]["id"]),
        (&json!(19), &json!(asked))
    );
    assert_eq!(pings(&fake, got.id()).0, [scene.alice]);
    let mut quiet = reply(asked, json!(false));
    quiet["allowed_mentions"] = json!({ "parse": [], "replied_user": false });
    let got = rest.post(scene.general, quiet).await;
    assert!(pings(&fake, got.id()).0.is_empty());
    fake.delete(scene.alice, asked).unwrap();
    assert_eq!(
        rest.post(scene.general, reply(asked, json!(true)))
            .await
            .code(),
        (400, 50035)
    );
    let got = rest.post(scene.general, reply(asked, json!(false))).await;
    assert_eq!(got.body["type"], 0);
    fake.deny(scene.bot, scene.general, may::READ_MESSAGE_HISTORY);
    assert_eq!(
        rest.post(scene.general, reply(asked, json!(false)))
            .await
            .code(),
        (403, 160_002)
    );
}

#[tokio::test]
async fn only_the_settable_flags_are_set_and_silence_is_seen() {
    let (fake, scene, rest) = start().await;
    let got = rest
        .post(
            scene.general,
            json!({ "content": "psst", "flags": 1 << 12 | 1 << 2 | 1 << 6 }),
        )
        .await;
    assert_eq!(got.body["flags"], 1 << 12 | 1 << 2);
    assert!(fake.transcript(scene.general)[0].silent);
}

#[tokio::test]
async fn permissions_have_their_codes() {
    let (fake, scene, rest) = start().await;
    assert_eq!(rest.say(Id(5), "x").await.code(), (404, 10003));
    fake.deny(scene.bot, scene.general, may::VIEW_CHANNEL);
    assert_eq!(rest.say(scene.general, "x").await.code(), (403, 50001));
    fake.deny(scene.bot, scene.general, may::SEND_MESSAGES);
    assert_eq!(rest.say(scene.general, "x").await.code(), (403, 50013));
    let dm = fake.dm_channel(scene.alice);
    fake.accept_dms(scene.alice, false);
    assert_eq!(rest.say(dm, "x").await.code(), (403, 50007));
}

#[tokio::test]
async fn edits_are_for_ones_own_and_old_ones_are_limited() {
    let (fake, scene, rest) = start().await;
    let theirs = fake.user_says(scene.alice, scene.general, "theirs");
    let own = rest.say(scene.general, "own").await.id();
    let path = |id| format!("/channels/{}/messages/{id}", scene.general);
    let edit = json!({ "content": "changed" });
    assert_eq!(
        rest.call("PATCH", &path(theirs), edit.clone()).await.code(),
        (403, 50005)
    );
    assert_eq!(
        rest.call("PATCH", &path(Id(7)), edit.clone()).await.code(),
        (404, 10008)
    );
    assert_eq!(
        rest.call("PATCH", &path(own), edit.clone()).await.body["content"],
        "changed"
    );
    assert_eq!(
        rest.call("PATCH", &path(own), json!({ "content": "" }))
            .await
            .code(),
        (400, 50006)
    );
    fake.advance(Duration::from_secs(3601));
    for _ in 0..3 {
        assert_eq!(
            rest.call("PATCH", &path(own), edit.clone()).await.status,
            200
        );
    }
    assert_eq!(
        rest.call("PATCH", &path(own), edit).await.code(),
        (429, 30046)
    );
    assert_eq!(
        fake.transcript(scene.general).last().unwrap().text,
        "changed"
    );
}

#[tokio::test]
async fn deleting_needs_ownership_or_permission() {
    let (fake, scene, rest) = start().await;
    let theirs = fake.user_says(scene.alice, scene.general, "theirs");
    let own = rest.say(scene.general, "own").await.id();
    let path = |id| format!("/channels/{}/messages/{id}", scene.general);
    assert_eq!(
        Rest::send(rest.request("DELETE", &path(theirs)))
            .await
            .code(),
        (403, 50013)
    );
    assert_eq!(
        Rest::send(rest.request("DELETE", &path(own))).await.status,
        204
    );
    assert_eq!(
        Rest::send(rest.request("DELETE", &path(own))).await.code(),
        (404, 10008)
    );
    fake.grant(scene.bot, scene.general, may::MANAGE_MESSAGES);
    assert_eq!(
        Rest::send(rest.request("DELETE", &path(theirs)))
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn pages_are_newest_first() {
    let (fake, scene, rest) = start().await;
    let ids: Vec<Id> = (0..5)
        .map(|n| fake.user_says(scene.alice, scene.general, &format!("{n}")))
        .collect();
    let page = async |query: String| -> Vec<String> {
        let got = rest
            .get(&format!("/channels/{}/messages?{query}", scene.general))
            .await;
        let list = got
            .body
            .as_array()
            .unwrap_or_else(|| panic!("{}", got.text))
            .clone();
        list.iter()
            .map(|it| it["content"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(page("limit=2".into()).await, ["4", "3"]);
    // After an id come those nearest to it, still newest first.
    assert_eq!(page(format!("after={}&limit=2", ids[0])).await, ["2", "1"]);
    assert_eq!(page(format!("before={}", ids[2])).await, ["1", "0"]);
    assert_eq!(
        page(format!("around={}&limit=3", ids[2])).await,
        ["3", "2", "1"]
    );
    let path = format!("/channels/{}/messages", scene.general);
    assert_eq!(
        rest.get(&format!("{path}?limit=101")).await.code(),
        (400, 50035)
    );
    assert_eq!(
        rest.get(&format!("{path}?limit=0")).await.code(),
        (400, 50035)
    );
    assert_eq!(
        rest.get(&format!("{path}?after=1&before=2")).await.code(),
        (400, 50035)
    );
    fake.deny(scene.bot, scene.general, may::READ_MESSAGE_HISTORY);
    assert_eq!(page(String::new()).await, [""; 0]);
    assert_eq!(
        rest.get(&format!("{path}/{}", ids[0])).await.code(),
        (403, 50001)
    );
}

#[tokio::test]
async fn typing_and_reactions_are_seen() {
    let (fake, scene, rest) = start().await;
    assert_eq!(
        Rest::send(rest.request("POST", &format!("/channels/{}/typing", scene.general)))
            .await
            .status,
        204
    );
    assert_eq!(
        fake.seen()
            .count(|seen| matches!(seen, Seen::Typing { user, .. } if *user == scene.bot)),
        1
    );
    let id = fake.user_says(scene.alice, scene.general, "nice");
    let path = |emoji: &str| {
        format!(
            "/channels/{}/messages/{id}/reactions/{emoji}/@me",
            scene.general
        )
    };
    assert_eq!(
        Rest::send(rest.request("PUT", &path("%F0%9F%91%8D")))
            .await
            .status,
        204
    );
    assert_eq!(
        Rest::send(rest.request("PUT", &path("thumbsup")))
            .await
            .code(),
        (400, 10014)
    );
    let got = rest
        .get(&format!("/channels/{}/messages/{id}", scene.general))
        .await;
    assert_eq!(
        (
            &got.body["reactions"][0]["me"],
            &got.body["reactions"][0]["emoji"]["name"]
        ),
        (&json!(true), &json!("👍"))
    );
    assert_eq!(
        Rest::send(rest.request("DELETE", &path("%F0%9F%91%8D")))
            .await
            .status,
        204
    );
    assert_eq!(
        fake.seen()
            .count(|seen| matches!(seen, Seen::Reacted { .. })),
        2
    );
}

#[tokio::test]
async fn embeds_and_components_have_limits() {
    let (_fake, scene, rest) = start().await;
    let post = async |body: Value| rest.post(scene.general, body).await.code();
    let embed = |value: Value| json!({ "embeds": [value] });
    assert_eq!(
        post(embed(
            json!({ "title": "t".repeat(256), "description": "d".repeat(4096) })
        ))
        .await,
        (200, 0)
    );
    assert_eq!(
        post(embed(json!({ "title": "t".repeat(257) }))).await,
        (400, 50035)
    );
    assert_eq!(
        post(embed(json!({ "description": "d".repeat(4097) }))).await,
        (400, 50035)
    );
    assert_eq!(post(embed(json!({}))).await, (400, 50035));
    let full = json!({ "description": "d".repeat(3001) });
    assert_eq!(post(json!({ "embeds": [full, full] })).await, (400, 50035));
    let button = |id: &str| json!({ "type": 2, "style": 1, "label": "ok", "custom_id": id });
    let row = |cells: Vec<Value>| json!({ "content": "x", "components": [{ "type": 1, "components": cells }] });
    assert_eq!(
        post(row((0..5).map(|n| button(&n.to_string())).collect())).await,
        (200, 0)
    );
    assert_eq!(
        post(row((0..6).map(|n| button(&n.to_string())).collect())).await,
        (400, 50035)
    );
    assert_eq!(
        post(row(vec![button("same"), button("same")])).await,
        (400, 50035)
    );
    assert_eq!(
        post(row(vec![button(&"i".repeat(101))])).await,
        (400, 50035)
    );
    let options = |count: u32| {
        (0..count)
            .map(|n| json!({ "label": "l", "value": n.to_string() }))
            .collect::<Vec<_>>()
    };
    let select = |count| json!({ "type": 3, "custom_id": "s", "options": options(count) });
    assert_eq!(post(row(vec![select(25)])).await, (200, 0));
    assert_eq!(post(row(vec![select(26)])).await, (400, 50035));
    assert_eq!(post(row(vec![select(1), button("b")])).await, (400, 50035));
}

#[tokio::test]
async fn files_are_uploaded_and_fetched_by_signed_addresses() {
    let (fake, scene, rest) = start().await;
    let body = json!({ "content": "see", "attachments": [{ "id": 0, "description": "about" }] });
    let got = rest
        .upload(scene.general, body, &[("an swer.md", b"# yes")])
        .await;
    let id = got.id();
    let file = &got.body["attachments"][0];
    assert_eq!(
        (&file["filename"], &file["size"], &file["description"]),
        (&json!("an_swer.md"), &json!(5), &json!("about"))
    );
    assert_eq!(
        fake.transcript(scene.general)[0].files[0].name,
        "an_swer.md"
    );
    let url = file["url"].as_str().unwrap().to_owned();
    let stranger = "https://example.org/attachments/1/2/x";
    let fetch = async |url: &str| reqwest_status(url).await;
    assert_eq!(fetch(&url).await, (200, "# yes".into()));
    assert_eq!(fetch(&url.replace("hm=", "hm=0")).await.0, 404);
    fake.portal(fake_discord::Portal::ExpireAttachments);
    assert_eq!(fetch(&url).await.0, 404);
    let fresh = rest
        .get(&format!("/channels/{}/messages/{id}", scene.general))
        .await;
    let fresh = fresh.body["attachments"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(fetch(&fresh).await.0, 200);
    let old = json!({ "attachment_urls": [url, stranger] });
    let got = rest.call("POST", "/attachments/refresh-urls", old).await;
    let refreshed = &got.body["refreshed_urls"];
    assert_eq!(refreshed[0]["original"], json!(url));
    assert_eq!(refreshed[1]["refreshed"], Value::Null);
    let other = refreshed[0]["refreshed"].as_str().unwrap();
    assert_eq!(fetch(other).await, (200, "# yes".into()));
    let none = json!({ "attachment_urls": [] });
    let got = rest.call("POST", "/attachments/refresh-urls", none).await;
    assert_eq!(got.code(), (400, 50035));
    fake.advance(Duration::from_secs(86_402));
    assert_eq!(fetch(&fresh).await.0, 404);
    let cdn = |wire: &fake_discord::Wire| {
        matches!(
            wire,
            fake_discord::Wire::Cdn {
                authorized: false,
                ..
            }
        )
    };
    assert_eq!(fake.wire().count(cdn), 6);
}

async fn reqwest_status(url: &str) -> (u16, String) {
    let response = super::client::http().get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn files_have_limits_and_edits_keep_what_they_name() {
    let (_fake, scene, rest) = start().await;
    let big = vec![b'x'; (10 << 20) + 1];
    assert_eq!(
        rest.upload(scene.general, json!({}), &[("big", &big)])
            .await
            .code(),
        (413, 40005)
    );
    let missing = json!({ "attachments": [{ "id": 3 }] });
    assert_eq!(
        rest.upload(scene.general, missing, &[("a", b"x")])
            .await
            .code(),
        (400, 50146)
    );
    let got = rest
        .upload(
            scene.general,
            json!({}),
            &[("a.txt", b"a"), ("b.txt", b"b")],
        )
        .await;
    let kept = got.body["attachments"][1]["id"].clone();
    let path = format!("/channels/{}/messages/{}", scene.general, got.id());
    let edit = json!({ "content": "less", "attachments": [{ "id": kept }] });
    let got = rest.call("PATCH", &path, edit).await;
    let names: Vec<_> = got.body["attachments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["filename"].clone())
        .collect();
    assert_eq!(names, [json!("b.txt")]);
}

#[tokio::test]
async fn people_send_files_replies_and_threads() {
    let (fake, scene, _rest) = start().await;
    let mut bot = Gateway::ready(&fake).await;
    let file = fake_discord::File {
        name: "cat.png".into(),
        content_type: Some("image/png".into()),
        data: vec![1, 2, 3],
    };
    let say = fake_discord::Say {
        files: vec![file],
        ..Default::default()
    };
    let first = fake.says(scene.alice, scene.general, say).unwrap();
    let event = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&event["content"], &event["attachments"][0]["content_type"]),
        (&json!(""), &json!("image/png"))
    );
    fake.reply_to(scene.bob, first, "nice cat").unwrap();
    let event = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (
            &event["referenced_message"]["id"],
            &event["mentions"][0]["id"]
        ),
        (&json!(first), &json!(scene.alice))
    );
    let thread = fake
        .make_thread(scene.bob, scene.general, Some(first), "cats")
        .unwrap();
    assert_eq!(thread, first);
    let event = bot.event("THREAD_CREATE").await;
    assert_eq!(
        (&event["parent_id"], &event["newly_created"]),
        (&json!(scene.general), &json!(true))
    );
    bot.event("MESSAGE_UPDATE").await;
    assert_eq!(bot.event("MESSAGE_CREATE").await["type"], 21);
    fake.user_says(scene.alice, thread, "in here");
    let event = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&event["channel_type"], &event["content"]),
        (&json!(11), &json!("in here"))
    );
}
