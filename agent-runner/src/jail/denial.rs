//! What the jail refused, told from what a tool says of it: the kernel tells nobody.
//!
//! A result of a tool that speaks of a refusal and of a path is a suspicion. It is confirmed only if
//! the jail closes that path and the runner's user could do without the jail what was tried. Pure,
//! given a look at the disk; bounded.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::policy::{Disk, walk};
use super::{Access, Jail, Shape};

/// What of one result is looked at, in bytes.
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

/// The refusals that a line of the agent's tells of, confirmed. `keep` = below it nothing is to be
/// suggested: it is the runner's own.
pub fn told(line: &str, jail: &Jail, keep: &Path, outside: &impl Outside) -> Vec<Refusal> {
    // Most lines are none of a tool's, and parsed once already.
    if !line.contains("\"tool_result\"") {
        return Vec::new();
    }
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return Vec::new();
    };
    let mut refusals = Vec::new();
    let parts = line["message"]["content"].as_array().map(Vec::as_slice);
    let results = parts.unwrap_or_default().iter();
    for result in results.filter(|part| part["type"] == "tool_result") {
        for text in texts(&result["content"]) {
            for said in crate::text::head(text, LOOKED_AT).lines() {
                suspect(said, |path, changed| {
                    let confirmed = confirm(path, changed, jail, keep, outside);
                    refusals.extend(confirmed);
                });
            }
        }
    }
    refusals.sort();
    refusals.dedup();
    refusals.truncate(PATHS);
    refusals
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

/// The whole paths of a line that speaks of a refusal.
fn suspect(said: &str, mut each: impl FnMut(&Path, bool)) {
    let small = said.to_ascii_lowercase();
    if !WORDS.iter().any(|word| small.contains(word)) {
        return;
    }
    let changed = CHANGES.iter().any(|word| small.contains(word));
    let apart = |c: char| c.is_whitespace() || "'\"`‘’“”,;()<>[]{}".contains(c);
    let words = said
        .split(apart)
        .map(|word| word.trim_end_matches([':', '.']));
    let paths = words.filter(|word| word.len() > 1 && word.len() <= PATH_BYTES);
    for path in paths.filter(|word| word.starts_with('/')).take(PATHS) {
        // `/a/b:12:` names a line of a file, too.
        each(Path::new(path.split(':').next().unwrap_or(path)), changed);
    }
}

fn confirm(
    path: &Path,
    changed: bool,
    jail: &Jail,
    keep: &Path,
    outside: &impl Outside,
) -> Option<Refusal> {
    let real = walk(path, outside).real;
    if real.starts_with(keep) || path.starts_with("/proc") || path.starts_with("/dev") {
        return None;
    }
    let own_tmp = jail.shape != Shape::Shared && path.starts_with("/tmp");
    let open = jail
        .grants
        .iter()
        .filter(|grant| {
            path.starts_with(&grant.path) || real.starts_with(walk(&grant.path, outside).real)
        })
        .map(|grant| grant.access)
        .max();
    let refused = |write: bool| {
        Some(Refusal {
            path: path.to_owned(),
            write,
        })
    };
    match open {
        Some(Access::Write | Access::Device) => None,
        Some(Access::Read | Access::List) => {
            (changed && outside.writes(path)).then(|| refused(true))?
        }
        None if own_tmp => None,
        None if changed && outside.writes(path) => refused(true),
        None => (outside.exists(path) && outside.reads(path)).then(|| refused(false))?,
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

    fn said(text: &str) -> Vec<String> {
        let jail = Jail {
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
        };
        let line = json!({"type": "user", "message": {"content": [
            {"type": "tool_result", "content": [{"type": "text", "text": text}]}
        ]}});
        told(&line.to_string(), &jail, Path::new("/state"), &Around)
            .into_iter()
            .map(|refusal| format!("{} {}", refusal.key(), refusal.path.display()))
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
}
