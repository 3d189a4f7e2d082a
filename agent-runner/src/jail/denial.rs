//! What the jail refused, told from what a tool says of it: the kernel tells nobody.
//!
//! A result of a tool that speaks of a refusal and of a path is a suspicion. It is confirmed only if
//! the jail closes that path and the runner's user could do without the jail what was tried. One that
//! speaks of a connection in vain is confirmed if the jail closes the port, or everything; whether
//! somebody would have answered is not tried. Pure, given a look at the disk; bounded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ipc_schema::Refusal;
use serde_json::Value;

use super::disk::{Disk, walk};
use super::{Access, Jail, Net, Shape};

/// A longer line is not looked at, bytes.
const LINE_BYTES: usize = 1 << 20;
/// What of the results of one line is looked at, bytes.
const LOOKED_AT: usize = 64 << 10;
/// The most paths of one line.
const PATHS: usize = 8;
/// The most ports of one line.
const PORTS: usize = 8;
/// The longest path, in bytes.
const PATH_BYTES: usize = 256;

/// Words of a refusal, in small letters.
const WORDS: [&str; 8] = [
    "permission denied",
    "operation not permitted",
    "read-only file system",
    "no such file or directory",
    "eacces",
    "eperm",
    "erofs",
    "enoent",
];
/// Words of an attempt to change something, in small letters.
const CHANGES: [&str; 9] = [
    "create",
    "write",
    "mkdir",
    "touch",
    "remove",
    "rename",
    "unlink",
    "read-only",
    "erofs",
];

/// Words with which programs say that they reached nobody, in small letters.
const UNREACHED: [&str; 6] = [
    "network is unreachable",
    "enetunreach",
    "could not resolve host",
    "name resolution",
    "eai_again",
    "enotfound",
];
/// And words of a connection that was refused to them, in small letters.
const UNCONNECTED: [&str; 4] = [
    "couldn't connect",
    "could not connect",
    "permission denied",
    "eacces",
];

/// In words, for the log; the hub has its own for the chat.
pub fn words(refusal: &Refusal) -> String {
    let doing = doing(refusal);
    let setting = refusal.setting();
    format!(
        "The sandbox keeps the agent from {doing}. To allow it: {setting} in \
         [projects.agent.sandbox]"
    )
}

/// In few words, for `status`.
pub fn few_words(refusal: &Refusal) -> String {
    let doing = doing(refusal);
    format!("{doing}; to allow it: {}", refusal.setting())
}

fn doing(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Read { path } => format!("reading {path}"),
        Refusal::Write { path } => format!("changing {path}"),
        Refusal::Port { port } => format!("reaching port {port}"),
        Refusal::Network | Refusal::Unknown => "reaching the network".to_owned(),
    }
}

/// A path that was refused, it seems.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Suspect {
    path: PathBuf,
    /// It was to be changed; else read.
    write: bool,
}

/// What the runner's user may do without a jail.
pub trait Outside: Disk {
    /// Read it, or list it.
    fn reads(&self, path: &Path) -> bool;
    /// Change it; or make it, if it is not there.
    fn writes(&self, path: &Path) -> bool;
}

/// A jail, as refusals are judged by it.
#[derive(Debug)]
pub struct Judge {
    shape: Shape,
    /// Below it nothing is to be suggested: it is the runner's own.
    keep: PathBuf,
    /// What is open, as it is written and without any link.
    open: Vec<(PathBuf, PathBuf, Access)>,
    net: Net,
}

impl Judge {
    /// Looks where the jail's paths lead.
    pub fn new(jail: &Jail, keep: &Path, disk: &impl Disk) -> Judge {
        let open = jail.grants.iter().map(|grant| {
            let real = walk(&grant.path, disk).real;
            (grant.path.clone(), real, grant.access)
        });
        Judge {
            shape: jail.shape,
            keep: keep.to_owned(),
            open: open.collect(),
            net: jail.net.clone(),
        }
    }

    /// The refusals that a line of the agent's protocol tells of, confirmed: results of Claude
    /// Code's tools, and of those of agents over ACP.
    pub fn told(&self, line: &str, outside: &impl Outside) -> Vec<Refusal> {
        // Most lines are none of a tool's, and parsed once already.
        let claude = line.contains("\"tool_result\"");
        if line.len() > LINE_BYTES || !(claude || line.contains("\"tool_call")) {
            return Vec::new();
        }
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return Vec::new();
        };
        let mut said = Vec::new();
        if claude {
            let parts = line["message"]["content"].as_array().map(Vec::as_slice);
            let results = parts.unwrap_or_default().iter();
            for result in results.filter(|part| part["type"] == "tool_result") {
                texts(&result["content"], &mut said);
            }
        } else {
            let update = &line["params"]["update"];
            let kind = update["sessionUpdate"].as_str().unwrap_or_default();
            if kind.starts_with("tool_call") {
                texts(&update["content"], &mut said);
                texts(&update["rawOutput"], &mut said);
            }
        }
        self.judged(&said, outside)
    }

    /// The same of what a plain program prints.
    pub fn output(&self, text: &str, outside: &impl Outside) -> Vec<Refusal> {
        self.judged(&[text], outside)
    }

    fn judged(&self, texts: &[&str], outside: &impl Outside) -> Vec<Refusal> {
        let (mut refusals, mut suspects) = (BTreeSet::new(), BTreeSet::new());
        let mut left = LOOKED_AT;
        for text in texts {
            let text = crate::text::head(text, left);
            left -= text.len();
            for said in text.lines() {
                let small = said.to_ascii_lowercase();
                suspect(said, &small, &mut suspects);
                if refusals.len() < PORTS {
                    refusals.extend(unreached(&small, &self.net));
                }
            }
        }
        // Each is looked up on the disk while the runner waits: few, whatever the agent says.
        let suspects = suspects.into_iter();
        refusals.extend(suspects.filter_map(|suspect| self.confirm(&suspect, outside)));
        refusals.into_iter().collect()
    }

    fn confirm(&self, suspect: &Suspect, outside: &impl Outside) -> Option<Refusal> {
        let path = suspect.path.as_path();
        if path.starts_with("/proc") || path.starts_with("/dev") {
            return None;
        }
        let real = walk(path, outside).real;
        if real.starts_with(&self.keep) {
            return None;
        }
        let own_tmp = self.shape != Shape::Shared && path.starts_with("/tmp");
        let open = self.open.iter();
        let open = open
            .filter(|(written, leads, _)| path.starts_with(written) || real.starts_with(leads))
            .map(|(_, _, access)| *access)
            .max();
        let changed = suspect.write && outside.writes(path);
        let shown = path.to_str()?.to_owned();
        match open {
            Some(Access::Write | Access::Device) => None,
            Some(Access::Read | Access::List) if changed => Some(Refusal::Write { path: shown }),
            Some(Access::Read | Access::List) => None,
            None if own_tmp => None,
            None if changed => Some(Refusal::Write { path: shown }),
            None if outside.exists(path) && outside.reads(path) => {
                Some(Refusal::Read { path: shown })
            }
            None => None,
        }
    }
}

/// Every text in a tool's result, whatever its form.
fn texts<'a>(result: &'a Value, all: &mut Vec<&'a str>) {
    match result {
        Value::String(text) => all.push(text),
        Value::Array(parts) => parts.iter().for_each(|part| texts(part, all)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The whole paths of a line that speaks of a refusal, until there are [`PATHS`]. `small`: the line in
/// small letters.
fn suspect(said: &str, small: &str, suspects: &mut BTreeSet<Suspect>) {
    if suspects.len() == PATHS || !WORDS.iter().any(|word| small.contains(word)) {
        return;
    }
    let write = CHANGES.iter().any(|word| small.contains(word));
    let apart = |c: char| c.is_whitespace() || "'\"`‘’“”,;()<>[]{}".contains(c);
    let words = said
        .split(apart)
        .map(|word| word.trim_end_matches([':', '.']));
    let paths = words.filter(|word| word.len() > 1 && word.len() <= PATH_BYTES);
    for path in paths.filter(|word| word.starts_with('/')) {
        if suspects.len() == PATHS {
            return;
        }
        // `/a/b:12:` names a line of a file, too.
        let path = path.split(':').next().unwrap_or(path).into();
        suspects.insert(Suspect { path, write });
    }
}

/// What of the network a line, in small letters, speaks of in vain that the jail closes.
fn unreached(small: &str, net: &Net) -> Option<Refusal> {
    let speaks = |words: &[&str]| words.iter().any(|word| small.contains(word));
    match net {
        Net::Full => None,
        Net::Ports(open) => {
            if !small.contains("connect") || !speaks(&UNCONNECTED) {
                return None;
            }
            let port = port(small)?;
            (!open.contains(&port)).then_some(Refusal::Port { port })
        }
        Net::Closed(_) => {
            // On its own loopback the jail refuses nothing.
            let own = speaks(&["127.0.0.1", "localhost", "[::1]"]);
            let lost = speaks(&UNREACHED) || small.contains("connect") && speaks(&UNCONNECTED);
            (lost && !own).then_some(Refusal::Network)
        }
    }
}

/// The port that a line names: `port 8443`, or `HOST:8443`.
fn port(small: &str) -> Option<u16> {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let port = text.get(..end.unwrap_or(text.len()))?.parse().ok()?;
        (port > 0).then_some(port)
    };
    if let Some((_, rest)) = small.split_once(" port ") {
        return number(rest);
    }
    small
        .split_whitespace()
        .filter_map(|word| word.split_once(':'))
        .find_map(|(host, rest)| {
            let bare = !host.is_empty() && !host.starts_with('/');
            number(rest).filter(|_| bare)
        })
}

#[cfg(test)]
#[path = "denial_tests.rs"]
mod tests;
