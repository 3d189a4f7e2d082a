//! What is written: a body after its form was checked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::body::{LARGEST_FILE, Payload};
use super::error::{ApiError, Form};
use super::validate;
use crate::Id;
use crate::core::Core;
use crate::mentions::{self, Allowed, Mentions};
use crate::permissions as may;
use crate::world::{Attachment, flag, nonce_text};

/// Files that a message may have.
pub(super) const MOST_FILES: usize = 10;
const LONGEST_NONCE: usize = 25;

/// A written body after its form was checked. `None`: the field was absent.
pub(crate) struct Draft {
    pub(crate) content: Option<String>,
    pub(crate) embeds: Option<Vec<Value>>,
    pub(crate) components: Option<Vec<Value>>,
    /// As they were asked for; each place takes only those that can be set there.
    pub(crate) flags: Option<u64>,
    pub(crate) allowed: Option<Allowed>,
    /// New files.
    pub(crate) files: Vec<Attachment>,
    /// On an edit, the old files that stay.
    pub(crate) keep: Option<BTreeSet<Id>>,
}

impl Draft {
    /// Whether there is nothing in it that anybody could see.
    pub(crate) fn blank(&self) -> bool {
        self.content.as_deref().unwrap_or_default().is_empty()
            && self.embeds.as_deref().unwrap_or_default().is_empty()
            && self.components.as_deref().unwrap_or_default().is_empty()
            && self.files.is_empty()
    }

    /// The flags asked for, none if the field was absent.
    pub(crate) fn flags(&self) -> u64 {
        self.flags.unwrap_or(0)
    }
}

impl Core {
    /// Checks the form of a body and takes its files.
    pub(crate) fn draft(&mut self, payload: &Payload) -> Result<Draft, ApiError> {
        let body = &payload.json;
        let asked = body.get("flags").and_then(Value::as_u64);
        let flags = asked.unwrap_or(0);
        let draft = Draft {
            content: validate::content(body)?,
            embeds: validate::embeds(body)?.map(made_by_a_bot),
            components: validate::components(body, flags & flag::COMPONENTS_V2 != 0)?,
            flags: asked,
            allowed: Allowed::read(body)?,
            keep: kept(body),
            files: self.files(payload)?,
        };
        let filled = |text: bool| text && flags & flag::COMPONENTS_V2 != 0;
        let content = draft
            .content
            .as_deref()
            .is_some_and(|text| !text.is_empty());
        let embeds = draft.embeds.as_deref().is_some_and(|list| !list.is_empty());
        if filled(content || embeds) {
            let words = "The 'content' and 'embeds' fields cannot be used when using MessageFlags.IS_COMPONENTS_V2";
            return Err(Form::one(
                &["content"],
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                words,
            ));
        }
        if body
            .get("sticker_ids")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
        {
            return Err(ApiError::INVALID_STICKER); // this world has none
        }
        Ok(draft)
    }

    fn files(&mut self, payload: &Payload) -> Result<Vec<Attachment>, ApiError> {
        let listed = payload
            .json
            .get("attachments")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let about = |number: u64| {
            listed
                .iter()
                .find(|it| it.get("id").and_then(small) == Some(number))
        };
        for id in listed.iter().filter_map(|it| it.get("id").and_then(small)) {
            if !payload.files.contains_key(&id) {
                return Err(ApiError::FILE_NOT_FOUND);
            }
        }
        if payload.files.len() > MOST_FILES {
            return Err(ApiError::TOO_MANY_FILES);
        }
        let mut files = Vec::new();
        for (number, upload) in &payload.files {
            if upload.data.len() > LARGEST_FILE {
                return Err(ApiError::TOO_LARGE);
            }
            let text = |key: &str| {
                about(*number)
                    .and_then(|it| it.get(key))
                    .and_then(Value::as_str)
            };
            files.push(Attachment {
                id: self.mint(),
                name: text("filename").map_or_else(|| upload.name.clone(), super::safe_name),
                content_type: upload.content_type.clone(),
                description: text("description").map(str::to_owned),
                data: upload.data.clone(),
            });
        }
        Ok(files)
    }

    /// Mentions of a text that exist and that its author may make.
    pub(crate) fn mentions_of(
        &self,
        author: Id,
        channel: Id,
        text: &str,
        allowed: &Allowed,
    ) -> Mentions {
        let mut found = allowed.filter(mentions::parse(text));
        let place = self.world.channels.get(&channel);
        let bits = place.map_or(0, |place| self.world.permissions(author, place));
        let guild = place
            .and_then(|place| place.guild)
            .and_then(|guild| self.world.guilds.get(&guild));
        let any = bits & may::MENTION_EVERYONE != 0;
        found.users.retain(|id| self.world.users.contains_key(id));
        found.roles.retain(|id| {
            guild
                .and_then(|guild| guild.roles.get(id))
                .is_some_and(|role| role.mentionable || any)
        });
        // Direct messages have nobody else to ping.
        found.everyone &= any && guild.is_some();
        found
    }
}

/// An attachment id that is the `n` of `files[n]`; a snowflake is a file that is already there.
fn small(id: &Value) -> Option<u64> {
    let id = id.as_u64().or_else(|| id.as_str()?.parse().ok())?;
    (id < 1 << 22).then_some(id)
}

fn kept(body: &Value) -> Option<BTreeSet<Id>> {
    let listed = body.get("attachments")?.as_array()?;
    Some(
        listed
            .iter()
            .filter_map(|it| serde_json::from_value(it.get("id")?.clone()).ok())
            .collect(),
    )
}

/// The nonce of a body.
pub(super) fn nonce(body: &Value) -> Result<Option<Value>, ApiError> {
    match body.get("nonce") {
        None | Some(Value::Null) => Ok(None),
        Some(nonce @ (Value::String(_) | Value::Number(_))) => {
            if nonce_text(nonce).chars().count() > LONGEST_NONCE {
                let mut form = Form::default();
                form.too_long(&["nonce"], LONGEST_NONCE);
                return Err(form.error());
            }
            Ok(Some(nonce.clone()))
        }
        Some(_) => Err(Form::one(
            &["nonce"],
            "NONCE_TYPE",
            "A nonce is an integer or a string.",
        )),
    }
}
/// Embeds of this type alone can be made.
fn made_by_a_bot(mut embeds: Vec<Value>) -> Vec<Value> {
    for embed in &mut embeds {
        embed["type"] = Value::from("rich");
    }
    embeds
}
