//! Files that a turn sends to the chat.
//!
//! A file is content of the turn: it is told to the hub once it is kept there and the text before it was
//! told, the same content once a turn, and the agent hears of it when the hub has committed that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipc_schema::{BlobRef, Prompt, TurnEvent, TurnRef};

use super::Cx;
use super::turn::Clock;
use crate::options::Options;
use crate::tools::mcp::{Call, Said};
use crate::tools::{Does, file};

/// How long a file waits for the text before it: calls and texts come by ways of their own.
const TEXT_FIRST: Duration = Duration::from_secs(2);

/// The files of one turn.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Those that wait for the text before them.
    held: Vec<Held>,
    /// When they wait no longer.
    due: Option<Instant>,
    /// By hash.
    sent: BTreeMap<String, Sent>,
}

/// A file that the hub has, for a call.
#[derive(Debug)]
pub struct Held {
    /// The call.
    pub call: u64,
    /// The file.
    pub file: BlobRef,
    /// A word with it.
    pub caption: String,
}

/// How a file stands.
#[derive(Debug)]
enum Sent {
    /// Told to the hub by this number; these calls wait for its commit.
    Told(u64, Vec<u64>),
    /// Committed.
    Kept,
}

/// What the agent hears of a file that comes too late.
pub fn over() -> Said {
    Said::failed("the turn is over: nothing was sent".into())
}

/// The largest file that this call may send, bytes; 0 for one that sends none. `prompt`: that of the
/// turn that runs.
///
/// # Errors
/// What the agent hears instead.
pub fn most(call: &Call, prompt: Option<&Prompt>, options: &Options) -> Result<u64, Said> {
    if call.does != Does::SendFile {
        return Ok(0);
    }
    let limit = prompt.map(|prompt| prompt.file_limit);
    file::most(limit, options.send_file_max_bytes).map_err(Said::failed)
}

impl Outgoing {
    /// The hub has a file: it is held until [`Self::release`] gives it out.
    pub fn hold(&mut self, call: u64, file: BlobRef, caption: String, now: Instant) {
        self.held.push(Held {
            call,
            file,
            caption,
        });
        self.due.get_or_insert(now + TEXT_FIRST);
    }

    /// When [`Self::release`] gives files out whatever was told.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be told now. `owed` = the text before may not be told yet.
    pub fn release(&mut self, owed: bool, now: Instant) -> Vec<Held> {
        if self.due.is_none_or(|due| owed && now < due) {
            return Vec::new();
        }
        self.due = None;
        std::mem::take(&mut self.held)
    }

    /// Tells of a file. What the agent hears now; nothing: it hears of it by [`Self::kept`].
    pub fn send(
        &mut self,
        held: Held,
        at: &TurnRef,
        clock: &mut Clock,
        cx: &mut Cx<'_>,
    ) -> Option<Said> {
        let Held {
            call,
            file,
            caption,
        } = held;
        // An agent that was cut off before it heard of it does it again.
        if let Some(sent) = self.sent.get_mut(&file.sha256) {
            return match sent {
                Sent::Told(_, calls) => {
                    calls.push(call);
                    None
                }
                Sent::Kept => Some(Said::done(file::AGAIN)),
            };
        }
        let sha256 = file.sha256.clone();
        clock.shows_rest(at, cx);
        let Some(n) = cx.keep(at, TurnEvent::File { file, caption }) else {
            return Some(over());
        };
        self.sent.insert(sha256, Sent::Told(n, vec![call]));
        None
    }

    /// The hub has committed what was told, up to `n`: the calls that hear now that their file is
    /// sent.
    pub fn kept(&mut self, n: u64) -> Vec<u64> {
        let mut waited = Vec::new();
        for sent in self.sent.values_mut() {
            if let Sent::Told(told, calls) = sent
                && *told <= n
            {
                waited.append(calls);
                *sent = Sent::Kept;
            }
        }
        waited
    }
}
