//! Whatever comes in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Deed {
    Prompt(u32, u32),
    Interrupt(u32, u32),
    Close,
    Relink(bool),
    Keep,
    Prepared(bool, u8),
    Launch(bool),
    Line(u8, u32),
    Exit(bool),
    Read(u8),
    Swept,
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (1..5u32, 1..3u32).prop_map(|(turn, attempt)| Deed::Prompt(turn, attempt)),
        1 => (1..5u32, 1..3u32).prop_map(|(turn, attempt)| Deed::Interrupt(turn, attempt)),
        1 => Just(Deed::Close),
        1 => any::<bool>().prop_map(Deed::Relink),
        2 => Just(Deed::Keep),
        5 => (any::<bool>(), 0..4u8).prop_map(|(file, standing)| Deed::Prepared(file, standing)),
        5 => prop::bool::weighted(0.9).prop_map(Deed::Launch),
        9 => (0..6u8, 1..5u32).prop_map(|(kind, turn)| Deed::Line(kind, turn)),
        1 => any::<bool>().prop_map(Deed::Exit),
        3 => (0..4u8).prop_map(Deed::Read),
        2 => Just(Deed::Swept),
        1 => (0..10_000u64).prop_map(Deed::Wait),
    ]
}

fn standing(n: u8) -> Standing {
    [
        Standing::Absent,
        Standing::Open,
        Standing::Stopped,
        Standing::Answered,
    ][usize::from(n)]
}

/// What the shell would have under way: launches in each of its states.
#[derive(Default)]
struct Shell {
    preparing: Vec<u64>,
    locked: BTreeSet<u64>,
    launching: Vec<u64>,
    live: Vec<u64>,
    reading: Vec<(u64, String)>,
    sweeping: Vec<u64>,
}

impl Shell {
    fn take(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Prepare { launch, .. } => self.preparing.push(launch),
                Effect::Release { launch } => {
                    assert!(self.locked.remove(&launch), "released twice")
                }
                Effect::Launch { launch, what, .. } => {
                    assert!(self.locked.remove(&launch), "no start without the lock");
                    assert!(matches!(what, What::Claude(_)));
                    self.launching.push(launch);
                }
                Effect::Read { launch, prompt, .. } => self.reading.push((launch, prompt)),
                Effect::Sweep { launch } => self.sweeping.push(launch),
                _ => {}
            }
        }
        assert!(
            self.launching.len() + self.live.len() <= 1,
            "one process a session"
        );
    }
}

fn pop<T>(list: &mut Vec<T>) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(0))
}

proptest! {
    /// Whatever comes in whatever order: updates without gaps, one `Ended` an attempt and it is the
    /// last, no process beside another, every lock given back or handed over.
    #[test]
    fn any_order_of_events_keeps_the_promises(deeds in prop::collection::vec(deed(), 0..150)) {
        let mut world = claude();
        let mut shell = Shell::default();
        let mut prompted: BTreeSet<TurnRef> = BTreeSet::new();
        let mut n = 0;
        for deed in deeds {
            n += 1;
            match deed {
                Deed::Prompt(turn, attempt) => {
                    prompted.insert(at(turn, attempt));
                    world.hub(Body::Prompt(prompt(turn, attempt)));
                }
                Deed::Interrupt(turn, attempt) => world.hub(Body::Interrupt(Interrupt {
                    at: at(turn, attempt), session: "s".into(),
                })),
                Deed::Close => world.hub(Body::CloseSession(CloseSession { session: "s".into() })),
                Deed::Relink(all) => {
                    world.step(Input::Link);
                    // A hub that forgets is as good as a new one: it does not know what was told.
                    let turns = if all { prompted.iter().cloned().collect() } else { Vec::new() };
                    world.hub(Body::OpenTurns(OpenTurns { turns }));
                    if !all {
                        prompted.clear();
                        world.told.clear();
                    }
                }
                Deed::Keep => {
                    for update in world.told.clone() {
                        world.hub(Body::UpdatesKept(UpdatesKept { at: update.at, n: update.n }));
                    }
                }
                Deed::Prepared(file, kind) => if let Some(launch) = pop(&mut shell.preparing) {
                    shell.locked.insert(launch);
                    let reading = reading(standing(kind), &[("a", "one")]);
                    world.event(launch, Event::Prepared(Ok(prepared(file, reading))));
                },
                Deed::Launch(works) => if let Some(launch) = pop(&mut shell.launching) {
                    if works {
                        shell.live.push(launch);
                        world.event(launch, Event::Launched);
                    } else {
                        let fault = Fault::AgentMissing { cmd: String::new(), why: String::new() };
                        world.event(launch, Event::NotLaunched(fault));
                    }
                },
                Deed::Line(kind, turn) => if let Some(launch) = shell.live.first().copied() {
                    match kind {
                        0 | 1 => world.says(launch, &format!("u{n}"), "text"),
                        2 | 3 => world.ends(launch, turn),
                        4 => world.line(launch, json!({"type": "result", "subtype": "error_during_execution", "is_error": true})),
                        _ => world.line(launch, json!({"type": "control_request", "request_id": n.to_string(),
                            "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}})),
                    }
                },
                Deed::Exit(code) => if let Some(launch) = pop(&mut shell.live) {
                    let exit = Exit { code: code.then_some(1), ..Exit::default() };
                    world.event(launch, Event::Exited(exit));
                },
                Deed::Read(kind) => if let Some((launch, prompt)) = pop(&mut shell.reading) {
                    let reading = Ok(reading(standing(kind), &[("a", "one")]));
                    world.event(launch, Event::Read { prompt, reading });
                },
                Deed::Swept => if let Some(launch) = pop(&mut shell.sweeping) {
                    world.event(launch, Event::Swept);
                },
                Deed::Wait(seconds) => world.wait(Duration::from_secs(seconds)),
            }
            shell.take(&mut world.effects);
        }
        for of in &prompted {
            let mut numbers: Vec<u64> =
                world.told.iter().filter(|u| u.at == *of).map(|u| u.n).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert!(numbers.iter().enumerate().all(|(i, n)| *n == i as u64 + 1), "{numbers:?}");
            let ends: BTreeSet<u64> = world.told.iter()
                .filter(|u| u.at == *of && matches!(u.event, TurnEvent::Ended { .. }))
                .map(|u| u.n)
                .collect();
            prop_assert!(ends.len() <= 1);
            prop_assert!(ends.iter().all(|end| Some(end) == numbers.last()));
        }
        // Left alone, everything comes to an end.
        for _ in 0..200 {
            for launch in std::mem::take(&mut shell.preparing) {
                shell.locked.insert(launch);
                let reading = reading(Standing::Absent, &[]);
                world.event(launch, Event::Prepared(Ok(prepared(false, reading))));
            }
            shell.take(&mut world.effects);
            for launch in std::mem::take(&mut shell.launching) {
                shell.live.push(launch);
                world.event(launch, Event::Launched);
            }
            for (launch, prompt) in std::mem::take(&mut shell.reading) {
                world.event(launch, Event::Read { prompt, reading: Ok(reading(Standing::Answered, &[])) });
            }
            for launch in std::mem::take(&mut shell.sweeping) {
                world.event(launch, Event::Swept);
            }
            for launch in std::mem::take(&mut shell.live) {
                world.event(launch, Event::Exited(Exit { code: Some(1), ..Exit::default() }));
            }
            for update in world.told.clone() {
                world.hub(Body::UpdatesKept(UpdatesKept { at: update.at, n: update.n }));
            }
            shell.take(&mut world.effects);
        }
        prop_assert_eq!(world.runner.counts(), (0, 0));
        prop_assert!(shell.locked.is_empty(), "a lock is left: {:?}", shell.locked);
        prop_assert!(world.runner.owners.is_empty());
    }
}
