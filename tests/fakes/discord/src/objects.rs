//! World objects as Discord's JSON.
//!
//! Promises: the field names, types and nesting of API v10, ids as strings, times in RFC 3339.
//! Does not: carry every optional field; those that no bot of this kind reads are left out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::cdn::Signer;
use crate::world::{Application, Channel, Guild, Member, Message, Role, User, World, message_type};
use crate::{Id, permissions as may};

/// RFC 3339 of Unix milliseconds, as Discord writes it.
pub(crate) fn stamp(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    // Days to civil date, by eras of 400 years that begin in March.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, micros) = (rest / 1000 % 60, rest % 1000 * 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+00:00")
}

pub(crate) fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.name,
        "discriminator": if user.bot { "0001" } else { "0" },
        "global_name": if user.bot { Value::Null } else { json!(user.name) },
        "avatar": null,
        "bot": user.bot,
        "public_flags": 0,
    })
}

/// A user by id; one that is gone is shown as Discord shows it.
pub(crate) fn user_by_id(world: &World, id: Id) -> Value {
    world.users.get(&id).map_or_else(
        || json!({ "id": id, "username": "Deleted User", "discriminator": "0", "avatar": null }),
        user,
    )
}

pub(crate) fn member(member: &Member) -> Value {
    json!({
        "nick": null,
        "avatar": null,
        "roles": member.roles,
        "joined_at": stamp(member.joined_ms),
        "premium_since": null,
        "deaf": false,
        "mute": false,
        "flags": 0,
        "pending": false,
        "communication_disabled_until": null,
    })
}

pub(crate) fn role(role: &Role, position: usize) -> Value {
    let tags = role
        .managed_by
        .map_or_else(|| json!({}), |bot| json!({ "bot_id": bot }));
    json!({
        "id": role.id,
        "name": role.name,
        "color": 0,
        "hoist": false,
        "position": position,
        "permissions": may::USUAL.to_string(),
        "managed": role.managed_by.is_some(),
        "mentionable": role.mentionable,
        "flags": 0,
        "tags": tags,
    })
}

pub(crate) fn roles(guild: &Guild) -> Vec<Value> {
    guild
        .roles
        .values()
        .enumerate()
        .map(|(position, it)| role(it, position))
        .collect()
}

/// A channel as `viewer` is shown it.
pub(crate) fn channel(world: &World, channel: &Channel, viewer: Id) -> Value {
    let mut out = json!({
        "id": channel.id,
        "type": channel.kind.number(),
        "last_message_id": channel.last_message,
        "flags": 0,
    });
    let Some(guild) = channel.guild else {
        let others = channel.recipients.iter().filter(|user| **user != viewer);
        out["recipients"] = others.map(|id| user_by_id(world, *id)).collect();
        return out;
    };
    out["guild_id"] = json!(guild);
    out["name"] = json!(channel.name);
    out["parent_id"] = json!(channel.parent);
    out["rate_limit_per_user"] = json!(0);
    out["nsfw"] = json!(false);
    if let Some(thread) = &channel.thread {
        out["owner_id"] = json!(thread.owner);
        out["member_count"] = json!(thread.members.len());
        // The starter is not counted.
        let written = channel.messages.values();
        let written = written
            .filter(|it| it.kind != message_type::THREAD_STARTER)
            .count();
        out["message_count"] = json!(written);
        out["total_message_sent"] = json!(written);
        out["thread_metadata"] = json!({
            "archived": thread.archived,
            "locked": thread.locked,
            "auto_archive_duration": thread.auto_archive_minutes,
            "archive_timestamp": stamp(thread.archive_stamp_ms),
            "create_timestamp": stamp(channel.id.at_ms()),
        });
        if thread.members.contains(&viewer) {
            out["member"] = json!({
                "id": channel.id, "user_id": viewer, "join_timestamp": stamp(channel.id.at_ms()), "flags": 0,
            });
        }
    } else {
        out["position"] = json!(0);
        out["topic"] = Value::Null;
        out["permission_overwrites"] = overwrites(channel);
    }
    out
}

fn overwrites(channel: &Channel) -> Value {
    let bits = |of: &BTreeMap<Id, u64>, id: &Id| of.get(id).copied().unwrap_or(0).to_string();
    let named: BTreeSet<&Id> = channel
        .denied
        .keys()
        .chain(channel.granted.keys())
        .collect();
    let overwrite = |id: &Id| {
        let (deny, allow) = (bits(&channel.denied, id), bits(&channel.granted, id));
        json!({ "id": id, "type": 1, "deny": deny, "allow": allow })
    };
    named.into_iter().map(overwrite).collect()
}

/// A guild as GUILD_CREATE carries it to `viewer`.
pub(crate) fn guild_create(world: &World, guild: &Guild, viewer: Id) -> Value {
    let visible = |threads: bool| {
        let here =
            move |it: &&Channel| it.guild == Some(guild.id) && it.kind.is_thread() == threads;
        let open = |it: &&Channel| it.thread.as_ref().is_none_or(|thread| !thread.archived);
        let channels = world.channels.values().filter(here).filter(open);
        let channels = channels.filter(|it| world.sees(viewer, it));
        channels
            .map(|it| channel(world, it, viewer))
            .collect::<Vec<_>>()
    };
    let mut out = guild_rest(guild);
    let extra = json!({
        "joined_at": guild.members.get(&viewer).map(|me| stamp(me.joined_ms)),
        "large": false,
        "unavailable": false,
        "member_count": guild.members.len(),
        "members": guild.members.get(&viewer).map(|me| with_user(member(me), world, viewer)).into_iter().collect::<Vec<_>>(),
        "voice_states": [], "presences": [], "stage_instances": [], "guild_scheduled_events": [], "soundboard_sounds": [],
        "channels": visible(false),
        "threads": visible(true),
    });
    merge(&mut out, extra);
    out
}

/// A guild as REST gives it.
pub(crate) fn guild_rest(guild: &Guild) -> Value {
    json!({
        "id": guild.id,
        "name": guild.name,
        "icon": null, "splash": null, "discovery_splash": null, "banner": null, "description": null,
        "owner_id": guild.owner,
        "afk_channel_id": null, "afk_timeout": 300,
        "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0,
        "roles": roles(guild),
        "emojis": [], "features": [], "stickers": [],
        "mfa_level": 0, "application_id": null,
        "system_channel_id": null, "system_channel_flags": 0, "rules_channel_id": null, "public_updates_channel_id": null,
        "vanity_url_code": null, "premium_tier": 0, "preferred_locale": "en-US", "nsfw_level": 0,
        "premium_progress_bar_enabled": false, "safety_alerts_channel_id": null,
    })
}

pub(crate) fn application(world: &World, application: &Application, bot: Id) -> Value {
    let team = application.team.as_ref().map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|id| json!({ "membership_state": 2, "team_id": application.id, "role": "admin", "user": user_by_id(world, *id) }))
            .collect();
        json!({ "id": application.id, "name": "Team", "icon": null, "owner_user_id": application.owner, "members": members })
    });
    json!({
        "id": application.id,
        "name": application.name,
        "icon": null,
        "description": "",
        "bot_public": false,
        "bot_require_code_grant": false,
        "bot": user_by_id(world, bot),
        // A team's application shows the team as its owner.
        "owner": user_by_id(world, application.owner),
        "team": team,
        "flags": application.flags(),
        "verify_key": "00".repeat(32),
        "interactions_endpoint_url": application.interactions_endpoint_url,
        "redirect_uris": [],
        "approximate_guild_count": world.guilds.values().filter(|guild| guild.members.contains_key(&bot)).count(),
    })
}

/// A message as `viewer` is shown it. `content`: whether the viewer may read others' content.
pub(crate) fn message(
    world: &World,
    signer: &Signer,
    it: &Message,
    viewer: Id,
    content: bool,
) -> Value {
    let mut out = bare_message(world, signer, it, viewer, content);
    let Some(reference) = it.reference else {
        return out;
    };
    let place = world.channels.get(&it.channel);
    let guild = place.and_then(|place| place.guild);
    if it.kind == message_type::THREAD_CREATED {
        // It points at the thread, not at a message.
        out["message_reference"] = json!({ "type": 0, "channel_id": reference, "guild_id": guild });
        return out;
    }
    if matches!(it.kind, message_type::REPLY | message_type::THREAD_STARTER) {
        let there = world.message(reference);
        // Null says: it was deleted.
        out["referenced_message"] = there.map_or(Value::Null, |there| {
            bare_message(world, signer, there, viewer, content)
        });
    }
    // What a thread was started from stands in its parent.
    let parent = place.and_then(|place| place.parent);
    let there = parent.filter(|_| it.kind == message_type::THREAD_STARTER);
    out["message_reference"] = json!({
        "type": 0, "message_id": reference, "channel_id": there.unwrap_or(it.channel), "guild_id": guild,
    });
    out
}

fn bare_message(world: &World, signer: &Signer, it: &Message, viewer: Id, content: bool) -> Value {
    let in_dm = world
        .channels
        .get(&it.channel)
        .is_some_and(|channel| channel.guild.is_none());
    let shown = content || in_dm || it.author == viewer || it.mentions.users.contains(&viewer);
    let mut out = json!({
        "id": it.id,
        "type": it.kind,
        "channel_id": it.channel,
        "author": user_by_id(world, it.author),
        "content": if shown { it.content.as_str() } else { "" },
        "timestamp": stamp(it.at_ms),
        "edited_timestamp": it.edited_ms.map(stamp),
        "tts": false,
        "mention_everyone": it.mentions.everyone,
        "mentions": it.mentions.users.iter().map(|id| user_by_id(world, *id)).collect::<Vec<_>>(),
        "mention_roles": it.mentions.roles,
        "attachments": [],
        "embeds": [],
        "components": [],
        "pinned": false,
        "flags": it.flags,
    });
    if shown {
        out["attachments"] = it
            .attachments
            .iter()
            .map(|file| signer.attachment(it.channel, file))
            .collect();
        out["embeds"] = json!(it.embeds);
        out["components"] = json!(it.components);
    }
    if !it.reactions.is_empty() {
        out["reactions"] = it
            .reactions
            .iter()
            .map(|(emoji, users)| reaction(emoji, users, viewer))
            .collect();
    }
    if let Some(bot) = world.bots.get(&it.author) {
        out["application_id"] = json!(bot.application.id);
    }
    if let Some(interaction) = &it.interaction {
        out["interaction_metadata"] = interaction.clone();
    }
    if let Some(thread) = world.channels.get(&it.id) {
        out["thread"] = channel(world, thread, viewer);
    }
    out
}

fn reaction(emoji: &str, users: &BTreeSet<Id>, viewer: Id) -> Value {
    json!({
        "count": users.len(),
        "count_details": { "burst": 0, "normal": users.len() },
        "me": users.contains(&viewer), "me_burst": false, "burst_colors": [],
        "emoji": { "id": null, "name": emoji },
    })
}

/// What MESSAGE_CREATE and MESSAGE_UPDATE carry beyond the message itself.
pub(crate) fn message_event(
    world: &World,
    signer: &Signer,
    it: &Message,
    viewer: Id,
    content: bool,
) -> Value {
    let mut out = message(world, signer, it, viewer, content);
    let Some(place) = world.channels.get(&it.channel) else {
        return out;
    };
    out["channel_type"] = json!(place.kind.number());
    // An ephemeral message comes as if it were a direct one.
    if it.only_for.is_some() {
        return out;
    }
    let Some(guild) = place.guild.and_then(|guild| world.guilds.get(&guild)) else {
        return out;
    };
    out["guild_id"] = json!(guild.id);
    if let Some(author) = guild.members.get(&it.author) {
        out["member"] = member(author);
    }
    for mention in out["mentions"].as_array_mut().into_iter().flatten() {
        let id = mention["id"].as_str().and_then(|id| id.parse::<Id>().ok());
        if let Some(mentioned) = id.and_then(|id| guild.members.get(&id)) {
            mention["member"] = member(mentioned);
        }
    }
    out
}

pub(crate) fn with_user(mut object: Value, world: &World, id: Id) -> Value {
    object["user"] = user_by_id(world, id);
    object
}

/// Puts the fields of `extra` into `out`.
pub(crate) fn merge(out: &mut Value, extra: Value) {
    if let (Value::Object(out), Value::Object(extra)) = (out, extra) {
        out.extend(extra);
    }
}

#[cfg(test)]
mod tests {
    use super::stamp;

    #[test]
    fn stamps_are_rfc_3339() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000000+00:00");
        assert_eq!(stamp(951_782_400_000), "2000-02-29T00:00:00.000000+00:00");
        assert_eq!(stamp(1_776_632_033_273), "2026-04-19T20:53:53.273000+00:00");
    }
}
