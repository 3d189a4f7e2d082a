//! `--doctor`: everything that the bot depends on, examined for real.
//!
//! Promises: no IDENTIFY is spent and no lock taken, so a bot that runs is not disturbed; nothing is
//! written to Discord; each question has a deadline, and servers and channels a bound.
//!
//! What the answers mean is in [`itself`] and [`places`].

mod itself;
mod places;

use std::future::Future;
use std::time::Duration;

use serde_json::Value;
use worker_kit::doctor::clock;
use worker_kit::{Doctor, Finding};

use crate::application::Application;
use crate::events::User;
use crate::gateway::probe;
use crate::options::Options;
use crate::permissions as may;
use crate::portal::PORTAL;
use crate::rest::{NoAnswer, Rest};
use crate::snowflake::Id;
use places::Place;

/// How long one question may take, its repetitions included.
const QUESTION: Duration = Duration::from_secs(15);
/// How many servers are looked into.
const SERVERS: usize = 20;
/// How many channels, of `allow_channels` or of one server.
const CHANNELS: usize = 200;

/// Examines, and says what it finds.
pub(crate) async fn examine(options: &Options, doctor: &mut Doctor) {
    doctor.hide(&options.token);
    doctor.hide(&options.proxy_password);
    options.proxy.iter().for_each(|proxy| doctor.hide(proxy));
    if doctor.manner().offline {
        return;
    }
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let rest = match Rest::new(options) {
        Ok(rest) => rest,
        // The options were looked at before: what is left is the machine's.
        Err(why) => return doctor.find(Finding::fail("reach", why, "mend it, then try again")),
    };
    let date = tokio::time::timeout(QUESTION, rest.date());
    let (date, asked) = tokio::join!(date, who(&rest));
    if let Ok(Ok((date, now))) = date {
        let agrees = clock("Discord", date.as_deref(), now);
        agrees.into_iter().for_each(|found| doctor.find(found));
    }
    let (whole, application, me) = match asked {
        Ok(asked) => asked,
        Err(why) => return doctor.find(itself::no_answer(&why)),
    };
    let (owner, invite) = (itself::owner(&application), may::invite(application.id));
    let says = format!(
        "Discord knows it: the bot {}, owned by {owner}",
        me.username
    );
    doctor.find(Finding::ok("token", says));
    doctor.fact("bot_name", &me.username);
    doctor.fact("application_id", &application.id.to_string());
    doctor.fact("owner", &owner);
    doctor.fact("invite_url", &invite);
    for finding in itself::application(&application, &whole) {
        doctor.find(finding);
    }
    gateway(&rest, options, doctor).await;
    let look = Look {
        rest: &rest,
        options,
        me: &me,
        invite,
    };
    look.places(doctor).await;
}

/// Asks, for as long as [`QUESTION`].
async fn asked<T>(question: impl Future<Output = Result<T, NoAnswer>>) -> Result<T, NoAnswer> {
    let late = || NoAnswer::Trouble(format!("no answer within {} s", QUESTION.as_secs()));
    match tokio::time::timeout(QUESTION, question).await {
        Ok(answer) => answer,
        Err(_) => Err(late()),
    }
}

/// The application, as Discord gave it and as it is read, and the bot's user.
async fn who(rest: &Rest) -> Result<(Value, Application, User), NoAnswer> {
    let both = async {
        let (application, me) = tokio::join!(rest.whole_application(), rest.me());
        Ok((application?, me?))
    };
    let (whole, me) = asked(both).await?;
    match serde_json::from_value(whole.clone()) {
        Ok(application) => Ok((whole, application, me)),
        Err(_) => Err(NoAnswer::Trouble(
            "an answer that is not as documented".into(),
        )),
    }
}

/// The gateway, up to its Hello, and the IDENTIFYs that are left.
async fn gateway(rest: &Rest, options: &Options, doctor: &mut Doctor) {
    let told = match asked(rest.gateway_bot()).await {
        Ok(told) => told,
        Err(why) => return doctor.find(itself::no_gateway(&why.to_string())),
    };
    let patience = Duration::from_millis(options.timing.hello_ms);
    match probe::hello(rest, &told.url, patience).await {
        Ok(()) => doctor.find(Finding::ok("gateway", "takes connections")),
        Err(why) => doctor.find(itself::no_gateway(&why)),
    }
    doctor.find(itself::budget(told.session_start_limit));
}

/// What the bot is in a server.
struct Standing {
    guild: Id,
    name: String,
    base: u64,
    roles: Vec<Id>,
}

struct Look<'a> {
    rest: &'a Rest,
    options: &'a Options,
    me: &'a User,
    invite: String,
}

impl Look<'_> {
    /// Where it is, and what it may do there.
    async fn places(&self, doctor: &mut Doctor) {
        let rules = self.options.rules();
        let guilds = match asked(self.rest.my_guilds()).await {
            Ok(guilds) => guilds,
            Err(why) => return doctor.find(places::not_looked("servers", &why)),
        };
        doctor.fact("servers", &guilds.len().to_string());
        let joined: Vec<Id> = guilds.iter().filter_map(|it| may::id(&it["id"])).collect();
        let absent = rules.guilds.iter().filter(|id| !joined.contains(id));
        doctor.find(places::servers(&guilds, &self.invite));
        for id in absent.take(SERVERS) {
            doctor.find(places::absent(*id, &self.invite));
        }
        if joined.is_empty() {
            return;
        }
        if !rules.channels.is_empty() {
            return self.listed(doctor).await;
        }
        let served = joined
            .into_iter()
            .filter(|id| rules.guilds.is_empty() || rules.guilds.contains(id));
        let served: Vec<Id> = served.collect();
        for id in served.iter().take(SERVERS) {
            doctor.find(self.server(*id).await);
        }
        if served.len() > SERVERS {
            let says = format!("only the first {SERVERS} of its servers were looked into");
            doctor.find(Finding::ok("permissions", says));
        }
    }

    async fn standing(&self, guild: Id) -> Result<Standing, NoAnswer> {
        let both = async {
            let member = self.rest.member(guild, self.me.id);
            let (whole, member) = tokio::join!(self.rest.whole_guild(guild), member);
            Ok((whole?, member?))
        };
        let (whole, member) = asked(both).await?;
        Ok(Standing {
            guild,
            name: places::name(&whole),
            base: may::in_guild(&whole, self.me.id, &member.roles),
            roles: member.roles,
        })
    }

    /// Every text channel of a server that it is to serve whole.
    async fn server(&self, guild: Id) -> Finding {
        let standing = match self.standing(guild).await {
            Ok(standing) => standing,
            Err(why) => return places::not_looked("permissions", &why),
        };
        let channels = match asked(self.rest.guild_channels(guild)).await {
            Ok(channels) => channels,
            Err(why) => return places::not_looked("permissions", &why),
        };
        let text = channels
            .iter()
            .filter(|it| matches!(it["type"].as_u64(), Some(0 | 5)));
        let places: Vec<Place> = text
            .take(CHANNELS)
            .map(|channel| self.place(&standing, channel, channel, false))
            .collect();
        places::server(&standing.name, &places, &self.me.username, &self.invite)
    }

    fn place(&self, standing: &Standing, named: &Value, rules: &Value, thread: bool) -> Place {
        let Standing {
            guild, base, roles, ..
        } = standing;
        Place {
            name: format!("#{}", places::name(named)),
            may: may::in_channel(*base, rules, *guild, self.me.id, roles),
            thread,
            opens_threads: self.options.thread_isolation,
        }
    }

    /// Every channel of `allow_channels`.
    async fn listed(&self, doctor: &mut Doctor) {
        let rules = self.options.rules();
        let mut known: Vec<Standing> = Vec::new();
        for id in rules.channels.iter().take(CHANNELS) {
            let (channel, parent) = match self.channel(*id).await {
                Ok(found) => found,
                Err(why) => {
                    doctor.find(places::no_channel(*id, &why, &self.me.username));
                    continue;
                }
            };
            let Some(guild) = may::id(&channel["guild_id"]) else {
                let says = format!("channel {id} is a direct message: it needs no permission");
                doctor.find(Finding::ok("permissions", says));
                continue;
            };
            if !known.iter().any(|standing| standing.guild == guild) {
                match self.standing(guild).await {
                    Ok(standing) => known.push(standing),
                    Err(why) => {
                        doctor.find(places::not_looked("permissions", &why));
                        continue;
                    }
                }
            }
            let standing = known.iter().find(|standing| standing.guild == guild);
            let Some(standing) = standing else { continue };
            let thread = parent.is_some();
            let place = self.place(
                standing,
                &channel,
                parent.as_ref().unwrap_or(&channel),
                thread,
            );
            if !rules.guilds.is_empty() && !rules.guilds.contains(&guild) {
                doctor.find(places::left_out(&place.name, &standing.name));
                continue;
            }
            let bot = &self.me.username;
            doctor.find(places::listed(&place, &standing.name, bot, &self.invite));
        }
        if rules.channels.len() > CHANNELS {
            let says = format!("only the first {CHANNELS} of allow_channels were looked at");
            doctor.find(Finding::ok("permissions", says));
        }
    }

    /// A channel, and for a thread the channel that it hangs on.
    async fn channel(&self, id: Id) -> Result<(Value, Option<Value>), NoAnswer> {
        let channel = asked(self.rest.whole_channel(id)).await?;
        let thread = matches!(channel["type"].as_u64(), Some(10..=12));
        let parent = may::id(&channel["parent_id"]).filter(|_| thread);
        let Some(parent) = parent else {
            return Ok((channel, None));
        };
        let parent = asked(self.rest.whole_channel(parent)).await?;
        Ok((channel, Some(parent)))
    }
}

/// The page of the portal where something is switched.
pub(crate) fn page(application: Id, page: &str) -> String {
    format!("{PORTAL}/{application}/{page}")
}
