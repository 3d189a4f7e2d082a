//! Weibo through every process: what a person with a phone sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::{DEADLINE, Scene};
use fake_claude::Point;
use fake_weibo::Bubble;
use serde_json::{Value, json};

/// The first of the owner's messages, whole, that `fits`.
async fn shows(scene: &Scene, fits: impl Fn(&str) -> bool) -> Bubble {
    let found = |bubbles: &[Bubble]| {
        let mut whole = bubbles.iter().filter(|bubble| bubble.done);
        whole.find(|bubble| fits(&bubble.text)).cloned()
    };
    let owner = scene.weibo.account().owner;
    scene
        .weibo
        .wait_shown(owner, found)
        .await
        .unwrap_or_else(|timeout| panic!("no such message on Weibo: {timeout}"))
}

async fn says(scene: &Scene, words: &str) -> Bubble {
    shows(scene, |text| text.contains(words)).await
}

fn texts(scene: &Scene) -> Vec<String> {
    let bubbles = scene.weibo.bubbles(scene.weibo.account().owner);
    bubbles.into_iter().map(|bubble| bubble.text).collect()
}

/// A message of the owner's with these parts.
fn parts(scene: &Scene, id: &Value, parts: Value) -> Value {
    json!({"messageId": id, "fromUserId": scene.weibo.account().owner, "timestamp": 1_776_632_033_273.5,
        "input": [{"type": "message", "role": "user", "content": parts}]})
}

fn text(text: &str) -> Value {
    json!({"type": "input_text", "text": text})
}

/// Repeats are known after that many others, and after a restart.
#[tokio::test]
async fn ids_after_100_000_others_and_a_restart() {
    let mut scene = Scene::start().await;
    let numeric = parts(
        &scene,
        &json!(4_611_686_018_427_387_904_u64),
        json!([text("#say numeric")]),
    );
    let mut absent = parts(&scene, &Value::Null, json!([text("#say absent")]));
    absent.as_object_mut().unwrap().remove("messageId");
    for (message, words) in [(&numeric, "numeric"), (&absent, "absent")] {
        scene.weibo.user_sends(message);
        says(&scene, words).await;
    }
    assert_eq!(scene.tree.stop().await.unwrap(), Some(0));
    let others = spool::Spool::open(&scene.tree.state_dir().join("spool")).unwrap();
    others.begin().unwrap();
    let owner = scene.weibo.account().owner.to_string();
    for n in 0..100_000 {
        let id = format!("other-{n}");
        others.remember("weibo-main", &id, &owner, 0, 1).unwrap();
    }
    others.commit().unwrap();
    drop(others);
    let since = scene.log().next();
    scene.tree.run();
    scene.tree.logged_since(since, "weibo: connected").await;
    for message in [&numeric, &absent] {
        scene.weibo.user_sends(message);
    }
    scene.weibo_dm("#say that was all");
    says(&scene, "that was all").await;
    let texts = texts(&scene);
    assert_eq!(texts.len(), 3, "{texts:?}");
}

/// Each message is taken in once, the agent is asked no more than the limits allow, and who floods
/// hears of it without being flooded. Ten thousand are offered in the worker's own test.
#[tokio::test]
async fn a_flood_is_taken_in_whole_and_answered_now_and_then() {
    const MESSAGES: usize = 1_500;
    let mut scene = Scene::with(|setup| {
        setup.top = "[outgoing_rate_limit]\nmax_per_second = 0\n".into();
    })
    .await;
    let owner = scene.weibo.account().owner;
    let ids: Vec<String> = (0..MESSAGES)
        .map(|n| scene.weibo.user_says(owner, &format!("message {n}")))
        .collect();
    scene.weibo_dm("/whoami");
    says(&scene, "会话位置").await;
    says(&scene, "You said: message 19").await;
    let texts = texts(&scene);
    let answers = texts.iter().filter(|text| text.starts_with("You said"));
    assert_eq!(answers.count(), 20, "{texts:?}");
    assert!(
        texts.iter().any(|text| text.contains("消息太频繁")),
        "{texts:?}"
    );
    assert!(texts.len() < 100, "{} messages", texts.len());
    assert_eq!(scene.weibo.violations(), [""; 0]);
    assert_eq!(scene.tree.stop().await.unwrap(), Some(0));
    let spool = spool::Spool::open(&scene.tree.state_dir().join("spool")).unwrap();
    let owner = owner.to_string();
    let taken = |id: &&String| spool.seen("weibo-main", id, &owner, 0).unwrap();
    assert_eq!(ids.iter().filter(taken).count(), MESSAGES);
}

/// The worker is killed while it waits for a pong. The stated bound: what had none may stand twice, and
/// nothing else; nothing is missing.
#[tokio::test]
async fn kill9_in_mid_reply() {
    let scene = Scene::start().await;
    scene.weibo.fault(|faults| faults.deaf_after = Some(7));
    scene.weibo_dm("#chars 30000");
    let owner = scene.weibo.account().owner;
    let seven = |bubbles: &[Bubble]| {
        let chunks: usize = bubbles.iter().map(|bubble| bubble.chunks).sum();
        (chunks == 7).then_some(())
    };
    scene.weibo.wait_shown(owner, seven).await.unwrap();
    let before = scene.tree.kill("weibo-main").await;
    scene.tree.back("weibo-main", before).await;
    let rest = shows(&scene, |_| true).await;
    let bubbles = scene.weibo.bubbles(owner);
    assert_eq!(bubbles.len(), 2, "{bubbles:?}");
    assert_eq!((bubbles[0].chunks, bubbles[0].done), (7, false));
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let (begun, rest) = (squeezed(&bubbles[0].text), squeezed(&rest.text));
    let whole = squeezed(&fake_claude::prose(30_000));
    assert!(whole.starts_with(&begun) && whole.ends_with(&rest));
    assert!(
        begun.len() + rest.len() >= whole.len(),
        "something is missing"
    );
    assert_eq!(scene.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn a_question_is_answered_by_a_whole_message_and_by_nothing_else() {
    let scene = Scene::start().await;
    // Without a question a number is a prompt.
    scene.weibo_dm("1");
    says(&scene, "You said: 1").await;
    scene.weibo_dm("#tool Bash touch allowed\n#say allowed and done");
    says(&scene, "touch allowed").await;
    scene.weibo_dm("允许吗？");
    says(&scene, "仍在等待").await;
    assert!(!scene.tree.work_dir().join("allowed").exists());
    scene.weibo_dm("１。");
    says(&scene, "allowed and done").await;
    assert!(scene.tree.work_dir().join("allowed").exists());
    says(&scene, "You said: 允许吗？").await;

    scene.weibo_dm("#tool Bash touch denied\n#say denied and done");
    says(&scene, "touch denied").await;
    scene.weibo_dm("拒绝");
    says(&scene, "denied and done").await;
    assert!(!scene.tree.work_dir().join("denied").exists());

    scene.weibo_dm("／new");
    says(&scene, "新会话").await;
    assert_eq!(scene.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn a_long_question_comes_whole_and_says_at_its_end_how_to_answer() {
    let scene = Scene::start().await;
    let command = format!("true {}; touch allowed", "x".repeat(5_000));
    scene.weibo_dm(&format!("#tool Bash {command}\n#say done"));
    let question = says(&scene, &command).await;
    let end = question.text.lines().last().unwrap();
    assert!(end.contains("回复 1 允许，2 拒绝"), "{end}");
    scene.weibo_dm("允许");
    shows(&scene, |text| text == "done").await;
    assert!(scene.tree.work_dir().join("allowed").exists());
}

#[tokio::test]
async fn a_reply_of_100_000_characters_is_one_message() {
    let scene = Scene::start().await;
    scene.weibo_dm("#chars 100000");
    let owner = scene.weibo.account().owner.to_string();
    let reply = shows(&scene, |text| text.chars().count() >= 100_000).await;
    assert!(reply.chunks >= 50, "{} chunks", reply.chunks);
    let longest = scene
        .weibo
        .shown()
        .snapshot()
        .into_iter()
        .filter_map(|entry| (entry.what.uid == owner).then(|| entry.what.text.chars().count()));
    assert!(longest.max().unwrap() <= 2000);
    let expected: String = fake_claude::prose(100_000);
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    assert!(squeezed(&reply.text) == squeezed(&expected));
    assert_eq!(scene.weibo.violations(), [""; 0]);
}

#[tokio::test]
async fn tools_leave_no_lines_and_a_silent_turn_says_one_word_of_its_own() {
    let scene =
        Scene::with(|setup| setup.agent_options = "allowed_tools = [\"Bash\"]".into()).await;
    scene.weibo_dm("#hold first-delta\n#tool Bash echo one\n#tool Bash echo two\n#say the answer");
    scene
        .claude
        .held(Point::FirstDelta, DEADLINE)
        .await
        .unwrap();
    let word = says(&scene, "助手正在处理").await;
    scene.claude.release_all();
    let answer = says(&scene, "the answer").await;
    assert_ne!(word.message_id, answer.message_id);
    assert_eq!(texts(&scene).len(), 2, "{:?}", texts(&scene));
}

#[tokio::test]
async fn a_turn_that_fails_ends_in_a_finished_message() {
    let scene = Scene::start().await;
    scene.weibo_dm("#error 400");
    let words = shows(&scene, |text| !text.is_empty()).await;
    assert!(words.text.contains("出错"), "{}", words.text);
    scene.weibo_dm("#say some text\n#exit 3");
    says(&scene, "ended with code 3").await;
    // However often it was tried, its going on was said once.
    let resumed = texts(&scene)
        .into_iter()
        .filter(|text| text.contains("正在继续"));
    assert_eq!(resumed.count(), 1);
    let bubbles = scene.weibo.bubbles(scene.weibo.account().owner);
    assert!(bubbles.iter().all(|bubble| bubble.done), "{bubbles:?}");
}

#[tokio::test]
async fn what_the_agent_says_of_its_own_accord_reaches_the_owner() {
    let scene = Scene::start().await;
    scene.weibo_dm("#say first\n#later and one more thing");
    says(&scene, "first").await;
    says(&scene, "and one more thing").await;
}

#[tokio::test]
async fn files_reach_the_agent_and_what_is_refused_is_said() {
    let scene =
        Scene::with(|setup| setup.agent_options = "allowed_tools = [\"Bash\"]".into()).await;
    let file = |kind: &str, name: &str, mime: &str, data: &str| {
        json!({"type": kind, "filename": name, "source":
            {"type": "base64", "media_type": mime, "data": data}})
    };
    // "xyzzy in a file"
    let notes = file(
        "input_file",
        "notes.txt",
        "text/plain",
        "eHl6enkgaW4gYSBmaWxl",
    );
    let odd = file("input_image", "odd.tiff", "image/tiff", "eHl6enk=");
    let prompt = text("#tool Bash cat .bulkhead/attachments/*/notes.txt");
    let message = parts(&scene, &json!("with-files"), json!([prompt, notes, odd]));
    scene.weibo.user_sends(&message);
    says(&scene, "odd.tiff").await;
    says(&scene, "xyzzy in a file").await;
}

#[tokio::test]
async fn markdown_is_flattened_and_links_stay() {
    let scene = Scene::start().await;
    let answer =
        "# Result\n\n**Done**, see [the log](https://ci.example.org/a_b/42).\n\n- one\n- two";
    scene.weibo_dm(&format!("#say {}", json!(answer)));
    let shown = says(&scene, "Result").await;
    let expected = "Result\n\nDone, see the log (https://ci.example.org/a_b/42).\n\n- one\n- two";
    assert_eq!(shown.text, expected);
}
