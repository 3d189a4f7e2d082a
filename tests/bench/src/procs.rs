//! What processes use, as /proc shows it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
}

/// What a process has in memory: all of it, and its fair part of what it shares.
pub(crate) fn memory(pid: i32) -> Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("process {pid} shows no memory"))?;
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Ok(Memory {
        rss: field("Rss:"),
        pss: field("Pss:"),
    })
}

/// The time that a process has run so far, with threads that have ended.
pub(crate) fn cpu(pid: i32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid));
    let time = clock.and_then(clock_gettime);
    Ok(Duration::from(
        time.with_context(|| format!("process {pid} has no clock"))?,
    ))
}

/// The same of several.
pub(crate) fn cpu_of(pids: impl IntoIterator<Item = i32>) -> Result<Duration> {
    pids.into_iter().map(cpu).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says so by failing")]
mod tests {
    use super::{cpu, memory};

    #[test]
    fn this_process_uses_something() {
        let me = i32::try_from(std::process::id()).unwrap();
        let seen = memory(me).unwrap();
        assert!(seen.rss > 0 && seen.pss > 0 && seen.pss <= seen.rss);
        let before = cpu(me).unwrap();
        let mut burnt = 0u64;
        while cpu(me).unwrap() == before {
            burnt = burnt.wrapping_add(1);
        }
        assert!(cpu(me).unwrap() > before);
    }
}
