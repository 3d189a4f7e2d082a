//! The control surface, over HTTP and for tests in the same process.
//!
//! | request | does |
//! |---|---|
//! | `POST /control/say {"uid", "text"}` | a person says something; answers `{"message_id"}` |
//! | `POST /control/send {"payload"}` | a person's message with this payload |
//! | `POST /control/raw {"text"}` | a text frame, whatever it is |
//! | `GET`, `POST /control/faults {…}` | shows, or replaces, the [`Faults`] |
//! | `POST /control/cut` | resets every connection |
//! | `POST /control/close {"code", "reason"}` | closes every connection |
//! | `GET /control/bubbles?uid=` | what a person sees |
//! | `GET /control/shown`, `/control/protocol` | the records, by long poll |

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::Query;
use axum::routing::{get, post};
use axum::{Json, Router};
use fake_kit::control::{self, Asked};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Close, Faults, Order, Shared, phone};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    uid: u64,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    payload: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    text: String,
}

#[derive(Deserialize)]
struct Of {
    uid: u64,
}

/// The surface.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let of = || Arc::clone(shared);
    control::router("fake-weibo")
        .route(
            "/control/protocol",
            control::ledger(shared.protocol.clone()),
        )
        .route("/control/shown", control::ledger(shared.shown.clone()))
        .route("/control/bubbles", {
            let shared = of();
            get(move |Query(Of { uid }): Query<Of>| async move {
                Json(phone::bubbles(&shared.shown.snapshot(), &uid.to_string()))
            })
        })
        .route("/control/say", {
            let shared = of();
            post(move |Asked(Say { uid, text }): Asked<Say>| async move {
                Json(json!({"message_id": say(&shared, &uid.to_string(), &text)}))
            })
        })
        .route("/control/send", {
            let shared = of();
            post(move |Asked(Send { payload }): Asked<Send>| async move {
                shared.deliver(json!({"type": "message", "payload": payload}).to_string());
                Json(json!({}))
            })
        })
        .route("/control/raw", {
            let shared = of();
            post(move |Asked(Raw { text }): Asked<Raw>| async move {
                shared.deliver(text);
                Json(json!({}))
            })
        })
        .route("/control/faults", {
            let (shown, set) = (of(), of());
            get(move || async move { Json(shown.state().faults.clone()) }).post(
                move |Asked(faults): Asked<Faults>| async move {
                    set_faults(&set, |old| *old = faults);
                    Json(json!({}))
                },
            )
        })
        .route("/control/cut", {
            let shared = of();
            post(move || async move {
                order(&shared, || Order::Reset);
                Json(json!({}))
            })
        })
        .route("/control/close", {
            let shared = of();
            post(
                move |Asked(Close { code, reason }): Asked<Close>| async move {
                    order(&shared, || Order::Close(code, reason.clone()));
                    Json(json!({}))
                },
            )
        })
}

/// Changes the faults; what was held goes out if it is held no longer.
pub(crate) fn set_faults(shared: &Shared, change: impl FnOnce(&mut Faults)) {
    let unsent: Vec<String> = {
        let mut state = shared.state();
        change(&mut state.faults);
        if state.faults.hold {
            Vec::new()
        } else {
            state.unsent.drain(..).collect()
        }
    };
    unsent.into_iter().for_each(|frame| shared.deliver(frame));
}

/// A person says something.
pub(crate) fn say(shared: &Shared, uid: &str, text: &str) -> String {
    let (message_id, bot) = {
        let mut state = shared.state();
        state.next_message += 1;
        (
            format!("{}{:04}", 5_000_000_000_u64, state.next_message),
            shared.account.app_id.clone(),
        )
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let now = u64::try_from(now).unwrap_or_default();
    let content = json!([{"type": "input_text", "text": text}]);
    let payload = json!({
        "messageId": message_id, "fromUserId": uid, "toUserId": bot, "text": text, "timestamp": now,
        "input": [{"type": "message", "role": "user", "content": content}],
    });
    shared.deliver(json!({"type": "message", "payload": payload}).to_string());
    message_id
}

/// Tells every connection to do something.
pub(crate) fn order(shared: &Shared, order: impl Fn() -> Order) {
    for connection in shared.state().connections.values() {
        let _ = connection.send(order()); // one that ends by itself needs no telling
    }
}
