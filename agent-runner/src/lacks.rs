//! `agent-runner --lacks`: what this system lacks for a sandbox, for `bulkhead check`.
//!
//! On stdin `kind` and `sandbox` of a runner's options in an object, as JSON; on stdout a line for each lack.
//! Exit code 78 if there was no such thing on stdin. It starts a shell in an empty jail, to see
//! whether that can be closed, and no agent; it leaves nothing behind.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use serde::Deserialize;
use uuid::Uuid;

use crate::jail::kernel;
use crate::jail::options::{self, Sandbox};
use crate::options::AgentKind;
use crate::process::scratch;

/// The first argument that means this.
pub(crate) const FLAG: &str = "--lacks";
/// The most that is read, bytes.
const MOST: u64 = 1 << 20;
/// Bad configuration, of sysexits.
const BAD_CONFIG: u8 = 78;

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    kind: AgentKind,
    #[serde(default, deserialize_with = "options::read")]
    sandbox: Sandbox,
}

/// The whole of it.
pub(crate) fn main() -> ExitCode {
    match told() {
        Ok(lacks) => {
            let lines: String = lacks.iter().map(|lack| format!("{lack}\n")).collect();
            // Who asked and does not listen has no use for an exit code either.
            let _ = std::io::stdout().write_all(lines.as_bytes());
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "agent-runner {FLAG}: {why}");
            BAD_CONFIG.into()
        }
    }
}

fn told() -> Result<Vec<String>, String> {
    let mut asked = String::new();
    std::io::stdin()
        .take(MOST)
        .read_to_string(&mut asked)
        .map_err(|error| error.to_string())?;
    let asked: Asked = serde_json::from_str(&asked).map_err(|error| error.to_string())?;
    let dir = std::env::temp_dir().join(format!("bulkhead-check-{}", Uuid::new_v4()));
    let at = |error: std::io::Error| format!("{}: {error}", dir.display());
    scratch::make(&dir).map_err(at)?;
    let lacks = kernel::lacks(asked.kind.is_served(), &asked.sandbox, &dir);
    std::fs::remove_dir_all(&dir).map_err(at)?;
    Ok(lacks)
}
