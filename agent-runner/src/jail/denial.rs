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

use super::policy::{Disk, walk};
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

/// In words, for the progress of a turn and the log.
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
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::super::{Grant, Limits};
    use super::*;

    /// `/there` may be read and changed, `/foreign` is there and closed to the user.
    struct Around;

    impl Disk for Around {
        fn link(&self, _: &Path) -> Option<PathBuf> {
            None
        }
        fn head(&self, _: &Path) -> Vec<u8> {
            Vec::new()
        }
        fn exists(&self, path: &Path) -> bool {
            !path.ends_with("absent")
        }
    }

    impl Outside for Around {
        fn reads(&self, path: &Path) -> bool {
            !path.starts_with("/foreign")
        }
        fn writes(&self, path: &Path) -> bool {
            path.starts_with("/there") || path.starts_with("/read")
        }
    }

    fn jail(net: Net) -> Jail {
        Jail {
            shape: Shape::Own,
            abi: 6,
            grants: vec![
                Grant::new("/read", Access::Read),
                Grant::new("/work", Access::Write),
            ],
            owned: Vec::new(),
            scratch: "/state/tmp".into(),
            empty: Vec::new(),
            net,
            unix_sockets: true,
            limits: Limits::default(),
        }
    }

    fn told(line: &Value, net: Net) -> Vec<String> {
        let judge = Judge::new(&jail(net), Path::new("/state"), &Around);
        let refusals = judge.told(&line.to_string(), &Around).into_iter();
        refusals.map(|refusal| refusal.setting()).collect()
    }

    fn line(texts: &[&str]) -> Value {
        let texts: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        json!({"type": "user", "message": {"content": [
            {"type": "tool_result", "content": texts}
        ]}})
    }

    fn said_in(net: Net, text: &str) -> Vec<String> {
        told(&line(&[text]), net)
    }

    fn said(text: &str) -> Vec<String> {
        said_in(Net::Full, text)
    }

    #[test]
    fn what_tools_say_of_a_closed_path_is_confirmed() {
        for (text, expected) in [
            ("cat: /there/a: Permission denied", r#"read = ["/there/a"]"#),
            (
                "cat: /there/a: No such file or directory",
                r#"read = ["/there/a"]"#,
            ),
            (
                "touch: cannot touch '/there/absent': No such file or directory",
                r#"write = ["/there/absent"]"#,
            ),
            (
                "Error: EACCES: permission denied, open '/there/b.txt'",
                r#"read = ["/there/b.txt"]"#,
            ),
            (
                "mkdir: cannot create directory ‘/read/x’: Permission denied",
                r#"write = ["/read/x"]"#,
            ),
            (
                "bash: line 1: /there/x: Permission denied",
                r#"read = ["/there/x"]"#,
            ),
        ] {
            assert_eq!(said(text), [expected], "{text}");
        }
        let two = "ls: cannot open directory '/there': Permission denied\ncat: /there/a: Permission denied";
        assert_eq!(
            said(two),
            [r#"read = ["/there"]"#, r#"read = ["/there/a"]"#]
        );
    }

    #[test]
    fn what_would_fail_anyhow_is_not_laid_at_the_jails_door() {
        for text in [
            // Nothing is said of a refusal, or of no path.
            "/there/a is a file",
            "Permission denied",
            "cat: a: Permission denied",
            // It is open.
            "cat: /work/absent: No such file or directory",
            "cat: /read/absent: No such file or directory",
            // It is closed to the user as well, or not there.
            "cat: /foreign/a: Permission denied",
            "cat: /nowhere/absent: No such file or directory",
            // The agent's own /tmp, and what is the runner's own.
            "cat: /tmp/absent: No such file or directory",
            "cat: /state/runner.lock: Permission denied",
        ] {
            assert_eq!(said(text), Vec::<String>::new(), "{text}");
        }
        let many: String = (0..100)
            .map(|n| format!("cat: /there/{n}: Permission denied\n"))
            .collect();
        assert_eq!(said(&many).len(), PATHS);
    }

    #[test]
    fn agents_over_acp_are_read_as_well() {
        let update = |kind: &str, update: Value| {
            let mut update = update;
            update["sessionUpdate"] = kind.into();
            json!({"jsonrpc": "2.0", "method": "session/update", "params": {"update": update}})
        };
        let said = "cat: /there/a: Permission denied";
        let content = json!({"content": [
            {"type": "content", "content": {"type": "text", "text": said}}
        ]});
        let raw = json!({"rawOutput": {"output": said, "metadata": {"exit": 1}}});
        for said in [&content, &raw] {
            let told = told(&update("tool_call_update", said.clone()), Net::Full);
            assert_eq!(told, [r#"read = ["/there/a"]"#], "{said}");
        }
        // What the agent says itself is no tool's word.
        assert!(told(&update("agent_message_chunk", content), Net::Full).is_empty());
    }

    #[test]
    fn a_port_that_is_closed_is_named() {
        let ports = || Net::Ports(vec![53, 443]);
        for text in [
            "curl: (7) Failed to connect to h.example port 8443 after 0 ms: Couldn't connect to server",
            "curl: (7) Failed to connect to h.example port 8443 after 0 ms: Could not connect to server",
            "ssh: connect to host h.example port 8443: Permission denied",
            "Error: connect EACCES 192.0.2.1:8443",
            "Connecting to h.example|192.0.2.1|:8443... failed: Permission denied.",
        ] {
            assert_eq!(said_in(ports(), text), ["ports = [8443]"], "{text}");
            assert!(said(text).is_empty(), "everything is open: {text}");
        }
        for text in [
            "curl: (7) Failed to connect to h.example port 443 after 9 ms: Couldn't connect to server",
            "connect to h.example port 8443: Connection refused",
            "Permission denied: a.rs:12",
            "connect: Permission denied",
        ] {
            assert!(said_in(ports(), text).is_empty(), "{text}");
        }
    }

    #[test]
    fn without_a_network_whatever_is_out_there_is_refused() {
        for text in [
            "curl: (6) Could not resolve host: h.example",
            "connect: Network is unreachable",
            "getaddrinfo EAI_AGAIN h.example",
            "curl: (7) Failed to connect to 192.0.2.1 port 80 after 0 ms: Couldn't connect to server",
        ] {
            let told = said_in(Net::Closed(None), text);
            assert_eq!(told, [r#"network = "full""#], "{text}");
        }
        let own = "curl: (7) Failed to connect to 127.0.0.1 port 80: Couldn't connect to server";
        assert!(said_in(Net::Closed(None), own).is_empty());
    }

    /// Counts the looks.
    #[derive(Default)]
    struct Counted(std::cell::Cell<usize>);

    impl Counted {
        fn look(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    impl Disk for Counted {
        fn link(&self, _: &Path) -> Option<PathBuf> {
            self.look();
            None
        }
        fn head(&self, _: &Path) -> Vec<u8> {
            Vec::new()
        }
        fn exists(&self, _: &Path) -> bool {
            self.look();
            false
        }
    }

    impl Outside for Counted {
        fn reads(&self, _: &Path) -> bool {
            self.look();
            false
        }
        fn writes(&self, _: &Path) -> bool {
            self.look();
            false
        }
    }

    #[test]
    fn however_much_an_agent_says_little_is_looked_up() {
        let disk = Counted::default();
        let judge = Judge::new(&jail(Net::Full), Path::new("/state"), &disk);
        let at_first = disk.0.take();
        assert_eq!(at_first, 2, "where the jail's paths lead is asked once");
        let denials = |n: usize| -> String { (0..n).map(|n| format!("/x{n} eperm\n")).collect() };
        let text = denials(1000);
        judge.told(&line(&[&text, &text]).to_string(), &disk);
        assert!((1..=4 * PATHS).contains(&disk.0.take()));
        judge.told(&line(&[&denials(LINE_BYTES / 8)]).to_string(), &disk);
        assert_eq!(disk.0.take(), 0, "nobody prints so much to be helped");
        // What is beyond is not read, wherever it stands.
        let long = "x".repeat(LOOKED_AT);
        judge.told(&line(&[&long, "/x eperm"]).to_string(), &disk);
        assert_eq!(disk.0.take(), 0);
    }
}
