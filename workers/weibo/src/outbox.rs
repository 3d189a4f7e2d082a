//! Replies on their way to people. Pure.
//!
//! Weibo acknowledges nothing, so a chunk counts as delivered when a pong comes that answers a ping
//! which was sent after it on the same connection. What has no pong when the connection drops is
//! sent again, as a new message: it may stand twice, and nothing else may.
//!
//! The chunks of one reply grow one message (a bubble): one `messageId`, `chunkId` from 0 without
//! gaps, `done` with the last. A bubble whose rest never comes is closed with an empty chunk, so
//! that the phone does not wait for ever.
//!
//! Files go another way ([`posting`]); a chunk with files ends its bubble, and what comes after it
//! waits until they are posted.

mod posting;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ipc_schema::BlobRef;

use crate::frame::SendMessage;

pub(crate) use self::posting::Job;
use self::posting::Posting;

/// The most chunks that are on the wire without a pong.
const UNCONFIRMED: usize = 256;

/// A chunk of a reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chunk {
    /// The hub's name for it.
    pub(crate) key: String,
    /// The reply that it is a part of.
    pub(crate) reply: String,
    /// Whether it is the reply's last.
    pub(crate) last: bool,
    /// The text.
    pub(crate) text: String,
    /// Files to post after the text.
    pub(crate) files: Vec<BlobRef>,
}

/// A chunk that its person has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// The hub's name for it.
    pub(crate) key: String,
    /// The message that it is in.
    pub(crate) message_id: String,
    /// Its files were left out: they can be sent to the account's owner alone.
    pub(crate) without_files: bool,
}

#[derive(Debug)]
struct Written {
    chunk: Chunk,
    message_id: String,
    without_files: bool,
    /// How many pings had been sent on this connection when it was written.
    after_ping: u64,
}

/// A message that is not done.
#[derive(Debug)]
struct Bubble {
    reply: String,
    message_id: String,
    next: u32,
    /// Since when nothing is on the wire or waits for it.
    idle_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Chunk>,
    written: VecDeque<Written>,
    bubble: Option<Bubble>,
    posting: Option<Posting>,
}

/// Every person's lane.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: BTreeMap<String, Lane>,
    unconfirmed: usize,
    /// A file is being posted: one at a time, so that one is in memory.
    posting: bool,
}

impl Outbox {
    /// Takes a chunk for `uid`; chunks of one person go in this order.
    pub(crate) fn push(&mut self, uid: &str, chunk: Chunk) {
        self.lanes
            .entry(uid.into())
            .or_default()
            .waiting
            .push_back(chunk);
    }

    /// What may go on the wire now, and which chunks are over with it because there is nothing to
    /// send of them. `pings` is how many pings were sent on this connection; `owner` alone can be
    /// sent files; `message_id` makes a new one.
    pub(crate) fn write(
        &mut self,
        pings: u64,
        owner: Option<&str>,
        mut message_id: impl FnMut() -> String,
    ) -> (Vec<SendMessage>, Vec<Delivered>) {
        let (mut frames, mut over) = (Vec::new(), Vec::new());
        for (uid, lane) in &mut self.lanes {
            while self.unconfirmed < UNCONFIRMED
                && lane.posting.is_none()
                && let Some(mut chunk) = lane.waiting.pop_front()
            {
                let other = |bubble: &Bubble| bubble.reply != chunk.reply;
                if lane.bubble.as_ref().is_some_and(other) {
                    frames.extend(lane.close(uid));
                }
                let had_files = !chunk.files.is_empty();
                let without_files = had_files && owner != Some(uid);
                if had_files && !without_files {
                    let files = std::mem::take(&mut chunk.files);
                    lane.posting = Some(Posting::new(&chunk, files));
                }
                if had_files && chunk.text.is_empty() {
                    frames.extend(lane.close(uid));
                    over.extend(without_files.then(|| Delivered {
                        key: chunk.key,
                        message_id: String::new(),
                        without_files,
                    }));
                    continue;
                }
                let done = chunk.last || had_files;
                let (frame, message_id) = lane.frame(uid, &chunk, done, &mut message_id);
                frames.push(frame);
                lane.written.push_back(Written {
                    chunk,
                    message_id,
                    without_files,
                    after_ping: pings,
                });
                self.unconfirmed += 1;
            }
        }
        self.sweep();
        (frames, over)
    }

    /// A pong came for ping number `ping` (counted from 1): the chunks that it confirms, in the order
    /// in which they were written.
    pub(crate) fn confirmed(&mut self, ping: u64, now: Instant) -> Vec<Delivered> {
        let mut confirmed = Vec::new();
        for lane in self.lanes.values_mut() {
            let known = |written: &&Written| written.after_ping < ping;
            let known = lane.written.iter().take_while(known).count();
            self.unconfirmed -= known;
            for written in lane.written.drain(..known) {
                // Its files are still to come; it is delivered with the last of them.
                if let Some(posting) = &mut lane.posting
                    && posting.is_of(&written.chunk.key)
                {
                    posting.shown(written.message_id);
                    continue;
                }
                confirmed.push(Delivered {
                    key: written.chunk.key,
                    message_id: written.message_id,
                    without_files: written.without_files,
                });
            }
            lane.rest(now);
        }
        self.sweep();
        confirmed
    }

    /// The connection dropped: what has no pong waits again, before what waited already. Bubbles
    /// that were left open without anything in doubt are returned closed, for the next connection;
    /// of the others nobody knows how far they came.
    pub(crate) fn dropped(&mut self) -> Vec<SendMessage> {
        let mut closing = Vec::new();
        for (uid, lane) in &mut self.lanes {
            if lane.written.is_empty() {
                closing.extend(lane.close(uid));
            }
            lane.bubble = None;
            while let Some(mut written) = lane.written.pop_back() {
                // Only the newest text can have files behind it.
                if let Some(files) = Posting::undone(&mut lane.posting) {
                    written.chunk.files = files;
                }
                lane.waiting.push_front(written.chunk);
            }
        }
        self.unconfirmed = 0;
        self.sweep();
        closing
    }

    /// Closes the bubbles whose rest has not come for `patience`.
    pub(crate) fn close_idle(&mut self, now: Instant, patience: Duration) -> Vec<SendMessage> {
        let mut closing = Vec::new();
        for (uid, lane) in &mut self.lanes {
            let idle = lane.bubble.as_ref().and_then(|bubble| bubble.idle_since);
            if idle.is_some_and(|since| now.saturating_duration_since(since) >= patience) {
                closing.extend(lane.close(uid));
            }
        }
        self.sweep();
        closing
    }

    /// Since when the longest idle bubble is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.lanes
            .values()
            .filter_map(|lane| lane.bubble.as_ref()?.idle_since)
            .min()
    }

    /// Whether no text waits and none is in doubt.
    pub(crate) fn is_written(&self) -> bool {
        self.lanes
            .values()
            .all(|lane| lane.waiting.is_empty() && lane.written.is_empty())
    }

    /// Gives up what was never written and the files that are not being posted; their keys.
    pub(crate) fn hand_back(&mut self) -> Vec<String> {
        let mut keys = Vec::new();
        for lane in self.lanes.values_mut() {
            keys.extend(lane.posting.take().map(Posting::into_key));
            keys.extend(lane.waiting.drain(..).map(|chunk| chunk.key));
        }
        keys
    }

    fn sweep(&mut self) {
        self.lanes.retain(|_, lane| {
            !lane.waiting.is_empty()
                || !lane.written.is_empty()
                || lane.bubble.is_some()
                || lane.posting.is_some()
        });
    }
}

impl Lane {
    /// The next frame of the chunk's bubble, and the bubble's name.
    fn frame(
        &mut self,
        uid: &str,
        chunk: &Chunk,
        done: bool,
        message_id: impl FnOnce() -> String,
    ) -> (SendMessage, String) {
        let bubble = self.bubble.get_or_insert_with(|| Bubble {
            reply: chunk.reply.clone(),
            message_id: message_id(),
            next: 0,
            idle_since: None,
        });
        let frame = bubble.frame(uid, chunk.text.clone(), done);
        bubble.idle_since = None;
        let message_id = bubble.message_id.clone();
        if done {
            self.bubble = None;
        }
        (frame, message_id)
    }

    fn close(&mut self, uid: &str) -> Option<SendMessage> {
        let mut bubble = self.bubble.take()?;
        Some(bubble.frame(uid, String::new(), true))
    }

    fn rest(&mut self, now: Instant) {
        if self.waiting.is_empty()
            && self.written.is_empty()
            && let Some(bubble) = &mut self.bubble
        {
            bubble.idle_since.get_or_insert(now);
        }
    }
}

impl Bubble {
    fn frame(&mut self, uid: &str, text: String, done: bool) -> SendMessage {
        let chunk_id = self.next;
        self.next += 1;
        let message_id = self.message_id.clone();
        SendMessage {
            to_user_id: uid.into(),
            text,
            message_id,
            chunk_id,
            done,
        }
    }
}

#[cfg(test)]
mod tests;
