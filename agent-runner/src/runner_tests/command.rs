//! Sessions with a plain program.

use super::*;
use crate::board::HELD_BYTES;

fn command() -> (World, u64) {
    let mut world = World::new(AgentKind::Command);
    world.hub(Body::Prompt(prompt(1, 1)));
    let launch = world.took(|effect| match effect {
        Effect::Launch {
            launch,
            what: What::Command { text, .. },
            ..
        } if text == "say 1" => Some(*launch),
        _ => None,
    });
    world.event(launch, Event::Launched);
    (world, launch)
}

#[test]
fn a_command_answers_with_its_output() {
    let (mut world, launch) = command();
    world.event(launch, Event::Output(b"one ".to_vec()));
    world.event(launch, Event::Output(b"two\n".to_vec()));
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    assert_eq!(world.texts(&at(1, 1)), ["one two"]);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Done));
}

#[test]
fn a_command_is_never_run_twice() {
    let (mut world, launch) = command();
    world.dies(launch);
    let cannot = Outcome::Failed {
        fault: Fault::CannotResume,
    };
    assert_eq!(world.outcome(&at(1, 1)), Some(&cannot));
    world.effects.clear();
    world.hub(Body::Prompt(prompt(2, 2)));
    assert_eq!(world.outcome(&at(2, 2)), Some(&cannot));
    assert_eq!(world.effects, []);
}

#[test]
fn a_commands_result_is_given_again_while_it_is_held() {
    let (mut world, launch) = command();
    world.event(launch, Event::Output(b"one".to_vec()));
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    world.hub(Body::Prompt(prompt(1, 2)));
    assert_eq!(world.texts(&at(1, 2)), ["one"]);
    assert_eq!(world.outcome(&at(1, 2)), Some(&Outcome::Done));
}

#[test]
fn a_command_that_fails_says_why_and_one_that_floods_is_cut() {
    let (mut world, launch) = command();
    let exit = Exit {
        code: Some(3),
        signal: None,
        words: "no such thing".into(),
    };
    world.event(launch, Event::Exited(exit));
    let Some(Outcome::Failed {
        fault: Fault::Agent { words },
    }) = world.outcome(&at(1, 1))
    else {
        panic!("{:?}", world.told)
    };
    assert_eq!(words, "agent ended with code 3: no such thing");

    let (mut world, launch) = command();
    for _ in 0..100 {
        world.event(launch, Event::Output(vec![b'x'; 65536]));
    }
    world.event(
        launch,
        Event::Exited(Exit {
            code: Some(0),
            ..Exit::default()
        }),
    );
    let all = world.texts(&at(1, 1)).concat();
    assert!(all.len() < HELD_BYTES + 200);
    let missing = (100 * 65536 - all.len()) as u64;
    let cut = TurnEvent::Remark {
        about: Remark::Cut {
            most: 1 << 20,
            missing,
        },
    };
    assert!(world.events(&at(1, 1)).contains(&&cut));
}

#[test]
fn a_stopped_command_is_killed() {
    let (mut world, launch) = command();
    world.hub(Body::Interrupt(Interrupt {
        at: at(1, 1),
        session: "s".into(),
    }));
    assert!(world.effects.contains(&Effect::Kill { launch }));
    world.dies(launch);
    assert_eq!(world.outcome(&at(1, 1)), Some(&Outcome::Stopped));
}
