//! What Discord sends, as far as it matters here. Pure.
//!
//! Small and tolerant: an absent or null field is a default, an unknown one is ignored, so that a
//! field which Discord adds or nulls never costs a message. What is no such thing at all is an
//! error of the one event and of nothing else.

use serde::{Deserialize, Deserializer};

use crate::snowflake::Id;

/// Absent, null and of another type are all the default.
pub(crate) fn lenient<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Good(T),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Good(value) => value,
        Either::Other(_) => T::default(),
    })
}

/// READY.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) session_id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) resume_gateway_url: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) guilds: Vec<GuildRef>,
}

/// A server by its id, as in READY and GUILD_DELETE.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct GuildRef {
    pub(crate) id: Id,
    /// An outage, not a removal.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) unavailable: bool,
}

/// GUILD_CREATE.
#[derive(Debug, Deserialize)]
pub(crate) struct Guild {
    pub(crate) id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) unavailable: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) roles: Vec<Role>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) channels: Vec<Channel>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) threads: Vec<Channel>,
}

/// A role.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Role {
    pub(crate) id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) name: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) tags: RoleTags,
}

/// Whose role it is.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RoleTags {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) bot_id: Option<Id>,
}

/// GUILD_ROLE_CREATE, GUILD_ROLE_UPDATE.
#[derive(Debug, Deserialize)]
pub(crate) struct RoleChanged {
    pub(crate) guild_id: Id,
    pub(crate) role: Role,
}

/// A channel or a thread.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Channel {
    pub(crate) id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) name: String,
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    pub(crate) kind: u8,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) parent_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) guild_id: Option<Id>,
    /// Who opened a thread.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) owner_id: Option<Id>,
}

impl Channel {
    /// One of which nothing is known.
    pub(crate) fn nameless(id: Id) -> Channel {
        Channel {
            id,
            name: String::new(),
            kind: u8::MAX,
            parent_id: None,
            guild_id: None,
            owner_id: None,
        }
    }

    /// For a thread, the channel it hangs on. Other channels have a category there.
    pub(crate) fn parent(&self) -> Option<Id> {
        matches!(self.kind, 10..=12)
            .then_some(self.parent_id)
            .flatten()
    }
}

/// THREAD_LIST_SYNC: the open threads of channels that came into sight.
#[derive(Debug, Deserialize)]
pub(crate) struct Threads {
    pub(crate) guild_id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) threads: Vec<Channel>,
}

/// MESSAGE_DELETE.
#[derive(Debug, Deserialize)]
pub(crate) struct Deleted {
    pub(crate) id: Id,
    pub(crate) channel_id: Id,
}

/// MESSAGE_DELETE_BULK.
#[derive(Debug, Deserialize)]
pub(crate) struct DeletedMany {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) ids: Vec<Id>,
    pub(crate) channel_id: Id,
}

/// A user.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct User {
    pub(crate) id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) username: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) global_name: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) bot: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) system: bool,
}

impl User {
    /// As others see them.
    pub(crate) fn name(&self) -> &str {
        if self.global_name.is_empty() {
            &self.username
        } else {
            &self.global_name
        }
    }
}

/// A member of a server, without the user.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Member {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) roles: Vec<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) nick: String,
}

/// `INTERACTION_CREATE`: somebody pressed something or chose a command.
#[derive(Debug, Deserialize)]
pub(crate) struct Interaction {
    pub(crate) id: Id,
    /// 2 = a command, 3 = a control.
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    pub(crate) kind: u8,
    /// What it is answered by; good for fifteen minutes.
    pub(crate) token: secrecy::SecretString,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) data: Acted,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) guild_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) channel_id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) channel: Option<Channel>,
    /// In a server.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) member: Option<Actor>,
    /// In a direct message.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) user: Option<User>,
}

/// What was pressed or chosen.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Acted {
    /// Of a command.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) name: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) options: Vec<Given>,
    /// Of a control.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) custom_id: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) values: Vec<String>,
}

/// An option of a command.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Given {
    /// A text or a number.
    #[serde(default)]
    pub(crate) value: serde_json::Value,
}

/// A member with its user, as an interaction names them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Actor {
    pub(crate) user: User,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) roles: Vec<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) nick: String,
}

/// A file that came with a message.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Attachment {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) filename: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) content_type: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) size: u64,
    /// Signed, and good for a while only.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) url: String,
}

/// A message: MESSAGE_CREATE, MESSAGE_UPDATE, or one of a channel's history (which names no server and no member).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: Id,
    pub(crate) channel_id: Id,
    pub(crate) author: User,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) guild_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) member: Option<Member>,
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    pub(crate) kind: u8,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) content: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) webhook_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) mention_everyone: bool,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) mentions: Vec<User>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) mention_roles: Vec<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) attachments: Vec<Attachment>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) embeds: Vec<Embed>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) referenced_message: Option<Box<Quoted>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) message_snapshots: Vec<Snapshot>,
    #[serde(default, deserialize_with = "nonce")]
    pub(crate) nonce: String,
    /// Empty for one that nobody has changed.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) edited_timestamp: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) flags: u64,
}

/// A card, or the preview of a link.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Embed {
    /// `rich` for what a bot made.
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    pub(crate) kind: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) title: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) description: String,
}

impl Message {
    /// Whether a thread hangs on it.
    pub(crate) fn has_thread(&self) -> bool {
        self.flags & 1 << 5 != 0
    }
}

/// The message that was answered or forwarded.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Quoted {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) content: String,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) mentions: Vec<User>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) attachments: Vec<Attachment>,
}

/// A forwarded message.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) message: Quoted,
}

/// A nonce is a string or a number.
fn nonce<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_and_strangers_cost_no_message() {
        let message: Message = serde_json::from_value(json!({
            "id": "5", "channel_id": 6, "author": {"id": "7", "global_name": null, "username": "u", "new": 1},
            "content": null, "mentions": null, "member": {"roles": "?"}, "type": "odd", "nonce": 12,
            "referenced_message": null, "attachments": [{"size": -1}], "guild_id": null,
        }))
        .unwrap();
        assert_eq!(
            (message.id, message.channel_id, message.author.name()),
            (Id(5), Id(6), "u")
        );
        assert_eq!((message.kind, message.nonce.as_str()), (0, "12"));
        assert_eq!(message.attachments.len(), 1);
        assert!(message.member.unwrap().roles.is_empty());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for wrong in [
            json!(1),
            json!({}),
            json!({"id": "x", "channel_id": "1", "author": {"id": "1"}}),
        ] {
            assert!(serde_json::from_value::<Message>(wrong).is_err());
        }
    }

    #[test]
    fn only_threads_have_a_parent() {
        let channel = |kind: u8| -> Channel {
            serde_json::from_value(json!({"id": "1", "type": kind, "parent_id": "9"})).unwrap()
        };
        assert_eq!(
            (channel(0).parent(), channel(11).parent()),
            (None, Some(Id(9)))
        );
    }
}
