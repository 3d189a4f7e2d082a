//! The hub at work: one loop that handles what came in, commits, and only then speaks.
//!
//! Whatever has arrived while the last batch was being committed is the next batch, so commits are
//! shared by as many events as there are, and a lone event waits for nothing. If a commit fails the
//! hub says nothing and ends: its successor starts from what is on disk.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipc_schema::{Body, Cursor, Welcome};
use spool::{Keep, Spool, SpoolError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control::{Answer, Asked};
use crate::engine::{Engine, Event, Out};
use crate::link::{FIRST_CREDIT, FromLink, Link};

/// The most events in one transaction.
const BATCH: usize = 512;
/// Old files that are removed at once.
const FILES: usize = 16;
/// How often old rows are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// What is younger stays even where there is little room, milliseconds.
const YOUNG: u64 = 3_600_000;
/// How long the last words of a hub that ends on an error may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the loop listens to.
pub struct Inputs {
    /// Every link of every peer.
    pub links: mpsc::Receiver<(String, FromLink)>,
    /// The operator's questions.
    pub asks: mpsc::Receiver<Asked>,
}

/// Runs until `drained` resolves.
///
/// # Errors
/// The spool's: nothing was said of what is not on disk.
pub async fn serve(
    mut engine: Engine,
    mut inputs: Inputs,
    drained: impl Future<Output = ()>,
    status: impl Fn(&str),
) -> Result<(), SpoolError> {
    let mut links = HashMap::new();
    let outcome = work(&mut engine, &mut inputs, &mut links, drained, status).await;
    if outcome.is_err() {
        part(links, &mut inputs.links).await;
    }
    outcome
}

/// Lets the peers have what was said to them, within [`GOODBYE`].
async fn part(links: HashMap<String, Link>, reports: &mut mpsc::Receiver<(String, FromLink)>) {
    let mut open = links.len();
    drop(links);
    let closing = async {
        while open > 0
            && let Some((_, what)) = reports.recv().await
        {
            open -= usize::from(matches!(what, FromLink::Down { .. }));
        }
    };
    let _ = tokio::time::timeout(GOODBYE, closing).await;
}

async fn work(
    engine: &mut Engine,
    inputs: &mut Inputs,
    links: &mut HashMap<String, Link>,
    drained: impl Future<Output = ()>,
    status: impl Fn(&str),
) -> Result<(), SpoolError> {
    let mut housekeeping = Instant::now();
    let mut tidying = Tidying::new(engine.plan().spool_max_age_ms);
    tokio::pin!(drained);
    loop {
        let wake = wake(engine, housekeeping);
        let mut arrived = Vec::new();
        let mut idle = false;
        tokio::select! {
            biased;
            () = &mut drained => return Ok(()),
            Some((ask, reply)) = inputs.asks.recv() => {
                let answer = match crate::control::answer(engine, ask, now()) {
                    Err(error) if error.is_full() => Answer::Error {
                        why: error.to_string(),
                    },
                    answer => answer?,
                };
                // Whoever asked may have gone.
                let _ = reply.send(answer);
            }
            Some(first) = inputs.links.recv() => {
                arrived.push(first);
                while arrived.len() < BATCH && let Ok(more) = inputs.links.try_recv() {
                    arrived.push(more);
                }
            }
            () = tokio::time::sleep_until(wake) => idle = true,
        }
        let at = now();
        let mut events = Vec::with_capacity(arrived.len());
        for (peer, what) in arrived {
            events.extend(linked(engine, links, peer, what)?);
        }
        let out = engine.batch(events, at)?;
        speak(out, engine, links, at)?;
        if Instant::now() >= housekeeping {
            housekeeping = Instant::now() + tidying.tidy(engine.spool(), at, idle);
        }
        status(&words(engine));
    }
}

/// The hub's line in `status`.
fn words(engine: &Engine) -> String {
    let links = engine.links();
    let down: Vec<&str> = links
        .iter()
        .filter(|(_, up)| !**up)
        .map(|(peer, _)| &**peer)
        .collect();
    match down.as_slice() {
        [] => format!("{} links up", links.len()),
        down => format!(
            "{} of {} links up; waiting for {}",
            links.len() - down.len(),
            links.len(),
            down.join(", ")
        ),
    }
}

/// Removes what is old, a little at a time.
struct Tidying {
    /// How old history becomes where there is room, milliseconds.
    most: u64,
    /// How old it becomes now.
    keep: Keep,
}

impl Tidying {
    fn new(history_age_ms: u64) -> Tidying {
        let keep = Keep {
            history_age_ms,
            ..Keep::default()
        };
        Tidying {
            most: history_age_ms,
            keep,
        }
    }

    /// A round; how long until the next.
    fn tidy(&mut self, spool: &Spool, at: u64, idle: bool) -> Duration {
        // A spool without room cannot be pruned now; it is tried again next time.
        let tidied = spool.prune(at, &self.keep).and_then(|pruned| {
            spool.prune_blobs(at, self.keep.history_age_ms, FILES)?;
            if idle {
                spool.checkpoint()?;
            }
            Ok(pruned.more || self.squeeze(spool.is_crowded()?))
        });
        match tidied {
            Ok(true) => HOUSEKEEPING / 100,
            Ok(false) => HOUSEKEEPING,
            Err(error) => {
                tracing::warn!(%error, "old rows stay for now");
                HOUSEKEEPING
            }
        }
    }

    /// Everything of the age that history may have is gone. Where that leaves too little room, it may
    /// become half as old, else again as old as at first. Whether there is more to remove now.
    fn squeeze(&mut self, crowded: bool) -> bool {
        let shorter = (self.keep.history_age_ms / 2).max(YOUNG.min(self.most));
        let age = if crowded { shorter } else { self.most };
        if age < self.keep.history_age_ms {
            tracing::warn!(
                hours = age / 3_600_000,
                "the spool is nearly full: history is kept for less time"
            );
        }
        let more = age < self.keep.history_age_ms;
        self.keep.history_age_ms = age;
        more
    }
}

/// Says what the batch allows; a peer that does not read is cut off.
fn speak(
    mut out: Vec<Out>,
    engine: &mut Engine,
    links: &mut HashMap<String, Link>,
    at: u64,
) -> Result<(), SpoolError> {
    while !out.is_empty() {
        let mut cut = Vec::new();
        for Out { peer, trace, body } in out {
            let Some(link) = links.get(&peer) else {
                continue;
            };
            if let Err(full) = link.send(trace, body) {
                tracing::warn!(%peer, %full, "link cut");
                links.remove(&peer);
                cut.push(Event::Down { peer });
            }
        }
        // To lose a link says nothing by itself, so this ends.
        out = if cut.is_empty() {
            Vec::new()
        } else {
            engine.batch(cut, at)?
        };
    }
    Ok(())
}

/// Keeps the table of links; what the engine is to hear of it.
fn linked(
    engine: &Engine,
    links: &mut HashMap<String, Link>,
    peer: String,
    what: FromLink,
) -> Result<Option<Event>, SpoolError> {
    let current = |number| {
        links
            .get(&peer)
            .is_some_and(|link: &Link| link.number == number)
    };
    Ok(match what {
        FromLink::Up {
            link,
            hello,
            schema,
        } => {
            tracing::info!(
                peer = %peer, software = %hello.software, generation = hello.generation, "link up"
            );
            let cursors = engine.spool().cursors(&peer)?;
            let cursors = cursors
                .into_iter()
                .map(|(name, value)| Cursor { name, value })
                .collect();
            let welcome = Welcome {
                schema,
                credit: FIRST_CREDIT.frames,
                cursors,
                commands: engine.menu(&peer),
            };
            // The queue is new, so it has room.
            let _ = link.send(String::new(), Body::Welcome(welcome));
            links.insert(peer.clone(), link);
            Some(Event::Up {
                peer,
                capabilities: hello.capabilities,
            })
        }
        FromLink::Got { number, envelope } if current(number) => {
            let envelope = *envelope;
            Some(Event::Got {
                peer,
                id: envelope.id,
                trace: envelope.trace,
                body: envelope.body,
            })
        }
        FromLink::Down { number } if current(number) => {
            links.remove(&peer);
            Some(Event::Down { peer })
        }
        // A link that was replaced.
        FromLink::Got { .. } | FromLink::Down { .. } => None,
    })
}

fn wake(engine: &Engine, housekeeping: Instant) -> Instant {
    let due = engine
        .next_wake()
        .map(|due| Instant::now() + Duration::from_millis(due.saturating_sub(now())));
    due.map_or(housekeeping, |due| due.min(housekeeping))
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says so by failing")]
mod tests {
    use super::*;
    use spool::{Turn, TurnState};

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    /// A turn that was over so long before `at`.
    fn over(spool: &Spool, id: &str, at: u64, age: u64) {
        let turn = Turn {
            id: id.into(),
            prompt: "x".repeat(20_000),
            changed_at: at - age,
            ..ended()
        };
        spool.add_turn(&turn).unwrap();
    }

    fn ended() -> Turn {
        Turn {
            id: String::new(),
            number: 0,
            project: "p".into(),
            session: "s".into(),
            instance: "w".into(),
            address: "a".into(),
            reply_to: String::new(),
            asker: "ann".into(),
            language: "en".into(),
            prompt: String::new(),
            prompt_id: String::new(),
            trace: String::new(),
            state: TurnState::Ended,
            attempt: 1,
            updates: 0,
            queued_at: 0,
            changed_at: 0,
            event_id: String::new(),
            said: String::new(),
        }
    }

    /// The largest bound under which only the reserve is left.
    fn crowd(spool: &Spool) {
        let bound = (100..100_000).rev().find(|pages| {
            spool.limit_size(pages * 4096).unwrap();
            spool.is_crowded().unwrap()
        });
        bound.unwrap();
    }

    #[test]
    fn a_crowded_spool_gives_up_history_the_oldest_first_and_no_more_than_it_must() {
        let spool = Spool::in_memory().unwrap();
        let at = 1000 * DAY;
        for n in 0..200 {
            over(&spool, &format!("t{n}"), at, 20 * DAY - n * 2 * HOUR);
        }
        let mut tidying = Tidying::new(30 * DAY);
        assert_eq!(tidying.tidy(&spool, at, false), HOUSEKEEPING);
        assert!(spool.turn("t0").unwrap().is_some());
        crowd(&spool);
        // Each round ends at its bound of rows, or makes the age shorter.
        for _ in 0..30 {
            tidying.tidy(&spool, at, false);
        }
        assert!(!spool.is_crowded().unwrap());
        assert!(spool.turn("t0").unwrap().is_none());
        assert!(
            spool.turn("t199").unwrap().is_some(),
            "there is room for it"
        );
        assert_eq!(tidying.keep.history_age_ms, 30 * DAY);
    }

    #[test]
    fn what_is_young_stays_and_nobody_hurries_for_nothing() {
        let spool = Spool::in_memory().unwrap();
        let at = 1000 * DAY;
        for n in 0..200 {
            over(&spool, &format!("t{n}"), at, HOUR / 2);
        }
        crowd(&spool);
        let mut tidying = Tidying::new(30 * DAY);
        for _ in 0..30 {
            tidying.tidy(&spool, at, false);
        }
        assert!(spool.turn("t0").unwrap().is_some());
        assert_eq!(tidying.tidy(&spool, at, false), HOUSEKEEPING);
    }
}
