//! JSON-RPC on stdin and stdout.

use std::collections::VecDeque;
use std::io::{BufRead as _, Write as _};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::tools::Tools;

/// What came.
pub(crate) enum Message {
    Request {
        id: Value,
        method: String,
        params: Value,
    },
    Reply {
        id: u64,
        reply: Value,
    },
    Cancel,
}

/// The lines in and out.
pub(crate) struct Lines {
    inbox: Receiver<Message>,
    /// What came while something else was waited for.
    later: VecDeque<Message>,
    asked: u64,
    message: u64,
    /// The conversation that is spoken of.
    pub(crate) session: String,
    /// Where it works, as it was told.
    pub(crate) cwd: String,
    /// Servers of tools, as it was told of them.
    pub(crate) servers: Value,
    /// The one that was started.
    pub(crate) tools: Option<Tools>,
    /// The turn is to end.
    pub(crate) cancelled: bool,
    /// To be said once the turn is answered.
    pub(crate) unasked: Option<String>,
}

impl Lines {
    pub(crate) fn start() -> Lines {
        let (outbox, inbox) = channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                let Ok(mut line) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                let method = line["method"].as_str().map(str::to_owned);
                let message = match (line["id"].take(), method) {
                    (Value::Null, Some(method)) if method == "session/cancel" => Message::Cancel,
                    (Value::Null, _) => continue,
                    (id, Some(method)) => Message::Request {
                        id,
                        method,
                        params: line["params"].take(),
                    },
                    (id, None) => Message::Reply {
                        id: id.as_u64().unwrap_or_default(),
                        reply: line,
                    },
                };
                if outbox.send(message).is_err() {
                    return;
                }
            }
        });
        Lines {
            inbox,
            later: VecDeque::new(),
            asked: 0,
            message: 0,
            session: String::new(),
            cwd: String::new(),
            servers: Value::Null,
            tools: None,
            cancelled: false,
            unasked: None,
        }
    }

    /// Takes note of what a session is begun with.
    pub(crate) fn begins(&mut self, params: &Value) {
        self.servers = params["mcpServers"].clone();
        self.cwd = params["cwd"].as_str().unwrap_or_default().to_owned();
    }

    /// The next message; none: nobody writes any more.
    pub(crate) fn next(&mut self) -> Option<Message> {
        self.later.pop_front().or_else(|| self.inbox.recv().ok())
    }

    /// Asks, and waits for the answer; none: cancelled meanwhile, or nobody is there.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Option<Value> {
        self.asked += 1;
        let mine = self.asked;
        self.raw(
            &json!({"jsonrpc": "2.0", "id": mine, "method": method, "params": params}).to_string(),
        );
        loop {
            match self.inbox.recv().ok()? {
                Message::Reply { id, reply } if id == mine => return Some(reply),
                Message::Cancel => self.cancelled = true,
                other => self.later.push_back(other),
            }
        }
    }

    /// Waits until the turn is cancelled.
    pub(crate) fn wait_for_cancel(&mut self) {
        while !self.cancelled {
            match self.inbox.recv() {
                Ok(Message::Cancel) => self.cancelled = true,
                Ok(other) => self.later.push_back(other),
                Err(_) => std::process::exit(0),
            }
        }
    }

    pub(crate) fn update(&mut self, update: Value) {
        let params = json!({"sessionId": self.session, "update": update});
        self.raw(
            &json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string(),
        );
    }

    /// A message of its own, in two pieces.
    pub(crate) fn says(&mut self, text: &str) {
        self.message += 1;
        let message = format!("m{}", self.message);
        let mut cut = text.len() / 2;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        for piece in [&text[..cut], &text[cut..]] {
            self.update(
                json!({"sessionUpdate": "agent_message_chunk", "messageId": message,
                "content": {"type": "text", "text": piece}}),
            );
        }
    }

    pub(crate) fn answer(&mut self, id: &Value, result: Value) {
        self.raw(&json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string());
    }

    pub(crate) fn refuse(&mut self, id: &Value, code: i64, message: &str) {
        let error = json!({"code": code, "message": message});
        self.raw(&json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string());
    }

    /// A line as it is.
    pub(crate) fn raw(&mut self, line: &str) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            // Nobody listens any more.
            std::process::exit(0);
        }
    }
}
