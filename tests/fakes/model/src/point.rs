//! The places of a turn where it can be held.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in a turn where it can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// The agent has read the prompt and written nothing of it to its session file. (Agent only.)
    Received,
    /// The prompt is in the session file; the model has not been asked. (Agent only.)
    Persisted,
    /// The model has been asked and has said nothing.
    BeforeFirstDelta,
    /// The first delta of the turn is out.
    FirstDelta,
    /// A tool has had its effect and not come back. (Agent only.)
    Tool,
    /// Everything is said but the end.
    BeforeResult,
    /// The answer is in the session file; its result is not out. (Agent only.)
    Saved,
    /// The result is out. (Agent only.)
    AfterResult,
}

impl Point {
    /// All of them, in the order of a turn.
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::Persisted,
        Self::BeforeFirstDelta,
        Self::FirstDelta,
        Self::Tool,
        Self::BeforeResult,
        Self::Saved,
        Self::AfterResult,
    ];

    /// Its name in a directive.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Persisted => "persisted",
            Self::BeforeFirstDelta => "before-first-delta",
            Self::FirstDelta => "first-delta",
            Self::Tool => "tool",
            Self::BeforeResult => "before-result",
            Self::Saved => "saved",
            Self::AfterResult => "after-result",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|point| point.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|point| point.name()).collect();
            format!("there is no point `{name}`; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_known_by_its_name() {
        for point in Point::ALL {
            assert_eq!(point.name().parse(), Ok(point));
            assert_eq!(serde_json::to_value(point).expect("a name"), point.name());
        }
    }
}
