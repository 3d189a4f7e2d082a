//! How history ends.
//!
//! Each call does a bounded amount of work, so it may be called after every batch; nothing here
//! looks at open work or at parked chunks. An ordered inbox row goes only after the floor of its
//! channel has been raised to it; an unordered one goes only when newer ones push it out, because
//! nothing takes its place.

use rusqlite::params;

use crate::words::signed;
use crate::{Result, Spool};

/// An inbox row younger than this stays, however many there are: events of a channel may overtake
/// one another by as much (one waits for its pictures), and a floor must not pass over an event
/// that is still on its way.
pub const SETTLE_MS: u64 = 10 * 60 * 1000;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What was not used for a year goes: floors (no platform repeats anything so old), sessions without
/// turns, and people. Without this every thread that ever was would keep its rows.
const UNUSED_AGE_MS: u64 = 366 * DAY_MS;

/// What was said so long ago may be said again: no pause is longer.
const TOLD_AGE_MS: u64 = 400 * DAY_MS;

/// How much history stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Inbox rows of one instance, of ordered and of unordered events each. By default so many that a
    /// repeat is known after a hundred thousand others.
    pub inbox_rows: u64,
    /// Ordered inbox rows older than this give way to the floor.
    pub inbox_age_ms: u64,
    /// Turns that are over, with their content and questions, and delivered chunks.
    pub history_age_ms: u64,
    /// The most rows of each kind that one call removes. A row costs some twenty microseconds.
    pub max_rows: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Keep {
            inbox_rows: 150_000,
            inbox_age_ms: 30 * DAY_MS,
            history_age_ms: 30 * DAY_MS,
            max_rows: 64,
        }
    }
}

/// What a call of [`Spool::prune`] removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Inbox rows.
    pub inbox: u64,
    /// Floors of channels that have been silent for a year.
    pub floors: u64,
    /// Turns.
    pub turns: u64,
    /// Chunks.
    pub chunks: u64,
    /// Sessions that nobody went back to for a year, each with its conversation if that has no other.
    pub sessions: u64,
    /// People who were not heard for a year.
    pub people: u64,
    /// It stopped at the bound: there may be more.
    pub more: bool,
}

impl Spool {
    /// Removes history that is older or longer than `keep` says.
    pub fn prune(&self, now: u64, keep: &Keep) -> Result<Pruned> {
        self.scoped(|spool| {
            let mut pruned = Pruned::default();
            for instance in spool.inbox_instances()? {
                for ordered in [true, false] {
                    pruned.inbox +=
                        spool.prune_line(&instance, ordered, now, keep, &mut pruned.more)?;
                }
            }
            let limit = signed(keep.max_rows.max(1));
            let history = signed(now.saturating_sub(keep.history_age_ms));
            let unused = signed(now.saturating_sub(UNUSED_AGE_MS));
            pruned.floors = spool.run(
                "DELETE FROM floors WHERE (instance, channel) IN (
                     SELECT instance, channel FROM floors WHERE raised_at < ?1
                     ORDER BY raised_at LIMIT ?2)",
                params![unused, limit],
            )? as u64;
            pruned.turns = spool.run(
                "DELETE FROM turns WHERE number IN (
                     SELECT number FROM turns
                     WHERE state IN ('ended', 'stopped', 'interrupted', 'failed')
                     AND changed_at < ?1 ORDER BY changed_at LIMIT ?2)",
                params![history, limit],
            )? as u64;
            pruned.chunks = spool.run(
                "DELETE FROM chunks WHERE number IN (
                     SELECT number FROM chunks
                     WHERE state = 'delivered' AND changed_at < ?1 ORDER BY changed_at LIMIT ?2)",
                params![history, limit],
            )? as u64;
            let told = spool.run(
                "DELETE FROM told WHERE (instance, address, what) IN (
                     SELECT instance, address, what FROM told WHERE told_at < ?1
                     ORDER BY told_at LIMIT ?2)",
                params![signed(now.saturating_sub(TOLD_AGE_MS)), limit],
            )? as u64;
            pruned.people = spool.run(
                "DELETE FROM people WHERE (instance, user) IN (
                     SELECT instance, user FROM people WHERE heard_at < ?1
                     ORDER BY heard_at LIMIT ?2)",
                params![unused, limit],
            )? as u64;
            // As long as its turns, so that those with turns left are not looked at in each call.
            let sessions = UNUSED_AGE_MS.max(keep.history_age_ms);
            pruned.sessions = spool.prune_sessions(now.saturating_sub(sessions), limit)?;
            let most = keep.max_rows.max(1);
            let counts = [
                pruned.floors,
                pruned.turns,
                pruned.chunks,
                told,
                pruned.people,
                pruned.sessions,
            ];
            pruned.more |= counts.contains(&most);
            Ok(pruned)
        })
    }

    /// Removes sessions that were last used before `before` and have no turns. A conversation whose
    /// session has gone begins another.
    fn prune_sessions(&self, before: u64, limit: i64) -> Result<u64> {
        let sessions = self.all(
            "SELECT id, project, instance, conversation FROM sessions
             WHERE used_at < ?1
             AND NOT EXISTS (SELECT 1 FROM turns
                 WHERE turns.session = sessions.id AND turns.state = 'queued')
             AND NOT EXISTS (SELECT 1 FROM turns
                 WHERE turns.session = sessions.id
                 AND turns.state IN ('starting', 'running', 'stopping'))
             AND NOT EXISTS (SELECT 1 FROM turns
                 WHERE turns.session = sessions.id
                 AND turns.state IN ('ended', 'stopped', 'interrupted', 'failed'))
             ORDER BY used_at LIMIT ?2",
            params![signed(before), limit],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, String>(3)?,
                ))
            },
        )?;
        for (id, project, instance, conversation) in &sessions {
            self.run(
                "DELETE FROM conversations
                 WHERE project = ?1 AND instance = ?2 AND conversation = ?3 AND session = ?4",
                params![project, instance, conversation, id],
            )?;
            self.run("DELETE FROM sessions WHERE id = ?1", [id])?;
        }
        Ok(sessions.len() as u64)
    }

    /// The instances that have inbox rows; one seek each.
    fn inbox_instances(&self) -> Result<Vec<String>> {
        self.all(
            "WITH RECURSIVE known (instance) AS (
                 SELECT min(instance) FROM inbox
                 UNION ALL
                 SELECT (SELECT min(inbox.instance) FROM inbox
                         WHERE inbox.instance > known.instance)
                 FROM known WHERE known.instance IS NOT NULL)
             SELECT instance FROM known WHERE instance IS NOT NULL",
            [],
            |row| row.get(0),
        )
    }

    /// Removes from the old end of one line, as far as it may.
    fn prune_line(
        &self,
        instance: &str,
        ordered: bool,
        now: u64,
        keep: &Keep,
        more: &mut bool,
    ) -> Result<u64> {
        let newest = self.number(
            "SELECT max(number) FROM inbox WHERE instance = ?1 AND line = ?2",
            params![instance, ordered],
        )?;
        let surplus = newest.saturating_sub(signed(keep.inbox_rows));
        let settled = signed(now.saturating_sub(SETTLE_MS));
        let old = signed(now.saturating_sub(keep.inbox_age_ms));
        let goes = |number: i64, remembered_at: i64| {
            remembered_at <= settled && (number <= surplus || (ordered && remembered_at < old))
        };

        // One row tells whether there is anything to do.
        let oldest = self.one(
            "SELECT number, remembered_at FROM inbox WHERE instance = ?1 AND line = ?2
             ORDER BY number LIMIT 1",
            params![instance, ordered],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if !oldest.is_some_and(|(number, remembered_at)| goes(number, remembered_at)) {
            return Ok(0);
        }

        let limit = keep.max_rows.max(1);
        let rows = self.all(
            "SELECT event_id, channel, position, number, remembered_at FROM inbox
             WHERE instance = ?1 AND line = ?2 ORDER BY number LIMIT ?3",
            params![instance, ordered, signed(limit)],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, i64>(4)?,
                ))
            },
        )?;
        let mut removed = 0;
        for (event_id, channel, position, number, remembered_at) in rows {
            if !goes(number, remembered_at) {
                break;
            }
            if ordered {
                self.raise_floor(instance, &channel, position, now)?;
            }
            self.run(
                "DELETE FROM inbox WHERE instance = ?1 AND event_id = ?2",
                params![instance, event_id],
            )?;
            removed += 1;
        }
        *more |= removed == limit;
        Ok(removed)
    }
}
