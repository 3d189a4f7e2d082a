//! Interactions: a click, a choice or a command of a person, until its token is over.
//!
//! Promises: three seconds for the first answer, fifteen minutes for the rest, as documented; who gets no answer sees a failure.
//! Does not: deliver over HTTP. With an endpoint address in the portal nothing comes over the gateway and the interaction fails.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Id;
use crate::core::{Core, Shared};
use crate::ledger::Seen;
use crate::objects;
use crate::permissions as may;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Interaction {
    pub(crate) id: Id,
    pub(crate) token: String,
    pub(crate) bot: Id,
    pub(crate) user: Id,
    pub(crate) channel: Id,
    /// The message whose component was used.
    pub(crate) message: Option<Id>,
    pub(crate) command: Option<String>,
    pub(crate) at_ms: u64,
    /// Callback type of the first answer.
    pub(crate) answered: Option<u64>,
    /// The message of the first answer; for a component's update, the component's own.
    pub(crate) original: Option<Id>,
    pub(crate) follow_ups: Vec<Id>,
}

impl Interaction {
    /// `interaction_metadata` of the messages that answer it.
    pub(crate) fn metadata(&self, world: &World) -> Value {
        json!({
            "id": self.id,
            "type": if self.command.is_some() { 2 } else { 3 },
            "user": objects::user_by_id(world, self.user),
            "authorizing_integration_owners": {},
        })
    }
}

/// What a person does.
pub(crate) enum Doing {
    /// Uses a component of this message.
    Component { message: Id, data: Value },
    /// Types a command of this bot.
    Command {
        bot: Id,
        channel: Id,
        name: String,
        data: Value,
    },
}

impl Core {
    /// Makes an interaction and tells its bot; the rest of its life is its answers and its deadline.
    pub(crate) fn interact(&mut self, user: Id, doing: Doing) -> Option<Id> {
        let (bot, channel, message, command, data) = match doing {
            Doing::Component { message, data } => {
                let it = self.world.message(message)?;
                (it.author, it.channel, Some(message), None, data)
            }
            Doing::Command {
                bot,
                channel,
                name,
                data,
            } => (bot, channel, None, Some(name), data),
        };
        let id = self.mint();
        let interaction = Interaction {
            id,
            token: (0..6)
                .map(|_| format!("{:08x}", fastrand::u32(..)))
                .collect(),
            bot,
            user,
            channel,
            message,
            command,
            at_ms: self.now(),
            answered: None,
            original: None,
            follow_ups: Vec::new(),
        };
        let event = self.interaction_event(&interaction, data)?;
        self.interactions.insert(id, interaction);
        if self
            .world
            .bots
            .get(&bot)?
            .application
            .interactions_endpoint_url
            .is_none()
        {
            self.tell_bot(bot, "INTERACTION_CREATE", &event);
        }
        Some(id)
    }

    fn interaction_event(&self, it: &Interaction, data: Value) -> Option<Value> {
        let place = self.world.channels.get(&it.channel)?;
        let mut out = json!({
            "id": it.id,
            "application_id": self.world.bots.get(&it.bot)?.application.id,
            "type": if it.command.is_some() { 2 } else { 3 },
            "data": data,
            "channel_id": it.channel,
            "channel": objects::channel(&self.world, place, it.bot),
            "token": it.token,
            "version": 1,
            "app_permissions": self.world.permissions(it.bot, place).to_string(),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": { "0": place.guild.map_or_else(|| json!("0"), |guild| json!(guild)) },
            "context": if place.guild.is_some() { 0 } else { 1 },
            "attachment_size_limit": 10 << 20,
        });
        match place.guild.and_then(|guild| self.world.guilds.get(&guild)) {
            Some(guild) => {
                let member = objects::member(guild.members.get(&it.user)?);
                let mut member = objects::with_user(member, &self.world, it.user);
                member["permissions"] =
                    json!((self.world.permissions(it.user, place) & may::ALL).to_string());
                objects::merge(
                    &mut out,
                    json!({
                        "guild_id": guild.id, "guild_locale": "en-US", "member": member,
                        "guild": { "id": guild.id, "locale": "en-US", "features": [] },
                    }),
                );
            }
            None => out["user"] = objects::user_by_id(&self.world, it.user),
        }
        if let Some(message) = it.message.and_then(|id| self.world.message(id)) {
            out["message"] = objects::message(&self.world, &self.signer(), message, it.bot, true);
        }
        Some(out)
    }
}

/// Lets an interaction fail in the person's sight if no answer comes in time.
pub(crate) fn expire(shared: &Arc<Shared>, interaction: Id) {
    let deadline = Duration::from_millis(shared.core().options.interaction_deadline_ms);
    // A fake that is gone has nobody to show it to.
    let weak = Arc::downgrade(shared);
    shared.runtime.spawn(async move {
        tokio::time::sleep(deadline).await;
        let Some(shared) = weak.upgrade() else { return };
        let core = shared.core();
        if let Some(it) = core
            .interactions
            .get(&interaction)
            .filter(|it| it.answered.is_none())
        {
            core.seen.push(Seen::Failed {
                interaction,
                user: it.user,
            });
        }
    });
}
