//! Channels and direct messages.

use serde_json::Value;

use super::error::{ApiError, Form};
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;
use crate::objects;
use crate::world::{Channel, Kind};

impl Core {
    pub(super) fn channel(&mut self, me: Id, channel: Id) -> Done {
        Answer::ok(objects::channel(
            &self.world,
            self.visible(me, channel)?,
            me,
        ))
    }

    pub(super) fn open_dm(&mut self, me: Id, body: &Value) -> Done {
        let named = body
            .get("recipient_id")
            .cloned()
            .and_then(|id| serde_json::from_value::<Id>(id).ok());
        let Some(user) = named else {
            let mut form = Form::default();
            form.required(&["recipient_id"]);
            return Err(form.error());
        };
        match self.world.users.get(&user) {
            None => return Err(ApiError::BAD_RECIPIENT),
            Some(it) if it.bot => return Err(ApiError::CANNOT_DM),
            Some(_) => {}
        }
        let channel = self.dm(user, me);
        self.channel(me, channel)
    }

    /// The direct messages between a person and a bot, opened if they were not.
    pub(crate) fn dm(&mut self, user: Id, bot: Id) -> Id {
        if let Some(known) = self.world.dm_between(user, bot) {
            return known;
        }
        let id = self.mint();
        self.world.channels.insert(
            id,
            Channel {
                recipients: vec![user, bot],
                ..Channel::new(id, Kind::Dm, String::new(), None)
            },
        );
        id
    }
}
