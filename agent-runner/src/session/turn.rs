//! What a running turn of either kind has: its limits, and why it is being ended.

use std::time::{Duration, Instant};

use ipc_schema::{Fault, Outcome, TurnRef};

use super::progress::Progress;
use super::{Cx, Effect};
use crate::options::Options;

/// From the interrupt to SIGINT.
const NUDGE_AFTER: Duration = Duration::from_millis(500);
/// From the interrupt to the kill: a person who says stop waits a second at most.
const KILL_AFTER: Duration = Duration::from_millis(800);

/// Why a turn is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A person, or the hub, wants it.
    Asked,
    /// It ran into a limit of so many minutes.
    Limit(u64),
}

impl Stop {
    /// How the turn then ends.
    pub fn outcome(self) -> Outcome {
        match self {
            Stop::Asked => Outcome::Stopped,
            Stop::Limit(minutes) => Outcome::Failed {
                fault: Fault::TimedOut { minutes },
            },
        }
    }
}

/// The clock of a turn.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    heard: Instant,
    stopping: Option<(Stop, Instant)>,
    nudged: bool,
    killed: bool,
    progress: Progress,
}

impl Clock {
    /// Of a turn that begins now.
    pub fn new(now: Instant) -> Clock {
        Clock {
            began: now,
            heard: now,
            stopping: None,
            nudged: false,
            killed: false,
            progress: Progress::default(),
        }
    }

    /// It has waited for room for a process, which counts for no limit: of a turn that has not run
    /// yet, all of its time so far; of one that has, its silence.
    pub fn waited(&mut self, now: Instant) {
        if self.heard == self.began {
            self.began = now;
        }
        self.heard = now;
    }

    /// The agent gave a sign of life.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Why it is being ended, if it is.
    pub fn stopping(&self) -> Option<Stop> {
        self.stopping.map(|(stop, _)| stop)
    }

    /// It is to end. `false` = that was known.
    pub fn stop(&mut self, stop: Stop, now: Instant) -> bool {
        let new = self.stopping.is_none();
        if new {
            self.stopping = Some((stop, now));
        }
        new
    }

    /// Something to show.
    pub fn show(&mut self, at: &TurnRef, event: ipc_schema::TurnEvent, cx: &mut Cx<'_>) {
        self.progress.push(event);
        self.shows(at, cx);
    }

    /// Tells what is due of what was to be shown.
    pub fn shows(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        for event in self.progress.take(cx.now) {
            cx.tell(|board, say| board.show(at, event, say));
        }
    }

    /// Tells what was to be shown before what comes next.
    pub fn shows_rest(&mut self, at: &TurnRef, cx: &mut Cx<'_>) {
        for event in self.progress.rest() {
            cx.tell(|board, say| board.show(at, event, say));
        }
    }

    /// The limit that it has run into. `patient` = it waits for a person and may be silent.
    pub fn limit(&self, now: Instant, patient: bool, options: &Options) -> Option<Stop> {
        let over = |limit: Option<Duration>, since: Instant| {
            limit
                .filter(|limit| now >= since + *limit)
                .map(|l| Stop::Limit(l.as_secs() / 60))
        };
        over(options.turn_time(), self.began)
            .or_else(|| over(options.turn_idle().filter(|_| !patient), self.heard))
    }

    /// What a process needs that does not heed an interrupt.
    pub fn escalate(&mut self, launch: u64, cx: &mut Cx<'_>) {
        let Some((_, since)) = self.stopping else {
            return;
        };
        if cx.now >= since + KILL_AFTER && !self.killed {
            self.killed = true;
            cx.does(Effect::Kill { launch });
        } else if cx.now >= since + NUDGE_AFTER && !self.nudged {
            self.nudged = true;
            cx.does(Effect::Nudge { launch });
        }
    }

    /// When one of the above has something to do. `runs` = [`Self::escalate`] is called.
    pub fn deadline(
        &self,
        now: Instant,
        runs: bool,
        patient: bool,
        options: &Options,
    ) -> Option<Instant> {
        let escalation = self.stopping.filter(|_| runs).and_then(|(_, since)| {
            match (self.nudged, self.killed) {
                (_, true) => None,
                (true, false) => Some(since + KILL_AFTER),
                (false, false) => Some(since + NUDGE_AFTER),
            }
        });
        let free = self.stopping.is_none();
        let time = options
            .turn_time()
            .filter(|_| free)
            .map(|limit| self.began + limit);
        let idle = options
            .turn_idle()
            .filter(|_| free && !patient)
            .map(|limit| self.heard + limit);
        [escalation, time, idle, self.progress.due(now)]
            .into_iter()
            .flatten()
            .min()
    }
}
