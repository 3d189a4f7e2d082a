//! Roles: what a person may do in a project, and how often.
//!
//! Promises: one person has one role at most; a role takes commands away and never gives back what
//! the project has switched off. It does not say who may write at all: the workers do.

use crate::plan::{Project, Rate, Role, Users};

/// Everyone without a role of their own, in a role's ids; every command, in its list.
pub const ALL: &str = "*";

/// The role of a person: the one that names their id, else the one for everyone, else the default.
pub fn role_of<'a>(users: &'a Users, id: &str) -> Option<&'a Role> {
    // The configuration is checked for ids that stand twice without regard to case, too.
    let id = id.to_lowercase();
    let naming = |who: &str| {
        users
            .roles
            .values()
            .find(|role| role.user_ids.iter().any(|id| id.to_lowercase() == who))
    };
    let default = || users.roles.get(users.default_role.as_ref()?);
    naming(&id).or_else(|| naming(ALL)).or_else(default)
}

/// Whether a person may use a command, named without its slash.
pub fn may(project: &Project, id: &str, command: &str) -> bool {
    let off = |list: &[String]| list.iter().any(|no| no == command || no == ALL);
    let role = role_of(&project.users, id);
    !off(&project.disabled_commands) && !role.is_some_and(|role| off(&role.disabled_commands))
}

/// How many messages a person may send: as their role says, else as for everyone.
pub fn rate(project: &Project, id: &str, general: Rate) -> Rate {
    role_of(&project.users, id)
        .and_then(|role| role.rate)
        .unwrap_or(general)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(ids: &[&str], off: &[&str], rate: Option<u32>) -> Role {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
        Role {
            user_ids: texts(ids),
            disabled_commands: texts(off),
            rate: rate.map(|max_messages| Rate {
                max_messages,
                window_secs: 60,
            }),
        }
    }

    fn users(default: Option<&str>, roles: &[(&str, Role)]) -> Users {
        Users {
            default_role: default.map(str::to_owned),
            roles: roles
                .iter()
                .map(|(name, role)| (name.to_string(), role.clone()))
                .collect(),
        }
    }

    #[test]
    fn a_person_has_the_role_that_names_them_else_everyones_else_the_default() {
        let chief = role(&["1", "Ann"], &[], None);
        let guest = role(&["7"], &["new"], None);
        let all = role(&["*"], &["stop"], None);
        let named = [("chief", chief.clone()), ("guest", guest.clone())];
        let open = [("all", all.clone()), ("chief", chief.clone())];
        for (default, roles, id, expected) in [
            (None, &named[..], "1", Some(&chief)),
            (None, &named[..], "ANN", Some(&chief)),
            (None, &named[..], "2", None),
            (None, &named[..], "", None),
            (Some("guest"), &named[..], "2", Some(&guest)),
            (Some("guest"), &named[..], "1", Some(&chief)),
            (Some("nobody"), &named[..], "2", None),
            // "all" comes before "chief" in the map, and its star does not go before an id.
            (None, &open[..], "1", Some(&chief)),
            (None, &open[..], "2", Some(&all)),
            (Some("chief"), &open[..], "2", Some(&all)),
            (Some("chief"), &[], "1", None),
        ] {
            let users = users(default, roles);
            assert_eq!(role_of(&users, id), expected, "{id:?} of {users:?}");
        }
    }

    #[test]
    fn a_role_takes_commands_away_and_gives_none_back() {
        for (project, of_role, command, expected) in [
            (&[][..], &[][..], "new", true),
            (&["new"], &[], "new", false),
            (&[], &["new"], "new", false),
            (&["new"], &["stop"], "new", false),
            (&["new"], &["stop"], "stop", false),
            (&["new"], &["stop"], "help", true),
            (&["*"], &[], "help", false),
            (&[], &["*"], "review", false),
        ] {
            let project = Project {
                disabled_commands: project.iter().map(|name| name.to_string()).collect(),
                users: users(Some("member"), &[("member", role(&["9"], of_role, None))]),
                ..Project::default()
            };
            assert_eq!(may(&project, "1", command), expected, "{command}");
        }
    }

    #[test]
    fn a_role_has_its_own_rate_or_everyones() {
        let general = Rate {
            max_messages: 20,
            window_secs: 60,
        };
        let project = Project {
            users: users(
                None,
                &[
                    ("fast", role(&["1"], &[], Some(99))),
                    ("free", role(&["2"], &[], Some(0))),
                    ("same", role(&["3"], &[], None)),
                ],
            ),
            ..Project::default()
        };
        for (id, expected) in [("1", 99), ("2", 0), ("3", 20), ("4", 20)] {
            assert_eq!(rate(&project, id, general).max_messages, expected, "{id}");
        }
    }
}
