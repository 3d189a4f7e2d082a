//! Configurations for tests: text, as an operator would write it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What answers.
#[derive(Debug, Clone)]
pub enum Agent {
    /// The Claude Code protocol: the fake, or the real command line.
    ClaudeCode {
        /// The program.
        cmd: PathBuf,
        /// Its environment beside the allowed.
        env: Vec<(String, String)>,
    },
    /// An agent that speaks ACP: the fake, or a real one.
    Acp {
        /// The program.
        cmd: PathBuf,
        /// Its arguments.
        args: Vec<String>,
        /// Its environment beside the allowed.
        env: Vec<(String, String)>,
    },
    /// Any program.
    Command {
        /// The program.
        cmd: PathBuf,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// One project on one or two platforms.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The agent.
    pub agent: Agent,
    /// `api_base` and token, if it is on Discord.
    pub discord: Option<(String, String)>,
    /// `token_endpoint`, `ws_endpoint`, app id and secret, if it is on Weibo.
    pub weibo: Option<(String, String, String, String)>,
    /// Lines at the top of the file.
    pub top: String,
    /// Lines of `[[projects]]`.
    pub project: String,
    /// Lines of `[projects.agent]`.
    pub agent_table: String,
    /// Answers have the line of figures under them, as they have where nobody says otherwise.
    pub footer: bool,
    /// Lines of `[projects.agent.options]`.
    pub agent_options: String,
    /// Lines of Discord's `[projects.platforms.options]`.
    pub discord_options: String,
    /// Lines of Weibo's `[projects.platforms.options]`.
    pub weibo_options: String,
    /// Tables at the end of the file, such as a platform of one's own.
    pub platforms: String,
    /// A directory that is looked at for programs before those of PATH.
    pub path: Option<PathBuf>,
    /// Variables of the environment that the monitor is started in.
    pub env: Vec<(String, String)>,
    /// The home of every process; absent: an empty one of the tree's own.
    pub home: Option<PathBuf>,
}

impl Setup {
    /// A project that is on no platform yet.
    pub fn new(agent: Agent) -> Setup {
        Setup {
            agent,
            discord: None,
            weibo: None,
            top: String::new(),
            project: String::new(),
            agent_table: String::new(),
            footer: false,
            agent_options: String::new(),
            discord_options: String::new(),
            weibo_options: String::new(),
            platforms: String::new(),
            path: None,
            env: Vec::new(),
            home: None,
        }
    }

    /// The file's text.
    pub fn config(&self, work_dir: &Path) -> String {
        let mut text = format!(
            "{}\n[[projects]]\nname = \"demo\"\n{}\n",
            self.top, self.project
        );
        if !self.footer {
            text.push_str("reply_footer = false\n");
        }
        let (kind, cmd) = match &self.agent {
            Agent::ClaudeCode { cmd, .. } => ("claudecode", cmd),
            Agent::Acp { cmd, .. } => ("acp", cmd),
            Agent::Command { cmd, .. } => ("command", cmd),
        };
        let _ = write!(
            text,
            "[projects.agent]\ntype = \"{kind}\"\n{}\n[projects.agent.options]\nwork_dir = {}\ncmd = {}\n{}\n",
            self.agent_table,
            quoted(work_dir),
            quoted(cmd),
            self.agent_options
        );
        if let Agent::Acp { args, .. } | Agent::Command { args, .. } = &self.agent {
            let args: Vec<String> = args.iter().map(quoted).collect();
            let _ = writeln!(text, "args = [{}]", args.join(", "));
        }
        if let Agent::ClaudeCode { env, .. } | Agent::Acp { env, .. } = &self.agent {
            let env: Vec<String> = env
                .iter()
                .map(|(name, value)| format!("{name} = {}", quoted(value)))
                .collect();
            let _ = writeln!(text, "env = {{ {} }}", env.join(", "));
        }
        if let Some((api_base, token)) = &self.discord {
            let _ = write!(
                text,
                "[[projects.platforms]]\ntype = \"discord\"\n[projects.platforms.options]\n\
                 token = {}\napi_base = {}\n{}\n",
                quoted(token),
                quoted(api_base),
                self.discord_options
            );
        }
        if let Some((token_endpoint, ws_endpoint, id, secret)) = &self.weibo {
            let _ = write!(
                text,
                "[[projects.platforms]]\ntype = \"weibo\"\n[projects.platforms.options]\n\
                 app_id = {}\napp_secret = {}\ntoken_endpoint = {}\nws_endpoint = {}\n{}\n",
                quoted(id),
                quoted(secret),
                quoted(token_endpoint),
                quoted(ws_endpoint),
                self.weibo_options
            );
        }
        text.push_str(&self.platforms);
        text
    }
}

/// A TOML string.
fn quoted(value: impl AsRef<std::ffi::OsStr>) -> String {
    serde_json::to_string(&value.as_ref().to_string_lossy()).expect("a string can be quoted")
}
