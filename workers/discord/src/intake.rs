//! Whether a message is for the bot, whether its writer may, and which conversation it belongs to.
//! Pure.
//!
//! Bots, webhooks, system messages and ourselves are ignored; so is a message in a server that does
//! not speak to the bot. What comes of a message is never decided here.

use std::collections::BTreeSet;

use crate::access::{People, Person, Place, Rules, Verdict};
use crate::events::{Attachment, Message};
use crate::mention::{self, Mention};
use crate::snowflake::Id;
use crate::stamp;
use crate::world::{Known, World};

/// What counts as being spoken to, and who shares a conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Habits {
    /// `group_reply_all`.
    pub(crate) reply_all: bool,
    /// `group_reply_all_guilds`, if there is such a list: it goes before `group_reply_all`.
    pub(crate) reply_all_guilds: Option<People>,
    /// `respond_to_at_everyone_and_here`.
    pub(crate) everyone_counts: bool,
    /// `share_session_in_channel`.
    pub(crate) share_in_channel: bool,
    /// `thread_isolation`.
    pub(crate) threads: bool,
}

/// Whether a message speaks to the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressed {
    /// It does not, or it is nobody's.
    No,
    /// Alone with it, by a mention or by a role of its own.
    Directly,
    /// Only because the bot answers everything there.
    InPassing,
    /// It depends on something that has to be asked first: whose role it mentions, or whose thread
    /// it stands in.
    Perhaps,
}

/// Whether a message is for the bot at all. `adopted`: it stands in a thread in which the bot was
/// spoken to before.
pub(crate) fn addressed(
    message: &Message,
    world: &World,
    habits: &Habits,
    adopted: bool,
) -> Addressed {
    let author = &message.author;
    let nobody = author.bot || author.system || message.webhook_id.is_some();
    // 0 is a message, 19 a reply; everything else Discord writes by itself or a command leaves.
    if nobody || author.id == world.me() || !matches!(message.kind, 0 | 19) {
        return Addressed::No;
    }
    let Some(guild) = message.guild_id else {
        return Addressed::Directly;
    };
    let mentioned = message.mentions.iter().any(|user| user.id == world.me())
        || message
            .mention_roles
            .iter()
            .any(|role| world.is_mine(*role))
        || habits.everyone_counts && message.mention_everyone;
    if mentioned {
        return Addressed::Directly;
    }
    if !message.mention_roles.is_empty() && !world.knows_roles(guild) {
        return Addressed::Perhaps;
    }
    // Without the content intent it comes empty, which is nothing to answer.
    let says = |content: &str, files: &[Attachment]| !content.is_empty() || !files.is_empty();
    let forwarded = message.message_snapshots.first().map(|it| &it.message);
    if !says(&message.content, &message.attachments)
        && !forwarded.is_some_and(|it| says(&it.content, &it.attachments))
    {
        return Addressed::No;
    }
    let answers_all = match &habits.reply_all_guilds {
        Some(guilds) => guilds.contains(guild),
        None => habits.reply_all,
    };
    if answers_all {
        return Addressed::InPassing;
    }
    if !habits.threads {
        return Addressed::No;
    }
    match world.known_channel(message.channel_id) {
        _ if adopted => Addressed::InPassing,
        Some(known) if !known.is_thread() => Addressed::No,
        Some(Known {
            owner: Some(owner), ..
        }) if *owner == world.me() => Addressed::InPassing,
        Some(Known { owner: Some(_), .. }) => Addressed::No,
        _ => Addressed::Perhaps,
    }
}

/// Where a message stands.
pub(crate) fn place(message: &Message, world: &World) -> Place {
    match message.guild_id {
        None => Place::Direct,
        Some(guild) => Place::Guild {
            guild,
            channel: message.channel_id,
            parent: world
                .known_channel(message.channel_id)
                .and_then(|known| known.parent),
        },
    }
}

/// What the rules say of it.
pub(crate) fn judge(
    message: &Message,
    world: &World,
    rules: &Rules,
    owners: &BTreeSet<Id>,
) -> Verdict {
    let roles = message
        .member
        .as_ref()
        .map_or(&[][..], |member| &member.roles);
    rules.judge(
        place(message, world),
        Person {
            id: message.author.id,
            roles,
        },
        owners,
    )
}

/// When somebody changed the message last, milliseconds since 1970; none if nobody did. What Discord
/// does to it by itself, such as showing a link, is no change.
pub(crate) fn changed_ms(message: &Message) -> Option<u64> {
    stamp::ms(&message.edited_timestamp)
}

/// A conversation, and where its answers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    /// Its name in the account.
    pub(crate) conversation: String,
    /// The channel or thread.
    pub(crate) channel: Id,
    /// One person and the bot alone.
    pub(crate) direct: bool,
    /// Several people may write in it.
    pub(crate) shared: bool,
}

impl Home {
    /// What somebody says in a channel belongs to this, if no thread is opened for it.
    pub(crate) fn of(
        guild: Option<Id>,
        channel: Id,
        user: Id,
        world: &World,
        habits: &Habits,
    ) -> Home {
        let in_thread = || {
            let known = world.known_channel(channel);
            known.is_some_and(|known| known.is_thread())
        };
        if guild.is_some() && habits.threads && in_thread() {
            return Home::thread(channel);
        }
        let direct = guild.is_none();
        let shared = !direct && habits.share_in_channel;
        let conversation = match (direct, shared) {
            (true, _) => format!("dm:{user}"),
            (false, true) => format!("channel:{channel}"),
            (false, false) => format!("channel:{channel}:{user}"),
        };
        Home {
            conversation,
            channel,
            direct,
            shared,
        }
    }

    /// A thread's own.
    pub(crate) fn thread(thread: Id) -> Home {
        Home {
            conversation: format!("thread:{thread}"),
            channel: thread,
            direct: false,
            shared: true,
        }
    }
}

/// The channels that a text names and that the world does not know.
pub(crate) fn unknown_channels(message: &Message, world: &World) -> BTreeSet<Id> {
    let named = mention::mentions(&message.content).filter_map(|mention| match mention {
        Mention::Channel(id) if world.known_channel(id).is_none() => Some(id),
        _ => None,
    });
    named.take(3).collect()
}

#[cfg(test)]
#[path = "intake_tests.rs"]
pub(crate) mod tests;
