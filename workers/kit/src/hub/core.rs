//! The state behind [`super::Hub`]: link events and calls in, bodies to send and work out.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ipc_schema::{
    Activity, BlobSegment, Body, CommandSpec, Deliver, Delivered, Envelope, Failure, Inbound,
    RefuseCode, Revise,
};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::{debug, error, warn};

use crate::link::{LinkEvent, LinkSender, NotSent, Ticket};

use super::Work;
use super::cursors::{BadCursor, Cursors};
use super::deliveries::{Deliveries, Handed};
use super::intake::{Intake, Send};
use super::offer::{Offer, State, Unusable};

/// How many sent things a nack can be told apart by.
const TRACED: usize = 1024;
/// How many notes of activity, and how many of progress, wait; they are lossy.
const ACTIVITIES: usize = 256;

/// What a sent body was about.
#[derive(Debug, Clone)]
pub(super) enum About {
    Event(String),
    Result(String),
    Cursor(String, u64),
    Blob(String),
    Fetch(String),
}

/// The file that is on its way.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) sha256: String,
    pub(super) outcome: Option<Result<(), String>>,
}

/// The file that is being fetched.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    pub(super) sha256: String,
    /// The next piece, or that there is none, in words.
    pub(super) piece: Option<Result<BlobSegment, String>>,
}

struct Waiter {
    state: watch::Sender<State>,
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
pub(super) struct Core {
    pub(super) up: bool,
    pub(super) ever_up: bool,
    pub(super) over: Option<String>,
    pub(super) intake: Intake,
    pub(super) deliveries: Deliveries,
    pub(super) cursors: Cursors,
    pub(super) file: Option<File>,
    pub(super) fetch: Option<Fetch>,
    /// As the hub said at the last link-up.
    pub(super) commands: Vec<CommandSpec>,
    offers: HashMap<String, Waiter>,
    work: VecDeque<Work>,
    unsent: VecDeque<(Body, String, Option<About>)>,
    sent: VecDeque<(Ticket, About)>,
}

impl Core {
    pub(super) fn offer(
        &mut self,
        inbound: Inbound,
        trace: &str,
        room: Option<OwnedSemaphorePermit>,
    ) -> Offer {
        if let Some(waiter) = self.offers.get(&inbound.event_id) {
            return Offer::new(waiter.state.subscribe());
        }
        let (state, offer) = watch::channel(State::Open);
        self.offers
            .insert(inbound.event_id.clone(), Waiter { state, _room: room });
        let send = self.intake.offer(inbound, trace);
        self.send_events(send);
        Offer::new(offer)
    }

    pub(super) fn put_cursor(&mut self, name: &str, value: Vec<u8>) -> Result<u64, BadCursor> {
        let (number, send) = self.cursors.put(name, value)?;
        self.send_cursors(send);
        Ok(number)
    }

    pub(super) fn delivered(&mut self, delivered: Delivered) {
        let result = self.deliveries.delivered(delivered);
        self.send_results(result);
    }

    pub(super) fn failed(&mut self, key: &str, failure: Failure, why: &str) {
        let result = self.deliveries.failed(key, failure, why);
        self.send_results(result);
    }

    pub(super) fn due(&mut self, now: Instant) {
        let due = self.intake.due(now);
        self.send_events(due);
    }

    pub(super) fn on(&mut self, event: LinkEvent, link: &LinkSender, now: Instant) {
        match event {
            LinkEvent::Up(welcome) => {
                self.up = true;
                self.ever_up = true;
                self.commands = welcome.commands;
                self.unsent.clear();
                self.sent.clear();
                let cursors = self.cursors.up(welcome.cursors);
                self.send_cursors(cursors);
                let results: Vec<_> = self.deliveries.all().collect();
                self.send_results(results);
                let events = self.intake.all();
                self.send_events(events);
            }
            LinkEvent::Down { .. } => self.fell(),
            LinkEvent::Refused { code, hint } => {
                self.fell();
                if code == RefuseCode::Schema {
                    self.over = Some(hint);
                }
            }
            LinkEvent::Nacked { ticket, why } => self.nacked(ticket, &why),
            LinkEvent::Got(envelope) => self.got(envelope, link, now),
        }
    }

    fn fell(&mut self) {
        self.up = false;
        self.unsent.clear();
        self.sent.clear();
    }

    fn got(&mut self, envelope: Envelope, link: &LinkSender, now: Instant) {
        let Envelope { id, trace, body } = envelope;
        match body {
            Body::Accepted(accepted) => self.close(&accepted.event_id, State::Accepted),
            Body::Deferred(deferred) => {
                let after = Duration::from_millis(deferred.retry_after_ms);
                self.deferred(&deferred.event_id, after, deferred.why, now);
            }
            Body::CursorKept(kept) => {
                let next = self.cursors.kept(&kept.name, kept.number);
                self.send_cursors(next);
            }
            Body::BlobKept(kept) => self.file_ended(&kept.sha256, Ok(())),
            Body::BlobSegment(segment) => {
                let sha256 = segment.sha256.clone();
                self.fetched(&sha256, Ok(segment));
            }
            Body::BlobGone(gone) => {
                let why = "the hub keeps it no longer".to_owned();
                self.fetched(&gone.sha256, Err(why));
            }
            Body::Deliver(deliver) => self.deliver(deliver, trace),
            Body::DeliveryKept(kept) => {
                self.deliveries.kept(&kept.key);
            }
            Body::Activity(activity) => self.activity(activity),
            Body::Revise(revise) => self.revise(revise),
            _ => link.nack(id, "a worker has no use for that kind"),
        }
    }

    fn close(&mut self, event_id: &str, state: State) {
        if let Some(waiter) = self.offers.remove(event_id) {
            waiter.state.send_replace(state);
        }
        let next = self.intake.close(event_id).flatten();
        self.send_events(next);
    }

    fn deferred(&mut self, event_id: &str, retry_after: Duration, why: String, now: Instant) {
        let Some(waiter) = self.offers.get(event_id) else {
            return;
        };
        warn!(
            event = event_id,
            "the hub cannot commit an event yet and gets it again: {why}"
        );
        self.intake.deferred(event_id, retry_after, now);
        waiter.state.send_modify(|state| {
            let times = if let State::Deferred { times, .. } = state {
                *times
            } else {
                0
            };
            *state = State::Deferred {
                times: times + 1,
                retry_after,
                why,
            };
        });
    }

    fn deliver(&mut self, deliver: Deliver, trace: String) {
        match self.deliveries.handed(&deliver.key, &trace) {
            Handed::Post => self.work.push_back(Work::Deliver { deliver, trace }),
            Handed::Nothing => debug!(key = deliver.key, "handed out again while in flight"),
            Handed::Answer(body, trace) => {
                self.unsent
                    .push_back((body, trace, Some(About::Result(deliver.key))));
            }
        }
    }

    fn activity(&mut self, activity: Activity) {
        let same = |work: &&mut Work| matches!(work, Work::Activity(old) if old.address == activity.address && old.turn == activity.turn);
        if let Some(old) = self.work.iter_mut().find(same) {
            *old = Work::Activity(activity);
        } else {
            let waiting = self
                .work
                .iter()
                .filter(|w| matches!(w, Work::Activity(_)))
                .count();
            if waiting < ACTIVITIES {
                self.work.push_back(Work::Activity(activity));
            }
        }
    }

    /// Of a message only the newest form waits.
    fn revise(&mut self, revise: Revise) {
        let same = |work: &&mut Work| matches!(work, Work::Revise(old) if old.platform_id == revise.platform_id);
        if let Some(old) = self.work.iter_mut().find(same) {
            *old = Work::Revise(revise);
            return;
        }
        let waiting = self.work.iter().filter(|w| matches!(w, Work::Revise(_)));
        if waiting.count() < ACTIVITIES {
            self.work.push_back(Work::Revise(revise));
        }
    }

    fn fetched(&mut self, sha256: &str, piece: Result<BlobSegment, String>) {
        if let Some(fetch) = self.fetch.as_mut().filter(|f| f.sha256 == sha256) {
            fetch.piece.get_or_insert(piece);
        }
    }

    fn nacked(&mut self, ticket: Option<Ticket>, why: &str) {
        let about = ticket.and_then(|ticket| {
            let at = self.sent.iter().position(|(sent, _)| *sent == ticket)?;
            self.sent.remove(at).map(|(_, about)| about)
        });
        match about {
            Some(About::Event(id)) => {
                error!(
                    event = id,
                    "the hub cannot use an event, it is dropped: {why}"
                );
                self.close(&id, State::Unusable(Unusable(why.into())));
            }
            Some(About::Cursor(name, number)) => {
                error!(name, "the hub would not keep a cursor: {why}");
                let next = self.cursors.refused(&name, number, why);
                self.send_cursors(next);
            }
            Some(About::Result(key)) => {
                error!(key, "the hub cannot use the result of a delivery: {why}");
                self.deliveries.kept(&key);
            }
            Some(About::Blob(sha256)) => self.file_ended(&sha256, Err(why.into())),
            Some(About::Fetch(sha256)) => self.fetched(&sha256, Err(why.into())),
            None => warn!("the hub could not use something that was sent to it: {why}"),
        }
    }

    fn file_ended(&mut self, sha256: &str, outcome: Result<(), String>) {
        if let Some(file) = self.file.as_mut().filter(|file| file.sha256 == sha256) {
            file.outcome.get_or_insert(outcome);
        }
    }

    /// Remembers what a sent body was about.
    pub(super) fn sent(&mut self, ticket: Ticket, about: About) {
        if self.sent.len() == TRACED {
            self.sent.pop_front();
        }
        self.sent.push_back((ticket, about));
    }

    fn send_events(&mut self, sends: impl IntoIterator<Item = Send>) {
        for (id, body, trace) in sends {
            self.unsent.push_back((body, trace, Some(About::Event(id))));
        }
    }

    fn send_cursors(&mut self, puts: impl IntoIterator<Item = Body>) {
        for body in puts {
            let about = match &body {
                Body::CursorPut(put) => Some(About::Cursor(put.name.clone(), put.number)),
                _ => None,
            };
            self.unsent.push_back((body, String::new(), about));
        }
    }

    fn send_results(&mut self, results: impl IntoIterator<Item = (Body, String)>) {
        for (body, trace) in results {
            let about = match &body {
                Body::Delivered(delivered) => Some(About::Result(delivered.key.clone())),
                Body::DeliveryFailed(failed) => Some(About::Result(failed.key.clone())),
                _ => None,
            };
            self.unsent.push_back((body, trace, about));
        }
    }

    /// Hands to the link what waits. With the link down it is dropped: the next link-up says
    /// everything again.
    pub(super) fn flush(&mut self, link: &LinkSender) {
        if !self.up {
            self.unsent.clear();
        }
        while let Some((body, trace, about)) = self.unsent.pop_front() {
            match link.send(body.clone(), &trace) {
                Ok(ticket) => {
                    if let Some(about) = about {
                        self.sent(ticket, about);
                    }
                }
                Err(NotSent::Full) => {
                    self.unsent.push_front((body, trace, about));
                    return;
                }
                Err(NotSent::Down) => {
                    self.unsent.clear();
                    return;
                }
            }
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    pub(super) fn next_work(&mut self) -> Option<Work> {
        self.work.pop_front()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.intake.len() == 0 && self.deliveries.unkept() == 0 && self.cursors.unkept() == 0
    }
}
