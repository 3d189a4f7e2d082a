//! Descriptors that were inherited by name (`LISTEN_FDS`, `LISTEN_FDNAMES`).
//!
//! Each is opened anew through `/proc/self/fd` and the inherited one closed: the new one closes on
//! exec, and its file status flags are its own and not the parent's. That works for what the
//! contract hands to a peer (pipes, memory files, plain files), not for sockets; and it asks the
//! kernel for permission again, so a parent of another uid must make its pipe readable to ours.

use std::collections::HashMap;
use std::fs::File;
use std::io;

/// Descriptors start behind stdin, stdout and stderr.
const FIRST: i32 = 3;
/// More than any parent hands over.
const MOST: i32 = 64;

/// Which number has which name, by the variables of this process.
pub fn names(variable: impl Fn(&str) -> Option<String>, pid: u32) -> HashMap<String, i32> {
    // A parent that execs into us knows our pid; one that spawns us may leave it out. Another's pid
    // means that the descriptors were meant for another process.
    let meant = variable("LISTEN_PID").is_none_or(|meant| meant.parse() == Ok(pid));
    let count = variable("LISTEN_FDS")
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    if !meant || !(0..=MOST).contains(&count) {
        return HashMap::new();
    }
    let named = variable("LISTEN_FDNAMES").unwrap_or_default();
    named
        .split(':')
        .map(String::from)
        .zip(FIRST..FIRST + count)
        .collect()
}

/// The inherited descriptors, opened anew for reading. Call it once, early: numbers are reused.
pub(crate) fn take() -> io::Result<HashMap<String, File>> {
    let variable = |name: &str| std::env::var(name).ok();
    let mut taken = HashMap::new();
    for (name, number) in names(variable, std::process::id()) {
        let file = reopen(&name, number)?;
        taken.insert(name, file);
    }
    Ok(taken)
}

/// One inherited descriptor, opened anew for reading; the inherited one is closed.
///
/// # Errors
/// If it is not there, is a socket, or may not be opened; the error names it.
pub fn reopen(name: &str, number: i32) -> io::Result<File> {
    let file = File::open(format!("/proc/self/fd/{number}")).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the inherited descriptor {number} ({name}) cannot be opened: {error}"),
        )
    })?;
    // Only EBADF could come of this, and the open above has proved it to be there.
    let _ = nix::unistd::close(number);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Vec<(String, i32)> {
        let variable = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_string())
        };
        let mut names: Vec<_> = names(variable, 7).into_iter().collect();
        names.sort();
        names
    }

    #[test]
    fn names_go_with_numbers_from_three() {
        let two = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "config:alive")];
        let expected = [("alive".to_string(), 4), ("config".to_string(), 3)];
        assert_eq!(of(&two), expected);
        assert_eq!(of(&[two[0], two[1], ("LISTEN_PID", "7")]), expected);
        assert_eq!(
            of(&[two[0], two[1], ("LISTEN_PID", "8")]),
            [],
            "meant for another"
        );
    }

    #[test]
    fn nonsense_is_no_descriptor() {
        assert_eq!(of(&[]), []);
        for count in ["-1", "1000000", "x", "99999999999999"] {
            assert_eq!(
                of(&[("LISTEN_FDS", count), ("LISTEN_FDNAMES", "config")]),
                []
            );
        }
        assert_eq!(
            of(&[("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "a:b:c")]).len(),
            1
        );
    }
}
