//! Replies on their way to people. Pure.
//!
//! Weibo acknowledges nothing, so a chunk counts as delivered when a pong comes that answers a ping
//! which was sent after it on the same connection. What has no pong when the connection drops is
//! sent again, as a new message: it may stand twice, and nothing else may.
//!
//! The chunks of one reply grow one message (a bubble): one `messageId`, `chunkId` from 0 without
//! gaps, `done` with the last. A bubble whose rest never comes is closed with an empty chunk, so
//! that the phone does not wait for ever.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::frame::SendMessage;

/// The most chunks that are on the wire without a pong.
const UNCONFIRMED: usize = 256;

/// A chunk of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The hub's name for it.
    pub(crate) key: String,
    /// The reply that it is a part of.
    pub(crate) reply: String,
    /// Whether it is the reply's last.
    pub(crate) last: bool,
    /// The text.
    pub(crate) text: String,
}

#[derive(Debug)]
struct Written {
    chunk: Chunk,
    message_id: String,
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
}

/// Every person's lane.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: BTreeMap<String, Lane>,
    unconfirmed: usize,
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

    /// What may go on the wire now. `pings` is how many pings were sent on this connection;
    /// `message_id` makes a new one.
    pub(crate) fn write(
        &mut self,
        pings: u64,
        mut message_id: impl FnMut() -> String,
    ) -> Vec<SendMessage> {
        let mut frames = Vec::new();
        for (uid, lane) in &mut self.lanes {
            while self.unconfirmed < UNCONFIRMED
                && let Some(chunk) = lane.waiting.pop_front()
            {
                if lane
                    .bubble
                    .as_ref()
                    .is_some_and(|bubble| bubble.reply != chunk.reply)
                {
                    frames.extend(lane.close(uid));
                }
                let bubble = lane.bubble.get_or_insert_with(|| Bubble {
                    reply: chunk.reply.clone(),
                    message_id: message_id(),
                    next: 0,
                    idle_since: None,
                });
                let frame = bubble.frame(uid, chunk.text.clone(), chunk.last);
                bubble.idle_since = None;
                let message_id = bubble.message_id.clone();
                if chunk.last {
                    lane.bubble = None;
                }
                frames.push(frame);
                lane.written.push_back(Written {
                    chunk,
                    message_id,
                    after_ping: pings,
                });
                self.unconfirmed += 1;
            }
        }
        frames
    }

    /// A pong came for ping number `ping` (counted from 1): the keys that it confirms, each with its
    /// message's id, in the order in which they were written.
    pub(crate) fn confirmed(&mut self, ping: u64, now: Instant) -> Vec<(String, String)> {
        let mut confirmed = Vec::new();
        for lane in self.lanes.values_mut() {
            let known = lane
                .written
                .iter()
                .take_while(|w| w.after_ping < ping)
                .count();
            let known = lane.written.drain(..known);
            confirmed.extend(known.map(|written| (written.chunk.key, written.message_id)));
            lane.rest(now);
        }
        self.unconfirmed -= confirmed.len();
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
            while let Some(written) = lane.written.pop_back() {
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

    /// Whether nothing waits and nothing is in doubt.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes
            .values()
            .all(|lane| lane.waiting.is_empty() && lane.written.is_empty())
    }

    /// Gives up what was never written; its keys.
    pub(crate) fn hand_back(&mut self) -> Vec<String> {
        let waiting = self
            .lanes
            .values_mut()
            .flat_map(|lane| lane.waiting.drain(..));
        waiting.map(|chunk| chunk.key).collect()
    }

    fn sweep(&mut self) {
        self.lanes.retain(|_, lane| {
            !lane.waiting.is_empty() || !lane.written.is_empty() || lane.bubble.is_some()
        });
    }
}

impl Lane {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(reply: &str, index: u32, count: u32) -> Chunk {
        Chunk {
            key: format!("{reply}{index}"),
            reply: reply.into(),
            last: index + 1 == count,
            text: format!("{reply}{index} "),
        }
    }

    /// Names messages m1, m2, …
    fn namer() -> impl FnMut() -> String {
        let mut n = 0;
        move || {
            n += 1;
            format!("m{n}")
        }
    }

    fn short(frames: &[SendMessage]) -> Vec<String> {
        let line = |f: &SendMessage| {
            let done = if f.done { "!" } else { "" };
            format!("{}:{} {}{done}", f.message_id, f.chunk_id, f.text.trim())
        };
        frames.iter().map(line).collect()
    }

    #[test]
    fn a_reply_is_one_message_and_delivered_by_the_pong_after_it() {
        let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
        (0..3).for_each(|i| outbox.push("u", chunk("a", i, 3)));
        outbox.push("u", chunk("b", 0, 1));
        let frames = outbox.write(1, &mut names);
        assert_eq!(
            short(&frames),
            ["m1:0 a0", "m1:1 a1", "m1:2 a2!", "m2:0 b0!"]
        );
        assert_eq!(
            outbox.confirmed(1, now),
            [],
            "that ping was sent before them"
        );
        let keys: Vec<_> = outbox
            .confirmed(2, now)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(keys, ["a0", "a1", "a2", "b0"]);
        assert!(outbox.is_empty() && outbox.lanes.is_empty());
    }

    #[test]
    fn a_drop_sends_the_unconfirmed_remainder_as_a_new_message() {
        let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
        (0..2).for_each(|i| outbox.push("u", chunk("a", i, 5)));
        outbox.write(0, &mut names);
        assert_eq!(outbox.confirmed(1, now).len(), 2);
        (2..5).for_each(|i| outbox.push("u", chunk("a", i, 5)));
        outbox.write(1, &mut names);
        assert_eq!(
            short(&outbox.dropped()),
            [""; 0],
            "nobody knows how far m1 came"
        );
        let frames = outbox.write(0, &mut names);
        assert_eq!(short(&frames), ["m2:0 a2", "m2:1 a3", "m2:2 a4!"]);
    }

    #[test]
    fn a_drop_between_chunks_closes_the_message_that_is_in_no_doubt() {
        let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
        outbox.push("u", chunk("a", 0, 2));
        outbox.write(0, &mut names);
        outbox.confirmed(1, now);
        assert_eq!(short(&outbox.dropped()), ["m1:1 !"]);
        outbox.push("u", chunk("a", 1, 2));
        assert_eq!(short(&outbox.write(0, &mut names)), ["m2:0 a1!"]);
    }

    #[test]
    fn a_reply_that_stops_half_way_is_closed() {
        let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
        let patience = Duration::from_secs(10);
        outbox.push("u", chunk("a", 0, 3));
        outbox.write(0, &mut names);
        assert_eq!(outbox.close_idle(now + patience, patience), [], "in doubt");
        outbox.confirmed(1, now);
        assert_eq!(outbox.idle_since(), Some(now));
        assert_eq!(
            short(&outbox.close_idle(now + patience, patience)),
            ["m1:1 !"]
        );
        assert_eq!(outbox.idle_since(), None);
        outbox.push("u", chunk("a", 1, 3)); // late after all
        outbox.push("u", chunk("b", 0, 1)); // and then never its last
        let frames = outbox.write(1, &mut names);
        assert_eq!(short(&frames), ["m2:0 a1", "m2:1 !", "m3:0 b0!"]);
    }

    #[test]
    fn people_do_not_wait_for_each_other_and_the_wire_has_a_bound() {
        let mut outbox = Outbox::default();
        (0..300).for_each(|i| outbox.push("a", chunk("x", i, 300)));
        let written = outbox.write(0, namer()).len();
        assert_eq!(written, UNCONFIRMED);
        assert_eq!(outbox.hand_back().len(), 300 - UNCONFIRMED);
        outbox.push("b", chunk("y", 0, 1));
        assert_eq!(outbox.write(0, namer()).len(), 0);
        outbox.confirmed(1, Instant::now());
        assert_eq!(outbox.write(1, namer()).len(), 1);
    }

    /// What a phone shows, and what it holds to be wrong.
    #[derive(Default)]
    struct Phone {
        open: BTreeMap<String, u32>,
        texts: Vec<String>,
    }

    impl Phone {
        fn take(&mut self, frame: &SendMessage) {
            let next = self.open.entry(frame.message_id.clone()).or_insert(0);
            assert_eq!(*next, frame.chunk_id, "a gap in {}", frame.message_id);
            *next = if frame.done { u32::MAX } else { *next + 1 };
            self.texts
                .extend((!frame.text.is_empty()).then(|| frame.text.clone()));
        }
    }

    proptest! {
        /// However the connection drops: nothing is missing, order holds, and only what was written
        /// after the last pong stands twice.
        #[test]
        fn nothing_is_lost_and_only_the_doubtful_stands_twice(
            steps in prop::collection::vec(0..4_u8, 1..80),
            counts in prop::collection::vec(1..6_u32, 1..8),
        ) {
            let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
            let mut chunks: VecDeque<Chunk> = counts
                .iter()
                .enumerate()
                .flat_map(|(n, count)| (0..*count).map(move |i| chunk(&format!("r{n}-"), i, *count)))
                .collect();
            let expected: Vec<String> = chunks.iter().map(|c| c.text.clone()).collect();
            let (mut phone, mut seen, mut pings) = (Phone::default(), Vec::new(), 0);
            // Of what is on the wire, a drop lets only some through.
            let mut wire: VecDeque<SendMessage> = VecDeque::new();
            for step in steps.into_iter().chain([1, 2]) {
                match step {
                    0 => outbox.push("u", match chunks.pop_front() { Some(c) => c, None => continue }),
                    1 => wire.extend(outbox.write(pings, &mut names)),
                    2 => {
                        wire.drain(..).for_each(|frame| phone.take(&frame));
                        pings += 1;
                        seen.extend(outbox.confirmed(pings, now));
                    }
                    _ => {
                        let through = wire.len() / 2;
                        wire.drain(..through).for_each(|frame| phone.take(&frame));
                        wire.clear();
                        let closing = outbox.dropped();
                        pings = 0;
                        wire.extend(closing);
                    }
                }
            }
            while let Some(chunk) = chunks.pop_front() {
                outbox.push("u", chunk);
            }
            wire.extend(outbox.write(pings, &mut names));
            wire.drain(..).for_each(|frame| phone.take(&frame));
            seen.extend(outbox.confirmed(pings + 1, now));
            prop_assert!(outbox.is_empty());
            let mut first = phone.texts.clone();
            let mut known = std::collections::HashSet::new();
            first.retain(|text| known.insert(text.clone()));
            prop_assert_eq!(&first, &expected, "nothing missing, first sights in order");
            let keys: Vec<_> = seen.iter().map(|(key, _)| format!("{key} ")).collect();
            prop_assert_eq!(&keys, &expected, "each confirmed once, in order");
        }
    }
}
