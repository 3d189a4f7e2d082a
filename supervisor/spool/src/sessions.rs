//! Conversations, and the sessions they have had.

use rusqlite::{Row, params};

use crate::words::{signed, unsigned};
use crate::{Conversation, Result, Session, Spool};

macro_rules! columns {
    () => {
        "id, project, instance, conversation, agent_session, created_at, used_at, title, mode,
         model, used, closing"
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        project: row.get(1)?,
        instance: row.get(2)?,
        conversation: row.get(3)?,
        agent_session: row.get(4)?,
        created_at: unsigned(row.get(5)?),
        used_at: unsigned(row.get(6)?),
        title: row.get(7)?,
        mode: row.get(8)?,
        model: row.get(9)?,
        used: row.get(10)?,
        closing: row.get(11)?,
    })
}

impl Spool {
    /// The conversation, if it has been seen.
    pub fn conversation(
        &self,
        project: &str,
        instance: &str,
        conversation: &str,
    ) -> Result<Option<Conversation>> {
        self.one(
            "SELECT project, instance, conversation, session, shared, address FROM conversations
             WHERE project = ?1 AND instance = ?2 AND conversation = ?3",
            params![project, instance, conversation],
            |row| {
                Ok(Conversation {
                    project: row.get(0)?,
                    instance: row.get(1)?,
                    conversation: row.get(2)?,
                    session: row.get(3)?,
                    shared: row.get(4)?,
                    address: row.get(5)?,
                })
            },
        )
    }

    /// Stores the conversation, in place of what was stored.
    pub fn put_conversation(&self, conversation: &Conversation) -> Result<()> {
        self.run(
            "INSERT INTO conversations (project, instance, conversation, session, shared, address)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (project, instance, conversation) DO UPDATE
             SET session = excluded.session, shared = excluded.shared, address = excluded.address",
            params![
                conversation.project,
                conversation.instance,
                conversation.conversation,
                conversation.session,
                conversation.shared,
                conversation.address
            ],
        )?;
        Ok(())
    }

    /// The session, if there is one of that id.
    pub fn session(&self, id: &str) -> Result<Option<Session>> {
        self.one(
            concat!("SELECT ", columns!(), " FROM sessions WHERE id = ?1"),
            [id],
            read,
        )
    }

    /// Stores the session, in place of what was stored.
    pub fn put_session(&self, session: &Session) -> Result<()> {
        self.run(
            "INSERT INTO sessions
             (id, project, instance, conversation, agent_session, created_at, used_at, title, mode,
              model, used, closing)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT (id) DO UPDATE
             SET project = excluded.project, instance = excluded.instance,
                 conversation = excluded.conversation, agent_session = excluded.agent_session,
                 created_at = excluded.created_at, used_at = excluded.used_at,
                 title = excluded.title, mode = excluded.mode, model = excluded.model,
                 used = excluded.used, closing = excluded.closing",
            params![
                session.id,
                session.project,
                session.instance,
                session.conversation,
                session.agent_session,
                signed(session.created_at),
                signed(session.used_at),
                session.title,
                session.mode,
                session.model,
                session.used,
                session.closing
            ],
        )?;
        Ok(())
    }

    /// The sessions of a conversation, the last used first.
    pub fn sessions_of(
        &self,
        project: &str,
        instance: &str,
        conversation: &str,
        limit: usize,
    ) -> Result<Vec<Session>> {
        self.all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM sessions WHERE project = ?1 AND instance = ?2 AND conversation = ?3
                 ORDER BY used_at DESC, number DESC LIMIT ?4"
            ),
            params![project, instance, conversation, signed(limit as u64)],
            read,
        )
    }

    /// All sessions, the last used first.
    pub fn sessions(&self, limit: usize) -> Result<Vec<Session>> {
        self.all(
            concat!(
                "SELECT ",
                columns!(),
                " FROM sessions ORDER BY used_at DESC, number DESC LIMIT ?1"
            ),
            [signed(limit as u64)],
            read,
        )
    }
}
