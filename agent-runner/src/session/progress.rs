//! Progress of a turn, coalesced: what may be lost is told at most four times a second. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipc_schema::TurnEvent;

/// Between two tellings.
const PAUSE: Duration = Duration::from_millis(250);
/// How many tools and notes one telling may hold; the oldest give way.
const WAITING: usize = 8;

/// What waits to be shown.
#[derive(Debug, Default)]
pub(super) struct Progress {
    told: Option<Instant>,
    partial: Option<TurnEvent>,
    others: VecDeque<TurnEvent>,
}

impl Progress {
    /// Adds an event. Of text that grows only the newest state is kept.
    pub(super) fn push(&mut self, event: TurnEvent) {
        match event {
            TurnEvent::Partial { .. } => self.partial = Some(event),
            event if self.others.back() == Some(&event) => {}
            event => {
                if self.others.len() == WAITING {
                    self.others.pop_front();
                }
                self.others.push_back(event);
            }
        }
    }

    /// When [`Self::take`] gives something.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let waits = self.partial.is_some() || !self.others.is_empty();
        waits.then(|| self.told.map_or(now, |told| told + PAUSE))
    }

    /// Everything that waits and is not text that grows: it came before what is told next.
    pub(super) fn rest(&mut self) -> Vec<TurnEvent> {
        self.partial = None;
        self.others.drain(..).collect()
    }

    /// What is to be told now.
    pub(super) fn take(&mut self, now: Instant) -> Vec<TurnEvent> {
        if self.due(now).is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.told = Some(now);
        self.others.drain(..).chain(self.partial.take()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(text: &str) -> TurnEvent {
        TurnEvent::Partial { text: text.into() }
    }

    #[test]
    fn text_that_grows_is_told_four_times_a_second() {
        let start = Instant::now();
        let mut progress = Progress::default();
        let mut told = Vec::new();
        for ms in 0..1000 {
            progress.push(partial(&ms.to_string()));
            told.extend(progress.take(start + Duration::from_millis(ms)));
        }
        assert_eq!(told, ["0", "250", "500", "750"].map(partial));
        assert_eq!(
            progress.due(start),
            Some(start + Duration::from_millis(1000))
        );
    }

    #[test]
    fn what_waits_is_told_before_what_comes_next() {
        let start = Instant::now();
        let mut progress = Progress::default();
        progress.push(partial("a"));
        assert_eq!(progress.take(start), [partial("a")]);
        let tool = TurnEvent::Tool {
            name: "Bash".into(),
            input: "ls".into(),
        };
        progress.push(tool.clone());
        progress.push(partial("b"));
        assert_eq!(progress.take(start), []);
        assert_eq!(progress.rest(), [tool]);
        assert_eq!((progress.rest(), progress.due(start)), (vec![], None));
    }

    #[test]
    fn a_flood_of_tools_is_bounded() {
        let mut progress = Progress::default();
        for n in 0..100 {
            progress.push(TurnEvent::Note {
                text: n.to_string(),
            });
            progress.push(TurnEvent::Thinking {
                text: String::new(),
            });
            progress.push(TurnEvent::Thinking {
                text: String::new(),
            });
        }
        assert_eq!(progress.take(Instant::now()).len(), WAITING);
    }
}
