//! The pieces of the HTTP control surface that every fake's binary has.
//!
//! Promises: a wrong request is answered with `{"error": "…"}` that names what is wrong; nothing is silently ignored.
//! Does not: ask for credentials. It listens on loopback and guards nothing real.
//!
//! Every surface has `GET /control/health` and ledgers read by long poll:
//! `GET …?since=INDEX&wait_ms=MS&limit=N` gives `{"next": INDEX, "entries": [{"index", "at_ms", "what"}]}`,
//! at once if there is an entry at or past `since`, else when one comes or the wait (at most 60 s) is over.

use std::fmt;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Entry, Ledger};

/// Largest body of a control request, in bytes.
const LARGEST_BODY: usize = 64 << 20;
/// Longest wait of a long poll.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Entries in one answer when the request names no limit.
const USUAL_LIMIT: usize = 1000;

/// A control request that was not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Status of the answer.
    pub status: StatusCode,
    /// What is wrong and what would be right.
    pub error: String,
}

impl Refusal {
    /// 400: the request itself is wrong.
    pub fn wrong(error: impl fmt::Display) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: error.to_string(),
        }
    }

    /// 404: it names something that is not there.
    pub fn missing(error: impl fmt::Display) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            error: error.to_string(),
        }
    }

    /// 408: what was waited for did not come.
    pub fn late(error: impl fmt::Display) -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            error: error.to_string(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error }))).into_response()
    }
}

/// The JSON body of a control request, whatever its content type says; an empty body is `{}`.
#[derive(Debug, Clone, Copy)]
pub struct Asked<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let body = to_bytes(request.into_body(), LARGEST_BODY)
            .await
            .map_err(Refusal::wrong)?;
        let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
        serde_json::from_slice(body)
            .map(Asked)
            .map_err(Refusal::wrong)
    }
}

/// The query of a long poll.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Since {
    /// First index wanted.
    pub since: u64,
    /// How long to wait for it, in milliseconds; 0 answers at once.
    pub wait_ms: u64,
    /// Most entries in the answer; 1000 if absent.
    pub limit: Option<usize>,
}

/// A page of a ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The `since` of the next request.
    pub next: u64,
    /// What came, in order.
    pub entries: Vec<Entry<T>>,
}

/// Waits as `query` asks and takes the page.
pub async fn page<T: Clone>(ledger: &Ledger<T>, query: &Since) -> Page<T> {
    let wait = Duration::from_millis(query.wait_ms).min(LONGEST_WAIT);
    ledger.wait_past(query.since, wait).await;
    let mut entries = ledger.since(query.since);
    entries.truncate(query.limit.unwrap_or(USUAL_LIMIT));
    let next = entries.last().map_or(query.since, |entry| entry.index + 1);
    Page { next, entries }
}

/// A route that serves `ledger` by long poll.
pub fn ledger<T, S>(ledger: Ledger<T>) -> MethodRouter<S>
where
    T: Clone + Serialize + Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    get(move |Query(query): Query<Since>| async move { Json(page(&ledger, &query).await) })
}

/// The part of the surface that is the same everywhere: `GET /control/health`, and words for an unknown path.
pub fn router<S: Clone + Send + Sync + 'static>(name: &'static str) -> Router<S> {
    Router::new()
        .route(
            "/control/health",
            get(move || async move { Json(json!({ "ok": true, "fake": name })) }),
        )
        .fallback(move || async move {
            Refusal::missing(format!(
                "no such control address; `{name} --help` lists them all"
            ))
        })
}

/// The one line that a fake's binary prints when it is ready: `NAME ready key=value …`.
#[must_use]
pub fn ready_line(name: &str, facts: &[(&str, &str)]) -> String {
    let facts: String = facts
        .iter()
        .map(|(key, value)| format!(" {key}={value}"))
        .collect();
    format!("{name} ready{facts}")
}

/// Returns at SIGTERM or SIGINT.
///
/// # Errors
/// The signals cannot be watched.
pub async fn told_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
