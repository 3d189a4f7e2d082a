//! What goes, and above all what stays.

use rusqlite::params;

use super::samples::{DAY, chunk, conversation, question, session, spool, turn};
use crate::words::signed;
use crate::{ChunkState, Conversation, Keep, Person, Pruned, SETTLE_MS, Spool, TurnState};

const NOW: u64 = 100 * DAY;

fn keep() -> Keep {
    Keep::default()
}

fn remember(spool: &Spool, channel: &str, orders: std::ops::RangeInclusive<u64>, now: u64) {
    for order in orders {
        spool
            .remember("i", &format!("{channel}-{order}"), channel, order, now)
            .unwrap();
    }
}

fn rows(spool: &Spool) -> i64 {
    spool.number("SELECT count(*) FROM inbox", []).unwrap()
}

#[test]
fn what_is_pruned_stays_seen_by_the_floor() {
    let spool = spool();
    remember(&spool, "c", 1..=10, 1);
    let pruned = spool
        .prune(
            NOW,
            &Keep {
                inbox_rows: 4,
                ..keep()
            },
        )
        .unwrap();
    assert_eq!(pruned.inbox, 10, "all are older than the age");
    assert_eq!(spool.floor("i", "c").unwrap(), 10);
    for order in 1..=10 {
        assert!(spool.seen("i", &format!("c-{order}"), "c", order).unwrap());
    }
    assert!(!spool.seen("i", "c-11", "c", 11).unwrap());
}

#[test]
fn the_newest_rows_stay() {
    let spool = spool();
    remember(&spool, "c", 1..=10, NOW - SETTLE_MS);
    let pruned = spool
        .prune(
            NOW,
            &Keep {
                inbox_rows: 4,
                ..keep()
            },
        )
        .unwrap();
    assert_eq!((pruned.inbox, rows(&spool)), (6, 4));
    assert_eq!(spool.floor("i", "c").unwrap(), 6);
    let again = spool
        .prune(
            NOW,
            &Keep {
                inbox_rows: 4,
                ..keep()
            },
        )
        .unwrap();
    assert_eq!(again, Pruned::default());
}

#[test]
fn a_repeat_after_100_000_others_is_known() {
    let spool = spool();
    let settled = NOW - SETTLE_MS;
    spool.remember("i", "first", "c", 0, settled).unwrap();
    // One by one they would take long.
    let others = |from: i64, to: i64| {
        let sql =
            "WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)
             INSERT INTO inbox (instance, event_id, channel, position, line, number, remembered_at)
             SELECT 'i', 'other-' || i, 'c', 0, 0, i + 2, ?3 FROM n";
        spool.run(sql, params![from, to, signed(settled)]).unwrap();
    };
    others(0, 100_000);
    spool.prune(NOW, &keep()).unwrap();
    assert!(spool.seen("i", "first", "c", 0).unwrap());
    // Bounded it is all the same.
    others(100_000, 150_000);
    spool.prune(NOW, &keep()).unwrap();
    assert!(!spool.seen("i", "first", "c", 0).unwrap());
    assert_eq!(rows(&spool), 150_000);
}

#[test]
fn a_flood_does_not_prune_what_has_not_settled() {
    let spool = spool();
    remember(&spool, "c", 5..=10, NOW - SETTLE_MS + 1);
    assert_eq!(
        spool
            .prune(
                NOW,
                &Keep {
                    inbox_rows: 1,
                    ..keep()
                }
            )
            .unwrap()
            .inbox,
        0
    );
    assert!(!spool.seen("i", "c-4", "c", 4).unwrap(), "still on its way");
}

#[test]
fn events_without_order_go_only_when_pushed_out() {
    let spool = spool();
    for n in 0..10 {
        spool.remember("i", &format!("e{n}"), "c", 0, 1).unwrap();
    }
    remember(&spool, "c", 1..=10, 1);
    let pruned = spool
        .prune(
            NOW,
            &Keep {
                inbox_rows: 8,
                ..keep()
            },
        )
        .unwrap();
    assert_eq!(pruned.inbox, 12, "2 pushed out, 10 too old");
    assert!(!spool.seen("i", "e1", "c", 0).unwrap());
    assert!(spool.seen("i", "e2", "c", 0).unwrap());
}

#[test]
fn instances_do_not_push_each_other_out() {
    let spool = spool();
    spool.remember("quiet", "e", "c", 0, 1).unwrap();
    for n in 0..10 {
        spool.remember("busy", &format!("e{n}"), "c", 0, 1).unwrap();
    }
    assert_eq!(
        spool
            .prune(
                NOW,
                &Keep {
                    inbox_rows: 3,
                    ..keep()
                }
            )
            .unwrap()
            .inbox,
        7
    );
    assert!(spool.seen("quiet", "e", "c", 0).unwrap());
}

#[test]
fn a_call_does_a_bounded_amount_of_work() {
    let spool = spool();
    remember(&spool, "c", 1..=10, 1);
    for n in 0..10 {
        let id = format!("t{n}");
        spool.add_turn(&turn(&id, "s")).unwrap();
        spool.set_turn(&id, TurnState::Ended, 1, 1).unwrap();
        spool.add_chunk(&chunk(&id, "r", "a")).unwrap();
        spool.delivered(&id, "id", 1).unwrap();
    }
    let keep = Keep {
        max_rows: 4,
        ..keep()
    };
    let calls: Vec<Pruned> = (0..4).map(|_| spool.prune(NOW, &keep).unwrap()).collect();
    for (call, expected) in calls.iter().zip([4, 4, 2, 0]) {
        assert_eq!(
            (call.inbox, call.turns, call.chunks),
            (expected, expected, expected)
        );
        assert_eq!(call.more, expected == 4);
    }
}

#[test]
fn open_work_and_parked_chunks_stay_for_ever() {
    use TurnState::*;
    let spool = spool();
    for (n, state) in [
        Queued,
        Starting,
        Running,
        Stopping,
        Ended,
        Stopped,
        Interrupted,
        Failed,
    ]
    .iter()
    .enumerate()
    {
        let id = format!("{state:?}");
        spool.add_turn(&turn(&id, &n.to_string())).unwrap();
        spool.set_turn(&id, *state, 1, 1).unwrap();
        spool.add_text(&id, "b", "text", false).unwrap();
        spool
            .put_question(&question(&id, &id, &n.to_string()))
            .unwrap();
    }
    for key in ["pending", "leased", "parked", "delivered"] {
        spool.add_chunk(&chunk(key, key, "a")).unwrap();
    }
    spool.lease("leased", 1).unwrap();
    spool.park_reply("parked", "why", 1).unwrap();
    spool.delivered("delivered", "id", 1).unwrap();

    let young = spool.prune(30 * DAY, &keep()).unwrap();
    assert_eq!((young.turns, young.chunks), (0, 0));
    let pruned = spool.prune(NOW, &keep()).unwrap();
    assert_eq!((pruned.turns, pruned.chunks, pruned.more), (4, 1, false));
    for state in [Queued, Starting, Running, Stopping] {
        let id = format!("{state:?}");
        assert!(spool.turn(&id).unwrap().is_some());
        assert_eq!(spool.blocks(&id).unwrap(), ["text"]);
        assert!(spool.question(&id).unwrap().is_some());
    }
    for state in [Ended, Stopped, Interrupted, Failed] {
        let id = format!("{state:?}");
        assert!(spool.turn(&id).unwrap().is_none());
        assert!(spool.question(&id).unwrap().is_none());
    }
    assert_eq!(spool.number("SELECT count(*) FROM content", []).unwrap(), 4);
    assert_eq!(
        spool.chunk("parked").unwrap().unwrap().state,
        ChunkState::Parked
    );
    assert!(spool.chunk("delivered").unwrap().is_none());
    assert_eq!(spool.waiting().unwrap().pending_chunks, 1);
    assert_eq!(spool.waiting().unwrap().leased_chunks, 1);
}

#[test]
fn the_floor_of_a_silent_channel_goes_after_a_year() {
    let spool = spool();
    remember(&spool, "c", 1..=1, 1);
    spool.prune(NOW, &keep()).unwrap();
    assert_eq!(spool.prune(NOW + 366 * DAY, &keep()).unwrap().floors, 0);
    assert_eq!(spool.prune(NOW + 366 * DAY + 1, &keep()).unwrap().floors, 1);
    assert_eq!(spool.floor("i", "c").unwrap(), 0);
}

#[test]
fn sessions_that_nobody_went_back_to_for_a_year_go_with_their_conversation() {
    let spool = spool();
    let now = 1000 * DAY;
    let old = now - 367 * DAY;
    for (id, used_at) in [
        ("gone", old),
        ("has turns", old),
        ("waits", old),
        ("used", now - DAY),
    ] {
        spool.put_session(&session(id, id, used_at)).unwrap();
        let current = Conversation {
            session: id.into(),
            ..conversation(id)
        };
        spool.put_conversation(&current).unwrap();
    }
    // An older session of a conversation that is in use.
    spool.put_session(&session("left", "used", old)).unwrap();
    spool.add_turn(&turn("t1", "has turns")).unwrap();
    spool
        .set_turn("t1", TurnState::Ended, 1, now - DAY)
        .unwrap();
    spool.add_turn(&turn("t2", "waits")).unwrap();

    let pruned = spool.prune(now, &keep()).unwrap();
    assert_eq!(pruned.sessions, 2);
    for (id, stays) in [
        ("gone", false),
        ("left", false),
        ("has turns", true),
        ("waits", true),
        ("used", true),
    ] {
        assert_eq!(spool.session(id).unwrap().is_some(), stays, "{id}");
    }
    for (id, stays) in [("gone", false), ("has turns", true), ("used", true)] {
        let known = spool.conversation("p", "discord-main", id).unwrap();
        assert_eq!(known.is_some(), stays, "{id}");
    }
    let bounded = Keep {
        max_rows: 1,
        ..keep()
    };
    spool.set_turn("t2", TurnState::Stopped, 0, old).unwrap();
    spool.prune(now + 60 * DAY, &bounded).unwrap();
    let pruned = spool.prune(now + 60 * DAY, &bounded).unwrap();
    assert!(pruned.more, "it goes on from its bound");
}

#[test]
fn people_who_were_not_heard_for_a_year_are_forgotten() {
    let spool = spool();
    let now = 1000 * DAY;
    for (user, heard_at) in [("ann", now - 367 * DAY), ("bob", now - 300 * DAY)] {
        let person = Person {
            heard_at,
            ..Person::default()
        };
        spool.put_person("i", user, &person).unwrap();
    }
    assert_eq!(spool.prune(now, &keep()).unwrap().people, 1);
    assert!(spool.person("i", "ann").unwrap().is_none());
    assert!(spool.person("i", "bob").unwrap().is_some());
}
