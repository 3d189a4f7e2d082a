//! What Discord says of the bot itself, in words to somebody who sets it up: its token, its
//! application, the gateway. Pure.

use serde_json::Value;
use worker_kit::Finding;

use super::page;
use crate::application::Application;
use crate::gateway::budget::StartLimit;
use crate::portal::PORTAL;
use crate::rest::NoAnswer;

/// Fewer IDENTIFYs than this left of a day's thousand mean that something restarts in a loop.
const FEW: u64 = 100;
const NETWORK: &str = "look at this machine's network, name server and firewall, and at `proxy`; \
                       https://discordstatus.com tells of Discord's own trouble";

/// Why Discord did not say who the bot is.
pub(crate) fn no_answer(why: &NoAnswer) -> Finding {
    if *why == NoAnswer::Unauthorized {
        return Finding::fail(
            "token",
            "Discord refuses the bot token: it is wrong, or was reset since",
            format!(
                "open {PORTAL}, your application, Bot, Reset Token, Copy: that is `token` (not the \
                 client secret, not the public key)"
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use worker_kit::doctor::Verdict;

    use super::*;

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
}
