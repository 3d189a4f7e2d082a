//! Typed reading of a checked table.
//!
//! Promises: a getter gives a value only if the key was written, is usable and isn't empty; what is
//! required and missing is reported here, once, at the table's own line.

use std::collections::BTreeMap;

use crate::problems::Problems;
use crate::secrets::Secret;
use crate::walk::{Section, Value};

impl Section {
    fn value(&self, name: &str) -> Option<&Value> {
        self.entries.get(name).map(|entry| &entry.value)
    }

    /// Where a key stands, or else its table.
    pub(crate) fn at(&self, name: &str) -> usize {
        self.entries.get(name).map_or(self.at, |entry| entry.at)
    }

    /// The path of a key.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Whether a key stands in the file at all, even empty or without effect.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Whether a key is written and not empty, usable or not.
    pub(crate) fn written(&self, name: &str) -> bool {
        !matches!(self.value(name), None | Some(Value::Unset))
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(Value::Bool(yes)) => Some(*yes),
            _ => None,
        }
    }

    /// A whole number. The schema's bounds keep it within what the plan holds.
    pub(crate) fn int<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        match self.value(name) {
            Some(Value::Int(number)) => T::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A whole number whose 0 means "off".
    pub(crate) fn nonzero(&self, name: &str, default: u32) -> Option<u32> {
        Some(self.int(name).unwrap_or(default)).filter(|number| *number > 0)
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match self.value(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&Secret> {
        match self.value(name) {
            Some(Value::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    pub(crate) fn env(&self, name: &str) -> BTreeMap<String, Secret> {
        match self.value(name) {
            Some(Value::Env(env)) => env.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub(crate) fn json(&self, name: &str) -> Option<&serde_json::Value> {
        match self.value(name) {
            Some(Value::Json(json)) => Some(json),
            _ => None,
        }
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Section> {
        match self.value(name) {
            Some(Value::Table(section)) => Some(section),
            _ => None,
        }
    }

    pub(crate) fn tables(&self, name: &str) -> &[Section] {
        match self.value(name) {
            Some(Value::Tables(sections)) => sections,
            _ => &[],
        }
    }

    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = (&String, &Section)> {
        match self.value(name) {
            Some(Value::Named(named)) => Some(named),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// Reports a required key that is missing or empty; `why` says what to write. A key whose value
    /// is unusable has been reported already.
    pub(crate) fn require(&self, problems: &mut Problems<'_>, name: &str, why: &str) {
        match self.value(name) {
            None => problems.error(self.at, &self.path(name), format!("is missing: {why}")),
            Some(Value::Unset) => {
                problems.error(self.at(name), &self.path(name), format!("is empty: {why}"));
            }
            Some(_) => {}
        }
    }

    /// A text that must be there; empty if it isn't, which has been reported then.
    pub(crate) fn required(&self, problems: &mut Problems<'_>, name: &str, why: &str) -> String {
        self.require(problems, name, why);
        self.text(name).unwrap_or_default().to_owned()
    }
}
