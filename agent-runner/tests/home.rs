//! Where an agent lives, with the fake Claude Code: its volume and what is said to it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};

use fake_claude::Point;
use serde_json::{Value, json};
use support::{Desk, SOON, agent_session, fake_claude};

fn volume() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let volume = dir.path().join("volumes/mine");
    (dir, volume)
}

async fn desk(volume: &Path, more: Value) -> Desk {
    let mut options = json!({"cmd": fake_claude(), "allowed_tools": ["Bash"], "volume": volume});
    let fields = options.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    Desk::start(options).await
}

/// The session's file, below a configuration directory.
fn file(config: &Path, session: &str) -> Option<PathBuf> {
    let name = format!("{}.jsonl", agent_session(session));
    let dirs = std::fs::read_dir(config.join("projects")).ok()?;
    let mut files = dirs.map(|dir| dir.unwrap().path().join(&name));
    files.find(|file| file.is_file())
}

#[tokio::test]
async fn sessions_live_in_the_volume_and_are_found_there_after_a_crash() {
    let (_dir, volume) = volume();
    let mut desk = desk(&volume, json!({})).await;
    let look = "#tool Bash echo $CLAUDE_CONFIG_DIR $BULKHEAD_VOLUME >seen\n#say done";
    desk.prompt("s", "one", look);
    desk.answer("one").await;
    let seen = std::fs::read_to_string(desk.work().join("seen")).unwrap();
    let config = volume.join(".claude");
    assert_eq!(
        seen.trim(),
        format!("{} {}", config.display(), volume.display())
    );
    assert!(file(&config, "s").is_some());
    desk.prompt("s", "two", "#say Before.\n#say The end.\n#hold first-delta");
    desk.control.held(Point::FirstDelta, SOON).await.unwrap();
    desk.kill_runner(2).await;
    let turn = desk.answer("two").await;
    assert_eq!(turn.texts().last(), Some(&"The end."), "{turn:#?}");
    assert_eq!(turn.continued, 1, "it was not found: {turn:#?}");
    assert!(!desk.dir.path().join("home/.claude/projects").exists());
}

#[tokio::test]
async fn each_session_may_have_a_volume_of_its_own() {
    let (_dir, volume) = volume();
    let desk = desk(&volume, json!({"volume_scope": "session"})).await;
    for session in ["one", "other"] {
        desk.prompt(session, session, "hello");
        desk.answer(session).await;
    }
    let config = |session: &str| volume.join("sessions").join(session).join(".claude");
    assert!(file(&config("one"), "one").is_some() && file(&config("one"), "other").is_none());
    assert!(file(&config("other"), "other").is_some());
    // Idle or not, it is found again where it is.
    desk.prompt("one", "again", "hello again");
    assert_eq!(
        desk.answer("again").await.texts(),
        ["You said: hello again"]
    );
    assert!(!volume.join(".claude").exists());
}

#[tokio::test]
async fn a_persona_that_is_missing_and_words_that_are_cut_are_told_once() {
    let (_dir, volume) = volume();
    let desk = desk(&volume, json!({"persona": "persona.md"})).await;
    std::fs::write(desk.work().join("CLAUDE.md"), "x".repeat(70 << 10)).unwrap();
    for session in ["one", "other"] {
        desk.prompt(session, session, "hello");
        desk.answer(session).await;
    }
    for words in [
        "the persona persona.md is neither in the volume",
        "CLAUDE.md is longer than 64 KiB",
    ] {
        assert_eq!(desk.log().matches(words).count(), 1, "{}", desk.log());
    }
}
