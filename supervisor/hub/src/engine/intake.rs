//! The way in: one message, exactly one outcome.

use ipc_schema::{Accepted, Access, Act, Body, Deferred, Inbound, MAX_TEXT, Sender};
use spool::{Conversation, Person, Session, SpoolError, Turn, TurnState};

use super::outbox::Place;
use super::runner::lang;
use super::{Engine, QUEUED, RUNNER_AWAY, Timer};
use crate::command::Command;
use crate::texts::{Lang, Text};
use crate::{ids, menu, prompt};

/// A refusal is said to one person once in so many milliseconds, …
const REFUSAL_EACH: u64 = 24 * 3_600_000;
/// … and to all of an account at most so often …
const REFUSALS: u64 = 20;
/// … in so many milliseconds.
const REFUSAL_WINDOW: u64 = 3_600_000;
/// How long somebody whose messages are too many is not told so again, milliseconds.
const FLOOD: u64 = 5_000;
/// Until a message is looked at again whose question is being posted, milliseconds.
const ASKING_RETRY: u64 = 200;
/// How long a missing right is not mentioned again, milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// How often it is noted that somebody was heard, milliseconds.
const MONTH: u64 = 30 * DAY;
/// The longest title of a session, in characters.
const TITLE: usize = 60;
/// How much of a message is kept for `/history`, in characters.
const SAID: usize = 2_000;

impl Engine {
    /// Takes a message in. Everything it changes is one savepoint: the dedup key and the outcome
    /// stand or fall together.
    pub(super) fn inbound(
        &mut self,
        peer: &str,
        message: Inbound,
        trace: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
        let accepted = Body::Accepted(Accepted {
            event_id: message.event_id.clone(),
        });
        let key = (
            message.event_id.as_str(),
            message.address.as_str(),
            message.order,
        );
        if self.spool.seen(peer, key.0, key.1, key.2)? {
            self.send(peer, trace, accepted);
            return Ok(());
        }
        if self.is_being_asked(peer, &message, now)? {
            let deferred = Deferred {
                event_id: message.event_id,
                retry_after_ms: ASKING_RETRY,
                why: "the question that it may answer is being posted".to_owned(),
            };
            self.send(peer, trace, Body::Deferred(deferred));
            return Ok(());
        }
        self.spool.remember(peer, key.0, key.1, key.2, now)?;
        self.send(peer, trace, accepted);

        let lang = self.language_of(peer, &message, now)?;
        let place = Place {
            instance: peer,
            address: &message.address,
            reply_to: &message.reply_to,
            trace,
            answers: match message.act {
                Act::Command | Act::Pressed { .. } => &message.event_id,
                _ => "",
            },
            private: matches!(message.act, Act::Pressed { .. }),
        };
        if message.access == Access::Refused {
            return self.refuse(&place, &message, lang, now);
        }
        match &message.act {
            Act::Message | Act::Command => {}
            Act::Pressed { question, values } => {
                return self.pressed(question, values, &message, &place, lang, now);
            }
            Act::Edited { of } => return self.edited(of, &message, &place, lang, now),
            Act::Deleted { of } => return self.taken_back(of, &message, peer, now),
            Act::Unknown => return Ok(()),
        }
        tracing::info!(
            conversation = %message.conversation, user = %message.sender.id,
            chars = message.text.chars().count(), "inbound"
        );
        let Some(project) = self.plan.platforms.get(peer).map(|p| p.project.clone()) else {
            return Ok(());
        };
        let conversation = self.conversation(&project, peer, &message, now)?;
        for lack in &message.lacks {
            let what = format!("lacks {lack:?}");
            if self.spool.tell_once(peer, place.address, &what, DAY, now)? {
                self.notice(&place, &Text::Lacks(*lack), lang, now)?;
            }
        }
        let asked = self.spool.open_question(&conversation.session)?;
        if let Some(question) = &asked
            && message.act == Act::Message
            && self.answered(question, &message, &place, lang, now)?
        {
            return Ok(());
        }
        let command = self.command_of(&project, &message);
        let place = Place {
            private: message.act == Act::Command
                && command.as_ref().is_some_and(|c| menu::is_private(c.name())),
            ..place
        };
        let text = match command {
            Some(command) if !self.may(&project, &message.sender.id, command.name()) => {
                let name = command.name();
                return self.notice(&place, &Text::CommandDisabled { name }, lang, now);
            }
            Some(Command::Prompt { name, args }) => self.expand(&name, &args),
            Some(Command::Compact(args)) if self.compacts(&project) => {
                format!("/compact {args}").trim_end().to_owned()
            }
            Some(known) => return self.obey(known, &conversation, &message, &place, lang, now),
            None => message.text.clone(),
        };
        if let Some(no) = self.objection(peer, &message, &conversation, &text, now)? {
            if self.is_heard_already(&no, &message, &place, now)? {
                return Ok(());
            }
            return self.notice(&place, &no, lang, now);
        }
        if asked.is_some() {
            self.notice(&place, &Text::QuestionStillOpen, lang, now)?;
        }
        self.enqueue(&conversation, &message, text, &place, lang, now)
    }

    /// Tells somebody who is not on the allow list, if they and the account are due.
    fn refuse(
        &mut self,
        place: &Place<'_>,
        message: &Inbound,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let user = message.sender.id.as_str();
        let words = Text::Refused {
            id: user,
            key: "allow_from",
        };
        match message.act {
            Act::Message => {}
            // Whoever presses or chooses sees that something waits for an answer.
            Act::Command | Act::Pressed { .. } => {
                let place = Place {
                    private: true,
                    ..*place
                };
                return self.notice(&place, &words, lang, now);
            }
            _ => return Ok(()),
        }
        let told = self
            .spool
            .person(place.instance, user)?
            .map(|p| p.refused_at)
            .unwrap_or(0);
        let since = now.saturating_sub(REFUSAL_WINDOW);
        if (told > 0 && told + REFUSAL_EACH > now)
            || self.spool.refusals_since(place.instance, since)? >= REFUSALS
        {
            return Ok(());
        }
        let person = Person {
            language: lang.code().to_owned(),
            refused_at: now,
            heard_at: now,
        };
        self.spool.put_person(place.instance, user, &person)?;
        self.notice(place, &words, lang, now)
    }

    /// A person's language: fixed, remembered, or told by this message and remembered from now on.
    fn language_of(&mut self, peer: &str, message: &Inbound, now: u64) -> Result<Lang, SpoolError> {
        let platform = self
            .workers
            .get(peer)
            .map(|w| w.capabilities.language.clone())
            .unwrap_or_default();
        let fixed = self.fixed_language(peer).to_owned();
        if !fixed.is_empty() || !platform.is_empty() {
            return Ok(prompt::language(&fixed, &platform, ""));
        }
        if let Some(person) = self.spool.person(peer, &message.sender.id)?
            && let Some(lang) = Lang::from_code(&person.language)
        {
            // Not each time: it would cost every message a row.
            if person.heard_at + MONTH < now {
                let person = Person {
                    heard_at: now,
                    ..person
                };
                self.spool.put_person(peer, &message.sender.id, &person)?;
            }
            return Ok(lang);
        }
        let lang = Lang::of_text(&message.text);
        if message.access == Access::Granted {
            let person = Person {
                language: lang.code().to_owned(),
                refused_at: 0,
                heard_at: now,
            };
            self.spool.put_person(peer, &message.sender.id, &person)?;
        }
        Ok(lang)
    }

    /// The conversation, with a session that is fresh enough.
    fn conversation(
        &mut self,
        project: &str,
        peer: &str,
        message: &Inbound,
        now: u64,
    ) -> Result<Conversation, SpoolError> {
        let known = self
            .spool
            .conversation(project, peer, &message.conversation)?;
        let session = match &known {
            Some(known) => self.spool.session(&known.session)?,
            None => None,
        };
        let fresh = match &session {
            Some(session) => !self.idle_for_too_long(project, session, now)?,
            None => false,
        };
        let session = match session {
            Some(session) if fresh => session,
            old => {
                if let Some(old) = old {
                    self.close_session(project, &old.id);
                }
                self.new_session(project, peer, &message.conversation, now)?
            }
        };
        let conversation = Conversation {
            project: project.to_owned(),
            instance: peer.to_owned(),
            conversation: message.conversation.clone(),
            session: session.id,
            shared: message.shared,
            address: message.address.clone(),
        };
        if known.as_ref() != Some(&conversation) {
            self.spool.put_conversation(&conversation)?;
        }
        Ok(conversation)
    }

    fn idle_for_too_long(
        &self,
        project: &str,
        session: &Session,
        now: u64,
    ) -> Result<bool, SpoolError> {
        let minutes = self
            .plan
            .projects
            .get(project)
            .map_or(0, |p| p.reset_on_idle_mins);
        Ok(minutes > 0
            && session.used_at + minutes * 60_000 < now
            && self.spool.active_turn(&session.id)?.is_none()
            && self.spool.queued_ahead(&session.id)? == 0)
    }

    pub(super) fn new_session(
        &mut self,
        project: &str,
        peer: &str,
        conversation: &str,
        now: u64,
    ) -> Result<Session, SpoolError> {
        let session = Session {
            id: self.ids.short(),
            project: project.to_owned(),
            instance: peer.to_owned(),
            conversation: conversation.to_owned(),
            agent_session: self.ids.uuid(),
            created_at: now,
            used_at: now,
            ..Session::default()
        };
        self.spool.put_session(&session)?;
        Ok(session)
    }

    /// Whether the project's agent can make its conversation shorter.
    fn compacts(&self, project: &str) -> bool {
        self.plan.projects.get(project).is_some_and(|p| p.compacts)
    }

    /// What stands against running this message, if anything.
    fn objection<'a>(
        &mut self,
        peer: &str,
        message: &Inbound,
        conversation: &Conversation,
        text: &str,
        now: u64,
    ) -> Result<Option<Text<'a>>, SpoolError> {
        if let Some(no) = self.unfit(text) {
            return Ok(Some(no));
        }
        let user = &message.sender.id;
        let rate = self.rate_of(&conversation.project, user);
        if let Err(secs) = self.rate.admit(rate, peer, user, now) {
            return Ok(Some(Text::RateLimited {
                secs: secs as usize,
            }));
        }
        let depth = self.plan.queue_depth;
        if self.spool.queued_ahead(&conversation.session)? >= depth {
            return Ok(Some(Text::QueueFull {
                depth: depth as usize,
            }));
        }
        // What ends or answers what was taken on has the reserve; more is not taken on.
        Ok(self.spool.is_crowded()?.then_some(Text::SpoolCrowded))
    }

    /// Whether this is said to somebody who has just read it. Ten thousand messages are not answered
    /// ten thousand times: the words would stand before every answer of the agent's.
    fn is_heard_already(
        &self,
        no: &Text<'_>,
        message: &Inbound,
        place: &Place<'_>,
        now: u64,
    ) -> Result<bool, SpoolError> {
        let of_a_flood = matches!(
            no,
            Text::RateLimited { .. } | Text::QueueFull { .. } | Text::SpoolCrowded
        );
        if !of_a_flood || message.act != Act::Message {
            return Ok(false);
        }
        let what = format!("flood {}", message.sender.id);
        let due = self
            .spool
            .tell_once(place.instance, place.address, &what, FLOOD, now)?;
        Ok(!due)
    }

    /// What stands against a text, whoever wrote it.
    pub(super) fn unfit<'a>(&self, text: &str) -> Option<Text<'a>> {
        if text.len() > MAX_TEXT {
            return Some(Text::TooLong {
                limit_kib: MAX_TEXT / 1024,
            });
        }
        let lower = text.to_lowercase();
        let mut banned = self.plan.banned_words.iter();
        banned
            .any(|word| lower.contains(&word.to_lowercase()))
            .then_some(Text::BannedWord)
    }

    /// What the agent is to read for a message.
    pub(super) fn compose(
        &self,
        project: &str,
        message: &Inbound,
        text: &str,
        place: &Place<'_>,
    ) -> Option<String> {
        let project = self.plan.projects.get(project)?;
        let worker = self.workers.get(place.instance);
        let dialect = worker.map(|w| w.capabilities.dialect.as_str());
        Some(prompt::compose(&prompt::Parts {
            sender: project
                .inject_sender
                .unwrap_or(message.shared)
                .then_some(message.sender.name.as_str()),
            quoted: message.quoted.as_deref(),
            text,
            hint: dialect.filter(|_| project.style_hint),
            left_out: &message.left_out,
        }))
    }

    fn enqueue(
        &mut self,
        conversation: &Conversation,
        message: &Inbound,
        text: String,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(prompt) = self.compose(&conversation.project, message, &text, place) else {
            return Ok(());
        };
        let said = said(&text);
        let ahead = self.spool.queued_ahead(&conversation.session)?
            + u64::from(self.spool.active_turn(&conversation.session)?.is_some());
        let id = self.ids.short();
        self.spool.add_turn(&Turn {
            prompt_id: ids::prompt_id(&id),
            id: id.clone(),
            number: 0,
            project: conversation.project.clone(),
            session: conversation.session.clone(),
            instance: place.instance.to_owned(),
            address: place.address.to_owned(),
            reply_to: place.reply_to.to_owned(),
            asker: message.sender.id.clone(),
            language: lang.code().to_owned(),
            prompt,
            trace: place.trace.to_owned(),
            state: TurnState::Queued,
            attempt: 0,
            updates: 0,
            queued_at: now,
            changed_at: now,
            event_id: message.event_id.clone(),
            said: said.clone(),
        })?;
        let mut files = left_out(message, lang);
        files.extend(self.attach(&id, &message.attachments)?);
        self.name_session(&conversation.session, &said)?;
        if !files.is_empty() {
            self.notice(place, &Text::LeftOut { files: &files }, lang, now)?;
        }
        if ahead > 0 && place.answers.is_empty() {
            // Most turns are short: who would wait for a moment only is spared the message.
            self.at(now + QUEUED, Timer::Queued { turn: id });
        } else if ahead > 0 {
            let ahead = ahead as usize;
            self.notice(place, &Text::Queued { ahead }, lang, now)?;
        } else {
            self.at(now + RUNNER_AWAY, Timer::RunnerAway { turn: id });
            match message.act {
                // The platform shows that an answer is due.
                Act::Command => self.notice(place, &Text::InstantReply, lang, now)?,
                _ => self.instant_reply(place, lang, now)?,
            }
        }
        self.dirty_sessions.insert(conversation.session.clone());
        Ok(())
    }

    /// Somebody's message has been waiting behind others: they are told, once while that turn runs,
    /// however many they send.
    pub(super) fn tell_queued(&mut self, id: &str, now: u64) -> Result<(), SpoolError> {
        let turn = self.spool.turn(id)?;
        let Some(turn) = turn.filter(|turn| turn.state == TurnState::Queued) else {
            return Ok(());
        };
        let Some(active) = self.spool.active_turn(&turn.session)? else {
            // It waits for the runner, and that is said elsewhere.
            return Ok(());
        };
        if !self.is_ready(&turn.project) {
            // So here, but it may be back before that is.
            self.at(now + QUEUED, Timer::Queued { turn: turn.id });
            return Ok(());
        }
        // The first of theirs that waits: the others come behind it.
        let queued = self.spool.queued(&turn.session)?;
        let before = queued.iter().take_while(|other| other.asker != turn.asker);
        let ahead = before.count() + 1;
        let what = format!("queued {} {}", active.id, turn.asker);
        if !self
            .spool
            .tell_once(&turn.instance, &turn.address, &what, DAY, now)?
        {
            return Ok(());
        }
        let place = Place::from(&turn);
        self.notice(&place, &Text::Queued { ahead }, lang(&turn), now)
    }

    /// After a start: whoever waits is told as if nothing had happened.
    pub(super) fn await_queued(&mut self, session: &str, now: u64) -> Result<(), SpoolError> {
        for turn in self.spool.queued(session)? {
            let due = (turn.queued_at + QUEUED).max(now);
            self.at(due, Timer::Queued { turn: turn.id });
        }
        Ok(())
    }

    /// A word at once, where the operator wants one.
    fn instant_reply(&mut self, place: &Place<'_>, lang: Lang, now: u64) -> Result<(), SpoolError> {
        match self.plan.instant_reply.clone() {
            Some(words) if words.trim().is_empty() => {
                self.notice(place, &Text::InstantReply, lang, now)
            }
            Some(words) => self.post(place, &words, now).map(drop),
            None => Ok(()),
        }
    }

    /// A session is called by its first message.
    fn name_session(&mut self, session: &str, said: &str) -> Result<(), SpoolError> {
        match self.spool.session(session)? {
            Some(session) if session.title.is_empty() => {
                let title = said.split_whitespace().collect::<Vec<_>>().join(" ");
                let title = title.chars().take(TITLE).collect();
                self.spool.put_session(&Session { title, ..session })
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody may do what changes others' sessions. Where the operator names nobody, the
    /// account's owner may.
    pub(super) fn is_admin(&self, project: &str, sender: &Sender) -> bool {
        let Some(project) = self.plan.projects.get(project) else {
            return false;
        };
        if project.admins.is_empty() {
            return sender.owner;
        }
        project
            .admins
            .iter()
            .any(|admin| admin == "*" || *admin == sender.id)
    }

    /// Whether a project's runner is linked, and has said how the open turns stand.
    pub(super) fn is_ready(&self, project: &str) -> bool {
        let runner = self.plan.projects.get(project).map(|p| &p.runner);
        let runner = runner.and_then(|runner| self.runners.get(runner));
        runner.is_some_and(|runner| runner.ready)
    }

    /// The process that runs a project's agents.
    pub(super) fn runner_of(&self, project: &str) -> Option<String> {
        self.plan.projects.get(project).map(|p| p.runner.clone())
    }
}

/// What of a message was not taken along, in a language that its worker has words in.
fn left_out(message: &Inbound, lang: Lang) -> Vec<String> {
    let entry = |(nth, en): (usize, &String)| match message.left_out_zh.get(nth) {
        Some(zh) if lang == Lang::Zh && !zh.is_empty() => zh.clone(),
        _ => en.clone(),
    };
    message.left_out.iter().enumerate().map(entry).collect()
}

/// As much of a message as `/history` may show.
pub(super) fn said(text: &str) -> String {
    text.trim().chars().take(SAID).collect()
}
