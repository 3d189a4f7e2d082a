//! What the server knows: keys, scripts, where turns stand, and the ledger.
//!
//! Promises: a turn is held at a point once, however often it is tried again; its script stays its own through retries and resumes.
//! Does not: decide what is said ([`crate::script`]) or how ([`crate::wire`]).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use fake_kit::{Ledger, Timeout};
use serde::Serialize;
use tokio::sync::watch;

use crate::asked::{Asked, Purpose};
use crate::script::{Point, Script, Trouble};

/// What was seen of a key. The key itself is kept nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// Neither `x-api-key` nor `authorization`.
    Missing,
    /// The one that [`FakeModel::expect_key`] named, or any if it named none.
    Good,
    /// Another one.
    Wrong,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A request of the Messages API came.
    Request {
        /// Counts requests from 0; later events name it.
        id: u64,
        /// What it asks.
        #[serde(flatten)]
        asked: Asked,
        /// The session that the command line says it is for.
        session: Option<String>,
        /// What was seen of a key.
        key: Key,
    },
    /// A request to count tokens came.
    CountTokens,
    /// A request came that is none of the API's, or a broken one.
    Refused {
        /// Its path.
        path: String,
        /// The status of the answer.
        status: u16,
    },
    /// The turn stands at a point until [`FakeModel::release`].
    Held {
        /// Which request.
        id: u64,
        /// Where.
        point: Point,
    },
    /// The request was answered to its end.
    Answered {
        /// Which request.
        id: u64,
        /// Status of the answer.
        status: u16,
    },
    /// The answer's connection ended before the answer did: the client left, or the script cut it.
    Cut {
        /// Which request.
        id: u64,
    },
}

pub(crate) struct Shared {
    pub(crate) ledger: Ledger<Event>,
    told: Mutex<Told>,
    /// Counts releases, so that what is held looks again.
    released: watch::Sender<u64>,
}

/// What tests have told the server, and what it must remember of turns.
#[derive(Default)]
pub(crate) struct Told {
    requests: u64,
    key: Option<String>,
    next: VecDeque<Script>,
    /// The scripts that turns have got from `next`.
    given: HashMap<u64, Script>,
    /// How often a turn has failed already.
    failed: HashMap<u64, u32>,
    /// Where turns have been held already.
    been: HashSet<(u64, Point)>,
    /// Requests that stand at a point.
    held: HashMap<u64, Point>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            ledger: Ledger::new(),
            told: Mutex::default(),
            released: watch::Sender::new(0),
        }
    }

    pub(crate) fn expect_key(&self, key: &str) {
        self.told().key = Some(key.to_owned());
    }

    pub(crate) fn next_turn(&self, script: Script) {
        self.told().next.push_back(script);
    }

    /// The number of a new request.
    pub(crate) fn count(&self) -> u64 {
        let mut told = self.told();
        told.requests += 1;
        told.requests - 1
    }

    // A test that panicked while it held the lock must not hide its own message behind a poisoned one.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn release(&self, point: Option<Point>) -> usize {
        let mut told = self.told();
        let before = told.held.len();
        told.held
            .retain(|_, at| point.is_some_and(|point| *at != point));
        let gone = before - told.held.len();
        self.released.send_modify(|count| *count += 1);
        gone
    }

    pub(crate) async fn held(&self, point: Point, deadline: Duration) -> Result<u64, Timeout> {
        let standing = |_: &[fake_kit::Entry<Event>]| {
            let told = self.told();
            told.held
                .iter()
                .find(|(_, at)| **at == point)
                .map(|(id, _)| *id)
        };
        self.ledger.wait_until(standing, deadline).await
    }

    pub(crate) fn key(&self, headers: &HeaderMap) -> Key {
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let key = headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok())
            .or(bearer);
        match (key, &self.told().key) {
            (None | Some(""), _) => Key::Missing,
            (Some(key), Some(expected)) if key != expected => Key::Wrong,
            (Some(_), _) => Key::Good,
        }
    }

    /// The script of a turn: the one it has been given, the next one told, or what its prompt says.
    pub(crate) fn script(&self, asked: &Asked) -> Script {
        if asked.purpose == Purpose::Side {
            return Script {
                said: asked.prompt.clone(),
                ..Script::default()
            };
        }
        let mut told = self.told();
        if !told.given.contains_key(&asked.turn)
            && let Some(mut next) = told.next.pop_front()
        {
            if next.said.is_empty() {
                next.said.clone_from(&asked.prompt);
            }
            told.given.insert(asked.turn, next);
        }
        let given = told.given.get(&asked.turn).cloned();
        given.unwrap_or_else(|| Script::parse(&asked.prompt))
    }

    /// The trouble that this request is to have.
    pub(crate) fn trouble(&self, turn: u64, script: &Script) -> Option<Trouble> {
        let (trouble, times) = script.trouble?;
        let mut told = self.told();
        let failed = told.failed.entry(turn).or_default();
        *failed += 1;
        (times.is_none_or(|times| *failed <= times)).then_some(trouble)
    }

    /// Stands still if the script wants it and the turn has not been here before.
    pub(crate) async fn pass(&self, id: u64, turn: u64, point: Point, script: &Script) {
        if !script.holds.contains(&point) {
            return;
        }
        let mut released = self.released.subscribe();
        {
            let mut told = self.told();
            if !told.been.insert((turn, point)) {
                return;
            }
            told.held.insert(id, point);
        }
        self.ledger.push(Event::Held { id, point });
        // The sender lives in `self`, so this cannot fail while we borrow it.
        let _ = released
            .wait_for(|_| !self.told().held.contains_key(&id))
            .await;
    }
}

/// Writes into the ledger how an answer ended, whichever way it did.
pub(crate) struct Ending {
    shared: Arc<Shared>,
    id: u64,
    done: bool,
}

impl Ending {
    pub(crate) fn new(shared: Arc<Shared>, id: u64) -> Self {
        let done = false;
        Self { shared, id, done }
    }

    /// The answer is out to its end.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let id = self.id;
        self.shared.told().held.remove(&id);
        self.shared.ledger.push(if self.done {
            Event::Answered { id, status: 200 }
        } else {
            Event::Cut { id }
        });
    }
}
