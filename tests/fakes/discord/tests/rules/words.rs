//! Waiting, counting, and what a failed wait says.

use super::client::{Rest, SOON};
use fake_discord::{FakeDiscord, Say};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_are_waited_for_in_order() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    rest.say(scene.general, "before").await.id();
    let asked = fake.user_says(scene.alice, scene.general, "q");
    let waiting = tokio::spawn({
        let fake = fake.clone();
        async move { fake.wait_replies(scene.general, asked, 2, SOON).await }
    });
    rest.say(scene.random, "elsewhere").await.id();
    rest.say(scene.general, "one").await.id();
    rest.say(scene.general, "two").await.id();
    let texts: Vec<_> = waiting
        .await
        .unwrap()
        .unwrap()
        .into_iter()
        .map(|line| line.text)
        .collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(
        fake.wait_reply(scene.general, asked, SOON)
            .await
            .unwrap()
            .text,
        "one"
    );
    let second = fake
        .wait_line(scene.general, asked, |line| line.text == "two", SOON)
        .await;
    assert_eq!(second.unwrap().text, "two");
    assert_eq!(fake.replies(scene.general, asked).len(), 2);
    let error = fake
        .wait_replies(scene.general, asked, 3, Duration::ZERO)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("two"), "{error}");
}

#[tokio::test]
async fn the_tally_counts_lost_and_doubled() {
    let fake = FakeDiscord::start().await;
    let (scene, rest) = (fake.scene(), Rest::new(&fake));
    fake.user_says(scene.alice, scene.general, "1");
    let lost = fake.user_says(scene.alice, scene.general, "2");
    let doubled = fake.user_says(scene.alice, scene.general, "3");
    for text in ["re 1", "re 3", "re 3"] {
        rest.say(scene.general, text).await.id();
    }
    let tally = fake.tally(|prompt, line| line.text == format!("re {}", prompt.text));
    assert_eq!((tally.sent, tally.answered), (3, 2));
    assert_eq!((tally.lost, tally.doubled), (vec![lost], vec![doubled]));
}

#[tokio::test]
async fn people_keep_to_their_own_rules() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let stranger = fake.add_user("stranger");
    assert!(fake.says(stranger, scene.general, Say::text("hi")).is_err());
    assert!(
        fake.says(scene.alice, scene.general, Say::text("x".repeat(2001)))
            .is_err()
    );
    assert!(
        fake.says(scene.alice, scene.general, Say::text("  "))
            .is_err()
    );
    fake.join(scene.guild, stranger);
    fake.user_says(stranger, scene.general, "hi");
}

#[tokio::test]
async fn ids_are_in_order_and_the_world_can_be_read() {
    let fake = FakeDiscord::start().await;
    let scene = fake.scene();
    let one = fake.user_says(scene.alice, scene.general, "1");
    let two = fake.dm(scene.alice, "2");
    assert!(two > one);
    let world = fake.world();
    assert_eq!(world["scene"]["bot"], json!(scene.bot));
    assert_eq!(world["bots"][0]["token"], json!(fake.token()));
}

#[tokio::test]
async fn everything_ends_with_the_last_handle() {
    let fake = FakeDiscord::start().await;
    let address = fake
        .api_base()
        .replace("http://", "")
        .replace("/api/v10", "");
    let clone = fake.clone();
    drop(fake);
    tokio::net::TcpStream::connect(&address).await.unwrap();
    drop(clone);
    // The listener's task ends at its next turn.
    tokio::task::yield_now().await;
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
}
