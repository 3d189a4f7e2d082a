//! What takes processes of their own: one that is killed at any moment, one that may not write, and
//! two that want the same spool. This file is its own test runner, because the processes are this
//! same program with other arguments.

// The whole file is a test, which clippy cannot know.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{env, fs, io};

use nix::unistd::{Uid, setuid};
use sha2::{Digest, Sha256};
use spool::{Chunk, Keep, OpenError, Spool, Turn, TurnState};

/// Kills in the middle of work, and in the middle of the first start.
const KILLS: usize = 30;
const FIRST_STARTS: usize = 15;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["work", dir] => work(Path::new(dir)),
        ["open", dir] => open(Path::new(dir)),
        ["open-as-nobody", dir] => open_as_nobody(Path::new(dir)),
        _ => run(&arguments),
    }
}

/// Runs the tests, or lists them, as far as `cargo test` and its like ask for more than all.
fn run(arguments: &[String]) {
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let names: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && argument.parse::<u32>().is_err())
        .collect();
    for (name, test) in TESTS {
        let wanted = names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
        if !wanted || flag("--ignored") {
            continue;
        }
        if flag("--list") {
            println!("{name}: test");
        } else {
            test();
            println!("test {name} ... ok");
        }
    }
}

const TESTS: &[(&str, fn())] = &[
    (
        "what_was_acknowledged_survives_kill_9",
        what_was_acknowledged_survives_kill_9,
    ),
    (
        "a_first_start_survives_kill_9",
        a_first_start_survives_kill_9,
    ),
    ("another_process_is_named", another_process_is_named),
    (
        "a_spool_that_may_not_be_written_is_refused",
        a_spool_that_may_not_be_written_is_refused,
    ),
];

// ---------------------------------------------------------------- the children

/// Stores one event after another and says so, until it is killed. Every event is an inbox row, a
/// turn with content and a chunk, some with a file; batches have one to eight events.
fn work(dir: &Path) {
    let spool = Spool::open(dir).unwrap();
    let mut n = recorded(&spool);
    say(&format!("from {n}"));
    let keep = Keep {
        inbox_rows: 50,
        max_rows: 20,
        ..Keep::default()
    };
    loop {
        let batch = 1 + n % 8;
        spool.begin().unwrap();
        for n in n..n + batch {
            spool.scoped(|spool| event(spool, n)).unwrap();
        }
        // Far enough ahead that the inbox rows have settled and give way to the floor.
        spool.prune(NOW + 20 * 60 * 1000, &keep).unwrap();
        spool.commit().unwrap();
        n += batch;
        say(&format!("stored {n}"));
    }
}

const NOW: u64 = 1_700_000_000_000;

fn event(spool: &Spool, n: u64) -> Result<(), spool::SpoolError> {
    let id = format!("e{n}");
    spool.remember("discord-main", &id, "c", n + 1, NOW)?;
    spool.add_turn(&Turn {
        id: id.clone(),
        number: 0,
        project: "p".into(),
        session: "s".into(),
        instance: "discord-main".into(),
        address: "c".into(),
        reply_to: String::new(),
        asker: "ann".into(),
        language: "en".into(),
        prompt: "long ".repeat(n as usize % 700),
        prompt_id: String::new(),
        trace: String::new(),
        state: TurnState::Queued,
        attempt: 0,
        updates: 0,
        queued_at: n,
        changed_at: n,
        event_id: String::new(),
        said: String::new(),
    })?;
    spool.add_text(&id, "b", &id, false)?;
    spool.add_chunk(&Chunk {
        key: id.clone(),
        reply: id.clone(),
        count: 1,
        instance: "discord-main".into(),
        address: "c".into(),
        text: id.clone(),
        created_at: n,
        ..Chunk::default()
    })?;
    if n.is_multiple_of(5) {
        let content = file(n);
        let mut writer = spool.blob_writer(&sha256(&content), content.len() as u64)?;
        for (index, piece) in content.chunks(50_000).enumerate() {
            writer.write(index as u64 * 50_000, piece)?;
        }
        writer.finish(spool, NOW)?;
        spool.attach(&id, &sha256(&content), "file", "")?;
    }
    Ok(())
}

/// The content of the file of event `n`.
fn file(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(1 + (n as usize * 977) % 20_000)
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn open(dir: &Path) {
    say("now");
    let spool = Spool::open(dir);
    match spool {
        Ok(_spool) => {
            say("open");
            // Holds the lock until the parent has seen enough.
            let _ = io::stdin().read_line(&mut String::new());
        }
        Err(error) => say(&error.to_string()),
    }
}

fn open_as_nobody(dir: &Path) {
    if Uid::effective().is_root() {
        setuid(Uid::from_raw(65534)).unwrap();
    }
    match Spool::open(dir) {
        Ok(_) => say("open"),
        Err(error) => say(&format!("{error:?} {error}")),
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

// ---------------------------------------------------------------- the parent

fn child(role: &str, dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .arg(role)
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn line(out: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    // A line that was cut off by the kill was not said.
    (out.read_line(&mut line).unwrap() > 0 && line.ends_with('\n')).then(|| line.trim().into())
}

fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

/// How many events there are; fails if any is there in part, or one is missing before the last.
fn recorded(spool: &Spool) -> u64 {
    let lane = spool.lane("discord-main", "c", usize::MAX).unwrap();
    for (n, chunk) in lane.iter().enumerate() {
        let id = format!("e{n}");
        assert_eq!(chunk.key, id, "in order, none missing");
        assert!(
            spool.seen("discord-main", &id, "c", n as u64 + 1).unwrap(),
            "{id}"
        );
        assert!(spool.turn(&id).unwrap().is_some(), "{id}");
        assert_eq!(spool.blocks(&id).unwrap(), [id]);
    }
    let count = lane.len() as u64;
    let next = format!("e{count}");
    assert!(!spool.seen("discord-main", &next, "c", count + 1).unwrap());
    assert!(spool.turn(&next).unwrap().is_none());
    assert_eq!(spool.queued_ahead("s").unwrap(), count);
    count
}

fn what_was_acknowledged_survives_kill_9() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("spool");
    let mut stored = 0;
    for _ in 0..KILLS {
        let (mut child, mut out) = child("work", &dir);
        assert_eq!(
            line(&mut out),
            Some(format!("from {stored}")),
            "it begins where it ended"
        );
        let enough = stored + chance() % 60;
        let mut acknowledged = stored;
        while acknowledged < enough {
            acknowledged = stored_so_far(&line(&mut out).unwrap());
        }
        // And then somewhere within the next batch.
        for _ in 0..chance() % 200_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        while let Some(line) = line(&mut out) {
            acknowledged = stored_so_far(&line);
        }
        child.wait().unwrap();

        let spool = Spool::open(&dir).unwrap();
        stored = recorded(&spool);
        assert!(
            stored >= acknowledged,
            "{stored} are there, {acknowledged} were acknowledged"
        );
        assert_eq!(spool.check().unwrap(), [""; 0]);
        for n in (0..stored).filter(|n| n % 5 == 0) {
            let path = spool
                .blob_path(&sha256(&file(n)))
                .unwrap()
                .expect("a file for its row");
            assert_eq!(fs::read(path).unwrap(), file(n));
            assert_eq!(spool.attachments(&format!("e{n}")).unwrap().len(), 1);
        }
    }
    assert!(stored > 0);
}

fn stored_so_far(line: &str) -> u64 {
    line.strip_prefix("stored ").unwrap().parse().unwrap()
}

fn a_first_start_survives_kill_9() {
    let mut ends: BTreeMap<bool, usize> = BTreeMap::new();
    for _ in 0..FIRST_STARTS {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("spool");
        let (mut child, mut out) = child("open", &dir);
        assert_eq!(line(&mut out).as_deref(), Some("now"));
        for _ in 0..chance() % 500_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        *ends.entry(dir.join("spool.db").exists()).or_default() += 1;
        let spool = Spool::open(&dir).unwrap();
        assert_eq!(spool.check().unwrap(), [""; 0]);
        assert_eq!(recorded(&spool), 0);
    }
    println!("first starts killed before and after the file had its name: {ends:?}");
}

fn another_process_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let (mut child, mut out) = child("open", temp.path());
    assert_eq!(line(&mut out).as_deref(), Some("now"));
    assert_eq!(line(&mut out).as_deref(), Some("open"));
    let error = Spool::open(temp.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", child.id())),
        "{error}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    Spool::open(temp.path()).unwrap();
}

/// What a process without privileges says to this directory.
fn as_nobody(dir: &Path) -> String {
    let (mut child, mut out) = child("open-as-nobody", dir);
    let said = line(&mut out).unwrap();
    child.wait().unwrap();
    said
}

fn a_spool_that_may_not_be_written_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(temp.path(), 0o755);
    let dir = temp.path().join("spool");
    drop(Spool::open(&dir).unwrap());

    mode(&dir, 0o555);
    let said = as_nobody(&dir);
    assert!(
        said.starts_with("ReadOnly") && said.contains("cannot be written"),
        "{said}"
    );

    // The directory is well, but not the file.
    mode(&dir, 0o777);
    mode(&dir.join("spool.lock"), 0o666);
    mode(&dir.join("spool.db"), 0o444);
    let said = as_nobody(&dir);
    assert!(
        said.starts_with("ReadOnly") && said.contains("spool.db"),
        "{said}"
    );
    assert_eq!(
        fs::metadata(dir.join("spool.db"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o444
    );
    mode(&dir, 0o700);
}
