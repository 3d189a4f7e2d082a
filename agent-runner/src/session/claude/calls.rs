//! Calls of the runner's own tools, and the files that the agent sends.

use std::time::Duration;

use ipc_schema::{BlobRef, TurnRef};

use super::{ClaudeSession, Life};
use crate::session::outgoing::{self, over};
use crate::session::{Came, Cx, Effect};
use crate::tools::file;
use crate::tools::mcp::{Call, Said};

/// How long a file waits for the text before it to stand in the session file.
const TEXT_FIRST: Duration = Duration::from_secs(2);

impl ClaudeSession {
    /// The agent calls a tool.
    pub(super) fn call(&mut self, launch: u64, call: Call, cx: &mut Cx<'_>) {
        let prompt = self.turn.as_ref().map(|turn| &turn.prompt);
        let most = match outgoing::most(&call, prompt, cx.options) {
            Ok(most) => most,
            Err(said) => return self.answer_call(call.id, &said, cx),
        };
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
        let at = turn.prompt.at.clone();
        let said = turn
            .outgoing
            .send(call, file, caption, &at, &mut turn.clock, cx);
        if let Some(said) = said {
            self.answer_call(call, &said, cx);
        }
    }

    /// The hub has committed what this attempt said, up to `n`.
    pub(super) fn files_kept(&mut self, at: &TurnRef, n: u64, cx: &mut Cx<'_>) {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.prompt.at == *at) else {
            return;
        };
        for call in turn.outgoing.kept(n) {
            self.answer_call(call, &Said::done(file::SENT), cx);
        }
    }
}
