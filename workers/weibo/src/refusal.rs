//! Why there is no connection, in words and in kind. Pure.

use crate::veil::Veil;

/// The longest piece of a reason of the server's that is passed on, in characters.
const LONGEST_WORDS: usize = 100;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// In words, without the address: it holds the token.
    pub(crate) words: String,
    /// What follows from it.
    pub(crate) about: About,
}

/// What a connection ended over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// The line, or the server: connect again.
    Connection,
    /// The token: fetch another.
    Token,
    /// A frame that is larger than any is taken: somebody's message is lost, and they should hear it.
    Size,
}

impl Refusal {
    /// The connection's fault.
    pub(crate) fn connection(words: impl Into<String>) -> Refusal {
        Refusal {
            words: words.into(),
            about: About::Connection,
        }
    }

    /// From a close frame. `veil` covers what the reason may repeat.
    pub(crate) fn closed(code: u16, reason: &str, veil: &Veil) -> Refusal {
        let token =
            matches!(code, 4002..=4004) || reason.to_ascii_lowercase().contains("invalid token");
        let reason = veil.line(reason, LONGEST_WORDS);
        let words = format!("Weibo closed the connection: {code} {reason}");
        Refusal {
            words: words.trim_end().into(),
            about: if token {
                About::Token
            } else {
                About::Connection
            },
        }
    }

    /// The connection broke without a close frame.
    pub(crate) fn broken(why: &str) -> Refusal {
        Refusal::connection(format!("the connection broke: {why}").trim_end())
    }

    /// From the status of a refused upgrade.
    pub(crate) fn status(status: u16) -> Refusal {
        Refusal {
            words: format!("Weibo refused the connection with HTTP {status}"),
            about: if matches!(status, 401 | 403) {
                About::Token
            } else {
                About::Connection
            },
        }
    }

    /// A frame of more bytes than are taken.
    pub(crate) fn too_large(limit: usize) -> Refusal {
        Refusal {
            words: format!("Weibo sent a message of more than {} MiB", limit >> 20),
            about: About::Size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_token_is_told_apart() {
        for (code, reason, about) in [
            (4002, "", About::Token),
            (4003, "", About::Token),
            (4004, "", About::Token),
            (1008, "Invalid Token here", About::Token),
            (4001, "", About::Connection),
            (1000, "bye", About::Connection),
        ] {
            let refusal = Refusal::closed(code, reason, &Veil::default());
            assert_eq!(refusal.about, about, "{code} {reason}");
        }
        for status in [401, 403] {
            assert_eq!(Refusal::status(status).about, About::Token);
        }
        for status in [400, 404, 429, 500, 502] {
            assert_eq!(Refusal::status(status).about, About::Connection);
        }
    }

    #[test]
    fn a_reason_repeats_no_token() {
        let mut veil = Veil::default();
        veil.add(&"tok+en".into());
        let refusal = Refusal::closed(4002, "invalid token tok%2Ben", &veil);
        assert_eq!(
            refusal.words,
            "Weibo closed the connection: 4002 invalid token …"
        );
    }
}
