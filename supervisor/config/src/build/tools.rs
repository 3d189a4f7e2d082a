//! The tools that the operator gives to an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Build;
use crate::plan::{Agent, AgentKind, Auth, Sandbox, Tool, ToolDoes};
use crate::problems::shown;
use crate::walk::Section;

/// The longest name: with the server's name before it a model's API takes 64.
const NAME: usize = 48;
/// The tools that every agent has.
const BUILT_IN: [&str; 2] = ["send_file", "current_time"];
/// Options by which an agent would have more than its tools.
const MORE: [(&str, &str); 3] = [
    ("args", "could give the agent more than its tools"),
    (
        "plugin_dir",
        "a plugin brings tools and programs of its own",
    ),
    ("allowed_tools", "there are no other tools to allow"),
];

impl Build<'_, '_> {
    /// Every tool that can be run; the rest is reported.
    pub(super) fn tools(&mut self, agent: &Section, work_dir: &Path) -> Vec<Tool> {
        let mut names: BTreeSet<String> = BUILT_IN.map(str::to_owned).into();
        let sections = agent.tables("tools").iter();
        sections
            .filter_map(|section| {
                let name = self.tool_name(section, &mut names);
                let why =
                    "say what it does and when to use it: it is all that the agent knows of it";
                let description = section.required(self.problems, "description", why);
                let does = self.tool_does(section, work_dir)?;
                Some(Tool {
                    name,
                    description,
                    input: section.json("input").cloned(),
                    does,
                    secrets: section.env("secrets"),
                    timeout_secs: section.int("timeout_secs").unwrap_or(60),
                    max_output_bytes: section.int("max_output_bytes").unwrap_or(64 << 10),
                })
            })
            .collect()
    }

    fn tool_name(&mut self, section: &Section, names: &mut BTreeSet<String>) -> String {
        let name = section.required(
            self.problems,
            "name",
            "write the word by which it is called",
        );
        let (at, path) = (section.at("name"), section.path("name"));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() {
        } else if name.len() > NAME || !name.chars().all(fits) {
            let why = format!("has letters a-z, digits, - and _ only, at most {NAME}");
            self.problems.error(at, &path, why);
        } else if BUILT_IN.contains(&name.as_str()) {
            let why = format!("every agent has a tool `{name}` already: choose another name");
            self.problems.error(at, &path, why);
        } else if !names.insert(name.clone()) {
            let why = format!("two tools are named `{name}`: rename one");
            self.problems.error(at, &path, why);
        }
        name
    }

    fn tool_does(&mut self, section: &Section, work_dir: &Path) -> Option<ToolDoes> {
        let at = |key: &str| (section.at(key), section.path(key));
        match (section.written("command"), section.written("http")) {
            (true, false) => self.tool_command(section, work_dir),
            (false, true) => self.tool_http(section),
            (true, true) => {
                let (at, path) = at("http");
                let why = "a tool has a command or an address: take one of them out";
                self.problems.error(at, &path, why);
                None
            }
            (false, false) => {
                let (at, path) = at("command");
                let why = "is missing: write command = [\"/whole/path\"] or http = { url = \"https://…\" }";
                self.problems.error(at, &path, why);
                None
            }
        }
    }

    fn tool_command(&mut self, section: &Section, work_dir: &Path) -> Option<ToolDoes> {
        let mut command = section.list("command").to_vec();
        let program = command.first_mut()?;
        let (at, path) = (section.at("command"), section.path("command"));
        if program.contains('/') {
            let whole = self.cx.with_home(program);
            if !whole.is_absolute() {
                let why = "must be a bare name or a whole path, beginning with / or ~/";
                self.problems.error(at, &path, why);
                return None;
            }
            if !work_dir.as_os_str().is_empty() && whole.starts_with(work_dir) {
                let why = "lies in work_dir, where the agent could put another program in its place and be given its secrets: put it elsewhere";
                self.problems.error(at, &path, why);
                return None;
            }
            *program = whole.to_str()?.to_owned();
        }
        if (self.cx.program)(program).is_none() {
            let why = format!(
                "`{}` is not found or can't be executed: install it, or write its whole path",
                shown(program)
            );
            self.problems.warn(at, &path, why);
        }
        Some(ToolDoes::Command(command))
    }

    fn tool_http(&mut self, section: &Section) -> Option<ToolDoes> {
        let http = section.table("http")?;
        let url = http.required(self.problems, "url", "write where to ask");
        let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
        if !url.is_empty() && rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            let why = "is an address that begins with https:// or http://";
            self.problems.error(http.at("url"), &http.path("url"), why);
        }
        let headers = http.json("headers").and_then(serde_json::Value::as_object);
        let headers: BTreeMap<String, String> = headers
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        let known = section.env("secrets");
        let texts = headers
            .iter()
            .map(|(name, text)| (format!("headers.{name}"), text.as_str()))
            .chain([("url".to_owned(), url.as_str())]);
        for (key, text) in texts {
            for name in placeholders(text).filter(|name| !known.contains_key(*name)) {
                let why = format!("{{{name}}} is none of this tool's secrets");
                let key = http.path(&key);
                self.problems.warn(http.at, &key, why);
            }
        }
        Some(ToolDoes::Http {
            url,
            method: http.text("method").unwrap_or("POST").to_owned(),
            headers,
        })
    }

    /// The sandbox of an agent that has nothing but tools: it has no network either, but for the way
    /// to its model.
    pub(super) fn closed(&mut self, agent: &Section, sandbox: Option<Sandbox>) -> Option<Sandbox> {
        let Some(sandbox) = sandbox else {
            let why = "does not go with tools_only: without a sandbox nothing keeps the agent from the network; take it out";
            self.problems
                .error(agent.at("sandbox"), &agent.path("sandbox"), why);
            return None;
        };
        if let Some(section) = agent.table("sandbox") {
            let mut wrong = |key: &str, why: &str| {
                let why = format!("does not go with tools_only: {why}; take it out");
                self.problems
                    .error(section.at(key), &section.path(key), why);
            };
            if sandbox.network.as_deref().is_some_and(|it| it != "none") {
                wrong(
                    "network",
                    "such an agent has no network but the way to its model",
                );
            }
            if sandbox.mode.as_deref() == Some("bubblewrap") {
                wrong(
                    "mode",
                    "bubblewrap cannot leave it the way to its model alone",
                );
            }
        }
        Some(Sandbox {
            network: Some("none".into()),
            ..sandbox
        })
    }

    /// What tools ask of the rest of the agent.
    pub(super) fn check_tools(&mut self, section: &Section, options: &Section, agent: &Agent) {
        let (at, path) = (section.at("tools"), section.path("tools"));
        let why = match agent.kind {
            AgentKind::ClaudeCode | AgentKind::Acp => None,
            AgentKind::Command => {
                Some("have no effect on an agent of type `command`: it has no way to call them")
            }
        };
        if let Some(why) = why.filter(|_| !agent.tools.is_empty()) {
            self.problems.warn(at, &path, why);
        }
        if !agent.tools_only {
            return;
        }
        let only = section.path("tools_only");
        let keeps = match agent.kind {
            AgentKind::ClaudeCode => None,
            AgentKind::Acp => Some(
                "works with an agent of type `claudecode` only: over ACP an agent's own tools cannot be \
                 taken from it, so it would keep its shell and its files",
            ),
            AgentKind::Command => Some(
                "works with an agent of type `claudecode` only: a program of type `command` does what \
                 it does, and cannot call tools",
            ),
        };
        if let Some(why) = keeps {
            self.problems.error(section.at("tools_only"), &only, why);
        } else if matches!(agent.auth, Auth::Login { .. })
            && !agent.env.contains_key("ANTHROPIC_BASE_URL")
        {
            let why = "needs auth = \"key\" and an api_key: the agent has no network, and its only way to the model is through the runner, which keeps the key";
            self.problems.error(section.at("tools_only"), &only, why);
        }
        for (key, why) in MORE {
            if options.written(key) {
                let why = format!("does not go with tools_only: {why}; take it out");
                self.problems
                    .error(options.at(key), &options.path(key), why);
            }
        }
        if agent.trust_project {
            let why = "does not go with tools_only: a project's hooks and servers are programs; take it out";
            self.problems.error(
                options.at("trust_project"),
                &options.path("trust_project"),
                why,
            );
        }
        if !agent.args.is_empty() && !options.written("args") {
            let why = "has arguments, which do not go with tools_only: they could give the agent more than its tools";
            self.problems
                .error(options.at("cmd"), &options.path("cmd"), why);
        }
    }
}

/// The names in braces.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| Some(part.split_once('}')?.0))
        .filter(|name| crate::expand::is_env_name(name))
}
