//! Messages: post, edit, delete.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::body::Payload;
use super::draft::{Draft, MOST_FILES, nonce};
use super::error::{ApiError, Form};
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;
use crate::mentions::Allowed;
use crate::objects;
use crate::permissions as may;
use crate::world::{Channel, Message, flag, message_type, nonce_text};

const HOUR_MS: u64 = 3_600_000;

impl Core {
    /// The channel, if `me` sees it.
    pub(crate) fn visible(&self, me: Id, channel: Id) -> Result<&Channel, ApiError> {
        let channel = self
            .world
            .channels
            .get(&channel)
            .ok_or(ApiError::UNKNOWN_CHANNEL)?;
        if self.world.sees(me, channel) {
            Ok(channel)
        } else {
            Err(ApiError::MISSING_ACCESS)
        }
    }

    /// What `me` may do in a channel that it sees.
    pub(crate) fn bits(&self, me: Id, channel: Id) -> Result<u64, ApiError> {
        Ok(self.world.permissions(me, self.visible(me, channel)?))
    }

    /// The message, if it is in that channel and `me` is shown it.
    pub(super) fn standing(&self, me: Id, channel: Id, message: Id) -> Result<&Message, ApiError> {
        let found = self.visible(me, channel)?.messages.get(&message);
        found
            .filter(|it| it.only_for.is_none())
            .ok_or(ApiError::UNKNOWN_MESSAGE)
    }

    /// A message as the answer to its own POST: with its nonce, which is told once and not kept.
    pub(super) fn made(&self, me: Id, message: Id) -> Value {
        let mut out = self.shown(me, message);
        if let Some(nonce) = self.world.message(message).and_then(|it| it.nonce.clone()) {
            out["nonce"] = nonce;
        }
        out
    }

    pub(crate) fn shown(&self, me: Id, message: Id) -> Value {
        let content = self.reads_content(me);
        self.world.message(message).map_or(Value::Null, |it| {
            objects::message(&self.world, &self.signer(), it, me, content)
        })
    }

    /// Whether `me` may write this here.
    fn may_write(&self, me: Id, channel: Id, draft: &Draft) -> Result<(), ApiError> {
        let bits = self.bits(me, channel)?;
        let place = self.visible(me, channel)?;
        let needed = if place.kind.is_thread() {
            may::SEND_MESSAGES_IN_THREADS
        } else {
            may::SEND_MESSAGES
        };
        if bits & needed == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        if place.thread.as_ref().is_some_and(|thread| thread.locked)
            && bits & may::MANAGE_THREADS == 0
        {
            return Err(ApiError::THREAD_LOCKED);
        }
        if !draft.files.is_empty() && bits & may::ATTACH_FILES == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        let shut = |id: &Id| {
            *id != me
                && self
                    .world
                    .users
                    .get(id)
                    .is_some_and(|user| !user.accepts_dms)
        };
        if place.recipients.iter().any(shut) {
            return Err(ApiError::CANNOT_DM);
        }
        Ok(())
    }

    /// Takes the embeds out of a draft where their author may not embed; says whether there were any.
    fn takes_embeds_away(&self, me: Id, channel: Id, draft: &mut Draft) -> bool {
        let allowed = self
            .bits(me, channel)
            .is_ok_and(|bits| bits & may::EMBED_LINKS != 0);
        let full = draft.embeds.as_deref().is_some_and(|list| !list.is_empty());
        if allowed || !full {
            return false;
        }
        draft.embeds = Some(Vec::new());
        true
    }

    pub(super) fn post_message(&mut self, me: Id, channel: Id, payload: &Payload) -> Done {
        self.visible(me, channel)?;
        let mut draft = self.draft(payload)?;
        let nonce = nonce(&payload.json)?;
        self.may_write(me, channel, &draft)?;
        if draft.blank() {
            return Err(ApiError::EMPTY_MESSAGE);
        }
        // Without EMBED_LINKS embeds fall away in silence, and only what would be nothing without them is refused
        // (discord-api-docs#2601).
        if self.takes_embeds_away(me, channel, &mut draft) && draft.blank() {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        let now = self.now();
        let enforced = payload
            .json
            .get("enforce_nonce")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let first = nonce
            .as_ref()
            .filter(|_| enforced)
            .and_then(|nonce| self.by_nonce(me, nonce, now));
        if let Some(first) = first {
            // The same message again, not a second one; if it was deleted meanwhile there is nothing to give.
            return match self.world.message(first) {
                Some(_) => Answer::ok(self.made(me, first)),
                None => Err(ApiError::UNKNOWN_MESSAGE),
            };
        }
        let reference = self.reply(me, channel, &payload.json)?;
        let allowed = draft.allowed.clone().unwrap_or_else(Allowed::everything);
        let content = draft.content.clone().unwrap_or_default();
        let mut mentions = self.mentions_of(me, channel, &content, &allowed);
        let answered = reference
            .and_then(|id| self.world.message(id))
            .map(|it| it.author);
        if let Some(author) = answered.filter(|author| allowed.replied_user && *author != me) {
            mentions.users.insert(author);
        }
        let id = self.mint();
        let window = self.options.nonce_window_ms;
        if let (Some(nonce), Some(bot)) = (&nonce, self.world.bots.get_mut(&me)) {
            bot.nonces.remember(nonce_text(nonce), id, now, window);
        }
        const SETTABLE: u64 =
            flag::SUPPRESS_EMBEDS | flag::SUPPRESS_NOTIFICATIONS | flag::COMPONENTS_V2;
        self.post(Message {
            id,
            channel,
            author: me,
            kind: if reference.is_some() {
                message_type::REPLY
            } else {
                message_type::DEFAULT
            },
            content,
            at_ms: now,
            edited_ms: None,
            flags: draft.flags() & SETTABLE,
            nonce,
            reference,
            mentions,
            pings: BTreeSet::new(),
            attachments: draft.files,
            embeds: draft.embeds.unwrap_or_default(),
            components: draft.components.unwrap_or_default(),
            reactions: BTreeMap::new(),
            only_for: None,
            interaction: None,
            seen_at: 0,
        });
        Answer::ok(self.made(me, id))
    }

    /// The message that this author made with this nonce in the last few minutes, also if it is gone.
    fn by_nonce(&self, me: Id, nonce: &Value, now: u64) -> Option<Id> {
        let nonces = &self.world.bots.get(&me)?.nonces;
        nonces.find(&nonce_text(nonce), now, self.options.nonce_window_ms)
    }

    /// The message that a body replies to, if it stands.
    fn reply(&self, me: Id, channel: Id, body: &Value) -> Result<Option<Id>, ApiError> {
        let Some(reference) = body.get("message_reference").filter(|it| !it.is_null()) else {
            return Ok(None);
        };
        if self.bits(me, channel)? & may::READ_MESSAGE_HISTORY == 0 {
            return Err(ApiError::REPLY_WITHOUT_HISTORY);
        }
        let named = reference
            .get("message_id")
            .cloned()
            .and_then(|id| serde_json::from_value::<Id>(id).ok());
        let Some(named) = named else {
            let mut form = Form::default();
            form.required(&["message_reference", "message_id"]);
            return Err(form.error());
        };
        let must = reference
            .get("fail_if_not_exists")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        match self.standing(me, channel, named) {
            Ok(it)
                if matches!(
                    it.kind,
                    message_type::THREAD_CREATED | message_type::THREAD_STARTER
                ) =>
            {
                let words = "Cannot reply to a system message";
                Err(Form::one(
                    &["message_reference"],
                    "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
                    words,
                ))
            }
            Ok(it) => Ok(Some(it.id)),
            Err(_) if must => Err(Form::one(
                &["message_reference"],
                "REPLIES_UNKNOWN_MESSAGE",
                "Unknown message",
            )),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn edit_message(
        &mut self,
        me: Id,
        channel: Id,
        message: Id,
        payload: &Payload,
    ) -> Done {
        let it = self.standing(me, channel, message)?;
        let (author, at_ms) = (it.author, it.at_ms);
        let mut draft = self.draft(payload)?;
        if author != me {
            return Err(ApiError::NOT_YOUR_MESSAGE);
        }
        let manages = self.bits(me, channel)? & may::MANAGE_THREADS != 0;
        let place = self.visible(me, channel)?;
        if let Some(thread) = &place.thread {
            if thread.locked && !manages {
                return Err(ApiError::THREAD_LOCKED);
            }
            if thread.archived {
                return Err(ApiError::ARCHIVED);
            }
        }
        if !draft.files.is_empty() && self.bits(me, channel)? & may::ATTACH_FILES == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        // What is left may be nothing, which is 50006 (discord-api-docs#5648).
        self.takes_embeds_away(me, channel, &mut draft);
        let now = self.now();
        if now.saturating_sub(at_ms) > HOUR_MS {
            self.old_edit(channel, now)?;
        }
        self.rewrite(message, draft, &Allowed::everything())?;
        Answer::ok(self.shown(me, message))
    }

    /// Edits to messages older than an hour have a limit of their own.
    fn old_edit(&mut self, channel: Id, now: u64) -> Result<(), ApiError> {
        let most = self.options.old_edits;
        let place = self
            .world
            .channels
            .get_mut(&channel)
            .ok_or(ApiError::UNKNOWN_CHANNEL)?;
        place
            .old_edits
            .retain(|at| now.saturating_sub(*at) < HOUR_MS);
        if place.old_edits.len() >= most {
            return Err(ApiError {
                retry_after: Some(60.0),
                ..ApiError::OLD_EDITS
            });
        }
        place.old_edits.push_back(now);
        Ok(())
    }

    /// Puts a draft over a message that stands, and tells of it. `usual`: what counts without `allowed_mentions`.
    pub(crate) fn rewrite(
        &mut self,
        message: Id,
        draft: Draft,
        usual: &Allowed,
    ) -> Result<(), ApiError> {
        let now = self.now();
        let it = self
            .world
            .message(message)
            .ok_or(ApiError::UNKNOWN_MESSAGE)?;
        let mut next = it.clone();
        let allowed = draft.allowed.as_ref().unwrap_or(usual);
        if let Some(content) = draft.content {
            next.mentions = self.mentions_of(it.author, it.channel, &content, allowed);
            next.content = content;
        }
        if let Some(embeds) = draft.embeds {
            next.embeds = embeds;
        }
        if let Some(components) = draft.components {
            next.components = components;
        }
        if let Some(keep) = draft.keep {
            next.attachments.retain(|file| keep.contains(&file.id));
        }
        next.attachments.extend(draft.files);
        if next.attachments.len() > MOST_FILES {
            return Err(ApiError::TOO_MANY_FILES);
        }
        // SUPPRESS_EMBEDS comes and goes, IS_COMPONENTS_V2 only comes; without the field both stay.
        if let Some(flags) = draft.flags {
            next.flags = next.flags & !flag::SUPPRESS_EMBEDS
                | flags & (flag::SUPPRESS_EMBEDS | flag::COMPONENTS_V2);
        }
        next.flags &= !flag::LOADING;
        next.edited_ms = Some(now);
        let empty = next.content.is_empty()
            && next.embeds.is_empty()
            && next.components.is_empty()
            && next.attachments.is_empty();
        if empty {
            return Err(ApiError::EMPTY_MESSAGE);
        }
        if let Some(it) = self.world.message_mut(message) {
            *it = next;
        }
        self.changed(message);
        Ok(())
    }

    pub(super) fn delete_message(&mut self, me: Id, channel: Id, message: Id) -> Done {
        let author = self.standing(me, channel, message)?.author;
        let manages = self.bits(me, channel)? & may::MANAGE_THREADS != 0;
        let thread = self.visible(me, channel)?.thread.as_ref();
        // Deleting is what an archived thread still takes, unless it is locked as well.
        if thread.is_some_and(|it| it.locked && it.archived) && !manages {
            return Err(ApiError::THREAD_LOCKED);
        }
        if author != me {
            if self.visible(me, channel)?.guild.is_none() {
                return Err(ApiError::NOT_IN_A_DM);
            }
            if self.bits(me, channel)? & may::MANAGE_MESSAGES == 0 {
                return Err(ApiError::MISSING_PERMISSIONS);
            }
        }
        self.remove_message(message, me);
        Answer::empty()
    }
}
