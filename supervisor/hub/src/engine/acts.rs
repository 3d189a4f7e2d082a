//! What people do beside writing: they press, change what they wrote, or take it back.

use ipc_schema::Inbound;
use spool::{QuestionState, SpoolError, TurnState};

use super::Engine;
use super::outbox::Place;
use crate::question::{Decided, Shown, pressed};
use crate::texts::{Lang, Text};

impl Engine {
    /// Somebody pressed a control under a question. They are answered whatever it comes to.
    pub(super) fn pressed(
        &mut self,
        question: &str,
        values: &[String],
        message: &Inbound,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let known = self.spool.question(question)?;
        let turn = match &known {
            Some(known) => self.spool.turn(&known.turn)?,
            None => None,
        };
        // One of another account is not this worker's to speak of.
        let turn = turn.filter(|turn| turn.instance == place.instance);
        let (Some(known), Some(turn)) = (known, turn) else {
            return self.notice(place, &Text::DecidedLate, lang, now);
        };
        if turn.asker != message.sender.id && !self.is_admin(&turn.project, &message.sender) {
            return self.notice(place, &Text::QuestionNotYours, lang, now);
        }
        let decision = serde_json::from_str::<Shown>(&known.about)
            .ok()
            .and_then(|shown| pressed(values, &shown.about));
        match decision {
            Some(decision) if known.state == QuestionState::Open => {
                let who = message.sender.name.clone();
                self.decide(&turn, &known, Decided { decision, who })
            }
            _ => self.notice(place, &Text::DecidedLate, lang, now),
        }
    }

    /// Somebody changed a message: as long as its turn waits, it is what they meant to say.
    pub(super) fn edited(
        &mut self,
        of: &str,
        message: &Inbound,
        place: &Place<'_>,
        lang: Lang,
        now: u64,
    ) -> Result<(), SpoolError> {
        let waiting = self.spool.queued_by(place.instance, of)?;
        let Some(turn) = waiting.filter(|turn| turn.asker == message.sender.id) else {
            return Ok(());
        };
        if let Some(no) = self.unfit(&message.text) {
            return self.notice(place, &no, lang, now);
        }
        let Some(prompt) = self.compose(&turn.project, message, &message.text, place) else {
            return Ok(());
        };
        let said = super::intake::said(&message.text);
        self.spool.replace_prompt(&turn.id, &prompt, &said)?;
        tracing::info!(turn = %turn.id, "a message that waits was changed");
        Ok(())
    }

    /// Somebody took a message back: if its turn waits, it never starts.
    pub(super) fn taken_back(
        &mut self,
        of: &str,
        message: &Inbound,
        instance: &str,
        now: u64,
    ) -> Result<(), SpoolError> {
        let waiting = self.spool.queued_by(instance, of)?;
        if let Some(turn) = waiting.filter(|turn| turn.asker == message.sender.id) {
            self.spool
                .set_turn(&turn.id, TurnState::Stopped, turn.attempt, now)?;
            tracing::info!(turn = %turn.id, "a message that waited was taken back");
        }
        Ok(())
    }
}
