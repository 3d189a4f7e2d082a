//! The Messages API over HTTP.
//!
//! Promises: wrong requests are refused in the API's own form; a client that leaves ends its answer, and the ledger says so.
//! Does not: keep state; that is [`crate::state`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use fake_kit::DropConnection;
use futures_util::stream;
use serde_json::{Value, json};

use crate::asked::{self, Asked};
use crate::script::{Point, Script, Trouble};
use crate::state::{Ending, Event, Key, Shared};
use crate::wire::{self, Beat};

/// The API's own bound on a request.
const LARGEST_BODY: usize = 32 << 20;

/// The routes of the API.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .fallback(unknown)
        .with_state(shared)
}

fn refusal(trouble: Trouble, words: &str) -> Response {
    let request = wire::id("req");
    let status =
        StatusCode::from_u16(trouble.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Json(wire::error(trouble, words, &request));
    let mut response = (status, [("request-id", request)], body).into_response();
    if trouble.status() == 429 {
        response
            .headers_mut()
            .insert("retry-after", HeaderValue::from_static("0"));
    }
    response
}

async fn unknown(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    // Clients probe the address with HEAD before they use it.
    if request.method() == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let path = request.uri().path().to_owned();
    shared.ledger.push(Event::Refused { path, status: 404 });
    refusal(Trouble::Status(404), "Not found")
}

async fn body(request: Request) -> Result<Value, Response> {
    let bytes = to_bytes(request.into_body(), LARGEST_BODY).await;
    let bytes = bytes.map_err(|_| refusal(Trouble::Status(413), Trouble::Status(413).message()))?;
    serde_json::from_slice(&bytes).map_err(|e| {
        refusal(
            Trouble::Status(400),
            &format!("The request body is not valid JSON: {e}"),
        )
    })
}

async fn count_tokens(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.ledger.push(Event::CountTokens);
    if shared.key(request.headers()) != Key::Good {
        return refusal(Trouble::Status(401), Trouble::Status(401).message());
    }
    match body(request).await {
        Ok(body) => {
            Json(json!({ "input_tokens": body.to_string().len().div_ceil(4) })).into_response()
        }
        Err(refusal) => refusal,
    }
}

async fn messages(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let key = shared.key(request.headers());
    let session = request.headers().get("x-claude-code-session-id");
    let session = session
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let versioned = request.headers().contains_key("anthropic-version");
    let read = match body(request).await {
        Ok(_) if !versioned => Err(refusal(
            Trouble::Status(400),
            "anthropic-version: header is required",
        )),
        Ok(body) => asked::read(&body, session.as_deref())
            .map(|asked| (asked, body.to_string().len().div_ceil(4)))
            .map_err(|words| refusal(Trouble::Status(400), &words)),
        Err(refusal) => Err(refusal),
    };
    let (asked, tokens) = match read {
        Ok(read) => read,
        Err(refusal) => {
            let (path, status) = ("/v1/messages".to_owned(), refusal.status().as_u16());
            shared.ledger.push(Event::Refused { path, status });
            return refusal;
        }
    };
    let id = shared.count();
    let event = Event::Request {
        id,
        asked: asked.clone(),
        session,
        key,
    };
    shared.ledger.push(event);
    if key != Key::Good {
        shared.ledger.push(Event::Answered { id, status: 401 });
        return refusal(Trouble::Status(401), Trouble::Status(401).message());
    }
    let script = shared.script(&asked);
    if let Some(trouble) = shared.trouble(asked.turn, &script) {
        shared.ledger.push(Event::Answered {
            id,
            status: trouble.status(),
        });
        return refusal(trouble, trouble.message());
    }
    answer(shared, id, asked, script, tokens).await
}

async fn answer(
    shared: Arc<Shared>,
    id: u64,
    asked: Asked,
    script: Script,
    tokens: usize,
) -> Response {
    let ending = Ending::new(Arc::clone(&shared), id);
    let first = asked.outcomes.is_empty();
    let message = script.message(&asked.outcomes);
    let request = [("request-id", wire::id("req"))];
    if first {
        shared
            .pass(id, asked.turn, Point::BeforeFirstDelta, &script)
            .await;
    }
    if !asked.stream {
        if script.dropped {
            return DropConnection.into_response();
        }
        for point in [Point::FirstDelta, Point::BeforeResult] {
            shared.pass(id, asked.turn, point, &script).await;
        }
        ending.done();
        return (request, Json(wire::whole(&asked.model, &message, tokens))).into_response();
    }
    let beats = VecDeque::from(wire::streamed(
        &asked.model,
        &message,
        &script,
        first,
        tokens,
    ));
    let body = stream::unfold((beats, ending), move |(mut beats, ending)| {
        let (shared, script) = (Arc::clone(&shared), script.clone());
        async move {
            loop {
                match beats.pop_front() {
                    None => {
                        ending.done();
                        return None;
                    }
                    Some(Beat::Event(event)) => {
                        let bytes = Bytes::from(wire::event(&event));
                        return Some((Ok::<_, io::Error>(bytes), (beats, ending)));
                    }
                    Some(Beat::Hold(point)) => shared.pass(id, asked.turn, point, &script).await,
                    Some(Beat::Pause(pause)) => tokio::time::sleep(pause).await,
                    Some(Beat::Cut) => {
                        // hyper sends what it has only when the body has nothing for the moment.
                        tokio::task::yield_now().await;
                        let cut = io::Error::other("cut by the script");
                        return Some((Err(cut), (VecDeque::new(), ending)));
                    }
                }
            }
        }
    });
    let body = Body::from_stream(body);
    (
        request,
        [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
        ],
        body,
    )
        .into_response()
}
