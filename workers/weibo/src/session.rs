//! The life of the connection: token, connect, heartbeat, backoff. Pure: everything comes in as a
//! call with the time, and goes out as [`Action`]s.
//!
//! Promises: at any time something is under way or due; a peer that refuses every token, or every
//! connection, is asked ever more slowly and never given up; a silent peer is found dead.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use worker_kit::Backoff;

use crate::refusal::{About, Refusal};
use crate::token::{Token, TokenError};

/// How much of the usual chance the first wait after a stable time has.
const FIRST: f64 = 0.25;
/// How many times the wait for a pong may be, as long as something comes in.
const SLOW: u32 = 3;

/// The times that the session lives by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Between two pings.
    pub(crate) heartbeat: Duration,
    /// A ping that is unanswered for so long, with nothing else coming in, means a dead connection.
    pub(crate) pong: Duration,
    /// The shortest and the longest wait before another attempt.
    pub(crate) backoff: (Duration, Duration),
    /// A connection that lived so long makes the next failure the first.
    pub(crate) stable: Duration,
    /// The shortest and the longest wait after refused credentials.
    pub(crate) credentials: (Duration, Duration),
    /// How long before its end a token is fetched anew.
    pub(crate) token_margin: Duration,
    /// How long one request, or one attempt to connect, may take.
    pub(crate) request: Duration,
    /// How long a message may stay open with nothing more to come.
    pub(crate) bubble: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        let (s, minute) = (Duration::from_secs, Duration::from_secs(60));
        Timing {
            heartbeat: s(30),
            pong: s(40),
            backoff: (s(1), minute),
            stable: minute,
            credentials: (minute * 2, minute * 15),
            token_margin: minute,
            request: s(15),
            bubble: s(20),
        }
    }
}

impl Timing {
    /// The waits between the tries of a file.
    pub(crate) fn file_backoff(&self) -> Backoff {
        let (min, max) = self.backoff;
        Backoff::new(min, max, self.stable)
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask the token endpoint; tell with [`Session::token`].
    FetchToken,
    /// Connect with this token; tell with [`Session::connected`] or [`Session::not_connected`].
    Connect(SecretString),
    /// Send a ping.
    Ping,
    /// Send a pong.
    Pong,
    /// Close the connection, if there is one, and forget it.
    Close,
    /// How things stand, in words. `loud` = somebody should hear of it even without looking.
    Status {
        /// The words.
        words: String,
        /// Whether it is a trouble.
        loud: bool,
    },
}

struct Held {
    token: Token,
    refresh_at: Instant,
}

enum Link {
    /// The next attempt is not before this.
    Down(Instant),
    Connecting,
    Open {
        /// A ping that has no answer, since then.
        asked: Option<Instant>,
        /// When anything last came in.
        heard: Instant,
        next_ping: Instant,
        /// Something was written that a pong is to confirm.
        doubt: bool,
    },
}

/// The state.
pub(crate) struct Session {
    timing: Timing,
    link: Link,
    /// Pings sent on this connection.
    pings: u64,
    token: Option<Held>,
    /// The owner of the account, as the last token that named one said.
    owner: Option<String>,
    fetching: bool,
    fetch_at: Instant,
    connect_backoff: Backoff,
    token_backoff: Backoff,
    credentials_backoff: Backoff,
    rng: fastrand::Rng,
    actions: Vec<Action>,
}

impl Session {
    /// Starts with nothing; the first actions are due at once.
    pub(crate) fn new(timing: Timing, rng: fastrand::Rng, now: Instant) -> Session {
        let (min, max) = timing.backoff;
        let (slow_min, slow_max) = timing.credentials;
        Session {
            connect_backoff: Backoff::new(min, max, timing.stable),
            token_backoff: Backoff::new(min, max, timing.stable),
            credentials_backoff: Backoff::new(slow_min, slow_max, timing.stable),
            timing,
            link: Link::Down(now),
            pings: 0,
            token: None,
            owner: None,
            fetching: false,
            fetch_at: now,
            rng,
            actions: Vec::new(),
        }
    }

    /// What is to be done now. Call it after every other call.
    pub(crate) fn act(&mut self, now: Instant) -> Vec<Action> {
        self.heartbeat(now);
        if !self.fetching && now >= self.fetch_at && self.needs_token(now) {
            self.fetching = true;
            self.actions.push(Action::FetchToken);
        }
        if let Link::Down(at) = self.link
            && now >= at
            && !self.needs_token(now)
            && let Some(held) = &self.token
        {
            self.actions.push(Action::Connect(held.token.value.clone()));
            self.link = Link::Connecting;
        }
        std::mem::take(&mut self.actions)
    }

    fn heartbeat(&mut self, now: Instant) {
        let pong = self.timing.pong;
        let Link::Open {
            asked,
            heard,
            next_ping,
            doubt,
        } = &mut self.link
        else {
            return;
        };
        match *asked {
            Some(since) if now >= dead_at(since, *heard, pong) => {
                let seconds = now.saturating_duration_since(since).as_secs();
                let words = format!("no answer to a ping for {seconds} s");
                self.down(now, Refusal::connection(words));
            }
            Some(_) => {}
            None if *doubt || now >= *next_ping => {
                *asked = Some(now);
                *next_ping = now + self.timing.heartbeat;
                *doubt = false;
                self.pings += 1;
                self.actions.push(Action::Ping);
            }
            None => {}
        }
    }

    fn needs_token(&self, now: Instant) -> bool {
        self.token
            .as_ref()
            .is_none_or(|held| now >= held.refresh_at)
    }

    /// When [`Session::act`] has something to do next, if nothing else happens.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        let fetch = match &self.token {
            _ if self.fetching => None,
            Some(held) => Some(held.refresh_at.max(self.fetch_at)),
            None => Some(self.fetch_at),
        };
        let link = match &self.link {
            // With a token that is stale by then, the connection waits for the next one.
            Link::Down(at) => Some(*at).filter(|at| !self.needs_token((*at).max(now))),
            Link::Connecting => None,
            Link::Open {
                asked: Some(since),
                heard,
                ..
            } => Some(dead_at(*since, *heard, self.timing.pong)),
            Link::Open { next_ping, .. } => Some(*next_ping),
        };
        fetch.into_iter().chain(link).min()
    }

    /// The token endpoint has answered.
    pub(crate) fn token(&mut self, answer: Result<Token, TokenError>, now: Instant) {
        self.fetching = false;
        match answer {
            Ok(token) => {
                let lifetime = token.lifetime.max(self.timing.token_margin);
                let good_for =
                    (lifetime.saturating_sub(self.timing.token_margin)).max(lifetime / 2);
                if let Some(owner) = &token.uid {
                    self.owner = Some(owner.clone());
                }
                self.token = Some(Held {
                    token,
                    refresh_at: now + good_for,
                });
                let (min, max) = self.timing.backoff;
                self.token_backoff = Backoff::new(min, max, self.timing.stable);
                let (min, max) = self.timing.credentials;
                self.credentials_backoff = Backoff::new(min, max, self.timing.stable);
            }
            Err(error) => {
                let wait = match &error {
                    TokenError::Transient(_) => self.token_backoff.next(self.rng.f64()),
                    TokenError::Credentials(_) => self.credentials_backoff.next(self.rng.f64()),
                };
                self.fetch_at = now + wait;
                let wait = words_of(wait);
                let words = match &error {
                    TokenError::Transient(why) => {
                        format!("cannot get a token: {why}; next try in {wait}")
                    }
                    TokenError::Credentials(why) => format!(
                        "Weibo refuses app_id and app_secret ({why}); correct them in the \
                         configuration; next try in {wait}"
                    ),
                };
                // While connected the old token still does.
                if !matches!(self.link, Link::Open { .. }) {
                    self.status(words, true);
                }
            }
        }
    }

    /// The WebSocket stands.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.connect_backoff.up(now);
        self.pings = 0;
        let next_ping = now + self.timing.heartbeat;
        self.link = Link::Open {
            asked: None,
            heard: now,
            next_ping,
            doubt: false,
        };
        self.status(
            format!("connected as uid {}", self.uid().unwrap_or("unknown")),
            false,
        );
    }

    /// It does not, or no longer.
    pub(crate) fn not_connected(&mut self, refusal: Refusal, now: Instant) {
        self.down(now, refusal);
    }

    fn down(&mut self, now: Instant, refusal: Refusal) {
        self.connect_backoff.down(now);
        // The first try after a stable time comes in about a second: nobody should wait for a drop
        // that was the line's. From the second on the peer may be in trouble, and chance spreads us.
        let chance = match self.connect_backoff.tries() {
            0 => self.rng.f64() * FIRST,
            _ => self.rng.f64(),
        };
        let wait = self.connect_backoff.next(chance);
        if refusal.about == About::Token {
            // The new token waits as long as the connection: a peer that refuses every token must
            // not be asked for one in a tight loop.
            self.token = None;
            self.fetch_at = self.fetch_at.max(now + wait);
        }
        self.link = Link::Down(now + wait);
        self.actions.push(Action::Close);
        self.status(
            format!("{}; connecting again in {}", refusal.words, words_of(wait)),
            true,
        );
    }

    /// Something came in at that time, be it a piece of a frame.
    pub(crate) fn heard(&mut self, at: Instant) {
        if let Link::Open { heard, .. } = &mut self.link {
            *heard = at.max(*heard);
        }
    }

    /// A sign of life came: the number of the ping that it answers, if one was open.
    pub(crate) fn pong(&mut self) -> Option<u64> {
        let Link::Open { asked, .. } = &mut self.link else {
            return None;
        };
        asked.take().map(|_| self.pings)
    }

    /// The server asks for a sign of life.
    pub(crate) fn pinged(&mut self) {
        if self.is_open() {
            self.actions.push(Action::Pong);
        }
    }

    /// Something was written that a pong is to confirm: a ping follows as soon as none is open.
    pub(crate) fn doubts(&mut self) {
        if let Link::Open { doubt, .. } = &mut self.link {
            *doubt = true;
        }
    }

    /// How many pings were sent on this connection; `None` without one.
    pub(crate) fn pings(&self) -> Option<u64> {
        self.is_open().then_some(self.pings)
    }

    /// Whether the WebSocket stands.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.link, Link::Open { .. })
    }

    /// The owner of the account, as far as any token has said.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The token, to be used for something else than connecting. Absent while another is fetched.
    pub(crate) fn bearer(&self) -> Option<&SecretString> {
        self.token.as_ref().map(|held| &held.token.value)
    }

    /// The token was refused elsewhere: fetch another. A live connection is left alone.
    pub(crate) fn token_refused(&mut self, token: &SecretString, now: Instant) {
        let same = |held: &Held| held.token.value.expose_secret() == token.expose_secret();
        if self.token.take_if(|held| same(held)).is_some() {
            self.fetch_at = self.fetch_at.max(now + self.timing.backoff.0);
        }
    }

    fn status(&mut self, words: String, loud: bool) {
        self.actions.push(Action::Status { words, loud });
    }
}

/// When a connection on which a ping is open since then is dead.
fn dead_at(since: Instant, heard: Instant, pong: Duration) -> Instant {
    (since.max(heard) + pong).min(since + pong * SLOW)
}

fn words_of(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests;
