//! An agent over ACP in the whole tree: answered, asked, stopped and killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::path::Path;

use e2e::{Asked, DEADLINE, Scene};
use harness::{Agent, program};
use nix::sys::signal::Signal;

/// The scene with the fake ACP agent in it, in its sandbox, which keeps its conversations.
async fn acp(tools: &str) -> Scene {
    let cmd = program("fake-acp");
    let scene = Scene::with(|setup| {
        setup.agent = Agent::Acp {
            cmd,
            args: Vec::new(),
            env: Vec::new(),
        };
        setup.agent_table = "sandbox = { write = [\"~/.fake-acp\"] }".into();
        setup.top = "[supervision]\nbackoff_min_ms = 50\n".into();
        setup.platforms = tools.into();
    })
    .await;
    std::fs::create_dir(scene.tree.home().join(".fake-acp")).unwrap();
    scene
}

async fn whole(scene: &Scene, asked: Asked, text: &str) -> String {
    let line = scene.reply(asked, |line| line.text.contains(text)).await;
    line.text
}

async fn there(file: &Path) {
    let until = std::time::Instant::now() + DEADLINE;
    while !file.exists() {
        assert!(std::time::Instant::now() < until, "{}", file.display());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn it_answers_both_platforms_and_calls_the_operators_tools() {
    let scene = acp(
        "[[projects.agent.tools]]\nname = \"order\"\ndescription = \"d\"\n\
         command = [\"sh\", \"-c\", \"cat; test -n \\\"$ORDERS_KEY\\\" && echo $ORDERS_KEY is there\"]\n\
         secrets = { ORDERS_KEY = \"canary-of-a-tool-19e4\" }\n\
         input = { type = \"object\", properties = { id = { type = \"integer\" } } }\n",
    )
    .await;
    let asked = scene.dm("#think let me see\n#say the answer");
    whole(&scene, asked, "🤔 Thinking…").await;
    whole(&scene, asked, "the answer").await;
    scene.weibo_dm("#say 好的");
    assert!(scene.bubbles(1).await[0].text.contains("好的"));
    let asked = scene.dm("#call order {\"id\": 7}");
    let text = whole(&scene, asked, "is there").await;
    assert!(
        text.contains("{\"id\":7}") && text.contains("[secret] is there"),
        "{text}"
    );
    std::fs::write(scene.tree.work_dir().join("plot.txt"), "a plot").unwrap();
    let asked = scene.dm("#call send_file {\"path\": \"plot.txt\"}");
    whole(&scene, asked, "sent to the chat").await;
    let files = scene.discord.replies(asked.channel, asked.message);
    let names: Vec<_> = files.iter().flat_map(|line| &line.files).collect();
    assert_eq!(names.len(), 1, "{files:#?}");
}

#[tokio::test]
async fn what_it_asks_is_answered_from_discord() {
    let scene = acp("").await;
    let asks = |line: &fake_discord::Line, what: &str| {
        line.text.contains("asks to use") && line.text.contains(what)
    };
    for (answer, made) in [("1", true), ("2", false)] {
        let file = format!("made-by-{answer}");
        let asked = scene.dm(&format!("#tool touch {file}\n#say done with {file}"));
        scene.reply(asked, |line| asks(line, &file)).await;
        assert!(!scene.tree.work_dir().join(&file).exists());
        let answer = scene.dm(answer);
        whole(&scene, answer, &format!("done with {file}")).await;
        assert_eq!(scene.tree.work_dir().join(&file).exists(), made);
    }
}

#[tokio::test]
async fn it_is_stopped_and_goes_on() {
    let scene = acp("").await;
    let held = scene.tree.work_dir().join("held");
    for how in ["#hold", "#deaf"] {
        scene.dm(&format!("{how}\n#say never said"));
        there(&held).await;
        std::fs::remove_file(&held).unwrap();
        let stop = scene.dm("/stop");
        scene.reply(stop, |_| true).await;
        let asked = scene.dm(&format!("#say on after {how}"));
        whole(&scene, asked, &format!("on after {how}")).await;
    }
    let asked = scene.dm("#recall");
    whole(&scene, asked, "5 free small").await;
}

#[tokio::test]
async fn a_turn_that_was_cut_off_ends_in_words_once_whoever_is_killed() {
    let scene = acp("").await;
    let held = scene.tree.work_dir().join("held");
    let first = scene.dm("#say hello");
    whole(&scene, first, "hello").await;
    for victim in ["agent", "runner-demo", "hub"] {
        let asked = scene.dm("#hold");
        there(&held).await;
        std::fs::remove_file(&held).unwrap();
        match victim {
            "agent" => {
                let runner = scene.tree.pid("runner-demo").await;
                for agent in harness::children(runner) {
                    scene.tree.signal(agent, Signal::SIGKILL);
                }
            }
            victim => {
                let before = scene.tree.kill(victim).await;
                scene.tree.back(victim, before).await;
            }
        }
        if victim == "hub" {
            // The agent lives, and so does its turn.
            let stop = scene.dm("/stop");
            scene.reply(stop, |_| true).await;
        } else {
            whole(&scene, asked, "could not continue").await;
        }
        let next = scene.dm(&format!("#say on after {victim}"));
        whole(&scene, next, &format!("on after {victim}")).await;
    }
    // The conversation outlived them, and each message came once.
    let asked = scene.dm("#recall");
    whole(&scene, asked, "8 free small").await;
}
