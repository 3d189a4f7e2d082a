//! The options of one bot, and every problem that they can have.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use worker_kit::OptionProblem;
use worker_kit::options::{Kind, check_keys};

use crate::access::People;
use crate::gateway::budget::WINDOW_MS;
use crate::snowflake::Id;

/// Where Discord is.
const API_BASE: &str = "https://discord.com/api/v10";
/// The longest text of a message, in code points.
const LONGEST_TEXT: u32 = 2000;
/// The largest file that is taken if nothing else is said, and that can be, bytes. A file is in
/// memory as a whole.
const USUAL_FILE: u64 = 25 << 20;
const LARGEST_FILE: u64 = 64 << 20;

const KEYS: &[(&str, Kind)] = &[
    ("token", Kind::Required),
    ("allow_from", Kind::Texts),
    ("allow_roles", Kind::Texts),
    ("allow_channels", Kind::Texts),
    ("allow_guilds", Kind::Texts),
    ("guild_id", Kind::Text),
    ("group_reply_all", Kind::Switch),
    ("group_reply_all_guilds", Kind::Texts),
    ("share_session_in_channel", Kind::Switch),
    ("thread_isolation", Kind::Switch),
    ("respond_to_at_everyone_and_here", Kind::Switch),
    ("progress_style", Kind::Text),
    ("reply_hud", Kind::Switch),
    (
        "proxy",
        Kind::Address(&["http://", "socks5://", "socks5h://"]),
    ),
    ("proxy_username", Kind::Text),
    ("proxy_password", Kind::Text),
    ("api_base", Kind::Address(&["https://", "http://"])),
    ("max_chars", Kind::Number(100, LONGEST_TEXT as i64)),
    ("max_attachment_bytes", Kind::Number(1, LARGEST_FILE as i64)),
    ("timing", Kind::Table(TIMING)),
];

const TIMING: &[(&str, Kind)] = &[
    ("reconnect_ms", Kind::Number(1, 60_000)),
    ("connect_ms", Kind::Number(1, 60_000)),
    ("hello_ms", Kind::Number(1, 60_000)),
    ("probe_ms", Kind::Number(1, 600_000)),
    ("identify_ms", Kind::Number(1, 600_000)),
];

/// One text with commas, or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Default for Texts {
    fn default() -> Texts {
        Texts::Many(Vec::new())
    }
}

impl Texts {
    fn pieces(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        };
        let pieces = texts.iter().flat_map(|text| text.split([',', '，']));
        pieces.map(str::trim).filter(|piece| !piece.is_empty())
    }

    fn ids(&self) -> BTreeSet<Id> {
        self.pieces()
            .filter_map(|piece| piece.parse().ok())
            .collect()
    }

    fn people(&self) -> People {
        People {
            everyone: self.pieces().any(|piece| piece == "*"),
            ids: self.ids(),
        }
    }
}

/// Waits that are Discord's business and no user's; shorter ones keep tests quick.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Timing {
    /// The shortest wait before a reconnect, milliseconds.
    pub(crate) reconnect_ms: u64,
    /// How long a connection to REST or through a proxy may take to stand, milliseconds.
    pub(crate) connect_ms: u64,
    /// How long a connection may stay without a Hello, milliseconds.
    pub(crate) hello_ms: u64,
    /// How often a missing intent is asked after, milliseconds.
    pub(crate) probe_ms: u64,
    /// The window within which Discord takes few IDENTIFYs, milliseconds.
    pub(crate) identify_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            reconnect_ms: 1_000,
            connect_ms: 10_000,
            hello_ms: 15_000,
            probe_ms: 60_000,
            identify_ms: WINDOW_MS,
        }
    }
}

/// The options of one bot. `progress_style` and `reply_hud` are accepted and read elsewhere, if at
/// all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    pub(crate) token: SecretString,
    allow_from: Texts,
    allow_roles: Texts,
    allow_channels: Texts,
    allow_guilds: Texts,
    guild_id: Texts,
    group_reply_all: bool,
    group_reply_all_guilds: Texts,
    share_session_in_channel: bool,
    pub(crate) thread_isolation: bool,
    respond_to_at_everyone_and_here: bool,
    pub(crate) proxy: Option<SecretString>,
    pub(crate) proxy_username: String,
    pub(crate) proxy_password: SecretString,
    api_base: Option<String>,
    max_chars: Option<u32>,
    max_attachment_bytes: Option<u64>,
    pub(crate) timing: Timing,
}

impl Options {
    /// Discord's address, without a slash at its end.
    pub(crate) fn api_base(&self) -> &str {
        self.api_base
            .as_deref()
            .unwrap_or(API_BASE)
            .trim_end_matches('/')
    }

    /// The longest text of one message, in code points.
    pub(crate) fn text_limit(&self) -> u32 {
        self.max_chars
            .unwrap_or(LONGEST_TEXT)
            .clamp(100, LONGEST_TEXT)
    }

    /// The largest file that is taken, bytes.
    pub(crate) fn max_attachment_bytes(&self) -> u64 {
        self.max_attachment_bytes
            .unwrap_or(USUAL_FILE)
            .clamp(1, LARGEST_FILE)
    }

    /// Whether Discord's address is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        let rest = self.api_base().strip_prefix("http://");
        rest.is_some_and(is_loopback)
    }

    /// The one server that gets the slash menu.
    pub(crate) fn menu_guild(&self) -> Option<Id> {
        self.guild_id.ids().into_iter().next()
    }

    /// Who may talk to the agent, and where.
    pub(crate) fn rules(&self) -> crate::access::Rules {
        crate::access::Rules {
            people: self.allow_from.people(),
            roles: self.allow_roles.ids(),
            channels: self.allow_channels.ids(),
            guilds: self.allow_guilds.ids(),
        }
    }

    /// What counts as being spoken to, and who shares a conversation.
    pub(crate) fn habits(&self) -> crate::intake::Habits {
        let guilds = self.group_reply_all_guilds.people();
        crate::intake::Habits {
            reply_all: self.group_reply_all,
            reply_all_guilds: (guilds != People::default()).then_some(guilds),
            everyone_counts: self.respond_to_at_everyone_and_here,
            share_in_channel: self.share_session_in_channel,
            threads: self.thread_isolation,
        }
    }
}

/// Every problem of the options.
pub(crate) fn check(options: &Value) -> Vec<OptionProblem> {
    let mut problems = check_keys(options, KEYS);
    let text = |key: &str| options.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut problem = |key: &str, words: String| problems.push(OptionProblem::new(key, words));
    for (key, star) in [
        ("allow_from", true),
        ("allow_roles", false),
        ("allow_channels", false),
        ("allow_guilds", false),
        ("group_reply_all_guilds", true),
        ("guild_id", false),
    ] {
        let value = options.get(key).cloned().unwrap_or_default();
        let Ok(texts) = serde_json::from_value::<Texts>(value) else {
            continue;
        };
        let wrong = |piece: &str| piece.parse::<Id>().is_err() && !(star && piece == "*");
        if let Some(place) = texts.pieces().position(wrong) {
            let or_star = if star { ", or \"*\" for everyone" } else { "" };
            let words = format!(
                "entry {} is no id: an id is digits only (in Discord: Settings > Advanced > \
                 Developer Mode, then right-click > Copy ID){or_star}",
                place + 1
            );
            problem(key, words);
        }
    }
    let token = text("token").trim();
    if token.starts_with("Bot ") {
        problem("token", "is to be written without `Bot ` before it".into());
    } else if token.contains(|c: char| c.is_whitespace() || !c.is_ascii_graphic()) {
        problem(
            "token",
            "has blanks or strange characters in it; copy it again".into(),
        );
    } else if token.len() > 500 {
        problem("token", "is too long for a token; copy it again".into());
    }
    if !["", "legacy", "compact", "card"].contains(&text("progress_style")) {
        problem(
            "progress_style",
            "is \"legacy\", \"compact\" or \"card\"".into(),
        );
    }
    if let Some(rest) = text("api_base").strip_prefix("http://")
        && !is_loopback(rest)
    {
        problem(
            "api_base",
            "would send the token unencrypted; write https://".into(),
        );
    }
    problems
}

/// Whether an address without its scheme stays on this machine.
fn is_loopback(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let four = host
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|ip| ip.is_loopback());
    four || host == "localhost" || host == "[::1]"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_is_told_and_no_value_is_quoted() {
        let bad = json!({"token": "Bot canary", "allow_from": ["1", "canary"], "allow_roles": "*",
            "api_base": "http://canary.example", "proxy": "https://canary", "progress_style": "canary",
            "guild_id": "canary", "alow_from": "1"});
        let problems: Vec<_> = check(&bad).iter().map(ToString::to_string).collect();
        let keys: Vec<_> = problems
            .iter()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        let expected = [
            "alow_from",
            "proxy",
            "allow_from",
            "allow_roles",
            "guild_id",
            "token",
            "progress_style",
            "api_base",
        ];
        assert_eq!(keys, expected);
        assert!(!problems.join("\n").contains("canary"), "{problems:?}");
        assert!(problems[0].contains("allow_from") && problems[2].contains("entry 2"));
    }

    #[test]
    fn good_options_are_read_as_they_were_meant() {
        let good = json!({"token": "a.b.c", "allow_from": "1, 2，*", "allow_channels": ["5"],
            "group_reply_all_guilds": ["7"], "api_base": "http://127.0.0.1:9/api/v10/", "max_chars": 300,
            "thread_isolation": true, "progress_style": "card", "reply_hud": true});
        assert_eq!(check(&good), []);
        let options: Options = serde_json::from_value(good).unwrap();
        assert_eq!(options.api_base(), "http://127.0.0.1:9/api/v10");
        assert_eq!(options.text_limit(), 300);
        let rules = options.rules();
        assert!(rules.people.everyone && rules.people.ids.len() == 2);
        assert_eq!(rules.channels, BTreeSet::from([Id(5)]));
        assert!(options.habits().reply_all_guilds.is_some());
        assert!(!format!("{options:?}").contains("a.b.c"));
    }
}
