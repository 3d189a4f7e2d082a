//! Mentions in text and who is pinged by them.
//!
//! Promises: `<@id>`, `<@!id>`, `<@&id>`, `@everyone`, `@here`, filtered by `allowed_mentions` as documented.
//! Does not: look into code blocks; what stands there counts like the rest.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Id;
use crate::rest::error::{ApiError, Form};

/// What a text mentions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Mentions {
    pub(crate) users: BTreeSet<Id>,
    pub(crate) roles: BTreeSet<Id>,
    pub(crate) everyone: bool,
}

/// Everything that `text` mentions, whether it exists or not.
pub(crate) fn parse(text: &str) -> Mentions {
    let mut found = Mentions {
        everyone: text.contains("@everyone") || text.contains("@here"),
        ..Mentions::default()
    };
    for piece in text.split("<@").skip(1) {
        let Some((inside, _)) = piece.split_once('>') else {
            continue;
        };
        let (set, digits) = match inside.strip_prefix('&') {
            Some(role) => (&mut found.roles, role),
            None => (&mut found.users, inside.strip_prefix('!').unwrap_or(inside)),
        };
        if let Ok(id) = digits.parse() {
            set.insert(id);
        }
    }
    found
}

/// An `allowed_mentions` object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    all_users: bool,
    all_roles: bool,
    everyone: bool,
    users: BTreeSet<Id>,
    roles: BTreeSet<Id>,
    /// Whether the author of the answered message is pinged.
    pub(crate) replied_user: bool,
}

impl Allowed {
    /// What counts for a message without the field.
    pub(crate) fn everything() -> Self {
        Self {
            all_users: true,
            all_roles: true,
            everyone: true,
            users: BTreeSet::new(),
            roles: BTreeSet::new(),
            replied_user: true,
        }
    }

    /// What counts for an interaction's message without the field.
    pub(crate) fn users_only() -> Self {
        Self {
            all_roles: false,
            everyone: false,
            replied_user: false,
            ..Self::everything()
        }
    }

    /// Reads the field of a request; `None` if it is absent or null.
    pub(crate) fn read(body: &Value) -> Result<Option<Self>, ApiError> {
        let field = match body.get("allowed_mentions") {
            None | Some(Value::Null) => return Ok(None),
            Some(field) => field,
        };
        let ids = |key: &str| -> Result<BTreeSet<Id>, ApiError> {
            let Some(list) = field.get(key).filter(|list| !list.is_null()) else {
                return Ok(BTreeSet::new());
            };
            let ids: BTreeSet<Id> = serde_json::from_value(list.clone()).map_err(|_| {
                Form::one(
                    &["allowed_mentions", key],
                    "BASE_TYPE_BAD",
                    "Value is not a list of snowflakes.",
                )
            })?;
            if ids.len() > 100 {
                return Err(Form::one(
                    &["allowed_mentions", key],
                    "BASE_TYPE_MAX_LENGTH",
                    "Must be 100 or fewer in length.",
                ));
            }
            Ok(ids)
        };
        let mut allowed = Self {
            all_users: false,
            all_roles: false,
            everyone: false,
            users: ids("users")?,
            roles: ids("roles")?,
            replied_user: field
                .get("replied_user")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        };
        for kind in field
            .get("parse")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            match kind.as_str() {
                Some("users") => allowed.all_users = true,
                Some("roles") => allowed.all_roles = true,
                Some("everyone") => allowed.everyone = true,
                _ => {
                    return Err(Form::one(
                        &["allowed_mentions", "parse"],
                        "BASE_TYPE_CHOICES",
                        "Value must be one of ('users', 'roles', 'everyone').",
                    ));
                }
            }
        }
        if allowed.all_users && !allowed.users.is_empty()
            || allowed.all_roles && !allowed.roles.is_empty()
        {
            return Err(Form::one(
                &["allowed_mentions"],
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                "parse and explicit ids are mutually exclusive.",
            ));
        }
        Ok(Some(allowed))
    }

    /// What of `found` may ping.
    pub(crate) fn filter(&self, mut found: Mentions) -> Mentions {
        found
            .users
            .retain(|id| self.all_users || self.users.contains(id));
        found
            .roles
            .retain(|id| self.all_roles || self.roles.contains(id));
        found.everyone &= self.everyone;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowed, parse};
    use crate::Id;
    use serde_json::json;

    #[test]
    fn every_form_is_found() {
        let found = parse("hey <@1> <@!2> <@&3> <@x> <@4 @here");
        assert_eq!(found.users.into_iter().collect::<Vec<_>>(), [Id(1), Id(2)]);
        assert_eq!(found.roles.into_iter().collect::<Vec<_>>(), [Id(3)]);
        assert!(found.everyone);
    }

    #[test]
    fn an_empty_parse_list_allows_nothing() {
        let none = Allowed::read(&json!({"allowed_mentions": {"parse": []}}))
            .unwrap()
            .unwrap();
        let left = none.filter(parse("<@1> <@&2> @everyone"));
        assert_eq!(left, parse(""));
        assert!(!none.replied_user);
    }

    #[test]
    fn explicit_ids_and_parse_exclude_each_other() {
        let both = json!({"allowed_mentions": {"parse": ["users"], "users": ["1"]}});
        assert!(Allowed::read(&both).is_err());
        let empty = json!({"allowed_mentions": {"parse": ["users"], "users": []}});
        assert!(Allowed::read(&empty).is_ok());
        let odd = json!({"allowed_mentions": {"parse": ["cats"]}});
        assert!(Allowed::read(&odd).is_err());
    }
}
