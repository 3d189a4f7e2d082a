//! The rules of the gateway: what each frame of a bot leads to.
//!
//! Source: Discord's "Gateway" and "Opcodes and Status Codes", API v10. Where they are silent:
//! a heartbeat that is late closes with 4000 (the session stays resumable); a RESUME onto a session that is still connected takes it over and
//! closes the old connection with 4000; a RESUME that cannot be served is op 9 `false` on a connection that stays open.

use serde_json::Value;

use super::Voice;
use crate::Id;
use crate::core::Core;
use crate::ledger::Wire;

/// Largest frame that a bot may send, in bytes.
const LARGEST_FRAME: usize = 4096;
/// Frames a minute that a bot may send on one connection.
const FRAMES_A_MINUTE: usize = 120;
const MINUTE_MS: u64 = 60_000;

/// What kind of frame came, for the clock of the heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Heartbeat,
    Other,
}

impl Core {
    /// A text frame came.
    pub(crate) fn received(&mut self, id: u64, text: &str) -> Heard {
        let now = self.now();
        let Some(link) = self.links.get_mut(&id) else {
            return Heard::Other;
        };
        if link.closing {
            return Heard::Other;
        }
        link.received.push_back(now);
        while link
            .received
            .front()
            .is_some_and(|at| now.saturating_sub(*at) >= MINUTE_MS)
        {
            link.received.pop_front();
        }
        if link.received.len() > FRAMES_A_MINUTE {
            self.close_link(id, 4008, "You are being rate limited.");
            return Heard::Other;
        }
        if text.len() > LARGEST_FRAME {
            self.close_link(id, 4002, "Error while decoding payload.");
            return Heard::Other;
        }
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            self.close_link(id, 4002, "Error while decoding payload.");
            return Heard::Other;
        };
        let d = frame.get("d").unwrap_or(&Value::Null);
        match frame.get("op").and_then(Value::as_u64) {
            Some(1) => {
                self.heartbeat(id, d);
                return Heard::Heartbeat;
            }
            Some(2) => self.identify(id, d),
            Some(6) => self.resume(id, d),
            Some(op @ (3 | 4 | 8 | 31 | 43)) => {
                self.wire.push(Wire::Received { connection: id, op });
                if self
                    .links
                    .get(&id)
                    .is_some_and(|link| link.session.is_none())
                {
                    self.close_link(id, 4003, "Not authenticated.");
                }
            }
            Some(op) => {
                self.wire.push(Wire::Received { connection: id, op });
                self.close_link(id, 4001, "Unknown opcode.");
            }
            None => self.close_link(id, 4002, "Error while decoding payload."),
        }
        Heard::Other
    }

    fn heartbeat(&mut self, id: u64, d: &Value) {
        let acked = self
            .links
            .get(&id)
            .is_some_and(|link| link.voice == Voice::Normal);
        if acked {
            self.op(id, 11, &Value::Null);
        }
        self.wire.push(Wire::Heartbeat {
            connection: id,
            seq: d.as_u64(),
            acked,
        });
    }

    pub(super) fn token_of(&self, d: &Value) -> Option<Id> {
        let token = d.get("token").and_then(Value::as_str)?;
        // Libraries send it with or without the scheme.
        let token = token.strip_prefix("Bot ").unwrap_or(token);
        self.world.bot_by_token(token).map(|bot| bot.user)
    }
}

/// The words of a close frame.
pub(super) fn refusal(code: u16) -> &'static str {
    match code {
        4002 => "Error while decoding payload.",
        4004 => "Authentication failed.",
        4005 => "Already authenticated.",
        4007 => "Invalid seq.",
        4010 => "Invalid shard.",
        4013 => "Invalid intent(s).",
        4014 => "Disallowed intent(s).",
        _ => "Unknown error.",
    }
}
