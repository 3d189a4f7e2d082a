//! What the agents' sandbox has refused, as people are told of it. Pure.
//!
//! Promises: each refusal is news once in a runner's life, and what each session was refused last is
//! known; both are bounded.

use std::collections::{BTreeSet, VecDeque};

use ipc_schema::{Refusal, Refused};

/// How many refusals are news: an agent may try whatever there is.
const NEWS: usize = 256;
/// How many sessions are remembered; the one that was refused something longest ago is forgotten.
const SESSIONS: usize = 64;

/// The refusals of one runner.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    told: BTreeSet<Refusal>,
    /// One a session, the newest last.
    last: VecDeque<Refused>,
}

impl Refusals {
    /// Takes note of one. Whether it is news.
    pub(super) fn note(&mut self, session: &str, what: &Refusal) -> bool {
        self.last.retain(|last| last.session != session);
        if self.last.len() == SESSIONS {
            self.last.pop_front();
        }
        self.last.push_back(Refused {
            session: session.to_owned(),
            what: what.clone(),
        });
        self.told.len() < NEWS && self.told.insert(what.clone())
    }

    /// The last of each session that had one, the newest last.
    pub(super) fn last(&self) -> impl DoubleEndedIterator<Item = &Refused> {
        self.last.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(n: usize) -> Refusal {
        Refusal::Read {
            path: format!("/{n}"),
        }
    }

    #[test]
    fn a_refusal_is_news_once_and_last_wherever_it_was_last() {
        let mut refusals = Refusals::default();
        assert!(refusals.note("a", &read(1)));
        assert!(refusals.note("a", &read(2)));
        assert!(!refusals.note("b", &read(1)));
        let last: Vec<_> = refusals
            .last()
            .map(|last| (last.session.as_str(), last.what.clone()))
            .collect();
        assert_eq!(last, [("a", read(2)), ("b", read(1))]);
    }

    #[test]
    fn both_are_bounded() {
        let mut refusals = Refusals::default();
        let news = (0..2 * NEWS).filter(|n| refusals.note(&n.to_string(), &read(*n)));
        assert_eq!(news.count(), NEWS);
        assert_eq!(refusals.last().count(), SESSIONS);
        let newest = (2 * NEWS - 1).to_string();
        assert_eq!(refusals.last().last().map(|l| &l.session), Some(&newest));
    }
}
