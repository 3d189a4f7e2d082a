//! Connections as the core sees them: opened, sent to, closed, gone.
//!
//! Promises: whatever ends a connection, its session is let go of once and the ledger has one line of it.

use serde_json::{Value, json};

use super::{Link, Out, Voice};
use crate::core::Core;
use crate::faults::GatewayFault;
use crate::ledger::{Ender, Wire};

impl Core {
    /// A WebSocket is open: Hello, or what a fault puts in its place.
    pub(crate) fn opened(&mut self, link: Link, query: &str, version_ok: bool) {
        let id = link.id;
        self.wire.push(Wire::Connected {
            connection: id,
            host: link.host,
            query: query.to_owned(),
        });
        self.links.insert(id, link);
        if !version_ok {
            return self.close_link(id, 4012, "Invalid API version.");
        }
        let now = self.now();
        match self.faults.on_connect(now) {
            Some(GatewayFault::NoHello) => return,
            Some(GatewayFault::AcceptClose { code }) => {
                return match code {
                    Some(code) => self.close_link(id, code, "closed on request"),
                    None => self.cut_link(id, false),
                };
            }
            Some(GatewayFault::ReconnectBeforeHello) => self.op(id, 7, &Value::Null),
            Some(GatewayFault::DispatchBeforeHello) => {
                let frame = json!({ "t": "PRESENCE_UPDATE", "s": 1, "op": 0, "d": {} });
                self.send(id, Out::Text(frame.to_string()));
            }
            _ => {}
        }
        let hello = json!({
            "heartbeat_interval": self.options.heartbeat_ms,
            "_trace": ["[\"fake-gateway\",{\"micros\":0.0}]"],
        });
        self.op(id, 10, &hello);
        if let Some(link) = self.links.get_mut(&id) {
            link.hello_sent = true;
        }
    }

    pub(crate) fn op(&self, link: u64, op: u64, d: &Value) {
        if let Some(link) = self.links.get(&link) {
            link.op(op, d);
        }
    }

    pub(crate) fn send(&self, link: u64, out: Out) {
        if let Some(link) = self.links.get(&link) {
            link.send(out);
        }
    }

    /// Closes a connection as the gateway does; codes that mean so end the session too.
    pub(crate) fn close_link(&mut self, id: u64, code: u16, reason: &str) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.closing {
            return;
        }
        link.closing = true;
        // Whoever closes a mute link on request wants it heard.
        link.voice = Voice::Normal;
        link.send(Out::Close {
            code,
            reason: reason.to_owned(),
        });
        let ends = matches!(code, 4003 | 4004 | 4007 | 4009..=4014);
        if let (true, Some(session)) = (ends, link.session.clone()) {
            self.end_session(&session);
        }
        self.detach(id, Ender::Server, Some(code));
    }

    /// Ends a connection without a close frame.
    pub(crate) fn cut_link(&mut self, id: u64, reset: bool) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.closing {
            return;
        }
        link.closing = true;
        // A cut is no frame: it reaches even a mute link.
        link.voice = Voice::Normal;
        link.send(Out::Cut { reset });
        self.detach(id, Ender::Server, None);
    }

    /// The socket is gone; `by` counts only if the fake had not closed it before.
    pub(crate) fn gone(&mut self, id: u64, by: Ender, code: Option<u16>) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        if !link.closing {
            if let (Some(1000 | 1001), Some(session)) = (code, link.session.clone()) {
                self.end_session(&session);
            }
            self.detach(id, by, code);
        }
        self.links.remove(&id);
    }

    /// Takes a link off its session and writes that it ended.
    fn detach(&mut self, id: u64, by: Ender, code: Option<u16>) {
        let now = self.now();
        let session = self.links.get_mut(&id).and_then(|link| link.session.take());
        if let Some(session) = session.and_then(|key| self.sessions.get_mut(&key)) {
            // It may have been taken over by a newer connection.
            if session.link == Some(id) {
                session.link = None;
                session.alone_since = Some(now);
            }
        }
        self.wire.push(Wire::Closed {
            connection: id,
            by,
            code,
        });
    }

    /// A heartbeat did not come in time.
    pub(crate) fn beat_missed(&mut self, id: u64) {
        // A mute peer has stopped caring, which is the point of it.
        if !self.is_mute(id) {
            self.close_link(id, 4000, "No heartbeat came in time.");
        }
    }

    /// Links that are open, oldest first.
    pub(crate) fn open_links(&self) -> Vec<u64> {
        self.links
            .values()
            .filter(|link| !link.closing)
            .map(|link| link.id)
            .collect()
    }

    pub(crate) fn is_mute(&self, id: u64) -> bool {
        self.links
            .get(&id)
            .is_some_and(|link| link.voice == Voice::Mute)
    }
}
