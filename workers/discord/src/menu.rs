//! The bot's entries in Discord's slash menu, as the hub wants them.
//!
//! Registered only when something has changed: the hub keeps a fingerprint of what was registered
//! last, and where; it stands in one place only. A menu that cannot be registered is said and tried again later; the commands
//! work as text all the same.

use std::sync::Arc;
use std::time::Duration;

use ipc_schema::{CommandOption, CommandSpec};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tracing::{debug, info, warn};
use worker_kit::Backoff;

use crate::bot::Bot;
use crate::form::cut;
use crate::rest::limits::Key;
use crate::rest::{Call, NoAnswer};
use crate::snowflake::Id;

/// What [`Registered`] is called at the hub.
pub(crate) const CURSOR: &str = "commands";
/// Between two looks at what the hub wants; it says so at each link-up.
const LOOK: Duration = Duration::from_secs(10);
/// The most commands of an application, and the most options and choices that are offered.
const COMMANDS: usize = 100;
const OPTIONS: usize = 25;
/// The longest description, in characters.
const ABOUT: usize = 100;

/// What was registered last, and where: in one server, or everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registered {
    guild: Option<Id>,
    fingerprint: String,
}

impl Registered {
    fn new(guild: Option<Id>, definitions: &Value) -> Registered {
        let hash = Sha256::digest(definitions.to_string());
        Registered {
            guild,
            fingerprint: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// As the hub keeps it; what cannot be read is nothing.
    fn read(kept: &[u8]) -> Option<Registered> {
        let (guild, fingerprint) = std::str::from_utf8(kept).ok()?.split_once(' ')?;
        Some(Registered {
            guild: guild.parse().ok(),
            fingerprint: fingerprint.to_owned(),
        })
    }

    fn write(&self) -> Vec<u8> {
        let guild = self.guild.map_or("everywhere".into(), |it| it.to_string());
        format!("{guild} {}", self.fingerprint).into_bytes()
    }
}

/// Keeps the menu as the hub wants it.
pub(crate) async fn run(bot: Arc<Bot>) {
    let mut backoff = Backoff::new(
        Duration::from_secs(5),
        Duration::from_secs(600),
        Duration::from_secs(600),
    );
    let kept = bot.hub.cursor(CURSOR);
    let mut registered = kept.and_then(|kept| Registered::read(&kept));
    let mut looked: Vec<CommandSpec> = Vec::new();
    loop {
        let wanted = bot.hub.commands();
        // Nothing: a hub that knows of no menu.
        if !wanted.is_empty() && wanted != looked {
            let definitions = definitions(&wanted);
            let now = Registered::new(bot.menu_guild, &definitions);
            if registered.as_ref() == Some(&now) {
                debug!("the slash menu is as it was");
            } else if replace(&bot, registered.as_ref(), definitions).await {
                // Without it the same menu is registered once more after the next start.
                if let Err(error) = bot.hub.put_cursor(CURSOR, now.write()).await {
                    warn!(%error, "it is not remembered that the menu is registered");
                }
                info!(commands = wanted.len(), "the slash menu is registered");
                registered = Some(now);
            } else {
                tokio::time::sleep(backoff.next(fastrand::f64())).await;
                continue;
            }
            looked = wanted;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Registers the menu; in another place than before it is taken away there, or every command would
/// stand in it twice.
async fn replace(bot: &Bot, before: Option<&Registered>, definitions: Value) -> bool {
    let moved = before.filter(|before| before.guild != bot.menu_guild);
    let cleared = match moved {
        Some(before) => put(bot, before.guild, json!([])).await,
        None => Ok(()),
    };
    let registered = match cleared {
        // A server that the bot has left has no menu of it either.
        Ok(()) | Err(NoAnswer::Refused(_)) => put(bot, bot.menu_guild, definitions).await,
        trouble => trouble,
    };
    match registered {
        Ok(()) => true,
        Err(NoAnswer::Unauthorized) => std::future::pending().await, // the worker ends
        Err(NoAnswer::Refused(refused)) if refused.code == 50001 => {
            warn!(
                "the slash menu cannot be registered: the bot was invited without \
                 applications.commands, or is not in the server of guild_id; `bulkhead invite` \
                 prints the right link. The commands work as text"
            );
            false
        }
        Err(why) => {
            warn!(
                "the slash menu cannot be registered, trying on: {why}. The commands work as text"
            );
            false
        }
    }
}

/// Overwrites the menu of one server, or of all.
async fn put(bot: &Bot, guild: Option<Id>, definitions: Value) -> Result<(), NoAnswer> {
    let application = bot.application;
    let (route, path) = match guild {
        Some(guild) => (
            "PUT /applications/{}/guilds/{}/commands",
            format!("/applications/{application}/guilds/{guild}/commands"),
        ),
        None => (
            "PUT /applications/{}/commands",
            format!("/applications/{application}/commands"),
        ),
    };
    let call = Call {
        method: Method::PUT,
        key: Key {
            route,
            major: guild.unwrap_or(application).to_string(),
        },
        path,
        body: Some(definitions),
    };
    bot.rest.ask::<Vec<Value>>(&call).await.map(drop)
}

/// The commands in Discord's form. One whose name Discord would not take is left out, and named.
fn definitions(specs: &[CommandSpec]) -> Value {
    let (good, bad): (Vec<_>, Vec<_>) = specs.iter().partition(|spec| is_name(&spec.name));
    for spec in bad {
        warn!(
            name = spec.name,
            "not in the slash menu: a name there has 1 to 32 small letters, digits, - or _"
        );
    }
    good.into_iter().take(COMMANDS).map(definition).collect()
}

fn definition(spec: &CommandSpec) -> Value {
    // What has to be given comes first, as Discord wants it.
    let (must, may): (Vec<_>, Vec<_>) = spec
        .options
        .iter()
        .filter(|option| is_name(&option.name))
        .partition(|option| option.required);
    let options = must.into_iter().chain(may).take(OPTIONS).map(option);
    let mut definition = json!({
        "name": spec.name,
        "type": 1,
        "description": about(&spec.about, &spec.name),
        "options": options.collect::<Vec<_>>(),
        // In servers and in direct messages with the bot.
        "contexts": [0, 1],
    });
    localise(&mut definition, &spec.about_zh);
    definition
}

fn option(it: &CommandOption) -> Value {
    let kind = if it.number { 4 } else { 3 };
    let mut option = json!({
        "type": kind,
        "name": it.name,
        "description": about(&it.about, &it.name),
        "required": it.required,
    });
    let choices: Vec<Value> = it
        .choices
        .iter()
        .filter_map(|choice| {
            let value = match it.number {
                true => json!(choice.parse::<i64>().ok()?),
                false => json!(choice),
            };
            Some(json!({"name": cut(choice, ABOUT), "value": value}))
        })
        .take(OPTIONS)
        .collect();
    if !choices.is_empty() {
        option["choices"] = choices.into();
    }
    localise(&mut option, &it.about_zh);
    option
}

fn localise(definition: &mut Value, zh: &str) {
    if !zh.trim().is_empty() {
        definition["description_localizations"] = json!({"zh-CN": cut(zh, ABOUT)});
    }
}

fn about(text: &str, name: &str) -> String {
    match cut(text, ABOUT) {
        empty if empty.is_empty() => name.to_owned(),
        text => text,
    }
}

fn is_name(name: &str) -> bool {
    let good = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_');
    (1..=32).contains(&name.chars().count()) && name.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str) -> CommandSpec {
        CommandSpec {
            name: name.into(),
            about: "x".repeat(200),
            about_zh: "切换".into(),
            options: vec![
                CommandOption {
                    name: "later".into(),
                    about: String::new(),
                    ..CommandOption::default()
                },
                CommandOption {
                    name: "count".into(),
                    about: "How many".into(),
                    number: true,
                    required: true,
                    choices: vec!["1".into(), "x".into()],
                    ..CommandOption::default()
                },
            ],
            private: true,
        }
    }

    #[test]
    fn a_command_is_in_discords_form() {
        let menu = definitions(&[spec("switch"), spec("Bad Name"), spec("")]);
        assert_eq!(menu.as_array().unwrap().len(), 1);
        let switch = &menu[0];
        assert_eq!(switch["description"].as_str().unwrap().chars().count(), 100);
        assert_eq!(switch["description_localizations"]["zh-CN"], "切换");
        let options = &switch["options"];
        assert_eq!(
            (&options[0]["name"], &options[0]["type"]),
            (&json!("count"), &json!(4))
        );
        assert_eq!(options[0]["choices"], json!([{"name": "1", "value": 1}]));
        assert_eq!(options[1]["description"], "later");
    }

    #[test]
    fn what_was_registered_is_told_from_what_is_to_be() {
        let menu = |name: &str| definitions(&[spec(name)]);
        let one = Registered::new(None, &menu("new"));
        assert_eq!(one, Registered::new(None, &menu("new")));
        assert_ne!(one, Registered::new(None, &menu("list")));
        let elsewhere = Registered::new(Some(Id(1)), &menu("new"));
        assert_ne!(one, elsewhere);
        for kept in [one, elsewhere] {
            assert_eq!(Registered::read(&kept.write()), Some(kept));
        }
        assert_eq!(Registered::read(b"\xff x"), None);
        assert_eq!(Registered::read(b""), None);
    }
}
