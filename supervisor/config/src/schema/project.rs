//! The tables of a project and its agent.

use super::platform::PLATFORM;
use super::top::{DISPLAY, RATE_LIMIT};
use super::{Kind, MINUTES, Table, later, never, ours, same, table};

const NO_SHELL: &str =
    "a chat gets no shell; what it may do goes through the agent and its questions";
const NO_TMUX: &str = "a chat must not type into a terminal";
const NO_BACKEND: &str = "Codex is driven over ACP, by `codex-acp`";
const NO_WRAPPER: &str = "write the arguments into `cmd` or `args`";

/// Agents of cc-connect that have no preset: a project with one is left out. Most of them speak the
/// Agent Client Protocol, so `acp` with their command line drives them.
pub(crate) static RESERVED_AGENTS: &[&str] = &[
    "antigravity",
    "copilot",
    "cursor",
    "devin",
    "iflow",
    "kimi",
    "pi",
    "qoder",
    "reasonix",
    "tmux",
];

pub(crate) static PROJECT: Table = table(
    "[[projects]]",
    &[
        same(
            "name",
            Kind::Text,
            "required, once; letters, digits, `-`, `_` and `.`, at most 64",
        ),
        same(
            "admin_from",
            Kind::Ids,
            "ids that may use the commands that change a project; empty: the account's owner, `*`: everyone who may write",
        ),
        same(
            "disabled_commands",
            Kind::Texts,
            "commands that this project doesn't have; `*`: all",
        ),
        same(
            "reset_on_idle_mins",
            MINUTES,
            "minutes of silence after which a message starts a new session; default 30, 0 = never",
        ),
        same(
            "agent_session_idle_timeout_mins",
            MINUTES,
            "minutes of silence after which the agent's process is closed, to be resumed at the next message; default 15 (cc-connect: never), 0 = never",
        ),
        same(
            "inject_sender",
            Kind::Bool,
            "tell the agent who writes; default: where several people share a session",
        ),
        same(
            "show_context_indicator",
            Kind::Bool,
            "as in `[projects.display]`",
        ),
        same(
            "show_workdir_indicator",
            Kind::Bool,
            "the work directory in the footer; default true",
        ),
        same("reply_footer", Kind::Bool, "as in `[projects.display]`"),
        same(
            "run_as_user",
            Kind::Text,
            "the user that the agent is to run as; so far it runs as the user who starts bulkhead",
        )
        .without_effect(),
        same(
            "quiet",
            Kind::Bool,
            "old form of `mode = \"quiet\"` in `[projects.display]`",
        ),
        ours(
            "style_hint",
            Kind::Bool,
            "tell the agent how to write for the platform; default true",
        ),
        same(
            "display",
            Kind::Table(&DISPLAY),
            "the keys of `[display]` for this project alone",
        ),
        same("users", Kind::Table(&USERS), "roles"),
        same("agent", Kind::Table(&AGENT), "the agent; required"),
        same(
            "platforms",
            Kind::Tables(&PLATFORM),
            "where it is reached; at least one",
        ),
        later(
            "mode",
            "many workspaces in one project; write a project for each",
        ),
        later(
            "base_dir",
            "many workspaces in one project; write a project for each",
        ),
        later("run_as_env", "variables that pass to `run_as_user`"),
        later(
            "filter_external_sessions",
            "hides sessions that were started outside the chat",
        ),
        later("heartbeat", "regular prompts"),
        later("auto_compress", "compresses the context by itself"),
        never(
            "observe",
            "sessions of a terminal are not copied into a chat",
        ),
        never(
            "references",
            "file references are left as the agent writes them",
        ),
        never("skip_git", "there are no workspaces"),
        never(
            "workspace_init_allow_local_paths",
            "there are no workspaces",
        ),
        never(
            "workspace_idle_timeout_mins",
            "there are no workspaces; see `agent_session_idle_timeout_mins`",
        ),
        never("shell", NO_SHELL),
        never("shell_profile", NO_SHELL),
    ],
);

pub(crate) static USERS: Table = table(
    "[projects.users]",
    &[
        same(
            "default_role",
            Kind::Text,
            "the role of whoever is in none; default `member`, if there is one",
        ),
        same("roles", Kind::Named(&ROLE), "the roles"),
    ],
);

pub(crate) static ROLE: Table = table(
    "[projects.users.roles.NAME]",
    &[
        same(
            "user_ids",
            Kind::Ids,
            "who has this role; `*`: everyone without another one; required",
        ),
        same(
            "disabled_commands",
            Kind::Texts,
            "commands that this role doesn't have; `*`: all",
        ),
        same(
            "rate_limit",
            Kind::Table(&RATE_LIMIT),
            "the keys of `[rate_limit]` for this role",
        ),
    ],
);

pub(crate) static AGENT: Table = table(
    "[projects.agent]",
    &[
        same(
            "type",
            Kind::Text,
            "`claudecode`; `acp`: any agent that speaks the Agent Client Protocol, with its command line in `cmd`, and its presets `codex`, `gemini`, `opencode`; or ours: `command`, any program with the prompt on stdin and the reply on stdout; required. A project with another agent of cc-connect is left out with a warning",
        ),
        same(
            "options",
            Kind::AgentOptions,
            "the agent's options; required",
        ),
        ours(
            "sandbox",
            Kind::TableOr(&SANDBOX, &[("off", "off")]),
            "what the agent may see and reach; without it an agent is in a sandbox all the same, with the defaults. `\"off\"`: none, and `status` says so",
        ),
        ours(
            "workspace",
            Kind::Choice(&[("shared", "shared"), ("worktree", "worktree")]),
            "`shared` (default): all sessions work in `work_dir`; `worktree`: each has a git worktree and a branch `bulkhead/SESSION` of its own, in `.bulkhead/worktrees` of `work_dir`",
        ),
        ours(
            "max_agents",
            Kind::Int {
                min: 0,
                max: 10_000,
            },
            "the most agent processes of this project at a time; idle ones make room, and who finds none waits in order; default 0: as many as there is memory for",
        ),
        ours(
            "agents_memory_mb",
            Kind::Int {
                min: 0,
                max: 1 << 30,
            },
            "the most memory in MiB that the agents of this project, with all that they started, may have when another is to start; default 0: no bound of their own",
        ),
        ours(
            "reserve_memory_mb",
            Kind::Int {
                min: 0,
                max: 1 << 30,
            },
            "what must be left of the machine's memory in MiB when another agent is to start; default 512, 0: it is not looked at",
        ),
        ours(
            "tools",
            Kind::Tables(&TOOL),
            "tools of your own for the agent: see [tools.md](tools.md)",
        ),
        ours(
            "tools_only",
            Kind::Bool,
            "the agent has your tools and nothing else: no shell, no files, no network; needs `auth = \"key\"`; default false",
        ),
        ours(
            "send_file",
            Kind::Bool,
            "whether the agent has the tool `send_file`, with which anybody who talks to it can have any file of `work_dir`; default true, with `tools_only` false",
        ),
        later(
            "provider_refs",
            "providers by name; set `env` in the options instead",
        ),
        later(
            "providers",
            "model providers; set `env` in the options instead",
        ),
    ],
);

pub(crate) static TOOL: Table = table(
    "[[projects.agent.tools]]",
    &[
        ours(
            "name",
            Kind::Text,
            "how the agent calls it: letters, digits, `-` and `_`, at most 48; required",
        ),
        ours(
            "description",
            Kind::Text,
            "what it does and when to use it, for the agent to read; required",
        ),
        ours(
            "input",
            Kind::Schema,
            "JSON Schema of its input, as a table or as `{ file = \"/whole/path.json\" }`; default: no input",
        ),
        ours(
            "command",
            Kind::Command,
            "the program and its arguments: the input as JSON on stdin, the answer on stdout; this or `http`",
        ),
        ours(
            "http",
            Kind::Table(&TOOL_HTTP),
            "an address to ask instead of a program",
        ),
        ours(
            "secrets",
            Kind::Secrets,
            "names and secrets: variables of the program alone, or what stands for `{NAME}` in `http`",
        ),
        ours(
            "timeout_secs",
            Kind::Int { min: 1, max: 3600 },
            "how long a call may take, seconds; default 60",
        ),
        ours(
            "max_output_bytes",
            Kind::Int {
                min: 1,
                max: 1_048_576,
            },
            "how much of its answer the agent gets, bytes; default 65536",
        ),
    ],
);

pub(crate) static TOOL_HTTP: Table = table(
    "[projects.agent.tools.http]",
    &[
        ours(
            "url",
            Kind::Text,
            "where, `https://…` or `http://…`; `{NAME}` is a secret; required",
        ),
        ours(
            "method",
            Kind::Choice(&[
                ("post", "POST"),
                ("get", "GET"),
                ("put", "PUT"),
                ("patch", "PATCH"),
                ("delete", "DELETE"),
            ]),
            "`POST` (default), `PUT` or `PATCH`: the input as JSON in the body; `GET` or `DELETE`: in the address",
        ),
        ours(
            "headers",
            Kind::Headers,
            "more headers, names and texts; `{NAME}` is a secret",
        ),
    ],
);

pub(crate) static SANDBOX: Table = table(
    "[projects.agent.sandbox]",
    &[
        ours(
            "mode",
            Kind::Choice(&[("landlock", "landlock"), ("bubblewrap", "bubblewrap")]),
            "`landlock` (default), or `bubblewrap` where that is installed",
        ),
        ours(
            "network",
            Kind::Choice(&[("full", "full"), ("ports", "ports"), ("none", "none")]),
            "`full` (default), `ports` (TCP to `ports` and to the model), or `none` (the model on this machine's loopback and nothing else)",
        ),
        ours(
            "ports",
            Kind::Ports,
            "the ports of `network = \"ports\"`, such as `[443]`",
        ),
        ours(
            "read",
            Kind::Paths,
            "files and directories that the agent may read, and run programs of",
        ),
        ours(
            "write",
            Kind::Paths,
            "files and directories that the agent may change",
        ),
        ours(
            "presets",
            Kind::Texts,
            "what programs of a kind need: `git`, `rust`, `node`, `python`",
        ),
        ours(
            "memory_mb",
            Kind::Int {
                min: 64,
                max: 1 << 24,
            },
            "the data of each process at most, MiB",
        ),
        ours(
            "processes",
            Kind::Int {
                min: 8,
                max: 1 << 22,
            },
            "processes and threads at most",
        ),
        ours(
            "open_files",
            Kind::Int {
                min: 64,
                max: 1 << 20,
            },
            "open files of each process at most",
        ),
    ],
);

pub(crate) static AGENT_OPTIONS: Table = table(
    "[projects.agent.options]",
    &[
        same(
            "work_dir",
            Kind::Path,
            "the directory it works in: whole path, must exist; required",
        ),
        same(
            "mode",
            Kind::Mode(&[
                ("default", "default"),
                ("acceptedits", "acceptEdits"),
                ("edit", "acceptEdits"),
                ("plan", "plan"),
                ("auto", "auto"),
                ("bypasspermissions", "bypassPermissions"),
                ("yolo", "bypassPermissions"),
                ("dontask", "dontAsk"),
            ]),
            "`default`, `acceptEdits` (`edit`), `plan`, `auto`, `bypassPermissions` (`yolo`) or `dontAsk`; of `acp` and its presets also a mode by the agent's own name",
        ),
        same(
            "model",
            Kind::Text,
            "the model; empty: the agent's own choice",
        ),
        same(
            "cmd",
            Kind::Command,
            "the program, with arguments if need be; default `claude`, or the preset's program; required for `acp` and `command`",
        ),
        same("cli_path", Kind::Command, "old name of `cmd`"),
        same("command", Kind::Command, "old name of `cmd`"),
        same("args", Kind::Texts, "more arguments"),
        same(
            "reasoning_effort",
            Kind::Choice(&[
                ("low", "low"),
                ("medium", "medium"),
                ("med", "medium"),
                ("high", "high"),
                ("max", "max"),
            ]),
            "`low`, `medium`, `high` or `max`",
        ),
        same("allowed_tools", Kind::Texts, "tools that need no question"),
        same(
            "disallowed_tools",
            Kind::Texts,
            "tools that it doesn't have",
        ),
        same(
            "system_prompt",
            Kind::Text,
            "instead of the agent's own system prompt",
        ),
        same(
            "append_system_prompt",
            Kind::Text,
            "after the system prompt",
        ),
        same(
            "max_context_tokens",
            Kind::Int {
                min: 0,
                max: 100_000_000,
            },
            "the size of the context, for the indicator; 0: the agent's word",
        ),
        same(
            "plugin_dir",
            Kind::Paths,
            "a directory of plugins, or a list",
        ),
        same(
            "env",
            Kind::Env,
            "variables of the agent's environment; their values are treated as secrets",
        ),
        ours(
            "auth",
            Kind::Choice(&[("login", "login"), ("key", "key")]),
            "`login`: the agent's own login, or `oauth_token`; it can read either. `key`: `api_key`, which stays with the runner; default `key` if there is an `api_key`, else `login`",
        ),
        ours(
            "api_key",
            Kind::Secret,
            "the model's key; the agent calls the model through its runner, which adds it",
        ),
        ours(
            "oauth_token",
            Kind::Secret,
            "a token of `claude setup-token`, for `auth = \"login\"`; the agent can read it",
        ),
        ours(
            "base_url",
            Kind::Url(&["https", "http"]),
            "where the model's API is, for `auth = \"key\"`; default `https://api.anthropic.com`",
        ),
        ours(
            "proxy",
            Kind::SecretUrl(&["http", "https"]),
            "an HTTP proxy on the way there, for `auth = \"key\"`",
        ),
        ours(
            "trust_project",
            Kind::Bool,
            "load the project's own settings, hooks, `.mcp.json`, commands and skills; default false: of its files only `CLAUDE.md` is read",
        ),
        ours(
            "volume",
            Kind::Text,
            "the name of a directory that is kept as the agent's home: configuration, memory, history",
        ),
        ours(
            "volume_scope",
            Kind::Choice(&[("project", "project"), ("session", "session")]),
            "`project` (default): all sessions share the volume; `session`: each has one of its own in it",
        ),
        ours(
            "persona",
            Kind::Text,
            "a file of the volume, or else of the work dir, that is appended to the system prompt",
        ),
        same(
            "auth_method",
            Kind::Text,
            "how an `acp` agent that asks for it is logged in, by the agent's own id of the method",
        ),
        same(
            "timeout_mins",
            MINUTES,
            "the longest turn of this agent in minutes; default 0 = `max_turn_time_mins`",
        ),
        later(
            "router_url",
            "a router between agent and model; set `ANTHROPIC_BASE_URL` in `env` instead",
        ),
        later("router_api_key", "see `router_url`"),
        later("provider", "picks a provider"),
        later("display_name", "the name of an `acp` agent"),
        never("codex_home", "set `CODEX_HOME` in `env` instead"),
        never("backend", NO_BACKEND),
        never("app_server_url", NO_BACKEND),
        never("cmd_args_flag", NO_WRAPPER),
        never("cli_args_flag", NO_WRAPPER),
        never("session", NO_TMUX),
        never("pane", NO_TMUX),
        never("auto_create", NO_TMUX),
        never("init_command", NO_TMUX),
        never("startup_wait_ms", NO_TMUX),
        never("prompt_pattern", NO_TMUX),
        never("poll_interval_ms", NO_TMUX),
        never("strip_input_block", NO_TMUX),
        never("strip_patterns", NO_TMUX),
        never("window_per_session", NO_TMUX),
        never("shell", NO_TMUX),
    ],
);
