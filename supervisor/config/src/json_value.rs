//! Values that go to a program as JSON: the schema of a tool's input, and headers.
//!
//! Promises: a schema is taken as it stands, with no variable put in, since `$` has a meaning there.
//! Does not: judge whether it is a JSON Schema; the runner that uses it does.

use std::io::Read as _;

use serde_json::Map;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problems::shown;
use crate::secrets::SecretMode;
use crate::shape::{number, whole};
use crate::walk::{Value, Walker};

/// The largest file of a schema, bytes.
const MAX_SCHEMA: u64 = 256 * 1024;

impl Walker<'_, '_> {
    pub(crate) fn json_schema(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let at = value.span().start;
        let DeValue::Table(table) = value.get_ref() else {
            let want = "a table, such as { type = \"object\" }, or { file = \"/whole/path.json\" }";
            return self.wrong(at, path, want, value.get_ref());
        };
        let schema = match file_of(table) {
            Some(file) => match self.schema_file(file, path) {
                Ok(Some(schema)) => schema,
                Ok(None) => return Value::Unknown,
                Err(why) => return self.refuse(at, path, why),
            },
            None => match plain(value.get_ref()) {
                Some(schema) => schema,
                None => {
                    return self.refuse(
                        at,
                        path,
                        "holds a number that JSON cannot hold".to_owned(),
                    );
                }
            },
        };
        if schema["type"] != "object" {
            let why = "describes an object: write type = \"object\" and its properties";
            return self.refuse(at, path, why.to_owned());
        }
        Value::Json(schema)
    }

    fn schema_file(
        &mut self,
        file: &Spanned<DeValue<'_>>,
        path: &str,
    ) -> Result<Option<serde_json::Value>, String> {
        let inner = format!("{path}.file");
        let Value::Text(text) = self.text(file, &inner) else {
            return Ok(None);
        };
        let Value::Text(place) = self.path(&text, &inner, file.span().start) else {
            return Ok(None);
        };
        let read = std::fs::File::open(&place).and_then(|opened| {
            let mut text = String::new();
            opened.take(MAX_SCHEMA + 1).read_to_string(&mut text)?;
            Ok(text)
        });
        match read {
            Ok(text) if text.len() as u64 > MAX_SCHEMA => {
                Err(format!("{place} is larger than {} KiB", MAX_SCHEMA >> 10))
            }
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| format!("{place} is no JSON: {error}")),
            Err(error) if self.cx.secrets == SecretMode::Placeholders => {
                let why = format!("this user cannot read {place}, so it is not checked: {error}");
                self.problems.warn(file.span().start, &inner, why);
                Ok(None)
            }
            Err(error) => Err(format!("cannot read {place}: {error}")),
        }
    }

    pub(crate) fn headers(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let DeValue::Table(table) = value.get_ref() else {
            let want = "a table of names and texts";
            return self.wrong(value.span().start, path, want, value.get_ref());
        };
        let mut headers = Map::new();
        for (name, value) in table {
            let (name, at) = (name.get_ref().as_ref(), name.span().start);
            let path = format!("{path}.{}", shown(name));
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.is_empty() || !name.chars().all(fits) {
                let why = "the name of a header has letters, digits, - and _ only";
                self.problems.error(at, &path, why);
                continue;
            }
            if let Value::Text(text) = self.text(value, &path) {
                headers.insert(name.to_owned(), text.into());
            }
        }
        Value::Json(headers.into())
    }
}

/// The file that a table names, if it is nothing but the name of one: a schema has no such key.
fn file_of<'a, 'd>(table: &'a DeTable<'d>) -> Option<&'a Spanned<DeValue<'d>>> {
    let mut entries = table.iter();
    match (entries.next(), entries.next()) {
        (Some((name, file)), None) if name.get_ref() == "file" && file.get_ref().is_str() => {
            Some(file)
        }
        _ => None,
    }
}

fn plain(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(_) => whole(value)?.into(),
        DeValue::Float(_) => number(value)?.into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(when) => when.to_string().into(),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| plain(item.get_ref()));
            items.collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let mut object = Map::new();
            for (name, value) in table {
                object.insert(name.get_ref().to_string(), plain(value.get_ref())?);
            }
            object.into()
        }
    })
}
