//! The application that a bot belongs to: who owns it, and what it is allowed. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::events::{User, lenient};
use crate::snowflake::Id;

/// `GET /applications/@me`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Application {
    pub(crate) id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) flags: u64,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) owner: Option<User>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) team: Option<Team>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) interactions_endpoint_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) approximate_guild_count: Option<u64>,
}

/// The team that owns an application.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Team {
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) owner_user_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) members: Vec<TeamMember>,
}

/// Somebody in a team.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TeamMember {
    /// 1 = invited, 2 = in.
    #[serde(default, deserialize_with = "lenient")]
    pub(crate) membership_state: u8,
    pub(crate) user: User,
}

impl Application {
    /// The owner, or the members of the team that owns it.
    pub(crate) fn owners(&self) -> BTreeSet<Id> {
        match &self.team {
            // The `owner` of a team's application is a user that stands for the team.
            Some(team) => {
                let joined = team
                    .members
                    .iter()
                    .filter(|member| member.membership_state == 2);
                joined
                    .map(|member| member.user.id)
                    .chain(team.owner_user_id)
                    .collect()
            }
            None => self.owner.iter().map(|owner| owner.id).collect(),
        }
    }

    /// Whether the message content intent is switched on (either bit: with or without a review).
    pub(crate) fn content_intent(&self) -> bool {
        self.flags & (1 << 18 | 1 << 19) != 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_team_owns_by_its_members_who_joined() {
        let member = |id: u64, state: u8| json!({"membership_state": state, "user": {"id": id}});
        let mut application = json!({"id": "1", "owner": {"id": "2"}, "flags": 1 << 19});
        let read =
            |json: &serde_json::Value| serde_json::from_value::<Application>(json.clone()).unwrap();
        assert_eq!(read(&application).owners(), [Id(2)].into());
        assert!(read(&application).content_intent());
        application["team"] =
            json!({"owner_user_id": "3", "members": [member(3, 2), member(4, 2), member(5, 1)]});
        assert_eq!(read(&application).owners(), [Id(3), Id(4)].into());
    }
}
