//! The bot itself, its guilds, its commands, the gateway's address.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::{ApiError, Form};
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;
use crate::objects;
use crate::world::{Bot, Guild};

const DAY_MS: u64 = 86_400_000;
/// Commands that may be created in a day, for each guild and globally.
const CREATES_A_DAY: usize = 200;
const MOST_COMMANDS: usize = 100;

impl Core {
    fn bot(&self, me: Id) -> Result<&Bot, ApiError> {
        self.world.bots.get(&me).ok_or(ApiError::UNAUTHORIZED)
    }

    /// A guild that `me` is in.
    fn my_guild(&self, me: Id, guild: Id) -> Result<&Guild, ApiError> {
        let guild = self
            .world
            .guilds
            .get(&guild)
            .ok_or(ApiError::UNKNOWN_GUILD)?;
        if guild.members.contains_key(&me) {
            Ok(guild)
        } else {
            Err(ApiError::MISSING_ACCESS)
        }
    }

    pub(super) fn gateway_bot(&mut self, me: Id) -> Done {
        let now = self.now();
        self.refresh_budget(me, now);
        let budget = &self.bot(me)?.budget;
        Answer::ok(json!({
            "url": self.addresses.gateway,
            "shards": 1,
            "session_start_limit": {
                "total": budget.total,
                "remaining": budget.remaining,
                "reset_after": budget.resets_at.saturating_sub(now),
                "max_concurrency": self.options.max_concurrency,
            },
        }))
    }

    pub(super) fn my_application(&mut self, me: Id) -> Done {
        Answer::ok(objects::application(
            &self.world,
            &self.bot(me)?.application,
            me,
        ))
    }

    pub(super) fn me(&mut self, me: Id) -> Done {
        let mut user = objects::user_by_id(&self.world, me);
        objects::merge(
            &mut user,
            json!({ "verified": true, "email": null, "mfa_enabled": false, "flags": 0 }),
        );
        Answer::ok(user)
    }

    pub(super) fn user(&mut self, user: Id) -> Done {
        let user = self.world.users.get(&user).ok_or(ApiError::UNKNOWN_USER)?;
        Answer::ok(objects::user(user))
    }

    pub(super) fn my_guilds(&mut self, me: Id) -> Done {
        let mine = self
            .world
            .guilds
            .values()
            .filter(|guild| guild.members.contains_key(&me));
        let brief = |guild: &Guild| {
            json!({
                "id": guild.id, "name": guild.name, "icon": null, "owner": guild.owner == me,
                "permissions": crate::permissions::USUAL.to_string(), "features": [],
            })
        };
        Answer::ok(mine.map(brief).collect())
    }

    pub(super) fn guild(&mut self, me: Id, guild: Id) -> Done {
        Answer::ok(objects::guild_rest(self.my_guild(me, guild)?))
    }

    pub(super) fn guild_channels(&mut self, me: Id, guild: Id) -> Done {
        self.my_guild(me, guild)?;
        let here = self.world.channels.values();
        let here = here.filter(|it| {
            it.guild == Some(guild) && !it.kind.is_thread() && self.world.sees(me, it)
        });
        Answer::ok(
            here.map(|it| objects::channel(&self.world, it, me))
                .collect(),
        )
    }

    pub(super) fn guild_roles(&mut self, me: Id, guild: Id) -> Done {
        Answer::ok(Value::Array(objects::roles(self.my_guild(me, guild)?)))
    }

    pub(super) fn guild_member(&mut self, me: Id, guild: Id, user: Id) -> Done {
        let member = self
            .my_guild(me, guild)?
            .members
            .get(&user)
            .ok_or(ApiError::UNKNOWN_MEMBER)?;
        Answer::ok(objects::with_user(
            objects::member(member),
            &self.world,
            user,
        ))
    }

    fn my_commands(&self, me: Id, app: Id, scope: Option<Id>) -> Result<(), ApiError> {
        if self.world.bot_by_application(app).is_none() {
            return Err(ApiError::UNKNOWN_APPLICATION);
        }
        if self.bot(me)?.application.id != app {
            return Err(ApiError::NOT_YOUR_APPLICATION);
        }
        scope.map_or(Ok(()), |guild| self.my_guild(me, guild).map(|_| ()))
    }

    pub(super) fn commands(&mut self, me: Id, app: Id, scope: Option<Id>) -> Done {
        self.my_commands(me, app, scope)?;
        let commands = self.bot(me)?.application.commands.by_scope.get(&scope);
        Answer::ok(Value::Array(commands.cloned().unwrap_or_default()))
    }

    /// Bulk overwrite: what is not in the list is gone; what is new counts for the day.
    pub(super) fn put_commands(
        &mut self,
        me: Id,
        app: Id,
        scope: Option<Id>,
        body: &Value,
    ) -> Done {
        self.my_commands(me, app, scope)?;
        let Some(wanted) = body.as_array() else {
            return Err(Form::one(
                &["_content"],
                "BASE_TYPE_BAD_TYPE",
                "Only iterables may be used in a ListType",
            ));
        };
        check(wanted)?;
        let now = self.now();
        let old = self
            .bot(me)?
            .application
            .commands
            .by_scope
            .get(&scope)
            .cloned()
            .unwrap_or_default();
        let key = |it: &Value| {
            (
                it["name"].as_str().unwrap_or_default().to_owned(),
                it["type"].as_u64().unwrap_or(1),
            )
        };
        let mut next = Vec::new();
        let mut created = 0;
        for command in wanted {
            let known = old
                .iter()
                .find(|it| key(it) == key(command))
                .and_then(|it| it.get("id").cloned());
            created += usize::from(known.is_none());
            let mut full = json!({
                "id": known.unwrap_or_else(|| json!(self.mint())),
                "application_id": app, "type": 1, "description": "", "nsfw": false,
                "default_member_permissions": null, "version": self.mint(),
            });
            objects::merge(&mut full, command.clone());
            if let Some(guild) = scope {
                full["guild_id"] = json!(guild);
            }
            next.push(full);
        }
        let bot = self.world.bots.get_mut(&me).ok_or(ApiError::UNAUTHORIZED)?;
        let times = bot.application.commands.created.entry(scope).or_default();
        times.retain(|at| now.saturating_sub(*at) < DAY_MS);
        if times.len() + created > CREATES_A_DAY {
            return Err(ApiError::TOO_MANY_COMMANDS);
        }
        times.extend(std::iter::repeat_n(now, created));
        bot.application
            .commands
            .by_scope
            .insert(scope, next.clone());
        Answer::ok(Value::Array(next))
    }
}

fn check(commands: &[Value]) -> Result<(), ApiError> {
    let mut form = Form::default();
    if commands.len() > MOST_COMMANDS {
        form.too_long(&["_content"], MOST_COMMANDS);
    }
    let mut names = BTreeSet::new();
    for (index, command) in commands.iter().enumerate() {
        let index = index.to_string();
        let kind = command.get("type").and_then(Value::as_u64).unwrap_or(1);
        let name = command
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let description = command
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if kind == 1 {
            if !named(name) {
                let words = "Command name is invalid";
                form.fault(&[&index, "name"], "APPLICATION_COMMAND_INVALID_NAME", words);
            }
            if description.is_empty() || description.chars().count() > 100 {
                form.bad_length(&[&index, "description"], 1, 100);
            }
        }
        if !names.insert((name, kind)) {
            let words = "Application command names must be unique";
            form.fault(&[&index], "APPLICATION_COMMANDS_DUPLICATE_NAME", words);
        }
        options(&mut form, &index, command);
    }
    form.finish()
}

fn options(form: &mut Form, command: &str, it: &Value) {
    let list = it
        .get("options")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if list.len() > 25 {
        form.too_long(&[command, "options"], 25);
    }
    let mut optional = false;
    for (index, option) in list.iter().enumerate() {
        let index = index.to_string();
        let path = |key: &'static str| [command, "options", &index, key].map(str::to_owned);
        let fault = |form: &mut Form, key: &'static str, code: &str, words: &str| {
            let path = path(key);
            form.fault(&path.each_ref().map(String::as_str), code, words);
        };
        if !named(
            option
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        ) {
            fault(
                form,
                "name",
                "APPLICATION_COMMAND_INVALID_NAME",
                "Option name is invalid",
            );
        }
        let description = option
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if description.is_empty() || description.chars().count() > 100 {
            fault(
                form,
                "description",
                "BASE_TYPE_BAD_LENGTH",
                "Must be between 1 and 100 in length.",
            );
        }
        if !matches!(option.get("type").and_then(Value::as_u64), Some(1..=11)) {
            fault(
                form,
                "type",
                "BASE_TYPE_CHOICES",
                "Value must be one of (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11).",
            );
        }
        if option
            .get("choices")
            .and_then(Value::as_array)
            .is_some_and(|list| list.len() > 25)
        {
            fault(
                form,
                "choices",
                "BASE_TYPE_MAX_LENGTH",
                "Must be 25 or fewer in length.",
            );
        }
        let required = option
            .get("required")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        if required && optional {
            let words = "Required options must be placed before non-required options";
            fault(
                form,
                "required",
                "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                words,
            );
        }
        optional |= !required;
    }
}

/// 1 to 32 letters, digits, `-`, `_` or `'`, in lower case where there is one.
fn named(name: &str) -> bool {
    let fits =
        |c: char| c.is_alphanumeric() && c.to_lowercase().eq([c]) || matches!(c, '-' | '_' | '\'');
    (1..=32).contains(&name.chars().count()) && name.chars().all(fits)
}
