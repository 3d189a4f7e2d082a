//! Room for agent processes: which session may start one, which idle one makes room, who waits.
//!
//! Promises: whoever waits longest starts first; a turn that was cut off goes before those that
//! never ran; an idle process gives way before anybody is kept waiting, the one that was used least
//! recently first; one process may always run, however little memory there is. Pure: the readings
//! are passed in, and nothing here starts or ends anything.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipc_schema::TurnRef;

use crate::options::Options;

/// What a process is taken to need before its own size shows in a reading, in bytes. A fresh Claude
/// Code has 185 MB resident, a part of it shared with the others.
pub const PROCESS_BYTES: u64 = 192 << 20;
/// How long a process is young: its size does not show in a reading yet.
pub const YOUNG: Duration = Duration::from_secs(3);
/// How old a reading may be for a decision.
pub const FRESH: Duration = Duration::from_secs(1);
/// Between two looks at the memory while somebody waits for some.
pub const LOOK: Duration = Duration::from_secs(2);

/// What the operator allows; 0 = no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processes.
    pub agents: usize,
    /// Memory of all of them together, in bytes.
    pub memory: u64,
    /// Memory that must be left on the machine when another starts, in bytes.
    pub reserve: u64,
}

impl Limits {
    /// Those of a project.
    pub fn of(options: &Options) -> Limits {
        Limits {
            agents: options.max_agents,
            memory: options.agents_memory_mb.saturating_mul(1 << 20),
            reserve: options.reserve_memory_mb.saturating_mul(1 << 20),
        }
    }

    /// Whether a decision needs to know how the memory stands.
    pub fn weigh(&self) -> bool {
        self.memory > 0 || self.reserve > 0
    }
}

/// How the memory stands, in bytes; absent = could not be read, and then it bounds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Left on the machine, or in the runner's own cgroup if that is less.
    pub available: Option<u64>,
    /// What the agents and all that they started have.
    pub agents: Option<u64>,
}

/// How a session stands to its process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Berth {
    /// It has none and needs none.
    None,
    /// It has none and needs one.
    Wants {
        /// The turn that waits for it.
        at: TurnRef,
        /// The turn has had one before.
        again: bool,
    },
    /// It has one that is needed.
    Busy,
    /// It has one that nobody has used since.
    Idle(Instant),
    /// It has one that was told to go.
    Leaving,
}

/// A session with a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which.
    pub session: String,
    /// How it stands.
    pub berth: Berth,
    /// When the process was started.
    pub since: Instant,
}

/// Whether there is room for another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Free,
    /// There will be once this idle session's process is gone.
    Close(String),
    /// One is about to go.
    Soon,
    /// There is none.
    Full(Lack),
}

/// What there is not enough of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Processes.
    Agents,
    /// Memory.
    Memory,
}

/// Decides about one more process.
pub fn room(limits: &Limits, reading: &Memory, live: &[Live], now: Instant) -> Room {
    let Some(lack) = lack(limits, reading, live, now) else {
        return Room::Free;
    };
    if live.iter().any(|live| live.berth == Berth::Leaving) {
        return Room::Soon;
    }
    let idle = live.iter().filter_map(|live| match live.berth {
        Berth::Idle(since) => Some((since, &live.session)),
        _ => None,
    });
    match idle.min() {
        Some((_, session)) => Room::Close(session.clone()),
        None => Room::Full(lack),
    }
}

fn lack(limits: &Limits, reading: &Memory, live: &[Live], now: Instant) -> Option<Lack> {
    if live.is_empty() {
        return None;
    }
    if limits.agents > 0 && live.len() >= limits.agents {
        return Some(Lack::Agents);
    }
    let young = live.iter().filter(|live| now < live.since + YOUNG).count() as u64;
    let coming = young.saturating_mul(PROCESS_BYTES);
    let over = |agents: u64| {
        let next = agents.saturating_add(coming).saturating_add(PROCESS_BYTES);
        limits.memory > 0 && next > limits.memory
    };
    let short =
        |available: u64| limits.reserve > 0 && available < limits.reserve.saturating_add(coming);
    (reading.agents.is_some_and(over) || reading.available.is_some_and(short))
        .then_some(Lack::Memory)
}

/// One that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The session.
    pub session: String,
    /// The turn.
    pub at: TurnRef,
    /// Whether it was told.
    pub told: bool,
}

/// The sessions that wait for a process, in order.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
}

impl Queue {
    /// Takes note of who wants a process now: whoever wants none any more is out, whoever is new is
    /// last, but for a turn that had one before.
    pub fn note(&mut self, wants: &[(String, TurnRef, bool)]) {
        let same = |waiting: &Waiting, (session, at, _): &(String, TurnRef, bool)| {
            waiting.session == *session && waiting.at == *at
        };
        self.waiting
            .retain(|waiting| wants.iter().any(|wants| same(waiting, wants)));
        for wants in wants {
            if self.waiting.iter().any(|waiting| same(waiting, wants)) {
                continue;
            }
            let (session, at, again) = wants.clone();
            let told = false;
            let waiting = Waiting { session, at, told };
            match again {
                true => self.waiting.push_front(waiting),
                false => self.waiting.push_back(waiting),
            }
        }
    }

    /// Who is next.
    pub fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// The first has what it waited for.
    pub fn served(&mut self) {
        self.waiting.pop_front();
    }

    /// Those that were not told yet, with how many are before each; they count as told.
    pub fn tell(&mut self) -> Vec<(TurnRef, u64)> {
        let mut told = Vec::new();
        for (ahead, waiting) in (0..).zip(&mut self.waiting) {
            if !std::mem::replace(&mut waiting.told, true) {
                told.push((waiting.at.clone(), ahead));
            }
        }
        told
    }

    /// Whether anybody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn live(session: &str, berth: Berth, since: Instant) -> Live {
        Live {
            session: session.into(),
            berth,
            since,
        }
    }

    fn at(turn: &str) -> TurnRef {
        TurnRef {
            turn: turn.into(),
            attempt: 1,
        }
    }

    fn agents(agents: usize) -> Limits {
        Limits {
            agents,
            ..Limits::default()
        }
    }

    #[test]
    fn the_least_recently_used_idle_process_gives_way_and_a_busy_one_never() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let all = [
            live("a", Berth::Busy, now),
            live("b", Berth::Idle(now + Duration::from_secs(2)), now),
            live("c", Berth::Idle(now + Duration::from_secs(1)), now),
        ];
        let none = Memory::default();
        assert_eq!(room(&agents(4), &none, &all, later), Room::Free);
        assert_eq!(
            room(&agents(3), &none, &all, later),
            Room::Close("c".into())
        );
        assert_eq!(
            room(&agents(1), &none, &all[..1], later),
            Room::Full(Lack::Agents)
        );
        let leaving = [all[0].clone(), live("c", Berth::Leaving, now)];
        assert_eq!(room(&agents(2), &none, &leaving, later), Room::Soon);
    }

    #[test]
    fn memory_bounds_as_well_but_one_process_may_always_run() {
        let now = Instant::now();
        let grown = now + YOUNG;
        let busy = [live("a", Berth::Busy, now)];
        let reading = Memory {
            available: Some(500 * MIB),
            agents: Some(300 * MIB),
        };
        let reserve = |mib| Limits {
            reserve: mib * MIB,
            ..Limits::default()
        };
        let memory = |mib| Limits {
            memory: mib * MIB,
            ..Limits::default()
        };
        let full = Room::Full(Lack::Memory);
        assert_eq!(room(&reserve(500), &reading, &busy, grown), Room::Free);
        assert_eq!(room(&reserve(501), &reading, &busy, grown), full);
        assert_eq!(room(&reserve(500), &reading, &busy, now), full, "it grows");
        assert_eq!(room(&memory(492), &reading, &busy, grown), Room::Free);
        assert_eq!(room(&memory(491), &reading, &busy, grown), full);
        assert_eq!(room(&memory(1), &reading, &[], now), Room::Free);
        assert_eq!(
            room(&reserve(501), &Memory::default(), &busy, grown),
            Room::Free
        );
    }

    #[test]
    fn who_waits_longest_is_first_and_a_turn_that_was_cut_off_before_them() {
        let mut queue = Queue::default();
        let wants = |session: &str, turn: &str, again| (session.to_owned(), at(turn), again);
        queue.note(&[wants("b", "1", false)]);
        queue.note(&[wants("a", "2", false), wants("b", "1", false)]);
        assert_eq!(queue.tell(), [(at("1"), 0), (at("2"), 1)]);
        assert_eq!(queue.tell(), []);
        let all = [
            wants("a", "2", false),
            wants("b", "1", false),
            wants("c", "3", true),
        ];
        queue.note(&all);
        assert_eq!(queue.first().unwrap().session, "c");
        queue.served();
        assert_eq!(queue.first().unwrap().session, "b");
        queue.note(&[wants("a", "2", false)]);
        assert_eq!((queue.len(), queue.first().unwrap().told), (1, true));
        // Another turn of the same session has not waited yet.
        queue.note(&[wants("a", "4", false)]);
        assert_eq!(queue.tell(), [(at("4"), 0)]);
    }
}
