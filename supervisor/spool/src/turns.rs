//! Turns, and what the agent has written in their current attempt.

use rusqlite::{Row, params};

use crate::words::{signed, unsigned};
use crate::{Result, Spool, SpoolError, Turn, TurnState};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, project, session, instance, address, reply_to, asker, language,
                    prompt, prompt_id, trace, state, attempt, updates, queued_at, changed_at,
                    event_id, said
             FROM turns ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Turn> {
    Ok(Turn {
        id: row.get(0)?,
        number: row.get(1)?,
        project: row.get(2)?,
        session: row.get(3)?,
        instance: row.get(4)?,
        address: row.get(5)?,
        reply_to: row.get(6)?,
        asker: row.get(7)?,
        language: row.get(8)?,
        prompt: row.get(9)?,
        prompt_id: row.get(10)?,
        trace: row.get(11)?,
        state: row.get(12)?,
        attempt: row.get(13)?,
        updates: unsigned(row.get(14)?),
        queued_at: unsigned(row.get(15)?),
        changed_at: unsigned(row.get(16)?),
        event_id: row.get(17)?,
        said: row.get(18)?,
    })
}

impl Spool {
    /// Adds the turn and returns its place in the order of all turns.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] if there is one of that id, or its session has an active one and it is
    /// itself active.
    pub fn add_turn(&self, turn: &Turn) -> Result<i64> {
        self.run(
            "INSERT INTO turns
             (id, project, session, instance, address, reply_to, asker, language, prompt,
              prompt_id, trace, state, attempt, updates, queued_at, changed_at, event_id, said)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                     ?18)",
            params![
                turn.id,
                turn.project,
                turn.session,
                turn.instance,
                turn.address,
                turn.reply_to,
                turn.asker,
                turn.language,
                turn.prompt,
                turn.prompt_id,
                turn.trace,
                turn.state,
                turn.attempt,
                signed(turn.updates),
                signed(turn.queued_at),
                signed(turn.changed_at),
                turn.event_id,
                turn.said
            ],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    /// The turn, if there is one of that id.
    pub fn turn(&self, id: &str) -> Result<Option<Turn>> {
        self.one(select!("WHERE id = ?1"), [id], read)
    }

    /// The turn that waits and came from this event.
    pub fn queued_by(&self, instance: &str, event_id: &str) -> Result<Option<Turn>> {
        self.one(
            select!("WHERE instance = ?1 AND event_id = ?2 AND state = 'queued'"),
            [instance, event_id],
            read,
        )
    }

    /// Gives a turn that waits another prompt, and what was written; whether it still waited.
    pub fn replace_prompt(&self, id: &str, prompt: &str, said: &str) -> Result<bool> {
        let changed = self.run(
            "UPDATE turns SET prompt = ?2, said = ?3 WHERE id = ?1 AND state = 'queued'",
            [id, prompt, said],
        )?;
        Ok(changed > 0)
    }

    /// The session's newest turns that are over, the newest first.
    pub fn past_turns(&self, session: &str, limit: usize) -> Result<Vec<Turn>> {
        self.all(
            select!(
                "WHERE session = ?1 AND state IN ('ended', 'stopped', 'interrupted', 'failed')
                 ORDER BY number DESC LIMIT ?2"
            ),
            params![session, signed(limit as u64)],
            read,
        )
    }

    /// Moves the turn. A new attempt begins with no updates and no content.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] if there is no such turn, or its session has another active one.
    pub fn set_turn(&self, id: &str, state: TurnState, attempt: u32, now: u64) -> Result<()> {
        let (number, before) = self
            .one(
                "SELECT number, attempt FROM turns WHERE id = ?1",
                [id],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)),
            )?
            .ok_or_else(|| unknown(id))?;
        if before == attempt {
            self.run(
                "UPDATE turns SET state = ?2, changed_at = ?3 WHERE number = ?1",
                params![number, state, signed(now)],
            )?;
        } else {
            self.run("DELETE FROM content WHERE turn = ?1", [number])?;
            self.run(
                "UPDATE turns SET state = ?2, changed_at = ?3, attempt = ?4, updates = 0
                 WHERE number = ?1",
                params![number, state, signed(now), attempt],
            )?;
        }
        Ok(())
    }

    /// Sets the number of the last update that was stored.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] if there is no such turn.
    pub fn set_updates(&self, id: &str, n: u64) -> Result<()> {
        match self.run(
            "UPDATE turns SET updates = ?2 WHERE id = ?1",
            params![id, signed(n)],
        )? {
            0 => Err(unknown(id)),
            _ => Ok(()),
        }
    }

    /// The project's turns that are starting, running or stopping, in order.
    pub fn open_turns(&self, project: &str) -> Result<Vec<Turn>> {
        self.all(
            select!(
                "WHERE project = ?1 AND state IN ('starting', 'running', 'stopping')
                 ORDER BY number"
            ),
            [project],
            read,
        )
    }

    /// The one turn of the session that is starting, running or stopping.
    pub fn active_turn(&self, session: &str) -> Result<Option<Turn>> {
        self.one(
            select!("WHERE session = ?1 AND state IN ('starting', 'running', 'stopping')"),
            [session],
            read,
        )
    }

    /// The session's first turn that waits.
    pub fn next_queued(&self, session: &str) -> Result<Option<Turn>> {
        self.one(
            select!("WHERE session = ?1 AND state = 'queued' ORDER BY number LIMIT 1"),
            [session],
            read,
        )
    }

    /// The session's turns that wait, in order.
    pub fn queued(&self, session: &str) -> Result<Vec<Turn>> {
        self.all(
            select!("WHERE session = ?1 AND state = 'queued' ORDER BY number"),
            [session],
            read,
        )
    }

    /// How many turns of the session wait.
    pub fn queued_ahead(&self, session: &str) -> Result<u64> {
        let count = self.number(
            "SELECT count(*) FROM turns WHERE session = ?1 AND state = 'queued'",
            [session],
        )?;
        Ok(unsigned(count))
    }

    /// The project's sessions that have turns waiting, the longest waiting first.
    pub fn sessions_with_queued(&self, project: &str) -> Result<Vec<String>> {
        self.all(
            "SELECT session FROM turns WHERE project = ?1 AND state = 'queued'
             GROUP BY session ORDER BY min(number)",
            [project],
            |row| row.get(0),
        )
    }

    /// Stops every waiting turn of the session and returns them as they now are, in order.
    pub fn drop_queued(&self, session: &str, now: u64) -> Result<Vec<Turn>> {
        self.scoped(|spool| {
            let mut dropped = spool.all(
                select!("WHERE session = ?1 AND state = 'queued' ORDER BY number"),
                [session],
                read,
            )?;
            spool.run(
                "UPDATE turns SET state = 'stopped', changed_at = ?2
                 WHERE session = ?1 AND state = 'queued'",
                params![session, signed(now)],
            )?;
            for turn in &mut dropped {
                turn.state = TurnState::Stopped;
                turn.changed_at = now;
            }
            Ok(dropped)
        })
    }

    /// Appends a piece of a text block of the current attempt. `more` = further pieces of the block
    /// follow.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] if there is no such turn.
    pub fn add_text(&self, turn: &str, block: &str, text: &str, more: bool) -> Result<()> {
        let added = self.run(
            "INSERT INTO content (turn, number, block, text, more)
             SELECT turns.number, 1 + coalesce(
                 (SELECT max(content.number) FROM content WHERE content.turn = turns.number), 0),
                 ?2, ?3, ?4
             FROM turns WHERE turns.id = ?1",
            params![turn, block, text, more],
        )?;
        if added == 0 {
            Err(unknown(turn))
        } else {
            Ok(())
        }
    }

    /// The text blocks of the current attempt, each of its pieces joined, in the order in which
    /// they began. A block whose end has not come is there as far as it came.
    pub fn blocks(&self, turn: &str) -> Result<Vec<String>> {
        let pieces = self.all(
            "SELECT block, text FROM content
             WHERE turn = (SELECT number FROM turns WHERE id = ?1) AND file = '' ORDER BY number",
            [turn],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )?;
        let mut blocks: Vec<(String, String)> = Vec::new();
        for (block, text) in pieces {
            // Pieces of a block come together, so the search ends at once.
            match blocks.iter_mut().rev().find(|(name, _)| *name == block) {
                Some((_, whole)) => whole.push_str(&text),
                None => blocks.push((block, text)),
            }
        }
        Ok(blocks.into_iter().map(|(_, text)| text).collect())
    }

    /// The turn's place, for the rows that belong to it.
    pub(crate) fn turn_number(&self, id: &str) -> Result<i64> {
        self.one("SELECT number FROM turns WHERE id = ?1", [id], |row| {
            row.get(0)
        })?
        .ok_or_else(|| unknown(id))
    }
}

fn unknown(id: &str) -> SpoolError {
    SpoolError::Bug(format!("turn {id} is not in the spool"))
}
