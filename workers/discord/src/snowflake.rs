//! Discord's ids. Pure.
//!
//! An id is 42 bits of milliseconds since 2015 and 22 bits that tell ids of one millisecond apart;
//! in JSON it is a string, and a number is understood too.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The first instant of 2015, milliseconds since 1970.
const EPOCH_MS: u64 = 1_420_070_400_000;

/// The id of a user, a channel, a message, …
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Id(pub(crate) u64);

impl Id {
    /// When it was made, milliseconds since 1970.
    pub(crate) fn at_ms(self) -> u64 {
        (self.0 >> 22) + EPOCH_MS
    }

    /// The smallest id of that instant.
    pub(crate) fn first_at(ms: u64) -> Id {
        Id(ms.saturating_sub(EPOCH_MS) << 22)
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
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Id, ParseIntError> {
        text.parse().map(Id)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                // The text is not quoted: it came from outside.
                text.parse().map_err(|_| E::custom("not an id"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_knows_its_time_and_is_read_in_both_forms() {
        let id: Id = "175928847299117063".parse().unwrap();
        assert_eq!(id.at_ms(), 1_462_015_105_796);
        assert_eq!(Id::first_at(id.at_ms()).at_ms(), id.at_ms());
        assert!(Id::first_at(id.at_ms()) <= id);
        assert_eq!(Id::first_at(0), Id(0));
        for json in ["175928847299117063", "\"175928847299117063\""] {
            assert_eq!(serde_json::from_str::<Id>(json).unwrap(), id);
        }
        assert_eq!(
            serde_json::to_string(&id).unwrap(),
            "\"175928847299117063\""
        );
        assert!(serde_json::from_str::<Id>("\"x\"").is_err());
    }
}
