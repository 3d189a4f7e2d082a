//! What waits to be written to a link, in the order in which it may go.
//!
//! What ends or unblocks work overtakes the rest ([`Body::urgent`]); data waits for credit;
//! everything else goes in its order. The queue is bounded: a peer that does not read is cut off by
//! whoever owns the link, and everything is said again after the next link-up.

use std::collections::VecDeque;

use ipc_schema::{Allowance, Body, CREDIT_WINDOW, Credit, Envelope};

/// The most envelopes that wait on one link.
pub const OUTGOING: usize = 8192;
/// The most pieces of files among them: they are large, and who asks for one reads it first.
pub const SEGMENTS: usize = 64;

/// The queue is full: the peer does not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{OUTGOING} envelopes wait and the peer does not read")]
pub struct Full;

/// See the module.
#[derive(Debug)]
pub struct Outgoing {
    urgent: VecDeque<Envelope>,
    control: VecDeque<Envelope>,
    data: VecDeque<Envelope>,
    segments: usize,
    allowance: Allowance,
    numbered: u64,
}

impl Default for Outgoing {
    /// Empty, with the credit that every peer grants by linking.
    fn default() -> Outgoing {
        Outgoing::with_credit(CREDIT_WINDOW)
    }
}

impl Outgoing {
    fn with_credit(frames: u32) -> Outgoing {
        Outgoing {
            urgent: VecDeque::new(),
            control: VecDeque::new(),
            data: VecDeque::new(),
            segments: 0,
            allowance: Allowance::new(frames),
            numbered: 0,
        }
    }

    /// Puts an envelope in its place and gives it its number.
    ///
    /// # Errors
    /// [`Full`] if [`OUTGOING`] wait already, or [`SEGMENTS`] pieces of files do.
    pub fn push(&mut self, trace: String, body: Body) -> Result<(), Full> {
        if self.urgent.len() + self.control.len() + self.data.len() >= OUTGOING {
            return Err(Full);
        }
        if matches!(body, Body::BlobSegment(_)) {
            if self.segments >= SEGMENTS {
                return Err(Full);
            }
            self.segments += 1;
        }
        self.numbered += 1;
        // Nothing may come before the first word of a link.
        let urgent = body.urgent() || matches!(body, Body::Welcome(_));
        let data = body.costs_credit();
        let envelope = Envelope {
            id: self.numbered,
            trace,
            body,
        };
        match (urgent, data) {
            (true, _) => self.urgent.push_back(envelope),
            (false, true) => self.data.push_back(envelope),
            (false, false) => self.control.push_back(envelope),
        }
        Ok(())
    }

    /// The next envelope that may be written now.
    pub fn pop(&mut self) -> Option<Envelope> {
        if let Some(envelope) = self.urgent.pop_front().or_else(|| self.control.pop_front()) {
            return Some(envelope);
        }
        if self.data.is_empty() || !self.allowance.spend() {
            return None;
        }
        let next = self.data.pop_front()?;
        if matches!(next.body, Body::BlobSegment(_)) {
            self.segments -= 1;
        }
        Some(next)
    }

    /// More data may be sent.
    pub fn grant(&mut self, credit: Credit) {
        self.allowance.grant(credit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_schema::{Accepted, Activity, CloseSession, Delivered, Nack, Unprompted};

    fn data(text: &str) -> Body {
        let (id, session) = (String::new(), String::new());
        Body::Unprompted(Unprompted {
            id,
            session,
            text: text.into(),
        })
    }

    fn control(key: &str) -> Body {
        Body::Accepted(Accepted {
            event_id: key.into(),
        })
    }

    fn drain(queue: &mut Outgoing) -> Vec<Body> {
        std::iter::from_fn(|| queue.pop())
            .map(|envelope| envelope.body)
            .collect()
    }

    #[test]
    fn data_waits_for_credit_and_holds_up_nothing_else() {
        let mut queue = Outgoing::with_credit(0);
        for body in [data("1"), control("a"), data("2")] {
            queue.push(String::new(), body).unwrap();
        }
        assert_eq!(drain(&mut queue), [control("a")]);
        queue.grant(Credit { frames: 1 });
        assert_eq!(drain(&mut queue), [data("1")]);
        queue.grant(Credit { frames: 5 });
        assert_eq!(drain(&mut queue), [data("2")]);
    }

    #[test]
    fn what_ends_work_goes_first() {
        let mut queue = Outgoing::default();
        let nack = Body::Nack(Nack {
            id: 1,
            why: String::new(),
        });
        queue.push(String::new(), control("a")).unwrap();
        queue.push(String::new(), nack.clone()).unwrap();
        assert_eq!(drain(&mut queue), [nack, control("a")]);
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut queue = Outgoing::default();
        for _ in 0..OUTGOING {
            queue.push(String::new(), data("x")).unwrap();
        }
        assert_eq!(queue.push(String::new(), control("a")), Err(Full));
    }

    #[test]
    fn pieces_of_files_are_few() {
        let mut queue = Outgoing::default();
        let piece = || {
            Body::BlobSegment(ipc_schema::BlobSegment {
                sha256: String::new(),
                offset: 0,
                total: 0,
                bytes: Vec::new(),
            })
        };
        for _ in 0..SEGMENTS {
            queue.push(String::new(), piece()).unwrap();
        }
        assert_eq!(queue.push(String::new(), piece()), Err(Full));
        queue.push(String::new(), data("x")).unwrap();
        queue.pop().unwrap();
        queue.push(String::new(), piece()).unwrap();
    }

    #[test]
    fn numbers_rise_from_one() {
        let mut queue = Outgoing::default();
        queue.push(String::new(), control("a")).unwrap();
        queue.push(String::new(), control("b")).unwrap();
        let ids: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|e| e.id).collect();
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn only_data_costs_credit() {
        let activity = Activity {
            address: String::new(),
            turn: String::new(),
            working: true,
        };
        let delivered = Delivered {
            key: String::new(),
            platform_id: String::new(),
            ..Delivered::default()
        };
        let close = CloseSession {
            session: String::new(),
        };
        for body in [
            Body::Activity(activity),
            Body::Delivered(delivered),
            Body::CloseSession(close),
        ] {
            assert!(!body.costs_credit(), "{body:?}");
        }
        assert!(data("x").costs_credit());
    }
}
