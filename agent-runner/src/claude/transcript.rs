//! The session file: what became of a prompt, as Claude Code wrote it down.
//!
//! The file is a tree: each line names its parent, and a turn that went on after a crash hangs
//! below a line of the CLI's own ("Continue …"), not below what the crash cut off. What stands in
//! the agent's history is therefore the way from the last line back to the prompt; a block that is
//! off that way was dropped by the CLI and is no part of the answer. Neither is a message on the way
//! that calls a tool which never answered: the model's API takes no such message, so the CLI leaves
//! it out.
//!
//! Pure but for reading lines. What is kept of one turn, names and text, is bounded ([`TURN_BYTES`]);
//! a line that is longer than [`LINE_BYTES`], or whose name is no name, is passed over.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, Read as _};

use serde::Deserialize;

use super::message::{Content, Message, Part};

/// A longer line is passed over, as one on stdout is.
pub const LINE_BYTES: usize = 16 << 20;
/// The most of one turn that is kept: its text, its names, and what each line takes beside them.
pub const TURN_BYTES: usize = 32 << 20;
/// What a line takes in memory beside its texts; about.
const NODE_BYTES: usize = 256;
/// The longest name of a line. The CLI's are 36 bytes.
const NAME_BYTES: usize = 128;

/// A text block of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Names it, on stdout as in the file.
    pub id: String,
    /// The text.
    pub text: String,
}

/// How a prompt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It never got there.
    Absent,
    /// It is there, and its answer is not whole.
    Open,
    /// It was stopped by a person; the CLI will not go on with it.
    Stopped,
    /// It is answered.
    Answered,
}

/// What the file says of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// How it stands.
    pub standing: Standing,
    /// The text blocks of its answer so far, in order, without those that were to be left out.
    pub blocks: Vec<Block>,
}

impl Reading {
    /// Of a file that is not there.
    pub const ABSENT: Reading = Reading {
        standing: Standing::Absent,
        blocks: Vec::new(),
    };
}

/// Names text part number `index` of a line.
pub fn block_id(line: &str, index: usize) -> String {
    match index {
        0 => line.to_owned(),
        _ => format!("{line}/{index}"),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    r#type: String,
    uuid: String,
    #[serde(rename = "parentUuid")]
    parent: Option<String>,
    #[serde(rename = "isSidechain")]
    side: bool,
    #[serde(rename = "isMeta")]
    meta: bool,
    #[serde(rename = "isApiErrorMessage")]
    api_error: bool,
    #[serde(rename = "isCompactSummary")]
    summary: bool,
    message: Message,
}

struct Node {
    parent: Option<String>,
    kind: Kind,
}

impl Node {
    /// What it takes in memory; about.
    fn bytes(&self) -> usize {
        let all = |texts: &[String]| texts.iter().map(|text| text.len() + NODE_BYTES / 8).sum();
        let kind: usize = match &self.kind {
            Kind::Said {
                message,
                blocks,
                calls,
                ..
            } => {
                let blocks = blocks.iter();
                let blocks: usize = blocks
                    .map(|block| block.id.len() + block.text.len() + NODE_BYTES / 4)
                    .sum();
                message.len() + blocks + all(calls)
            }
            Kind::Answers(calls) => all(calls),
            Kind::Error | Kind::Stopped | Kind::Other => 0,
        };
        NODE_BYTES + self.parent.as_ref().map_or(0, String::len) + kind
    }
}

enum Kind {
    /// Part of the model's answer; whether the message it belongs to ended the turn.
    Said {
        message: String,
        blocks: Vec<Block>,
        calls: Vec<String>,
        ends: bool,
    },
    /// Tools answered these calls.
    Answers(Vec<String>),
    /// The CLI's report of an error.
    Error,
    /// A person stopped it here.
    Stopped,
    /// Lines of the CLI's own.
    Other,
}

/// Reads what became of `prompt`, leaving out the blocks named in `known`.
///
/// # Errors
/// What reading gives; a turn of more than [`TURN_BYTES`].
pub fn read(mut file: impl BufRead, prompt: &str, known: &BTreeSet<String>) -> io::Result<Reading> {
    let mut nodes: HashMap<String, Node> = HashMap::new();
    let mut last: Option<String> = None;
    let mut found = false;
    let mut bytes = 0;
    let mut line = Vec::new();
    while next_line(&mut file, &mut line)? {
        // Most of a long file lies before the prompt and need not be understood.
        if !found && !contains(&line, prompt.as_bytes()) {
            continue;
        }
        let Ok(entry) = serde_json::from_slice::<Entry>(&line) else {
            continue;
        };
        let long = |name: &str| name.len() > NAME_BYTES;
        let nameless = entry.uuid.is_empty() || long(&entry.uuid);
        if entry.side || nameless || entry.parent.as_deref().is_some_and(long) {
            continue;
        }
        if entry.uuid == prompt && entry.r#type == "user" {
            // A later line of the same prompt supersedes an earlier one.
            found = true;
            nodes.clear();
            bytes = 0;
            last = Some(entry.uuid);
            continue;
        }
        if !found {
            continue;
        }
        if begins_another_turn(&entry) {
            break;
        }
        let uuid = entry.uuid.clone();
        let parent = entry.parent.clone();
        let node = Node {
            parent,
            kind: kind(entry, known),
        };
        bytes += uuid.len() + node.bytes();
        if bytes > TURN_BYTES {
            let why = format!("the turn is longer than {} MiB", TURN_BYTES >> 20);
            return Err(io::Error::other(why));
        }
        nodes.insert(uuid.clone(), node);
        last = Some(uuid);
    }
    Ok(match last {
        Some(last) if found => follow(prompt, last, nodes),
        _ => Reading::ABSENT,
    })
}

/// Walks back from the last line to the prompt.
fn follow(prompt: &str, last: String, mut nodes: HashMap<String, Node>) -> Reading {
    let mut said = Vec::new();
    let mut standing = None;
    let mut answered = BTreeSet::new();
    let mut left_out = BTreeSet::new();
    let mut at = Some(last);
    while let Some(uuid) = at.take_if(|uuid| uuid != prompt) {
        // Taken out, so that lines which name each other in a ring cannot hold us.
        let Some(node) = nodes.remove(&uuid) else {
            break;
        };
        at = node.parent;
        match node.kind {
            Kind::Said {
                message,
                blocks,
                calls,
                ends,
            } => {
                let done = ends && calls.is_empty();
                standing.get_or_insert(if done {
                    Standing::Answered
                } else {
                    Standing::Open
                });
                if !calls.iter().all(|call| answered.contains(call)) {
                    left_out.insert(message.clone());
                }
                said.push((message, blocks));
            }
            Kind::Answers(calls) => answered.extend(calls),
            Kind::Error => {
                standing.get_or_insert(Standing::Open);
            }
            Kind::Stopped => {
                standing.get_or_insert(Standing::Stopped);
            }
            Kind::Other => {}
        }
    }
    let kept = said
        .into_iter()
        .rev()
        .filter(|(message, _)| !left_out.contains(message));
    let blocks = kept.flat_map(|(_, blocks)| blocks).collect();
    Reading {
        standing: standing.unwrap_or(Standing::Open),
        blocks,
    }
}

fn kind(entry: Entry, known: &BTreeSet<String>) -> Kind {
    if entry.r#type == "assistant" {
        if entry.api_error {
            return Kind::Error;
        }
        let ends = !matches!(
            entry.message.stop_reason.as_deref(),
            None | Some("tool_use" | "pause_turn")
        );
        let message = entry.message.id;
        let mut calls = Vec::new();
        let mut blocks = Vec::new();
        for part in entry.message.content.into_parts() {
            match part {
                Part::Text(text) => {
                    blocks.push(Block {
                        id: block_id(&entry.uuid, blocks.len()),
                        text,
                    });
                }
                Part::Tool { id, .. } => calls.push(id),
            }
        }
        blocks.retain(|block| !known.contains(&block.id));
        return Kind::Said {
            message,
            blocks,
            calls,
            ends,
        };
    }
    if entry.r#type == "user" && is_stop(&entry.message.content) {
        return Kind::Stopped;
    }
    if let ("user", Some(text)) = (entry.r#type.as_str(), printed(&entry.message.content)) {
        let id = block_id(&entry.uuid, 0);
        let text = text.to_owned();
        let new = !text.is_empty() && !known.contains(&id);
        return Kind::Said {
            message: entry.uuid,
            blocks: new.then_some(Block { id, text }).into_iter().collect(),
            calls: Vec::new(),
            ends: true,
        };
    }
    if let ("user", Content::Blocks(blocks)) = (entry.r#type.as_str(), entry.message.content) {
        return Kind::Answers(blocks.into_iter().map(|block| block.tool_use_id).collect());
    }
    Kind::Other
}

/// A person's words, not a tool's result and not a line of the CLI's own.
fn begins_another_turn(entry: &Entry) -> bool {
    entry.r#type == "user"
        && !entry.meta
        && !entry.summary
        && !is_stop(&entry.message.content)
        && printed(&entry.message.content).is_none()
        && match &entry.message.content {
            Content::Text(_) => true,
            Content::Blocks(blocks) => blocks.iter().all(|block| block.tool_use_id.is_empty()),
            Content::Unknown(_) => false,
        }
}

fn is_stop(content: &Content) -> bool {
    const STOP: &str = "[Request interrupted by user";
    match content {
        Content::Text(text) => text.starts_with(STOP),
        Content::Blocks(blocks) => blocks.iter().any(|block| block.text.starts_with(STOP)),
        Content::Unknown(_) => false,
    }
}

/// What a command of the CLI's own (such as /compact) has printed: the end of its turn.
fn printed(content: &Content) -> Option<&str> {
    let Content::Text(text) = content else {
        return None;
    };
    let rest = text.strip_prefix("<local-command-stdout>")?;
    Some(rest.split("</local-command-stdout>").next()?.trim())
}

/// Reads a line into `line`, without its end; a longer one than [`LINE_BYTES`] comes out empty.
/// `false` = the end of the file. A last line that is not ended is half written: left out.
fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = LINE_BYTES as u64 + 1;
    file.by_ref().take(limit).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(true);
    }
    if line.len() as u64 == limit {
        line.clear();
        file.skip_until(b'\n')?;
        return Ok(true);
    }
    Ok(false)
}

fn contains(line: &[u8], needle: &[u8]) -> bool {
    let Some(first) = needle.first() else {
        return true;
    };
    let mut rest = line;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Entry;
    use super::*;

    const PROMPT: &str = "p-1";

    fn reading(lines: &[&str]) -> Reading {
        let file = lines.join("\n") + "\n";
        read(file.as_bytes(), PROMPT, &BTreeSet::new()).unwrap()
    }

    #[test]
    fn a_command_of_the_clis_own_is_answered_by_what_it_printed() {
        for entries in super::super::fixtures::named("compact-command") {
            let stdin = entries.iter().filter_map(|entry| match entry {
                Entry::Stdin(line) => line["uuid"].as_str().map(str::to_owned),
                _ => None,
            });
            let prompts: Vec<String> = stdin.collect();
            let file: String = entries
                .iter()
                .filter_map(|entry| match entry {
                    Entry::File(line) => Some(format!("{line}\n")),
                    _ => None,
                })
                .collect();
            let answers = ["Compacted", "You said: and now"];
            for (prompt, answer) in prompts[1..].iter().zip(answers) {
                let reading = read(file.as_bytes(), prompt, &BTreeSet::new()).unwrap();
                assert_eq!(reading.standing, Standing::Answered, "{prompt}");
                assert_eq!(reading.blocks.last().unwrap().text, answer);
            }
        }
    }

    fn prompt(uuid: &str, parent: &str) -> String {
        format!(
            r#"{{"type":"user","uuid":"{uuid}","parentUuid":"{parent}","message":{{"role":"user","content":"hi"}}}}"#
        )
    }

    fn said(uuid: &str, parent: &str, text: &str, stop: &str) -> String {
        format!(
            r#"{{"type":"assistant","uuid":"{uuid}","parentUuid":"{parent}","message":{{"id":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":{stop}}}}}"#
        )
    }

    fn texts(reading: &Reading) -> Vec<&str> {
        reading
            .blocks
            .iter()
            .map(|block| block.text.as_str())
            .collect()
    }

    /// What the file says of every prompt of a transcript, after each end of its process.
    fn standings(name: &str) -> Vec<Vec<(Standing, Vec<String>)>> {
        let mut all = Vec::new();
        for entries in super::super::fixtures::named(name) {
            let (mut prompts, mut file, mut standings) = (Vec::new(), String::new(), Vec::new());
            let mut judge = |prompts: &Vec<String>, file: &mut String| {
                for prompt in prompts {
                    let reading = read(file.as_bytes(), prompt, &BTreeSet::new()).unwrap();
                    let texts = reading.blocks.into_iter().map(|block| block.text).collect();
                    standings.push((reading.standing, texts));
                }
                file.clear();
            };
            for entry in entries {
                match entry {
                    Entry::Stdin(line) if line["type"] == "user" => {
                        let prompt = line["uuid"].as_str().unwrap_or_default().to_owned();
                        if !prompts.contains(&prompt) {
                            prompts.push(prompt);
                        }
                    }
                    Entry::Start { .. } if !file.is_empty() => judge(&prompts, &mut file),
                    Entry::File(line) => file = file + &line + "\n",
                    _ => {}
                }
            }
            judge(&prompts, &mut file);
            all.push(standings);
        }
        all
    }

    fn last(name: &str) -> Vec<(Standing, Vec<String>)> {
        standings(name)
            .into_iter()
            .map(|mut all| all.pop().unwrap())
            .collect()
    }

    // pitfall: a finished answer is read from the jsonl
    #[test]
    fn the_real_files_are_understood() {
        for name in [
            "simple-turn",
            "tool-allowed",
            "ask-user-question",
            "plan-mode",
            "subagent",
        ] {
            for (standing, texts) in last(name) {
                assert_eq!(standing, Standing::Answered, "{name}");
                assert!(!texts.is_empty(), "{name}");
            }
        }
        assert_eq!(last("two-blocks")[0].1, ["First block.", "Second block."]);
        for (standing, texts) in last("kill-at-first-block") {
            assert_eq!((standing, texts), (Standing::Open, Vec::new()));
        }
        for name in ["interrupt-text", "interrupt-tool", "resume-stopped"] {
            for (standing, _) in last(name) {
                assert_eq!(standing, Standing::Stopped, "{name}");
            }
        }
        for name in ["error-429", "error-401", "logged-out", "sigterm-tool"] {
            for (standing, texts) in last(name) {
                assert_eq!((standing, texts), (Standing::Open, Vec::new()), "{name}");
            }
        }
    }

    #[test]
    fn a_turn_that_went_on_after_a_crash_is_read_without_what_the_crash_cut_off() {
        for name in [
            "resume-interrupted-text",
            "resume-interrupted-tool",
            "resume-question",
        ] {
            for standings in standings(name) {
                assert_eq!(standings[0].0, Standing::Open, "{name}");
                assert_eq!(standings[1].0, Standing::Answered, "{name}");
                let texts = &standings[1].1;
                let unlike: BTreeSet<_> = texts.iter().collect();
                assert_eq!(unlike.len(), texts.len(), "{name}: {texts:?}");
            }
        }
    }

    #[test]
    fn what_came_of_background_work_is_no_part_of_the_answer() {
        for (standing, texts) in last("background-tool") {
            assert_eq!(
                (standing, texts.len()),
                (Standing::Answered, 1),
                "{texts:?}"
            );
        }
    }

    #[test]
    fn a_prompt_that_is_only_mentioned_is_absent() {
        let other = r#"{"type":"last-prompt","leafUuid":"p-1"}"#;
        assert_eq!(reading(&[other]), Reading::ABSENT);
        assert_eq!(reading(&[]), Reading::ABSENT);
    }

    #[test]
    fn an_answer_ends_where_the_next_prompt_begins() {
        let lines = [
            prompt("p-1", "x"),
            said("a", "p-1", "one", "\"end_turn\""),
            prompt("p-2", "a"),
            said("b", "p-2", "two", "null"),
        ];
        let reading = reading(&lines.each_ref().map(String::as_str));
        assert_eq!(reading.standing, Standing::Answered);
        assert_eq!(texts(&reading), ["one"]);
    }

    #[test]
    fn a_message_whose_tool_never_answered_is_left_out() {
        let calls = |uuid: &str, parent: &str, call: &str| {
            format!(
                r#"{{"type":"assistant","uuid":"{uuid}","parentUuid":"{parent}","message":{{"id":"{uuid}","content":[
                    {{"type":"text","text":"{uuid}"}},{{"type":"tool_use","id":"{call}"}}],"stop_reason":"tool_use"}}}}"#
            )
            .replace('\n', "")
        };
        let result = r#"{"type":"user","uuid":"r","parentUuid":"b","message":{"content":[{"type":"tool_result","tool_use_id":"c2"}]}}"#;
        let lines = [
            prompt("p-1", "x"),
            calls("a", "p-1", "c1"),
            calls("b", "a", "c2"),
            result.to_owned(),
            said("d", "r", "end", "\"end_turn\""),
        ];
        assert_eq!(
            texts(&reading(&lines.each_ref().map(String::as_str))),
            ["b", "end"]
        );
    }

    #[test]
    fn a_half_written_line_and_a_ring_of_lines_do_no_harm() {
        let half = format!(
            "{}\n{}",
            prompt("p-1", "x"),
            said("a", "p-1", "one", "\"end_turn\"")
        );
        let reading_of_half = read(half.as_bytes(), PROMPT, &BTreeSet::new()).unwrap();
        assert_eq!(reading_of_half.standing, Standing::Open);
        let ring = [
            prompt("p-1", "x"),
            said("a", "b", "1", "null"),
            said("b", "a", "2", "null"),
        ];
        assert_eq!(
            reading(&ring.each_ref().map(String::as_str)).blocks.len(),
            2
        );
    }

    #[test]
    fn known_blocks_are_left_out_and_still_tell_the_standing() {
        let file = [prompt("p-1", "x"), said("a", "p-1", "one", "\"end_turn\"")].join("\n") + "\n";
        let known = BTreeSet::from(["a".to_owned()]);
        let reading = read(file.as_bytes(), PROMPT, &known).unwrap();
        assert_eq!(
            reading,
            Reading {
                standing: Standing::Answered,
                blocks: Vec::new()
            }
        );
    }

    #[test]
    fn a_line_over_the_limit_is_passed_over() {
        let long = format!(
            r#"{{"type":"attachment","x":"{}"}}"#,
            "x".repeat(LINE_BYTES)
        );
        let lines = [
            prompt("p-1", "x"),
            long,
            said("a", "p-1", "one", "\"end_turn\""),
        ];
        assert_eq!(
            texts(&reading(&lines.each_ref().map(String::as_str))),
            ["one"]
        );
    }

    #[test]
    fn what_is_kept_of_a_turn_is_bounded_whatever_its_lines_are() {
        let file = |lines: String| {
            let file = format!("{}\n{lines}", prompt(PROMPT, ""));
            read(file.as_bytes(), PROMPT, &BTreeSet::new())
        };
        let long = "x".repeat(9 << 20);
        let call = |n: usize, id: &str, message: &str| {
            format!(
                r#"{{"type":"assistant","uuid":"c{n}","parentUuid":"{PROMPT}","message":{{"id":"{message}","content":[{{"type":"tool_use","id":"{id}","name":"n","input":{{}}}}],"stop_reason":"tool_use"}}}}"#
            ) + "\n"
        };
        let answer = |n: usize| {
            format!(
                r#"{{"type":"user","uuid":"a{n}","parentUuid":"{PROMPT}","message":{{"content":[{{"type":"tool_result","tool_use_id":"{long}"}}]}}}}"#
            ) + "\n"
        };
        let small = |n: usize| format!("{{\"type\":\"system\",\"uuid\":\"s{n}\"}}\n");
        for (what, lines) in [
            ("calls", (0..4).map(|n| call(n, &long, "m")).collect()),
            ("messages", (0..4).map(|n| call(n, "id", &long)).collect()),
            ("answers", (0..4).map(answer).collect()),
            ("lines", (0..TURN_BYTES / NODE_BYTES).map(small).collect()),
        ] {
            assert!(file(lines).is_err(), "{what}");
        }
        assert!(file((0..1000).map(small).collect()).is_ok());
        // What is no name of the CLI's is no line of its.
        let named = |uuid: &str, parent: &str| said(uuid, parent, "hi", "\"end_turn\"") + "\n";
        let name = "u".repeat(NAME_BYTES);
        let reading = |lines: String| texts(&file(lines).unwrap()).join("");
        assert_eq!(reading(named(&name, PROMPT)), "hi");
        assert_eq!(reading(named(&format!("{name}u"), PROMPT)), "");
        assert_eq!(reading(named("x", &format!("{name}u"))), "");
    }
}
