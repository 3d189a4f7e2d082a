//! What is not opened, and stays as it is.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::samples::{dir, turn};
use crate::{OpenError, Spool};

/// A spool on the disk with some turns in it, closed.
fn laid() -> (tempfile::TempDir, PathBuf) {
    let (temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    for n in 0..200 {
        spool.add_turn(&turn(&format!("t{n}"), "s")).unwrap();
    }
    drop(spool);
    (temp, dir)
}

/// Every file that holds something: not the lock, not the index of the log, nor an empty log.
fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("spool.lock") && !path.ends_with("spool.db-shm"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .filter(|(path, content)| !path.ends_with("spool.db-wal") || !content.is_empty())
        .collect()
}

/// Opens, expects a refusal with these words, and nothing changed.
fn refused(dir: &Path, words: &str) -> OpenError {
    let before = bytes(dir);
    let error = Spool::open(dir).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert!(bytes(dir) == before, "something was changed: {error}");
    error
}

fn scribble(file: &Path, at: u64, with: &[u8]) {
    OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .write_all_at(with, at)
        .unwrap();
}

#[test]
fn garbage_is_refused() {
    let (_temp, dir) = laid();
    fs::write(
        dir.join("spool.db"),
        "not a database at all, by no means".repeat(400),
    )
    .unwrap();
    assert!(matches!(
        refused(&dir, "damaged"),
        OpenError::Damaged { .. }
    ));
}

#[test]
fn a_file_of_no_bytes_is_refused() {
    let (_temp, dir) = laid();
    fs::write(dir.join("spool.db"), "").unwrap();
    assert!(matches!(refused(&dir, "empty"), OpenError::Damaged { .. }));
}

#[test]
fn a_file_cut_short_is_refused() {
    for keep in [20, 99, 4096, 5000, 20_000] {
        let (_temp, dir) = laid();
        let file = dir.join("spool.db");
        assert!(fs::metadata(&file).unwrap().len() > keep);
        OpenOptions::new()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(keep)
            .unwrap();
        assert!(
            matches!(refused(&dir, "damaged"), OpenError::Damaged { .. }),
            "{keep}"
        );
    }
}

#[test]
fn scribbles_in_the_middle_are_refused() {
    let (_temp, dir) = laid();
    let file = dir.join("spool.db");
    let size = fs::metadata(&file).unwrap().len();
    for page in 2..size / 4096 {
        let whole = fs::read(&file).unwrap();
        if whole[page as usize * 4096..][..4096]
            .iter()
            .all(|byte| *byte == 0)
        {
            continue;
        }
        scribble(&file, page * 4096, &[0xa5; 64]);
        assert!(
            matches!(refused(&dir, "damaged"), OpenError::Damaged { .. }),
            "page {page}"
        );
        fs::write(&file, whole).unwrap();
    }
    Spool::open(&dir).unwrap();
}

#[test]
fn a_later_version_is_refused() {
    let (_temp, dir) = laid();
    scribble(&dir.join("spool.db"), 60, &99_u32.to_be_bytes());
    let error = refused(&dir, "version 99");
    assert!(
        matches!(error, OpenError::TooNew { found: 99, .. }),
        "{error:?}"
    );
}

#[test]
fn a_later_version_is_refused_when_only_the_log_knows() {
    let (_temp, dir) = laid();
    let db = Connection::open(dir.join("spool.db")).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    db.close().unwrap();
    assert!(bytes(&dir)[&dir.join("spool.db-wal")].len() > 32);
    assert!(matches!(
        refused(&dir, "version 99"),
        OpenError::TooNew { found: 99, .. }
    ));
}

#[test]
fn a_version_that_never_was_is_refused() {
    let (_temp, dir) = laid();
    for version in [0_i32, -1] {
        scribble(&dir.join("spool.db"), 60, &version.to_be_bytes());
        assert!(matches!(
            refused(&dir, "version"),
            OpenError::Damaged { .. }
        ));
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    for mode in ["DELETE", "WAL"] {
        let (_temp, dir) = dir();
        fs::create_dir(&dir).unwrap();
        let db = Connection::open(dir.join("spool.db")).unwrap();
        db.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))
            .unwrap();
        db.execute_batch("CREATE TABLE bookmarks (url TEXT)")
            .unwrap();
        db.close().unwrap();
        assert!(matches!(
            refused(&dir, "not a bulkhead spool"),
            OpenError::Foreign { .. }
        ));
    }
}

#[test]
fn a_log_without_its_file_is_refused() {
    let (_temp, dir) = laid();
    fs::rename(dir.join("spool.db"), dir.join("spool.db-wal")).unwrap();
    assert!(matches!(
        refused(&dir, "is gone"),
        OpenError::Damaged { .. }
    ));
}

#[test]
fn a_log_that_is_none_is_refused() {
    let (_temp, dir) = laid();
    fs::write(dir.join("spool.db-wal"), "garbage".repeat(100)).unwrap();
    assert!(matches!(
        refused(&dir, "write-ahead log"),
        OpenError::Damaged { .. }
    ));
}

#[test]
fn a_log_that_was_only_begun_holds_nothing() {
    for begun in [vec![], vec![0; 3], vec![0; 8192]] {
        let (_temp, dir) = laid();
        fs::write(dir.join("spool.db-wal"), begun).unwrap();
        assert_eq!(Spool::open(&dir).unwrap().queued_ahead("s").unwrap(), 200);
    }
}

#[test]
fn a_second_opener_is_refused() {
    let (_temp, dir) = dir();
    let first = Spool::open(&dir).unwrap();
    let error = Spool::open(&dir).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(first);
    Spool::open(&dir).unwrap();
}

#[test]
fn a_start_that_was_cut_off_is_begun_again() {
    let (_temp, dir) = dir();
    fs::create_dir(&dir).unwrap();
    for left in ["spool.db.new", "spool.db.new-journal"] {
        fs::write(dir.join(left), "half").unwrap();
    }
    drop(Spool::open(&dir).unwrap());
    let left: Vec<_> = bytes(&dir).into_keys().collect();
    assert_eq!(left, [dir.join("spool.db")]);
}

#[test]
fn files_are_closed_to_others() {
    let (_temp, dir) = dir();
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let spool = Spool::open(&dir).unwrap();
    spool.add_turn(&turn("t", "s")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["spool.db", "spool.db-wal", "spool.db-shm", "spool.lock"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[test]
fn damage_that_shows_later_is_looked_into_at_the_next_start() {
    let (_temp, dir) = laid();
    let spool = Spool::open(&dir).unwrap();
    let note = || fs::read_to_string(dir.join("spool.lock")).unwrap();
    assert_eq!(
        note().lines().nth(1),
        Some(crate::lock::this_boot().as_str())
    );
    // A word that no version writes.
    spool
        .db
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    spool
        .db
        .execute("UPDATE turns SET state = 'dancing' WHERE id = 't7'", [])
        .unwrap();
    let error = spool.turn("t7").unwrap_err();
    assert!(error.to_string().contains("dancing"), "{error}");
    assert_eq!(note().lines().nth(1), Some(""));
}
