//! The tables of a platform and its options.

use super::{Kind, LANGUAGE, Table, later, ours, same, table};

const NAME: &str = "the name of this account among those of its type: small letters, digits and `-`, at most 32; default: `main` for the first, then the project's name";
const REPLY: Kind = Kind::Choice(&[("final", "final"), ("all", "all")]);
const REPLY_DOC: &str = "`final` (default): what the agent writes in a turn is one answer, its last block last; `all`: every block is a message of its own";
const MESSAGES: Kind = Kind::Int { min: 1, max: 1000 };
const MESSAGES_DOC: &str =
    "the most messages of one answer, else it comes as a file; default 5, on Weibo no bound";
const LANGUAGE_DOC: &str = "the language on this account, before the one at the top";
const PROGRESS: Kind = Kind::Choice(&[
    ("legacy", "legacy"),
    ("compact", "compact"),
    ("card", "card"),
]);
const PROGRESS_DOC: &str =
    "`legacy` (default): a message a step; `compact`: one edited message; `card`: one edited embed";
const SHARE_DOC: &str = "everyone in a channel shares one session; default false";
const THREAD_DOC: &str = "a thread for each session; default false";
const HTTP: Kind = Kind::Url(&["https", "http"]);

pub(crate) static PLATFORM: Table = table(
    "[[projects.platforms]]",
    &[
        same(
            "type",
            Kind::Text,
            "`discord`, `weibo`, or the name of a plugin: `foo` starts `foo-worker`. Another platform of cc-connect is left out with a warning; required",
        ),
        ours("name", Kind::Text, NAME),
        same(
            "options",
            Kind::PlatformOptions,
            "the platform's options; required",
        ),
    ],
);

pub(crate) static DISCORD: Table = table(
    "[projects.platforms.options] of discord",
    &[
        same("token", Kind::Secret, "the bot's token; required"),
        same(
            "allow_from",
            Kind::Snowflakes { star: true },
            "user ids that may write; empty: only the bot's owner (cc-connect: everyone), `*`: everyone",
        ),
        same(
            "guild_id",
            Kind::Snowflake,
            "the one server that gets the slash menu; empty: all of them",
        ),
        same(
            "group_reply_all",
            Kind::Bool,
            "answer without a mention; default false",
        ),
        same(
            "group_reply_all_guilds",
            Kind::Snowflakes { star: true },
            "answer without a mention in these servers; goes before `group_reply_all`",
        ),
        same("share_session_in_channel", Kind::Bool, SHARE_DOC),
        same("thread_isolation", Kind::Bool, THREAD_DOC),
        same(
            "respond_to_at_everyone_and_here",
            Kind::Bool,
            "`@everyone` and `@here` count as a mention; default false",
        ),
        same("progress_style", PROGRESS, PROGRESS_DOC),
        same(
            "proxy",
            Kind::SecretUrl(&["http", "socks5", "socks5h"]),
            "the only way to Discord: `http://` or `socks5://` (cc-connect: `https://` too)",
        ),
        same("proxy_username", Kind::Text, "the proxy's user"),
        same("proxy_password", Kind::Secret, "the proxy's password"),
        ours(
            "api_base",
            HTTP,
            "Discord's address; default `https://discord.com/api/v10`",
        ),
        ours(
            "allow_roles",
            Kind::Snowflakes { star: false },
            "roles that may write",
        ),
        ours(
            "allow_channels",
            Kind::Snowflakes { star: false },
            "only in these channels and their threads",
        ),
        ours(
            "allow_guilds",
            Kind::Snowflakes { star: false },
            "only in these servers",
        ),
        ours("name", Kind::Text, NAME),
        ours("language", LANGUAGE, LANGUAGE_DOC),
        ours("reply", REPLY, REPLY_DOC),
        ours("max_reply_messages", MESSAGES, MESSAGES_DOC),
        later("reply_hud", "a line on model and context under an answer"),
    ],
);

pub(crate) static WEIBO: Table = table(
    "[projects.platforms.options] of weibo",
    &[
        same("app_id", Kind::Id, "required"),
        same("app_secret", Kind::Secret, "required"),
        same(
            "allow_from",
            Kind::Ids,
            "user ids that may write; empty: only the account's owner (cc-connect: everyone), `*`: everyone",
        ),
        same(
            "token_endpoint",
            HTTP,
            "where the token is fetched; default `https://open-im.api.weibo.com/open/auth/ws_token`",
        ),
        same(
            "ws_endpoint",
            Kind::Url(&["wss", "ws"]),
            "the WebSocket; default `wss://open-im.api.weibo.com/ws/stream` (cc-connect: unencrypted `ws`)",
        ),
        same("name", Kind::Text, NAME),
        ours("language", LANGUAGE, LANGUAGE_DOC),
        ours("reply", REPLY, REPLY_DOC),
        ours("max_reply_messages", MESSAGES, MESSAGES_DOC),
        ours(
            "max_chars",
            Kind::Int {
                min: 100,
                max: 2000,
            },
            "characters of one piece of an answer; default 2000",
        ),
    ],
);

/// Options that mean the same on every platform; a plugin's own pass through beside them.
pub(crate) static PLUGIN: Table = Table {
    header: "[projects.platforms.options] of a plugin",
    keys: &[
        ours("name", Kind::Text, NAME),
        ours("language", LANGUAGE, LANGUAGE_DOC),
        ours("reply", REPLY, REPLY_DOC),
        ours("max_reply_messages", MESSAGES, MESSAGES_DOC),
        ours(
            "progress_style",
            PROGRESS,
            "`legacy`, `compact` or `card`, as far as the platform can; not set: one word that the agent works",
        ),
        ours("share_session_in_channel", Kind::Bool, SHARE_DOC),
        ours("thread_isolation", Kind::Bool, THREAD_DOC),
    ],
    open: true,
};
