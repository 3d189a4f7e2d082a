//! The agent of a project.

use std::path::{Path, PathBuf};

use super::Build;
use crate::context::Place;
use crate::nearest;
use crate::plan::{Agent, AgentKind, Mode, Sandbox, Workspace};
use crate::problems::shown;
use crate::value::none_of;
use crate::walk::Section;

/// What programs of a kind need: the runner knows what.
const PRESETS: [&str; 4] = ["git", "rust", "node", "python"];

/// Options that mean nothing to an agent over ACP, and those that mean nothing to a plain command
/// beside them.
const CLAUDE_ONLY: [&str; 9] = [
    "reasoning_effort",
    "allowed_tools",
    "disallowed_tools",
    "system_prompt",
    "append_system_prompt",
    "plugin_dir",
    "oauth_token",
    "trust_project",
    "persona",
];
const NO_COMMANDS: [&str; 3] = ["mode", "model", "max_context_tokens"];

/// An agent whose command line is known.
struct Preset {
    /// The `type` that means it.
    kind: &'static str,
    program: &'static str,
    /// What makes it speak ACP.
    args: &'static [&'static str],
    /// How it is installed.
    install: &'static str,
    /// Where it keeps its login and its conversations, below its home.
    homes: &'static [&'static str],
    /// Where it finds the key of its model, if that is none of Anthropic's.
    key: Option<&'static str>,
}

static OVER_ACP: [Preset; 3] = [
    // The CLI itself speaks no ACP; this adapter brings a CLI along.
    Preset {
        kind: "codex",
        program: "codex-acp",
        args: &[],
        install: "npm install -g @agentclientprotocol/codex-acp",
        homes: &[".codex"],
        key: Some("OPENAI_API_KEY"),
    },
    Preset {
        kind: "gemini",
        program: "gemini",
        args: &["--acp"],
        install: "npm install -g @google/gemini-cli",
        homes: &[".gemini"],
        key: Some("GEMINI_API_KEY"),
    },
    Preset {
        kind: "opencode",
        program: "opencode",
        args: &["acp"],
        install: "npm install -g opencode-ai",
        homes: &[
            ".config/opencode",
            ".local/share/opencode",
            ".local/state/opencode",
            ".cache/opencode",
        ],
        key: None,
    },
];

impl Build<'_, '_> {
    /// The agent; none if too little of it is known, which has been reported then.
    pub(super) fn agent(&mut self, project: &Section) -> Option<Agent> {
        project.require(self.problems, "agent", "write [projects.agent] with a type");
        let section = project.table("agent")?;
        let Some((kind, preset)) = self.agent_kind(section) else {
            // What can be told without it is told.
            if let Some(options) = section.table("options") {
                self.mode(options, AgentKind::ClaudeCode);
            }
            return None;
        };
        section.require(
            self.problems,
            "options",
            "write [projects.agent.options] with a work_dir",
        );
        let options = section.table("options")?;
        let work_dir = self.work_dir(options, project);
        let at_work = work_dir.clone();
        let (cmd, args) = self.command(options, kind, preset, &work_dir);
        self.without_effect(options, kind);
        let mode = self.mode(options, kind);
        let auth = self.auth(options);
        self.key_without_effect(options, preset);
        let volume = self.volume(options, kind, auth.as_ref());
        let text = |name| options.text(name).map(str::to_owned);
        let tools_only = section.bool("tools_only").unwrap_or(false);
        let mut sandbox = self.sandbox(section);
        if tools_only {
            sandbox = self.closed(section, sandbox);
        }
        let agent = Agent {
            kind,
            cmd,
            args,
            work_dir,
            mode,
            own_mode: text("mode").filter(|_| kind == AgentKind::Acp),
            model: text("model"),
            reasoning_effort: text("reasoning_effort"),
            allowed_tools: options.list("allowed_tools").to_vec(),
            disallowed_tools: options.list("disallowed_tools").to_vec(),
            system_prompt: text("system_prompt"),
            append_system_prompt: self.appended(options),
            max_context_tokens: options.nonzero("max_context_tokens", 0),
            plugin_dirs: options
                .list("plugin_dir")
                .iter()
                .map(PathBuf::from)
                .collect(),
            home_dirs: preset.map_or_else(Vec::new, |preset| {
                preset.homes.iter().map(|dir| (*dir).to_owned()).collect()
            }),
            env: options.env("env"),
            auth: auth?,
            auth_method: text("auth_method"),
            trust_project: options.bool("trust_project").unwrap_or(false),
            volume,
            persona: self.persona(options),
            timeout_mins: options.nonzero("timeout_mins", 0),
            sandbox,
            workspace: self.workspace(section, &at_work),
            max_agents: section.nonzero("max_agents", 0),
            memory_mb: section.nonzero("agents_memory_mb", 0),
            reserve_memory_mb: section.nonzero("reserve_memory_mb", 512),
            tools: Vec::new(),
            tools_only,
            // Whoever may talk to an agent with nothing but tools would have every file for the asking.
            send_file: section.bool("send_file").unwrap_or(!tools_only),
        };
        let agent = Agent {
            tools: self.tools(section, &agent.work_dir),
            ..agent
        };
        self.check_tools(section, options, &agent);
        self.check_root(options, &agent);
        self.check_closed(section, options, &agent);
        Some(agent)
    }

    /// Warns of options that this kind of agent has no use for.
    fn without_effect(&mut self, options: &Section, kind: AgentKind) {
        let (names, why) = match kind {
            AgentKind::ClaudeCode => (
                vec!["auth_method"],
                "has no effect on Claude Code: log it in, or give it a key in env",
            ),
            AgentKind::Acp => (
                CLAUDE_ONLY.to_vec(),
                "has no effect on an agent over ACP: set it in the agent's own configuration",
            ),
            AgentKind::Command => (
                [&NO_COMMANDS[..], &CLAUDE_ONLY, &["auth_method"]].concat(),
                "has no effect on an agent of type `command`: give it to the program in its args",
            ),
        };
        for name in names.into_iter().filter(|name| options.written(name)) {
            self.problems
                .warn(options.at(name), &options.path(name), why);
        }
    }

    /// The runner's way to a model is Anthropic's API: who calls another never finds a key there.
    fn key_without_effect(&mut self, options: &Section, preset: Option<&Preset>) {
        let Some((preset, key)) = preset.and_then(|preset| Some((preset, preset.key?))) else {
            return;
        };
        let kind = preset.kind;
        let why = format!(
            "has no effect on {kind}, whose model is none of Anthropic's: log {kind} in, or write env = \
             {{ {key} = \"…\" }}, which the agent can read (docs/agents.md)"
        );
        for name in ["api_key", "base_url"] {
            if options.written(name) {
                self.problems
                    .warn(options.at(name), &options.path(name), why.clone());
            }
        }
    }

    fn agent_kind(&mut self, section: &Section) -> Option<(AgentKind, Option<&'static Preset>)> {
        let kind = section.required(
            self.problems,
            "type",
            "write \"claudecode\", \"acp\" for an agent that speaks ACP, or \"command\" for any program",
        );
        let (at, path) = (section.at("type"), section.path("type"));
        match kind.trim() {
            "" => None,
            "claudecode" => Some((AgentKind::ClaudeCode, None)),
            "command" => Some((AgentKind::Command, None)),
            "acp" => Some((AgentKind::Acp, None)),
            other => {
                if let Some(preset) = OVER_ACP.iter().find(|preset| preset.kind == other) {
                    return Some((AgentKind::Acp, Some(preset)));
                }
                let known = ["claudecode", "command", "acp"].into_iter();
                let known = known.chain(OVER_ACP.iter().map(|preset| preset.kind));
                let near = nearest::nearest(other, known).map_or(
                    "use \"claudecode\", \"acp\" or \"command\"".to_owned(),
                    |(name, _)| format!("did you mean \"{name}\"?"),
                );
                self.problems.error(
                    at,
                    &path,
                    format!("there is no agent `{}`; {near}", shown(other)),
                );
                None
            }
        }
    }

    /// None only if `off` is written: no word about it means the defaults.
    fn sandbox(&mut self, agent: &Section) -> Option<Sandbox> {
        if agent.text("sandbox") == Some("off") {
            return None;
        }
        let Some(section) = agent.table("sandbox") else {
            return Some(Sandbox::default());
        };
        let text = |name| section.text(name).map(str::to_owned);
        let paths = |name| section.list(name).iter().map(PathBuf::from).collect();
        let sandbox = Sandbox {
            mode: text("mode"),
            network: text("network"),
            ports: section
                .list("ports")
                .iter()
                .filter_map(|port| port.parse().ok())
                .collect(),
            read: paths("read"),
            write: paths("write"),
            presets: section.list("presets").to_vec(),
            memory_mb: section.int("memory_mb"),
            processes: section.int("processes"),
            open_files: section.int("open_files"),
        };
        if !sandbox.ports.is_empty() && sandbox.network.as_deref() != Some("ports") {
            let why = "has no effect without network = \"ports\"";
            self.problems
                .error(section.at("ports"), &section.path("ports"), why);
        }
        for preset in &sandbox.presets {
            if !PRESETS.contains(&preset.as_str()) {
                let near = nearest::nearest(preset, PRESETS.into_iter());
                let near = near.map_or(String::new(), |(name, _)| {
                    format!("; did you mean \"{name}\"?")
                });
                let why = format!(
                    "there is no preset `{}`: git, rust, node and python are{near}",
                    shown(preset)
                );
                self.problems
                    .error(section.at("presets"), &section.path("presets"), why);
            }
        }
        Some(sandbox)
    }

    fn work_dir(&mut self, options: &Section, project: &Section) -> PathBuf {
        let why = match project.has("base_dir") {
            true => {
                "write the one directory that the agent works in: this version has no workspaces below base_dir"
            }
            false => "write the directory that the agent works in",
        };
        let work_dir: PathBuf = options.required(self.problems, "work_dir", why).into();
        if work_dir.as_os_str().is_empty() {
            return work_dir;
        }
        let (at, path, shown) = (
            options.at("work_dir"),
            options.path("work_dir"),
            work_dir.display(),
        );
        match (self.cx.place)(&work_dir) {
            Place::Directory => {}
            Place::Other => self
                .problems
                .error(at, &path, format!("{shown} is not a directory")),
            Place::Missing => {
                let why = format!(
                    "there is no directory {shown}: create it with  mkdir -p {shown}  or mend the path"
                );
                self.problems.error(at, &path, why);
            }
            Place::Hidden => {
                let why = format!(
                    "this user may not look at {shown}, so it is not checked; the agent must be able to"
                );
                self.problems.warn(at, &path, why);
            }
        }
        work_dir
    }

    /// Worktrees need a repository. Whether it has a commit is seen when one is made.
    fn workspace(&mut self, section: &Section, work_dir: &Path) -> Workspace {
        if section.text("workspace") != Some("worktree") {
            return Workspace::Shared;
        }
        let there = |dir: &Path| !matches!((self.cx.place)(&dir.join(".git")), Place::Missing);
        let whole = !work_dir.as_os_str().is_empty();
        if whole && !work_dir.ancestors().any(there) {
            let shown = work_dir.display();
            let why = format!(
                "{shown} is in no git repository, and without one there are no worktrees: make one with  git -C {shown} init  and commit, or write workspace = \"shared\""
            );
            self.problems
                .error(section.at("workspace"), &section.path("workspace"), why);
        }
        Workspace::Worktree
    }

    fn command(
        &mut self,
        options: &Section,
        kind: AgentKind,
        preset: Option<&Preset>,
        work_dir: &Path,
    ) -> (String, Vec<String>) {
        for old in ["cli_path", "command"] {
            if options.written(old) {
                let why = "an old name that still works: write `cmd`";
                self.problems.warn(options.at(old), &options.path(old), why);
            }
        }
        let key = ["cmd", "cli_path", "command"]
            .into_iter()
            .find(|key| options.written(key));
        let mut words = options.list(key.unwrap_or("cmd")).iter().cloned();
        let (key, cmd) = match (words.next(), kind, preset) {
            (Some(cmd), _, _) => (key.unwrap_or("cmd"), cmd),
            (None, AgentKind::ClaudeCode, _) => ("cmd", "claude".to_owned()),
            (None, _, Some(preset)) => ("cmd", preset.program.to_owned()),
            (None, _, None) => {
                options.require(self.problems, "cmd", "write the program to run");
                ("cmd", String::new())
            }
        };
        let speaks = preset.map_or(&[][..], |preset| preset.args);
        let args: Vec<String> = words
            .chain(speaks.iter().map(|arg| (*arg).to_owned()))
            .chain(options.list("args").iter().cloned())
            .collect();
        let cmd = self.whole_path(cmd, work_dir);
        // With a PATH of its own it may well be found there.
        let own_path = options.env("env").contains_key("PATH");
        let (at, path) = (options.at(key), options.path(key));
        if !cmd.is_empty() && !own_path && (self.cx.program)(&cmd).is_none() {
            let shown = shown(&cmd);
            let why = match (kind, preset) {
                (AgentKind::ClaudeCode, _) => format!(
                    "`{shown}` is not found: install Claude Code with  npm install -g @anthropic-ai/claude-code  or write its whole path into cmd"
                ),
                (_, Some(Preset { install, .. })) => format!(
                    "`{shown}` is not found: install it with  {install}  or write its whole path into cmd"
                ),
                _ => format!(
                    "`{shown}` is not found or can't be executed: install it, or write its whole path"
                ),
            };
            self.problems.warn(at, &path, why);
        }
        (cmd, args)
    }

    /// A command with a `/` in it as a whole path: `~` is the home directory, and anything else
    /// relative starts at the work directory, where the agent will run.
    fn whole_path(&self, cmd: String, work_dir: &Path) -> String {
        if !cmd.contains('/') {
            return cmd;
        }
        let path = work_dir.join(self.cx.with_home(&cmd));
        path.to_str().map_or(cmd, str::to_owned)
    }

    /// What the sandbox opens must hold nothing of Bulkhead's own: it could not be closed off again
    /// inside of it.
    fn check_closed(&mut self, section: &Section, options: &Section, agent: &Agent) {
        let Some(sandbox) = &agent.sandbox else {
            return;
        };
        let work_dir = std::slice::from_ref(&agent.work_dir);
        let opened = [
            (Some(options), "work_dir", work_dir),
            (Some(options), "plugin_dir", &agent.plugin_dirs),
            (section.table("sandbox"), "read", &sandbox.read),
            (section.table("sandbox"), "write", &sandbox.write),
        ];
        for (table, name, paths) in opened {
            let Some(table) = table else { continue };
            for path in paths {
                if let Some(why) = self.closed.opened_by(path, self.cx) {
                    self.problems.error(table.at(name), &table.path(name), why);
                }
            }
        }
    }

    /// Claude Code refuses to bypass permissions as root, so every turn would fail.
    fn check_root(&mut self, options: &Section, agent: &Agent) {
        let bypass = agent.kind == AgentKind::ClaudeCode && agent.mode == Mode::BypassPermissions;
        if self.cx.is_root && bypass && !agent.env.contains_key("IS_SANDBOX") {
            let why = "Claude Code refuses this mode as root: start bulkhead as another user, or, if this machine is a throw-away sandbox, set IS_SANDBOX = \"1\" in env";
            self.problems
                .warn(options.at("mode"), &options.path("mode"), why);
        }
    }

    /// The mode; none of ours means the default one, unless the agent has modes of its own.
    fn mode(&mut self, options: &Section, kind: AgentKind) -> Mode {
        let written = options.text("mode");
        let mode = written.and_then(|name| Mode::ALL.into_iter().find(|mode| mode.name() == name));
        match (mode, written, kind) {
            (Some(mode), _, _) => mode,
            (None, Some("full-access"), AgentKind::Acp) => Mode::BypassPermissions,
            (None, Some(other), AgentKind::ClaudeCode) => {
                let words = Mode::ALL.map(|mode| (mode.name(), mode.name()));
                let why = none_of(&words, other);
                self.problems
                    .error(options.at("mode"), &options.path("mode"), why);
                Mode::Default
            }
            _ => Mode::Default,
        }
    }
}
