//! What outlives the process, as the hub's cursors: the session, how far it is dealt with, and how
//! far each channel is read. Pure.
//!
//! A new session owes a reading back of the channels: what was written between the sessions comes
//! in no event. The debt is kept too, and is over only once everything from before is Accepted.

use serde::{Deserialize, Serialize};

use crate::floors::Floors;
use crate::gateway::moves::Resumable;
use crate::snowflake::Id;
use crate::watermark::{Ticket, Watermark};

/// The cursors' names.
pub(crate) const GATEWAY: &str = "gateway";
pub(crate) const FLOORS: &str = "floors";
pub(crate) const IDENTIFY: &str = "identify";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    session: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    owed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    No,
    /// Still to be read back.
    Yes,
    /// Read back; messages up to this one are not all Accepted yet.
    UpTo(Id),
}

/// What is to be kept.
#[derive(Debug)]
pub(crate) struct Keep {
    session: Option<Resumable>,
    pub(crate) mark: Watermark,
    pub(crate) floors: Floors,
    owed: Owed,
    /// Session and sequence that the hub has committed.
    committed: Option<(u64, u64)>,
}

/// A moment of [`Keep`], to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) gateway: Option<Vec<u8>>,
    pub(crate) floors: Vec<u8>,
    epoch: u64,
    seq: u64,
}

impl Keep {
    /// As it was kept; nonsense is nothing kept.
    pub(crate) fn read(gateway: Option<&[u8]>, floors: Option<&[u8]>) -> Keep {
        let kept: Option<Kept> = gateway.and_then(|kept| serde_json::from_slice(kept).ok());
        let kept = kept.filter(|kept| !kept.session.is_empty());
        let seq = kept.as_ref().map_or(0, |kept| kept.seq);
        let owed = kept.as_ref().is_some_and(|kept| kept.owed);
        let mut floors = Floors::read(floors.unwrap_or_default());
        if owed {
            floors.pin();
        }
        Keep {
            mark: Watermark::resumed_at(seq),
            floors,
            owed: if owed { Owed::Yes } else { Owed::No },
            committed: kept.as_ref().map(|_| (0, seq)),
            session: kept.map(|kept| Resumable {
                session: kept.session,
                url: kept.url,
            }),
        }
    }

    pub(crate) fn session(&self) -> Option<Resumable> {
        self.session.clone()
    }

    /// READY: a new session, whose first event has this sequence.
    pub(crate) fn ready(&mut self, session: Resumable, seq: u64) {
        self.session = Some(session);
        self.mark.restart();
        let ready = self.mark.seen(seq);
        self.mark.done(ready);
        self.owed = Owed::Yes;
        self.floors.pin();
    }

    /// Whether the channels are still to be read back.
    pub(crate) fn owes(&self) -> bool {
        self.owed == Owed::Yes
    }

    /// They are read back, and everything found is offered.
    pub(crate) fn read_back(&mut self) {
        self.owed = Owed::UpTo(self.floors.newest());
        self.settle();
    }

    /// A message is Accepted. `ticket`: its event, if it came by one.
    pub(crate) fn accepted(&mut self, ticket: Option<Ticket>, channel: Id, message: Id) {
        if let Some(ticket) = ticket {
            self.mark.done(ticket);
        }
        self.floors.done(channel, message);
        self.settle();
    }

    /// What happened to a message is Accepted. It says nothing of the message itself.
    pub(crate) fn act_accepted(&mut self, ticket: Ticket) {
        self.mark.done(ticket);
    }

    fn settle(&mut self) {
        if let Owed::UpTo(newest) = self.owed
            && self.floors.oldest_open().is_none_or(|open| open > newest)
        {
            self.owed = Owed::No;
        }
    }

    /// What is to be committed now.
    pub(crate) fn moment(&self) -> Moment {
        let (epoch, seq) = (self.mark.epoch(), self.mark.value());
        let kept = self.session.as_ref().map(|session| Kept {
            session: session.session.clone(),
            url: session.url.clone(),
            seq,
            owed: self.owed != Owed::No,
        });
        Moment {
            // Texts and numbers always make JSON.
            gateway: kept.map(|kept| serde_json::to_vec(&kept).unwrap_or_default()),
            floors: self.floors.write(),
            epoch,
            seq,
        }
    }

    /// The hub has committed that.
    pub(crate) fn committed(&mut self, moment: &Moment) {
        self.committed = Some((moment.epoch, moment.seq));
    }

    /// The sequence for heartbeats: Discord may forget what is below, so it is one that a restart
    /// would resume from.
    pub(crate) fn beat_seq(&self) -> u64 {
        self.committed
            .filter(|(epoch, _)| *epoch == self.mark.epoch())
            .map_or(0, |(_, seq)| seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> Resumable {
        Resumable {
            session: name.into(),
            url: "wss://own".into(),
        }
    }

    fn reread(keep: &Keep) -> Keep {
        let moment = keep.moment();
        Keep::read(moment.gateway.as_deref(), Some(&moment.floors))
    }

    #[test]
    fn a_restart_goes_on_where_the_last_commit_was() {
        let mut keep = Keep::read(None, None);
        assert_eq!(
            (keep.session(), keep.moment().gateway.is_some()),
            (None, false)
        );
        keep.ready(session("a"), 1);
        keep.read_back();
        let (first, second) = (keep.mark.seen(2), keep.mark.seen(3));
        keep.floors.open(Id(9), None, Id(50));
        keep.mark.done(second);
        let again = reread(&keep);
        assert_eq!(
            (again.session(), again.mark.value()),
            (Some(session("a")), 1)
        );
        assert_eq!(again.floors.all()[&Id(9)].message, Id(49));
        keep.accepted(Some(first), Id(9), Id(50));
        assert_eq!(reread(&keep).mark.value(), 3);
        assert_eq!(reread(&keep).floors.all()[&Id(9)].message, Id(50));
        assert!(Keep::read(Some(b"junk"), Some(b"junk")).session().is_none());
    }

    #[test]
    fn heartbeats_name_what_is_committed() {
        let mut keep = Keep::read(None, None);
        keep.ready(session("a"), 1);
        assert_eq!(keep.beat_seq(), 0);
        let moment = keep.moment();
        let ticket = keep.mark.seen(2);
        keep.mark.done(ticket);
        keep.committed(&moment);
        assert_eq!((keep.beat_seq(), keep.mark.value()), (1, 2));
        keep.ready(session("b"), 1);
        assert_eq!(
            keep.beat_seq(),
            0,
            "the committed one is of another session"
        );
        assert_eq!(reread(&keep).beat_seq(), 1);
    }

    #[test]
    fn the_debt_is_over_once_everything_from_before_is_accepted() {
        let mut keep = Keep::read(None, None);
        keep.floors.open(Id(9), None, Id(50)); // of the old session
        keep.ready(session("b"), 1);
        assert!(keep.owes() && reread(&keep).owes());
        keep.floors.open(Id(9), None, Id(60)); // found by reading back
        keep.read_back();
        assert!(
            !keep.owes() && reread(&keep).owes(),
            "a restart reads back again"
        );
        keep.floors.open(Id(9), None, Id(70)); // live
        keep.accepted(None, Id(9), Id(60));
        assert!(reread(&keep).owes());
        keep.accepted(None, Id(9), Id(50));
        assert!(!reread(&keep).owes());
    }
}
