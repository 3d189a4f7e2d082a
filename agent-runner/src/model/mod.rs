//! The way to the model for agents that are not to have the key: an HTTP server on loopback, which
//! adds it.
//!
//! Promises:
//! - The key goes to the configured address and nowhere else: into no agent, no argument, no
//!   environment, no log and no error.
//! - Who calls needs the token of a running agent process. A token is random, made for one start,
//!   and ends with it; what it had under way ends too.
//! - Only what the command line needs of the API is served ([`request`]). Both ways are streamed.
//! - Everything is bounded ([`Limits`]), for each agent by itself: none takes the others' part. Whoever
//!   hits a bound with a request is told in the API's own form.
//!
//! It does not read prompts or answers, count them, or try anything again: the agent does that.

mod relay;
mod request;
mod serve;
mod upstream;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use self::serve::Shared;
pub use self::upstream::{DEFAULT as ANTHROPIC, Upstream};
use crate::tokens::{Bounds, Tokens};

/// What an agent is told to call in place of the model's API.
const BASE_URL: &str = "ANTHROPIC_BASE_URL";
/// What it is told to take for its key.
const API_KEY: &str = "ANTHROPIC_API_KEY";
/// Other ways to call a model, which go before the key or beside the proxy.
const OTHERS: [&str; 5] = [
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
];
/// Proxies that an agent would take for the way to loopback too.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// What may be under way, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that have shown no agent's token yet: one more, and the oldest of them is closed.
    pub strangers: usize,
    /// How long a connection may take to show one.
    pub first: Duration,
    /// Connections of one agent process.
    pub connections: usize,
    /// Requests of one agent process at once.
    pub requests: usize,
    /// The headers of a request, bytes.
    pub head: usize,
    /// The body of a request, bytes.
    pub body: u64,
    /// The body of an error that the API answers with, bytes.
    pub error: usize,
    /// How long a connection may be without the headers of a request.
    pub idle: Duration,
    /// How long the API may take to begin its answer: one that is not streamed takes minutes.
    pub answer: Duration,
    /// How long the API may be silent in mid-answer.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            strangers: 64,
            first: Duration::from_secs(5),
            connections: 64,
            requests: 32,
            head: 64 << 10,
            body: 64 << 20,
            error: 1 << 20,
            idle: Duration::from_secs(120),
            answer: Duration::from_secs(660),
            silence: Duration::from_secs(660),
        }
    }
}

/// A running proxy; it stops when it is dropped.
#[derive(Debug)]
pub struct ModelProxy {
    port: u16,
    tokens: Arc<Tokens>,
    accepting: AbortHandle,
}

impl ModelProxy {
    /// Listens on a port of 127.0.0.1 that the kernel picks.
    ///
    /// # Errors
    /// In words: no port could be bound, or there are no certificates to know the API by.
    pub async fn start(upstream: Upstream, limits: Limits) -> io::Result<ModelProxy> {
        let client = upstream.client(&limits).map_err(io::Error::other)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let tokens = Arc::new(Tokens::new(Bounds {
            requests: limits.requests,
            connections: limits.connections,
        }));
        let shared = Shared {
            upstream,
            client,
            limits,
            tokens: Arc::clone(&tokens),
        };
        let accepting = tokio::spawn(serve::accept(listener, Arc::new(shared))).abort_handle();
        Ok(ModelProxy {
            port,
            tokens,
            accepting,
        })
    }

    /// The port of 127.0.0.1 that an agent must be able to reach.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A token for one start of an agent; it holds until [`ModelProxy::revoke`].
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn grant(&self, launch: u64) -> io::Result<SecretString> {
        self.tokens.grant(launch)
    }

    /// The agent of that start is gone.
    pub fn revoke(&self, launch: u64) {
        self.tokens.revoke(launch);
    }

    /// Puts the way to the model into an agent's environment: this address and this token, and
    /// nothing beside them.
    pub fn lead(&self, token: &SecretString, environment: &mut BTreeMap<String, String>) {
        for other in OTHERS {
            environment.remove(other);
        }
        environment.insert(BASE_URL.into(), format!("http://127.0.0.1:{}", self.port));
        environment.insert(API_KEY.into(), token.expose_secret().to_owned());
        if PROXIES.iter().any(|name| environment.contains_key(*name)) {
            for name in ["NO_PROXY", "no_proxy"] {
                let direct = environment.entry(name.into()).or_default();
                if !direct.is_empty() {
                    direct.push(',');
                }
                direct.push_str("127.0.0.1");
            }
        }
    }
}

impl Drop for ModelProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.tokens.revoke_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[tokio::test]
    async fn an_agent_is_led_to_the_proxy_and_past_any_other_way() {
        let options = Options {
            api_key: Some("canary".into()),
            ..Options::default()
        };
        let upstream = Upstream::new(&options).unwrap().unwrap();
        let proxy = ModelProxy::start(upstream, Limits::default())
            .await
            .unwrap();
        let token = proxy.grant(1).unwrap();
        let mut environment: BTreeMap<String, String> = [
            ("CLAUDE_CODE_OAUTH_TOKEN", "other"),
            ("HTTP_PROXY", "http://proxy"),
            ("no_proxy", "intra"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        proxy.lead(&token, &mut environment);
        assert_eq!(
            environment[BASE_URL],
            format!("http://127.0.0.1:{}", proxy.port())
        );
        assert_eq!(environment[API_KEY], token.expose_secret());
        assert!(!environment.contains_key("CLAUDE_CODE_OAUTH_TOKEN"));
        assert_eq!(environment["NO_PROXY"], "127.0.0.1");
        assert_eq!(environment["no_proxy"], "intra,127.0.0.1");
        assert!(!format!("{environment:?}{proxy:?}").contains("canary"));
    }
}
