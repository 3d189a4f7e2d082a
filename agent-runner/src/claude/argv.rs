//! How Claude Code is started: its arguments and the whole of its environment.
//!
//! The environment is an allow-list: what the runner was started with does not reach the agent,
//! but for the few names in [`PASSED_ON`] and what the operator wrote into `env`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::options::Options;
use crate::tools;

/// What is passed on of the runner's own environment: where things are, who it is, how to speak and
/// whom to trust. Proxies are not: their addresses hold passwords, and whoever needs one writes it
/// into `env`.
pub const PASSED_ON: [&str; 25] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "TZ",
    "TMPDIR",
    // Without these a machine behind its own certificate authority reaches no model.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Where the command line looks for a token of `claude setup-token`.
const OAUTH_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";

/// The permission modes, by the CLI's names.
pub const MODES: [&str; 6] = [
    "default",
    "acceptEdits",
    "plan",
    "auto",
    "bypassPermissions",
    "dontAsk",
];

const SETTINGS: &str = "--settings";

/// Tools of the CLI's own that an agent without them is refused as well, should one come back. The
/// rule on `Read` also keeps the CLI from reading what a message mentions as `@path`.
const BUILT_IN: [&str; 7] = [
    "Bash",
    "Read",
    "Edit",
    "Write",
    "NotebookEdit",
    "WebFetch",
    "WebSearch",
];

/// What an agent has in its environment that has nothing but tools: the CLI itself adds no file to a
/// conversation, neither what a message mentions as `@path` nor a CLAUDE.md or a memory, and starts
/// nothing in the background.
const TOOLS_ONLY: [&str; 7] = [
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
    "CLAUDE_CODE_DISABLE_ATTACHMENTS",
    "CLAUDE_CODE_DISABLE_CLAUDE_MDS",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY",
    "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    "CLAUDE_CODE_DISABLE_CRON",
];

/// How often the CLI asks the model's API again.
const API_RETRIES: &str = "10";

/// Which conversation a process is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The CLI's id of the session, a UUID.
    pub session: String,
    /// The session file is there.
    pub resume: bool,
    /// The CLI is to go on with a turn that a crash cut off. Never set for any other start: a turn
    /// that a person stopped would come back to life.
    pub revive: bool,
    /// The session's mode; empty = as configured.
    pub mode: String,
    /// The session's model; empty = as configured.
    pub model: String,
    /// Rules that people have allowed for good.
    pub granted: Vec<String>,
    /// What follows the system prompt beside what is configured ([`crate::home`]).
    pub words: Vec<String>,
    /// A directory that is the agent's beside its work dir.
    pub volume: Option<PathBuf>,
    /// Directories beside the working directory that it may use.
    pub beside: Vec<PathBuf>,
}

/// The arguments after the program's name.
pub fn arguments(options: &Options, start: &Start) -> Vec<String> {
    let mut argv: Vec<String> = options.args.clone();
    let mut add = |parts: &[&str]| argv.extend(parts.iter().map(|part| (*part).to_owned()));
    add(&[
        "-p",
        "--output-format",
        "stream-json",
        "--input-format",
        "stream-json",
        "--verbose",
    ]);
    add(&[
        "--include-partial-messages",
        "--permission-prompt-tool",
        "stdio",
    ]);
    add(&["--replay-user-messages"]);
    // `-p` skips the question of trust; without these the project's hooks and servers would run.
    // An agent that has nothing but tools has no settings of its user's either: hooks are programs.
    match (options.tools_only, options.trusts_project()) {
        (true, _) => add(&[
            "--setting-sources",
            "",
            "--strict-mcp-config",
            "--tools",
            "",
        ]),
        (false, false) => add(&["--setting-sources", "user", "--strict-mcp-config"]),
        (false, true) => add(&["--setting-sources", "user,project,local"]),
    }
    add(&[
        if start.resume {
            "--resume"
        } else {
            "--session-id"
        },
        &start.session,
    ]);
    let one = |name: &str, value: &Option<String>, argv: &mut Vec<String>| {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            argv.extend([name.to_owned(), value.to_owned()]);
        }
    };
    let set = |of_session: &str, configured: &Option<String>| match of_session {
        "" => configured.clone(),
        set => Some(set.to_owned()),
    };
    let configured = set(&start.mode, &options.mode);
    one(
        "--permission-mode",
        &configured.as_deref().map(mode),
        &mut argv,
    );
    one("--model", &set(&start.model, &options.model), &mut argv);
    one("--effort", &options.reasoning_effort, &mut argv);
    one("--system-prompt", &options.system_prompt, &mut argv);
    let configured = options.append_system_prompt.iter();
    let words: Vec<&str> = configured
        .chain(&start.words)
        .map(String::as_str)
        .filter(|words| !words.is_empty())
        .collect();
    one(
        "--append-system-prompt",
        &Some(words.join("\n\n")),
        &mut argv,
    );
    if let Some(volume) = &start.volume {
        let volume = volume.to_string_lossy().into_owned();
        argv.extend(["--add-dir".to_owned(), volume]);
    }
    for dir in &options.plugin_dirs {
        argv.extend(["--plugin-dir".to_owned(), dir.clone()]);
    }
    for dir in &start.beside {
        argv.extend(["--add-dir".to_owned(), dir.display().to_string()]);
    }
    // A rule may hold a comma, so it does not go the way of the configured tools. Settings of the
    // operator's own go first: there can be one only.
    let own = options.args.iter().any(|arg| arg.starts_with(SETTINGS));
    let settings = match options.tools_only {
        true => Some(json!({"permissions": {"deny": BUILT_IN}})),
        false if start.granted.is_empty() || own => None,
        false => Some(json!({"permissions": {"allow": start.granted}})),
    };
    if let Some(settings) = settings {
        argv.extend([SETTINGS.to_owned(), settings.to_string()]);
    }
    // What the operator offers needs no question: its schema and its program are the bound.
    let mut allowed = options.allowed_tools.clone();
    allowed.push(format!("mcp__{}", tools::SERVER));
    for (name, tools) in [
        ("--allowedTools", &allowed),
        ("--disallowedTools", &options.disallowed_tools),
    ] {
        if !tools.is_empty() {
            argv.extend([name.to_owned(), tools.join(",")]);
        }
    }
    argv
}

/// The CLI's name of a permission mode; an unknown one is passed on as it is, for the CLI to refuse
/// in its own words.
fn mode(configured: &str) -> String {
    match configured {
        "edit" | "acceptedits" => "acceptEdits",
        "yolo" | "bypasspermissions" => "bypassPermissions",
        "dontask" => "dontAsk",
        other => other,
    }
    .to_owned()
}

/// What of the runner's own environment `own` others get too.
pub fn passed_on(own: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    PASSED_ON
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), own(name)?)))
        .collect()
}

/// The whole environment of an agent, whatever its kind. `own` is the runner's.
pub fn base_environment(
    options: &Options,
    own: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut env = passed_on(own);
    let given = options
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
    env.extend(given);
    if let Some(token) = &options.oauth_token {
        let token = token.expose_secret().trim().to_owned();
        env.insert(OAUTH_TOKEN.into(), token);
    }
    env
}

/// The whole environment of Claude Code.
pub fn environment(
    options: &Options,
    start: &Start,
    own: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = [
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1"),
        ("CLAUDE_CODE_MCP_ALLOWLIST_ENV", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", API_RETRIES),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    env.extend(base_environment(options, own));
    if options.tools_only {
        env.extend(TOOLS_ONLY.map(|name| (name.to_owned(), "1".to_owned())));
    }
    // These two carry the promise that a turn survives a crash and a stopped one stays stopped, so
    // the operator's `env` does not reach them.
    env.insert("CLAUDE_CODE_EAGER_FLUSH".into(), "1".into());
    match start.revive {
        true => env.insert("CLAUDE_CODE_RESUME_INTERRUPTED_TURN".into(), "1".into()),
        false => env.remove("CLAUDE_CODE_RESUME_INTERRUPTED_TURN"),
    };
    env
}

/// Where session files are, one directory a working directory.
pub fn projects_dir(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let config = match env.get("CLAUDE_CONFIG_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env.get("HOME")?).join(".claude"),
    };
    Some(config.join("projects"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(resume: bool, revive: bool) -> Start {
        Start {
            session: "s".into(),
            resume,
            revive,
            ..Start::default()
        }
    }

    fn own(name: &str) -> Option<String> {
        match name {
            "PATH" => Some("/bin".into()),
            "HOME" => Some("/home/x".into()),
            "ANTHROPIC_API_KEY" | "NOTIFY_SOCKET" | "CLAUDE_CODE_RESUME_INTERRUPTED_TURN" => {
                Some("no".into())
            }
            _ => None,
        }
    }

    #[test]
    fn a_sessions_mode_and_model_go_before_the_configured_ones() {
        let options = Options {
            mode: Some("plan".into()),
            model: Some("sonnet".into()),
            ..Options::default()
        };
        let after = |argv: &[String], name: &str| {
            let at = argv.iter().position(|part| part == name);
            at.map(|at| argv[at + 1].clone())
        };
        let argv = arguments(&options, &start(false, false));
        assert_eq!(after(&argv, "--permission-mode").as_deref(), Some("plan"));
        assert_eq!(after(&argv, "--model").as_deref(), Some("sonnet"));
        let set = Start {
            mode: "acceptEdits".into(),
            model: "opus".into(),
            ..start(true, false)
        };
        let argv = arguments(&options, &set);
        assert_eq!(
            after(&argv, "--permission-mode").as_deref(),
            Some("acceptEdits")
        );
        assert_eq!(after(&argv, "--model").as_deref(), Some("opus"));
    }

    #[test]
    fn what_people_allowed_goes_along_unless_the_operator_has_settings() {
        let mut options = Options::default();
        let start = Start {
            granted: vec!["Bash(touch a, b *)".into()],
            ..start(true, false)
        };
        let settings = r#"--settings {"permissions":{"allow":["Bash(touch a, b *)"]}}"#;
        assert!(arguments(&options, &start).join(" ").contains(settings));
        options.args = vec!["--settings".into(), "{}".into()];
        assert!(!arguments(&options, &start).join(" ").contains(settings));
    }

    // pitfall: -p skips workspace trust; --session-id of an existing session and --resume of a missing one exit 1
    #[test]
    fn a_session_is_made_once_and_then_resumed() {
        let options = Options::default();
        let made = arguments(&options, &start(false, false)).join(" ");
        assert!(
            made.contains("--session-id s") && !made.contains("--resume"),
            "{made}"
        );
        let resumed = arguments(&options, &start(true, false)).join(" ");
        assert!(
            resumed.contains("--resume s") && !resumed.contains("--session-id"),
            "{resumed}"
        );
        assert!(
            made.contains("--setting-sources user --strict-mcp-config"),
            "{made}"
        );
    }

    // pitfall: a project's .mcp.json, hooks, apiKeyHelper and env are executed unless they are left out
    #[test]
    fn a_projects_own_files_are_loaded_only_if_it_is_trusted() {
        let mut trusted = Options {
            trust_project: true,
            ..Options::default()
        };
        let argv = arguments(&trusted, &start(false, false)).join(" ");
        assert!(
            argv.contains("--setting-sources user,project,local"),
            "{argv}"
        );
        assert!(!argv.contains("--strict-mcp-config"), "{argv}");
        trusted.tools_only = true;
        let argv = arguments(&trusted, &start(false, false)).join(" ");
        assert!(
            argv.contains("--setting-sources  --strict-mcp-config"),
            "{argv}"
        );
    }

    #[test]
    fn all_that_is_appended_is_one_argument() {
        let options = Options {
            append_system_prompt: Some("be brief".into()),
            ..Options::default()
        };
        let start = Start {
            words: vec!["be kind".into(), "be quick".into()],
            volume: Some("/v".into()),
            ..start(false, false)
        };
        let argv = arguments(&options, &start);
        assert!(argv.contains(&"be brief\n\nbe kind\n\nbe quick".to_owned()));
        assert!(argv.join(" ").contains("--add-dir /v"));
        let argv = arguments(&Options::default(), &super::Start::default()).join(" ");
        assert!(!argv.contains("--append-system-prompt") && !argv.contains("--add-dir"));
    }

    // pitfall: --verbose is mandatory
    #[test]
    fn options_become_arguments() {
        let options = Options {
            mode: Some("yolo".into()),
            model: Some("m".into()),
            args: vec!["--flag".into()],
            allowed_tools: vec!["Bash(ls)".into(), "Read".into()],
            append_system_prompt: Some("be brief".into()),
            ..Options::default()
        };
        let argv = arguments(&options, &start(false, false));
        assert_eq!(argv[0], "--flag");
        let all = argv.join(" ");
        let always = "-p --output-format stream-json --input-format stream-json --verbose";
        assert!(all.contains(always), "{all}");
        let at = |name: &str| {
            argv.iter()
                .position(|arg| arg == name)
                .map(|at| argv[at + 1].clone())
        };
        assert_eq!(
            at("--permission-mode").as_deref(),
            Some("bypassPermissions")
        );
        assert_eq!(at("--model").as_deref(), Some("m"));
        assert_eq!(
            at("--allowedTools").as_deref(),
            Some("Bash(ls),Read,mcp__bulkhead")
        );
        assert_eq!(at("--append-system-prompt").as_deref(), Some("be brief"));
        assert_eq!(at("--disallowedTools"), None);
    }

    // pitfall: --tools "" removes every built-in and keeps MCP; --allowedTools mcp__bulkhead avoids questions
    #[test]
    fn an_agent_that_has_only_tools_has_nothing_else() {
        let options = Options {
            tools_only: true,
            ..Options::default()
        };
        let granted = Start {
            granted: vec!["Bash".into()],
            ..start(true, false)
        };
        let argv = arguments(&options, &granted);
        let after = |name: &str| {
            let at = argv.iter().position(|part| part == name);
            at.map(|at| argv[at + 1].as_str()).unwrap()
        };
        assert_eq!(after("--tools"), "");
        assert_eq!(after("--setting-sources"), "");
        assert_eq!(after("--allowedTools"), "mcp__bulkhead");
        let settings = after("--settings");
        assert!(settings.contains(r#""deny":["Bash","Read""#) && !settings.contains("allow"));
        let env = environment(&options, &start(true, false), own);
        assert_eq!(env["CLAUDE_CODE_DISABLE_FILE_MENTIONS"], "1");
        let usual = arguments(&Options::default(), &start(true, false));
        assert!(!usual.contains(&"--tools".to_owned()));
    }

    // pitfall: MCP servers inherit the environment; SUBPROCESS_ENV_SCRUB opens paths outside the work dir
    #[test]
    fn only_what_is_listed_and_what_the_operator_wrote_reaches_the_agent() {
        let options = Options {
            env: [("ANTHROPIC_BASE_URL".to_owned(), "http://x".into())].into(),
            ..Options::default()
        };
        // Everything is set in the runner's own.
        let full = |name: &str| Some(own(name).unwrap_or_else(|| format!("own {name}")));
        let env = environment(&options, &start(true, false), full);
        assert_eq!(env["PATH"], "/bin");
        assert_eq!(env["ANTHROPIC_BASE_URL"], "http://x");
        for (name, value) in &env {
            let ours = ["CLAUDE_CODE_", "DISABLE_AUTOUPDATER", "ANTHROPIC_BASE_URL"];
            let known = PASSED_ON.contains(&name.as_str())
                || ours.iter().any(|ours| name.starts_with(ours));
            assert!(known && !value.contains("own CLAUDE"), "{name}={value}");
        }
        assert_eq!(env["LC_TIME"], "own LC_TIME");
        assert_eq!(env["CLAUDE_CODE_MCP_ALLOWLIST_ENV"], "1");
        assert!(!env.contains_key("CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"));
        assert!(!env.contains_key("ANTHROPIC_API_KEY") && !env.contains_key("NOTIFY_SOCKET"));
    }

    #[test]
    fn a_token_reaches_the_agent_and_a_key_does_not() {
        let options = Options {
            api_key: Some("canary".into()),
            oauth_token: Some("token\n".into()),
            ..Options::default()
        };
        let env = environment(&options, &start(true, false), own);
        assert_eq!(env["CLAUDE_CODE_OAUTH_TOKEN"], "token");
        let argv = arguments(&options, &start(true, false));
        assert!(!format!("{env:?}{argv:?}").contains("canary"));
    }

    // pitfall: without EAGER_FLUSH a kill soon after the result loses the turn
    #[test]
    fn only_a_start_that_sends_an_open_turn_again_revives() {
        const REVIVE: &str = "CLAUDE_CODE_RESUME_INTERRUPTED_TURN";
        let options = Options {
            env: [
                (REVIVE.to_owned(), "1".into()),
                ("CLAUDE_CODE_EAGER_FLUSH".to_owned(), "0".into()),
            ]
            .into(),
            ..Options::default()
        };
        let env = environment(&options, &start(true, false), own);
        assert_eq!(env["CLAUDE_CODE_EAGER_FLUSH"], "1");
        assert!(!environment(&options, &start(true, false), own).contains_key(REVIVE));
        assert_eq!(environment(&options, &start(true, true), own)[REVIVE], "1");
    }

    #[test]
    fn session_files_are_where_the_agents_environment_says() {
        let options = Options::default();
        let env = environment(&options, &start(false, false), own);
        assert_eq!(projects_dir(&env), Some("/home/x/.claude/projects".into()));
        let moved = [("CLAUDE_CONFIG_DIR".to_owned(), "/c".to_owned())].into();
        assert_eq!(projects_dir(&moved), Some("/c/projects".into()));
    }
}
