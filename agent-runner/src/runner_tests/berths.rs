//! Sessions that share few processes.

use super::*;
use crate::berths::{LOOK, Memory};

const MIB: u64 = 1 << 20;

fn few(max_agents: usize) -> World {
    World::with(Options {
        max_agents,
        reserve_memory_mb: 0,
        ..Options::default()
    })
}

impl World {
    /// Somebody writes in a session; the turn has the session's name.
    fn writes(&mut self, session: &str, turn: u32) -> TurnRef {
        let prompt = Prompt {
            session: session.into(),
            agent_session: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, session.as_bytes())
                .to_string(),
            ..prompt(turn, 1)
        };
        let at = prompt.at.clone();
        self.hub(Body::Prompt(prompt));
        at
    }

    fn begins(&mut self) -> u64 {
        let (launch, start) = self.starts(false, Standing::Absent, &[]);
        self.line(
            launch,
            json!({"type": "system", "subtype": "init", "session_id": start.session}),
        );
        launch
    }

    fn prepares_nothing(&self) -> bool {
        let prepares = |effect: &Effect| matches!(effect, Effect::Prepare { .. });
        !self.effects.iter().any(prepares)
    }

    fn leaves(&mut self, launch: u64) {
        self.event(
            launch,
            Event::Exited(Exit {
                code: Some(0),
                ..Exit::default()
            }),
        );
    }
}

fn waiting(ahead: u64, memory: bool) -> TurnEvent {
    TurnEvent::Waiting { ahead, memory }
}

#[test]
fn who_finds_no_room_is_told_and_starts_in_order_once_an_idle_agent_has_made_some() {
    let mut world = few(1);
    let a = world.writes("a", 1);
    let launch = world.begins();
    // Not by name: by who came first.
    let (c, b) = (world.writes("c", 2), world.writes("b", 3));
    assert_eq!(world.events(&c), [&waiting(0, false)]);
    assert_eq!(world.events(&b), [&waiting(1, false)]);
    assert!(world.prepares_nothing());
    assert_eq!((world.runner.counts(), world.runner.waiting()), ((1, 3), 2));
    world.ends(launch, 1);
    assert_eq!(world.outcome(&a), Some(&Outcome::Done));
    assert!(world.effects.contains(&Effect::CloseInput { launch }));
    assert!(world.prepares_nothing(), "never beside the old one");
    world.leaves(launch);
    let launch = world.begins();
    world.ends(launch, 2);
    world.leaves(launch);
    let launch = world.begins();
    world.ends(launch, 3);
    for at in [&c, &b] {
        assert_eq!(world.outcome(at), Some(&Outcome::Done));
        let told = world.events(at);
        assert!(matches!(
            told[..],
            [TurnEvent::Waiting { .. }, TurnEvent::Started { .. }, ..]
        ));
    }
    // Nobody waits any more, so it may stay.
    assert!(!world.effects.contains(&Effect::CloseInput { launch }));
}

#[test]
fn a_turn_that_waits_can_be_stopped_and_is_under_no_limit() {
    let mut world = few(1);
    world.writes("a", 1);
    let launch = world.begins();
    let (b, c) = (world.writes("b", 2), world.writes("c", 3));
    world.hub(Body::Interrupt(Interrupt {
        at: b.clone(),
        session: "b".into(),
    }));
    assert_eq!(world.outcome(&b), Some(&Outcome::Stopped));
    for _ in 0..5 {
        world.wait(Duration::from_secs(3600));
        world.line(launch, json!({"type": "keep_alive"}));
    }
    assert_eq!(world.events(&c), [&waiting(1, false)]);
    world.ends(launch, 1);
    world.leaves(launch);
    let launch = world.begins();
    world.wait(Duration::from_secs(3600));
    assert_eq!(world.outcome(&c), None, "what it waited does not count");
    world.ends(launch, 3);
    assert_eq!(world.outcome(&c), Some(&Outcome::Done));
}

#[test]
fn a_turn_whose_agent_died_goes_before_those_that_wait() {
    let mut world = few(1);
    world.writes("a", 1);
    let launch = world.begins();
    world.writes("b", 2);
    world.dies(launch);
    let (_, start) = world.starts(true, Standing::Open, &[]);
    assert!(start.revive);
    assert!(world.prepares_nothing());
}

// pitfall: a process has 185 MB when idle and more after a turn
#[test]
fn while_there_is_too_little_memory_it_is_looked_at_again_and_again() {
    let mut world = World::with(Options {
        reserve_memory_mb: 512,
        agents_memory_mb: 0,
        ..Options::default()
    });
    world.writes("a", 1);
    world.begins();
    world.wait(Duration::from_secs(10));
    let b = world.writes("b", 2);
    let measured = |world: &mut World, mib: u64| {
        let asked = world.took(|effect| match effect {
            Effect::Measure { agents } => Some(*agents),
            _ => None,
        });
        assert!(!asked, "the agents' own takes time and bounds nothing here");
        world.step(Input::Measured(Memory {
            available: Some(mib * MIB),
            agents: None,
        }));
    };
    measured(&mut world, 500);
    assert_eq!(world.events(&b), [&waiting(0, true)]);
    assert_eq!(world.runner.deadline(world.now), Some(world.now + LOOK));
    world.wait(LOOK);
    measured(&mut world, 500);
    assert_eq!(world.events(&b).len(), 1, "once");
    world.wait(LOOK);
    measured(&mut world, 600);
    world.begins();
    assert!(world.events(&b).len() == 2);
}

#[test]
fn plain_commands_share_room_too() {
    let mut world = World::with(Options {
        kind: AgentKind::Command,
        max_agents: 1,
        reserve_memory_mb: 0,
        ..Options::default()
    });
    let launched = |world: &mut World| {
        world.took(|effect| match effect {
            Effect::Launch { launch, .. } => Some(*launch),
            _ => None,
        })
    };
    world.writes("a", 1);
    let first = launched(&mut world);
    world.event(first, Event::Launched);
    let b = world.writes("b", 2);
    assert_eq!(world.events(&b), [&waiting(0, false)]);
    world.leaves(first);
    launched(&mut world);
}
