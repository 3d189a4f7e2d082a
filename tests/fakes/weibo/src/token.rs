//! The HTTP side: tokens and files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use fake_kit::DropConnection;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::faults::{FileFault, TokenFault, once};
use crate::{Event, Shared};

const USUAL_LIFETIME: u64 = 7199;

pub(crate) async fn ask(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let (fault, seconds, no_uid) = {
        let faults = &mut shared.state().faults;
        let fault = once(&mut faults.token, &mut faults.token_times);
        let seconds = faults.expire_in.unwrap_or(USUAL_LIFETIME);
        (fault, seconds, faults.no_uid)
    };
    if let Some(fault) = fault {
        shared.protocol.push(Event::Token {
            outcome: format!("{fault:?}"),
        });
        return fail(fault, &shared).await;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let account = &shared.account;
    if asked["app_id"] != json!(account.app_id) || asked["app_secret"] != json!(account.app_secret)
    {
        shared.protocol.push(Event::Token {
            outcome: "refused".into(),
        });
        return Json(json!({"code": 40001, "message": "invalid app_id or app_secret"}))
            .into_response();
    }
    // Opaque, and of letters that an address does not take as they are.
    let token = format!("{:016x}+/=&%{:016x}", fastrand::u64(..), fastrand::u64(..));
    let end = Instant::now() + Duration::from_secs(seconds);
    shared.state().tokens.insert(token.clone(), end);
    shared.protocol.push(Event::Token {
        outcome: "given".into(),
    });
    let mut data = json!({"token": token, "uid": account.owner, "expire_in": seconds});
    if let Some(data) = data.as_object_mut().filter(|_| no_uid) {
        data.remove("uid");
    }
    Json(json!({"code": 0, "message": "success", "data": data})).into_response()
}

async fn fail(fault: TokenFault, shared: &Shared) -> Response {
    match fault {
        TokenFault::Status(status) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response(),
        TokenFault::Code(code) => Json(json!({"code": code, "message": "no"})).into_response(),
        TokenFault::Html => Html("<html><body>Please log in</body></html>").into_response(),
        TokenFault::Hang => std::future::pending().await,
        TokenFault::Drop => DropConnection.into_response(),
        TokenFault::Echo => {
            let words = format!("wrong: {}", shared.account.app_secret);
            Json(json!({"code": 40001, "message": words})).into_response()
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct SendFile {
    token: String,
    #[serde(rename = "fileName")]
    file_name: String,
}

pub(crate) async fn send_file(
    State(shared): State<Arc<Shared>>,
    Query(SendFile { token, file_name }): Query<SendFile>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (good, fault) = {
        let mut state = shared.state();
        let good = state.is_good(&token);
        let faults = &mut state.faults;
        (good, once(&mut faults.file, &mut faults.file_times))
    };
    let refused = || Json(json!({"code": 40002, "message": "invalid token"})).into_response();
    match &fault {
        Some(FileFault::Status(status)) => {
            let status = StatusCode::from_u16(*status);
            return status
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
                .into_response();
        }
        Some(FileFault::Code(code)) => {
            return Json(json!({"code": code, "message": "no"})).into_response();
        }
        Some(FileFault::Token) => return refused(),
        Some(FileFault::Drop) | None if !good => return refused(),
        Some(FileFault::Drop) | None => {}
    }
    let mime = headers.get(header::CONTENT_TYPE);
    let mime = mime.and_then(|mime| mime.to_str().ok()).unwrap_or_default();
    shared.protocol.push(Event::File {
        name: file_name,
        bytes: body.len(),
        mime: mime.into(),
    });
    shared.state().files.push(body.to_vec());
    if fault == Some(FileFault::Drop) {
        return DropConnection.into_response();
    }
    let id = fastrand::u64(..);
    Json(json!({"code": 0, "data": {"fid": id.to_string(), "message_id": id}})).into_response()
}

impl crate::State {
    pub(crate) fn is_good(&self, token: &str) -> bool {
        self.tokens
            .get(token)
            .is_some_and(|end| Instant::now() < *end)
    }
}
