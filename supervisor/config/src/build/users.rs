//! Roles: who may use which command how often.

use std::collections::BTreeMap;

use super::{Build, settings};
use crate::plan::{Role, Users};
use crate::problems::shown;
use crate::walk::Section;

impl Build<'_, '_> {
    /// The roles of a project, if it has any.
    pub(super) fn users(&mut self, project: &Section) -> Option<Users> {
        let section = project.table("users")?;
        let mut roles = BTreeMap::new();
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for (name, own) in section.named("roles") {
            own.require(
                self.problems,
                "user_ids",
                "write the ids of the people who have this role",
            );
            for id in own.list("user_ids") {
                // Ids are compared as cc-connect does, without regard to case.
                if let Some(other) = taken.insert(id.to_lowercase(), name) {
                    let who = if id == "*" {
                        "everyone else".to_owned()
                    } else {
                        format!("`{}`", shown(id))
                    };
                    let why = format!(
                        "{who} already has the role `{}`: one person has one role",
                        shown(other)
                    );
                    self.problems
                        .error(own.at("user_ids"), &own.path("user_ids"), why);
                }
            }
            let role = Role {
                user_ids: own.list("user_ids").to_vec(),
                disabled_commands: commands(own.list("disabled_commands")),
                rate_limit: own
                    .table("rate_limit")
                    .map(|own| settings::rate_limit(Some(own))),
            };
            roles.insert(name.clone(), role);
        }
        if roles.is_empty() {
            let why = "has no roles: write [projects.users.roles.NAME] with its user_ids";
            self.problems.error(section.at, &section.path, why);
        }
        let default_role = match section.text("default_role").map(str::trim) {
            Some(name) if roles.contains_key(name) => Some(name.to_owned()),
            Some(name) => {
                let known: Vec<&str> = roles.keys().map(String::as_str).collect();
                let why = format!(
                    "there is no role `{}`; there are: {}",
                    shown(name),
                    shown(&known.join(", "))
                );
                self.problems.error(
                    section.at("default_role"),
                    &section.path("default_role"),
                    why,
                );
                None
            }
            None => roles.contains_key("member").then(|| "member".to_owned()),
        };
        Some(Users {
            default_role,
            roles,
        })
    }
}

/// Names of commands as they are compared: small letters, no `/`.
pub(super) fn commands(list: &[String]) -> Vec<String> {
    list.iter()
        .map(|name| name.trim().trim_start_matches('/').to_lowercase())
        .collect()
}
