//! The requests that are made, each in its documented form.

use ipc_schema::Deliver;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::events::{Application, Channel, Member, Message, Role, User};
use crate::gateway::budget::StartLimit;
use crate::snowflake::Id;

use super::limits::Key;
use super::{Call, NoAnswer, Rest};

/// Post without a push notification.
const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
/// The most messages of one page.
pub(crate) const PAGE: usize = 100;

/// `GET /gateway/bot`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GatewayBot {
    pub(crate) url: String,
    pub(crate) session_start_limit: StartLimit,
}

/// Which end of a channel's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The newest.
    Newest,
    /// Those right before this one.
    Before(Id),
    /// Those right after this one.
    After(Id),
}

fn get(route: &'static str, major: impl ToString, path: String) -> Call {
    Call {
        method: Method::GET,
        key: Key {
            route,
            major: major.to_string(),
        },
        path,
        body: None,
    }
}

/// The post of a chunk. Nobody is pinged by what a model wrote, and a repeat is recognised.
pub(crate) fn post(deliver: &Deliver, refer: bool) -> Call {
    let mut body = json!({
        "content": deliver.text,
        "nonce": deliver.key,
        "enforce_nonce": true,
        "allowed_mentions": {"parse": [], "replied_user": false},
    });
    if refer {
        body["message_reference"] =
            json!({"message_id": deliver.reply_to, "fail_if_not_exists": false});
    }
    if deliver.silent {
        body["flags"] = json!(SUPPRESS_NOTIFICATIONS);
    }
    Call {
        method: Method::POST,
        key: Key {
            route: "POST /channels/{}/messages",
            major: deliver.address.clone(),
        },
        path: format!("/channels/{}/messages", deliver.address),
        body: Some(body),
    }
}

/// Ten seconds of "… is typing".
pub(crate) fn typing(channel: &str) -> Call {
    Call {
        method: Method::POST,
        key: Key {
            route: "POST /channels/{}/typing",
            major: channel.to_owned(),
        },
        path: format!("/channels/{channel}/typing"),
        body: None,
    }
}

/// The bot's own reaction to a message: on or off.
pub(crate) fn react(channel: Id, message: Id, emoji: &str, on: bool) -> Call {
    let emoji: String = url::form_urlencoded::byte_serialize(emoji.as_bytes()).collect();
    let (method, route) = if on {
        (Method::PUT, "PUT /channels/{}/messages/{}/reactions/{}/@me")
    } else {
        (
            Method::DELETE,
            "DELETE /channels/{}/messages/{}/reactions/{}/@me",
        )
    };
    Call {
        method,
        key: Key {
            route,
            major: channel.to_string(),
        },
        path: format!("/channels/{channel}/messages/{message}/reactions/{emoji}/@me"),
        body: None,
    }
}

impl Rest {
    pub(crate) async fn application(&self) -> Result<Application, NoAnswer> {
        self.ask(&get(
            "GET /applications/@me",
            "",
            "/applications/@me".into(),
        ))
        .await
    }

    pub(crate) async fn me(&self) -> Result<User, NoAnswer> {
        self.ask(&get("GET /users/@me", "", "/users/@me".into()))
            .await
    }

    pub(crate) async fn gateway_bot(&self) -> Result<GatewayBot, NoAnswer> {
        self.ask(&get("GET /gateway/bot", "", "/gateway/bot".into()))
            .await
    }

    pub(crate) async fn channel(&self, channel: Id) -> Result<Channel, NoAnswer> {
        self.ask(&get(
            "GET /channels/{}",
            channel,
            format!("/channels/{channel}"),
        ))
        .await
    }

    pub(crate) async fn roles(&self, guild: Id) -> Result<Vec<Role>, NoAnswer> {
        self.ask(&get(
            "GET /guilds/{}/roles",
            guild,
            format!("/guilds/{guild}/roles"),
        ))
        .await
    }

    pub(crate) async fn member(&self, guild: Id, user: Id) -> Result<Member, NoAnswer> {
        let path = format!("/guilds/{guild}/members/{user}");
        self.ask(&get("GET /guilds/{}/members/{}", guild, path))
            .await
    }

    /// At most [`PAGE`] messages, newest first. One that is not as documented is left out.
    pub(crate) async fn history(
        &self,
        channel: &str,
        edge: Edge,
    ) -> Result<Vec<Message>, NoAnswer> {
        let edge = match edge {
            Edge::Newest => String::new(),
            Edge::Before(id) => format!("&before={id}"),
            Edge::After(id) => format!("&after={id}"),
        };
        let path = format!("/channels/{channel}/messages?limit={PAGE}{edge}");
        let page: Vec<Value> = self
            .ask(&get("GET /channels/{}/messages", channel, path))
            .await?;
        let mut page: Vec<Message> = page
            .into_iter()
            .filter_map(|message| serde_json::from_value(message).ok())
            .collect();
        page.sort_by_key(|message| std::cmp::Reverse(message.id));
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_none() {
        let mut deliver = fake_hub::chunk("r-0", "r", 0, 1, "5", "@everyone <@1>");
        deliver.reply_to = "77".into();
        deliver.silent = true;
        let call = post(&deliver, true);
        let body = call.body.unwrap();
        assert_eq!(
            body["allowed_mentions"],
            json!({"parse": [], "replied_user": false})
        );
        assert_eq!(
            (body["nonce"].as_str(), body["enforce_nonce"].as_bool()),
            (Some("r-0"), Some(true))
        );
        assert_eq!(
            body["message_reference"],
            json!({"message_id": "77", "fail_if_not_exists": false})
        );
        assert_eq!(body["flags"], json!(4096));
        assert_eq!(call.path, "/channels/5/messages");
        let plain = post(&deliver, false).body.unwrap();
        assert!(plain.get("message_reference").is_none());
    }

    #[test]
    fn an_emoji_is_escaped() {
        assert_eq!(
            react(Id(1), Id(2), "⏳", true).path,
            "/channels/1/messages/2/reactions/%E2%8F%B3/@me"
        );
    }
}
