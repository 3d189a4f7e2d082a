//! How the process begins: options, environment, session.
//!
//! Promises: what is wrong is said in the words of the real one, with its exit code.
//! Does not: read settings.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::engine::Facts;
use crate::file::{anywhere, session_file};
use crate::lines::{Stamp, lossy};
use crate::options::{Options, Refused, Session, parse};
use crate::run::Process;
use crate::version::Version;

/// Plays the agent; gives the exit code.
///
/// # Errors
/// The process cannot be set up: no home, no working directory, no signals.
pub async fn run() -> io::Result<i32> {
    let args: Vec<String> = env::args().skip(1).collect();
    let version = match env::var("FAKE_CLAUDE_AS") {
        Ok(name) => Version::named(&name).map_err(io::Error::other)?,
        Err(_) => Version::default(),
    };
    let begun = parse(&args, version.number()).and_then(|options| Begun::new(options, version));
    match begun {
        Ok(begun) => Process::run(begun, args).await,
        Err(refused) => {
            let mut out = io::stdout();
            for (to, text) in [
                (&mut out as &mut dyn io::Write, &refused.stdout),
                (&mut io::stderr(), &refused.stderr),
            ] {
                if !text.is_empty() {
                    writeln!(to, "{text}")?;
                }
            }
            Ok(refused.code)
        }
    }
}

/// A process that may begin.
pub(crate) struct Begun {
    pub(crate) facts: Facts,
    /// The configuration directory.
    pub(crate) config: PathBuf,
    /// The session file.
    pub(crate) path: PathBuf,
    pub(crate) resumed: bool,
}

impl Begun {
    fn new(options: Options, version: Version) -> Result<Self, Refused> {
        let set = |name: &str| {
            env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
        };
        if options.mode == "bypassPermissions" && is_root() && !set("IS_SANDBOX") {
            return Err(Refused::saying(
                "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            ));
        }
        let cwd = env::current_dir()
            .map_err(|error| Refused::saying(format!("no working directory: {error}")))?;
        let config = env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".claude")));
        let config =
            config.ok_or_else(|| Refused::saying("neither CLAUDE_CONFIG_DIR nor HOME is set"))?;
        let (session, path, resumed) = match &options.session {
            Session::New(id) => {
                let path = session_file(&config, &cwd, id);
                if path.exists() {
                    return Err(Refused::saying(format!(
                        "Error: Session ID {id} is already in use."
                    )));
                }
                (id.clone(), path, false)
            }
            Session::Resume(id) => {
                let here = Some(session_file(&config, &cwd, id)).filter(|path| path.is_file());
                let found =
                    here.or_else(|| anywhere(&config, id).filter(|_| version.resumes_anywhere()));
                (
                    id.clone(),
                    found.ok_or_else(|| missing(id, &cwd, version))?,
                    true,
                )
            }
        };
        let facts = Facts {
            stamp: Stamp {
                session,
                cwd: lossy(&cwd),
                version,
            },
            options,
            tells_state: set("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"),
            eager: set("CLAUDE_CODE_EAGER_FLUSH"),
            resumes_turns: set("CLAUDE_CODE_RESUME_INTERRUPTED_TURN"),
            retries: env::var("CLAUDE_CODE_MAX_RETRIES")
                .ok()
                .and_then(|n| n.parse().ok())
                .unwrap_or(10),
            key: key(&config),
            cwd,
        };
        Ok(Self {
            facts,
            config,
            path,
            resumed,
        })
    }
}

fn missing(id: &str, cwd: &Path, version: Version) -> Refused {
    let words = format!("No conversation found with session ID: {id}");
    let stamp = Stamp {
        session: id.to_owned(),
        cwd: lossy(cwd),
        version,
    };
    let result = stamp.result(
        json!({ "subtype": "error_during_execution", "is_error": true, "num_turns": 0,
        "stop_reason": null, "errors": [words] }),
    );
    Refused {
        code: 1,
        stdout: result.to_string(),
        stderr: words,
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where a key is found. With `FAKE_CLAUDE_LOGIN=checked` the fake looks where the real one looks; without, it is logged in.
fn key(config: &Path) -> Option<&'static str> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("ANTHROPIC_API_KEY") {
        return Some("ANTHROPIC_API_KEY");
    }
    let other = [
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    ];
    let stored = config.join(".credentials.json").is_file();
    let checked = env::var("FAKE_CLAUDE_LOGIN").is_ok_and(|login| login == "checked");
    (other.iter().any(|name| set(name)) || stored || !checked).then_some("none")
}
