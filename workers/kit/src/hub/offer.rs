//! An event on its way to the hub, as the worker sees it.

use std::time::Duration;

use ipc_schema::{Inbound, MAX_TEXT};
use tokio::sync::watch;

const LONGEST_CONVERSATION: usize = 128;

/// The hub cannot take the event, now or later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hub cannot take this event: {0}")]
pub struct Unusable(pub String);

/// What the hub said to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is committed.
    Accepted,
    /// It is not; it is kept here and offered again. Whoever wrote it may be told that it takes
    /// longer.
    Deferred {
        /// When it is offered again.
        retry_after: Duration,
        /// In words, for the log.
        why: String,
    },
    /// It never will be.
    Unusable(Unusable),
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Open,
    Deferred {
        times: u64,
        retry_after: Duration,
        why: String,
    },
    Accepted,
    Unusable(Unusable),
}

/// An event that was taken. Dropping this does not take it back.
#[derive(Debug, Clone)]
pub struct Offer {
    state: watch::Receiver<State>,
    seen: u64,
}

impl Offer {
    pub(super) fn new(state: watch::Receiver<State>) -> Offer {
        Offer { state, seen: 0 }
    }

    pub(super) fn unusable(why: Unusable) -> Offer {
        Offer::new(watch::channel(State::Unusable(why)).1)
    }

    /// Waits for the next answer. A deferred event has more than one; the last is kept for ever.
    pub async fn answer(&mut self) -> Answer {
        loop {
            match &*self.state.borrow_and_update() {
                State::Accepted => return Answer::Accepted,
                State::Unusable(why) => return Answer::Unusable(why.clone()),
                State::Deferred {
                    times,
                    retry_after,
                    why,
                } if *times > self.seen => {
                    self.seen = *times;
                    return Answer::Deferred {
                        retry_after: *retry_after,
                        why: why.clone(),
                    };
                }
                State::Open | State::Deferred { .. } => {}
            }
            if self.state.changed().await.is_err() {
                return Answer::Unusable(Unusable("the worker is ending".into()));
            }
        }
    }

    /// Waits until it is Accepted.
    ///
    /// # Errors
    /// [`Unusable`].
    pub async fn accepted(mut self) -> Result<(), Unusable> {
        loop {
            match self.answer().await {
                Answer::Accepted => return Ok(()),
                Answer::Deferred { .. } => {}
                Answer::Unusable(why) => return Err(why),
            }
        }
    }
}

/// Whether the hub can take it, as far as its size goes.
pub(super) fn usable(inbound: &Inbound) -> Result<(), Unusable> {
    let wrong = if inbound.event_id.is_empty() {
        "it has no id".into()
    } else if inbound.conversation.len() > LONGEST_CONVERSATION {
        format!("its conversation's name has more than {LONGEST_CONVERSATION} bytes")
    } else if inbound.text.len() > MAX_TEXT {
        format!("its text has more than {MAX_TEXT} bytes")
    } else {
        return Ok(());
    };
    Err(Unusable(wrong))
}
