//! From a message on Discord to what the hub is told of it. Pure.
//!
//! Bots, webhooks, system messages and ourselves are ignored; so is a message in a server that does
//! not speak to the bot. What is decided here is who it is from, whether they may, and which
//! conversation it belongs to; never what comes of it.

use std::collections::BTreeSet;

use ipc_schema::{Access, Inbound, Sender};

use crate::access::{People, Person, Place, Rules, Verdict};
use crate::events::{Attachment, Message, User};
use crate::mention::{self, Instead, Mention};
use crate::snowflake::Id;
use crate::world::World;

/// The most files that are named in `left_out`.
const FILES: usize = 10;
/// The longest name of a person or a file that is passed on, in characters.
const NAME: usize = 100;

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
    /// It mentions a role, and whose that is has to be asked first.
    PerhapsByRole,
}

/// Whether a message is for the bot at all.
pub(crate) fn addressed(message: &Message, world: &World, habits: &Habits) -> Addressed {
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
        return Addressed::PerhapsByRole;
    }
    let answers_all = match &habits.reply_all_guilds {
        Some(guilds) => guilds.contains(guild),
        None => habits.reply_all,
    };
    // Without the content intent it comes empty, which is nothing to answer.
    let empty = message.content.is_empty() && message.attachments.is_empty();
    if answers_all && !empty {
        Addressed::InPassing
    } else {
        Addressed::No
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

/// The message as the hub gets it. Of one that is refused, nothing but who it is from.
pub(crate) fn inbound(
    message: &Message,
    world: &World,
    habits: &Habits,
    access: Access,
) -> Inbound {
    let direct = message.guild_id.is_none();
    let shared = !direct && habits.share_in_channel;
    let (channel, user) = (message.channel_id, message.author.id);
    let conversation = match (direct, shared) {
        (true, _) => format!("dm:{user}"),
        (false, true) => format!("channel:{channel}"),
        (false, false) => format!("channel:{channel}:{user}"),
    };
    let nick = message.member.as_ref().map_or("", |member| &member.nick);
    let name = if nick.is_empty() {
        message.author.name()
    } else {
        nick
    };
    let granted = access == Access::Granted;
    Inbound {
        event_id: message.id.to_string(),
        conversation,
        address: channel.to_string(),
        direct,
        shared,
        sender: Sender {
            id: user.to_string(),
            name: clean(name),
            ..Sender::default()
        },
        access,
        text: if granted {
            plain(&message.content, &message.mentions, message.guild_id, world)
        } else {
            String::new()
        },
        quoted: if granted {
            quoted(message, world)
        } else {
            None
        },
        attachments: Vec::new(),
        left_out: if granted {
            left_out(&message.attachments)
        } else {
            Vec::new()
        },
        reply_to: message.id.to_string(),
        order: message.id.0,
        sent_at_ms: message.id.at_ms(),
        ..Inbound::default()
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

fn plain(text: &str, people: &[User], guild: Option<Id>, world: &World) -> String {
    mention::replace(text, |mention| match mention {
        Mention::User(id) if id == world.me() => Instead::Nothing,
        Mention::Role(id) if world.is_mine(id) => Instead::Nothing,
        Mention::User(id) => named(
            '@',
            people.iter().find(|user| user.id == id).map(User::name),
        ),
        Mention::Role(id) => named('@', world.role_name(guild, id)),
        Mention::Channel(id) => named(
            '#',
            world.known_channel(id).map(|known| known.name.as_str()),
        ),
    })
}

fn named(sign: char, name: Option<&str>) -> Instead {
    match name.map(clean) {
        Some(name) if !name.is_empty() => Instead::Text(format!("{sign}{name}")),
        _ => Instead::Itself,
    }
}

fn quoted(message: &Message, world: &World) -> Option<String> {
    let forwarded = message
        .message_snapshots
        .first()
        .map(|snapshot| &snapshot.message);
    let quoted = message.referenced_message.as_deref().or(forwarded)?;
    let mut text = plain(&quoted.content, &quoted.mentions, message.guild_id, world);
    for file in quoted.attachments.iter().take(FILES) {
        text.push_str(&format!("\n[{}]", describe(file)));
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn left_out(files: &[Attachment]) -> Vec<String> {
    let named = files.iter().take(FILES);
    let mut words: Vec<_> = named
        .map(|file| format!("{}: files are not passed on yet", describe(file)))
        .collect();
    if files.len() > FILES {
        words.push(format!("{} more files", files.len() - FILES));
    }
    words
}

fn describe(file: &Attachment) -> String {
    let kind = match file.content_type.split('/').next() {
        Some("image") => "image",
        Some("video") => "video",
        Some("audio") => "audio",
        Some("text") => "text",
        _ => "file",
    };
    let size = match file.size {
        0..1_000 => format!("{} bytes", file.size),
        1_000..1_000_000 => format!("{} kB", file.size / 1_000),
        _ => format!("{}.{} MB", file.size / 1_000_000, file.size / 100_000 % 10),
    };
    format!("{} ({kind}, {size})", clean(&file.filename))
}

fn clean(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ME: u64 = 7;

    fn world() -> World {
        let mut world = World::new(Id(ME));
        let guild = json!({"id": "100",
            "roles": [{"id": "101", "name": "Bulkhead", "tags": {"bot_id": "7"}}, {"id": "102", "name": "crew"}],
            "channels": [{"id": "103", "name": "general", "type": 0}],
            "threads": [{"id": "104", "name": "t", "type": 11, "parent_id": "103"}]});
        world.guild(serde_json::from_value(guild).unwrap());
        world
    }

    fn message(extra: Value) -> Message {
        let mut json = json!({"id": "175928847299117063", "channel_id": "103", "guild_id": "100", "content": "hello",
            "author": {"id": "1", "username": "ann", "global_name": "Ann"}, "member": {"nick": "", "roles": ["102"]}});
        json.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    fn to(extra: Value) -> Addressed {
        addressed(&message(extra), &world(), &Habits::default())
    }

    #[test]
    fn who_is_spoken_to() {
        let me = json!([{"id": "7", "username": "bulkhead"}]);
        for (extra, expected) in [
            (json!({}), Addressed::No),
            (json!({"guild_id": null}), Addressed::Directly),
            (json!({"mentions": me}), Addressed::Directly),
            (json!({"mentions": me, "type": 19}), Addressed::Directly),
            (json!({"mentions": me, "type": 7}), Addressed::No),
            (json!({"mentions": [{"id": "8"}]}), Addressed::No),
            (json!({"mention_roles": ["101"]}), Addressed::Directly),
            (json!({"mention_roles": ["102"]}), Addressed::No),
            (
                json!({"mention_roles": ["901"], "guild_id": "900"}),
                Addressed::PerhapsByRole,
            ),
            (json!({"mention_everyone": true}), Addressed::No),
            // The text alone names us (a code block, a quote): Discord says that it is no mention.
            (json!({"content": "<@7> hello"}), Addressed::No),
            (
                json!({"mentions": me, "author": {"id": "2", "bot": true}}),
                Addressed::No,
            ),
            (
                json!({"mentions": me, "author": {"id": "7"}}),
                Addressed::No,
            ),
            (json!({"mentions": me, "webhook_id": "5"}), Addressed::No),
            (
                json!({"guild_id": null, "author": {"id": "643945264868098049", "system": true}}),
                Addressed::No,
            ),
        ] {
            assert_eq!(to(extra.clone()), expected, "{extra}");
        }
    }

    #[test]
    fn what_the_habits_add() {
        let all = Habits {
            reply_all: true,
            ..Habits::default()
        };
        let here = People {
            everyone: false,
            ids: [Id(100)].into(),
        };
        let there = People {
            everyone: false,
            ids: [Id(200)].into(),
        };
        let listed = |guilds: &People| Habits {
            reply_all_guilds: Some(guilds.clone()),
            ..all.clone()
        };
        let loud = Habits {
            everyone_counts: true,
            ..Habits::default()
        };
        let at_all = json!({"mention_everyone": true});
        for (habits, extra, expected) in [
            (&all, json!({}), Addressed::InPassing),
            (&all, json!({"content": ""}), Addressed::No),
            (
                &all,
                json!({"mentions": [{"id": "7"}]}),
                Addressed::Directly,
            ),
            (&listed(&here), json!({}), Addressed::InPassing),
            (&listed(&there), json!({}), Addressed::No),
            (&loud, at_all.clone(), Addressed::Directly),
            (&loud, json!({}), Addressed::No),
        ] {
            assert_eq!(addressed(&message(extra), &world(), habits), expected);
        }
    }

    #[test]
    fn the_hub_gets_what_was_meant() {
        let text = "<@7> ask <@8> in <#103>, <@&102> and <@&101>";
        let message = message(
            json!({"content": text, "mentions": [{"id": "7"}, {"id": "8", "username": "bob"}],
            "referenced_message": {"content": "<@7> earlier"},
            "attachments": [{"filename": "a.png", "content_type": "image/png", "size": 12_345}]}),
        );
        let it = inbound(&message, &world(), &Habits::default(), Access::Granted);
        assert_eq!(it.text, "ask @bob in #general, @crew and");
        assert_eq!(it.quoted.as_deref(), Some("earlier"));
        assert_eq!(
            it.left_out,
            ["a.png (image, 12 kB): files are not passed on yet"]
        );
        assert_eq!(
            (it.conversation.as_str(), it.address.as_str()),
            ("channel:103:1", "103")
        );
        assert_eq!(
            (it.event_id.as_str(), it.reply_to.as_str()),
            ("175928847299117063", "175928847299117063")
        );
        assert_eq!(
            (it.order, it.sent_at_ms),
            (175_928_847_299_117_063, 1_462_015_105_796)
        );
        assert_eq!(
            (it.sender.id.as_str(), it.sender.name.as_str()),
            ("1", "Ann")
        );
        assert!(!it.direct && !it.shared);
    }

    #[test]
    fn conversations() {
        let share = Habits {
            share_in_channel: true,
            ..Habits::default()
        };
        for (habits, extra, expected) in [
            (
                &Habits::default(),
                json!({"guild_id": null, "channel_id": "55"}),
                "dm:1",
            ),
            (
                &share,
                json!({"guild_id": null, "channel_id": "55"}),
                "dm:1",
            ),
            (&Habits::default(), json!({}), "channel:103:1"),
            (&share, json!({}), "channel:103"),
            (
                &Habits::default(),
                json!({"channel_id": "104"}),
                "channel:104:1",
            ),
        ] {
            let it = inbound(&message(extra), &world(), habits, Access::Granted);
            assert_eq!(it.conversation, expected);
            assert_eq!(it.shared, expected == "channel:103");
        }
    }

    #[test]
    fn a_refusal_carries_no_text() {
        let message = message(
            json!({"content": "canary", "referenced_message": {"content": "canary"},
            "attachments": [{"filename": "canary"}]}),
        );
        let it = inbound(&message, &world(), &Habits::default(), Access::Refused);
        assert!(!format!("{it:?}").contains("canary"));
        assert_eq!((it.access, it.sender.id.as_str()), (Access::Refused, "1"));
    }

    #[test]
    fn a_thread_is_judged_with_its_parent_and_unknown_channels_are_found() {
        let thread = message(json!({"channel_id": "104", "content": "<#103> <#500> <#501>"}));
        let expected = Place::Guild {
            guild: Id(100),
            channel: Id(104),
            parent: Some(Id(103)),
        };
        assert_eq!(place(&thread, &world()), expected);
        assert_eq!(
            unknown_channels(&thread, &world()),
            [Id(500), Id(501)].into()
        );
    }

    #[test]
    fn a_forwarded_message_is_quoted() {
        let message =
            message(json!({"content": "", "message_snapshots": [{"message": {"content": "far"}}]}));
        let it = inbound(&message, &world(), &Habits::default(), Access::Granted);
        assert_eq!((it.text.as_str(), it.quoted.as_deref()), ("", Some("far")));
    }
}
