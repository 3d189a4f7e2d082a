//! REST v10: one entry for every request.
//!
//! The way of a request: recorded, struck by a fault if one waits for it, address ban, User-Agent, global limit, Authorization, route, route
//! limit, the call itself, recorded again. Promises: that order; a response that a fault withholds was still done.

mod applications;
mod body;
mod calls;
mod channels;
mod draft;
pub(crate) mod error;
mod interactions;
mod messages;
mod reading;
mod reply;
mod route;
mod threads;
mod validate;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use fake_kit::DropConnection;
use serde_json::{Value, json};

pub(crate) use body::safe_name;

use crate::Id;
use crate::armed::Gate;
use crate::core::{Core, Shared};
use crate::faults::RestAct;
use crate::ledger::Wire;
use crate::ratelimit::Verdict;
use body::Payload;
use error::ApiError;
use reply::{Answer, Done, Reply};
use route::{Miss, Route};

/// The base path that the fake serves.
pub(crate) const BASE: &str = "/api/v10";

/// What is known of a request while it is under way.
struct Ask {
    route: Result<Route, Miss>,
    template: &'static str,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    payload: Result<Payload, ApiError>,
}

/// Says in the ledger that a request ended without an answer, unless it got one.
struct Open {
    shared: Arc<Shared>,
    request: u64,
    answered: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.wire.push(Wire::Unanswered {
                request: self.request,
            });
        }
    }
}

/// Every request to the API.
pub(crate) async fn entry(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(path) = parts.uri.path().strip_prefix(BASE).map(str::to_owned) else {
        return Reply::error(&ApiError::BAD_VERSION).into_response();
    };
    let query = parts.uri.query().unwrap_or_default();
    let route = route::find(&parts.method, &path);
    let payload = match to_bytes(body, body::LARGEST_REQUEST).await {
        Ok(bytes) => body::read(&parts.headers, bytes).await,
        Err(_) => Err(ApiError::TOO_LARGE),
    };
    let ask = Ask {
        template: route.as_ref().map_or("", |route| route.template),
        route,
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        method: parts.method,
        path,
        headers: parts.headers,
        payload,
    };
    let (mut open, fault, latency_ms) = arrived(&shared, &ask, query);
    let request = open.request;
    pause(latency_ms).await;
    let reply = match fault {
        Some((act, gate)) => struck(&shared, request, &ask, act, gate).await,
        None => Some(perform(&shared, &ask)),
    };
    let Some(mut reply) = reply else {
        return DropConnection.into_response();
    };
    // The fake's own clock, so that a test can have it differ from the machine's.
    let now = UNIX_EPOCH + Duration::from_millis(shared.core().now());
    reply.headers.push(("date", httpdate::fmt_http_date(now)));
    open.answered = true;
    let counts = matches!(reply.status, 401 | 403 | 429)
        && !reply
            .headers
            .iter()
            .any(|(name, value)| *name == "x-ratelimit-scope" && value == "shared");
    if counts {
        let mut core = shared.core();
        let now = core.now();
        core.limits.bad(now);
    }
    shared.wire.push(Wire::Response {
        request,
        method: ask.method.to_string(),
        route: ask.template.into(),
        status: reply.status,
        code: reply.code,
    });
    reply.into_response()
}

type Struck = Option<(RestAct, Option<(u64, Gate)>)>;

/// Records a request and finds the fault that waits for it.
fn arrived(shared: &Arc<Shared>, ask: &Ask, query: &str) -> (Open, Struck, u64) {
    let mut core = shared.core();
    let request = core.next_request;
    core.next_request += 1;
    let tail = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    // An interaction's token is a secret of fifteen minutes, and only of the fake; the ledger keeps it.
    core.wire.push(Wire::Request {
        request,
        method: ask.method.to_string(),
        path: format!("{}{tail}", ask.path),
        route: ask.template.into(),
        bot: core.bot_of(&ask.headers),
        body: ask
            .payload
            .as_ref()
            .map_or(Value::Null, |payload| payload.json.clone()),
    });
    let now = core.now();
    let fault = core
        .faults
        .on_request(ask.method.as_str(), ask.template, &ask.path, now);
    let fault = fault.map(|(act, hold)| {
        (
            act,
            hold.and_then(|hold| Some((hold, core.faults.gate(hold)?))),
        )
    });
    (
        Open {
            shared: Arc::clone(shared),
            request,
            answered: false,
        },
        fault,
        core.options.latency_ms,
    )
}

/// Does a request as a fault wants it; `None`: the connection is cut.
async fn struck(
    shared: &Arc<Shared>,
    request: u64,
    ask: &Ask,
    act: RestAct,
    gate: Option<(u64, Gate)>,
) -> Option<Reply> {
    Some(match act {
        RestAct::Error {
            status,
            code,
            message,
        } => Reply::json(status, &json!({ "message": message, "code": code })),
        RestAct::UserLimit {
            retry_after,
            shared: false,
        } => Reply::limited(retry_after, "user", None),
        RestAct::UserLimit {
            retry_after,
            shared: true,
        } => Reply::limited(retry_after, "shared", None),
        RestAct::GlobalLimit { retry_after } => Reply::limited(retry_after, "global", None),
        RestAct::Cloudflare { retry_after } => Reply::cloudflare(retry_after),
        RestAct::Delay { ms } => {
            pause(ms).await;
            perform(shared, ask)
        }
        RestAct::Hang => std::future::pending().await,
        RestAct::Cut => return None,
        RestAct::LoseResponse => {
            perform(shared, ask);
            return None;
        }
        RestAct::HoldRequest => {
            held(shared, request, gate).await;
            perform(shared, ask)
        }
        RestAct::HoldResponse => {
            let reply = perform(shared, ask);
            held(shared, request, gate).await;
            reply
        }
        RestAct::Garbage => {
            let mut reply = perform(shared, ask);
            reply.body = Body::from("{\"id\": \"this is not");
            reply
        }
    })
}

async fn held(shared: &Shared, request: u64, gate: Option<(u64, Gate)>) {
    let Some((hold, gate)) = gate else { return };
    shared.wire.push(Wire::Held { request, hold });
    gate.reached.send_modify(|count| *count += 1);
    // An error means that the gate is gone, which lets go as well.
    let _ = gate
        .released
        .subscribe()
        .wait_for(|released| *released)
        .await;
}

async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Does a request by the rules.
fn perform(shared: &Arc<Shared>, ask: &Ask) -> Reply {
    let mut core = shared.core();
    let now = core.now();
    if let Some(seconds) = core.limits.banned(core.options.bad_requests, now) {
        return Reply::cloudflare(Some(seconds));
    }
    let agent = ask
        .headers
        .get(header::USER_AGENT)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    if !agent.starts_with("DiscordBot (") {
        return Reply::error(&ApiError::BAD_USER_AGENT);
    }
    let bot = core.bot_of(&ask.headers);
    let open = ask.route.as_ref().is_ok_and(|route| route.open);
    let who = bot.map_or_else(|| "address".to_owned(), |bot| bot.to_string());
    if core.options.rate_limits && !open {
        let per_second = core.options.global_per_second;
        if let Some(wait) = core.limits.global(&who, per_second, now) {
            return Reply::limited(as_seconds(wait), "global", None);
        }
    }
    let route = match &ask.route {
        Ok(route) => route,
        Err(Miss::Path) => return Reply::error(&ApiError::NO_ROUTE),
        Err(Miss::Method) => return Reply::error(&ApiError::WRONG_METHOD),
    };
    if bot.is_none() && !route.open {
        return Reply::error(&ApiError::UNAUTHORIZED);
    }
    let mut limit = None;
    if let Some(bucket) = route.bucket.filter(|_| core.options.rate_limits) {
        match core.limits.route(&who, bucket, &route.major, now) {
            Verdict::Pass(state) => limit = Some((state, bucket.hash())),
            Verdict::Limited(state) => {
                let wait = as_seconds(state.reset_after_ms);
                return Reply::limited(wait, "user", Some((state, bucket.hash())));
            }
        }
    }
    let mut reply = match &ask.payload {
        Err(error) => Reply::error(error),
        Ok(payload) => match core.call(bot.unwrap_or_default(), &route.call, &ask.query, payload) {
            Ok(Answer {
                status,
                body: Some(body),
            }) => {
                let mut reply = Reply::json(status, &body);
                reply.code = None;
                reply
            }
            Ok(Answer { status, body: None }) => Reply {
                status,
                code: None,
                headers: Vec::new(),
                body: Body::empty(),
            },
            Err(error) => Reply::error(&error),
        },
    };
    if let Some((state, bucket)) = limit {
        reply.limit_headers(state, bucket);
    }
    reply
}

#[allow(
    clippy::cast_precision_loss,
    reason = "waits are far below 2^52 milliseconds"
)]
fn as_seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

impl Core {
    fn bot_of(&self, headers: &HeaderMap) -> Option<Id> {
        let token = headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bot ")?;
        self.world.bot_by_token(token).map(|bot| bot.user)
    }
}
