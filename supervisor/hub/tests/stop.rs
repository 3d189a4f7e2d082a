//! `/stop`, `/new` and `/switch`: what ends, what goes on, and what is said of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::texts::{Lang, Text, say};
use ipc_schema::*;
use spool::TurnState;

fn en(text: Text<'_>) -> String {
    say(&text, Lang::En)
}

#[test]
fn stop_interrupts_and_the_next_turn_goes_on() {
    let mut desk = Desk::linked();
    let first = prompts(&desk.says("e1", "one")).remove(0);
    let out = desk.says("e2", "two");
    desk.post_all(out);
    desk.update(&first.at, 1, started(false));
    let out = desk.says("e3", "/stop");
    assert!(kinds(&out).contains(&"interrupt".to_owned()));
    let out = desk.update(&first.at, 2, ended(Outcome::Stopped));
    assert_eq!(prompts(&out).remove(0).text, "two");
    assert_eq!(desk.post_all(out), [en(Text::Stopped)]);
}

#[test]
fn a_stopped_turn_never_comes_back_to_life() {
    let mut desk = Desk::linked();
    let first = prompts(&desk.says("e1", "one")).remove(0);
    desk.says("e2", "/stop");
    desk.kill_hub();
    desk.worker_up();
    let out = desk.runner_up(true, Standing::Unknown);
    assert_eq!(prompts(&out), []);
    assert_eq!(desk.post_all(out), [en(Text::Stopped)]);
    let turn = desk.spool.turn(&first.at.turn).unwrap().unwrap();
    assert_eq!(turn.state, TurnState::Stopped);
}

#[test]
fn an_interrupt_is_said_again_to_a_runner_that_still_runs_the_turn() {
    let mut desk = Desk::linked();
    desk.says("e1", "one");
    desk.says("e2", "/stop");
    desk.kill_hub();
    desk.worker_up();
    let out = desk.runner_up(true, Standing::Running);
    assert!(kinds(&out).contains(&"interrupt".to_owned()), "{out:?}");
}

#[test]
fn nothing_to_stop_is_said() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "/stop");
    assert_eq!(desk.post_all(out), [en(Text::NothingToStop { told: true })]);
}

#[test]
fn new_opens_another_session() {
    let mut desk = Desk::linked();
    let first = prompts(&desk.says("e1", "one")).remove(0);
    let out = desk.answer(&first.at, "ok");
    desk.post_all(out);
    let out = desk.says("e2", "/new");
    assert!(kinds(&out).contains(&"close_session".to_owned()));
    assert_eq!(desk.post_all(out), [en(Text::NewSession)]);
    let second = prompts(&desk.says("e3", "two")).remove(0);
    assert_ne!(second.session, first.session);
    assert_ne!(second.agent_session, first.agent_session);
}

/// The runner is told which session, and that no turn is meant.
#[test]
fn a_stop_without_a_turn_ends_what_the_agent_does_of_its_own_accord() {
    let mut desk = Desk::linked();
    let first = prompts(&desk.says("e1", "one")).remove(0);
    let out = desk.answer(&first.at, "ok");
    desk.post_all(out);
    let out = desk.says("e2", "/stop");
    let interrupts: Vec<&Interrupt> = out
        .iter()
        .filter_map(|out| match &out.body {
            Body::Interrupt(interrupt) => Some(interrupt),
            _ => None,
        })
        .collect();
    let own = Interrupt {
        at: TurnRef::default(),
        session: first.session,
    };
    assert_eq!(interrupts, [&own]);
    assert!(!kinds(&out).contains(&"close_session".to_owned()));
    desk.post_all(out);
    // With its runner the agent has gone.
    desk.batch(vec![hub::engine::Event::Down {
        peer: RUNNER.into(),
    }]);
    let out = desk.says("e3", "/stop");
    assert!(!kinds(&out).contains(&"interrupt".to_owned()));
    assert_eq!(
        desk.post_all(out),
        [en(Text::NothingToStop { told: false })]
    );
}

#[test]
fn a_stop_while_the_runner_is_away_is_answered_at_once() {
    let mut desk = Desk::linked();
    desk.says("e1", "one");
    desk.batch(vec![hub::engine::Event::Down {
        peer: RUNNER.into(),
    }]);
    let out = desk.says("e2", "/stop");
    assert_eq!(desk.post_all(out), [en(Text::StoppingLater)]);
    let out = desk.runner_up(true, Standing::Unknown);
    assert_eq!(desk.post_all(out), [en(Text::Stopped)]);
}

#[test]
fn new_says_that_what_waited_is_dropped() {
    let mut desk = Desk::new(plan());
    desk.worker_up();
    for id in ["e1", "e2"] {
        let out = desk.says(id, id);
        desk.post_all(out);
    }
    let out = desk.says("e3", "/new");
    assert_eq!(
        desk.post_all(out),
        [en(Text::NewSessionDropped { dropped: 2 })]
    );
}

/// What is left by `/switch` can be gone back to, so its agent and its worktree stay.
#[test]
fn only_a_session_left_by_new_is_closed_when_its_turn_ends() {
    let closes = |out: &[hub::engine::Out]| kinds(out).contains(&"close_session".to_owned());
    let mut desk = Desk::linked();
    let one = prompts(&desk.says("e1", "one")).remove(0);
    let mut out = desk.answer(&one.at, "ok");
    out.extend(desk.says("e2", "/new"));
    desk.post_all(out);
    let two = prompts(&desk.says("e3", "two")).remove(0);
    let out = desk.says("e4", &format!("/switch {}", one.session));
    desk.post_all(out);
    let out = desk.answer(&two.at, "two is done");
    assert!(!closes(&out), "{out:?}");
    assert_eq!(desk.post_all(out), ["two is done"]);

    let three = prompts(&desk.says("e5", "three")).remove(0);
    assert_eq!(three.session, one.session);
    desk.update(&three.at, 1, started(false));
    let out = desk.says("e6", "/new");
    desk.post_all(out);
    desk.kill_hub();
    desk.worker_up();
    desk.runner_up(true, Standing::Running);
    let out = desk.update(&three.at, 2, ended(Outcome::Stopped));
    assert!(closes(&out), "{out:?}");
}

/// Whoever goes back before the turn has ended finds the session as it was.
#[test]
fn a_session_that_was_gone_back_to_is_not_closed() {
    let mut desk = Desk::linked();
    let one = prompts(&desk.says("e1", "one")).remove(0);
    desk.update(&one.at, 1, started(false));
    let mut out = desk.says("e2", "/new");
    out.extend(desk.says("e3", &format!("/switch {}", one.session)));
    desk.post_all(out);
    let out = desk.says("e4", "/list");
    desk.post_all(out);
    let out = desk.update(&one.at, 2, ended(Outcome::Stopped));
    assert!(!kinds(&out).contains(&"close_session".to_owned()));
}
