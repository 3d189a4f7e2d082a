//! What statements cost.
//!
//! Every statement that the spool has ever run in a round through all its methods is looked at: its
//! plan searches an index, and the steps that SQLite takes are the same after a long history as
//! after a short one.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::samples::{chunk, conversation, question, session, spool, turn};
use crate::{Keep, Person, Spool, Turn, TurnState};

/// A history of messages that are over.
fn history(spool: &Spool, messages: usize) {
    spool.begin().unwrap();
    for n in 0..messages {
        let id = format!("old-{n}");
        let talk = format!("talk {}", n % 20);
        spool
            .remember("discord-main", &id, "channel 1", n as u64 + 1, 1_000_000)
            .unwrap();
        spool
            .remember("weibo-main", &id, "channel 1", 0, 1_000_000)
            .unwrap();
        spool
            .put_person("discord-main", &id, &Person::default())
            .unwrap();
        spool.put_session(&session(&id, &talk, n as u64)).unwrap();
        spool.put_conversation(&conversation(&id)).unwrap();
        let over = Turn {
            changed_at: 1_000_000,
            state: TurnState::Ended,
            ..turn(&id, "s")
        };
        spool.add_turn(&over).unwrap();
        spool.add_text(&id, "b", "old", false).unwrap();
        spool.put_question(&question(&id, &id, "s")).unwrap();
        spool.close_questions_of(&id).unwrap();
        spool.add_chunk(&chunk(&id, &id, &talk)).unwrap();
        spool.delivered(&id, "id", 1_000_000).unwrap();
        let sha256: String = Sha256::digest(&id)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        spool
            .run(
                "INSERT INTO blobs (sha256, size, kept_at) VALUES (?1, 1, 1000000)",
                [sha256],
            )
            .unwrap();
    }
    spool.commit().unwrap();
    spool.ran.borrow_mut().clear();
}

/// Every method once, on the same small amount of open work.
fn round(spool: &Spool) {
    let me = "discord-main";
    spool.begin().unwrap();
    for n in 0..3 {
        let id = format!("new-{n}");
        let order = 1_000_000_000 + n;
        spool.seen(me, &id, "channel 1", order).unwrap();
        spool
            .remember(me, &id, "channel 1", order, 1_000_000)
            .unwrap();
        spool.seen("weibo-main", &id, "channel 1", 0).unwrap();
        spool
            .remember("weibo-main", &id, "channel 1", 0, 1_000_000)
            .unwrap();
        spool.person(me, &id).unwrap();
        let person = Person {
            refused_at: 7,
            ..Person::default()
        };
        spool.put_person(me, &id, &person).unwrap();
        spool.refusals_since(me, 3).unwrap();
        spool.conversation("p", me, "talk 1").unwrap();
        spool.put_conversation(&conversation("talk 1")).unwrap();
        spool.session("old-1").unwrap();
        spool
            .put_session(&session(&id, "talk 1", 1_000_000))
            .unwrap();
        spool.sessions_of("p", me, "talk 1", 2).unwrap();
        spool.sessions(2).unwrap();
        spool.add_turn(&turn(&id, "s")).unwrap();
        spool.put_cursor(me, &id, b"x").unwrap();
        spool.cursors(me).unwrap();
    }
    spool.commit().unwrap();

    spool.scoped(|spool| spool.floor(me, "channel 1")).unwrap();
    let failed: Result<(), _> = spool.scoped(|_| Err(crate::SpoolError::Undone));
    failed.unwrap_err();
    spool.begin().unwrap();
    spool.rollback();

    spool.sessions_with_queued("p").unwrap();
    spool.queued_ahead("s").unwrap();
    let next = spool.next_queued("s").unwrap().unwrap();
    spool.set_turn(&next.id, TurnState::Starting, 1, 2).unwrap();
    spool.set_turn(&next.id, TurnState::Running, 1, 2).unwrap();
    spool.turn(&next.id).unwrap();
    spool.open_turns("p").unwrap();
    spool.active_turn("s").unwrap();
    spool.set_updates(&next.id, 1).unwrap();
    spool.add_text(&next.id, "b", "new", false).unwrap();
    spool.add_file(&next.id, "f", "hash", "a cat").unwrap();
    spool.blocks(&next.id).unwrap();
    spool.content(&next.id).unwrap();
    spool.put_progress(&next.id, "{}").unwrap();
    spool.progress(&next.id).unwrap();
    spool.show(&next.id, "b").unwrap();
    spool.is_shown(&next.id, "b").unwrap();
    spool.end_progress(&next.id).unwrap();
    spool.put_question(&question("q", &next.id, "s")).unwrap();
    spool.question("q").unwrap();
    spool.open_question("s").unwrap();
    spool.open_questions("p").unwrap();
    spool.close_questions_of(&next.id).unwrap();
    let file: String = Sha256::digest("file")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for _ in 0..2 {
        let mut writer = spool.blob_writer(&file, 4).unwrap();
        writer.write(0, b"file").unwrap();
        writer.finish(spool, 1_000_000).unwrap();
    }
    spool.blob_path(&file).unwrap();
    spool.attach(&next.id, &file, "name", "mime").unwrap();
    spool.attachments(&next.id).unwrap();
    spool
        .set_turn(&next.id, TurnState::Ended, 1, 1_000_000)
        .unwrap();
    spool.drop_queued("s", 1_000_000).unwrap();

    for n in 0..4 {
        let key = format!("new-{n}");
        spool
            .add_chunk(&chunk(
                &key,
                &format!("reply {}", n % 2),
                &format!("talk {n}"),
            ))
            .unwrap();
    }
    spool.rewrite("new-0", "text", "form").unwrap();
    spool.enclose("new-0", &file).unwrap();
    spool.lane_heads(me).unwrap();
    spool.lane(me, "talk 1", 8).unwrap();
    spool.lease("new-0", 3).unwrap();
    spool.chunk("new-0").unwrap();
    spool.postpone("new-0", 4, "why").unwrap();
    spool.next_due().unwrap();
    spool.delivered("new-0", "id", 1_000_000).unwrap();
    spool.park_reply("reply 1", "why", 5).unwrap();
    spool.parked(8).unwrap();
    spool.waiting().unwrap();
    spool.requeue("reply 1", 6).unwrap();

    let keep = Keep {
        inbox_age_ms: 1_000_000,
        history_age_ms: 1_000_000,
        ..Keep::default()
    };
    spool.prune(1_000_001, &keep).unwrap();
    spool.prune_blobs(1_000_001, 1_000_000, 8).unwrap();
    spool.checkpoint().unwrap();
}

/// What pruning does when there is something to prune: it may depend on how much that is, but not
/// scan for it.
fn prune(spool: &Spool) {
    spool
        .prune(
            u64::MAX >> 2,
            &Keep {
                max_rows: 5,
                ..Keep::default()
            },
        )
        .unwrap();
    spool.prune_blobs(u64::MAX >> 2, 1, 5).unwrap();
}

fn after(messages: usize) -> (Spool, BTreeMap<&'static str, i32>) {
    let spool = spool();
    history(&spool, messages);
    round(&spool);
    let ran = spool.ran.borrow().clone();
    (spool, ran)
}

#[test]
fn no_statement_scans_a_table() {
    let (spool, _) = after(20);
    prune(&spool);
    let statements: Vec<&str> = spool.ran.borrow().keys().copied().collect();
    assert!(
        statements.len() > 60,
        "only {} statements ran",
        statements.len()
    );
    for sql in statements {
        let Ok(mut plan) = spool.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) else {
            continue; // BEGIN, PRAGMA and the like have no plan.
        };
        let parameters = vec![rusqlite::types::Null; plan.parameter_count()];
        let lines = plan
            .query_map(rusqlite::params_from_iter(parameters), |row| {
                row.get::<_, String>(3)
            })
            .unwrap()
            .collect::<Result<Vec<String>, _>>()
            .unwrap();
        for line in &lines {
            assert!(!scans(line), "{sql}\n{lines:#?}");
        }
    }
}

/// Whether a line of a plan goes through all rows of something that grows with the history. A walk
/// along a partial index of open work, or along an index whose walk is cut off by a LIMIT, does not.
fn scans(line: &str) -> bool {
    let harmless = [
        "chunks_lane",
        "chunks_due",
        "chunks_parked",
        "turns_open",
        "turns_active",
        "turns_queued",
        "turns_waiting",
        "questions_open",
        "questions_unclosed",
        "sessions_used",
    ];
    let steps = ["SCAN lane", "SCAN known", "SCAN CONSTANT ROW"];
    line.starts_with("SCAN")
        && !harmless
            .iter()
            .any(|index| line.ends_with(&format!("INDEX {index}")))
        && !steps.contains(&line)
        || line.contains("AUTOMATIC")
}

#[test]
fn the_test_of_the_plans_can_fail() {
    assert!(scans("SCAN turns"));
    assert!(scans("SCAN inbox USING COVERING INDEX inbox_line"));
    assert!(scans("SEARCH turns USING AUTOMATIC COVERING INDEX (id=?)"));
    assert!(!scans("SEARCH turns USING INDEX turns_open (project=?)"));
}

#[test]
fn history_costs_nothing() {
    let (_, short) = after(50);
    let (_, long) = after(1500);
    assert_eq!(
        short.keys().collect::<Vec<_>>(),
        long.keys().collect::<Vec<_>>()
    );
    for (sql, steps) in short {
        assert_eq!(long[sql], steps, "steps of {sql}");
    }
}
