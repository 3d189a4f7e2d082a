//! What came in from people and is not accepted yet. Pure.
//!
//! A conversation is a lane: only its oldest open event is under way, so that an event which the
//! hub defers is never overtaken by a later one of the same conversation.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use ipc_schema::{Body, Inbound};

/// The shortest and the longest time that a deferred event waits, whatever the hub says.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(300);

/// One thing to send: the event's id, what, and its trace.
pub(super) type Send = (String, Body, String);

#[derive(Debug)]
struct Open {
    /// Place in the order of arrival.
    number: u64,
    inbound: Inbound,
    trace: String,
    /// Deferred until then.
    due: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Intake {
    last: u64,
    open: HashMap<String, Open>,
    /// The open events of each conversation, oldest first.
    lanes: HashMap<String, VecDeque<String>>,
}

impl Intake {
    /// Takes an event; what to send for it now, if it is at the head of its lane. A repeat of an
    /// open one changes nothing.
    pub(super) fn offer(&mut self, inbound: Inbound, trace: &str) -> Option<Send> {
        let id = inbound.event_id.clone();
        if self.open.contains_key(&id) {
            return None;
        }
        self.last += 1;
        let lane = self.lanes.entry(inbound.conversation.clone()).or_default();
        lane.push_back(id.clone());
        let first = lane.len() == 1;
        let open = Open {
            number: self.last,
            inbound,
            trace: trace.into(),
            due: None,
        };
        self.open.insert(id.clone(), open);
        if first { self.sending(&id) } else { None }
    }

    /// The event is done with; what to send next in its lane. `None` twice over for an unknown id.
    pub(super) fn close(&mut self, id: &str) -> Option<Option<Send>> {
        let open = self.open.remove(id)?;
        let conversation = &open.inbound.conversation;
        let Some(lane) = self.lanes.get_mut(conversation) else {
            return Some(None);
        };
        let was_head = lane.front().is_some_and(|head| head == id);
        lane.retain(|other| other != id);
        let next = lane.front().cloned();
        if next.is_none() {
            self.lanes.remove(conversation);
        }
        Some(
            next.filter(|_| was_head)
                .and_then(|next| self.sending(&next)),
        )
    }

    /// The hub wants it later.
    pub(super) fn deferred(&mut self, id: &str, after: Duration, now: Instant) {
        if let Some(open) = self.open.get_mut(id) {
            open.due = Some(now + after.clamp(SHORTEST, LONGEST));
        }
    }

    /// When [`Self::due`] has something next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.due).min()
    }

    /// What was deferred until now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Send> {
        self.heads(|open| open.due.is_some_and(|due| due <= now))
    }

    /// Everything that should be under way: a new link knows nothing of the old one.
    pub(super) fn all(&mut self) -> Vec<Send> {
        self.heads(|_| true)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn heads(&mut self, wanted: impl Fn(&Open) -> bool) -> Vec<Send> {
        let heads: BTreeMap<u64, String> = self
            .lanes
            .values()
            .filter_map(VecDeque::front)
            .filter_map(|id| {
                self.open
                    .get(id)
                    .filter(|open| wanted(open))
                    .map(|open| (open.number, id.clone()))
            })
            .collect();
        heads.values().filter_map(|id| self.sending(id)).collect()
    }

    fn sending(&mut self, id: &str) -> Option<Send> {
        let open = self.open.get_mut(id)?;
        open.due = None;
        Some((
            id.into(),
            Body::Inbound(open.inbound.clone()),
            open.trace.clone(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fake_hub::inbound;

    fn ids(sends: &[Send]) -> Vec<&str> {
        sends.iter().map(|(id, ..)| id.as_str()).collect()
    }

    #[test]
    fn a_lane_has_one_event_under_way_and_others_do_not_wait_for_it() {
        let mut intake = Intake::default();
        assert!(intake.offer(inbound("a1", "a"), "").is_some());
        assert!(intake.offer(inbound("a2", "a"), "").is_none());
        assert!(intake.offer(inbound("a1", "a"), "").is_none(), "a repeat");
        assert!(intake.offer(inbound("b1", "b"), "").is_some());
        assert_eq!(ids(&intake.all()), ["a1", "b1"]);
        let next = intake.close("a1").unwrap();
        assert_eq!(ids(next.as_slice()), ["a2"]);
        assert_eq!(intake.close("a1"), None);
        assert_eq!(intake.close("a2"), Some(None));
        assert_eq!((intake.len(), intake.lanes.len()), (1, 1));
    }

    #[test]
    fn what_was_deferred_is_not_overtaken() {
        let now = Instant::now();
        let mut intake = Intake::default();
        let _ = intake.offer(inbound("a1", "a"), "");
        let _ = intake.offer(inbound("a2", "a"), "");
        intake.deferred("a1", Duration::from_secs(2), now);
        assert!(intake.due(now).is_empty());
        let due = intake.next_due().unwrap();
        assert_eq!(ids(&intake.due(due)), ["a1"]);
        assert_eq!(intake.next_due(), None);
        intake.deferred("a1", Duration::ZERO, now);
        assert_eq!(ids(&intake.all()), ["a1"], "a relink asks at once");
    }
}
