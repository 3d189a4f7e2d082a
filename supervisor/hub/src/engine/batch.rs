//! One batch of events is one transaction.
//!
//! On a full disk the batch is undone and its events are tried one by one, each in a transaction of
//! its own, at first with what else is due, then alone. What has room goes on. What has none is
//! answered so that it is said again: a message is deferred, an update of a turn is refused, progress is
//! forgotten. What its peer says only once a link (a delivery, a cursor) is held here and tried again.
//! Any other event that finds no room ends the hub, and so does any other error: what was committed
//! before it is still said, the rest is said again to the next hub.

use ipc_schema::{Body, Deferred, Nack};
use spool::SpoolError;

use super::{Engine, Event, Lane, Out};

/// Until what could not be committed is tried again, milliseconds: by a worker, …
const DISK_RETRY: u64 = 5_000;
/// … and here.
const HELD_RETRY: u64 = 1_000;
/// The most events that are held. A worker has fewer results that are not kept.
const HELD: usize = 4096;

impl Engine {
    /// Handles events, commits, and gives what may be said now.
    ///
    /// # Errors
    /// The spool's; nothing of what failed was said or stored, and the hub cannot go on.
    pub fn batch(&mut self, events: Vec<Event>, now: u64) -> Result<Vec<Out>, SpoolError> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let events = self.with_held(events);
        let error = match self.attempt(&events, true, now) {
            Ok(()) => return Ok(std::mem::take(&mut self.out)),
            Err(error) => error,
        };
        self.undo(now)?;
        if !has_no_room(&error) {
            return Err(error);
        }
        tracing::error!(%error, "the disk is full");
        let mut out = Vec::new();
        for event in events {
            match self.alone(event, now) {
                Ok(said) => out.extend(said),
                Err(error) if out.is_empty() => return Err(error),
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        Ok(out)
    }

    /// The events that are held, then these. A peer that links says again what it had said.
    fn with_held(&mut self, events: Vec<Event>) -> Vec<Event> {
        self.retry_at = None;
        let mut all = std::mem::take(&mut self.held);
        for event in &events {
            if let Event::Up { peer, .. } | Event::Down { peer } = event {
                all.retain(|held| !matches!(held, Event::Got { peer: of, .. } if of == peer));
            }
        }
        all.extend(events);
        all
    }

    /// Handles an event that shared a transaction for which there was no room.
    fn alone(&mut self, event: Event, now: u64) -> Result<Vec<Out>, SpoolError> {
        let mut error = SpoolError::Undone;
        for due in [true, false] {
            match self.attempt(std::slice::from_ref(&event), due, now) {
                Ok(()) => return Ok(std::mem::take(&mut self.out)),
                Err(failed) => error = failed,
            }
            self.undo(now)?;
            if !has_no_room(&error) {
                return Err(error);
            }
        }
        match put_off(&event, &error) {
            PutOff::Answer(answer) => Ok(vec![*answer]),
            PutOff::Forget => Ok(Vec::new()),
            PutOff::Hold if self.held.len() < HELD => {
                self.held.push(event);
                self.retry_at = Some(now + HELD_RETRY);
                Ok(Vec::new())
            }
            PutOff::Hold | PutOff::Never => Err(error),
        }
    }

    /// A transaction of these events and, if wanted, of what else is due.
    fn attempt(&mut self, events: &[Event], due: bool, now: u64) -> Result<(), SpoolError> {
        self.spool.begin()?;
        for event in events {
            self.handle(event.clone(), now)?;
        }
        if due {
            self.tick(now)?;
            self.settle(now)?;
        }
        self.spool.commit()?;
        self.rung.clear();
        Ok(())
    }

    /// Puts memory back to where the spool is: nothing was handed out, everything is to be looked
    /// at again.
    fn undo(&mut self, now: u64) -> Result<(), SpoolError> {
        self.spool.rollback();
        for timer in std::mem::take(&mut self.rung) {
            self.at(now + DISK_RETRY, timer);
        }
        // Made anew from the spool when they are missed.
        self.live.clear();
        for out in self.out.drain(..) {
            if let Body::Deliver(deliver) = out.body
                && let Some(worker) = self.workers.get_mut(&out.peer)
            {
                worker.in_flight.remove(&deliver.key);
            }
        }
        let up = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.up)
            .map(|(peer, _)| peer.clone());
        for instance in up.collect::<Vec<_>>() {
            for address in self.spool.lane_heads(&instance)? {
                self.dirty_lanes.insert(Lane {
                    instance: instance.clone(),
                    address,
                });
            }
        }
        for project in self.plan.projects.keys() {
            self.dirty_sessions
                .extend(self.spool.sessions_with_queued(project)?);
        }
        Ok(())
    }
}

fn has_no_room(error: &SpoolError) -> bool {
    error.is_full() || *error == SpoolError::Undone
}

/// What becomes of an event that found no room.
enum PutOff {
    /// Its peer is told, and says it again.
    Answer(Box<Out>),
    /// It may be lost.
    Forget,
    /// Its peer takes it for said: it is kept here.
    Hold,
    /// The hub cannot go on without it.
    Never,
}

fn put_off(event: &Event, error: &SpoolError) -> PutOff {
    let Event::Got {
        peer,
        id,
        trace,
        body,
    } = event
    else {
        return PutOff::Never;
    };
    let why = error.to_string();
    let answer = match body {
        Body::Inbound(inbound) => Body::Deferred(Deferred {
            event_id: inbound.event_id.clone(),
            retry_after_ms: DISK_RETRY,
            why,
        }),
        Body::TurnUpdate(update) if update.n == 0 => return PutOff::Forget,
        // A runner says it again after a second.
        Body::TurnUpdate(_) | Body::Unprompted(_) | Body::Worktrees(_) => {
            Body::Nack(Nack { id: *id, why })
        }
        Body::BlobSegment(_) | Body::BlobGet(_) => Body::Nack(Nack { id: *id, why }),
        Body::Delivered(_)
        | Body::DeliveryFailed(_)
        | Body::CursorPut(_)
        | Body::TurnsAnswer(_) => return PutOff::Hold,
        _ => return PutOff::Never,
    };
    PutOff::Answer(Box::new(Out {
        peer: peer.clone(),
        trace: trace.clone(),
        body: answer,
    }))
}
