//! Values that the hub keeps for a worker. Pure.
//!
//! One put a name is under way; later ones replace each other behind it, so a value that changes
//! with every message costs one commit at a time.

use std::collections::BTreeMap;

use ipc_schema::{Body, Cursor, CursorPut};

const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 64 * 1024;
const MOST_NAMES: usize = 64;

/// Why a value cannot be kept. The worker's own fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCursor {
    /// The name is empty or over 64 bytes.
    #[error("a cursor's name has 1 to {LONGEST_NAME} bytes")]
    Name,
    /// The value is over 64 KiB.
    #[error("a cursor's value has at most {LONGEST_VALUE} bytes")]
    Value,
    /// There are 64 names already.
    #[error("a worker keeps at most {MOST_NAMES} cursors")]
    TooMany,
    /// The hub would not have it.
    #[error("the hub would not keep it: {0}")]
    Unusable(String),
}

#[derive(Debug, Clone)]
struct Put {
    number: u64,
    value: Vec<u8>,
}

#[derive(Debug, Default)]
struct Name {
    kept: Option<Vec<u8>>,
    /// Every put up to this number is committed, or replaced by a committed one.
    kept_number: u64,
    under_way: Option<Put>,
    newest: Option<Put>,
    /// The last put that the hub would not have, and why.
    refused: Option<(u64, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Cursors {
    names: BTreeMap<String, Name>,
    last: u64,
}

impl Cursors {
    /// Takes a value: its number, and what to send now.
    pub(super) fn put(
        &mut self,
        name: &str,
        value: Vec<u8>,
    ) -> Result<(u64, Option<Body>), BadCursor> {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(BadCursor::Name);
        }
        if value.len() > LONGEST_VALUE {
            return Err(BadCursor::Value);
        }
        if !self.names.contains_key(name) && self.names.len() >= MOST_NAMES {
            return Err(BadCursor::TooMany);
        }
        self.last += 1;
        let cursor = self.names.entry(name.into()).or_default();
        cursor.newest = Some(Put {
            number: self.last,
            value,
        });
        let send = if cursor.under_way.is_none() {
            cursor.send(name)
        } else {
            None
        };
        Ok((self.last, send))
    }

    /// The hub has committed a put; what to send next.
    pub(super) fn kept(&mut self, name: &str, number: u64) -> Option<Body> {
        let cursor = self.names.get_mut(name)?;
        let put = cursor.under_way.take_if(|put| put.number == number)?;
        cursor.kept_number = number;
        cursor.kept = Some(put.value);
        cursor.send(name)
    }

    /// A new link: what the hub has, and everything that it has not.
    pub(super) fn up(&mut self, committed: Vec<Cursor>) -> Vec<Body> {
        for Cursor { name, value } in committed {
            if self.names.len() < MOST_NAMES || self.names.contains_key(&name) {
                self.names.entry(name).or_default().kept = Some(value);
            }
        }
        self.names
            .iter_mut()
            .filter_map(|(name, cursor)| {
                let old = cursor.under_way.take();
                cursor.newest = cursor.newest.take().or(old);
                cursor.send(name)
            })
            .collect()
    }

    /// The hub would not have a put; what to send next.
    pub(super) fn refused(&mut self, name: &str, number: u64, why: &str) -> Option<Body> {
        let cursor = self.names.get_mut(name)?;
        cursor.under_way.take_if(|put| put.number == number)?;
        cursor.refused = Some((number, why.into()));
        cursor.send(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.names.get(name)?.kept.as_deref()
    }

    /// How a put ended; `None` while it has not.
    pub(super) fn outcome(&self, name: &str, number: u64) -> Option<Result<(), BadCursor>> {
        let cursor = self.names.get(name)?;
        if cursor.kept_number >= number {
            return Some(Ok(()));
        }
        match &cursor.refused {
            Some((refused, why)) if *refused >= number => {
                Some(Err(BadCursor::Unusable(why.clone())))
            }
            _ => None,
        }
    }

    pub(super) fn unkept(&self) -> usize {
        self.names
            .values()
            .filter(|c| c.under_way.is_some() || c.newest.is_some())
            .count()
    }
}

impl Name {
    fn send(&mut self, name: &str) -> Option<Body> {
        let put = self.newest.take()?;
        self.under_way = Some(put.clone());
        Some(Body::CursorPut(CursorPut {
            name: name.into(),
            number: put.number,
            value: put.value,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(body: Option<Body>) -> Option<(u64, u8)> {
        match body? {
            Body::CursorPut(put) => Some((put.number, put.value[0])),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_put_is_under_way_and_the_newest_follows() {
        let mut cursors = Cursors::default();
        let (first, send) = cursors.put("w", vec![1]).unwrap();
        assert_eq!(sent(send), Some((first, 1)));
        let (second, send) = cursors.put("w", vec![2]).unwrap();
        assert_eq!(sent(send), None);
        let (third, _) = cursors.put("w", vec![3]).unwrap();
        assert_eq!(cursors.outcome("w", first), None);
        assert_eq!(sent(cursors.kept("w", first)), Some((third, 3)));
        assert_eq!(cursors.outcome("w", first), Some(Ok(())));
        assert_eq!(cursors.outcome("w", second), None);
        assert_eq!(cursors.get("w"), Some(&[1][..]));
        assert_eq!(
            sent(cursors.kept("w", second)),
            None,
            "never sent, so never kept"
        );
        assert_eq!(sent(cursors.kept("w", third)), None);
        assert_eq!(cursors.outcome("w", second), Some(Ok(())));
        assert_eq!((cursors.get("w"), cursors.unkept()), (Some(&[3][..]), 0));
    }

    #[test]
    fn a_new_link_gets_the_newest_of_what_is_not_kept() {
        let mut cursors = Cursors::default();
        let committed = vec![Cursor {
            name: "a".into(),
            value: vec![9],
        }];
        assert!(cursors.up(committed).is_empty());
        assert_eq!(cursors.get("a"), Some(&[9][..]));
        cursors.put("a", vec![1]).unwrap();
        let (second, _) = cursors.put("a", vec![2]).unwrap();
        cursors.put("b", vec![5]).unwrap();
        let again: Vec<_> = cursors
            .up(Vec::new())
            .into_iter()
            .map(|b| sent(Some(b)))
            .collect();
        assert_eq!(again, [Some((second, 2)), Some((3, 5))]);
    }

    #[test]
    fn a_refused_put_is_told_and_does_not_stop_the_next() {
        let mut cursors = Cursors::default();
        let (first, _) = cursors.put("w", vec![1]).unwrap();
        let (second, _) = cursors.put("w", vec![2]).unwrap();
        assert_eq!(sent(cursors.refused("w", first, "no")), Some((second, 2)));
        assert!(matches!(
            cursors.outcome("w", first),
            Some(Err(BadCursor::Unusable(_)))
        ));
        assert_eq!(cursors.outcome("w", second), None);
        cursors.kept("w", second);
        assert_eq!(cursors.outcome("w", second), Some(Ok(())));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.put("", vec![]).unwrap_err(), BadCursor::Name);
        assert_eq!(
            cursors.put(&"x".repeat(65), vec![]).unwrap_err(),
            BadCursor::Name
        );
        assert_eq!(
            cursors.put("x", vec![0; LONGEST_VALUE + 1]).unwrap_err(),
            BadCursor::Value
        );
        (0..MOST_NAMES).for_each(|n| drop(cursors.put(&n.to_string(), vec![]).unwrap()));
        assert_eq!(cursors.put("x", vec![]).unwrap_err(), BadCursor::TooMany);
    }
}
