//! What an agent may print without sense or end before nothing good is to be expected of it. Pure.
//!
//! Promises: the log has a line for each row of junk, not for each line; both bounds end the agent
//! with a word on why.

use ipc_schema::TurnRef;

use super::Cx;

/// How many lines in a row may make no sense.
const LINES: u32 = 1000;
/// How much of an attempt may wait for the hub, in events; of its text there is a bound in bytes.
const HELD_EVENTS: usize = 20_000;

/// Lines in a row of which nothing could be made.
#[derive(Debug, Default)]
pub(super) struct Junk(u32);

impl Junk {
    /// A line made sense, or another process prints.
    pub(super) fn ends(&mut self) {
        self.0 = 0;
    }

    /// One more, of which `what` is wrong; its words are not logged, for they may be anybody's. Once
    /// it is one too many: why the agent is ended, with `advice` on what else it may be that speaks
    /// no `protocol`.
    pub(super) fn more(&mut self, what: &str, protocol: &str, advice: &str) -> Option<String> {
        if self.0 == 0 {
            tracing::warn!("the agent printed a line that {what}; it is passed over");
        }
        self.0 = self.0.saturating_add(1);
        (self.0 == LINES).then(|| {
            format!("it printed {LINES} lines in a row that are no {protocol}, so it was ended; {advice}")
        })
    }
}

/// Why an agent is ended that has told more of its turn than can wait for the hub.
pub(super) fn overfull(turn: Option<&TurnRef>, cx: &Cx<'_>) -> Option<String> {
    let held = turn.map_or(0, |at| cx.board.held(at));
    (held >= HELD_EVENTS).then(|| {
        format!(
            "it has told more than the {HELD_EVENTS} things that can wait for the hub, so it was ended; \
             send the message again"
        )
    })
}
