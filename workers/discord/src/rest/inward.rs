//! What intake asks of Discord: a message once more, a thread for it, and its files.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use url::Url;

use crate::events::{Channel, Message};
use crate::snowflake::Id;

use super::limits::Key;
use super::trouble::in_words;
use super::{Call, NoAnswer, Rest};

/// How long a file may take; a slow line carries the largest in this time.
const FILE: Duration = Duration::from_secs(90);
/// A thread that nobody writes in is hidden after a day, minutes.
const ARCHIVE_AFTER: u64 = 1440;

/// Why a file did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoFile {
    /// Its address is no longer good, or it never was.
    Gone,
    /// There is more of it than is taken.
    TooLarge,
    /// Not to be had; in words.
    Refused(String),
    /// May pass; in words.
    Trouble(String),
}

impl Rest {
    /// One message.
    pub(crate) async fn message(&self, channel: Id, message: Id) -> Result<Message, NoAnswer> {
        self.ask(&Call {
            method: Method::GET,
            key: Key {
                route: "GET /channels/{}/messages/{}",
                major: channel.to_string(),
            },
            path: format!("/channels/{channel}/messages/{message}"),
            body: None,
        })
        .await
    }

    /// Opens a thread from a message. A repeat is refused with code 160004: there it is.
    pub(crate) async fn open_thread(
        &self,
        channel: Id,
        message: Id,
        name: &str,
    ) -> Result<Channel, NoAnswer> {
        self.ask(&Call {
            method: Method::POST,
            key: Key {
                route: "POST /channels/{}/messages/{}/threads",
                major: channel.to_string(),
            },
            path: format!("/channels/{channel}/messages/{message}/threads"),
            body: Some(json!({"name": name, "auto_archive_duration": ARCHIVE_AFTER})),
        })
        .await
    }

    /// A file from another host than the API's, without the token; at most `cap` bytes.
    pub(crate) async fn download(&self, url: Url, cap: u64) -> Result<Vec<u8>, NoFile> {
        let trouble = |error: reqwest::Error| NoFile::Trouble(in_words(&error));
        let request = self.client.get(url).timeout(FILE);
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(NoFile::Trouble(self.why(&error).await)),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(NoFile::Gone);
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(NoFile::Trouble(format!("HTTP {}", status.as_u16())));
            }
            status => return Err(NoFile::Refused(format!("HTTP {}", status.as_u16()))),
        }
        let told = response.content_length();
        if told.is_some_and(|told| told > cap) {
            return Err(NoFile::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(told.unwrap_or(0)).unwrap_or(0));
        while let Some(piece) = response.chunk().await.map_err(trouble)? {
            if (bytes.len() + piece.len()) as u64 > cap {
                return Err(NoFile::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}
