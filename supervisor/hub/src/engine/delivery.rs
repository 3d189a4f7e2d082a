//! Lanes hand their chunks out, results come back.

use ipc_schema::{Body, Deliver, Delivered, DeliveryFailed, DeliveryKept, Failure, Lack};
use render::{Dialect, Limit};
use spool::{Chunk, ChunkState, Spool, SpoolError};

use super::outbox::{Place, Post, cut, limit_of};
use super::{Engine, Lane, Out, Timer};
use crate::form::Form;
use crate::lane::offer;
use crate::texts::Text;

/// A chunk that a platform has refused for so long is given up, milliseconds.
const PATIENCE: u64 = 24 * 3_600_000;
/// How long everything waits when a platform refuses the credentials, milliseconds.
const CREDENTIALS_RETRY: u64 = 60_000;
/// The shortest and longest wait that a worker may ask for, milliseconds.
const RETRY: std::ops::RangeInclusive<u64> = 100..=3_600_000;
/// What is said once is not said again within this, milliseconds: a hundred years.
const ONCE: u64 = 100 * 366 * 24 * 3_600_000;

/// What a chunk that changes a message has to go by.
enum Target {
    /// It changes none, or another is posted in its place.
    Post,
    /// The platform's id of the message.
    Message(String),
    /// That message is on its way.
    Waits,
    /// That message is not there, and nothing is to be done.
    Gone,
}

impl Engine {
    /// Hands out what the lane offers, as fast as the account may send.
    pub(super) fn hand_out(&mut self, lane: Lane, now: u64) -> Result<(), SpoolError> {
        let platform = self.plan.platforms.get(&lane.instance);
        let pace = platform.and_then(|platform| platform.pace);
        let Some(worker) = self
            .workers
            .get_mut(&lane.instance)
            .filter(|worker| worker.up)
        else {
            return Ok(());
        };
        let window = worker.capabilities.window.clamp(1, 64) as usize;
        let chunks = self.spool.lane(&lane.instance, &lane.address, window)?;
        let offer = offer(&chunks, &worker.in_flight, window, now);
        let mut due = offer.due;
        if offer.hand_out.is_empty() {
            worker.bucket.forget(&lane.address);
        }
        for index in offer.hand_out {
            let chunk = &chunks[index];
            let form = Form::read(&chunk.form);
            let edits = match target(&self.spool, &form)? {
                Target::Post => String::new(),
                Target::Message(id) => id,
                // Its landing has the lane looked at again.
                Target::Waits => break,
                Target::Gone => {
                    self.spool.delivered(&chunk.key, "", now)?;
                    self.dirty_lanes.insert(lane);
                    return Ok(());
                }
            };
            if let Some(pace) = pace
                && let Err(token) = worker.bucket.take(pace, &lane.address, now)
            {
                // Nothing behind it may go before it.
                due = Some(token);
                break;
            }
            self.spool.lease(&chunk.key, now)?;
            worker.in_flight.insert(chunk.key.clone());
            let mut deliver = deliver(chunk, form, now);
            deliver.edits = edits;
            let can = &worker.capabilities;
            deliver.card = deliver.card.filter(|_| can.embeds);
            if !can.buttons {
                deliver.controls.clear();
            }
            self.out.push(Out {
                peer: lane.instance.clone(),
                trace: chunk.trace.clone(),
                body: Body::Deliver(deliver),
            });
        }
        if let Some(due) = due {
            self.at(due, Timer::Lane(lane));
        }
        Ok(())
    }

    /// The platform has a chunk. Never stale: it counts whatever the chunk's state.
    pub(super) fn delivered(
        &mut self,
        peer: &str,
        done: Delivered,
        now: u64,
    ) -> Result<(), SpoolError> {
        let chunk = self.spool.chunk(&done.key)?;
        let Some(chunk) = chunk.filter(|chunk| chunk.instance == peer) else {
            return self.landed(peer, &done.key, None);
        };
        let new = self.spool.delivered(&done.key, &done.platform_id, now)?;
        if new && !chunk.form.is_empty() {
            let form = Form::read(&chunk.form);
            self.lacked(&chunk, &form, &done.lacks, now)?;
            if !form.turn.is_empty() {
                self.page_landed(&form.turn, &chunk.key, now)?;
            }
        }
        self.landed(peer, &done.key, Some(chunk))
    }

    /// A chunk stands, without something that could not be posted for want of a right.
    fn lacked(
        &mut self,
        chunk: &Chunk,
        form: &Form,
        lacks: &[Lack],
        now: u64,
    ) -> Result<(), SpoolError> {
        let place = Place {
            instance: &chunk.instance,
            address: &chunk.address,
            trace: &chunk.trace,
            ..Place::default()
        };
        for lack in lacks {
            let concerns = match lack {
                Lack::Cards => form.card.is_some(),
                Lack::Files => !form.files.is_empty(),
                _ => false,
            };
            if !concerns {
                continue;
            }
            if *lack == Lack::Cards {
                self.without_cards(&form.turn);
            }
            if *lack == Lack::Files && form.whole > 0 {
                self.rest_as_text(&place, form, now)?;
            }
            let what = format!("lacks {lack:?}");
            let (instance, address) = (place.instance, place.address);
            if self.spool.tell_once(instance, address, &what, ONCE, now)? {
                let lang = self.language_at(place.instance);
                self.notice(&place, &Text::Lacks(*lack), lang, now)?;
            }
        }
        Ok(())
    }

    /// An answer whose file could not be posted: what its first message has left out.
    fn rest_as_text(&mut self, place: &Place<'_>, form: &Form, now: u64) -> Result<(), SpoolError> {
        let Some(file) = form.files.first() else {
            return Ok(());
        };
        let size = usize::try_from(file.size).unwrap_or(usize::MAX);
        let Some((bytes, _)) = self.spool.read_blob(&file.sha256, 0, size)? else {
            return Ok(());
        };
        let capabilities = self.capabilities(place.instance);
        let text = String::from_utf8_lossy(&bytes);
        let rendered = render::render(&text, Dialect::from_name(&capabilities.dialect));
        let limit = Limit {
            max_chars: form.whole as usize,
            ..limit_of(&capabilities)
        };
        for chunk in cut(&rendered, limit).iter().skip(1) {
            let post = Post {
                text: chunk,
                rendered: true,
                ..Post::default()
            };
            self.publish(place, post, now)?;
        }
        Ok(())
    }

    /// The platform does not have it.
    pub(super) fn delivery_failed(
        &mut self,
        peer: &str,
        failed: DeliveryFailed,
        now: u64,
    ) -> Result<(), SpoolError> {
        let chunk = self.spool.chunk(&failed.key)?;
        let Some(chunk) = chunk.filter(|chunk| chunk.instance == peer) else {
            return self.landed(peer, &failed.key, None);
        };
        if chunk.state != ChunkState::Leased {
            return self.landed(peer, &failed.key, Some(chunk));
        }
        let wait = match failed.failure {
            _ if now > chunk.created_at + PATIENCE => None,
            Failure::Retry(ms) => Some(ms.clamp(*RETRY.start(), *RETRY.end())),
            Failure::Credentials => Some(CREDENTIALS_RETRY),
            Failure::Permanent | Failure::Ambiguous => None,
        };
        match wait {
            Some(ms) => {
                tracing::warn!(key = %failed.key, platform = %peer, why = %failed.why, retry_ms = ms, "a reply waits");
                self.spool.postpone(&failed.key, now + ms, &failed.why)?;
            }
            None => {
                let form = Form::read(&chunk.form);
                if form.passing {
                    tracing::debug!(key = %failed.key, platform = %peer, why = %failed.why, "progress is not shown");
                    self.spool.delivered(&failed.key, "", now)?;
                } else if form.private && failed.failure == Failure::Ambiguous {
                    // Most likely its reader has it. Tried again it would come twice, and later for
                    // everybody to see; parked, it would hold up what follows.
                    tracing::warn!(key = %failed.key, platform = %peer, why = %failed.why, "a private answer may be missing");
                    self.spool.delivered(&failed.key, "", now)?;
                } else {
                    self.park(&chunk, &failed, now)?;
                }
            }
        }
        self.landed(peer, &failed.key, Some(chunk))
    }

    /// Gives a reply up; an operator can see it and have it tried again.
    fn park(&mut self, chunk: &Chunk, failed: &DeliveryFailed, now: u64) -> Result<(), SpoolError> {
        let parked = self.spool.park_reply(&chunk.reply, &failed.why, now)?;
        tracing::error!(
            reply = %chunk.reply, platform = %chunk.instance, chunks = parked, why = %failed.why,
            "a reply is parked; `bulkhead queue list` shows it"
        );
        // The channel works: an earlier chunk went through, or this one may have.
        if chunk.position > 0 || failed.failure == Failure::Ambiguous {
            let place = Place {
                instance: &chunk.instance,
                address: &chunk.address,
                trace: &chunk.trace,
                ..Place::default()
            };
            let lang = self.language_at(&chunk.instance);
            self.notice(&place, &Text::PartFailed, lang, now)?;
        }
        Ok(())
    }

    /// The worker has said how a chunk fared: it may forget it, and the lane goes on.
    fn landed(&mut self, peer: &str, key: &str, chunk: Option<Chunk>) -> Result<(), SpoolError> {
        self.send(
            peer,
            "",
            Body::DeliveryKept(DeliveryKept {
                key: key.to_owned(),
            }),
        );
        if let Some(worker) = self.workers.get_mut(peer) {
            worker.in_flight.remove(key);
        }
        if let Some(chunk) = chunk {
            self.dirty_lanes.insert(Lane {
                instance: chunk.instance,
                address: chunk.address,
            });
        }
        Ok(())
    }

    /// An operator wants a parked reply tried again; how many chunks wait now.
    ///
    /// # Errors
    /// The spool's.
    pub fn requeue(&mut self, reply: &str, now: u64) -> Result<u64, SpoolError> {
        let chunks = self.spool.requeue(reply, now)?;
        // Looked at with the next batch, which a timer that is due makes at once.
        for (instance, _) in self.workers.iter().filter(|(_, worker)| worker.up) {
            for address in self.spool.lane_heads(instance)? {
                let lane = Lane {
                    instance: instance.clone(),
                    address,
                };
                self.timers
                    .entry(now)
                    .or_default()
                    .insert(Timer::Lane(lane));
            }
        }
        Ok(chunks)
    }
}

/// What a chunk of this form changes. The message was posted by an earlier chunk of the lane.
fn target(spool: &Spool, form: &Form) -> Result<Target, SpoolError> {
    if form.target.is_empty() {
        return Ok(Target::Post);
    }
    let gone = if form.or_post {
        Target::Post
    } else {
        Target::Gone
    };
    Ok(match spool.chunk(&form.target)? {
        Some(chunk) => match chunk.state {
            ChunkState::Delivered if !chunk.platform_id.is_empty() => {
                Target::Message(chunk.platform_id)
            }
            ChunkState::Delivered | ChunkState::Parked => gone,
            ChunkState::Pending | ChunkState::Leased => Target::Waits,
        },
        None => gone,
    })
}

fn deliver(chunk: &Chunk, form: Form, now: u64) -> Deliver {
    Deliver {
        key: chunk.key.clone(),
        reply: chunk.reply.clone(),
        index: chunk.position,
        count: chunk.count,
        address: chunk.address.clone(),
        text: chunk.text.clone(),
        reply_to: chunk.reply_to.clone(),
        age_ms: match chunk.leased_at {
            0 => 0,
            leased_at => now.saturating_sub(leased_at).max(1),
        },
        first_attempt_at_ms: chunk.leased_at,
        silent: form.silent,
        edits: String::new(),
        or_post: form.or_post,
        card: form.card,
        question: form.question,
        controls: form.controls,
        files: form.files,
        answers: form.answers,
        private: form.private,
    }
}
