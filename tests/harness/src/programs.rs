//! The programs of the workspace, built once a test process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Builds every program of the workspace and returns the directory that they are in. Fresh ones
/// cost a moment; cargo's own lock keeps test processes out of each other's way.
///
/// # Panics
/// If the build fails: its messages are on stderr.
pub fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args([
                "build",
                "--workspace",
                "--bins",
                "--message-format=json-render-diagnostics",
            ])
            .current_dir(workspace())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        // What cargo told this process about its own package would have build scripts run again that
        // look at it, here and in every build after.
        for (name, _) in std::env::vars_os() {
            let of_a_package = |name: &str| {
                ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
                    .iter()
                    .any(|start| name.starts_with(start))
                    || name == "CARGO_CRATE_NAME"
            };
            if name.to_str().is_some_and(of_a_package) {
                build.env_remove(&name);
            }
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let output = build.output().expect("cargo can be started");
        assert!(output.status.success(), "the programs do not build");
        let messages = String::from_utf8_lossy(&output.stdout);
        let bulkhead = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .find(|path| path.ends_with("bulkhead"))
            .expect("cargo says where bulkhead is");
        bulkhead
            .parent()
            .expect("a file is in a directory")
            .to_owned()
    })
}

/// One of the workspace's programs, built.
pub fn program(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(path.is_file(), "{} is not built", path.display());
    path
}

/// The real Claude Code command line that `BULKHEAD_CLAUDE` names.
///
/// # Panics
/// If it names none.
pub fn real_cli() -> PathBuf {
    std::env::var_os("BULKHEAD_CLAUDE")
        .map(PathBuf::from)
        .expect("BULKHEAD_CLAUDE=/path/to/claude names the real command line")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
