//! A tool that is a program: started with the tool's secrets and nothing of the agent's, and ended with
//! everything that it started, however the wait for it ends.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::mcp::Said;
use super::options::ToolOptions;
use super::said::{Output, Veil};
use crate::process::sweep::Claim;
use crate::process::{launch, reader};

/// How long what a tool started is killed again and again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long its pipes may stay open after its end: it may have left somebody behind who holds them.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a call has beside its tool.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The program's environment, but for its secrets.
    pub environment: BTreeMap<String, String>,
    /// What everything bears that it starts.
    pub claim: Claim,
    /// This very program, which becomes the tool's.
    pub launcher: PathBuf,
    /// Processes that are waited for here, so that nobody else reaps them.
    pub programs: Arc<Mutex<HashSet<i32>>>,
}

/// Ends what a tool started, however the wait for it ends.
struct Ending(Claim, Arc<Mutex<HashSet<i32>>>);

impl Ending {
    fn new(around: Surroundings, program: Option<u32>) -> Ending {
        let agent = program.map(u32::cast_signed);
        if let (Some(pid), Ok(mut programs)) = (agent, around.programs.lock()) {
            programs.insert(pid);
        }
        let claim = Claim {
            agent,
            ..around.claim
        };
        Ending(claim, around.programs)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let claim = std::mem::take(&mut self.0);
        if let (Some(pid), Ok(mut programs)) = (claim.agent, self.1.lock()) {
            programs.remove(&pid);
        }
        let end = move || {
            let left = claim.end(false, PATIENCE);
            if !left.is_empty() {
                tracing::warn!(?left, "processes of a tool do not end");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}

/// Runs the program of a tool.
pub(super) async fn execute(
    tool: &ToolOptions,
    input: &Value,
    around: Surroundings,
    veil: &Veil,
) -> Said {
    let Some((program, arguments)) = tool.command.split_first() else {
        return Said::failed(format!("{} has no program", tool.name));
    };
    // By way of ourselves, so that it dies with the runner. To be called on the runtime's own thread:
    // it dies with the thread that started it.
    let mut command = tokio::process::Command::new(&around.launcher);
    command
        .arg(launch::TOOL_FLAG)
        .arg(std::process::id().to_string())
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(&around.environment)
        // Not the work directory: what the agent writes there is not to be found by the program.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, secret) in &tool.secrets {
        command.env(name, secret.expose_secret());
    }
    // Last: it is how what the program starts is found and ended.
    command.env(crate::process::sweep::MARK, &around.claim.mark);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(tool = tool.name, %error, "a tool cannot be started");
            return Said::failed(format!("{} cannot be started: {error}", tool.name));
        }
    };
    let _ending = Ending::new(around, child.id());
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let line = format!("{input}\n");
    let give = async move {
        if let Some(stdin) = &mut stdin {
            // A program that reads nothing has no use for it.
            let _ = stdin.write_all(line.as_bytes()).await;
        }
        drop(stdin);
    };
    let mut output = Output::new(tool.max_output_bytes, veil);
    let mut complaint = Vec::new();
    let status = {
        let hear = output.read(stdout);
        let mind = tail(stderr, &mut complaint);
        let talk = async { tokio::join!(give, hear, mind) };
        tokio::pin!(talk);
        tokio::select! {
            _ = &mut talk => child.wait().await,
            status = child.wait() => {
                let _ = timeout(LAST_WORDS, talk).await;
                status
            }
        }
    };
    let complaint = veil.cover_tail(&complaint);
    let code = match status {
        Ok(status) if status.success() => {
            return Said {
                text: output.text(),
                failed: false,
            };
        }
        Ok(status) => match complaint.strip_prefix(launch::FAILED) {
            Some(why) if status.code() == Some(launch::FAILURE.into()) => {
                tracing::warn!(tool = tool.name, why, "a tool cannot be started");
                return Said::failed(format!("{} cannot be started: {}", tool.name, why.trim()));
            }
            _ => status.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let parts = [
        output.text(),
        complaint.trim().to_owned(),
        format!("({code})"),
    ];
    Said::failed(
        parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

async fn tail(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut chunk = [0; 4096];
    while let Ok(n) = from.read(&mut chunk).await
        && n > 0
    {
        reader::keep_tail(into, chunk.get(..n).unwrap_or_default());
    }
}
