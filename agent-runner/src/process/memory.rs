//! How much memory there is, and how much the agents have.
//!
//! A cgroup may give the runner less than the machine has, so each limit on the way up is looked at.
//! What cannot be read is absent: it bounds nothing.

use std::fs;
use std::path::Path;

use super::sweep::Claim;

/// Where cgroups of version 2 are.
const CGROUPS: &str = "/sys/fs/cgroup";
/// How many levels of cgroups are looked at.
const LEVELS: usize = 32;

/// Bytes that may still be taken: of the machine, or of a cgroup of ours if that is less.
pub fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| field(&text, "MemAvailable:"));
    let ours = fs::read_to_string("/proc/self/cgroup").ok();
    let ours = ours.and_then(|text| room(&own(&text)?));
    machine.into_iter().chain(ours).min()
}

/// Bytes of everything that bears the claim: shared pages count in proportion.
pub fn of(claim: &Claim) -> u64 {
    let pss = |pid: i32| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        field(&text, "Pss:")
    };
    claim.all().into_iter().filter_map(pss).sum()
}

/// A field in kB, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Our cgroup of version 2, from /proc/self/cgroup.
fn own(text: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .map(str::to_owned)
}

/// The least that is left of any limit from this cgroup upwards.
fn room(cgroup: &str) -> Option<u64> {
    let root = Path::new(CGROUPS);
    root.join(cgroup)
        .ancestors()
        .take(LEVELS)
        .take_while(|dir| dir.starts_with(root))
        .filter_map(|dir| {
            let read = |name: &str| fs::read_to_string(dir.join(name)).ok();
            let stat = read("memory.stat").unwrap_or_default();
            left(&read("memory.max")?, &read("memory.current")?, &stat)
        })
        .min()
}

/// What is left of a limit. Pages of files that nobody uses go when they are needed.
fn left(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let cache = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok())
        .unwrap_or(0);
    Some(max.saturating_sub(current.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let text = "MemTotal:  24683520 kB\nMemFree: 1 kB\nMemAvailable:   23117 kB\n";
        assert_eq!(field(text, "MemAvailable:"), Some(23117 * 1024));
        assert_eq!(field(text, "Pss:"), None);
        assert_eq!(own("1:name=x:/y\n0::/a/b\n").as_deref(), Some("a/b"));
        assert_eq!(own("1:name=x:/y\n"), None);
        assert_eq!(
            left("1000\n", "900\n", "anon 1\ninactive_file 50\n"),
            Some(150)
        );
        assert_eq!(left("max\n", "900\n", ""), None);
        assert_eq!(left("1000", "2000", ""), Some(0));
    }

    #[test]
    fn this_machine_and_this_process_have_some() {
        assert!(available().unwrap() > 0);
        let claim = Claim {
            agent: Some(std::process::id().cast_signed()),
            ..Claim::default()
        };
        // Not ourselves: who asks is never an agent. Other tests may have children just now.
        let me = std::process::id().cast_signed();
        assert!(!claim.all().contains(&me));
        let mut child = std::process::Command::new("sleep")
            .arg("7304")
            .spawn()
            .unwrap();
        let claim = Claim {
            agent: Some(child.id().cast_signed()),
            ..Claim::default()
        };
        assert!(of(&claim) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
