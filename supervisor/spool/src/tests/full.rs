//! A disk without room.

use super::samples::{DAY, dir, turn};
use crate::{Keep, Spool, SpoolError, Turn, TurnState};

fn big(n: usize) -> Turn {
    Turn {
        prompt: "x".repeat(20_000),
        ..turn(&format!("big {n}"), "s")
    }
}

/// A spool that may grow by a few pages only, with one turn in it.
fn cramped(spool: &Spool) {
    spool.add_turn(&turn("kept", "s")).unwrap();
    let pages = spool.number("PRAGMA page_count", []).unwrap();
    spool
        .db
        .pragma_update_and_check(None, "max_page_count", pages + 20, |_| Ok(()))
        .unwrap();
}

fn fill(spool: &Spool) -> SpoolError {
    (100..150)
        .find_map(|n| spool.add_turn(&big(n)).err())
        .expect("the disk is full")
}

#[test]
fn a_full_disk_leaves_the_state_as_it_was() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    cramped(&spool);
    spool.begin().unwrap();
    let error = fill(&spool);
    assert!(error.is_full(), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    spool.rollback();
    assert_eq!(spool.queued_ahead("s").unwrap(), 1);
    assert!(spool.check().unwrap().is_empty());

    drop(spool);
    let spool = Spool::open(&dir).unwrap();
    assert_eq!(spool.queued_ahead("s").unwrap(), 1, "also on the disk");
}

#[test]
fn what_does_not_fit_is_undone_and_what_fits_is_stored() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    cramped(&spool);
    spool.begin().unwrap();
    let error = spool.scoped(|spool| Err::<(), _>(fill(spool))).unwrap_err();
    assert!(error.is_full());
    // Where SQLite has kept the rest of the batch it goes on; else it says so. Never half.
    match spool.add_turn(&turn("small", "s")) {
        Ok(_) => {
            spool.commit().unwrap();
            assert_eq!(spool.queued_ahead("s").unwrap(), 2);
        }
        Err(error) => {
            assert_eq!(error, SpoolError::Undone);
            spool.rollback();
            assert_eq!(spool.queued_ahead("s").unwrap(), 1);
        }
    }
    assert!(spool.check().unwrap().is_empty());
}

#[test]
fn it_goes_on_once_there_is_room() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    cramped(&spool);
    spool.begin().unwrap();
    fill(&spool);
    spool.rollback();
    spool
        .db
        .pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))
        .unwrap();
    spool.begin().unwrap();
    spool.add_turn(&big(0)).unwrap();
    spool.commit().unwrap();
    assert_eq!(spool.queued_ahead("s").unwrap(), 2);
}

#[test]
fn the_file_has_a_bound_and_pruning_makes_room_within_it() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    for n in 0..20 {
        spool.add_turn(&big(n)).unwrap();
        spool.set_turn(&big(n).id, TurnState::Ended, 1, 1).unwrap();
    }
    // Less than it has already: it keeps its size.
    spool.limit_size(1).unwrap();
    let error = fill(&spool);
    assert!(error.is_full(), "{error:?}");
    assert_eq!(spool.prune(100 * DAY, &Keep::default()).unwrap().turns, 20);
    spool.add_turn(&big(30)).unwrap();
    spool.limit_size(u64::MAX).unwrap();
    for n in 40..80 {
        spool.add_turn(&big(n)).unwrap();
    }
}
