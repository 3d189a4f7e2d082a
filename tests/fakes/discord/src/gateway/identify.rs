//! IDENTIFY: token, budget, intents, window; then READY and the guilds.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::protocol::refusal;
use super::{Session, intent};
use crate::Id;
use crate::core::Core;
use crate::faults::GatewayFault;
use crate::ledger::{Outcome, Wire};
use crate::objects;
use crate::world::Budget;

const DAY_MS: u64 = 86_400_000;

impl Core {
    pub(super) fn identify(&mut self, id: u64, d: &Value) {
        let intents = d.get("intents").and_then(Value::as_u64).unwrap_or(0);
        let bot = self.token_of(d);
        let outcome = self.identified(id, bot, d);
        if let Outcome::Invalid { resumable } = outcome {
            self.op(id, 9, &json!(resumable));
        }
        self.wire.push(Wire::Identify {
            connection: id,
            bot,
            intents,
            outcome: outcome.clone(),
        });
        match outcome {
            Outcome::Closed(code) => self.close_link(id, code, refusal(code)),
            Outcome::Accepted { session, .. } => self.greet(id, &session, d),
            _ => {}
        }
    }

    fn identified(&mut self, id: u64, bot: Option<Id>, d: &Value) -> Outcome {
        let now = self.now();
        if self
            .links
            .get(&id)
            .is_none_or(|link| link.session.is_some())
        {
            return Outcome::Closed(4005);
        }
        let Some(bot) = bot else {
            return Outcome::Closed(4004);
        };
        if self.spend_identify(bot, now).is_err() {
            self.reset_token(bot);
            return Outcome::Closed(4004);
        }
        let Some(intents) = d.get("intents").and_then(Value::as_u64) else {
            return Outcome::Closed(4013);
        };
        if intents & !intent::KNOWN != 0 {
            return Outcome::Closed(4013);
        }
        if d.get("properties").is_none_or(|it| !it.is_object()) {
            return Outcome::Closed(4002);
        }
        let shard = d.get("shard").filter(|shard| !shard.is_null());
        if let Some(shard) = shard {
            match (
                shard.get(0).and_then(Value::as_u64),
                shard.get(1).and_then(Value::as_u64),
            ) {
                (Some(which), Some(of)) if which < of => {}
                _ => return Outcome::Closed(4010),
            }
        }
        let window = self.options.identify_window_ms;
        let concurrency = self.options.max_concurrency as usize;
        let Some(it) = self.world.bots.get_mut(&bot) else {
            return Outcome::Closed(4004);
        };
        let app = &it.application;
        let allowed = [
            (intent::MESSAGE_CONTENT, app.content_intent),
            (intent::GUILD_MEMBERS, app.members_intent),
            (intent::GUILD_PRESENCES, app.presence_intent),
        ];
        if allowed.iter().any(|(bit, on)| intents & bit != 0 && !on) {
            return Outcome::Closed(4014);
        }
        it.identifies.retain(|at| now.saturating_sub(*at) < window);
        if it.identifies.len() >= concurrency {
            return Outcome::Invalid { resumable: false };
        }
        it.identifies.push_back(now);
        match self.faults.on_identify(now) {
            Some(GatewayFault::RefuseIdentify) => return Outcome::Invalid { resumable: false },
            Some(GatewayFault::SilentIdentify) => return Outcome::Ignored,
            _ => {}
        }
        let key: String = (0..4)
            .map(|_| format!("{:08x}", fastrand::u32(..)))
            .collect();
        self.sessions.insert(
            key.clone(),
            Session {
                bot,
                intents,
                seq: 0,
                replay: VecDeque::new(),
                link: None,
                alone_since: None,
                dead: false,
            },
        );
        Outcome::Accepted {
            session: key,
            replayed: 0,
        }
    }

    /// READY and the guilds.
    fn greet(&mut self, id: u64, key: &str, d: &Value) {
        let Some(bot) = self.attach(id, key) else {
            return;
        };
        let Some(application) = self.world.bots.get(&bot).map(|it| &it.application) else {
            return;
        };
        let mine = self
            .world
            .guilds
            .values()
            .filter(|it| it.members.contains_key(&bot));
        let guilds: Vec<Id> = mine.map(|it| it.id).collect();
        let ready = json!({
            "v": 10,
            "user": objects::user_by_id(&self.world, bot),
            "guilds": guilds.iter().map(|id| json!({ "id": id, "unavailable": true })).collect::<Vec<_>>(),
            "session_id": key,
            "session_type": "normal",
            "resume_gateway_url": self.addresses.resume,
            "shard": d.get("shard").cloned().unwrap_or_else(|| json!([0, 1])),
            "application": { "id": application.id, "flags": application.flags() },
            "user_settings": {}, "relationships": [], "private_channels": [], "presences": [], "guild_join_requests": [],
            "geo_ordered_rtc_regions": [], "auth": {}, "_trace": [],
        });
        self.dispatch(key, "READY", &ready);
        if self
            .sessions
            .get(key)
            .is_some_and(|it| it.intents & intent::GUILDS != 0)
        {
            for guild in guilds {
                let Some(it) = self.world.guilds.get(&guild).filter(|it| !it.unavailable) else {
                    continue;
                };
                let body = objects::guild_create(&self.world, it, bot);
                self.dispatch(key, "GUILD_CREATE", &body);
            }
        }
        self.hush(id);
    }

    /// Takes one IDENTIFY from the day's budget; an error if there is none left.
    fn spend_identify(&mut self, bot: Id, now: u64) -> Result<(), ()> {
        self.refresh_budget(bot, now);
        let budget = &mut self.world.bots.get_mut(&bot).ok_or(())?.budget;
        budget.remaining = budget.remaining.checked_sub(1).ok_or(())?;
        Ok(())
    }

    /// Opens the next day's budget when the last is over.
    pub(crate) fn refresh_budget(&mut self, bot: Id, now: u64) {
        let total = self.options.identify_total;
        let bot = self.world.bots.get_mut(&bot);
        if let Some(bot) = bot.filter(|it| it.budget.resets_at <= now) {
            bot.budget = Budget {
                total,
                remaining: total,
                resets_at: now + DAY_MS,
            };
        }
    }

    /// What Discord does when the budget is overrun: all sessions end and the token is void.
    fn reset_token(&mut self, bot: Id) {
        self.wire.push(Wire::TokenReset { bot });
        self.void_token(bot);
    }

    /// The token is no longer good; connections that live by it are closed.
    pub(crate) fn void_token(&mut self, bot: Id) {
        if let Some(bot) = self.world.bots.get_mut(&bot) {
            bot.token_valid = false;
        }
        let sessions = self.sessions.iter().filter(|(_, it)| it.bot == bot);
        for key in sessions.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            if let Some(link) = self.sessions.get(&key).and_then(|it| it.link) {
                self.close_link(link, 4004, refusal(4004));
            }
            self.end_session(&key);
        }
    }
}
