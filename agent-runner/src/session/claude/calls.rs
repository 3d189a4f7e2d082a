//! Calls of the runner's own tools, and the files that the agent sends.
//!
//! A file is content of the turn: it is told to the hub once it is kept there, once a turn whatever
//! crashes, and the agent hears of it when the hub has committed that.

use std::time::Duration;

use ipc_schema::{BlobRef, TurnEvent, TurnRef};

use super::turn::Sent;
use super::{ClaudeSession, Life};
use crate::session::{Came, Cx, Effect};
use crate::tools::mcp::{Call, Said};
use crate::tools::{Does, file};

/// How long a file waits for the text before it to stand in the session file.
const TEXT_FIRST: Duration = Duration::from_secs(2);

fn over() -> Said {
    Said::failed("the turn is over: nothing was sent".into())
}

impl ClaudeSession {
    /// The agent calls a tool.
    pub(super) fn call(&mut self, launch: u64, call: Call, cx: &mut Cx<'_>) {
        let mut most = 0;
        if call.does == Does::SendFile {
            let limit = self.turn.as_ref().map(|turn| turn.prompt.file_limit);
            most = match file::most(limit, cx.options.send_file_max_bytes) {
                Ok(most) => most,
                Err(why) => return self.answer_call(call.id, &Said::failed(why), cx),
            };
        }
        let session = self.name.clone();
        cx.does(Effect::Call {
            launch,
            session,
            call,
            most,
        });
    }

    /// A tool is done.
    pub(super) fn called(&mut self, call: u64, came: Came, cx: &mut Cx<'_>) {
        self.heard(cx);
        match came {
            Came::Said(said) => self.answer_call(call, &said, cx),
            Came::File { file, caption } => match &mut self.turn {
                Some(turn) => {
                    turn.files.push((call, file, caption));
                    turn.files_due.get_or_insert(cx.now + TEXT_FIRST);
                    self.send_files(cx);
                }
                None => self.answer_call(call, &over(), cx),
            },
        }
    }

    /// Tells of files, once what was said before them is told.
    pub(super) fn send_files(&mut self, cx: &mut Cx<'_>) {
        let owes = matches!(&self.life, Life::Live(_, protocol) if protocol.owes_text());
        let Some(turn) = &mut self.turn else { return };
        if turn.files_due.is_none_or(|due| owes && cx.now < due) {
            return;
        }
        turn.files_due = None;
        for (call, file, caption) in std::mem::take(&mut turn.files) {
            self.send(call, file, caption, cx);
        }
    }

    fn answer_call(&mut self, call: u64, said: &Said, cx: &mut Cx<'_>) {
        if let Life::Live(_, protocol) = &mut self.life
            && let Some(act) = protocol.called(call, said)
        {
            self.act(act, cx);
        }
    }

    /// The hub has a file that is to be shown.
    fn send(&mut self, call: u64, file: BlobRef, caption: String, cx: &mut Cx<'_>) {
        let Some(turn) = self.turn.as_mut() else {
            return self.answer_call(call, &over(), cx);
        };
        // An agent that was cut off before it heard of it does it again.
        if let Some(sent) = turn.sent.get_mut(&file.sha256) {
            match sent {
                Sent::Told(_, calls) => calls.push(call),
                Sent::Kept => self.answer_call(call, &Said::done(file::AGAIN), cx),
            }
            return;
        }
        let at = turn.prompt.at.clone();
        let sha256 = file.sha256.clone();
        turn.clock.shows_rest(&at, cx);
        match cx.keep(&at, TurnEvent::File { file, caption }) {
            Some(n) => {
                turn.sent.insert(sha256, Sent::Told(n, vec![call]));
            }
            None => self.answer_call(call, &over(), cx),
        }
    }

    /// The hub has committed what this attempt said, up to `n`.
    pub(super) fn files_kept(&mut self, at: &TurnRef, n: u64, cx: &mut Cx<'_>) {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.prompt.at == *at) else {
            return;
        };
        let mut waited = Vec::new();
        for sent in turn.sent.values_mut() {
            if let Sent::Told(told, calls) = sent
                && *told <= n
            {
                waited.append(calls);
                *sent = Sent::Kept;
            }
        }
        for call in waited {
            self.answer_call(call, &Said::done(file::SENT), cx);
        }
    }
}
