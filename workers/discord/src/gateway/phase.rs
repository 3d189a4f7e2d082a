//! Where the session stands, and what it waits for there. Pure.

use std::time::{Duration, Instant};

/// What a connection is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Identify,
    Resume,
}

/// The heart of a connection.
#[derive(Debug)]
pub(super) struct Beat {
    pub(super) interval: Duration,
    pub(super) next: Instant,
    /// One was sent, and nothing has come since.
    pub(super) unanswered: bool,
}

/// Where the session stands.
#[derive(Debug)]
pub(super) enum Phase {
    Waiting {
        until: Instant,
    },
    Asking,
    Connecting {
        deadline: Instant,
        purpose: Purpose,
        own_host: bool,
    },
    AwaitingHello {
        deadline: Instant,
        purpose: Purpose,
        own_host: bool,
    },
    Greeting {
        deadline: Instant,
        purpose: Purpose,
        beat: Beat,
    },
    Live {
        beat: Beat,
    },
    Over,
}

impl Phase {
    /// When time alone changes something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Waiting { until } => Some(*until),
            Phase::Connecting { deadline, .. } | Phase::AwaitingHello { deadline, .. } => {
                Some(*deadline)
            }
            Phase::Greeting { deadline, beat, .. } => Some(beat.next.min(*deadline)),
            Phase::Live { beat } => Some(beat.next),
            Phase::Asking | Phase::Over => None,
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        matches!(
            self,
            Phase::AwaitingHello { .. } | Phase::Greeting { .. } | Phase::Live { .. }
        )
    }

    /// The heart, if it beats.
    pub(super) fn beat(&mut self) -> Option<&mut Beat> {
        match self {
            Phase::Greeting { beat, .. } | Phase::Live { beat } => Some(beat),
            _ => None,
        }
    }
}
