//! The gateway session: what happened → what to do. Pure; clock and chance are the caller's.
//!
//! Promises, whatever the peer does:
//! - A connection that says no Hello, acknowledges nothing or does not answer a RESUME ends by a
//!   deadline; ours to wait for a close is nobody's.
//! - The session is resumed where it can be: first at its own address, then at the base address;
//!   after three RESUMEs that failed a new session is begun.
//! - A peer that lets us in and throws us out is not hammered: full backoff from 1 s to 60 s that
//!   only a stable minute resets, and never more than 10 connections a minute.
//! - An IDENTIFY goes out only after the budget said so.
//!
//! Source: Discord's "Gateway", v10. It knows no socket, no token and no sequence number.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use worker_kit::Backoff;

use super::close::{After, after};
use super::limits::{Connects, Sends};
use super::moves::{Action, Event, Host, Resumable};
use super::phase::{Beat, Phase, Purpose};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(20);
/// How long an IDENTIFY or RESUME may stay unanswered.
const GREETING: Duration = Duration::from_secs(60);
/// How long a connection must have been good for the backoff to start anew.
const STABLE: Duration = Duration::from_secs(60);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// RESUMEs that may fail before a new session is begun.
const RESUMES: u32 = 3;
/// The bounds of a heartbeat interval that is taken as it is told.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(600));
/// For restarts and failures of ours: the session stays resumable, unlike after 1000 and 1001.
pub(crate) const CLOSE_RESUMABLE: u16 = 4000;

/// The machine.
#[derive(Debug)]
pub(crate) struct Session {
    phase: Phase,
    stored: Option<Resumable>,
    failed_resumes: u32,
    /// The session's own address did not work: resume at the base address.
    host_failed: bool,
    backoff: Backoff,
    hello: Duration,
    connects: Connects,
    /// Of this connection.
    sends: Sends,
}

impl Session {
    /// Starts with the first [`Event::Tick`]. `shortest`: the least wait before a reconnect;
    /// `hello`: how long a connection may stay without a Hello.
    pub(crate) fn new(
        stored: Option<Resumable>,
        shortest: Duration,
        hello: Duration,
        now: Instant,
    ) -> Session {
        Session {
            phase: Phase::Waiting { until: now },
            stored,
            failed_resumes: 0,
            host_failed: false,
            backoff: Backoff::new(shortest, LONGEST_BACKOFF, STABLE),
            hello,
            connects: Connects::default(),
            sends: Sends::default(),
        }
    }

    /// When to send [`Event::Tick`] next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.phase.deadline()
    }

    /// Whether events that come now belong to the session.
    pub(crate) fn takes_events(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. } | Phase::Live { .. })
    }

    /// Whether the session stands.
    #[cfg(test)]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Takes an event. `chance` is in `0.0 ..= 1.0`.
    pub(crate) fn on(&mut self, event: Event, now: Instant, chance: f64) -> Vec<Action> {
        let mut out = Vec::new();
        if let (true, Some(beat)) = (event.is_sign_of_life(), self.phase.beat()) {
            beat.unanswered = false;
        }
        match event {
            Event::Tick => self.tick(now, chance, &mut out),
            Event::Opened => {
                if let Phase::Connecting {
                    purpose, own_host, ..
                } = self.phase
                {
                    let deadline = now + self.hello;
                    self.sends = Sends::default();
                    self.phase = Phase::AwaitingHello {
                        deadline,
                        purpose,
                        own_host,
                    };
                }
            }
            Event::NotOpened(why) => {
                if let Phase::Connecting { .. } = self.phase {
                    let why = format!("no connection to Discord: {why}");
                    self.fell(why, now, chance, &mut out);
                }
            }
            Event::Closed(code) => self.closed(code, now, chance, &mut out),
            Event::Hello(interval) => self.hello(interval, now, chance, &mut out),
            Event::BeatNow => self.beat_now(now, &mut out),
            Event::Reconnect => {
                if self.phase.is_connected() {
                    out.push(Action::Close(CLOSE_RESUMABLE));
                    self.fell("Discord asked for a reconnect", now, chance, &mut out);
                }
            }
            Event::Invalid { resumable } => self.invalid(resumable, now, chance, &mut out),
            Event::Ready(stored) => {
                if self.takes_events() {
                    self.stored = Some(stored);
                    self.up(false, now, &mut out);
                }
            }
            Event::Resumed => {
                if let Phase::Greeting {
                    purpose: Purpose::Resume,
                    ..
                } = self.phase
                {
                    self.up(true, now, &mut out);
                }
            }
            Event::Heard => {}
            Event::MayIdentify => {
                if let Phase::Asking = self.phase {
                    self.connect(Purpose::Identify, Host::Base, now, &mut out);
                }
            }
            Event::IdentifyLater(wait) => {
                if let Phase::Asking = self.phase {
                    self.phase = Phase::Waiting { until: now + wait };
                }
            }
            Event::BudgetUnknown(why) => {
                if let Phase::Asking = self.phase {
                    self.fell(why, now, chance, &mut out);
                }
            }
            Event::Replay => {
                if let Phase::Live { .. } = self.phase {
                    out.push(Action::Close(CLOSE_RESUMABLE));
                    self.fell("events are fetched again", now, chance, &mut out);
                }
            }
            Event::Renew => {
                self.stored = None;
                // A connection that was made to resume was not paid for out of the budget.
                let end = match self.phase {
                    Phase::Connecting { .. } => Action::Drop,
                    _ if self.phase.is_connected() => Action::Close(CLOSE_RESUMABLE),
                    _ => return out,
                };
                out.push(end);
                self.fell("a new session is begun", now, chance, &mut out);
            }
        }
        out
    }

    fn tick(&mut self, now: Instant, chance: f64, out: &mut Vec<Action>) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match &self.phase {
            Phase::Waiting { .. } => self.try_again(now, out),
            Phase::Connecting { .. } => {
                out.push(Action::Drop);
                self.fell("no connection to Discord", now, chance, out);
            }
            Phase::AwaitingHello { .. } => {
                out.push(Action::Close(CLOSE_RESUMABLE));
                self.fell("Discord does not say hello", now, chance, out);
            }
            Phase::Greeting { deadline, .. } if *deadline <= now => {
                out.push(Action::Close(CLOSE_RESUMABLE));
                self.fell("Discord does not answer", now, chance, out);
            }
            Phase::Greeting { .. } | Phase::Live { .. } => self.beat(now, chance, out),
            Phase::Asking | Phase::Over => {}
        }
    }

    fn try_again(&mut self, now: Instant, out: &mut Vec<Action>) {
        match &self.stored {
            None => {
                self.phase = Phase::Asking;
                out.push(Action::AskBudget);
            }
            Some(stored) => {
                let own = !self.host_failed && !stored.url.is_empty();
                let host = if own {
                    Host::Resume(stored.url.clone())
                } else {
                    Host::Base
                };
                self.connect(Purpose::Resume, host, now, out);
            }
        }
    }

    fn connect(&mut self, purpose: Purpose, host: Host, now: Instant, out: &mut Vec<Action>) {
        // A budget that took long to answer must not get around the limit.
        let limit = self.connects.next(now);
        if limit > now {
            self.phase = Phase::Waiting { until: limit };
            return;
        }
        self.connects.count(now);
        let own_host = matches!(host, Host::Resume(_));
        self.phase = Phase::Connecting {
            deadline: now + CONNECT,
            purpose,
            own_host,
        };
        out.push(Action::Connect(host));
    }

    fn hello(&mut self, interval: Duration, now: Instant, chance: f64, out: &mut Vec<Action>) {
        let Phase::AwaitingHello { purpose, .. } = self.phase else {
            return;
        };
        let interval = interval.clamp(INTERVALS.0, INTERVALS.1);
        let beat = Beat {
            interval,
            next: now + interval.mul_f64(chance),
            unanswered: false,
        };
        self.sends.count(now);
        match (&self.stored, purpose) {
            (Some(stored), Purpose::Resume) => out.push(Action::Resume(stored.session.clone())),
            _ => out.push(Action::Identify),
        }
        self.phase = Phase::Greeting {
            deadline: now + GREETING,
            purpose,
            beat,
        };
    }

    /// The heart beats, or has stopped being heard.
    fn beat(&mut self, now: Instant, chance: f64, out: &mut Vec<Action>) {
        let Some(beat) = self.phase.beat() else {
            return;
        };
        if beat.unanswered {
            out.push(Action::Close(CLOSE_RESUMABLE));
            self.fell("the connection went silent", now, chance, out);
            return;
        }
        let room = self.sends.in_turn(now);
        if room > now {
            beat.next = room; // an interval that is too short for Discord's own limit
            return;
        }
        beat.unanswered = true;
        beat.next = now + beat.interval;
        self.sends.count(now);
        out.push(Action::Beat);
    }

    /// A beat out of turn takes the place of the next one, as long as those in turn will fit.
    fn beat_now(&mut self, now: Instant, out: &mut Vec<Action>) {
        let Some(beat) = self.phase.beat() else {
            return;
        };
        if self.sends.out_of_turn(now) {
            beat.unanswered = true;
            beat.next = now + beat.interval;
            self.sends.count(now);
            out.push(Action::Beat);
        }
    }

    fn closed(&mut self, code: Option<u16>, now: Instant, chance: f64, out: &mut Vec<Action>) {
        if !self.phase.is_connected() {
            return;
        }
        out.push(Action::Drop);
        match after(code) {
            After::Stop(fatal) => {
                self.phase = Phase::Over;
                out.push(Action::Stop(fatal));
                return;
            }
            After::Identify => self.stored = None,
            After::Resume => {}
        }
        self.fell("Discord closed the connection", now, chance, out);
    }

    fn invalid(&mut self, resumable: bool, now: Instant, chance: f64, out: &mut Vec<Action>) {
        if !self.phase.is_connected() {
            return;
        }
        out.push(Action::Close(CLOSE_RESUMABLE));
        let mut least = Duration::ZERO;
        if !resumable {
            self.stored = None;
            least = Duration::from_secs(1) + Duration::from_secs(4).mul_f64(chance);
        }
        self.fell_for("the session is no longer valid", least, now, chance, out);
    }

    fn up(&mut self, resumed: bool, now: Instant, out: &mut Vec<Action>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        self.phase = match phase {
            Phase::Greeting { beat, .. } | Phase::Live { beat } => Phase::Live { beat },
            other => other,
        };
        self.failed_resumes = 0;
        self.host_failed = false;
        self.backoff.up(now);
        out.push(Action::Up { resumed });
    }

    /// The connection is over; says what failed with it and waits.
    fn fell(
        &mut self,
        why: impl Into<Cow<'static, str>>,
        now: Instant,
        chance: f64,
        out: &mut Vec<Action>,
    ) {
        self.fell_for(why, Duration::ZERO, now, chance, out);
    }

    fn fell_for(
        &mut self,
        why: impl Into<Cow<'static, str>>,
        least: Duration,
        now: Instant,
        chance: f64,
        out: &mut Vec<Action>,
    ) {
        match self.phase {
            // It never got as far as a RESUME: the address is at fault, not the session.
            Phase::Connecting { own_host: true, .. }
            | Phase::AwaitingHello { own_host: true, .. } => {
                self.host_failed = true;
            }
            Phase::Greeting {
                purpose: Purpose::Resume,
                ..
            } => {
                self.failed_resumes += 1;
                if self.failed_resumes >= RESUMES {
                    self.stored = None;
                }
            }
            _ => {}
        }
        if self.stored.is_none() {
            self.failed_resumes = 0;
            self.host_failed = false;
        }
        self.backoff.down(now);
        let until = now + self.backoff.next(chance).max(least);
        self.phase = Phase::Waiting {
            until: until.max(self.connects.next(now)),
        };
        out.push(Action::Down(why.into()));
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
