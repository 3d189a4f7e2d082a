//! The session against peers that behave badly, in simulated time.

use super::*;
use crate::veil::Veil;

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

fn refused() -> Refusal {
    Refusal::closed(4002, "invalid token", &Veil::default())
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

/// It is dead after 40 s.
#[test]
fn silent_peer() {
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

/// It is asked ever more slowly: requests a minute have a bound.
#[test]
fn close_4002_for_ever() {
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
                session.not_connected(refused(), now);
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

/// They are loud, and asked for every few minutes.
#[test]
fn refused_credentials() {
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

/// It is asked with backoff, and the status says when.
#[test]
fn failing_token_endpoint() {
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

/// It does not touch a live connection.
#[test]
fn failing_refresh() {
    let now = Instant::now();
    let mut session = open(now);
    let log = run(
        &mut session,
        now,
        S(8000),
        |session, action, now| match action {
            Action::FetchToken => session.token(Err(TokenError::Transient("HTTP 500".into())), now),
            Action::Ping => drop(session.pong()),
            _ => {}
        },
    );
    assert!(count(&log, "fetch", 7100, 8000) > 5);
    assert_eq!(count(&log, "close", 0, 8000), 0);
}

/// With stable time between them each reconnect comes after about a second.
#[test]
fn five_drops_in_a_row() {
    let mut now = Instant::now();
    let mut session = open(now);
    for _ in 0..5 {
        now += S(61);
        session.not_connected(Refusal::broken("reset"), now);
        assert_eq!(
            names(&session.act(now)),
            ["close"],
            "the cached token is kept"
        );
        let next = session.next_at(now).unwrap();
        assert!((S(1)..=S(1) * 5 / 4).contains(&(next - now)));
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
fn a_line_that_brings_something_is_slow_and_not_dead_but_not_for_ever() {
    let now = Instant::now();
    let mut session = open(now);
    let mut at = now + S(30);
    assert_eq!(names(&session.act(at)), ["ping"]);
    // A picture on a slow line: bytes every few seconds, and no pong before its end.
    while at < now + S(149) {
        at += S(7);
        session.heard(at - S(1));
        assert_eq!(names(&session.act(at)), [""; 0]);
    }
    assert_eq!(session.next_at(at), Some(now + S(150)));
    assert_eq!(names(&session.act(now + S(150))), ["close"]);
}

#[test]
fn the_owner_stays_known_when_a_token_does_not_name_them() {
    let now = Instant::now();
    let mut session = open(now);
    session.not_connected(refused(), now);
    assert_eq!(
        (session.uid(), session.bearer().is_some()),
        (Some("7"), false)
    );
    let nameless = Token {
        uid: None,
        ..token(7199)
    };
    session.token(Ok(nameless), now);
    assert_eq!(session.uid(), Some("7"));
    let other = Token {
        uid: Some("8".into()),
        ..token(7199)
    };
    session.token(Ok(other), now);
    assert_eq!(session.uid(), Some("8"));
}

#[test]
fn a_token_that_is_refused_elsewhere_is_fetched_anew_without_a_drop() {
    let now = Instant::now();
    let mut session = open(now);
    session.token_refused(&"another".into(), now);
    assert!(session.bearer().is_some(), "it was about an older one");
    session.token_refused(&"t".into(), now);
    let log = run(
        &mut session,
        now,
        S(20),
        |session, action, now| match action {
            Action::FetchToken => session.token(Ok(token(7199)), now),
            Action::Connect(_) | Action::Close => panic!("the live connection is left alone"),
            _ => {}
        },
    );
    assert_eq!(log, [(S(1), "fetch")]);
}
