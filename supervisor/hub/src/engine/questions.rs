//! Questions of the agent's: shown, answered, closed.
//!
//! A message that shows one changes when the question is over, and only then: to what came of it.

use ipc_schema::{Access, Act, Body, Decide, Decision, Inbound, Question as Asked, QuestionKind};
use render::{Dialect, Limit};
use spool::{ChunkState, Question, QuestionState, SpoolError, Turn};

use super::Engine;
use super::outbox::{Place, Post, Posted, cut, limit_of};
use super::runner::lang;
use crate::answer;
use crate::form::Form;
use crate::question::{Decided, Shown, controls, outcome, seen};
use crate::texts::{By, Lang, Text, say};

/// Somebody may answer a question while it is being posted; for how long that can be, milliseconds.
const POSTING: u64 = 5_000;

impl Engine {
    /// A question is committed before it is shown.
    pub(super) fn asked(&mut self, turn: &Turn, asked: Asked, now: u64) -> Result<(), SpoolError> {
        let Asked {
            question,
            about,
            deadline_ms: _,
        } = asked;
        let lang = lang(turn);
        let controls = match self.capabilities(&turn.instance).buttons {
            true => controls(&about, |button| say(&Text::Button(button), lang)),
            false => Vec::new(),
        };
        let by = match controls.is_empty() {
            true => By::Typing,
            false => By::Pressing,
        };
        let text = match &about {
            QuestionKind::Permission {
                tool,
                detail,
                always,
            } => {
                let always = always.as_deref();
                say(
                    &Text::PermissionQuestion {
                        tool,
                        detail,
                        always,
                        by,
                    },
                    lang,
                )
            }
            QuestionKind::Choice {
                text,
                options,
                multiple,
            } => {
                let options: Vec<(&str, &str)> = options
                    .iter()
                    .map(|o| (o.label.as_str(), o.description.as_str()))
                    .collect();
                let text = Text::ChoiceQuestion {
                    question: text,
                    options: &options,
                    multiple: *multiple,
                    by,
                };
                say(&text, lang)
            }
            QuestionKind::Plan { text } => say(&Text::PlanQuestion { plan: text, by }, lang),
            QuestionKind::Unknown => return self.deny(turn, question),
        };
        let form = Form {
            controls,
            question: question.clone(),
            ..Form::default()
        };
        let posted = self.show_question(turn, &about, &text, form, lang, now)?;
        let shown = Shown {
            about,
            last_chunk: posted.last_chunk(),
        };
        self.spool.put_question(&Question {
            id: question,
            turn: turn.id.clone(),
            attempt: turn.attempt,
            session: turn.session.clone(),
            about: serde_json::to_string(&shown).unwrap_or_default(),
            state: QuestionState::Open,
            decision: String::new(),
            asked_at: now,
        })
    }

    /// Posts a question whole. Where it is answered by a press, one that is too long for a message goes
    /// on in a file; where it is answered by typing, it stays words, and how to answer is its end.
    fn show_question(
        &mut self,
        turn: &Turn,
        about: &QuestionKind,
        text: &str,
        mut form: Form,
        lang: Lang,
        now: u64,
    ) -> Result<Posted, SpoolError> {
        let capabilities = self.capabilities(&turn.instance);
        let limit = limit_of(&capabilities);
        let (name, mime, whole) = match about {
            QuestionKind::Permission { detail, .. } => ("request.txt", "text/plain", detail),
            QuestionKind::Plan { text } => ("plan.md", "text/markdown", text),
            QuestionKind::Choice { .. } | QuestionKind::Unknown => ("", "", &String::new()),
        };
        let rendered = render::render(text, Dialect::from_name(&capabilities.dialect));
        let fits = cut(&rendered, limit).len() <= 1;
        let as_file = !fits
            && !form.controls.is_empty()
            && !name.is_empty()
            && capabilities.files
            && whole.len() as u64 <= capabilities.file_limit;
        if as_file && let Some(file) = self.keep_file(name, mime, whole.as_bytes(), now)? {
            form.files.push(file);
            let note = say(&Text::WholeInFile, lang);
            let max_chars = limit.max_chars.saturating_sub(note.chars().count() + 2);
            let limit = Limit {
                max_chars: max_chars.max(1),
                ..limit
            };
            let first = cut(&rendered, limit).into_iter().next().unwrap_or_default();
            let post = Post {
                text: &format!("{first}\n\n{note}"),
                rendered: true,
                form,
                ..Post::default()
            };
            return self.publish(&turn.into(), post, now);
        }
        let post = Post {
            text,
            form,
            ..Post::default()
        };
        self.publish(&turn.into(), post, now)
    }

    /// A question is over: its message says what came of it, or, where it cannot be changed, a new
    /// one does.
    fn say_outcome(
        &mut self,
        turn: &Turn,
        known: &Question,
        words: &Text<'_>,
        now: u64,
    ) -> Result<(), SpoolError> {
        let lang = lang(turn);
        let capabilities = self.capabilities(&turn.instance);
        let shown = serde_json::from_str::<Shown>(&known.about).ok();
        let chunk = match shown {
            Some(shown) if capabilities.edit => self.spool.chunk(&shown.last_chunk)?,
            _ => None,
        };
        let Some(chunk) = chunk else {
            return self.notice(&turn.into(), words, lang, now);
        };
        let text = outcome(
            &chunk.text,
            &say(words, lang),
            limit_of(&capabilities).max_chars,
        );
        let post = Post {
            text: &text,
            rendered: true,
            form: Form {
                target: chunk.key,
                passing: true,
                silent: true,
                ..Form::default()
            },
            ..Post::default()
        };
        let place = Place {
            reply_to: "",
            ..turn.into()
        };
        self.publish(&place, post, now).map(drop)
    }

    /// Closes what is still open of a turn that ends or begins anew, and says so where it is shown.
    pub(super) fn withdraw_all(&mut self, turn: &Turn, now: u64) -> Result<(), SpoolError> {
        let closed = self.spool.close_questions_of(&turn.id)?;
        if !self.capabilities(&turn.instance).edit {
            return Ok(());
        }
        for known in closed {
            self.say_outcome(turn, &known, &Text::QuestionWithdrawn, now)?;
        }
        Ok(())
    }

    /// The runner took a question back, or nobody answered it in time.
    pub(super) fn withdrawn(
        &mut self,
        turn: &Turn,
        question: &str,
        expired: bool,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(known) = self.spool.question(question)? else {
            return Ok(());
        };
        if !self.close_question(turn, question)? {
            return Ok(());
        }
        match expired {
            true => self.say_outcome(turn, &known, &Text::QuestionExpired, now),
            false if self.capabilities(&turn.instance).edit => {
                self.say_outcome(turn, &known, &Text::QuestionWithdrawn, now)
            }
            false => Ok(()),
        }
    }

    /// A kind of question that nobody here can put into words is denied.
    fn deny(&mut self, turn: &Turn, question: String) -> Result<(), SpoolError> {
        if let Some(runner) = self.runner_of(&turn.project) {
            let why = "this kind of question cannot be shown here".to_owned();
            let decision = Decision::Deny { why };
            self.send(
                &runner,
                &turn.trace,
                Body::Decide(Decide { question, decision }),
            );
        }
        Ok(())
    }

    pub(super) fn decided(
        &mut self,
        turn: &Turn,
        question: &str,
        applied: bool,
        now: u64,
    ) -> Result<(), SpoolError> {
        let Some(known) = self.spool.question(question)? else {
            return Ok(());
        };
        if !self.close_question(turn, question)? {
            return Ok(());
        }
        let Ok(Decided { decision, who }) = serde_json::from_str(&known.decision) else {
            return Ok(());
        };
        let who = who.as_str();
        let chosen;
        let words = match decision {
            _ if !applied => Text::DecidedLate,
            Decision::Allow => Text::DecidedAllow { who },
            Decision::AllowAlways => Text::DecidedAlways { who },
            Decision::Deny { .. } => Text::DecidedDeny { who },
            // The agent's next words show that it was understood.
            Decision::Answers { .. } if !self.capabilities(&turn.instance).edit => return Ok(()),
            Decision::Answers { answers } => {
                chosen = answers.into_values().collect::<Vec<_>>().join(", ");
                Text::QuestionAnswered { what: &chosen, who }
            }
        };
        self.say_outcome(turn, &known, &words, now)
    }

    /// Closes a question of the turn's; whether it was open or decided until now.
    pub(super) fn close_question(
        &mut self,
        turn: &Turn,
        question: &str,
    ) -> Result<bool, SpoolError> {
        match self.spool.question(question)? {
            Some(known) if known.state != QuestionState::Closed && known.turn == turn.id => {
                self.spool.put_question(&Question {
                    state: QuestionState::Closed,
                    ..known
                })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether a message may answer a question of which the platform's number, which decides it, is on its
    /// way: the chat can be quicker than the worker's report. Where messages have no numbers there is
    /// nothing to wait for.
    pub(super) fn is_being_asked(
        &self,
        peer: &str,
        message: &Inbound,
        now: u64,
    ) -> Result<bool, SpoolError> {
        let Some(platform) = self.plan.platforms.get(peer) else {
            return Ok(false);
        };
        if message.order == 0 || message.act != Act::Message || message.access != Access::Granted {
            return Ok(false);
        }
        let (project, conversation) = (&platform.project, &message.conversation);
        let Some(at) = self.spool.conversation(project, peer, conversation)? else {
            return Ok(false);
        };
        let Some(question) = self.spool.open_question(&at.session)? else {
            return Ok(false);
        };
        let Ok(shown) = serde_json::from_str::<Shown>(&question.about) else {
            return Ok(false);
        };
        if answer::read(&message.text, &shown.about).is_none() {
            return Ok(false);
        }
        let chunk = self.spool.chunk(&shown.last_chunk)?;
        Ok(chunk.is_some_and(|chunk| {
            chunk.state == ChunkState::Leased
                && chunk.retries == 0
                && now < chunk.leased_at + POSTING
        }))
    }

    /// Whether the message was an answer to the open question; if so it is dealt with.
    pub(super) fn answered(
        &mut self,
        question: &Question,
        message: &Inbound,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<bool, SpoolError> {
        let Ok(shown) = serde_json::from_str::<Shown>(&question.about) else {
            return Ok(false);
        };
        let Some(decision) = answer::read(&message.text, &shown.about) else {
            return Ok(false);
        };
        let Some(turn) = self.spool.turn(&question.turn)? else {
            return Ok(false);
        };
        if turn.asker != message.sender.id && !self.is_admin(&turn.project, &message.sender) {
            self.notice(place, &Text::QuestionNotYours, lang, now)?;
            return Ok(true);
        }
        let chunk = self.spool.chunk(&shown.last_chunk)?;
        let (order, sent_at) = (message.order, message.sent_at_ms);
        if !chunk.is_some_and(|chunk| seen(&chunk, &shown.about, order, sent_at)) {
            self.notice(place, &Text::AnsweredEarly, lang, now)?;
            return Ok(true);
        }
        let who = message.sender.name.clone();
        self.decide(&turn, question, Decided { decision, who })?;
        Ok(true)
    }

    /// An answer is committed, and on its way to the agent.
    pub(super) fn decide(
        &mut self,
        turn: &Turn,
        question: &Question,
        decided: Decided,
    ) -> Result<(), SpoolError> {
        self.spool.put_question(&Question {
            state: QuestionState::Decided,
            decision: serde_json::to_string(&decided).unwrap_or_default(),
            ..question.clone()
        })?;
        if let Some(runner) = self.runner_of(&turn.project) {
            let decide = Decide {
                question: question.id.clone(),
                decision: decided.decision,
            };
            self.send(&runner, &turn.trace, Body::Decide(decide));
        }
        Ok(())
    }
}
