//! How far a session's events are dealt with. Pure.
//!
//! The watermark is the highest sequence at or below which every event is Accepted by the hub or
//! ignored. Heartbeats, RESUME and the kept cursor name it, so that Discord sends again whatever
//! would be lost with this process. Events are accepted out of order; the watermark never passes
//! one that is open.

use std::collections::BTreeSet;

/// Names an event of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// Which session of this process.
    pub(crate) epoch: u64,
    /// Its sequence in the session.
    pub(crate) seq: u64,
}

/// The watermark of the current session.
#[derive(Debug, Default)]
pub(crate) struct Watermark {
    epoch: u64,
    /// The highest sequence that was seen, or stepped over.
    high: u64,
    open: BTreeSet<u64>,
    /// The first event that there was no room for. It and all later ones come again by a RESUME.
    dropped: Option<u64>,
}

impl Watermark {
    /// Goes on with a session of an earlier process, of which everything up to `seq` is done.
    pub(crate) fn resumed_at(seq: u64) -> Watermark {
        Watermark {
            high: seq,
            ..Watermark::default()
        }
    }

    /// A new session: its numbers start anew, and what is open of the old one no longer counts.
    pub(crate) fn restart(&mut self) {
        *self = Watermark {
            epoch: self.epoch + 1,
            ..Watermark::default()
        };
    }

    /// A RESUME is on its way: what was dropped, and all after it, comes again.
    pub(crate) fn replay(&mut self) {
        self.high = self.value();
        self.dropped = None;
    }

    /// An event came. It is open until [`Self::done`].
    pub(crate) fn seen(&mut self, seq: u64) -> Ticket {
        if self.dropped.is_none_or(|dropped| seq < dropped) {
            self.high = self.high.max(seq);
            self.open.insert(seq);
        }
        Ticket {
            epoch: self.epoch,
            seq,
        }
    }

    /// The event is Accepted or ignored. One of another session changes nothing.
    pub(crate) fn done(&mut self, ticket: Ticket) {
        if ticket.epoch == self.epoch {
            self.open.remove(&ticket.seq);
        }
    }

    /// There is no room for the event: it stays open, and nothing after it counts, until
    /// [`Self::replay`].
    pub(crate) fn drop_from(&mut self, ticket: Ticket) {
        if ticket.epoch == self.epoch && self.dropped.is_none_or(|dropped| ticket.seq < dropped) {
            self.dropped = Some(ticket.seq);
            self.open.split_off(&ticket.seq);
        }
    }

    /// Whether events were dropped and a RESUME has to bring them again.
    pub(crate) fn has_dropped(&self) -> bool {
        self.dropped.is_some()
    }

    /// The watermark; 0 before any event.
    pub(crate) fn value(&self) -> u64 {
        let open = self.open.first().copied();
        match (open, self.dropped) {
            (Some(first), Some(dropped)) => first.min(dropped).saturating_sub(1),
            (Some(first), None) | (None, Some(first)) => first.saturating_sub(1),
            (None, None) => self.high,
        }
    }

    /// Which session of this process.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_never_passes_an_open_event() {
        let mut mark = Watermark::default();
        assert_eq!(mark.value(), 0);
        let tickets: Vec<_> = (1..=5).map(|seq| mark.seen(seq)).collect();
        assert_eq!(mark.value(), 0);
        mark.done(tickets[1]);
        mark.done(tickets[4]);
        assert_eq!(mark.value(), 0);
        mark.done(tickets[0]);
        assert_eq!(mark.value(), 2);
        mark.done(tickets[2]);
        mark.done(tickets[3]);
        assert_eq!(mark.value(), 5);
        let again = mark.seen(3);
        assert_eq!(mark.value(), 2, "a repeat may be the only one that counts");
        mark.done(again);
        assert_eq!(mark.value(), 5);
    }

    #[test]
    fn a_new_session_starts_anew_and_old_events_do_not_count_in_it() {
        let mut mark = Watermark::resumed_at(100);
        assert_eq!(mark.value(), 100);
        let old = mark.seen(101);
        mark.restart();
        assert_eq!((mark.value(), mark.epoch()), (0, 1));
        let ready = mark.seen(1);
        mark.done(ready);
        let same_number = mark.seen(101);
        mark.done(old);
        assert_eq!(mark.value(), 100);
        mark.done(same_number);
        assert_eq!(mark.value(), 101);
    }

    #[test]
    fn what_there_was_no_room_for_holds_it_until_a_replay() {
        let mut mark = Watermark::default();
        let first = mark.seen(1);
        let second = mark.seen(2);
        mark.drop_from(second);
        for seq in 3..1000 {
            let ticket = mark.seen(seq);
            mark.done(ticket);
        }
        assert!(
            mark.has_dropped() && mark.open.len() == 1,
            "memory is bounded"
        );
        mark.done(first);
        assert_eq!(mark.value(), 1);
        mark.replay();
        assert_eq!((mark.value(), mark.has_dropped()), (1, false));
        let second = mark.seen(2);
        mark.done(second);
        assert_eq!(mark.value(), 2);
    }

    proptest! {
        #[test]
        fn every_event_at_or_below_it_is_done(
            steps in proptest::collection::vec((1_u64..60, 0_u8..4), 0..300),
        ) {
            let mut mark = Watermark::default();
            // Whether each event that came is done; dropped ones are not.
            let mut done = std::collections::BTreeMap::new();
            let mut next = 1;
            for (pick, what) in steps {
                match what {
                    0 | 1 => {
                        mark.seen(next);
                        done.entry(next).or_insert(false);
                        next += 1;
                    }
                    2 => {
                        let seq = pick % next;
                        mark.done(Ticket { epoch: 0, seq });
                        if !mark.has_dropped() || mark.dropped.is_some_and(|from| seq < from) {
                            done.entry(seq).and_modify(|it| *it = true);
                        }
                    }
                    _ if pick % 7 == 0 && next > 1 => {
                        let ticket = mark.seen(next);
                        done.insert(next, false);
                        mark.drop_from(ticket);
                        next += 1;
                    }
                    _ if pick % 5 == 0 => {
                        mark.replay();
                        next = mark.value() + 1;
                        done.retain(|seq, is_done| *seq < next || { *is_done = false; false });
                    }
                    _ => {}
                }
                let value = mark.value();
                prop_assert!(done.range(..=value).all(|(_, done)| *done), "{value} {done:?}");
            }
        }
    }
}
