//! Commands, obeyed.

use ipc_schema::{Body, CloseSession, Inbound, Interrupt, TurnRef};
use spool::{Conversation, SpoolError, Turn, TurnState};

use super::Engine;
use super::outbox::Place;
use crate::command::Command;
use crate::texts::{Lang, Text};
use crate::turn::{Signal, Step, step};

impl Engine {
    pub(super) fn obey(
        &mut self,
        command: Command,
        conversation: &Conversation,
        message: &Inbound,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let name = match &command {
            Command::New => "new",
            Command::Stop => "stop",
            Command::Status => "status",
            Command::Help => "help",
            Command::Whoami => "whoami",
            Command::Prompt { .. } | Command::Unknown { .. } => "",
        };
        let project = self.plan.projects.get(&conversation.project);
        if project.is_some_and(|p| p.disabled_commands.iter().any(|no| no == name || no == "*")) {
            return self.notice(place, &Text::CommandDisabled { name }, lang, now);
        }
        match command {
            Command::New => self.new_command(conversation, place, lang, now),
            Command::Stop => self.stop_command(conversation, place, lang, now),
            Command::Status => self.status_command(conversation, place, lang, now),
            Command::Help | Command::Prompt { .. } => self.notice(place, &Text::Help, lang, now),
            Command::Whoami => {
                let whoami = Text::Whoami {
                    id: &message.sender.id,
                    name: &message.sender.name,
                    platform: place.instance,
                    conversation: &conversation.conversation,
                    admin: self.is_admin(&conversation.project, &message.sender.id),
                };
                self.notice(place, &whoami, lang, now)
            }
            Command::Unknown { name, nearest } => {
                let unknown = Text::UnknownCommand {
                    name: &name,
                    nearest: &nearest,
                };
                self.notice(place, &unknown, lang, now)
            }
        }
    }

    /// `/new`: whatever runs or waits in the old session ends, the next message opens another.
    fn new_command(
        &mut self,
        conversation: &Conversation,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let old = &conversation.session;
        self.spool.drop_queued(old, now)?;
        let active = self.spool.active_turn(old)?;
        if let Some(turn) = &active {
            self.stop_turn(turn, now)?;
        } else {
            self.close_session(&conversation.project, old);
        }
        let session = self.new_session(
            &conversation.project,
            &conversation.instance,
            &conversation.conversation,
            now,
        )?;
        let conversation = Conversation {
            session: session.id,
            ..conversation.clone()
        };
        self.spool.put_conversation(&conversation)?;
        let text = if active.is_some() {
            Text::NewSessionWhileRunning
        } else {
            Text::NewSession
        };
        self.notice(place, &text, lang, now)
    }

    /// `/stop`: ends the current turn; what waits behind it goes on.
    fn stop_command(
        &mut self,
        conversation: &Conversation,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        if let Some(turn) = self.spool.active_turn(&conversation.session)? {
            // The runner's answer says it; a second /stop only repeats the interrupt.
            return self.stop_turn(&turn, now);
        }
        if self
            .spool
            .drop_queued(&conversation.session, now)?
            .is_empty()
        {
            return self.notice(place, &Text::NothingToStop, lang, now);
        }
        self.notice(place, &Text::Stopped, lang, now)
    }

    /// Committed as stopping before the runner hears of it: it will never be prompted again.
    fn stop_turn(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        if let Step::To(state) = step(turn.state, turn.attempt, Signal::Stop) {
            self.spool.set_turn(&turn.id, state, turn.attempt, now)?;
        }
        if let Some(runner) = self.runner_of(&turn.project) {
            self.send(&runner, &turn.trace, Body::Interrupt(interrupt(turn)));
        }
        Ok(())
    }

    /// Asks the runner to end a session's agent. Lossy: an agent that nobody uses ends by itself.
    pub(super) fn close_session(&mut self, project: &str, session: &str) {
        if let Some(runner) = self.runner_of(project) {
            let close = CloseSession {
                session: session.to_owned(),
            };
            self.send(&runner, "", Body::CloseSession(close));
        }
    }

    fn status_command(
        &mut self,
        conversation: &Conversation,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(project) = self.plan.projects.get(&conversation.project).cloned() else {
            return Ok(());
        };
        let active = self.spool.active_turn(&conversation.session)?;
        let queued = self.spool.queued_ahead(&conversation.session)?;
        let runner_up = self
            .runners
            .get(&project.runner)
            .is_some_and(|runner| runner.ready);
        let status = Text::Status {
            project: &conversation.project,
            agent: &project.agent,
            session: &conversation.session,
            runner_up,
            running_secs: active
                .as_ref()
                .map(|turn| (now.saturating_sub(turn.queued_at) / 1000) as usize),
            stopping: active.is_some_and(|turn| turn.state == TurnState::Stopping),
            queued: queued as usize,
            model: &project.model,
            mode: &project.mode,
        };
        self.notice(place, &status, lang, now)
    }
}

/// The interrupt of a turn's current attempt.
pub(super) fn interrupt(turn: &Turn) -> Interrupt {
    Interrupt {
        at: TurnRef {
            turn: turn.id.clone(),
            attempt: turn.attempt,
        },
        session: turn.session.clone(),
    }
}
