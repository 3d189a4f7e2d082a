//! How values are written in the file: states as words, times and numbers as signed integers.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};

use crate::{ChunkState, QuestionState, TurnState};

/// A time or count as SQLite holds it. Nothing real comes near the bound, so a value past it (a
/// clock gone mad) is cut to it rather than refused.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The way back.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

macro_rules! words {
    ($state:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $state {
            /// The word that stands for it in the file.
            pub fn word(self) -> &'static str {
                match self {
                    $($state::$variant => $word,)+
                }
            }
        }

        impl ToSql for $state {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.word()))
            }
        }

        impl FromSql for $state {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_str()? {
                    $($word => Ok($state::$variant),)+
                    other => Err(FromSqlError::Other(
                        format!("{} has no state {other:?}", stringify!($state)).into(),
                    )),
                }
            }
        }
    };
}

words!(TurnState {
    Queued = "queued",
    Starting = "starting",
    Running = "running",
    Stopping = "stopping",
    Ended = "ended",
    Stopped = "stopped",
    Interrupted = "interrupted",
    Failed = "failed",
});

words!(ChunkState {
    Pending = "pending",
    Leased = "leased",
    Delivered = "delivered",
    Parked = "parked",
});

words!(QuestionState {
    Open = "open",
    Decided = "decided",
    Closed = "closed",
});
