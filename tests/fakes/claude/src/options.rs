//! The command line: the options of the real one, and its words for what is wrong with them.
//!
//! Promises: pure. An option that the real one does not know is refused as it refuses it; one that this fake cannot play is refused by name.
//! Does not: read the environment.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

/// How many words an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    One,
    /// Up to the next option.
    Many,
    /// One, if the next word is no option.
    Maybe,
}

use Takes::{Many, Maybe, Nothing, One};

const OPTIONS: &[(&str, Takes)] = &[
    ("--add-dir", Many),
    ("--agent", One),
    ("--agents", One),
    ("--allow-dangerously-skip-permissions", Nothing),
    ("--allowedTools", Many),
    ("--append-system-prompt", One),
    ("--bare", Nothing),
    ("--betas", Many),
    ("--continue", Nothing),
    ("--dangerously-skip-permissions", Nothing),
    ("--debug", Maybe),
    ("--debug-file", One),
    ("--disable-slash-commands", Nothing),
    ("--disallowedTools", Many),
    ("--effort", One),
    ("--fallback-model", One),
    ("--fork-session", Nothing),
    ("--include-hook-events", Nothing),
    ("--include-partial-messages", Nothing),
    ("--input-format", One),
    ("--json-schema", One),
    ("--max-budget-usd", One),
    ("--max-turns", One),
    ("--mcp-config", Many),
    ("--model", One),
    ("--name", One),
    ("--no-session-persistence", Nothing),
    ("--output-format", One),
    ("--permission-mode", One),
    ("--permission-prompt-tool", One),
    ("--plugin-dir", One),
    ("--print", Nothing),
    ("--replay-user-messages", Nothing),
    ("--resume", Maybe),
    ("--safe-mode", Nothing),
    ("--session-id", One),
    ("--setting-sources", One),
    ("--settings", One),
    ("--strict-mcp-config", Nothing),
    ("--system-prompt", One),
    ("--tools", Many),
    ("--verbose", Nothing),
    ("--version", Nothing),
];

const SHORT: &[(&str, &str)] = &[
    ("-c", "--continue"),
    ("-d", "--debug"),
    ("-n", "--name"),
    ("-p", "--print"),
    ("-r", "--resume"),
    ("-v", "--version"),
    ("--allowed-tools", "--allowedTools"),
    ("--disallowed-tools", "--disallowedTools"),
];

/// The modes that `--permission-mode` and `set_permission_mode` know.
pub(crate) const MODES: [&str; 6] = [
    "acceptEdits",
    "auto",
    "bypassPermissions",
    "default",
    "dontAsk",
    "plan",
];

/// How the process ends before it has begun.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The exit code.
    pub(crate) code: i32,
    /// What goes to stdout, if anything.
    pub(crate) stdout: String,
    /// What goes to stderr, if anything.
    pub(crate) stderr: String,
}

impl Refused {
    pub(crate) fn saying(stderr: impl Into<String>) -> Self {
        Self {
            code: 1,
            stdout: String::new(),
            stderr: stderr.into(),
        }
    }
}

/// Which session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Session {
    /// A new one, with this id.
    New(String),
    /// This one goes on.
    Resume(String),
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Which session.
    pub(crate) session: Session,
    /// `--replay-user-messages`.
    pub(crate) replay: bool,
    /// `--include-partial-messages`.
    pub(crate) partial: bool,
    /// `--permission-prompt-tool stdio`; without it nothing is asked and what would be asked is refused.
    pub(crate) asks: bool,
    /// `--permission-mode`.
    pub(crate) mode: String,
    /// Whether `bypassPermissions` may be switched to.
    pub(crate) bypass: bool,
    /// `--allowedTools`, as rules.
    pub(crate) allowed: Vec<String>,
    /// Whether rules of the project's local settings hold: `--setting-sources`.
    pub(crate) local: bool,
    /// `--disallowedTools`, as rules.
    pub(crate) disallowed: Vec<String>,
    /// `--tools`; `None` is all of them.
    pub(crate) tools: Option<Vec<String>>,
    /// `--model`.
    pub(crate) model: String,
}

/// Reads the words after the program's name.
///
/// # Errors
/// How the real one would end, and its words.
pub(crate) fn parse(words: &[String], version: &str) -> Result<Options, Refused> {
    let given = collect(words)?;
    let has = |name: &str| given.contains_key(name);
    let one = |name: &str| given.get(name).and_then(|words| words.first()).cloned();
    let many = |name: &str| given.get(name).map(|words| rules(words));

    if has("--version") {
        return Err(Refused {
            code: 0,
            stdout: format!("{version} (Claude Code)"),
            stderr: String::new(),
        });
    }
    for (name, choices) in [
        ("--input-format", &["text", "stream-json"][..]),
        ("--output-format", &["text", "json", "stream-json"]),
    ] {
        if let Some(word) = one(name).filter(|word| !choices.contains(&word.as_str())) {
            let choices = choices.join(", ");
            return Err(Refused::saying(format!(
                "error: option '{name} <format>' argument '{word}' is invalid. Allowed choices are {choices}."
            )));
        }
    }
    let mode = one("--permission-mode").unwrap_or_else(|| "default".to_owned());
    if !MODES.contains(&mode.as_str()) {
        return Err(Refused::saying(format!(
            "error: option '--permission-mode <mode>' argument '{mode}' is invalid. Allowed choices are {}.",
            MODES.join(", ")
        )));
    }
    let streams = |name: &str| one(name).as_deref() == Some("stream-json");
    if has("--print") && streams("--output-format") && !has("--verbose") {
        return Err(Refused::saying(
            "Error: When using --print, --output-format=stream-json requires --verbose",
        ));
    }
    for name in ["--continue", "--fork-session", "--no-session-persistence"] {
        if has(name) {
            return Err(Refused::saying(format!("fake-claude does not play {name}")));
        }
    }
    if !has("--print") || !streams("--output-format") || !streams("--input-format") {
        return Err(Refused::saying(
            "fake-claude plays only: -p --input-format stream-json --output-format stream-json",
        ));
    }
    let session = match (one("--session-id"), given.get("--resume")) {
        (Some(_), Some(_)) => {
            return Err(Refused::saying(
                "Error: --session-id with --continue or --resume also needs --fork-session.",
            ));
        }
        (Some(id), None) if Uuid::parse_str(&id).is_err() => {
            return Err(Refused::saying(
                "Error: Invalid session ID. Must be a valid UUID.",
            ));
        }
        (Some(id), None) => Session::New(id),
        (None, Some(id)) => match id.first().filter(|id| Uuid::parse_str(id).is_ok()) {
            Some(id) => Session::Resume(id.clone()),
            None => {
                let given = id.first().map_or("", String::as_str);
                return Err(Refused::saying(format!(
                    "Error: --resume requires a valid session ID or session title when used with --print. Provided value \"{given}\" is not a UUID."
                )));
            }
        },
        (None, None) => Session::New(Uuid::new_v4().to_string()),
    };
    let skips = has("--dangerously-skip-permissions");
    Ok(Options {
        session,
        replay: has("--replay-user-messages"),
        partial: has("--include-partial-messages"),
        asks: one("--permission-prompt-tool").as_deref() == Some("stdio"),
        bypass: skips || has("--allow-dangerously-skip-permissions") || mode == "bypassPermissions",
        mode: if skips {
            "bypassPermissions".to_owned()
        } else {
            mode
        },
        allowed: many("--allowedTools")
            .unwrap_or_default()
            .into_iter()
            .chain(settled(one("--settings").as_deref().unwrap_or("{}")))
            .collect(),
        local: one("--setting-sources").is_none_or(|list| list.split(',').any(|s| s == "local")),
        disallowed: many("--disallowedTools").unwrap_or_default(),
        tools: many("--tools").filter(|tools| tools.iter().all(|tool| tool != "default")),
        model: one("--model").unwrap_or_else(|| "claude-opus-5-5".to_owned()),
    })
}

fn collect(words: &[String]) -> Result<HashMap<&'static str, Vec<String>>, Refused> {
    let mut given: HashMap<&'static str, Vec<String>> = HashMap::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let name = SHORT
            .iter()
            .find(|(short, _)| *short == name)
            .map_or(name, |(_, long)| *long);
        let Some((name, takes)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
            if word.starts_with('-') {
                return Err(Refused::saying(format!("error: unknown option '{word}'")));
            }
            return Err(Refused::saying("fake-claude takes its prompts on stdin"));
        };
        let taken = given.entry(name).or_default();
        if *takes == Nothing {
            continue;
        }
        let option = |word: &String| word.len() > 1 && word.starts_with('-');
        let first = match value {
            Some(value) => Some(value),
            None if *takes == One => words.next().cloned(),
            None => words.next_if(|word| !option(word)).cloned(),
        };
        match first {
            Some(first) => taken.push(first),
            None if *takes == Maybe => {}
            None => {
                return Err(Refused::saying(format!(
                    "error: option '{name}' argument missing"
                )));
            }
        }
        while *takes == Many && words.peek().is_some_and(|word| !option(word)) {
            taken.extend(words.next().cloned());
        }
    }
    Ok(given)
}

/// The rules that settings allow.
fn settled(settings: &str) -> Vec<String> {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let rules = settings["permissions"]["allow"].as_array();
    let rules = rules.into_iter().flatten();
    rules
        .filter_map(|rule| rule.as_str().map(str::to_owned))
        .collect()
}

/// Splits at commas and spaces that stand outside parentheses: `Bash(git *) Edit` is two rules.
fn rules(words: &[String]) -> Vec<String> {
    let mut rules = Vec::new();
    for word in words {
        let mut depth = 0_usize;
        let mut rule = String::new();
        for c in word.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (c == ',' || c == ' ') {
                rules.push(std::mem::take(&mut rule));
            } else {
                rule.push(c);
            }
        }
        rules.push(rule);
    }
    rules.retain(|rule| !rule.is_empty());
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b03ced4-125c-406b-876e-123027722e17";

    fn read(line: &str) -> Result<Options, Refused> {
        let words: Vec<String> = line.split('|').map(str::to_owned).collect();
        parse(&words, "2.1.329")
    }

    fn streaming(rest: &str) -> Result<Options, Refused> {
        read(&format!(
            "-p|--input-format|stream-json|--output-format|stream-json|--verbose{rest}"
        ))
    }

    #[test]
    fn the_runners_line_is_understood() {
        let options = streaming(&format!(
            "|--include-partial-messages|--permission-prompt-tool|stdio|--replay-user-messages|--setting-sources|user|--strict-mcp-config|--settings|{{}}\
             |--resume|{ID}|--append-system-prompt|--be nice|--add-dir|/a|/b|--allowedTools|Bash(git *),Edit|Read|--disallowedTools|WebFetch|--model=x"
        ))
        .expect("a good line");
        assert_eq!(options.session, Session::Resume(ID.to_owned()));
        assert_eq!(options.allowed, ["Bash(git *)", "Edit", "Read"]);
        assert_eq!(options.disallowed, ["WebFetch"]);
        assert!(options.replay && options.partial && options.asks);
        assert_eq!((options.model.as_str(), options.tools), ("x", None));
    }

    #[test]
    fn no_tools_at_all() {
        assert_eq!(
            streaming("|--tools|").expect("a good line").tools,
            Some(vec![])
        );
    }

    #[test]
    fn the_words_for_what_is_wrong() {
        let wrong = |rest: &str| streaming(rest).expect_err("a bad line").stderr;
        assert!(wrong("|--florp").starts_with("error: unknown option '--florp'"));
        assert_eq!(
            wrong("|--session-id|abc"),
            "Error: Invalid session ID. Must be a valid UUID."
        );
        assert!(wrong(&format!("|--session-id|{ID}|--resume|{ID}")).contains("--fork-session"));
        assert!(wrong("|--resume|abc").contains("--resume requires a valid session ID"));
        assert!(wrong("|--permission-mode|florp").contains("Allowed choices are acceptEdits"));
        assert!(wrong("|--session-id").contains("argument missing"));
        let quiet = read("-p|--input-format|stream-json|--output-format|stream-json")
            .expect_err("a bad line");
        assert!(quiet.stderr.contains("requires --verbose"));
    }

    #[test]
    fn the_version_is_told() {
        let told = read("--version").expect_err("an end");
        assert_eq!(
            (told.code, told.stdout.as_str()),
            (0, "2.1.329 (Claude Code)")
        );
    }
}
