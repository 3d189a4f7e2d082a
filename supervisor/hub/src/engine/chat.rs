//! Commands, read and obeyed.

use ipc_schema::{Body, CloseSession, Inbound, Interrupt, Sender, TurnRef};
use spool::{Conversation, Session, SpoolError, Turn, TurnState};

use super::Engine;
use super::outbox::Place;
use crate::command::{self, BUILT_IN, Command};
use crate::menu;
use crate::plan::Rate;
use crate::roles;
use crate::texts::{Lang, Text, say};
use crate::turn::{Signal, Step, step};

impl Engine {
    /// The command that a message is, if it is one.
    pub(super) fn command_of(&self, project: &str, message: &Inbound) -> Option<Command> {
        let names: Vec<&str> = self.plan.commands.iter().map(|c| c.name.as_str()).collect();
        let alias = |name: &str| self.plan.aliases.get(name).map(String::as_str);
        match command::read(&message.text, alias, &names) {
            // Nobody is pointed at a command that they may not use.
            Some(Command::Unknown { nearest, .. })
                if !self.may(project, &message.sender.id, &nearest) =>
            {
                None
            }
            // A bare mention. In a reply, or with something forwarded, it points at that.
            None if message.text.trim().is_empty()
                && message.quoted.is_none()
                && message.attachments.is_empty()
                && message.left_out.is_empty() =>
            {
                Some(Command::Help)
            }
            read => read,
        }
    }

    /// Whether a person may use a command.
    pub(super) fn may(&self, project: &str, user: &str, command: &str) -> bool {
        let project = self.plan.projects.get(project);
        project.is_some_and(|project| roles::may(project, user, command))
    }

    /// How many messages a person may send.
    pub(super) fn rate_of(&self, project: &str, user: &str) -> Rate {
        let project = self.plan.projects.get(project);
        project.map_or(self.plan.rate, |p| roles::rate(p, user, self.plan.rate))
    }

    /// What the agent is to read for one of the operator's commands.
    pub(super) fn expand(&self, name: &str, args: &str) -> String {
        let found = self.plan.commands.iter().find(|c| c.name == name);
        found.map_or_else(|| args.to_owned(), |c| command::expand(&c.prompt, args))
    }

    pub(super) fn obey(
        &mut self,
        command: Command,
        conversation: &Conversation,
        message: &Inbound,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        match command {
            Command::New if !self.may_end(conversation, &message.sender)? => {
                self.notice(place, &Text::OthersSession { name: "new" }, lang, now)
            }
            Command::New => self.new_command(conversation, place, lang, now),
            Command::Stop => self.stop_command(conversation, &message.sender, place, lang, now),
            Command::List => self.list_command(conversation, place, lang, now),
            Command::Switch(_) if !self.may_end(conversation, &message.sender)? => {
                self.notice(place, &Text::OthersSession { name: "switch" }, lang, now)
            }
            Command::Switch(which) => self.switch_command(&which, conversation, place, lang, now),
            Command::History(count) => self.history_command(count, conversation, place, lang, now),
            Command::Mode(wanted) => {
                self.mode_command(&wanted, conversation, &message.sender, place, lang, now)
            }
            Command::Model(wanted) => {
                self.model_command(&wanted, conversation, &message.sender, place, lang, now)
            }
            // One that the agent can carry out is a turn.
            Command::Compact(_) => self.notice(place, &Text::NoCompact, lang, now),
            Command::Status => self.status_command(conversation, place, lang, now),
            Command::Help | Command::Prompt { .. } => {
                self.help_command(conversation, &message.sender.id, place, lang, now)
            }
            Command::Whoami => {
                let whoami = Text::Whoami {
                    id: &message.sender.id,
                    name: &message.sender.name,
                    platform: place.instance,
                    conversation: &conversation.conversation,
                    admin: self.is_admin(&conversation.project, &message.sender),
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

    /// `/help`: what this person may use here.
    fn help_command(
        &mut self,
        conversation: &Conversation,
        user: &str,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let may = |name: &&str| self.may(&conversation.project, user, name);
        let project = self.plan.projects.get(&conversation.project);
        let means = |name: &&str| project.is_some_and(|project| menu::there_is(name, project));
        let built_in: Vec<&str> = BUILT_IN.into_iter().filter(means).filter(may).collect();
        let commands = self.plan.commands.iter();
        let own: Vec<(&str, &str)> = commands
            .map(|command| (command.name.as_str(), command.description.as_str()))
            // One that is named like ours cannot be reached.
            .filter(|(name, _)| may(name) && !BUILT_IN.contains(name))
            .collect();
        let help = Text::Help {
            built_in: &built_in,
            own: &own,
        };
        let help = say(&help, lang);
        self.post(place, &help, now).map(drop)
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
        let dropped = self.spool.drop_queued(old, now)?.len();
        let active = self.spool.active_turn(old)?;
        if let Some(turn) = &active {
            self.stop_turn(turn, now)?;
            if let Some(session) = self.spool.session(old)? {
                // Nobody is expected back: its agent ends with the turn.
                self.spool.put_session(&Session {
                    closing: true,
                    ..session
                })?;
            }
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
        let text = match (active, dropped) {
            (Some(_), _) => Text::NewSessionWhileRunning,
            (None, 0) => Text::NewSession,
            (None, dropped) => Text::NewSessionDropped { dropped },
        };
        self.notice(place, &text, lang, now)
    }

    /// `/stop`: ends the current turn; what waits behind it goes on.
    fn stop_command(
        &mut self,
        conversation: &Conversation,
        sender: &Sender,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        if let Some(turn) = self.spool.active_turn(&conversation.session)? {
            if turn.asker != sender.id && !self.is_admin(&conversation.project, sender) {
                return self.notice(place, &Text::OthersSession { name: "stop" }, lang, now);
            }
            self.stop_turn(&turn, now)?;
            if !self.is_ready(&turn.project) {
                return self.notice(place, &Text::StoppingLater, lang, now);
            }
            // The runner's answer says it in the chat; what the platform shows as due is answered
            // here. A second /stop only repeats the interrupt.
            return match place.answers {
                "" => Ok(()),
                _ => self.notice(place, &Text::Stopping, lang, now),
            };
        }
        if !self.may_end(conversation, sender)? {
            return self.notice(place, &Text::OthersSession { name: "stop" }, lang, now);
        }
        if self
            .spool
            .drop_queued(&conversation.session, now)?
            .is_empty()
        {
            let told = self.stop_own_work(conversation);
            return self.notice(place, &Text::NothingToStop { told }, lang, now);
        }
        self.notice(place, &Text::Stopped, lang, now)
    }

    /// The agent may be at work without a message of anybody's, on what its own background work came
    /// to: whether its runner is told to end that.
    fn stop_own_work(&mut self, conversation: &Conversation) -> bool {
        let ready = self.is_ready(&conversation.project);
        if ready && let Some(runner) = self.runner_of(&conversation.project) {
            let interrupt = Interrupt {
                at: TurnRef::default(),
                session: conversation.session.clone(),
            };
            self.send(&runner, "", Body::Interrupt(interrupt));
        }
        ready
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
        let session = self
            .spool
            .session(&conversation.session)?
            .unwrap_or_default();
        let set = |of_session: &str, configured: &str| match of_session {
            "" => configured.to_owned(),
            set => set.to_owned(),
        };
        let active = self.spool.active_turn(&conversation.session)?;
        let queued = self.spool.queued_ahead(&conversation.session)?;
        let runner_up = self.is_ready(&conversation.project);
        // Of what was refused each session is shown its own.
        let sandbox = self.sandboxes.get(&project.runner).cloned();
        let sandbox = sandbox.as_ref();
        let refused = sandbox.and_then(|sandbox| {
            let mut all = sandbox.refused.iter();
            all.find(|refused| refused.session == session.id)
        });
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
            model: &set(&session.model, &project.model),
            mode: &set(&session.mode, &project.mode),
            used: &crate::used::in_words(&session.used),
            login: project.login,
            trust: project.trust_project,
            volume: &project.volume,
            branch: &self
                .worktree(&project.runner, &session.id)
                .map(|tree| tree.branch.clone())
                .unwrap_or_default(),
            sandbox: sandbox.map(|sandbox| (sandbox.by.as_str(), sandbox.network.as_str())),
            refused: refused.map(|refused| &refused.what),
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
