//! The Model Context Protocol as far as a server of tools needs it: a message in, an answer or a call
//! out. Whatever carries the messages is somebody else's. Pure.
//!
//! Promises: every request gets one answer, at once or when its call is over; a call that was cancelled
//! gets none; calls under way are bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Catalogue, Does, SERVER};

/// The protocol's version that is spoken where the other side names none.
const VERSION: &str = "2025-06-18";
/// Calls under way at once; another is refused.
const CALLS: usize = 16;

/// What is to be done about a message.
#[derive(Debug)]
pub enum Heard {
    /// Send this back.
    Answer(Value),
    /// Run a tool; its end is told by [`Talk::called`].
    Call(Call),
    /// Nobody waits for that call any more.
    Cancel(u64),
    /// Nothing.
    Nothing,
}

/// A tool to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Names the call in this talk.
    pub id: u64,
    /// What to do.
    pub does: Does,
    /// With what; it fits the schema.
    pub input: Value,
}

/// What a tool said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In words.
    pub text: String,
    /// It did not do what it should.
    pub failed: bool,
}

impl Said {
    /// It did not do what it should.
    pub fn failed(text: String) -> Said {
        Said { text, failed: true }
    }

    /// It did.
    pub fn done(text: impl Into<String>) -> Said {
        Said {
            text: text.into(),
            failed: false,
        }
    }
}

/// The talk with one client.
#[derive(Debug)]
pub struct Talk {
    tools: Arc<Catalogue>,
    calls: u64,
    /// Call → the request's own id.
    open: BTreeMap<u64, Value>,
}

impl Talk {
    /// A talk about these tools.
    pub fn new(tools: Arc<Catalogue>) -> Talk {
        Talk {
            tools,
            calls: 0,
            open: BTreeMap::new(),
        }
    }

    /// A message came.
    pub fn hear(&mut self, message: &Value) -> Heard {
        let method = message["method"].as_str().unwrap_or_default();
        let Some(id) = message.get("id").filter(|id| !id.is_null()) else {
            return match method {
                "notifications/cancelled" => self.cancelled(&message["params"]["requestId"]),
                _ => Heard::Nothing,
            };
        };
        Heard::Answer(match method {
            "initialize" => {
                let version = message["params"]["protocolVersion"].as_str();
                success(
                    id,
                    json!({
                        "protocolVersion": version.unwrap_or(VERSION),
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": SERVER, "version": env!("CARGO_PKG_VERSION")},
                    }),
                )
            }
            "ping" => success(id, json!({})),
            "tools/list" => success(id, json!({"tools": self.tools.list()})),
            "tools/call" => {
                let params = &message["params"];
                let name = params["name"].as_str().unwrap_or_default();
                let input = match &params["arguments"] {
                    Value::Null => json!({}),
                    input => input.clone(),
                };
                if self.open.len() >= CALLS {
                    return Heard::Answer(said(
                        id,
                        "too many calls run at once: wait for one",
                        true,
                    ));
                }
                match self.tools.check(name, &input) {
                    Ok(does) => {
                        self.calls += 1;
                        self.open.insert(self.calls, id.clone());
                        return Heard::Call(Call {
                            id: self.calls,
                            does,
                            input,
                        });
                    }
                    Err(refused) => said(id, &refused.to_string(), true),
                }
            }
            _ => json!({"jsonrpc": "2.0", "id": id,
                "error": {"code": -32601, "message": "there is no such method"}}),
        })
    }

    fn cancelled(&mut self, request: &Value) -> Heard {
        let call = self.open.iter().find(|(_, id)| *id == request);
        let Some(call) = call.map(|(call, _)| *call) else {
            return Heard::Nothing;
        };
        self.open.remove(&call);
        Heard::Cancel(call)
    }

    /// A tool is done: the answer, if somebody still waits for it.
    pub fn called(&mut self, call: u64, with: &Said) -> Option<Value> {
        let id = self.open.remove(&call)?;
        Some(said(&id, &with.text, with.failed))
    }

    /// Nobody waits for that call any more: it gets no answer.
    pub fn forget(&mut self, call: u64) {
        self.open.remove(&call);
    }
}

fn success(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn said(id: &Value, text: &str, failed: bool) -> Value {
    success(
        id,
        json!({"content": [{"type": "text", "text": text}], "isError": failed}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn talk() -> Talk {
        Talk::new(Arc::new(Catalogue::new(&Options::default()).unwrap()))
    }

    fn answer(heard: Heard) -> Value {
        match heard {
            Heard::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn call(id: u64, name: &str, input: Value) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": name, "arguments": input}})
    }

    // pitfall: a hanging server delays the start by 2.8 s: ours answers without waiting for anything
    #[test]
    fn a_client_is_greeted_and_told_the_tools() {
        let mut talk = talk();
        let greeted = answer(talk.hear(&json!({"id": 0, "method": "initialize",
            "params": {"protocolVersion": "2025-11-25"}})));
        assert_eq!(greeted["result"]["protocolVersion"], "2025-11-25");
        assert!(matches!(
            talk.hear(&json!({"method": "notifications/initialized"})),
            Heard::Nothing
        ));
        let tools = answer(talk.hear(&json!({"id": "x", "method": "tools/list"})));
        assert_eq!(tools["id"], "x");
        assert!(tools["result"]["tools"].as_array().unwrap().len() >= 2);
        let unknown = answer(talk.hear(&json!({"id": 1, "method": "florp"})));
        assert_eq!(unknown["error"]["code"], -32601);
    }

    #[test]
    fn a_call_is_answered_once_and_a_cancelled_one_never() {
        let mut talk = talk();
        let mut begin = |id| match talk.hear(&call(id, "current_time", json!({}))) {
            Heard::Call(call) => call.id,
            other => panic!("{other:?}"),
        };
        let (one, two) = (begin(7), begin(8));
        let done = Said {
            text: "noon".into(),
            failed: false,
        };
        let answer = talk.called(one, &done).unwrap();
        assert_eq!(
            (&answer["id"], &answer["result"]["isError"]),
            (&json!(7), &json!(false))
        );
        assert_eq!(talk.called(one, &done), None);
        let cancel = json!({"method": "notifications/cancelled", "params": {"requestId": 8}});
        assert!(matches!(talk.hear(&cancel), Heard::Cancel(call) if call == two));
        assert!(matches!(talk.hear(&cancel), Heard::Nothing));
        assert_eq!(talk.called(two, &done), None);
    }

    #[test]
    fn bad_calls_are_refused_and_calls_are_bounded() {
        let mut talk = talk();
        let refused = answer(talk.hear(&call(1, "current_time", json!({"x": 1}))));
        assert_eq!(refused["result"]["isError"], true);
        for id in 0..CALLS as u64 {
            assert!(matches!(
                talk.hear(&call(id, "current_time", json!({}))),
                Heard::Call(_)
            ));
        }
        let refused = answer(talk.hear(&call(99, "current_time", json!({}))));
        assert!(refused.to_string().contains("too many"));
    }
}
