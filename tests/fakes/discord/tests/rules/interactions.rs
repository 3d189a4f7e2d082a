//! Buttons, selects, commands and their answers.

use super::client::{Gateway, Got, Rest, SOON, http};
use fake_discord::{FakeDiscord, Id, Options, Portal, Refused, Seen};
use serde_json::{Value, json};
use std::time::Duration;

struct Case {
    fake: FakeDiscord,
    bot: Gateway,
    rest: Rest,
    message: Id,
}

/// A bot with a message that has two buttons and a select.
async fn case() -> Case {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let buttons = json!([
        { "type": 2, "style": 3, "label": "Allow", "custom_id": "allow" },
        { "type": 2, "style": 4, "label": "Deny", "custom_id": "deny", "disabled": true },
    ]);
    let select =
        json!([{ "type": 3, "custom_id": "pick", "options": [{ "label": "A", "value": "a" }] }]);
    let rows = json!([{ "type": 1, "components": buttons }, { "type": 1, "components": select }]);
    let mut bot = Gateway::ready(&fake).await;
    let message = rest
        .post(
            scene.general,
            json!({ "content": "may I?", "components": rows }),
        )
        .await
        .id();
    bot.event("MESSAGE_CREATE").await;
    Case {
        fake,
        bot,
        rest,
        message,
    }
}

/// A callback, without Authorization as it should be.
async fn answer(fake: &FakeDiscord, event: &Value, body: Value) -> Got {
    let (id, token) = (
        event["id"].as_str().unwrap(),
        event["token"].as_str().unwrap(),
    );
    let url = format!("{}/interactions/{id}/{token}/callback", fake.api_base());
    Rest::send(http().post(url).json(&body)).await
}

#[tokio::test]
async fn a_click_is_an_event_and_takes_one_answer() {
    let Case {
        fake,
        mut bot,
        message,
        ..
    } = case().await;
    let scene = fake.scene();
    let id = fake.click(scene.alice, message, "allow").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(
        (&event["id"], &event["type"], &event["data"]["custom_id"]),
        (&json!(id), &json!(3), &json!("allow"))
    );
    assert_eq!(
        (&event["member"]["user"]["id"], &event["message"]["id"]),
        (&json!(scene.alice), &json!(message))
    );
    let edited = json!({ "type": 7, "data": { "content": "allowed", "components": [] } });
    assert_eq!(answer(&fake, &event, edited.clone()).await.status, 204);
    assert_eq!(answer(&fake, &event, edited).await.code(), (400, 40060));
    assert_eq!(bot.event("MESSAGE_UPDATE").await["content"], "allowed");
    assert_eq!(
        fake.transcript(scene.general)[0].components,
        [] as [Value; 0]
    );
    let answered = |seen: &Seen| matches!(seen, Seen::Answered { interaction, callback: 7, .. } if *interaction == id);
    fake.wait_seen(answered, SOON).await.unwrap();
    // The button is gone.
    assert!(matches!(
        fake.click(scene.alice, message, "allow"),
        Err(Refused::NoComponent { .. })
    ));
}

#[tokio::test]
async fn people_cannot_use_what_is_not_there() {
    let Case { fake, message, .. } = case().await;
    let scene = fake.scene();
    assert!(fake.click(scene.alice, message, "deny").is_err());
    assert!(fake.click(scene.alice, message, "pick").is_err());
    assert!(fake.choose(scene.alice, message, "pick", &["a"]).is_ok());
    let stranger = fake.add_user("stranger");
    assert!(matches!(
        fake.click(stranger, message, "allow"),
        Err(Refused::NotAllowed { .. })
    ));
}

#[tokio::test]
async fn a_late_answer_finds_nothing_and_the_person_sees_a_failure() {
    let options = Options {
        interaction_deadline_ms: 20,
        ..Options::default()
    };
    let fake = FakeDiscord::start_with(options).await.unwrap();
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let row = json!([{ "type": 1, "components": [{ "type": 2, "style": 1, "label": "x", "custom_id": "x" }] }]);
    let message = rest
        .post(scene.general, json!({ "content": "x", "components": row }))
        .await
        .id();
    let mut bot = Gateway::ready(&fake).await;
    let id = fake.click(scene.alice, message, "x").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    fake.wait_seen(
        |seen| matches!(seen, Seen::Failed { interaction, .. } if *interaction == id),
        SOON,
    )
    .await
    .unwrap();
    fake.advance(Duration::from_millis(1));
    assert_eq!(
        answer(&fake, &event, json!({ "type": 6 })).await.code(),
        (404, 10062)
    );
}

#[tokio::test]
async fn an_ephemeral_answer_is_for_one_person_and_told_as_if_direct() {
    let Case {
        fake,
        mut bot,
        rest,
        message,
    } = case().await;
    let scene = fake.scene();
    fake.click(scene.alice, message, "allow").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    let body = json!({ "type": 4, "data": { "content": "not yours <@1>", "flags": 64 } });
    assert_eq!(answer(&fake, &event, body).await.status, 204);
    let line = fake.transcript(scene.general).pop().unwrap();
    assert_eq!(
        (line.text.as_str(), line.only_for),
        ("not yours <@1>", Some(scene.alice))
    );
    // Its bot hears of it past the channel: by the intent of direct messages, without a guild.
    let echo = bot.event("MESSAGE_CREATE").await;
    assert_eq!(
        (&echo["id"], &echo["flags"]),
        (&json!(line.message), &json!(64))
    );
    assert!(echo.get("guild_id").is_none() && echo.get("member").is_none());
    let one = format!("/channels/{}/messages/{}", scene.general, line.message);
    assert_eq!(rest.get(&one).await.code(), (404, 10008));
    let page = rest
        .get(&format!("/channels/{}/messages", scene.general))
        .await;
    assert_eq!(page.body.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_command_is_deferred_and_edited_later() {
    let Case {
        fake,
        mut bot,
        rest,
        ..
    } = case().await;
    let scene = fake.scene();
    assert!(matches!(
        fake.command(scene.bob, scene.general, "stop", json!([])),
        Err(Refused::NoCommand(_))
    ));
    let path = format!(
        "/applications/{}/guilds/{}/commands",
        scene.application, scene.guild
    );
    rest.call(
        "PUT",
        &path,
        json!([{ "name": "stop", "description": "d" }]),
    )
    .await;
    fake.command(scene.bob, scene.general, "stop", json!([]))
        .unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(
        (&event["type"], &event["data"]["name"]),
        (&json!(2), &json!("stop"))
    );
    assert_eq!(
        answer(&fake, &event, json!({ "type": 6 })).await.code(),
        (400, 50035)
    );
    let got = answer(
        &fake,
        &event,
        json!({ "type": 5, "data": { "flags": 64 | 4 } }),
    )
    .await;
    assert_eq!(got.status, 204);
    let line = fake.transcript(scene.general).pop().unwrap();
    assert!(line.loading && line.only_for == Some(scene.bob));
    let token = event["token"].as_str().unwrap();
    let hook = format!("{}/webhooks/{}/{token}", fake.api_base(), scene.application);
    let send = async |method: &str, tail: &str, body: Value| {
        Rest::send(
            http()
                .request(method.parse().unwrap(), format!("{hook}{tail}"))
                .json(&body),
        )
        .await
    };
    let got = send(
        "PATCH",
        "/messages/@original",
        json!({ "content": "stopped" }),
    )
    .await;
    assert_eq!((got.status, &got.body["content"]), (200, &json!("stopped")));
    let more = send("POST", "", json!({ "content": "and more" }))
        .await
        .id();
    assert_eq!(
        send(
            "PATCH",
            &format!("/messages/{more}"),
            json!({ "content": "edited" })
        )
        .await
        .status,
        200
    );
    assert_eq!(
        Rest::send(http().delete(format!("{hook}/messages/{more}")))
            .await
            .status,
        204
    );
    fake.advance(Duration::from_secs(901));
    assert_eq!(
        send("POST", "", json!({ "content": "too late" }))
            .await
            .code(),
        (401, 50027)
    );
    let texts: Vec<_> = fake
        .transcript(scene.general)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(texts, ["may I?", "stopped"]);
}

#[tokio::test]
async fn who_asks_for_the_response_is_told_of_it() {
    let Case {
        fake,
        mut bot,
        message,
        ..
    } = case().await;
    let scene = fake.scene();
    for (flags, ephemeral) in [(0, false), (64, true)] {
        fake.click(scene.alice, message, "allow").unwrap();
        let event = bot.event("INTERACTION_CREATE").await;
        let (id, token) = (
            event["id"].as_str().unwrap(),
            event["token"].as_str().unwrap(),
        );
        let url = format!("{}/interactions/{id}/{token}/callback", fake.api_base());
        let body = json!({ "type": 4, "data": { "content": "hm", "flags": flags } });
        let request = http().post(format!("{url}?with_response=true")).json(&body);
        let got = Rest::send(request).await.body;
        assert_eq!(got["interaction"]["response_message_ephemeral"], ephemeral);
        assert_eq!(
            got["interaction"]["response_message_id"],
            got["resource"]["message"]["id"]
        );
        let user = &got["resource"]["message"]["interaction_metadata"]["user"];
        assert_eq!(user["username"], "alice");
        bot.event("MESSAGE_CREATE").await;
    }
}

#[tokio::test]
async fn a_first_answer_has_to_come_before_a_follow_up() {
    let Case {
        fake,
        mut bot,
        message,
        ..
    } = case().await;
    let scene = fake.scene();
    fake.click(scene.alice, message, "allow").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    let token = event["token"].as_str().unwrap();
    let hook = format!("{}/webhooks/{}/{token}", fake.api_base(), scene.application);
    let post = async || Rest::send(http().post(&hook).json(&json!({ "content": "x" }))).await;
    assert_eq!(post().await.code(), (404, 10015));
    assert_eq!(
        answer(&fake, &event, json!({ "type": 6 })).await.status,
        204
    );
    assert_eq!(post().await.status, 200);
}

#[tokio::test]
async fn what_is_not_offered_cannot_be_chosen_or_typed() {
    let Case {
        fake,
        mut bot,
        rest,
        message,
    } = case().await;
    let scene = fake.scene();
    assert!(fake.choose(scene.alice, message, "pick", &["b"]).is_err());
    assert!(fake.choose(scene.alice, message, "pick", &[]).is_err());
    assert!(
        fake.choose(scene.alice, message, "pick", &["a", "a"])
            .is_err()
    );
    let mode = json!({ "type": 3, "name": "mode", "description": "d", "required": true,
        "choices": [{ "name": "Plan", "value": "plan" }] });
    let count = json!({ "type": 4, "name": "count", "description": "d" });
    let command = json!([{ "name": "mode", "description": "d", "options": [mode, count] }]);
    let path = format!("/applications/{}/commands", scene.application);
    assert_eq!(rest.call("PUT", &path, command).await.status, 200);
    let typed = |options: Value| fake.command(scene.alice, scene.general, "mode", options);
    for wrong in [
        json!([]),
        json!([{ "name": "mode", "value": "other" }]),
        json!([{ "name": "mode", "value": "plan" }, { "name": "count", "value": "3" }]),
        json!([{ "name": "mode", "value": "plan" }, { "name": "colour", "value": "red" }]),
    ] {
        assert!(
            matches!(typed(wrong.clone()), Err(Refused::BadOption { .. })),
            "{wrong}"
        );
    }
    typed(json!([{ "name": "mode", "value": "plan" }, { "name": "count", "value": 3 }])).unwrap();
    let options = bot.event("INTERACTION_CREATE").await["data"]["options"].clone();
    assert_eq!(
        options[0],
        json!({ "name": "mode", "type": 3, "value": "plan" })
    );
    assert_eq!(options[1]["type"], 4);
}

#[tokio::test]
async fn callbacks_pass_the_global_limit() {
    let Case {
        fake,
        mut bot,
        message,
        ..
    } = case().await;
    fake.set(|options| options.global_per_second = 0);
    fake.click(fake.scene().alice, message, "allow").unwrap();
    let event = bot.event("INTERACTION_CREATE").await;
    assert_eq!(
        answer(&fake, &event, json!({ "type": 6 })).await.status,
        204
    );
}

#[tokio::test]
async fn with_an_endpoint_address_nothing_comes_over_the_gateway() {
    let Case {
        fake,
        mut bot,
        message,
        ..
    } = case().await;
    fake.portal(Portal::InteractionsEndpoint(Some(
        "https://example.org".into(),
    )));
    fake.click(fake.scene().alice, message, "allow").unwrap();
    assert_eq!(bot.beat().await["op"], 11);
}
