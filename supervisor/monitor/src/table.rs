//! The restart table: the life of one process as (state, event, now) → (state, action).
//!
//! ```text
//! Stopped → Starting → Ready → (Backoff → Starting)* | Draining → Stopped | Held
//! ```
//!
//! Pure: time is the duration since the monitor started, chance is an argument. It promises that
//! - what may heal by itself is tried for ever, at a bounded pace (exponential, full jitter);
//! - what cannot heal by itself ([`Held`]) starts only when somebody asks;
//! - every wait ends: each state that waits for a process has a deadline, and SIGKILL behind it;
//! - a generation is a birth, and numbers only grow.
//!
//! It does not know pids, sockets or other processes; `tree` performs what it decides.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A point in time: the duration since the monitor started.
pub type Now = Duration;

/// How long to wait for another SIGKILL to have an effect.
const KILL_AGAIN: Duration = Duration::from_secs(5);

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No process, and none wanted (yet).
    Stopped,
    /// Born, not ready.
    Starting {
        /// Its birth.
        since: Now,
    },
    /// At work.
    Ready {
        /// When it said so.
        since: Now,
        /// Its last sign of life.
        beat: Now,
    },
    /// Dead, to be started again.
    Backoff {
        /// When.
        until: Now,
    },
    /// Told to end, or ending by itself.
    Draining {
        /// When SIGKILL is due.
        kill_at: Now,
        /// How many SIGKILLs it has had.
        kills: u32,
        /// What follows its death.
        then: Then,
    },
    /// Dead, and starting it again would not help.
    Held(Held),
}

/// What follows the death of a draining process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: it was told to stop.
    Stop,
    /// Another start: it was told to restart.
    Start,
    /// Whatever its exit code says: nobody asked it to end.
    Judge,
}

/// Why a process is not started again: the three exit codes of sysexits that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// 78 (EX_CONFIG).
    Config,
    /// 77 (EX_NOPERM).
    Credentials,
    /// 76 (EX_PROTOCOL).
    Schema,
}

/// What a dead process says last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it; 0: one without a name.
    Signal(i32),
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is its turn in the start order.
    Start,
    /// It could not be born.
    Unborn,
    /// READY=1.
    Ready,
    /// WATCHDOG=1.
    Beat,
    /// STOPPING=1.
    Stopping,
    /// It died.
    Died(Death),
    /// Time passed.
    Tick,
    /// The monitor itself had not been running for this long.
    Woke(Duration),
    /// The operator, or a changed configuration, wants it started anew.
    Restart,
    /// It is to end, in its own time.
    Stop,
    /// It is to end at once.
    Kill,
}

/// What to do about it. No event needs more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the program as this generation.
    Birth(u64),
    /// SIGTERM.
    Term,
    /// SIGABRT.
    Abort,
    /// SIGKILL, to the process and its group.
    Kill,
}

/// The durations of one process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Birth to READY=1.
    pub ready: Duration,
    /// SIGTERM to SIGKILL.
    pub drain: Duration,
    /// The longest silence of a ready process, if it has a watchdog.
    pub silence: Option<Duration>,
    /// SIGABRT to SIGKILL.
    pub abort: Duration,
    /// The shortest backoff.
    pub backoff_min: Duration,
    /// The longest backoff.
    pub backoff_max: Duration,
    /// Ready this long, a process has recovered.
    pub steady: Duration,
    /// The window of the alarm.
    pub alarm_window: Duration,
    /// Deaths within the window that raise it.
    pub alarm_deaths: usize,
}

/// A process' state and what it remembers of its past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Where it is.
    pub state: State,
    /// Births so far.
    pub generation: u64,
    /// Unasked deaths since it was last steady.
    pub failures: u32,
    /// The last unasked deaths, for the alarm.
    deaths: VecDeque<Now>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            state: State::Stopped,
            generation: 0,
            failures: 0,
            deaths: VecDeque::new(),
        }
    }
}

impl Life {
    /// The table. `jitter` is uniform over all `u32`.
    pub fn step(
        mut self,
        event: Event,
        now: Now,
        limits: &Limits,
        jitter: u32,
    ) -> (Self, Option<Action>) {
        use Event::*;
        use State::{Backoff, Draining, Held, Starting, Stopped};
        use Then::Judge;

        self.recover(now, limits);
        let drain = |then| Draining {
            kill_at: now + limits.drain,
            kills: 0,
            then,
        };

        #[rustfmt::skip]
        let (state, action) = match (self.state, event) {
            (Stopped, Start) => self.birth(now),
            (Stopped | Backoff { .. } | Held(_), Stop | Kill) => (Stopped, None),

            (Starting { .. }, Ready) => (State::Ready { since: now, beat: now }, None),
            (Starting { .. }, Unborn) => self.back_off(now, limits, jitter),
            (Starting { since }, Tick) if now >= since + limits.ready => (drain(Judge), Some(Action::Term)),
            (Starting { since }, Woke(gap)) => (Starting { since: since + gap }, None),

            (State::Ready { since, .. }, Beat | Woke(_)) => (State::Ready { since, beat: now }, None),
            (State::Ready { beat, .. }, Tick) if limits.silence.is_some_and(|most| now >= beat + most) =>
                (Draining { kill_at: now + limits.abort, kills: 0, then: Judge }, Some(Action::Abort)),

            (Starting { .. } | State::Ready { .. }, Stopping) => (drain(Judge), None),
            (Starting { .. } | State::Ready { .. }, Died(death)) => self.judge(death, now, limits, jitter),
            (Starting { .. } | State::Ready { .. }, Stop) => (drain(Then::Stop), Some(Action::Term)),
            (Starting { .. } | State::Ready { .. }, Restart) => (drain(Then::Start), Some(Action::Term)),

            (Backoff { until }, Tick) if now >= until => self.birth(now),
            (Backoff { .. } | Held(_), Restart) => { self.failures = 0; self.birth(now) }

            (Draining { then: Then::Stop, .. }, Died(_)) => (Stopped, None),
            (Draining { then: Then::Start, .. }, Died(_)) => self.birth(now),
            (Draining { then: Judge, .. }, Died(death)) => self.judge(death, now, limits, jitter),
            (Draining { kill_at, kills, then }, Tick) if now >= kill_at =>
                (Draining { kill_at: now + KILL_AGAIN, kills: kills + 1, then }, Some(Action::Kill)),
            (Draining { kill_at, kills, then }, Woke(gap)) => (Draining { kill_at: kill_at + gap, kills, then }, None),
            (Draining { kill_at, kills, .. }, Stop) => (Draining { kill_at, kills, then: Then::Stop }, None),
            (Draining { kill_at, kills, .. }, Start) => (Draining { kill_at, kills, then: Then::Start }, None),
            (Draining { kill_at, kills, then: Judge }, Restart) => (Draining { kill_at, kills, then: Then::Start }, None),

            (Starting { .. } | State::Ready { .. } | Draining { .. }, Kill) =>
                (Draining { kill_at: now + KILL_AGAIN, kills: 1, then: Then::Stop }, Some(Action::Kill)),

            // Everything else came too late, too early or twice, and changes nothing.
            (state, _) => (state, None),
        };
        self.state = state;
        (self, action)
    }

    /// When [`Event::Tick`] will next do something.
    pub fn deadline(&self, limits: &Limits) -> Option<Now> {
        match self.state {
            State::Stopped | State::Held(_) => None,
            State::Starting { since } => Some(since + limits.ready),
            State::Ready { beat, .. } => limits.silence.map(|most| beat + most),
            State::Backoff { until } => Some(until),
            State::Draining { kill_at, .. } => Some(kill_at),
        }
    }

    /// Whether it has died too often lately to be called healthy.
    pub fn degraded(&self, now: Now, limits: &Limits) -> bool {
        let recent = |death: &&Now| now.saturating_sub(**death) < limits.alarm_window;
        self.deaths.iter().filter(recent).count() >= limits.alarm_deaths
    }

    /// Whether a process exists, or is about to.
    pub fn is_born(&self) -> bool {
        use State::*;
        matches!(self.state, Starting { .. } | Ready { .. } | Draining { .. })
    }

    fn birth(&mut self, now: Now) -> (State, Option<Action>) {
        self.generation += 1;
        (
            State::Starting { since: now },
            Some(Action::Birth(self.generation)),
        )
    }

    fn judge(
        &mut self,
        death: Death,
        now: Now,
        limits: &Limits,
        jitter: u32,
    ) -> (State, Option<Action>) {
        match Held::by(death) {
            Some(held) => (State::Held(held), None),
            None => self.back_off(now, limits, jitter),
        }
    }

    fn back_off(&mut self, now: Now, limits: &Limits, jitter: u32) -> (State, Option<Action>) {
        self.failures = self.failures.saturating_add(1);
        self.deaths.push_back(now);
        while self.deaths.len() > limits.alarm_deaths {
            self.deaths.pop_front();
        }
        (
            State::Backoff {
                until: now + backoff(self.failures, limits, jitter),
            },
            None,
        )
    }

    fn recover(&mut self, now: Now, limits: &Limits) {
        if let State::Ready { since, .. } = self.state
            && now >= since + limits.steady
        {
            self.failures = 0;
        }
    }
}

/// The wait after the nth failure in a row: the shortest one plus a random part of what the
/// doubled ceiling allows, so that processes that fell together do not rise together.
fn backoff(failures: u32, limits: &Limits, jitter: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    let ceiling = limits
        .backoff_min
        .saturating_mul(doubled)
        .min(limits.backoff_max);
    let room = ceiling.saturating_sub(limits.backoff_min);
    let part = room.as_nanos() * u128::from(jitter) / u128::from(u32::MAX);
    limits.backoff_min + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

impl Held {
    fn by(death: Death) -> Option<Self> {
        match death {
            Death::Code(78) => Some(Self::Config),
            Death::Code(77) => Some(Self::Credentials),
            Death::Code(76) => Some(Self::Schema),
            _ => None,
        }
    }

    /// What is wrong and what a person must do, for a process of this name.
    pub fn words(self, name: &str) -> String {
        match self {
            Self::Config => "it refuses its configuration; its last log lines name the key. Mend \
                             the configuration, then: bulkhead reload"
                .to_owned(),
            Self::Credentials => format!(
                "its credentials were refused. Put a valid token or secret into the \
                 configuration, then: bulkhead reload. If it was mended elsewhere: bulkhead \
                 restart {name}"
            ),
            Self::Schema => format!(
                "it and the hub speak no common version. Install both from one release, then: \
                 bulkhead restart {name}"
            ),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => {
                write!(f, "exit {code}")?;
                let meaning = match code {
                    0 => "done",
                    crate::launch::NOT_SET_UP => "it could not be set up",
                    crate::launch::NOT_EXECUTED => "its program could not be executed",
                    75 => "it asks to be tried again",
                    76 => "incompatible schema",
                    77 => "credentials refused",
                    78 => "configuration refused",
                    101 => "it panicked",
                    _ => return Ok(()),
                };
                write!(f, ": {meaning}")
            }
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => f.write_str("killed by a real-time signal"),
            },
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
