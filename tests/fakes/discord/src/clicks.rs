//! Acting as a user: click a button, choose from a select, type a command.
//!
//! Promises: only what is shown, enabled and registered can be used.

use serde_json::{Value, json};

use crate::interactions::{Doing, expire};
use crate::{FakeDiscord, Id, Refused};

impl FakeDiscord {
    /// A person clicks a button; gives the interaction.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn click(&self, user: Id, message: Id, custom_id: &str) -> Result<Id, Refused> {
        self.use_component(user, message, custom_id, None)
    }

    /// A person chooses from a select; gives the interaction.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn choose(
        &self,
        user: Id,
        message: Id,
        custom_id: &str,
        values: &[&str],
    ) -> Result<Id, Refused> {
        self.use_component(user, message, custom_id, Some(values))
    }

    fn use_component(
        &self,
        user: Id,
        message: Id,
        custom_id: &str,
        values: Option<&[&str]>,
    ) -> Result<Id, Refused> {
        let mut core = self.shared.core();
        let it = core
            .world
            .message(message)
            .ok_or(Refused::NoMessage(message))?;
        let channel = it.channel;
        let place = core
            .world
            .channels
            .get(&channel)
            .ok_or(Refused::NoChannel(channel))?;
        if !core.world.sees(user, place) || it.only_for.is_some_and(|only| only != user) {
            return Err(Refused::NotAllowed { user, channel });
        }
        let missing = || Refused::NoComponent {
            message,
            custom_id: custom_id.into(),
        };
        let component = find_component(&it.components, custom_id).ok_or_else(missing)?;
        if component
            .get("disabled")
            .and_then(Value::as_bool)
            .unwrap_or(false)
        {
            return Err(missing());
        }
        let kind = component
            .get("type")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        if (kind == 2) != values.is_none() {
            return Err(missing());
        }
        let mut data = json!({ "id": 1, "custom_id": custom_id, "component_type": kind });
        if let Some(values) = values {
            data["values"] = json!(values);
        }
        let id = core
            .interact(user, Doing::Component { message, data })
            .ok_or_else(missing)?;
        drop(core);
        expire(&self.shared, id);
        Ok(id)
    }

    /// A person types a registered command of the scene's bot. `options`: `[{"name", "type", "value"}]`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn command(
        &self,
        user: Id,
        channel: Id,
        name: &str,
        options: Value,
    ) -> Result<Id, Refused> {
        let bot = self.scene().bot;
        let mut core = self.shared.core();
        let place = core
            .world
            .channels
            .get(&channel)
            .ok_or(Refused::NoChannel(channel))?;
        if !core.world.sees(user, place) {
            return Err(Refused::NotAllowed { user, channel });
        }
        let missing = || Refused::NoCommand(name.into());
        let commands = core
            .world
            .bots
            .get(&bot)
            .map(|bot| &bot.application.commands.by_scope)
            .ok_or_else(missing)?;
        // Those of the guild come first.
        let here = place
            .guild
            .and_then(|guild| commands.get(&Some(guild)))
            .into_iter()
            .chain(commands.get(&None));
        let command = here
            .flatten()
            .find(|it| it["name"] == name)
            .ok_or_else(missing)?;
        let mut data = json!({ "id": command["id"], "name": name, "type": command["type"], "options": options });
        if let Some(guild) = command.get("guild_id") {
            data["guild_id"] = guild.clone();
        }
        let doing = Doing::Command {
            bot,
            channel,
            name: name.into(),
            data,
        };
        let id = core.interact(user, doing).ok_or_else(missing)?;
        drop(core);
        expire(&self.shared, id);
        Ok(id)
    }
}

/// A component anywhere in the tree.
fn find_component<'a>(list: &'a [Value], custom_id: &str) -> Option<&'a Value> {
    list.iter().find_map(|it| {
        if it.get("custom_id").and_then(Value::as_str) == Some(custom_id) {
            return Some(it);
        }
        let below = it
            .get("components")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let accessory = it.get("accessory").map_or(&[][..], std::slice::from_ref);
        find_component(below, custom_id).or_else(|| find_component(accessory, custom_id))
    })
}
