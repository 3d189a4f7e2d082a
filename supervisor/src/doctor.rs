//! `bulkhead doctor`: everything that has to be right, examined for real, with what to do about what
//! is not.
//!
//! This machine is looked at here ([`machine`]); accounts and agents by the programs that speak to
//! them, each with its own secrets on its stdin. It works beside a running tree and disturbs nothing.

pub(crate) mod machine;
mod report;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::SystemTime;

use anyhow::Result;
use secrecy::SecretString;
use supervisor_config::{Checked, Plan, Platform, Project, SecretMode, Severity};
use worker_kit::Finding;
use worker_kit::doctor::{Line, Manner, Verdict};

use crate::Where;
use crate::check;
use crate::examine::{Examined, Go, Subject, examine};
use crate::places::{self, Places};
use crate::tree::runner_options;
use report::Report;

pub(crate) use report::shown;

/// Prints what is found; 1 if something has failed.
pub(crate) fn doctor(
    config: Option<PathBuf>,
    offline: bool,
    json: bool,
    at: &Where,
) -> Result<ExitCode> {
    let config = places::config(config);
    let checked = check::read(&config, SecretMode::Resolve, at);
    let plan = checked.plan.as_ref();
    let state_dir = plan.and_then(|plan| plan.state_dir.clone());
    let places = Places::new(at.state_dir.clone().or(state_dir), at.runtime_dir.clone());

    let mut report = Report::new(json);
    report.group("this machine");
    let found = configuration(&config, &checked);
    let found = found.into_iter().chain(machine(&config, plan, &places));
    found.for_each(|finding| report.find(finding));
    if let Some(plan) = plan {
        let running = running(&places);
        let subjects = subjects(plan, &places, |name| Manner {
            offline,
            running: running.contains(name),
        });
        examine_all(subjects, offline, &mut report);
    }
    Ok(if report.end()? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What there is to say of the configuration.
fn configuration(config: &Path, checked: &Checked) -> Vec<Finding> {
    let mut found: Vec<Finding> = checked
        .problems
        .iter()
        .map(|problem| {
            let says = format!(
                "line {}: {} {}",
                problem.line, problem.key_path, problem.message
            );
            match problem.severity {
                Severity::Error => {
                    let advice = format!("mend {}", config.display());
                    Finding::fail("config", says, advice)
                }
                Severity::Warning => Finding::warn("config", says, ""),
            }
        })
        .collect();
    if checked.plan.is_some() {
        found.push(Finding::ok("config", format!("{}: good", config.display())));
        found.extend(machine::mode(config));
    }
    found
}

/// What there is to say of this machine.
fn machine(config: &Path, plan: Option<&Plan>, places: &Places) -> Vec<Finding> {
    let mut found = place("state", &places.state_dir);
    if let Some(spool) = plan.and_then(|plan| plan.spool.dir.as_ref()) {
        found.extend(place("spool", spool));
    }
    found.push(machine::directory("sockets", &places.runtime_dir));
    let myself = std::env::current_exe().unwrap_or_default();
    found.push(machine::clock(SystemTime::now(), &[config, &myself]));
    found
}

/// A directory in which something is kept.
fn place(check: &str, dir: &Path) -> Vec<Finding> {
    let directory = machine::directory(check, dir);
    // Where nothing can be written the room tells nothing.
    let room = (directory.verdict != Verdict::Fail).then(|| machine::space("disk", dir));
    std::iter::once(directory).chain(room.flatten()).collect()
}

/// The processes that run now. None if nothing does.
fn running(places: &Places) -> BTreeSet<String> {
    let status = monitor::control::Client::new(&places.runtime_dir).status();
    let processes = status.map(|status| status.processes).unwrap_or_default();
    let alive = processes
        .into_iter()
        .filter(|process| process.pid.is_some());
    alive.map(|process| process.name).collect()
}

type Named = (String, std::result::Result<Subject, Finding>);

/// Every worker and runner of a plan.
fn subjects(plan: &Plan, places: &Places, manner: impl Fn(&str) -> Manner) -> Vec<Named> {
    let mut subjects = Vec::new();
    for project in &plan.projects {
        for platform in &project.platforms {
            let name = platform.process_name();
            let worker = worker(platform, manner(&name));
            subjects.push((name, worker));
        }
        let name = project.process_name();
        let manner = manner(&name);
        subjects.push((name, runner(plan, project, &places.state_dir, manner)));
    }
    subjects
}

/// A platform's worker.
pub(crate) fn worker(platform: &Platform, manner: Manner) -> std::result::Result<Subject, Finding> {
    let options = platform.worker_options().map_err(|(option, source)| {
        let says = format!("{option} could not be read from {source}");
        Finding::fail("options", says, "mend it in the configuration")
    })?;
    Ok(Subject {
        program: platform.program.clone(),
        options,
        manner,
    })
}

fn runner(
    plan: &Plan,
    project: &Project,
    state_dir: &Path,
    manner: Manner,
) -> std::result::Result<Subject, Finding> {
    let program = places::program("agent-runner").ok_or_else(|| {
        let says = "agent-runner is not installed";
        Finding::fail(
            "program",
            says,
            "put it beside bulkhead, from the same release",
        )
    })?;
    let options = runner_options(plan, project, state_dir).map_err(|error| {
        Finding::fail(
            "options",
            format!("{error:#}"),
            "mend it in the configuration",
        )
    })?;
    Ok(Subject {
        program,
        options: SecretString::from(options.to_string()),
        manner,
    })
}

/// All at once, told one after the other.
fn examine_all(subjects: Vec<Named>, offline: bool, report: &mut Report) {
    std::thread::scope(|scope| {
        let mut all = Vec::new();
        for (name, subject) in subjects {
            // Unbounded is bounded here: by what a program may say.
            let (tell, told) = mpsc::channel();
            let examined = move || -> Examined {
                let hear = |line: &Line| {
                    let _ = tell.send(line.clone()); // whoever listens waits for the end
                    Go::On
                };
                match subject {
                    Ok(subject) => examine(&subject, hear),
                    Err(finding) => {
                        let _ = tell.send(Line::Finding(finding));
                        Examined::default()
                    }
                }
            };
            scope.spawn(examined);
            all.push((name, told));
        }
        for (name, told) in all {
            report.group(&name);
            let mut nothing = true;
            for line in told {
                nothing = false;
                match line {
                    Line::Finding(finding) => report.find(finding),
                    Line::Fact(fact) => report.fact(fact),
                }
            }
            if nothing && offline {
                report.nothing("nothing can be examined offline");
            }
        }
    });
}
