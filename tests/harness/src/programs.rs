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

/// The real Claude Code command line, if `BULKHEAD_CLAUDE` names one. Says so if not, in words that
/// CI looks for.
pub fn real_cli() -> Option<PathBuf> {
    let cli = std::env::var_os("BULKHEAD_CLAUDE").map(PathBuf::from);
    if cli.is_none() {
        eprintln!("ignored: no real CLI; BULKHEAD_CLAUDE=/path/to/claude runs this test");
    }
    cli
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
