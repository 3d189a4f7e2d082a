//! One request on the wire, and what came back.
//!
//! Three ways: with the bot's token; with files; and to an interaction, by the interaction's own
//! token and without the bot's. The last never touches the bot's standing: an interaction whose time
//! is over is refused with a 401 as well.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::answer::{self, Meaning, Raw, Refused};
use super::limits::{Scope, Told};
use super::trouble::in_words;
use super::writes::TOKEN;
use super::{Call, Once, Rest};

/// The largest answer that is read, in bytes: a page of 100 messages is far below.
const LARGEST: usize = 8 << 20;
/// How long a request with files may take: 25 MiB at 2 Mbit/s.
const WITH_FILES: Duration = Duration::from_secs(120);

/// A file that goes with a message. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) name: String,
    /// Media type; empty if it is not known.
    pub(crate) mime: String,
    pub(crate) bytes: Bytes,
}

impl Rest {
    /// One request, for which there is a place.
    pub(crate) async fn once(&self, call: &Call) -> Once {
        self.with_files(call, &[]).await
    }

    /// The same, with files; the body names them in `attachments`, numbered from 0.
    pub(crate) async fn with_files(&self, call: &Call, files: &[Upload]) -> Once {
        if *self.unauthorized.borrow() {
            return Once::Unauthorized;
        }
        let request = self
            .client
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .header(AUTHORIZATION, self.authorization.clone());
        let answer = self.exchange(call, request, files).await;
        if matches!(answer, Once::Unauthorized) {
            self.refuse();
        }
        answer
    }

    /// One answer to an interaction, by its token, with which nothing else can be done.
    pub(crate) async fn once_hook(
        &self,
        call: &Call,
        token: &SecretString,
        files: &[Upload],
    ) -> Once {
        let path = call.path.replace(TOKEN, token.expose_secret());
        let request = self
            .quick
            .request(call.method.clone(), format!("{}{path}", self.base));
        match self.exchange(call, request, files).await {
            Once::Unauthorized => Once::Refused(Refused {
                status: 401,
                ..Refused::default()
            }),
            other => other,
        }
    }

    async fn exchange(&self, call: &Call, request: RequestBuilder, files: &[Upload]) -> Once {
        let _busy = Busy::new(&self.busy);
        let request = match (&call.body, files) {
            (None, _) => request,
            (Some(body), []) => request.json(body),
            (Some(body), files) => match form(body.to_string(), files) {
                Ok(form) => request.multipart(form).timeout(WITH_FILES),
                Err(why) => return Once::Trouble { why, sent: false },
            },
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                return Once::Trouble {
                    why: self.why(&error).await,
                    sent: !error.is_connect(),
                };
            }
        };
        let told = told(response.headers());
        let mut raw = Raw {
            status: response.status().as_u16(),
            retry_after: number(response.headers(), RETRY_AFTER.as_str()),
            global: response.headers().contains_key("x-ratelimit-global"),
            body: Vec::new(),
        };
        self.limits().told(&call.key, &told, Instant::now());
        match body(response).await {
            Ok(body) => raw.body = body,
            Err(why) => return Once::Trouble { why, sent: true },
        }
        match answer::read(&raw) {
            Meaning::Done => Once::Done(raw.body),
            Meaning::Limited { scope, after } => {
                self.limits()
                    .limited(&call.key, scope, after, Instant::now());
                warn_of_limit(call, scope, after);
                Once::Limited
            }
            Meaning::Unauthorized => Once::Unauthorized,
            Meaning::Trouble(why) => Once::Trouble { why, sent: true },
            Meaning::Refused(refused) => Once::Refused(refused),
        }
    }

    /// Takes a place for what nobody waits for, if there is one to spare.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub(crate) fn spare_place(&self, call: &Call) -> Result<(), Duration> {
        self.limits().take_spare(&call.key, Instant::now())
    }

    /// How long Cloudflare holds everything from this machine, if it does.
    pub(crate) fn address_held(&self) -> Option<Duration> {
        self.limits().address_held(Instant::now())
    }
}

fn form(payload: String, files: &[Upload]) -> Result<Form, String> {
    let json = Part::text(payload).mime_str("application/json");
    let json = json.map_err(|error| in_words(&error))?;
    let mut form = Form::new().part("payload_json", json);
    for (n, file) in files.iter().enumerate() {
        let part = || {
            let length = file.bytes.len() as u64;
            Part::stream_with_length(Body::from(file.bytes.clone()), length)
                .file_name(file.name.clone())
        };
        // A media type is what somebody wrote; one that is none is left to Discord to find.
        let typed = part().mime_str(&file.mime).unwrap_or_else(|_| part());
        form = form.part(format!("files[{n}]"), typed);
    }
    Ok(form)
}

fn warn_of_limit(call: &Call, scope: Scope, after: Duration) {
    let seconds = after.as_secs_f32();
    match scope {
        Scope::Route => debug!(route = call.key.route, "limited for {seconds:.1} s"),
        Scope::Global => warn!("Discord limits all requests for {seconds:.1} s"),
        Scope::Address => warn!(
            "Cloudflare limits this machine's address for {seconds:.0} s; if this comes often, \
             look for another bot on the machine"
        ),
    }
}

/// Counts a request while it is on the wire.
struct Busy<'a>(&'a watch::Sender<usize>);

impl Busy<'_> {
    fn new(count: &watch::Sender<usize>) -> Busy<'_> {
        count.send_modify(|count| *count += 1);
        Busy(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn told(headers: &HeaderMap) -> Told {
    let bucket = headers
        .get("x-ratelimit-bucket")
        .and_then(|value| value.to_str().ok());
    let reset_after = number(headers, "x-ratelimit-reset-after");
    let remaining = headers
        .get("x-ratelimit-remaining")
        .and_then(|value| value.to_str().ok());
    Told {
        bucket: bucket.filter(|name| name.len() <= 100).map(str::to_owned),
        remaining: remaining.and_then(|text| text.parse().ok()),
        reset_after: reset_after
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|after| after.min(Duration::from_secs(3600))),
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(piece)) if body.len() + piece.len() <= LARGEST => {
                body.extend_from_slice(&piece)
            }
            Ok(Some(_)) => return Err(format!("an answer of over {LARGEST} bytes")),
            Ok(None) => return Ok(body),
            Err(error) => return Err(in_words(&error)),
        }
    }
}
