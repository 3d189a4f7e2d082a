//! Foreign words made fit to be shown: secrets taken out, one line, of bounded length. Pure.
//!
//! Services repeat what they were sent: a secret in a message, the whole address with the token in a
//! reason for closing. Secrets go first and the length is cut afterwards, so that no part of one is
//! left at the end.

use secrecy::{ExposeSecret as _, SecretString};

/// Tokens that are remembered: the one in use, and earlier ones, which are good for hours.
const TOKENS: usize = 64;
/// What stands in a secret's place.
const VEIL: &str = "…";

/// The secrets of one account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Veil {
    secret: Vec<SecretString>,
    /// The newest last.
    tokens: Vec<Vec<SecretString>>,
}

impl Veil {
    /// Over the account's secret.
    pub(crate) fn new(secret: &SecretString) -> Veil {
        Veil {
            secret: forms(secret),
            tokens: Vec::new(),
        }
    }

    /// Over this token too.
    pub(crate) fn add(&mut self, token: &SecretString) {
        if self.tokens.len() == TOKENS {
            self.tokens.remove(0);
        }
        self.tokens.push(forms(token));
    }

    /// Foreign words in one line of at most `most` characters, without a secret in any form.
    pub(crate) fn line(&self, words: &str, most: usize) -> String {
        let mut words = words.to_owned();
        for form in self.secret.iter().chain(self.tokens.iter().flatten()) {
            words = words.replace(form.expose_secret(), VEIL);
        }
        let words = words.chars().map(|c| if c.is_control() { ' ' } else { c });
        words.take(most).collect::<String>().trim().to_owned()
    }
}

/// A secret as it stands in a text, in JSON, in a query and in a path; the longest first, since one
/// may hold another.
fn forms(secret: &SecretString) -> Vec<SecretString> {
    let secret = secret.expose_secret();
    let json = serde_json::to_string(secret).unwrap_or_default();
    let query: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let path = query.replace('+', "%20");
    let lower = |escaped: &str| {
        let mut lower = String::with_capacity(escaped.len());
        let mut rest = escaped;
        while let Some((before, after)) = rest.split_once('%') {
            let (digits, after) = after.split_at_checked(2).unwrap_or((after, ""));
            lower.extend([before, "%", &digits.to_ascii_lowercase()]);
            rest = after;
        }
        lower + rest
    };
    let mut forms = vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        lower(&query),
        lower(&path),
        query,
        path,
    ];
    forms.retain(|form| !form.is_empty());
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms.into_iter().map(SecretString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_in_every_form_and_before_the_cut() {
        let mut veil = Veil::new(&r#"se"cret&=\+ é"#.into());
        veil.add(&"tok/en+=".into());
        for (words, shown) in [
            (r#"wrong: se"cret&=\+ é."#, "wrong: …."),
            (r#"{"got":"se\"cret&=\\+ é"}"#, r#"{"got":"…"}"#),
            ("?s=se%22cret%26%3D%5C%2B+%C3%A9&x", "?s=…&x"),
            ("?s=se%22cret%26%3d%5c%2b%20%c3%a9&x", "?s=…&x"),
            ("token=tok%2Fen%2B%3D&", "token=…&"),
            ("a\nb\u{1b}[0m", "a b [0m"),
        ] {
            assert_eq!(veil.line(words, 100), shown);
        }
        assert_eq!(veil.line(r#"0123456789se"cret&=\+ é"#, 14), "0123456789…");
        assert_eq!(veil.line("长长长", 2), "长长");
    }

    #[test]
    fn earlier_tokens_stay_covered_for_a_while_and_memory_stays_small() {
        let mut veil = Veil::new(&"".into());
        (0..100).for_each(|n| veil.add(&format!("token-{n}!").into()));
        let words = veil.line("token-99! token-36! token-35!", 100);
        assert_eq!(words, "… … token-35!");
        assert!(!format!("{veil:?}").contains("token-99"));
    }
}
