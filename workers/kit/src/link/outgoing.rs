//! What waits to be written on a link, and in which order it goes. Pure.
//!
//! Three lanes: urgent kinds first, then kinds that cost no credit, then data as credit allows.
//! Within a lane the order is kept. Bounded in frames and in bytes.

use std::collections::VecDeque;

use ipc_schema::{Allowance, Body, Credit, Envelope, TurnEvent};

use super::{NotSent, Ticket};

/// The most data frames that wait.
const DATA_FRAMES: usize = 1024;
/// The most bytes of content in waiting data frames, as a rough sum.
const DATA_BYTES: usize = 16 << 20;
/// The most frames that cost no credit and wait.
const FREE_FRAMES: usize = 8192;
/// How many sent frames a nack can still be told apart by.
const TRACED: usize = 1024;

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    body: Body,
    trace: String,
}

/// The queue of one link; closed while the link is down.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    open: bool,
    urgent: VecDeque<Waiting>,
    free: VecDeque<Waiting>,
    data: VecDeque<Waiting>,
    data_bytes: usize,
    allowance: Allowance,
    last_ticket: u64,
    last_id: u64,
    sent: VecDeque<(u64, Ticket)>,
}

impl Outgoing {
    /// A link came up: numbers start anew, after the Hello's.
    pub(crate) fn open(&mut self, credit: u32) {
        self.close();
        self.open = true;
        self.allowance = Allowance::new(credit);
        self.last_id = 1;
    }

    /// The link fell: what waits is dropped, and so is what comes until the next [`Self::open`].
    pub(crate) fn close(&mut self) {
        self.open = false;
        self.urgent.clear();
        self.free.clear();
        self.data.clear();
        self.data_bytes = 0;
        self.sent.clear();
    }

    pub(crate) fn push(&mut self, body: Body, trace: &str) -> Result<Ticket, NotSent> {
        if !self.open {
            return Err(NotSent::Down);
        }
        if body.costs_credit() {
            let bytes = self.data_bytes.saturating_add(weight(&body));
            if self.data.len() >= DATA_FRAMES || (bytes > DATA_BYTES && !self.data.is_empty()) {
                return Err(NotSent::Full);
            }
            self.data_bytes = bytes;
        } else if self.free.len() + self.urgent.len() >= FREE_FRAMES {
            return Err(NotSent::Full);
        }
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let lane = if body.urgent() {
            &mut self.urgent
        } else if body.costs_credit() {
            &mut self.data
        } else {
            &mut self.free
        };
        lane.push_back(Waiting {
            ticket,
            body,
            trace: trace.into(),
        });
        Ok(ticket)
    }

    /// The next envelope that may go now.
    pub(crate) fn pop(&mut self) -> Option<(Ticket, Envelope)> {
        let waiting = match self.urgent.pop_front().or_else(|| self.free.pop_front()) {
            Some(waiting) => waiting,
            None if self.data.is_empty() || !self.allowance.spend() => return None,
            None => {
                let waiting = self.data.pop_front()?;
                self.data_bytes = self.data_bytes.saturating_sub(weight(&waiting.body));
                waiting
            }
        };
        self.last_id += 1;
        if self.sent.len() == TRACED {
            self.sent.pop_front();
        }
        self.sent.push_back((self.last_id, waiting.ticket));
        let envelope = Envelope {
            id: self.last_id,
            trace: waiting.trace,
            body: waiting.body,
        };
        Some((waiting.ticket, envelope))
    }

    pub(crate) fn grant(&mut self, credit: Credit) {
        self.allowance.grant(credit);
    }

    /// What the envelope `id` of this link was, if it is not too long ago.
    pub(crate) fn ticket(&self, id: u64) -> Option<Ticket> {
        let at = self.sent.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.sent.get(at).map(|(_, ticket)| *ticket)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.free.is_empty() && self.data.is_empty()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn waiting_data(&self) -> usize {
        self.data.len()
    }
}

/// Roughly the bytes that a body holds on to.
fn weight(body: &Body) -> usize {
    match body {
        Body::Inbound(inbound) => {
            inbound.text.len() + inbound.quoted.as_ref().map_or(0, String::len)
        }
        Body::BlobSegment(segment) => segment.bytes.len(),
        Body::Unprompted(unprompted) => unprompted.text.len(),
        Body::TurnUpdate(update) => match &update.event {
            TurnEvent::Text { text, .. } | TurnEvent::Partial { text } => text.len(),
            _ => 0,
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use ipc_schema::{BlobSegment, CursorPut, Nack};

    use super::*;

    fn data(n: u64) -> Body {
        let bytes = vec![0; 100];
        Body::BlobSegment(BlobSegment {
            sha256: String::new(),
            offset: n,
            total: 0,
            bytes,
        })
    }

    fn free(number: u64) -> Body {
        Body::CursorPut(CursorPut {
            name: "c".into(),
            number,
            value: Vec::new(),
        })
    }

    fn kinds(out: &mut Outgoing) -> Vec<String> {
        std::iter::from_fn(|| out.pop())
            .map(|(_, envelope)| match envelope.body {
                Body::BlobSegment(segment) => format!("data {}", segment.offset),
                Body::CursorPut(put) => format!("free {}", put.number),
                _ => "urgent".into(),
            })
            .collect()
    }

    #[test]
    fn urgent_goes_first_and_data_waits_for_credit() {
        let mut out = Outgoing::default();
        assert_eq!(out.push(free(0), ""), Err(NotSent::Down));
        out.open(1);
        out.push(data(1), "").unwrap();
        out.push(data(2), "").unwrap();
        out.push(free(1), "").unwrap();
        out.push(free(2), "").unwrap();
        out.push(
            Body::Nack(Nack {
                id: 1,
                why: String::new(),
            }),
            "",
        )
        .unwrap();
        assert_eq!(kinds(&mut out), ["urgent", "free 1", "free 2", "data 1"]);
        assert!(!out.is_empty());
        out.grant(Credit { frames: 5 });
        assert_eq!(kinds(&mut out), ["data 2"]);
        assert!(out.is_empty());
    }

    #[test]
    fn full_is_said_and_ends_when_there_is_room() {
        let mut out = Outgoing::default();
        out.open(1);
        assert!((0..DATA_FRAMES as u64).all(|n| out.push(data(n), "").is_ok()));
        assert_eq!(out.push(data(0), ""), Err(NotSent::Full));
        out.push(free(0), "").unwrap();
        assert_eq!(kinds(&mut out).len(), 2);
        out.push(data(0), "").unwrap();
        assert_eq!(out.data_bytes, DATA_FRAMES * 100);
        out.close();
        assert_eq!((out.data_bytes, out.waiting_data()), (0, 0));
    }

    #[test]
    fn a_nack_finds_the_ticket_of_what_was_sent() {
        let mut out = Outgoing::default();
        out.open(10);
        let first = out.push(data(1), "").unwrap();
        let second = out.push(free(1), "").unwrap();
        let ids: Vec<_> = std::iter::from_fn(|| out.pop())
            .map(|(t, e)| (t, e.id))
            .collect();
        assert_eq!(ids, [(second, 2), (first, 3)]);
        assert_eq!(
            (out.ticket(2), out.ticket(3), out.ticket(4)),
            (Some(second), Some(first), None)
        );
    }
}
