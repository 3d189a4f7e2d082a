//! Who is told what.
//!
//! Promises: an event goes to every session of every bot that may see it and asked for it by its intents, connected or not, each with its own
//! sequence; content is empty where the content intent rules it.
//! Does not: change the world. Whoever changed it calls these afterwards.

use serde_json::{Value, json};

use crate::Id;
use crate::core::Core;
use crate::gateway::intent;
use crate::ledger::Seen;
use crate::objects;
use crate::world::{Channel, Kind, Message};

/// Which events a session gets.
enum Audience<'a> {
    /// Those who see this channel and asked for this intent, in guilds and in direct messages.
    Channel {
        place: &'a Channel,
        guild: u64,
        dm: u64,
    },
    /// Members of a guild who asked for this intent.
    Guild { guild: Id, intent: u64 },
    /// One bot, if it asked for this intent. An ephemeral message goes to its user and to the bot that sent it, past the channel, as if it
    /// were a direct one.
    Bot { bot: Id, intent: u64 },
}

impl Core {
    /// Sessions that get an event: their keys and their bot.
    fn audience(&self, audience: &Audience<'_>) -> Vec<(String, Id)> {
        let gets = |bot: Id, intents: u64| match audience {
            Audience::Channel { place, guild, dm } => {
                let intent = if place.guild.is_some() { guild } else { dm };
                let out = |id| self.world.guilds.get(&id).is_some_and(|it| it.unavailable);
                intents & intent == *intent
                    && self.world.sees(bot, place)
                    && !place.guild.is_some_and(out)
            }
            Audience::Guild { guild, intent } => {
                let guild = self.world.guilds.get(guild);
                intents & intent == *intent && guild.is_some_and(|it| it.members.contains_key(&bot))
            }
            Audience::Bot { bot: only, intent } => bot == *only && intents & intent == *intent,
        };
        let live = self.sessions.iter().filter(|(_, session)| !session.dead);
        live.filter(|(_, session)| gets(session.bot, session.intents))
            .map(|(key, session)| (key.clone(), session.bot))
            .collect()
    }

    /// Whether `bot` reads others' content: the portal's switch and, on the gateway, the intent.
    pub(crate) fn reads_content(&self, bot: Id) -> bool {
        self.world
            .bots
            .get(&bot)
            .is_some_and(|bot| bot.application.content_intent)
    }

    fn session_reads_content(&self, session: &str, bot: Id) -> bool {
        let asked = |it: &crate::gateway::Session| it.intents & intent::MESSAGE_CONTENT != 0;
        self.reads_content(bot) && self.sessions.get(session).is_some_and(asked)
    }

    /// MESSAGE_CREATE or MESSAGE_UPDATE of a message that stands in the world.
    pub(crate) fn announce_message(&mut self, event: &'static str, message: Id) {
        let Some(it) = self.world.message(message) else {
            return;
        };
        let Some(place) = self.world.channels.get(&it.channel) else {
            return;
        };
        let audience = match it.only_for {
            None => Audience::Channel {
                place,
                guild: intent::GUILD_MESSAGES,
                dm: intent::DIRECT_MESSAGES,
            },
            Some(_) => Audience::Bot {
                bot: it.author,
                intent: intent::DIRECT_MESSAGES,
            },
        };
        let signer = self.signer();
        let mut out = Vec::new();
        for (session, bot) in self.audience(&audience) {
            let content = self.session_reads_content(&session, bot);
            let mut body = objects::message_event(&self.world, &signer, it, bot, content);
            // A nonce is told once, and not kept.
            if let Some(nonce) = it.nonce.as_ref().filter(|_| event == "MESSAGE_CREATE") {
                body["nonce"] = nonce.clone();
            }
            out.push((session, body));
        }
        for (session, body) in out {
            self.dispatch(&session, event, &body);
        }
    }

    pub(crate) fn announce_deleted(&mut self, channel: Id, message: Id, only_of: Option<Id>) {
        if let Some(bot) = only_of {
            let body = json!({ "id": message, "channel_id": channel });
            let intent = intent::DIRECT_MESSAGES;
            for (session, _) in self.audience(&Audience::Bot { bot, intent }) {
                self.dispatch(&session, "MESSAGE_DELETE", &body);
            }
            return;
        }
        let guild = self.world.channels.get(&channel).and_then(|it| it.guild);
        let mut body = json!({ "id": message, "channel_id": channel });
        if let Some(guild) = guild {
            body["guild_id"] = json!(guild);
        }
        self.tell_channel(
            channel,
            "MESSAGE_DELETE",
            (intent::GUILD_MESSAGES, intent::DIRECT_MESSAGES),
            &body,
        );
    }

    pub(crate) fn announce_typing(&mut self, channel: Id, user: Id) {
        let Some(place) = self.world.channels.get(&channel) else {
            return;
        };
        let mut body =
            json!({ "channel_id": channel, "user_id": user, "timestamp": self.now() / 1000 });
        if let Some(guild) = place.guild.and_then(|id| self.world.guilds.get(&id)) {
            body["guild_id"] = json!(guild.id);
            if let Some(member) = guild.members.get(&user) {
                body["member"] = objects::with_user(objects::member(member), &self.world, user);
            }
        }
        self.tell_channel(
            channel,
            "TYPING_START",
            (intent::GUILD_TYPING, intent::DIRECT_TYPING),
            &body,
        );
        self.seen.push(Seen::Typing { channel, user });
    }

    pub(crate) fn announce_reaction(
        &mut self,
        channel: Id,
        message: Id,
        user: Id,
        emoji: &str,
        added: bool,
    ) {
        let mut body = json!({
            "channel_id": channel, "message_id": message, "user_id": user,
            "emoji": { "id": null, "name": emoji }, "burst": false, "type": 0,
        });
        if let Some(guild) = self
            .world
            .channels
            .get(&channel)
            .and_then(|place| place.guild)
        {
            body["guild_id"] = json!(guild);
        }
        if let (true, Some(it)) = (added, self.world.message(message)) {
            body["message_author_id"] = json!(it.author);
        }
        let event = if added {
            "MESSAGE_REACTION_ADD"
        } else {
            "MESSAGE_REACTION_REMOVE"
        };
        self.tell_channel(
            channel,
            event,
            (intent::GUILD_REACTIONS, intent::DIRECT_REACTIONS),
            &body,
        );
        let emoji = emoji.to_owned();
        self.seen.push(Seen::Reacted {
            channel,
            message,
            user,
            emoji,
            added,
        });
    }

    /// THREAD_CREATE, THREAD_UPDATE and the like: a channel object, as each bot sees it.
    pub(crate) fn announce_channel(&mut self, event: &'static str, channel: Id) {
        let Some(place) = self.world.channels.get(&channel) else {
            return;
        };
        if place.kind == Kind::Dm {
            return; // Bots are not told of direct channels since API v8.
        }
        let audience = Audience::Channel {
            place,
            guild: intent::GUILDS,
            dm: intent::GUILDS,
        };
        let mut out = Vec::new();
        for (session, bot) in self.audience(&audience) {
            let mut body = objects::channel(&self.world, place, bot);
            if event == "THREAD_CREATE" {
                body["newly_created"] = json!(true);
            }
            out.push((session, body));
        }
        for (session, body) in out {
            self.dispatch(&session, event, &body);
        }
    }

    /// THREAD_MEMBERS_UPDATE to the one who joined or left. Others hear of it only with GUILD_MEMBERS, which no bot of this kind has.
    pub(crate) fn announce_membership(&mut self, thread: Id, user: Id, joined: bool) {
        let Some((place, it)) = self
            .world
            .channels
            .get(&thread)
            .and_then(|place| Some((place, place.thread.as_ref()?)))
        else {
            return;
        };
        let mut body =
            json!({ "id": thread, "guild_id": place.guild, "member_count": it.members.len() });
        if joined {
            let since = objects::stamp(self.now());
            body["added_members"] =
                json!([{ "id": thread, "user_id": user, "join_timestamp": since, "flags": 0 }]);
        } else {
            body["removed_member_ids"] = json!([user]);
        }
        let intent = intent::GUILDS;
        for (session, _) in self.audience(&Audience::Bot { bot: user, intent }) {
            self.dispatch(&session, "THREAD_MEMBERS_UPDATE", &body);
        }
    }

    /// An event about a channel that is the same for everyone. `intents`: in guilds, in direct messages.
    pub(crate) fn tell_channel(
        &mut self,
        channel: Id,
        event: &str,
        intents: (u64, u64),
        body: &Value,
    ) {
        let Some(place) = self.world.channels.get(&channel) else {
            return;
        };
        let audience = Audience::Channel {
            place,
            guild: intents.0,
            dm: intents.1,
        };
        for (session, _) in self.audience(&audience) {
            self.dispatch(&session, event, body);
        }
    }

    /// An event about a guild that is the same for everyone in it.
    pub(crate) fn tell_guild(&mut self, guild: Id, event: &str, body: &Value) {
        for (session, _) in self.audience(&Audience::Guild {
            guild,
            intent: intent::GUILDS,
        }) {
            self.dispatch(&session, event, body);
        }
    }

    /// GUILD_CREATE to each session that the guild concerns, as when an outage ends.
    pub(crate) fn announce_guild(&mut self, guild: Id) {
        let audience = self.audience(&Audience::Guild {
            guild,
            intent: intent::GUILDS,
        });
        for (session, bot) in audience {
            let Some(it) = self.world.guilds.get(&guild) else {
                return;
            };
            let body = objects::guild_create(&self.world, it, bot);
            self.dispatch(&session, "GUILD_CREATE", &body);
        }
    }

    /// An event that every session of one bot gets, whatever its intents.
    pub(crate) fn tell_bot(&mut self, bot: Id, event: &str, body: &Value) {
        let live = self
            .sessions
            .iter()
            .filter(|(_, it)| it.bot == bot && !it.dead);
        for session in live.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.dispatch(&session, event, body);
        }
    }

    /// Puts a finished message into its channel, tells the bots and writes the ledger.
    pub(crate) fn post(&mut self, mut message: Message) -> Id {
        let (id, channel, author) = (message.id, message.channel, message.author);
        message.pings = self.pinged(&message);
        let system = message.of_the_system();
        if !system {
            let line = message.line(self.world.is_bot(author));
            message.seen_at = self.seen.push(Seen::Posted(line));
        }
        let now = self.now();
        let (mut opened, mut joined) = (false, false);
        if let Some(place) = self.world.channels.get_mut(&channel) {
            place.last_message = Some(id);
            // Writing in an archived thread opens it again, and who writes joins.
            if let Some(thread) = place.thread.as_mut().filter(|_| !system) {
                opened = std::mem::replace(&mut thread.archived, false);
                if opened {
                    thread.archive_stamp_ms = now;
                }
                joined = thread.members.insert(author);
            }
            place.messages.insert(id, message);
        }
        if opened {
            self.announce_channel("THREAD_UPDATE", channel);
        }
        if joined {
            self.announce_membership(channel, author, true);
        }
        // A thread's starter shares its id with the thread's first message in the parent; the parent keeps it.
        self.world.place.entry(id).or_insert(channel);
        self.announce_message("MESSAGE_CREATE", id);
        id
    }

    /// Writes and tells that a message has changed.
    pub(crate) fn changed(&mut self, message: Id) {
        if let Some(it) = self.world.message(message) {
            let pings = self.pinged(it);
            if let Some(it) = self.world.message_mut(message) {
                it.pings = pings;
            }
        }
        if let Some(it) = self.world.message(message) {
            self.seen
                .push(Seen::Edited(it.line(self.world.is_bot(it.author))));
        }
        self.announce_message("MESSAGE_UPDATE", message);
    }

    pub(crate) fn remove_message(&mut self, message: Id, by: Id) {
        let Some(channel) = self.world.place.remove(&message) else {
            return;
        };
        let place = self.world.channels.get_mut(&channel);
        let gone = place.and_then(|place| place.messages.remove(&message));
        self.seen.push(Seen::Deleted {
            channel,
            message,
            by,
        });
        if let Some(gone) = gone {
            let only_of = gone.only_for.map(|_| gone.author);
            self.announce_deleted(channel, message, only_of);
        }
    }

    /// Who is notified of a message, by its already filtered mentions.
    fn pinged(&self, message: &Message) -> std::collections::BTreeSet<Id> {
        let Some(place) = self.world.channels.get(&message.channel) else {
            return std::collections::BTreeSet::new();
        };
        let people = self.world.people_in(place);
        let guild = place.guild.and_then(|guild| self.world.guilds.get(&guild));
        let has_role = |user: &Id| {
            let member = guild.and_then(|guild| guild.members.get(user));
            member.is_some_and(|it| !it.roles.is_disjoint(&message.mentions.roles))
        };
        let mentions = &message.mentions;
        let hit = |user: &Id| mentions.everyone || mentions.users.contains(user) || has_role(user);
        people
            .into_iter()
            .filter(|user| *user != message.author)
            .filter(hit)
            .collect()
    }
}
