//! Projects: one agent each, and the platforms it is reached from.

use std::collections::BTreeMap;

use super::{Build, platform::Accounts, users};
use crate::plan::{Display, Mode, Project};
use crate::schema::RESERVED_AGENTS;
use crate::walk::Section;

impl Build<'_, '_> {
    /// Every project that can be run.
    pub(super) fn projects(&mut self, top: &Section, display: &Display) -> Vec<Project> {
        let sections = top.tables("projects");
        if sections.is_empty() {
            if !top.written("projects") {
                let why =
                    "there is no project: write [[projects]] with a name, an agent and a platform";
                self.problems.error(0, "projects", why);
            }
            return Vec::new();
        }
        let mut accounts = Accounts::default();
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut projects = Vec::new();
        for section in sections {
            let name = self.project_name(section, &mut names);
            if self.left_out(section) {
                continue;
            }
            if let Some(project) = self.project(section, name, display, &mut accounts) {
                projects.push(project);
            }
        }
        if projects.is_empty() && !self.problems.has_errors() {
            let why = "no project is left that this version can run; the warnings say why: one needs an agent `claudecode` or `command`, and a platform whose worker is installed";
            self.problems.error(
                sections.first().map_or(0, |first| first.at),
                "projects",
                why,
            );
        }
        projects
    }

    fn project_name(&mut self, section: &Section, names: &mut BTreeMap<String, usize>) -> String {
        let name = section.required(self.problems, "name", "give the project a name");
        if name.is_empty() {
            return name;
        }
        let (at, path) = (section.at("name"), section.path("name"));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if name.len() > 64 || !first || !name.chars().all(plain) {
            let mut better: String = name
                .chars()
                .map(|c| if plain(c) { c } else { '-' })
                .collect();
            better = better
                .trim_matches(['-', '.', '_'])
                .chars()
                .take(64)
                .collect();
            let better = if better.is_empty() {
                "my-project"
            } else {
                &better
            };
            let why = format!(
                "a project's name is part of file and process names: letters a-z, digits, - _ and . only, a letter or digit first, at most 64; write \"{better}\", say"
            );
            self.problems.error(at, &path, why);
        } else if let Some(first) = names.get(&name.to_lowercase()) {
            let why = format!(
                "two projects are named `{name}`, the other one in line {}: rename one",
                self.problems.line(*first)
            );
            self.problems.error(at, &path, why);
        } else {
            names.insert(name.to_lowercase(), at);
        }
        name
    }

    /// Whether a project's agent is one that only cc-connect drives.
    fn left_out(&mut self, section: &Section) -> bool {
        let Some(agent) = section.table("agent") else {
            return false;
        };
        let Some(kind) = agent
            .text("type")
            .filter(|kind| RESERVED_AGENTS.contains(kind))
        else {
            return false;
        };
        let why = match kind {
            "tmux" => "this project is left out: a chat must not type into a terminal; let it talk to an agent of type `claudecode`, `acp` or `command`".to_owned(),
            kind => format!("this project is left out: there is no preset for the agent `{kind}`. If it speaks the Agent Client Protocol, write type = \"acp\" and its command line into cmd"),
        };
        self.problems
            .warn(agent.at("type"), &agent.path("type"), why);
        true
    }

    fn project(
        &mut self,
        section: &Section,
        name: String,
        display: &Display,
        accounts: &mut Accounts,
    ) -> Option<Project> {
        // First: what is left out for want of a platform need not be right otherwise.
        let platforms = self.platforms(section, &name, accounts)?;
        let agent = self.agent(section);
        let run_as_user = self.run_as_user(section);
        let mut display = self.display_over(section, Some(display));
        if let Some(shown) = section.bool("show_workdir_indicator") {
            display.show_workdir_indicator = shown;
        }
        let users = self.users(section);
        if agent
            .as_ref()
            .is_some_and(|agent| agent.mode == Mode::BypassPermissions)
        {
            self.warn_open_doors(section);
        }
        Some(Project {
            name,
            admin_from: section.list("admin_from").to_vec(),
            disabled_commands: users::commands(section.list("disabled_commands")),
            reset_on_idle_mins: section.nonzero("reset_on_idle_mins", 30),
            agent_idle_close_mins: section.nonzero("agent_session_idle_timeout_mins", 15),
            inject_sender: section.bool("inject_sender"),
            style_hint: section.bool("style_hint").unwrap_or(true),
            run_as_user,
            display,
            users,
            agent: agent?,
            platforms,
        })
    }

    fn run_as_user(&mut self, section: &Section) -> Option<String> {
        let (at, path) = (section.at("run_as_user"), section.path("run_as_user"));
        let Some(user) = section.text("run_as_user").map(str::trim) else {
            if self.cx.is_root && !section.written("run_as_user") {
                if self.cx.require_run_as_user {
                    let why = "this runs as root and the project has no run_as_user: its agent could do everything on this machine; create a user for it and write run_as_user = \"NAME\"";
                    self.problems.error(at, &path, why);
                } else {
                    let why = "this runs as root, and so does its agent, which can do everything on this machine that its sandbox lets through; start bulkhead as a user of its own (there is no run_as_user, and this version would not apply it)";
                    self.problems.warn(at, &path, why);
                }
            }
            return None;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let first = user.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if user == "root" {
            self.problems
                .error(at, &path, "must not be root: that would be no protection");
        } else if user.len() > 32 || !first || !user.chars().all(plain) {
            let why = "is no user's name: letters a-z, digits, - _ and . only, a letter or _ first, at most 32";
            self.problems.error(at, &path, why);
        }
        Some(user.to_owned())
    }

    /// Everybody may write, and the agent asks for nothing: somebody should know.
    fn warn_open_doors(&mut self, project: &Section) {
        for platform in project.tables("platforms") {
            let Some(options) = platform.table("options") else {
                continue;
            };
            if options.list("allow_from").iter().any(|id| id == "*") {
                let why = "everyone may write, and the agent's mode asks for no permission: whoever finds this bot can run commands on this machine; name the ids, or choose another mode";
                self.problems
                    .warn(options.at("allow_from"), &options.path("allow_from"), why);
            }
        }
    }
}
