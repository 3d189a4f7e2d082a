//! What each event changes here. Never waits: what needs asking goes to the inbox.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::bot::{Bot, lock};
use crate::events::{Channel, Guild, GuildRef, Message, RoleChanged};
use crate::inbox::Item;
use crate::intake::{Addressed, addressed};
use crate::snowflake::Id;
use crate::watermark::Ticket;

/// An event of the session, other than READY and RESUMED.
pub(crate) fn dispatch(bot: &Bot, seq: u64, name: &str, data: &str) {
    let ticket = bot.keep().mark.seen(seq);
    if name == "MESSAGE_CREATE" {
        if let Some(message) = read::<Message>(seq, name, data)
            && take(bot, ticket, message)
        {
            return; // it is open until the hub has it
        }
    } else {
        change(bot, seq, name, data);
    }
    bot.keep().mark.done(ticket);
    bot.dirty.notify_one();
}

/// An event whose body is no JSON.
pub(crate) fn junk(bot: &Bot, seq: u64) {
    let mut keep = bot.keep();
    let ticket = keep.mark.seen(seq);
    keep.mark.done(ticket);
    bot.dirty.notify_one();
}

/// Whether the message is open now.
fn take(bot: &Bot, ticket: Ticket, message: Message) -> bool {
    if message.author.id == bot.me {
        lock(&bot.echoes).note(&message.nonce, message.id);
    }
    let to = addressed(&message, &bot.world(), &bot.habits);
    let mut keep = bot.keep();
    let again = lock(&bot.accepted).contains(&message.id.to_string());
    let dropped = keep.mark.has_dropped();
    if to == Addressed::No || again {
        if !dropped {
            // Else it would move the floor past what was dropped.
            keep.floors.passed(message.channel_id, message.id);
        }
        return false;
    }
    let (channel, guild, id) = (message.channel_id, message.guild_id, message.id);
    if dropped || !bot.inbox.push(Item::Message(ticket, Box::new(message))) {
        if !dropped {
            warn!(
                "too many messages wait for the hub; later ones are fetched again when it takes them"
            );
        }
        keep.mark.drop_from(ticket);
    } else {
        if keep.floors.open(channel, guild, id) {
            bot.urgent.notify_one();
        }
    }
    true
}

fn change(bot: &Bot, seq: u64, name: &str, data: &str) {
    #[derive(Deserialize)]
    struct Gone {
        id: Id,
    }
    let mut world = bot.world();
    match name {
        "GUILD_CREATE" => {
            if let Some(guild) = read::<Guild>(seq, name, data) {
                world.guild(guild);
            }
        }
        "GUILD_DELETE" => {
            // An outage is no removal: what is known stays true.
            if let Some(guild) = read::<GuildRef>(seq, name, data).filter(|it| !it.unavailable) {
                world.removed(guild.id);
            }
        }
        "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE" => {
            if let Some(channel) = read::<Channel>(seq, name, data) {
                world.channel(channel);
            }
        }
        "CHANNEL_DELETE" | "THREAD_DELETE" => {
            if let Some(gone) = read::<Gone>(seq, name, data) {
                world.channel_gone(gone.id);
            }
        }
        "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE" => {
            if let Some(changed) = read::<RoleChanged>(seq, name, data) {
                world.role(changed.guild_id, changed.role);
            }
        }
        _ => return,
    }
    let guilds = world.guilds();
    drop(world);
    if name.starts_with("GUILD_") {
        bot.connected(guilds);
    }
}

/// The event's body; one that is not as documented is skipped. Only the place of the fault is
/// logged: serde's words could quote what somebody wrote.
fn read<T: DeserializeOwned>(seq: u64, name: &str, data: &str) -> Option<T> {
    match serde_json::from_str(data) {
        Ok(event) => Some(event),
        Err(error) => {
            let column = error.column();
            warn!(
                seq,
                event = name,
                column,
                "skipped an event that is not as documented"
            );
            None
        }
    }
}
