//! Acting as a user: say, reply, edit, delete, react, make a thread.
//!
//! Promises: people keep to their own rules too (2000 characters, the ends trimmed, what they may see and write).

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use serde_json::json;

use crate::mentions::Allowed;
use crate::permissions as may;
use crate::rest::safe_name;
use crate::world::{Attachment, Kind, Message, message_type};
use crate::{FakeDiscord, Id};

/// A message of a person.
#[derive(Debug, Clone, Default)]
pub struct Say {
    /// Its text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<Id>,
    /// Whether a reply does not ping whom it answers.
    pub quiet: bool,
    /// Its files.
    pub files: Vec<File>,
}

impl Say {
    /// Only text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// A file of a person.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: Option<String>,
    /// Its content.
    pub data: Vec<u8>,
}

/// What a person cannot do, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such user.
    #[error("there is no user {0}")]
    NoUser(Id),
    /// No such channel.
    #[error("there is no channel {0}")]
    NoChannel(Id),
    /// No such message.
    #[error("there is no message {0}")]
    NoMessage(Id),
    /// It is not their message.
    #[error("user {user} did not write message {message}")]
    NotTheirs {
        /// Who.
        user: Id,
        /// Which.
        message: Id,
    },
    /// They are not there, or may not write.
    #[error("user {user} may not do that in channel {channel}")]
    NotAllowed {
        /// Who.
        user: Id,
        /// Where.
        channel: Id,
    },
    /// Nothing to send, or too much.
    #[error("a message has 1 to 2000 characters or a file; this has {0} characters")]
    Length(usize),
    /// No such component, or it is disabled.
    #[error("message {message} has no usable component {custom_id:?}")]
    NoComponent {
        /// Where.
        message: Id,
        /// Which.
        custom_id: String,
    },
    /// The bot has no such command here.
    #[error("the bot has registered no command {0:?} for this place")]
    NoCommand(String),
    /// A client would not send the command like this.
    #[error("option {option:?} of command {command:?} {why}")]
    BadOption {
        /// Of which command.
        command: String,
        /// Which.
        option: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl FakeDiscord {
    /// A person writes in a channel.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn says(&self, user: Id, channel: Id, say: Say) -> Result<Id, Refused> {
        let mut core = self.shared.core();
        if !core.world.users.contains_key(&user) {
            return Err(Refused::NoUser(user));
        }
        let place = core
            .world
            .channels
            .get(&channel)
            .ok_or(Refused::NoChannel(channel))?;
        let needed = if place.kind.is_thread() {
            may::SEND_MESSAGES_IN_THREADS
        } else {
            may::SEND_MESSAGES
        };
        let bits = core.world.permissions(user, place);
        let locked = place.thread.as_ref().is_some_and(|thread| thread.locked);
        if bits & needed == 0
            || !say.files.is_empty() && bits & may::ATTACH_FILES == 0
            || locked && bits & may::MANAGE_THREADS == 0
        {
            return Err(Refused::NotAllowed { user, channel });
        }
        let content = say.text.trim().to_owned();
        let length = content.chars().count();
        if length > 2000 || length == 0 && say.files.is_empty() {
            return Err(Refused::Length(length));
        }
        let mut mentions = core.mentions_of(user, channel, &content, &Allowed::everything());
        let answered = match say.reply_to {
            Some(id) => Some(core.world.message(id).ok_or(Refused::NoMessage(id))?.author),
            None => None,
        };
        if let Some(author) = answered.filter(|author| *author != user && !say.quiet) {
            mentions.users.insert(author);
        }
        let mut attachments = Vec::new();
        for file in say.files {
            attachments.push(Attachment {
                id: core.mint(),
                name: safe_name(&file.name),
                content_type: file.content_type,
                description: None,
                data: Bytes::from(file.data),
            });
        }
        let (id, at_ms) = (core.mint(), core.now());
        Ok(core.post(Message {
            id,
            channel,
            author: user,
            kind: if say.reply_to.is_some() {
                message_type::REPLY
            } else {
                message_type::DEFAULT
            },
            content,
            at_ms,
            edited_ms: None,
            flags: 0,
            // A person's client sends one as well.
            nonce: Some(json!(id.0.wrapping_add(1).to_string())),
            reference: say.reply_to,
            mentions,
            pings: BTreeSet::new(),
            attachments,
            embeds: Vec::new(),
            components: Vec::new(),
            reactions: BTreeMap::new(),
            only_for: None,
            interaction: None,
            seen_at: 0,
        }))
    }

    /// A person writes text in a channel.
    ///
    /// # Panics
    /// If they cannot; a test that goes on would only fail later.
    #[track_caller]
    #[allow(
        clippy::panic,
        reason = "a wrong step of a test should stop it where it stands"
    )]
    pub fn user_says(&self, user: Id, channel: Id, text: &str) -> Id {
        self.says(user, channel, Say::text(text))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// A person writes to the scene's bot directly.
    ///
    /// # Panics
    /// As [`FakeDiscord::user_says`].
    #[track_caller]
    pub fn dm(&self, user: Id, text: &str) -> Id {
        self.user_says(user, self.dm_channel(user), text)
    }

    /// A person answers a message, with the ping that clients put on by default.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn reply_to(&self, user: Id, message: Id, text: &str) -> Result<Id, Refused> {
        let channel = self.channel_of(message)?;
        self.says(
            user,
            channel,
            Say {
                reply_to: Some(message),
                ..Say::text(text)
            },
        )
    }

    fn channel_of(&self, message: Id) -> Result<Id, Refused> {
        let core = self.shared.core();
        core.world
            .message(message)
            .map(|it| it.channel)
            .ok_or(Refused::NoMessage(message))
    }

    /// A person changes their message.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn edit(&self, user: Id, message: Id, text: &str) -> Result<(), Refused> {
        let mut core = self.shared.core();
        let it = core
            .world
            .message(message)
            .ok_or(Refused::NoMessage(message))?;
        if it.author != user {
            return Err(Refused::NotTheirs { user, message });
        }
        if core.closed_thread(it.channel) {
            let channel = it.channel;
            return Err(Refused::NotAllowed { user, channel });
        }
        let content = text.trim().to_owned();
        let length = content.chars().count();
        if length == 0 && it.attachments.is_empty() || length > 2000 {
            return Err(Refused::Length(length));
        }
        let mentions = core.mentions_of(user, it.channel, &content, &Allowed::everything());
        let now = core.now();
        if let Some(it) = core.world.message_mut(message) {
            it.content = content;
            it.mentions = mentions;
            it.edited_ms = Some(now);
        }
        core.changed(message);
        Ok(())
    }

    /// A person deletes a message: their own, or any that they may.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn delete(&self, user: Id, message: Id) -> Result<(), Refused> {
        let mut core = self.shared.core();
        let it = core
            .world
            .message(message)
            .ok_or(Refused::NoMessage(message))?;
        let bits = core
            .world
            .channels
            .get(&it.channel)
            .map_or(0, |place| core.world.permissions(user, place));
        if it.author != user && bits & may::MANAGE_MESSAGES == 0 {
            return Err(Refused::NotTheirs { user, message });
        }
        core.remove_message(message, user);
        Ok(())
    }

    /// A person is seen typing.
    pub fn types(&self, user: Id, channel: Id) {
        self.shared.core().announce_typing(channel, user);
    }

    /// A person adds a reaction, or takes it back.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn react(&self, user: Id, message: Id, emoji: &str, on: bool) -> Result<(), Refused> {
        let channel = self.channel_of(message)?;
        let mut core = self.shared.core();
        let place = core.world.channels.get(&channel);
        let bits = place.map_or(0, |place| core.world.permissions(user, place));
        if bits & may::ADD_REACTIONS == 0 || core.closed_thread(channel) {
            return Err(Refused::NotAllowed { user, channel });
        }
        if core.toggle_reaction(message, user, emoji, on) {
            core.announce_reaction(channel, message, user, emoji, on);
        }
        Ok(())
    }

    /// A person makes a public thread, from a message or on its own.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn make_thread(
        &self,
        user: Id,
        parent: Id,
        from: Option<Id>,
        name: &str,
    ) -> Result<Id, Refused> {
        let mut core = self.shared.core();
        let place = core
            .world
            .channels
            .get(&parent)
            .ok_or(Refused::NoChannel(parent))?;
        if core.world.permissions(user, place) & may::CREATE_PUBLIC_THREADS == 0
            || place.kind != Kind::Text
        {
            return Err(Refused::NotAllowed {
                user,
                channel: parent,
            });
        }
        let id = from.unwrap_or_else(|| core.mint());
        if core.world.channels.contains_key(&id) {
            return Err(Refused::NotAllowed { user, channel: id });
        }
        core.open_thread(id, parent, Kind::PublicThread, name.into(), 4320, user);
        Ok(id)
    }

    /// Archives or locks a thread, as a moderator does.
    pub fn set_thread(&self, thread: Id, archived: bool, locked: bool) {
        let mut core = self.shared.core();
        if let Some(it) = core
            .world
            .channels
            .get_mut(&thread)
            .and_then(|it| it.thread.as_mut())
        {
            it.archived = archived;
            it.locked = locked;
        }
        core.announce_channel("THREAD_UPDATE", thread);
    }
}
