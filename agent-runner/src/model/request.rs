//! What may be asked of the model's API, and what of a request and of an answer goes on. Pure.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap,
    HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Uri};

/// The header with the key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Headers between two neighbours (RFC 9110, 7.6.1), and those that our neighbour on the other side
/// gets from us.
const NOT_PASSED_ON: [HeaderName; 15] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HOST,
    CONTENT_LENGTH,
    EXPECT,
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    X_API_KEY,
];
/// The longest id of a model.
const MODEL: usize = 128;

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Something of the API.
    Api,
    /// The command line asks whether anybody is there.
    Probe,
    /// What agents have no use for.
    Nothing,
}

/// What is wanted by this.
pub(super) fn wanted(method: &Method, uri: &Uri) -> Wanted {
    let path = uri.path();
    match (method.as_str(), path) {
        ("HEAD", "/") => Wanted::Probe,
        ("POST", "/v1/messages" | "/v1/messages/count_tokens") => Wanted::Api,
        ("GET", "/v1/models") => Wanted::Api,
        ("GET", _) if path.strip_prefix("/v1/models/").is_some_and(is_model) => Wanted::Api,
        _ => Wanted::Nothing,
    }
}

/// Nothing that could lead to another path.
fn is_model(id: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:@".contains(&c);
    (1..=MODEL).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with('.')
}

/// The token that a request brings.
pub(super) fn token(headers: &HeaderMap) -> &[u8] {
    let bearer = || {
        let value = headers.get(AUTHORIZATION)?.as_bytes();
        value.strip_prefix(b"Bearer ")
    };
    let key = headers.get(X_API_KEY).map(HeaderValue::as_bytes);
    key.or_else(bearer).unwrap_or_default()
}

/// The length that a request says it has.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The headers of a request as they go on, with the key. Whatever the agent brought as a key stays
/// behind.
pub(super) fn onward(headers: &HeaderMap, key: &HeaderValue) -> HeaderMap {
    let mut onward = passed_on(headers, |_| true);
    // What is compressed could not be looked through for the key.
    onward.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    onward.insert(X_API_KEY, key.clone());
    onward
}

/// The headers of an answer as they go back; none that holds the key.
pub(super) fn back(headers: &HeaderMap, key: &[u8]) -> HeaderMap {
    passed_on(headers, |value| find(value.as_bytes(), key).is_none())
}

fn passed_on(headers: &HeaderMap, keep: impl Fn(&HeaderValue) -> bool) -> HeaderMap {
    let mut own: Vec<String> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let names = value.to_str().unwrap_or_default().split(',');
        own.extend(names.map(|name| name.trim().to_ascii_lowercase()));
    }
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let stays = NOT_PASSED_ON.contains(name) || own.iter().any(|own| own == name.as_str());
        if !stays && keep(value) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// A text without the key.
pub(super) fn redacted(text: &[u8], key: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, key) {
        clean.extend_from_slice(rest.get(..at).unwrap_or_default());
        clean.extend_from_slice(b"[key]");
        rest = rest.get(at + key.len()..).unwrap_or_default();
    }
    clean.extend_from_slice(rest);
    clean
}

fn find(text: &[u8], key: &[u8]) -> Option<usize> {
    if key.is_empty() {
        return None;
    }
    text.windows(key.len()).position(|window| window == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        headers.collect()
    }

    #[test]
    fn only_what_the_command_line_needs_is_served() {
        let is = |method: &str, path: &str| {
            wanted(&method.parse().unwrap(), &path.parse::<Uri>().unwrap())
        };
        for (method, path) in [
            ("POST", "/v1/messages?beta=true"),
            ("POST", "/v1/messages/count_tokens"),
            ("GET", "/v1/models"),
            ("GET", "/v1/models/claude-x-1.5:2@3"),
        ] {
            assert_eq!(is(method, path), Wanted::Api, "{path}");
        }
        assert_eq!(is("HEAD", "/"), Wanted::Probe);
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/v1/messages"),
            ("POST", "/v1/messages/"),
            ("POST", "/v1/messages/batches"),
            ("POST", "/v1/messages/../organizations"),
            ("POST", "/v1/files"),
            ("DELETE", "/v1/models/x"),
            ("GET", "/v1/models/"),
            ("GET", "/v1/models/../files"),
            ("GET", "/v1/models/..%2Ffiles"),
            ("GET", "/v1/models/x/y"),
            ("GET", "/v1/organizations/me"),
            ("POST", "http://elsewhere/v1/complete"),
        ] {
            assert_eq!(is(method, path), Wanted::Nothing, "{method} {path}");
        }
    }

    #[test]
    fn what_is_between_neighbours_and_what_is_a_key_stays_behind() {
        let came = map(&[
            ("host", "127.0.0.1:1"),
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("keep-alive", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("authorization", "Bearer dummy"),
            ("x-api-key", "dummy"),
            ("cookie", "a=b"),
            ("accept-encoding", "gzip, br"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b"),
        ]);
        let right = map(&[
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b"),
            ("accept-encoding", "identity"),
            ("x-api-key", "real"),
        ]);
        assert_eq!(onward(&came, &HeaderValue::from_static("real")), right);
    }

    #[test]
    fn a_token_comes_either_way() {
        assert_eq!(token(&map(&[("x-api-key", "t")])), b"t");
        assert_eq!(token(&map(&[("authorization", "Bearer t")])), b"t");
        for without in [&[][..], &[("authorization", "Basic t")]] {
            assert_eq!(token(&map(without)), b"");
        }
    }

    #[test]
    fn the_key_comes_back_in_nothing() {
        let headers = map(&[("x-echo", "so real a thing"), ("request-id", "r")]);
        assert_eq!(back(&headers, b"real"), map(&[("request-id", "r")]));
        assert_eq!(redacted(b"realrea real.", b"real"), b"[key]rea [key].");
        assert_eq!(redacted(b"nothing", b"real"), b"nothing");
        assert_eq!(redacted(b"nothing", b""), b"nothing");
    }
}
