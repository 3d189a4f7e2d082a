//! Tools, run for real, and the log that counts their runs.
//!
//! Promises: every run leaves one line in the log before anything else happens, so a tool that ran twice stands there twice;
//! `Bash` runs in a process group of its own, as the real one's does.
//! Does not: undo anything.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fake_model::script::ToolCall;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::process::Command;

use crate::turn::Outcome;

/// The log's name in the working directory; `FAKE_CLAUDE_TOOL_LOG` names another file.
pub const TOOL_LOG: &str = ".fake-claude-tools.jsonl";

/// One run of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolRun {
    /// The tool.
    pub tool: String,
    /// Its input.
    pub input: Value,
    /// The prompt of the turn that it ran in.
    pub prompt: String,
    /// The process that ran it.
    pub pid: u32,
}

/// Every run that the log of a working directory holds.
///
/// # Errors
/// The log is there and cannot be read.
pub fn tool_runs(work_dir: &Path) -> io::Result<Vec<ToolRun>> {
    match fs::read_to_string(work_dir.join(TOOL_LOG)) {
        Ok(log) => log
            .lines()
            .map(|line| serde_json::from_str(line).map_err(io::Error::other))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A tool on its way.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<tokio::process::Child>,
    outcome: Option<Outcome>,
}

/// Ends a tool and its children that stayed in its group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group(Pid);

impl Group {
    pub(crate) fn kill(self) {
        // It may be gone already, which is as good.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Writes the run down and begins it.
pub(crate) fn start(
    call: &ToolCall,
    prompt: &str,
    cwd: &Path,
    log: &Path,
) -> (Running, Option<Group>) {
    let done = |text: String, failed: bool| {
        (
            Running {
                child: None,
                outcome: Some(Outcome { text, failed }),
            },
            None,
        )
    };
    if let Err(error) = write_down(call, prompt, log) {
        return done(format!("the log of tools cannot be written: {error}"), true);
    }
    let path = || -> PathBuf { cwd.join(call.input["file_path"].as_str().unwrap_or_default()) };
    match call.name.as_str() {
        "Bash" => match bash(call, cwd) {
            Ok(child) => {
                let group = child
                    .id()
                    .and_then(|id| i32::try_from(id).ok())
                    .map(|id| Group(Pid::from_raw(id)));
                (
                    Running {
                        child: Some(child),
                        outcome: None,
                    },
                    group,
                )
            }
            Err(error) => done(format!("bash cannot be started: {error}"), true),
        },
        "Write" => match fs::write(path(), call.input["content"].as_str().unwrap_or_default()) {
            Ok(()) => done(format!("{} is written.", path().display()), false),
            Err(error) => done(error.to_string(), true),
        },
        "Read" => match fs::read_to_string(path()) {
            Ok(text) => done(text, false),
            Err(error) => done(error.to_string(), true),
        },
        name => done(format!("{name} is done."), false),
    }
}

fn bash(call: &ToolCall, cwd: &Path) -> io::Result<tokio::process::Child> {
    Command::new("bash")
        .arg("-c")
        // As in the real one, what goes to stderr stands with the rest.
        .arg(format!(
            "exec 2>&1\n{}",
            call.input["command"].as_str().unwrap_or_default()
        ))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
}

fn write_down(call: &ToolCall, prompt: &str, log: &Path) -> io::Result<()> {
    let run = ToolRun {
        tool: call.name.clone(),
        input: call.input.clone(),
        prompt: prompt.to_owned(),
        pid: std::process::id(),
    };
    let mut line = serde_json::to_vec(&run)?;
    line.push(b'\n');
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)?
        .write_all(&line)
}

impl Running {
    /// What it comes to.
    pub(crate) async fn finish(self) -> Outcome {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        let Some(child) = self.child else {
            return Outcome {
                text: String::new(),
                failed: false,
            };
        };
        match child.wait_with_output().await {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout)
                    .trim_end()
                    .to_owned();
                match output.status.code() {
                    Some(0) if said.is_empty() => Outcome {
                        text: "(Bash completed with no output)".to_owned(),
                        failed: false,
                    },
                    Some(0) => Outcome {
                        text: said,
                        failed: false,
                    },
                    Some(code) => Outcome {
                        text: format!("Exit code {code}\n{said}").trim_end().to_owned(),
                        failed: true,
                    },
                    None => Outcome {
                        text: "Exit code 137".to_owned(),
                        failed: true,
                    },
                }
            }
            Err(error) => Outcome {
                text: error.to_string(),
                failed: true,
            },
        }
    }
}
