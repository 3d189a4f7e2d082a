//! Turns single values of the file into typed ones: numbers in range, words, ids, addresses, paths,
//! and `${VAR}` in every text.
//!
//! Promises: an empty text means "not set", as it does in cc-connect's sample. A variable that isn't
//! set is an error that names it; where secrets are placeholders it is a warning, since the check
//! may run in another environment than the service.

use toml::Spanned;
use toml::de::DeValue;

use crate::expand::expand;
use crate::nearest;
use crate::problems::shown;
use crate::schema::Kind;
use crate::secrets::{SecretMode, looks_secret};
use crate::shape::{check_id, check_url, number, whole};
use crate::walk::{Value, Walker};

impl Walker<'_, '_> {
    /// A value that is no table of the schema's.
    pub(crate) fn scalar(
        &mut self,
        kind: &Kind,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) -> Value {
        let at = value.span().start;
        match kind {
            Kind::Bool => match value.get_ref() {
                DeValue::Boolean(yes) => Value::Bool(*yes),
                other => self.wrong(at, path, "true or false", other),
            },
            Kind::Int { min, max } => match whole(value.get_ref()) {
                Some(number) if (*min..=*max).contains(&number) => Value::Int(number),
                Some(_) => self.refuse(at, path, format!("must be between {min} and {max}")),
                None if value.get_ref().is_integer() => {
                    self.refuse(at, path, format!("must be between {min} and {max}"))
                }
                None => self.wrong(at, path, "a whole number", value.get_ref()),
            },
            Kind::Number { min, max } => match number(value.get_ref()) {
                Some(number) if (*min..=*max).contains(&number) => Value::Number(number),
                Some(_) => self.refuse(at, path, format!("must be between {min} and {max}")),
                None => self.wrong(at, path, "a number", value.get_ref()),
            },
            Kind::Text => self.text(value, path),
            Kind::Choice(words) => match self.text(value, path) {
                Value::Text(text) => self.choice(words, &text, path, at),
                other => other,
            },
            Kind::Mode(words) => match self.text(value, path) {
                Value::Text(text) => {
                    let chosen = chosen(words, &text).map(str::to_owned);
                    Value::Text(chosen.unwrap_or(text))
                }
                other => other,
            },
            Kind::Path => match self.text(value, path) {
                Value::Text(text) => self.path(&text, path, at),
                other => other,
            },
            Kind::Paths => self.paths(value, path),
            Kind::Url(schemes) => match self.text(value, path) {
                Value::Text(text) => match check_url(&text, schemes) {
                    Ok(()) if text.contains('@') => {
                        self.refuse(at, path, "must hold no user and no password".to_owned())
                    }
                    Ok(()) => Value::Text(text.trim_end_matches('/').to_owned()),
                    Err(why) => self.refuse(at, path, why),
                },
                other => other,
            },
            Kind::SecretUrl(schemes) => self.secret_url(schemes, value, path),
            Kind::Id => self.id(value, path, false),
            Kind::Snowflake => self.id(value, path, true),
            Kind::Ids => self.ids(value, path, None),
            Kind::Snowflakes { star } => self.ids(value, path, Some(*star)),
            Kind::Texts => self.texts(value, path, "a list of texts"),
            Kind::Command => match value.get_ref() {
                DeValue::String(_) => match self.text(value, path) {
                    Value::Text(text) => {
                        Value::List(text.split_whitespace().map(str::to_owned).collect())
                    }
                    other => other,
                },
                _ => self.texts(value, path, "a text or a list of texts"),
            },
            Kind::Env => self.env(value, path, looks_secret),
            Kind::Secrets => self.env(value, path, |_| true),
            Kind::Schema => self.json_schema(value, path),
            Kind::Headers => self.headers(value, path),
            Kind::Ports => self.ports(value, path),
            Kind::Secret => self.secret(value, path),
            _ => self
                .opaque(name, value, path)
                .map_or(Value::Unknown, Value::Json),
        }
    }

    pub(crate) fn refuse(&mut self, at: usize, path: &str, why: String) -> Value {
        self.problems.error(at, path, why);
        Value::Unknown
    }

    /// A text with its variables put in.
    pub(crate) fn text(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) => match self.expand(text, path, at) {
                Some(text) if text.trim().is_empty() => Value::Unset,
                Some(text) => Value::Text(text),
                None => Value::Unknown,
            },
            other => self.wrong(at, path, "a text in quotes", other),
        }
    }

    /// Puts variables into a text; none if one isn't set, which has been reported then.
    pub(crate) fn expand(&mut self, text: &str, path: &str, at: usize) -> Option<String> {
        let (expanded, missing) = expand(text, &self.cx.env);
        for name in &missing {
            match self.cx.secrets {
                SecretMode::Resolve => self.problems.error(
                    at,
                    path,
                    format!("the environment variable {name} is not set: set it where the service is started, or write $${{{name}}} for these very characters"),
                ),
                SecretMode::Placeholders => self.problems.warn(
                    at,
                    path,
                    format!("the environment variable {name} is not set here, so this value is not checked; the service needs it"),
                ),
            }
        }
        missing.is_empty().then_some(expanded)
    }

    fn choice(
        &mut self,
        words: &[(&str, &'static str)],
        text: &str,
        path: &str,
        at: usize,
    ) -> Value {
        match chosen(words, text) {
            Some(word) => Value::Text(word.to_owned()),
            None => self.refuse(at, path, none_of(words, text)),
        }
    }

    pub(crate) fn path(&mut self, text: &str, path: &str, at: usize) -> Value {
        let full = self.cx.with_home(text.trim());
        match full.to_str() {
            Some(full) if full.starts_with('/') => Value::Text(full.to_owned()),
            _ => self.refuse(
                at,
                path,
                "must be a whole path, beginning with / or ~/: a service has no current directory"
                    .to_owned(),
            ),
        }
    }

    fn paths(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let list = match value.get_ref() {
            DeValue::String(_) => match self.text(value, path) {
                Value::Text(text) => vec![text],
                other => return other,
            },
            _ => match self.texts(value, path, "a path or a list of paths") {
                Value::List(list) => list,
                other => return other,
            },
        };
        let mut paths = Vec::new();
        for text in list {
            match self.path(&text, path, value.span().start) {
                Value::Text(text) => paths.push(text),
                other => return other,
            }
        }
        Value::List(paths)
    }

    fn ports(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let DeValue::Array(items) = value.get_ref() else {
            let want = "a list of ports, such as [443]";
            return self.wrong(value.span().start, path, want, value.get_ref());
        };
        let mut ports = Vec::new();
        for item in items {
            match whole(item.get_ref()) {
                Some(port) if (1..=65535).contains(&port) => ports.push(port.to_string()),
                _ => {
                    let why = "holds what is no port: whole numbers from 1 to 65535".to_owned();
                    return self.refuse(item.span().start, path, why);
                }
            }
        }
        Value::List(ports)
    }

    fn texts(&mut self, value: &Spanned<DeValue<'_>>, path: &str, want: &str) -> Value {
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            DeValue::String(text) if text.trim().is_empty() => return Value::Unset,
            other => return self.wrong(value.span().start, path, want, other),
        };
        let mut list = Vec::new();
        let mut usable = true;
        for (n, item) in items.iter().enumerate() {
            match self.text(item, &format!("{path}[{n}]")) {
                Value::Text(text) => list.push(text),
                Value::Unset => {}
                _ => usable = false,
            }
        }
        if usable {
            Value::List(list)
        } else {
            Value::Unknown
        }
    }

    /// One id, as a text or a whole number.
    fn id(&mut self, value: &Spanned<DeValue<'_>>, path: &str, snowflake: bool) -> Value {
        let at = value.span().start;
        let text = match (whole(value.get_ref()), value.get_ref()) {
            (Some(number), _) => number.to_string(),
            (None, DeValue::String(_)) => match self.text(value, path) {
                Value::Text(text) => text.trim().to_owned(),
                other => return other,
            },
            (None, other) => {
                return self.wrong(at, path, "an id: a text in quotes or a whole number", other);
            }
        };
        match check_id(&text, snowflake) {
            Ok(()) => Value::Text(text),
            Err(why) => self.refuse(at, path, why),
        }
    }

    /// Ids as a list or a text with commas. `snowflakes` holds whether `*` is allowed among them.
    fn ids(&mut self, value: &Spanned<DeValue<'_>>, path: &str, snowflakes: Option<bool>) -> Value {
        let at = value.span().start;
        let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::String(_) | DeValue::Integer(_) => vec![value],
            other => return self.wrong(at, path, "ids: a list, or a text with commas", other),
        };
        let mut ids: Vec<String> = Vec::new();
        let mut usable = true;
        for item in items {
            let at = item.span().start;
            let text = match (whole(item.get_ref()), item.get_ref()) {
                (Some(number), _) => number.to_string(),
                (None, DeValue::String(_)) => match self.text(item, path) {
                    Value::Text(text) => text,
                    Value::Unset => continue,
                    _ => {
                        usable = false;
                        continue;
                    }
                },
                (None, other) => {
                    self.wrong(at, path, "an id: a text in quotes or a whole number", other);
                    usable = false;
                    continue;
                }
            };
            for id in text
                .split([',', '，'])
                .map(str::trim)
                .filter(|id| !id.is_empty())
            {
                let checked = match (id, snowflakes) {
                    ("*", Some(false)) => Err("`*` has a meaning for people only; leave the key out to match every place and role".to_owned()),
                    ("*", _) => Ok(()),
                    (id, snowflakes) => check_id(id, snowflakes.is_some()),
                };
                match checked {
                    Ok(()) if ids.iter().any(|known| known == id) => {}
                    Ok(()) => ids.push(id.to_owned()),
                    Err(why) => {
                        self.problems.error(at, path, why);
                        usable = false;
                    }
                }
            }
        }
        match (usable, ids.is_empty()) {
            (false, _) => Value::Unknown,
            (true, true) => Value::Unset,
            (true, false) => Value::List(ids),
        }
    }
}

/// The one of a few words that a text means.
fn chosen(words: &[(&str, &'static str)], text: &str) -> Option<&'static str> {
    let written: String = text
        .trim()
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect();
    let found = words.iter().find(|(spelling, _)| *spelling == written);
    found.map(|(_, word)| *word)
}

/// That a text is none of a few words, and which it may have been meant to be.
pub(crate) fn none_of(words: &[(&str, &'static str)], text: &str) -> String {
    let mut known: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
    known.dedup();
    let near = nearest::nearest(text, known.iter().copied());
    let near = near.map_or(String::new(), |(word, _)| {
        format!("; did you mean \"{word}\"?")
    });
    let known: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
    format!("\"{}\" is none of {}{near}", shown(text), known.join(", "))
}
