//! What the bot may do in a server and in a channel, and what it wants to. Pure.
//!
//! Source: Discord's "Permissions". The permissions that are used stand in [`USED`], once: the invite
//! link asks for these and no others, and an examination looks for these.

use serde_json::Value;
use url::Url;

use crate::snowflake::Id;

/// React to messages.
pub(crate) const ADD_REACTIONS: u64 = 1 << 6;
/// See a channel and what is written there.
pub(crate) const VIEW_CHANNEL: u64 = 1 << 10;
/// Write in a channel; threads have a permission of their own.
pub(crate) const SEND_MESSAGES: u64 = 1 << 11;
/// Post embeds.
pub(crate) const EMBED_LINKS: u64 = 1 << 14;
/// Post files.
pub(crate) const ATTACH_FILES: u64 = 1 << 15;
/// Read what was written before, and refer to it.
pub(crate) const READ_MESSAGE_HISTORY: u64 = 1 << 16;
/// Open threads.
pub(crate) const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
/// Write in threads.
pub(crate) const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
/// Everything, everywhere.
const ADMINISTRATOR: u64 = 1 << 3;

/// A permission that is used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Permission {
    /// Its bit.
    pub(crate) bit: u64,
    /// Its name in Discord's settings.
    pub(crate) name: &'static str,
    /// What goes wrong without it.
    pub(crate) loss: &'static str,
    /// Whether the bot is of no use without it.
    pub(crate) must: bool,
}

/// Every permission that is used, in the order of Discord's settings.
pub(crate) const USED: [Permission; 8] = [
    Permission {
        bit: VIEW_CHANNEL,
        name: "View Channels",
        loss: "it does not see what is written",
        must: true,
    },
    Permission {
        bit: SEND_MESSAGES,
        name: "Send Messages",
        loss: "it cannot answer",
        must: true,
    },
    Permission {
        bit: SEND_MESSAGES_IN_THREADS,
        name: "Send Messages in Threads",
        loss: "it cannot answer in threads",
        must: false,
    },
    Permission {
        bit: CREATE_PUBLIC_THREADS,
        name: "Create Public Threads",
        loss: "it cannot open a thread for a session",
        must: false,
    },
    Permission {
        bit: EMBED_LINKS,
        name: "Embed Links",
        loss: "it cannot show progress as a card",
        must: false,
    },
    Permission {
        bit: ATTACH_FILES,
        name: "Attach Files",
        loss: "it cannot send files, such as a long answer whole",
        must: false,
    },
    Permission {
        bit: ADD_REACTIONS,
        name: "Add Reactions",
        loss: "it cannot mark a message that waits",
        must: false,
    },
    Permission {
        bit: READ_MESSAGE_HISTORY,
        name: "Read Message History",
        loss: "it cannot answer to a message, nor find what was written while it was away",
        must: true,
    },
];

/// The bits of all that is used.
pub(crate) fn used() -> u64 {
    USED.iter().fold(0, |bits, used| bits | used.bit)
}

/// The link with which somebody adds the bot to a server, with exactly the permissions used.
pub(crate) fn invite(application: Id) -> String {
    let query = [
        ("client_id", application.to_string()),
        ("scope", "bot applications.commands".to_owned()),
        ("permissions", used().to_string()),
    ];
    Url::parse_with_params("https://discord.com/oauth2/authorize", query)
        .map(String::from)
        .unwrap_or_default()
}

/// What somebody may do in a server, before a channel says otherwise.
///
/// `guild` as `GET /guilds/{}` gives it, `roles` those of the member.
pub(crate) fn in_guild(guild: &Value, member: Id, roles: &[Id]) -> u64 {
    if id(&guild["owner_id"]) == Some(member) {
        return u64::MAX;
    }
    let everyone = id(&guild["id"]);
    let list = guild["roles"].as_array().map_or(&[][..], Vec::as_slice);
    let theirs = |role: &&Value| {
        let role = id(&role["id"]);
        role.is_some() && (role == everyone || role.is_some_and(|role| roles.contains(&role)))
    };
    let granted = list
        .iter()
        .filter(theirs)
        .fold(0, |granted, role| granted | bits(&role["permissions"]));
    if granted & ADMINISTRATOR != 0 {
        u64::MAX
    } else {
        granted
    }
}

/// What they may do in a channel of it: `base` as [`in_guild`] gave it, changed by the channel's
/// overwrites (for a thread, those of its channel) for everyone, for their roles and for themselves,
/// in this order.
pub(crate) fn in_channel(base: u64, channel: &Value, guild: Id, member: Id, roles: &[Id]) -> u64 {
    if base == u64::MAX {
        return base;
    }
    let list = channel["permission_overwrites"].as_array();
    let list = list.map_or(&[][..], Vec::as_slice);
    let of = |wanted: &dyn Fn(Id) -> bool| {
        list.iter()
            .filter(|overwrite| id(&overwrite["id"]).is_some_and(wanted))
            .fold((0, 0), |(deny, allow), overwrite| {
                let (denied, allowed) = (bits(&overwrite["deny"]), bits(&overwrite["allow"]));
                (deny | denied, allow | allowed)
            })
    };
    let mut may = base;
    for (deny, allow) in [
        of(&|id| id == guild),
        of(&|id| roles.contains(&id)),
        of(&|id| id == member),
    ] {
        may = may & !deny | allow;
    }
    // Who does not see a channel can do nothing in it.
    if may & VIEW_CHANNEL == 0 { 0 } else { may }
}

/// What is used and missing. In a thread it is Send Messages in Threads that counts for an answer.
pub(crate) fn missing(may: u64, thread: bool) -> Vec<&'static Permission> {
    let of_no_use =
        |used: &&Permission| thread && [SEND_MESSAGES, CREATE_PUBLIC_THREADS].contains(&used.bit);
    USED.iter()
        .filter(|used| may & used.bit == 0 && !of_no_use(used))
        .collect()
}

/// An id, as Discord writes it or as a number.
pub(crate) fn id(value: &Value) -> Option<Id> {
    serde_json::from_value(value.clone()).ok()
}

/// Permission bits: a number in a text.
fn bits(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(0),
        other => other.as_u64().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ME: Id = Id(7);
    const GUILD: Id = Id(50);

    fn guild(everyone: u64, mine: u64) -> Value {
        json!({"id": "50", "owner_id": "1", "roles": [
            {"id": "50", "permissions": everyone.to_string()},
            {"id": "51", "permissions": mine.to_string()},
            {"id": "52", "permissions": u64::MAX.to_string()},
        ]})
    }

    #[test]
    fn the_link_asks_for_exactly_what_is_used() {
        assert_eq!(
            invite(Id(4711)),
            "https://discord.com/oauth2/authorize?client_id=4711&scope=bot+applications.commands\
             &permissions=309237763136"
        );
    }

    #[test]
    fn the_guide_has_the_same_link_and_the_same_permissions() {
        let guide = include_str!("../../../docs/discord.md");
        let link = invite(Id(4711)).replace("4711", "APP_ID");
        assert!(guide.lines().any(|line| line == link), "{link}");
        for used in USED {
            let row = format!("| {} | {} |", used.name, used.bit.trailing_zeros());
            assert!(guide.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_server_grants_by_roles_and_everything_to_its_owner_and_administrators() {
        let roles = [Id(51)];
        assert_eq!(in_guild(&guild(1, 2), ME, &roles), 3);
        assert_eq!(in_guild(&guild(1, 2), ME, &[]), 1);
        assert_eq!(in_guild(&guild(1, ADMINISTRATOR), ME, &roles), u64::MAX);
        assert_eq!(in_guild(&guild(0, 0), Id(1), &[]), u64::MAX);
        assert_eq!(in_guild(&json!({"roles": "?"}), ME, &roles), 0);
    }

    #[test]
    fn a_channel_overwrites_for_everyone_then_roles_then_the_member() {
        let may = |overwrites: &[(u64, u64, u64)], base: u64| {
            let list: Vec<_> = overwrites
                .iter()
                .map(|(id, deny, allow)| {
                    json!({"id": id.to_string(), "deny": deny.to_string(), "allow": allow.to_string()})
                })
                .collect();
            let channel = json!({"permission_overwrites": list});
            in_channel(base, &channel, GUILD, ME, &[Id(51)])
        };
        let (view, send) = (VIEW_CHANNEL, SEND_MESSAGES);
        let all = view | send;
        assert_eq!(may(&[], all), all);
        assert_eq!(may(&[(50, send, 0)], all), view, "everyone");
        assert_eq!(may(&[(50, send, 0), (51, 0, send)], all), all, "a role");
        assert_eq!(
            may(&[(7, send, 0), (51, 0, send)], all),
            view,
            "the member goes last, wherever it stands"
        );
        assert_eq!(may(&[(52, all, 0)], all), all, "another's role");
        assert_eq!(
            may(&[(51, view, 0)], all),
            0,
            "what is not seen is not used"
        );
        assert_eq!(may(&[(50, view, 0), (7, 0, view)], all), all);
        assert_eq!(may(&[(7, all, 0)], u64::MAX), u64::MAX, "an administrator");
    }

    #[test]
    fn what_is_missing_is_told_by_name() {
        let names = |may: u64, thread: bool| -> Vec<_> {
            missing(may, thread).iter().map(|used| used.name).collect()
        };
        assert_eq!(names(used(), false), [""; 0]);
        assert_eq!(names(used() & !SEND_MESSAGES, false), ["Send Messages"]);
        assert_eq!(names(used() & !SEND_MESSAGES, true), [""; 0]);
        assert_eq!(
            names(used() & !SEND_MESSAGES_IN_THREADS, true),
            ["Send Messages in Threads"]
        );
        assert_eq!(names(0, false).len(), USED.len());
    }
}
