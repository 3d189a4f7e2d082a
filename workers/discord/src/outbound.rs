//! Chunks on their way to people.
//!
//! One lane a channel: a chunk that waits for a limit or is tried again stays before the next.
//! A chunk is posted with its key as nonce, so that a repeat within minutes is the same message;
//! one whose first attempt is older and may have succeeded is looked for before it is posted.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ipc_schema::{Deliver, Failure};
use serde::Deserialize;
use tracing::{debug, error, warn};
use worker_kit::{Backoff, Work};

use crate::bot::{Bot, lock};
use crate::lookup::{Found, Wanted};
use crate::rest::answer::{Post, post};
use crate::rest::calls::{self, Edge, PAGE};
use crate::rest::{NoAnswer, Once};
use crate::snowflake::Id;
use crate::typing::Typing;

/// From this age on a nonce may be forgotten, milliseconds.
const OLD_MS: u64 = 120_000;
/// The longest nonce.
const LONGEST_KEY: usize = 25;
/// The longest wait for a limit that stays in here; longer ones are the hub's to see.
const PATIENCE: Duration = Duration::from_secs(90);
/// Tries before the hub is told to come back, and when.
const TRIES: u32 = 5;
const COME_BACK_MS: u64 = 15_000;

type Lanes = Arc<Mutex<HashMap<String, VecDeque<(Deliver, Instant)>>>>;

/// What became of a chunk.
enum Outcome {
    Delivered(String),
    Failed(Failure, String),
    /// The worker ends; the hub hands it out again.
    Left,
}

/// Posts whatever the hub hands out, until it is dropped.
pub(crate) async fn run(bot: Arc<Bot>) {
    let lanes = Lanes::default();
    let typing = Arc::new(Typing::default());
    loop {
        match bot.hub.next().await {
            Work::Activity(activity) => typing.on(&bot, &activity),
            Work::Revise(_) => {}
            Work::Deliver { deliver, trace: _ } => {
                let address = deliver.address.clone();
                let mut all = lock(&lanes);
                if let Some(lane) = all.get_mut(&address) {
                    lane.push_back((deliver, Instant::now()));
                    continue;
                }
                all.insert(address.clone(), VecDeque::from([(deliver, Instant::now())]));
                drop(all);
                tokio::spawn(lane(
                    Arc::clone(&bot),
                    Arc::clone(&lanes),
                    Arc::clone(&typing),
                    address,
                ));
            }
        }
    }
}

/// Works one lane off. It exists as long as something is in it.
async fn lane(bot: Arc<Bot>, lanes: Lanes, typing: Arc<Typing>, address: String) {
    loop {
        let (deliver, received) = {
            let mut lanes = lock(&lanes);
            match lanes.get_mut(&address).and_then(VecDeque::pop_front) {
                Some(next) => next,
                None => {
                    lanes.remove(&address);
                    return;
                }
            }
        };
        match work_off(&bot, &deliver, received).await {
            Outcome::Delivered(id) => {
                let ms = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
                debug!(key = deliver.key, ms, "posted");
                typing.posted(&address);
                bot.hub.delivered(&deliver.key, &id);
            }
            Outcome::Failed(failure, why) => {
                warn!(
                    key = deliver.key,
                    channel = address,
                    "not posted ({failure:?}): {why}"
                );
                bot.hub.failed(&deliver.key, failure, &why);
            }
            Outcome::Left => {}
        }
    }
}

async fn work_off(bot: &Bot, deliver: &Deliver, received: Instant) -> Outcome {
    if deliver.key.len() > LONGEST_KEY || deliver.address.parse::<Id>().is_err() {
        error!(
            key = deliver.key,
            "a chunk whose key or address Discord cannot take; please report it"
        );
        return Outcome::Failed(
            Failure::Permanent,
            "its key or address is not of our making".into(),
        );
    }
    let mut backoff = Backoff::new(
        Duration::from_millis(200),
        Duration::from_secs(10),
        Duration::from_secs(60),
    );
    let mut refer = !deliver.reply_to.is_empty();
    // Whether an earlier attempt, here or in a process before, may have succeeded.
    let mut repeated = deliver.age_ms > 0;
    let mut looked = false;
    loop {
        let call = calls::post(deliver, refer);
        if let Err(wait) = bot.rest.place(&call.key, PATIENCE).await {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let why = format!("Discord's limits hold for another {} s", wait.as_secs());
            return Outcome::Failed(Failure::Retry(ms), why);
        }
        if bot.life.is_draining() {
            return Outcome::Left;
        }
        if repeated && !looked {
            if let Some(id) = lock(&bot.echoes).message(&deliver.key) {
                return Outcome::Delivered(id.to_string());
            }
            let waited = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
            if deliver.age_ms.saturating_add(waited) > OLD_MS {
                match look(bot, deliver, waited).await {
                    Ok(()) => {
                        // Absent: from here on it is a first attempt.
                        (looked, repeated) = (true, false);
                        continue;
                    }
                    Err(outcome) => return outcome,
                }
            }
        }
        let why = match bot.rest.once(&call).await {
            Once::Done(body) => {
                #[derive(Deserialize)]
                struct Posted {
                    id: Id,
                }
                let Ok(Posted { id }) = serde_json::from_slice(&body) else {
                    // It stands; only its id is not known.
                    return Outcome::Delivered(String::new());
                };
                lock(&bot.echoes).note(&deliver.key, id);
                return Outcome::Delivered(id.to_string());
            }
            Once::Limited => continue,
            Once::Unauthorized => {
                let why = "Discord refuses the bot token".to_owned();
                return Outcome::Failed(Failure::Credentials, why);
            }
            Once::Refused(refused) => match post(&refused, repeated, refer) {
                Post::Delivered => return Outcome::Delivered(String::new()),
                Post::WithoutReference => {
                    refer = false;
                    continue;
                }
                Post::Never(why) => return Outcome::Failed(Failure::Permanent, why),
                Post::OurFault(why) => {
                    error!(
                        key = deliver.key,
                        "{why}; this is a fault of the program, please report it"
                    );
                    return Outcome::Failed(Failure::Permanent, why);
                }
            },
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

/// Looks for the chunk in the channel; `Ok` if it is not there.
async fn look(bot: &Bot, deliver: &Deliver, waited_ms: u64) -> Result<(), Outcome> {
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
        text: &deliver.text,
        since_ms,
    };
    let mut edge = Edge::Newest;
    for nth in 0.. {
        let page = match bot.rest.history(&deliver.address, edge).await {
            Ok(page) => page,
            Err(NoAnswer::Unauthorized) => {
                return Err(Outcome::Failed(
                    Failure::Credentials,
                    "Discord refuses the bot token".into(),
                ));
            }
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
                return Err(Outcome::Delivered(id.to_string()));
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
