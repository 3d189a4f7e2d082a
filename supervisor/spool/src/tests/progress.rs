//! What is shown of a turn before its end.

use super::samples::{DAY, spool, turn};
use crate::{Keep, Piece, SpoolError, TurnState};

fn piece(block: &str, text: &str, whole: bool) -> Piece {
    Piece {
        block: block.into(),
        text: text.into(),
        whole,
        file: String::new(),
    }
}

#[test]
fn content_keeps_its_order_and_knows_what_is_whole() {
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    spool.add_text("t", "a", "one ", true).unwrap();
    spool.add_text("t", "a", "two", false).unwrap();
    spool.add_file("t", "f", "hash", "a cat").unwrap();
    spool.add_text("t", "b", "half", true).unwrap();
    let file = Piece {
        file: "hash".into(),
        ..piece("f", "a cat", true)
    };
    let expected = [piece("a", "one two", true), file, piece("b", "half", false)];
    assert_eq!(spool.content("t").unwrap(), expected);
    assert_eq!(spool.blocks("t").unwrap(), ["one two", "half"]);
    spool.set_turn("t", TurnState::Starting, 1, 20).unwrap();
    assert_eq!(spool.content("t").unwrap(), []);
    assert!(matches!(
        spool.add_file("u", "f", "hash", ""),
        Err(SpoolError::Bug(_))
    ));
}

#[test]
fn what_was_shown_outlives_the_attempt_and_goes_with_the_turn() {
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    assert!(!spool.is_shown("t", "a").unwrap());
    assert!(spool.show("t", "a").unwrap());
    assert!(!spool.show("t", "a").unwrap());
    spool.put_progress("t", "1").unwrap();
    spool.put_progress("t", "2").unwrap();
    spool.set_turn("t", TurnState::Starting, 2, 20).unwrap();
    assert!(spool.is_shown("t", "a").unwrap());
    assert_eq!(spool.progress("t").unwrap().as_deref(), Some("2"));
    spool.set_turn("t", TurnState::Ended, 2, 20).unwrap();
    let keep = Keep {
        history_age_ms: 1,
        ..Keep::default()
    };
    spool.prune(DAY, &keep).unwrap();
    for table in [
        "SELECT count(*) FROM shown",
        "SELECT count(*) FROM progress",
    ] {
        assert_eq!(spool.number(table, []).unwrap(), 0, "{table}");
    }
}

#[test]
fn nothing_is_shown_of_a_turn_that_is_over() {
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    spool.show("t", "a").unwrap();
    spool.put_progress("t", "1").unwrap();
    spool.end_progress("t").unwrap();
    assert_eq!(spool.progress("t").unwrap(), None);
    assert!(!spool.is_shown("t", "a").unwrap());
}
