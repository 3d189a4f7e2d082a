//! A session: a sequence, a replay buffer, and perhaps a connection.
//!
//! Promises: every event of the session is numbered once and kept for a replay up to the bound, connected or not.

use std::collections::VecDeque;

use serde_json::Value;

use super::Out;
use crate::Id;
use crate::core::Core;
use crate::ledger::Wire;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) bot: Id,
    pub(crate) intents: u64,
    pub(crate) seq: u64,
    /// Sequence and frame, oldest first.
    pub(crate) replay: VecDeque<(u64, String)>,
    pub(crate) link: Option<u64>,
    /// When it lost its connection.
    pub(crate) alone_since: Option<u64>,
    /// Over for good.
    pub(crate) dead: bool,
}

impl Session {
    /// Whether every event after `seq` is still here.
    pub(crate) fn can_replay(&self, seq: u64) -> bool {
        self.replay
            .front()
            .map_or(seq == self.seq, |(oldest, _)| seq + 1 >= *oldest)
    }
}

impl Core {
    /// Numbers an event, keeps it for a replay and sends it if the session is connected.
    pub(crate) fn dispatch(&mut self, key: &str, event: &str, body: &Value) {
        self.dispatch_raw(key, event, &body.to_string());
    }

    /// As `dispatch`, with a body that need not be an object, or even JSON.
    pub(crate) fn dispatch_raw(&mut self, key: &str, event: &str, body: &str) {
        let bound = self.options.replay_events;
        let now = self.now();
        let ttl = self.options.session_ttl_ms;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        // One that nobody can resume any more collects nothing.
        if session
            .alone_since
            .is_some_and(|since| now.saturating_sub(since) > ttl)
        {
            session.dead = true;
            session.replay.clear();
        }
        if session.dead {
            return;
        }
        session.seq += 1;
        let (seq, link) = (session.seq, session.link);
        let frame = format!(r#"{{"t":"{event}","s":{seq},"op":0,"d":{body}}}"#);
        session.replay.push_back((seq, frame.clone()));
        while session.replay.len() > bound {
            session.replay.pop_front();
        }
        if self.options.record_dispatches {
            self.wire.push(Wire::Dispatched {
                session: key.to_owned(),
                seq,
                event: event.to_owned(),
            });
        }
        if let Some(link) = link.and_then(|link| self.links.get(&link)) {
            link.send(Out::Text(frame));
        }
    }

    /// Sends the last frame of each connected session once more, with the sequence it had.
    pub(crate) fn repeat_last(&mut self) {
        for session in self.sessions.values() {
            let link = session.link.and_then(|link| self.links.get(&link));
            if let (Some(link), Some((_, frame))) = (link, session.replay.back()) {
                link.send(Out::Text(frame.clone()));
            }
        }
    }

    /// Ends a session for good.
    pub(crate) fn end_session(&mut self, key: &str) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.dead = true;
            session.replay.clear();
            session.link = None;
        }
    }
}
