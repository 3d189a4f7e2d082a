//! The real runner with the fake Claude Code: tools of the operator's, and files to the chat.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use fake_claude::Point;
use ipc_schema::{Outcome, TurnEvent};
use serde_json::{Value, json};
use support::{Desk, SOON, Turn, fake_claude, kill, nap, processes};

const CANARY: &str = "canary-of-a-tool-8fb1";

fn tool(name: &str, script: &str) -> Value {
    json!({
        "name": name, "description": "d", "command": ["sh", "-c", script],
        "input": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "secrets": {"ORDERS_KEY": CANARY},
    })
}

async fn desk(tools: Vec<Value>) -> Desk {
    Desk::start(json!({"cmd": fake_claude(), "allowed_tools": ["Bash"], "tools": tools})).await
}

async fn said(desk: &Desk, turn: &str, prompt: &str) -> String {
    desk.prompt("s", turn, prompt);
    desk.answer(turn).await.texts().join("\n")
}

fn files(turn: &Turn) -> Vec<(&str, &str, &str)> {
    let files = turn.events.iter().filter_map(|event| match event {
        TurnEvent::File { file, caption } => {
            Some((file.sha256.as_str(), file.name.as_str(), caption.as_str()))
        }
        _ => None,
    });
    files.collect()
}

#[tokio::test]
async fn an_agent_calls_what_the_operator_offers_and_its_secret_stays_there() {
    let script = "cat; test -n \"$ORDERS_KEY\" && echo $ORDERS_KEY is there; env >&2; exit 0";
    let desk = desk(vec![tool("order", script)]).await;
    let text = said(&desk, "t", "#tool mcp__bulkhead__order {\"id\": 7}").await;
    assert_eq!(text, "Tool said: {\"id\":7}\n[secret] is there");
    let text = said(
        &desk,
        "env",
        "#tool Bash env; cat /proc/$PPID/environ | tr '\\0' '\\n'",
    )
    .await;
    assert!(
        text.contains("HOME=") && !text.contains("ORDERS_KEY"),
        "{text}"
    );
    assert!(!desk.log().contains(CANARY));
    let home = desk.dir.path().join("home/.claude/projects");
    let mut looked = 0;
    for project in std::fs::read_dir(home).unwrap() {
        for file in std::fs::read_dir(project.unwrap().path()).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(!text.contains(CANARY));
            looked += 1;
        }
    }
    assert!(looked > 0);
    let text = said(&desk, "time", "#tool mcp__bulkhead__current_time {}").await;
    assert!(text.contains("UTC"), "{text}");
}

#[tokio::test]
async fn junk_is_refused_before_anything_runs() {
    let desk = desk(vec![tool(
        "order",
        "touch /dev/null; echo ran >> \"$HOME/ran\"",
    )])
    .await;
    let text = said(
        &desk,
        "t",
        "#tool mcp__bulkhead__order {\"id\": \"1; rm -rf /\"}",
    )
    .await;
    assert!(
        text.contains("does not fit") && text.contains("/id"),
        "{text}"
    );
    let text = said(&desk, "u", "#tool mcp__bulkhead__florp {}").await;
    assert!(text.contains("No such tool"), "{text}");
    assert!(!desk.dir.path().join("home/ran").exists());
    said(&desk, "v", "#tool mcp__bulkhead__order {\"id\": 1}").await;
    assert!(desk.dir.path().join("home/ran").exists());
}

#[tokio::test]
async fn a_tool_that_hangs_forks_or_floods_is_bounded() {
    let [hung, left, flood] = [7501, 7502, 7503].map(nap);
    let desk = desk(vec![
        json!({"name": "hung", "description": "d", "timeout_secs": 1,
            "command": ["sh", "-c", format!("trap '' TERM; setsid {hung} & {hung}")]}),
        tool("fork", &format!("setsid {left} >/dev/null 2>&1 & ( {left} & ) ; echo done")),
        json!({"name": "flood", "description": "d", "max_output_bytes": 100,
            "command": ["sh", "-c", format!("head -c 100000000 /dev/zero | tr '\\0' x; exec 2>&1; {flood} & echo")]}),
    ])
    .await;
    let text = said(&desk, "hung", "#tool mcp__bulkhead__hung {}").await;
    assert!(text.contains("within 1 s"), "{text}");
    let text = said(&desk, "fork", "#tool mcp__bulkhead__fork {}").await;
    assert_eq!(text, "Tool said: done");
    let text = said(&desk, "flood", "#tool mcp__bulkhead__flood {}").await;
    assert!(text.len() < 300 && text.contains("999999"), "{text}");
    for nap in [hung, left, flood] {
        gone(&nap).await;
    }
    let peak = std::fs::read_to_string(format!("/proc/{}/status", desk.pid())).unwrap();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 100 << 10, "{peak}");
}

async fn gone(what: &str) {
    let until = std::time::Instant::now() + SOON;
    while !processes(what).is_empty() {
        assert!(std::time::Instant::now() < until, "{what} lives on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_ends_the_tool_and_a_killed_runner_leaves_none() {
    let [stopped, killed] = [7511, 7512].map(nap);
    let mut desk = desk(vec![
        tool("stopped", &format!("touch \"$HOME/up\"; setsid {stopped}")),
        tool("killed", &format!("touch \"$HOME/up2\"; setsid {killed}")),
    ])
    .await;
    desk.prompt("s", "t", "#tool mcp__bulkhead__stopped {}");
    there(&desk, "home/up").await;
    desk.interrupt("t");
    assert_eq!(desk.ended("t").await.outcome, Some(Outcome::Stopped));
    gone(&stopped).await;
    desk.prompt("s", "u", "#tool mcp__bulkhead__killed {}");
    there(&desk, "home/up2").await;
    desk.kill_runner(2).await;
    desk.compared(2).await;
    // The agent goes on with the turn and calls it again.
    desk.interrupt("u");
    desk.ended("u").await;
    gone(&killed).await;
}

#[tokio::test]
async fn a_tool_dies_with_its_runner() {
    let nap = nap(7521);
    let mut desk = desk(vec![tool(
        "slow",
        &format!("touch \"$HOME/up\"; exec {nap}"),
    )])
    .await;
    desk.prompt("s", "t", "#tool mcp__bulkhead__slow {}");
    there(&desk, "home/up").await;
    kill(desk.pid());
    desk.runner.wait().await.unwrap();
    // No other runner is there to end it.
    gone(&nap).await;
}

async fn there(desk: &Desk, path: &str) {
    let until = std::time::Instant::now() + SOON;
    while !desk.dir.path().join(path).exists() {
        assert!(std::time::Instant::now() < until, "{path}: {}", desk.log());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_file_reaches_the_hub_before_the_row_that_names_it() {
    let desk = desk(Vec::new()).await;
    let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    std::fs::write(desk.work().join("plot.png"), &bytes).unwrap();
    let prompt = "#say Here:\n#tool mcp__bulkhead__send_file {\"path\": \"plot.png\", \"caption\": \"the plot\"}";
    desk.prompt("s", "t", prompt);
    let turn = desk.answer("t").await;
    assert_eq!(turn.texts(), ["Here:", "Tool said: sent to the chat"]);
    let [(sha256, "plot.png", "the plot")] = files(&turn)[..] else {
        panic!("{turn:#?}")
    };
    assert_eq!(desk.hub.file(sha256), Some(bytes));
    let place = |wanted: fn(&TurnEvent) -> bool| turn.events.iter().position(wanted).unwrap();
    let text = place(|event| matches!(event, TurnEvent::Text { .. }));
    let file = place(|event| matches!(event, TurnEvent::File { .. }));
    assert!(text < file, "in the order in which it was said: {turn:#?}");
    for (path, word) in [
        ("../log", "outside"),
        ("/etc/passwd", "outside"),
        ("x", "no file"),
    ] {
        let prompt = format!("#tool mcp__bulkhead__send_file {{\"path\": \"{path}\"}}");
        let text = said(&desk, path, &prompt).await;
        assert!(text.contains(word), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_file_survives_a_hub_that_goes_and_one_that_refuses_it() {
    let desk = desk(Vec::new()).await;
    std::fs::write(desk.work().join("a.bin"), vec![7; 200_000]).unwrap();
    desk.hub.rule(|rules| rules.keep_files = false);
    desk.prompt(
        "s",
        "t",
        "#tool mcp__bulkhead__send_file {\"path\": \"a.bin\"}",
    );
    let last = |body: &ipc_schema::Body| match body {
        ipc_schema::Body::BlobSegment(piece) => {
            (piece.offset + piece.bytes.len() as u64 == piece.total).then_some(())
        }
        _ => None,
    };
    desk.hub.wait(last).await.unwrap();
    desk.hub.die();
    desk.hub.rule(|rules| rules.keep_files = true);
    desk.hub.come_back();
    let turn = desk.answer("t").await;
    assert_eq!(files(&turn).len(), 1);
    assert_eq!(turn.texts(), ["Tool said: sent to the chat"]);
}

#[tokio::test]
async fn a_runner_that_is_killed_after_a_file_was_told_sends_it_no_second_time_in_the_attempt() {
    let mut desk = desk(Vec::new()).await;
    std::fs::write(desk.work().join("a.txt"), "text").unwrap();
    let prompt = "#tool mcp__bulkhead__send_file {\"path\": \"a.txt\"}\n#say done\n#hold tool";
    desk.prompt("s", "agent", prompt);
    let stand = desk.control.held(Point::Tool, SOON).await.unwrap();
    kill(desk.outside(stand.pid, "s"));
    let turn = desk.answer("agent").await;
    assert_eq!((files(&turn).len(), turn.attempt), (1, 1), "{turn:#?}");

    desk.prompt("s", "runner", prompt);
    desk.control.held(Point::Tool, SOON).await.unwrap();
    desk.kill_runner(2).await;
    let turn = desk.answer("runner").await;
    assert_eq!((turn.texts().last(), turn.attempt), (Some(&"done"), 2));
}
