//! The tokens of running agents, by which the runner knows them on loopback.
//!
//! A token is random, made for one start of one agent, and ends with it, and with it ends what is
//! under way by it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What a token starts with: whoever finds one somewhere is to know what it is.
const PREFIX: &str = "bulkhead-session-";
/// Random bytes of a token.
const BYTES: usize = 32;

/// What an agent may have under way by its token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Requests at once.
    pub(crate) requests: usize,
    /// Connections.
    pub(crate) connections: usize,
}

/// The tokens of one runner's agents.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// By start.
    passes: Mutex<HashMap<u64, Pass>>,
    bounds: Bounds,
}

struct Pass {
    token: Vec<u8>,
    /// For requests.
    room: Arc<Semaphore>,
    /// For connections.
    places: Arc<Semaphore>,
    /// Dropped with the pass, which ends what it had under way.
    alive: watch::Sender<()>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").finish_non_exhaustive()
    }
}

/// Leave for one request.
#[derive(Debug)]
pub(crate) struct Leave {
    /// Whose it is.
    pub(crate) launch: u64,
    /// Fails to change once the token has ended.
    pub(crate) alive: watch::Receiver<()>,
    /// Counts the request until it is dropped.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoLeave {
    /// No agent has this token, or its agent is gone.
    Unknown,
    /// So many requests of this token are under way.
    Busy(usize),
    /// So many connections of this token stand.
    Crowded(usize),
}

/// A connection, counted to the agent whose token it was the first to show.
#[derive(Debug, Default)]
pub(crate) struct Place(Mutex<Option<OwnedSemaphorePermit>>);

impl Tokens {
    pub(crate) fn new(bounds: Bounds) -> Tokens {
        Tokens {
            passes: Mutex::default(),
            bounds,
        }
    }

    fn passes(&self) -> MutexGuard<'_, HashMap<u64, Pass>> {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn grant(&self, launch: u64) -> io::Result<SecretString> {
        let mut random = [0; BYTES];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let mut token = String::with_capacity(PREFIX.len() + 2 * BYTES);
        token.push_str(PREFIX);
        for byte in random {
            token.push_str(&format!("{byte:02x}"));
        }
        let pass = Pass {
            token: token.clone().into_bytes(),
            room: Arc::new(Semaphore::new(self.bounds.requests)),
            places: Arc::new(Semaphore::new(self.bounds.connections)),
            alive: watch::Sender::new(()),
        };
        self.passes().insert(launch, pass);
        Ok(token.into())
    }

    pub(crate) fn revoke(&self, launch: u64) {
        self.passes().remove(&launch);
    }

    pub(crate) fn revoke_all(&self) {
        self.passes().clear();
    }

    /// Leave for a request with this token on this connection. Takes as long whichever token it is like.
    pub(crate) fn leave(&self, token: &[u8], place: &Place) -> Result<Leave, NoLeave> {
        let passes = self.passes();
        let mut found = None;
        for (launch, pass) in passes.iter() {
            if bool::from(pass.token.ct_eq(token)) {
                found = Some((*launch, pass));
            }
        }
        let (launch, pass) = found.ok_or(NoLeave::Unknown)?;
        let mut place = place.0.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            let taken = Arc::clone(&pass.places).try_acquire_owned();
            let crowded = |_| NoLeave::Crowded(self.bounds.connections);
            *place = Some(taken.map_err(crowded)?);
        }
        let permit = Arc::clone(&pass.room).try_acquire_owned();
        Ok(Leave {
            launch,
            alive: pass.alive.subscribe(),
            _permit: permit.map_err(|_| NoLeave::Busy(self.bounds.requests))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn tokens(requests: usize, connections: usize) -> Tokens {
        Tokens::new(Bounds {
            requests,
            connections,
        })
    }

    #[test]
    fn a_token_holds_for_its_own_start_and_so_long() {
        let tokens = tokens(2, 9);
        let place = Place::default();
        let (one, other) = (tokens.grant(1).unwrap(), tokens.grant(2).unwrap());
        let (one, other) = (one.expose_secret(), other.expose_secret());
        assert_ne!(one, other);
        let first = tokens.leave(one.as_bytes(), &place).unwrap();
        assert!(first.alive.has_changed().is_ok());
        assert_eq!(first.launch, 1);
        let _second = tokens.leave(one.as_bytes(), &place).unwrap();
        assert_eq!(
            tokens.leave(one.as_bytes(), &place).unwrap_err(),
            NoLeave::Busy(2)
        );
        assert!(tokens.leave(other.as_bytes(), &place).is_ok());
        tokens.revoke(1);
        assert!(first.alive.has_changed().is_err(), "what ran is to end");
        assert_eq!(
            tokens.leave(one.as_bytes(), &place).unwrap_err(),
            NoLeave::Unknown
        );
        for wrong in ["", PREFIX, &one[..one.len() - 1], &format!("{other}0")] {
            assert_eq!(
                tokens.leave(wrong.as_bytes(), &place).unwrap_err(),
                NoLeave::Unknown
            );
        }
        assert!(!format!("{tokens:?}").contains(&other[PREFIX.len()..]));
    }

    #[test]
    fn connections_are_counted_to_whose_token_they_showed_first() {
        let tokens = tokens(9, 1);
        let (one, other) = (tokens.grant(1).unwrap(), tokens.grant(2).unwrap());
        let leave = |token: &SecretString, place: &Place| {
            tokens.leave(token.expose_secret().as_bytes(), place)
        };
        let (first, second) = (Place::default(), Place::default());
        assert!(leave(&one, &first).is_ok() && leave(&one, &first).is_ok());
        assert_eq!(leave(&one, &second).unwrap_err(), NoLeave::Crowded(1));
        assert!(leave(&other, &second).is_ok());
        drop(first);
        assert!(leave(&one, &Place::default()).is_ok());
    }
}
