//! Snowflakes.
//!
//! Promises: real shape (42 bits of milliseconds since 2015, 5 of worker, 5 of process, 12 of count), strictly rising within one fake.
//! Does not: guess. In JSON an id is a string, as Discord sends it; a number is understood too.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Discord's epoch, the first instant of 2015, in Unix milliseconds.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// A snowflake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub u64);

impl Id {
    /// When it was made, in Unix milliseconds.
    #[must_use]
    pub fn at_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH_MS
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snowflake, as a string or a number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                text.parse()
                    .map_err(|_| E::custom(format!("`{text}` is not a snowflake")))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Makes ids.
#[derive(Debug, Default)]
pub(crate) struct Mint {
    last: u64,
}

impl Mint {
    /// The next id; `now_ms` is Unix time. Rises even when the clock does not.
    pub(crate) fn next(&mut self, now_ms: u64) -> Id {
        let now = now_ms.saturating_sub(EPOCH_MS) << 22;
        // Worker 1, process 1: those ten bits are never zero in the wild.
        let fresh = now | (1 << 17) | (1 << 12);
        self.last = if fresh > self.last {
            fresh
        } else {
            self.following()
        };
        Id(self.last)
    }

    fn following(&self) -> u64 {
        if self.last & 0xfff == 0xfff {
            // The count is full: borrow the next millisecond.
            (((self.last >> 22) + 1) << 22) | (1 << 17) | (1 << 12)
        } else {
            self.last + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Id, Mint};

    #[test]
    fn ids_rise_and_carry_their_time() {
        let mut mint = Mint::default();
        let first = mint.next(1_700_000_000_000);
        assert_eq!(first.at_ms(), 1_700_000_000_000);
        let mut last = first;
        for _ in 0..10_000 {
            let next = mint.next(1_700_000_000_000);
            assert!(next > last);
            last = next;
        }
        assert_eq!(last.at_ms(), 1_700_000_000_002);
    }

    #[test]
    fn strings_out_strings_and_numbers_in() {
        assert_eq!(serde_json::to_string(&Id(7)).unwrap(), "\"7\"");
        assert_eq!(serde_json::from_str::<Id>("\"7\"").unwrap(), Id(7));
        assert_eq!(serde_json::from_str::<Id>("7").unwrap(), Id(7));
        assert!(serde_json::from_str::<Id>("\"seven\"").is_err());
    }
}
