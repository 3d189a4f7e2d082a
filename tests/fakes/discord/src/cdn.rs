//! Files and their signed, expiring addresses.
//!
//! Promises: an address works until its `ex` and no longer, a changed one never; every look-up is in the ledger with whether it carried a token.
//! Does not: scale images or serve anything but attachments.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Id;
use crate::core::Shared;
use crate::ledger::Wire;
use crate::world::Attachment;

/// Makes and checks addresses.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// `http://HOST:PORT`.
    pub(crate) base: String,
    pub(crate) key: u64,
    /// Seconds that an address lives.
    pub(crate) lives_s: u64,
    /// Unix seconds.
    pub(crate) now_s: u64,
    /// Addresses issued at or before this are void.
    pub(crate) void_until_s: u64,
}

impl Signer {
    fn signature(&self, path: &str, expires: u64, issued: u64) -> String {
        let text = format!("{}|{path}|{expires:x}|{issued:x}", self.key);
        Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn url(&self, channel: Id, file: &Attachment) -> String {
        self.signed(&format!("/attachments/{channel}/{}/{}", file.id, file.name))
    }

    fn signed(&self, path: &str) -> String {
        // An issue time never precedes what was declared void, so a fresh address always works.
        let issued = self.now_s.max(self.void_until_s + 1);
        let expires = issued + self.lives_s;
        let signature = self.signature(path, expires, issued);
        format!(
            "{}{path}?ex={expires:x}&is={issued:x}&hm={signature}&",
            self.base
        )
    }

    /// An attachment object with a fresh address.
    pub(crate) fn attachment(&self, channel: Id, file: &Attachment) -> Value {
        let url = self.url(channel, file);
        let mut out = json!({
            "id": file.id,
            "filename": file.name,
            "size": file.data.len(),
            "proxy_url": url,
            "url": url,
        });
        if let Some(content_type) = &file.content_type {
            out["content_type"] = json!(content_type);
        }
        if let Some(description) = &file.description {
            out["description"] = json!(description);
        }
        out
    }

    /// A fresh address for that of an attachment, whether it still works or not.
    pub(crate) fn fresh(&self, old: &str) -> Option<String> {
        let path = old.strip_prefix(&self.base)?.split(['?', '#']).next()?;
        path.starts_with("/attachments/").then(|| self.signed(path))
    }

    fn honours(&self, path: &str, query: &[(String, String)]) -> bool {
        let find = |key| {
            query
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.as_str())
        };
        let hex = |key| u64::from_str_radix(find(key)?, 16).ok();
        let (Some(expires), Some(issued), Some(signature)) = (hex("ex"), hex("is"), find("hm"))
        else {
            return false;
        };
        expires > self.now_s
            && issued > self.void_until_s
            && signature == self.signature(path, expires, issued)
    }
}

/// The CDN's routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/attachments/{channel}/{file}/{name}", get(fetch))
        .with_state(shared)
}

async fn fetch(
    State(shared): State<Arc<Shared>>,
    Path((channel, file, name)): Path<(Id, Id, String)>,
    Query(query): Query<Vec<(String, String)>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response {
    let path = format!("/attachments/{channel}/{file}/{name}");
    let core = shared.core();
    let found = core.signer().honours(&path, &query).then(|| {
        let messages = core.world.channels.get(&channel)?.messages.values();
        let mut files = messages.flat_map(|message| &message.attachments);
        files.find(|it| it.id == file && it.name == name).cloned()
    });
    let response = match found.flatten() {
        Some(file) => {
            let kind = file
                .content_type
                .unwrap_or_else(|| "application/octet-stream".into());
            ([(header::CONTENT_TYPE, kind)], file.data).into_response()
        }
        None => (
            StatusCode::NOT_FOUND,
            "This content is no longer available.",
        )
            .into_response(),
    };
    core.wire.push(Wire::Cdn {
        path: format!("{path}?{}", raw.unwrap_or_default()),
        status: response.status().as_u16(),
        authorized: headers.contains_key(header::AUTHORIZATION),
    });
    response
}
