//! The table cell by cell, then its invariants under random lives.

use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const NOW: Now = Duration::from_secs(1000);
const FULL: u32 = u32::MAX;

fn limits() -> Limits {
    Limits {
        ready: 30 * S,
        drain: 10 * S,
        silence: Some(30 * S),
        abort: 2 * S,
        backoff_min: 200 * MS,
        backoff_max: 60 * S,
        steady: 60 * S,
        alarm_window: 600 * S,
        alarm_deaths: 5,
    }
}

fn at(state: State) -> Life {
    Life {
        state,
        generation: 7,
        ..Life::default()
    }
}

fn step(state: State, event: Event) -> Outcome {
    let (life, action) = at(state).step(event, NOW, &limits(), 0);
    (life.state, action)
}

fn draining(then: Then) -> State {
    State::Draining {
        kill_at: NOW + 10 * S,
        kills: 0,
        then,
    }
}

const STARTING: State = State::Starting { since: NOW };
const READY: State = State::Ready {
    since: NOW,
    beat: NOW,
};
const BACKOFF: State = State::Backoff {
    until: Duration::from_secs(1001),
};
const HELD: State = State::Held(Held::Credentials);
type Outcome = (State, Option<Action>);
const BORN: Outcome = (STARTING, Some(Action::Birth(8)));
const BACK_OFF: Outcome = (
    State::Backoff {
        until: Duration::from_millis(1_000_200),
    },
    None,
);
const KILLED: Outcome = (
    State::Draining {
        kill_at: Duration::from_secs(1005),
        kills: 1,
        then: Then::Stop,
    },
    Some(Action::Kill),
);

/// Every state by every event, with nothing due.
#[test]
fn every_cell() {
    use Event::*;
    let crash = Died(Death::Signal(9));
    let (stop, start, judge) = (
        draining(Then::Stop),
        draining(Then::Start),
        draining(Then::Judge),
    );
    let woke = Woke(3 * S);
    let later = |then| State::Draining {
        kill_at: NOW + 13 * S,
        kills: 0,
        then,
    };
    #[rustfmt::skip]
    let table: [(State, [(Event, Outcome); 11]); 8] = [
        (State::Stopped, [
            (Start, BORN), (Unborn, (State::Stopped, None)), (Ready, (State::Stopped, None)), (Beat, (State::Stopped, None)),
            (Stopping, (State::Stopped, None)), (crash, (State::Stopped, None)), (Tick, (State::Stopped, None)),
            (woke, (State::Stopped, None)), (Restart, (State::Stopped, None)), (Stop, (State::Stopped, None)), (Kill, (State::Stopped, None)),
        ]),
        (STARTING, [
            (Start, (STARTING, None)), (Unborn, BACK_OFF), (Ready, (READY, None)), (Beat, (STARTING, None)),
            (Stopping, (judge, None)), (crash, BACK_OFF), (Tick, (STARTING, None)),
            (woke, (State::Starting { since: NOW + 3 * S }, None)), (Restart, (start, Some(Action::Term))),
            (Stop, (stop, Some(Action::Term))), (Kill, KILLED),
        ]),
        (READY, [
            (Start, (READY, None)), (Unborn, (READY, None)), (Ready, (READY, None)), (Beat, (READY, None)),
            (Stopping, (judge, None)), (crash, BACK_OFF), (Tick, (READY, None)),
            (woke, (READY, None)), (Restart, (start, Some(Action::Term))), (Stop, (stop, Some(Action::Term))), (Kill, KILLED),
        ]),
        (BACKOFF, [
            (Start, (BACKOFF, None)), (Unborn, (BACKOFF, None)), (Ready, (BACKOFF, None)), (Beat, (BACKOFF, None)),
            (Stopping, (BACKOFF, None)), (crash, (BACKOFF, None)), (Tick, (BACKOFF, None)),
            (woke, (BACKOFF, None)), (Restart, BORN), (Stop, (State::Stopped, None)), (Kill, (State::Stopped, None)),
        ]),
        (HELD, [
            (Start, (HELD, None)), (Unborn, (HELD, None)), (Ready, (HELD, None)), (Beat, (HELD, None)),
            (Stopping, (HELD, None)), (crash, (HELD, None)), (Tick, (HELD, None)),
            (woke, (HELD, None)), (Restart, BORN), (Stop, (State::Stopped, None)), (Kill, (State::Stopped, None)),
        ]),
        (stop, [
            (Start, (start, None)), (Unborn, (stop, None)), (Ready, (stop, None)), (Beat, (stop, None)),
            (Stopping, (stop, None)), (crash, (State::Stopped, None)), (Tick, (stop, None)),
            (woke, (later(Then::Stop), None)), (Restart, (stop, None)), (Stop, (stop, None)), (Kill, KILLED),
        ]),
        (start, [
            (Start, (start, None)), (Unborn, (start, None)), (Ready, (start, None)), (Beat, (start, None)),
            (Stopping, (start, None)), (crash, BORN), (Tick, (start, None)),
            (woke, (later(Then::Start), None)), (Restart, (start, None)), (Stop, (stop, None)), (Kill, KILLED),
        ]),
        (judge, [
            (Start, (start, None)), (Unborn, (judge, None)), (Ready, (judge, None)), (Beat, (judge, None)),
            (Stopping, (judge, None)), (crash, BACK_OFF), (Tick, (judge, None)),
            (woke, (later(Then::Judge), None)), (Restart, (start, None)), (Stop, (stop, None)), (Kill, KILLED),
        ]),
    ];
    for (state, cells) in table {
        for (event, expected) in cells {
            assert_eq!(step(state, event), expected, "{state:?} on {event:?}");
        }
    }
}

#[test]
fn deadlines_bring_the_next_stronger_word() {
    let late = |state, after: Duration| {
        let (life, action) = at(state).step(Event::Tick, NOW + after, &limits(), 0);
        (life.state, action)
    };
    let (state, action) = late(STARTING, 30 * S);
    assert_eq!(action, Some(Action::Term), "not ready in time");
    assert_eq!(
        state,
        State::Draining {
            kill_at: NOW + 40 * S,
            kills: 0,
            then: Then::Judge
        }
    );

    let (state, action) = late(READY, 30 * S);
    assert_eq!(action, Some(Action::Abort), "three beats missed");
    assert_eq!(
        state,
        State::Draining {
            kill_at: NOW + 32 * S,
            kills: 0,
            then: Then::Judge
        }
    );

    let (state, action) = late(draining(Then::Stop), 10 * S);
    assert_eq!(action, Some(Action::Kill), "the drain took too long");
    let State::Draining {
        kill_at,
        kills: 1,
        then: Then::Stop,
    } = state
    else {
        panic!("{state:?}")
    };
    let (life, action) = at(state).step(Event::Tick, kill_at, &limits(), 0);
    assert_eq!(action, Some(Action::Kill), "and once more");
    assert!(matches!(life.state, State::Draining { kills: 2, .. }));

    assert_eq!(
        late(BACKOFF, S),
        (State::Starting { since: NOW + S }, Some(Action::Birth(8)))
    );
}

#[test]
fn three_exit_codes_hold_and_no_other_does() {
    for alive in [STARTING, READY, draining(Then::Judge)] {
        for code in 0..=255 {
            let (state, action) = step(alive, Event::Died(Death::Code(code)));
            match code {
                78 => assert_eq!(state, State::Held(Held::Config)),
                77 => assert_eq!(state, State::Held(Held::Credentials)),
                76 => assert_eq!(state, State::Held(Held::Schema)),
                _ => assert!(
                    matches!(state, State::Backoff { .. }),
                    "exit {code}: {state:?}"
                ),
            }
            assert_eq!(action, None);
        }
    }
    for code in [0, 1, 76, 77, 78] {
        let died = Event::Died(Death::Code(code));
        assert_eq!(
            step(draining(Then::Stop), died),
            (State::Stopped, None),
            "it was asked to"
        );
        assert_eq!(step(draining(Then::Start), died), BORN, "it was asked to");
    }
}

#[test]
fn backoff_doubles_to_its_ceiling_and_forgets_after_a_steady_minute() {
    let limits = limits();
    let mut life = at(READY);
    let mut ceilings = Vec::new();
    for _ in 0..10 {
        life.state = READY;
        life = life.step(Event::Died(Death::Code(1)), NOW, &limits, FULL).0;
        let State::Backoff { until } = life.state else {
            panic!("{life:?}")
        };
        ceilings.push((until - NOW).as_millis());
    }
    assert_eq!(
        ceilings,
        [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000]
    );
    assert_eq!(life.failures, 10);

    life.state = READY;
    life = life
        .step(Event::Died(Death::Code(1)), NOW + 59 * S, &limits, FULL)
        .0;
    assert_eq!(life.failures, 11, "59 seconds are not steady");
    life.state = READY;
    life = life
        .step(Event::Died(Death::Code(1)), NOW + 60 * S, &limits, FULL)
        .0;
    assert_eq!(life.failures, 1);
    assert_eq!(
        life.state,
        State::Backoff {
            until: NOW + 60 * S + 200 * MS
        }
    );
}

#[test]
fn an_operators_restart_forgets_the_failures() {
    let mut life = at(BACKOFF);
    life.failures = 9;
    assert_eq!(life.step(Event::Restart, NOW, &limits(), 0).0.failures, 0);
}

#[test]
fn degraded_is_a_window_not_a_verdict() {
    let limits = limits();
    let mut life = at(READY);
    for n in 0..5 {
        assert!(!life.degraded(NOW, &limits), "{n} deaths are no alarm");
        life.state = READY;
        life = life
            .step(Event::Died(Death::Signal(11)), NOW + n * S, &limits, 0)
            .0;
    }
    assert!(life.degraded(NOW + 5 * S, &limits));
    assert!(life.degraded(NOW + 599 * S, &limits));
    assert!(
        !life.degraded(NOW + 600 * S, &limits),
        "the first death left the window"
    );
}

#[test]
fn without_a_watchdog_silence_is_no_fault() {
    let limits = Limits {
        silence: None,
        ..limits()
    };
    let (life, action) = at(READY).step(Event::Tick, NOW + 10_000 * S, &limits, 0);
    assert_eq!((life.state, action), (READY, None));
    assert_eq!(at(READY).deadline(&limits), None);
}

#[test]
fn deaths_are_told_in_words() {
    assert_eq!(Death::Signal(9).to_string(), "killed by SIGKILL");
    assert_eq!(Death::Signal(0).to_string(), "killed by a real-time signal");
    assert_eq!(Death::Code(77).to_string(), "exit 77: credentials refused");
    assert_eq!(Death::Code(3).to_string(), "exit 3");
    assert!(
        Held::Credentials
            .words("discord:main")
            .ends_with("bulkhead restart discord:main")
    );
}

fn any_death() -> impl Strategy<Value = Death> {
    prop_oneof![
        Just(Death::Code(0)),
        Just(Death::Code(1)),
        (76..=78).prop_map(Death::Code),
        (1..32).prop_map(Death::Signal),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    use Event::*;
    prop_oneof![
        2 => Just(Start), 2 => Just(Ready), 2 => Just(Beat), 1 => Just(Stopping), 4 => Just(Tick),
        3 => any_death().prop_map(Died), 1 => Just(Restart), 1 => Just(Stop), 1 => Just(Kill),
        1 => (0u64..100).prop_map(|s| Woke(Duration::from_secs(s))), 1 => Just(Unborn),
    ]
}

proptest! {
    /// Lives as the shell can produce them: a death needs a process, a birth makes one.
    #[test]
    fn invariants(events in prop::collection::vec((any_event(), 0u64..40_000, any::<u32>()), 0..300)) {
        let limits = limits();
        let (mut life, mut now, mut exists) = (Life::default(), Duration::ZERO, false);
        for (event, pause, jitter) in events {
            match event {
                Event::Died(_) if !exists => continue,
                Event::Died(_) => exists = false,
                // The shell says Unborn only right after the birth it was asked for.
                Event::Unborn if !matches!(life.state, State::Starting { .. }) => continue,
                Event::Unborn => exists = false,
                _ => {}
            }
            now += Duration::from_millis(pause);
            let before = life.clone();
            let (after, action) = before.clone().step(event, now, &limits, jitter);

            match action {
                Some(Action::Birth(generation)) => {
                    prop_assert!(!exists, "two processes of one name");
                    prop_assert_eq!(generation, before.generation + 1);
                    exists = true;
                }
                Some(_) => prop_assert!(exists, "a signal to nobody"),
                None => {}
            }
            prop_assert_eq!(after.generation - before.generation,
                u64::from(matches!(action, Some(Action::Birth(_)))));
            prop_assert_eq!(after.is_born(), exists, "{:?}", after.state);

            if let (State::Held(_), State::Held(_)) | (_, State::Held(_)) = (before.state, after.state) {
                prop_assert_eq!(action, None);
            }
            if matches!(before.state, State::Held(_)) && after.state != before.state {
                prop_assert!(matches!(event, Event::Restart | Event::Stop | Event::Kill));
            }
            if let State::Backoff { until } = after.state && after.state != before.state {
                prop_assert!(until >= now + limits.backoff_min && until <= now + limits.backoff_max);
            }
            if matches!(after.state, State::Stopped) && before.state != after.state {
                let asked = matches!(event, Event::Stop | Event::Kill)
                    || matches!(before.state, State::Draining { then: Then::Stop, .. });
                prop_assert!(asked, "stopped by itself");
            }
            // Nobody waits for ever: whatever still waits has a deadline, and acts on it.
            if let Some(due) = after.deadline(&limits) {
                let (acted, act) = after.clone().step(Event::Tick, due, &limits, jitter);
                prop_assert!(act.is_some() && acted.state != after.state);
            } else {
                prop_assert!(matches!(after.state, State::Stopped | State::Held(_)));
            }
            prop_assert!(after.deaths.len() <= limits.alarm_deaths);
            life = after;
        }
    }
}
