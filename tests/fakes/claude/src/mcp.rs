//! Servers of tools that the runner itself offers, talked to over the control channel.
//!
//! Promises: pure as the rest of the engine; a greeting, the list of tools, and calls in the order
//! and shape of the measured ones; a call that is stopped is cancelled and not waited for.
//! Does not: judge an input; that is the server's part.

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::lines;
use crate::turn::{Outcome, Wait};

/// The talk with the server, of which there is one at most.
#[derive(Debug, Default)]
pub(crate) struct Server {
    pub(crate) name: String,
    /// The request whose answer is waited for before any call.
    greeting: Option<String>,
    /// The call under way: our request, and its number in the talk.
    call: Option<(String, u64)>,
    numbers: u64,
}

impl Server {
    /// Whether a tool is one of its own.
    pub(crate) fn owns(&self, tool: &str) -> bool {
        let rest = tool.strip_prefix("mcp__");
        rest.and_then(|rest| rest.strip_prefix(self.name.as_str()))
            .is_some_and(|rest| rest.starts_with("__"))
    }

    /// Its tools are not known yet.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeting.is_some()
    }
}

impl Engine {
    /// The runner named its servers.
    pub(crate) fn greet_server(&mut self, request: &Value) {
        let Some(name) = request["sdkMcpServers"][0].as_str() else {
            return;
        };
        self.server.name = name.to_owned();
        let hello = json!({ "method": "initialize", "jsonrpc": "2.0", "id": 0, "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "claude-code", "version": "2.1.329" } } });
        let request = self.tell_server(&hello);
        self.server.greeting = Some(request);
    }

    fn tell_server(&mut self, message: &Value) -> String {
        let id = lines::uuid();
        let server = &self.server.name;
        let request =
            json!({ "subtype": "mcp_message", "server_name": server, "message": message });
        self.print(json!({ "type": "control_request", "request_id": id, "request": request }));
        id
    }

    /// The turn's tool is the server's: it is called, once the server is known.
    pub(crate) fn call_server(&mut self) {
        let Some(turn) = &mut self.turn else { return };
        let Some(pending) = &turn.pending else { return };
        turn.wait = Wait::Server;
        if self.server.is_greeted() {
            return;
        }
        let (id, call) = (pending.id.clone(), pending.call.clone());
        let name = call.name.rsplit("__").next().unwrap_or_default().to_owned();
        self.server.numbers += 1;
        let n = 1 + self.server.numbers;
        let message = json!({ "method": "tools/call", "jsonrpc": "2.0", "id": n, "params": {
            "name": name, "arguments": call.input, "_meta": { "claudecode/toolUseId": id } } });
        let request = self.tell_server(&message);
        self.server.call = Some((request, n));
    }

    /// The server's answer to one of our requests. Whether it was one.
    pub(crate) fn server_answers(&mut self, line: &Value) -> bool {
        let response = &line["response"];
        let request = response["request_id"].as_str();
        let message = &response["response"]["mcp_response"];
        if request.is_some() && request == self.server.greeting.as_deref() {
            self.print(line.clone());
            match message["result"]["tools"].as_array() {
                None => {
                    let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
                    self.tell_server(&done);
                    let list = json!({ "method": "tools/list", "jsonrpc": "2.0", "id": 1 });
                    let request = self.tell_server(&list);
                    self.server.greeting = Some(request);
                }
                Some(tools) => {
                    let server = &self.server.name;
                    let names = tools.iter().filter_map(|tool| tool["name"].as_str());
                    let names: Vec<_> =
                        names.map(|name| format!("mcp__{server}__{name}")).collect();
                    self.offered.extend(names);
                    self.server.greeting = None;
                    if self
                        .turn
                        .as_ref()
                        .is_some_and(|turn| turn.wait == Wait::Server)
                    {
                        self.decide();
                    }
                }
            }
            return true;
        }
        let Some((call, _)) = &self.server.call else {
            return false;
        };
        if request != Some(call.as_str()) {
            return false;
        }
        self.server.call = None;
        self.print(line.clone());
        let result = &message["result"];
        let texts = result["content"].as_array().into_iter().flatten();
        let texts: Vec<_> = texts.filter_map(|part| part["text"].as_str()).collect();
        let outcome = match response["subtype"].as_str() {
            Some("success") if result.is_object() => Outcome {
                text: texts.join("\n"),
                failed: result["isError"] == true,
            },
            _ => Outcome {
                text: "the server did not answer the call".to_owned(),
                failed: true,
            },
        };
        self.server_done(outcome);
        true
    }

    /// Nobody waits for the call any more.
    pub(crate) fn cancel_call(&mut self) {
        if let Some((_, n)) = self.server.call.take() {
            let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
                "params": { "requestId": n, "reason": "AbortError: remote-cancel" } });
            self.tell_server(&message);
        }
    }
}
