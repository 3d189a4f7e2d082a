//! The Model Context Protocol as far as a server of tools needs it: a message in, an answer or a call
//! out. Whatever carries the messages is somebody else's. Pure.
//!
//! Promises: every request gets one answer, at once or when its call is over; a call that was cancelled
//! gets none; calls under way are bounded, those of all clients together.
//!
//! Source: <https://modelcontextprotocol.io/specification/2025-06-18>, chapters Lifecycle, Tools and
//! Cancellation.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Catalogue, Does, SERVER};

/// The versions that are spoken, the preferred one first. What is served is the same in all of them.
const VERSIONS: [&str; 4] = ["2025-06-18", "2025-11-25", "2025-03-26", "2024-11-05"];
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

/// Tells the clients of one agent apart: it may begin several. The number is the carrier's choice.
pub type Client = u64;

/// The talk with one agent, by however many clients.
#[derive(Debug)]
pub struct Talk {
    tools: Arc<Catalogue>,
    calls: u64,
    /// Call → who asked for it, by which id of its own.
    open: BTreeMap<u64, (Client, Value)>,
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

    /// A message came from that client.
    pub fn hear(&mut self, client: Client, message: &Value) -> Heard {
        if !message.is_object() {
            // Batches were in one version only, and are sent by nobody.
            return Heard::Answer(error(&Value::Null, -32600, "one message at a time"));
        }
        let method = message["method"].as_str().unwrap_or_default();
        let Some(id) = message.get("id").filter(|id| !id.is_null()) else {
            return match method {
                "notifications/cancelled" => {
                    self.cancelled(client, &message["params"]["requestId"])
                }
                _ => Heard::Nothing,
            };
        };
        Heard::Answer(match method {
            "initialize" => {
                let wanted = message["params"]["protocolVersion"].as_str();
                let [usual, ..] = VERSIONS;
                let version = VERSIONS.into_iter().find(|version| wanted == Some(version));
                success(
                    id,
                    json!({
                        "protocolVersion": version.unwrap_or(usual),
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
                        self.open.insert(self.calls, (client, id.clone()));
                        return Heard::Call(Call {
                            id: self.calls,
                            does,
                            input,
                        });
                    }
                    Err(refused) => said(id, &refused.to_string(), true),
                }
            }
            _ => error(id, -32601, "there is no such method"),
        })
    }

    fn cancelled(&mut self, client: Client, request: &Value) -> Heard {
        let mut open = self.open.iter();
        let call = open.find(|(_, (by, id))| *by == client && id == request);
        let Some(call) = call.map(|(call, _)| *call) else {
            return Heard::Nothing;
        };
        self.open.remove(&call);
        Heard::Cancel(call)
    }

    /// A tool is done: the answer and for whom, if somebody still waits for it.
    pub fn called(&mut self, call: u64, with: &Said) -> Option<(Client, Value)> {
        let (client, id) = self.open.remove(&call)?;
        Some((client, said(&id, &with.text, with.failed)))
    }

    /// The client is gone; its calls, for which nobody waits any more.
    pub fn gone(&mut self, client: Client) -> Vec<u64> {
        let mut left = Vec::new();
        self.open.retain(|call, (by, _)| {
            let stays = *by != client;
            if !stays {
                left.push(*call);
            }
            stays
        });
        left
    }

    /// The calls that are under way.
    pub fn open(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    /// Nobody waits for that call any more: it gets no answer.
    pub fn forget(&mut self, call: u64) {
        self.open.remove(&call);
    }
}

/// The answer to what is no JSON.
pub fn unreadable() -> Value {
    error(&Value::Null, -32700, "this is no JSON")
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
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
        let greeted = answer(talk.hear(
            0,
            &json!({"id": 0, "method": "initialize",
            "params": {"protocolVersion": "2025-11-25"}}),
        ));
        assert_eq!(greeted["result"]["protocolVersion"], "2025-11-25");
        assert!(matches!(
            talk.hear(0, &json!({"method": "notifications/initialized"})),
            Heard::Nothing
        ));
        for (wanted, spoken) in [("2024-11-05", "2024-11-05"), ("2031-01-01", "2025-06-18")] {
            let greeted = answer(talk.hear(
                0,
                &json!({"id": 0, "method": "initialize",
                "params": {"protocolVersion": wanted}}),
            ));
            assert_eq!(greeted["result"]["protocolVersion"], spoken);
        }
        let tools = answer(talk.hear(0, &json!({"id": "x", "method": "tools/list"})));
        assert_eq!(tools["id"], "x");
        assert!(tools["result"]["tools"].as_array().unwrap().len() >= 2);
        let unknown = answer(talk.hear(0, &json!({"id": 1, "method": "florp"})));
        assert_eq!(unknown["error"]["code"], -32601);
        let batch = answer(talk.hear(0, &json!([{"id": 1, "method": "ping"}])));
        assert_eq!(batch["error"]["code"], -32600);
    }

    #[test]
    fn a_call_is_answered_once_and_a_cancelled_one_never() {
        let mut talk = talk();
        let mut begin = |id| match talk.hear(0, &call(id, "current_time", json!({}))) {
            Heard::Call(call) => call.id,
            other => panic!("{other:?}"),
        };
        let (one, two) = (begin(7), begin(8));
        let done = Said {
            text: "noon".into(),
            failed: false,
        };
        let (client, answer) = talk.called(one, &done).unwrap();
        assert_eq!(client, 0);
        assert_eq!(
            (&answer["id"], &answer["result"]["isError"]),
            (&json!(7), &json!(false))
        );
        assert_eq!(talk.called(one, &done), None);
        let cancel = json!({"method": "notifications/cancelled", "params": {"requestId": 8}});
        assert!(
            matches!(talk.hear(1, &cancel), Heard::Nothing),
            "it is none of another's"
        );
        assert!(matches!(talk.hear(0, &cancel), Heard::Cancel(call) if call == two));
        assert!(matches!(talk.hear(0, &cancel), Heard::Nothing));
        assert_eq!(talk.called(two, &done), None);
    }

    #[test]
    fn clients_are_told_apart_and_one_that_goes_leaves_no_calls() {
        let mut talk = talk();
        let mut begin = |client| match talk.hear(client, &call(1, "current_time", json!({}))) {
            Heard::Call(call) => call.id,
            other => panic!("{other:?}"),
        };
        let (mine, theirs) = (begin(1), begin(2));
        assert_ne!(mine, theirs);
        assert_eq!(talk.gone(1), [mine]);
        assert_eq!(talk.open(), [theirs]);
        let (client, answer) = talk.called(theirs, &Said::done("noon")).unwrap();
        assert_eq!((client, &answer["id"]), (2, &json!(1)));
        assert_eq!(talk.called(mine, &Said::done("noon")), None);
    }

    #[test]
    fn bad_calls_are_refused_and_calls_are_bounded() {
        let mut talk = talk();
        let refused = answer(talk.hear(0, &call(1, "current_time", json!({"x": 1}))));
        assert_eq!(refused["result"]["isError"], true);
        for id in 0..CALLS as u64 {
            assert!(matches!(
                talk.hear(0, &call(id, "current_time", json!({}))),
                Heard::Call(_)
            ));
        }
        let refused = answer(talk.hear(0, &call(99, "current_time", json!({}))));
        assert!(refused.to_string().contains("too many"));
    }
}
