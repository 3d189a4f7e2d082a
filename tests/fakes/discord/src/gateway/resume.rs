//! RESUME: replay what was missed, or say why not.

use serde_json::{Value, json};

use super::protocol::refusal;
use super::{Out, Voice};
use crate::Id;
use crate::core::Core;
use crate::faults::GatewayFault;
use crate::ledger::{Outcome, Wire};

impl Core {
    /// Ties a session to a link and gives the session's bot.
    pub(super) fn attach(&mut self, id: u64, key: &str) -> Option<Id> {
        let old = self.sessions.get(key)?.link.filter(|old| *old != id);
        if let Some(old) = old {
            if self.is_mute(old) {
                // It stays as dead as it is; only the session leaves it.
                self.links.get_mut(&old)?.session = None;
            } else {
                self.close_link(old, 4000, "The session was resumed elsewhere.");
            }
        }
        let session = self.sessions.get_mut(key)?;
        session.link = Some(id);
        session.alone_since = None;
        let bot = session.bot;
        let link = self.links.get_mut(&id)?;
        link.session = Some(key.to_owned());
        link.bot = Some(bot);
        Some(bot)
    }

    /// What a fault makes of a link once it is greeted.
    pub(super) fn hush(&mut self, id: u64) {
        let now = self.now();
        let voice = match self.faults.on_ready(now) {
            Some(GatewayFault::MuteAfterReady) => Voice::Mute,
            Some(GatewayFault::NoAcksAfterReady) => Voice::NoAcks,
            _ => return,
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.voice = voice;
        }
    }

    pub(super) fn resume(&mut self, id: u64, d: &Value) {
        let Some(host) = self.links.get(&id).map(|link| link.host) else {
            return;
        };
        let named = d
            .get("session_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let seq = d.get("seq").and_then(Value::as_u64);
        let outcome = self.resumed(id, d, &named, seq);
        let seq = seq.unwrap_or(0);
        let record = |outcome| Wire::Resume {
            connection: id,
            host,
            session: named.clone(),
            seq,
            outcome,
        };
        match outcome {
            Outcome::Invalid { resumable } => {
                self.wire.push(record(outcome));
                self.op(id, 9, &json!(resumable));
            }
            Outcome::Closed(code) => {
                self.wire.push(record(outcome));
                self.close_link(id, code, refusal(code));
            }
            Outcome::Ignored => {
                self.wire.push(record(outcome));
            }
            Outcome::Accepted { .. } => {
                self.attach(id, &named);
                let replay = self
                    .sessions
                    .get(&named)
                    .map(|it| it.replay.clone())
                    .unwrap_or_default();
                let missed = replay.into_iter().filter(|(at, _)| *at > seq);
                let mut replayed = 0;
                for (_, frame) in missed {
                    self.send(id, Out::Text(frame));
                    replayed += 1;
                }
                self.wire.push(record(Outcome::Accepted {
                    session: named.clone(),
                    replayed,
                }));
                self.dispatch(
                    &named,
                    "RESUMED",
                    &json!({ "_trace": ["[\"fake-gateway\",{\"micros\":0.0}]"] }),
                );
                self.hush(id);
            }
        }
    }

    fn resumed(&mut self, id: u64, d: &Value, named: &str, seq: Option<u64>) -> Outcome {
        let now = self.now();
        if self
            .links
            .get(&id)
            .is_none_or(|link| link.session.is_some())
        {
            return Outcome::Closed(4005);
        }
        let Some(bot) = self.token_of(d) else {
            return Outcome::Closed(4004);
        };
        let Some(seq) = seq else {
            return Outcome::Closed(4002);
        };
        match self.faults.on_resume(now) {
            Some(GatewayFault::RefuseResume { resumable }) => {
                if !resumable {
                    self.end_session(named);
                }
                return Outcome::Invalid { resumable };
            }
            Some(GatewayFault::SilentResume) => return Outcome::Ignored,
            _ => {}
        }
        let ttl = self.options.session_ttl_ms;
        let Some(session) = self
            .sessions
            .get(named)
            .filter(|it| it.bot == bot && !it.dead)
        else {
            return Outcome::Invalid { resumable: false };
        };
        if session
            .alone_since
            .is_some_and(|since| now.saturating_sub(since) > ttl)
        {
            self.end_session(named);
            return Outcome::Invalid { resumable: false };
        }
        if seq > session.seq {
            self.end_session(named);
            return Outcome::Closed(4007);
        }
        if !session.can_replay(seq) {
            self.end_session(named);
            return Outcome::Invalid { resumable: false };
        }
        Outcome::Accepted {
            session: named.to_owned(),
            replayed: 0,
        }
    }
}
