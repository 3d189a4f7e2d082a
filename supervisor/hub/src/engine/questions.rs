//! Questions of the agent's: shown, answered, closed.

use ipc_schema::{Body, Decide, Decision, Inbound, Question as Asked, QuestionKind};
use spool::{Question, QuestionState, SpoolError, Turn};

use super::Engine;
use super::outbox::Place;
use super::runner::lang;
use crate::answer;
use crate::question::{Shown, seen};
use crate::texts::{Lang, Text, say};

impl Engine {
    /// A question is committed before it is shown.
    pub(super) fn asked(&mut self, turn: &Turn, asked: Asked, now: u64) -> Result<(), SpoolError> {
        let Asked {
            question,
            about,
            deadline_ms: _,
        } = asked;
        let lang = lang(turn);
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
                };
                say(&text, lang)
            }
            QuestionKind::Plan { text } => say(&Text::PlanQuestion { plan: text }, lang),
            QuestionKind::Unknown => return self.deny(turn, question),
        };
        let posted = self.post(&turn.into(), &text, now)?;
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
        let text = match serde_json::from_str(&known.decision) {
            _ if !applied => Text::DecidedLate,
            Ok(Decision::Allow) => Text::DecidedAllow,
            Ok(Decision::AllowAlways) => Text::DecidedAlways,
            Ok(Decision::Deny { .. }) => Text::DecidedDeny,
            // The agent's next words show that it was understood.
            Ok(Decision::Answers { .. }) | Err(_) => return Ok(()),
        };
        self.notice(&turn.into(), &text, lang(turn), now)
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
        if turn.asker != message.sender.id && !self.is_admin(&turn.project, &message.sender.id) {
            self.notice(place, &Text::QuestionNotYours, lang, now)?;
            return Ok(true);
        }
        let chunk = self.spool.chunk(&shown.last_chunk)?;
        if !chunk.is_some_and(|chunk| seen(&chunk, message.order, message.sent_at_ms)) {
            self.notice(place, &Text::DecidedLate, lang, now)?;
            return Ok(true);
        }
        let decided = Question {
            state: QuestionState::Decided,
            decision: serde_json::to_string(&decision).unwrap_or_default(),
            ..question.clone()
        };
        self.spool.put_question(&decided)?;
        if let Some(runner) = self.runner_of(&turn.project) {
            let decide = Decide {
                question: question.id.clone(),
                decision,
            };
            self.send(&runner, &turn.trace, Body::Decide(decide));
        }
        Ok(true)
    }
}
