//! The commands about a conversation's sessions: which there are, what was said in them, how they
//! are set.

use ipc_schema::Sender;
use spool::{Conversation, Session, SpoolError, Turn};

use super::Engine;
use super::outbox::Place;
use crate::mode;
use crate::texts::{Lang, Text, say};

/// The most sessions that `/list` shows and `/switch` knows by number.
const SESSIONS: usize = 10;
/// What `/history` shows unless asked for more, and at most.
const HISTORY: usize = 5;
const HISTORY_MOST: usize = 20;
/// How far back is looked for somebody else in a session.
const OTHERS: usize = 50;
/// The longest model name.
const MODEL: usize = 100;

impl Engine {
    /// `/list`.
    pub(super) fn list_command(
        &mut self,
        conversation: &Conversation,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let sessions = self.sessions_here(conversation)?;
        let lines: Vec<(&str, usize, bool)> = sessions
            .iter()
            .map(|session| {
                let age = now.saturating_sub(session.used_at) / 1000;
                let current = session.id == conversation.session;
                (session.title.as_str(), age as usize, current)
            })
            .collect();
        self.notice(place, &Text::Sessions { sessions: &lines }, lang, now)
    }

    fn sessions_here(&self, at: &Conversation) -> Result<Vec<Session>, SpoolError> {
        let mut sessions =
            self.spool
                .sessions_of(&at.project, &at.instance, &at.conversation, SESSIONS)?;
        // One in which nothing was ever said is nothing to go back to.
        sessions.retain(|session| !session.title.is_empty() || session.id == at.session);
        Ok(sessions)
    }

    /// `/switch`: the next message goes to another session. What runs in this one goes on.
    pub(super) fn switch_command(
        &mut self,
        which: &str,
        conversation: &Conversation,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        if which.is_empty() {
            return self.list_command(conversation, place, lang, now);
        }
        let sessions = self.sessions_here(conversation)?;
        let by_number = which
            .parse::<usize>()
            .ok()
            .and_then(|number| sessions.get(number.checked_sub(1)?));
        let found = by_number.or_else(|| sessions.iter().find(|session| session.id == which));
        let Some(session) = found else {
            return self.notice(place, &Text::NoSuchSession, lang, now);
        };
        if session.id != conversation.session {
            // Else it would count as idle for too long and be followed by a new one at once.
            self.spool.put_session(&Session {
                used_at: now,
                closing: false,
                ..session.clone()
            })?;
            self.spool.put_conversation(&Conversation {
                session: session.id.clone(),
                ..conversation.clone()
            })?;
        }
        let title = &session.title;
        self.notice(place, &Text::Switched { title }, lang, now)
    }

    /// `/history`.
    pub(super) fn history_command(
        &mut self,
        count: Option<usize>,
        conversation: &Conversation,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let count = count.unwrap_or(HISTORY).clamp(1, HISTORY_MOST);
        let turns = self.spool.past_turns(&conversation.session, count)?;
        if turns.is_empty() {
            return self.notice(place, &Text::NoHistory, lang, now);
        }
        let project = self.plan.projects.get(&conversation.project);
        let most = project.and_then(|p| p.history_max_len);
        let mut entries = Vec::new();
        for turn in turns.iter().rev() {
            entries.push(self.history_entry(turn, most, lang)?);
        }
        self.post(place, &entries.join("\n\n"), now).map(drop)
    }

    fn history_entry(
        &self,
        turn: &Turn,
        most: Option<u32>,
        lang: Lang,
    ) -> Result<String, SpoolError> {
        let answer = self.spool.blocks(&turn.id)?.pop().unwrap_or_default();
        let cut = |text: &str| match most.map(|most| most as usize) {
            Some(most) if text.chars().count() > most => {
                text.chars().take(most).chain(['…']).collect()
            }
            _ => text.to_owned(),
        };
        let entry = Text::HistoryEntry {
            said: &cut(&turn.said),
            answer: &cut(&answer),
        };
        Ok(say(&entry, lang))
    }

    /// `/mode`: for admins, and from the next message on.
    pub(super) fn mode_command(
        &mut self,
        wanted: &str,
        conversation: &Conversation,
        sender: &Sender,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let session = self.spool.session(&conversation.session)?;
        let project = self.plan.projects.get(&conversation.project).cloned();
        let (Some(session), Some(project)) = (session, project) else {
            return Ok(());
        };
        let modes: Vec<&str> = project.modes.iter().map(String::as_str).collect();
        if modes.is_empty() {
            return self.notice(place, &Text::NoModes, lang, now);
        }
        let Some(mode) = mode::named(wanted, &modes) else {
            let current = match session.mode.as_str() {
                "" => project.mode.as_str(),
                mode => mode,
            };
            let modes = Text::Modes {
                current,
                modes: &modes,
            };
            return self.notice(place, &modes, lang, now);
        };
        if !self.is_admin(&conversation.project, sender) {
            return self.notice(place, &Text::AdminsOnly { name: "mode" }, lang, now);
        }
        tracing::warn!(session = %session.id, mode, user = %sender.id, "a session's mode is changed");
        self.spool.put_session(&Session {
            mode: mode.to_owned(),
            ..session
        })?;
        let set = Text::ModeSet {
            mode,
            unasked: mode::asks_nobody(mode),
        };
        self.notice(place, &set, lang, now)
    }

    /// `/model`: for admins, and from the next message on.
    pub(super) fn model_command(
        &mut self,
        wanted: &str,
        conversation: &Conversation,
        sender: &Sender,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let session = self.spool.session(&conversation.session)?;
        let project = self.plan.projects.get(&conversation.project).cloned();
        let (Some(session), Some(project)) = (session, project) else {
            return Ok(());
        };
        let name = |c: char| c.is_ascii_alphanumeric() || "-._:/[]@".contains(c);
        // A name that begins with a dash could pass for an option of the agent's command line.
        let good = !wanted.is_empty()
            && wanted.len() <= MODEL
            && wanted.chars().all(name)
            && !wanted.starts_with('-');
        if !good {
            let current = match session.model.as_str() {
                "" => project.model.as_str(),
                model => model,
            };
            return self.notice(place, &Text::Model { current }, lang, now);
        }
        if !self.is_admin(&conversation.project, sender) {
            return self.notice(place, &Text::AdminsOnly { name: "model" }, lang, now);
        }
        let model = if wanted == "default" { "" } else { wanted };
        self.spool.put_session(&Session {
            model: model.to_owned(),
            ..session
        })?;
        let model = if model.is_empty() {
            &project.model
        } else {
            model
        };
        self.notice(place, &Text::ModelSet { model }, lang, now)
    }

    /// Whether somebody may do what ends or leaves a session for everybody in it: an admin, or
    /// whoever uses it alone.
    pub(super) fn may_end(
        &self,
        conversation: &Conversation,
        sender: &Sender,
    ) -> Result<bool, SpoolError> {
        if !conversation.shared || self.is_admin(&conversation.project, sender) {
            return Ok(true);
        }
        let session = &conversation.session;
        let active = self.spool.active_turn(session)?;
        let next = self.spool.next_queued(session)?;
        let past = self.spool.past_turns(session, OTHERS)?;
        let mut all = past.iter().chain(&active).chain(&next);
        Ok(all.all(|turn| turn.asker == sender.id))
    }
}
