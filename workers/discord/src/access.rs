//! Who may talk to the agent, where, and how often others are told that they may not. Pure.
//!
//! A message in a server passes by place if the lists of servers and channels are empty or match (a
//! thread counts as its parent too), and by person by `allow_from` or `allow_roles`; with both empty
//! everyone passes if a list of channels matched, else the owner alone. A direct message passes by
//! `allow_from`, else the owner. No list never means everybody.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::snowflake::Id;

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
/// Refusals that are told within an hour.
const AN_HOUR: usize = 20;
/// People who are remembered to have been told.
const REMEMBERED: usize = 4096;

/// A list of ids that may hold `"*"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct People {
    /// `"*"`.
    pub(crate) everyone: bool,
    /// These.
    pub(crate) ids: BTreeSet<Id>,
}

impl People {
    /// Whether it names `id`.
    pub(crate) fn contains(&self, id: Id) -> bool {
        self.everyone || self.ids.contains(&id)
    }

    fn is_empty(&self) -> bool {
        !self.everyone && self.ids.is_empty()
    }
}

/// The lists as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `allow_from`.
    pub(crate) people: People,
    /// `allow_roles`.
    pub(crate) roles: BTreeSet<Id>,
    /// `allow_channels`.
    pub(crate) channels: BTreeSet<Id>,
    /// `allow_guilds`.
    pub(crate) guilds: BTreeSet<Id>,
}

/// Where somebody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To the bot alone.
    Direct,
    /// In a server.
    Guild {
        /// Which.
        guild: Id,
        /// In which channel or thread.
        channel: Id,
        /// For a thread, the channel it hangs on.
        parent: Option<Id>,
    },
}

/// Who wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person<'a> {
    /// Their id.
    pub(crate) id: Id,
    /// Their roles in the server.
    pub(crate) roles: &'a [Id],
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes to the agent.
    Granted,
    /// Not this person.
    Refused,
    /// Not this place: whoever it is, nothing is said.
    Elsewhere,
}

impl Rules {
    /// Whether it passes. `owners`: the application's owner, or the members of its team.
    pub(crate) fn judge(&self, place: Place, person: Person<'_>, owners: &BTreeSet<Id>) -> Verdict {
        let granted = match place {
            Place::Direct if self.people.is_empty() => owners.contains(&person.id),
            Place::Direct => self.people.contains(person.id),
            Place::Guild {
                guild,
                channel,
                parent,
            } => {
                let here = |id: &Id| *id == channel || Some(*id) == parent;
                let matched = self.channels.iter().any(here);
                let guild_fits = self.guilds.is_empty() || self.guilds.contains(&guild);
                if !guild_fits || !(self.channels.is_empty() || matched) {
                    return Verdict::Elsewhere;
                }
                if self.people.is_empty() && self.roles.is_empty() {
                    matched || owners.contains(&person.id)
                } else {
                    self.people.contains(person.id)
                        || person.roles.iter().any(|role| self.roles.contains(role))
                }
            }
        };
        if granted {
            Verdict::Granted
        } else {
            Verdict::Refused
        }
    }

    /// Whether a thread's parent has to be known to judge a message in `channel`.
    pub(crate) fn needs_parent(&self, channel: Id) -> bool {
        !self.channels.is_empty() && !self.channels.contains(&channel)
    }

    /// Whether somebody's roles have to be known.
    pub(crate) fn needs_roles(&self, person: Id) -> bool {
        !self.roles.is_empty() && !self.people.contains(person)
    }
}

/// Who was told of a refusal, so that strangers can flood neither the hub nor the memory: once a
/// person a day, 20 an hour.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    told: HashMap<Id, Instant>,
    order: VecDeque<Id>,
    lately: VecDeque<Instant>,
}

impl Refusals {
    /// Whether to tell `user` now; if so, it counts as told.
    pub(crate) fn tell(&mut self, user: Id, now: Instant) -> bool {
        while self
            .lately
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= HOUR)
        {
            self.lately.pop_front();
        }
        let told = self
            .told
            .get(&user)
            .is_some_and(|at| now.saturating_duration_since(*at) < DAY);
        if told || self.lately.len() >= AN_HOUR {
            return false;
        }
        self.lately.push_back(now);
        if self.told.insert(user, now).is_none() {
            self.order.push_back(user);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Elsewhere, Granted, Refused};
    use super::*;

    const OWNER: u64 = 1;
    const GUILD: u64 = 50;
    const CHANNEL: u64 = 60;
    const THREAD: u64 = 61;
    const ROLE: u64 = 70;

    fn rules(people: &str, roles: &[u64], channels: &[u64], guilds: &[u64]) -> Rules {
        let ids = |list: &[u64]| list.iter().map(|id| Id(*id)).collect();
        let names = people.split(',').filter_map(|piece| piece.parse().ok());
        Rules {
            people: People {
                everyone: people.contains('*'),
                ids: names.collect(),
            },
            roles: ids(roles),
            channels: ids(channels),
            guilds: ids(guilds),
        }
    }

    fn judge(rules: &Rules, place: Place, person: u64, roles: &[u64]) -> Verdict {
        let roles: Vec<_> = roles.iter().map(|id| Id(*id)).collect();
        rules.judge(
            place,
            Person {
                id: Id(person),
                roles: &roles,
            },
            &BTreeSet::from([Id(OWNER), Id(9)]),
        )
    }

    fn here() -> Place {
        Place::Guild {
            guild: Id(GUILD),
            channel: Id(CHANNEL),
            parent: None,
        }
    }

    #[test]
    fn direct_messages() {
        for (people, roles, person, expected) in [
            ("", &[][..], OWNER, Granted),
            ("", &[], 9, Granted), // another member of the team
            ("", &[], 2, Refused),
            ("", &[ROLE], 2, Refused), // roles say nothing of direct messages
            ("", &[ROLE], OWNER, Granted),
            ("2", &[], 2, Granted),
            ("2", &[], OWNER, Refused), // a list replaces the owner
            ("2,3", &[ROLE], 3, Granted),
            ("*", &[], 2, Granted),
            ("2,*", &[], 4, Granted),
        ] {
            // Lists of places say nothing of direct messages.
            for (channels, guilds) in [(&[][..], &[][..]), (&[CHANNEL], &[]), (&[], &[GUILD])] {
                let rules = rules(people, roles, channels, guilds);
                let verdict = judge(&rules, Place::Direct, person, &[ROLE]);
                assert_eq!(verdict, expected, "{people:?} {roles:?} {person}");
            }
        }
    }

    /// Every kind of `allow_from`, every kind of `allow_roles`, owner and other, and the verdicts:
    /// without a list of channels, with one that matches.
    #[test]
    fn servers_by_person() {
        let (other, role) = (2, [ROLE]);
        for (people, roles, person, anywhere, in_channel) in [
            ("", &[][..], OWNER, Granted, Granted),
            ("", &[], other, Refused, Granted),
            ("", &role, OWNER, Granted, Granted), // the role lets them in, not the ownership
            ("", &role, other, Granted, Granted),
            ("", &[71], OWNER, Refused, Refused), // a list replaces the owner
            ("", &[71], other, Refused, Refused),
            ("2", &[], OWNER, Refused, Refused),
            ("2", &[], other, Granted, Granted),
            ("2", &role, OWNER, Granted, Granted), // either will do
            ("2", &role, other, Granted, Granted),
            ("2", &[71], OWNER, Refused, Refused),
            ("2", &[71], other, Granted, Granted),
            ("3", &[], OWNER, Refused, Refused),
            ("3", &[], other, Refused, Refused),
            ("3", &role, OWNER, Granted, Granted),
            ("3", &role, other, Granted, Granted),
            ("3", &[71], OWNER, Refused, Refused),
            ("3", &[71], other, Refused, Refused),
            ("*", &[], OWNER, Granted, Granted),
            ("*", &[], other, Granted, Granted),
            ("*", &role, OWNER, Granted, Granted),
            ("*", &role, other, Granted, Granted),
            ("*", &[71], OWNER, Granted, Granted),
            ("*", &[71], other, Granted, Granted),
        ] {
            let case = format!("{people:?} {roles:?} {person}");
            let has = [72, ROLE];
            for guilds in [&[][..], &[GUILD], &[99, GUILD]] {
                let open = rules(people, roles, &[], guilds);
                assert_eq!(judge(&open, here(), person, &has), anywhere, "{case}");
                let listed = rules(people, roles, &[99, CHANNEL], guilds);
                assert_eq!(judge(&listed, here(), person, &has), in_channel, "{case}");
            }
            // A place that does not fit goes before everything: nothing is said there.
            for (channels, guilds) in [
                (&[99][..], &[][..]),
                (&[99], &[GUILD]),
                (&[99], &[99]),
                (&[], &[99]),
                (&[CHANNEL], &[99]),
            ] {
                let elsewhere = rules(people, roles, channels, guilds);
                let verdict = judge(&elsewhere, here(), person, &has);
                assert_eq!(verdict, Elsewhere, "{case} {channels:?} {guilds:?}");
            }
        }
        let without = judge(&rules("", &[ROLE], &[], &[]), here(), OWNER, &[]);
        assert_eq!(without, Refused, "an owner without the role");
    }

    #[test]
    fn a_thread_counts_as_its_parent() {
        let thread = |parent: Option<u64>| Place::Guild {
            guild: Id(GUILD),
            channel: Id(THREAD),
            parent: parent.map(Id),
        };
        let listed = rules("", &[], &[CHANNEL], &[]);
        assert_eq!(judge(&listed, thread(Some(CHANNEL)), 2, &[]), Granted);
        assert_eq!(judge(&listed, thread(Some(99)), 2, &[]), Elsewhere);
        assert_eq!(judge(&listed, thread(None), OWNER, &[]), Elsewhere);
        assert_eq!(
            judge(&rules("", &[], &[THREAD], &[]), thread(None), 2, &[]),
            Granted
        );
        assert!(listed.needs_parent(Id(THREAD)) && !listed.needs_parent(Id(CHANNEL)));
        assert!(!rules("", &[], &[], &[]).needs_parent(Id(THREAD)));
    }

    #[test]
    fn an_unknown_owner_lets_nobody_in() {
        let person = Person {
            id: Id(OWNER),
            roles: &[],
        };
        let nobody = BTreeSet::new();
        assert_eq!(
            rules("", &[], &[], &[]).judge(Place::Direct, person, &nobody),
            Refused
        );
        assert_eq!(
            rules("", &[], &[], &[]).judge(here(), person, &nobody),
            Refused
        );
    }

    #[test]
    fn a_stranger_is_told_once_a_day_and_a_flood_is_bounded() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        assert!(refusals.tell(Id(1), start));
        assert!(!refusals.tell(Id(1), start + HOUR));
        assert!(refusals.tell(Id(1), start + DAY));
        for hour in 30..400_u32 {
            let at = start + HOUR * hour;
            let told = (0..30)
                .filter(|n| refusals.tell(Id(u64::from(hour) * 100 + n), at))
                .count();
            assert_eq!(told, AN_HOUR);
        }
        assert!(refusals.order.len() <= REMEMBERED && refusals.told.len() <= REMEMBERED);
    }
}
