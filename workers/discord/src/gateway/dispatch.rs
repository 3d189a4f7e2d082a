//! What each event changes here. Never waits: what needs asking goes to the inbox.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::bot::{Bot, lock};
use crate::events::{
    Channel, Deleted, DeletedMany, Guild, GuildRef, Interaction, Message, RoleChanged, Threads,
};
use crate::inbox::{Event, Item};
use crate::intake::{self, Addressed, addressed};
use crate::interactions;
use crate::keep::Keep;
use crate::snowflake::Id;
use crate::take::change_id;
use crate::watermark::Ticket;

/// An event of the session, other than READY and RESUMED.
pub(crate) fn dispatch(bot: &Arc<Bot>, seq: u64, name: &str, data: &str) {
    let ticket = bot.keep().mark.seen(seq);
    let open = match name {
        "MESSAGE_CREATE" => {
            read::<Message>(seq, name, data).is_some_and(|message| take(bot, ticket, message))
        }
        "MESSAGE_UPDATE" => {
            read::<Message>(seq, name, data).is_some_and(|message| changed(bot, ticket, message))
        }
        "MESSAGE_DELETE" => read::<Deleted>(seq, name, data)
            .is_some_and(|gone| withdrawn(bot, ticket, gone.channel_id, vec![gone.id])),
        "MESSAGE_DELETE_BULK" => read::<DeletedMany>(seq, name, data)
            .is_some_and(|gone| withdrawn(bot, ticket, gone.channel_id, gone.ids)),
        "INTERACTION_CREATE" => read::<Interaction>(seq, name, data)
            .is_some_and(|interaction| acted(bot, ticket, interaction)),
        _ => {
            change(bot, seq, name, data);
            false
        }
    };
    if open {
        return; // until the hub has it
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
    let mut keep = bot.keep();
    let to = addressed_now(bot, &keep, &message);
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
    let event = Event::Wrote(Some(ticket), Box::new(message));
    if push(bot, &mut keep, ticket, event) {
        lock(&bot.heard).note(id);
        if to == Addressed::Perhaps {
            keep.floors.perhaps(channel, id);
        } else if keep.floors.open(channel, guild, id) {
            bot.urgent.notify_one();
        }
    }
    true
}

/// Whether the change of the message is open now: of one of ours, or of one that speaks to us.
fn changed(bot: &Bot, ticket: Ticket, message: Message) -> bool {
    let Some(at_ms) = intake::changed_ms(&message) else {
        return false; // Discord did something to it
    };
    // Nobody can make a message empty: Discord does not show it.
    if message.content.is_empty() && message.attachments.is_empty() {
        return false;
    }
    let mut keep = bot.keep();
    let again = lock(&bot.accepted).contains(&change_id(message.id, at_ms));
    let ours = lock(&bot.heard).contains(message.id);
    if again || !ours && addressed_now(bot, &keep, &message) == Addressed::No {
        return false;
    }
    let event = Event::Changed(ticket, Box::new(message), at_ms);
    push(bot, &mut keep, ticket, event);
    true
}

/// Whether what somebody pressed or chose is open now. It is acknowledged at once, whatever waits.
fn acted(bot: &Arc<Bot>, ticket: Ticket, interaction: Interaction) -> bool {
    if lock(&bot.accepted).contains(&interaction.id.to_string()) {
        return false;
    }
    if !interactions::acknowledge(bot, &interaction) {
        return false; // none of ours
    }
    let mut keep = bot.keep();
    let event = Event::Acted(ticket, Box::new(interaction));
    push(bot, &mut keep, ticket, event);
    true
}

/// Whether the withdrawal of messages is open now: of those that are ours and not forgotten.
fn withdrawn(bot: &Bot, ticket: Ticket, channel: Id, mut messages: Vec<Id>) -> bool {
    let mut keep = bot.keep();
    {
        let heard = lock(&bot.heard);
        messages.retain(|id| heard.contains(*id));
    }
    if messages.is_empty() {
        return false;
    }
    let event = Event::Withdrew(ticket, channel, messages);
    push(bot, &mut keep, ticket, event);
    true
}

fn addressed_now(bot: &Bot, keep: &Keep, message: &Message) -> Addressed {
    let adopted = keep.floors.is_adopted(message.channel_id);
    addressed(message, &bot.world(), &bot.habits, adopted)
}

/// Whether there was room. If not, this event and all that follow come again.
fn push(bot: &Bot, keep: &mut Keep, ticket: Ticket, event: Event) -> bool {
    let dropped = keep.mark.has_dropped();
    if !dropped && bot.inbox.push(Item::Event(event)) {
        return true;
    }
    if !dropped {
        warn!(
            "too many messages wait for the hub; later ones are fetched again when it takes them"
        );
    }
    keep.mark.drop_from(ticket);
    false
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
        "THREAD_LIST_SYNC" => {
            if let Some(sync) = read::<Threads>(seq, name, data) {
                for mut thread in sync.threads {
                    thread.guild_id = Some(sync.guild_id);
                    world.channel(thread);
                }
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
