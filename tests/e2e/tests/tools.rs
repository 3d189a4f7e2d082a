//! Tools of the operator's, and files that the agent sends to the chat, in the real tree.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use std::path::Path;

use e2e::{Asked, DEADLINE, Scene};
use fake_claude::Point;
use fake_discord::FileSeen;
use harness::{Agent, Setup, program};
use nix::sys::signal::Signal;

const CANARY: &str = "canary-of-a-tool-51c7";

fn tool(name: &str, script: &str, more: &str) -> String {
    let script = serde_json::to_string(script).unwrap();
    format!(
        "[[projects.agent.tools]]\nname = \"{name}\"\ndescription = \"d\"\n\
         command = [\"sh\", \"-c\", {script}]\n{more}\n"
    )
}

async fn answer(scene: &Scene, prompt: &str, part: &str) -> String {
    let asked = scene.dm(prompt);
    scene
        .reply(asked, |line| line.text.contains(part))
        .await
        .text
}

/// Every file below a directory that holds the text.
fn holding(dir: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if let Ok(bytes) = std::fs::read(&path)
            && String::from_utf8_lossy(&bytes).contains(text)
        {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test]
async fn an_agent_has_the_operators_tools_and_none_of_their_secrets() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    std::fs::write(&key, CANARY).unwrap();
    let secrets = format!(
        "secrets = {{ ORDERS_KEY = {{ file = \"{}\" }} }}\n\
         input = {{ type = \"object\", properties = {{ id = {{ type = \"integer\" }} }} }}",
        key.display()
    );
    let left = format!("sleep 7601.{}", std::process::id());
    let scene = Scene::with(|setup| {
        setup.agent_options = "allowed_tools = [\"Bash\"]".into();
        setup.platforms = [
            tool(
                "order",
                "cat; echo with $ORDERS_KEY; echo $ORDERS_KEY >&2",
                &secrets,
            ),
            tool(
                "hung",
                &format!("trap '' TERM; setsid {left} & {left}"),
                "timeout_secs = 1",
            ),
            tool(
                "flood",
                "head -c 100000000 /dev/zero | tr '\\0' x",
                "max_output_bytes = 200",
            ),
            tool("fork", &format!("setsid {left} & echo forked"), ""),
        ]
        .concat();
    })
    .await;
    let text = answer(&scene, "#tool mcp__bulkhead__order {\"id\": 7}", "with").await;
    assert!(
        text.contains("{\"id\":7}") && text.contains("with [secret]"),
        "{text}"
    );
    answer(
        &scene,
        "#tool mcp__bulkhead__order {\"id\": \"x\"}",
        "does not fit",
    )
    .await;
    answer(
        &scene,
        "#tool mcp__bulkhead__hung {}",
        "no answer within 1 s",
    )
    .await;
    let flood = answer(&scene, "#tool mcp__bulkhead__flood {}", "more bytes").await;
    assert!(flood.len() < 400, "{flood}");
    answer(&scene, "#tool mcp__bulkhead__fork {}", "forked").await;
    let env = "#tool Bash env; tr '\\0' '\\n' < /proc/$PPID/environ; echo all";
    let text = answer(&scene, env, "all").await;
    assert!(
        !text.contains("ORDERS_KEY") && !text.contains(CANARY),
        "{text}"
    );
    let until = std::time::Instant::now() + DEADLINE;
    while harness::running(&left) > 0 {
        assert!(std::time::Instant::now() < until, "{left} lives on");
        tokio::task::yield_now().await;
    }
    let log = scene.log().snapshot();
    assert!(!log.iter().any(|line| line.what.contains(CANARY)));
    let mut found = Vec::new();
    for dir in [
        scene.tree.state_dir(),
        scene.tree.home(),
        scene.tree.work_dir(),
    ] {
        holding(&dir, CANARY, &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
}

const SEND: &str = "#say Here:\n#tool mcp__bulkhead__send_file {\"path\": \"plot.png\", \"caption\": \"the plot\"}\n#say the end";
const SIZE: usize = 300_000;

fn plot(scene: &Scene, byte: u8) {
    std::fs::write(scene.tree.work_dir().join("plot.png"), vec![byte; SIZE]).unwrap();
}

/// The files that the bot posted since a message, once the turn has ended.
async fn posted(scene: &Scene, asked: Asked) -> Vec<FileSeen> {
    scene
        .reply(asked, |line| line.text.contains("the end"))
        .await;
    let probe = scene.dm("#say that was all");
    scene
        .reply(probe, |line| line.text.contains("that was all"))
        .await;
    let lines = scene.discord.replies(asked.channel, asked.message);
    lines.into_iter().flat_map(|line| line.files).collect()
}

fn once() -> Vec<FileSeen> {
    vec![FileSeen {
        name: "plot.png".into(),
        size: SIZE,
    }]
}

#[tokio::test]
async fn a_file_of_the_work_directory_arrives_on_both_platforms() {
    let scene = Scene::start().await;
    plot(&scene, 1);
    let asked = scene.dm(SEND);
    let line = scene.reply(asked, |line| !line.files.is_empty()).await;
    assert_eq!((line.text.as_str(), line.files), ("the plot", once()));
    assert_eq!(posted(&scene, asked).await, once());
    let order: Vec<String> = scene.replies(asked);
    let place = |part: &str| order.iter().position(|text| text.contains(part)).unwrap();
    assert!(place("Here:") < place("the plot"), "{order:?}");

    plot(&scene, 2);
    scene.weibo_dm(SEND);
    let ended = |scene: &Scene| {
        let bubbles = scene.weibo.bubbles(scene.weibo.account().owner);
        bubbles.iter().any(|bubble| bubble.text.contains("the end"))
    };
    let until = std::time::Instant::now() + DEADLINE;
    while !ended(&scene) {
        assert!(std::time::Instant::now() < until);
        scene.bubbles(1).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.weibo.files(), [vec![2; SIZE]]);
}

#[tokio::test]
async fn a_file_arrives_once_whoever_is_killed_while_it_is_sent() {
    let scene = Scene::start().await;
    // While it is on its way to the hub, which has not said that it has it.
    for (byte, victim) in [(1, "hub"), (2, "runner-demo")] {
        plot(&scene, byte);
        let asked = scene.dm(&format!("#hold first-delta\n{SEND}"));
        scene
            .claude
            .held(Point::FirstDelta, DEADLINE)
            .await
            .unwrap();
        let hub = scene.tree.pid("hub").await;
        scene.tree.signal(hub, Signal::SIGSTOP);
        let before = scene.log().next();
        scene.claude.release_all();
        scene
            .tree
            .logged_since(before, "a file is on its way to the chat")
            .await;
        let pid = scene.tree.pid(victim).await;
        scene.tree.signal(pid, Signal::SIGKILL);
        scene.tree.back(victim, pid).await;
        if victim != "hub" {
            scene.tree.signal(hub, Signal::SIGCONT);
        }
        assert_eq!(posted(&scene, asked).await, once(), "{victim}");
    }
    // Once it is committed, and the agent has not heard of it.
    for (byte, victim) in [(3, "hub"), (4, "runner-demo"), (5, "discord-main")] {
        plot(&scene, byte);
        let asked = scene.dm(&format!("#hold tool\n{SEND}"));
        scene.claude.held(Point::Tool, DEADLINE).await.unwrap();
        let pid = scene.tree.kill(victim).await;
        scene.tree.back(victim, pid).await;
        scene.claude.release_all();
        assert_eq!(posted(&scene, asked).await, once(), "{victim}");
    }
}

/// What `bulkhead check` says of a configuration.
fn checked(dir: &Path, setup: &Setup, more: &[&str]) -> (Option<i32>, String) {
    let (config, work_dir) = (dir.join("config.toml"), dir.join("work"));
    std::fs::create_dir_all(&work_dir).unwrap();
    std::fs::write(&config, setup.config(&work_dir)).unwrap();
    let mut check = std::process::Command::new(program("bulkhead"));
    check.arg("check").args(more).arg("--config").arg(&config);
    let output = check.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words)
}

#[test]
fn what_the_system_lacks_for_a_sandbox_is_named_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Agent::ClaudeCode {
        cmd: program("fake-claude"),
        env: Vec::new(),
    });
    setup.discord = Some(("http://127.0.0.1:1".into(), "token".into()));
    // No system has that.
    setup.agent_table = "sandbox = { mode = \"bubblewrap\", network = \"ports\" }".into();
    let (code, words) = checked(dir.path(), &setup, &[]);
    let lack = "warning: project demo: agent.sandbox: the sandbox's mode = \"bubblewrap\" cannot";
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains(lack), "{words}");
    let (code, words) = checked(dir.path(), &setup, &["--without-secrets"]);
    assert!(code == Some(0) && !words.contains(lack), "{words}");
}

#[test]
fn a_schema_that_is_none_is_told_by_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Agent::ClaudeCode {
        cmd: program("fake-claude"),
        env: Vec::new(),
    });
    setup.discord = Some(("http://127.0.0.1:1".into(), "token".into()));
    let check = |schema: &str| {
        let mut setup = setup.clone();
        let input = format!("input = {{ type = \"object\", {schema} }}");
        setup.platforms = tool("a", "true", "") + &tool("b", "true", &input);
        checked(dir.path(), &setup, &["--without-secrets"])
    };
    let (code, words) = check("required = [\"id\"]");
    assert_eq!(code, Some(0), "{words}");
    let (code, words) = check("properties = 3");
    assert_eq!(code, Some(78), "{words}");
    assert!(
        words.contains("project demo: agent.tools[1].input: is no JSON Schema"),
        "{words}"
    );
}

#[tokio::test]
async fn an_operator_who_wants_no_files_has_none() {
    let scene = Scene::with(|setup| setup.top = "attachment_send = \"off\"\n".into()).await;
    plot(&scene, 1);
    let asked = scene.dm("#tool mcp__bulkhead__send_file {\"path\": \"plot.png\"}");
    scene
        .reply(asked, |line| line.text.contains("No such tool"))
        .await;
}
