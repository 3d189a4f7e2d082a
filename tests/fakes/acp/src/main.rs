//! An agent that speaks the Agent Client Protocol and does as its prompt says, for tests that are
//! fast and always the same. What it says and when was seen of claude-agent-acp and opencode.
//!
//! | argument | |
//! |---|---|
//! | `--no-load` | it goes on with no old conversation |
//! | `--resume` | it offers `session/resume` too |
//! | `--modes` | it has the modes `free` (its own choice), `default` and `plan`, and the models `small` and `large` |
//! | `--logged-out` | it wants `authenticate` with the method `key` first |
//! | `--version N` | the version of the protocol that it answers with |
//! | `--dumb` | it reads and says nothing |
//!
//! A line of the prompt that begins with `#` is a directive (see [`turn::TURN`]); without any, the
//! prompt is said back. Conversations are kept in `$HOME/.fake-acp`.
//!
//! Promises: what it was told stands in its file before it answers. Does not: think.

mod conversation;
mod lines;
mod tools;
mod turn;

use std::io::Read as _;

use serde_json::{Value, json};

use conversation::Conversation;
use lines::{Lines, Message};

/// How it was started.
struct Traits {
    loads: bool,
    resumes: bool,
    modes: bool,
    logged_out: bool,
    version: u64,
}

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--dumb") {
        // Until whoever started it closes the other end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        return 0.into();
    }
    let version = arguments
        .iter()
        .position(|argument| argument == "--version");
    let version = version.and_then(|at| arguments.get(at + 1)?.parse().ok());
    let mut traits = Traits {
        loads: !has("--no-load"),
        resumes: has("--resume"),
        modes: has("--modes"),
        logged_out: has("--logged-out"),
        version: version.unwrap_or(1),
    };
    let mut lines = Lines::start();
    let mut open: Option<Conversation> = None;
    // At the end of stdin it ends.
    while let Some(message) = lines.next() {
        let Message::Request { id, method, params } = message else {
            continue;
        };
        match answer(&mut traits, &mut lines, &mut open, &method, &params) {
            Ok(result) => lines.answer(&id, result),
            Err((code, message)) => lines.refuse(&id, code, &message),
        }
        if let Some(text) = lines.unasked.take() {
            lines.says(&text);
        }
    }
    0.into()
}

type Answer = Result<Value, (i64, String)>;

fn answer(
    traits: &mut Traits,
    lines: &mut Lines,
    open: &mut Option<Conversation>,
    method: &str,
    params: &Value,
) -> Answer {
    let id = params["sessionId"].as_str().unwrap_or_default();
    match method {
        "initialize" => {
            let resume = if traits.resumes {
                json!({"resume": {}})
            } else {
                json!({})
            };
            Ok(json!({
                "protocolVersion": traits.version,
                "agentInfo": {"name": "fake-acp", "version": env!("CARGO_PKG_VERSION")},
                "agentCapabilities": {"loadSession": traits.loads,
                    "promptCapabilities": {"image": true}, "sessionCapabilities": resume},
                "authMethods": [{"id": "key", "name": "A key", "description": "run `fake login`"}],
            }))
        }
        "authenticate" if params["methodId"] == "key" => {
            traits.logged_out = false;
            Ok(json!({}))
        }
        "session/new" if traits.logged_out => Err((-32000, "Authentication required".into())),
        "session/new" => {
            let new = Conversation::new().map_err(|error| (-32603, error.to_string()))?;
            lines.session.clone_from(&new.id);
            lines.begins(params);
            let mut said = state(traits, &new);
            said["sessionId"] = json!(new.id);
            *open = Some(new);
            Ok(said)
        }
        "session/load" | "session/resume" => {
            let known = traits.loads || method == "session/resume";
            let old = Conversation::open(id).filter(|_| known);
            let Some(old) = old else {
                return Err((-32002, "Resource not found".into()));
            };
            lines.session.clone_from(&old.id);
            lines.begins(params);
            if method == "session/load" {
                old.replay(lines);
            }
            let said = state(traits, &old);
            *open = Some(old);
            Ok(said)
        }
        "session/set_mode" | "session/set_config_option" => {
            let open = open.as_mut().ok_or((-32602, "no session".to_owned()))?;
            for (key, kept) in [("modeId", &mut open.mode), ("value", &mut open.model)] {
                if let Some(value) = params[key].as_str() {
                    value.clone_into(kept);
                }
            }
            Ok(json!({}))
        }
        "session/prompt" => {
            let open = open.as_mut().filter(|open| open.id == id);
            let open = open.ok_or((-32002, "Resource not found".to_owned()))?;
            turn::play(lines, open, params)
        }
        other => Err((-32601, format!("no method {other}"))),
    }
}

/// What can be chosen.
fn state(traits: &Traits, open: &Conversation) -> Value {
    if !traits.modes {
        return json!({});
    }
    let modes = ["free", "default", "plan"].map(|id| json!({"id": id, "name": id}));
    let models = ["small", "large"].map(|id| json!({"value": id, "name": id}));
    json!({
        "modes": {"currentModeId": open.mode, "availableModes": modes},
        "configOptions": [{"id": "model", "name": "Model", "category": "model", "type": "select",
            "currentValue": open.model, "options": models}],
    })
}
