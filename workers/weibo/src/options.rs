//! The options of one account, as they stand in its `[projects.platforms.options]`.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use worker_kit::OptionProblem;
use worker_kit::options::{Kind, check_keys};

use crate::access::Allow;
use crate::session::Timing;

/// The most code points of one message; nothing proves a limit of the server's, clients cut at 1800
/// to 4000.
const MAX_CHARS: u32 = 2000;

/// Waits, in milliseconds; for tests, which have no minutes to spare.
const TIMING: &[(&str, Kind)] = &[
    ("heartbeat_ms", MILLISECONDS),
    ("pong_ms", MILLISECONDS),
    ("backoff_min_ms", MILLISECONDS),
    ("backoff_max_ms", MILLISECONDS),
    ("stable_ms", MILLISECONDS),
    ("credentials_min_ms", MILLISECONDS),
    ("credentials_max_ms", MILLISECONDS),
    ("token_margin_ms", MILLISECONDS),
    ("request_ms", MILLISECONDS),
    ("bubble_ms", MILLISECONDS),
];
const MILLISECONDS: Kind = Kind::Number(1, 24 * 3600 * 1000);

const KEYS: &[(&str, Kind)] = &[
    ("app_id", Kind::Required),
    ("app_secret", Kind::Required),
    ("allow_from", Kind::Texts),
    ("token_endpoint", Kind::Address(&["https://", "http://"])),
    ("ws_endpoint", Kind::Address(&["wss://", "ws://"])),
    ("max_chars", Kind::Number(100, MAX_CHARS as i64)),
    ("timing", Kind::Table(TIMING)),
    // Of the hub's, and allowed to stand here.
    ("name", Kind::Text),
    ("reply", Kind::Text),
];

/// One account.
#[derive(Debug, Deserialize)]
pub struct Options {
    /// The account's id in the Weibo assistant; looks numeric, is a text.
    pub app_id: String,
    /// Its secret.
    pub app_secret: SecretString,
    /// Who may talk to the agent: ids, or `*`; empty = the account's owner.
    #[serde(default, deserialize_with = "texts")]
    pub allow_from: Vec<String>,
    /// Where tokens come from.
    #[serde(default = "token_endpoint")]
    pub token_endpoint: String,
    /// Where the WebSocket is. Plain `ws` shows the token to everybody on the way.
    #[serde(default = "ws_endpoint")]
    pub ws_endpoint: String,
    /// The most code points of one message, at most 2000.
    #[serde(default = "max_chars")]
    pub max_chars: u32,
    /// Waits; for tests.
    #[serde(default)]
    timing: Milliseconds,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Milliseconds {
    heartbeat_ms: Option<u64>,
    pong_ms: Option<u64>,
    backoff_min_ms: Option<u64>,
    backoff_max_ms: Option<u64>,
    stable_ms: Option<u64>,
    credentials_min_ms: Option<u64>,
    credentials_max_ms: Option<u64>,
    token_margin_ms: Option<u64>,
    request_ms: Option<u64>,
    bubble_ms: Option<u64>,
}

fn token_endpoint() -> String {
    "https://open-im.api.weibo.com/open/auth/ws_token".into()
}

fn ws_endpoint() -> String {
    "wss://open-im.api.weibo.com/ws/stream".into()
}

fn max_chars() -> u32 {
    MAX_CHARS
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(deserializer)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    })
}

/// Every problem of these options.
pub(crate) fn check(options: &Value) -> Vec<OptionProblem> {
    let mut problems = check_keys(options, KEYS);
    for key in ["token_endpoint", "ws_endpoint"] {
        let address = options.get(key).and_then(Value::as_str);
        let known = problems.iter().any(|problem| problem.key == key);
        if !known && address.is_some_and(|address| url::Url::parse(address).is_err()) {
            problems.push(OptionProblem::new(key, "is no valid address"));
        }
    }
    problems
}

impl Options {
    /// The allow list.
    pub(crate) fn allow(&self) -> Allow {
        Allow::parse(self.allow_from.iter().map(String::as_str))
    }

    /// The waits.
    pub(crate) fn timing(&self) -> Timing {
        let (given, usual) = (&self.timing, Timing::default());
        let of = |ms: Option<u64>, usual: Duration| ms.map_or(usual, Duration::from_millis);
        Timing {
            heartbeat: of(given.heartbeat_ms, usual.heartbeat),
            pong: of(given.pong_ms, usual.pong),
            backoff: (
                of(given.backoff_min_ms, usual.backoff.0),
                of(given.backoff_max_ms, usual.backoff.1),
            ),
            stable: of(given.stable_ms, usual.stable),
            credentials: (
                of(given.credentials_min_ms, usual.credentials.0),
                of(given.credentials_max_ms, usual.credentials.1),
            ),
            token_margin: of(given.token_margin_ms, usual.token_margin),
            request: of(given.request_ms, usual.request),
            bubble: of(given.bubble_ms, usual.bubble),
        }
    }

    /// Whether the token goes over a foreign network in the clear.
    pub(crate) fn shows_token(&self) -> bool {
        [&self.ws_endpoint, &self.token_endpoint]
            .iter()
            .any(|address| {
                url::Url::parse(address).is_ok_and(|url| {
                    matches!(url.scheme(), "ws" | "http")
                        && !matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_encrypted_and_for_the_owner_alone() {
        let options = json!({"app_id": "1", "app_secret": "canary"});
        assert_eq!(check(&options), []);
        let options: Options = serde_json::from_value(options).unwrap();
        assert!(options.ws_endpoint.starts_with("wss://") && !options.shows_token());
        assert_eq!((options.allow(), options.max_chars), (Allow::Owner, 2000));
        assert_eq!(options.timing(), Timing::default());
        assert!(!format!("{options:?}").contains("canary"));
    }

    #[test]
    fn lists_and_plain_addresses_are_taken() {
        let options = json!({"app_id": "1", "app_secret": "s", "allow_from": "1, 2",
            "ws_endpoint": "ws://example.org/ws", "timing": {"heartbeat_ms": 5}});
        assert_eq!(check(&options), []);
        let options: Options = serde_json::from_value(options).unwrap();
        assert!(options.allow().allows("2", None) && options.shows_token());
        assert_eq!(options.timing().heartbeat.as_millis(), 5);
    }

    #[test]
    fn every_problem_is_named() {
        let options = json!({"app_id": 5, "alow_from": "1", "ws_endpoint": "ws://",
            "token_endpoint": "ftp://x", "max_chars": 4000});
        let keys: Vec<_> = check(&options)
            .into_iter()
            .map(|problem| problem.key)
            .collect();
        let expected = [
            "alow_from",
            "app_id",
            "app_secret",
            "token_endpoint",
            "max_chars",
            "ws_endpoint",
        ];
        assert_eq!(keys, expected);
    }
}
