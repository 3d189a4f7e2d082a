//! What the proxy itself says, in the form of the model's API ("Errors" in its documentation): the
//! agent shows it like any word of the API.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::relay::Body;

/// Tells the API's clients not to ask again; without it they ask for minutes, even of a refused key.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What goes wrong without the API's doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The token is no running agent's.
    Token,
    /// Too many requests of one agent.
    Busy(usize),
    /// Too many connections of one agent.
    Crowded(usize),
    /// Nothing of what agents need.
    Path,
    /// The body is larger than this, bytes.
    Large(u64),
    /// The agent broke its own request off.
    Broken,
    /// The API cannot be reached, and why.
    Unreachable(String),
    /// The API did not answer in time, seconds.
    Late(u64),
    /// The API sends elsewhere.
    Moved(u16),
    /// The API refuses the key; its own words.
    Key(String),
    /// The agent is gone.
    Gone,
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Trouble::Token | Trouble::Key(_) | Trouble::Gone => StatusCode::UNAUTHORIZED,
            Trouble::Busy(_) | Trouble::Crowded(_) => StatusCode::TOO_MANY_REQUESTS,
            Trouble::Path => StatusCode::NOT_FOUND,
            Trouble::Large(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Trouble::Broken => StatusCode::BAD_REQUEST,
            Trouble::Unreachable(_) | Trouble::Moved(_) => StatusCode::BAD_GATEWAY,
            Trouble::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Whether it may be otherwise a moment later.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Trouble::Busy(_) | Trouble::Crowded(_) | Trouble::Unreachable(_) | Trouble::Late(_)
        )
    }

    /// The `type` that the API gives such an error.
    fn kind(&self) -> &'static str {
        match self {
            Trouble::Token | Trouble::Key(_) | Trouble::Gone => "authentication_error",
            Trouble::Busy(_) | Trouble::Crowded(_) => "rate_limit_error",
            Trouble::Path => "not_found_error",
            Trouble::Large(_) => "request_too_large",
            Trouble::Broken => "invalid_request_error",
            Trouble::Unreachable(_) | Trouble::Moved(_) | Trouble::Late(_) => "api_error",
        }
    }

    fn words(&self) -> String {
        match self {
            Trouble::Token => "bulkhead: this address is for the agents of one project, and this \
                               key is none of theirs, or its agent is gone"
                .into(),
            Trouble::Gone => "bulkhead: the agent that this request is of is gone".into(),
            Trouble::Busy(requests) => format!(
                "bulkhead: {requests} requests of this agent are under way; wait for one to end"
            ),
            Trouble::Crowded(connections) => format!(
                "bulkhead: {connections} connections of this agent stand; use one of them, or close it"
            ),
            Trouble::Path => "bulkhead: this is no part of the model's API that an agent needs; \
                              served are /v1/messages, /v1/messages/count_tokens and /v1/models"
                .into(),
            Trouble::Large(bytes) => format!(
                "bulkhead: the request is larger than {} MB; make the conversation shorter with \
                 /compact, or begin a new one",
                bytes >> 20
            ),
            Trouble::Broken => "bulkhead: the request broke off".into(),
            Trouble::Unreachable(why) => format!(
                "bulkhead: the model's API cannot be reached: {why}. Operator: look at the network \
                 of this machine, and at base_url and proxy in [projects.agent.options]"
            ),
            Trouble::Late(seconds) => {
                format!("bulkhead: the model's API did not begin to answer within {seconds} s")
            }
            Trouble::Moved(status) => format!(
                "bulkhead: the model's API answers with a redirect (HTTP {status}), which is not \
                 followed with a key. Operator: mend base_url in [projects.agent.options]"
            ),
            Trouble::Key(words) => format!(
                "bulkhead: the model's API refuses this project's key: {words}. Operator: put a \
                 valid one into api_key of [projects.agent.options], then type  bulkhead reload"
            ),
        }
    }
}

/// The answer that says so.
pub(super) fn answer(trouble: &Trouble) -> Response<Body> {
    let error = json!({"type": trouble.kind(), "message": trouble.words()});
    let text = json!({"type": "error", "error": error}).to_string();
    let mut answer = Response::new(whole(text.into_bytes()));
    *answer.status_mut() = trouble.status();
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    if !trouble.may_pass() {
        let no = HeaderValue::from_static("false");
        answer.headers_mut().insert(X_SHOULD_RETRY, no);
    }
    answer
}

/// What the API says in the body of an error, for a person.
pub(super) fn of_error(body: &[u8]) -> String {
    let read: Option<Value> = serde_json::from_slice(body).ok();
    let words = read
        .as_ref()
        .and_then(|body| body["error"]["message"].as_str());
    let words = words.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.trim_end_matches('.') {
        "" => "it does not say why".into(),
        line => crate::text::head(line, 300).to_owned(),
    }
}

/// A body that is there already.
pub(super) fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes))
        .map_err(|never| match never {})
        .boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_words_are_told_as_a_line() {
        let error =
            json!({"type": "error", "error": {"type": "x", "message": "invalid x-api-key."}});
        assert_eq!(of_error(error.to_string().as_bytes()), "invalid x-api-key");
        assert_eq!(of_error(b"<html>\n no\xff"), "<html> no\u{fffd}");
        assert_eq!(of_error(b" "), "it does not say why");
    }
}
