//! From a plan to the processes that carry it out.
//!
//! What each process is told holds its own secrets only: a worker its platform's, a runner its
//! agent's environment, the hub the keys of its links. Nothing goes through arguments or the
//! environment.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use hub::plan as told;
use ipc_schema::LinkSecret;
use monitor::{Links, ProcessSpec, Role, SecretBytes, Timing, Wanted};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use supervisor_config::{
    AgentKind, Auth, DisplayMode, Mode, Plan, Platform, ProgressStyle, Project, RateLimit, Reply,
    Sandbox, Secret, Tool, Users, Workspace,
};

use crate::places::{self, Places};
use crate::volume;

/// The largest file that a spool keeps, bytes: what is larger is refused where it comes in.
const LARGEST_FILE: u64 = 64 << 20;

/// Where the runners keep their state, below the state directory.
pub(crate) const RUNNERS: &str = "runner";

/// Makes processes of plans, for as long as the monitor lives.
pub(crate) struct Growth {
    myself: PathBuf,
    places: Places,
    links: Links,
    /// By peer; made once in the life of a monitor.
    secrets: HashMap<String, [u8; 32]>,
}

impl Growth {
    pub(crate) fn new(myself: PathBuf, places: Places, links: Links) -> Growth {
        Growth {
            myself,
            places,
            links,
            secrets: HashMap::new(),
        }
    }

    /// What a plan wants of the monitor.
    ///
    /// # Errors
    /// As [`Growth::processes`].
    pub(crate) fn wanted(&mut self, plan: &Plan) -> Result<Wanted> {
        Ok(Wanted {
            processes: self.processes(plan)?,
            timing: timing(plan),
        })
    }

    /// The processes of a plan.
    ///
    /// # Errors
    /// If a program is not installed, a secret was not read, or a socket cannot be made.
    fn processes(&mut self, plan: &Plan) -> Result<Vec<ProcessSpec>> {
        let mut peers = Vec::new();
        for project in &plan.projects {
            peers.push(self.runner(plan, project)?);
            for platform in &project.platforms {
                peers.push(self.worker(plan, platform)?);
            }
        }
        let names: Vec<String> = peers.iter().map(|peer| peer.name.clone()).collect();
        let mut processes = vec![self.hub(plan, &names)?];
        self.links
            .retain(|peer| names.iter().any(|name| name == peer));
        processes.append(&mut peers);
        Ok(processes)
    }

    fn hub(&mut self, plan: &Plan, peers: &[String]) -> Result<ProcessSpec> {
        let mut listeners = Vec::new();
        let mut link_secrets = BTreeMap::new();
        for peer in peers {
            listeners.push((hub::run::descriptor(peer), self.links.listener(peer)?));
            link_secrets.insert(peer.clone(), told::Secret::new(&self.secret(peer)?));
        }
        let told = hub_plan(plan, &self.places, link_secrets);
        let fingerprint = fingerprint(plan, &serde_json::to_value(&told)?);
        Ok(ProcessSpec {
            program: self.myself.clone(),
            args: vec!["hub".into()],
            config: Box::new(move |generation| {
                let told = told::Plan {
                    generation,
                    ..told.clone()
                };
                secret(serde_json::to_vec(&told))
            }),
            listeners,
            fingerprint,
            ..self.process(plan, "hub".into(), Role::Hub)
        })
    }

    fn runner(&mut self, plan: &Plan, project: &Project) -> Result<ProcessSpec> {
        let name = project.process_name();
        let program = places::program("agent-runner").context(
            "agent-runner is not installed: it belongs beside bulkhead, from the same release",
        )?;
        let options = runner_options(plan, project, &self.places.state_dir)?;
        self.peer(plan, name, Role::Runner, program, &project.name, options)
    }

    fn worker(&mut self, plan: &Plan, platform: &Platform) -> Result<ProcessSpec> {
        let name = platform.process_name();
        let options = platform.worker_options().map_err(|(option, source)| {
            anyhow!("{name}: {option} could not be read from {source}")
        })?;
        let mut options: Value = serde_json::from_str(options.expose_secret())?;
        if platform.kind == "discord" {
            let largest = u64::from(plan.attachments.max_size_mb) << 20;
            options["max_attachment_bytes"] = largest.clamp(1, LARGEST_FILE).into();
        }
        let program = platform.program.clone();
        self.peer(
            plan,
            name,
            Role::Worker,
            program,
            &platform.instance,
            options,
        )
    }

    fn peer(
        &mut self,
        plan: &Plan,
        name: String,
        role: Role,
        program: PathBuf,
        instance: &str,
        options: Value,
    ) -> Result<ProcessSpec> {
        self.links.listener(&name)?;
        let link = format!("unix:{}", self.links.path(&name).display());
        let root = LinkSecret::new(self.secret(&name)?);
        let told = json!({
            "instance": instance,
            "options": options,
            "log_level": plan.log_level.name(),
        });
        let fingerprint = fingerprint(plan, &told);
        let peer = name.clone();
        Ok(ProcessSpec {
            program,
            args: vec![instance.into(), "--link".into(), link.into()],
            config: Box::new(move |generation| {
                let key = told::hex(&root.key(&peer, generation).0);
                let mut told = told.clone();
                told["generation"] = generation.into();
                told["link_key"] = key.into();
                secret(serde_json::to_vec(&told))
            }),
            listeners: Vec::new(),
            fingerprint,
            ..self.process(plan, name, role)
        })
    }

    /// What every process has.
    fn process(&self, plan: &Plan, name: String, role: Role) -> ProcessSpec {
        let secs = |secs: u32| Duration::from_secs(secs.into());
        ProcessSpec {
            name,
            role,
            program: PathBuf::new(),
            args: Vec::new(),
            env: Vec::new(),
            config: Box::new(|_| SecretBytes::from(Vec::new())),
            listeners: Vec::new(),
            watchdog: plan.supervision.watchdog_secs.map(secs),
            ready_timeout: secs(plan.supervision.ready_timeout_secs),
            drain_timeout: secs(plan.supervision.drain_timeout_secs),
            fingerprint: String::new(),
        }
    }

    fn secret(&mut self, peer: &str) -> Result<[u8; 32]> {
        if let Some(known) = self.secrets.get(peer) {
            return Ok(*known);
        }
        let mut made = [0; 32];
        getrandom::fill(&mut made).map_err(|error| anyhow!("no randomness: {error}"))?;
        self.secrets.insert(peer.to_owned(), made);
        Ok(made)
    }
}

/// What a project's runner is told, the keys of its model and the secrets of its agent's environment
/// included.
///
/// # Errors
/// If one of them was not read.
pub(crate) fn runner_options(plan: &Plan, project: &Project, state_dir: &Path) -> Result<Value> {
    let mut env = serde_json::Map::new();
    let agent = &project.agent;
    let secret = |key: &str, secret: &Secret| match secret.value() {
        Ok(value) => Ok(value.expose_secret().to_owned()),
        Err(source) => Err(anyhow!(
            "project {}: {key} could not be read from {source}",
            project.name
        )),
    };
    for (key, value) in &agent.env {
        let value = secret(&format!("env.{key}"), value)?;
        env.insert(key.clone(), value.into());
    }
    let mut tools = Vec::new();
    for tool in &agent.tools {
        tools.push(tool.runner_options().map_err(|(secret, source)| {
            anyhow!(
                "project {}: the secret {secret} of tool {} could not be read from {source}",
                project.name,
                tool.name
            )
        })?);
    }
    let send_file_max_bytes = match plan.attachments.send {
        true => u64::from(plan.attachments.max_size_mb) << 20,
        false => 0,
    };
    let mut options = json!({
        "kind": kind_name(agent.kind),
        "cmd": agent.cmd,
        "args": agent.args,
        "work_dir": agent.work_dir,
        "mode": agent.mode_name(),
        "model": agent.model,
        "reasoning_effort": agent.reasoning_effort,
        "allowed_tools": agent.allowed_tools,
        "disallowed_tools": agent.disallowed_tools,
        "system_prompt": agent.system_prompt,
        "append_system_prompt": agent.append_system_prompt,
        "max_context_tokens": agent.max_context_tokens,
        "plugin_dirs": agent.plugin_dirs,
        "home_dirs": agent.home_dirs,
        "auth_method": agent.auth_method,
        "env": env,
        "tools": tools,
        "tools_only": agent.tools_only,
        "send_file": agent.send_file,
        "send_file_max_bytes": send_file_max_bytes,
        "idle_close_mins": project.agent_idle_close_mins.unwrap_or(0),
        "turn_idle_timeout_mins": plan.idle_timeout_mins.unwrap_or(0),
        "max_turn_time_mins": agent.timeout_mins.or(plan.max_turn_time_mins).unwrap_or(0),
        "workspace": match agent.workspace {
            Workspace::Shared => "shared",
            Workspace::Worktree => "worktree",
        },
        "max_agents": agent.max_agents.unwrap_or(0),
        "agents_memory_mb": agent.memory_mb.unwrap_or(0),
        "reserve_memory_mb": agent.reserve_memory_mb.unwrap_or(0),
        "state_dir": state_dir.join(RUNNERS).join(&project.name),
        "trust_project": agent.trust_project,
        "persona": agent.persona,
    });
    if let Some(volume) = &agent.volume {
        options["volume"] = json!(volume::path(state_dir, &volume.name));
        options["volume_scope"] = volume.scope.name().into();
    }
    match &agent.auth {
        Auth::Login { token: None } => {}
        Auth::Login { token: Some(token) } => {
            options["oauth_token"] = secret("oauth_token", token)?.into();
        }
        Auth::Key {
            key,
            base_url,
            proxy,
        } => {
            options["api_key"] = secret("api_key", key)?.into();
            options["base_url"] = base_url.as_deref().into();
            let proxy = proxy.as_ref().map(|proxy| secret("proxy", proxy));
            options["proxy"] = proxy.transpose()?.into();
        }
    }
    options["sandbox"] = told_sandbox(agent.sandbox.as_ref())?;
    if let Some(options) = options.as_object_mut() {
        options.retain(|_, value| !value.is_null());
    }
    Ok(options)
}

/// What of a runner's options decides over the operator's tools; no secret is in it.
///
/// # Errors
/// If the sandbox cannot be written down.
pub(crate) fn tool_options(project: &Project, state_dir: &Path) -> Result<Value> {
    let agent = &project.agent;
    let tools: Vec<_> = agent.tools.iter().map(Tool::open_options).collect();
    let mut options = json!({
        "kind": kind_name(agent.kind),
        "cmd": agent.cmd,
        "work_dir": agent.work_dir,
        "home_dirs": agent.home_dirs,
        "state_dir": state_dir.join(RUNNERS).join(&project.name),
        "sandbox": told_sandbox(agent.sandbox.as_ref())?,
        "tools": tools,
    });
    if let Some(volume) = &agent.volume {
        options["volume"] = json!(volume::path(state_dir, &volume.name));
    }
    Ok(options)
}

/// A kind of agent as a runner is told it.
pub(crate) fn kind_name(kind: AgentKind) -> &'static str {
    match kind {
        AgentKind::ClaudeCode => "claudecode",
        AgentKind::Acp => "acp",
        AgentKind::Command => "command",
    }
}

/// A sandbox as a runner is told it.
///
/// # Errors
/// If it cannot be written down.
pub(crate) fn told_sandbox(sandbox: Option<&Sandbox>) -> Result<Value> {
    let Some(sandbox) = sandbox else {
        return Ok("off".into());
    };
    let mut told = serde_json::to_value(sandbox)?;
    if let Some(told) = told.as_object_mut() {
        told.retain(|_, value| !value.is_null());
    }
    Ok(told)
}

/// The monitor's timings as the plan wants them.
fn timing(plan: &Plan) -> Timing {
    let wanted = &plan.supervision;
    Timing {
        backoff_min: Duration::from_millis(wanted.backoff_min_ms.into()),
        backoff_max: Duration::from_millis(wanted.backoff_max_ms.into()),
        steady: Duration::from_secs(wanted.backoff_reset_secs.into()),
        alarm_window: Duration::from_secs(wanted.degraded_window_secs.into()),
        alarm_deaths: wanted.degraded_restarts as usize,
        ..Timing::default()
    }
}

/// What the hub is told: no platform's secret is in it.
fn hub_plan(
    plan: &Plan,
    places: &Places,
    link_secrets: BTreeMap<String, told::Secret>,
) -> told::Plan {
    let project = |project: &Project| told::Project {
        runner: project.process_name(),
        admins: project.admin_from.clone(),
        inject_sender: project.inject_sender,
        style_hint: project.style_hint,
        disabled_commands: project.disabled_commands.clone(),
        users: project.users.as_ref().map(users).unwrap_or_default(),
        reset_on_idle_mins: project.reset_on_idle_mins.unwrap_or(0).into(),
        agent: project.agent.cmd.clone(),
        login: match &project.agent.auth {
            Auth::Login { .. } if project.agent.kind == AgentKind::Acp => told::Login::Own,
            Auth::Login { token: None } => told::Login::Stored,
            Auth::Login { token: Some(_) } => told::Login::Token,
            Auth::Key { .. } => told::Login::Key,
        },
        login_command: login_command(project, &places.state_dir),
        trust_project: (project.agent.kind == AgentKind::ClaudeCode && !project.agent.tools_only)
            .then_some(project.agent.trust_project),
        volume: project
            .agent
            .volume
            .as_ref()
            .map(|volume| volume.name.clone())
            .unwrap_or_default(),
        mode: project.agent.mode_name().to_owned(),
        model: project.agent.model.clone().unwrap_or_default(),
        modes: match project.agent.kind {
            AgentKind::ClaudeCode => Mode::ALL.map(|mode| mode.name().to_owned()).into(),
            AgentKind::Acp | AgentKind::Command => Vec::new(),
        },
        compacts: project.agent.kind != AgentKind::Command,
        history_max_len: project.display.history_max_len,
        footer: footer(project),
        display: told::Display {
            progress: project.display.mode != DisplayMode::Quiet,
            thinking: project.display.thinking_messages,
            thinking_max_len: project.display.thinking_max_len,
            tools: project.display.tool_messages,
            tool_max_len: project.display.tool_max_len,
        },
    };
    let platform = |project: &Project, platform: &Platform| told::Platform {
        kind: platform.kind.clone(),
        project: project.name.clone(),
        language: platform
            .hub
            .language
            .map(|lang| lang.code().to_owned())
            .unwrap_or_default(),
        reply: match platform.hub.reply {
            Reply::Final => told::Reply::Final,
            Reply::All => told::Reply::All,
        },
        pace: plan
            .outgoing_rate_limit
            .pace(&platform.kind)
            .map(|pace| told::Pace {
                max_per_second: pace.max_per_second,
                burst: pace.burst,
            }),
        progress: style(platform),
        max_reply_messages: platform.hub.max_reply_messages,
    };
    told::Plan {
        generation: 0,
        state_dir: plan
            .spool
            .dir
            .clone()
            .unwrap_or_else(|| places.state_dir.join("spool")),
        spool_max_bytes: u64::from(plan.spool.max_size_mb) << 20,
        spool_max_age_ms: u64::from(plan.spool.max_age_days) * 86_400_000,
        runtime_dir: places.runtime_dir.clone(),
        log_level: plan.log_level.name().to_owned(),
        language: plan
            .language
            .map(|lang| lang.code().to_owned())
            .unwrap_or_default(),
        queue_depth: plan.queue.max_depth.into(),
        rate: rate(plan.rate_limit),
        banned_words: plan.banned_words.clone(),
        commands: plan
            .commands
            .iter()
            .map(|command| told::PromptCommand {
                name: command.name.clone(),
                description: command.description.clone(),
                prompt: command.prompt.clone(),
            })
            .collect(),
        aliases: plan
            .aliases
            .iter()
            .map(|alias| {
                (
                    alias.name.trim_start_matches('/').to_owned(),
                    alias.command.clone(),
                )
            })
            .collect(),
        instant_reply: plan
            .instant_reply
            .enabled
            .then(|| plan.instant_reply.content.clone().unwrap_or_default()),
        stream_preview: told::StreamPreview {
            enabled: plan.stream_preview.enabled,
            interval_ms: plan.stream_preview.interval_ms.into(),
            min_delta_chars: plan.stream_preview.min_delta_chars,
            max_chars: plan.stream_preview.max_chars,
        },
        attachments: told::Attachments {
            send: plan.attachments.send,
            max_bytes: u64::from(plan.attachments.max_size_mb) << 20,
        },
        projects: plan
            .projects
            .iter()
            .map(|p| (p.name.clone(), project(p)))
            .collect(),
        platforms: plan
            .projects
            .iter()
            .flat_map(|p| {
                p.platforms
                    .iter()
                    .map(move |at| (at.process_name(), platform(p, at)))
            })
            .collect(),
        link_secrets,
    }
}

/// The line under an answer.
fn footer(project: &Project) -> told::Footer {
    let display = &project.display;
    if !display.reply_footer {
        return told::Footer::default();
    }
    told::Footer {
        model: true,
        context: display.show_context_indicator,
        work_dir: match display.show_workdir_indicator {
            true => places::short(&project.agent.work_dir),
            false => String::new(),
        },
    }
}

/// What logs the agent in. A login is kept where the configuration is, which the agent may write: the
/// program alone would load it, outside of any sandbox, with the commands that the agent put there. So
/// it gets a directory of its own, and only the login is moved.
fn login_command(project: &Project, state_dir: &Path) -> String {
    let agent = &project.agent;
    if agent.kind != AgentKind::ClaudeCode {
        return agent.cmd.clone();
    }
    let dir = match &agent.volume {
        Some(volume) => quoted(&volume::path(state_dir, &volume.name).join(".claude")),
        None => "~/.claude".into(),
    };
    let program = quoted(Path::new(&agent.cmd));
    format!(
        "(d=$(mktemp -d) && cd / && CLAUDE_CONFIG_DIR=$d {program} --setting-sources \"\" auth login && \
         mkdir -p {dir} && mv -T $d/.credentials.json {dir}/.credentials.json)"
    )
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// How a platform shows a turn that runs. One that nobody said anything of gets no message a step.
fn style(platform: &Platform) -> told::Style {
    let chosen = platform.kind == "discord" || platform.options.contains_key("progress_style");
    match platform.hub.progress_style {
        _ if !chosen => told::Style::Bubble,
        ProgressStyle::Legacy => told::Style::Legacy,
        ProgressStyle::Compact => told::Style::Compact,
        ProgressStyle::Card => told::Style::Card,
    }
}

fn users(users: &Users) -> told::Users {
    let roles = users.roles.iter().map(|(name, role)| {
        let role = told::Role {
            user_ids: role.user_ids.clone(),
            disabled_commands: role.disabled_commands.clone(),
            rate: role.rate_limit.map(rate),
        };
        (name.clone(), role)
    });
    told::Users {
        default_role: users.default_role.clone(),
        roles: roles.collect(),
    }
}

fn rate(limit: RateLimit) -> told::Rate {
    told::Rate {
        max_messages: limit.max_messages,
        window_secs: limit.window_secs.into(),
    }
}

/// Tells apart two configurations of a process and of its beat; it never leaves the monitor.
fn fingerprint(plan: &Plan, told: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    told.to_string().hash(&mut hasher);
    plan.supervision.watchdog_secs.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Bytes that are wiped when they are dropped. What cannot be written is empty, and the process
/// says so itself.
fn secret(written: serde_json::Result<Vec<u8>>) -> SecretBytes {
    SecretBytes::from(written.unwrap_or_default())
}

#[cfg(test)]
mod tests;
