//! Files that a turn sends to the chat.
//!
//! A file is content of the turn: it is told to the hub once it is kept there, the same content once a
//! turn, and the agent hears of it when the hub has committed that.

use std::collections::BTreeMap;

use ipc_schema::{BlobRef, Prompt, TurnEvent, TurnRef};

use super::Cx;
use super::turn::Clock;
use crate::options::Options;
use crate::tools::mcp::{Call, Said};
use crate::tools::{Does, file};

/// The files of one turn.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// By hash.
    sent: BTreeMap<String, Sent>,
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
    /// Tells of a file that the hub has, for this call. What the agent hears now; nothing: it hears
    /// of it by [`Self::kept`].
    pub fn send(
        &mut self,
        call: u64,
        file: BlobRef,
        caption: String,
        at: &TurnRef,
        clock: &mut Clock,
        cx: &mut Cx<'_>,
    ) -> Option<Said> {
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
