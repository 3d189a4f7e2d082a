//! The captured transcripts of the real command line, for tests.

use std::path::PathBuf;

use serde_json::Value;

/// One entry of a transcript.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// A process begins; whether it was to go on with a turn by itself.
    Start { revive: bool },
    /// A line to it.
    Stdin(Value),
    /// A line from it, as it was.
    Stdout(String),
    /// It ended.
    Exit,
    /// A line of the session file after that end.
    File(String),
}

pub(crate) fn versions() -> Vec<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Every transcript, with its name: `claude-VERSION/NAME`.
pub(crate) fn all() -> Vec<(String, Vec<Entry>)> {
    let mut all = Vec::new();
    for version in versions() {
        for file in std::fs::read_dir(&version).unwrap() {
            let file = file.unwrap().path();
            let name = format!(
                "{}/{}",
                version.file_name().unwrap().display(),
                file.file_stem().unwrap().display()
            );
            all.push((name, read(&file)));
        }
    }
    assert!(all.len() > 50, "the transcripts are there");
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The transcript of that name, in each version that has it.
pub(crate) fn named(name: &str) -> Vec<Vec<Entry>> {
    let found: Vec<_> = versions()
        .into_iter()
        .map(|version| version.join(format!("{name}.jsonl")))
        .filter(|file| file.exists())
        .map(|file| read(&file))
        .collect();
    assert!(!found.is_empty(), "{name}");
    found
}

fn read(file: &std::path::Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            let line = entry["line"].clone();
            let text = line
                .as_str()
                .map_or_else(|| line.to_string(), str::to_owned);
            Some(match entry["at"].as_str().unwrap() {
                "start" => {
                    let flag = "CLAUDE_CODE_RESUME_INTERRUPTED_TURN";
                    Entry::Start {
                        revive: line["env"].get(flag).is_some(),
                    }
                }
                "stdin" => Entry::Stdin(line),
                "stdout" => Entry::Stdout(text),
                "exit" => Entry::Exit,
                "file" => Entry::File(text),
                _ => return None,
            })
        })
        .collect()
}
