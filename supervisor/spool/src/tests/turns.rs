//! Turns and their content.

use super::samples::{ids, spool, turn};
use crate::{Spool, SpoolError, Turn, TurnState};

#[test]
fn a_turn_comes_back_as_it_was() {
    let spool = spool();
    let mut one = turn("t1", "s");
    one.prompt = "a\0b\n'\"; DROP TABLE turns; 你好".into();
    one.number = spool.add_turn(&one).unwrap();
    assert_eq!(spool.turn("t1").unwrap(), Some(one));
    assert_eq!(spool.turn("t2").unwrap(), None);
    let next = spool.add_turn(&turn("t2", "s")).unwrap();
    assert!(next > spool.turn("t1").unwrap().unwrap().number);
    assert!(matches!(
        spool.add_turn(&turn("t1", "s")),
        Err(SpoolError::Bug(_))
    ));
}

#[test]
fn every_state_comes_back() {
    use TurnState::*;
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    for state in [
        Queued,
        Starting,
        Running,
        Stopping,
        Ended,
        Stopped,
        Interrupted,
        Failed,
    ] {
        spool.set_turn("t", state, 1, 99).unwrap();
        let turn = spool.turn("t").unwrap().unwrap();
        assert_eq!((turn.state, turn.attempt, turn.changed_at), (state, 1, 99));
    }
}

#[test]
fn the_queue_of_a_session_is_in_order() {
    let spool = spool();
    for (id, session) in [("t1", "a"), ("t2", "b"), ("t3", "a"), ("t4", "a")] {
        spool.add_turn(&turn(id, session)).unwrap();
    }
    assert_eq!(spool.queued_ahead("a").unwrap(), 3);
    assert_eq!(spool.next_queued("a").unwrap().unwrap().id, "t1");
    spool.set_turn("t1", TurnState::Starting, 1, 11).unwrap();
    assert_eq!(spool.next_queued("a").unwrap().unwrap().id, "t3");
    assert_eq!(spool.queued_ahead("a").unwrap(), 2);
    assert_eq!(spool.queued_ahead("c").unwrap(), 0);
    assert_eq!(spool.next_queued("c").unwrap(), None);
    assert_eq!(
        spool.sessions_with_queued("p").unwrap(),
        ["b", "a"],
        "the longest waiting first"
    );
    assert!(spool.sessions_with_queued("q").unwrap().is_empty());
}

#[test]
fn open_turns_are_those_that_hold_a_session() {
    use TurnState::*;
    let spool = spool();
    for (n, state) in [
        Queued,
        Running,
        Ended,
        Starting,
        Stopped,
        Stopping,
        Interrupted,
        Failed,
    ]
    .into_iter()
    .enumerate()
    {
        let session = format!("s{n}");
        spool
            .add_turn(&Turn {
                state,
                ..turn(&format!("t{n}"), &session)
            })
            .unwrap();
        let active = spool.active_turn(&session).unwrap();
        assert_eq!(
            active.is_some(),
            matches!(state, Starting | Running | Stopping),
            "{state:?}"
        );
    }
    assert_eq!(ids(&spool.open_turns("p").unwrap()), ["t1", "t3", "t5"]);
    assert!(spool.open_turns("q").unwrap().is_empty());
}

#[test]
fn one_turn_runs_a_session() {
    let spool = spool();
    spool.add_turn(&turn("t1", "s")).unwrap();
    spool.add_turn(&turn("t2", "s")).unwrap();
    spool.set_turn("t1", TurnState::Running, 1, 1).unwrap();
    assert!(matches!(
        spool.set_turn("t2", TurnState::Starting, 1, 1),
        Err(SpoolError::Bug(_))
    ));
    spool.set_turn("t1", TurnState::Ended, 1, 1).unwrap();
    spool.set_turn("t2", TurnState::Starting, 1, 1).unwrap();
    assert_eq!(spool.active_turn("s").unwrap().unwrap().id, "t2");
}

#[test]
fn a_dropped_queue_is_returned_and_stopped() {
    let spool = spool();
    for id in ["t1", "t2", "t3"] {
        spool.add_turn(&turn(id, "s")).unwrap();
    }
    spool.add_turn(&turn("other", "s2")).unwrap();
    spool.set_turn("t1", TurnState::Running, 1, 1).unwrap();
    let dropped = spool.drop_queued("s", 50).unwrap();
    assert_eq!(ids(&dropped), ["t2", "t3"]);
    for turn in dropped {
        assert_eq!((turn.state, turn.changed_at), (TurnState::Stopped, 50));
        assert_eq!(spool.turn(&turn.id).unwrap(), Some(turn));
    }
    assert_eq!(spool.queued_ahead("s").unwrap(), 0);
    assert_eq!(spool.active_turn("s").unwrap().unwrap().id, "t1");
    assert_eq!(spool.queued_ahead("s2").unwrap(), 1);
}

#[test]
fn pieces_of_a_block_are_joined_in_order() {
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    spool.add_turn(&turn("other", "s")).unwrap();
    spool.add_text("t", "b1", "one ", true).unwrap();
    spool.add_text("other", "b1", "elsewhere", false).unwrap();
    spool.add_text("t", "b1", "two", false).unwrap();
    spool.add_text("t", "b2", "three", false).unwrap();
    spool.add_text("t", "b0", "unfinished", true).unwrap();
    assert_eq!(
        spool.blocks("t").unwrap(),
        ["one two", "three", "unfinished"]
    );
    assert_eq!(spool.blocks("nobody").unwrap(), [""; 0]);
    assert!(matches!(
        spool.add_text("nobody", "b", "x", false),
        Err(SpoolError::Bug(_))
    ));
}

#[test]
fn a_new_attempt_begins_afresh() {
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    spool.set_turn("t", TurnState::Starting, 1, 1).unwrap();
    spool.set_updates("t", 4).unwrap();
    spool.add_text("t", "b", "said", false).unwrap();
    spool.set_turn("t", TurnState::Running, 1, 2).unwrap();
    assert_eq!(spool.turn("t").unwrap().unwrap().updates, 4);
    assert_eq!(spool.blocks("t").unwrap(), ["said"]);
    spool.set_turn("t", TurnState::Starting, 2, 3).unwrap();
    let turn = spool.turn("t").unwrap().unwrap();
    assert_eq!(
        (turn.attempt, turn.updates, turn.state),
        (2, 0, TurnState::Starting)
    );
    assert_eq!(spool.blocks("t").unwrap(), [""; 0]);
}

#[test]
fn an_unknown_turn_is_a_fault() {
    let spool = spool();
    assert!(matches!(
        spool.set_turn("t", TurnState::Ended, 1, 1),
        Err(SpoolError::Bug(_))
    ));
    assert!(matches!(spool.set_updates("t", 1), Err(SpoolError::Bug(_))));
}

#[test]
fn a_turn_that_waits_is_found_by_its_event_and_takes_another_prompt() {
    let spool = Spool::in_memory().unwrap();
    spool.add_turn(&turn("a", "s")).unwrap();
    spool.add_turn(&turn("b", "s")).unwrap();
    let found = spool.queued_by("discord-main", "event of a").unwrap();
    assert_eq!(found.unwrap().id, "a");
    assert!(spool.replace_prompt("a", "another", "said").unwrap());
    assert_eq!(spool.turn("a").unwrap().unwrap().prompt, "another");
    spool.set_turn("a", TurnState::Starting, 1, 20).unwrap();
    assert!(!spool.replace_prompt("a", "late", "").unwrap());
    assert_eq!(spool.queued_by("discord-main", "event of a").unwrap(), None);
    assert_eq!(spool.past_turns("s", 9).unwrap(), []);
    spool.set_turn("a", TurnState::Ended, 1, 30).unwrap();
    spool.drop_queued("s", 40).unwrap();
    let newest = spool.past_turns("s", 1).unwrap();
    assert_eq!(newest[0].id, "b");
}

#[test]
fn something_is_said_once_and_again_after_its_pause() {
    let spool = Spool::in_memory().unwrap();
    let say = |address, now| {
        spool
            .tell_once("discord-main", address, "x", 100, now)
            .unwrap()
    };
    assert!(say("c", 1000) && !say("c", 1099) && say("d", 1099) && say("c", 1100));
    assert!(!say("c", 1150));
}
