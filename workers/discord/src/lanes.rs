//! Turns by key: what shares a key goes one after another in the order in which it came, what does
//! not goes side by side. Pure but for the waiting.
//!
//! A place is taken at once, without waiting; whoever holds it waits for those before it and has
//! its turn until it lets go of the place. A key that nobody holds takes no memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::bot::lock;

/// The last of each key's line: its number, and what tells when it is gone.
type Tails<K> = HashMap<K, (u64, oneshot::Receiver<()>)>;

#[derive(Debug)]
struct Lines<K> {
    last: u64,
    tails: Tails<K>,
}

/// Lines by key. Clones share them.
#[derive(Debug)]
pub(crate) struct Lanes<K: Eq + Hash>(Arc<Mutex<Lines<K>>>);

impl<K: Eq + Hash> Clone for Lanes<K> {
    fn clone(&self) -> Lanes<K> {
        Lanes(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> Default for Lanes<K> {
    fn default() -> Lanes<K> {
        let lines = Lines {
            last: 0,
            tails: HashMap::new(),
        };
        Lanes(Arc::new(Mutex::new(lines)))
    }
}

impl<K: Eq + Hash + Clone> Lanes<K> {
    /// A place at the end of the key's line.
    pub(crate) fn queue(&self, key: K) -> Place<K> {
        let (gone, tail) = oneshot::channel();
        let mut lines = lock(&self.0);
        lines.last += 1;
        let number = lines.last;
        let before = lines.tails.insert(key.clone(), (number, tail));
        Place {
            lanes: self.clone(),
            key,
            number,
            before: before.map(|(_, tail)| tail),
            _gone: gone,
        }
    }
}

/// A place in a line. Dropping it, waited for or not, lets the next one go on.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    lanes: Lanes<K>,
    key: K,
    number: u64,
    before: Option<oneshot::Receiver<()>>,
    /// Its end is what the next one waits for.
    _gone: oneshot::Sender<()>,
}

impl<K: Eq + Hash> Place<K> {
    /// Returns when everybody before has gone.
    pub(crate) async fn turn(&mut self) {
        if let Some(before) = &mut self.before {
            // It never says anything: its end is the sign.
            let _ = before.await;
        }
        self.before = None;
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut lines = lock(&self.lanes.0);
        let last = |(number, _): &(u64, oneshot::Receiver<()>)| *number == self.number;
        if lines.tails.get(&self.key).is_some_and(last) {
            lines.tails.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn may_go(place: &mut Place<u64>) -> bool {
        place.turn().now_or_never().is_some()
    }

    #[test]
    fn a_key_goes_in_order_and_others_do_not_wait() {
        let lanes = Lanes::default();
        let mut first = lanes.queue(1);
        let mut second = lanes.queue(1);
        let mut third = lanes.queue(1);
        assert!(may_go(&mut first) && !may_go(&mut second) && !may_go(&mut third));
        assert!(may_go(&mut lanes.queue(2)));
        drop(first);
        assert!(may_go(&mut second) && !may_go(&mut third));
        drop(second);
        assert!(may_go(&mut third));
    }

    #[test]
    fn nothing_is_kept_of_a_line_that_is_over() {
        let lanes = Lanes::default();
        let places: Vec<_> = (0..100).map(|n| lanes.queue(n % 3)).collect();
        drop(places);
        assert!(lock(&lanes.0).tails.is_empty());
    }
}
