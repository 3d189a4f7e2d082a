//! `bulkhead check`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use supervisor_config::{Checked, Plan, SecretMode, Severity, check_file};

use crate::Where;
use crate::places::{self, Places};
use crate::tree;

/// Bad configuration, of sysexits.
pub(crate) const BAD_CONFIG: u8 = 78;

/// Prints every problem; 78 if one is an error.
pub(crate) fn check(
    config: Option<PathBuf>,
    without_secrets: bool,
    at: &Where,
) -> Result<ExitCode> {
    let config = places::config(config);
    let mode = if without_secrets {
        SecretMode::Placeholders
    } else {
        SecretMode::Resolve
    };
    let checked = read(&config, mode, at);
    for problem in &checked.problems {
        eprintln!("{problem}");
    }
    if let Some(plan) = &checked.plan {
        let mut unanswered = None;
        let wrong = tools(plan, at, &mut unanswered)?;
        if !wrong.is_empty() {
            for problem in &wrong {
                eprintln!("{}: error: {problem}", config.display());
            }
            eprintln!(
                "{}: {} to mend before it can run",
                config.display(),
                wrong.len()
            );
            return Ok(ExitCode::from(BAD_CONFIG));
        }
        if !without_secrets {
            for lack in lacks(plan, &mut unanswered)? {
                eprintln!("{}: warning: {lack}", config.display());
            }
        }
        if let Some(why) = unanswered {
            eprintln!("{}: warning: {why}", config.display());
        }
    }
    Ok(match checked.plan {
        Some(plan) => {
            let projects = plan.projects.len();
            let accounts: usize = plan.projects.iter().map(|p| p.platforms.len()).sum();
            // Without secrets it is `run` that asks, and starts.
            let next = match without_secrets {
                true => String::new(),
                false => format!(" Start with: bulkhead run --config {}", config.display()),
            };
            eprintln!(
                "{}: good. Projects: {projects}, chat accounts: {accounts}.{next}",
                config.display()
            );
            ExitCode::SUCCESS
        }
        None => {
            let errors = checked
                .problems
                .iter()
                .filter(|p| p.severity == Severity::Error)
                .count();
            eprintln!("{}: {errors} to mend before it can run", config.display());
            ExitCode::from(BAD_CONFIG)
        }
    })
}

/// The longest that a runner's words on one project are, bytes.
const WORDS: usize = 64 * 1024;
/// The longest that a line on why it failed is, characters.
const LINE: usize = 200;

/// What a runner says of the operator's tools, whose inputs and places it alone can judge.
/// `unanswered`: see [`ask_runner`].
fn tools(plan: &Plan, at: &Where, unanswered: &mut Option<String>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let state_dir = at.state_dir.clone().or_else(|| plan.state_dir.clone());
    let places = Places::new(state_dir, at.runtime_dir.clone());
    for project in &plan.projects {
        if project.agent.tools.is_empty() {
            continue;
        }
        let about = tree::tool_options(project, &places.state_dir)?;
        let told = ask_runner("--check", &about, unanswered)?;
        problems.extend(
            told.iter()
                .map(|line| format!("project {}: agent.{line}", project.name)),
        );
    }
    Ok(problems)
}

/// What this machine lacks for the agents' sandboxes, which a runner knows. It is no mistake of the
/// configuration, and its runner says it again: a sandbox that cannot be closed is none. `unanswered`: see
/// [`ask_runner`].
fn lacks(plan: &Plan, unanswered: &mut Option<String>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for project in &plan.projects {
        let sandbox = tree::told_sandbox(project.agent.sandbox.as_ref())?;
        let kind = tree::kind_name(project.agent.kind);
        let about = json!({"kind": kind, "sandbox": sandbox});
        let told = ask_runner("--lacks", &about, unanswered)?;
        all.extend(
            told.iter()
                .map(|line| format!("project {}: agent.sandbox: {line}", project.name)),
        );
    }
    Ok(all)
}

/// The lines with which a runner answers a question; if it fails without one, `unanswered` says so.
/// No secret is in what it is asked.
fn ask_runner(
    question: &str,
    about: &Value,
    unanswered: &mut Option<String>,
) -> Result<Vec<String>> {
    let Some(program) = places::program("agent-runner") else {
        // Whoever starts it says so.
        return Ok(Vec::new());
    };
    match ask(&program, question, about)? {
        Ok(lines) => Ok(lines),
        Err(why) => {
            *unanswered = Some(why);
            Ok(Vec::new())
        }
    }
}

/// The lines, or why there are none.
fn ask(program: &Path, question: &str, about: &Value) -> Result<Result<Vec<String>, String>> {
    let mut runner = Command::new(program)
        .arg(question)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start agent-runner for its check")?;
    if let Some(mut stdin) = runner.stdin.take() {
        // One that does not read says why, or is no runner of this release.
        let _ = stdin.write_all(about.to_string().as_bytes());
    }
    let output = runner.wait_with_output()?;
    let words = output.stdout.get(..WORDS).unwrap_or(&output.stdout);
    let words = String::from_utf8_lossy(words);
    let told = words.lines().filter(|line| !line.trim().is_empty());
    let told: Vec<String> = told.map(str::to_owned).collect();
    if !told.is_empty() || output.status.success() {
        return Ok(Ok(told));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr.lines().next().unwrap_or("without a word");
    let line: String = line.chars().take(LINE).collect();
    let (program, status) = (program.display(), output.status);
    Ok(Err(format!(
        "{program} {question} failed ({status}: {line}), so what it would have said is not checked. Is it \
         of the same release as bulkhead? If it is, `bulkhead doctor` may tell more"
    )))
}

/// Reads and checks a configuration on this machine. `at`: the directories as they were named.
pub(crate) fn read(config: &Path, mode: SecretMode, at: &Where) -> Checked {
    check_file(config, &places::surroundings(mode, at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says so by failing")]

    use super::*;

    #[test]
    fn a_runner_that_fails_without_a_word_has_not_answered() {
        let asked = |program: &str| ask(Path::new(program), "--lacks", &json!({})).unwrap();
        assert_eq!(asked("/bin/echo"), Ok(vec!["--lacks".to_owned()]));
        let why = asked("/bin/false").unwrap_err();
        assert!(why.starts_with("/bin/false --lacks failed (exit status: 1: without a word)"));
    }
}
