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
    match raw.status {
        200..=299 => Meaning::Done,
        429 => limited(raw, body),
        401 => Meaning::Unauthorized,
        400..=499 if raw.status != 408 => match body {
            Some(body) => Meaning::Refused(Refused {
                status: raw.status,
                code: body.code,
                words: short(&body.message),
                field: body
                    .errors
                    .keys()
                    .next()
                    .map(|key| short(key))
                    .unwrap_or_default(),
            }),
            // Not Discord's API but something before it.
            None => Meaning::Trouble(format!(
                "HTTP {} from something before Discord's API",
                raw.status
            )),
        },
        status => Meaning::Trouble(format!("HTTP {status}")),
    }
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

/// What becomes of a post that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Post {
    /// The first try had succeeded, and somebody has deleted the message since.
    Delivered,
    /// Try again without referring to a message.
    WithoutReference,
    /// It never will be; in words.
    Never(String),
    /// It never will be, and it is a fault of ours; in words.
    OurFault(String),
}

/// Reads the refusal of a post. `repeated`: an earlier try with the same nonce may have succeeded;
/// `refers`: it refers to a message.
pub(crate) fn post(refused: &Refused, repeated: bool, refers: bool) -> Post {
    let Refused {
        status,
        code,
        words,
        field,
    } = refused;
    let never = |what: &str| Post::Never(what.into());
    match code {
        10008 if repeated => Post::Delivered,
        160_002 if refers => Post::WithoutReference,
        50035 if refers && field == "message_reference" => Post::WithoutReference,
        10003 => never("the channel is gone"),
        10004 => never("the bot is no longer in that server"),
        50001 => never("the bot cannot see the channel: give its role View Channel there"),
        50013 => never(
            "the bot may not write in the channel: give its role Send Messages there (in threads: \
             Send Messages in Threads)",
        ),
        50007 => never("the user takes no direct messages from the bot, or blocks it"),
        50083 => never("the thread is archived"),
        160_005 => never("the thread is locked"),
        50006 | 50035 | 50109 => {
            let field = if field.is_empty() {
                String::new()
            } else {
                format!(" in {field}")
            };
            Post::OurFault(format!(
                "Discord cannot read the message{field} ({code} {words})"
            ))
        }
        _ => Post::Never(format!(
            "Discord refuses it: HTTP {status}, code {code}, {words}"
        )),
    }
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

    #[test]
    fn what_becomes_of_a_refused_post() {
        let refused = |code: u64, field: &str| Refused {
            status: 400,
            code,
            field: field.into(),
            ..Refused::default()
        };
        for code in [10003, 10004, 50001, 50013, 50007, 50083, 160_005, 0, 99] {
            assert!(
                matches!(post(&refused(code, ""), true, true), Post::Never(_)),
                "{code}"
            );
        }
        for code in [50006, 50035] {
            assert!(
                matches!(
                    post(&refused(code, "content"), true, true),
                    Post::OurFault(_)
                ),
                "{code}"
            );
        }
        assert_eq!(post(&refused(10008, ""), true, false), Post::Delivered);
        assert!(matches!(
            post(&refused(10008, ""), false, false),
            Post::Never(_)
        ));
        assert_eq!(
            post(&refused(160_002, ""), false, true),
            Post::WithoutReference
        );
        assert!(matches!(
            post(&refused(160_002, ""), false, false),
            Post::Never(_)
        ));
        assert_eq!(
            post(&refused(50035, "message_reference"), false, true),
            Post::WithoutReference
        );
    }
}
