//! Who may talk to the agent, and how often others are told that they may not. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
/// Refusals that are told within an hour.
const AN_HOUR: usize = 20;
/// People who are remembered to have been told.
const REMEMBERED: usize = 4096;

/// The allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Allow {
    /// No list: the account's owner alone.
    Owner,
    /// `"*"`.
    Everyone,
    /// These.
    Only(HashSet<String>),
}

impl Allow {
    /// From the option: ids in a list, or in one text with commas between them.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Allow {
        let ids: HashSet<String> = texts
            .into_iter()
            .flat_map(|text| text.split([',', '，']))
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty())
            .collect();
        match ids {
            ids if ids.contains("*") => Allow::Everyone,
            ids if ids.is_empty() => Allow::Owner,
            ids => Allow::Only(ids),
        }
    }

    /// Whether `uid` may. `owner` is as the token endpoint says; unknown, it lets nobody in.
    pub(crate) fn allows(&self, uid: &str, owner: Option<&str>) -> bool {
        match self {
            Allow::Owner => owner == Some(uid),
            Allow::Everyone => true,
            Allow::Only(ids) => ids.contains(uid),
        }
    }
}

/// Who was told of a refusal, so that strangers can neither flood the hub nor the memory: once a
/// person a day, 20 an hour.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    told: HashMap<String, Instant>,
    order: VecDeque<String>,
    lately: VecDeque<Instant>,
}

impl Refusals {
    /// Whether to tell `uid` now; if so, it counts as told.
    pub(crate) fn tell(&mut self, uid: &str, now: Instant) -> bool {
        while self
            .lately
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= HOUR)
        {
            self.lately.pop_front();
        }
        let told = self
            .told
            .get(uid)
            .is_some_and(|at| now.saturating_duration_since(*at) < DAY);
        if told || self.lately.len() >= AN_HOUR {
            return false;
        }
        self.lately.push_back(now);
        if self.told.insert(uid.to_owned(), now).is_none() {
            self.order.push_back(uid.to_owned());
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
    use super::*;

    #[test]
    fn the_truth_table_of_access() {
        let owner = Some("1");
        for (list, uid, owner, expected) in [
            ("", "1", owner, true),
            ("", "2", owner, false),
            ("", "1", None, false),
            (" , ", "2", owner, false),
            ("*", "2", None, true),
            ("2", "2", owner, true),
            ("2", "1", owner, false),
            ("2, 3，4", "4", owner, true),
            ("2,*", "9", owner, true),
            ("22", "2", owner, false),
        ] {
            assert_eq!(
                Allow::parse([list]).allows(uid, owner),
                expected,
                "{list:?} {uid} {owner:?}"
            );
        }
        assert_eq!(Allow::parse([]), Allow::Owner);
        assert!(Allow::parse(["2", "3"]).allows("3", owner));
    }

    #[test]
    fn a_stranger_is_told_once_a_day() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        assert!(refusals.tell("a", start));
        assert!(!refusals.tell("a", start + HOUR));
        assert!(refusals.tell("b", start));
        assert!(refusals.tell("a", start + DAY));
        assert!(!refusals.tell("a", start + DAY + HOUR));
    }

    #[test]
    fn a_flood_is_told_twenty_times_an_hour_and_memory_stays_small() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        let told = (0..1000)
            .filter(|n| refusals.tell(&n.to_string(), start))
            .count();
        assert_eq!(told, AN_HOUR);
        for hour in 1..400_u32 {
            let told =
                (0..30).filter(|n| refusals.tell(&format!("{hour}-{n}"), start + HOUR * hour));
            assert_eq!(told.count(), AN_HOUR);
        }
        assert!(refusals.order.len() <= REMEMBERED && refusals.told.len() <= REMEMBERED);
    }
}
