//! Chunks on their way to people.
//!
//! One lane a channel: a chunk that waits for a limit or is tried again stays before the next.
//! A chunk is posted with its key as nonce, so that a repeat within minutes is the same message;
//! one whose first attempt is older and may have succeeded is looked for before it is posted.
//! A change of a message may be repeated as it is. What shows progress is changed only while
//! nothing else waits in its lane, and given up when the limits do not allow it soon.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipc_schema::{Deliver, Delivered, Failure, Lack, Revise};
use tracing::{debug, error, warn};
use worker_kit::Work;

use crate::bot::{Bot, lock};
use crate::form;
use crate::interactions;
use crate::post::{self, Outcome};
use crate::rest::{Once, writes};
use crate::snowflake::Id;
use crate::typing::Typing;

/// The longest nonce.
const LONGEST_KEY: usize = 25;
/// How long a change that shows progress waits for the limits.
const REVISION: Duration = Duration::from_secs(10);
/// Between two looks whether something else has come meanwhile.
const LOOK: Duration = Duration::from_millis(200);
/// Messages of a lane that are to be changed.
const REVISIONS: usize = 8;

#[derive(Default)]
struct Lane {
    chunks: VecDeque<(Deliver, Instant)>,
    /// The newest form of each message that shows progress.
    revisions: VecDeque<(Revise, Instant)>,
}

type Lanes = Arc<Mutex<HashMap<String, Lane>>>;

/// Posts whatever the hub hands out, until it is dropped.
pub(crate) async fn run(bot: Arc<Bot>) {
    let lanes = Lanes::default();
    let typing = Arc::new(Typing::default());
    loop {
        let address = match bot.hub.next().await {
            Work::Activity(activity) => {
                typing.on(&bot, &activity);
                continue;
            }
            Work::Deliver { deliver, trace: _ } => {
                let address = deliver.address.clone();
                let mut all = lock(&lanes);
                let new = !all.contains_key(&address);
                let lane = all.entry(address.clone()).or_default();
                // Whatever was to be shown of a message that is now closed is over.
                lane.revisions
                    .retain(|(revise, _)| revise.platform_id != deliver.edits);
                lane.chunks.push_back((deliver, Instant::now()));
                new.then_some(address)
            }
            Work::Revise(revise) => {
                let address = revise.address.clone();
                let mut all = lock(&lanes);
                let new = !all.contains_key(&address);
                let lane = all.entry(address.clone()).or_default();
                lane.revisions
                    .retain(|(old, _)| old.platform_id != revise.platform_id);
                if lane.revisions.len() == REVISIONS {
                    lane.revisions.pop_front();
                }
                lane.revisions.push_back((revise, Instant::now()));
                new.then_some(address)
            }
        };
        if let Some(address) = address {
            tokio::spawn(lane(
                Arc::clone(&bot),
                Arc::clone(&lanes),
                Arc::clone(&typing),
                address,
            ));
        }
    }
}

/// What a lane has to do.
enum Next {
    Chunk(Box<Deliver>, Instant),
    Revision(Revise, Instant),
}

/// Works one lane off. It exists as long as something is in it.
async fn lane(bot: Arc<Bot>, lanes: Lanes, typing: Arc<Typing>, address: String) {
    loop {
        let next = {
            let mut lanes = lock(&lanes);
            let Some(lane) = lanes.get_mut(&address) else {
                return;
            };
            if let Some((deliver, received)) = lane.chunks.pop_front() {
                Next::Chunk(Box::new(deliver), received)
            } else if let Some((revise, since)) = lane.revisions.pop_front() {
                Next::Revision(revise, since)
            } else {
                lanes.remove(&address);
                return;
            }
        };
        match next {
            Next::Chunk(deliver, received) => {
                chunk(&bot, &typing, &deliver, received).await;
            }
            Next::Revision(revise, since) => {
                let overtaken = || {
                    let lanes = lock(&lanes);
                    let lane = lanes.get(&address);
                    lane.is_some_and(|lane| {
                        let newer =
                            |(new, _): &(Revise, Instant)| new.platform_id == revise.platform_id;
                        !lane.chunks.is_empty() || lane.revisions.iter().any(newer)
                    })
                };
                revision(&bot, &revise, since, overtaken).await;
            }
        }
    }
}

async fn chunk(bot: &Bot, typing: &Typing, deliver: &Deliver, received: Instant) {
    match work_off(bot, deliver, received).await {
        Outcome::Delivered { id, lacks } => {
            let ms = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
            debug!(key = deliver.key, ms, "posted");
            typing.posted(&deliver.address);
            if lacks.contains(&Lack::Cards) {
                lock(&bot.cardless).note(&deliver.address, Instant::now());
            }
            bot.hub.report(Delivered {
                key: deliver.key.clone(),
                platform_id: id,
                lacks,
            });
        }
        Outcome::Failed(failure, why) => {
            let channel = &deliver.address;
            warn!(key = deliver.key, %channel, "not posted ({failure:?}): {why}");
            bot.hub.failed(&deliver.key, failure, &why);
        }
        Outcome::Left => {}
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
    let message = post::Message::of(bot, deliver).await;
    if !deliver.answers.is_empty()
        && let Some(outcome) = interactions::answer(bot, deliver, &message).await
    {
        return outcome;
    }
    if !deliver.edits.is_empty() {
        match post::edit(bot, deliver, &message).await {
            Some(outcome) => return outcome,
            None if deliver.or_post => {}
            // Nothing is lost with it.
            None => return Outcome::done(String::new()),
        }
    }
    post::post(bot, deliver, message, received).await
}

/// Changes a message that shows progress, if that can be done soon.
async fn revision(bot: &Bot, revise: &Revise, since: Instant, overtaken: impl Fn() -> bool) {
    let plain = lock(&bot.cardless).contains(&revise.address, Instant::now());
    let card = revise.card.as_ref().filter(|_| !plain);
    let body = form::visible(&revise.text, card, "");
    let call = writes::edit(&revise.address, &revise.platform_id, body);
    loop {
        if overtaken() || bot.life.is_draining() || since.elapsed() > REVISION {
            return;
        }
        let Err(wait) = bot.rest.spare_place(&call) else {
            break;
        };
        tokio::time::sleep(wait.min(LOOK)).await;
    }
    if let Once::Refused(refused) = bot.rest.once(&call).await {
        debug!(code = refused.code, "progress is not shown");
    }
}
