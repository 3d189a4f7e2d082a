//! Reading messages, typing, reactions.

use serde_json::{Value, json};

use super::error::{ApiError, Form};
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;
use crate::permissions as may;
use crate::world::{Channel, Message};

/// Addresses that one request refreshes.
const MOST_REFRESHED: usize = 50;

impl Core {
    pub(super) fn get_message(&mut self, me: Id, channel: Id, message: Id) -> Done {
        if self.bits(me, channel)? & may::READ_MESSAGE_HISTORY == 0 {
            return Err(ApiError::MISSING_ACCESS);
        }
        self.standing(me, channel, message)?;
        Answer::ok(self.shown(me, message))
    }

    pub(super) fn messages(&mut self, me: Id, channel: Id, query: &[(String, String)]) -> Done {
        let bits = self.bits(me, channel)?;
        let find = |key: &str| {
            query
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
        };
        let limit = match find("limit") {
            None => 50,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=100) => limit,
                _ => {
                    let words = "int value should be between 1 and 100.";
                    return Err(Form::one(&["limit"], "NUMBER_TYPE_RANGE", words));
                }
            },
        };
        let mut edges = Vec::new();
        for key in ["before", "after", "around"] {
            if let Some(text) = find(key) {
                let id = text.parse::<Id>().map_err(|_| {
                    Form::one(
                        &[key],
                        "NUMBER_TYPE_COERCE",
                        &format!("Value \"{text}\" is not snowflake."),
                    )
                })?;
                edges.push((key, id));
            }
        }
        if edges.len() > 1 {
            let words = "before, after and around are mutually exclusive.";
            return Err(Form::one(&["_query"], "MUTUALLY_EXCLUSIVE", words));
        }
        if bits & may::READ_MESSAGE_HISTORY == 0 {
            return Answer::ok(json!([]));
        }
        let place = self.visible(me, channel)?;
        let page = page(place, edges.first().copied(), limit);
        let out: Vec<_> = page.into_iter().map(|id| self.shown(me, id)).collect();
        Answer::ok(Value::Array(out))
    }

    /// Fresh addresses for old ones. Not in the documentation; the shape is the one that clients of it expect.
    pub(super) fn refresh_urls(&mut self, body: &Value) -> Done {
        let mut form = Form::default();
        let Some(listed) = body.get("attachment_urls").and_then(Value::as_array) else {
            form.required(&["attachment_urls"]);
            return Err(form.error());
        };
        if listed.is_empty() || listed.len() > MOST_REFRESHED {
            form.bad_length(&["attachment_urls"], 1, MOST_REFRESHED);
            return Err(form.error());
        }
        let signer = self.signer();
        let one = |old: &Value| {
            let fresh = old.as_str().and_then(|old| signer.fresh(old));
            json!({ "original": old, "refreshed": fresh })
        };
        let all: Vec<_> = listed.iter().map(one).collect();
        Answer::ok(json!({ "refreshed_urls": all }))
    }

    pub(super) fn typing(&mut self, me: Id, channel: Id) -> Done {
        let bits = self.bits(me, channel)?;
        let thread = self.visible(me, channel)?.kind.is_thread();
        let needed = if thread {
            may::SEND_MESSAGES_IN_THREADS
        } else {
            may::SEND_MESSAGES
        };
        if bits & needed == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        self.announce_typing(channel, me);
        Answer::empty()
    }

    pub(super) fn set_reaction(
        &mut self,
        me: Id,
        channel: Id,
        message: Id,
        emoji: &str,
        on: bool,
    ) -> Done {
        let bits = self.bits(me, channel)?;
        let it = self.standing(me, channel, message)?;
        // A custom emoji is `name:id`; a standard one is never plain ASCII letters.
        if emoji.is_empty() || emoji.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(ApiError::UNKNOWN_EMOJI);
        }
        if self.closed_thread(channel) {
            return Err(ApiError::ARCHIVED);
        }
        let fresh = !it.reactions.contains_key(emoji);
        if on && (bits & may::READ_MESSAGE_HISTORY == 0 || fresh && bits & may::ADD_REACTIONS == 0)
        {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        if self.toggle_reaction(message, me, emoji, on) {
            self.announce_reaction(channel, message, me, emoji, on);
        }
        Answer::empty()
    }

    /// Whether this is an archived thread, in which nothing can be changed or reacted to.
    pub(crate) fn closed_thread(&self, channel: Id) -> bool {
        let thread = self.world.channels.get(&channel);
        thread
            .and_then(|it| it.thread.as_ref())
            .is_some_and(|it| it.archived)
    }

    /// Adds or takes a reaction; says whether that changed anything.
    pub(crate) fn toggle_reaction(&mut self, message: Id, user: Id, emoji: &str, on: bool) -> bool {
        let Some(it) = self.world.message_mut(message) else {
            return false;
        };
        if on {
            return it
                .reactions
                .entry(emoji.to_owned())
                .or_default()
                .insert(user);
        }
        let Some(users) = it.reactions.get_mut(emoji) else {
            return false;
        };
        let had = users.remove(&user);
        if users.is_empty() {
            it.reactions.remove(emoji);
        }
        had
    }
}

/// Ids of one page, newest first. `after` gives those nearest to it, as `before` does.
fn page(place: &Channel, edge: Option<(&'static str, Id)>, limit: usize) -> Vec<Id> {
    let public = |(_, it): &(&Id, &Message)| it.only_for.is_none();
    let before = |id: Id, limit: usize| {
        let older = place.messages.range(..id).rev().filter(public).take(limit);
        older.map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let from = |id: Id, limit: usize| {
        let mut newer: Vec<Id> = place
            .messages
            .range(id..)
            .filter(public)
            .take(limit)
            .map(|(id, _)| *id)
            .collect();
        newer.reverse();
        newer
    };
    match edge {
        None => before(Id(u64::MAX), limit),
        Some(("before", id)) => before(id, limit),
        Some(("after", id)) => from(Id(id.0.saturating_add(1)), limit),
        Some((_, id)) => {
            let older = before(id, limit / 2);
            let mut out = from(id, limit - older.len());
            out.extend(older);
            out
        }
    }
}
