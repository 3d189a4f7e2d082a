//! Questions about a server whole: for an examination, and for what the bot may do in a channel. What
//! Discord answers is passed on as it came.

use std::time::SystemTime;

use reqwest::Method;
use reqwest::header::DATE;
use serde_json::Value;

use crate::snowflake::Id;

use super::limits::Key;
use super::trouble::in_words;
use super::{Call, NoAnswer, Rest};

/// The most servers that Discord names at once.
pub(crate) const SERVERS: usize = 200;

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

impl Rest {
    /// The application, with what the worker itself has no use for.
    pub(crate) async fn whole_application(&self) -> Result<Value, NoAnswer> {
        let path = "/applications/@me".to_owned();
        self.ask(&get("GET /applications/@me", "", path)).await
    }

    /// The servers that the bot is in; at most [`SERVERS`].
    pub(crate) async fn my_guilds(&self) -> Result<Vec<Value>, NoAnswer> {
        let path = format!("/users/@me/guilds?limit={SERVERS}");
        self.ask(&get("GET /users/@me/guilds", "", path)).await
    }

    /// A server with its roles.
    pub(crate) async fn whole_guild(&self, guild: Id) -> Result<Value, NoAnswer> {
        let path = format!("/guilds/{guild}");
        self.ask(&get("GET /guilds/{}", guild, path)).await
    }

    /// A server's channels, threads left out.
    pub(crate) async fn guild_channels(&self, guild: Id) -> Result<Vec<Value>, NoAnswer> {
        let path = format!("/guilds/{guild}/channels");
        self.ask(&get("GET /guilds/{}/channels", guild, path)).await
    }

    /// A channel with its overwrites.
    pub(crate) async fn whole_channel(&self, channel: Id) -> Result<Value, NoAnswer> {
        let path = format!("/channels/{channel}");
        self.ask(&get("GET /channels/{}", channel, path)).await
    }

    /// The `Date` of an answer, and when it came here. Asked without the token.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn date(&self) -> Result<(Option<String>, SystemTime), String> {
        let url = format!("{}/gateway", self.base);
        let response = self.client.get(url).send().await;
        let response = response.map_err(|error| in_words(&error))?;
        let date = response.headers().get(DATE);
        let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok((date, SystemTime::now()))
    }
}
