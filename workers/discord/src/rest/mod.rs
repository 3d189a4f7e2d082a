//! Discord's REST API, v10.
//!
//! Promises:
//! - Every request has a deadline and a bounded answer, and goes when the limits let it.
//! - After a 401 nothing is sent any more: a token that is refused is not tried again, since an
//!   address that does so often is banned.
//! - The token goes to the API's own address only, and into no log and no error.
//!
//! It decides nothing about messages; what their answers mean is in [`answer`].

pub(crate) mod answer;
pub(crate) mod calls;
pub(crate) mod inward;
pub(crate) mod limits;
pub(crate) mod look;
pub(crate) mod refusal;
pub(crate) mod send;
mod trouble;
pub(crate) mod writes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use reqwest::{Client, Method};
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use worker_kit::Backoff;

use crate::options::Options;
use crate::proxy::Proxy;
use answer::Refused;
use limits::{Key, Limits};

/// How long a whole request may take to be answered.
const REQUEST: Duration = Duration::from_secs(30);
/// Tries of a question before its asker hears that there is trouble.
const TRIES: u32 = 4;
/// And the time spent on them, where nobody answers.
const IN_VAIN: Duration = Duration::from_secs(8);
/// Discord wants an address and a version.
const USER_AGENT: &str = concat!(
    "DiscordBot (https://bulkhead.invalid, ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Method and route template, and the major id.
    pub(crate) key: Key,
    /// Below the API's address, with its query.
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

/// How one request ended.
#[derive(Debug)]
pub(crate) enum Once {
    Done(Vec<u8>),
    /// Not done; the limits know of it.
    Limited,
    Unauthorized,
    /// Nobody knows whether it was done, unless `sent` is false.
    Trouble {
        why: String,
        sent: bool,
    },
    Refused(Refused),
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The token is refused.
    Unauthorized,
    /// Discord would not say.
    Refused(Refused),
    /// May pass; in words.
    Trouble(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoAnswer::Unauthorized => f.write_str("the bot token is refused"),
            NoAnswer::Refused(refused) => {
                write!(
                    f,
                    "HTTP {} (code {}, {})",
                    refused.status, refused.code, refused.words
                )
            }
            NoAnswer::Trouble(why) => f.write_str(why),
        }
    }
}

/// The API as one bot sees it.
pub(crate) struct Rest {
    client: Client,
    /// For interactions: connections of its own, so that no acknowledgement is behind a large file.
    quick: Client,
    base: String,
    authorization: HeaderValue,
    limits: Mutex<Limits>,
    unauthorized: watch::Sender<bool>,
    /// Requests that are on the wire now.
    busy: watch::Sender<usize>,
    proxy: Option<Arc<Proxy>>,
}

impl Rest {
    /// Wants a rustls provider to be installed.
    ///
    /// # Errors
    /// In words: no certificates, or a proxy address that is none.
    pub(crate) fn new(options: &Options) -> Result<Rest, String> {
        let bearer = format!("Bot {}", options.token.expose_secret().trim());
        let mut authorization = HeaderValue::try_from(bearer)
            .map_err(|_| "the token has characters in it that no token has; copy it again")?;
        authorization.set_sensitive(true);
        let proxy = Proxy::of(options)?;
        Ok(Rest {
            client: client(options, proxy.as_ref())?,
            quick: client(options, proxy.as_ref())?,
            base: options.api_base().to_owned(),
            authorization,
            limits: Mutex::default(),
            unauthorized: watch::Sender::new(false),
            busy: watch::Sender::new(0),
            proxy: proxy.map(Arc::new),
        })
    }

    /// The only way to Discord, if there is one.
    pub(crate) fn proxy(&self) -> Option<Arc<Proxy>> {
        self.proxy.clone()
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the API's address is encrypted, as the gateway's then has to be.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// Returns once the token is refused.
    pub(crate) async fn refused(&self) {
        // The sender lives in `self`.
        let _ = self
            .unauthorized
            .subscribe()
            .wait_for(|refused| *refused)
            .await;
    }

    /// The token is refused, as somebody else found out: nothing is sent any more.
    pub(crate) fn refuse(&self) {
        self.unauthorized.send_replace(true);
    }

    /// Returns once no request is on the wire.
    pub(crate) async fn idle(&self) {
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// Takes a place for the request, waiting for at most `patience`.
    ///
    /// # Errors
    /// How long it would have to wait.
    pub(crate) async fn place(&self, key: &Key, patience: Duration) -> Result<(), Duration> {
        let until = Instant::now() + patience;
        loop {
            let now = Instant::now();
            let wait = match self.limits().take(key, now) {
                Ok(()) => return Ok(()),
                Err(wait) => wait,
            };
            if now + wait > until {
                return Err(wait);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks a question that may be repeated, and waits as long as it takes to have it answered or
    /// to see that there is trouble.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<T, NoAnswer> {
        let mut backoff = Backoff::new(
            Duration::from_millis(200),
            Duration::from_secs(5),
            Duration::from_secs(60),
        );
        let mut in_vain = Duration::ZERO;
        loop {
            // A whole day of patience is more than any limit lasts.
            if let Err(wait) = self.place(&call.key, Duration::from_secs(86_400)).await {
                let why = format!("Discord's limits hold for another {} s", wait.as_secs());
                return Err(NoAnswer::Trouble(why));
            }
            let asked = Instant::now();
            let why = match self.once(call).await {
                Once::Done(body) => match serde_json::from_slice(&body) {
                    Ok(answer) => return Ok(answer),
                    Err(_) => "an answer that is not as documented".to_owned(),
                },
                Once::Limited => continue,
                Once::Unauthorized => return Err(NoAnswer::Unauthorized),
                Once::Refused(refused) => return Err(NoAnswer::Refused(refused)),
                Once::Trouble { why, .. } => why,
            };
            let wait = backoff.next(fastrand::f64());
            in_vain += asked.elapsed();
            if backoff.tries() >= TRIES || in_vain >= IN_VAIN {
                return Err(NoAnswer::Trouble(why));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

fn client(options: &Options, proxy: Option<&Proxy>) -> Result<Client, String> {
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(Duration::from_millis(options.timing.connect_ms))
        .timeout(REQUEST)
        // A redirect would take the token elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    if let Some(proxy) = proxy {
        client = client.proxy(proxy.for_rest()?);
    }
    // reqwest's own words may name an address; what can go wrong here are the certificates.
    client.build().map_err(|_| {
        "the machine has no certificates to check Discord's by: install ca-certificates".into()
    })
}
