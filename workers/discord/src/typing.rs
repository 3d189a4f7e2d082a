//! "… is typing", for as long as somebody is worked for.
//!
//! Discord shows it for ten seconds or until a message is posted; it is said again every eight, and
//! not right after a post. Best effort: it never waits for a limit and never goes on for longer than
//! ten minutes without a repeat of what the hub said.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ipc_schema::Activity;
use tokio::sync::Notify;

use crate::bot::{Bot, lock};
use crate::rest::calls;
use crate::snowflake::Id;

const EVERY: Duration = Duration::from_secs(8);
const LONGEST: Duration = Duration::from_secs(600);
/// The longest wait for a limit.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most channels at a time.
const MOST: usize = 256;

#[derive(Debug)]
struct Place {
    turns: HashSet<String>,
    /// Not after this.
    until: Instant,
    /// Not before this.
    next: Instant,
}

/// Where it is shown.
#[derive(Debug, Default)]
pub(crate) struct Typing {
    places: Arc<Mutex<HashMap<String, Place>>>,
    /// Something may have to be shown earlier.
    sooner: Arc<Notify>,
}

impl Typing {
    /// The hub says that it is working, or no longer.
    pub(crate) fn on(&self, bot: &Arc<Bot>, activity: &Activity) {
        if self.note(activity, Instant::now()) {
            let places = Arc::clone(&self.places);
            let sooner = Arc::clone(&self.sooner);
            tokio::spawn(show(
                Arc::clone(bot),
                places,
                sooner,
                activity.address.clone(),
            ));
        } else {
            self.sooner.notify_waiters();
        }
    }

    /// Whether a channel is new in it.
    fn note(&self, activity: &Activity, now: Instant) -> bool {
        let mut places = lock(&self.places);
        let address = &activity.address;
        if !activity.working {
            if let Some(place) = places.get_mut(address) {
                place.turns.remove(&activity.turn);
            }
            return false;
        }
        if address.parse::<Id>().is_err() || places.len() >= MOST {
            return false;
        }
        let new = !places.contains_key(address);
        let place = places.entry(address.clone()).or_insert_with(|| Place {
            turns: HashSet::new(),
            until: now,
            next: now,
        });
        if place.turns.is_empty() {
            place.next = now;
        }
        place.turns.insert(activity.turn.clone());
        place.until = now + LONGEST;
        new
    }

    /// A message was posted there, which ends what Discord shows.
    pub(crate) fn posted(&self, address: &str) {
        if let Some(place) = lock(&self.places).get_mut(address) {
            place.next = Instant::now() + EVERY;
        }
    }
}

/// What to do for a channel now.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Type,
    Wait(Instant),
    End,
}

fn next(places: &mut HashMap<String, Place>, address: &str, now: Instant) -> Next {
    let Some(place) = places.get_mut(address) else {
        return Next::End;
    };
    if place.turns.is_empty() || place.until <= now {
        places.remove(address);
        return Next::End;
    }
    if place.next > now {
        return Next::Wait(place.next);
    }
    place.next = now + EVERY;
    Next::Type
}

async fn show(
    bot: Arc<Bot>,
    places: Arc<Mutex<HashMap<String, Place>>>,
    sooner: Arc<Notify>,
    address: String,
) {
    loop {
        let changed = sooner.notified();
        let next = next(&mut lock(&places), &address, Instant::now());
        match next {
            Next::End => return,
            Next::Wait(until) => tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = changed => {}
            },
            Next::Type if bot.life.is_draining() => return,
            Next::Type => {
                let call = calls::typing(&address);
                if bot.rest.place(&call.key, PATIENCE).await.is_ok() {
                    // Whatever comes of it: nobody waits for it.
                    bot.rest.once(&call).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(turn: &str, working: bool) -> Activity {
        Activity {
            address: "5".into(),
            turn: turn.into(),
            working,
        }
    }

    #[test]
    fn it_is_said_again_until_the_last_turn_is_over() {
        let typing = Typing::default();
        let start = Instant::now();
        let look = |at: Duration| next(&mut lock(&typing.places), "5", start + at);
        assert!(typing.note(&activity("a", true), start));
        assert!(!typing.note(&activity("b", true), start));
        assert_eq!(look(Duration::ZERO), Next::Type);
        assert_eq!(look(Duration::from_secs(1)), Next::Wait(start + EVERY));
        assert_eq!(look(EVERY), Next::Type);
        typing.note(&activity("a", false), start);
        assert_eq!(look(EVERY * 2), Next::Type);
        typing.note(&activity("b", false), start);
        assert_eq!(look(EVERY * 3), Next::End);
        assert!(lock(&typing.places).is_empty());
    }

    #[test]
    fn it_ends_by_itself_and_does_not_follow_a_post() {
        let typing = Typing::default();
        let start = Instant::now();
        typing.note(&activity("a", true), start);
        typing.posted("5");
        assert!(matches!(
            next(&mut lock(&typing.places), "5", start),
            Next::Wait(_)
        ));
        assert_eq!(
            next(&mut lock(&typing.places), "5", start + LONGEST),
            Next::End
        );
        let junk = Activity {
            address: "../x".into(),
            turn: String::new(),
            working: true,
        };
        assert!(!typing.note(&junk, start));
    }
}
