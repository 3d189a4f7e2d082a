//! Dedup keys, floors, people, cursors.

use super::samples::spool;
use crate::{MAX_CURSOR, MAX_CURSORS, Person, SpoolError};

#[test]
fn an_event_is_seen_once_it_is_remembered() {
    let spool = spool();
    assert!(!spool.seen("weibo-main", "e1", "ann", 0).unwrap());
    spool.remember("weibo-main", "e1", "ann", 0, 1).unwrap();
    spool.remember("weibo-main", "e1", "ann", 0, 2).unwrap();
    assert!(spool.seen("weibo-main", "e1", "ann", 0).unwrap());
    assert!(!spool.seen("weibo-main", "e2", "ann", 0).unwrap());
    assert!(!spool.seen("weibo-two", "e1", "ann", 0).unwrap());
}

#[test]
fn a_key_counts_in_every_channel() {
    let spool = spool();
    spool.remember("discord-main", "e1", "a", 5, 1).unwrap();
    assert!(spool.seen("discord-main", "e1", "b", 9).unwrap());
}

#[test]
fn the_floor_covers_what_is_at_or_below_it_in_its_channel_alone() {
    let spool = spool();
    assert_eq!(spool.floor("i", "c").unwrap(), 0);
    assert!(!spool.seen("i", "x", "c", 0).unwrap());
    spool.raise_floor("i", "c", 7, 1).unwrap();
    spool.raise_floor("i", "c", 3, 2).unwrap();
    assert_eq!(spool.floor("i", "c").unwrap(), 7);
    assert!(spool.seen("i", "x", "c", 7).unwrap());
    assert!(!spool.seen("i", "x", "c", 8).unwrap());
    assert!(!spool.seen("i", "x", "other", 7).unwrap());
    assert!(!spool.seen("other", "x", "c", 7).unwrap());
    assert!(
        !spool.seen("i", "x", "c", 0).unwrap(),
        "without an order no floor applies"
    );
}

#[test]
fn an_order_that_does_not_fit_is_no_order() {
    let spool = spool();
    spool.raise_floor("i", "c", i64::MAX, 1).unwrap();
    assert!(!spool.seen("i", "x", "c", u64::MAX).unwrap());
    spool.remember("i", "x", "c", u64::MAX, 1).unwrap();
    assert!(spool.seen("i", "x", "c", u64::MAX).unwrap());
}

#[test]
fn people_are_remembered_and_their_refusals_counted() {
    let spool = spool();
    let ann = Person {
        language: "zh".into(),
        refused_at: 0,
        heard_at: 7,
    };
    assert_eq!(spool.person("i", "ann").unwrap(), None);
    spool.put_person("i", "ann", &ann).unwrap();
    assert_eq!(spool.person("i", "ann").unwrap(), Some(ann));
    assert_eq!(spool.refusals_since("i", 0).unwrap(), 0, "never refused");
    for (user, refused_at) in [("bob", 10), ("cyd", 20), ("cyd", 30)] {
        spool
            .put_person(
                "i",
                user,
                &Person {
                    language: "en".into(),
                    refused_at,
                    heard_at: refused_at,
                },
            )
            .unwrap();
    }
    assert_eq!(spool.refusals_since("i", 10).unwrap(), 2);
    assert_eq!(spool.refusals_since("i", 11).unwrap(), 1);
    assert_eq!(spool.refusals_since("i", 31).unwrap(), 0);
    assert_eq!(spool.refusals_since("other", 0).unwrap(), 0);
}

#[test]
fn cursors_are_kept_by_name() {
    let spool = spool();
    spool.put_cursor("i", "session", b"one").unwrap();
    spool.put_cursor("i", "session", b"two").unwrap();
    spool.put_cursor("i", "address", &[0, 255]).unwrap();
    spool.put_cursor("other", "session", b"x").unwrap();
    assert_eq!(
        spool.cursors("i").unwrap(),
        [
            ("address".into(), vec![0, 255]),
            ("session".into(), b"two".to_vec())
        ]
    );
}

#[test]
fn cursors_are_bounded() {
    let spool = spool();
    for n in 0..MAX_CURSORS {
        spool.put_cursor("i", &n.to_string(), &[7; 10]).unwrap();
    }
    let refused = spool.put_cursor("i", "one more", b"").unwrap_err();
    assert!(
        refused.is_refused() && refused.to_string().contains("64"),
        "{refused}"
    );
    spool.put_cursor("i", "0", &[1; MAX_CURSOR]).unwrap();
    assert!(matches!(
        spool.put_cursor("i", "0", &[2; MAX_CURSOR + 1]),
        Err(SpoolError::Refused(_))
    ));
    assert_eq!(spool.cursors("i").unwrap()[0].1, [1; MAX_CURSOR]);
    spool.put_cursor("another", "name", b"").unwrap();
}
