//! The captures of the real command line, replayed against the fake: the same lines in the same order.
#![allow(clippy::expect_used, clippy::panic)] // tests

mod agent;

use std::path::PathBuf;

use agent::{Agent, Start, events, shape, shapes};
use fake_claude::{CONTROL, ClaudeControl, Event, Point};
use nix::sys::signal::Signal;
use serde_json::Value;

struct Capture {
    name: String,
    version: &'static str,
    rows: Vec<Value>,
}

impl Capture {
    fn read(version: &'static str, name: &str) -> Self {
        let dir =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../agent-runner/tests/fixtures");
        let text = std::fs::read_to_string(dir.join(format!("claude-{version}/{name}.jsonl")))
            .expect(name);
        let rows = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        Self {
            name: format!("{version}/{name}"),
            version,
            rows,
        }
    }

    /// The rows of each process.
    fn processes(&self) -> Vec<&[Value]> {
        let starts: Vec<_> = (0..self.rows.len())
            .filter(|&i| self.rows[i]["at"] == "start")
            .collect();
        let ends = starts.iter().skip(1).copied().chain([self.rows.len()]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| &self.rows[start..end])
            .collect()
    }
}

fn at<'a>(rows: &'a [Value], place: &str) -> Vec<&'a Value> {
    rows.iter()
        .filter(|row| row["at"] == place)
        .map(|row| &row["line"])
        .collect()
}

/// Lines and stream events. `loose`: a turn that goes on by itself races with the prompt that is sent again, so where its echo
/// falls in, what is said of its life and whether rest is told once more after it are left out.
fn told(lines: &[Value], loose: bool) -> (Vec<String>, Vec<String>) {
    let mut shapes = shapes(lines);
    if loose {
        shapes.retain(|shape| {
            !shape.contains("isReplay") && shape != "command_lifecycle state=completed"
        });
        shapes.dedup();
    }
    (shapes, events(lines))
}

fn echoes(lines: &[Value]) -> usize {
    lines.iter().filter(|line| line["isReplay"] == true).count()
}

/// Lines that the fake does not have, and what the replay's own words leave behind.
fn counts(line: &Value) -> bool {
    !matches!(
        line["subtype"].as_str(),
        Some("background_tasks_changed" | "informational")
    )
}

async fn replay(capture: &Capture) {
    let dir = tempfile::tempdir().expect("a directory");
    let control = ClaudeControl::start().await.expect("a control");
    let base = Start::fake(dir.path())
        .with("FAKE_CLAUDE_AS", capture.version)
        .with("FAKE_CLAUDE_LOGIN", "checked");
    let base = base.with("IS_SANDBOX", "1");
    let base = base.with(CONTROL, control.address());
    for rows in capture.processes() {
        let started = &rows[0]["line"];
        let mut start = base.clone();
        start
            .env
            .retain(|name, _| !name.starts_with("CLAUDE_CODE_E"));
        for (name, value) in started["env"].as_object().expect("variables") {
            start = start.with(name, value.as_str().expect("a value"));
        }
        if started["key"] == true {
            start = start.with("ANTHROPIC_API_KEY", "dummy");
        }
        let args: Vec<_> = started["args"]
            .as_array()
            .expect("arguments")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut agent = start.start(&args);
        let code = play(&mut agent, &start, rows, &control).await;

        let name = &capture.name;
        let (wanted, said) = (
            comparable(at(rows, "stdout")),
            comparable(agent.seen.iter()),
        );
        let exit = at(rows, "exit")[0];
        let loose = name.contains("resume-");
        if loose {
            assert_eq!(echoes(&said), echoes(&wanted), "{name}: echoes");
        }
        let (said, wanted) = (told(&said, loose), told(&wanted, loose));
        if exit["how"] == "SIGKILL" {
            // It was killed as soon as the last of these was seen; the fake may have been a little further.
            assert!(
                said.0.starts_with(&wanted.0),
                "{name}: lines\n{:#?}\n{:#?}",
                said.0,
                wanted.0
            );
            assert!(
                said.1.starts_with(&wanted.1),
                "{name}: stream events\n{:?}\n{:?}",
                said.1,
                wanted.1
            );
        } else {
            assert_eq!(said.0, wanted.0, "{name}: lines");
            assert_eq!(said.1, wanted.1, "{name}: stream events");
        }
        let wanted = exit["code"]
            .as_i64()
            .or(exit["signal"].as_i64().map(|signal| -signal));
        assert_eq!(Some(i64::from(code.0)), wanted, "{name}: exit code");
        let wanted = at(rows, "stderr")
            .first()
            .and_then(|words| words.as_str())
            .unwrap_or_default();
        let first = |words: &str| {
            words
                .split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(first(&code.1), first(wanted), "{name}: words on stderr");

        let session = started["args"][1].as_str().expect("a session");
        let wanted: Vec<_> = at(rows, "file").into_iter().cloned().collect();
        assert_eq!(
            talk(&start.rows(session)),
            talk(&wanted),
            "{name}: session file"
        );
    }
}

/// Does what the capture's driver did, each step after the lines that it had seen by then.
async fn play(
    agent: &mut Agent,
    start: &Start,
    rows: &[Value],
    control: &ClaudeControl,
) -> (i32, String) {
    let end = at(rows, "exit")[0]["how"]
        .as_str()
        .expect("an end")
        .to_owned();
    let inputs: Vec<_> = (0..rows.len())
        .filter(|&i| rows[i]["at"] == "stdin")
        .collect();
    let mut held = false;
    for (nth, &index) in inputs.iter().enumerate() {
        let row = &rows[index]["line"];
        catch_up(agent, &rows[..index]).await;
        match row {
            Value::Null => agent.close(),
            Value::String(text) => agent.send_text(text).await,
            line => {
                let mut line = line.clone();
                if line["type"] == "control_response" {
                    let asked = agent
                        .seen
                        .iter()
                        .rfind(|line| line["request"]["subtype"] == "can_use_tool");
                    line["response"]["request_id"] =
                        asked.expect("a question")["request_id"].clone();
                }
                agent.send(&line).await;
            }
        }
        let said = |index: usize| {
            rows[index]["line"]["message"]["content"]
                .as_str()
                .unwrap_or_default()
        };
        held |= said(index).contains("#hold");
        // The capture's driver let a held turn go on after the last thing it sent in it, unless that stopped it.
        let mut rest = rows[index..]
            .iter()
            .take_while(|row| row["line"]["type"] != "result");
        let stopped = rest.any(|row| row["line"]["request"]["subtype"] == "interrupt");
        let next = rows
            .get(index + 1)
            .is_some_and(|next| next["at"] == "stdout");
        let again = nth > 0 || row.is_null();
        let goes_on = rows[index..]
            .iter()
            .any(|row| row["line"]["type"] == "stream_event");
        if held && !stopped && goes_on && (row.is_null() || (next && again)) {
            if !row.is_null() {
                agent.heard().await;
            }
            reached(agent, control).await;
            control.release_all();
        }
    }
    match end.as_str() {
        "eof" | "wait" => {}
        "SIGKILL" => {
            catch_up(agent, rows).await;
            if held
                && at(rows, "stdout")
                    .iter()
                    .any(|line| line["type"] == "stream_event")
            {
                reached(agent, control).await;
            }
            // It was killed a little later than the last line, so more of the file was there.
            let session = rows[0]["line"]["args"][1].as_str().expect("a session");
            let wanted: Vec<_> = at(rows, "file").into_iter().cloned().collect();
            while talk(&start.rows(session)).len() < talk(&wanted).len() {
                agent.heard().await;
            }
            agent.signal(Signal::SIGKILL);
        }
        signal => {
            control
                .held(Point::FirstDelta, agent::SOON)
                .await
                .expect("held");
            if signal == "SIGTERM" {
                // It ends at once, with whatever is still on its way to a reader.
                catch_up(agent, rows).await;
            }
            agent.signal(signal.parse().expect("a signal"));
        }
    }
    agent.end().await
}

/// Waits until this process has come to the first delta, held or not.
async fn reached(agent: &Agent, control: &ClaudeControl) {
    let pid = agent.pid();
    let there = |event: &Event| matches!(event, Event::Reached(stand) if stand.pid == pid && stand.point == Point::FirstDelta);
    control
        .ledger()
        .wait_for(there, agent::SOON)
        .await
        .expect("the first delta");
}

/// Reads until everything has been said that the real one had said by then.
async fn catch_up(agent: &mut Agent, rows: &[Value]) {
    let wanted = comparable(at(rows, "stdout"));
    let loose = rows[0]["line"]["args"][0] == "--resume";
    let wanted = told(&wanted, loose);
    let lacks = |agent: &Agent| {
        let seen = told(&comparable(agent.seen.iter()), loose);
        seen.0.len() < wanted.0.len() || seen.1.len() < wanted.1.len()
    };
    while lacks(agent) {
        agent
            .next()
            .await
            .expect("a line that the real one had said by then");
    }
}

fn comparable<'a>(lines: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    lines
        .into_iter()
        .filter(|line| counts(line))
        .cloned()
        .collect()
}

/// The rows of a session file that are the conversation.
fn talk(rows: &[Value]) -> Vec<String> {
    rows.iter()
        .filter(|row| row["type"] == "user" || row["type"] == "assistant")
        .map(shape)
        .collect()
}

macro_rules! replays {
    ($version:literal, $module:ident: $($test:ident $name:literal,)*) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                super::replay(&super::Capture::read($version, $name)).await;
            })*
        }
    };
}

replays! { "2.1.329", v2_1_329:
    simple_turn "simple-turn",
    two_blocks "two-blocks",
    tool_allowed "tool-allowed",
    tool_denied "tool-denied",
    tool_denied_interrupt "tool-denied-interrupt",
    always_allowed "always-allowed",
    ask_user_question "ask-user-question",
    plan_mode "plan-mode",
    bypass_permissions "bypass-permissions",
    interrupt_text "interrupt-text",
    interrupt_question "interrupt-question",
    interrupt_tool "interrupt-tool",
    interrupt_idle "interrupt-idle",
    interrupt_queued "interrupt-queued",
    eof_mid_turn "eof-mid-turn",
    eof_question "eof-question",
    queued_in_text "queued-in-text",
    queued_in_tool "queued-in-tool",
    same_uuid_live "same-uuid-live",
    no_state_events "no-state-events",
    resume_completed "resume-completed",
    resume_interrupted_text "resume-interrupted-text",
    resume_interrupted_no_flag "resume-interrupted-no-flag",
    resume_interrupted_tool "resume-interrupted-tool",
    resume_interrupted_tool_no_flag "resume-interrupted-tool-no-flag",
    resume_question "resume-question",
    resume_stopped "resume-stopped",
    resume_never_persisted "resume-never-persisted",
    resume_after_error "resume-after-error",
    resume_missing "resume-missing",
    resume_other_cwd "resume-other-cwd",
    session_id_in_use "session-id-in-use",
    error_400 "error-400",
    error_401 "error-401",
    error_429 "error-429",
    error_500 "error-500",
    error_529 "error-529",
    logged_out "logged-out",
    fatal_not_json "fatal-not-json",
    fatal_role "fatal-role",
    fatal_no_message "fatal-no-message",
    line_of_spaces "line-of-spaces",
    unknown_option "unknown-option",
    sigint_mid_turn "sigint-mid-turn",
    sigterm_mid_turn "sigterm-mid-turn",
    kill_at_first_block "kill-at-first-block",
    clear_command "clear-command",
}

replays! { "2.1.197", v2_1_197:
    simple_turn "simple-turn",
    tool_allowed "tool-allowed",
    interrupt_text "interrupt-text",
    interrupt_question "interrupt-question",
    queued_in_text "queued-in-text",
    same_uuid_live "same-uuid-live",
    no_state_events "no-state-events",
    resume_completed "resume-completed",
    resume_interrupted_text "resume-interrupted-text",
    resume_interrupted_no_flag "resume-interrupted-no-flag",
    resume_interrupted_tool_no_flag "resume-interrupted-tool-no-flag",
    resume_stopped "resume-stopped",
    resume_after_error "resume-after-error",
    error_401 "error-401",
    logged_out "logged-out",
    fatal_not_json "fatal-not-json",
    line_of_spaces "line-of-spaces",
    sigint_mid_turn "sigint-mid-turn",
    kill_at_first_block "kill-at-first-block",
}

#[test]
fn every_capture_is_replayed_or_has_a_reason() {
    let reasons = [
        ("background-tool", "the fake's background work is `#later`"),
        ("subagent", "the fake has none"),
        ("compact-command", "the fake never compacts"),
        (
            "sigterm-tool",
            "the real one tells of the killed tool while it ends",
        ),
        (
            "resume-interrupted-text-early",
            "the echo's place depends on timing",
        ),
        (
            "controls",
            "the answers' contents differ; rules.rs has them",
        ),
        (
            "resume-other-cwd",
            "replayed for 2.1.329; the other refuses, and rules.rs has it",
        ),
    ];
    let here = include_str!("replay.rs");
    for version in ["2.1.329", "2.1.197"] {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let dir = dir.join(format!(
            "../../../agent-runner/tests/fixtures/claude-{version}"
        ));
        for file in std::fs::read_dir(dir).expect("fixtures") {
            let path = file.expect("a file").path();
            let name = path
                .file_stem()
                .and_then(|name| name.to_str())
                .expect("a name")
                .to_owned();
            let known = here.contains(&format!("\"{name}\","))
                || reasons.iter().any(|(known, _)| *known == name);
            assert!(known, "{version}/{name} is not replayed");
        }
    }
}
