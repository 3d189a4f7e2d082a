//! How far each channel is read, so that a new session can ask for what came in between. Pure.
//!
//! A channel's floor is the id at or below which every message is Accepted or not for us. While a
//! channel is still to be read back its floor stays, whatever comes in meanwhile. Only
//! channels that the bot was spoken to in have one, at most [`MOST`]; the one that was quiet longest
//! is forgotten first. A channel without a floor is not read back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::snowflake::Id;

/// The most channels that are remembered.
pub(crate) const MOST: usize = 200;

/// What is kept of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Its server; none for direct messages.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub(crate) guild: Option<Id>,
    /// Read up to here.
    #[serde(rename = "m")]
    pub(crate) message: Id,
}

#[derive(Debug, Default)]
struct Channel {
    guild: Option<Id>,
    /// The highest message that was looked at.
    high: Id,
    open: BTreeSet<Id>,
    /// It is to be read back from here.
    pin: Option<Id>,
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
        };
        self.channels
            .iter()
            .map(|(id, it)| (*id, floor(it)))
            .collect()
    }

    /// A message for us came; it is open until [`Self::done`]. Whether the channel is new: then its
    /// floor is to be kept at once, since without one nothing of the channel is ever read back.
    pub(crate) fn open(&mut self, channel: Id, guild: Option<Id>, message: Id) -> bool {
        let new = !self.channels.contains_key(&channel);
        if new {
            self.make_room();
        }
        let it = self.channels.entry(channel).or_default();
        if guild.is_some() {
            it.guild = guild;
        }
        it.high = it.high.max(message);
        it.open.insert(message);
        new
    }

    /// The message is Accepted.
    pub(crate) fn done(&mut self, channel: Id, message: Id) {
        if let Some(it) = self.channels.get_mut(&channel) {
            it.open.remove(&message);
        }
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
                message: Id(9)
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
