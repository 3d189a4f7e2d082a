//! The control requests of the runner.
//!
//! Promises: every request is answered, an unknown one with an error.
//! Does not: play MCP; that is [`crate::mcp`].

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::lines::{answered, refused};
use crate::options::MODES;
use crate::stop::Then;
use crate::turn::Turn;

impl Engine {
    pub(crate) fn control(&mut self, line: &Value) {
        let id = line["request_id"].as_str().unwrap_or_default();
        let request = &line["request"];
        let answer = match request["subtype"].as_str().unwrap_or_default() {
            "interrupt" => return self.interrupt(id),
            "set_permission_mode" => return self.switch_mode(id, request),
            "initialize" => {
                self.greet_server(request);
                let facts = json!({ "commands": [], "models": [], "account": {}, "pid": std::process::id() });
                answered(id, Some(facts))
            }
            "set_model" => {
                let model = request["model"].as_str().unwrap_or("default");
                model.clone_into(&mut self.facts.options.model);
                answered(id, Some(json!({ "model": model })))
            }
            "mcp_status" => answered(id, Some(json!({ "mcpServers": [] }))),
            "get_session_cost" => answered(id, Some(json!({ "text": "Total cost: $0.0010" }))),
            "get_context_usage" => answered(
                id,
                Some(
                    json!({ "totalTokens": 100, "maxTokens": 200_000, "percentage": 0, "categories": [] }),
                ),
            ),
            "cancel_async_message" => {
                let uuid = request["message_uuid"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                if self.take_back(&uuid) {
                    self.tell_lifecycle(std::slice::from_ref(&uuid), "cancelled");
                    answered(id, Some(json!({ "cancelled": true, "message_uuid": uuid })))
                } else {
                    answered(id, Some(json!({ "cancelled": false })))
                }
            }
            other => refused(id, &format!("Unsupported control request subtype: {other}")),
        };
        self.print(answer);
    }

    fn interrupt(&mut self, id: &str) {
        let queued = self.facts.stamp.version.names_prompts();
        let answer = answered(
            id,
            queued.then(|| json!({ "still_queued": self.waiting() })),
        );
        if self.turn.as_ref().is_some_and(Turn::can_be_stopped) {
            self.stop_turn(Some(answer), Then::GoOn);
        } else {
            self.print(answer);
        }
    }

    fn switch_mode(&mut self, id: &str, request: &Value) {
        let mode = request["mode"].as_str().unwrap_or_default();
        if self.facts.stamp.version.judges_modes() && !MODES.contains(&mode) {
            let words = format!(
                "Cannot set permission mode: must be one of {}",
                MODES.join(", ")
            );
            return self.print(refused(id, &words));
        }
        if mode == "bypassPermissions" && !self.facts.options.bypass {
            let words = "Cannot set permission mode to bypassPermissions because the session was not launched with --dangerously-skip-permissions";
            return self.print(refused(id, words));
        }
        self.print(answered(id, Some(json!({ "mode": mode }))));
        self.set_mode(mode);
    }
}
