//! Strays: what a dead process left behind.
//!
//! The monitor is the subreaper of its tree, so whatever loses its parent becomes its child. A
//! stray is a child of the monitor that the table does not know, with everything below it: an
//! agent whose runner died, a tool whose agent died. It is told to end, and killed after a grace.
//!
//! Spared is a child whose session leader is alive and still below a process of the table: the
//! background job of somebody who lives. It becomes a stray when its session ends.
//!
//! What is a stray and what to do about it is pure; only [`census`] reads `/proc`. A process that
//! forks faster than it is looked for needs a cgroup, which this does not replace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::table::Now;

/// One process of this machine, as `/proc/PID/stat` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    /// In clock ticks since boot. With the pid it names a process beyond doubt.
    pub(crate) born: u64,
    /// It is a zombie, or about to be one.
    pub(crate) dead: bool,
    /// The program's short name: whatever the process calls itself.
    pub(crate) name: String,
}

/// Every process there is.
pub(crate) fn census() -> io::Result<Vec<Process>> {
    let pids = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // A process may end while it is being read; then it is no longer of interest.
    Ok(pids.filter_map(read).collect())
}

fn read(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(&String::from_utf8_lossy(&stat))
}

/// Reads `pid (name) state parent group session … born …` (proc(5)); the name may contain anything,
/// parentheses and spaces too.
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let born = fields.nth(15)?.parse().ok()?;
    let dead = matches!(state, "Z" | "X");
    Some(Process {
        pid: pid.parse().ok()?,
        parent,
        session,
        born,
        dead,
        name: name.to_owned(),
    })
}

/// The living strays among these processes.
pub(crate) fn strays(census: &[Process], monitor: i32, table: &BTreeSet<i32>) -> Vec<Process> {
    let by_pid: BTreeMap<i32, &Process> = census.iter().map(|one| (one.pid, one)).collect();
    // The child of the monitor that a process descends from.
    let branch = |mut pid: i32| {
        // The bound ends a walk through a table that changed while it was read.
        for _ in 0..=census.len() {
            match by_pid.get(&pid)?.parent {
                parent if parent == monitor => return Some(pid),
                parent => pid = parent,
            }
        }
        None
    };
    let lives = |pid| by_pid.get(&pid).is_some_and(|one: &&Process| !one.dead);
    let is_owned = |pid| lives(pid) && branch(pid).is_some_and(|child| table.contains(&child));
    let is_spared = |child: i32| by_pid.get(&child).is_some_and(|one| is_owned(one.session));
    let is_stray = |one: &&Process| {
        !one.dead
            && branch(one.pid).is_some_and(|child| !table.contains(&child) && !is_spared(child))
    };
    census.iter().filter(is_stray).cloned().collect()
}

/// The strays that have been told to end.
#[derive(Default)]
pub(crate) struct Sweeper {
    /// By pid and birth, when each is to be killed.
    told: BTreeMap<(i32, u64), Now>,
}

impl Sweeper {
    /// Says which of the strays of this moment to signal, and forgets those that are gone.
    fn judge(&mut self, strays: &[Process], now: Now, grace: Duration) -> Vec<(Process, Signal)> {
        let present: BTreeSet<(i32, u64)> = strays.iter().map(|one| (one.pid, one.born)).collect();
        self.told.retain(|key, _| present.contains(key));
        let mut signals = Vec::new();
        for stray in strays {
            let key = (stray.pid, stray.born);
            match self.told.get_mut(&key) {
                None => {
                    self.told.insert(key, now + grace);
                    signals.push((stray.clone(), Signal::SIGTERM));
                }
                Some(kill_at) if now >= *kill_at => {
                    *kill_at = now + grace;
                    signals.push((stray.clone(), Signal::SIGKILL));
                }
                Some(_) => {}
            }
        }
        signals
    }

    /// Looks for strays and signals those that are due. Returns how many there are.
    pub(crate) fn sweep(
        &mut self,
        table: &BTreeSet<i32>,
        now: Now,
        grace: Duration,
    ) -> io::Result<usize> {
        let census = census()?;
        let strays = strays(&census, nix::unistd::getpid().as_raw(), table);
        for (stray, signal) in self.judge(&strays, now, grace) {
            // A grandchild's pid could have changed hands since the census; its birth tells.
            if read(stray.pid).is_none_or(|one| one.born != stray.born) {
                continue;
            }
            tracing::info!(
                pid = stray.pid,
                program = ?stray.name,
                "a process that lost its parent is sent {signal}"
            );
            let _ = kill(Pid::from_raw(stray.pid), signal);
            if signal == Signal::SIGTERM {
                // A stopped process hears nothing until it is continued.
                let _ = kill(Pid::from_raw(stray.pid), Signal::SIGCONT);
            }
        }
        Ok(strays.len())
    }

    /// When the next stray is to be killed.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.told.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32) -> Process {
        Process {
            pid,
            parent,
            session,
            born: 1,
            dead: false,
            name: "x".into(),
        }
    }

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        let line = "42 (a) b (c) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let expected = Process {
            pid: 42,
            parent: 7,
            session: 40,
            born: 98765,
            dead: false,
            name: "a) b (c".into(),
        };
        assert_eq!(parse(line), Some(expected));
        assert!(parse(&line.replace(" S ", " Z ")).unwrap().dead);
        for cut in 0..line.len() - 10 {
            let _ = parse(&line[..cut]);
        }
    }

    #[test]
    fn the_own_process_is_in_the_census() {
        let me = std::process::id() as i32;
        assert!(
            census()
                .unwrap()
                .iter()
                .any(|one| one.pid == me && !one.dead)
        );
    }

    #[test]
    fn orphans_and_all_below_them_are_strays() {
        // 1 monitor; 10 runner with agent 11; 20 an agent whose runner died, with tool 21.
        let census = [
            process(1, 0, 1),
            process(10, 1, 10),
            process(11, 10, 10),
            process(20, 1, 15),
            process(21, 20, 21),
            process(99, 0, 99),
        ];
        let pids: Vec<i32> = strays(&census, 1, &BTreeSet::from([10]))
            .iter()
            .map(|one| one.pid)
            .collect();
        assert_eq!(pids, [20, 21]);
    }

    #[test]
    fn the_background_job_of_a_living_session_is_spared() {
        // 12 belongs to the session of agent 11, which lives below runner 10.
        let mut census = vec![
            process(1, 0, 1),
            process(10, 1, 10),
            process(11, 10, 11),
            process(12, 1, 11),
            process(13, 12, 13),
        ];
        let table = BTreeSet::from([10]);
        assert_eq!(strays(&census, 1, &table), []);
        census.remove(2);
        assert_eq!(strays(&census, 1, &table).len(), 2, "its session has ended");
    }

    #[test]
    fn zombies_are_not_signalled() {
        let dead = Process {
            dead: true,
            ..process(20, 1, 20)
        };
        assert_eq!(strays(&[process(1, 0, 1), dead], 1, &BTreeSet::new()), []);
    }

    #[test]
    fn a_stray_is_told_once_then_killed() {
        let mut sweeper = Sweeper::default();
        let (stray, grace) = (process(20, 1, 20), Duration::from_secs(5));
        let now = Duration::from_secs(100);
        let told =
            |sweeper: &mut Sweeper, now| sweeper.judge(std::slice::from_ref(&stray), now, grace);
        assert_eq!(told(&mut sweeper, now), [(stray.clone(), Signal::SIGTERM)]);
        assert_eq!(told(&mut sweeper, now + grace / 2), []);
        assert_eq!(sweeper.deadline(), Some(now + grace));
        assert_eq!(
            told(&mut sweeper, now + grace),
            [(stray.clone(), Signal::SIGKILL)]
        );

        let successor = [Process {
            born: 2,
            ..stray.clone()
        }];
        let signals = sweeper.judge(&successor, now + grace * 2, grace);
        assert_eq!(
            signals[0].1,
            Signal::SIGTERM,
            "another process of this pid starts afresh"
        );
        assert_eq!(sweeper.judge(&[], now, grace), []);
        assert_eq!(sweeper.deadline(), None);
    }
}
