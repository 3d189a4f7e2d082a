//! Replies and files, from the hub to people.

use std::time::Instant;

use ipc_schema::{Deliver, Failure, Lack};
use secrecy::SecretString;
use tracing::{debug, warn};
use worker_kit::Work;

use super::{Worker, clock, unix_ms};
use crate::frame::SendMessage;
use crate::outbox::{Chunk, Delivered, Job};
use crate::send_file::{self, Unsent};

/// When a chunk that was handed back at the end may be handed out again.
const HANDED_BACK: Failure = Failure::Retry(1_000);
const ENDING: &str = "the worker is ending";

/// What came of sending a file.
pub(super) struct Sent {
    job: Job,
    /// What it was sent with.
    token: SecretString,
    outcome: Result<String, Unsent>,
}

impl Worker {
    pub(super) fn work(&mut self, work: Work) {
        let Work::Deliver { deliver, trace } = work else {
            return; // Weibo shows no typing, and changes no message
        };
        if self.life.is_draining() {
            return self.hub.failed(&deliver.key, HANDED_BACK, ENDING);
        }
        let Deliver {
            key,
            reply,
            index,
            count,
            address,
            text,
            files,
            ..
        } = deliver;
        debug!(key, trace, "a chunk to send");
        let chunk = Chunk {
            key,
            reply,
            last: index.saturating_add(1) >= count,
            text,
            files,
        };
        self.outbox.push(&address, chunk);
    }

    /// What is to go on the wire now.
    pub(super) fn frames(&mut self, pings: u64, now: Instant) -> Vec<SendMessage> {
        let mut frames = std::mem::take(&mut self.closing);
        frames.extend(self.outbox.close_idle(now, self.timing.bubble));
        let rng = &mut self.rng;
        let owner = self.session.uid();
        let (written, over) = self.outbox.write(pings, owner, || message_id(rng));
        frames.extend(written);
        over.into_iter().for_each(|chunk| self.delivered(chunk));
        frames
    }

    pub(super) fn pong(&mut self, now: Instant) {
        if let Some(ping) = self.session.pong() {
            let confirmed = self.outbox.confirmed(ping, now);
            confirmed
                .into_iter()
                .for_each(|chunk| self.delivered(chunk));
        }
        let uid = self.session.uid().unwrap_or("unknown");
        self.life.status(&format!(
            "connected as uid {uid}, last sign of life at {} UTC",
            clock()
        ));
    }

    fn delivered(&self, chunk: Delivered) {
        let lacks = if chunk.without_files {
            warn!("a file was left out: Weibo takes files for the account's owner only");
            vec![Lack::Files]
        } else {
            Vec::new()
        };
        self.hub.report(ipc_schema::Delivered {
            key: chunk.key,
            platform_id: chunk.message_id,
            lacks,
        });
    }

    /// Begins to send the next file, if there is one. Only while connected: without a connection the
    /// tries would be used up.
    pub(super) fn send_file(&mut self, now: Instant) {
        let (Some(token), Some(endpoint)) = (
            self.session.bearer().cloned(),
            send_file::endpoint(&self.options.token_endpoint),
        ) else {
            return;
        };
        let Some(job) = self.outbox.next_file(now) else {
            return;
        };
        debug!(key = job.key, bytes = job.file.size, "a file to send");
        let (client, hub, veil) = (self.client.clone(), self.hub.clone(), self.veil.clone());
        self.sending.spawn(async move {
            let file = &job.file;
            let outcome = send_file::send(&client, endpoint, &token, file, &hub, &veil).await;
            Sent {
                job,
                token,
                outcome,
            }
        });
    }

    /// Takes what came of a file. `None` = its task broke, which is a fault of this program's and
    /// has ended it already.
    pub(super) fn sent(&mut self, sent: Option<Sent>) {
        let now = Instant::now();
        let Some(Sent {
            job,
            token,
            outcome,
        }) = sent
        else {
            return;
        };
        let (why, again) = match outcome {
            Ok(message_id) => {
                self.file_backoff = self.timing.file_backoff();
                if let Some(chunk) = self.outbox.posted(&job, &message_id) {
                    self.delivered(chunk);
                }
                return;
            }
            Err(Unsent::Transient(why)) => (why, true),
            Err(Unsent::Token(why)) => {
                self.session.token_refused(&token, now);
                (why, true)
            }
            Err(Unsent::Permanent(why)) => (why, false),
        };
        let wait = self.file_backoff.next(self.rng.f64());
        let again = again && self.outbox.not_posted(&job, wait, now);
        let next = if again { "trying again" } else { "given up" };
        warn!(key = job.key, "a file was not sent ({next}): {why}");
        if !again {
            self.outbox.give_up(&job);
            let why = format!("a file was not sent: {why}");
            self.hub.failed(&job.key, Failure::Permanent, &why);
        }
    }

    /// Whether a drain is to wait: something may still be written, be confirmed, or be sent.
    pub(super) fn has_in_hand(&self) -> bool {
        self.session.is_open() && (!self.outbox.is_written() || self.outbox.has_files())
    }

    /// Gives back what was never written.
    pub(super) fn hand_back(&mut self) {
        for key in self.outbox.hand_back() {
            self.hub.failed(&key, HANDED_BACK, ENDING);
        }
    }
}

/// A name for a message.
pub(super) fn message_id(rng: &mut fastrand::Rng) -> String {
    format!("msg_{}_{:08x}", unix_ms(), rng.u32(..))
}
