//! Answers and errors as HTTP responses, with the headers of the limits.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ApiError;
use crate::ratelimit::State as Limit;

/// What a call gives.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Done {
        Ok(Self {
            status: 200,
            body: Some(body),
        })
    }

    pub(super) fn created(body: Value) -> Done {
        Ok(Self {
            status: 201,
            body: Some(body),
        })
    }

    pub(super) fn empty() -> Done {
        Ok(Self {
            status: 204,
            body: None,
        })
    }
}

pub(super) type Done = Result<Answer, ApiError>;

/// An answer with its headers, before it is a response.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) code: Option<u64>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            code: body.get("code").and_then(Value::as_u64),
            headers: vec![("content-type", "application/json".into())],
            body: Body::from(body.to_string()),
        }
    }

    pub(super) fn error(error: &ApiError) -> Self {
        let mut reply = Self::json(error.status, &error.body());
        if let Some(seconds) = error.retry_after {
            reply.headers.push(("retry-after", whole(seconds)));
        }
        reply
    }

    pub(super) fn limited(
        seconds: f64,
        scope: &'static str,
        limit: Option<(Limit, String)>,
    ) -> Self {
        let global = scope == "global";
        let message = if scope == "shared" {
            "The resource is being rate limited."
        } else {
            "You are being rate limited."
        };
        let mut reply = Self::json(
            429,
            &json!({ "message": message, "retry_after": seconds, "global": global }),
        );
        reply.headers.push(("retry-after", whole(seconds)));
        reply.headers.push(("x-ratelimit-scope", scope.into()));
        if global {
            reply.headers.push(("x-ratelimit-global", "true".into()));
        }
        if let Some((limit, bucket)) = limit {
            reply.limit_headers(limit, bucket);
        }
        reply
    }

    pub(super) fn cloudflare(retry_after: Option<u64>) -> Self {
        let page = "<!doctype html><html><head><title>Access denied | discord.com used Cloudflare to restrict access</title></head>\
                    <body><h1>Error 1015</h1><p>You are being rate limited</p></body></html>\n";
        let mut headers = vec![
            ("content-type", "text/html; charset=UTF-8".into()),
            ("server", "cloudflare".into()),
        ];
        headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        Self {
            status: 429,
            code: None,
            headers,
            body: Body::from(page),
        }
    }

    pub(super) fn limit_headers(&mut self, limit: Limit, bucket: String) {
        self.headers.extend([
            ("x-ratelimit-limit", limit.limit.to_string()),
            ("x-ratelimit-remaining", limit.remaining.to_string()),
            ("x-ratelimit-reset", seconds(limit.resets_at)),
            ("x-ratelimit-reset-after", seconds(limit.reset_after_ms)),
            ("x-ratelimit-bucket", bucket),
        ]);
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// `Retry-After` is whole seconds, rounded up.
fn whole(seconds: f64) -> String {
    format!("{}", seconds.max(0.0).ceil())
}
