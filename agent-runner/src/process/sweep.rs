//! Which processes belong to an agent, and their end.
//!
//! A tool's child may ignore SIGTERM, leave its session, or lose its parent, so a process belongs to
//! an agent by any of: the mark in its environment, the agent's lock held open, the agent's session,
//! the agent among its ancestors. Who gets rid of all of them comes to the runner, as the nearest
//! subreaper, and belongs to nobody: that is ended too ([`orphans`]). Only /proc is asked; what another
//! user owns is not seen.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// The variable that marks everything an agent starts.
pub const MARK: &str = "BULKHEAD_AGENT";
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What makes a process an agent's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The value of [`MARK`] starts with this.
    pub mark: String,
    /// The agent's lock.
    pub lock: Option<PathBuf>,
    /// The agent itself, or the outer process of its jail.
    pub agent: Option<i32>,
    /// Whether it may be in a jail with process numbers of its own.
    pub jailed: bool,
}

/// One process, as /proc/PID/stat has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    session: i32,
    zombie: bool,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &stat)
}

/// The name may hold anything, brackets included; what follows the last one is fixed.
fn parse(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        session,
        zombie,
    })
}

impl Claim {
    /// Every living process that belongs to the agent, the agent included.
    pub fn all(&self) -> Vec<i32> {
        let me = std::process::id().cast_signed();
        let all = processes();
        let parents: HashMap<i32, i32> = all.iter().map(|p| (p.pid, p.parent)).collect();
        all.iter()
            .filter(|p| p.pid != me && p.pid > 1 && !p.zombie)
            .filter(|p| self.owns(p, &parents))
            .map(|p| p.pid)
            .collect()
    }

    fn owns(&self, p: &Process, parents: &HashMap<i32, i32>) -> bool {
        self.agent.is_some_and(|agent| {
            p.pid == agent || p.session == agent || descends(p.pid, agent, parents)
        }) || self.marks(p.pid)
            || self.lock.as_deref().is_some_and(|lock| holds(p.pid, lock))
    }

    fn marks(&self, pid: i32) -> bool {
        if self.mark.is_empty() {
            return false;
        }
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        environment.split(|byte| *byte == 0).any(|variable| {
            variable
                .strip_prefix(MARK.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
                .is_some_and(|value| value.starts_with(self.mark.as_bytes()))
        })
    }

    /// The agent, or one of the two processes around it: in its own numbers the inner one is the
    /// first and the agent the second.
    fn is_agent(&self, pid: i32) -> bool {
        self.agent == Some(pid) || (self.jailed && matches!(number_inside(pid), Some(1 | 2)))
    }

    /// Whom a signal for the agent is to reach: the agent itself, also inside of a jail.
    pub fn listener(&self) -> Option<i32> {
        let inside = || {
            self.all()
                .into_iter()
                .find(|pid| number_inside(*pid) == Some(2))
        };
        self.jailed.then(inside).flatten().or(self.agent)
    }

    /// Kills until nothing is left, or the patience is over; what is left then. With `spare_agent`
    /// the agent itself lives on.
    pub fn end(&self, spare_agent: bool, patience: Duration) -> Vec<i32> {
        let until = Instant::now() + patience;
        let mut last = false;
        loop {
            let mut left = self.all();
            left.retain(|pid| !(spare_agent && self.is_agent(*pid)));
            // A look at every process may outlast the patience: what was seen is killed all the same.
            if left.is_empty() || std::mem::replace(&mut last, Instant::now() >= until) {
                return left;
            }
            for pid in left {
                // Gone meanwhile, or not ours to kill: the next look tells.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn descends(mut pid: i32, from: i32, parents: &HashMap<i32, i32>) -> bool {
    // Bounded: the table is a snapshot in which numbers may have been reused into a ring.
    for _ in 0..parents.len() {
        match parents.get(&pid) {
            Some(parent) if *parent == from => return true,
            Some(parent) if *parent > 1 => pid = *parent,
            _ => return false,
        }
    }
    false
}

/// A process's number in the namespace just below ours; none = it is in ours.
fn number_inside(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    inside(&status)
}

fn inside(status: &str) -> Option<i32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn holds(pid: i32, lock: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .filter_map(Result::ok)
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|path| path == lock))
}

/// The name of a process, for a person.
pub fn name(pid: i32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().chars().filter(|c| !c.is_control()).collect()
}

/// Sees to what was left to us by parents that died (we are the subreaper): reaps what has ended, and
/// ends, with its descendants, what lives and shows by nothing that it is a living agent's. Whose it
/// was cannot be told, and nothing is to outlive its agent. `children` and `own` are waited for where
/// they were started.
pub fn orphans(children: &HashSet<i32>, own: &HashSet<i32>, living: &[&Claim]) {
    let me = std::process::id().cast_signed();
    let all = processes();
    let parents: HashMap<i32, i32> = all.iter().map(|p| (p.pid, p.parent)).collect();
    let left = all.iter().filter(|p| p.parent == me);
    let left = left.filter(|p| !children.contains(&p.pid) && !own.contains(&p.pid));
    for orphan in left {
        let pid = Pid::from_raw(orphan.pid);
        if orphan.zombie {
            // Nothing is to be learned from how it ended.
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        } else if !living.iter().any(|claim| claim.owns(orphan, &parents)) {
            tracing::debug!(
                pid = orphan.pid,
                "a process that is no agent's any more is ended"
            );
            let below = all
                .iter()
                .filter(|p| descends(p.pid, orphan.pid, &parents))
                .map(|p| Pid::from_raw(p.pid));
            for pid in below.chain([pid]) {
                // Gone meanwhile. Who was started meanwhile comes to us next.
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = "7 (a) Z (b)) S 3 4 5 0 -1 4194304";
        assert_eq!(
            parse(7, stat),
            Some(Process {
                pid: 7,
                parent: 3,
                session: 5,
                zombie: false
            })
        );
        assert_eq!(parse(7, "7 (x) Z 1 2 3").map(|p| p.zombie), Some(true));
        assert_eq!(parse(7, "junk"), None);
    }

    #[test]
    fn numbers_inside_of_a_namespace_are_told_from_those_outside() {
        assert_eq!(inside("Name:\tx\nNSpid:\t4711\t2\n"), Some(2));
        assert_eq!(inside("NSpid:\t4711\n"), None);
        assert_eq!(
            inside("NSpid:\t4711\t9\t1\n"),
            Some(9),
            "a jail in the jail"
        );
        assert_eq!(inside("Name:\tx\n"), None);
    }

    #[test]
    fn who_has_no_patience_kills_too() {
        let mut child = std::process::Command::new("sleep")
            .arg("7303")
            .spawn()
            .unwrap();
        let claim = Claim {
            agent: Some(child.id().cast_signed()),
            ..Claim::default()
        };
        claim.end(false, Duration::ZERO);
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn ancestors_are_followed_and_rings_are_not() {
        let parents = HashMap::from([(5, 4), (4, 3), (3, 1), (8, 9), (9, 8)]);
        assert!(descends(5, 3, &parents) && descends(5, 4, &parents));
        assert!(!descends(3, 5, &parents) && !descends(8, 3, &parents));
    }
}
