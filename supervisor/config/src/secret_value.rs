//! Values that are or may be secrets: texts, files, credentials, proxies, the agent's environment and
//! whatever a plugin's options hold.
//!
//! Promises: a secret goes from the file into a [`Secret`] and nowhere else; no message shows it.
//! With [`SecretMode::Placeholders`] nothing that holds one is read.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::expand::{expand, has_variable, is_env_name};
use crate::problems::shown;
use crate::secrets::{self, Secret, SecretMode, SecretSource, looks_secret};
use crate::shape::{check_url, number, whole};
use crate::walk::{Value, Walker};

impl Walker<'_, '_> {
    /// Names and values. One that stands in the file is noted only if its name `is_secret`.
    pub(crate) fn env(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        is_secret: impl Fn(&str) -> bool,
    ) -> Value {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong(
                value.span().start,
                path,
                "a table of names and texts",
                value.get_ref(),
            );
        };
        let mut env = BTreeMap::new();
        for (name, value) in table {
            let (name, at) = (name.get_ref().as_ref(), name.span().start);
            let path = format!("{path}.{}", shown(name));
            if !is_env_name(name) {
                let why =
                    "the name of a variable has letters, digits and _ only, and no digit first";
                self.problems.error(at, &path, why);
                continue;
            }
            let before = self.literal_secret;
            let secret = match value.get_ref() {
                DeValue::Boolean(yes) => Value::Secret(Secret::Resolved(yes.to_string().into())),
                DeValue::Integer(_) => match whole(value.get_ref()) {
                    Some(number) => Value::Secret(Secret::Resolved(number.to_string().into())),
                    None => self.wrong(at, &path, "a text in quotes", value.get_ref()),
                },
                _ => self.secret(value, &path),
            };
            if !is_secret(name) {
                self.literal_secret = before;
            }
            match secret {
                Value::Secret(secret) => {
                    env.insert(name.to_owned(), secret);
                }
                Value::Unset => {
                    env.insert(name.to_owned(), Secret::Resolved(String::new().into()));
                }
                _ => {}
            }
        }
        Value::Env(env)
    }

    /// A secret: a text, `{ file = "…" }` or `{ credential = "…" }`.
    pub(crate) fn secret(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => Value::Unset,
            DeValue::String(text) if !has_variable(text) => {
                self.note_literal(at);
                Value::Secret(Secret::Resolved(expand(text, &|_| None).0.into()))
            }
            DeValue::String(text) => match self.cx.secrets {
                SecretMode::Placeholders => {
                    Value::Secret(Secret::Unresolved(SecretSource::Env(text.to_string())))
                }
                SecretMode::Resolve => match self.expand(text, path, at) {
                    Some(text) if text.trim().is_empty() => self.refuse(
                        at,
                        path,
                        "the environment variable is set, but empty".to_owned(),
                    ),
                    Some(text) => Value::Secret(Secret::Resolved(text.into())),
                    None => Value::Unknown,
                },
            },
            DeValue::Table(table) => self.secret_source(table, path, at),
            other => self.wrong(
                at,
                path,
                "a text in quotes, { file = \"…\" } or { credential = \"…\" }",
                other,
            ),
        }
    }

    fn secret_source(&mut self, table: &DeTable<'_>, path: &str, at: usize) -> Value {
        const SHAPE: &str =
            "a secret is kept as { file = \"/whole/path\" } or { credential = \"name\" }";
        let mut entries = table.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            return self.refuse(at, path, SHAPE.to_owned());
        };
        let inner = format!("{path}.{}", shown(name.get_ref()));
        let is_file = match name.get_ref().as_ref() {
            "file" => true,
            "credential" => false,
            _ => return self.refuse(at, path, SHAPE.to_owned()),
        };
        let text = match self.text(value, &inner) {
            Value::Text(text) => text,
            Value::Unset => return self.refuse(at, &inner, "is empty".to_owned()),
            other => return other,
        };
        let (source, file) = if is_file {
            let Value::Text(file) = self.path(&text, &inner, value.span().start) else {
                return Value::Unknown;
            };
            self.secret_files.push(file.clone().into());
            (SecretSource::File(file.clone().into()), file.into())
        } else {
            if text.contains('/') || text.starts_with('.') {
                let why =
                    "is the name of a credential, not a path; for a path write { file = \"…\" }";
                return self.refuse(value.span().start, &inner, why.to_owned());
            }
            let dir = self.cx.credentials_dir.clone().unwrap_or_default();
            let file = dir.join(&text);
            (SecretSource::Credential(text), file)
        };
        if self.cx.secrets == SecretMode::Placeholders {
            return Value::Secret(Secret::Unresolved(source));
        }
        if let (SecretSource::Credential(name), None) = (&source, &self.cx.credentials_dir) {
            let why = format!(
                "there is no directory of credentials: start the service through systemd with LoadCredential={name}:/path/of/the/secret"
            );
            return self.refuse(at, path, why);
        }
        match secrets::read(&file) {
            Ok(read) => {
                if read.world_readable && is_file {
                    let shown = file.display();
                    let why = format!(
                        "everyone on this machine can read this secret: type  chmod 600 {shown}"
                    );
                    self.problems.warn(at, path, why);
                }
                Value::Secret(Secret::Resolved(read.value))
            }
            Err(why) => self.refuse(at, path, why),
        }
    }

    /// An address that is a secret if it holds a password, or if it is kept as one.
    pub(crate) fn secret_url(
        &mut self,
        schemes: &[&str],
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) -> Value {
        let at = value.span().start;
        if let DeValue::String(text) = value.get_ref()
            && !has_variable(text)
            && !text.contains('@')
        {
            return match self.text(value, path) {
                Value::Text(url) => match check_url(&url, schemes) {
                    Ok(()) => Value::Text(url),
                    Err(why) => self.refuse(at, path, why),
                },
                other => other,
            };
        }
        let secret = self.secret(value, path);
        if let Value::Secret(secret) = &secret
            && let Some(url) = secret.exposed()
            && let Err(why) = check_url(url, schemes)
        {
            return self.refuse(at, path, why);
        }
        secret
    }

    /// A plugin's own option. Texts whose key says so, and secrets in braces, are secrets.
    pub(crate) fn opaque_top(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) -> Value {
        let secret = match value.get_ref() {
            DeValue::String(_) => looks_secret(name),
            DeValue::Table(table) => is_secret_source(table),
            _ => false,
        };
        if secret {
            return self.secret(value, path);
        }
        self.opaque(name, value, path)
            .map_or(Value::Unknown, Value::Json)
    }

    pub(crate) fn opaque(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) -> Option<serde_json::Value> {
        let at = value.span().start;
        Some(match value.get_ref() {
            DeValue::String(text) => {
                if looks_secret(name) && !has_variable(text) && !text.is_empty() {
                    self.note_literal(at);
                }
                self.expand(text, path, at)?.into()
            }
            DeValue::Integer(_) => match whole(value.get_ref()) {
                Some(number) => number.into(),
                None => {
                    self.problems.error(at, path, "this number is too large");
                    return None;
                }
            },
            DeValue::Float(_) => number(value.get_ref())?.into(),
            DeValue::Boolean(yes) => (*yes).into(),
            DeValue::Datetime(when) => when.to_string().into(),
            DeValue::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| self.opaque(name, item, path))
                    .collect();
                items.into_iter().collect::<Option<Vec<_>>>()?.into()
            }
            DeValue::Table(table) if is_secret_source(table) => {
                let why = "a plugin's secret stands at the top of its options, not inside another table or list";
                self.problems.error(at, path, why);
                return None;
            }
            DeValue::Table(table) => {
                let mut object = serde_json::Map::new();
                for (name, value) in table {
                    let inner = format!("{path}.{}", shown(name.get_ref()));
                    if let Some(value) = self.opaque(name.get_ref(), value, &inner) {
                        object.insert(name.get_ref().to_string(), value);
                    }
                }
                object.into()
            }
        })
    }
}

fn is_secret_source(table: &DeTable<'_>) -> bool {
    table.len() == 1
        && table
            .keys()
            .all(|key| matches!(key.get_ref().as_ref(), "file" | "credential"))
}
