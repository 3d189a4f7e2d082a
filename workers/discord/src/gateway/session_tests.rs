//! The session against scripted peers, in virtual time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;
const INTERVAL: Duration = Duration::from_secs(40);

fn not_opened() -> Event {
    Event::NotOpened("refused".into())
}

/// Drives the machine; the peer is a function from what it does to what happens then.
struct Stage {
    session: Session,
    start: Instant,
    now: Instant,
    chance: f64,
    /// Everything it did, with the time since the start.
    did: Vec<(Duration, Action)>,
}

impl Stage {
    fn new(stored: bool) -> Stage {
        let now = Instant::now();
        let stored = stored.then(resumable);
        Stage {
            session: Session::new(stored, S(1), S(15), now),
            start: now,
            now,
            chance: 0.5,
            did: Vec::new(),
        }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let actions = self.session.on(event, self.now, self.chance);
        let at = self.now - self.start;
        self.did
            .extend(actions.iter().cloned().map(|action| (at, action)));
        actions
    }

    /// Lets time pass up to the next deadline.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self
            .session
            .deadline()
            .expect("it waits for something")
            .max(self.now);
        self.on(Event::Tick)
    }

    /// Up to a session that stands.
    fn live(stored: bool) -> Stage {
        let mut stage = Stage::new(stored);
        stage.wait();
        if !stored {
            stage.on(Event::MayIdentify);
        }
        stage.on(Event::Opened);
        stage.on(Event::Hello(INTERVAL));
        stage.on(if stored {
            Event::Resumed
        } else {
            Event::Ready(resumable())
        });
        assert!(stage.session.is_live());
        stage
    }

    /// Answers as `peer` says until `until`.
    fn play(&mut self, until: Duration, peer: impl Fn(&Action) -> Vec<Event>) {
        let mut events: VecDeque<Event> = VecDeque::new();
        while self.now - self.start < until {
            let actions = match events.pop_front() {
                Some(event) => self.on(event),
                None => self.wait(),
            };
            events.extend(actions.iter().flat_map(&peer));
        }
    }

    fn count(&self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.did.iter().filter(|(_, action)| wanted(action)).count()
    }

    fn waited(&self) -> Duration {
        self.session.deadline().unwrap() - self.now
    }
}

fn resumable() -> Resumable {
    Resumable {
        session: "s".into(),
        url: "wss://own".into(),
    }
}

fn own() -> Action {
    Action::Connect(Host::Resume("wss://own".into()))
}

fn base() -> Action {
    Action::Connect(Host::Base)
}

fn is_connect(action: &Action) -> bool {
    matches!(action, Action::Connect(_))
}

#[test]
fn a_first_start_asks_the_budget_and_identifies() {
    let mut stage = Stage::new(false);
    assert_eq!(stage.wait(), [Action::AskBudget]);
    assert_eq!(stage.session.deadline(), None);
    assert_eq!(stage.on(Event::MayIdentify), [base()]);
    assert_eq!(stage.on(Event::Opened), []);
    assert_eq!(stage.on(Event::Hello(INTERVAL)), [Action::Identify]);
    assert!(stage.session.takes_events() && !stage.session.is_live());
    assert_eq!(
        stage.on(Event::Ready(resumable())),
        [Action::Up { resumed: false }]
    );
}

#[test]
fn a_stored_session_is_resumed_without_asking() {
    let mut stage = Stage::new(true);
    assert_eq!(stage.wait(), [own()]);
    stage.on(Event::Opened);
    assert_eq!(
        stage.on(Event::Hello(INTERVAL)),
        [Action::Resume("s".into())]
    );
    assert_eq!(stage.on(Event::Heard), [], "events are replayed");
    assert_eq!(stage.on(Event::Resumed), [Action::Up { resumed: true }]);
}

#[test]
fn case_01_no_hello() {
    let mut stage = Stage::new(true);
    stage.wait();
    stage.on(Event::Opened);
    assert_eq!(stage.waited(), S(15));
    assert_eq!(stage.wait()[0], Action::Close(4000));
    assert!(stage.waited() <= S(5), "a new connection within 20 s");
}

#[test]
fn case_30_jitter_null() {
    for (chance, first) in [(0.0, S(0)), (0.25, S(10)), (1.0, S(40))] {
        let mut stage = Stage::new(true);
        stage.wait();
        stage.on(Event::Opened);
        stage.chance = chance;
        stage.on(Event::Hello(INTERVAL));
        assert_eq!(stage.waited(), first);
    }
}

#[test]
fn case_02_half_open_after_ready() {
    let mut stage = Stage::live(false);
    let live_at = stage.now;
    assert_eq!(stage.wait(), [Action::Beat]);
    assert_eq!(stage.wait()[0], Action::Close(4000));
    assert!(stage.now - live_at <= INTERVAL * 2);
    assert_eq!(stage.wait(), [own()]);
}

#[test]
fn case_31_slow_acks_flood() {
    let mut stage = Stage::live(false);
    for _ in 0..100 {
        assert_eq!(stage.wait(), [Action::Beat]);
        // No acknowledgement comes, but events do.
        stage.on(Event::Heard);
    }
}

#[test]
fn quiet_sessions_are_healthy() {
    let mut stage = Stage::live(false);
    for _ in 0..1000 {
        assert_eq!(stage.wait(), [Action::Beat]);
        stage.on(Event::Heard); // only the acknowledgement
    }
    assert_eq!(stage.count(is_connect), 1);
}

#[test]
fn case_29_op1_request() {
    let mut stage = Stage::live(false);
    stage.now += S(1);
    assert_eq!(stage.on(Event::BeatNow), [Action::Beat]);
    assert_eq!(
        stage.waited(),
        INTERVAL,
        "the next one is not mistaken for a second without an answer"
    );
    stage.on(Event::Heard);
    assert_eq!(stage.wait(), [Action::Beat]);
    let beats = (0..1000)
        .filter(|_| !stage.on(Event::BeatNow).is_empty())
        .count();
    assert!(beats <= 100, "the send limit holds: {beats}");
}

/// Op 7 came: the connection is left at once, and the session resumed on a new one.
fn reconnects(stage: &mut Stage) {
    stage.chance = 1.0;
    assert_eq!(
        stage.on(Event::Reconnect)[0],
        Action::Close(4000),
        "it does not wait for a close"
    );
    assert!(stage.waited() <= S(5));
    stage.wait();
    stage.on(Event::Opened);
    assert_eq!(
        stage.on(Event::Hello(INTERVAL)),
        [Action::Resume("s".into())]
    );
}

#[test]
fn case_03_op7_mute_peer() {
    reconnects(&mut Stage::live(false));
}

#[test]
fn case_28_op7_before_hello() {
    let mut stage = Stage::new(true);
    stage.wait();
    stage.on(Event::Opened);
    reconnects(&mut stage);
}

#[test]
fn case_21_op9_false() {
    let mut stage = Stage::live(false);
    assert_eq!(
        stage.on(Event::Invalid { resumable: false })[0],
        Action::Close(4000)
    );
    assert!(
        (S(1)..=S(5)).contains(&stage.waited()),
        "{:?}",
        stage.waited()
    );
    assert_eq!(stage.wait(), [Action::AskBudget]);
    assert_eq!(stage.on(Event::MayIdentify), [base()]);
}

#[test]
fn case_22_op9_true() {
    let mut stage = Stage::live(false);
    stage.on(Event::Invalid { resumable: true });
    assert_eq!(stage.wait(), [own()]);
    stage.on(Event::Opened);
    assert_eq!(
        stage.on(Event::Hello(INTERVAL)),
        [Action::Resume("s".into())]
    );
}

#[test]
fn case_23_resume_url_dead() {
    for failure in [not_opened(), Event::Closed(None), Event::Tick] {
        let mut stage = Stage::live(false);
        stage.on(Event::Closed(None));
        assert_eq!(stage.wait(), [own()]);
        match failure {
            Event::NotOpened(_) => drop(stage.on(not_opened())),
            Event::Tick => drop(stage.wait()), // nothing happens at all
            closed => {
                stage.on(Event::Opened);
                stage.on(closed);
            }
        }
        assert_eq!(stage.wait(), [base()]);
        stage.on(Event::Opened);
        assert_eq!(
            stage.on(Event::Hello(INTERVAL)),
            [Action::Resume("s".into())],
            "but still a RESUME"
        );
        stage.on(Event::Resumed);
        stage.on(Event::Closed(None));
        assert_eq!(stage.wait(), [own()], "it gets another chance");
    }
}

#[test]
fn an_outage_of_hours_costs_no_identify() {
    let mut stage = Stage::live(false);
    stage.on(Event::Closed(None));
    stage.play(S(6 * 3600), |action| match action {
        Action::Connect(_) => vec![not_opened()],
        _ => Vec::new(),
    });
    assert_eq!(stage.count(|action| *action == Action::AskBudget), 1);
}

#[test]
fn case_04_resume_reject_loop() {
    let mut stage = Stage::live(false);
    stage.on(Event::Closed(None));
    stage.chance = 1.0;
    stage.play(S(3600), |action| match action {
        Action::AskBudget => vec![Event::MayIdentify],
        Action::Connect(_) => vec![Event::Opened, Event::Hello(INTERVAL)],
        Action::Resume(_) => vec![Event::Invalid { resumable: true }],
        Action::Identify => vec![Event::Ready(resumable()), Event::Reconnect],
        _ => Vec::new(),
    });
    let kinds: String = stage
        .did
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Identify => Some('I'),
            Action::Resume(_) => Some('R'),
            _ => None,
        })
        .collect();
    assert!(kinds.starts_with("IRRRIRRRIRRRI"), "{kinds}");
    assert!(kinds.len() < 80, "the backoff grows: {}", kinds.len());
}

#[test]
fn an_unanswered_resume_has_failed_after_a_minute() {
    let mut stage = Stage::live(false);
    stage.on(Event::Closed(None));
    stage.wait();
    stage.on(Event::Opened);
    stage.on(Event::Hello(INTERVAL));
    let asked = stage.now;
    while !stage.wait().contains(&Action::Close(4000)) {
        stage.on(Event::Heard); // heartbeats are answered
    }
    assert_eq!(stage.now - asked, S(60));
    assert_eq!(stage.session.failed_resumes, 1);
}

#[test]
fn case_05_accept_close_storm() {
    for chance in [0.0, 0.5, 1.0] {
        for code in [None, Some(1000), Some(4000), Some(4009)] {
            let mut stage = Stage::new(true);
            stage.chance = chance;
            stage.play(S(3600), |action| match action {
                Action::AskBudget => vec![Event::MayIdentify],
                Action::Connect(_) => vec![Event::Opened, Event::Closed(code)],
                _ => Vec::new(),
            });
            let connects: Vec<_> = stage
                .did
                .iter()
                .filter(|(_, action)| is_connect(action))
                .map(|(at, _)| *at)
                .collect();
            for first in &connects {
                let within = connects
                    .iter()
                    .filter(|at| *at >= first && **at < *first + S(60))
                    .count();
                assert!(within <= 10, "{within} connections in a minute");
            }
            assert!(connects.len() > 30, "but it never gives up");
        }
    }
}

#[test]
fn case_06_identify_budget_zero() {
    let mut stage = Stage::new(false);
    stage.wait();
    stage.on(Event::IdentifyLater(S(500)));
    assert_eq!(stage.waited(), S(500));
    assert_eq!(stage.wait(), [Action::AskBudget], "and it asks again");
    stage.on(Event::BudgetUnknown("no answer".into()));
    assert!(stage.waited() >= S(1));
    assert_eq!(stage.count(is_connect), 0);
}

#[test]
fn case_10_fatal_codes() {
    for code in [4004, 4010, 4011, 4012, 4013, 4014] {
        let mut stage = Stage::live(false);
        let actions = stage.on(Event::Closed(Some(code)));
        assert!(matches!(actions.last(), Some(Action::Stop(_))));
        assert_eq!(stage.session.deadline(), None);
        assert_eq!(stage.on(Event::Tick), []);
    }
}

#[test]
fn case_32_4007_4009() {
    for code in [4003, 4007, 4009] {
        let mut stage = Stage::live(false);
        stage.on(Event::Closed(Some(code)));
        assert_eq!(stage.wait(), [Action::AskBudget], "{code}");
    }
}

#[test]
fn what_is_late_or_out_of_place_changes_nothing() {
    let mut stage = Stage::new(true);
    for event in [
        Event::Opened,
        Event::Closed(Some(4004)),
        Event::Hello(INTERVAL),
        Event::BeatNow,
        Event::Reconnect,
        Event::Invalid { resumable: false },
        Event::Ready(Resumable {
            session: "other".into(),
            url: String::new(),
        }),
        Event::Resumed,
        Event::MayIdentify,
        Event::Replay,
    ] {
        assert_eq!(stage.on(event), []);
    }
    assert_eq!(stage.wait(), [own()]);
}

#[test]
fn the_send_limit_holds_at_any_interval() {
    let mut stage = Stage::new(true);
    stage.wait();
    stage.on(Event::Opened);
    let mut sent = Vec::new();
    let mut actions = stage.on(Event::Hello(Duration::from_millis(1)));
    actions.extend(stage.on(Event::Resumed));
    let until = stage.now + S(600);
    while stage.now < until {
        let sends = |action: &&Action| matches!(action, Action::Beat | Action::Resume(_));
        let sends = actions.iter().filter(sends).count();
        sent.extend(std::iter::repeat_n(stage.now, sends));
        assert!(!actions.contains(&Action::Close(4000)), "it stays");
        stage.on(Event::Heard);
        actions = stage.wait();
    }
    for first in &sent {
        let within = |at: &&Instant| *at >= first && **at < *first + S(60);
        let within = sent.iter().filter(within).count();
        assert!(within <= 120, "{within} frames in a minute");
    }
    assert!(sent.len() > 1000, "but it goes on: {}", sent.len());
}

#[test]
fn renew_and_replay() {
    let mut stage = Stage::live(false);
    assert_eq!(stage.on(Event::Replay)[0], Action::Close(4000));
    assert_eq!(stage.wait(), [own()]);
    let mut stage = Stage::live(false);
    assert_eq!(stage.on(Event::Renew)[0], Action::Close(4000));
    assert_eq!(stage.wait(), [Action::AskBudget]);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Tick),
        3 => Just(Event::Opened),
        2 => Just(not_opened()),
        2 => prop_oneof![Just(None), (4000_u16..4010).prop_filter("fatal", |c| *c != 4004).prop_map(Some)]
            .prop_map(Event::Closed),
        3 => (0_u64..100_000).prop_map(|ms| Event::Hello(Duration::from_millis(ms))),
        1 => Just(Event::BeatNow),
        1 => Just(Event::Reconnect),
        1 => any::<bool>().prop_map(|resumable| Event::Invalid { resumable }),
        3 => Just(Event::Ready(resumable())),
        2 => Just(Event::Resumed),
        3 => Just(Event::Heard),
        3 => Just(Event::MayIdentify),
        1 => Just(Event::IdentifyLater(S(7))),
        1 => Just(Event::BudgetUnknown("no answer".into())),
        1 => Just(Event::Replay),
        1 => Just(Event::Renew),
    ]
}

proptest! {
    /// Whatever comes in whatever order: one connection at a time, never a send without one, an
    /// IDENTIFY only after the budget, and always something that it waits for.
    #[test]
    fn it_keeps_its_promises(
        events in proptest::collection::vec((any_event(), 0_u64..30_000, 0.0_f64..=1.0), 1..200),
    ) {
        let mut stage = Stage::new(false);
        let (mut connection, mut open, mut may) = (false, false, false);
        for (event, ms, chance) in events {
            stage.now += Duration::from_millis(ms);
            stage.chance = chance;
            may |= event == Event::MayIdentify;
            open |= connection && event == Event::Opened;
            let ended = matches!(event, Event::NotOpened(_)) && connection && !open;
            connection &= !ended;
            for action in stage.on(event) {
                match action {
                    Action::Connect(_) => {
                        prop_assert!(!connection, "a second connection");
                        (connection, open) = (true, false);
                    }
                    Action::Beat | Action::Resume(_) => prop_assert!(connection && open),
                    Action::Identify => {
                        prop_assert!(connection && open && may);
                        may = false;
                    }
                    Action::Close(code) => {
                        prop_assert!(connection && open && code != 1000 && code != 1001);
                        (connection, open) = (false, false);
                    }
                    Action::Drop => {
                        prop_assert!(connection);
                        (connection, open) = (false, false);
                    }
                    Action::AskBudget => may = false,
                    Action::Down(_) | Action::Up { .. } => {}
                    Action::Stop(_) => prop_assert!(false, "nothing fatal came"),
                }
            }
            let asking = matches!(stage.session.phase, Phase::Asking);
            prop_assert!(asking || stage.session.deadline().is_some());
        }
    }
}
