//! When to try again after a link ended. Pure.

use std::time::{Duration, Instant};

use ipc_schema::RefuseCode;

use crate::Backoff;

/// How one attempt at a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// No connection, or one that fell.
    Fell(String),
    /// The hub would not have us.
    Refused(RefuseCode, String),
    /// Nobody reads the events any more.
    Abandoned,
}

/// What next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Retry(Duration),
    Stop,
}

/// A restarted hub is to be found at once, so the first retries are fast and even the slowest is
/// cheap: a connection that fails on a local socket costs some microseconds. What was refused is
/// asked again slowly, since only a person or a restart mends it.
#[derive(Debug)]
pub(crate) struct Relink {
    fell: Backoff,
    refused: Backoff,
}

impl Relink {
    pub(crate) fn new() -> Relink {
        let stable = Duration::from_secs(5);
        Relink {
            fell: Backoff::new(
                Duration::from_millis(10),
                Duration::from_millis(500),
                stable,
            ),
            refused: Backoff::new(Duration::from_secs(5), Duration::from_secs(60), stable),
        }
    }

    pub(crate) fn up(&mut self, now: Instant) {
        self.fell.up(now);
        self.refused.up(now);
    }

    pub(crate) fn after(&mut self, ended: &Ended, now: Instant, chance: f64) -> Next {
        self.fell.down(now);
        self.refused.down(now);
        match ended {
            Ended::Abandoned | Ended::Refused(RefuseCode::Schema, _) => Next::Stop,
            Ended::Fell(_) | Ended::Refused(RefuseCode::Busy, _) => {
                Next::Retry(self.fell.next(chance))
            }
            Ended::Refused(..) => Next::Retry(self.refused.next(chance)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_after_a_fall_slow_after_a_refusal_never_after_a_schema_refusal() {
        let now = Instant::now();
        let mut relink = Relink::new();
        let fell = Ended::Fell(String::new());
        assert_eq!(
            relink.after(&fell, now, 1.0),
            Next::Retry(Duration::from_millis(20))
        );
        let slow = (0..20).map(|_| relink.after(&fell, now, 1.0)).last();
        assert_eq!(slow, Some(Next::Retry(Duration::from_millis(500))));
        let key = Ended::Refused(RefuseCode::Key, String::new());
        assert_eq!(
            relink.after(&key, now, 0.0),
            Next::Retry(Duration::from_secs(5))
        );
        let schema = Ended::Refused(RefuseCode::Schema, String::new());
        assert_eq!(relink.after(&schema, now, 0.0), Next::Stop);
        relink.up(now);
        let next = relink.after(&fell, now + Duration::from_secs(5), 1.0);
        assert_eq!(next, Next::Retry(Duration::from_millis(20)));
    }
}
