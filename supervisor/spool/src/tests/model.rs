//! Random histories, against plain models in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use proptest::sample::select;

use super::samples::{chunk, spool};
use crate::{Chunk, ChunkState, Counts, Keep, SETTLE_MS, Spool};

const INSTANCES: [&str; 2] = ["discord-main", "weibo-main"];
const CHANNELS: [&str; 2] = ["a", "b"];

#[derive(Debug, Clone)]
enum In {
    Remember {
        instance: usize,
        event: u8,
        channel: usize,
        order: u64,
    },
    Pass {
        ms: u64,
    },
    Prune {
        rows: u64,
        age_ms: u64,
        at_most: u64,
    },
    RollBack(Vec<In>),
    Reopened,
}

fn inbound() -> impl Strategy<Value = In> {
    let plain = prop_oneof![
        8 => (0..2_usize, 0..40_u8, 0..2_usize, prop_oneof![Just(0), 1..60_u64]).prop_map(
            |(instance, event, channel, order)| In::Remember { instance, event, channel, order }
        ),
        2 => (0..2 * SETTLE_MS).prop_map(|ms| In::Pass { ms }),
        2 => (0..10_u64, select(vec![0, SETTLE_MS, 4 * SETTLE_MS, u64::MAX]), 1..6_u64)
            .prop_map(|(rows, age_ms, at_most)| In::Prune { rows, age_ms, at_most }),
    ];
    prop_oneof![
        12 => plain.clone(),
        1 => prop::collection::vec(plain, 1..4).prop_map(In::RollBack),
        1 => Just(In::Reopened),
    ]
}

/// Event, channel, order, time.
type Row = (u8, usize, u64, u64);

/// What the inbox is meant to be.
#[derive(Debug, Clone, Default)]
struct Inbox {
    /// By instance and whether they are ordered; oldest first.
    lines: BTreeMap<(usize, bool), VecDeque<Row>>,
    floors: BTreeMap<(usize, usize), u64>,
    /// All that was ever remembered with an order.
    ever: BTreeSet<(usize, u8, usize, u64)>,
    now: u64,
}

impl Inbox {
    fn knows(&self, instance: usize, event: u8) -> bool {
        [true, false].iter().any(|ordered| {
            self.lines
                .get(&(instance, *ordered))
                .is_some_and(|line| line.iter().any(|row| row.0 == event))
        })
    }

    fn floor(&self, instance: usize, channel: usize) -> u64 {
        self.floors.get(&(instance, channel)).copied().unwrap_or(0)
    }

    fn apply(&mut self, spool: &Spool, op: &In) {
        match op {
            In::Remember {
                instance,
                event,
                channel,
                order,
            } => {
                let name = format!("e{event}");
                let (i, c) = (INSTANCES[*instance], CHANNELS[*channel]);
                spool.remember(i, &name, c, *order, self.now).unwrap();
                if !self.knows(*instance, *event) {
                    let line = self.lines.entry((*instance, *order > 0)).or_default();
                    line.push_back((*event, *channel, *order, self.now));
                    if *order > 0 {
                        self.ever.insert((*instance, *event, *channel, *order));
                    }
                }
            }
            In::Pass { ms } => self.now += ms,
            In::Prune {
                rows,
                age_ms,
                at_most,
            } => {
                let keep = Keep {
                    inbox_rows: *rows,
                    inbox_age_ms: *age_ms,
                    max_rows: *at_most,
                    ..Keep::default()
                };
                let pruned = spool.prune(self.now, &keep).unwrap();
                let mut removed = 0;
                for ((instance, ordered), line) in &mut self.lines {
                    for _ in 0..*at_most {
                        let Some((_, channel, order, at)) = line.front().copied() else {
                            break;
                        };
                        let settled = self.now - at >= SETTLE_MS;
                        let surplus = line.len() as u64 > *rows;
                        let old = *ordered && self.now - at > *age_ms;
                        if !(settled && (surplus || old)) {
                            break;
                        }
                        line.pop_front();
                        removed += 1;
                        if *ordered {
                            let floor = self.floors.entry((*instance, channel)).or_default();
                            *floor = order.max(*floor);
                        }
                    }
                }
                assert_eq!(pruned.inbox, removed);
            }
            In::RollBack(ops) => {
                spool.begin().unwrap();
                let mut undone = self.clone();
                ops.iter().for_each(|op| undone.apply(spool, op));
                spool.rollback();
            }
            In::Reopened => {}
        }
    }

    fn agrees_with(&self, spool: &Spool) {
        for (i, instance) in INSTANCES.iter().enumerate() {
            for (c, channel) in CHANNELS.iter().enumerate() {
                let floor = self.floor(i, c);
                assert_eq!(spool.floor(instance, channel).unwrap(), floor);
                for event in 0..40 {
                    for order in [0, floor, floor + 1] {
                        let seen = spool
                            .seen(instance, &format!("e{event}"), channel, order)
                            .unwrap();
                        let expected = self.knows(i, event) || (order > 0 && order <= floor);
                        assert_eq!(seen, expected, "{instance} {channel} e{event} {order}");
                    }
                }
            }
        }
        // What it is all for: an ordered event, once remembered, is never taken for new.
        for (i, event, c, order) in &self.ever {
            let name = format!("e{event}");
            assert!(
                spool
                    .seen(INSTANCES[*i], &name, CHANNELS[*c], *order)
                    .unwrap()
            );
        }
    }
}

#[derive(Debug, Clone)]
enum Out {
    Add { reply: u8, address: usize },
    Lease(u8),
    Delivered(u8),
    Postpone(u8, u64),
    Park(u8),
    Requeue(u8),
    Prune { age_ms: u64 },
    Undo(Vec<Out>),
}

fn outbound() -> impl Strategy<Value = Out> {
    let plain = prop_oneof![
        5 => (0..6_u8, 0..2_usize).prop_map(|(reply, address)| Out::Add { reply, address }),
        3 => any::<u8>().prop_map(Out::Lease),
        3 => any::<u8>().prop_map(Out::Delivered),
        2 => (any::<u8>(), 1..1000_u64).prop_map(|(key, at)| Out::Postpone(key, at)),
        1 => (0..6_u8).prop_map(Out::Park),
        1 => (0..6_u8).prop_map(Out::Requeue),
        1 => (0..30_u64).prop_map(|age_ms| Out::Prune { age_ms }),
    ];
    prop_oneof![
        12 => plain.clone(),
        1 => prop::collection::vec(plain, 1..4).prop_map(Out::Undo),
    ]
}

/// What the outbox is meant to be: the chunks in order.
#[derive(Debug, Clone, Default)]
struct Outbox {
    chunks: Vec<Chunk>,
    made: u32,
    now: u64,
}

fn open(chunk: &Chunk) -> bool {
    matches!(chunk.state, ChunkState::Pending | ChunkState::Leased)
}

impl Outbox {
    /// A key out of those that were ever used.
    fn key(&self, pick: u8) -> String {
        format!("k{}", u32::from(pick) % self.made.max(1))
    }

    fn apply(&mut self, spool: &Spool, op: &Out) {
        self.now += 1;
        let now = self.now;
        match op {
            Out::Add { reply, address } => {
                let key = format!("k{}", self.made);
                self.made += 1;
                let mut added = chunk(&key, &format!("r{reply}"), CHANNELS[*address]);
                (added.created_at, added.changed_at) = (now, now);
                added.number = spool.add_chunk(&added).unwrap();
                self.chunks.push(added);
            }
            Out::Lease(pick) => {
                let key = self.key(*pick);
                let leased = spool.lease(&key, now);
                let found = self.chunks.iter_mut().find(|c| c.key == key && open(c));
                assert_eq!(leased.is_ok(), found.is_some());
                if let Some(chunk) = found {
                    chunk.state = ChunkState::Leased;
                    chunk.not_before = 0;
                    if chunk.leased_at == 0 {
                        chunk.leased_at = now;
                    }
                    chunk.changed_at = now;
                }
            }
            Out::Delivered(pick) => {
                let key = self.key(*pick);
                let changes = spool.delivered(&key, "id", now).unwrap();
                let found = self
                    .chunks
                    .iter_mut()
                    .find(|c| c.key == key && c.state != ChunkState::Delivered);
                assert_eq!(changes, found.is_some());
                if let Some(chunk) = found {
                    chunk.state = ChunkState::Delivered;
                    chunk.platform_id = "id".into();
                    chunk.not_before = 0;
                    chunk.why.clear();
                    chunk.changed_at = now;
                }
            }
            Out::Postpone(pick, at) => {
                let key = self.key(*pick);
                spool.postpone(&key, *at, "slow").unwrap();
                for chunk in self.chunks.iter_mut().filter(|c| c.key == key && open(c)) {
                    chunk.not_before = *at;
                    chunk.why = "slow".into();
                    chunk.retries += 1;
                }
            }
            Out::Park(reply) => {
                let reply = format!("r{reply}");
                let parked = spool.park_reply(&reply, "no", now).unwrap();
                let mut expected = 0;
                for chunk in &mut self.chunks {
                    if chunk.reply == reply && open(chunk) {
                        chunk.state = ChunkState::Parked;
                        chunk.why = "no".into();
                        chunk.not_before = 0;
                        chunk.changed_at = now;
                        expected += 1;
                    }
                }
                assert_eq!(parked, expected);
            }
            Out::Requeue(reply) => {
                let reply = format!("r{reply}");
                let requeued = spool.requeue(&reply, now).unwrap();
                let mut expected = 0;
                for chunk in &mut self.chunks {
                    if chunk.reply == reply && chunk.state == ChunkState::Parked {
                        chunk.state = ChunkState::Pending;
                        chunk.why.clear();
                        (chunk.leased_at, chunk.not_before, chunk.retries) = (0, 0, 0);
                        chunk.changed_at = now;
                        expected += 1;
                    }
                }
                assert_eq!(requeued, expected);
            }
            Out::Prune { age_ms } => {
                let keep = Keep {
                    history_age_ms: *age_ms,
                    ..Keep::default()
                };
                let pruned = spool.prune(now, &keep).unwrap();
                let before = self.chunks.len();
                let horizon = now.saturating_sub(*age_ms);
                self.chunks
                    .retain(|c| c.state != ChunkState::Delivered || c.changed_at >= horizon);
                assert_eq!(pruned.chunks, (before - self.chunks.len()) as u64);
            }
            Out::Undo(ops) => {
                let mut undone = self.clone();
                let result: Result<(), crate::SpoolError> = spool.scoped(|spool| {
                    ops.iter().for_each(|op| undone.apply(spool, op));
                    Err(crate::SpoolError::Undone)
                });
                result.unwrap_err();
                self.made = undone.made;
            }
        }
    }

    fn agrees_with(&self, spool: &Spool) {
        let those = |want: &dyn Fn(&Chunk) -> bool| -> Vec<Chunk> {
            let those = self.chunks.iter().filter(|c| want(c));
            those.cloned().collect()
        };
        let me = "discord-main";
        let mut heads = BTreeSet::new();
        for address in CHANNELS {
            let lane = those(&|c| open(c) && c.address == address);
            if !lane.is_empty() {
                heads.insert(address.to_owned());
            }
            assert_eq!(
                spool.lane(me, address, 2).unwrap(),
                lane[..lane.len().min(2)]
            );
            assert_eq!(spool.lane(me, address, 1000).unwrap(), lane);
        }
        assert_eq!(
            spool.lane_heads(me).unwrap(),
            heads.into_iter().collect::<Vec<_>>()
        );
        assert_eq!(
            spool.parked(1000).unwrap(),
            those(&|c| c.state == ChunkState::Parked)
        );
        let due = those(&|c| open(c) && c.not_before > 0)
            .iter()
            .map(|c| c.not_before)
            .min();
        assert_eq!(spool.next_due().unwrap(), due);
        let count = |state| those(&|c| c.state == state).len() as u64;
        let counts = Counts {
            pending_chunks: count(ChunkState::Pending),
            leased_chunks: count(ChunkState::Leased),
            parked_chunks: count(ChunkState::Parked),
            ..Counts::default()
        };
        assert_eq!(spool.waiting().unwrap(), counts);
        for n in 0..self.made {
            let key = format!("k{n}");
            let expected = those(&|c| c.key == key).pop();
            assert_eq!(spool.chunk(&key).unwrap(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_inbox_is_as_its_model(ops in prop::collection::vec(inbound(), 1..80)) {
        let temp = tempfile::tempdir().unwrap();
        // Both on the disk, where it is reopened, and in memory.
        let mut disk = Spool::open(temp.path()).unwrap();
        disk.db.pragma_update(None, "synchronous", "OFF").unwrap();
        let memory = spool();
        let mut models = [Inbox { now: 100 * SETTLE_MS, ..Inbox::default() }, Inbox::default()];
        models[1].now = models[0].now;
        for op in &ops {
            if matches!(op, In::Reopened) {
                drop(disk);
                disk = Spool::open(temp.path()).unwrap();
                disk.db.pragma_update(None, "synchronous", "OFF").unwrap();
            }
            models[0].apply(&disk, op);
            models[1].apply(&memory, op);
        }
        models[0].agrees_with(&disk);
        models[1].agrees_with(&memory);
    }

    #[test]
    fn the_outbox_is_as_its_model(ops in prop::collection::vec(outbound(), 1..80)) {
        let spool = spool();
        let mut model = Outbox::default();
        for op in &ops {
            model.apply(&spool, op);
            model.agrees_with(&spool);
        }
    }
}
