//! Calls of the runner's own tools, by the clients that the agent has begun.
//!
//! A call is the turn's: it ends when that is stopped, as it does when its client or the agent goes.

use std::sync::Arc;

use ipc_schema::TurnRef;
use serde_json::Value;

use super::{AcpSession, Life};
use crate::session::outgoing::{self, over};
use crate::session::{Came, Cx, Effect};
use crate::tools::file;
use crate::tools::mcp::{self, Call, Client, Heard, Said, Talk};

impl AcpSession {
    /// Another process is there to call tools.
    pub(super) fn offers(&mut self, cx: &Cx<'_>) {
        self.talk = Talk::new(Arc::clone(cx.tools));
    }

    /// A client of the agent's said something.
    pub(super) fn mcp(&mut self, launch: u64, client: Client, line: &str, cx: &mut Cx<'_>) {
        self.heard(cx);
        let heard = match serde_json::from_str::<Value>(line) {
            Ok(message) => self.talk.hear(client, &message),
            Err(_) => Heard::Answer(mcp::unreadable()),
        };
        match heard {
            Heard::Answer(message) => cx.does(Effect::Mcp {
                launch,
                client,
                message,
            }),
            Heard::Call(call) => self.call(launch, call, cx),
            Heard::Cancel(call) => cx.does(Effect::Uncall { launch, call }),
            Heard::Nothing => {}
        }
    }

    /// It is gone.
    pub(super) fn mcp_gone(&mut self, launch: u64, client: Client, cx: &mut Cx<'_>) {
        for call in self.talk.gone(client) {
            cx.does(Effect::Uncall { launch, call });
        }
    }

    fn call(&mut self, launch: u64, call: Call, cx: &mut Cx<'_>) {
        let turn = self.turn.as_ref();
        let turn = turn.filter(|turn| turn.clock.stopping().is_none());
        let most = match outgoing::most(&call, turn.map(|turn| &turn.prompt), cx.options) {
            Ok(most) => most,
            Err(said) => return self.answer_call(launch, call.id, &said, cx),
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
    pub(super) fn called(&mut self, launch: u64, call: u64, came: Came, cx: &mut Cx<'_>) {
        self.heard(cx);
        match came {
            Came::Said(said) => self.answer_call(launch, call, &said, cx),
            // Nobody waits for it any more: it is not shown either.
            Came::File { .. } if !self.talk.open().contains(&call) => {}
            Came::File { file, caption } => match &mut self.turn {
                Some(turn) => {
                    turn.outgoing.hold(call, file, caption, cx.now);
                    self.send_files(false, cx);
                }
                None => self.answer_call(launch, call, &over(), cx),
            },
        }
    }

    /// Tells of files, once the agent has told that it sends one, and with that what it said before: a
    /// call may come sooner than the text before it. `all`: it will not tell any more.
    pub(super) fn send_files(&mut self, all: bool, cx: &mut Cx<'_>) {
        let (Some(turn), Life::Live(launch, protocol)) = (&mut self.turn, &mut self.life) else {
            return;
        };
        let launch = *launch;
        let held = turn
            .outgoing
            .release(!all && !protocol.has_told_of_file(), cx.now);
        if held.is_empty() {
            return;
        }
        let at = turn.prompt.at.clone();
        let acts = protocol.file_goes(held.len());
        self.acts(acts, cx);
        for held in held {
            let call = held.call;
            let Some(turn) = &mut self.turn else { return };
            if let Some(said) = turn.outgoing.send(held, &at, &mut turn.clock, cx) {
                self.answer_call(launch, call, &said, cx);
            }
        }
    }

    /// The hub has committed what this attempt said, up to `n`.
    pub(super) fn files_kept(&mut self, at: &TurnRef, n: u64, cx: &mut Cx<'_>) {
        let Life::Live(launch, _) = self.life else {
            return;
        };
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.prompt.at == *at) else {
            return;
        };
        for call in turn.outgoing.kept(n) {
            self.answer_call(launch, call, &Said::done(file::SENT), cx);
        }
    }

    /// Ends what still runs: the turn is being stopped, or the agent is gone. An answer now would have
    /// the agent go on before it has heard of the stop.
    pub(super) fn end_calls(&self, launch: u64, cx: &mut Cx<'_>) {
        for call in self.talk.open() {
            cx.does(Effect::Uncall { launch, call });
        }
    }

    /// The turn was stopped: what the agent has not cancelled itself is answered.
    pub(super) fn answer_ended_calls(&mut self, launch: u64, cx: &mut Cx<'_>) {
        let said = Said::failed("the turn was stopped, and this call with it".into());
        for call in self.talk.open() {
            self.answer_call(launch, call, &said, cx);
        }
    }

    fn answer_call(&mut self, launch: u64, call: u64, said: &Said, cx: &mut Cx<'_>) {
        if let Some((client, message)) = self.talk.called(call, said) {
            cx.does(Effect::Mcp {
                launch,
                client,
                message,
            });
        }
    }
}
