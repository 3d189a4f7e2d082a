//! Checks of a platform's options: every problem at once, each with its key.
//!
//! A platform lists its keys as data; this knows no platform. Values are never quoted: they may be
//! secrets.

use serde_json::Value;

/// A problem with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// The key, with dots where it is inside a table.
    pub key: String,
    /// What is wrong and what would be right, in words.
    pub problem: String,
}

impl OptionProblem {
    /// A problem with `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> OptionProblem {
        OptionProblem {
            key: key.into(),
            problem: problem.into(),
        }
    }
}

impl std::fmt::Display for OptionProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// What a key's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string; may be empty.
    Text,
    /// A string that is there and not empty.
    Required,
    /// An address that starts with one of these.
    Address(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A whole number within these bounds, both included.
    Number(i64, i64),
    /// A list of strings, or one string.
    Texts,
    /// A table with keys of its own.
    Table(&'static [(&'static str, Kind)]),
}

/// Checks `options` against `keys`. An absent key is fine unless it is [`Kind::Required`]; an
/// unknown key is a problem that names the nearest known one.
pub fn check_keys(options: &Value, keys: &[(&str, Kind)]) -> Vec<OptionProblem> {
    let mut problems = Vec::new();
    check_table("", options, keys, &mut problems);
    problems
}

fn check_table(prefix: &str, table: &Value, keys: &[(&str, Kind)], out: &mut Vec<OptionProblem>) {
    let empty = serde_json::Map::new();
    let table = match table {
        Value::Object(table) => table,
        Value::Null => &empty,
        _ => {
            let key = prefix.strip_suffix('.').unwrap_or("options");
            out.push(OptionProblem::new(key, "is a table of keys and values"));
            return;
        }
    };
    for key in table.keys() {
        if !keys.iter().any(|(known, _)| known == key) {
            out.push(OptionProblem::new(
                format!("{prefix}{key}"),
                unknown(key, keys),
            ));
        }
    }
    for (key, kind) in keys {
        let full = format!("{prefix}{key}");
        match (table.get(*key), kind) {
            (None, Kind::Required) => out.push(OptionProblem::new(full, "is missing")),
            (None, _) => {}
            (Some(inner), Kind::Table(keys)) => {
                check_table(&format!("{full}."), inner, keys, out);
            }
            (Some(value), kind) => {
                if let Some(problem) = wrong(value, *kind) {
                    out.push(OptionProblem::new(full, problem));
                }
            }
        }
    }
}

fn wrong(value: &Value, kind: Kind) -> Option<String> {
    let wrong = match kind {
        Kind::Text if !value.is_string() => "is a text in quotes".into(),
        Kind::Required if value.as_str().is_none_or(|text| text.trim().is_empty()) => {
            "is a text in quotes that is not empty".into()
        }
        Kind::Address(starts)
            if !value
                .as_str()
                .is_some_and(|text| starts.iter().any(|start| text.starts_with(start))) =>
        {
            format!("is an address that starts with {}", starts.join(" or "))
        }
        Kind::Switch if !value.is_boolean() => "is true or false".into(),
        Kind::Number(least, most)
            if !value
                .as_i64()
                .is_some_and(|number| (least..=most).contains(&number)) =>
        {
            format!("is a whole number from {least} to {most}")
        }
        Kind::Texts if !is_texts(value) => "is a list of texts".into(),
        _ => return None,
    };
    Some(wrong)
}

fn is_texts(value: &Value) -> bool {
    value.is_string()
        || value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string))
}

fn unknown(key: &str, keys: &[(&str, Kind)]) -> String {
    let nearest = keys
        .iter()
        .map(|(known, _)| (strsim::damerau_levenshtein(key, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(2).min(4))
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, known)) => format!("is no known key; did you mean `{known}`?"),
        None => {
            let known: Vec<_> = keys.iter().map(|(known, _)| *known).collect();
            format!("is no known key; known are {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEYS: &[(&str, Kind)] = &[
        ("token", Kind::Required),
        ("endpoint", Kind::Address(&["https://", "http://"])),
        ("loud", Kind::Switch),
        ("max", Kind::Number(1, 10)),
        ("roles", Kind::Texts),
        ("timing", Kind::Table(&[("ms", Kind::Number(1, 10))])),
    ];

    fn lines(options: &Value) -> Vec<String> {
        check_keys(options, KEYS)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn good_options_have_no_problem() {
        let good = json!({"token": "x", "endpoint": "http://h", "loud": true, "max": 10,
            "roles": ["a"], "timing": {"ms": 1}});
        assert_eq!(lines(&good), [""; 0]);
        assert_eq!(lines(&json!({"token": "x", "roles": "a,b"})), [""; 0]);
    }

    #[test]
    fn every_problem_is_told_at_once_and_no_value_is_quoted() {
        let bad = json!({"tokn": "canary", "endpoint": "canary", "loud": "canary", "max": 11,
            "roles": [1], "timing": {"mss": 1, "ms": 0}, "whatever": 1});
        let lines = lines(&bad);
        assert!(!lines.join("\n").contains("canary"));
        let keys: Vec<_> = lines.iter().map(|l| l.split(':').next().unwrap()).collect();
        let expected = [
            "tokn",
            "whatever",
            "token",
            "endpoint",
            "loud",
            "max",
            "roles",
            "timing.mss",
            "timing.ms",
        ];
        assert_eq!(keys, expected);
        assert!(lines[0].contains("did you mean `token`"), "{}", lines[0]);
    }

    #[test]
    fn what_is_no_table_is_said() {
        assert_eq!(lines(&json!(3)), ["options: is a table of keys and values"]);
        assert_eq!(lines(&Value::Null), ["token: is missing"]);
    }
}
