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
        if (kind == 2) != values.is_none() || !offered(component, values.unwrap_or_default()) {
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

    /// A person types a registered command of the scene's bot. `options`: `[{"name", "value"}]`, their types are those registered.
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
        if !core.world.sees(user, place) || core.closed_thread(channel) {
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
        let options = typed(name, command, &options)?;
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

/// Whether a select lets one choose these values, as often as it says.
fn offered(component: &Value, values: &[&str]) -> bool {
    let number = |key: &str, usual| component.get(key).and_then(Value::as_u64).unwrap_or(usual);
    // The other selects offer people, roles and channels, which are not listed.
    if number("type", 0) != 3 {
        return true;
    }
    let options = component.get("options").and_then(Value::as_array);
    let known = |value: &&str| options.is_some_and(|it| it.iter().any(|it| it["value"] == **value));
    let count = values.len() as u64;
    values.iter().all(known) && (number("min_values", 1)..=number("max_values", 1)).contains(&count)
}

/// The options of a command as they are sent, with their types, if a client would let them be sent.
fn typed(command: &str, registered: &Value, given: &Value) -> Result<Value, Refused> {
    let wrong = |option: &str, why| Refused::BadOption {
        command: command.into(),
        option: option.into(),
        why,
    };
    let known = registered.get("options").and_then(Value::as_array);
    let known = known.map_or(&[][..], Vec::as_slice);
    let mut out = Vec::new();
    for option in given.as_array().map_or(&[][..], Vec::as_slice) {
        let name = option["name"].as_str().unwrap_or_default();
        let Some(it) = known.iter().find(|it| it["name"] == name) else {
            return Err(wrong(name, "is not registered"));
        };
        let value = &option["value"];
        let fits = match it["type"].as_u64() {
            Some(3) => value.is_string(),
            Some(4) => value.is_i64(),
            Some(5) => value.is_boolean(),
            Some(10) => value.is_number(),
            _ => return Err(wrong(name, "is of a type that this fake cannot fill in")),
        };
        if !fits {
            return Err(wrong(name, "has a value of another type"));
        }
        let choices = it.get("choices").and_then(Value::as_array);
        if choices
            .is_some_and(|list| !list.is_empty() && list.iter().all(|it| it["value"] != *value))
        {
            return Err(wrong(name, "has a value that is not offered"));
        }
        out.push(json!({ "name": name, "type": it["type"], "value": value }));
    }
    let missing = |it: &&Value| {
        it["required"] == true && !out.iter().any(|given| given["name"] == it["name"])
    };
    match known.iter().find(missing) {
        Some(it) => Err(wrong(
            it["name"].as_str().unwrap_or_default(),
            "is required",
        )),
        None => Ok(Value::Array(out)),
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
