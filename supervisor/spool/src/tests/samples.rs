//! Rows for the tests.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{
    Chunk, ChunkState, Conversation, Question, QuestionState, Session, Spool, Turn, TurnState,
};

pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;

pub(super) fn spool() -> Spool {
    Spool::in_memory().unwrap()
}

/// A directory for a spool on the disk, and the path of the spool in it.
pub(super) fn dir() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("spool");
    (temp, dir)
}

pub(super) fn turn(id: &str, session: &str) -> Turn {
    Turn {
        id: id.into(),
        number: 0,
        project: "p".into(),
        session: session.into(),
        instance: "discord-main".into(),
        address: "channel 1".into(),
        reply_to: "77".into(),
        asker: "ann".into(),
        language: "en".into(),
        prompt: "What's up?".into(),
        prompt_id: format!("uuid of {id}"),
        trace: format!("trace of {id}"),
        state: TurnState::Queued,
        attempt: 0,
        updates: 0,
        queued_at: 10,
        changed_at: 10,
        event_id: format!("event of {id}"),
        said: "What".into(),
    }
}

pub(super) fn question(id: &str, turn: &str, session: &str) -> Question {
    Question {
        id: id.into(),
        turn: turn.into(),
        attempt: 1,
        session: session.into(),
        about: "{\"tool\":\"Bash\"}".into(),
        state: QuestionState::Open,
        decision: String::new(),
        asked_at: 12,
    }
}

pub(super) fn chunk(key: &str, reply: &str, address: &str) -> Chunk {
    Chunk {
        key: key.into(),
        number: 0,
        reply: reply.into(),
        position: 0,
        count: 3,
        instance: "discord-main".into(),
        address: address.into(),
        text: format!("text of {key}"),
        form: format!("form of {key}"),
        reply_to: "77".into(),
        trace: format!("trace of {reply}"),
        state: ChunkState::Pending,
        leased_at: 0,
        not_before: 0,
        retries: 0,
        platform_id: String::new(),
        why: String::new(),
        created_at: 20,
        changed_at: 20,
    }
}

pub(super) fn conversation(name: &str) -> Conversation {
    Conversation {
        project: "p".into(),
        instance: "discord-main".into(),
        conversation: name.into(),
        session: format!("session of {name}"),
        shared: true,
        address: "channel 1".into(),
    }
}

pub(super) fn session(id: &str, conversation: &str, used_at: u64) -> Session {
    Session {
        id: id.into(),
        project: "p".into(),
        instance: "discord-main".into(),
        conversation: conversation.into(),
        agent_session: format!("uuid of {id}"),
        created_at: 5,
        used_at,
        ..Session::default()
    }
}

pub(super) fn keys(chunks: &[Chunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk.key.as_str()).collect()
}

pub(super) fn ids(turns: &[Turn]) -> Vec<&str> {
    turns.iter().map(|turn| turn.id.as_str()).collect()
}
