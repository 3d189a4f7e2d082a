//! What the hub asked to have posted, until it has kept the result. Pure.

use std::collections::{BTreeMap, HashMap};

use ipc_schema::{Body, Delivered, DeliveryFailed, Failure};

use crate::RecentIds;

/// Posted chunks that are remembered although the hub has kept them: on a new link its word that it
/// has kept one may overtake its order to post the same one.
const POSTED: usize = 1024;

/// The most chunks that are known at a time. A hub that asks for more is told to come back.
pub(super) const MOST: usize = 1024;
/// When to come back.
const LATER_MS: u64 = 5_000;

#[derive(Debug)]
enum Known {
    InFlight { trace: String },
    Result { number: u64 },
}

/// What to do with a chunk that the hub handed out.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "looked at where it is made")]
pub(super) enum Handed {
    /// Post it.
    Post,
    /// It is being posted.
    Nothing,
    /// Answer with this.
    Answer(Body, String),
}

#[derive(Debug)]
pub(super) struct Deliveries {
    known: HashMap<String, Known>,
    /// Results that the hub has not kept, in the order in which they came about.
    results: BTreeMap<u64, (Body, String)>,
    posted: RecentIds,
    last: u64,
}

impl Default for Deliveries {
    fn default() -> Deliveries {
        Deliveries {
            known: HashMap::new(),
            results: BTreeMap::new(),
            posted: RecentIds::new(POSTED),
            last: 0,
        }
    }
}

impl Deliveries {
    pub(super) fn handed(&mut self, key: &str, trace: &str) -> Handed {
        match self.known.get(key) {
            Some(Known::InFlight { .. }) => Handed::Nothing,
            Some(Known::Result { number }) => match self.results.get(number) {
                Some((body, trace)) => Handed::Answer(body.clone(), trace.clone()),
                None => Handed::Nothing,
            },
            None if self.posted.contains(key) => {
                let delivered = Delivered {
                    key: key.into(),
                    ..Delivered::default()
                };
                Handed::Answer(Body::Delivered(delivered), trace.into())
            }
            None if self.known.len() >= MOST => {
                let why = format!("the worker has {MOST} chunks in hand already");
                let failed = DeliveryFailed {
                    key: key.into(),
                    failure: Failure::Retry(LATER_MS),
                    why,
                };
                Handed::Answer(Body::DeliveryFailed(failed), trace.into())
            }
            None => {
                self.known.insert(
                    key.into(),
                    Known::InFlight {
                        trace: trace.into(),
                    },
                );
                Handed::Post
            }
        }
    }

    /// It is posted; what to tell the hub. `None` if the key is not in flight.
    pub(super) fn delivered(&mut self, delivered: Delivered) -> Option<(Body, String)> {
        let key = delivered.key.clone();
        self.result(&key, Body::Delivered(delivered))
    }

    /// It is not.
    pub(super) fn failed(
        &mut self,
        key: &str,
        failure: Failure,
        why: &str,
    ) -> Option<(Body, String)> {
        let failed = DeliveryFailed {
            key: key.into(),
            failure,
            why: why.into(),
        };
        self.result(key, Body::DeliveryFailed(failed))
    }

    fn result(&mut self, key: &str, body: Body) -> Option<(Body, String)> {
        let known = self.known.get_mut(key)?;
        let Known::InFlight { trace } = known else {
            return None;
        };
        let trace = std::mem::take(trace);
        self.last += 1;
        *known = Known::Result { number: self.last };
        self.results
            .insert(self.last, (body.clone(), trace.clone()));
        Some((body, trace))
    }

    /// The hub has committed the result.
    pub(super) fn kept(&mut self, key: &str) -> bool {
        let Some(Known::Result { number }) = self.known.get(key) else {
            return false;
        };
        if let Some((Body::Delivered(_), _)) = self.results.remove(number) {
            self.posted.insert(key);
        }
        self.known.remove(key);
        true
    }

    /// Everything that the hub has not kept, for a new link.
    pub(super) fn all(&self) -> impl Iterator<Item = (Body, String)> + '_ {
        self.results.values().cloned()
    }

    pub(super) fn unkept(&self) -> usize {
        self.results.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.known.len() - self.results.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(key: &str) -> Delivered {
        Delivered {
            key: key.into(),
            platform_id: "42".into(),
            ..Delivered::default()
        }
    }

    #[test]
    fn a_key_is_posted_once_and_its_result_told_until_it_is_kept() {
        let mut deliveries = Deliveries::default();
        assert_eq!(deliveries.handed("k", "t"), Handed::Post);
        assert_eq!(deliveries.handed("k", "t"), Handed::Nothing);
        assert_eq!(deliveries.all().count(), 0);
        let (body, trace) = deliveries.delivered(posted("k")).unwrap();
        assert_eq!(trace, "t");
        assert_eq!(
            deliveries.failed("k", Failure::Permanent, ""),
            None,
            "it has its result"
        );
        assert_eq!(
            deliveries.handed("k", "again"),
            Handed::Answer(body, "t".into())
        );
        assert_eq!(deliveries.all().count(), 1);
        assert!(deliveries.kept("k") && !deliveries.kept("k"));
        assert_eq!((deliveries.unkept(), deliveries.in_flight()), (0, 0));
        assert!(
            matches!(
                deliveries.handed("k", "t"),
                Handed::Answer(Body::Delivered(_), _)
            ),
            "what is posted is not posted again, whichever word came first"
        );
    }

    #[test]
    fn kept_does_not_forget_what_is_in_flight() {
        let mut deliveries = Deliveries::default();
        deliveries.handed("k", "");
        assert!(!deliveries.kept("k"));
        assert_eq!(deliveries.handed("k", ""), Handed::Nothing);
    }

    #[test]
    fn too_many_are_told_to_come_back() {
        let mut deliveries = Deliveries::default();
        (0..MOST).for_each(|n| assert_eq!(deliveries.handed(&n.to_string(), ""), Handed::Post));
        let Handed::Answer(Body::DeliveryFailed(failed), _) = deliveries.handed("more", "") else {
            panic!("taken");
        };
        assert_eq!(failed.failure, Failure::Retry(LATER_MS));
        deliveries.delivered(posted("0"));
        deliveries.kept("0");
        assert_eq!(deliveries.handed("more", ""), Handed::Post);
    }
}
