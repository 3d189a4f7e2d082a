//! `bulkhead check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use supervisor_config::{Checked, SecretMode, Severity, check_file};

use crate::places;

/// Bad configuration, of sysexits.
pub(crate) const BAD_CONFIG: u8 = 78;

/// Prints every problem; 78 if one is an error.
pub(crate) fn check(config: Option<PathBuf>, without_secrets: bool) -> Result<ExitCode> {
    let config = places::config(config);
    let mode = if without_secrets {
        SecretMode::Placeholders
    } else {
        SecretMode::Resolve
    };
    let checked = read(&config, mode);
    for problem in &checked.problems {
        eprintln!("{problem}");
    }
    Ok(match checked.plan {
        Some(plan) => {
            let projects = plan.projects.len();
            let accounts: usize = plan.projects.iter().map(|p| p.platforms.len()).sum();
            eprintln!(
                "{}: good. Projects: {projects}, chat accounts: {accounts}. Start with: bulkhead run --config {}",
                config.display(),
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

/// Reads and checks a configuration on this machine.
pub(crate) fn read(config: &Path, mode: SecretMode) -> Checked {
    check_file(config, &places::surroundings(mode))
}
