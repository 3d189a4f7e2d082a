//! Cards and files on their way out, with and without the rights that they want.

use std::time::Duration;

use fake_discord::{Id, Line, permissions};
use fake_hub::chunk;
use ipc_schema::{Body, Card, Deliver, Delivered, Lack, Tone};
use serde_json::json;

use crate::outbound::old;
use crate::stage::Stage;

fn to(key: &str, address: Id, text: &str) -> Deliver {
    chunk(key, key, 0, 1, &address.to_string(), text)
}

fn card(text: &str) -> Card {
    Card {
        title: "⏳ Working…".into(),
        text: text.into(),
        footer: "3 s".into(),
        tone: Tone::Working,
    }
}

async fn report(stage: &Stage, key: &str) -> Delivered {
    let pick = |body: &Body| match body {
        Body::Delivered(it) if it.key == key => Some(it.clone()),
        _ => None,
    };
    stage.hub.wait(pick).await.unwrap()
}

fn line(stage: &Stage, channel: Id, message: &str) -> Line {
    let lines = stage.discord.transcript(channel);
    let found = lines
        .into_iter()
        .find(|line| line.message.to_string() == message);
    found.expect("it stands")
}

#[tokio::test]
async fn a_card_is_an_embed_and_text_where_embeds_may_not_be() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let carded = |key: &str, address| Deliver {
        card: Some(card("🔧 Tool: Bash(ls)")),
        ..to(key, address, "as text")
    };
    stage.deliver(carded("a-0", scene.general));
    let first = report(&stage, "a-0").await;
    assert_eq!(first.lacks, []);
    let it = line(&stage, scene.general, &first.platform_id);
    assert_eq!(it.text, "");
    assert_eq!(it.embeds[0]["description"], "🔧 Tool: Bash(ls)");
    assert_eq!(it.embeds[0]["footer"]["text"], "3 s");
    let deny = |channel| {
        stage
            .discord
            .deny(scene.bot, channel, permissions::EMBED_LINKS)
    };
    deny(scene.random);
    for (key, lacks) in [("b-0", vec![Lack::Cards]), ("c-0", Vec::new())] {
        stage.deliver(carded(key, scene.random));
        let plain = report(&stage, key).await;
        let it = line(&stage, scene.random, &plain.platform_id);
        assert_eq!((it.text.as_str(), it.embeds.len()), ("as text", 0));
        assert_eq!(plain.lacks, lacks, "{key}: noticed once, and remembered");
    }
    // A card that stands is changed to text when the right is taken away.
    deny(scene.general);
    stage.deliver(Deliver {
        edits: first.platform_id.clone(),
        ..carded("d-0", scene.general)
    });
    let changed = report(&stage, "d-0").await;
    let it = line(&stage, scene.general, &first.platform_id);
    assert_eq!(
        (it.text.as_str(), changed.platform_id),
        ("as text", first.platform_id)
    );
}

#[tokio::test]
async fn a_card_of_an_old_lease_is_found_again_by_what_it_shows() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(json!({})).await;
    let carded = |key: &str, text: &str| Deliver {
        card: Some(card(text)),
        ..to(key, scene.general, "as text")
    };
    stage.deliver(carded("a-0", "one"));
    let one = stage.delivered("a-0").await;
    stage.settled().await;
    worker.kill().await;
    // Past the nonce window, and past what a replay brings.
    stage.discord.advance(Duration::from_secs(170));
    let _worker = stage.up(json!({})).await;
    stage.discord.advance(Duration::from_secs(600));
    let posts = stage.posts().len();
    // Another card was never posted, however alike it is in text; the first one was.
    stage.deliver(old(carded("b-0", "two"), 770_000));
    let two = stage.delivered("b-0").await;
    assert_ne!(two, one);
    assert_eq!(stage.posts().len(), posts + 1);
    stage.deliver(old(carded("a-0", "one"), 770_000));
    let again = |body: &Body| match body {
        Body::Delivered(it) if it.key == "a-0" => Some(it.platform_id.clone()),
        _ => None,
    };
    assert_eq!(stage.hub.wait_nth(2, again).await.unwrap(), one);
    assert_eq!(stage.posts().len(), posts + 1);
}

#[tokio::test]
async fn files_go_with_a_message_and_are_missed_in_words() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let keep = |name: &str, size: usize| stage.hub.keep_file(name, "text/plain", &vec![b'x'; size]);
    stage.deliver(Deliver {
        files: vec![keep("a.txt", 300_000), keep("b.txt", 1)],
        ..to("a-0", scene.general, "two of them")
    });
    let first = report(&stage, "a-0").await;
    let it = line(&stage, scene.general, &first.platform_id);
    let files: Vec<_> = it
        .files
        .iter()
        .map(|file| (file.name.as_str(), file.size))
        .collect();
    assert_eq!(files, [("a.txt", 300_000), ("b.txt", 1)]);
    assert_eq!(it.nonce.as_deref(), Some("a-0"));
    // One that the hub no longer has: the rest comes, with a word.
    let mut gone = keep("gone.txt", 5);
    gone.sha256 = "0".repeat(64);
    stage.deliver(Deliver {
        files: vec![gone, keep("c.txt", 3)],
        ..to("b-0", scene.general, "one of two")
    });
    let second = report(&stage, "b-0").await;
    let it = line(&stage, scene.general, &second.platform_id);
    assert_eq!((it.files.len(), it.files[0].name.as_str()), (1, "c.txt"));
    assert!(
        it.text.starts_with("one of two\n⚠️ gone.txt"),
        "{}",
        it.text
    );
    let deny = permissions::ATTACH_FILES;
    stage.discord.deny(scene.bot, scene.random, deny);
    stage.deliver(Deliver {
        files: vec![keep("d.txt", 3)],
        ..to("c-0", scene.random, "without it")
    });
    let third = report(&stage, "c-0").await;
    assert_eq!(third.lacks, [Lack::Files]);
    let it = line(&stage, scene.random, &third.platform_id);
    assert_eq!((it.text.as_str(), it.files.len()), ("without it", 0));
}

#[tokio::test]
async fn a_message_that_is_too_old_to_change_is_posted_anew_if_it_has_to_stand() {
    let stage = Stage::with(|options| options.old_edits = 0).await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    stage.deliver(to("a-0", scene.general, "old"));
    let first = stage.delivered("a-0").await;
    stage.discord.advance(Duration::from_secs(7200));
    let change = |key: &str, or_post| Deliver {
        edits: first.clone(),
        or_post,
        ..to(key, scene.general, "changed")
    };
    stage.deliver(change("b-0", false));
    assert_eq!(stage.delivered("b-0").await, "", "it is let go");
    stage.deliver(change("c-0", true));
    let second = stage.delivered("c-0").await;
    assert_ne!(second, first);
    let texts: Vec<_> = stage
        .discord
        .transcript(scene.general)
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(texts, ["old", "changed"]);
}
