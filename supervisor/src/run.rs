//! `bulkhead run`: from a configuration to a running tree.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use monitor::{Claim, TreeSpec};
use supervisor_config::{Plan, SecretMode};
use worker_kit::life::log;

use crate::Where;
use crate::check::{self, BAD_CONFIG};
use crate::places::{self, Places};
use crate::tree::Growth;

pub(crate) fn run(config: Option<PathBuf>, at: &Where) -> Result<ExitCode> {
    let config = places::config(config);
    let config = std::path::absolute(&config).unwrap_or(config);
    // What a stranger may have written is parsed for the first time in a process of its own, which
    // has no secrets yet and ends with its findings.
    let (good, _) = validate(&config, at, Stdio::inherit())?;
    if !good {
        return Ok(ExitCode::from(BAD_CONFIG));
    }
    let Some(plan) = resolved(&config, at) else {
        return Ok(ExitCode::from(BAD_CONFIG));
    };
    log::start(
        "bulkhead monitor",
        &["monitor", "bulkhead"],
        plan.log_level.name(),
    );

    let state_dir = at.state_dir.clone().or_else(|| plan.state_dir.clone());
    let places = Places::new(state_dir, at.runtime_dir.clone());
    let claim = Claim::take(&places.state_dir, &places.runtime_dir)?;
    let myself = std::env::current_exe().context("cannot find this program's own file")?;
    let projects = plan.projects.len();
    let mut growth = Growth::new(myself.clone(), places, claim.links());
    let wanted = growth.wanted(&plan)?;
    let at = at.clone();
    let reload = Box::new(move || {
        let (good, words) = validate(&config, &at, Stdio::piped()).map_err(|e| format!("{e:#}"))?;
        if !good {
            return Err(format!("nothing was changed:\n{words}"));
        }
        let checked = check::read(&config, SecretMode::Resolve, &at);
        let words = || {
            let lines: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
            format!("nothing was changed:\n{}", lines.join("\n"))
        };
        let plan = checked.plan.as_ref().ok_or_else(words)?;
        growth
            .wanted(plan)
            .map_err(|error| format!("nothing was changed: {error:#}"))
    });
    let spec = TreeSpec {
        claim,
        launcher: (myself, vec!["launch".into()]),
        wanted,
        projects,
        reload,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, monitor::run(spec))?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Whether the configuration is good, as a child says that has read no secret, and what it says.
fn validate(config: &Path, at: &Where, words: Stdio) -> Result<(bool, String)> {
    let mut check = Command::new(std::env::current_exe()?);
    check
        .args(["check", "--without-secrets", "--config"])
        .arg(config);
    let named = [
        ("--state-dir", &at.state_dir),
        ("--runtime-dir", &at.runtime_dir),
    ];
    for (option, dir) in named {
        if let Some(dir) = dir {
            check.arg(option).arg(dir);
        }
    }
    let output = check
        .stdin(Stdio::null())
        .stderr(words)
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("cannot start the check of the configuration")?;
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok((output.status.success(), words))
}

/// The plan with its secrets. Anything new that is wrong (an unset variable, an absent file) is
/// printed.
fn resolved(config: &Path, at: &Where) -> Option<Plan> {
    let checked = check::read(config, SecretMode::Resolve, at);
    if checked.plan.is_none() {
        for problem in &checked.problems {
            eprintln!("{problem}");
        }
    }
    checked.plan
}
