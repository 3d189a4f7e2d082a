//! The real runner with the fake ACP agent: the runner's tools, by the server that the agent starts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ipc_schema::{Outcome, TurnEvent};
use serde_json::{Value, json};
use support::{Desk, SOON, fake_acp, nap, processes};

const CANARY: &str = "canary-of-a-tool-7c02";

fn tool(name: &str, script: &str) -> Value {
    json!({
        "name": name, "description": "d", "command": ["sh", "-c", script],
        "input": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "secrets": {"ORDERS_KEY": CANARY},
    })
}

async fn desk(sandbox: Value, tools: Vec<Value>) -> Desk {
    Desk::start(
        json!({"kind": "acp", "cmd": fake_acp(), "sandbox": sandbox, "tools": tools,
        "home_dirs": [".fake-acp"]}),
    )
    .await
}

async fn said(desk: &Desk, turn: &str, prompt: &str) -> String {
    desk.prompt("s", turn, prompt);
    desk.answer(turn).await.texts().join("\n")
}

#[tokio::test]
async fn an_agent_calls_tools_whatever_its_sandbox_and_their_secrets_stay_there() {
    let script = "cat; test -n \"$ORDERS_KEY\" && echo $ORDERS_KEY is there";
    let network = |network: &str| json!({"network": network});
    for sandbox in [
        json!("off"),
        network("full"),
        network("none"),
        json!({"network": "ports", "ports": [443]}),
    ] {
        let desk = desk(sandbox.clone(), vec![tool("order", script)]).await;
        let text = said(&desk, "list", "#tools").await;
        assert_eq!(
            text,
            "current_time send_file order",
            "{sandbox}: {}",
            desk.log()
        );
        let text = said(&desk, "order", "#call order {\"id\": 7}").await;
        assert_eq!(text, "{\"id\":7}\n[secret] is there", "{sandbox}");
        let text = said(&desk, "junk", "#call order {\"id\": \"; rm -rf /\"}").await;
        assert!(
            text.starts_with("failed: ") && text.contains("/id"),
            "{text}"
        );
        let text = said(&desk, "time", "#call current_time {}").await;
        assert!(text.contains("UTC"), "{text}");
        assert!(!desk.log().contains(CANARY));
    }
}

#[tokio::test]
async fn a_file_stands_after_what_was_said_before_it_and_is_sent_once() {
    let desk = desk(json!({}), Vec::new()).await;
    std::fs::write(desk.work().join("plot.png"), "a plot").unwrap();
    let call = "#call send_file {\"path\": \"plot.png\", \"caption\": \"the plot\"}";
    desk.prompt("s", "t", &format!("#say Here:\n{call}\n{call}\n#say done"));
    let turn = desk.answer("t").await;
    let again = "this file was sent already in this turn; it is not sent twice";
    assert_eq!(turn.texts(), ["Here:", "sent to the chat", again, "done"]);
    let place = |wanted: fn(&TurnEvent) -> bool| turn.events.iter().position(wanted).unwrap();
    let text = place(|event| matches!(event, TurnEvent::Text { .. }));
    let file = place(|event| matches!(event, TurnEvent::File { .. }));
    assert!(text < file, "{turn:#?}");
    let files = turn
        .events
        .iter()
        .filter(|event| matches!(event, TurnEvent::File { .. }));
    assert_eq!(files.count(), 1);
    for (path, word) in [("../log", "outside"), ("x", "no file")] {
        let text = said(
            &desk,
            path,
            &format!("#call send_file {{\"path\": \"{path}\"}}"),
        )
        .await;
        assert!(text.contains(word), "{path}: {text}");
    }
}

async fn there(desk: &Desk, path: &str) {
    let until = std::time::Instant::now() + SOON;
    while !desk.dir.path().join(path).exists() {
        assert!(std::time::Instant::now() < until, "{path}: {}", desk.log());
        tokio::task::yield_now().await;
    }
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
    let [stopped, killed] = [7521, 7522].map(nap);
    let slow = |name: &str, nap: &str| tool(name, &format!("touch \"$HOME/{name}\"; setsid {nap}"));
    let mut desk = desk(
        json!("off"),
        vec![slow("stopped", &stopped), slow("killed", &killed)],
    )
    .await;
    desk.prompt("s", "t", "#call stopped");
    there(&desk, "home/stopped").await;
    desk.interrupt("t");
    assert_eq!(desk.ended("t").await.outcome, Some(Outcome::Stopped));
    gone(&stopped).await;
    desk.prompt("s", "u", "#call killed");
    there(&desk, "home/killed").await;
    desk.kill_runner(2).await;
    desk.compared(2).await;
    desk.ended("u").await;
    gone(&killed).await;
}

#[tokio::test]
async fn nobody_is_let_in_without_the_pass_of_a_running_agent() {
    let desk = desk(json!("off"), Vec::new()).await;
    said(&desk, "t", "#tools").await;
    let passes = desk.dir.path().join("state/tools");
    let pass = std::fs::read_dir(&passes).unwrap().next().unwrap().unwrap();
    let pass = std::fs::read_to_string(pass.path()).unwrap();
    let (port, token) = pass.trim().split_once(' ').unwrap();
    let port: u16 = port.parse().unwrap();
    let ask = move |token: String| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
        stream
            .write_all(format!("{token}\n{ping}\n").as_bytes())
            .unwrap();
        let mut said = vec![0; 8];
        // Cut off by an end or a reset, where there is no answer.
        stream.read(&mut said).unwrap_or_default() > 0
    };
    let ask = |token: &str| {
        tokio::task::spawn_blocking({
            let token = token.to_owned();
            move || ask(token)
        })
    };
    assert!(ask(token).await.unwrap());
    assert!(!ask("").await.unwrap());
    assert!(!ask(&format!("{token}0")).await.unwrap());
    let seen = std::fs::read_dir("/proc").unwrap().flatten();
    let seen = seen.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    for line in seen {
        assert!(
            !String::from_utf8_lossy(&line).contains(token),
            "it stands in an argument"
        );
    }
    desk.prompt("s", "end", "#exit 3");
    desk.ended("end").await;
    assert!(!ask(token).await.unwrap(), "it ended with its agent");
    assert_eq!(std::fs::read_dir(&passes).unwrap().count(), 0);
}
