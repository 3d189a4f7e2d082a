//! The tables that hold for every project.

use super::project::PROJECT;
use super::{Key, Kind, LANGUAGE, MINUTES, Table, later, never, ours, same, table};

const LENGTH: Kind = Kind::Int {
    min: 0,
    max: 1_000_000,
};
const NO_SHELL: &str =
    "a chat gets no shell; what it may do goes through the agent and its questions";
const NO_LISTENER: &str = "no part of this program listens on a network port";
const NO_SPEECH: &str = "voice is not turned into text or back";

pub(crate) static TOP: Table = table(
    "the top of the file, above the first [table]",
    &[
        same(
            "language",
            LANGUAGE,
            "`en` or `zh`; empty: zh on Weibo, on Discord by the sender's first message. `ja` and `es` get English, `zh-TW` gets zh, with a warning",
        ),
        same(
            "data_dir",
            Kind::Path,
            "the state directory: spool, locks, sessions",
        ),
        same(
            "attachment_send",
            Kind::Choice(&[("on", "on"), ("off", "off")]),
            "`on` (default) or `off`: whether an agent may send files to the chat",
        ),
        same(
            "max_attachment_size_mb",
            Kind::Int { min: 0, max: 1024 },
            "the largest attachment in MiB; default and 0: 50, and never more than 64",
        ),
        same(
            "banned_words",
            Kind::Texts,
            "a message with one of these is refused; case doesn't matter",
        ),
        same(
            "idle_timeout_mins",
            MINUTES,
            "minutes without a sign of the agent after which its turn is ended; default 120, 0 = never",
        ),
        same(
            "max_turn_time_mins",
            MINUTES,
            "the longest turn in minutes; default 0 = no limit",
        ),
        same(
            "quiet",
            Kind::Bool,
            "old form of `mode = \"quiet\"` in `[display]`",
        ),
        same("log", Kind::Table(&LOG), "the log"),
        same(
            "display",
            Kind::Table(&DISPLAY),
            "what the chat sees of a turn",
        ),
        same(
            "stream_preview",
            Kind::Table(&STREAM_PREVIEW),
            "the message that grows while the agent writes",
        ),
        same(
            "rate_limit",
            Kind::Table(&RATE_LIMIT),
            "messages a user may send",
        ),
        same(
            "outgoing_rate_limit",
            Kind::Table(&OUTGOING_RATE_LIMIT),
            "messages that are sent to a platform",
        ),
        same(
            "queue",
            Kind::Table(&QUEUE),
            "messages that wait while a turn runs",
        ),
        same(
            "instant_reply",
            Kind::Table(&INSTANT_REPLY),
            "a word at once, before the answer",
        ),
        same("commands", Kind::Tables(&COMMAND), "your own commands"),
        same("aliases", Kind::Tables(&ALIAS), "other names for commands"),
        same(
            "projects",
            Kind::Tables(&PROJECT),
            "a project: one agent and the platforms it is reached from",
        ),
        ours(
            "supervision",
            Kind::Table(&SUPERVISION),
            "how processes are watched and restarted",
        ),
        ours(
            "spool",
            Kind::Table(&SPOOL),
            "where messages are kept until they are answered",
        ),
        later("cron", "timed prompts"),
        later("hooks", "commands on events"),
        later(
            "providers",
            "model providers shared by projects; set `env` in `[projects.agent.options]` instead",
        ),
        never("shell", NO_SHELL),
        never("shell_profile", NO_SHELL),
        never(
            "workspace_idle_timeout_mins",
            "there are no workspaces; `agent_session_idle_timeout_mins` of a project closes idle agents",
        ),
        never(
            "provider_presets_url",
            "nothing is fetched from the network at start",
        ),
        never("webhook", NO_LISTENER),
        never(
            "bridge",
            "a platform of your own is a worker program: `type = \"foo\"` starts `foo-worker`",
        ),
        never(
            "management",
            "`bulkhead status` and the control sockets take its place",
        ),
        never("relay", "bots do not talk to each other here"),
        never("speech", NO_SPEECH),
        never("tts", NO_SPEECH),
    ],
);

pub(crate) static LOG: Table = table(
    "[log]",
    &[
        same(
            "level",
            Kind::Choice(&[
                ("error", "error"),
                ("warn", "warn"),
                ("warning", "warn"),
                ("info", "info"),
                ("debug", "debug"),
                ("trace", "trace"),
            ]),
            "`error`, `warn`, `info` (default), `debug` or `trace`; what people write is in the log only from `debug` on",
        ),
        never(
            "provider_presets_url",
            "nothing is fetched from the network at start",
        ),
    ],
);

const DISPLAY_KEYS: &[Key] = &[
    same(
        "mode",
        Kind::Choice(&[("full", "full"), ("compact", "compact"), ("quiet", "quiet")]),
        "`full` (default): thinking and tools are shown; `compact`: text only; `quiet`: the answer only",
    ),
    same(
        "thinking_messages",
        Kind::Bool,
        "show thinking; default true, in `compact` and `quiet` false",
    ),
    same(
        "thinking_max_len",
        LENGTH,
        "characters of thinking shown; default 300, 0 = all",
    ),
    same(
        "tool_messages",
        Kind::Bool,
        "show tools; default true, in `compact` and `quiet` false",
    ),
    same(
        "tool_max_len",
        LENGTH,
        "characters of a tool call shown; default 500, 0 = all",
    ),
    same(
        "history_max_len",
        LENGTH,
        "characters of an entry of `/history`; default 1000, 0 = all",
    ),
    same(
        "show_context_indicator",
        Kind::Bool,
        "how full the agent's context is, in the line under an answer; default true",
    ),
    same(
        "reply_footer",
        Kind::Bool,
        "the line under an answer (model, context, work directory); default true",
    ),
    later(
        "hide_agent_footer",
        "takes away a footer that the agent itself writes",
    ),
    never(
        "card_mode",
        "only Feishu has such cards; on Discord use `progress_style = \"card\"`",
    ),
];

/// Stands at the top and, field by field before it, in a project.
pub(crate) static DISPLAY: Table = table("[display]", DISPLAY_KEYS);

pub(crate) static STREAM_PREVIEW: Table = table(
    "[stream_preview]",
    &[
        same("enabled", Kind::Bool, "default true"),
        same(
            "interval_ms",
            Kind::Int {
                min: 0,
                max: 600_000,
            },
            "milliseconds between two edits, at least; default 1500",
        ),
        same(
            "min_delta_chars",
            LENGTH,
            "new characters before an edit, at least; default 30",
        ),
        same("max_chars", LENGTH, "characters shown; default 2000"),
        later(
            "disabled_platforms",
            "switches the preview off for a platform",
        ),
    ],
);

pub(crate) static RATE_LIMIT: Table = table(
    "[rate_limit]",
    &[
        same(
            "max_messages",
            Kind::Int {
                min: 0,
                max: 1_000_000,
            },
            "messages in a window; default 20, 0 = no limit",
        ),
        same(
            "window_secs",
            Kind::Int {
                min: 0,
                max: 86_400,
            },
            "the window in seconds; default 60, 0 = no limit",
        ),
    ],
);

const PER_SECOND: Kind = Kind::Number {
    min: 0.0,
    max: 1000.0,
};
const BURST: Kind = Kind::Int { min: 0, max: 1000 };

pub(crate) static OUTGOING_RATE_LIMIT: Table = table(
    "[outgoing_rate_limit]",
    &[
        same(
            "max_per_second",
            PER_SECOND,
            "messages a second; default 0 = no limit but the platform's own",
        ),
        same(
            "burst",
            BURST,
            "messages at once; default: max_per_second rounded up",
        ),
        same(
            "platforms",
            Kind::Named(&OUTGOING_PLATFORM),
            "the same two keys for one platform",
        ),
    ],
);

pub(crate) static OUTGOING_PLATFORM: Table = table(
    "[outgoing_rate_limit.platforms.TYPE]",
    &[
        same("max_per_second", PER_SECOND, "instead of the one above"),
        same("burst", BURST, "instead of the one above"),
    ],
);

pub(crate) static QUEUE: Table = table(
    "[queue]",
    &[same(
        "max_depth",
        Kind::Int {
            min: 0,
            max: 10_000,
        },
        "messages of a session that may wait; default and 0: 50 (cc-connect: 5)",
    )],
);

pub(crate) static INSTANT_REPLY: Table = table(
    "[instant_reply]",
    &[
        same("enabled", Kind::Bool, "default false"),
        same(
            "content",
            Kind::Text,
            "what is said; empty: a word in the user's language",
        ),
    ],
);

const NO_EXEC: &str = "a chat must not run shell commands; write a `prompt` for the agent";

pub(crate) static COMMAND: Table = table(
    "[[commands]]",
    &[
        same("name", Kind::Text, "`/name` in the chat; required"),
        same("description", Kind::Text, "what `/help` says of it"),
        same(
            "prompt",
            Kind::Text,
            "what the agent is asked; `{{1}}`, `{{2*}}`, `{{args}}`, `{{1:default}}` take the user's words; required",
        ),
        never("exec", NO_EXEC),
        never("work_dir", NO_EXEC),
    ],
);

pub(crate) static ALIAS: Table = table(
    "[[aliases]]",
    &[
        same("name", Kind::Text, "the first word of a message; required"),
        same(
            "command",
            Kind::Text,
            "the command it stands for, such as `/help`; required",
        ),
    ],
);

pub(crate) static SUPERVISION: Table = table(
    "[supervision]",
    &[
        ours(
            "backoff_min_ms",
            Kind::Int {
                min: 10,
                max: 60_000,
            },
            "the shortest wait before a restart in milliseconds; default 200",
        ),
        ours(
            "backoff_max_ms",
            Kind::Int {
                min: 100,
                max: 3_600_000,
            },
            "the longest; default 60000",
        ),
        ours(
            "backoff_reset_secs",
            Kind::Int {
                min: 1,
                max: 86_400,
            },
            "seconds of health after which the wait starts small again; default 60",
        ),
        ours(
            "ready_timeout_secs",
            Kind::Int { min: 1, max: 600 },
            "seconds in which a process must say that it is ready; default 30",
        ),
        ours(
            "watchdog_secs",
            Kind::Int { min: 0, max: 600 },
            "a sign of life is due this often, three missed ones end the process; default 10, 0 = off",
        ),
        ours(
            "drain_timeout_secs",
            Kind::Int { min: 1, max: 600 },
            "seconds a process has to finish when it is stopped; default 20",
        ),
        ours(
            "degraded_restarts",
            Kind::Int { min: 1, max: 1000 },
            "this many restarts within the next key raise an alarm; default 5",
        ),
        ours(
            "degraded_window_secs",
            Kind::Int {
                min: 1,
                max: 86_400,
            },
            "default 600",
        ),
    ],
);

pub(crate) static SPOOL: Table = table(
    "[spool]",
    &[
        ours("dir", Kind::Path, "default: `spool` in the state directory"),
        ours(
            "max_size_mb",
            Kind::Int {
                min: 64,
                max: 1_048_576,
            },
            "the largest spool in MiB; above it new messages are answered with \"try later\"; default 2048",
        ),
        ours(
            "max_age_days",
            Kind::Int { min: 1, max: 3650 },
            "days that finished messages are kept; default 30",
        ),
    ],
);
