//! How far each channel is read, so that a new session can ask for what came in between. Pure.
//!
//! A channel's floor is the id at or below which every message is Accepted or not for us. While a
//! channel is still to be read back its floor stays, whatever comes in meanwhile. Only
//! channels that the bot was spoken to in have one, at most [`MOST`]; the one that was quiet longest
//! is forgotten first. A channel without a floor is not read back.
//!
//! Beside it stands what else must be known of a channel after a restart: that it is a thread in
//! which the bot takes part, which messages got no thread of their own although they should have,
//! and that a part of it was never read.

use std::collections::{BTreeMap, BTreeSet};

use ipc_schema::Lack;
use serde::{Deserialize, Serialize};

use crate::snowflake::Id;

/// The most channels that are remembered.
pub(crate) const MOST: usize = 200;

/// The most messages of a channel that are remembered to have got no thread.
const FALLEN: usize = 256;

/// What is kept of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Its server; none for direct messages.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub(crate) guild: Option<Id>,
    /// Read up to here.
    #[serde(rename = "m")]
    pub(crate) message: Id,
    /// It is a thread in which the bot takes part.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) adopted: bool,
    /// A part before this was not read, and nobody has been told yet.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gap: bool,
    /// Open messages that belong to the channel because no thread could be opened for them, each
    /// with the right that is missing, if one is.
    #[serde(rename = "f", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fallen: BTreeMap<Id, Option<Lack>>,
}

#[derive(Debug, Default)]
struct Channel {
    guild: Option<Id>,
    /// The highest message that was looked at.
    high: Id,
    open: BTreeSet<Id>,
    /// It is to be read back from here.
    pin: Option<Id>,
    adopted: bool,
    gap: bool,
    fallen: BTreeMap<Id, Option<Lack>>,
}

impl Channel {
    fn floor(&self) -> Id {
        let floor = self
            .open
            .first()
            .map_or(self.high, |open| Id(open.0.saturating_sub(1)));
        self.pin.map_or(floor, |pin| pin.min(floor))
    }
}

/// The floors of all channels.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    channels: BTreeMap<Id, Channel>,
}

impl Floors {
    /// As they were kept; nonsense is no floors.
    pub(crate) fn read(kept: &[u8]) -> Floors {
        let kept: BTreeMap<Id, Floor> = serde_json::from_slice(kept).unwrap_or_default();
        let channel = |floor: Floor| Channel {
            guild: floor.guild,
            high: floor.message,
            open: BTreeSet::new(),
            pin: None,
            adopted: floor.adopted,
            gap: floor.gap,
            fallen: floor.fallen.into_iter().take(FALLEN).collect(),
        };
        let channels = kept
            .into_iter()
            .take(MOST)
            .map(|(id, floor)| (id, channel(floor)));
        Floors {
            channels: channels.collect(),
        }
    }

    /// To be kept.
    pub(crate) fn write(&self) -> Vec<u8> {
        // Ids and numbers always make JSON.
        serde_json::to_vec(&self.all()).unwrap_or_default()
    }

    /// Every floor.
    pub(crate) fn all(&self) -> BTreeMap<Id, Floor> {
        let floor = |it: &Channel| Floor {
            guild: it.guild,
            message: it.floor(),
            adopted: it.adopted,
            gap: it.gap,
            fallen: it.fallen.clone(),
        };
        self.channels
            .iter()
            .map(|(id, it)| (*id, floor(it)))
            .collect()
    }

    /// A message for us came; it is open until [`Self::done`]. Whether the channel is new: then its
    /// floor is to be kept at once, since without one nothing of the channel is ever read back.
    pub(crate) fn open(&mut self, channel: Id, guild: Option<Id>, message: Id) -> bool {
        let (it, new) = self.channel(channel, guild);
        it.high = it.high.max(message);
        it.open.insert(message);
        new
    }

    /// A message came that may be for us. It is open if the channel has a floor; it gives it none.
    pub(crate) fn perhaps(&mut self, channel: Id, message: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.high = it.high.max(message);
            it.open.insert(message);
        }
    }

    /// The message is Accepted.
    pub(crate) fn done(&mut self, channel: Id, message: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.open.remove(&message);
            it.fallen.remove(&message);
        }
    }

    /// The bot takes part in a thread from this message on. Whether that is new.
    pub(crate) fn adopt(&mut self, thread: Id, guild: Option<Id>, message: Id) -> bool {
        let (it, _) = self.channel(thread, guild);
        it.high = it.high.max(message);
        !std::mem::replace(&mut it.adopted, true)
    }

    /// Whether it does.
    pub(crate) fn is_adopted(&self, thread: Id) -> bool {
        self.channels.get(&thread).is_some_and(|it| it.adopted)
    }

    /// An open message belongs to the channel for good: no thread can be opened for it.
    pub(crate) fn fell(&mut self, channel: Id, message: Id, lack: Option<Lack>) {
        if let Some(it) = self.channels.get_mut(&channel)
            && it.fallen.len() < FALLEN
        {
            it.fallen.insert(message, lack);
        }
    }

    /// Whether that was found out before, and what was missing.
    pub(crate) fn fallen(&self, channel: Id, message: Id) -> Option<Option<Lack>> {
        self.channels.get(&channel)?.fallen.get(&message).copied()
    }

    /// A part of the channel was not read.
    pub(crate) fn skipped(&mut self, channel: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.gap = true;
        }
    }

    /// Whether somebody is still to be told so.
    pub(crate) fn has_gap(&self, channel: Id) -> bool {
        self.channels.get(&channel).is_some_and(|it| it.gap)
    }

    /// Somebody is.
    pub(crate) fn gap_told(&mut self, channel: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.gap = false;
        }
    }

    /// The channel, and whether it has no floor yet.
    fn channel(&mut self, channel: Id, guild: Option<Id>) -> (&mut Channel, bool) {
        let new = !self.channels.contains_key(&channel);
        if new {
            self.make_room();
        }
        let it = self.channels.entry(channel).or_default();
        if guild.is_some() {
            it.guild = guild;
        }
        (it, new)
    }

    /// A message that is not for us came; it moves the floor of a channel that has one.
    pub(crate) fn passed(&mut self, channel: Id, message: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.high = it.high.max(message);
        }
    }

    /// All channels are to be read back.
    pub(crate) fn pin(&mut self) {
        for it in self.channels.values_mut() {
            it.pin = Some(it.floor());
        }
    }

    /// The channel is read back.
    pub(crate) fn unpin(&mut self, channel: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.pin = None;
        }
    }

    /// From where each channel is to be read back.
    pub(crate) fn pinned(&self) -> BTreeMap<Id, Floor> {
        let floor = |it: &Channel| {
            Some(Floor {
                guild: it.guild,
                message: it.pin?,
                ..Floor::default()
            })
        };
        self.channels
            .iter()
            .filter_map(|(id, it)| Some((*id, floor(it)?)))
            .collect()
    }

    /// The oldest message that is open anywhere.
    pub(crate) fn oldest_open(&self) -> Option<Id> {
        self.channels
            .values()
            .filter_map(|it| it.open.first().copied())
            .min()
    }

    /// The newest message that was looked at anywhere.
    pub(crate) fn newest(&self) -> Id {
        self.channels
            .values()
            .map(|it| it.high)
            .max()
            .unwrap_or_default()
    }

    fn make_room(&mut self) {
        let settled = self
            .channels
            .iter()
            .filter(|(_, it)| it.open.is_empty() && it.pin.is_none());
        if self.channels.len() >= MOST
            && let Some((quietest, _)) = settled.min_by_key(|(_, it)| it.high)
        {
            let quietest = *quietest;
            self.channels.remove(&quietest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_never_passes_an_open_message() {
        let mut floors = Floors::default();
        floors.passed(Id(1), Id(5));
        assert!(floors.all().is_empty(), "not a channel of ours");
        floors.open(Id(1), Some(Id(9)), Id(10));
        floors.open(Id(1), Some(Id(9)), Id(20));
        floors.passed(Id(1), Id(30));
        assert_eq!(
            floors.all()[&Id(1)],
            Floor {
                guild: Some(Id(9)),
                message: Id(9),
                ..Floor::default()
            }
        );
        floors.done(Id(1), Id(20));
        assert_eq!(floors.all()[&Id(1)].message, Id(9));
        assert_eq!(
            (floors.oldest_open(), floors.newest()),
            (Some(Id(10)), Id(30))
        );
        floors.done(Id(1), Id(10));
        assert_eq!(floors.all()[&Id(1)].message, Id(30));
        assert_eq!(floors.oldest_open(), None);
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        let mut floors = Floors::default();
        floors.open(Id(1), None, Id(10));
        floors.open(Id(2), Some(Id(9)), Id(20));
        floors.done(Id(2), Id(20));
        assert_eq!(Floors::read(&floors.write()).all(), floors.all());
        assert!(Floors::read(b"junk").all().is_empty());
        assert!(Floors::read(b"").all().is_empty());
    }

    #[test]
    fn what_may_be_for_us_gives_no_channel_a_floor() {
        let mut floors = Floors::default();
        floors.perhaps(Id(1), Id(10));
        assert!(floors.all().is_empty());
        floors.open(Id(1), None, Id(20));
        floors.done(Id(1), Id(20));
        floors.perhaps(Id(1), Id(30));
        assert_eq!(floors.all()[&Id(1)].message, Id(29));
        floors.done(Id(1), Id(30));
        assert_eq!(floors.all()[&Id(1)].message, Id(30));
    }

    #[test]
    fn what_is_known_of_a_channel_outlives_the_process() {
        let mut floors = Floors::default();
        floors.open(Id(1), Some(Id(9)), Id(50));
        floors.fell(Id(1), Id(50), Some(Lack::InThreads));
        assert!(floors.adopt(Id(40), Some(Id(9)), Id(40)) && !floors.adopt(Id(40), None, Id(45)));
        floors.skipped(Id(40));
        let mut again = Floors::read(&floors.write());
        assert_eq!(again.all(), floors.all());
        assert!(again.is_adopted(Id(40)) && !again.is_adopted(Id(1)));
        assert!(again.has_gap(Id(40)) && !again.has_gap(Id(1)));
        assert_eq!(again.fallen(Id(1), Id(50)), Some(Some(Lack::InThreads)));
        assert_eq!(again.fallen(Id(1), Id(51)), None);
        again.gap_told(Id(40));
        again.done(Id(1), Id(50));
        assert!(!again.has_gap(Id(40)) && again.fallen(Id(1), Id(50)).is_none());
        floors.open(Id(2), None, Id(1));
        floors.adopt(Id(2), None, Id(1));
        assert!(floors.is_adopted(Id(2)), "one that is known already");
    }

    #[test]
    fn what_comes_in_meanwhile_does_not_move_a_floor_that_is_to_be_read_from() {
        let mut floors = Floors::default();
        floors.open(Id(1), None, Id(10));
        floors.done(Id(1), Id(10));
        floors.pin();
        floors.passed(Id(1), Id(20));
        floors.open(Id(1), None, Id(30));
        floors.done(Id(1), Id(30));
        assert_eq!(floors.pinned()[&Id(1)].message, Id(10));
        assert_eq!(Floors::read(&floors.write()).all()[&Id(1)].message, Id(10));
        floors.pin();
        assert_eq!(
            floors.pinned()[&Id(1)].message,
            Id(10),
            "another session: still from there"
        );
        floors.unpin(Id(1));
        assert_eq!(floors.all()[&Id(1)].message, Id(30));
        assert!(floors.pinned().is_empty());
    }

    #[test]
    fn the_quietest_goes_first_and_what_is_open_stays() {
        let mut floors = Floors::default();
        floors.open(Id(1), None, Id(1));
        for n in 2..1000 {
            floors.open(Id(n), None, Id(n));
            floors.done(Id(n), Id(n));
        }
        let all = floors.all();
        assert_eq!(all.len(), MOST);
        assert!(
            all.contains_key(&Id(1)) && all.contains_key(&Id(999)) && !all.contains_key(&Id(2))
        );
        assert!(floors.write().len() < 64 * 1024);
    }
}
