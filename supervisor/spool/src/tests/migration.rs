//! From every version that was ever released to this one.
//!
//! A fixture is the dump of a file of its version, with a row in every table. It is never edited.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::samples::dir;
use crate::create::migrate;
use crate::schema::{APPLICATION_ID, STEPS, VERSION};
use crate::{ChunkState, QuestionState, Spool, TurnState};

const V1: &str = include_str!("../../tests/fixtures/1.sql");
const V2: &str = include_str!("../../tests/fixtures/2.sql");

fn lay_down(dir: &Path, dump: &str) {
    fs::create_dir(dir).unwrap();
    let db = Connection::open(dir.join("spool.db")).unwrap();
    db.execute_batch(dump).unwrap();
    db.close().unwrap();
}

/// What the tables and indexes are, however they came to be.
fn shape(db: &Connection) -> Vec<(String, String)> {
    let mut statement = db
        .prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_file_of_version_1_is_opened_with_all_that_is_in_it() {
    opened_with_all_that_is_in_it(V1);
}

#[test]
fn a_file_of_version_2_is_opened_with_all_that_is_in_it() {
    let spool = opened_with_all_that_is_in_it(V2);
    let running = spool.open_turns("p").unwrap().remove(0);
    assert!(spool.is_shown(&running.id, "block").unwrap());
    let session = spool.session(&running.session).unwrap().unwrap();
    assert_eq!(
        (session.title.as_str(), session.closing),
        ("what is up", false)
    );
}

fn opened_with_all_that_is_in_it(dump: &str) -> Spool {
    let (_temp, dir) = dir();
    lay_down(&dir, dump);
    let spool = Spool::open(&dir).unwrap();

    assert!(spool.seen("discord-main", "9001", "c1", 9001).unwrap());
    assert!(
        spool.seen("discord-main", "8000", "c1", 8000).unwrap(),
        "by the floor"
    );
    assert_eq!(
        spool
            .person("discord-main", "ann")
            .unwrap()
            .unwrap()
            .language,
        "zh"
    );
    let conversation = spool
        .conversation("p", "discord-main", "ann")
        .unwrap()
        .unwrap();
    assert_eq!(
        spool
            .session(&conversation.session)
            .unwrap()
            .unwrap()
            .agent_session,
        "uuid-1"
    );
    let open = spool.open_turns("p").unwrap();
    assert_eq!(
        (open.len(), open[0].state, open[0].attempt),
        (1, TurnState::Running, 2)
    );
    assert_eq!(spool.blocks(&open[0].id).unwrap(), ["half an answer"]);
    assert_eq!(spool.attachments(&open[0].id).unwrap()[0].name, "cat.png");
    let question = spool.open_question(&open[0].session).unwrap().unwrap();
    assert_eq!(question.state, QuestionState::Open);
    assert_eq!(
        spool.next_queued(&open[0].session).unwrap().unwrap().prompt,
        "and then?"
    );
    let lane = spool.lane("discord-main", "c1", 9).unwrap();
    assert_eq!(
        (lane.len(), lane[0].state, lane[0].leased_at),
        (1, ChunkState::Leased, 1200)
    );
    assert_eq!(spool.parked(9).unwrap()[0].why, "missing permission");
    assert_eq!(
        spool.cursors("discord-main").unwrap(),
        [("session".into(), vec![1, 2, 3])]
    );

    // Nobody is forgotten for having been silent before it was noted.
    let ann = spool.person("discord-main", "ann").unwrap().unwrap();
    assert!(ann.heard_at > 1_600_000_000_000);
    assert_eq!(shape(&spool.db), shape(&Spool::in_memory().unwrap().db));
    drop(spool);
    Spool::open(&dir).unwrap()
}

#[test]
fn a_backup_is_a_spool() {
    let (temp, dir) = dir();
    lay_down(&dir, V1);
    let spool = Spool::open(&dir).unwrap();
    let backup = temp.path().join("backup");
    fs::create_dir(&backup).unwrap();
    let into = backup.join("spool.db");
    spool
        .db
        .execute("VACUUM INTO ?1", [into.to_str().unwrap()])
        .unwrap();
    let restored = Spool::open(&backup).unwrap();
    assert_eq!(
        restored.open_turns("p").unwrap(),
        spool.open_turns("p").unwrap()
    );
    let mode: String = restored
        .db
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn steps_run_from_the_version_of_the_file_on() {
    let db = Connection::open_in_memory().unwrap();
    migrate(&db, 0, STEPS).unwrap();
    let mut steps = STEPS.to_vec();
    steps.push("CREATE TABLE added (x INTEGER) STRICT; INSERT INTO added VALUES (1)");
    migrate(&db, VERSION, &steps).unwrap();
    let version: usize = db
        .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
        .unwrap() as usize;
    assert_eq!(version, VERSION + 1);
    let id: i32 = db
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .unwrap();
    assert_eq!(id, APPLICATION_ID);
    let added: i64 = db
        .query_row("SELECT count(*) FROM added", [], |row| row.get(0))
        .unwrap();
    assert_eq!(added, 1);
}

#[test]
fn a_step_that_fails_leaves_the_file_at_its_version() {
    let db = Connection::open_in_memory().unwrap();
    migrate(&db, 0, STEPS).unwrap();
    let before = shape(&db);
    let mut steps = STEPS.to_vec();
    steps.push("CREATE TABLE added (x INTEGER) STRICT");
    steps.push("INSERT INTO nowhere VALUES (1)");
    migrate(&db, VERSION, &steps).unwrap_err();
    assert_eq!(shape(&db), before);
    let version: u32 = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version as usize, VERSION);
}
