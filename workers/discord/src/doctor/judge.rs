//! What Discord's answers mean to somebody who sets up a bot, in words. Pure.

use serde_json::Value;
use worker_kit::Finding;

use super::page;
use crate::application::Application;
use crate::gateway::budget::StartLimit;
use crate::permissions::{self as may, Permission};
use crate::portal::PORTAL;
use crate::rest::NoAnswer;
use crate::snowflake::Id;

/// Fewer IDENTIFYs than this left of a day's thousand mean that something restarts in a loop.
const FEW: u64 = 100;
/// Channels that are named one by one.
const NAMED: usize = 5;
const NETWORK: &str = "look at this machine's network, name server and firewall, and at `proxy`; \
                       https://discordstatus.com tells of Discord's own trouble";

/// A channel that is to be served.
#[derive(Debug)]
pub(crate) struct Place {
    /// With its `#`.
    pub(crate) name: String,
    /// What the bot may do there.
    pub(crate) may: u64,
    /// It is a thread.
    pub(crate) thread: bool,
    /// Sessions are to have threads of their own.
    pub(crate) opens_threads: bool,
}

impl Place {
    /// What is missing. Of a channel that it does not see, more is not known.
    fn missing(&self) -> Vec<&'static Permission> {
        let mut missing = may::missing(self.may, self.thread);
        if self.may & may::VIEW_CHANNEL == 0 {
            missing.retain(|used| used.bit == may::VIEW_CHANNEL);
        }
        missing
    }

    fn must(&self, permission: &Permission) -> bool {
        let threads = may::SEND_MESSAGES_IN_THREADS | may::CREATE_PUBLIC_THREADS;
        permission.must
            || (self.opens_threads && threads & permission.bit != 0)
            || (self.thread && permission.bit == may::SEND_MESSAGES_IN_THREADS)
    }

    /// Whether it can do its work there.
    fn is_of_use(&self) -> bool {
        !self.missing().iter().any(|used| self.must(used))
    }
}

/// Why Discord did not say who the bot is.
pub(crate) fn no_answer(why: &NoAnswer) -> Finding {
    if *why == NoAnswer::Unauthorized {
        return Finding::fail(
            "token",
            "Discord refuses the bot token: it is wrong, or was reset since",
            format!(
                "open {PORTAL}, your application, Bot, Reset Token, and put the new one in config.toml \
                 as `token` (not the client secret, not the public key)"
            ),
        );
    }
    let says = format!("Discord does not say whose token this is: {why}");
    Finding::fail("reach", says, NETWORK)
}

/// Who owns the application.
pub(crate) fn owner(application: &Application) -> String {
    if let Some(team) = &application.team {
        let members = team
            .members
            .iter()
            .filter(|member| member.membership_state == 2);
        let names: Vec<_> = members
            .map(|member| format!("{} ({})", member.user.name(), member.user.id))
            .collect();
        return format!("the team of {}", names.join(", "));
    }
    match &application.owner {
        Some(owner) => format!("{} ({})", owner.name(), owner.id),
        None => "nobody that Discord names".into(),
    }
}

/// The switches of the developer portal. `whole`: the application as Discord gave it.
pub(crate) fn application(application: &Application, whole: &Value) -> Vec<Finding> {
    let id = application.id;
    let mut found = Vec::new();
    if application.owners().is_empty() {
        found.push(Finding::warn(
            "owner",
            "Discord names no owner of the application, so without a list nobody may write",
            "set `allow_from` in config.toml to your own user id",
        ));
    }
    found.push(if application.content_intent() {
        Finding::ok("intent", "Message Content Intent is on")
    } else {
        Finding::fail(
            "intent",
            "Message Content Intent is off: the bot reads only mentions and direct messages",
            format!(
                "open {}, switch on Message Content Intent under Privileged Gateway Intents, Save \
                 Changes; a bot that runs notices it within a minute",
                page(id, "bot")
            ),
        )
    });
    if application.interactions_endpoint_url.is_some() {
        found.push(Finding::fail(
            "interactions",
            "the application has an Interactions Endpoint URL: buttons and commands go there instead \
             of here",
            format!(
                "open {}, clear Interactions Endpoint URL, Save Changes",
                page(id, "information")
            ),
        ));
    }
    if whole["bot_require_code_grant"] == true {
        found.push(Finding::warn(
            "invite",
            "Requires OAuth2 Code Grant is on: with it the invite link fails",
            format!("open {}, switch it off, Save Changes", page(id, "bot")),
        ));
    }
    found
}

/// The gateway cannot be used.
pub(crate) fn no_gateway(why: &str) -> Finding {
    let says = format!("no connection to Discord's gateway: {why}");
    Finding::fail("gateway", says, NETWORK)
}

/// The IDENTIFYs that are left.
pub(crate) fn budget(limit: StartLimit) -> Finding {
    let left = limit.remaining;
    let minutes = limit.reset_after.div_ceil(60_000);
    const LOOP: &str = "something starts sessions in a loop: look at `bulkhead status`, and stop other \
                        programs that use this token, on other machines too";
    if left == 0 {
        let says = format!(
            "the sessions that Discord grants a day are used up: no new one for {minutes} minutes"
        );
        Finding::fail("sessions", says, LOOP)
    } else if left < FEW {
        let says = format!("only {left} of the sessions that Discord grants a day are left");
        Finding::warn("sessions", says, LOOP)
    } else {
        Finding::ok(
            "sessions",
            format!("{left} left of those that Discord grants a day"),
        )
    }
}

/// Something could not be asked.
pub(crate) fn not_looked(check: &str, why: &NoAnswer) -> Finding {
    Finding::fail(
        check,
        format!("Discord does not say: {why}"),
        "try again; if it stays so: `bulkhead status`",
    )
}

/// Which servers it is in.
pub(crate) fn servers(guilds: &[Value], invite: &str) -> Finding {
    if guilds.is_empty() {
        return Finding::fail(
            "servers",
            "the bot is in no server, so nobody can write to it",
            format!("open {invite} in a browser, choose a server, Authorize"),
        );
    }
    let names: Vec<_> = guilds.iter().map(name).collect();
    Finding::ok("servers", format!("in {}", some_of(&names)))
}

/// It is not in a server of `allow_guilds`.
pub(crate) fn absent(guild: Id, invite: &str) -> Finding {
    Finding::fail(
        "servers",
        format!("the bot is not in server {guild}, which stands in `allow_guilds`"),
        format!("open {invite} and choose that server, or take it out of `allow_guilds`"),
    )
}

/// A channel of `allow_channels` that Discord does not show.
pub(crate) fn no_channel(channel: Id, why: &NoAnswer, bot: &str) -> Finding {
    match why {
        NoAnswer::Refused(refused) if refused.code == 10003 => Finding::fail(
            "permissions",
            format!("there is no channel {channel}, which stands in `allow_channels`"),
            "in Discord right-click the channel, Copy Channel ID (Settings, Advanced, Developer Mode \
             shows that entry), and put it there",
        ),
        NoAnswer::Refused(refused) if refused.status == 403 => Finding::fail(
            "permissions",
            format!(
                "channel {channel} of `allow_channels`: lacks View Channels (it does not see what is \
                 written)"
            ),
            format!(
                "in Discord open that channel's settings, Permissions, Add members or roles, {bot}; if \
                 it is in a server without the bot, invite it there: bulkhead invite"
            ),
        ),
        why => not_looked("permissions", why),
    }
}

/// A channel of `allow_channels` in a server that `allow_guilds` leaves out.
pub(crate) fn left_out(channel: &str, guild: &str) -> Finding {
    Finding::fail(
        "permissions",
        format!(
            "{channel} stands in `allow_channels`, but its server {guild} not in `allow_guilds`: nothing is heard there"
        ),
        "add the server to `allow_guilds`, or take one of the two lists away",
    )
}

/// A channel of `allow_channels`.
pub(crate) fn listed(place: &Place, guild: &str, bot: &str, invite: &str) -> Finding {
    let missing = place.missing();
    let channel = format!("{} ({guild})", place.name);
    if missing.is_empty() {
        return Finding::ok("permissions", format!("{channel}: all that are used"));
    }
    let losses: Vec<_> = missing
        .iter()
        .map(|used| format!("{} ({})", used.name, used.loss))
        .collect();
    let says = format!("{channel}: lacks {}", losses.join(", "));
    let advice = allow(&missing, bot, invite);
    if place.is_of_use() {
        Finding::warn("permissions", says, advice)
    } else {
        Finding::fail("permissions", says, advice)
    }
}

/// A server of which every channel is served.
pub(crate) fn server(guild: &str, places: &[Place], bot: &str, invite: &str) -> Finding {
    // A channel that it is not shown is nobody's mistake: there nothing is asked of it.
    let seen: Vec<_> = places
        .iter()
        .filter(|place| place.may & may::VIEW_CHANNEL != 0)
        .collect();
    if seen.is_empty() {
        let says = format!("{guild}: the bot sees no text channel");
        let view: Vec<_> = may::USED.iter().take(1).collect();
        return Finding::fail("permissions", says, allow(&view, bot, invite));
    }
    let lacking: Vec<_> = seen
        .iter()
        .map(|place| (place, place.missing()))
        .filter(|(_, missing)| !missing.is_empty())
        .collect();
    if lacking.is_empty() {
        let says = format!("{guild}: all that are used, in {} channels", seen.len());
        return Finding::ok("permissions", says);
    }
    let words: Vec<_> = lacking
        .iter()
        .map(|(place, missing)| {
            let names: Vec<_> = missing.iter().map(|used| used.name).collect();
            format!("{} lacks {}", place.name, names.join(", "))
        })
        .collect();
    let says = format!("{guild}: {}", some_of(&words));
    let all: Vec<_> = may::USED
        .iter()
        .filter(|used| lacking.iter().any(|(_, missing)| missing.contains(used)))
        .collect();
    let advice = allow(&all, bot, invite);
    if seen.iter().any(|place| place.is_of_use()) {
        // A channel where nobody but a few may write is usual.
        let advice = format!("where it is to answer: {advice}");
        Finding::warn("permissions", says, advice)
    } else {
        Finding::fail("permissions", says, advice)
    }
}

fn allow(missing: &[&Permission], bot: &str, invite: &str) -> String {
    let names: Vec<_> = missing.iter().map(|used| used.name).collect();
    format!(
        "in Discord open the channel's settings (Edit Channel), Permissions, Advanced, the role {bot}, \
         and allow {}; or open {invite} again, which adds what the server's own settings lack",
        names.join(", ")
    )
}

/// What something is called.
pub(crate) fn name(of: &Value) -> String {
    of["name"].as_str().unwrap_or("without a name").to_owned()
}

fn some_of(names: &[String]) -> String {
    let some = names.get(..NAMED.min(names.len())).unwrap_or_default();
    match names.len() - some.len() {
        0 => some.join("; "),
        more => format!("{}; and {more} more", some.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use worker_kit::doctor::Verdict;

    use super::*;
    use crate::rest::answer::Refused;

    fn place(name: &str, lacks: u64) -> Place {
        let may = may::used() & !lacks;
        let may = if may & may::VIEW_CHANNEL == 0 { 0 } else { may };
        Place {
            name: name.into(),
            may,
            thread: false,
            opens_threads: false,
        }
    }

    #[test]
    fn a_listed_channel_fails_by_what_the_bot_is_of_no_use_without() {
        for (lacks, verdict, words) in [
            (0, Verdict::Ok, "all that are used"),
            (may::SEND_MESSAGES, Verdict::Fail, "lacks Send Messages (it"),
            (
                may::READ_MESSAGE_HISTORY,
                Verdict::Fail,
                "Read Message History",
            ),
            (
                may::VIEW_CHANNEL,
                Verdict::Fail,
                "lacks View Channels (it does not see what is written)",
            ),
            (may::EMBED_LINKS, Verdict::Warn, "lacks Embed Links (it"),
            (
                may::CREATE_PUBLIC_THREADS,
                Verdict::Warn,
                "Create Public Threads",
            ),
        ] {
            let found = listed(&place("#a", lacks), "Harbour", "bot", "LINK");
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert!(
                found.says.contains(words) && found.says.contains("#a (Harbour)"),
                "{found:?}"
            );
            assert!(
                lacks == 0 || found.advice.contains("the role bot"),
                "{found:?}"
            );
        }
        let threads = Place {
            opens_threads: true,
            ..place("#a", may::CREATE_PUBLIC_THREADS)
        };
        assert_eq!(listed(&threads, "H", "b", "L").verdict, Verdict::Fail);
        let thread = Place {
            thread: true,
            ..place("#a", may::SEND_MESSAGES_IN_THREADS)
        };
        assert_eq!(listed(&thread, "H", "b", "L").verdict, Verdict::Fail);
        let in_thread = Place {
            thread: true,
            ..place("#a", may::SEND_MESSAGES)
        };
        assert_eq!(listed(&in_thread, "H", "b", "L").verdict, Verdict::Ok);
    }

    #[test]
    fn a_server_fails_only_where_no_channel_is_of_use() {
        let judge = |places: &[Place]| server("Harbour", places, "bot", "LINK");
        let good = judge(&[place("#a", 0), place("#b", may::VIEW_CHANNEL)]);
        assert_eq!(good.verdict, Verdict::Ok);
        assert!(
            good.says.contains("1 channels"),
            "a private one is left alone: {good:?}"
        );
        let mixed = judge(&[place("#a", 0), place("#rules", may::SEND_MESSAGES)]);
        assert_eq!(mixed.verdict, Verdict::Warn);
        assert!(
            mixed.says.contains("#rules lacks Send Messages"),
            "{mixed:?}"
        );
        let none = judge(&[
            place("#a", may::SEND_MESSAGES),
            place("#b", may::SEND_MESSAGES),
        ]);
        assert_eq!(none.verdict, Verdict::Fail);
        let blind = judge(&[place("#a", may::VIEW_CHANNEL)]);
        assert_eq!(blind.verdict, Verdict::Fail);
        assert!(blind.advice.contains("View Channels"), "{blind:?}");
        let many: Vec<_> = (0..9)
            .map(|n| place(&format!("#{n}"), may::EMBED_LINKS))
            .collect();
        assert!(judge(&many).says.ends_with("and 4 more"));
    }

    #[test]
    fn what_a_person_must_switch_is_named_with_its_page() {
        let whole = json!({"id": "5", "flags": 0, "owner": {"id": "2", "username": "me"},
            "interactions_endpoint_url": "https://x.example", "bot_require_code_grant": true});
        let read: Application = serde_json::from_value(whole.clone()).unwrap();
        let found = application(&read, &whole);
        let of = |check: &str| found.iter().find(|finding| finding.check == check).unwrap();
        assert!(of("intent").advice.contains("/5/bot") && of("intent").verdict == Verdict::Fail);
        assert!(of("interactions").advice.contains("/5/information"));
        assert!(of("invite").verdict == Verdict::Warn);
        assert!(!found.iter().any(|finding| finding.check == "owner"));
        assert_eq!(owner(&read), "me (2)");

        let whole = json!({"id": "5", "flags": 1 << 18, "team": {"members": [
            {"membership_state": 2, "user": {"id": "3", "global_name": "Ann"}},
            {"membership_state": 1, "user": {"id": "4", "global_name": "Bob"}}]}});
        let read: Application = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(
            application(&read, &whole),
            [Finding::ok("intent", "Message Content Intent is on")]
        );
        assert_eq!(owner(&read), "the team of Ann (3)");
        let nobody: Application = serde_json::from_value(json!({"id": "5"})).unwrap();
        assert_eq!(application(&nobody, &json!({}))[0].check, "owner");
    }

    #[test]
    fn a_refused_token_is_told_from_trouble_on_the_way() {
        let refused = no_answer(&NoAnswer::Unauthorized);
        assert!(refused.check == "token" && refused.advice.contains("Reset Token"));
        let trouble = no_answer(&NoAnswer::Trouble("no connection".into()));
        assert!(trouble.check == "reach" && trouble.advice.contains("proxy"));
    }

    #[test]
    fn used_up_sessions_are_told_with_their_time() {
        let limit = |remaining| StartLimit {
            remaining,
            reset_after: 90_000,
            max_concurrency: 1,
        };
        assert!(budget(limit(0)).says.contains("2 minutes"));
        assert_eq!(budget(limit(0)).verdict, Verdict::Fail);
        assert_eq!(budget(limit(99)).verdict, Verdict::Warn);
        assert_eq!(budget(limit(1000)).verdict, Verdict::Ok);
    }

    #[test]
    fn a_channel_that_is_not_shown_is_gone_or_hidden() {
        let refused = |status, code| {
            NoAnswer::Refused(Refused {
                status,
                code,
                ..Refused::default()
            })
        };
        assert!(
            no_channel(Id(9), &refused(404, 10003), "b")
                .says
                .contains("no channel 9")
        );
        assert!(
            no_channel(Id(9), &refused(403, 50001), "b")
                .says
                .contains("View Channels")
        );
        let trouble = no_channel(Id(9), &NoAnswer::Trouble("late".into()), "b");
        assert!(trouble.says.contains("late"));
    }
}
