//! Batches.

use super::samples::{spool, turn};
use crate::SpoolError;

#[test]
fn a_batch_is_stored_whole_or_not_at_all() {
    let spool = spool();
    spool.begin().unwrap();
    spool.add_turn(&turn("t1", "s")).unwrap();
    spool.rollback();
    assert!(spool.turn("t1").unwrap().is_none());
    spool.begin().unwrap();
    spool.add_turn(&turn("t1", "s")).unwrap();
    spool.commit().unwrap();
    spool.rollback();
    assert!(spool.turn("t1").unwrap().is_some());
}

#[test]
fn an_error_undoes_its_own_event_alone() {
    let spool = spool();
    spool.begin().unwrap();
    for (id, well) in [("t1", true), ("t2", false), ("t3", true)] {
        let result = spool.scoped(|spool| {
            spool.add_turn(&turn(id, "s"))?;
            if well {
                Ok(())
            } else {
                Err(SpoolError::Refused("as asked".into()))
            }
        });
        assert_eq!(result.is_ok(), well);
    }
    spool.commit().unwrap();
    assert_eq!(
        super::samples::ids(&spool.drop_queued("s", 1).unwrap()),
        ["t1", "t3"]
    );
}

#[test]
fn scopes_nest() {
    let spool = spool();
    let result: Result<(), SpoolError> = spool.scoped(|spool| {
        spool.add_turn(&turn("t1", "s"))?;
        let inner: Result<(), SpoolError> = spool.scoped(|spool| {
            spool.add_turn(&turn("t2", "s"))?;
            Err(SpoolError::Refused("inner".into()))
        });
        assert!(inner.is_err());
        spool.add_turn(&turn("t3", "s"))?;
        Ok(())
    });
    result.unwrap();
    assert_eq!(
        super::samples::ids(&spool.drop_queued("s", 1).unwrap()),
        ["t1", "t3"]
    );
}

#[test]
fn nothing_is_stored_behind_a_batch_that_was_undone() {
    let spool = spool();
    spool.begin().unwrap();
    spool.add_turn(&turn("t1", "s")).unwrap();
    // As SQLite does by itself after some errors of the disk.
    spool.db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(spool.add_turn(&turn("t2", "s")), Err(SpoolError::Undone));
    let scoped: Result<(), SpoolError> = spool.scoped(|_| Ok(()));
    assert_eq!(scoped, Err(SpoolError::Undone));
    assert_eq!(spool.commit(), Err(SpoolError::Undone));
    assert!(spool.turn("t1").unwrap().is_none());
    spool.begin().unwrap();
    spool.add_turn(&turn("t3", "s")).unwrap();
    spool.commit().unwrap();
}

#[test]
fn batches_do_not_nest() {
    let spool = spool();
    assert!(matches!(spool.commit(), Err(SpoolError::Bug(_))));
    spool.begin().unwrap();
    assert!(matches!(spool.begin(), Err(SpoolError::Bug(_))));
    spool.commit().unwrap();
}
