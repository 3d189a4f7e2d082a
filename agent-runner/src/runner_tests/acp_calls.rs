//! Calls of the runner's tools by an agent that speaks ACP.

use super::acp::{acp, acp_running, known, stop};
use super::*;
use crate::session::Came;
use crate::tools::mcp::Said;

impl World {
    /// A client of the agent's says something to the tools.
    fn client_says(&mut self, launch: u64, client: u64, message: Value) {
        let line = message.to_string();
        self.event(launch, Event::Mcp { client, line });
    }

    /// What was said to a client last.
    fn client_hears(&mut self) -> (u64, Value) {
        self.took(|effect| match effect {
            Effect::Mcp {
                client, message, ..
            } => Some((*client, message.clone())),
            _ => None,
        })
    }

    /// A client calls a tool, which runs; the number of the call.
    fn client_calls(&mut self, launch: u64, client: u64, name: &str, input: Value) -> u64 {
        let params = json!({"name": name, "arguments": input});
        self.client_says(
            launch,
            client,
            json!({"id": 9, "method": "tools/call", "params": params}),
        );
        self.took(|effect| match effect {
            Effect::Call { call, .. } => Some(call.id),
            _ => None,
        })
    }

    fn ended(&self, call: u64) -> bool {
        let ends =
            |effect: &Effect| matches!(effect, Effect::Uncall { call: it, .. } if *it == call);
        self.effects.iter().any(ends)
    }
}

#[test]
fn the_agent_is_told_how_to_reach_its_tools_in_every_way_of_beginning() {
    let mut world = acp();
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.acp_launched();
    let hello = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true}});
    world.acp_answers(launch, "initialize", hello.clone());
    let new = world.acp_answers(launch, "session/new", json!({"sessionId": "theirs"}));
    let server = |launch: u64| {
        json!([{"name": "bulkhead", "command": "/runner",
            "args": ["--offer-tools", format!("tools/{launch}")], "env": []}])
    };
    assert_eq!(new["mcpServers"], server(launch));
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    world.dies(launch);
    world.hub(Body::Prompt(known(2)));
    let launch = world.acp_launched();
    world.acp_answers(launch, "initialize", hello);
    let load = world.acp_answers(launch, "session/load", json!({}));
    assert_eq!(load["mcpServers"], server(launch), "the pass is another");
}

#[test]
fn a_call_is_answered_to_who_made_it_and_ends_with_them() {
    let (mut world, launch) = acp_running(true);
    world.client_says(launch, 1, json!({"id": 1, "method": "tools/list"}));
    let (client, said) = world.client_hears();
    assert_eq!((client, &said["id"]), (1, &json!(1)));
    let line = "no JSON".to_owned();
    world.event(launch, Event::Mcp { client: 1, line });
    assert_eq!(world.client_hears().1["error"]["code"], -32700);

    let mine = world.client_calls(launch, 1, "current_time", json!({}));
    let theirs = world.client_calls(launch, 2, "current_time", json!({}));
    world.event(launch, Event::McpGone { client: 2 });
    assert!(world.ended(theirs) && !world.ended(mine));
    let came = Came::Said(Said::done("noon"));
    world.event(launch, Event::Called { call: mine, came });
    let (client, said) = world.client_hears();
    assert_eq!(
        (client, &said["result"]["content"][0]["text"]),
        (1, &json!("noon"))
    );
}

#[test]
fn a_stopped_turn_ends_its_calls_and_answers_them_once_the_agent_has_heard() {
    let (mut world, launch) = acp_running(true);
    let call = world.client_calls(launch, 1, "current_time", json!({}));
    stop(&mut world, 1);
    assert_eq!(world.written()["method"], "session/cancel");
    assert!(world.ended(call));
    let told = |world: &World| {
        let to_client = |effect: &Effect| matches!(effect, Effect::Mcp { .. });
        world.effects.iter().any(to_client)
    };
    assert!(
        !told(&world),
        "it would go on before it has heard of the stop"
    );
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "cancelled"}));
    assert_eq!(world.client_hears().1["result"]["isError"], true);
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
}

fn file(sha256: &str) -> Came {
    let file = ipc_schema::BlobRef {
        sha256: sha256.into(),
        name: "a".into(),
        mime: String::new(),
        size: 1,
    };
    let caption = String::new();
    Came::File { file, caption }
}

#[test]
fn a_file_waits_for_the_text_before_it_but_not_for_ever() {
    let (mut world, launch) = acp_running(true);
    let files = |world: &World| {
        let files = world.events(&at(1, 1));
        files
            .iter()
            .filter(|event| matches!(event, TurnEvent::File { .. }))
            .count()
    };
    let call = world.client_calls(launch, 1, "send_file", json!({"path": "a"}));
    // The call has overtaken the text.
    let came = file("1");
    world.event(launch, Event::Called { call, came });
    world.acp_says(launch, "Here:");
    assert_eq!(files(&world), 0);
    world.line(
        launch,
        json!({"method": "session/update", "params": {"sessionId": "theirs",
            "update": {"sessionUpdate": "tool_call", "toolCallId": "t", "kind": "other",
                "title": "bulkhead_send_file", "rawInput": {"path": "a"}}}}),
    );
    assert_eq!((files(&world), world.texts(&at(1, 1))), (1, vec!["Here:"]));
    let told = world.told.last().unwrap();
    assert!(matches!(told.event, TurnEvent::File { .. }), "{told:?}");
    let n = told.n;
    let told = |effect: &Effect| matches!(effect, Effect::Mcp { .. });
    assert!(
        !world.effects.iter().any(told),
        "the hub has not committed it"
    );
    world.hub(Body::UpdatesKept(UpdatesKept { at: at(1, 1), n }));
    let said = world.client_hears().1;
    assert_eq!(said["result"]["content"][0]["text"], "sent to the chat");

    // One of which the agent tells nothing.
    let call = world.client_calls(launch, 1, "send_file", json!({"path": "b"}));
    let came = file("2");
    world.event(launch, Event::Called { call, came });
    assert_eq!(files(&world), 1);
    world.wait(Duration::from_secs(3));
    assert_eq!(files(&world), 2);
}

#[test]
fn a_file_that_nobody_waits_for_is_not_shown_and_outside_a_turn_there_is_none() {
    let (mut world, launch) = acp_running(true);
    let late = world.client_calls(launch, 1, "send_file", json!({"path": "a"}));
    world.event(launch, Event::McpGone { client: 1 });
    let before = world.told.len();
    let came = file("1");
    world.event(launch, Event::Called { call: late, came });
    world.wait(Duration::from_secs(3));
    assert_eq!(world.told.len(), before);
    world.acp_answers(launch, "session/prompt", json!({"stopReason": "end_turn"}));
    let params = json!({"name": "send_file", "arguments": {"path": "a"}});
    let call = json!({"id": 9, "method": "tools/call", "params": params});
    world.client_says(launch, 1, call);
    assert!(world.client_hears().1.to_string().contains("nobody waits"));
}
