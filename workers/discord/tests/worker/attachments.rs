//! Case 40, attachment: files that come with a message, from Discord's file host to the hub.

use fake_discord::{File, Id, Part, Portal, Say, Wire};
use ipc_schema::Inbound;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage};

fn file(name: &str, content_type: Option<&str>, data: &[u8]) -> File {
    File {
        name: name.into(),
        content_type: content_type.map(str::to_owned),
        data: data.to_vec(),
    }
}

/// Says something with files, directly to the bot.
fn send(stage: &Stage, text: &str, files: Vec<File>) -> Id {
    let scene = stage.discord.scene();
    let dm = stage.discord.dm_channel(scene.owner);
    let say = Say {
        files,
        ..Say::text(text)
    };
    stage.discord.says(scene.owner, dm, say).unwrap()
}

/// The event's files, as the hub has them.
fn contents(stage: &Stage, it: &Inbound) -> Vec<(String, String, Vec<u8>)> {
    let read = |blob: &ipc_schema::BlobRef| {
        let bytes = stage.hub.file(&blob.sha256).unwrap();
        assert_eq!(bytes.len() as u64, blob.size);
        (blob.name.clone(), blob.mime.clone(), bytes)
    };
    it.attachments.iter().map(read).collect()
}

/// Look-ups at the file host: their statuses; none had the token.
fn asked(stage: &Stage) -> Vec<u16> {
    stage.discord.wire().filter_map(|wire| match wire {
        Wire::Cdn {
            status, authorized, ..
        } => {
            assert!(!authorized, "the token was sent to the file host");
            Some(*status)
        }
        _ => None,
    })
}

#[tokio::test]
async fn case_40_attachment_of_the_message_and_of_the_quoted_one() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let picture = vec![7; 300_000]; // more than one segment
    let first = send(
        &stage,
        "look",
        vec![
            file("a.png", Some("image/png"), &picture),
            file("notes.txt", Some("text/plain; charset=utf-8"), b"hello"),
            file("empty", None, b""),
        ],
    );
    let it = stage.heard("look").await;
    let expected = [
        ("a.png".into(), "image/png".into(), picture.clone()),
        (
            "notes.txt".into(),
            "text/plain; charset=utf-8".into(),
            b"hello".to_vec(),
        ),
        ("empty".into(), String::new(), Vec::new()),
    ];
    assert_eq!(contents(&stage, &it), expected);
    assert_eq!(it.left_out, [""; 0]);

    let dm = stage.discord.dm_channel(scene.owner);
    let say = Say {
        reply_to: Some(first),
        files: vec![file("b.txt", Some("text/plain"), b"new")],
        ..Say::text("compare")
    };
    stage.discord.says(scene.owner, dm, say).unwrap();
    let it = stage.heard("compare").await;
    let names: Vec<_> = contents(&stage, &it).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["b.txt", "a.png", "notes.txt", "empty"]);
    let quoted = it.quoted.unwrap();
    assert!(quoted.contains("[a.png (image, 300 kB)]"), "{quoted}");
    assert!(asked(&stage).iter().all(|status| *status == 200));
}

#[tokio::test]
async fn case_40_attachment_whose_address_has_expired_is_asked_for_anew() {
    let stage = Stage::new().await;
    let worker = stage.up(json!({})).await;
    stage.settled().await;
    worker.kill().await;
    send(
        &stage,
        "look",
        vec![file("a", None, b"one"), file("b", None, b"two")],
    );
    stage.discord.portal(Portal::ExpireAttachments);
    let _worker = stage.up(json!({})).await; // the event comes with its old addresses
    let it = stage.heard("look").await;
    let bodies: Vec<_> = contents(&stage, &it).into_iter().map(|it| it.2).collect();
    assert_eq!(bodies, [b"one".to_vec(), b"two".to_vec()]);
    let mut statuses = asked(&stage);
    statuses.sort();
    assert_eq!(statuses, [200, 200, 404, 404]);
    let again = "/channels/{channel.id}/messages/{message.id}";
    assert_eq!(stage.discord.requests("GET", again).len(), 1);
}

#[tokio::test]
async fn case_40_attachment_over_the_limit_is_refused_in_words_and_never_asked_for() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({"max_attachment_bytes": 1000})).await;
    send(
        &stage,
        "look",
        vec![
            file("big.zip", Some("application/zip"), &[0; 1001]),
            file("fits", None, &[1; 1000]),
        ],
    );
    let it = stage.heard("look").await;
    assert_eq!(it.left_out, ["big.zip (file, 1 kB): larger than 1 kB"]);
    assert_eq!(it.left_out_zh, ["big.zip（文件，1 kB）：超过 1 kB"]);
    assert_eq!(contents(&stage, &it).len(), 1);
    assert_eq!(asked(&stage), [200]);
}

#[tokio::test]
async fn case_40_attachment_that_cannot_be_had_is_told_and_the_message_goes_on() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({})).await;
    stage.discord.outage(Part::Cdn).await;
    send(&stage, "look", vec![file("a.png", Some("image/png"), b"x")]);
    let it = stage.heard("look").await;
    assert_eq!(it.attachments, []);
    assert_eq!(it.left_out.len(), 1);
    let words = &it.left_out[0];
    assert!(
        words.starts_with("a.png (image, 1 bytes): it could not be fetched (no connection"),
        "{words}"
    );
}

#[tokio::test]
async fn case_40_attachment_that_the_hub_does_not_keep_is_told() {
    use ipc_schema::{Body, Nack};
    let stage = Stage::new().await;
    stage.hub.rule(|rules| rules.keep_files = false);
    let _worker = stage.up(json!({})).await;
    send(&stage, "look", vec![file("a.png", Some("image/png"), b"x")]);
    let segment = |seen: &fake_hub::Seen| matches!(seen.body(), Some(Body::BlobSegment(_)));
    let entry = stage.hub.ledger().wait_for(segment, SOON).await.unwrap();
    let fake_hub::Seen::Got(envelope) = entry.what else {
        panic!()
    };
    stage.hub.say(Body::Nack(Nack {
        id: envelope.id,
        why: "no room".into(),
    }));
    let it = stage.heard("look").await;
    assert_eq!(
        it.left_out,
        ["a.png (image, 1 bytes): it could not be kept"]
    );
}

#[tokio::test]
async fn case_40_attachments_wait_for_a_hub_that_is_away() {
    let stage = Stage::new().await;
    let _worker = stage.up(json!({})).await;
    stage.hub.die();
    send(&stage, "look", vec![file("a", None, &[5; 300_000])]);
    let got = |wire: &Wire| matches!(wire, Wire::Cdn { status: 200, .. });
    stage.discord.wait_wire(got, SOON).await.unwrap();
    stage.hub.come_back();
    let it = stage.heard("look").await;
    assert_eq!(contents(&stage, &it)[0].2, vec![5; 300_000]);
    assert_eq!(it.left_out, [""; 0]);
}

#[tokio::test]
async fn case_40_attachment_number_eleven_is_left_out() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(json!({})).await;
    let ten = |from: usize| -> Vec<File> {
        let name = |n: usize| file(&format!("{n}"), None, &[u8::try_from(n).unwrap()]);
        (from..from + 10).map(name).collect()
    };
    let first = send(&stage, "ten", ten(0));
    assert_eq!(stage.heard("ten").await.attachments.len(), 10);
    let dm = stage.discord.dm_channel(scene.owner);
    let say = Say {
        reply_to: Some(first),
        files: ten(10),
        ..Say::text("twenty")
    };
    stage.discord.says(scene.owner, dm, say).unwrap();
    let it = stage.heard("twenty").await;
    assert_eq!(it.left_out, ["10 more files: at most 10 are taken"]);
    let names: Vec<_> = it.attachments.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names[0], "10");
    assert_eq!(names.len(), 10);
}

#[tokio::test]
async fn case_40_attachments_hold_up_their_own_conversation_and_no_other() {
    let stage = Stage::with(|options| options.heartbeat_ms = 100).await;
    let scene = stage.discord.scene();
    let extra: Value = json!({"allow_from": "*"});
    let worker = stage.up(extra.clone()).await;
    stage.settled().await;
    stage.hub.rule(|rules| rules.keep_files = false); // the file is on its way for long
    send(&stage, "slow", vec![file("a", None, b"x")]);
    stage.discord.dm(scene.owner, "behind it");
    stage.discord.dm(scene.alice, "overtakes");
    stage.heard("overtakes").await;
    assert_eq!(stage.texts(), ["overtakes"]);
    // The sequence that is kept does not pass what is not accepted: all of it comes again.
    worker.kill().await;
    stage.hub.rule(|rules| rules.keep_files = true);
    let _worker = stage.up(extra).await;
    stage.heard("behind it").await;
    stage.settled().await;
    let mine: Vec<_> = stage
        .texts()
        .into_iter()
        .filter(|text| text != "overtakes")
        .collect();
    assert_eq!(mine, ["slow", "behind it"]);
    assert_eq!(stage.heard("slow").await.attachments.len(), 1);
}
