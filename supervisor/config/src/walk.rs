//! Walks a parsed config.toml along the schema.
//!
//! Promises: every key is met once. A known one becomes a typed [`Value`] or a problem; an unknown
//! one is a problem with the nearest known key; one of a later or another program's world is a
//! warning, and so is one that is set although this version does nothing with it. What has no effect is not looked into, so its mistakes cost nobody a start.
//! Does not: know which keys are required or how they depend on each other.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::context::Context;
use crate::nearest;
use crate::problems::{Problems, shown};
use crate::schema::{
    AGENT_OPTIONS, Class, DISCORD, Key, Kind, PLUGIN, PROJECT, RESERVED_AGENTS, Table, WEIBO,
};
use crate::secrets::{Secret, looks_secret};

/// A value that has the kind its key asks for.
#[derive(Debug)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(String),
    List(Vec<String>),
    Secret(Secret),
    Env(BTreeMap<String, Secret>),
    Json(serde_json::Value),
    Table(Section),
    Tables(Vec<Section>),
    Named(BTreeMap<String, Section>),
    /// Written and empty, which means the default.
    Unset,
    /// Written, and unusable or not to be read here; whoever must know has been told.
    Unknown,
}

impl Value {
    /// Whether it says anything: what is empty or unusable doesn't.
    fn is_set(&self) -> bool {
        match self {
            Self::Unset | Self::Unknown => false,
            Self::Table(section) => section.entries.values().any(|entry| entry.value.is_set()),
            _ => true,
        }
    }
}

/// What is said of a key that is checked and nothing more.
const IDLE: &str = "has no effect in this version; it is checked, and may stay for a later one";

/// A value and the place of its key.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// A table whose values have been checked one by one.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// Where the table begins.
    pub(crate) at: usize,
    /// Its path, such as `projects[0].agent`.
    pub(crate) path: String,
    pub(crate) entries: BTreeMap<String, Entry>,
}

pub(crate) struct Walker<'a, 't> {
    pub(crate) cx: &'a Context,
    pub(crate) problems: &'a mut Problems<'t>,
    /// The first secret that stands in the file itself.
    pub(crate) literal_secret: Option<usize>,
    /// The files that secrets are read from.
    pub(crate) secret_files: Vec<PathBuf>,
}

impl Walker<'_, '_> {
    /// Checks one table against its schema.
    pub(crate) fn section(
        &mut self,
        schema: &'static Table,
        table: &DeTable<'_>,
        path: &str,
        at: usize,
    ) -> Section {
        let mut section = Section {
            at,
            path: path.to_owned(),
            entries: BTreeMap::new(),
        };
        let left_out = std::ptr::eq(schema, &PROJECT) && is_left_out(table);
        for (name, value) in table {
            let at = name.span().start;
            let name = name.get_ref().as_ref();
            if left_out && !matches!(name, "name" | "agent") {
                self.note_literals(name, value);
                continue;
            }
            let path = join(path, name);
            let entry = match schema.key(name) {
                Some(key) if matches!(key.class, Class::Later | Class::Never) => {
                    self.without_effect(key, value, &path, at);
                    Value::Unset
                }
                Some(key) => {
                    let value = self.value(key, value, &path, table);
                    if key.idle && value.is_set() {
                        self.problems.warn(at, &path, IDLE);
                    }
                    value
                }
                None if schema.open => self.opaque_top(name, value, &path),
                None => {
                    let hint = nearest::hint(schema, name);
                    let message = format!("there is no key `{}` here; {hint}", shown(name));
                    self.problems.error(at, &path, message);
                    self.note_literals(name, value);
                    continue;
                }
            };
            section
                .entries
                .insert(name.to_owned(), Entry { at, value: entry });
        }
        section
    }

    fn without_effect(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, path: &str, at: usize) {
        let message = match key.class {
            Class::Later => format!("not in this version yet, it has no effect: {}", key.doc),
            _ => format!("accepted, but it has no effect: {}", key.doc),
        };
        self.problems.warn(at, path, message);
        self.note_literals(key.name, value);
    }

    /// Tables and lists of tables; everything else is [`Walker::scalar`]'s.
    fn value(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        beside: &DeTable<'_>,
    ) -> Value {
        let at = value.span().start;
        match &key.kind {
            Kind::Table(schema) => self.table(schema, value, path),
            Kind::Tables(schema) => self.tables(schema, value, path),
            Kind::Named(schema) => match value.get_ref() {
                DeValue::Table(table) => {
                    let mut named = BTreeMap::new();
                    for (name, value) in table {
                        let name = name.get_ref().as_ref();
                        if let Value::Table(section) = self.table(schema, value, &join(path, name))
                        {
                            named.insert(name.to_owned(), section);
                        }
                    }
                    Value::Named(named)
                }
                other => self.wrong(at, path, "a table of tables", other),
            },
            Kind::AgentOptions => match text_beside(beside, "type") {
                Some(kind) if RESERVED_AGENTS.contains(&kind) => {
                    self.not_looked_at(key.name, value)
                }
                _ => self.table(&AGENT_OPTIONS, value, path),
            },
            Kind::PlatformOptions => match text_beside(beside, "type") {
                Some("discord") => self.table(&DISCORD, value, path),
                Some("weibo") => self.table(&WEIBO, value, path),
                Some(kind) if is_kind(kind) && (self.cx.worker)(kind).is_some() => {
                    self.table(&PLUGIN, value, path)
                }
                _ => self.not_looked_at(key.name, value),
            },
            Kind::TableOr(_, words) if value.get_ref().is_str() => {
                self.scalar(&Kind::Choice(words), key.name, value, path)
            }
            Kind::TableOr(schema, _) => self.table(schema, value, path),
            Kind::Any => self.not_looked_at(key.name, value),
            kind => self.scalar(kind, key.name, value, path),
        }
    }

    fn table(&mut self, schema: &'static Table, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Table(table) => Value::Table(self.section(schema, table, path, at)),
            DeValue::Array(items) if items.iter().all(|item| item.get_ref().is_table()) => {
                let message = format!(
                    "there is one {}: write it with one pair of brackets, once",
                    schema.header
                );
                self.problems.error(at, path, message);
                Value::Unknown
            }
            other => self.wrong(
                at,
                path,
                &format!("a table, such as {}", schema.header),
                other,
            ),
        }
    }

    fn tables(
        &mut self,
        schema: &'static Table,
        value: &Spanned<DeValue<'_>>,
        path: &str,
    ) -> Value {
        let at = value.span().start;
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            DeValue::Table(_) => {
                let message = format!(
                    "there may be several: write {} with two pairs of brackets",
                    schema.header
                );
                self.problems.error(at, path, message);
                return Value::Unknown;
            }
            other => {
                return self.wrong(
                    at,
                    path,
                    &format!("tables, such as {}", schema.header),
                    other,
                );
            }
        };
        let mut sections = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let path = format!("{path}[{n}]");
            if let Value::Table(section) = self.table(schema, item, &path) {
                sections.push(section);
            }
        }
        Value::Tables(sections)
    }

    fn not_looked_at(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Value {
        self.note_literals(name, value);
        Value::Unset
    }

    /// Remembers a secret that stands in a part of the file which is not looked at otherwise.
    fn note_literals(&mut self, name: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(text)
                if looks_secret(name) && !text.is_empty() && !text.contains("${") =>
            {
                self.note_literal(value.span().start);
            }
            DeValue::Table(table) => {
                for (name, value) in table {
                    self.note_literals(name.get_ref(), value);
                }
            }
            DeValue::Array(items) => {
                for item in items.iter() {
                    self.note_literals(name, item);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn note_literal(&mut self, at: usize) {
        self.literal_secret = Some(self.literal_secret.map_or(at, |first| first.min(at)));
    }

    /// Reports a value of another kind than its key asks for.
    pub(crate) fn wrong(&mut self, at: usize, path: &str, want: &str, got: &DeValue<'_>) -> Value {
        let (is, hint) = match got {
            DeValue::String(text) => (
                "a text in quotes",
                match text.trim() {
                    "true" | "false" if want.starts_with("true") => "; take the quotes away",
                    text if want.contains("number") && text.parse::<f64>().is_ok() => {
                        "; take the quotes away"
                    }
                    _ if want.starts_with("a list") => "; write [\"…\"]",
                    _ => "",
                },
            ),
            DeValue::Integer(_) | DeValue::Float(_) => (
                "a number",
                if want.starts_with("a text") {
                    "; put it in quotes"
                } else {
                    ""
                },
            ),
            DeValue::Boolean(_) => (
                "true or false",
                if want.starts_with("a text") {
                    "; put it in quotes"
                } else {
                    ""
                },
            ),
            DeValue::Datetime(_) => ("a date", "; put it in quotes if it is a text"),
            DeValue::Array(_) => ("a list", ""),
            DeValue::Table(_) => ("a table", ""),
        };
        self.problems
            .error(at, path, format!("must be {want}, and this is {is}{hint}"));
        Value::Unknown
    }
}

fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let name = if plain && name.len() <= 64 {
        name.to_owned()
    } else {
        format!("\"{}\"", shown(name))
    };
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

fn text_beside<'d>(table: &'d DeTable<'_>, name: &str) -> Option<&'d str> {
    table
        .get(name)
        .and_then(|value| value.get_ref().as_str())
        .map(str::trim)
}

/// Whether a project has an agent that only cc-connect drives: nothing else of it is looked at.
fn is_left_out(project: &DeTable<'_>) -> bool {
    match project.get("agent").map(Spanned::get_ref) {
        Some(DeValue::Table(agent)) => {
            text_beside(agent, "type").is_some_and(|kind| RESERVED_AGENTS.contains(&kind))
        }
        _ => false,
    }
}

/// Whether this can be the name of a platform: it becomes part of a program's name.
pub(crate) fn is_kind(kind: &str) -> bool {
    (1..=32).contains(&kind.len())
        && kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}
