//! Case 39, thread_cases: a thread for each conversation, once, whatever happens in between.

use fake_discord::{
    Act, Fault, GatewayFault, Hold, Id, RestAct, RestFault, Seen, Times, permissions,
};
use ipc_schema::{Access, Inbound, Lack};
use serde_json::{Value, json};

use crate::stage::{SOON, Stage};

const THREADS: &str = "/channels/{channel.id}/messages/{message.id}/threads";

fn isolated() -> Value {
    json!({"thread_isolation": true, "allow_from": "*"})
}

/// Threads that were made: their ids and names.
fn made(stage: &Stage) -> Vec<(Id, String)> {
    stage.discord.seen().filter_map(|seen| match seen {
        Seen::ThreadMade { thread, name, .. } => Some((*thread, name.clone())),
        _ => None,
    })
}

/// Stops the next thread from being made, or the answer from coming back.
fn hold(stage: &Stage, what: RestAct) -> Hold {
    let fault = RestFault {
        method: Some("POST".into()),
        route: Some(THREADS.into()),
        skip: 0,
        times: Times::Next(1),
        what,
    };
    stage.discord.fault(Fault::Rest(fault)).unwrap()
}

#[track_caller]
fn is_in_thread(it: &Inbound, thread: Id) {
    assert_eq!(it.conversation, format!("thread:{thread}"));
    assert_eq!(it.address, thread.to_string());
    assert!(it.shared && !it.direct && it.lacks.is_empty(), "{it:?}");
}

#[track_caller]
fn is_in_channel(it: &Inbound, channel: Id, user: Id, lacks: &[Lack]) {
    assert_eq!(it.conversation, format!("channel:{channel}:{user}"));
    assert_eq!(it.address, channel.to_string());
    assert_eq!(it.lacks, lacks);
}

#[tokio::test]
async fn case_39_thread_cases_a_mention_opens_a_thread_and_follow_ups_need_none() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(isolated()).await;
    let thread = stage.mention(scene.owner, scene.general, "fix  the build\nplease");
    let it = stage.heard("fix  the build\nplease").await;
    is_in_thread(&it, thread);
    assert_eq!(it.reply_to, "", "the message is not in the thread");
    assert_eq!(made(&stage), [(thread, "fix the build".to_owned())]);
    let (_, body) = &stage.discord.requests("POST", THREADS)[0];
    assert_eq!(body["auto_archive_duration"], 1440);

    let next = stage.discord.user_says(scene.alice, thread, "and then?");
    let it = stage.heard("and then?").await;
    is_in_thread(&it, thread);
    assert_eq!(it.reply_to, next.to_string());
    stage
        .discord
        .user_says(scene.alice, scene.general, "not for the bot");
    let second = stage.mention(scene.owner, scene.general, "something else");
    is_in_thread(&stage.heard("something else").await, second);
    stage.settled().await;

    // A resumed session tells of no thread.
    worker.kill().await;
    let _worker = stage.up(isolated()).await;
    stage.discord.user_says(scene.bob, thread, "still there?");
    is_in_thread(&stage.heard("still there?").await, thread);
    stage.discord.set_thread(thread, true, false);
    stage.discord.user_says(scene.bob, thread, "woken up");
    is_in_thread(&stage.heard("woken up").await, thread);
    assert_eq!(
        stage.texts().len(),
        5,
        "and nothing else: {:?}",
        stage.texts()
    );
}

#[tokio::test]
async fn case_39_thread_cases_a_mention_in_a_thread_adopts_it() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(isolated()).await;
    let discord = &stage.discord;
    let thread = discord
        .make_thread(scene.alice, scene.general, None, "talk")
        .unwrap();
    let other = discord
        .make_thread(scene.alice, scene.general, None, "other")
        .unwrap();
    discord.user_says(scene.alice, thread, "among ourselves");
    stage.mention(scene.alice, thread, "what do you say?");
    is_in_thread(&stage.heard("what do you say?").await, thread);
    discord.user_says(scene.bob, thread, "go on");
    is_in_thread(&stage.heard("go on").await, thread);
    stage.settled().await;
    worker.kill().await;
    let _worker = stage.up(isolated()).await;
    discord.user_says(scene.bob, other, "not for the bot");
    discord.user_says(scene.bob, thread, "after a restart");
    is_in_thread(&stage.heard("after a restart").await, thread);
    discord.dm(scene.alice, "directly");
    let it = stage.heard("directly").await;
    assert_eq!(it.conversation, format!("dm:{}", scene.alice));
    assert_eq!(stage.texts().len(), 4, "{:?}", stage.texts());
    let by_bot = |seen: &Seen| matches!(seen, Seen::ThreadMade { by, .. } if *by == scene.bot);
    assert_eq!(discord.seen().count(by_bot), 0);
}

#[tokio::test]
async fn case_39_thread_cases_a_kill_between_thread_and_acceptance_splits_nothing() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(isolated()).await;
    stage.hub.rule(|rules| rules.accept = false);
    let thread = stage.mention(scene.owner, scene.general, "one");
    is_in_thread(&stage.heard("one").await, thread);
    worker.kill().await;
    // Nor does a right that is taken away meanwhile.
    let right = permissions::CREATE_PUBLIC_THREADS;
    stage.discord.deny(scene.bot, scene.general, right);
    stage.hub.rule(|rules| rules.accept = true);
    let _worker = stage.up(isolated()).await;
    stage.settled().await;
    stage.discord.user_says(scene.owner, thread, "two");
    is_in_thread(&stage.heard("two").await, thread);
    assert_eq!(stage.texts(), ["one", "one", "two"]);
    is_in_thread(&stage.inbound(2).await, thread);
    assert_eq!(made(&stage).len(), 1);
}

#[tokio::test]
async fn case_39_thread_cases_a_lost_answer_and_trouble_end_in_one_thread() {
    for what in [
        RestAct::LoseResponse,
        RestAct::Error {
            status: 503,
            code: 0,
            message: String::new(),
        },
    ] {
        let stage = Stage::new().await;
        let scene = stage.discord.scene();
        let _worker = stage.up(isolated()).await;
        stage
            .discord
            .rest_fault("POST", THREADS, Times::Next(2), what);
        let thread = stage.mention(scene.owner, scene.general, "one");
        is_in_thread(&stage.heard("one").await, thread);
        assert_eq!(made(&stage).len(), 1);
    }
}

#[tokio::test]
async fn case_39_thread_cases_what_is_written_in_a_thread_before_it_is_known_waits() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(isolated()).await;
    let held = hold(&stage, RestAct::HoldResponse);
    let thread = stage.mention(scene.owner, scene.general, "first");
    assert!(held.reached(SOON).await);
    stage.discord.user_says(scene.alice, thread, "second");
    // Another channel does not wait.
    stage.discord.dm(scene.owner, "directly");
    stage.heard("directly").await;
    held.release();
    is_in_thread(&stage.heard("second").await, thread);
    assert_eq!(stage.texts(), ["directly", "first", "second"]);
}

#[tokio::test]
async fn case_39_thread_cases_a_missing_right_is_told_and_nothing_is_split() {
    for (right, lack) in [
        (permissions::CREATE_PUBLIC_THREADS, Lack::Threads),
        (permissions::SEND_MESSAGES_IN_THREADS, Lack::InThreads),
    ] {
        let stage = Stage::new().await;
        let scene = stage.discord.scene();
        let worker = stage.up(isolated()).await;
        stage.discord.deny(scene.bot, scene.general, right);
        stage.hub.rule(|rules| rules.accept = false);
        stage.mention(scene.owner, scene.general, "one");
        let it = stage.heard("one").await;
        is_in_channel(&it, scene.general, scene.owner, &[lack]);
        worker.kill().await;
        // The right comes while nobody knows whether the hub has the message.
        stage.discord.deny(scene.bot, scene.general, 0);
        stage.hub.rule(|rules| rules.accept = true);
        let _worker = stage.up(isolated()).await;
        is_in_channel(&stage.inbound(2).await, scene.general, scene.owner, &[lack]);
        stage.settled().await;
        assert_eq!(made(&stage), []);
        let thread = stage.mention(scene.owner, scene.general, "two");
        is_in_thread(&stage.heard("two").await, thread);
    }
}

#[tokio::test]
async fn case_39_thread_cases_a_message_that_is_taken_back_before_its_thread_is_no_prompt() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(isolated()).await;
    let held = hold(&stage, RestAct::HoldRequest);
    let gone = stage.mention(scene.owner, scene.general, "never mind");
    assert!(held.reached(SOON).await);
    stage.discord.delete(scene.owner, gone).unwrap();
    held.release();
    stage.mention(scene.owner, scene.general, "next");
    stage.heard("next").await;
    stage.settled().await;
    assert_eq!(stage.texts(), ["next"]);
}

#[tokio::test]
async fn case_39_thread_cases_strangers_get_no_thread() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let extra = json!({"thread_isolation": true, "allow_channels": [scene.general.to_string()],
        "allow_from": [scene.owner.to_string()]});
    let _worker = stage.up(extra).await;
    stage.mention(scene.alice, scene.general, "let me in");
    let it = stage.inbound(1).await;
    assert_eq!(
        (it.access, it.address),
        (Access::Refused, scene.general.to_string())
    );
    // A thread counts as its channel, and a stranger in it who does not speak to the bot is left alone.
    let thread = stage.mention(scene.owner, scene.general, "open");
    is_in_thread(&stage.heard("open").await, thread);
    stage.discord.user_says(scene.bob, thread, "hello all");
    stage.discord.user_says(scene.owner, thread, "on");
    is_in_thread(&stage.heard("on").await, thread);
    assert_eq!(made(&stage).len(), 1);
    assert_eq!(stage.texts(), ["", "open", "on"]);
}

#[tokio::test]
async fn case_39_thread_cases_a_forum_post_is_a_thread_already() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let _worker = stage.up(isolated()).await;
    let discord = &stage.discord;
    let post = discord
        .make_thread(scene.alice, scene.general, None, "a post")
        .unwrap();
    // Its first message has the post's own id.
    discord.now(Act::Event {
        name: "MESSAGE_CREATE".into(),
        body: json!({"id": post, "channel_id": post, "guild_id": scene.guild, "content": "first",
            "author": {"id": scene.alice}, "member": {"roles": []}, "mentions": [{"id": scene.bot}]}),
    });
    is_in_thread(&stage.heard("first").await, post);
    discord.user_says(scene.bob, post, "second");
    is_in_thread(&stage.heard("second").await, post);
    assert_eq!(made(&stage).len(), 1);
}

#[tokio::test]
async fn case_39_thread_cases_a_new_session_reads_threads_back() {
    let stage = Stage::new().await;
    let scene = stage.discord.scene();
    let worker = stage.up(isolated()).await;
    let thread = stage.mention(scene.owner, scene.general, "one");
    stage.heard("one").await;
    stage.settled().await;
    worker.kill().await;
    stage.discord.user_says(scene.owner, thread, "two");
    let later = stage.mention(scene.owner, scene.general, "three");
    stage.discord.gateway_fault(
        GatewayFault::RefuseResume { resumable: false },
        Times::Next(1),
    );
    let _worker = stage.up(isolated()).await;
    is_in_thread(&stage.heard("two").await, thread);
    is_in_thread(&stage.heard("three").await, later);
    stage.settled().await;
    assert_eq!(stage.texts().len(), 3, "{:?}", stage.texts());
}
