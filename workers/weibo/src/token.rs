//! The access token, and what an answer of the token endpoint means. Pure.
//!
//! `POST {"app_id","app_secret"}` is answered `{"code":0,"data":{"token","uid","expire_in"}}`. Bad
//! credentials are likely to come as HTTP 200 with another `code`, so both are looked at.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::frame::id_text;
use crate::veil::Veil;

/// How long a token is taken to be good for if the answer does not say so.
const USUAL_LIFETIME: Duration = Duration::from_secs(7200);
/// The longest piece of the endpoint's own words that is passed on, in characters.
const LONGEST_WORDS: usize = 120;

/// What the endpoint gave.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// Opaque; goes into the address of the WebSocket.
    pub(crate) value: SecretString,
    /// The owner of the account; absent if the endpoint did not say.
    pub(crate) uid: Option<String>,
    /// How long it is good for.
    pub(crate) lifetime: Duration,
}

/// Why there is no token. The words are for people: no secret, no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// May pass by itself.
    Transient(String),
    /// Only a person can mend it; asked again every few minutes, so that it heals once they did.
    Credentials(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Transient(words) | TokenError::Credentials(words) => f.write_str(words),
        }
    }
}

/// Reads an answer. `veil` covers what it may repeat.
///
/// # Errors
/// [`TokenError`], by status and by `code`.
pub(crate) fn read(status: u16, body: &[u8], veil: &Veil) -> Result<Token, TokenError> {
    match status {
        200..=299 => {}
        408 | 425 | 429 | 500.. => return Err(TokenError::Transient(format!("HTTP {status}"))),
        400 | 401 | 403 => return Err(TokenError::Credentials(format!("HTTP {status}"))),
        _ => {
            let words =
                format!("HTTP {status}, which a token endpoint does not say: check token_endpoint");
            return Err(TokenError::Credentials(words));
        }
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        let words = "the answer is no JSON (is a proxy or a login page in between?)";
        return Err(TokenError::Transient(words.into()));
    };
    match number(answer.get("code")) {
        Some(0) | None => {}
        Some(code) => {
            let words = ["message", "msg", "error"]
                .iter()
                .find_map(|key| answer.get(key)?.as_str());
            let words = veil.line(words.unwrap_or_default(), LONGEST_WORDS);
            return Err(TokenError::Credentials(
                format!("code {code} {words}").trim_end().into(),
            ));
        }
    }
    let data = answer.get("data").unwrap_or(&Value::Null);
    let Some(token) = data
        .get("token")
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty())
    else {
        return Err(TokenError::Transient("the answer holds no token".into()));
    };
    let seconds = number(data.get("expire_in")).and_then(|seconds| u64::try_from(seconds).ok());
    Ok(Token {
        value: token.into(),
        uid: data.get("uid").and_then(id_text),
        lifetime: seconds.map_or(USUAL_LIFETIME, Duration::from_secs),
    })
}

/// A number, also one that was written as a text or with a fraction.
fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|n| n as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_good_answer_is_read_however_its_numbers_are_written() {
        for body in [
            r#"{"code":0,"message":"success","data":{"token":"a+b/=","uid":123456,"expire_in":7199}}"#,
            r#"{"code":"0","data":{"token":"a+b/=","uid":"123456","expire_in":"7199"}}"#,
            r#"{"data":{"token":"a+b/=","uid":123456.0,"expire_in":7199.9}}"#,
        ] {
            let token = read(200, body.as_bytes(), &Veil::default()).unwrap();
            assert_eq!(token.value.expose_secret(), "a+b/=");
            assert_eq!(token.uid.as_deref(), Some("123456"));
            assert_eq!(token.lifetime.as_secs(), 7199);
            assert!(!format!("{token:?}").contains("a+b/="));
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_a_person_must_mend() {
        let transient = |status, body: &str| {
            matches!(
                read(status, body.as_bytes(), &Veil::default()),
                Err(TokenError::Transient(_))
            )
        };
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(transient(status, ""), "{status}");
        }
        assert!(transient(200, "<html>login</html>"));
        assert!(transient(200, r#"{"code":0,"data":{}}"#));
        assert!(transient(200, r#"{"code":0,"data":{"token":""}}"#));
        assert!(transient(200, "[]"));
        for status in [400, 401, 403, 302, 404] {
            assert!(!transient(status, ""), "{status}");
        }
        let refused = read(
            200,
            br#"{"code":40001,"message":"invalid\nsecret"}"#,
            &Veil::default(),
        )
        .unwrap_err();
        assert_eq!(
            refused,
            TokenError::Credentials("code 40001 invalid secret".into())
        );
    }

    #[test]
    fn a_secret_that_is_repeated_is_covered_before_the_words_are_cut() {
        let secret = "s".repeat(40);
        let body = format!(r#"{{"code":1,"message":"{}{secret}"}}"#, "x".repeat(100));
        let error = read(200, body.as_bytes(), &Veil::new(&secret.into())).unwrap_err();
        assert!(error.to_string().ends_with("xx…"), "{error}");
    }

    #[test]
    fn an_answer_without_an_owner_has_none() {
        let token = read(200, br#"{"data":{"token":"t"}}"#, &Veil::default());
        assert_eq!(token.unwrap().uid, None);
    }
}
