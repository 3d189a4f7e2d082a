//! config.toml to a validated [`Plan`].
//!
//! Promises: [`check`] tells everything that is wrong at once, each with its line and what to do, and
//! gives a plan only if nothing is an error. An unknown key is an error that names the nearest known
//! one; a key of cc-connect that has no effect here is a warning that says so. No secret is in a
//! problem or in the `Debug` of a plan.
//! Does not: start anything, talk to the network, or apply what it plans. What it asks of the
//! machine goes through [`Context`].

mod build;
mod closed;
mod context;
mod expand;
mod json_value;
mod nearest;
mod plan;
mod problems;
mod schema;
mod secret_value;
mod secrets;
mod section;
mod shape;
mod syntax;
mod value;
mod walk;

#[cfg(test)]
mod every_key;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub use closed::closed_to_agents;
pub use context::{Context, Own, Place};
pub use plan::*;
pub use problems::{Problem, Severity};
pub use secrets::{Secret, SecretMode, SecretSource};

use problems::Problems;

/// The largest config that is read, in bytes.
const MAX_CONFIG: usize = 1024 * 1024;

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// The plan; none if any problem is an error.
    pub plan: Option<Plan>,
    /// Every problem, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Checks the text of a config. `file` is what problems call it, and where its permissions are
/// looked up; it need not exist.
pub fn check(text: &str, file: &Path, cx: &Context) -> Checked {
    // A byte order mark is no mistake of the person who wrote the file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Problems::new(file, text);
    if text.len() > MAX_CONFIG {
        problems.error(0, "", "the file is larger than 1 MiB: is it the right one?");
        return Checked {
            plan: None,
            problems: problems.into_sorted(),
        };
    }
    let Some(table) = syntax::parse(text, &mut problems) else {
        return Checked {
            plan: None,
            problems: problems.into_sorted(),
        };
    };
    let mut walker = walk::Walker {
        cx,
        problems: &mut problems,
        literal_secret: None,
        secret_files: Vec::new(),
    };
    let top = walker.section(&schema::TOP, table.get_ref(), "", 0);
    let secret_files = walker.secret_files;
    if let Some(at) = walker.literal_secret {
        warn_readable(file, at, &mut problems);
    }
    let mut closed = closed::Closed::new(file, &secret_files, cx);
    let plan = build::Build {
        cx,
        problems: &mut problems,
        closed: &mut closed,
    }
    .plan(&top);
    let plan = (!problems.has_errors()).then_some(plan);
    Checked {
        plan,
        problems: problems.into_sorted(),
    }
}

/// Reads a config file and checks it. A file that can't be read is a problem like any other.
pub fn check_file(file: &Path, cx: &Context) -> Checked {
    match read(file) {
        Ok(text) => check(&text, file, cx),
        Err((text, at, why)) => {
            let mut problems = Problems::new(file, &text);
            problems.error(at, "", why);
            Checked {
                plan: None,
                problems: problems.into_sorted(),
            }
        }
    }
}

/// The text of a file, or what could be read of it, the offset of the trouble and what it is.
fn read(file: &Path) -> Result<String, (String, usize, String)> {
    let fail = |why: String| (String::new(), 0, why);
    let cannot = |err: std::io::Error| match err.kind() {
        std::io::ErrorKind::NotFound => {
            fail("there is no such file: make one with  bulkhead init".to_owned())
        }
        std::io::ErrorKind::PermissionDenied => {
            fail("this user may not read it: start as the user it belongs to".to_owned())
        }
        _ => fail(format!("cannot be read: {err}")),
    };
    let meta = std::fs::metadata(file).map_err(cannot)?;
    if meta.is_dir() {
        return Err(fail("is a directory: name the file in it".to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed: `check` then says that it is too large.
    let mut reader = std::fs::File::open(file)
        .map_err(cannot)?
        .take(MAX_CONFIG as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(err.as_bytes().get(..at).unwrap_or(&[])).into_owned();
        (
            good,
            at,
            "this is not UTF-8 text: save the file as UTF-8".to_owned(),
        )
    })
}

/// Warns if others can read a config that holds a secret.
fn warn_readable(file: &Path, at: usize, problems: &mut Problems<'_>) {
    let Ok(meta) = std::fs::metadata(file) else {
        return;
    };
    if meta.is_file() && meta.permissions().mode() & 0o044 != 0 {
        let shown = file.display();
        let why =
            format!("the file holds secrets and other users can read it: type  chmod 600 {shown}");
        problems.warn(at, "", why);
    }
}
