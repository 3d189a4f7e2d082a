//! Files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::samples::{DAY, chunk, dir, spool, turn};
use crate::{Attachment, MAX_BLOB, Spool, SpoolError, TurnState};

fn name(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn keep(spool: &Spool, content: &[u8], now: u64) -> PathBuf {
    let mut writer = spool
        .blob_writer(&name(content), content.len() as u64)
        .unwrap();
    let middle = content.len() / 2;
    assert!(!writer.write(0, &content[..middle]).unwrap());
    assert!(writer.write(middle as u64, &content[middle..]).unwrap());
    writer.finish(spool, now).unwrap()
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

#[test]
fn a_file_is_kept_under_its_hash() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    let sha256 = name(b"picture");
    assert_eq!(spool.blob_path(&sha256).unwrap(), None);
    let path = keep(&spool, b"picture", 1);
    assert_eq!(
        path,
        dir.canonicalize()
            .unwrap()
            .join("blobs")
            .join(&sha256[..2])
            .join(&sha256[2..])
    );
    assert_eq!(fs::read(&path).unwrap(), b"picture");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    keep(&spool, b"picture", 2);
    assert_eq!(spool.blob_bytes().unwrap(), 7, "once");
    drop(spool);
    let spool = Spool::open(&dir).unwrap();
    assert_eq!(spool.blob_path(&sha256).unwrap(), Some(path.clone()));
    fs::remove_file(path).unwrap();
    assert_eq!(
        spool.blob_path(&sha256).unwrap(),
        None,
        "somebody tidied up"
    );
}

#[test]
fn an_empty_file_is_a_file() {
    let spool = spool();
    let mut writer = spool.blob_writer(&name(b""), 0).unwrap();
    assert!(writer.write(0, b"").unwrap());
    let path = writer.finish(&spool, 1).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"");
}

#[test]
fn what_is_not_what_it_claims_is_refused_and_leaves_nothing() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    let sha256 = name(b"abcdef");
    let refused = |result: Result<_, SpoolError>| assert!(result.is_err_and(|e| e.is_refused()));

    let mut writer = spool.blob_writer(&sha256, 6).unwrap();
    refused(writer.write(1, b"b"));
    refused(writer.write(0, b"abcdefg"));
    writer.write(0, b"abc").unwrap();
    refused(writer.write(0, b"abc"));
    refused(writer.write(4, b"ef"));
    refused(writer.write(u64::MAX, b"ef"));
    refused(writer.finish(&spool, 1).map(|_| true));

    let mut writer = spool.blob_writer(&sha256, 6).unwrap();
    writer.write(0, b"ABCDEF").unwrap();
    refused(writer.finish(&spool, 1).map(|_| true));
    assert_eq!(spool.blob_path(&sha256).unwrap(), None);
    assert!(files(&dir.join("blobs")).is_empty());
    assert_eq!(spool.blob_bytes().unwrap(), 0);
}

#[test]
fn names_and_sizes_are_bounded() {
    let spool = spool();
    let good = name(b"x");
    for bad in [
        "",
        "../../../etc/passwd",
        &good[1..],
        &good.to_uppercase(),
        &format!("{good}0"),
    ] {
        assert!(
            spool.blob_writer(bad, 1).is_err_and(|e| e.is_refused()),
            "{bad}"
        );
        assert!(spool.blob_path(bad).is_err_and(|e| e.is_refused()), "{bad}");
    }
    let error = spool.blob_writer(&good, MAX_BLOB + 1).unwrap_err();
    assert!(error.to_string().contains("64 MiB"), "{error}");

    // What is announced counts before it has come.
    let writers: Vec<_> = (0..32)
        .map(|_| spool.blob_writer(&good, MAX_BLOB).unwrap())
        .collect();
    let error = spool.blob_writer(&good, 1).unwrap_err();
    assert!(
        error.is_refused() && error.to_string().contains("2048 MiB"),
        "{error}"
    );
    drop(writers);
    spool.blob_writer(&good, 1).unwrap();
}

#[test]
fn a_row_that_is_rolled_back_names_no_file() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    spool.begin().unwrap();
    let path = keep(&spool, b"lost", 1);
    assert!(spool.prune_blobs(1, 1, 9).is_err(), "not within a batch");
    spool.rollback();
    assert_eq!(spool.blob_path(&name(b"lost")).unwrap(), None);
    assert!(path.exists());
    for _ in 0..256 {
        spool.prune_blobs(1, 1, 9).unwrap();
    }
    assert!(!path.exists(), "swept up");
}

#[test]
fn what_was_being_written_is_gone_after_a_restart() {
    let (_temp, dir) = dir();
    let spool = Spool::open(&dir).unwrap();
    let mut writer = spool.blob_writer(&name(b"abc"), 3).unwrap();
    writer.write(0, b"ab").unwrap();
    // As if killed: nothing is tidied up.
    std::mem::forget(writer);
    assert_eq!(files(&dir.join("blobs")).len(), 1);
    drop(spool);
    let _spool = Spool::open(&dir).unwrap();
    assert_eq!(files(&dir.join("blobs")).len(), 0);
}

#[test]
fn a_file_stays_while_its_turn_is_open() {
    let spool = spool();
    spool.add_turn(&turn("t", "s")).unwrap();
    let (cat, dog) = (name(b"cat"), name(b"doggy"));
    assert!(
        spool
            .attach("t", &cat, "cat.png", "image/png")
            .is_err_and(|e| e.is_refused())
    );
    keep(&spool, b"cat", 1);
    let path = keep(&spool, b"doggy", 1);
    keep(&spool, b"nobody's", 1);
    spool.attach("t", &dog, "dog.png", "image/png").unwrap();
    spool.attach("t", &cat, "cat.png", "").unwrap();
    assert!(matches!(
        spool.attach("t9", &cat, "", ""),
        Err(SpoolError::Bug(_))
    ));
    let expected = [
        Attachment {
            sha256: dog.clone(),
            name: "dog.png".into(),
            mime: "image/png".into(),
            size: 5,
        },
        Attachment {
            sha256: cat.clone(),
            name: "cat.png".into(),
            mime: String::new(),
            size: 3,
        },
    ];
    assert_eq!(spool.attachments("t").unwrap(), expected);

    assert_eq!(spool.prune_blobs(DAY, 7 * DAY, 9).unwrap(), 0, "young");
    assert_eq!(spool.prune_blobs(9 * DAY, 7 * DAY, 9).unwrap(), 1);
    assert_eq!(spool.blob_path(&name(b"nobody's")).unwrap(), None);
    spool.set_turn("t", TurnState::Ended, 1, 2).unwrap();
    assert_eq!(
        spool.prune_blobs(9 * DAY, 7 * DAY, 1).unwrap(),
        1,
        "no more than asked"
    );
    assert_eq!(spool.prune_blobs(9 * DAY, 7 * DAY, 9).unwrap(), 1);
    assert!(!path.exists());
    assert_eq!(spool.blob_bytes().unwrap(), 0);
    assert!(spool.attachments("t").unwrap().is_empty());
}

#[test]
fn a_file_stays_until_its_chunk_is_delivered() {
    let spool = spool();
    spool.add_chunk(&chunk("r-0", "r", "a")).unwrap();
    let (cat, dog) = (name(b"cat"), name(b"doggy"));
    assert!(spool.enclose("r-0", &cat).is_err_and(|e| e.is_refused()));
    keep(&spool, b"cat", 1);
    keep(&spool, b"doggy", 1);
    spool.enclose("r-0", &cat).unwrap();
    spool.enclose("r-0", &cat).unwrap();
    assert!(matches!(
        spool.enclose("r-9", &cat),
        Err(SpoolError::Bug(_))
    ));
    assert_eq!(spool.prune_blobs(9 * DAY, 7 * DAY, 9).unwrap(), 1);
    assert_eq!(spool.blob_path(&dog).unwrap(), None);
    spool.park_reply("r", "why", 2).unwrap();
    assert_eq!(spool.prune_blobs(9 * DAY, 7 * DAY, 9).unwrap(), 0, "parked");
    spool.delivered("r-0", "id", 3).unwrap();
    assert_eq!(spool.prune_blobs(9 * DAY, 7 * DAY, 9).unwrap(), 1);
}

#[test]
fn bytes_at_hand_are_kept_once() {
    let spool = spool();
    assert!(!spool.touch_blob(&name(b"cat"), 1).unwrap());
    assert_eq!(spool.keep_bytes(b"cat", 1).unwrap(), name(b"cat"));
    assert_eq!(spool.keep_bytes(b"cat", 9 * DAY).unwrap(), name(b"cat"));
    assert_eq!(spool.blob_bytes().unwrap(), 3);
    assert_eq!(spool.prune_blobs(9 * DAY, DAY, 9).unwrap(), 0, "as new");
}

#[test]
fn a_file_is_read_in_pieces() {
    let spool = spool();
    keep(&spool, b"doggy", 1);
    let read = |offset, most| spool.read_blob(&name(b"doggy"), offset, most).unwrap();
    assert_eq!(read(0, 3), Some((b"dog".to_vec(), 5)));
    assert_eq!(read(3, 3), Some((b"gy".to_vec(), 5)));
    assert_eq!(read(9, 3), Some((Vec::new(), 5)));
    assert_eq!(spool.read_blob(&name(b"cat"), 0, 3).unwrap(), None);
}

#[test]
fn little_room_takes_files_early_but_never_fresh_ones() {
    let spool = spool();
    keep(&spool, b"cat", 1);
    assert_eq!(spool.prune_blobs(DAY, 7 * DAY, 9).unwrap(), 0);
    spool
        .run("UPDATE blobs_size SET bytes = ?1", [2_000_000_000_i64])
        .unwrap();
    assert_eq!(
        spool.prune_blobs(60 * 60 * 1000, 7 * DAY, 9).unwrap(),
        0,
        "fresh"
    );
    assert_eq!(spool.prune_blobs(DAY, 7 * DAY, 9).unwrap(), 1);
}
