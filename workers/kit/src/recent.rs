//! A memory of ids that cannot grow.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The last `capacity` ids, the oldest forgotten first.
///
/// A first line against repeats only; what must hold across restarts is the hub's dedup.
#[derive(Debug)]
pub struct RecentIds {
    capacity: usize,
    order: VecDeque<Arc<str>>,
    known: HashSet<Arc<str>>,
}

impl RecentIds {
    /// Remembers `capacity` ids, at least one.
    pub fn new(capacity: usize) -> RecentIds {
        RecentIds {
            capacity: capacity.max(1),
            order: VecDeque::new(),
            known: HashSet::new(),
        }
    }

    /// Remembers `id`; `false` if it was known. A known id does not become younger.
    pub fn insert(&mut self, id: &str) -> bool {
        if self.known.contains(id) {
            return false;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.known.insert(id);
        true
    }

    /// Whether `id` is remembered.
    pub fn contains(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_first_and_stays_small() {
        let mut recent = RecentIds::new(3);
        for id in ["a", "b", "c"] {
            assert!(recent.insert(id));
        }
        assert!(!recent.insert("a"));
        assert!(recent.insert("d"));
        assert!(!recent.contains("a") && recent.contains("b"));
        assert!((0..1_000).all(|n| recent.insert(&n.to_string())));
        assert_eq!((recent.len(), recent.known.len()), (3, 3));
    }
}
