//! `POST /open/dm/send_file`: one file to the account's owner, as the raw body of a request.
//!
//! Its answer is `{"code":0,"data":{"fid","message_id"}}`. Nothing tells whether a request that
//! failed on the way was obeyed: it is sent again, so a file may stand twice.

use std::time::Duration;

use ipc_schema::BlobRef;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use worker_kit::Hub;
use worker_kit::hub::NotFetched;

use crate::connect::{read_body, unreached};
use crate::frame::id_text;
use crate::veil::Veil;

/// The largest file that is sent; Weibo's own limit is unknown.
pub(crate) const LARGEST_FILE: u64 = 10 << 20;
/// How long the hub may take to hand over one file.
const FETCH_DEADLINE: Duration = Duration::from_secs(60);
/// How long the request may take: 10 MiB on a line of 1 Mbit/s, and some.
const DEADLINE: Duration = Duration::from_secs(120);
/// The longest piece of the service's own words that is passed on, in characters.
const LONGEST_WORDS: usize = 120;
/// The longest name, in characters.
const LONGEST_NAME: usize = 120;

/// Why a file was not sent. The words are for people: no secret, no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// May pass by itself.
    Transient(String),
    /// The token was refused.
    Token(String),
    /// Will be the same tomorrow.
    Permanent(String),
}

/// Where files go: beside the token endpoint.
pub(crate) fn endpoint(token_endpoint: &str) -> Option<url::Url> {
    let base = url::Url::parse(token_endpoint).ok()?;
    base.join("/open/dm/send_file").ok()
}

/// Sends a file that the hub keeps; the id that Weibo gives it.
///
/// # Errors
/// [`Unsent`].
pub(crate) async fn send(
    client: &reqwest::Client,
    mut endpoint: url::Url,
    token: &SecretString,
    file: &BlobRef,
    hub: &Hub,
    veil: &Veil,
) -> Result<String, Unsent> {
    let bytes = match tokio::time::timeout(FETCH_DEADLINE, hub.fetch(file, LARGEST_FILE)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(why @ NotFetched::TooLarge { .. })) => {
            return Err(Unsent::Permanent(why.to_string()));
        }
        Ok(Err(why @ NotFetched::Gone(_))) => return Err(Unsent::Permanent(why.to_string())),
        Err(_) => {
            let words = "the hub does not hand the file over";
            return Err(Unsent::Transient(words.into()));
        }
    };
    endpoint
        .query_pairs_mut()
        .append_pair("token", token.expose_secret())
        .append_pair("fileName", &name(&file.name));
    let mime = match file.mime.as_str() {
        mime if mime.is_ascii() && mime.contains('/') => mime,
        _ => "application/octet-stream",
    };
    let request = client
        .post(endpoint)
        .timeout(DEADLINE)
        .header(reqwest::header::CONTENT_TYPE, mime)
        .body(bytes);
    let answer = async {
        let mut response = request.send().await?;
        Ok((response.status().as_u16(), read_body(&mut response).await?))
    };
    let answer: reqwest::Result<_> = answer.await;
    match answer {
        Ok((status, body)) => read(status, &body, veil),
        Err(error) => Err(Unsent::Transient(unreached("send_file", error))),
    }
}

/// A name that is nobody's path.
fn name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect();
    match name.trim() {
        "" | "." | ".." => "file".into(),
        name => name.into(),
    }
}

/// Reads the answer.
fn read(status: u16, body: &[u8], veil: &Veil) -> Result<String, Unsent> {
    match status {
        200..=299 => {}
        401 | 403 => return Err(Unsent::Token(format!("HTTP {status}"))),
        408 | 425 | 429 | 500.. => return Err(Unsent::Transient(format!("HTTP {status}"))),
        _ => return Err(Unsent::Permanent(format!("HTTP {status}"))),
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Err(Unsent::Transient("the answer is no JSON".into()));
    };
    let code = match answer.get("code") {
        None | Some(Value::Null) => 0,
        Some(code) => id_text(code)
            .and_then(|code| code.parse().ok())
            .unwrap_or(-1),
    };
    if code == 0 {
        let data = answer.get("data").unwrap_or(&Value::Null);
        let id = |key| data.get(key).and_then(id_text);
        return Ok(id("message_id").or_else(|| id("fid")).unwrap_or_default());
    }
    let words = ["message", "msg", "error"]
        .iter()
        .find_map(|key| answer.get(key)?.as_str());
    let words = veil.line(words.unwrap_or_default(), LONGEST_WORDS);
    let about_token = words.to_ascii_lowercase().contains("token");
    let words = format!("code {code} {words}").trim_end().to_owned();
    // What the other codes mean nobody says: they get a few tries, as what may pass.
    Err(if about_token {
        Unsent::Token(words)
    } else {
        Unsent::Transient(words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let of = |status, body: &str| read(status, body.as_bytes(), &Veil::default());
        for body in [
            r#"{"code":0,"data":{"fid":"f","message_id":12}}"#,
            r#"{"code":"0","data":{"message_id":"12"}}"#,
            r#"{"data":{"fid":12}}"#,
        ] {
            assert_eq!(of(200, body), Ok("12".into()), "{body}");
        }
        assert_eq!(of(200, r#"{"code":0}"#), Ok(String::new()));
        assert!(matches!(of(401, ""), Err(Unsent::Token(_))));
        let words = r#"{"code":40002,"message":"invalid token"}"#;
        assert_eq!(
            of(200, words),
            Err(Unsent::Token("code 40002 invalid token".into()))
        );
        for status in [400, 404, 413, 415] {
            assert!(
                matches!(of(status, ""), Err(Unsent::Permanent(_))),
                "{status}"
            );
        }
        for (status, body) in [
            (429, ""),
            (503, ""),
            (200, "<html>"),
            (200, r#"{"code":9}"#),
        ] {
            assert!(
                matches!(of(status, body), Err(Unsent::Transient(_))),
                "{body}"
            );
        }
    }

    #[test]
    fn the_endpoint_is_beside_the_tokens() {
        let url = endpoint("https://open-im.api.weibo.com/open/auth/ws_token?x=1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://open-im.api.weibo.com/open/dm/send_file"
        );
    }

    #[test]
    fn a_name_is_nobodys_path() {
        for (given, sent) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\报告.pdf", "报告.pdf"),
            ("a\nb", "ab"),
            ("..", "file"),
            ("", "file"),
        ] {
            assert_eq!(name(given), sent);
        }
        assert_eq!(name(&"长".repeat(500)).chars().count(), 120);
    }
}
