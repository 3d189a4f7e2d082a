//! A tool as the operator writes it.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use worker_kit::options::{Kind, OptionProblem, check_keys};

use super::{CURRENT_TIME, SEND_FILE, check_schema};

/// The longest name, in bytes: with the server's name before it a model's API takes 64.
const NAME: usize = 48;
/// The longest that a tool may take, seconds.
const LONGEST: i64 = 3600;
/// The most that a tool may say, bytes.
const MOST: i64 = 1 << 20;

/// One tool.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolOptions {
    /// How the agent calls it.
    pub name: String,
    /// What the agent reads of it.
    pub description: String,
    /// JSON Schema of its input.
    pub input: Value,
    /// A program: input as JSON on stdin, what it prints is the answer.
    pub command: Vec<String>,
    /// An address instead of a program.
    pub http: Option<Http>,
    /// Variables of the program; of an address, what stands for `{NAME}` in it and its headers.
    pub secrets: BTreeMap<String, SecretString>,
    /// How long it may take.
    pub timeout_secs: u64,
    /// How much of its answer the agent sees.
    pub max_output_bytes: usize,
}

/// A tool behind an address. Its address and its headers may hold a secret, so they are not shown.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where.
    pub url: String,
    /// `POST` sends the input as JSON, `GET` as a query.
    pub method: Method,
    /// More headers.
    pub headers: BTreeMap<String, String>,
}

/// How an address is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "they say it themselves")]
pub enum Method {
    #[default]
    Post,
    Get,
    Put,
    Patch,
    Delete,
}

/// Two tools of one runner are told apart by their names.
impl PartialEq for ToolOptions {
    fn eq(&self, other: &ToolOptions) -> bool {
        self.name == other.name
    }
}

impl Default for ToolOptions {
    fn default() -> ToolOptions {
        ToolOptions {
            name: String::new(),
            description: String::new(),
            input: json!({"type": "object", "properties": {}, "additionalProperties": false}),
            command: Vec::new(),
            http: None,
            secrets: BTreeMap::new(),
            timeout_secs: 60,
            max_output_bytes: 64 << 10,
        }
    }
}

impl std::fmt::Debug for ToolOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolOptions")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("method", &self.method)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

const HTTP_KEYS: [(&str, Kind); 2] = [("url", Kind::Required), ("method", Kind::Text)];

const KEYS: [(&str, Kind); 5] = [
    ("name", Kind::Required),
    ("description", Kind::Required),
    ("command", Kind::Texts),
    ("timeout_secs", Kind::Number(1, LONGEST)),
    ("max_output_bytes", Kind::Number(1, MOST)),
];

/// Every problem of a list of tools.
pub(crate) fn check(tools: &Value) -> Vec<OptionProblem> {
    let Some(tools) = tools.as_array() else {
        return vec![OptionProblem::new("tools", "is a list of tables")];
    };
    let mut problems = Vec::new();
    let mut names: BTreeSet<&str> = [SEND_FILE, CURRENT_TIME].into();
    for (index, tool) in tools.iter().enumerate() {
        let mut wrong = |key: &str, what: &str| {
            problems.push(OptionProblem::new(format!("tools[{index}].{key}"), what))
        };
        let mut known = tool.clone();
        if let Some(fields) = known.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            for free in ["input", "http", "secrets"] {
                fields.remove(free);
            }
        }
        for problem in check_keys(&known, &KEYS) {
            wrong(&problem.key, &problem.problem);
        }
        let name = tool["name"].as_str().unwrap_or_default();
        if !name.is_empty() && !is_name(name) {
            wrong(
                "name",
                "has letters, digits, - and _ only, and at most 48 of them",
            );
        } else if !name.is_empty() && !names.insert(name) {
            wrong("name", "is the name of another tool");
        }
        if let Some(schema) = tool.get("input").filter(|schema| !schema.is_null())
            && let Err(why) = check_schema(name, schema)
        {
            wrong("input", &why);
        }
        let command = tool["command"].as_array().is_some_and(|c| !c.is_empty());
        let program = tool["command"][0].as_str().unwrap_or_default();
        if program.contains('/') && !program.starts_with('/') {
            wrong("command", "begins with a bare name or a whole path");
        }
        match (command, &tool["http"]) {
            (true, Value::Null) => {}
            (false, Value::Null) => wrong(
                "command",
                "is missing: write command = [\"program\"] or http = { url = \"…\" }",
            ),
            (true, _) => wrong("http", "and command exclude each other"),
            (false, http) => check_http(http, &mut wrong),
        }
        match &tool["secrets"] {
            Value::Null => {}
            Value::Object(secrets) => {
                if !secrets.values().all(Value::is_string) {
                    wrong("secrets", "is a table of texts");
                }
                for name in secrets.keys().filter(|name| !is_variable(name)) {
                    wrong(
                        &format!("secrets.{name}"),
                        "has letters, digits and _ only, and no digit first",
                    );
                }
            }
            _ => wrong("secrets", "is a table of texts"),
        }
    }
    problems
}

/// In words of our own: those of a parser may quote a value, which may be a secret.
fn check_http(http: &Value, wrong: &mut impl FnMut(&str, &str)) {
    let mut known = http.clone();
    let Some(fields) = known.as_object_mut() else {
        return wrong("http", "is a table with a url");
    };
    let headers = fields.remove("headers");
    for problem in check_keys(&known, &HTTP_KEYS) {
        wrong(&format!("http.{}", problem.key), &problem.problem);
    }
    let method = known.get("method").filter(|method| method.is_string());
    if method.is_some_and(|method| Method::deserialize(method).is_err()) {
        wrong("http.method", "is POST, GET, PUT, PATCH or DELETE");
    }
    if known["url"].as_str().is_some_and(|url| !is_address(url)) {
        wrong(
            "http.url",
            "is an address that begins with https:// or http://",
        );
    }
    let texts = |fields: &serde_json::Map<String, Value>| fields.values().all(Value::is_string);
    if headers.is_some_and(|headers| !headers.as_object().is_some_and(texts)) {
        wrong("http.headers", "is a table of texts");
    }
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.len() <= NAME && name.chars().all(fits)
}

fn is_variable(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(fits) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(tools: Value) -> Vec<String> {
        check(&tools).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_tool_is_good() {
        let tools = json!([
            {"name": "a", "description": "d", "command": ["x", "--y"], "secrets": {"KEY": "s"},
             "input": {"type": "object"}, "timeout_secs": 5, "max_output_bytes": 100},
            {"name": "b", "description": "d", "http": {"url": "https://x/{KEY}", "method": "GET",
             "headers": {"a": "b"}}},
        ]);
        assert_eq!(problems(tools.clone()), Vec::<String>::new());
        let tools: Vec<ToolOptions> = serde_json::from_value(tools).unwrap();
        assert_eq!(tools[1].http.as_ref().unwrap().method, Method::Get);
        assert!(!format!("{tools:?}").contains("\"s\""));
    }

    #[test]
    fn no_value_of_an_address_is_shown() {
        for (http, key) in [
            (
                json!({"url": "https://x", "headers": "Bearer canary"}),
                "http.headers",
            ),
            (
                json!({"url": "https://x", "headers": {"a": ["canary"]}}),
                "http.headers",
            ),
            (
                json!({"url": "https://x", "method": "canary"}),
                "http.method",
            ),
            (json!({"url": ["canary"]}), "http.url"),
            (json!({"url": "canary"}), "http.url"),
            (
                json!({"url": "https://x", "haeders": {"a": "canary"}}),
                "http.haeders",
            ),
            (json!("canary"), "http"),
        ] {
            let tools = json!([{"name": "a", "description": "d", "http": http}]);
            let told = problems(tools).join("\n");
            assert!(told.contains(&format!("tools[0].{key}: ")), "{told}");
            assert!(!told.contains("canary"), "{told}");
        }
        let secret = json!([{"name": "a", "description": "d", "command": ["x"],
            "secrets": {"KEY": ["canary"]}}]);
        let told = problems(secret).join("\n");
        assert!(
            told.contains("tools[0].secrets: ") && !told.contains("canary"),
            "{told}"
        );
        let http = Http {
            url: "https://x/canary".into(),
            headers: [("Authorization".to_owned(), "canary".to_owned())].into(),
            ..Http::default()
        };
        let shown = format!("{http:?}");
        assert!(
            shown.contains("Authorization") && !shown.contains("canary"),
            "{shown}"
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        for (tool, key) in [
            (json!({"description": "d", "command": ["x"]}), "name"),
            (
                json!({"name": "a b", "description": "d", "command": ["x"]}),
                "name",
            ),
            (
                json!({"name": "send_file", "description": "d", "command": ["x"]}),
                "name",
            ),
            (json!({"name": "a", "command": ["x"]}), "description"),
            (json!({"name": "a", "description": "d"}), "command"),
            (
                json!({"name": "a", "description": "d", "command": ["x"], "http": {"url": "https://x"}}),
                "http",
            ),
            (
                json!({"name": "a", "description": "d", "http": {"url": "ftp://x"}}),
                "http.url",
            ),
            (
                json!({"name": "a", "description": "d", "http": {"florp": 1}}),
                "http",
            ),
            (
                json!({"name": "a", "description": "d", "command": ["x"], "input": {"type": 3}}),
                "input",
            ),
            (
                json!({"name": "a", "description": "d", "command": ["x"], "secrets": {"a-b": "x"}}),
                "secrets.a-b",
            ),
            (
                json!({"name": "a", "description": "d", "command": ["x"], "timeout_secs": 0}),
                "timeout_secs",
            ),
            (
                json!({"name": "a", "description": "d", "command": ["x"], "tiemout_secs": 1}),
                "tiemout_secs",
            ),
        ] {
            let problems = problems(json!([tool]));
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.contains(&format!("tools[0].{key}"))),
                "{key}: {problems:?}"
            );
        }
        assert_eq!(problems(json!({})).len(), 1);
    }
}
