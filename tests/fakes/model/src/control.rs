//! The HTTP control surface, for people and for tests in other languages.
//!
//! | | |
//! |---|---|
//! | `GET /control/ledger?since=…&wait_ms=…` | what happened, by long poll |
//! | `POST /control/next` `{"script": "#chars 100\n#hold first-delta"}` | what the next turn plays, whatever its prompt says |
//! | `POST /control/release` `{"point": "first-delta"}` | lets what stands there go on; without a point, everything |
//! | `GET /control/health` | that it is there |

use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Json, Router};
use fake_kit::control::{Asked, Refusal, ledger};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::script::{Point, Script};
use crate::state::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    script: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    point: Option<Point>,
}

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let (next, release) = (Arc::clone(shared), Arc::clone(shared));
    Router::new()
        .route("/control/ledger", ledger(shared.ledger.clone()))
        .route(
            "/control/health",
            get(|| async { Json(json!({ "ok": true, "fake": "fake-model" })) }),
        )
        .route(
            "/control/next",
            post(move |Asked(asked): Asked<Next>| async move {
                next.next_turn(Script::parse(&asked.script));
                Json(json!({}))
            }),
        )
        .route(
            "/control/release",
            post(move |Asked(asked): Asked<Release>| async move {
                Ok::<Json<Value>, Refusal>(Json(
                    json!({ "released": release.release(asked.point) }),
                ))
            }),
        )
}
