//! The hub at work: one loop that handles what came in, commits, and only then speaks.
//!
//! Whatever has arrived while the last batch was being committed is the next batch, so commits are
//! shared by as many events as there are, and a lone event waits for nothing. If a commit fails the
//! hub says nothing and ends: its successor starts from what is on disk.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipc_schema::{Body, Cursor, Welcome};
use spool::{Keep, Spool, SpoolError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::control::{Answer, Ask};
use crate::engine::{Engine, Event, Out};
use crate::link::{FIRST_CREDIT, FromLink, Link};

/// The most events in one transaction.
const BATCH: usize = 512;
/// Old files that are removed at once.
const FILES: usize = 16;
/// How often old rows are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// What the loop listens to.
pub struct Inputs {
    /// Every link of every peer.
    pub links: mpsc::Receiver<(String, FromLink)>,
    /// The operator's questions.
    pub asks: mpsc::Receiver<(Ask, oneshot::Sender<Answer>)>,
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
    let mut links: HashMap<String, Link> = HashMap::new();
    let mut housekeeping = Instant::now();
    let keep = Keep {
        history_age_ms: engine.plan().spool_max_age_ms,
        ..Keep::default()
    };
    tokio::pin!(drained);
    loop {
        let wake = wake(&engine, housekeeping);
        let mut arrived = Vec::new();
        let mut idle = false;
        tokio::select! {
            biased;
            () = &mut drained => return Ok(()),
            Some((ask, reply)) = inputs.asks.recv() => {
                let answer = crate::control::answer(&mut engine, ask, now())?;
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
            events.extend(linked(&engine, &mut links, peer, what)?);
        }
        let out = engine.batch(events, at)?;
        speak(out, &mut engine, &mut links, at)?;
        if Instant::now() >= housekeeping {
            housekeeping = Instant::now() + tidy(engine.spool(), &keep, at, idle);
        }
        status(&words(&engine));
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

/// Removes what is old, a little at a time; how long until the next look.
fn tidy(spool: &Spool, keep: &Keep, at: u64, idle: bool) -> Duration {
    // A spool without room cannot be pruned now; it is tried again next time.
    let tidied = spool.prune(at, keep).and_then(|pruned| {
        spool.prune_blobs(at, keep.history_age_ms, FILES)?;
        if idle {
            spool.checkpoint()?;
        }
        Ok(pruned.more)
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
