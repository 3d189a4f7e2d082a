//! The world: users, bots, guilds, channels, messages.
//!
//! Promises: plain data and look-ups, no time, no I/O. Ids of threads are ids of channels.
//! Does not: decide what anybody is told; that is `dispatch`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::Value;

use crate::permissions as may;
use crate::{Id, Line, ledger::FileSeen};

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) users: BTreeMap<Id, User>,
    /// By the id of the bot's user.
    pub(crate) bots: BTreeMap<Id, Bot>,
    pub(crate) guilds: BTreeMap<Id, Guild>,
    /// Channels, direct messages and threads.
    pub(crate) channels: BTreeMap<Id, Channel>,
    /// In which channel a message is.
    pub(crate) place: HashMap<Id, Id>,
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) bot: bool,
    /// Whether bots may write to them.
    pub(crate) accepts_dms: bool,
}

#[derive(Debug)]
pub(crate) struct Bot {
    pub(crate) user: Id,
    pub(crate) token: String,
    pub(crate) token_valid: bool,
    pub(crate) application: Application,
    pub(crate) budget: Budget,
    /// Times of the last IDENTIFYs, for the limit per window.
    pub(crate) identifies: VecDeque<u64>,
    pub(crate) nonces: Nonces,
}

/// The nonces of one author's last minutes.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    /// Nonce to message and the time it was made.
    by_nonce: HashMap<String, (Id, u64)>,
    /// Oldest first, to forget by.
    order: VecDeque<(u64, String)>,
}

impl Nonces {
    /// Remembers a nonce, and forgets what is older than `window_ms`.
    pub(crate) fn remember(&mut self, nonce: String, message: Id, now: u64, window_ms: u64) {
        let old = |at: u64| now.saturating_sub(at) >= window_ms;
        while self.order.front().is_some_and(|(at, _)| old(*at)) {
            let Some((_, nonce)) = self.order.pop_front() else {
                break;
            };
            // It may have been used again since.
            if self.by_nonce.get(&nonce).is_some_and(|(_, at)| old(*at)) {
                self.by_nonce.remove(&nonce);
            }
        }
        self.order.push_back((now, nonce.clone()));
        self.by_nonce.insert(nonce, (message, now));
    }

    /// The message made with this nonce within `window_ms`, also if it is gone by now.
    pub(crate) fn find(&self, nonce: &str, now: u64, window_ms: u64) -> Option<Id> {
        let (message, at) = self.by_nonce.get(nonce)?;
        (now.saturating_sub(*at) < window_ms).then_some(*message)
    }
}

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) owner: Id,
    pub(crate) team: Option<Vec<Id>>,
    pub(crate) interactions_endpoint_url: Option<String>,
    /// The portal's switches for the three privileged intents.
    pub(crate) content_intent: bool,
    pub(crate) members_intent: bool,
    pub(crate) presence_intent: bool,
    pub(crate) commands: Commands,
}

impl Application {
    /// `flags`, with the bits of apps that need no review.
    pub(crate) fn flags(&self) -> u64 {
        u64::from(self.presence_intent) << 13
            | u64::from(self.members_intent) << 15
            | u64::from(self.content_intent) << 19
    }
}

/// Commands by scope; the key is `None` for global ones.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) by_scope: BTreeMap<Option<Id>, Vec<Value>>,
    /// Times of creations a scope, for the 200 a day.
    pub(crate) created: BTreeMap<Option<Id>, VecDeque<u64>>,
}

/// IDENTIFYs left.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) total: u32,
    pub(crate) remaining: u32,
    pub(crate) resets_at: u64,
}

#[derive(Debug)]
pub(crate) struct Guild {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) owner: Id,
    pub(crate) roles: BTreeMap<Id, Role>,
    pub(crate) members: BTreeMap<Id, Member>,
    /// An outage: nothing of it is delivered.
    pub(crate) unavailable: bool,
}

#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) id: Id,
    pub(crate) name: String,
    /// The bot whose own role this is.
    pub(crate) managed_by: Option<Id>,
    pub(crate) mentionable: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) roles: BTreeSet<Id>,
    pub(crate) joined_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Dm,
    PublicThread,
    PrivateThread,
}

impl Kind {
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Text => 0,
            Self::Dm => 1,
            Self::PublicThread => 11,
            Self::PrivateThread => 12,
        }
    }

    pub(crate) fn is_thread(self) -> bool {
        matches!(self, Self::PublicThread | Self::PrivateThread)
    }
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) guild: Option<Id>,
    /// Of a thread.
    pub(crate) parent: Option<Id>,
    pub(crate) thread: Option<Thread>,
    /// Of a direct message: the person and the bot.
    pub(crate) recipients: Vec<Id>,
    pub(crate) denied: BTreeMap<Id, u64>,
    pub(crate) granted: BTreeMap<Id, u64>,
    pub(crate) messages: BTreeMap<Id, Message>,
    pub(crate) last_message: Option<Id>,
    /// Times of edits to messages older than an hour.
    pub(crate) old_edits: VecDeque<u64>,
}

impl Channel {
    pub(crate) fn new(id: Id, kind: Kind, name: String, guild: Option<Id>) -> Self {
        Self {
            id,
            kind,
            name,
            guild,
            parent: None,
            thread: None,
            recipients: Vec::new(),
            denied: BTreeMap::new(),
            granted: BTreeMap::new(),
            messages: BTreeMap::new(),
            last_message: None,
            old_edits: VecDeque::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Thread {
    pub(crate) owner: Id,
    pub(crate) archived: bool,
    pub(crate) locked: bool,
    pub(crate) auto_archive_minutes: u64,
    pub(crate) archive_stamp_ms: u64,
    pub(crate) members: BTreeSet<Id>,
}

#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) content_type: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) data: axum::body::Bytes,
}

/// Message types that the fake makes.
pub(crate) mod message_type {
    pub(crate) const DEFAULT: u64 = 0;
    pub(crate) const THREAD_CREATED: u64 = 18;
    pub(crate) const REPLY: u64 = 19;
    pub(crate) const CHAT_INPUT_COMMAND: u64 = 20;
    pub(crate) const THREAD_STARTER: u64 = 21;
}

/// Message flags.
pub(crate) mod flag {
    pub(crate) const SUPPRESS_EMBEDS: u64 = 1 << 2;
    pub(crate) const HAS_THREAD: u64 = 1 << 5;
    pub(crate) const EPHEMERAL: u64 = 1 << 6;
    pub(crate) const LOADING: u64 = 1 << 7;
    pub(crate) const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
    pub(crate) const COMPONENTS_V2: u64 = 1 << 15;
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: Id,
    pub(crate) channel: Id,
    pub(crate) author: Id,
    pub(crate) kind: u64,
    pub(crate) content: String,
    pub(crate) at_ms: u64,
    pub(crate) edited_ms: Option<u64>,
    pub(crate) flags: u64,
    /// As it was sent: a string or a number.
    pub(crate) nonce: Option<Value>,
    pub(crate) reference: Option<Id>,
    pub(crate) mentions: crate::mentions::Mentions,
    /// Who was notified.
    pub(crate) pings: BTreeSet<Id>,
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) components: Vec<Value>,
    pub(crate) reactions: BTreeMap<String, BTreeSet<Id>>,
    /// For an ephemeral message, who sees it.
    pub(crate) only_for: Option<Id>,
    /// The interaction that it answers.
    pub(crate) interaction: Option<Value>,
    /// Where it stands in the ledger of what was seen.
    pub(crate) seen_at: u64,
}

impl Message {
    /// Whether Discord wrote it and not its author: a thread's first message, the word that there is a thread.
    pub(crate) fn of_the_system(&self) -> bool {
        matches!(
            self.kind,
            message_type::THREAD_CREATED | message_type::THREAD_STARTER
        )
    }

    /// How people see it.
    pub(crate) fn line(&self, from_bot: bool) -> Line {
        Line {
            channel: self.channel,
            message: self.id,
            author: self.author,
            from_bot,
            text: self.content.clone(),
            reply_to: self.reference.filter(|_| self.kind == message_type::REPLY),
            pings: self.pings.iter().copied().collect(),
            everyone: self.mentions.everyone,
            silent: self.flags & flag::SUPPRESS_NOTIFICATIONS != 0,
            files: self
                .attachments
                .iter()
                .map(|file| FileSeen {
                    name: file.name.clone(),
                    size: file.data.len(),
                })
                .collect(),
            embeds: self.embeds.clone(),
            components: self.components.clone(),
            nonce: self.nonce.as_ref().map(nonce_text),
            only_for: self.only_for,
            loading: self.flags & flag::LOADING != 0,
        }
    }
}

/// A nonce as a key: a string or a number means the same.
pub(crate) fn nonce_text(nonce: &Value) -> String {
    nonce
        .as_str()
        .map_or_else(|| nonce.to_string(), str::to_owned)
}

impl World {
    pub(crate) fn bot_by_token(&self, token: &str) -> Option<&Bot> {
        self.bots
            .values()
            .find(|bot| bot.token == token && bot.token_valid)
    }

    pub(crate) fn bot_by_application(&self, application: Id) -> Option<&Bot> {
        self.bots
            .values()
            .find(|bot| bot.application.id == application)
    }

    pub(crate) fn is_bot(&self, user: Id) -> bool {
        self.bots.contains_key(&user)
    }

    pub(crate) fn message(&self, message: Id) -> Option<&Message> {
        self.channels
            .get(self.place.get(&message)?)?
            .messages
            .get(&message)
    }

    pub(crate) fn message_mut(&mut self, message: Id) -> Option<&mut Message> {
        self.channels
            .get_mut(self.place.get(&message)?)?
            .messages
            .get_mut(&message)
    }

    /// What `user` may do in `channel`; 0 for who is not there at all.
    pub(crate) fn permissions(&self, user: Id, channel: &Channel) -> u64 {
        let Some(guild) = channel.guild else {
            return if channel.recipients.contains(&user) {
                may::USUAL
            } else {
                0
            };
        };
        let Some(guild) = self.guilds.get(&guild) else {
            return 0;
        };
        if !guild.members.contains_key(&user) {
            return 0;
        }
        if guild.owner == user {
            return may::ALL;
        }
        let mut bits = may::USUAL;
        // A thread has its parent's overwrites and none of its own.
        let place = channel
            .parent
            .and_then(|parent| self.channels.get(&parent))
            .unwrap_or(channel);
        bits &= !place.denied.get(&user).copied().unwrap_or(0);
        bits |= place.granted.get(&user).copied().unwrap_or(0);
        let invited = channel
            .thread
            .as_ref()
            .is_none_or(|thread| thread.members.contains(&user));
        if channel.kind == Kind::PrivateThread && !invited && bits & may::MANAGE_THREADS == 0 {
            return 0;
        }
        // Who cannot see a channel can do nothing in it.
        if bits & may::VIEW_CHANNEL == 0 {
            0
        } else {
            bits
        }
    }

    pub(crate) fn sees(&self, user: Id, channel: &Channel) -> bool {
        self.permissions(user, channel) & may::VIEW_CHANNEL != 0
    }

    /// The direct messages between a person and a bot, if they were ever opened.
    pub(crate) fn dm_between(&self, one: Id, other: Id) -> Option<Id> {
        let between = |channel: &&Channel| {
            channel.kind == Kind::Dm
                && channel.recipients.contains(&one)
                && channel.recipients.contains(&other)
        };
        self.channels
            .values()
            .find(between)
            .map(|channel| channel.id)
    }

    /// Everyone who is in the place of `channel`.
    pub(crate) fn people_in(&self, channel: &Channel) -> Vec<Id> {
        match channel.guild.and_then(|guild| self.guilds.get(&guild)) {
            Some(guild) => guild
                .members
                .keys()
                .copied()
                .filter(|user| self.sees(*user, channel))
                .collect(),
            None => channel.recipients.clone(),
        }
    }
}
