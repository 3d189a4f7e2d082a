//! What has come in before.
//!
//! An event is known by its key (instance, event id). Where the platform numbers the events of a
//! channel, old keys are dropped and a floor takes their place: at or below it everything counts as
//! seen. Which keys are dropped, and when, is said in `prune`.

use rusqlite::params;

use crate::words::{signed, unsigned};
use crate::{Result, Spool};

/// An order as it is stored: 0 for none. One that does not fit is of no use as an order; its event
/// is still known by its key.
fn position(order: u64) -> i64 {
    i64::try_from(order).unwrap_or(0)
}

impl Spool {
    /// Whether the event has been remembered, or its `order` is not 0 and not above the channel's
    /// floor.
    pub fn seen(&self, instance: &str, event_id: &str, channel: &str, order: u64) -> Result<bool> {
        let known = self.one(
            "SELECT 1 FROM inbox WHERE instance = ?1 AND event_id = ?2",
            params![instance, event_id],
            |_| Ok(()),
        )?;
        if known.is_some() {
            return Ok(true);
        }
        let position = position(order);
        Ok(position > 0 && unsigned(position) <= self.floor(instance, channel)?)
    }

    /// Remembers the event. Again is the same as once.
    pub fn remember(
        &self,
        instance: &str,
        event_id: &str,
        channel: &str,
        order: u64,
        now: u64,
    ) -> Result<()> {
        let position = position(order);
        self.run(
            "INSERT INTO inbox (instance, event_id, channel, position, line, number, remembered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 1 + coalesce(
                 (SELECT max(number) FROM inbox WHERE instance = ?1 AND line = ?5), 0), ?6)
             ON CONFLICT (instance, event_id) DO NOTHING",
            params![
                instance,
                event_id,
                channel,
                position,
                position > 0,
                signed(now)
            ],
        )?;
        Ok(())
    }

    /// The channel's floor; 0 = none yet.
    pub fn floor(&self, instance: &str, channel: &str) -> Result<u64> {
        let floor = self.one(
            "SELECT position FROM floors WHERE instance = ?1 AND channel = ?2",
            params![instance, channel],
            |row| row.get(0),
        )?;
        Ok(floor.map_or(0, unsigned))
    }

    /// Raises the channel's floor; it never sinks.
    pub(crate) fn raise_floor(
        &self,
        instance: &str,
        channel: &str,
        position: i64,
        now: u64,
    ) -> Result<()> {
        self.run(
            "INSERT INTO floors (instance, channel, position, raised_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (instance, channel) DO UPDATE
             SET position = max(position, excluded.position), raised_at = excluded.raised_at",
            params![instance, channel, position, signed(now)],
        )?;
        Ok(())
    }
}
