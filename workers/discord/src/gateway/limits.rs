//! What a connection may send, and how often one may be made. Pure.
//!
//! Source: Discord's "Gateway", rate limiting: 120 frames in 60 s on a connection, else it is
//! closed. Heartbeats in turn always have their slots; what is sent beside them has the rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window of both limits.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Frames within [`MINUTE`] on one connection.
const FRAMES: usize = 120;
/// Those of them that are left to heartbeats in turn; at Discord's interval there are two.
const RESERVED: usize = 20;
/// Connections within [`MINUTE`].
const CONNECTIONS: usize = 10;

/// Times within the last minute.
#[derive(Debug, Default)]
struct Lately(VecDeque<Instant>);

impl Lately {
    /// From when on there is room for another among so many.
    fn room(&mut self, most: usize, now: Instant) -> Instant {
        while self
            .0
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE)
        {
            self.0.pop_front();
        }
        let over = self.0.len().checked_sub(most);
        over.and_then(|nth| self.0.get(nth))
            .map_or(now, |at| *at + MINUTE)
    }
}

/// The frames of one connection.
#[derive(Debug, Default)]
pub(crate) struct Sends(Lately);

impl Sends {
    /// A frame goes.
    pub(crate) fn count(&mut self, now: Instant) {
        self.0.0.push_back(now);
    }

    /// From when on a heartbeat in turn may go.
    pub(crate) fn in_turn(&mut self, now: Instant) -> Instant {
        self.0.room(FRAMES, now)
    }

    /// Whether a frame out of turn may go.
    pub(crate) fn out_of_turn(&mut self, now: Instant) -> bool {
        self.0.room(FRAMES - RESERVED, now) <= now
    }
}

/// The connections that were made.
#[derive(Debug, Default)]
pub(crate) struct Connects(Lately);

impl Connects {
    /// One is made.
    pub(crate) fn count(&mut self, now: Instant) {
        self.0.0.push_back(now);
    }

    /// From when on another may be.
    pub(crate) fn next(&mut self, now: Instant) -> Instant {
        self.0.room(CONNECTIONS, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_in_turn_have_slots_of_their_own() {
        let now = Instant::now();
        let mut sends = Sends::default();
        let mut asked = 0;
        while sends.out_of_turn(now) {
            sends.count(now);
            asked += 1;
        }
        assert_eq!(asked, FRAMES - RESERVED);
        for _ in 0..RESERVED {
            assert_eq!(sends.in_turn(now), now);
            sends.count(now);
        }
        assert_eq!(sends.in_turn(now), now + MINUTE);
        assert!(sends.out_of_turn(now + MINUTE));
    }

    #[test]
    fn ten_connections_a_minute() {
        let start = Instant::now();
        let mut connects = Connects::default();
        let mut now = start;
        for _ in 0..30 {
            now = connects.next(now);
            connects.count(now);
        }
        assert_eq!(now, start + 2 * MINUTE);
    }
}
