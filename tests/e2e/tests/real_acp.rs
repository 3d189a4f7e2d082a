//! Real agents over ACP in the whole tree; only the model behind them is a fake.
//!
//! Ignored unless asked for, since they are not part of a Rust toolchain:
//! `BULKHEAD_CLAUDE_ACP=/path/to/claude-agent-acp BULKHEAD_OPENCODE=/path/to/opencode
//! BULKHEAD_NODE=/directory/of/node cargo test -p e2e --test real_acp -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

use e2e::{Asked, DEADLINE, Scene};
use fake_model::FakeModel;
use fake_model::script::Point;
use harness::Agent;
use serde_json::json;

fn set(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: see the head of this file"))
}

#[derive(Clone, Copy, PartialEq)]
enum Real {
    Claude,
    OpenCode,
}

impl Real {
    async fn scene(self) -> (Scene, FakeModel) {
        let model = FakeModel::start().await.unwrap();
        let env = |name: &str, value: String| (name.to_owned(), value);
        let path = env("PATH", format!("{}:/usr/bin:/bin", set("BULKHEAD_NODE")));
        let agent = match self {
            Real::Claude => Agent::Acp {
                cmd: set("BULKHEAD_CLAUDE_ACP").into(),
                args: Vec::new(),
                env: vec![
                    path,
                    env("ANTHROPIC_BASE_URL", model.url()),
                    env("ANTHROPIC_API_KEY", "dummy".into()),
                    env("IS_SANDBOX", "1".into()),
                ],
            },
            Real::OpenCode => {
                let config = json!({
                    "model": "anthropic/fake", "small_model": "anthropic/fake",
                    "autoupdate": false, "permission": {"bash": "ask"},
                    "provider": {"anthropic": {
                        "options": {"baseURL": format!("{}/v1", model.url()), "apiKey": "dummy"},
                        "models": {"fake": {"name": "Fake",
                            "limit": {"context": 200_000, "output": 8000}}},
                    }},
                });
                Agent::Acp {
                    cmd: set("BULKHEAD_OPENCODE").into(),
                    args: vec!["acp".into()],
                    env: vec![
                        path,
                        env("OPENCODE_CONFIG_CONTENT", config.to_string()),
                        env("OPENCODE_DISABLE_AUTOUPDATE", "1".into()),
                        env("OPENCODE_DISABLE_MODELS_FETCH", "1".into()),
                    ],
                }
            }
        };
        let scene = Scene::with(|setup| {
            setup.agent = agent;
            setup.agent_table = "sandbox = \"off\"".into();
            setup.agent_options = match self {
                Real::Claude => "mode = \"default\"".into(),
                Real::OpenCode => String::new(),
            };
            setup.top = "[supervision]\nbackoff_min_ms = 50\n".into();
        })
        .await;
        scene.discord.set(|options| options.identify_window_ms = 0);
        (scene, model)
    }

    fn shell(self, command: &str) -> String {
        let input = json!({"command": command, "description": "as the test wants"});
        match self {
            Real::Claude => format!("#tool Bash {input}"),
            Real::OpenCode => format!("#tool bash {input}"),
        }
    }

    fn tool(self, name: &str, input: &str) -> String {
        match self {
            Real::Claude => format!("#tool mcp__bulkhead__{name} {input}"),
            Real::OpenCode => format!("#tool bulkhead_{name} {input}"),
        }
    }
}

async fn whole(scene: &Scene, asked: Asked, text: &str) {
    scene.reply(asked, |line| line.text.contains(text)).await;
}

/// A turn, a question, a tool of the runner's, a stop and the death of the runner in mid-turn.
async fn whole_way(real: Real) {
    let (scene, model) = real.scene().await;
    let asked = scene.dm("#say the answer");
    whole(&scene, asked, "the answer").await;

    let script = format!("{}\n#say touched", real.shell("touch allowed"));
    let asked = scene.dm(&script);
    let asks = |line: &fake_discord::Line, what: &str| {
        line.text.contains("asks to use") && line.text.contains(what)
    };
    scene.reply(asked, |line| asks(line, "touch allowed")).await;
    assert!(!scene.tree.work_dir().join("allowed").exists());
    let yes = scene.dm("1");
    whole(&scene, yes, "touched").await;
    assert!(scene.tree.work_dir().join("allowed").exists());

    let asked = scene.dm(&real.tool("current_time", "{}"));
    if real == Real::Claude {
        // It asks before every call that its own settings do not allow.
        scene.reply(asked, |line| asks(line, "current_time")).await;
        scene.dm("1");
    }
    whole(&scene, asked, "UTC").await;

    scene.dm("#hold first-delta\n#say never said");
    model.held(Point::FirstDelta, DEADLINE).await.unwrap();
    let stop = scene.dm("/stop");
    scene.reply(stop, |_| true).await;
    model.release_all();
    let asked = scene.dm("#say goes on");
    whole(&scene, asked, "goes on").await;

    let asked = scene.dm("#hold first-delta\n#say never said either");
    model.held(Point::FirstDelta, DEADLINE).await.unwrap();
    let before = scene.tree.kill("runner-demo").await;
    scene.tree.back("runner-demo", before).await;
    model.release_all();
    whole(&scene, asked, "could not continue").await;
    let asked = scene.dm("#say on after the kill");
    whole(&scene, asked, "on after the kill").await;
}

#[tokio::test]
#[ignore = "needs claude-agent-acp in BULKHEAD_CLAUDE_ACP"]
async fn claude_over_acp_goes_the_whole_way() {
    whole_way(Real::Claude).await;
}

#[tokio::test]
#[ignore = "needs opencode in BULKHEAD_OPENCODE"]
async fn opencode_goes_the_whole_way() {
    whole_way(Real::OpenCode).await;
}
