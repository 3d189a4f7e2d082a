//! Request bodies: JSON, or multipart with `payload_json` and `files[n]`.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::error::{ApiError, Form};

/// Largest request, in bytes.
pub(crate) const LARGEST_REQUEST: usize = 25 << 20;
/// Largest file, in bytes.
pub(crate) const LARGEST_FILE: usize = 10 << 20;

/// A file that came with a request.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) name: String,
    pub(crate) content_type: Option<String>,
    pub(crate) data: Bytes,
}

/// What a request carries.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    /// The JSON, or null.
    pub(crate) json: Value,
    /// Files by their `n`.
    pub(crate) files: BTreeMap<u64, Upload>,
}

/// Reads a body by its content type.
pub(crate) async fn read(headers: &HeaderMap, bytes: Bytes) -> Result<Payload, ApiError> {
    if bytes.is_empty() {
        return Ok(Payload::default());
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    if kind.starts_with("application/json") {
        let json = serde_json::from_slice(&bytes).map_err(|_| ApiError::BAD_JSON)?;
        Ok(Payload {
            json,
            files: BTreeMap::new(),
        })
    } else if kind.starts_with("multipart/form-data") {
        multipart(headers, bytes).await
    } else {
        let words = "Expected \"Content-Type\" header to be one of {'application/json', 'multipart/form-data'}.";
        Err(Form::one(&["_content"], "CONTENT_TYPE_INVALID", words))
    }
}

async fn multipart(headers: &HeaderMap, bytes: Bytes) -> Result<Payload, ApiError> {
    let broken = || {
        Form::one(
            &["_content"],
            "MULTIPART_INVALID",
            "The multipart body cannot be read.",
        )
    };
    let mut request = Request::new(Body::from(bytes));
    *request.headers_mut() = headers.clone();
    DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|_| broken())?;
    let mut payload = Payload::default();
    while let Some(field) = parts.next_field().await.map_err(|_| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().map(safe_name);
        let content_type = field.content_type().map(str::to_owned);
        let data = field.bytes().await.map_err(|_| broken())?;
        let number = name
            .strip_prefix("files[")
            .and_then(|it| it.strip_suffix(']'));
        match (number.and_then(|it| it.parse().ok()), file) {
            (Some(number), Some(name)) => {
                payload.files.insert(
                    number,
                    Upload {
                        name,
                        content_type,
                        data,
                    },
                );
            }
            _ if name == "payload_json" => {
                payload.json = serde_json::from_slice(&data).map_err(|_| ApiError::BAD_JSON)?;
            }
            _ => {}
        }
    }
    Ok(payload)
}

/// A file name as Discord keeps it: what does not belong in an address becomes an underscore.
pub(crate) fn safe_name(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    if name.trim_matches(['.', '_']).is_empty() {
        "file".into()
    } else {
        name
    }
}
