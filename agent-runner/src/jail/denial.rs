//! What the jail refused, told from what a tool says of it: the kernel tells nobody.
//!
//! A result of a tool that speaks of a refusal and of a path is a suspicion. It is confirmed only if
//! the jail closes that path and the runner's user could do without the jail what was tried. Pure,
//! given a look at the disk; bounded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::policy::{Disk, walk};
use super::{Access, Jail, Shape};

/// A longer line is not looked at, bytes.
const LINE_BYTES: usize = 1 << 20;
/// What of the results of one line is looked at, bytes.
const LOOKED_AT: usize = 64 << 10;
/// The most paths of one line.
const PATHS: usize = 8;
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

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// What was to be opened.
    pub path: PathBuf,
    /// It was to be changed; else read.
    pub write: bool,
}

impl Refusal {
    /// The key of `[projects.agent.sandbox]` that would allow it.
    pub fn key(&self) -> &'static str {
        if self.write { "write" } else { "read" }
    }
}

/// For the chat and the log.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, key) = (self.path.display(), self.key());
        let doing = if self.write { "changing" } else { "reading" };
        write!(
            f,
            "The sandbox keeps the agent from {doing} {path}. To allow it: {key} = [\"{path}\"] in \
             [projects.agent.sandbox]"
        )
    }
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
        }
    }

    /// The refusals that a line of the agent's tells of, confirmed.
    pub fn told(&self, line: &str, outside: &impl Outside) -> Vec<Refusal> {
        // Each is looked up on the disk while the runner waits: few, whatever the agent says.
        let suspects = suspects(line).into_iter();
        suspects
            .filter_map(|suspect| self.confirm(suspect, outside))
            .collect()
    }

    fn confirm(&self, suspect: Refusal, outside: &impl Outside) -> Option<Refusal> {
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
        let write = match open {
            Some(Access::Write | Access::Device) => return None,
            Some(Access::Read | Access::List) if changed => true,
            Some(Access::Read | Access::List) => return None,
            None if own_tmp => return None,
            None if changed => true,
            None if outside.exists(path) && outside.reads(path) => false,
            None => return None,
        };
        Some(Refusal { write, ..suspect })
    }
}

/// What a line speaks of in the words of a refusal: at most [`PATHS`], the first ones.
fn suspects(line: &str) -> BTreeSet<Refusal> {
    let mut suspects = BTreeSet::new();
    // Most lines are none of a tool's, and parsed once already.
    if line.len() > LINE_BYTES || !line.contains("\"tool_result\"") {
        return suspects;
    }
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return suspects;
    };
    let mut left = LOOKED_AT;
    let parts = line["message"]["content"].as_array().map(Vec::as_slice);
    let results = parts.unwrap_or_default().iter();
    for result in results.filter(|part| part["type"] == "tool_result") {
        for text in texts(&result["content"]) {
            let text = crate::text::head(text, left);
            left -= text.len();
            for said in text.lines() {
                suspect(said, &mut suspects);
                if suspects.len() == PATHS {
                    return suspects;
                }
            }
        }
    }
    suspects
}

fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => Vec::new(),
    }
}

/// The whole paths of a text's line that speaks of a refusal.
fn suspect(said: &str, suspects: &mut BTreeSet<Refusal>) {
    let small = said.to_ascii_lowercase();
    if !WORDS.iter().any(|word| small.contains(word)) {
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
        suspects.insert(Refusal { path, write });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Grant, Limits, Net};
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

    fn jail() -> Jail {
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
            net: Net::Full,
            unix_sockets: true,
            limits: Limits::default(),
        }
    }

    fn line(texts: &[&str]) -> String {
        let texts: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        json!({"type": "user", "message": {"content": [
            {"type": "tool_result", "content": texts}
        ]}})
        .to_string()
    }

    fn said(text: &str) -> Vec<String> {
        let judge = Judge::new(&jail(), Path::new("/state"), &Around);
        let told = judge.told(&line(&[text]), &Around).into_iter();
        told.map(|refusal| format!("{} {}", refusal.key(), refusal.path.display()))
            .collect()
    }

    #[test]
    fn what_tools_say_of_a_closed_path_is_confirmed() {
        for (text, expected) in [
            ("cat: /there/a: Permission denied", "read /there/a"),
            ("cat: /there/a: No such file or directory", "read /there/a"),
            (
                "touch: cannot touch '/there/absent': No such file or directory",
                "write /there/absent",
            ),
            (
                "Error: EACCES: permission denied, open '/there/b.txt'",
                "read /there/b.txt",
            ),
            (
                "mkdir: cannot create directory ‘/read/x’: Permission denied",
                "write /read/x",
            ),
            ("bash: line 1: /there/x: Permission denied", "read /there/x"),
        ] {
            assert_eq!(said(text), [expected], "{text}");
        }
        let two = "ls: cannot open directory '/there': Permission denied\ncat: /there/a: Permission denied";
        assert_eq!(said(two), ["read /there", "read /there/a"]);
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
        let judge = Judge::new(&jail(), Path::new("/state"), &disk);
        let at_first = disk.0.take();
        assert_eq!(at_first, 2, "where the jail's paths lead is asked once");
        let denials = |n: usize| -> String { (0..n).map(|n| format!("/x{n} eperm\n")).collect() };
        let text = denials(1000);
        judge.told(&line(&[&text, &text]), &disk);
        assert!((1..=4 * PATHS).contains(&disk.0.take()));
        judge.told(&line(&[&denials(LINE_BYTES / 8)]), &disk);
        assert_eq!(disk.0.take(), 0, "nobody prints so much to be helped");
        // What is beyond is not read, wherever it stands.
        let long = "x".repeat(LOOKED_AT);
        judge.told(&line(&[&long, "/x eperm"]), &disk);
        assert_eq!(disk.0.take(), 0);
    }
}
