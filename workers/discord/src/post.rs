//! One message, posted or changed: tried until it stands, or until it is certain that it will not.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipc_schema::{Card, Deliver, Failure, Lack};
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, error};
use worker_kit::Backoff;

use crate::bot::{Bot, lock};
use crate::form;
use crate::lookup::{Found, Shows, Wanted};
use crate::rest::calls::{Edge, PAGE};
use crate::rest::refusal::{self, Post};
use crate::rest::send::Upload;
use crate::rest::writes::{self, Body};
use crate::rest::{NoAnswer, Once};
use crate::snowflake::Id;

/// From this age on a nonce may be forgotten, milliseconds.
const OLD_MS: u64 = 120_000;
/// The longest wait for a limit that stays in here; longer ones are the hub's to see.
const PATIENCE: Duration = Duration::from_secs(90);
/// Tries before the hub is told to come back, and when.
const TRIES: u32 = 5;
const COME_BACK_MS: u64 = 15_000;
/// The largest file and the largest sum of a message's files, bytes; the most of them.
pub(crate) const LARGEST: u64 = 10 << 20;
const SUM: u64 = 25 << 20;
const FILES: usize = 10;
/// How long a file may take from the hub.
const FETCH: Duration = Duration::from_secs(60);

/// What became of a chunk.
pub(crate) enum Outcome {
    Delivered {
        id: String,
        lacks: Vec<Lack>,
    },
    Failed(Failure, String),
    /// The worker ends; the hub hands it out again.
    Left,
}

impl Outcome {
    /// It stands.
    pub(crate) fn done(id: String) -> Outcome {
        Outcome::Delivered {
            id,
            lacks: Vec::new(),
        }
    }

    fn bad_token() -> Outcome {
        let why = "Discord refuses the bot token".to_owned();
        Outcome::Failed(Failure::Credentials, why)
    }
}

/// A chunk as it is going to look.
pub(crate) struct Message<'a> {
    text: &'a str,
    card: Option<&'a Card>,
    rows: Vec<serde_json::Value>,
    pub(crate) files: Vec<Upload>,
    /// What is missing of it, for its reader.
    note: String,
    lacks: Vec<Lack>,
}

impl<'a> Message<'a> {
    /// Fetches what goes with it.
    pub(crate) async fn of(bot: &Bot, deliver: &'a Deliver) -> Message<'a> {
        let plain = lock(&bot.cardless).contains(&deliver.address, Instant::now());
        let card = deliver.card.as_ref();
        let card = card.filter(|card| !plain && !form::is_blank(card));
        let (rows, left_out) = form::rows(&deliver.question, &deliver.controls);
        if left_out > 0 {
            error!(
                key = deliver.key,
                left_out, "controls that Discord has no room for; please report it"
            );
        }
        let (mut files, mut missing, mut sum) = (Vec::new(), Vec::new(), 0);
        for blob in &deliver.files {
            if files.len() == FILES || sum + blob.size > SUM {
                missing.push(format!("{}: too much for one message", blob.name));
                continue;
            }
            match tokio::time::timeout(FETCH, bot.hub.fetch(blob, LARGEST)).await {
                Ok(Ok(bytes)) => {
                    sum += blob.size;
                    files.push(Upload {
                        name: blob.name.clone(),
                        mime: blob.mime.clone(),
                        bytes: bytes.into(),
                    });
                }
                Ok(Err(why)) => missing.push(format!("{}: {why}", blob.name)),
                Err(_) => missing.push(format!("{}: it did not come in time", blob.name)),
            }
        }
        let note = match missing.is_empty() {
            true => String::new(),
            false => format!("⚠️ {}", missing.join("; ")),
        };
        Message {
            text: &deliver.text,
            card,
            rows,
            files,
            note,
            lacks: Vec::new(),
        }
    }

    /// As Discord takes it. What is not there is named empty, so that a change takes it away.
    pub(crate) fn body(&self) -> Body {
        let mut body = form::visible(self.text, self.card, &self.note);
        body.insert("components".into(), self.rows.clone().into());
        let files = self.files.iter().enumerate();
        let named = files.map(|(n, file)| json!({"id": n, "filename": file.name}));
        // Named only where there are some: a change would take the others away.
        if !self.files.is_empty() {
            body.insert("attachments".into(), named.collect());
        }
        body
    }

    /// What it will show.
    fn shows(&self) -> Shows {
        let body = form::visible(self.text, self.card, &self.note);
        Shows::of(&body, &self.files)
    }

    /// Does without what wants a right that the bot lacks; false if nothing is left to do without.
    fn plainer(&mut self) -> bool {
        if self.card.take().is_some() {
            self.lacks.push(Lack::Cards);
            return true;
        }
        if !self.files.is_empty() {
            self.files.clear();
            self.lacks.push(Lack::Files);
            return true;
        }
        false
    }

    fn delivered(&self, id: String) -> Outcome {
        Outcome::Delivered {
            id,
            lacks: self.lacks.clone(),
        }
    }
}

fn backoff() -> Backoff {
    Backoff::new(
        Duration::from_millis(200),
        Duration::from_secs(10),
        Duration::from_secs(60),
    )
}

#[derive(Deserialize)]
struct Posted {
    id: Id,
}

/// The message's id, as Discord answers with it; empty where it does not.
pub(crate) fn posted(body: &[u8]) -> Option<Id> {
    serde_json::from_slice::<Posted>(body).ok().map(|it| it.id)
}

/// Posts it, once.
pub(crate) async fn post(
    bot: &Bot,
    deliver: &Deliver,
    mut message: Message<'_>,
    received: Instant,
) -> Outcome {
    let mut backoff = backoff();
    let mut refer = !deliver.reply_to.is_empty();
    // Whether an earlier attempt, here or in a process before, may have succeeded.
    let mut repeated = deliver.age_ms > 0;
    let mut looked = false;
    loop {
        let call = writes::post(
            &deliver.address,
            message.body(),
            &deliver.key,
            refer.then_some(deliver.reply_to.as_str()),
            deliver.silent,
        );
        if let Err(wait) = bot.rest.place(&call.key, PATIENCE).await {
            return later(wait);
        }
        if bot.life.is_draining() {
            return Outcome::Left;
        }
        if repeated && !looked {
            if let Some(id) = lock(&bot.echoes).message(&deliver.key) {
                return message.delivered(id.to_string());
            }
            let waited = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
            if deliver.age_ms.saturating_add(waited) > OLD_MS {
                match look(bot, deliver, &message.shows(), waited).await {
                    Ok(()) => {
                        // Absent: from here on it is a first attempt.
                        (looked, repeated) = (true, false);
                        continue;
                    }
                    Err(outcome) => return outcome,
                }
            }
        }
        let why = match bot.rest.with_files(&call, &message.files).await {
            Once::Done(body) => {
                let id = posted(&body);
                if let Some(id) = id {
                    lock(&bot.echoes).note(&deliver.key, id);
                }
                // Without one it stands all the same; only its id is not known.
                return message.delivered(id.map(|id| id.to_string()).unwrap_or_default());
            }
            Once::Limited => continue,
            Once::Unauthorized => return Outcome::bad_token(),
            Once::Refused(refused) => {
                let too_large = refusal::is_too_large(&refused) && !message.files.is_empty();
                if refusal::wants_a_right(&refused, message.card.is_some()) && message.plainer() {
                    continue;
                }
                if too_large {
                    message.files.clear();
                    message.note = "⚠️ the files are too large for this server".to_owned();
                    continue;
                }
                match refusal::post(&refused, repeated, refer) {
                    Post::Delivered => return message.delivered(String::new()),
                    Post::WithoutReference => {
                        refer = false;
                        continue;
                    }
                    Post::Never(why) => return Outcome::Failed(Failure::Permanent, why),
                    Post::OurFault(why) => return our_fault(deliver, why),
                }
            }
            Once::Trouble { why, sent } => {
                repeated |= sent;
                looked &= !sent;
                why
            }
        };
        let wait = backoff.next(fastrand::f64());
        if backoff.tries() >= TRIES {
            return Outcome::Failed(Failure::Retry(COME_BACK_MS), why);
        }
        debug!(key = deliver.key, "trying again: {why}");
        tokio::time::sleep(wait).await;
    }
}

/// Changes the message that stands; `None` if it cannot be changed any more. To do it twice is to do
/// it once.
pub(crate) async fn edit(bot: &Bot, deliver: &Deliver, message: &Message<'_>) -> Option<Outcome> {
    let mut backoff = backoff();
    let mut body = message.body();
    let mut lacks = Vec::new();
    loop {
        let call = writes::edit(&deliver.address, &deliver.edits, body.clone());
        if let Err(wait) = bot.rest.place(&call.key, PATIENCE).await {
            return Some(later(wait));
        }
        if bot.life.is_draining() {
            return Some(Outcome::Left);
        }
        let why = match bot.rest.with_files(&call, &message.files).await {
            Once::Done(_) => {
                let id = deliver.edits.clone();
                return Some(Outcome::Delivered { id, lacks });
            }
            Once::Limited => continue,
            Once::Unauthorized => return Some(Outcome::bad_token()),
            Once::Refused(refused) => {
                if refusal::wants_a_right(&refused, message.card.is_some())
                    && message.card.is_some()
                    && !lacks.contains(&Lack::Cards)
                {
                    lacks.push(Lack::Cards);
                    body = form::visible(message.text, None, &message.note);
                    body.insert("components".into(), message.rows.clone().into());
                    continue;
                }
                if refusal::is_our_fault(&refused) {
                    return Some(our_fault(deliver, refusal::our_fault(&refused)));
                }
                debug!(
                    key = deliver.key,
                    code = refused.code,
                    past = refusal::is_past_changing(&refused),
                    "a message cannot be changed"
                );
                return None;
            }
            Once::Trouble { why, .. } => why,
        };
        let wait = backoff.next(fastrand::f64());
        if backoff.tries() >= TRIES {
            return Some(Outcome::Failed(Failure::Retry(COME_BACK_MS), why));
        }
        tokio::time::sleep(wait).await;
    }
}

fn later(wait: Duration) -> Outcome {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let why = format!("Discord's limits hold for another {} s", wait.as_secs());
    Outcome::Failed(Failure::Retry(ms), why)
}

fn our_fault(deliver: &Deliver, why: String) -> Outcome {
    error!(
        key = deliver.key,
        "{why}; this is a fault of the program, please report it"
    );
    Outcome::Failed(Failure::Permanent, why)
}

/// Looks for the chunk in the channel; `Ok` if it is not there.
async fn look(bot: &Bot, deliver: &Deliver, shows: &Shows, waited_ms: u64) -> Result<(), Outcome> {
    // Handed out for the first time: nothing older than that can be it.
    let since_ms = match deliver.first_attempt_at_ms {
        0 => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default().as_millis();
            u64::try_from(now)
                .unwrap_or(u64::MAX)
                .saturating_sub(waited_ms)
        }
        first => first,
    };
    let wanted = Wanted {
        me: bot.me,
        nonce: &deliver.key,
        shows,
        since_ms,
    };
    let mut edge = Edge::Newest;
    for nth in 0.. {
        let page = match bot.rest.history(&deliver.address, edge).await {
            Ok(page) => page,
            Err(NoAnswer::Unauthorized) => return Err(Outcome::bad_token()),
            Err(NoAnswer::Refused(refused)) => {
                let why = format!(
                    "it may stand already, and the channel cannot be read (HTTP {}, code {})",
                    refused.status, refused.code
                );
                return Err(Outcome::Failed(Failure::Ambiguous, why));
            }
            Err(NoAnswer::Trouble(why)) => {
                return Err(Outcome::Failed(Failure::Retry(COME_BACK_MS), why));
            }
        };
        let taken = |id: Id| lock(&bot.echoes).is_another(id, &deliver.key);
        match wanted.search(&page, nth, page.len() >= PAGE, taken) {
            Found::Here(id) => {
                lock(&bot.echoes).note(&deliver.key, id);
                return Err(Outcome::done(id.to_string()));
            }
            Found::Absent => return Ok(()),
            Found::Further(before) => edge = Edge::Before(before),
            Found::Unknown => break,
        }
    }
    let why = "it may stand already, and the channel's history does not tell (give the bot Read \
               Message History there)";
    Err(Outcome::Failed(Failure::Ambiguous, why.into()))
}
