//! What Discord says of servers and channels, in words to somebody who sets up a bot. Pure.

use serde_json::Value;
use worker_kit::Finding;

use crate::permissions::{self as may, Permission};
use crate::rest::NoAnswer;
use crate::snowflake::Id;

/// Channels that are named one by one.
const NAMED: usize = 5;

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
