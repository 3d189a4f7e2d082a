//! The fake beside the real command line: the same scripts, the same lines.
//!
//! Runs only if `BULKHEAD_CLAUDE` names a real `claude`; it then talks to the fake model API on loopback and to nothing else.
//! Without it this reports itself as ignored.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)] // a test that reports for itself

mod agent;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use agent::{Agent, SOON, Start, events, shapes};
use fake_claude::{CONTROL, ClaudeControl, Point};
use fake_model::FakeModel;
use serde_json::json;

const SESSION: &str = "0b03ced4-125c-406b-876e-123027722e17";
const PROMPT: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

/// Who holds turns: the model of the real one, the control of the fake one.
enum Holder {
    Model(FakeModel),
    Control(ClaudeControl),
}

impl Holder {
    async fn held(&self, point: Point) {
        match self {
            Self::Model(model) => drop(model.held(point, SOON).await.expect("held")),
            Self::Control(control) => drop(control.held(point, SOON).await.expect("held")),
        }
    }

    fn release(&self) {
        match self {
            Self::Model(model) => model.release_all(),
            Self::Control(control) => control.release_all(),
        };
    }
}

/// What a script leaves behind: lines, stream events and the exit code of each process, then the session file.
#[derive(Debug, PartialEq, Default)]
struct Story {
    processes: Vec<(Vec<String>, Vec<String>, i32)>,
    file: Vec<String>,
}

impl Story {
    async fn end(&mut self, mut agent: Agent) {
        let code = agent.finish().await.0;
        self.add(&agent, code);
    }

    async fn kill(&mut self, mut agent: Agent) {
        agent.kill().await;
        self.add(&agent, -9);
    }

    fn add(&mut self, agent: &Agent, code: i32) {
        // An echo of a prompt that is sent again races with the turn that goes on.
        let resumed = !self.processes.is_empty();
        let mut lines = shapes(&agent.seen);
        if resumed {
            lines.retain(|line| {
                !line.contains("isReplay") && line != "command_lifecycle state=completed"
            });
            lines.dedup();
        }
        self.processes.push((lines, events(&agent.seen), code));
    }
}

/// Plays one script.
async fn play(script: &str, start: &Start, holder: &Holder) -> Story {
    let mut story = Story::default();
    let logged_out = start.clone().without("ANTHROPIC_API_KEY");
    let mut agent = if script == "logged out" {
        logged_out.new_session(SESSION)
    } else {
        start.new_session(SESSION)
    };
    match script {
        "a turn" | "logged out" => {
            agent.prompt(PROMPT, "hello").await;
            agent.until_state("idle").await;
        }
        "a thought" => {
            agent.prompt(PROMPT, "#think let me see\n#say one").await;
            agent.until_state("idle").await;
        }
        "two blocks and a second turn" => {
            agent.prompt(PROMPT, "#say one\n#say two").await;
            agent.until_state("idle").await;
            agent.prompt(SECOND, "#chars 500").await;
            agent.until_state("idle").await;
        }
        "a tool, allowed" | "a tool, denied" | "a tool, denied and stopped" => {
            agent
                .prompt(PROMPT, "#say I try\n#tool Bash touch a.txt\n#say done")
                .await;
            let asked = agent.until_type("control_request").await;
            match script {
                "a tool, allowed" => agent.allow(&asked).await,
                "a tool, denied" => {
                    agent
                        .answer(&asked, json!({ "behavior": "deny", "message": "no" }))
                        .await
                }
                _ => {
                    agent
                        .answer(
                            &asked,
                            json!({ "behavior": "deny", "message": "no", "interrupt": true }),
                        )
                        .await
                }
            }
            agent.until_state("idle").await;
            let ran = start.cwd.join("a.txt").exists();
            story.file.push(format!("the tool ran: {ran}"));
        }
        "a question" => {
            agent
                .prompt(PROMPT, "#ask Which? | a | b\n#say thanks")
                .await;
            let asked = agent.until_type("control_request").await;
            let mut input = asked["request"]["input"].clone();
            input["answers"] = json!({ "Which?": "b" });
            agent
                .answer(
                    &asked,
                    json!({ "behavior": "allow", "updatedInput": input }),
                )
                .await;
            agent.until_state("idle").await;
        }
        "an interrupt" => {
            agent.prompt(PROMPT, "#hold first-delta\n#chars 300").await;
            agent.until_delta().await;
            holder.held(Point::FirstDelta).await;
            agent
                .control("stop", json!({ "subtype": "interrupt" }))
                .await;
            agent.until_state("idle").await;
            holder.release();
        }
        "stdin closed at a question" => {
            agent
                .prompt(PROMPT, "#tool Bash touch a.txt\n#say done")
                .await;
            agent.until_type("control_request").await;
        }
        "a refused key" | "an overloaded model" => {
            let status = if script == "a refused key" { 401 } else { 529 };
            agent.prompt(PROMPT, &format!("#error {status}")).await;
            agent.until_state("idle").await;
        }
        "trouble that passes" => {
            agent.prompt(PROMPT, "#error 529 1\n#say made it").await;
            agent.until_state("idle").await;
        }
        "killed after the result" | "killed after a stop" => {
            let stops = script.ends_with("stop");
            let prompt = if stops {
                "#hold first-delta\n#chars 300"
            } else {
                "hello"
            };
            agent.prompt(PROMPT, prompt).await;
            if stops {
                agent.until_delta().await;
                holder.held(Point::FirstDelta).await;
                agent
                    .control("stop", json!({ "subtype": "interrupt" }))
                    .await;
            }
            agent.until_state("idle").await;
            story.kill(agent).await;
            agent = start.clone().resuming().resume(SESSION);
            agent.prompt(PROMPT, prompt).await;
            agent.until_state("idle").await;
        }
        "killed in a turn" => {
            let prompt = "#hold first-delta\n#chars 300";
            agent.prompt(PROMPT, prompt).await;
            agent.until_delta().await;
            holder.held(Point::FirstDelta).await;
            story.kill(agent).await;
            agent = start.clone().resuming().resume(SESSION);
            agent.prompt(PROMPT, prompt).await;
            let echoed = |agent: &Agent| agent.seen.iter().any(|line| line["isReplay"] == true);
            agent.until_type("result").await;
            agent.until_state("idle").await;
            if !echoed(&agent) {
                agent.until(|line| line["isReplay"] == true).await;
                agent.until_state("idle").await;
            }
        }
        other => panic!("there is no script {other}"),
    }
    story.end(agent).await;
    let rows = start.rows(SESSION);
    let talk = rows
        .iter()
        .filter(|row| row["type"] == "user" || row["type"] == "assistant");
    story.file.extend(talk.map(agent::shape));
    story
}

const SCRIPTS: [&str; 16] = [
    "a turn",
    "two blocks and a second turn",
    "a thought",
    "a tool, allowed",
    "a tool, denied",
    "a tool, denied and stopped",
    "a question",
    "an interrupt",
    "stdin closed at a question",
    "a refused key",
    "an overloaded model",
    "trouble that passes",
    "logged out",
    "killed after the result",
    "killed after a stop",
    "killed in a turn",
];

/// Plays a script with both; gives what differs.
async fn compare(script: &str, real: &Path, version: &str) -> Result<(), String> {
    let dirs = [
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    ];
    let model = FakeModel::start().await.expect("a model");
    let control = ClaudeControl::start().await.expect("a control");
    let base = |dir: &Path| {
        Start::fake(dir)
            .with("ANTHROPIC_API_KEY", "dummy")
            .with("IS_SANDBOX", "1")
    };
    let mut start = base(dirs[0].path()).with("ANTHROPIC_BASE_URL", &model.url());
    start = start
        .with("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .with("DISABLE_AUTOUPDATER", "1");
    real.clone_into(&mut start.program);
    let of_real = play(script, &start, &Holder::Model(model)).await;
    let start = base(dirs[1].path())
        .with(CONTROL, control.address())
        .with("FAKE_CLAUDE_AS", version);
    let start = start.with("FAKE_CLAUDE_LOGIN", "checked");
    let of_fake = play(script, &start, &Holder::Control(control)).await;
    if of_real == of_fake {
        Ok(())
    } else {
        Err(format!(
            "the real one: {of_real:#?}\nthe fake one: {of_fake:#?}"
        ))
    }
}

/// The rules to play: those of the version itself, or of the newest one that is known.
fn version(real: &Path) -> (String, &'static str) {
    let told = Command::new(real)
        .arg("--version")
        .output()
        .expect("BULKHEAD_CLAUDE names a program that starts");
    let told = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    let rules = if told.starts_with("2.1.197") {
        "2.1.197"
    } else {
        "2.1.329"
    };
    (told, rules)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let filtered = args
        .iter()
        .any(|arg| !arg.starts_with('-') && !"real_cli".contains(arg.as_str()));
    if filtered || args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let Some(real) = std::env::var_os("BULKHEAD_CLAUDE").map(PathBuf::from) else {
        println!(
            "test real_cli ... ignored: BULKHEAD_CLAUDE does not name a claude, so the fake was compared with its captures only"
        );
        return ExitCode::SUCCESS;
    };
    let (told, rules) = version(&real);
    println!("comparing with {told}, by the rules of {rules}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut failed = false;
    for script in SCRIPTS {
        let differs = runtime.block_on(compare(script, &real, rules)).err();
        println!(
            "test real_cli: {script} ... {}",
            if differs.is_none() { "ok" } else { "FAILED" }
        );
        if let Some(differs) = differs {
            println!("{differs}");
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}
