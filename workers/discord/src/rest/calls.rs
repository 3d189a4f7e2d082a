//! The questions that are asked and the marks that are set, each in its documented form.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::application::Application;
use crate::events::{Channel, Member, Message, Role, User};
use crate::gateway::budget::StartLimit;
use crate::snowflake::Id;

use super::limits::Key;
use super::{Call, NoAnswer, Rest};

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
    fn an_emoji_is_escaped() {
        assert_eq!(
            react(Id(1), Id(2), "⏳", true).path,
            "/channels/1/messages/2/reactions/%E2%8F%B3/@me"
        );
    }
}
