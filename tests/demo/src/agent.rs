//! Who answers: an agent that does what it is told, or the person's own Claude Code.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

/// What a Claude Code may need of the person's environment: its login, and the way to its model.
const ITS_OWN: [&str; 12] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_MODEL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CONFIG_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
];

/// The choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    /// The demo's own.
    Fake,
    /// Claude Code.
    Claude,
}

/// The choice made.
#[derive(Debug)]
pub(crate) enum Agent {
    /// The demo's own.
    Fake,
    /// Claude Code.
    Claude {
        /// The program.
        cmd: PathBuf,
        /// Where its login is.
        home: PathBuf,
        /// Variables of the person's that it gets.
        env: Vec<(String, String)>,
    },
}

impl Agent {
    /// Looks for what is needed, before anything is built.
    pub(crate) fn find(who: Who) -> Result<Agent> {
        match who {
            Who::Fake => Ok(Agent::Fake),
            Who::Claude => {
                let cmd = claude().context(
                    "there is no `claude` on PATH. Install Claude Code with `npm install -g \
                     @anthropic-ai/claude-code`, log it in once (`claude`, then /login), and run \
                     this again; or set BULKHEAD_CLAUDE=/path/to/claude",
                )?;
                let home = std::env::home_dir().context("HOME is not set; its login is there")?;
                let env = ITS_OWN
                    .iter()
                    .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
                    .collect();
                Ok(Agent::Claude { cmd, home, env })
            }
        }
    }
}

fn claude() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BULKHEAD_CLAUDE") {
        let named = std::path::absolute(named).ok()?;
        return named.is_file().then_some(named);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("claude"))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
