//! Calls of the runner's own tools, and files that the agent sends.

use ipc_schema::BlobRef;

use super::*;
use crate::session::Came;
use crate::tools::mcp::Said;

impl World {
    /// The agent says something to the server of tools; the name of the request.
    fn mcp(&mut self, launch: u64, request: &str, message: Value) {
        self.line(
            launch,
            json!({"type": "control_request", "request_id": request, "request": {
                "subtype": "mcp_message", "server_name": "bulkhead", "message": message}}),
        );
    }

    fn calls(&mut self, launch: u64, request: &str, tool: &str, input: Value) -> (u64, u64) {
        let message = json!({"jsonrpc": "2.0", "id": request, "method": "tools/call",
            "params": {"name": tool, "arguments": input}});
        self.mcp(launch, request, message);
        self.took(|effect| match effect {
            Effect::Call { call, most, .. } => Some((call.id, *most)),
            _ => None,
        })
    }

    /// What the newest answer to the agent says, and to which request.
    fn told(&mut self) -> (String, String, bool) {
        let line = self.written();
        let response = &line["response"];
        let result = &response["response"]["mcp_response"]["result"];
        (
            response["request_id"].as_str().unwrap().to_owned(),
            result["content"][0]["text"].as_str().unwrap().to_owned(),
            result["isError"] == true,
        )
    }

    fn uncalled(&mut self) -> u64 {
        self.took(|effect| match effect {
            Effect::Uncall { call, .. } => Some(*call),
            _ => None,
        })
    }

    fn laid(&mut self, launch: u64, call: u64, sha256: &str) {
        let file = BlobRef {
            sha256: sha256.into(),
            size: 3,
            ..BlobRef::default()
        };
        let came = Came::File {
            file,
            caption: "look".into(),
        };
        self.event(launch, Event::Called { call, came });
    }

    fn files(&self) -> Vec<&str> {
        let files = self.told.iter().filter_map(|update| match &update.event {
            TurnEvent::File { file, .. } => Some(file.sha256.as_str()),
            _ => None,
        });
        files.collect()
    }

    fn keeps(&mut self, n: u64) {
        self.hub(Body::UpdatesKept(UpdatesKept { at: at(1, 1), n }));
    }
}

fn path() -> Value {
    json!({"path": "a.txt"})
}

// pitfall: an SDK-type server over the control channel: mcp_message, mcp_response
#[test]
fn a_call_is_run_and_its_answer_reaches_the_agent() {
    let (mut world, launch) = running();
    let (call, _) = world.calls(launch, "r1", "current_time", json!({}));
    let came = Came::Said(Said::done("noon"));
    world.event(
        launch,
        Event::Called {
            call,
            came: came.clone(),
        },
    );
    assert_eq!(world.told(), ("r1".into(), "noon".into(), false));
    world.effects.clear();
    world.event(launch, Event::Called { call, came });
    assert!(!world.is_told(), "once");
}

#[test]
fn bad_calls_and_unknown_servers_are_answered_and_nothing_runs() {
    let (mut world, launch) = running();
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "current_time", "arguments": {"timezone": 3}}});
    world.mcp(launch, "r1", message);
    let (_, text, failed) = world.told();
    assert!(failed && text.contains("/timezone"), "{text}");
    world.line(
        launch,
        json!({"type": "control_request", "request_id": "r2", "request": {
            "subtype": "mcp_message", "server_name": "florp", "message": {}}}),
    );
    assert!(world.written().to_string().contains("no server florp"));
    assert!(
        !world
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Call { .. }))
    );
}

#[test]
fn a_call_that_nobody_waits_for_any_more_is_ended() {
    let (mut world, launch) = running();
    let (one, _) = world.calls(launch, "r1", "current_time", json!({}));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": "r1"}});
    world.mcp(launch, "r2", cancel);
    assert_eq!(world.uncalled(), one);
    let (two, _) = world.calls(launch, "r3", "current_time", json!({}));
    world.line(
        launch,
        json!({"type": "control_cancel_request", "request_id": "r3"}),
    );
    assert_eq!(world.uncalled(), two);
    let (three, _) = world.calls(launch, "r4", "current_time", json!({}));
    world.dies(launch);
    assert_eq!(world.uncalled(), three);
    // Cancelled calls do not fill the room for others.
    let (launch, _) = world.starts(true, Standing::Open, &[]);
    for n in 0..40 {
        let request = format!("c{n}");
        world.calls(launch, &request, "current_time", json!({}));
        world.line(
            launch,
            json!({"type": "control_cancel_request", "request_id": request}),
        );
    }
}

#[test]
fn a_file_is_told_once_it_is_kept_and_the_agent_hears_after_the_commit() {
    let (mut world, launch) = running();
    let (call, most) = world.calls(launch, "r1", "send_file", path());
    assert_eq!(most, 50 << 20);
    world.effects.clear();
    world.laid(launch, call, "ab");
    assert_eq!(world.files(), ["ab"]);
    assert!(!world.is_told(), "not before the commit");
    let n = world.told.last().unwrap().n;
    world.keeps(n - 1);
    assert!(!world.is_told());
    world.keeps(n);
    let (request, text, failed) = world.told();
    assert_eq!((request.as_str(), failed), ("r1", false));
    assert!(text.contains("sent"), "{text}");
}

#[test]
fn the_same_file_goes_once_a_turn_whatever_crashes() {
    let (mut world, launch) = running();
    let (call, _) = world.calls(launch, "r1", "send_file", path());
    world.laid(launch, call, "ab");
    let n = world.told.last().unwrap().n;
    world.dies(launch);
    let (launch, _) = world.starts(true, Standing::Open, &[]);
    let (call, _) = world.calls(launch, "r1", "send_file", path());
    world.effects.clear();
    world.laid(launch, call, "ab");
    assert_eq!(world.files(), ["ab"]);
    assert!(!world.is_told());
    world.keeps(n);
    assert!(!world.told().2);
    let (call, _) = world.calls(launch, "r2", "send_file", path());
    world.laid(launch, call, "ab");
    assert!(world.told().1.contains("already"));
    let (call, _) = world.calls(launch, "r3", "send_file", path());
    world.laid(launch, call, "cd");
    assert_eq!(world.files(), ["ab", "cd"]);
}

#[test]
fn where_no_file_can_go_the_agent_hears_it() {
    let mut world = claude();
    let none = Prompt {
        file_limit: Some(0),
        ..prompt(1, 1)
    };
    world.hub(Body::Prompt(none));
    let (launch, _) = world.starts(false, Standing::Absent, &[]);
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "send_file", "arguments": path()}});
    world.mcp(launch, "r1", message.clone());
    let (_, text, failed) = world.told();
    assert!(failed && text.contains("takes no files"), "{text}");
    world.ends(launch, 1);
    world.mcp(launch, "r2", message);
    assert!(world.told().1.contains("nobody waits"));
}

#[test]
fn text_before_a_file_is_told_before_it() {
    let (mut world, launch) = running();
    world.says(launch, "a", "Here it is:");
    world.line(
        launch,
        json!({"type": "assistant", "uuid": "b", "message": {"id": "a", "content": [
            {"type": "tool_use", "id": "x", "name": "mcp__bulkhead__send_file", "input": {}}]}}),
    );
    let (call, _) = world.calls(launch, "r1", "send_file", path());
    world.laid(launch, call, "ab");
    assert!(world.files().is_empty());
    world.event(launch, Event::Written(vec!["b".into()]));
    assert_eq!(world.texts(&at(1, 1)), ["Here it is:"]);
    assert_eq!(world.files(), ["ab"]);
    // A file that never shows the text holds nothing up for long.
    world.says(launch, "c", "And:");
    let (call, _) = world.calls(launch, "r2", "send_file", path());
    world.laid(launch, call, "cd");
    assert_eq!(world.files(), ["ab"]);
    let due = world.runner.deadline(world.now).unwrap();
    world.wait(due - world.now);
    assert_eq!(world.files(), ["ab", "cd"]);
}
