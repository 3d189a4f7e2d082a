//! Authorization, versions, rate limits, what is asked about oneself.

use super::client::{Rest, http};
use fake_discord::{FakeDiscord, Portal, Seen, Wire};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn who_am_i() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    assert_eq!(rest.get("/users/@me").await.body["id"], json!(scene.bot));
    let app = rest.get("/applications/@me").await.body;
    assert_eq!(
        (&app["id"], &app["owner"]["id"], &app["team"]),
        (&json!(scene.application), &json!(scene.owner), &Value::Null)
    );
    assert_eq!(
        (&app["flags"], &app["interactions_endpoint_url"]),
        (&json!(1 << 19), &Value::Null)
    );
    fake.portal(Portal::ContentIntent(false));
    fake.portal(Portal::Team(vec![scene.alice]));
    fake.portal(Portal::InteractionsEndpoint(Some(
        "https://example.org".into(),
    )));
    let app = rest.get("/applications/@me").await.body;
    assert_eq!(
        (&app["flags"], &app["team"]["members"][0]["user"]["id"]),
        (&json!(0), &json!(scene.alice))
    );
    assert_eq!(app["interactions_endpoint_url"], "https://example.org");
}

#[tokio::test]
async fn bad_tokens_agents_versions_and_paths() {
    let fake = FakeDiscord::start().await;
    let rest = Rest::new(&fake);
    assert_eq!(
        Rest::with_token(&fake, "nonsense")
            .get("/users/@me")
            .await
            .code(),
        (401, 0)
    );
    let bare = http().get(format!("{}/users/@me", fake.api_base()));
    assert_eq!(
        Rest::send(bare.header("authorization", fake.token()))
            .await
            .status,
        401
    );
    let agent = rest
        .request("GET", "/users/@me")
        .header("user-agent", "curl/8");
    assert_eq!(Rest::send(agent).await.code(), (403, 40333));
    let old = http().get(fake.api_base().replace("v10", "v6"));
    assert_eq!(Rest::send(old).await.code(), (400, 50041));
    assert_eq!(rest.get("/nothing/here").await.status, 404);
    assert_eq!(
        Rest::send(rest.request("PUT", "/users/@me")).await.status,
        405
    );
    fake.portal(Portal::VoidToken);
    assert_eq!(rest.get("/users/@me").await.status, 401);
    let rest = Rest::with_token(&fake, &fake.new_token());
    assert_eq!(rest.get("/users/@me").await.status, 200);
}

#[tokio::test]
async fn bodies_need_a_type_and_valid_json() {
    let fake = FakeDiscord::start().await;
    let rest = Rest::new(&fake);
    let path = format!("/channels/{}/messages", fake.scene().general);
    let untyped = rest.request("POST", &path).body("{\"content\":\"x\"}");
    assert_eq!(Rest::send(untyped).await.code(), (400, 50035));
    let broken = rest
        .request("POST", &path)
        .header("content-type", "application/json")
        .body("{");
    assert_eq!(Rest::send(broken).await.code(), (400, 50109));
}

#[tokio::test]
async fn direct_messages_are_opened_once() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let open = async |id: Value| {
        rest.call("POST", "/users/@me/channels", json!({ "recipient_id": id }))
            .await
    };
    let first = open(json!(scene.alice)).await;
    assert_eq!(
        (&first.body["type"], &first.body["recipients"][0]["id"]),
        (&json!(1), &json!(scene.alice))
    );
    assert_eq!(open(json!(scene.alice)).await.id(), first.id());
    assert_eq!(open(json!("1")).await.code(), (400, 50033));
    rest.say(first.id(), "hello").await.id();
    assert_eq!(
        fake.seen()
            .count(|seen| matches!(seen, Seen::Posted(line) if line.channel == first.id())),
        1
    );
    assert_eq!(
        rest.get(&format!("/channels/{}", scene.general)).await.body["name"],
        "general"
    );
}

#[tokio::test]
async fn routes_are_limited_by_template_and_channel() {
    let fake = FakeDiscord::start().await;
    fake.freeze();
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let mut bucket = String::new();
    for left in (0..5).rev() {
        let got = rest.say(scene.general, "x").await;
        assert_eq!(
            (
                got.header("x-ratelimit-limit"),
                got.header("x-ratelimit-remaining")
            ),
            ("5", left.to_string().as_str())
        );
        assert!(
            !got.header("x-ratelimit-reset").is_empty()
                && !got.header("x-ratelimit-reset-after").is_empty()
        );
        bucket = got.header("x-ratelimit-bucket").to_owned();
    }
    let got = rest.say(scene.general, "x").await;
    assert_eq!(
        (
            got.status,
            got.header("x-ratelimit-scope"),
            &got.body["global"]
        ),
        (429, "user", &json!(false))
    );
    assert!(
        got.body["retry_after"].as_f64().unwrap() <= 5.0 && !got.header("retry-after").is_empty()
    );
    let other = rest.say(scene.random, "x").await;
    assert_eq!(
        (other.status, other.header("x-ratelimit-bucket")),
        (200, bucket.as_str())
    );
    fake.advance(Duration::from_secs(5));
    assert_eq!(rest.say(scene.general, "x").await.status, 200);
    // Each message's own path is the same bucket.
    let id = fake.transcript(scene.general)[0].message;
    let path = |id| format!("/channels/{}/messages/{id}", scene.general);
    let one = rest
        .call("PATCH", &path(id), json!({ "content": "y" }))
        .await;
    let id = fake.transcript(scene.general)[1].message;
    let two = rest
        .call("PATCH", &path(id), json!({ "content": "y" }))
        .await;
    assert_eq!(
        (
            one.header("x-ratelimit-remaining"),
            two.header("x-ratelimit-remaining")
        ),
        ("4", "3")
    );
}

#[tokio::test]
async fn fifty_a_second_in_all() {
    let fake = FakeDiscord::start().await;
    fake.freeze();
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    // Spread over routes, so that no route's own limit comes first.
    for n in 0..50 {
        let path = match n % 5 {
            0 => "/users/@me".to_owned(),
            1 => "/users/@me/guilds".to_owned(),
            2 => format!("/guilds/{}", scene.guild),
            3 => format!("/guilds/{}/roles", scene.guild),
            _ => format!("/guilds/{}/channels", scene.guild),
        };
        assert_eq!(rest.get(&path).await.status, 200, "{n}");
    }
    let got = rest.get("/users/@me").await;
    assert_eq!((got.status, &got.body["global"]), (429, &json!(true)));
    assert_eq!(
        (
            got.header("x-ratelimit-scope"),
            got.header("x-ratelimit-global")
        ),
        ("global", "true")
    );
    fake.advance(Duration::from_secs(1));
    assert_eq!(rest.get("/users/@me").await.status, 200);
    fake.set(|options| options.rate_limits = false);
    let got = rest.get("/users/@me").await;
    assert_eq!((got.status, got.header("x-ratelimit-limit")), (200, ""));
}

#[tokio::test]
async fn an_address_with_too_many_bad_requests_is_banned() {
    let fake = FakeDiscord::start().await;
    fake.freeze();
    assert_eq!(fake.options().bad_requests, 10_000);
    fake.set(|options| options.bad_requests = 20);
    let rest = Rest::with_token(&fake, "nonsense");
    for _ in 0..20 {
        assert_eq!(rest.get("/users/@me").await.status, 401);
    }
    let got = Rest::new(&fake).get("/users/@me").await;
    assert!(
        got.status == 429 && got.text.contains("1015"),
        "{}",
        got.text
    );
    fake.advance(Duration::from_secs(600));
    assert_eq!(Rest::new(&fake).get("/users/@me").await.status, 200);
}

#[tokio::test]
async fn the_wire_ledger_has_requests_and_their_answers() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    rest.say(scene.general, "x").await.id();
    rest.say(fake_discord::Id(9), "x").await;
    let answers = fake.wire().filter_map(|wire| match wire {
        Wire::Response {
            status,
            code,
            route,
            ..
        } => Some((*status, *code, route.clone())),
        _ => None,
    });
    let route = "/channels/{channel.id}/messages";
    assert_eq!(
        answers,
        [(200, None, route.into()), (404, Some(10003), route.into())]
    );
    let posts = fake.requests("POST", route);
    assert_eq!(
        posts[0],
        (
            format!("/channels/{}/messages", scene.general),
            json!({ "content": "x" })
        )
    );
}

#[tokio::test]
async fn commands_are_overwritten_checked_and_counted() {
    let fake = FakeDiscord::start().await;
    fake.set(|options| options.rate_limits = false);
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    let path = format!("/applications/{}/commands", scene.application);
    let guild = format!(
        "/applications/{}/guilds/{}/commands",
        scene.application, scene.guild
    );
    let command = |name: &str| json!({ "name": name, "description": "d" });
    let first = rest
        .call("PUT", &path, json!([command("new"), command("stop")]))
        .await;
    let again = rest.call("PUT", &path, json!([command("stop")])).await;
    assert_eq!(again.body[0]["id"], first.body[1]["id"]);
    assert_eq!(rest.get(&path).await.body.as_array().unwrap().len(), 1);
    assert_eq!(
        rest.call("PUT", &guild, json!([command("here")]))
            .await
            .body[0]["guild_id"],
        json!(scene.guild)
    );
    assert_eq!(
        rest.call("PUT", &path, json!([command("Loud")]))
            .await
            .code(),
        (400, 50035)
    );
    assert_eq!(
        rest.call("PUT", &path, json!([command("a"), command("a")]))
            .await
            .code(),
        (400, 50035)
    );
    let other = format!("/applications/{}/commands", scene.guild);
    assert_eq!(
        rest.call("PUT", &other, json!([])).await.code(),
        (404, 10002)
    );
    // 2 were new before; 99 and 99 more fit into a day, and not one beyond.
    for batch in 0..2 {
        let many: Vec<_> = (0..99).map(|n| command(&format!("c{batch}-{n}"))).collect();
        assert_eq!(rest.call("PUT", &path, json!(many)).await.status, 200);
    }
    assert_eq!(
        rest.call("PUT", &path, json!([command("late")]))
            .await
            .code(),
        (400, 30034)
    );
}
