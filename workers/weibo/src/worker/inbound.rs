//! What people say, on its way to the hub; and the few words that are the worker's own.

use std::time::Instant;

use ipc_schema::Access;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, warn};

use super::outbound::message_id;
use super::{SELDOM, Worker, unix_ms};
use crate::frame::SendMessage;
use crate::intake::{Arrived, Notice};
use crate::message;

/// People who are told within [`SELDOM`] that too much comes.
const MOST_TOLD: usize = 100;

/// Told to whoever wrote a message for which there is no room.
const BUSY: &str = "消息太多，这一条没有收下，请稍后再发。\n\
    Too many messages at once: this one was not taken, please send it again later.";
/// Told to the owner when a frame is larger than any is taken. Who wrote it stands in the frame.
const TOO_LARGE: &str = "有一条消息太大（超过 16 MB），没有收下；图片和文件请分开发送。\n\
    A message was too large (over 16 MB) and was not taken: send its pictures and files one by one.";

impl Worker {
    /// Also called while draining: what the socket gave is nobody else's, and the hub is still there.
    pub(super) fn message(&mut self, payload: Value, bytes: usize, now: Instant) {
        let Some(from) = message::sender(&payload) else {
            return self.skipped("a message that does not say who wrote it", now);
        };
        let name = message::name(&payload);
        // Before the dedup, so that strangers cannot push others' ids out of it.
        let access = if self.allow.allows(&from, self.session.uid()) {
            Access::Granted
        } else if self.refusals.tell(&from, now) {
            Access::Refused
        } else {
            return;
        };
        let Some(id) = self.dedup.look(&name, now, unix_ms()) else {
            return debug!("a repeat");
        };
        let Ok(room) = self.intake.room(bytes) else {
            return self.busy(from, now);
        };
        if access == Access::Granted {
            self.dedup.taken(name, now);
        }
        let arrived = Arrived {
            owner: self.session.uid() == Some(&*from),
            payload,
            from,
            id,
            access,
            trace: format!("weibo-{:016x}", self.rng.u64(..)),
        };
        room.take(arrived);
    }

    fn busy(&mut self, from: String, now: Instant) {
        let (until, told) = &mut self.told_busy;
        if until.is_none_or(|until| now >= until) {
            warn!(
                "more messages than can be held while the hub does not take them; some were refused"
            );
            *until = Some(now + SELDOM);
            told.clear();
        }
        if told.len() < MOST_TOLD && told.insert(from.clone()) {
            self.notice((from, BUSY));
        }
    }

    /// Tells the owner of a message that was larger than any is taken. It ended the connection, so
    /// this comes with the next one; if Weibo sends it again and again, now and then.
    pub(super) fn tell_too_large(&mut self, now: Instant) {
        let (owed, next) = &mut self.told_large;
        if !std::mem::take(owed) || next.is_some_and(|next| now < next) {
            return;
        }
        *next = Some(now + SELDOM);
        if let Some(owner) = self.session.uid().map(String::from) {
            self.notice((owner, TOO_LARGE));
        }
    }

    /// Tells a person something that is no reply of the hub's. Not repeated: it is only courtesy.
    pub(super) fn notice(&mut self, (to_user_id, text): Notice) {
        let frame = SendMessage {
            to_user_id,
            text: text.into(),
            message_id: message_id(&mut self.rng),
            chunk_id: 0,
            done: true,
        };
        self.write(Message::text(frame.to_text()));
    }
}
