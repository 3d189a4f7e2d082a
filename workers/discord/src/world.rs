//! What is known of servers and channels. Pure.
//!
//! Filled by the gateway as it tells of them, and by REST where it has not: a resumed session tells
//! of nothing. Bounded; what is not known is asked for when it is needed. Nothing here survives the
//! process.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::events::{Channel, Guild, Role};
use crate::snowflake::Id;

/// The most channels and threads that are remembered.
const CHANNELS: usize = 20_000;
/// The most servers; a bot in more of them needs shards.
const GUILDS: usize = 2_500;
/// Discord's own limit of roles in a server.
const ROLES: usize = 250;
/// The longest name that is kept, in characters.
const NAME: usize = 100;

/// What is known of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    /// Discord's number of its kind.
    pub(crate) kind: u8,
    /// For a thread.
    pub(crate) parent: Option<Id>,
    pub(crate) guild: Option<Id>,
    /// Who opened the thread.
    pub(crate) owner: Option<Id>,
}

impl Known {
    /// Of any kind: below an announcement, public (a forum's post is one), private.
    pub(crate) fn is_thread(&self) -> bool {
        matches!(self.kind, 10..=12)
    }

    /// Whether a thread can be opened from a message there: texts and announcements.
    pub(crate) fn opens_threads(&self) -> bool {
        matches!(self.kind, 0 | 5)
    }
}

/// Servers, channels, roles.
#[derive(Debug, Default)]
pub(crate) struct World {
    me: Id,
    guilds: BTreeSet<Id>,
    channels: HashMap<Id, Known>,
    /// Role names by server; a server that is here is known whole.
    roles: HashMap<Id, HashMap<Id, String>>,
    /// The bot's own roles, of all servers.
    mine: HashSet<Id>,
}

impl World {
    pub(crate) fn new(me: Id) -> World {
        World {
            me,
            ..World::default()
        }
    }

    /// READY: the bot is in these servers.
    pub(crate) fn ready(&mut self, guilds: impl Iterator<Item = Id>) {
        self.guilds = guilds.take(GUILDS).collect();
    }

    /// GUILD_CREATE: all of a server.
    pub(crate) fn guild(&mut self, guild: Guild) {
        if self.guilds.len() < GUILDS {
            self.guilds.insert(guild.id);
        }
        if guild.unavailable {
            return;
        }
        self.set_roles(guild.id, guild.roles);
        for mut channel in guild.channels.into_iter().chain(guild.threads) {
            channel.guild_id = Some(guild.id);
            self.channel(channel);
        }
    }

    /// GUILD_DELETE of a server that the bot was removed from.
    pub(crate) fn removed(&mut self, guild: Id) {
        self.guilds.remove(&guild);
        for role in self.roles.remove(&guild).into_iter().flatten() {
            self.mine.remove(&role.0);
        }
        self.channels
            .retain(|_, channel| channel.guild != Some(guild));
    }

    /// Every role of a server.
    pub(crate) fn set_roles(&mut self, guild: Id, roles: Vec<Role>) {
        if self.roles.len() >= GUILDS && !self.roles.contains_key(&guild) {
            return;
        }
        self.roles.insert(guild, HashMap::new());
        roles.into_iter().for_each(|role| self.role(guild, role));
    }

    /// One role, new or changed.
    pub(crate) fn role(&mut self, guild: Id, role: Role) {
        let Some(known) = self.roles.get_mut(&guild) else {
            return;
        };
        if known.len() >= ROLES && !known.contains_key(&role.id) {
            return;
        }
        if role.tags.bot_id == Some(self.me) {
            self.mine.insert(role.id);
        }
        known.insert(role.id, cut(&role.name));
    }

    /// A channel or a thread, new or changed.
    pub(crate) fn channel(&mut self, channel: Channel) {
        if self.channels.len() >= CHANNELS && !self.channels.contains_key(&channel.id) {
            return;
        }
        let known = Known {
            name: cut(&channel.name),
            kind: channel.kind,
            parent: channel.parent(),
            guild: channel.guild_id,
            // A command's own account of its channel does not say who opened it.
            owner: channel
                .owner_id
                .or_else(|| self.channels.get(&channel.id)?.owner),
        };
        self.channels.insert(channel.id, known);
    }

    pub(crate) fn channel_gone(&mut self, channel: Id) {
        self.channels.remove(&channel);
    }

    pub(crate) fn known_channel(&self, channel: Id) -> Option<&Known> {
        self.channels.get(&channel)
    }

    pub(crate) fn role_name(&self, guild: Option<Id>, role: Id) -> Option<&str> {
        self.roles.get(&guild?)?.get(&role).map(String::as_str)
    }

    pub(crate) fn knows_roles(&self, guild: Id) -> bool {
        self.roles.contains_key(&guild)
    }

    /// Whether the role is the bot's own, given to it when it was invited.
    pub(crate) fn is_mine(&self, role: Id) -> bool {
        self.mine.contains(&role)
    }

    pub(crate) fn me(&self) -> Id {
        self.me
    }

    pub(crate) fn guilds(&self) -> usize {
        self.guilds.len()
    }
}

fn cut(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .take(NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn guild(id: u64) -> Guild {
        serde_json::from_value(json!({
            "id": id,
            "roles": [{"id": id, "name": "@everyone"}, {"id": id + 1, "name": "Bot", "tags": {"bot_id": "7"}},
                {"id": id + 2, "name": "Other", "tags": {"bot_id": "8"}}],
            "channels": [{"id": id + 3, "name": "general", "type": 0, "parent_id": "1"}],
            "threads": [{"id": id + 4, "name": "talk", "type": 11, "parent_id": id + 3}],
        }))
        .unwrap()
    }

    #[test]
    fn a_server_is_known_until_the_bot_leaves_it() {
        let mut world = World::new(Id(7));
        world.ready([Id(100), Id(200)].into_iter());
        world.guild(guild(100));
        assert!(world.is_mine(Id(101)) && !world.is_mine(Id(102)));
        assert_eq!(world.role_name(Some(Id(100)), Id(102)), Some("Other"));
        assert!(world.knows_roles(Id(100)) && !world.knows_roles(Id(200)));
        assert_eq!(world.known_channel(Id(103)).unwrap().parent, None);
        assert_eq!(world.known_channel(Id(104)).unwrap().parent, Some(Id(103)));
        assert_eq!(world.guilds(), 2);
        world.removed(Id(100));
        assert!(world.known_channel(Id(103)).is_none() && !world.is_mine(Id(101)));
        assert_eq!(world.guilds(), 1);
    }

    #[test]
    fn who_opened_a_thread_is_not_forgotten_over_an_account_without_it() {
        let mut world = World::new(Id(7));
        for owner in [json!("7"), json!(null)] {
            let thread = json!({"id": 5, "type": 11, "parent_id": 4, "owner_id": owner});
            world.channel(serde_json::from_value(thread).unwrap());
            assert_eq!(world.known_channel(Id(5)).unwrap().owner, Some(Id(7)));
        }
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut world = World::new(Id(7));
        for id in 0..(CHANNELS as u64 + 100) {
            world.channel(
                serde_json::from_value(json!({"id": id, "name": "x".repeat(500)})).unwrap(),
            );
        }
        assert_eq!(world.channels.len(), CHANNELS);
        assert_eq!(world.known_channel(Id(1)).unwrap().name.len(), NAME);
    }
}
