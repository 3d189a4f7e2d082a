//! Calls of the runner's own tools, and the files that the agent sends.

use ipc_schema::TurnRef;

use super::{ClaudeSession, Life};
use crate::session::outgoing::{self, over};
use crate::session::{Came, Cx, Effect};
use crate::tools::file;
use crate::tools::mcp::{Call, Said};

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
                    turn.outgoing.hold(call, file, caption, cx.now);
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
        let at = turn.prompt.at.clone();
        for held in turn.outgoing.release(owes, cx.now) {
            let call = held.call;
            let Some(turn) = &mut self.turn else { return };
            if let Some(said) = turn.outgoing.send(held, &at, &mut turn.clock, cx) {
                self.answer_call(call, &said, cx);
            }
        }
    }

    fn answer_call(&mut self, call: u64, said: &Said, cx: &mut Cx<'_>) {
        if let Life::Live(_, protocol) = &mut self.life
            && let Some(act) = protocol.called(call, said)
        {
            self.act(act, cx);
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
