//! Threads: made from a message or without one, changed, joined, deleted.
//!
//! Source: Discord's "Threads" topic and "Channel" resource. A thread from a message has that message's id.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::error::{ApiError, Form};
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;
use crate::ledger::Seen;
use crate::mentions::Mentions;
use crate::objects;
use crate::permissions as may;
use crate::world::{Channel, Kind, Message, Thread, flag, message_type};

impl Core {
    pub(super) fn make_thread(
        &mut self,
        me: Id,
        parent: Id,
        from: Option<Id>,
        body: &Value,
    ) -> Done {
        let bits = self.bits(me, parent)?;
        match self.visible(me, parent)?.kind {
            Kind::Text => {}
            Kind::Dm => return Err(ApiError::NOT_IN_A_DM),
            Kind::PublicThread | Kind::PrivateThread => return Err(ApiError::WRONG_CHANNEL_TYPE),
        }
        let name = thread_name(body)?;
        let minutes = archive_minutes(body)?.unwrap_or(4320);
        // Without a message the default is private, as it was when threads were young.
        let kind = match (from, body.get("type").and_then(Value::as_u64)) {
            (Some(_), _) | (None, Some(11)) => Kind::PublicThread,
            (None, Some(12) | None) => Kind::PrivateThread,
            _ => {
                return Err(Form::one(
                    &["type"],
                    "BASE_TYPE_CHOICES",
                    "Value must be one of (10, 11, 12).",
                ));
            }
        };
        let needed = if kind == Kind::PublicThread {
            may::CREATE_PUBLIC_THREADS
        } else {
            may::CREATE_PRIVATE_THREADS
        };
        if bits & needed == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        if let Some(message) = from {
            if self.world.channels.contains_key(&message) {
                return Err(ApiError::THREAD_EXISTS);
            }
            if !self.visible(me, parent)?.messages.contains_key(&message) {
                return Err(ApiError::UNKNOWN_MESSAGE);
            }
        }
        let id = from.unwrap_or_else(|| self.mint());
        self.open_thread(id, parent, kind, name, minutes, me);
        Answer::created(objects::channel(&self.world, self.visible(me, id)?, me))
    }

    /// Puts a thread into the world and tells of it; its maker joins it.
    pub(crate) fn open_thread(
        &mut self,
        id: Id,
        parent: Id,
        kind: Kind,
        name: String,
        minutes: u64,
        by: Id,
    ) {
        let guild = self.world.channels.get(&parent).and_then(|it| it.guild);
        let thread = Thread {
            owner: by,
            archived: false,
            locked: false,
            auto_archive_minutes: minutes,
            archive_stamp_ms: self.now(),
            members: BTreeSet::from([by]),
        };
        self.world.channels.insert(
            id,
            Channel {
                parent: Some(parent),
                thread: Some(thread),
                ..Channel::new(id, kind, name.clone(), guild)
            },
        );
        self.seen.push(Seen::ThreadMade {
            parent,
            thread: id,
            name: name.clone(),
            by,
        });
        self.announce_channel("THREAD_CREATE", id);
        self.announce_membership(id, by, true);
        // The message that it hangs on shows it from now on.
        if let Some(message) = self.world.message_mut(id) {
            message.flags |= flag::HAS_THREAD;
            self.announce_message("MESSAGE_UPDATE", id);
            self.system_message(id, message_type::THREAD_STARTER, String::new(), id, by);
        } else if kind == Kind::PublicThread {
            self.system_message(parent, message_type::THREAD_CREATED, name, id, by);
        }
    }

    /// What Discord itself writes: a thread's first message that points at what it was started from, and in the parent of a thread that was
    /// started from nothing the word that there is one. No bot should take it for a person's.
    fn system_message(&mut self, channel: Id, kind: u64, content: String, reference: Id, by: Id) {
        let (id, at_ms) = (self.mint(), self.now());
        self.post(Message {
            id,
            channel,
            author: by,
            kind,
            content,
            at_ms,
            edited_ms: None,
            flags: 0,
            nonce: None,
            reference: Some(reference),
            mentions: Mentions::default(),
            pings: BTreeSet::new(),
            attachments: Vec::new(),
            embeds: Vec::new(),
            components: Vec::new(),
            reactions: BTreeMap::new(),
            only_for: None,
            interaction: None,
            seen_at: 0,
        });
    }

    /// The thread, with what `me` may do in it.
    fn thread(&self, me: Id, id: Id) -> Result<(&Thread, u64), ApiError> {
        let channel = self.visible(me, id)?;
        let thread = channel
            .thread
            .as_ref()
            .ok_or(ApiError::WRONG_CHANNEL_TYPE)?;
        Ok((thread, self.world.permissions(me, channel)))
    }

    pub(super) fn edit_thread(&mut self, me: Id, id: Id, body: &Value) -> Done {
        let (thread, bits) = self.thread(me, id)?;
        let manages = bits & may::MANAGE_THREADS != 0;
        let flag = |key: &str| body.get(key).and_then(Value::as_bool);
        let (archived, locked) = (flag("archived"), flag("locked"));
        let name = body.get("name").map(|_| thread_name(body)).transpose()?;
        let minutes = archive_minutes(body)?;
        let only_reopens =
            archived == Some(false) && locked.is_none() && name.is_none() && minutes.is_none();
        let allowed = match () {
            () if manages => true,
            () if locked.is_some() => false,
            () if thread.locked => thread.owner == me && only_reopens,
            () if only_reopens => thread.members.contains(&me) || thread.owner == me,
            () => thread.owner == me,
        };
        if !allowed {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        // An archived thread takes no change but to be opened again.
        if thread.archived && archived != Some(false) && (name.is_some() || minutes.is_some()) {
            return Err(ApiError::ARCHIVED);
        }
        let now = self.now();
        let channel = self
            .world
            .channels
            .get_mut(&id)
            .ok_or(ApiError::UNKNOWN_CHANNEL)?;
        if let Some(name) = name {
            channel.name = name;
        }
        if let Some(thread) = &mut channel.thread {
            if archived.is_some() || minutes.is_some() {
                thread.archive_stamp_ms = now;
            }
            thread.archived = archived.unwrap_or(thread.archived);
            thread.locked = locked.unwrap_or(thread.locked);
            thread.auto_archive_minutes = minutes.unwrap_or(thread.auto_archive_minutes);
        }
        self.announce_channel("THREAD_UPDATE", id);
        self.channel(me, id)
    }

    pub(super) fn delete_thread(&mut self, me: Id, id: Id) -> Done {
        let channel = self.visible(me, id)?;
        if channel.kind == Kind::Dm {
            return self.channel(me, id); // closing direct messages changes nothing for the person
        }
        let (_, bits) = self.thread(me, id)?;
        if bits & may::MANAGE_THREADS == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        let out = objects::channel(&self.world, self.visible(me, id)?, me);
        self.drop_thread(id);
        Answer::ok(out)
    }

    /// Takes a thread and its messages away and tells of it.
    pub(crate) fn drop_thread(&mut self, id: Id) {
        let Some(channel) = self.world.channels.get(&id) else {
            return;
        };
        let body = json!({
            "id": id, "guild_id": channel.guild, "parent_id": channel.parent, "type": channel.kind.number(),
        });
        let intents = (
            crate::gateway::intent::GUILDS,
            crate::gateway::intent::GUILDS,
        );
        self.tell_channel(id, "THREAD_DELETE", intents, &body);
        self.world.channels.remove(&id);
        self.world.place.retain(|_, channel| *channel != id);
    }

    pub(super) fn thread_member(&mut self, me: Id, id: Id, user: Id, joins: bool) -> Done {
        let (thread, bits) = self.thread(me, id)?;
        if thread.archived {
            return Err(ApiError::ARCHIVED);
        }
        if user != me && bits & may::SEND_MESSAGES_IN_THREADS == 0 {
            return Err(ApiError::MISSING_PERMISSIONS);
        }
        let channel = self.visible(me, id)?;
        let guild = channel
            .guild
            .and_then(|guild| self.world.guilds.get(&guild));
        if !guild.is_some_and(|guild| guild.members.contains_key(&user)) {
            return Err(ApiError::UNKNOWN_MEMBER);
        }
        let thread = self.world.channels.get_mut(&id);
        let changed = match thread.and_then(|it| it.thread.as_mut()) {
            Some(thread) if joins => thread.members.insert(user),
            Some(thread) => thread.members.remove(&user),
            None => false,
        };
        if changed {
            self.announce_membership(id, user, joins);
        }
        Answer::empty()
    }

    pub(super) fn thread_members(&mut self, me: Id, id: Id) -> Done {
        let (thread, _) = self.thread(me, id)?;
        let member = |user: &Id| json!({ "id": id, "user_id": user, "join_timestamp": objects::stamp(id.at_ms()), "flags": 0 });
        Answer::ok(thread.members.iter().map(member).collect())
    }

    pub(super) fn active_threads(&mut self, me: Id, guild: Id) -> Done {
        if !self
            .world
            .guilds
            .get(&guild)
            .ok_or(ApiError::UNKNOWN_GUILD)?
            .members
            .contains_key(&me)
        {
            return Err(ApiError::MISSING_ACCESS);
        }
        let open = |it: &&Channel| {
            it.guild == Some(guild) && it.thread.as_ref().is_some_and(|thread| !thread.archived)
        };
        let threads = self
            .world
            .channels
            .values()
            .filter(open)
            .filter(|it| self.world.sees(me, it));
        let threads: Vec<_> = threads
            .map(|it| objects::channel(&self.world, it, me))
            .collect();
        let members: Vec<_> = threads
            .iter()
            .filter_map(|it| it.get("member").cloned())
            .collect();
        Answer::ok(json!({ "threads": threads, "members": members }))
    }
}

fn thread_name(body: &Value) -> Result<String, ApiError> {
    let name = body
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim();
    let mut form = Form::default();
    if body.get("name").is_none_or(Value::is_null) {
        form.required(&["name"]);
    } else if !(1..=100).contains(&name.chars().count()) {
        form.bad_length(&["name"], 1, 100);
    }
    form.finish().map(|()| name.to_owned())
}

fn archive_minutes(body: &Value) -> Result<Option<u64>, ApiError> {
    match body.get("auto_archive_duration") {
        None | Some(Value::Null) => Ok(None),
        Some(minutes) => match minutes.as_u64() {
            Some(minutes @ (60 | 1440 | 4320 | 10080)) => Ok(Some(minutes)),
            _ => {
                let words = "Value must be one of (60, 1440, 4320, 10080).";
                Err(Form::one(
                    &["auto_archive_duration"],
                    "BASE_TYPE_CHOICES",
                    words,
                ))
            }
        },
    }
}
