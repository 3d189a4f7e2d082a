//! From a prompt to the agent that has it, and from an agent's end to the next start.

use ipc_schema::{Fault, Outcome, TurnEvent};

use super::turn::{Stage, Turn};
use super::{ClaudeSession, Life, RESTARTS};
use crate::claude::argv::Start;
use crate::claude::fault;
use crate::claude::transcript::Standing;
use crate::session::{Cx, Effect, Exit, Prepared, Session as _, What};

impl ClaudeSession {
    /// Takes up the next prompt, if nothing runs.
    pub(super) fn next(&mut self, cx: &mut Cx<'_>) {
        if self.turn.is_none()
            && let Some((prompt, images)) = self.waiting.pop_front()
        {
            if prompt.agent_session != self.given {
                self.given.clone_from(&prompt.agent_session);
                if prompt.agent_session != self.agent_session {
                    self.agent_session.clone_from(&prompt.agent_session);
                    // Another conversation under the same name: not this process's.
                    self.leave(cx);
                }
            }
            let wanted = (prompt.mode.clone(), prompt.model.clone());
            if wanted != self.set {
                // A mode that was not given at the start may be refused later: a new process.
                self.set = wanted;
                self.leave(cx);
            }
            self.turn = Some(Turn::new(prompt, images, cx.now));
        }
        self.advance(cx);
    }

    /// Brings a waiting turn nearer to the agent.
    pub(super) fn advance(&mut self, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        if turn.stage != Stage::Waits || turn.clock.stopping().is_some() {
            return;
        }
        match &mut self.life {
            // Without a process it waits for room for one: see [`Session::start`].
            Life::Live(launch, protocol) if protocol.is_free() => {
                if turn.seen && !turn.revived {
                    turn.stage = Stage::Checked;
                    cx.does(Effect::Read {
                        launch: *launch,
                        session: self.name.clone(),
                        agent_session: self.agent_session.clone(),
                        prompt: turn.prompt.prompt_id.clone(),
                        known: turn.said.clone(),
                    });
                } else {
                    self.hand_over(cx);
                }
            }
            _ => {}
        }
    }

    /// Takes the lock for a new process and looks at what the last one left.
    pub(super) fn prepare(&mut self, cx: &mut Cx<'_>) {
        let Some(turn) = &mut self.turn else { return };
        turn.clock.waited(cx.now);
        let launch = cx.launch();
        self.life = Life::Preparing(launch);
        turn.launch = launch;
        self.launch = launch;
        cx.does(Effect::Prepare {
            launch,
            session: self.name.clone(),
            agent_session: self.agent_session.clone(),
            begun: false,
            prompt: turn.seen.then(|| turn.prompt.prompt_id.clone()),
            known: turn.said.clone(),
        });
    }

    pub(super) fn hand_over(&mut self, cx: &mut Cx<'_>) {
        let (Some(turn), Life::Live(_, protocol)) = (&mut self.turn, &mut self.life) else {
            return;
        };
        turn.stage = Stage::Runs;
        turn.begun = false;
        turn.clock.heard(cx.now);
        let acts = protocol.prompt(
            &turn.prompt.prompt_id,
            &turn.prompt.text,
            &turn.images,
            turn.revived,
        );
        self.acts(acts, cx);
    }

    pub(super) fn prepared(
        &mut self,
        launch: u64,
        found: Result<Prepared, Fault>,
        cx: &mut Cx<'_>,
    ) {
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                self.life = Life::Gone;
                if self.turn.as_ref().is_none_or(|turn| turn.launch != launch) {
                    return self.next(cx);
                }
                return self.end(Outcome::Failed { fault }, cx);
            }
        };
        // The turn that it was for may have been stopped meanwhile.
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.launch == launch) else {
            cx.does(Effect::Release { launch });
            self.life = Life::Gone;
            return self.next(cx);
        };
        turn.seen = false;
        turn.revived = match found.reading.standing {
            Standing::Absent => false,
            Standing::Open => true,
            // There is nothing left to run.
            Standing::Stopped | Standing::Answered => {
                cx.does(Effect::Release { launch });
                self.life = Life::Gone;
                self.started(cx, false);
                return self.told(found.reading, None, cx);
            }
        };
        turn.from_file |= turn.revived;
        self.spent = found.spent;
        let start = Start {
            session: self.agent_session.clone(),
            resume: found.file,
            revive: turn.revived,
            mode: self.set.0.clone(),
            model: self.set.1.clone(),
            // Known where it is started.
            ..Start::default()
        };
        tracing::info!(
            resume = start.resume,
            revive = start.revive,
            "starting the agent"
        );
        self.life = Life::Launching(launch);
        let session = self.name.clone();
        cx.does(Effect::Launch {
            launch,
            session,
            what: What::Claude(start),
        });
    }

    pub(super) fn started(&mut self, cx: &mut Cx<'_>, continued: bool) {
        let Some(turn) = &mut self.turn else { return };
        turn.begun = true;
        let agent_session = self.agent_session.clone();
        let at = turn.prompt.at.clone();
        cx.keep(
            &at,
            TurnEvent::Started {
                agent_session,
                continued,
            },
        );
        // From here on this process counts; what one before it has spent and not written down, it does
        // not know of.
        if let Some(cost_microusd) = self.spent.take() {
            let begins = TurnEvent::Usage {
                context_tokens: 0,
                context_window: 0,
                cost_microusd,
                model: String::new(),
            };
            cx.keep(&at, begins);
        }
    }

    pub(super) fn exited(&mut self, exit: &Exit, cx: &mut Cx<'_>) {
        let life = std::mem::replace(&mut self.life, Life::Gone);
        let doom = self.doom.take();
        let mut spoke = true;
        if let Life::Live(launch, protocol) = &life {
            spoke = protocol.has_spoken();
            for call in protocol.open_calls() {
                cx.does(Effect::Uncall {
                    launch: *launch,
                    call,
                });
            }
        }
        let Some(turn) = &mut self.turn else {
            return self.next(cx);
        };
        let at = turn.prompt.at.clone();
        for event in turn.questions.withdraw() {
            cx.keep(&at, event);
        }
        match &turn.stage {
            Stage::Runs | Stage::Waits => {}
            Stage::Sweeps(outcome) => {
                let outcome = outcome.clone();
                return self.end(outcome, cx);
            }
            Stage::Checked => {
                turn.stage = Stage::Waits;
                return self.advance(cx);
            }
            // The file tells, or has told, the rest.
            Stage::Read(_) | Stage::Full(_) => return,
        }
        if let Some(stop) = turn.clock.stopping() {
            return self.end(stop.outcome(), cx);
        }
        if let Life::Leaving(..) = life
            && turn.stage == Stage::Waits
        {
            return self.advance(cx);
        }
        if let Some(words) = doom {
            let fault = Fault::Agent { words };
            return self.end(Outcome::Failed { fault }, cx);
        }
        let words = fault::clip(&exit.describe(cx.options.program()));
        tracing::warn!(
            code = exit.code,
            signal = exit.signal,
            "the agent ended in mid-turn"
        );
        // An agent that says no at once says it again the next time.
        if !spoke && exit.code.is_some_and(|code| code != 0) {
            let fault = match fault::is_logged_out(&words) {
                true => Fault::LoggedOut { words },
                false => Fault::Agent { words },
            };
            return self.end(Outcome::Failed { fault }, cx);
        }
        if turn.restarts == RESTARTS {
            return self.end(
                Outcome::Failed {
                    fault: Fault::Died { words },
                },
                cx,
            );
        }
        turn.restarts += 1;
        turn.seen = true;
        turn.spare.clear();
        turn.spare_bytes = 0;
        turn.stage = Stage::Waits;
        self.advance(cx);
    }
}
