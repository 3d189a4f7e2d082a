//! From the hub to people.

use std::time::Duration;

use fake_discord::{Act, RestAct, Seen, Times, permissions};
use fake_hub::chunk;
use ipc_schema::{Activity, Body, Deliver, Failure};
use serde_json::json;

use crate::stage::{SOON, Stage};

const MESSAGES: &str = "/channels/{channel.id}/messages";

pub(crate) fn old(deliver: Deliver, age_ms: u64) -> Deliver {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let first_attempt_at_ms = u64::try_from(now.as_millis()).unwrap();
    Deliver {
        age_ms,
        first_attempt_at_ms,
        ..deliver
    }
}

#[tokio::test]
async fn a_long_answer_stands_once_and_in_order() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let asked = stage.mention(scene.owner, scene.general, "tell me");
    stage.inbound(1).await;
    let address = scene.general.to_string();
    let texts = [
        "a".repeat(2000),
        "中".repeat(2000),
        format!("@everyone <@{}> <@&{}>", scene.alice, scene.role),
    ];
    for (index, text) in (0..).zip(&texts) {
        let mut deliver = chunk(&format!("r-{index}"), "r", index, 3, &address, text);
        if index == 0 {
            deliver.reply_to = asked.to_string();
        }
        deliver.silent = index == 2;
        stage.deliver(deliver);
    }
    let lines = stage
        .discord
        .wait_replies(scene.general, asked, 3, SOON)
        .await
        .unwrap();
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line.text, texts[index]);
        assert_eq!(
            stage.delivered(&format!("r-{index}")).await,
            line.message.to_string()
        );
        assert_eq!(line.nonce.as_deref(), Some(format!("r-{index}").as_str()));
        assert_eq!((line.pings.len(), line.everyone), (0, false));
        assert_eq!(
            (line.reply_to, line.silent),
            ((index == 0).then_some(asked), index == 2)
        );
    }
    for body in stage.posts() {
        assert_eq!(
            body["allowed_mentions"],
            json!({"parse": [], "replied_user": false})
        );
        assert_eq!(body["enforce_nonce"], json!(true));
    }
}

#[tokio::test]
async fn case_12_nonce_retry() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    // The gateway does not show the post either.
    stage.discord.now(Act::Mute);
    stage.discord.lose_post_response(0);
    stage.deliver(chunk("r-0", "r", 0, 1, &scene.general.to_string(), "once"));
    let id = stage.delivered("r-0").await;
    let lines = stage.discord.transcript(scene.general);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].message.to_string(), id);
    assert_eq!(stage.posts().len(), 2, "it was tried again");
}

#[tokio::test]
async fn the_gateway_shows_a_post_whose_answer_is_lost() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.lose_post_response(0);
    stage.deliver(chunk("r-0", "r", 0, 1, &scene.general.to_string(), "once"));
    let id = stage.delivered("r-0").await;
    assert_eq!(
        stage.discord.transcript(scene.general)[0]
            .message
            .to_string(),
        id
    );
}

#[tokio::test]
async fn case_13_nonce_deleted() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    let hold = stage.discord.hold_post_response(0);
    let deliver = chunk("r-0", "r", 0, 1, &scene.general.to_string(), "gone");
    stage.deliver(deliver.clone());
    assert!(hold.reached(SOON).await);
    worker.kill().await;
    hold.release();
    let line = stage.discord.transcript(scene.general).remove(0);
    stage.discord.delete(scene.owner, line.message).unwrap();
    // The echo of the post is replayed too; without it Discord's refusal has to be understood.
    stage.hub.set_cursor("gateway", b"");
    let _worker = stage.up(json!({})).await;
    stage.deliver(old(deliver, 1_000));
    stage.delivered("r-0").await;
    assert!(stage.discord.transcript(scene.general).is_empty());
}

#[tokio::test]
async fn killed_between_post_and_delivered() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    let hold = stage.discord.hold_post_response(0);
    let deliver = chunk("r-0", "r", 0, 1, &scene.general.to_string(), "once");
    stage.deliver(deliver.clone());
    assert!(hold.reached(SOON).await);
    worker.kill().await;
    hold.release();
    let _worker = stage.up(json!({})).await;
    stage.deliver(old(deliver, 1_000));
    let id = stage.delivered("r-0").await;
    let lines = stage.discord.transcript(scene.general);
    assert_eq!((lines.len(), lines[0].message.to_string()), (1, id));
}

#[tokio::test]
async fn an_old_lease_is_looked_up_before_it_is_posted() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    let general = scene.general.to_string();
    stage.deliver(chunk("r-0", "r", 0, 1, &general, "stands already"));
    let first = stage.delivered("r-0").await;
    stage.settled().await;
    worker.kill().await;
    // Past the nonce window: a repeat would stand twice.
    stage.discord.advance(Duration::from_secs(170));
    let worker = stage.up(json!({})).await;
    stage.discord.advance(Duration::from_secs(600));
    let posts = stage.posts().len();
    let mut again = old(chunk("r-0", "r", 0, 1, &general, "stands already"), 770_000);
    stage.deliver(again.clone());
    assert_eq!(
        stage
            .hub
            .wait_nth(2, |body| match body {
                Body::Delivered(delivered) if delivered.key == "r-0" =>
                    Some(delivered.platform_id.clone()),
                _ => None,
            })
            .await
            .unwrap(),
        first
    );
    assert_eq!(stage.posts().len(), posts);

    again.key = "s-0".into();
    again.text = "does not stand".into();
    stage.deliver(again.clone());
    stage.delivered("s-0").await;
    assert_eq!(stage.discord.transcript(scene.general).len(), 2);

    stage
        .discord
        .deny(scene.bot, scene.general, permissions::READ_MESSAGE_HISTORY);
    again.key = "t-0".into();
    stage.deliver(again);
    let failed = stage.failed("t-0").await;
    assert_eq!(failed.failure, Failure::Ambiguous);
    assert_eq!(stage.discord.transcript(scene.general).len(), 2);
    drop(worker);
}

#[tokio::test]
async fn case_20_user_429_order() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.discord.rest_fault(
        "POST",
        MESSAGES,
        Times::Next(1),
        RestAct::UserLimit {
            retry_after: 0.5,
            shared: false,
        },
    );
    for index in 0..2 {
        let text = format!("chunk {index}");
        stage.deliver(chunk(
            &format!("r-{index}"),
            "r",
            index,
            2,
            &scene.general.to_string(),
            &text,
        ));
    }
    stage.delivered("r-1").await;
    let texts: Vec<_> = stage
        .discord
        .transcript(scene.general)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(texts, ["chunk 0", "chunk 1"]);
    assert_eq!(
        stage.posts().len(),
        3,
        "one was limited and the next did not overtake it"
    );
}

#[tokio::test]
async fn global_429_and_cloudflare_hold_every_channel() {
    for act in [
        RestAct::GlobalLimit { retry_after: 1.0 },
        RestAct::Cloudflare {
            retry_after: Some(1),
        },
    ] {
        let stage = Stage::new().await;
        let scene = stage.discord.scene();
        let _worker = stage.up(json!({})).await;
        stage
            .discord
            .rest_fault("POST", MESSAGES, Times::Next(1), act);
        stage.deliver(chunk("r-0", "r", 0, 1, &scene.general.to_string(), "first"));
        stage.said("limits").await;
        // It knows of the limit now: nothing else may go before the first is posted or with it.
        let before = stage.discord.wire().next();
        stage.deliver(chunk("s-0", "s", 0, 1, &scene.random.to_string(), "second"));
        stage.delivered("r-0").await;
        stage.delivered("s-0").await;
        let limited =
            stage.discord.wire().since(before).iter().any(|entry| {
                matches!(entry.what, fake_discord::Wire::Response { status: 429, .. })
            });
        assert!(!limited);
        assert_eq!(stage.posts().len(), 3);
    }
}

#[tokio::test]
async fn what_will_never_stand_is_told_in_words() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage
        .discord
        .deny(scene.bot, scene.general, permissions::SEND_MESSAGES);
    stage.deliver(chunk("r-0", "r", 0, 1, &scene.general.to_string(), "x"));
    let failed = stage.failed("r-0").await;
    assert_eq!(failed.failure, Failure::Permanent);
    assert!(failed.why.contains("Send Messages"), "{}", failed.why);
    stage.discord.accept_dms(scene.alice, false);
    let dm = stage.discord.dm_channel(scene.alice).to_string();
    stage.deliver(chunk("s-0", "s", 0, 1, &dm, "x"));
    assert!(stage.failed("s-0").await.why.contains("direct messages"));
    stage.deliver(chunk("t-0", "t", 0, 1, "123", "x"));
    assert!(stage.failed("t-0").await.why.contains("gone"));
    stage.deliver(chunk(
        "u-0",
        "u",
        0,
        1,
        &scene.random.to_string(),
        &"x".repeat(2001),
    ));
    assert_eq!(stage.failed("u-0").await.failure, Failure::Permanent);
    stage.deliver(chunk("v-0", "v", 0, 1, "not/an/id", "x"));
    assert_eq!(stage.failed("v-0").await.failure, Failure::Permanent);
}

#[tokio::test]
async fn an_answer_to_a_message_that_cannot_be_referred_to_is_posted_all_the_same() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let asked = stage.mention(scene.owner, scene.general, "hello");
    stage
        .discord
        .deny(scene.bot, scene.general, permissions::READ_MESSAGE_HISTORY);
    let mut deliver = chunk("r-0", "r", 0, 1, &scene.general.to_string(), "answer");
    deliver.reply_to = asked.to_string();
    stage.deliver(deliver);
    stage.delivered("r-0").await;
    let line = stage
        .discord
        .wait_reply(scene.general, asked, SOON)
        .await
        .unwrap();
    assert_eq!((line.text.as_str(), line.reply_to), ("answer", None));
}

#[tokio::test]
async fn trouble_at_discord_is_tried_through_and_then_handed_back() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let trouble = RestAct::Error {
        status: 502,
        code: 0,
        message: String::new(),
    };
    stage
        .discord
        .rest_fault("POST", MESSAGES, Times::Next(2), trouble.clone());
    stage.deliver(chunk(
        "r-0",
        "r",
        0,
        1,
        &scene.general.to_string(),
        "in the end",
    ));
    stage.delivered("r-0").await;
    stage
        .discord
        .rest_fault("POST", MESSAGES, Times::Always, trouble);
    stage.deliver(chunk("s-0", "s", 0, 1, &scene.general.to_string(), "later"));
    assert!(matches!(
        stage.failed("s-0").await.failure,
        Failure::Retry(_)
    ));
}

#[tokio::test]
async fn typing_is_shown_while_the_agent_works() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let address = scene.general.to_string();
    stage.hub.say(Body::Activity(Activity {
        address,
        turn: "t".into(),
        working: true,
    }));
    let types = |seen: &Seen| matches!(seen, Seen::Typing { user, .. } if *user == scene.bot);
    stage.discord.wait_seen(types, SOON).await.unwrap();
}
