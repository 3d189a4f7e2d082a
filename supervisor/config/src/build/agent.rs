//! The agent of a project.

use std::path::{Path, PathBuf};

use super::Build;
use crate::context::Place;
use crate::nearest;
use crate::plan::{Agent, AgentKind, Mode, Sandbox};
use crate::problems::shown;
use crate::walk::Section;

/// What programs of a kind need: the runner knows what.
const PRESETS: [&str; 4] = ["git", "rust", "node", "python"];

/// Options that mean nothing to a plain command.
const CLAUDE_ONLY: [&str; 10] = [
    "mode",
    "model",
    "reasoning_effort",
    "allowed_tools",
    "disallowed_tools",
    "system_prompt",
    "append_system_prompt",
    "max_context_tokens",
    "plugin_dir",
    "oauth_token",
];

impl Build<'_, '_> {
    /// The agent; none if too little of it is known, which has been reported then.
    pub(super) fn agent(&mut self, project: &Section) -> Option<Agent> {
        project.require(self.problems, "agent", "write [projects.agent] with a type");
        let section = project.table("agent")?;
        let kind = self.agent_kind(section)?;
        section.require(
            self.problems,
            "options",
            "write [projects.agent.options] with a work_dir",
        );
        let options = section.table("options")?;
        let work_dir = self.work_dir(options, project);
        let (cmd, args) = self.command(options, kind, &work_dir);
        if kind == AgentKind::Command {
            for name in CLAUDE_ONLY.into_iter().filter(|name| options.written(name)) {
                let why = "has no effect on an agent of type `command`: give it to the program in its args";
                self.problems
                    .warn(options.at(name), &options.path(name), why);
            }
        }
        let auth = self.auth(options);
        let text = |name| options.text(name).map(str::to_owned);
        let agent = Agent {
            kind,
            cmd,
            args,
            work_dir,
            mode: mode(options),
            model: text("model"),
            reasoning_effort: text("reasoning_effort"),
            allowed_tools: options.list("allowed_tools").to_vec(),
            disallowed_tools: options.list("disallowed_tools").to_vec(),
            system_prompt: text("system_prompt"),
            append_system_prompt: text("append_system_prompt"),
            max_context_tokens: options.nonzero("max_context_tokens", 0),
            plugin_dirs: options
                .list("plugin_dir")
                .iter()
                .map(PathBuf::from)
                .collect(),
            env: options.env("env"),
            auth: auth?,
            timeout_mins: options.nonzero("timeout_mins", 0),
            sandbox: self.sandbox(section),
            max_agents: section.nonzero("max_agents", 0),
            memory_mb: section.nonzero("agents_memory_mb", 0),
            reserve_memory_mb: section.nonzero("reserve_memory_mb", 512),
            tools: Vec::new(),
            tools_only: section.bool("tools_only").unwrap_or(false),
        };
        let agent = Agent {
            tools: self.tools(section, &agent.work_dir),
            ..agent
        };
        self.check_tools(section, options, &agent);
        self.check_root(options, &agent);
        Some(agent)
    }

    fn agent_kind(&mut self, section: &Section) -> Option<AgentKind> {
        let kind = section.required(
            self.problems,
            "type",
            "write \"claudecode\", or \"command\" for any program",
        );
        let (at, path) = (section.at("type"), section.path("type"));
        match kind.trim() {
            "" => None,
            "claudecode" => Some(AgentKind::ClaudeCode),
            "command" => Some(AgentKind::Command),
            "acp" => {
                // The plan, the options and the names are all there: what lifts this is the runner.
                let why = "acp is not available in this version; use \"claudecode\" or \"command\"";
                self.problems.error(at, &path, why);
                Some(AgentKind::Acp)
            }
            other => {
                let near = nearest::nearest(other, ["claudecode", "command", "acp"].into_iter());
                let near = near.map_or(
                    "use \"claudecode\" or \"command\"".to_owned(),
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

    fn command(
        &mut self,
        options: &Section,
        kind: AgentKind,
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
        let (key, cmd) = match (words.next(), kind) {
            (Some(cmd), _) => (key.unwrap_or("cmd"), cmd),
            (None, AgentKind::ClaudeCode) => ("cmd", "claude".to_owned()),
            (None, _) => {
                options.require(self.problems, "cmd", "write the program to run");
                ("cmd", String::new())
            }
        };
        let args: Vec<String> = words.chain(options.list("args").iter().cloned()).collect();
        let cmd = self.whole_path(cmd, work_dir);
        // With a PATH of its own it may well be found there.
        let own_path = options.env("env").contains_key("PATH");
        let (at, path) = (options.at(key), options.path(key));
        if !cmd.is_empty() && !own_path && (self.cx.program)(&cmd).is_none() {
            let shown = shown(&cmd);
            let why = match kind {
                AgentKind::ClaudeCode => format!(
                    "`{shown}` is not found: install Claude Code with  npm install -g @anthropic-ai/claude-code  or write its whole path into cmd"
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

    /// Claude Code refuses to bypass permissions as root, so every turn would fail.
    fn check_root(&mut self, options: &Section, agent: &Agent) {
        let bypass = agent.kind == AgentKind::ClaudeCode && agent.mode == Mode::BypassPermissions;
        if self.cx.is_root && bypass && !agent.env.contains_key("IS_SANDBOX") {
            let why = "Claude Code refuses this mode as root: start bulkhead as another user, or, if this machine is a throw-away sandbox, set IS_SANDBOX = \"1\" in env";
            self.problems
                .warn(options.at("mode"), &options.path("mode"), why);
        }
    }
}

fn mode(options: &Section) -> Mode {
    match options.text("mode") {
        Some("acceptEdits") => Mode::AcceptEdits,
        Some("plan") => Mode::Plan,
        Some("auto") => Mode::Auto,
        Some("bypassPermissions") => Mode::BypassPermissions,
        Some("dontAsk") => Mode::DontAsk,
        _ => Mode::Default,
    }
}
