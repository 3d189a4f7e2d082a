//! The way out: texts become chunks, lanes hand them out, results come back.

use ipc_schema::{Body, Deliver, Delivered, DeliveryFailed, DeliveryKept, Failure};
use render::{Dialect, Limit};
use spool::{Chunk, ChunkState, SpoolError, Turn};

use super::{Engine, Lane, Timer};
use crate::lane::offer;
use crate::texts::{Lang, Text, say};

/// Where a text goes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) instance: &'a str,
    pub(super) address: &'a str,
    pub(super) reply_to: &'a str,
    pub(super) trace: &'a str,
    /// The event that the text answers, where the platform has a way to answer one.
    pub(super) answers: &'a str,
    /// Only whoever did `answers` should see it.
    pub(super) private: bool,
}

impl<'a> From<&'a Turn> for Place<'a> {
    fn from(turn: &'a Turn) -> Place<'a> {
        Place {
            instance: &turn.instance,
            address: &turn.address,
            reply_to: &turn.reply_to,
            trace: &turn.trace,
            ..Place::default()
        }
    }
}

/// A text in the outbox.
pub(super) struct Posted {
    reply: String,
    /// How many chunks it became.
    pub(super) count: usize,
}

impl Posted {
    /// The key of its last chunk.
    pub(super) fn last_chunk(&self) -> String {
        format!("{}-{}", self.reply, self.count.saturating_sub(1))
    }
}

/// A chunk that a platform has refused for so long is given up, milliseconds.
const PATIENCE: u64 = 24 * 3_600_000;
/// The limit of a worker that never said one, in code points.
const TEXT_LIMIT: u32 = 2000;
/// How long everything waits when a platform refuses the credentials, milliseconds.
const CREDENTIALS_RETRY: u64 = 60_000;
/// The shortest and longest wait that a worker may ask for, milliseconds.
const RETRY: std::ops::RangeInclusive<u64> = 100..=3_600_000;

impl Engine {
    /// Puts one text into the outbox.
    pub(super) fn post(
        &mut self,
        place: &Place<'_>,
        text: &str,
        now: u64,
    ) -> Result<Posted, SpoolError> {
        let capabilities = self
            .workers
            .get(place.instance)
            .map(|w| w.capabilities.clone())
            .unwrap_or_default();
        let limit = match capabilities.text_limit {
            0 => TEXT_LIMIT,
            limit => limit,
        };
        let limit = Limit {
            max_chars: limit as usize,
            joined: capabilities.joins_chunks,
        };
        let rendered = render::render(text, Dialect::from_name(&capabilities.dialect));
        let chunks = render::chunk(&rendered, limit).chunks;
        let reply = self.ids.short();
        let count = chunks.len();
        for (position, chunk) in chunks.into_iter().enumerate() {
            self.spool.add_chunk(&Chunk {
                key: format!("{reply}-{position}"),
                number: 0,
                reply: reply.clone(),
                position: position as u32,
                count: count as u32,
                instance: place.instance.to_owned(),
                address: place.address.to_owned(),
                text: chunk.text,
                reply_to: if position == 0 {
                    place.reply_to.to_owned()
                } else {
                    String::new()
                },
                trace: place.trace.to_owned(),
                state: ChunkState::Pending,
                leased_at: 0,
                not_before: 0,
                retries: 0,
                platform_id: String::new(),
                why: String::new(),
                created_at: now,
            })?;
        }
        self.dirty_lanes.insert(Lane {
            instance: place.instance.to_owned(),
            address: place.address.to_owned(),
        });
        Ok(Posted { reply, count })
    }

    /// Says one of the catalogue's texts.
    pub(super) fn notice(
        &mut self,
        place: &Place<'_>,
        text: &Text<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        self.post(place, &say(text, lang), now).map(drop)
    }

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
            if let Some(pace) = pace
                && let Err(token) = worker.bucket.take(pace, &lane.address, now)
            {
                // Nothing behind it may go before it.
                due = Some(token);
                break;
            }
            self.spool.lease(&chunk.key, now)?;
            worker.in_flight.insert(chunk.key.clone());
            let age_ms = if chunk.leased_at == 0 {
                0
            } else {
                now.saturating_sub(chunk.leased_at).max(1)
            };
            self.out.push(super::Out {
                peer: lane.instance.clone(),
                trace: chunk.trace.clone(),
                body: Body::Deliver(Deliver {
                    key: chunk.key.clone(),
                    reply: chunk.reply.clone(),
                    index: chunk.position,
                    count: chunk.count,
                    address: chunk.address.clone(),
                    text: chunk.text.clone(),
                    reply_to: chunk.reply_to.clone(),
                    age_ms,
                    first_attempt_at_ms: chunk.leased_at,
                    ..Deliver::default()
                }),
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
        if self.is_of(peer, &done.key)? {
            self.spool.delivered(&done.key, &done.platform_id, now)?;
        }
        self.landed(peer, &done.key)
    }

    /// The platform does not have it.
    pub(super) fn delivery_failed(
        &mut self,
        peer: &str,
        failed: DeliveryFailed,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(chunk) = self.spool.chunk(&failed.key)? else {
            return self.landed(peer, &failed.key);
        };
        if chunk.state != ChunkState::Leased || chunk.instance != peer {
            return self.landed(peer, &failed.key);
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
                let parked = self.spool.park_reply(&chunk.reply, &failed.why, now)?;
                tracing::error!(
                    reply = %chunk.reply, platform = %peer, chunks = parked, why = %failed.why,
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
            }
        }
        self.landed(peer, &failed.key)
    }

    /// Whether a chunk is this worker's to speak of.
    fn is_of(&self, peer: &str, key: &str) -> Result<bool, SpoolError> {
        let chunk = self.spool.chunk(key)?;
        Ok(chunk.is_some_and(|chunk| chunk.instance == peer))
    }

    /// The worker has said how a chunk fared: it may forget it, and the lane goes on.
    fn landed(&mut self, peer: &str, key: &str) -> Result<(), SpoolError> {
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
        if let Some(chunk) = self.spool.chunk(key)? {
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

    /// The language of an account where no person is at hand.
    pub(super) fn language_at(&self, instance: &str) -> Lang {
        let platform = self
            .workers
            .get(instance)
            .map(|w| w.capabilities.language.as_str())
            .unwrap_or("");
        crate::prompt::language(self.fixed_language(instance), platform, "")
    }

    /// What the operator fixed, for the account or for all; may be empty.
    pub(super) fn fixed_language(&self, instance: &str) -> &str {
        let account = self
            .plan
            .platforms
            .get(instance)
            .map_or("", |p| p.language.as_str());
        if account.is_empty() {
            &self.plan.language
        } else {
            account
        }
    }
}
