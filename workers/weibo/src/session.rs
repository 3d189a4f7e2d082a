//! The life of the connection: token, connect, heartbeat, backoff. Pure: everything comes in as a
//! call with the time, and goes out as [`Action`]s.
//!
//! Promises: at any time something is under way or due; a peer that refuses every token, or every
//! connection, is asked ever more slowly and never given up; a silent peer is found dead.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use worker_kit::Backoff;

use crate::token::{Token, TokenError};

/// The times that the session lives by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timing {
    /// Between two pings.
    pub(crate) heartbeat: Duration,
    /// A ping that is unanswered for so long means a dead connection.
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

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// In words, without the address: it holds the token.
    pub(crate) words: String,
    /// It is about the token: fetch another.
    pub(crate) token: bool,
}

impl Refusal {
    /// From a close frame, or the lack of one.
    pub(crate) fn closed(code: Option<u16>, reason: &str) -> Refusal {
        let about_token = matches!(code, Some(4002..=4004))
            || reason.to_ascii_lowercase().contains("invalid token");
        let reason: String = reason
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(100)
            .collect();
        let words = match code {
            Some(code) => format!("Weibo closed the connection: {code} {reason}"),
            None => format!("the connection broke: {reason}"),
        };
        Refusal {
            words: words.trim_end().into(),
            token: about_token,
        }
    }

    /// From the status of a refused upgrade.
    pub(crate) fn status(status: u16) -> Refusal {
        Refusal {
            words: format!("Weibo refused the connection with HTTP {status}"),
            token: matches!(status, 401 | 403),
        }
    }
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
        let Link::Open {
            asked,
            next_ping,
            doubt,
        } = &mut self.link
        else {
            return;
        };
        match *asked {
            Some(since) if now.saturating_duration_since(since) >= self.timing.pong => {
                let seconds = self.timing.pong.as_secs();
                let words = format!("no answer to a ping for {seconds} s");
                self.down(
                    now,
                    Refusal {
                        words,
                        token: false,
                    },
                );
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
                asked: Some(since), ..
            } => Some(*since + self.timing.pong),
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
        let wait = self.connect_backoff.next(self.rng.f64());
        if refusal.token {
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

    /// The owner of the account, as the last token said.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.token
            .as_ref()
            .and_then(|held| held.token.uid.as_deref())
    }

    fn status(&mut self, words: String, loud: bool) {
        self.actions.push(Action::Status { words, loud });
    }
}

fn words_of(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn token(seconds: u64) -> Token {
        Token {
            value: "t".into(),
            uid: Some("7".into()),
            lifetime: S(seconds),
        }
    }

    fn session(now: Instant) -> Session {
        Session::new(Timing::default(), fastrand::Rng::with_seed(1), now)
    }

    fn names(actions: &[Action]) -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::FetchToken => Some("fetch"),
            Action::Connect(_) => Some("connect"),
            Action::Ping => Some("ping"),
            Action::Pong => Some("pong"),
            Action::Close => Some("close"),
            Action::Status { .. } => None,
        };
        actions.iter().filter_map(name).collect()
    }

    fn status(actions: &[Action]) -> String {
        let last = actions.iter().rev().find_map(|action| match action {
            Action::Status { words, .. } => Some(words.clone()),
            _ => None,
        });
        last.unwrap_or_default()
    }

    fn open(now: Instant) -> Session {
        let mut session = session(now);
        assert_eq!(names(&session.act(now)), ["fetch"]);
        session.token(Ok(token(7199)), now);
        assert_eq!(names(&session.act(now)), ["connect"]);
        session.connected(now);
        assert_eq!(status(&session.act(now)), "connected as uid 7");
        session
    }

    /// What the peer answers in a simulation.
    type Answer = fn(&mut Session, &Action, Instant);

    /// Lets time pass from one due moment to the next, for `span`; what was done, with its time.
    fn run(
        session: &mut Session,
        start: Instant,
        span: Duration,
        answer: Answer,
    ) -> Vec<(Duration, &'static str)> {
        let (mut now, mut log) = (start, Vec::new());
        while now < start + span {
            loop {
                let actions = session.act(now);
                if actions.is_empty() {
                    break;
                }
                for action in &actions {
                    log.extend(
                        names(std::slice::from_ref(action))
                            .first()
                            .map(|n| (now - start, *n)),
                    );
                    answer(session, action, now);
                }
            }
            let next = session.next_at(now).expect("something is always due");
            assert!(next > now, "a due moment that does nothing would spin");
            now = next;
        }
        log
    }

    fn count(log: &[(Duration, &'static str)], what: &str, from: u64, to: u64) -> usize {
        log.iter()
            .filter(|(at, name)| *name == what && (S(from)..S(to)).contains(at))
            .count()
    }

    #[test]
    fn a_quiet_connection_pings_every_30_s_and_refreshes_its_token_in_time() {
        let now = Instant::now();
        let mut session = open(now);
        let log = run(
            &mut session,
            now,
            S(3 * 7199),
            |session, action, now| match action {
                Action::Ping => drop(session.pong()),
                Action::FetchToken => session.token(Ok(token(7199)), now),
                Action::Connect(_) | Action::Close => panic!("the live connection is left alone"),
                _ => {}
            },
        );
        assert_eq!(count(&log, "ping", 0, 3600), 119);
        let fetches: Vec<_> = log
            .iter()
            .filter(|(_, n)| *n == "fetch")
            .map(|(at, _)| at.as_secs())
            .collect();
        assert_eq!(fetches, [7139, 2 * 7139, 3 * 7139]);
    }

    #[test]
    fn a_silent_peer_is_dead_after_40_s() {
        let now = Instant::now();
        let mut session = open(now);
        let log = run(&mut session, now, S(71), |_, _, _| {});
        assert_eq!(log, [(S(30), "ping"), (S(70), "close")]);
        assert!(!session.is_open());
    }

    #[test]
    fn what_is_written_is_followed_by_a_ping_of_its_own() {
        let now = Instant::now();
        let mut session = open(now);
        assert_eq!(session.pings(), Some(0));
        session.doubts();
        assert_eq!(names(&session.act(now)), ["ping"]);
        session.doubts(); // written behind that ping: its pong says nothing of it
        assert_eq!(names(&session.act(now)), [""; 0]);
        assert_eq!(session.pong(), Some(1));
        assert_eq!(
            session.pong(),
            None,
            "a pong that nobody asked for confirms nothing"
        );
        assert_eq!(names(&session.act(now)), ["ping"]);
        assert_eq!(session.pong(), Some(2));
        assert_eq!(names(&session.act(now)), [""; 0]);
    }

    #[test]
    fn a_peer_that_refuses_every_token_is_asked_ever_more_slowly() {
        let now = Instant::now();
        let mut session = session(now);
        let log = run(
            &mut session,
            now,
            S(3600),
            |session, action, now| match action {
                Action::FetchToken => session.token(Ok(token(7199)), now),
                Action::Connect(_) => {
                    session.connected(now);
                    session.not_connected(Refusal::closed(Some(4002), "invalid token"), now);
                }
                _ => {}
            },
        );
        assert!(count(&log, "connect", 0, 60) <= 6, "{log:?}");
        assert!(count(&log, "connect", 600, 660) <= 2);
        assert_eq!(
            count(&log, "fetch", 0, 3600),
            count(&log, "connect", 0, 3600)
        );
        assert!(count(&log, "connect", 3000, 3600) >= 5, "never given up");
    }

    #[test]
    fn refused_credentials_are_loud_and_asked_every_few_minutes() {
        let now = Instant::now();
        let mut session = session(now);
        session.act(now);
        session.token(Err(TokenError::Credentials("code 40001".into())), now);
        let words = status(&session.act(now));
        assert!(
            words.contains("app_secret") && words.contains("code 40001"),
            "{words}"
        );
        let log = run(&mut session, now, S(3600), |session, action, now| {
            if matches!(action, Action::FetchToken) {
                session.token(Err(TokenError::Credentials("code 40001".into())), now);
            }
        });
        assert!((3..=20).contains(&count(&log, "fetch", 0, 3600)), "{log:?}");
        // Mended elsewhere, it heals by itself.
        let later = now + S(3600);
        let log = run(
            &mut session,
            later,
            S(1800),
            |session, action, now| match action {
                Action::FetchToken => session.token(Ok(token(7199)), now),
                Action::Connect(_) => session.connected(now),
                Action::Ping => drop(session.pong()),
                _ => {}
            },
        );
        assert_eq!(count(&log, "connect", 0, 1800), 1);
    }

    #[test]
    fn a_failing_token_endpoint_is_asked_with_backoff_and_the_status_says_when() {
        let now = Instant::now();
        let mut session = session(now);
        session.act(now);
        session.token(Err(TokenError::Transient("HTTP 500".into())), now);
        let words = status(&session.act(now));
        assert!(
            words.starts_with("cannot get a token: HTTP 500; next try in 1 s"),
            "{words}"
        );
        let log = run(&mut session, now, S(600), |session, action, now| {
            if matches!(action, Action::FetchToken) {
                session.token(Err(TokenError::Transient("HTTP 500".into())), now);
            }
        });
        assert!(
            count(&log, "fetch", 0, 60) <= 6 && count(&log, "fetch", 300, 600) >= 5,
            "{log:?}"
        );
    }

    #[test]
    fn a_failing_refresh_does_not_touch_a_live_connection() {
        let now = Instant::now();
        let mut session = open(now);
        let log = run(
            &mut session,
            now,
            S(8000),
            |session, action, now| match action {
                Action::FetchToken => {
                    session.token(Err(TokenError::Transient("HTTP 500".into())), now)
                }
                Action::Ping => drop(session.pong()),
                _ => {}
            },
        );
        assert!(count(&log, "fetch", 7100, 8000) > 5);
        assert_eq!(count(&log, "close", 0, 8000), 0);
    }

    #[test]
    fn five_drops_with_stable_time_between_reconnect_in_about_a_second() {
        let mut now = Instant::now();
        let mut session = open(now);
        for _ in 0..5 {
            now += S(61);
            session.not_connected(Refusal::closed(None, "reset"), now);
            assert_eq!(
                names(&session.act(now)),
                ["close"],
                "the cached token is kept"
            );
            let next = session.next_at(now).unwrap();
            assert!((S(1)..=S(2)).contains(&(next - now)));
            now = next;
            assert_eq!(names(&session.act(now)), ["connect"]);
            session.connected(now);
        }
    }

    #[test]
    fn a_token_of_no_length_does_not_make_a_tight_loop() {
        let now = Instant::now();
        let mut session = open(now);
        session.token(Ok(token(0)), now);
        let log = run(
            &mut session,
            now,
            S(3600),
            |session, action, now| match action {
                Action::FetchToken => session.token(Ok(token(0)), now),
                Action::Ping => drop(session.pong()),
                _ => {}
            },
        );
        assert!(count(&log, "fetch", 0, 3600) <= 120);
    }

    #[test]
    fn what_is_about_the_token_is_told_apart() {
        for (code, reason, about_token) in [
            (Some(4002), "", true),
            (Some(4003), "", true),
            (Some(4004), "", true),
            (Some(1008), "Invalid Token here", true),
            (Some(4001), "", false),
            (Some(1000), "bye", false),
            (None, "reset", false),
        ] {
            assert_eq!(
                Refusal::closed(code, reason).token,
                about_token,
                "{code:?} {reason}"
            );
        }
        assert!(Refusal::status(401).token && Refusal::status(403).token);
        assert!(!Refusal::status(502).token);
    }
}
