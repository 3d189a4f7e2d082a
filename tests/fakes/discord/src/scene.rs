//! Building the world: the scene that every fake starts with, and what tests add to it.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::json;

use crate::core::Core;
use crate::gateway::intent;
use crate::objects;
use crate::world::{
    Application, Bot, Budget, Channel, Commands, Guild, Kind, Member, Nonces, Role, User,
};
use crate::{FakeDiscord, Id};

/// The world that a fake starts with: one bot in one guild, its owner and two more people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scene {
    /// The bot's user.
    pub bot: Id,
    /// Its application.
    pub application: Id,
    /// Its managed role in `guild`.
    pub role: Id,
    /// Who owns the application and the guild.
    pub owner: Id,
    /// A member.
    pub alice: Id,
    /// Another member.
    pub bob: Id,
    /// The guild.
    pub guild: Id,
    /// A text channel of it.
    pub general: Id,
    /// Another.
    pub random: Id,
}

/// A bot and its token.
#[derive(Debug, Clone, Serialize)]
pub struct Seat {
    /// The bot's user.
    pub bot: Id,
    /// Its application.
    pub application: Id,
    /// Its token.
    pub token: String,
}

impl Core {
    /// Makes the scene.
    pub(crate) fn furnish(&mut self) -> Scene {
        let owner = self.new_user("owner", false);
        let alice = self.new_user("alice", false);
        let bob = self.new_user("bob", false);
        let seat = self.new_bot("Bulkhead", owner);
        let guild = self.new_guild("Harbour", owner);
        let role = self.join(guild, seat.bot).unwrap_or_default();
        self.join(guild, alice);
        self.join(guild, bob);
        let general = self.new_channel(guild, "general");
        let random = self.new_channel(guild, "random");
        Scene {
            bot: seat.bot,
            application: seat.application,
            role,
            owner,
            alice,
            bob,
            guild,
            general,
            random,
        }
    }

    pub(crate) fn new_user(&mut self, name: &str, bot: bool) -> Id {
        let id = self.mint();
        self.world.users.insert(
            id,
            User {
                id,
                name: name.into(),
                bot,
                accepts_dms: true,
            },
        );
        id
    }

    pub(crate) fn new_bot(&mut self, name: &str, owner: Id) -> Seat {
        let user = self.new_user(name, true);
        let token = new_token(user);
        let application = Application {
            id: self.mint(),
            name: name.into(),
            owner,
            team: None,
            interactions_endpoint_url: None,
            content_intent: true,
            members_intent: false,
            presence_intent: false,
            commands: Commands::default(),
        };
        let seat = Seat {
            bot: user,
            application: application.id,
            token: token.clone(),
        };
        let budget = Budget {
            total: 0,
            remaining: 0,
            resets_at: 0,
        };
        self.world.bots.insert(
            user,
            Bot {
                user,
                token,
                token_valid: true,
                application,
                budget,
                identifies: VecDeque::new(),
                nonces: Nonces::default(),
            },
        );
        let now = self.now();
        self.refresh_budget(user, now);
        seat
    }

    pub(crate) fn new_guild(&mut self, name: &str, owner: Id) -> Id {
        let id = self.mint();
        // The role of everyone has the guild's id.
        let everyone = Role {
            id,
            name: "@everyone".into(),
            managed_by: None,
            mentionable: false,
        };
        let joined_ms = self.now();
        let member = Member {
            joined_ms,
            ..Member::default()
        };
        self.world.guilds.insert(
            id,
            Guild {
                id,
                name: name.into(),
                owner,
                roles: BTreeMap::from([(id, everyone)]),
                members: BTreeMap::from([(owner, member)]),
                unavailable: false,
            },
        );
        id
    }

    /// Lets someone join a guild. A bot gets a managed role, whose id this gives, and GUILD_CREATE.
    pub(crate) fn join(&mut self, guild: Id, user: Id) -> Option<Id> {
        let joined_ms = self.now();
        let bot = self
            .world
            .bots
            .get(&user)
            .map(|bot| bot.application.name.clone());
        let role = bot.as_ref().map(|_| self.mint());
        let place = self.world.guilds.get_mut(&guild)?;
        let member = place.members.entry(user).or_insert(Member {
            joined_ms,
            ..Member::default()
        });
        let (role, name) = (role?, bot?);
        member.roles.insert(role);
        place.roles.insert(
            role,
            Role {
                id: role,
                name,
                managed_by: Some(user),
                mentionable: false,
            },
        );
        let place = self.world.guilds.get(&guild)?;
        let body = objects::guild_create(&self.world, place, user);
        let sessions = self
            .sessions
            .iter()
            .filter(|(_, it)| it.bot == user && it.intents & intent::GUILDS != 0);
        for session in sessions.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.dispatch(&session, "GUILD_CREATE", &body);
        }
        Some(role)
    }

    pub(crate) fn new_channel(&mut self, guild: Id, name: &str) -> Id {
        let id = self.mint();
        self.world
            .channels
            .insert(id, Channel::new(id, Kind::Text, name.into(), Some(guild)));
        self.announce_channel("CHANNEL_CREATE", id);
        id
    }
}

/// A token of the real shape: the id, a time, a signature.
fn new_token(user: Id) -> String {
    let random = |bytes: usize| {
        URL_SAFE_NO_PAD.encode((0..bytes).map(|_| fastrand::u8(..)).collect::<Vec<_>>())
    };
    format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(user.to_string()),
        random(4),
        random(28)
    )
}

impl FakeDiscord {
    /// The token of the scene's bot.
    #[must_use]
    pub fn token(&self) -> String {
        let bot = self.scene().bot;
        self.shared
            .core()
            .world
            .bots
            .get(&bot)
            .map(|bot| bot.token.clone())
            .unwrap_or_default()
    }

    /// A new token for the scene's bot, as the portal's button gives it; the old one is void and its sessions end.
    #[must_use]
    pub fn new_token(&self) -> String {
        let bot = self.scene().bot;
        let mut core = self.shared.core();
        core.void_token(bot);
        let token = new_token(bot);
        if let Some(bot) = core.world.bots.get_mut(&bot) {
            bot.token.clone_from(&token);
            bot.token_valid = true;
        }
        token
    }

    /// A person who is in no guild yet.
    #[must_use]
    pub fn add_user(&self, name: &str) -> Id {
        self.shared.core().new_user(name, false)
    }

    /// A bot that is in no guild yet.
    #[must_use]
    pub fn add_bot(&self, name: &str, owner: Id) -> Seat {
        self.shared.core().new_bot(name, owner)
    }

    /// A guild with its owner in it.
    #[must_use]
    pub fn add_guild(&self, name: &str, owner: Id) -> Id {
        self.shared.core().new_guild(name, owner)
    }

    /// Lets a person or a bot join a guild; for a bot, gives its managed role.
    pub fn join(&self, guild: Id, user: Id) -> Option<Id> {
        self.shared.core().join(guild, user)
    }

    /// A text channel.
    #[must_use]
    pub fn add_channel(&self, guild: Id, name: &str) -> Id {
        self.shared.core().new_channel(guild, name)
    }

    /// A role that everybody may mention, given to these members.
    #[must_use]
    pub fn add_role(&self, guild: Id, name: &str, members: &[Id]) -> Id {
        let mut core = self.shared.core();
        let id = core.mint();
        if let Some(guild) = core.world.guilds.get_mut(&guild) {
            guild.roles.insert(
                id,
                Role {
                    id,
                    name: name.into(),
                    managed_by: None,
                    mentionable: true,
                },
            );
            for user in members {
                if let Some(member) = guild.members.get_mut(user) {
                    member.roles.insert(id);
                }
            }
        }
        id
    }

    /// Takes permissions from someone in a channel (bits of [`crate::permissions`]), replacing what was taken before.
    pub fn deny(&self, user: Id, channel: Id, bits: u64) {
        let mut core = self.shared.core();
        if let Some(place) = core.world.channels.get_mut(&channel) {
            place.denied.insert(user, bits);
        }
        core.announce_channel("CHANNEL_UPDATE", channel);
    }

    /// Gives someone more permissions in a channel than the usual ones.
    pub fn grant(&self, user: Id, channel: Id, bits: u64) {
        let mut core = self.shared.core();
        if let Some(place) = core.world.channels.get_mut(&channel) {
            place.granted.insert(user, bits);
        }
        core.announce_channel("CHANNEL_UPDATE", channel);
    }

    /// Whether bots may write to a person.
    pub fn accept_dms(&self, user: Id, accepts: bool) {
        if let Some(user) = self.shared.core().world.users.get_mut(&user) {
            user.accepts_dms = accepts;
        }
    }

    /// The direct messages of a person with the scene's bot.
    #[must_use]
    pub fn dm_channel(&self, user: Id) -> Id {
        self.dm_channel_with(user, self.scene().bot)
    }

    /// The direct messages of a person with a bot.
    #[must_use]
    pub fn dm_channel_with(&self, user: Id, bot: Id) -> Id {
        self.shared.core().dm(user, bot)
    }

    /// The commands that the scene's bot has registered, globally or for a guild.
    #[must_use]
    pub fn commands(&self, guild: Option<Id>) -> Vec<serde_json::Value> {
        let bot = self.scene().bot;
        let core = self.shared.core();
        let bot = core.world.bots.get(&bot);
        bot.and_then(|bot| bot.application.commands.by_scope.get(&guild).cloned())
            .unwrap_or_default()
    }

    /// The world in JSON, for people.
    #[must_use]
    pub fn world(&self) -> serde_json::Value {
        let core = self.shared.core();
        let channels = core.world.channels.values().map(|it| {
            json!({
                "id": it.id, "name": it.name, "type": it.kind.number(), "guild": it.guild, "parent": it.parent,
                "recipients": it.recipients, "messages": it.messages.len(),
            })
        });
        let bots = core.world.bots.values().map(|it| {
            json!({
                "bot": it.user, "application": it.application.id, "name": it.application.name, "token": it.token,
                "token_valid": it.token_valid, "content_intent": it.application.content_intent,
                "identifies_left": it.budget.remaining,
            })
        });
        let guilds = core.world.guilds.values().map(|it| {
            json!({
                "id": it.id, "name": it.name, "owner": it.owner, "unavailable": it.unavailable,
                "members": it.members.keys().collect::<Vec<_>>(), "roles": objects::roles(it),
            })
        });
        let users = core
            .world
            .users
            .values()
            .map(|it| json!({ "id": it.id, "name": it.name, "bot": it.bot }));
        json!({
            "users": users.collect::<Vec<_>>(),
            "bots": bots.collect::<Vec<_>>(),
            "guilds": guilds.collect::<Vec<_>>(),
            "channels": channels.collect::<Vec<_>>(),
            "sessions": core.sessions.values().filter(|it| !it.dead).count(),
            "connections": core.open_links().len(),
            "scene": self.running.scene,
        })
    }
}
