//! Why Claude Code failed, told from its own words.

use ipc_schema::Fault;

use super::lines::Ended;
use crate::text;

/// The most of an agent's words that is passed on, in bytes.
const WORDS: usize = 2048;

/// What a `result` that is an error means.
pub fn of_result(ended: &Ended) -> Fault {
    let words = match ended.words.trim() {
        "" => format!("the turn ended with {}", ended.subtype),
        words => words.to_owned(),
    };
    if ended.status == Some(401) || is_logged_out(&words) {
        return Fault::LoggedOut {
            words: clip(&words),
        };
    }
    Fault::Agent {
        words: clip(&words),
    }
}

/// Whether these words, in a result or on stderr, say that there is no valid login.
pub fn is_logged_out(words: &str) -> bool {
    const SAYS: [&str; 6] = [
        "Please run /login",
        "Invalid API key",
        "authentication_error",
        "authentication_failed",
        "OAuth token has expired",
        "OAuth token revoked",
    ];
    SAYS.iter().any(|say| words.contains(say))
}

/// At most [`WORDS`], the end kept: errors stand last.
pub fn clip(words: &str) -> String {
    text::tail(words.trim(), WORDS).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(words: &str, status: Option<u64>) -> Ended {
        Ended {
            words: words.into(),
            status,
            is_error: true,
            ..Ended::default()
        }
    }

    #[test]
    fn a_missing_login_is_told_from_other_errors() {
        for (words, status) in [
            ("Not logged in · Please run /login", None),
            ("Invalid API key · Fix external API key", Some(401)),
            ("whatever", Some(401)),
            (r#"API Error: {"type":"authentication_error"}"#, None),
        ] {
            assert!(
                matches!(of_result(&ended(words, status)), Fault::LoggedOut { .. }),
                "{words}"
            );
        }
        for (words, status) in [
            ("API Error: 529", Some(529)),
            ("API Error: 403 no", Some(403)),
        ] {
            assert_eq!(
                of_result(&ended(words, status)),
                Fault::Agent {
                    words: words.into()
                }
            );
        }
    }

    #[test]
    fn an_error_without_words_names_its_kind() {
        let ended = Ended {
            subtype: "error_max_turns".into(),
            ..Ended::default()
        };
        assert_eq!(
            of_result(&ended),
            Fault::Agent {
                words: "the turn ended with error_max_turns".into()
            }
        );
    }

    #[test]
    fn long_words_keep_their_end() {
        let words = format!("{}end", "ü".repeat(WORDS));
        let clipped = clip(&words);
        assert!(clipped.len() <= WORDS && clipped.ends_with("end"));
    }
}
