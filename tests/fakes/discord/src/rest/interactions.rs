//! Answers to interactions: the callback, the original response, follow-ups.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::body::Payload;
use super::draft::Draft;
use super::error::{ApiError, Form};
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;
use crate::ledger::Seen;
use crate::mentions::Allowed;
use crate::world::{Message, flag, message_type};

/// How long an answered interaction's token works.
const TOKEN_MS: u64 = 900_000;

impl Core {
    pub(super) fn callback(
        &mut self,
        id: Id,
        token: &str,
        query: &[(String, String)],
        payload: &Payload,
    ) -> Done {
        let now = self.now();
        let deadline = self.options.interaction_deadline_ms;
        let it = self
            .interactions
            .get(&id)
            .filter(|it| it.token == token)
            .ok_or(ApiError::UNKNOWN_INTERACTION)?;
        if it.answered.is_some() {
            return Err(ApiError::ALREADY_ACKNOWLEDGED);
        }
        if now.saturating_sub(it.at_ms) > deadline {
            return Err(ApiError::UNKNOWN_INTERACTION);
        }
        let (user, component) = (it.user, it.message);
        let kind = payload.json.get("type").and_then(Value::as_u64);
        let data = Payload {
            json: payload.json.get("data").cloned().unwrap_or(Value::Null),
            files: payload.files.clone(),
        };
        let original = match (kind, component) {
            (Some(4), _) => Some(self.respond(id, &data, false)?),
            (Some(5), _) => Some(self.respond(id, &data, true)?),
            (Some(6), Some(message)) => Some(message),
            (Some(7), Some(message)) => {
                let draft = self.draft(&data)?;
                self.rewrite(message, draft, &Allowed::users_only())?;
                Some(message)
            }
            (Some(9), _) => None,
            _ => {
                let words =
                    "Value must be one of (4, 5, 6, 7, 9), and 6 and 7 only for components.";
                return Err(Form::one(&["type"], "BASE_TYPE_CHOICES", words));
            }
        };
        let callback = kind.unwrap_or_default();
        if let Some(it) = self.interactions.get_mut(&id) {
            it.answered = Some(callback);
            it.original = original;
        }
        self.seen.push(Seen::Answered {
            interaction: id,
            user,
            callback,
        });
        let wanted = query.iter().any(|(key, value)| {
            key == "with_response" && matches!(value.as_str(), "true" | "True" | "1")
        });
        if !wanted {
            return Answer::empty();
        }
        let resource = original
            .filter(|_| matches!(callback, 4 | 5 | 7))
            .map(|message| json!({ "type": callback, "message": self.response_json(id, message) }));
        let kind = if component.is_some() { 3 } else { 2 };
        let ephemeral = original
            .and_then(|message| self.world.message(message))
            .is_some_and(|it| it.only_for.is_some());
        Answer::ok(json!({
            "interaction": {
                "id": id, "type": kind, "response_message_id": original,
                "response_message_loading": callback == 5, "response_message_ephemeral": ephemeral,
            },
            "resource": resource,
        }))
    }

    fn response_json(&self, interaction: Id, message: Id) -> Value {
        let bot = self
            .interactions
            .get(&interaction)
            .map(|it| it.bot)
            .unwrap_or_default();
        self.shown(bot, message)
    }

    /// Posts an answer; `deferred`: only that one is coming.
    fn respond(&mut self, interaction: Id, data: &Payload, deferred: bool) -> Result<Id, ApiError> {
        let draft = self.draft(data)?;
        if !deferred && draft.blank() {
            return Err(ApiError::EMPTY_MESSAGE);
        }
        self.answer_message(interaction, draft, deferred)
    }

    fn answer_message(
        &mut self,
        interaction: Id,
        draft: Draft,
        deferred: bool,
    ) -> Result<Id, ApiError> {
        let it = self
            .interactions
            .get(&interaction)
            .ok_or(ApiError::UNKNOWN_INTERACTION)?;
        let (bot, user, channel) = (it.bot, it.user, it.channel);
        let (metadata, command, component) =
            (it.metadata(&self.world), it.command.is_some(), it.message);
        let allowed = draft.allowed.clone().unwrap_or_else(Allowed::users_only);
        let content = draft.content.unwrap_or_default();
        let asked = draft.flags.unwrap_or(0);
        let ephemeral = asked & flag::EPHEMERAL != 0;
        const SETTABLE: u64 = flag::SUPPRESS_EMBEDS
            | flag::EPHEMERAL
            | flag::COMPONENTS_V2
            | flag::SUPPRESS_NOTIFICATIONS;
        // EPHEMERAL is the only flag of a deferred answer.
        let flags = if deferred {
            asked & flag::EPHEMERAL | flag::LOADING
        } else {
            asked & SETTABLE
        };
        let (id, at_ms) = (self.mint(), self.now());
        let mentions = self.mentions_of(bot, channel, &content, &allowed);
        Ok(self.post(Message {
            id,
            channel,
            author: bot,
            kind: if command {
                message_type::CHAT_INPUT_COMMAND
            } else {
                message_type::REPLY
            },
            content,
            at_ms,
            edited_ms: None,
            flags,
            nonce: None,
            reference: component,
            mentions,
            pings: BTreeSet::new(),
            attachments: draft.files,
            embeds: draft.embeds.unwrap_or_default(),
            components: draft.components.unwrap_or_default(),
            reactions: BTreeMap::new(),
            only_for: ephemeral.then_some(user),
            interaction: Some(metadata),
            seen_at: 0,
        }))
    }

    /// The answered interaction of a token, if it still works.
    fn by_token(&self, app: Id, token: &str) -> Result<Id, ApiError> {
        let now = self.now();
        let it = self.interactions.values().find(|it| it.token == token);
        let it = it.filter(|it| {
            self.world
                .bots
                .get(&it.bot)
                .is_some_and(|bot| bot.application.id == app)
        });
        let it = it
            .filter(|it| it.answered.is_some())
            .ok_or(ApiError::UNKNOWN_WEBHOOK)?;
        if now.saturating_sub(it.at_ms) > TOKEN_MS {
            Err(ApiError::BAD_WEBHOOK_TOKEN)
        } else {
            Ok(it.id)
        }
    }

    /// A message of an interaction: the original response or a follow-up.
    fn of_token(&self, app: Id, token: &str, which: Option<Id>) -> Result<(Id, Id), ApiError> {
        let id = self.by_token(app, token)?;
        let it = self
            .interactions
            .get(&id)
            .ok_or(ApiError::UNKNOWN_WEBHOOK)?;
        let message = match which {
            None => it.original,
            Some(named) => it
                .follow_ups
                .iter()
                .copied()
                .chain(it.original)
                .find(|known| *known == named),
        };
        let message = message.filter(|message| self.world.message(*message).is_some());
        Ok((id, message.ok_or(ApiError::UNKNOWN_MESSAGE)?))
    }

    pub(super) fn follow_up(&mut self, app: Id, token: &str, payload: &Payload) -> Done {
        let id = self.by_token(app, token)?;
        let original = self.interactions.get(&id).and_then(|it| it.original);
        let loading = original
            .and_then(|message| self.world.message(message))
            .is_some_and(|it| it.flags & flag::LOADING != 0);
        if let (true, Some(message)) = (loading, original) {
            // The first follow-up to a deferred answer takes its place.
            let draft = self.draft(payload)?;
            self.rewrite(message, draft, &Allowed::users_only())?;
            return Answer::ok(self.response_json(id, message));
        }
        let message = self.respond(id, payload, false)?;
        if let Some(it) = self.interactions.get_mut(&id) {
            it.follow_ups.push(message);
        }
        Answer::ok(self.response_json(id, message))
    }

    pub(super) fn get_follow_up(&mut self, app: Id, token: &str, which: Option<Id>) -> Done {
        let (id, message) = self.of_token(app, token, which)?;
        Answer::ok(self.response_json(id, message))
    }

    pub(super) fn edit_follow_up(
        &mut self,
        app: Id,
        token: &str,
        which: Option<Id>,
        payload: &Payload,
    ) -> Done {
        let (id, message) = self.of_token(app, token, which)?;
        let draft = self.draft(payload)?;
        self.rewrite(message, draft, &Allowed::users_only())?;
        Answer::ok(self.response_json(id, message))
    }

    pub(super) fn delete_follow_up(&mut self, app: Id, token: &str, which: Option<Id>) -> Done {
        let (id, message) = self.of_token(app, token, which)?;
        let bot = self
            .interactions
            .get(&id)
            .map(|it| it.bot)
            .unwrap_or_default();
        self.remove_message(message, bot);
        Answer::empty()
    }
}
