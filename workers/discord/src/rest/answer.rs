//! What an answer of the REST API means. Pure.
//!
//! Source: Discord's "Rate Limits" and "Opcodes and Status Codes". No words of an answer's body are
//! passed on but Discord's own error message.

use std::time::Duration;

use serde::Deserialize;

use super::limits::Scope;

/// A cool-down that comes without a time.
const CLOUDFLARE: Duration = Duration::from_secs(60);
/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The message is too old to be changed so often.
const OLD_MESSAGE: u64 = 30046;
/// The longest piece of Discord's own words that is passed on, in characters.
const LONGEST_WORDS: usize = 120;

/// An answer as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw {
    pub(crate) status: u16,
    /// `Retry-After`, seconds.
    pub(crate) retry_after: Option<f64>,
    /// `X-RateLimit-Global`.
    pub(crate) global: bool,
    pub(crate) body: Vec<u8>,
}

/// Discord would not do it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// Discord's own code; 0 if it gave none.
    pub(crate) code: u64,
    /// Discord's own words.
    pub(crate) words: String,
    /// The field that a form error (50035) is about, if it is about one.
    pub(crate) field: String,
}

/// What it means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    /// Done.
    Done,
    /// Not done; later.
    Limited { scope: Scope, after: Duration },
    /// The token is no good.
    Unauthorized,
    /// Trouble on their side; perhaps it was done.
    Trouble(String),
    /// Not done, and a repeat will not do it either.
    Refused(Refused),
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retry_after: f64,
    #[serde(default)]
    global: bool,
    #[serde(default)]
    errors: serde_json::Map<String, serde_json::Value>,
}

/// Reads an answer.
pub(crate) fn read(raw: &Raw) -> Meaning {
    let body: Option<ErrorBody> = serde_json::from_slice(&raw.body).ok();
    match (raw.status, body) {
        (200..=299, _) => Meaning::Done,
        // A limit in name only: waiting does not help, another message does.
        (429, Some(body)) if body.code == OLD_MESSAGE => refused(raw.status, body),
        (429, body) => limited(raw, body),
        (401, _) => Meaning::Unauthorized,
        (413, body) => refused(413, body.unwrap_or_default()),
        (408, _) => Meaning::Trouble("HTTP 408".into()),
        (400..=499, Some(body)) => refused(raw.status, body),
        // Not Discord's API but something before it.
        (status @ 400..=499, None) => {
            Meaning::Trouble(format!("HTTP {status} from something before Discord's API"))
        }
        (status, _) => Meaning::Trouble(format!("HTTP {status}")),
    }
}

fn refused(status: u16, body: ErrorBody) -> Meaning {
    let field = body.errors.keys().next();
    Meaning::Refused(Refused {
        status,
        code: body.code,
        words: short(&body.message),
        field: field.map(|key| short(key)).unwrap_or_default(),
    })
}

fn limited(raw: &Raw, body: Option<ErrorBody>) -> Meaning {
    let header = raw.retry_after.map(seconds);
    let Some(body) = body else {
        // Only Cloudflare answers in HTML.
        let after = header.unwrap_or(CLOUDFLARE).max(Duration::from_secs(1));
        return Meaning::Limited {
            scope: Scope::Address,
            after,
        };
    };
    let global = raw.global || body.global;
    let after = header.unwrap_or_default().max(seconds(body.retry_after));
    Meaning::Limited {
        scope: if global { Scope::Global } else { Scope::Route },
        after: after.max(Duration::from_millis(50)),
    }
}

/// Seconds as they came; nonsense is none, and nothing is longer than a day.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .min(LONGEST)
}

fn short(words: &str) -> String {
    let clean = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(status: u16, body: &str) -> Raw {
        Raw {
            status,
            body: body.into(),
            ..Raw::default()
        }
    }

    fn limit(raw: &Raw) -> (Scope, f64) {
        match read(raw) {
            Meaning::Limited { scope, after } => (scope, after.as_secs_f64()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_429_waits_for_the_longer_of_its_two_times() {
        let body = r#"{"message":"x","retry_after":2.5,"global":false}"#;
        assert_eq!(limit(&raw(429, body)), (Scope::Route, 2.5));
        let both = Raw {
            retry_after: Some(4.0),
            ..raw(429, body)
        };
        assert_eq!(limit(&both), (Scope::Route, 4.0));
        let shorter = Raw {
            retry_after: Some(1.0),
            ..raw(429, body)
        };
        assert_eq!(limit(&shorter), (Scope::Route, 2.5));
        let global = Raw {
            global: true,
            ..raw(429, body)
        };
        assert_eq!(limit(&global).0, Scope::Global);
        assert_eq!(
            limit(&raw(429, &body.replace("false", "true"))).0,
            Scope::Global
        );
    }

    #[test]
    fn cloudflare_429() {
        assert_eq!(
            limit(&raw(429, "<html>1015</html>")),
            (Scope::Address, 60.0)
        );
        let told = Raw {
            retry_after: Some(300.0),
            ..raw(429, "<html>")
        };
        assert_eq!(limit(&told), (Scope::Address, 300.0));
        assert_eq!(limit(&raw(429, "")), (Scope::Address, 60.0));
    }

    #[test]
    fn nonsense_times_are_bounded() {
        for (time, expected) in [
            (-1.0, 1.0),
            (f64::NAN, 1.0),
            (f64::INFINITY, 1.0),
            (1e9, 86_400.0),
        ] {
            let nonsense = Raw {
                retry_after: Some(time),
                ..raw(429, "<html>")
            };
            assert_eq!(limit(&nonsense).1, expected, "{time}");
        }
        let (_, after) = limit(&raw(429, r#"{"retry_after":0}"#));
        assert!(after > 0.0, "it never spins");
    }

    #[test]
    fn the_rest_of_the_statuses() {
        assert_eq!(read(&raw(200, "{}")), Meaning::Done);
        assert_eq!(read(&raw(204, "")), Meaning::Done);
        assert_eq!(read(&raw(401, "{}")), Meaning::Unauthorized);
        for status in [301, 408, 500, 502, 503, 504, 522] {
            assert!(
                matches!(read(&raw(status, "<html>")), Meaning::Trouble(_)),
                "{status}"
            );
        }
        assert!(matches!(
            read(&raw(403, "<html>blocked</html>")),
            Meaning::Trouble(_)
        ));
        assert!(matches!(
            read(&raw(413, "<html>too large</html>")),
            Meaning::Refused(Refused { status: 413, .. })
        ));
        // An old message that was changed too often is no limit of the route.
        let old = r#"{"code":30046,"message":"x","retry_after":60}"#;
        assert!(matches!(
            read(&raw(429, old)),
            Meaning::Refused(Refused { code: 30046, .. })
        ));
        let form =
            r#"{"code":50035,"message":"Invalid\nForm Body","errors":{"content":{"_errors":[]}}}"#;
        let Meaning::Refused(refused) = read(&raw(400, form)) else {
            panic!()
        };
        assert_eq!(
            (refused.code, refused.words.as_str(), refused.field.as_str()),
            (50035, "Invalid Form Body", "content")
        );
    }
}
