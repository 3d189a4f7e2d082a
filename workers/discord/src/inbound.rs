//! A message as the hub gets it: what was meant, in plain text. Pure.
//!
//! The bot's own mentions are taken out and others become names; the text that was answered or
//! forwarded goes along. Files are not looked at here.

use ipc_schema::{Access, Inbound, Sender};

use crate::attachments::describe;
use crate::events::{Message, Quoted, User};
use crate::intake::Home;
use crate::mention::{self, Instead, Mention};
use crate::snowflake::Id;
use crate::world::World;

/// The most files of a quoted message that are named in the quote.
const FILES: usize = 10;
/// The longest name of a person or a file that is passed on, in characters.
const NAME: usize = 100;
/// Discord's limit for the name of a thread, in characters.
const TITLE: usize = 100;

/// The message as the hub gets it, without files. Of one that is refused, nothing but who it is
/// from. `owner`: the account is theirs.
pub(crate) fn inbound(
    message: &Message,
    world: &World,
    home: &Home,
    access: Access,
    owner: bool,
) -> Inbound {
    let granted = access == Access::Granted;
    let text = || plain(&message.content, &message.mentions, message.guild_id, world);
    // A message in the channel cannot be referred to in the thread that hangs on it.
    let same_place = home.channel == message.channel_id;
    Inbound {
        event_id: message.id.to_string(),
        conversation: home.conversation.clone(),
        address: home.channel.to_string(),
        direct: home.direct,
        shared: home.shared,
        sender: sender(message, owner),
        access,
        text: if granted { text() } else { String::new() },
        quoted: granted
            .then(|| quote(message).and_then(|quoted| self::quoted(quoted, message, world)))
            .flatten(),
        reply_to: if same_place {
            message.id.to_string()
        } else {
            String::new()
        },
        order: message.id.0,
        sent_at_ms: message.id.at_ms(),
        ..Inbound::default()
    }
}

/// Who wrote it.
pub(crate) fn sender(message: &Message, owner: bool) -> Sender {
    let nick = message.member.as_ref().map_or("", |member| &member.nick);
    let name = if nick.is_empty() {
        message.author.name()
    } else {
        nick
    };
    Sender {
        id: message.author.id.to_string(),
        name: clean(name),
        owner,
    }
}

/// The message that was answered, or forwarded.
pub(crate) fn quote(message: &Message) -> Option<&Quoted> {
    let forwarded = message.message_snapshots.first();
    let forwarded = forwarded.map(|snapshot| &snapshot.message);
    message.referenced_message.as_deref().or(forwarded)
}

/// A name for the thread of a message: the first line of what was meant.
pub(crate) fn title(message: &Message, world: &World) -> String {
    let (people, guild) = (&message.mentions, message.guild_id);
    let text = mention::replace(&message.content, |mention| {
        match instead(mention, people, guild, world) {
            Instead::Itself => Instead::Nothing,
            named => named,
        }
    });
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = text.lines().map(words).find(|line| !line.is_empty());
    let title: String = clean(&first.unwrap_or_default());
    let title: String = title.chars().take(TITLE).collect();
    let title = title.trim();
    if title.is_empty() {
        let asker: String = clean(message.author.name()).trim().to_owned();
        let asker = if asker.is_empty() {
            "…".into()
        } else {
            asker
        };
        return asker;
    }
    title.to_owned()
}

fn plain(text: &str, people: &[User], guild: Option<Id>, world: &World) -> String {
    mention::replace(text, |mention| instead(mention, people, guild, world))
}

fn instead(mention: Mention, people: &[User], guild: Option<Id>, world: &World) -> Instead {
    match mention {
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
    }
}

fn named(sign: char, name: Option<&str>) -> Instead {
    match name.map(clean) {
        Some(name) if !name.is_empty() => Instead::Text(format!("{sign}{name}")),
        _ => Instead::Itself,
    }
}

fn quoted(quoted: &Quoted, message: &Message, world: &World) -> Option<String> {
    let mut text = plain(&quoted.content, &quoted.mentions, message.guild_id, world);
    for file in quoted.attachments.iter().take(FILES) {
        text.push_str(&format!("\n[{}]", describe(file)));
    }
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A name from outside, fit to be shown.
pub(crate) fn clean(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(NAME)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::intake::tests::{message, world};

    fn home() -> Home {
        Home {
            conversation: "channel:103:1".into(),
            channel: Id(103),
            direct: false,
            shared: false,
        }
    }

    #[test]
    fn the_hub_gets_what_was_meant() {
        let text = "<@7> ask <@8> in <#103>, <@&102> and <@&101>";
        let message = message(
            json!({"content": text, "mentions": [{"id": "7"}, {"id": "8", "username": "bob"}],
            "referenced_message": {"content": "<@7> earlier",
                "attachments": [{"filename": "a.png", "content_type": "image/png", "size": 12_345}]}}),
        );
        let it = inbound(&message, &world(), &home(), Access::Granted, true);
        assert_eq!(it.text, "ask @bob in #general, @crew and");
        assert_eq!(
            it.quoted.as_deref(),
            Some("earlier\n[a.png (image, 12 kB)]")
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
            (
                it.sender.id.as_str(),
                it.sender.name.as_str(),
                it.sender.owner
            ),
            ("1", "Ann", true)
        );
        assert!(!it.direct && !it.shared);
        let thread = Home::thread(message.id);
        let it = inbound(&message, &world(), &thread, Access::Granted, false);
        assert_eq!(it.reply_to, "", "it stands in the channel, not in there");
        assert_eq!(it.address, message.id.to_string());
    }

    #[test]
    fn a_refusal_carries_no_text() {
        let message = message(
            json!({"content": "canary", "referenced_message": {"content": "canary"},
            "attachments": [{"filename": "canary"}]}),
        );
        let it = inbound(&message, &world(), &home(), Access::Refused, false);
        assert!(!format!("{it:?}").contains("canary"));
        assert_eq!((it.access, it.sender.id.as_str()), (Access::Refused, "1"));
    }

    #[test]
    fn a_forwarded_message_is_quoted() {
        let message =
            message(json!({"content": "", "message_snapshots": [{"message": {"content": "far"}}]}));
        let it = inbound(&message, &world(), &home(), Access::Granted, false);
        assert_eq!((it.text.as_str(), it.quoted.as_deref()), ("", Some("far")));
    }

    #[test]
    fn a_thread_is_called_by_the_first_line() {
        let long = "中".repeat(150);
        for (content, expected) in [
            ("<@7> fix the  build\nand more", "fix the build"),
            ("<@7>\n\n  second line ", "second line"),
            ("<@7> ask <@8> and <@9>, <@&102>", "ask @bob and , @crew"),
            ("<@7>", "Ann"),
            ("", "Ann"),
            (long.as_str(), &long[..300]),
        ] {
            let message = message(
                json!({"content": content, "mentions": [{"id": "7"}, {"id": "8", "username": "bob"}]}),
            );
            assert_eq!(title(&message, &world()), expected, "{content:?}");
        }
        let nameless = message(json!({"content": " ", "author": {"id": "1", "username": " "}}));
        assert_eq!(title(&nameless, &world()), "…");
    }
}
