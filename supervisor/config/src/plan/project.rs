//! A project, its agent and its platforms.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Display, Lang, RateLimit};
use crate::secrets::{Secret, SecretSource};

/// One agent and the platforms it is reached from.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name: letters, digits, `-`, `_`, `.`; unique, whatever the case.
    pub name: String,
    /// Ids that may use the commands that change a project; `*` = all who may write.
    pub admin_from: Vec<String>,
    /// Commands it doesn't have, in small letters and without `/`; `*` = all.
    pub disabled_commands: Vec<String>,
    /// Silence after which a message starts a new session.
    pub reset_on_idle_mins: Option<u32>,
    /// Silence after which the agent's process is closed, to be resumed later.
    pub agent_idle_close_mins: Option<u32>,
    /// Tell the agent who writes; none: where several people share a session.
    pub inject_sender: Option<bool>,
    /// Tell the agent how to write for the platform.
    pub style_hint: bool,
    /// The user the agent is to run as. Checked; this version doesn't apply it.
    pub run_as_user: Option<String>,
    /// What the chat sees, this project's wishes put in.
    pub display: Display,
    /// Roles, if there are any.
    pub users: Option<Users>,
    /// The agent.
    pub agent: Agent,
    /// Where it is reached; at least one.
    pub platforms: Vec<Platform>,
}

impl Project {
    /// The name of its runner's process.
    pub fn process_name(&self) -> String {
        format!("runner-{}", self.name)
    }
}

/// The roles of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// The role of whoever is in none.
    pub default_role: Option<String>,
    /// By name; at least one.
    pub roles: BTreeMap<String, Role>,
}

/// What people of a role may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Who has it; `*` = everyone without another one.
    pub user_ids: Vec<String>,
    /// Commands it doesn't have, in small letters and without `/`; `*` = all.
    pub disabled_commands: Vec<String>,
    /// Instead of the general limit.
    pub rate_limit: Option<RateLimit>,
}

/// How an agent is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// Claude Code over stream-json.
    ClaudeCode,
    /// The Agent Client Protocol.
    Acp,
    /// Any program: the prompt on stdin, the reply on stdout.
    Command,
}

impl AgentKind {
    /// Its `type` in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claudecode",
            Self::Acp => "acp",
            Self::Command => "command",
        }
    }
}

/// What an agent may do without a question, in Claude Code's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum Mode {
    Default,
    AcceptEdits,
    Plan,
    Auto,
    BypassPermissions,
    DontAsk,
}

impl Mode {
    /// Every one.
    pub const ALL: [Mode; 6] = [
        Mode::Default,
        Mode::AcceptEdits,
        Mode::Plan,
        Mode::Auto,
        Mode::BypassPermissions,
        Mode::DontAsk,
    ];

    /// Its name on Claude Code's command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::AcceptEdits => "acceptEdits",
            Self::Plan => "plan",
            Self::Auto => "auto",
            Self::BypassPermissions => "bypassPermissions",
            Self::DontAsk => "dontAsk",
        }
    }
}

/// A directory that outlives sessions and is an agent's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name: letters, digits, `-`, `_`, `.`, no `.` first, at most 64.
    pub name: String,
    /// Whose it is.
    pub scope: VolumeScope,
}

/// Whose a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeScope {
    /// All sessions share it.
    Project,
    /// Each session has one of its own in it.
    Session,
}

impl VolumeScope {
    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Session => "session",
        }
    }
}

/// How an agent gets at its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// By a login of its own, which it can read.
    Login {
        /// A token of `claude setup-token`; none: what the agent's program keeps for its user.
        token: Option<Secret>,
    },
    /// By a key that stays with the runner.
    Key {
        /// The key.
        key: Secret,
        /// Where the model's API is; none: the usual place.
        base_url: Option<String>,
        /// A proxy on the way there; may hold a password.
        proxy: Option<Secret>,
    },
}

/// Where the sessions of a project work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workspace {
    /// All in its work directory.
    Shared,
    /// Each in a git worktree of its own.
    Worktree,
}

/// The agent of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// How it is driven.
    pub kind: AgentKind,
    /// The program: a bare name for PATH, or a whole path.
    pub cmd: String,
    /// Its arguments, before those that the runner adds.
    pub args: Vec<String>,
    /// The directory it works in: a whole path.
    pub work_dir: PathBuf,
    /// What it may do without a question.
    pub mode: Mode,
    /// What was written of that, for an agent that has modes of its own; none: nothing.
    pub own_mode: Option<String>,
    /// The model; none: its own choice.
    pub model: Option<String>,
    /// `low`, `medium`, `high` or `max`.
    pub reasoning_effort: Option<String>,
    /// Tools that need no question.
    pub allowed_tools: Vec<String>,
    /// Tools it doesn't have.
    pub disallowed_tools: Vec<String>,
    /// Instead of its own system prompt.
    pub system_prompt: Option<String>,
    /// After the system prompt.
    pub append_system_prompt: Option<String>,
    /// The size of its context, for the indicator.
    pub max_context_tokens: Option<u32>,
    /// Directories of plugins: whole paths.
    pub plugin_dirs: Vec<PathBuf>,
    /// Where it keeps what is its own, below its home, as far as that is known.
    pub home_dirs: Vec<String>,
    /// More environment. Any value may be a key.
    pub env: BTreeMap<String, Secret>,
    /// How it gets at its model.
    pub auth: Auth,
    /// How an agent that asks for it is logged in, by its own id of the method.
    pub auth_method: Option<String>,
    /// Load the project's own settings, hooks, servers, commands and skills.
    pub trust_project: bool,
    /// The directory that is its home, if it has one.
    pub volume: Option<Volume>,
    /// A file with its persona, in the volume or else in the work dir.
    pub persona: Option<String>,
    /// Its longest turn in minutes; none: the general one.
    pub timeout_mins: Option<u32>,
    /// What it may see and reach; none: everything that its user may.
    pub sandbox: Option<Sandbox>,
    /// Where its sessions work.
    pub workspace: Workspace,
    /// The most processes at a time; none: as many as there is memory for.
    pub max_agents: Option<u32>,
    /// The most memory of all its processes together, MiB.
    pub memory_mb: Option<u32>,
    /// What must be left of the machine's memory when another starts, MiB.
    pub reserve_memory_mb: Option<u32>,
    /// The operator's tools, each with a name of its own.
    pub tools: Vec<Tool>,
    /// It has these tools and nothing else.
    pub tools_only: bool,
    /// It has the tool that sends files of its work directory to the chat.
    pub send_file: bool,
}

/// A tool of the operator's for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// How the agent calls it.
    pub name: String,
    /// What the agent reads of it.
    pub description: String,
    /// JSON Schema of its input, an object's; none: it takes no input.
    pub input: Option<serde_json::Value>,
    /// What a call does.
    pub does: ToolDoes,
    /// Its secrets, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// How long a call may take.
    pub timeout_secs: u32,
    /// How much of its answer the agent gets.
    pub max_output_bytes: u32,
}

/// What a call of a tool does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolDoes {
    /// Runs a program: a bare name for PATH or a whole path, then its arguments.
    Command(Vec<String>),
    /// Asks an address.
    Http {
        /// Where; `{NAME}` is a secret.
        url: String,
        /// `POST`, `GET`, `PUT`, `PATCH` or `DELETE`.
        method: String,
        /// More headers; `{NAME}` is a secret.
        headers: BTreeMap<String, String>,
    },
}

impl Tool {
    /// What the runner is told of it, its secrets included.
    ///
    /// # Errors
    /// The first secret that was not read, and its source.
    pub fn runner_options(&self) -> Result<serde_json::Value, (&str, &SecretSource)> {
        let mut secrets = serde_json::Map::new();
        for (name, secret) in &self.secrets {
            let value = secret.value().map_err(|source| (name.as_str(), source))?;
            secrets.insert(name.clone(), value.expose_secret().into());
        }
        let mut options = self.open_options();
        options["secrets"] = secrets.into();
        Ok(options)
    }

    /// The same without its secrets: enough to look at.
    pub fn open_options(&self) -> serde_json::Value {
        let mut options = serde_json::json!({
            "name": self.name,
            "description": self.description,
            "timeout_secs": self.timeout_secs,
            "max_output_bytes": self.max_output_bytes,
        });
        match &self.does {
            ToolDoes::Command(command) => options["command"] = serde_json::json!(command),
            ToolDoes::Http {
                url,
                method,
                headers,
            } => {
                options["http"] =
                    serde_json::json!({"url": url, "method": method, "headers": headers});
            }
        }
        if let Some(input) = &self.input {
            options["input"] = input.clone();
        }
        options
    }
}

impl Agent {
    /// What its runner calls the mode.
    pub fn mode_name(&self) -> &str {
        match (&self.own_mode, self.kind) {
            (Some(own), AgentKind::Acp) => own,
            _ => self.mode.name(),
        }
    }
}

/// What an agent may see and reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// `landlock` or `bubblewrap`; none: the runner's default.
    pub mode: Option<String>,
    /// `full`, `ports` or `none`; none: the runner's default.
    pub network: Option<String>,
    /// TCP ports that are open with `ports`.
    pub ports: Vec<u16>,
    /// What more may be read: whole paths.
    pub read: Vec<PathBuf>,
    /// What more may be changed: whole paths.
    pub write: Vec<PathBuf>,
    /// `git`, `rust`, `node`, `python`.
    pub presets: Vec<String>,
    /// The data of each process at most, MiB.
    pub memory_mb: Option<u32>,
    /// Processes and threads at most.
    pub processes: Option<u32>,
    /// Open files of each process at most.
    pub open_files: Option<u32>,
}

/// What becomes of the blocks of text that an agent writes in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// One answer: all of them, the last one last.
    Final,
    /// Each is an answer of its own.
    All,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressStyle {
    /// A message a step.
    Legacy,
    /// One edited message.
    Compact,
    /// One edited embed.
    Card,
}

/// What the hub must know of a platform account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubOptions {
    /// The language on this account, before the plan's.
    pub language: Option<Lang>,
    /// What becomes of the blocks of a turn.
    pub reply: Reply,
    /// The most messages of one reply; none: the hub's own bound.
    pub max_reply_messages: Option<u32>,
    /// How progress is shown.
    pub progress_style: ProgressStyle,
    /// Everyone in a channel shares a session.
    pub share_session_in_channel: bool,
    /// A thread for each session.
    pub thread_isolation: bool,
    /// The longest piece of an answer in characters; none: the worker's word.
    pub max_chars: Option<u32>,
}

/// One account on one platform: one worker process.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// `discord`, `weibo`, or a plugin's name.
    pub kind: String,
    /// Its name among the accounts of its kind: small letters, digits, `-`.
    pub instance: String,
    /// The worker's program.
    pub program: PathBuf,
    /// The worker's options as they were written, without secrets, without what is empty and without
    /// what is the hub's alone (`name`, `language`, `reply`, `max_reply_messages`). Lists of ids are
    /// arrays of strings, whichever way they were written. Defaults are the worker's.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// Options that are secrets, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// What the hub must know.
    pub hub: HubOptions,
}

impl Platform {
    /// The name of its worker's process, such as `discord-main`.
    pub fn process_name(&self) -> String {
        format!("{}-{}", self.kind, self.instance)
    }

    /// The worker's options with its secrets put in, as JSON: what goes to the worker alone.
    ///
    /// # Errors
    /// The first option whose secret was not read, and its source.
    pub fn worker_options(&self) -> Result<SecretString, (&str, &SecretSource)> {
        let mut options = self.options.clone();
        for (name, secret) in &self.secrets {
            let value = secret.value().map_err(|source| (name.as_str(), source))?;
            options.insert(name.clone(), value.expose_secret().into());
        }
        Ok(serde_json::Value::Object(options).to_string().into())
    }
}
