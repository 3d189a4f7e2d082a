//! The lines that go to stdout and into the session file.
//!
//! Promises: the shapes of the real ones, as far as a reader can want them.
//! Does not: measure time or cost; those numbers are fixed.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::version::Version;

/// What every line and row carries.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) session: String,
    pub(crate) cwd: String,
    pub(crate) version: Version,
}

pub(crate) fn uuid() -> String {
    Uuid::new_v4().to_string()
}

/// The time in the form of ISO 8601, to the millisecond.
pub(crate) fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (mut year, mut day) = (1970, days);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    for length in [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (month, day, millis) = (month + 1, day + 1, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

fn with(mut line: Value, more: Value) -> Value {
    if let (Value::Object(line), Value::Object(more)) = (&mut line, more) {
        line.extend(more);
    }
    line
}

impl Stamp {
    /// A line of stdout with its uuid and session.
    fn line(&self, line: Value) -> Value {
        let line = with(json!({ "uuid": uuid() }), line);
        with(line, json!({ "session_id": self.session }))
    }

    pub(crate) fn system(&self, subtype: &str, more: Value) -> Value {
        with(
            self.line(json!({ "type": "system", "subtype": subtype })),
            more,
        )
    }

    pub(crate) fn state(&self, state: &str) -> Value {
        self.system("session_state_changed", json!({ "state": state }))
    }

    pub(crate) fn lifecycle(&self, prompt: &str, state: &str) -> Value {
        self.line(json!({ "type": "command_lifecycle", "command_uuid": prompt, "state": state }))
    }

    pub(crate) fn init(&self, model: &str, mode: &str, tools: &[String], key: &str) -> Value {
        self.system(
            "init",
            json!({
                "cwd": self.cwd, "tools": tools, "mcp_servers": [], "model": model, "permissionMode": mode,
                "slash_commands": ["clear"], "apiKeySource": key, "claude_code_version": self.version.number(),
                "output_style": "default", "agents": [], "skills": [], "plugins": [],
            }),
        )
    }

    pub(crate) fn stream(&self, event: Value, prompts: &[String]) -> Value {
        let starts = event["type"] == "message_start";
        let line = self
            .line(json!({ "type": "stream_event", "event": event, "parent_tool_use_id": null }));
        if starts {
            self.answering(line, prompts)
        } else {
            line
        }
    }

    /// The prompts that a line answers, where the version names them.
    pub(crate) fn answering(&self, line: Value, prompts: &[String]) -> Value {
        match prompts.last() {
            Some(last) if self.version.names_prompts() => with(
                line,
                json!({ "user_message_uuid": last, "user_message_uuids": prompts }),
            ),
            _ => line,
        }
    }

    pub(crate) fn user(&self, uuid: &str, content: &Value, more: Value) -> Value {
        let line = self.line(json!({
            "type": "user", "uuid": uuid, "message": { "role": "user", "content": content },
            "parent_tool_use_id": null, "timestamp": now(),
        }));
        with(line, more)
    }

    pub(crate) fn assistant(&self, uuid: &str, message: &Value, more: Value) -> Value {
        let line = self.line(json!({
            "type": "assistant", "uuid": uuid, "message": message, "parent_tool_use_id": null, "timestamp": now(),
        }));
        with(line, more)
    }

    pub(crate) fn result(&self, more: Value) -> Value {
        let line = self.line(json!({
            "type": "result", "duration_ms": 1, "duration_api_ms": 1, "total_cost_usd": 0.001, "usage": usage(),
            "modelUsage": {}, "permission_denials": [],
        }));
        with(line, more)
    }

    /// A row of the session file that has a place in the chain.
    pub(crate) fn row(&self, kind: &str, uuid: &str, parent: Option<&str>, more: Value) -> Value {
        let row = json!({
            "parentUuid": parent, "isSidechain": false, "type": kind, "uuid": uuid, "timestamp": now(),
            "userType": "external", "entrypoint": "sdk-cli", "cwd": self.cwd, "sessionId": self.session,
            "version": self.version.number(), "gitBranch": "",
        });
        with(row, more)
    }

    pub(crate) fn queue_row(&self, operation: &str, content: Option<&str>) -> Value {
        let row = json!({ "type": "queue-operation", "operation": operation, "timestamp": now(), "sessionId": self.session });
        match content {
            Some(content) => with(row, json!({ "content": content })),
            None => row,
        }
    }
}

fn usage() -> Value {
    json!({ "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 5, "service_tier": "standard" })
}

/// A message of the model with one block, as lines and rows carry it.
pub(crate) fn message(id: &str, model: &str, block: &Value, stop_reason: Option<&str>) -> Value {
    json!({
        "id": id, "type": "message", "role": "assistant", "model": model, "content": [block],
        "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(),
    })
}

/// An answer to a control request of the runner.
pub(crate) fn answered(request: &str, response: Option<Value>) -> Value {
    let answer = json!({ "subtype": "success", "request_id": request });
    let answer = match response {
        Some(response) => with(answer, json!({ "response": response })),
        None => answer,
    };
    json!({ "type": "control_response", "response": answer })
}

/// A refusal of one.
pub(crate) fn refused(request: &str, error: &str) -> Value {
    json!({ "type": "control_response", "response": { "subtype": "error", "request_id": request, "error": error } })
}

/// The working directory as text.
pub(crate) fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_usual_form() {
        let now = now();
        assert_eq!(now.len(), "2026-11-20T12:08:56.126Z".len());
        assert!(now.as_str() > "2024" && now.ends_with('Z'), "{now}");
    }
}
