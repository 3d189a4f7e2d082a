//! What Discord can show beside plain messages, through every process: progress, questions with
//! buttons, threads, menu commands, files, changed messages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::{Asked, DEADLINE, Scene};
use fake_claude::Point;
use fake_discord::{File, Id, Line, Say, Seen, permissions};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

async fn with_options(options: &str) -> Scene {
    Scene::with(|setup| setup.discord_options = options.into()).await
}

/// Every form that the bot's messages of a channel have had, in order.
fn forms(scene: &Scene, channel: Id) -> Vec<Line> {
    let bot = scene.discord.scene().bot;
    let seen = scene.discord.seen().snapshot();
    let lines = seen.into_iter().filter_map(|entry| match entry.what {
        Seen::Posted(line) | Seen::Edited(line) => Some(line),
        _ => None,
    });
    lines
        .filter(|line| line.channel == channel && line.author == bot)
        .collect()
}

/// Waits until some message of the bot's, new or changed, is as wanted.
async fn shows(scene: &Scene, channel: Id, wanted: impl Fn(&Line) -> bool) -> Line {
    let bot = scene.discord.scene().bot;
    let fits = |seen: &Seen| match seen {
        Seen::Posted(line) | Seen::Edited(line) => {
            line.channel == channel && line.author == bot && wanted(line)
        }
        _ => false,
    };
    let seen = scene.discord.seen().wait_for(fits, DEADLINE).await;
    match seen.map(|entry| entry.what) {
        Ok(Seen::Posted(line) | Seen::Edited(line)) => line,
        other => panic!("{other:?} in {:#?}", forms(scene, channel)),
    }
}

/// What can be pressed under a message: the custom ids, by label.
fn buttons(line: &Line) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = line.components.iter();
    rows.flat_map(|row| row["components"].as_array().cloned().unwrap_or_default())
        .map(|it| (text(&it["label"]), text(&it["custom_id"])))
        .collect()
}

fn button(line: &Line, label: &str) -> String {
    let all = buttons(line);
    let found = all.iter().find(|(it, _)| it == label);
    found
        .unwrap_or_else(|| panic!("no {label} in {all:?}"))
        .1
        .clone()
}

#[tokio::test]
async fn progress_legacy_is_a_silent_message_a_step() {
    let scene = Scene::start().await;
    let asked = scene.dm("#think hm\n#say first I look\n#tool Read notes.md\n#say that is all");
    let answer = scene.reply(asked, |line| line.text == "that is all").await;
    assert!(!answer.silent, "an answer notifies");
    let before: Vec<Line> = forms(&scene, asked.channel);
    let step = |words: &str| {
        let found = before.iter().find(|line| line.text.contains(words));
        found.unwrap_or_else(|| panic!("no {words} in {before:#?}"))
    };
    assert!(step("🤔 Thinking…").silent);
    let thought = step("🤔 hm");
    assert_eq!((thought.text.as_str(), thought.silent), ("🤔 hm", true));
    assert!(step("first I look").silent);
    assert!(step("🔧 Tool: Read(").silent);
}

/// As it is where nobody says otherwise.
#[tokio::test]
async fn under_an_answer_stand_model_context_and_work_dir_and_under_nothing_else() {
    let scene = Scene::with(|setup| {
        setup.footer = true;
        setup.agent_options = "max_context_tokens = 1000".into();
    })
    .await;
    let asked = scene.dm("#say first I look\n#tool Read notes.md\n#say that is all");
    let answer = scene
        .reply(asked, |line| line.text.starts_with("that is all"))
        .await;
    let (text, figures) = answer.text.split_once("\n-# ").expect("a line under it");
    assert_eq!(text, "that is all");
    let figures: Vec<&str> = figures.split(" · ").collect();
    assert!(figures[0].starts_with("claude-"), "{figures:?}");
    assert_eq!(figures[1], "context 1 %");
    assert!(figures[2].ends_with("work"), "{figures:?}");
    let lined = |line: &Line| line.text.contains("-# ").then_some(line.message);
    let forms = forms(&scene, asked.channel);
    let lined: Vec<Id> = forms.iter().filter_map(lined).collect();
    assert_eq!(lined, [answer.message]);
    scene.weibo_dm("#say here too");
    let text = scene.bubbles(1).await[0].text.clone();
    assert!(text.starts_with("here too\n[claude-"), "{text}");
    assert!(
        text.contains(" · 上下文 1% · ") && text.ends_with(']'),
        "{text}"
    );
}

#[tokio::test]
async fn progress_compact_is_one_message_that_is_edited_and_closed() {
    let scene = with_options("progress_style = \"compact\"").await;
    let asked =
        scene.dm("#say first I look\n#tool Read notes.md\n#hold before-result\n#say that is all");
    scene
        .claude
        .held(Point::BeforeResult, DEADLINE)
        .await
        .unwrap();
    let progress = shows(&scene, asked.channel, |line| {
        line.text.contains("🔧 Tool: Read(")
    })
    .await;
    assert!(progress.silent);
    scene.claude.release_all();
    let answer = scene.reply(asked, |line| line.text == "that is all").await;
    assert!(!answer.silent && answer.message != progress.message);
    let last = shows(&scene, asked.channel, |line| {
        line.message == progress.message && line.text.contains("first I look")
    })
    .await;
    assert!(last.text.contains("🔧 Tool: Read("), "{}", last.text);
    let messages = scene.replies(asked);
    assert_eq!(messages.len(), 2, "{messages:?}");
}

#[tokio::test]
async fn progress_card_is_an_embed_and_text_without_the_right_to_embed() {
    let scene = with_options("progress_style = \"card\"").await;
    let asked = scene.dm("#tool Read notes.md\n#say with a card");
    scene.reply(asked, |line| line.text == "with a card").await;
    let card = shows(&scene, asked.channel, |line| !line.embeds.is_empty()).await;
    assert!(card.silent, "{card:?}");
    let at = scene.discord.scene();
    scene
        .discord
        .deny(at.bot, at.general, permissions::EMBED_LINKS);
    for _ in 0..2 {
        let text = format!("<@{}>\n#tool Read notes.md\n#say without a card", at.bot);
        let asked = scene.in_guild(&text);
        scene
            .reply(asked, |line| line.text == "without a card")
            .await;
    }
    let lines = forms(&scene, at.general);
    assert!(
        lines.iter().all(|line| line.embeds.is_empty()),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("🔧 Tool: Read("))
    );
    let told = lines
        .iter()
        .filter(|line| line.text.contains("Embed Links"));
    assert_eq!(told.count(), 1, "said once: {lines:#?}");
}

#[tokio::test]
async fn progress_is_closed_after_a_kill_of_each_process() {
    let scene = with_options("progress_style = \"compact\"").await;
    for victim in ["hub", "discord-main", "runner-demo"] {
        let prompt = format!("#tool Read notes.md\n#hold before-result\n#say after {victim}");
        let asked = scene.dm(&prompt);
        scene
            .claude
            .held(Point::BeforeResult, DEADLINE)
            .await
            .unwrap();
        let progress = shows(&scene, asked.channel, |line| {
            line.message > asked.message && line.text.contains("🔧 Tool: Read(")
        })
        .await;
        let before = scene.tree.kill(victim).await;
        scene.tree.back(victim, before).await;
        scene.claude.release_all();
        let words = format!("after {victim}");
        scene.reply(asked, |line| line.text == words).await;
        let after = scene.dm("#say probe");
        scene.reply(after, |line| line.text == "probe").await;
        let answers = scene.replies(asked);
        let count = answers.iter().filter(|text| **text == words).count();
        assert_eq!(count, 1, "{answers:?}");
        let open = scene
            .discord
            .transcript(asked.channel)
            .into_iter()
            .find(|line| line.message == progress.message)
            .expect("it stays");
        assert!(
            !open.text.contains('…') || open.text.contains("🔧"),
            "{}",
            open.text
        );
    }
}

#[tokio::test]
async fn a_question_is_answered_by_a_button_and_its_message_says_so() {
    let scene = Scene::start().await;
    let asked = scene.dm("#tool Bash touch allowed-file\n#say done");
    let question = shows(&scene, asked.channel, |line| !line.components.is_empty()).await;
    assert!(!question.silent && question.text.contains("touch allowed-file"));
    let owner = scene.discord.scene().owner;
    let allow = button(&question, "Allow");
    scene
        .discord
        .click(owner, question.message, &allow)
        .unwrap();
    scene.reply(asked, |line| line.text == "done").await;
    let closed = shows(&scene, asked.channel, |line| {
        line.message == question.message && line.components.is_empty()
    })
    .await;
    assert!(closed.text.contains("Allowed"), "{}", closed.text);
    assert!(scene.tree.work_dir().join("allowed-file").exists());
}

/// A question that the owner's message put in a channel where others may write too.
async fn question_in_public() -> (Scene, Asked, Line) {
    let scene = with_options("allow_from = \"*\"").await;
    let at = scene.discord.scene();
    let text = format!("<@{}>\n#tool Bash touch allowed-file\n#say done", at.bot);
    let asked = scene.in_guild(&text);
    let question = shows(&scene, at.general, |line| !line.components.is_empty()).await;
    (scene, asked, question)
}

fn clicks_that_failed(scene: &Scene) -> usize {
    let failed = |seen: &Seen| matches!(seen, Seen::Failed { .. });
    scene.discord.seen().count(failed)
}

#[tokio::test]
async fn case_16_unauthorised_click() {
    let (scene, asked, question) = question_in_public().await;
    let at = scene.discord.scene();
    let (allow, deny) = (button(&question, "Allow"), button(&question, "Deny"));
    scene
        .discord
        .click(at.bob, question.message, &deny)
        .unwrap();
    let refusal = shows(&scene, at.general, |line| line.only_for == Some(at.bob)).await;
    assert!(refusal.text.contains("somebody else"), "{}", refusal.text);
    // It is still open, and whoever asked decides.
    scene
        .discord
        .click(at.owner, question.message, &allow)
        .unwrap();
    scene.reply(asked, |line| line.text == "done").await;
    assert!(scene.tree.work_dir().join("allowed-file").exists());
    assert_eq!(clicks_that_failed(&scene), 0);
}

#[tokio::test]
async fn case_17_double_click() {
    let (scene, asked, question) = question_in_public().await;
    let at = scene.discord.scene();
    let (allow, deny) = (button(&question, "Allow"), button(&question, "Deny"));
    scene
        .discord
        .click(at.owner, question.message, &allow)
        .unwrap();
    scene
        .discord
        .click(at.owner, question.message, &deny)
        .unwrap();
    scene.reply(asked, |line| line.text == "done").await;
    let late = shows(&scene, at.general, |line| line.only_for == Some(at.owner)).await;
    assert!(late.text.contains("Too late"), "{}", late.text);
    assert!(scene.tree.work_dir().join("allowed-file").exists());
    let closed = shows(&scene, at.general, |line| {
        line.message == question.message && line.components.is_empty()
    })
    .await;
    assert!(closed.text.contains("Allowed") && !closed.text.contains("Denied"));
    assert_eq!(clicks_that_failed(&scene), 0);
}

#[tokio::test]
async fn case_14_ack_3s() {
    let scene = Scene::start().await;
    let asked = scene.dm("#tool Bash touch allowed-file\n#say done");
    let question = shows(&scene, asked.channel, |line| !line.components.is_empty()).await;
    let hub = scene.tree.pid("hub").await;
    scene.tree.signal(hub, Signal::SIGSTOP);
    let owner = scene.discord.scene().owner;
    let allow = button(&question, "Allow");
    let click = scene
        .discord
        .click(owner, question.message, &allow)
        .unwrap();
    let acked = |seen: &Seen| match seen {
        Seen::Answered { interaction, .. } | Seen::Failed { interaction, .. } => {
            *interaction == click
        }
        _ => false,
    };
    let answer = scene
        .discord
        .seen()
        .wait_for(acked, DEADLINE)
        .await
        .unwrap();
    scene.tree.signal(hub, Signal::SIGCONT);
    assert!(
        matches!(answer.what, Seen::Answered { callback: 6, .. }),
        "{answer:?}"
    );
    scene.reply(asked, |line| line.text == "done").await;
}

#[tokio::test]
async fn a_choice_is_made_by_a_button() {
    let scene = Scene::start().await;
    let asked = scene.dm("#ask Which DB? | SQLite | Postgres");
    let question = shows(&scene, asked.channel, |line| !line.components.is_empty()).await;
    let owner = scene.discord.scene().owner;
    let chosen = button(&question, "Postgres");
    scene
        .discord
        .click(owner, question.message, &chosen)
        .unwrap();
    scene
        .reply(asked, |line| {
            line.text.contains("Tool said") && line.text.contains("Postgres")
        })
        .await;
}

#[tokio::test]
async fn a_long_question_comes_whole_as_a_file() {
    let scene = Scene::start().await;
    // As long as a person's message may be; with our words around it no message holds it.
    let command = format!("touch {}END", "long-".repeat(392));
    let asked = scene.dm(&format!("#tool Bash {command}"));
    let short = shows(&scene, asked.channel, |line| !line.components.is_empty()).await;
    assert!(short.text.chars().count() <= 2000 && !short.text.contains("END"));
    assert_eq!(short.files[0].name, "request.txt");
    assert!(short.files[0].size >= command.len());
    let owner = scene.discord.scene().owner;
    let deny = button(&short, "Deny");
    scene.discord.click(owner, short.message, &deny).unwrap();
    scene
        .reply(asked, |line| line.text.contains("Tool said"))
        .await;
}

#[tokio::test]
async fn thread_isolation_opens_a_thread_and_goes_on_there_without_a_mention() {
    let scene = with_options("thread_isolation = true").await;
    let at = scene.discord.scene();
    let asked = scene.in_guild(&format!("<@{}> #say in the thread", at.bot));
    let made =
        |seen: &Seen| matches!(seen, Seen::ThreadMade { parent, .. } if *parent == at.general);
    let thread = match scene
        .discord
        .seen()
        .wait_for(made, DEADLINE)
        .await
        .unwrap()
        .what
    {
        Seen::ThreadMade { thread, .. } => thread,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        thread, asked.message,
        "a thread from the message has its id"
    );
    shows(&scene, thread, |line| line.text == "in the thread").await;
    let before = scene.tree.kill("discord-main").await;
    scene.tree.back("discord-main", before).await;
    let follow = scene.discord.user_says(at.owner, thread, "#say and again");
    let follow = Asked {
        channel: thread,
        message: follow,
    };
    scene.reply(follow, |line| line.text == "and again").await;
    assert!(
        forms(&scene, at.general).is_empty(),
        "nothing in the channel"
    );
}

#[tokio::test]
async fn a_thread_that_cannot_be_opened_is_said_and_the_answer_comes_all_the_same() {
    let scene = with_options("thread_isolation = true").await;
    let at = scene.discord.scene();
    scene
        .discord
        .deny(at.bot, at.general, permissions::CREATE_PUBLIC_THREADS);
    let asked = scene.in_guild(&format!("<@{}> #say here then", at.bot));
    scene.reply(asked, |line| line.text == "here then").await;
    shows(&scene, at.general, |line| {
        line.text.contains("Create Public Threads")
    })
    .await;
}

#[tokio::test]
async fn menu_commands_are_registered_and_answered() {
    let scene = Scene::start().await;
    let registered = |wire: &fake_discord::Wire| {
        let wire = serde_json::to_value(wire).unwrap_or_default();
        wire.to_string().contains("/commands")
    };
    scene.discord.wait_wire(registered, DEADLINE).await.unwrap();
    let at = scene.discord.scene();
    let dm = scene.discord.dm_channel(at.owner);
    scene
        .discord
        .command(at.owner, at.general, "whoami", json!([]))
        .unwrap();
    let answer = shows(&scene, at.general, |line| {
        line.only_for == Some(at.owner) && !line.loading
    })
    .await;
    assert!(
        answer.text.contains(&at.owner.to_string()),
        "{}",
        answer.text
    );
    scene
        .discord
        .command(at.owner, dm, "new", json!([]))
        .unwrap();
    shows(&scene, dm, |line| line.text.contains("new session")).await;
}

#[tokio::test]
async fn an_answer_of_many_messages_comes_as_a_file() {
    let scene = Scene::start().await;
    let asked = scene.dm("#chars 20000");
    let first = scene.reply(asked, |line| !line.files.is_empty()).await;
    assert_eq!(first.files[0].name, "answer.md");
    assert!(first.files[0].size >= 20_000);
    let probe = scene.dm("#say probe");
    scene.reply(probe, |line| line.text == "probe").await;
    let lines = scene.replies(asked);
    assert_eq!(
        lines.len(),
        2,
        "the first part with the file, and the probe: {}",
        lines.len()
    );
}

#[tokio::test]
async fn a_file_reaches_the_agent() {
    let scene = Scene::start().await;
    let at = scene.discord.scene();
    let channel = scene.discord.dm_channel(at.owner);
    let say = Say {
        text: "#tool Bash cat .bulkhead/attachments/*/notes.txt".into(),
        files: vec![File {
            name: "notes.txt".into(),
            content_type: Some("text/plain".into()),
            data: b"xyzzy in a file".to_vec(),
        }],
        ..Say::default()
    };
    scene.discord.says(at.owner, channel, say).unwrap();
    let mut clicked = false;
    loop {
        let line = shows(&scene, channel, |line| {
            line.text.contains("xyzzy in a file") || (!clicked && !line.components.is_empty())
        })
        .await;
        if line.text.contains("xyzzy in a file") {
            break;
        }
        clicked = true;
        scene
            .discord
            .click(at.owner, line.message, &button(&line, "Allow"))
            .unwrap();
    }
}

#[tokio::test]
async fn a_message_that_waits_is_changed_and_taken_back() {
    let scene = Scene::start().await;
    let owner = scene.discord.scene().owner;
    scene.dm("#hold first-delta\n#say one");
    scene
        .claude
        .held(Point::FirstDelta, DEADLINE)
        .await
        .unwrap();
    let second = scene.dm("#say two");
    let third = scene.dm("#say three");
    // Once for both of them.
    scene
        .reply(third, |line| line.text.contains("In the queue: 1 ahead"))
        .await;
    scene
        .discord
        .edit(owner, second.message, "#say better")
        .unwrap();
    scene.discord.delete(owner, third.message).unwrap();
    scene.tree.logged("was changed").await;
    scene.tree.logged("was taken back").await;
    scene.claude.release_all();
    scene.reply(second, |line| line.text == "better").await;
    let probe = scene.dm("#say probe");
    scene.reply(probe, |line| line.text == "probe").await;
    let texts = scene.replies(second);
    assert!(
        !texts.iter().any(|text| text == "three" || text == "two"),
        "{texts:?}"
    );
}
