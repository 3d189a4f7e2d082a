//! The messages that were taken lately, so that a change or a withdrawal of one finds where it
//! went. Pure.
//!
//! A message is noted when it comes and settled when its conversation is known, once: a message
//! that comes again goes where it went before. The oldest are forgotten; nothing here survives the
//! process.

use std::collections::{HashMap, VecDeque};

use ipc_schema::{BlobRef, Sender};

use crate::intake::Home;
use crate::snowflake::Id;

/// The most messages that are remembered.
const MOST: usize = 2048;

/// Where a message went.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settled {
    pub(crate) home: Home,
    pub(crate) sender: Sender,
    /// Its files as the hub keeps them, by Discord's id.
    pub(crate) files: Vec<(Id, BlobRef)>,
    /// It was offered to the hub.
    pub(crate) offered: bool,
    /// The newest form of it that is known: when it was changed, milliseconds; 0 = never.
    pub(crate) changed_ms: u64,
}

/// Messages by id.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// None: it is on its way and nobody knows yet.
    messages: HashMap<Id, Option<Settled>>,
    order: VecDeque<Id>,
}

impl Heard {
    /// A message came that is, or may be, for us.
    pub(crate) fn note(&mut self, message: Id) {
        if self.messages.contains_key(&message) {
            return;
        }
        self.messages.insert(message, None);
        self.order.push_back(message);
        // What was forgotten by name is in the order still, as nothing.
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }

    /// It is not for us after all.
    pub(crate) fn forget(&mut self, message: Id) {
        self.messages.remove(&message);
    }

    /// Its conversation is known. What was settled before stays.
    pub(crate) fn settle(&mut self, message: Id, settled: Settled) {
        self.note(message);
        if let Some(it) = self.messages.get_mut(&message) {
            it.get_or_insert(settled);
        }
    }

    /// Whether it is one of ours.
    pub(crate) fn contains(&self, message: Id) -> bool {
        self.messages.contains_key(&message)
    }

    /// Where it went, once that is known.
    pub(crate) fn settled(&self, message: Id) -> Option<&Settled> {
        self.messages.get(&message)?.as_ref()
    }

    /// The same, to be changed.
    pub(crate) fn settled_mut(&mut self, message: Id) -> Option<&mut Settled> {
        self.messages.get_mut(&message)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(name: &str) -> Settled {
        Settled {
            home: Home {
                conversation: name.into(),
                channel: Id(1),
                direct: false,
                shared: false,
            },
            sender: Sender::default(),
            files: Vec::new(),
            offered: false,
            changed_ms: 0,
        }
    }

    #[test]
    fn a_message_is_settled_once() {
        let mut heard = Heard::default();
        heard.note(Id(1));
        assert!(heard.contains(Id(1)) && heard.settled(Id(1)).is_none());
        heard.settle(Id(1), settled("first"));
        heard.settle(Id(1), settled("second"));
        heard.note(Id(1));
        let it = heard.settled(Id(1)).unwrap();
        assert_eq!(it.home.conversation, "first");
        heard.forget(Id(1));
        assert!(!heard.contains(Id(1)));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut heard = Heard::default();
        for n in 0..10_000 {
            heard.note(Id(n));
            if n % 2 == 0 {
                heard.forget(Id(n));
            }
        }
        assert!(heard.contains(Id(9_999)) && !heard.contains(Id(5_001)));
        assert!(heard.messages.len() <= MOST && heard.order.len() <= MOST);
    }
}
