//! From a prompt to an agent that has it, and what becomes of the turn when the agent dies.

use agent_client_protocol_schema::v1::{McpServer, McpServerStdio};
use ipc_schema::{Fault, Outcome, Prompt, TurnEvent};

use super::turn::{Stage, Turn};
use super::{AcpSession, Life, MARK, RESTARTS};
use crate::acp::protocol::{Beginning, Protocol, Wanted};
use crate::claude::fault;
use crate::session::{Cx, Effect, Exit, Prepared, Session as _, What};
use crate::tools::{SERVER, bridge};

impl AcpSession {
    /// Takes up the next prompt, if nothing runs.
    pub(super) fn next(&mut self, cx: &mut Cx<'_>) {
        while self.turn.is_none()
            && let Some((prompt, images)) = self.waiting.pop_front()
        {
            if prompt.agent_session != self.given {
                self.given.clone_from(&prompt.agent_session);
                let given = prompt.agent_session.strip_prefix(MARK);
                if given != self.conversation.as_deref() {
                    // Another conversation under the same name: not this process's.
                    self.conversation = given.map(str::to_owned);
                    self.leave(cx);
                }
            }
            if prompt.resend {
                self.answer_again(&prompt, cx);
                continue;
            }
            self.turn = Some(Turn::new(prompt, images, cx.now));
        }
        self.advance(cx);
    }

    /// An earlier attempt may have reached the agent: it is told again what is still held of it, and
    /// else that it was cut off.
    pub(super) fn answer_again(&mut self, prompt: &Prompt, cx: &mut Cx<'_>) {
        let fault = Fault::CannotResume;
        let unknown = vec![TurnEvent::Ended {
            outcome: Outcome::Failed { fault },
        }];
        for event in cx.board.result_of(&prompt.at.turn).unwrap_or(unknown) {
            cx.keep(&prompt.at, event);
        }
    }

    /// Brings a waiting turn nearer to the agent.
    pub(super) fn advance(&mut self, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if turn.stage != Stage::Waits || turn.clock.stopping().is_some() {
            return;
        }
        // Without a process it waits for room for one: see [`Session::start`].
        if let Life::Live(_, protocol) = &mut self.life
            && protocol.is_free()
        {
            turn.stage = Stage::Runs;
            turn.clock.heard(cx.now);
            let of = |set: &str, configured: &Option<String>| match set {
                "" => configured.clone().unwrap_or_default(),
                set => set.to_owned(),
            };
            let wanted = Wanted {
                mode: of(&turn.prompt.mode, &cx.options.mode),
                model: of(&turn.prompt.model, &cx.options.model),
            };
            let acts = protocol.prompt(&turn.prompt.text, &turn.images, &wanted, cx.now);
            self.acts(acts, cx);
        }
    }

    /// A turn waits, and there is no process.
    pub(super) fn wants_process(&self) -> bool {
        let waits = |turn: &Turn| turn.stage == Stage::Waits && turn.clock.stopping().is_none();
        matches!(self.life, Life::Gone) && self.turn.as_ref().is_some_and(waits)
    }

    pub(super) fn prepared(
        &mut self,
        launch: u64,
        found: Result<Prepared, Fault>,
        cx: &mut Cx<'_>,
    ) {
        let waits = self.turn.as_ref().is_some_and(|turn| turn.launch == launch);
        match found {
            Err(fault) if waits => {
                self.life = Life::Gone;
                self.end(Outcome::Failed { fault }, cx);
            }
            Ok(found) if waits => {
                self.work_dir = found.work_dir;
                tracing::info!(resume = self.conversation.is_some(), "starting the agent");
                self.life = Life::Launching(launch);
                let session = self.name.clone();
                let what = What::Acp;
                cx.does(Effect::Launch {
                    launch,
                    session,
                    what,
                });
            }
            // The turn that it was for was stopped meanwhile.
            found => {
                if found.is_ok() {
                    cx.does(Effect::Release { launch });
                }
                self.life = Life::Gone;
                self.next(cx);
            }
        }
    }

    pub(super) fn launched(&mut self, launch: u64, cx: &mut Cx<'_>) {
        let Life::Launching(_) = self.life else {
            return;
        };
        let beginning = Beginning {
            cwd: self.work_dir.clone(),
            conversation: self.conversation.clone(),
            login: cx.options.auth_method.clone(),
            servers: vec![server(launch, cx)],
        };
        self.offers(cx);
        let nonce = format!("{}.{launch}", cx.nonce);
        self.junk.ends();
        let mut protocol = Protocol::new(nonce, beginning, cx.options.question_timeout());
        let acts = protocol.open(cx.now);
        self.life = Life::Live(launch, Box::new(protocol));
        self.acts(acts, cx);
    }

    pub(super) fn exited(&mut self, exit: &Exit, cx: &mut Cx<'_>) {
        let mut life = std::mem::replace(&mut self.life, Life::Gone);
        let doom = self.doom.take();
        let mut spoke = true;
        if let Life::Live(launch, protocol) = &mut life {
            spoke = protocol.has_spoken();
            let acts = protocol.last_words();
            // Only a live agent's acts are done.
            self.life = Life::Leaving(*launch, None);
            self.acts(acts, cx);
            self.end_calls(*launch, cx);
            self.life = Life::Gone;
        }
        let Some(turn) = &mut self.turn else {
            return self.next(cx);
        };
        turn.withdraws(cx);
        if let Stage::Ends(outcome) = &turn.stage {
            let outcome = outcome.clone();
            return self.end(outcome, cx);
        }
        if let Some(stop) = turn.clock.stopping() {
            return self.end(stop.outcome(), cx);
        }
        if let Some(words) = doom {
            let fault = Fault::Agent { words };
            return self.end(Outcome::Failed { fault }, cx);
        }
        if let Life::Leaving(..) = life
            && turn.stage == Stage::Waits
        {
            return self.advance(cx);
        }
        tracing::warn!(
            code = exit.code,
            signal = exit.signal,
            "the agent ended in mid-turn"
        );
        let words = fault::clip(&exit.describe(cx.options.program()));
        let fault = match exit.code {
            // Somebody killed it: what it did until then is done, and is not done again.
            None if turn.sent => Fault::CannotResume,
            None if turn.restarts < RESTARTS => {
                turn.restarts += 1;
                turn.stage = Stage::Waits;
                return self.advance(cx);
            }
            _ if fault::is_logged_out(&words) => Fault::LoggedOut { words },
            Some(0) if !spoke => {
                let words = format!("{words}, without a word of ACP");
                Fault::Agent { words }
            }
            _ => Fault::Agent { words },
        };
        self.end(Outcome::Failed { fault }, cx);
    }
}

/// The server by which the agent reaches the runner's tools, as it is told to start it.
fn server(launch: u64, cx: &Cx<'_>) -> McpServer {
    let pass = bridge::pass(&cx.options.state_dir, launch);
    let arguments = vec![bridge::FLAG.to_owned(), pass.display().to_string()];
    McpServer::Stdio(McpServerStdio::new(SERVER, cx.program).args(arguments))
}
