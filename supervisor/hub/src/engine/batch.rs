//! One batch of events is one transaction.
//!
//! On a full disk the batch is undone and its events are tried one by one, each in a transaction of
//! its own: what has room goes on; a message that has none is deferred, and its sender's worker
//! offers it again; a file is refused, progress is forgotten. Any other event that finds no room ends
//! the hub: its peers say it again to the next one.

use ipc_schema::{Body, Deferred, Nack};
use spool::SpoolError;

use super::{Engine, Event, Lane, Out};

/// Until a worker offers again what could not be committed, milliseconds.
const DISK_RETRY: u64 = 5_000;

impl Engine {
    /// Handles events, commits, and gives what may be said now.
    ///
    /// # Errors
    /// The spool's; nothing of what failed was said or stored, and the hub cannot go on.
    pub fn batch(&mut self, events: Vec<Event>, now: u64) -> Result<Vec<Out>, SpoolError> {
        let error = match self.attempt(&events, now) {
            Ok(()) => return Ok(std::mem::take(&mut self.out)),
            Err(error) => error,
        };
        self.undo()?;
        if !has_no_room(&error) {
            return Err(error);
        }
        tracing::error!(%error, "the disk is full");
        let mut out = Vec::new();
        for event in events {
            match self.attempt(std::slice::from_ref(&event), now) {
                Ok(()) => out.append(&mut self.out),
                Err(error) => {
                    self.undo()?;
                    out.extend(put_off(&event, &error).ok_or(error)?);
                }
            }
        }
        Ok(out)
    }

    fn attempt(&mut self, events: &[Event], now: u64) -> Result<(), SpoolError> {
        self.spool.begin()?;
        for event in events {
            self.handle(event.clone(), now)?;
        }
        self.tick(now)?;
        self.settle(now)?;
        self.spool.commit()
    }

    /// Puts memory back to where the spool is: nothing was handed out, everything is to be looked
    /// at again.
    fn undo(&mut self) -> Result<(), SpoolError> {
        self.spool.rollback();
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

/// The answer, if there is one, to an event that found no room and can be put off.
fn put_off(event: &Event, error: &SpoolError) -> Option<Option<Out>> {
    let Event::Got {
        peer,
        id,
        trace,
        body,
    } = event
    else {
        return None;
    };
    let why = error.to_string();
    let answer = match body {
        _ if !has_no_room(error) => return None,
        Body::Inbound(inbound) => Body::Deferred(Deferred {
            event_id: inbound.event_id.clone(),
            retry_after_ms: DISK_RETRY,
            why,
        }),
        Body::BlobSegment(_) => Body::Nack(Nack { id: *id, why }),
        // Progress may be lost.
        Body::TurnUpdate(update) if update.n == 0 => return Some(None),
        _ => return None,
    };
    Some(Some(Out {
        peer: peer.clone(),
        trace: trace.clone(),
        body: answer,
    }))
}
