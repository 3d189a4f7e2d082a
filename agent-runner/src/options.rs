//! What the operator wrote about one project's agent, as the monitor hands it over.
//!
//! Promises: an option that is wrong is a problem with its key, told before anything runs; what
//! is not written has its default here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use worker_kit::options::{Kind, OptionProblem, check_keys};

use crate::daemon::own;
use crate::jail::kernel::System;
use crate::jail::options::{self as sandbox, Network, Sandbox};
use crate::tools::{self, changeable::Changeable, options::ToolOptions};

/// The kind of agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// Claude Code over stream-json, one process a session.
    #[default]
    ClaudeCode,
    /// The Agent Client Protocol, one process a session.
    Acp,
    /// Any program: prompt on stdin, reply on stdout, one process a turn.
    Command,
}

impl AgentKind {
    /// Whether the runner serves it on the loopback: its model, or tools.
    pub fn is_served(self) -> bool {
        self != AgentKind::Command
    }
}

/// Whose a volume is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeScope {
    /// The project's: all sessions share it.
    #[default]
    Project,
    /// Each session has one of its own.
    Session,
}

/// How an agent gets at its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// By a login of its own, kept by the command line for its user.
    Stored,
    /// By a token of `claude setup-token`, in its environment.
    Token,
    /// By a key that the runner keeps from it ([`crate::model`]).
    Key,
}

impl Login {
    /// For `bulkhead status`.
    pub fn in_words(self) -> &'static str {
        match self {
            Login::Stored => "its user's login, which the agent can read",
            Login::Token => "a token, which the agent can read",
            Login::Key => "a key, kept from the agent",
        }
    }
}

/// Where the sessions of a project work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workspace {
    /// All in the work directory.
    #[default]
    Shared,
    /// Each in a git worktree of its own ([`crate::workspace`]).
    Worktree,
}

/// The options of one project's agent.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The kind of agent.
    pub kind: AgentKind,
    /// The program; empty = the kind's usual name.
    pub cmd: String,
    /// Arguments before any of ours.
    pub args: Vec<String>,
    /// Where it works.
    pub work_dir: PathBuf,
    /// Permission mode.
    pub mode: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// What stands in the agent's environment beside the allow-list.
    pub env: BTreeMap<String, SecretString>,
    /// The model's key. It stays in the runner.
    pub api_key: Option<SecretString>,
    /// A token of `claude setup-token`. The agent has it in its environment.
    pub oauth_token: Option<SecretString>,
    /// Where the model's API is, for a key.
    pub base_url: Option<String>,
    /// A proxy for the way there; its address may hold a password.
    pub proxy: Option<SecretString>,
    /// Load the project's own settings, hooks, servers, commands and skills.
    pub trust_project: bool,
    /// A directory that outlives sessions, as the agent's home ([`crate::home`]). Made if missing.
    pub volume: Option<PathBuf>,
    /// Whose it is.
    pub volume_scope: VolumeScope,
    /// A file with the agent's persona, in the volume or else in the work dir.
    pub persona: Option<String>,
    /// Tools that need no question.
    pub allowed_tools: Vec<String>,
    /// Tools that are refused.
    pub disallowed_tools: Vec<String>,
    /// Replaces the agent's own system prompt.
    pub system_prompt: Option<String>,
    /// Follows the agent's own system prompt.
    pub append_system_prompt: Option<String>,
    /// Minutes after which an idle agent process is ended; 0 = never.
    pub idle_close_mins: u64,
    /// Minutes of silence that end a turn; 0 = never.
    pub turn_idle_timeout_mins: u64,
    /// Minutes that a turn may take; 0 = without end.
    pub max_turn_time_mins: u64,
    /// Seconds that a question waits for a person.
    pub question_timeout_secs: u64,
    /// How hard the model thinks.
    pub reasoning_effort: Option<String>,
    /// The size of the context, tokens: a figure for people's eyes, which the agent is not told.
    pub max_context_tokens: Option<u64>,
    /// Directories of plugins.
    pub plugin_dirs: Vec<String>,
    /// Where the agent keeps what is its own, below its home: open to it in its sandbox, and made.
    pub home_dirs: Vec<String>,
    /// How an ACP agent is logged in, by its own id of it; none: it is logged in already.
    pub auth_method: Option<String>,
    /// Whether each session has a git worktree of its own.
    pub workspace: Workspace,
    /// The most agent processes at a time; 0 = as many as there is memory for.
    pub max_agents: usize,
    /// The most memory of all agents together, MiB; 0 = no bound of their own.
    pub agents_memory_mb: u64,
    /// What must be left of the machine's memory when another agent starts, MiB; 0 = it is not looked
    /// at.
    pub reserve_memory_mb: u64,
    /// Whether the agent may send files of its work dir to the chat; none = unless it has nothing but
    /// tools ([`Options::sends_files`]).
    pub send_file: Option<bool>,
    /// The largest file that the agent may send to the chat, bytes; 0 = it cannot send any.
    pub send_file_max_bytes: u64,
    /// Tools of the operator's.
    pub tools: Vec<ToolOptions>,
    /// The agent has these tools and nothing else.
    pub tools_only: bool,
    /// The agent's jail. Without a word of it there is one.
    #[serde(deserialize_with = "sandbox::read")]
    pub sandbox: Sandbox,
    /// Where the runner keeps its locks, what was always allowed, and agents' temporary files. Made if missing.
    pub state_dir: PathBuf,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            kind: AgentKind::default(),
            cmd: String::new(),
            args: Vec::new(),
            work_dir: PathBuf::new(),
            mode: None,
            model: None,
            env: BTreeMap::new(),
            api_key: None,
            oauth_token: None,
            base_url: None,
            proxy: None,
            trust_project: false,
            volume: None,
            volume_scope: VolumeScope::default(),
            persona: None,
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            system_prompt: None,
            append_system_prompt: None,
            idle_close_mins: 15,
            turn_idle_timeout_mins: 120,
            max_turn_time_mins: 0,
            question_timeout_secs: 600,
            reasoning_effort: None,
            max_context_tokens: None,
            plugin_dirs: Vec::new(),
            home_dirs: Vec::new(),
            auth_method: None,
            workspace: Workspace::default(),
            max_agents: 0,
            agents_memory_mb: 0,
            reserve_memory_mb: 512,
            send_file: None,
            send_file_max_bytes: 50 << 20,
            tools: Vec::new(),
            tools_only: false,
            sandbox: Sandbox::default(),
            state_dir: PathBuf::new(),
        }
    }
}

/// `env` may hold keys, so only the names are shown; of the keys proper nothing is.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("kind", &self.kind)
            .field("cmd", &self.program())
            .field("work_dir", &self.work_dir)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Options {
    /// The program to start.
    pub fn program(&self) -> &str {
        match (self.cmd.as_str(), self.kind) {
            ("", AgentKind::ClaudeCode) => "claude",
            (cmd, _) => cmd,
        }
    }

    /// How the agent gets at its model.
    pub fn login(&self) -> Login {
        match (&self.api_key, &self.oauth_token) {
            (Some(_), _) => Login::Key,
            (None, Some(_)) => Login::Token,
            (None, None) => Login::Stored,
        }
    }

    /// Whether the project's own settings are loaded. Not for an agent that has nothing but tools.
    pub fn trusts_project(&self) -> bool {
        self.trust_project && !self.tools_only
    }

    /// Whether the agent may send files of its work dir to the chat. One that has nothing but tools is
    /// for strangers: they would have any of them for the asking, so it must be written out.
    pub fn sends_files(&self) -> bool {
        self.send_file_max_bytes > 0 && self.send_file.unwrap_or(!self.tools_only)
    }

    /// The agent's sandbox. An agent that has nothing but tools has no network in it, whatever is
    /// written.
    pub fn confinement(&self) -> Sandbox {
        let mut sandbox = self.sandbox.clone();
        if self.tools_only {
            sandbox.network = Network::None;
        }
        sandbox
    }

    /// How long an idle process is kept.
    pub fn idle_close(&self) -> Option<Duration> {
        minutes(self.idle_close_mins)
    }

    /// How long a turn may be silent.
    pub fn turn_idle(&self) -> Option<Duration> {
        minutes(self.turn_idle_timeout_mins)
    }

    /// How long a turn may take.
    pub fn turn_time(&self) -> Option<Duration> {
        minutes(self.max_turn_time_mins)
    }

    /// How long a question waits.
    pub fn question_timeout(&self) -> Duration {
        Duration::from_secs(self.question_timeout_secs.max(1))
    }
}

fn minutes(minutes: u64) -> Option<Duration> {
    (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60)))
}

const YEAR_MINS: i64 = 366 * 24 * 60;

const MIB: i64 = 1 << 30;

const KEYS: &[(&str, Kind)] = &[
    ("kind", Kind::Text),
    ("cmd", Kind::Text),
    ("args", Kind::Texts),
    ("work_dir", Kind::Required),
    ("mode", Kind::Text),
    ("model", Kind::Text),
    ("env", Kind::Table(&[])),
    ("api_key", Kind::Text),
    ("oauth_token", Kind::Text),
    ("base_url", Kind::Address(&["https://", "http://"])),
    ("proxy", Kind::Address(&["http://", "https://"])),
    ("trust_project", Kind::Switch),
    ("volume", Kind::Text),
    ("volume_scope", Kind::Text),
    ("persona", Kind::Text),
    ("allowed_tools", Kind::Texts),
    ("disallowed_tools", Kind::Texts),
    ("system_prompt", Kind::Text),
    ("append_system_prompt", Kind::Text),
    ("idle_close_mins", Kind::Number(0, YEAR_MINS)),
    ("turn_idle_timeout_mins", Kind::Number(0, YEAR_MINS)),
    ("max_turn_time_mins", Kind::Number(0, YEAR_MINS)),
    ("question_timeout_secs", Kind::Number(1, YEAR_MINS * 60)),
    ("reasoning_effort", Kind::Text),
    ("max_context_tokens", Kind::Number(0, i64::MAX)),
    ("plugin_dirs", Kind::Texts),
    ("home_dirs", Kind::Texts),
    ("auth_method", Kind::Text),
    ("workspace", Kind::Text),
    ("max_agents", Kind::Number(0, 10_000)),
    ("agents_memory_mb", Kind::Number(0, MIB)),
    ("reserve_memory_mb", Kind::Number(0, MIB)),
    ("tools_only", Kind::Switch),
    ("send_file", Kind::Switch),
    ("send_file_max_bytes", Kind::Number(0, 1 << 30)),
    ("state_dir", Kind::Required),
];

/// Every problem of these options. Whether the agent and its directory are there is not asked: it may
/// be installed, and they made, while the runner runs. Where tools are is looked up on disk.
pub fn check(options: &Value) -> Vec<OptionProblem> {
    let mut known = options.clone();
    let mut problems = Vec::new();
    if let Value::Object(fields) = &mut known {
        fields.retain(|_, value| !value.is_null());
        // Its keys are free, so the table of keys cannot tell of it.
        match fields.remove("env") {
            None => {}
            Some(Value::Object(env)) => {
                let wrong = env.iter().filter(|(name, value)| !is_variable(name, value));
                problems.extend(wrong.map(|(name, _)| {
                    OptionProblem::new(
                        format!("env.{name}"),
                        "is a text in quotes; a name has no `=` and neither has a NUL",
                    )
                }));
            }
            Some(_) => problems.push(OptionProblem::new("env", "is a table of texts")),
        }
        if let Some(tools) = fields.remove("tools") {
            problems.extend(tools::options::check(&tools));
        }
        // A word or a table.
        if let Some(written) = fields.remove("sandbox") {
            problems.extend(sandbox::check(&written));
            let open =
                written == "off" || !matches!(written["network"].as_str(), None | Some("none"));
            if open && fields.get("tools_only") == Some(&Value::Bool(true)) {
                problems.push(OptionProblem::new(
                    "sandbox",
                    "leaves the agent a network, which does not go with tools_only",
                ));
            }
        }
    }
    problems.extend(check_keys(&known, KEYS));
    match known["kind"].as_str() {
        None | Some("claudecode") => {}
        Some("acp" | "command") if known["cmd"].as_str().is_none_or(str::is_empty) => {
            problems.push(OptionProblem::new(
                "cmd",
                "is missing: an agent of this kind has no other",
            ));
        }
        Some("acp" | "command") => {}
        Some(_) => problems.push(OptionProblem::new("kind", "is claudecode, acp or command")),
    }
    if known["volume_scope"]
        .as_str()
        .is_some_and(|scope| !["project", "session"].contains(&scope))
    {
        problems.push(OptionProblem::new("volume_scope", "is project or session"));
    }
    for key in ["api_key", "oauth_token"] {
        let is_secret = |text: &str| {
            let text = text.trim();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if known[key].as_str().is_some_and(|text| !is_secret(text)) {
            problems.push(OptionProblem::new(
                key,
                "is empty, or has blanks or letters in it that no key has; copy it again",
            ));
        }
    }
    // Addresses are logged and shown.
    let authority = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().map(str::to_owned)
    };
    let base_url = known["base_url"].as_str().and_then(authority);
    if base_url.is_some_and(|authority| authority.contains('@')) {
        problems.push(OptionProblem::new(
            "base_url",
            "has a name or a password in it, which would be shown; write the key into api_key",
        ));
    }
    if known["api_key"].is_string() && known["oauth_token"].is_string() {
        problems.push(OptionProblem::new(
            "oauth_token",
            "is not used beside api_key; leave one of them out",
        ));
    }
    let below = |dir: &Value| {
        let dir = std::path::Path::new(dir.as_str().unwrap_or_default());
        let mut parts = dir.components();
        parts.all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    let homes = known["home_dirs"].as_array();
    if homes.is_some_and(|dirs| !dirs.iter().all(below)) {
        problems.push(OptionProblem::new("home_dirs", "are paths below the home"));
    }
    if !matches!(
        known["workspace"].as_str(),
        None | Some("shared" | "worktree")
    ) {
        problems.push(OptionProblem::new("workspace", "is shared or worktree"));
    }
    for key in ["work_dir", "state_dir", "volume"] {
        if known[key]
            .as_str()
            .is_some_and(|path| !path.is_empty() && !path.starts_with('/'))
        {
            problems.push(OptionProblem::new(key, "is a whole path, from / on"));
        }
    }
    // What cannot be read was told.
    if problems.is_empty()
        && let Ok(options) = serde_json::from_value::<Options>(options.clone())
        && !options.tools.is_empty()
    {
        let path = own("PATH").unwrap_or_default();
        let changeable = Changeable::new(&options, own, System);
        problems.extend(changeable.check(&options, &path));
    }
    problems
}

fn is_variable(name: &str, value: &Value) -> bool {
    let clean = |text: &str| !text.contains('\0');
    !name.is_empty() && !name.contains('=') && clean(name) && value.as_str().is_some_and(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(options: Value) -> Vec<String> {
        check(&options).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_least_that_is_needed_is_enough() {
        let least = json!({"work_dir": "/w", "state_dir": "/s", "model": null});
        assert_eq!(problems(least.clone()), Vec::<String>::new());
        let options: Options = serde_json::from_value(least).unwrap();
        assert_eq!(
            (options.program(), options.kind),
            ("claude", AgentKind::ClaudeCode)
        );
        assert_eq!(options.idle_close(), Some(Duration::from_secs(900)));
        assert_eq!(options.turn_time(), None);
    }

    #[test]
    fn every_problem_is_told_with_its_key_and_no_value() {
        let bad = json!({
            "kind": "cursor", "work_dir": "w", "env": {"A=B": "canary", "C": 1}, "modle": "x",
            "idle_close_mins": -1,
        });
        let told = problems(bad).join("\n");
        for key in [
            "kind:",
            "work_dir:",
            "state_dir:",
            "env.A=B:",
            "env.C:",
            "modle:",
            "idle_close",
        ] {
            assert!(told.contains(key), "{key} in\n{told}");
        }
        assert!(
            told.contains("did you mean") && !told.contains("canary"),
            "{told}"
        );
    }

    #[test]
    fn an_agent_without_a_usual_program_needs_its_command() {
        for kind in ["acp", "command"] {
            let told = problems(json!({"kind": kind, "work_dir": "/w", "state_dir": "/s"}));
            assert!(told[0].starts_with("cmd: is missing"), "{told:?}");
        }
    }

    #[test]
    fn an_agent_that_has_only_tools_has_no_network() {
        let only = |sandbox: Value| json!({"work_dir": "/w", "state_dir": "/s", "tools_only": true, "sandbox": sandbox});
        for closed in [json!({}), json!({"network": "none", "read": ["/usr"]})] {
            assert_eq!(problems(only(closed.clone())), Vec::<String>::new());
            let options: Options = serde_json::from_value(only(closed)).unwrap();
            assert_eq!(options.confinement().network, Network::None);
        }
        for open in [
            json!("off"),
            json!({"network": "full"}),
            json!({"network": "ports"}),
        ] {
            let told = problems(only(open));
            assert!(told[0].starts_with("sandbox: leaves"), "{told:?}");
        }
    }

    #[test]
    fn keys_are_told_apart_from_what_is_none() {
        let with = |more: Value| {
            let mut options = json!({"work_dir": "/w", "state_dir": "/s"});
            let fields = options.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            options
        };
        for (more, login) in [
            (json!({}), Login::Stored),
            (json!({"oauth_token": "sk-ant-oat01-x"}), Login::Token),
            (json!({"api_key": "sk-ant-x"}), Login::Key),
        ] {
            assert_eq!(problems(with(more.clone())), Vec::<String>::new());
            let options: Options = serde_json::from_value(with(more)).unwrap();
            assert_eq!(options.login(), login);
        }
        let both = json!({"oauth_token": "x", "api_key": "y"});
        assert!(problems(with(both))[0].starts_with("oauth_token: is not used"));
        for bad in ["", "canary key", "canary\n1", "“canary”"] {
            let told = problems(with(json!({"api_key": bad}))).join("\n");
            assert!(told.starts_with("api_key: is empty"), "{told}");
            assert!(!told.contains("canary"), "{told}");
        }
        let named = json!({"base_url": "https://ann:canary@model.example/v1", "api_key": "x"});
        let told = problems(with(named)).join("\n");
        assert!(
            told.contains("base_url: has a name") && !told.contains("canary"),
            "{told}"
        );
        let plain = json!({"base_url": "https://model.example/v1/@x", "api_key": "x"});
        assert_eq!(problems(with(plain)), Vec::<String>::new());
        let told = problems(with(json!({"base_url": "ftp://x", "proxy": "x"}))).join("\n");
        assert!(
            told.contains("base_url: ") && told.contains("proxy: "),
            "{told}"
        );
    }

    #[test]
    fn the_environment_is_not_printed() {
        let options = Options {
            env: [("KEY".to_owned(), "canary".into())].into(),
            api_key: Some("canary".into()),
            oauth_token: Some("canary".into()),
            proxy: Some("canary".into()),
            ..Options::default()
        };
        let shown = format!("{options:?}");
        assert!(
            shown.contains("KEY") && !shown.contains("canary"),
            "{shown}"
        );
    }
}
