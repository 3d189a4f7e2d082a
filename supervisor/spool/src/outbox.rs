//! What is to be said, until the platform has it.
//!
//! The chunks of one address are a lane: first in, first out. A chunk is leased before it is handed
//! out, so that after a crash it is known that the platform may have it.

use rusqlite::{Row, params};

use crate::words::{signed, unsigned};
use crate::{Chunk, Result, Spool, SpoolError};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, number, reply, position, total, instance, address, text, reply_to, trace,
                    state, leased_at, not_before, retries, platform_id, why, created_at, form,
                    changed_at
             FROM chunks ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        key: row.get(0)?,
        number: row.get(1)?,
        reply: row.get(2)?,
        position: row.get(3)?,
        count: row.get(4)?,
        instance: row.get(5)?,
        address: row.get(6)?,
        text: row.get(7)?,
        reply_to: row.get(8)?,
        trace: row.get(9)?,
        state: row.get(10)?,
        leased_at: unsigned(row.get(11)?),
        not_before: unsigned(row.get(12)?),
        retries: row.get(13)?,
        platform_id: row.get(14)?,
        why: row.get(15)?,
        created_at: unsigned(row.get(16)?),
        form: row.get(17)?,
        changed_at: unsigned(row.get(18)?),
    })
}

/// How much work waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Turns that wait for their session.
    pub queued_turns: u64,
    /// Turns that are starting, running or stopping.
    pub open_turns: u64,
    /// Questions that are open or decided.
    pub open_questions: u64,
    /// Chunks that were never handed out.
    pub pending_chunks: u64,
    /// Chunks that were handed out and are not known to be delivered.
    pub leased_chunks: u64,
    /// Chunks that were given up and wait for an operator.
    pub parked_chunks: u64,
}

impl Spool {
    /// Adds the chunk at the end of its lane and returns its place in the order of all chunks.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] if there is one of that key, or the key is empty or over 25 characters.
    pub fn add_chunk(&self, chunk: &Chunk) -> Result<i64> {
        self.run(
            "INSERT INTO chunks
             (key, reply, position, total, instance, address, text, reply_to, trace, state,
              leased_at, not_before, retries, platform_id, why, created_at, changed_at, form)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16,
                     ?17)",
            params![
                chunk.key,
                chunk.reply,
                chunk.position,
                chunk.count,
                chunk.instance,
                chunk.address,
                chunk.text,
                chunk.reply_to,
                chunk.trace,
                chunk.state,
                signed(chunk.leased_at),
                signed(chunk.not_before),
                chunk.retries,
                chunk.platform_id,
                chunk.why,
                signed(chunk.created_at),
                chunk.form
            ],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    /// The chunk, if there is one of that key.
    pub fn chunk(&self, key: &str) -> Result<Option<Chunk>> {
        self.one(select!("WHERE key = ?1"), [key], read)
    }

    /// Gives a chunk that was never handed out another text and form; false if it may be out.
    pub fn rewrite(&self, key: &str, text: &str, form: &str) -> Result<bool> {
        let changed = self.run(
            "UPDATE chunks SET text = ?2, form = ?3 WHERE key = ?1 AND state = 'pending'",
            params![key, text, form],
        )?;
        Ok(changed > 0)
    }

    /// The addresses of the instance that have chunks to deliver, sorted. Costs by the number of
    /// lanes, not of chunks.
    pub fn lane_heads(&self, instance: &str) -> Result<Vec<String>> {
        self.all(
            "WITH RECURSIVE lane (address) AS (
                 SELECT min(address) FROM chunks
                 WHERE instance = ?1 AND state IN ('pending', 'leased')
                 UNION ALL
                 SELECT (SELECT min(chunks.address) FROM chunks
                         WHERE instance = ?1 AND state IN ('pending', 'leased')
                         AND chunks.address > lane.address)
                 FROM lane WHERE lane.address IS NOT NULL)
             SELECT address FROM lane WHERE address IS NOT NULL",
            [instance],
            |row| row.get(0),
        )
    }

    /// The first `limit` chunks of the lane that are to be delivered, in order.
    pub fn lane(&self, instance: &str, address: &str, limit: usize) -> Result<Vec<Chunk>> {
        self.all(
            select!(
                "WHERE instance = ?1 AND address = ?2 AND state IN ('pending', 'leased')
                 ORDER BY number LIMIT ?3"
            ),
            params![instance, address, signed(limit as u64)],
            read,
        )
    }

    /// Marks the chunk as handed out. The time of the first lease stays; a time that it had to wait
    /// for is over.
    ///
    /// # Errors
    /// [`SpoolError::Bug`] if the chunk is not to be delivered.
    pub fn lease(&self, key: &str, now: u64) -> Result<()> {
        let leased = self.run(
            "UPDATE chunks SET state = 'leased', not_before = 0, changed_at = ?2,
                    leased_at = CASE leased_at WHEN 0 THEN ?2 ELSE leased_at END
             WHERE key = ?1 AND state IN ('pending', 'leased')",
            params![key, signed(now)],
        )?;
        if leased == 0 {
            return Err(SpoolError::Bug(format!(
                "chunk {key} was leased but is not to be sent"
            )));
        }
        Ok(())
    }

    /// Marks the chunk as delivered, whatever its state; false if it was already, or is not known
    /// (any more).
    pub fn delivered(&self, key: &str, platform_id: &str, now: u64) -> Result<bool> {
        let changed = self.run(
            "UPDATE chunks SET state = 'delivered', platform_id = ?2, changed_at = ?3,
                    not_before = 0, why = ''
             WHERE key = ?1 AND state <> 'delivered'",
            params![key, platform_id, signed(now)],
        )?;
        Ok(changed > 0)
    }

    /// The platform refused the chunk for the moment: not again before `not_before`. A chunk that
    /// is no longer to be delivered stays as it is.
    pub fn postpone(&self, key: &str, not_before: u64, why: &str) -> Result<()> {
        self.run(
            "UPDATE chunks SET not_before = ?2, why = ?3, retries = retries + 1
             WHERE key = ?1 AND state IN ('pending', 'leased')",
            params![key, signed(not_before), why],
        )?;
        Ok(())
    }

    /// Parks every chunk of the reply that is to be delivered; returns how many.
    pub fn park_reply(&self, reply: &str, why: &str, now: u64) -> Result<u64> {
        let parked = self.run(
            "UPDATE chunks SET state = 'parked', why = ?2, changed_at = ?3, not_before = 0
             WHERE reply = ?1 AND state IN ('pending', 'leased')",
            params![reply, why, signed(now)],
        )?;
        Ok(parked as u64)
    }

    /// The parked chunks, oldest first.
    pub fn parked(&self, limit: usize) -> Result<Vec<Chunk>> {
        self.all(
            select!("WHERE state = 'parked' ORDER BY number LIMIT ?1"),
            [signed(limit as u64)],
            read,
        )
    }

    /// Sends the reply's parked chunks again, as if they had never been handed out: whoever says so
    /// has looked at the platform. They keep their place in the lane. Returns how many.
    pub fn requeue(&self, reply: &str, now: u64) -> Result<u64> {
        let requeued = self.run(
            "UPDATE chunks SET state = 'pending', leased_at = 0, not_before = 0, retries = 0,
                    why = '', changed_at = ?2
             WHERE reply = ?1 AND state = 'parked'",
            params![reply, signed(now)],
        )?;
        Ok(requeued as u64)
    }

    /// When the first of the chunks that wait for a time is due; may lie in the past.
    pub fn next_due(&self) -> Result<Option<u64>> {
        let due = self.number(
            "SELECT min(not_before) FROM chunks
             WHERE state IN ('pending', 'leased') AND not_before > 0",
            [],
        )?;
        Ok((due > 0).then(|| unsigned(due)))
    }

    /// How much work waits. Costs by the amount of open work.
    pub fn waiting(&self) -> Result<Counts> {
        let count = |sql| self.number(sql, []).map(unsigned);
        let (unsent, leased) = self
            .one(
                "SELECT count(*), coalesce(sum(state = 'leased'), 0)
                 FROM chunks INDEXED BY chunks_lane WHERE state IN ('pending', 'leased')",
                [],
                |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))),
            )?
            .unwrap_or_default();
        Ok(Counts {
            queued_turns: count("SELECT count(*) FROM turns WHERE state = 'queued'")?,
            open_turns: count(
                "SELECT count(*) FROM turns WHERE state IN ('starting', 'running', 'stopping')",
            )?,
            open_questions: count(
                "SELECT count(*) FROM questions WHERE state IN ('open', 'decided')",
            )?,
            pending_chunks: unsent.saturating_sub(leased),
            leased_chunks: leased,
            parked_chunks: count("SELECT count(*) FROM chunks WHERE state = 'parked'")?,
        })
    }
}
