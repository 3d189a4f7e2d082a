//! That the program runs at all. Its figures are nobody's test.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::process::Command;

#[test]
fn the_disk_has_a_figure() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["disk", "--short"])
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}");
    let line = out.lines().last().unwrap();
    assert!(
        line.contains("fdatasync") && line.ends_with("(n = 20)"),
        "{out}"
    );
}
