//! Processes as /proc shows them.

use std::collections::HashMap;
use std::fs;

/// Parent by pid, of everything that lives; zombies do not.
fn parents() -> HashMap<i32, i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in parentheses may hold anything; what follows it does not.
            let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            (state != "Z" && state != "X").then_some((pid, parent))
        })
        .collect()
}

/// The living children of a process.
pub fn children(of: i32) -> Vec<i32> {
    parents()
        .into_iter()
        .filter(|(_, parent)| *parent == of)
        .map(|(pid, _)| pid)
        .collect()
}

/// How many living processes have this in their command line.
pub fn running(text: &str) -> usize {
    let holds = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(text)
    };
    parents().keys().filter(|pid| holds(pid)).count()
}

/// Everything that lives below a process.
pub fn descendants(of: i32) -> Vec<i32> {
    let parents = parents();
    let below = |mut pid: i32| {
        while let Some(parent) = parents.get(&pid) {
            if *parent == of {
                return true;
            }
            pid = *parent;
        }
        false
    };
    parents.keys().copied().filter(|pid| below(*pid)).collect()
}

/// Whether a process lives; a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    parents().contains_key(&pid)
}
