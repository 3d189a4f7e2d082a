//! The commands for a platform's own menu.
//!
//! What stands here depends on the plan alone, so that a menu is registered anew only when the
//! operator has changed something.

use ipc_schema::{CommandOption, CommandSpec};

use crate::command::BUILT_IN;
use crate::plan::{Plan, Project};
use crate::roles::ALL;
use crate::texts::{Lang, about};

/// Whether nobody but the person who gives a command needs to see its answer.
pub fn is_private(command: &str) -> bool {
    matches!(
        command,
        "list" | "status" | "history" | "mode" | "model" | "whoami" | "help"
    )
}

/// The menu of a project's platforms: the hub's commands and the operator's, without those that are
/// switched off for everybody.
pub fn menu(plan: &Plan, project: &Project) -> Vec<CommandSpec> {
    let off = |name: &str| {
        let mut disabled = project.disabled_commands.iter();
        disabled.any(|no| no == name || no == ALL)
    };
    let own = plan.commands.iter().map(|command| CommandSpec {
        name: command.name.clone(),
        about: describe(&command.description, &command.name),
        about_zh: String::new(),
        options: vec![option("text", "What to do it with", "补充内容")],
        private: false,
    });
    let built_in = BUILT_IN.into_iter().filter(|name| there_is(name, project));
    let built_in = built_in.map(|name| CommandSpec {
        name: name.to_owned(),
        about: about(name, Lang::En),
        about_zh: about(name, Lang::Zh),
        options: options(name, project),
        private: is_private(name),
    });
    built_in
        // One that is named like ours cannot be reached.
        .chain(own.filter(|spec| !BUILT_IN.contains(&spec.name.as_str())))
        .filter(|spec| !off(&spec.name))
        .collect()
}

/// Whether one of the hub's own commands means anything to a project's agent.
pub fn there_is(name: &str, project: &Project) -> bool {
    name != "compact" || project.compacts
}

fn options(name: &str, project: &Project) -> Vec<CommandOption> {
    match name {
        "switch" => vec![CommandOption {
            required: true,
            ..option("session", "Its number in /list", "/list 中的编号")
        }],
        "history" => vec![CommandOption {
            number: true,
            ..option("count", "How many messages", "条数")
        }],
        "mode" => vec![CommandOption {
            choices: project.modes.iter().take(25).cloned().collect(),
            ..option("mode", "The mode to go to", "要切换到的模式")
        }],
        "compact" => vec![option("keep", "What to keep", "需要保留的内容")],
        "model" => vec![option("model", "The model to use", "要使用的模型")],
        _ => Vec::new(),
    }
}

fn option(name: &str, about: &str, about_zh: &str) -> CommandOption {
    CommandOption {
        name: name.to_owned(),
        about: about.to_owned(),
        about_zh: about_zh.to_owned(),
        ..CommandOption::default()
    }
}

/// A menu wants a description; the name is one where the operator gave none.
fn describe(description: &str, name: &str) -> String {
    let line = description.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = if line.is_empty() { name } else { &line };
    line.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PromptCommand;

    #[test]
    fn the_menu_has_what_anybody_may_use() {
        let command = |name: &str, description: &str| PromptCommand {
            name: name.into(),
            description: description.into(),
            prompt: String::new(),
        };
        let plan = Plan {
            commands: vec![
                command("review", "look over\na file"),
                command("tidy", ""),
                command("new", "never reached"),
            ],
            ..Plan::default()
        };
        let project = Project {
            disabled_commands: vec!["history".into()],
            modes: vec!["default".into(), "plan".into()],
            compacts: true,
            ..Project::default()
        };
        let menu = menu(&plan, &project);
        let names: Vec<_> = menu.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "new", "list", "switch", "stop", "status", "mode", "model", "compact", "whoami",
                "help", "review", "tidy"
            ]
        );
        let spec = |name: &str| menu.iter().find(|spec| spec.name == name).unwrap();
        assert_eq!(spec("review").about, "look over a file");
        assert_eq!(spec("tidy").about, "tidy");
        assert_eq!(spec("mode").options[0].choices, ["default", "plan"]);
        assert!(spec("switch").options[0].required);
        assert!(spec("status").private && !spec("stop").private);
        let texts = |spec: &CommandSpec| spec.about.clone() + &spec.about_zh;
        assert!(menu.iter().all(|spec| !texts(spec).is_empty()));
    }
}
