//! `bulkhead status`, and the orders that go the same way.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use hub::control::{Answer, Ask, Waiting};
use monitor::control::{Client, ClientError, ProcessStatus, Request, Status};
use serde_json::Value;

use crate::places::Places;

/// What is known of a running tree.
struct Report {
    tree: Status,
    /// By process: whether the hub has a link to it. Absent while the hub is down.
    links: Option<BTreeMap<String, bool>>,
    /// What waits in the spool. Absent while the hub is down.
    waiting: Option<Waiting>,
}

/// Prints how everything is; 1 if something is held or degraded.
pub(crate) fn status(places: &Places, json: bool) -> Result<ExitCode> {
    let tree = Client::new(&places.runtime_dir).status().map_err(words)?;
    let (links, waiting) = match hub::control::ask(&places.runtime_dir, &Ask::Overview) {
        Ok(Answer::Overview { links, waiting }) => (Some(links), Some(waiting)),
        _ => (None, None),
    };
    let well = tree
        .processes
        .iter()
        .all(|p| p.held.is_none() && !p.degraded);
    let report = Report {
        tree,
        links,
        waiting,
    };
    if json {
        print(&format!("{:#}\n", document(&report)?));
    } else {
        print(&table(&report));
    }
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The JSON document: what the monitor says, with the hub's word on each process's link.
fn document(report: &Report) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(&report.tree)?;
    document["waiting"] = serde_json::to_value(&report.waiting)?;
    for process in document["processes"].as_array_mut().into_iter().flatten() {
        let name = process["name"].as_str().unwrap_or_default();
        process["link"] = link(report.links.as_ref(), name).into();
    }
    Ok(document)
}

/// `up`, `down`, or nothing where there is no link to speak of.
fn link(links: Option<&BTreeMap<String, bool>>, process: &str) -> Option<&'static str> {
    let up = *links?.get(process)?;
    Some(if up { "up" } else { "down" })
}

/// Gives an order and prints what the monitor says to it.
pub(crate) fn order(places: &Places, request: &Request) -> Result<ExitCode> {
    let said = Client::new(&places.runtime_dir)
        .order(request)
        .map_err(words)?;
    print(&format!("{said}\n"));
    Ok(ExitCode::SUCCESS)
}

/// A client's error says everything itself, its causes included.
fn words(error: ClientError) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}

/// A command's output, at once: it may be a question. Who does not listen any more misses nothing.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

const HEADINGS: [&str; 8] = [
    "PROCESS",
    "STATE",
    "PID",
    "UPTIME",
    "RESTARTS",
    "LINK",
    "LAST EXIT",
    "SAYS",
];

fn table(report: &Report) -> String {
    let mut rows = vec![HEADINGS.map(String::from)];
    rows.extend(
        report
            .tree
            .processes
            .iter()
            .map(|process| row(process, report.links.as_ref())),
    );
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!(
        "bulkhead {} (pid {}), up {}\n\n",
        report.tree.version,
        report.tree.pid,
        span(report.tree.uptime_ms)
    );
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    for process in &report.tree.processes {
        if let Some(held) = &process.held {
            text.push_str(&format!("\n{} is held: {held}\n", process.name));
        } else if process.degraded {
            text.push_str(&format!(
                "\n{} dies again and again; its log says why\n",
                process.name
            ));
        }
    }
    match &report.waiting {
        Some(waiting) => text.push_str(&format!(
            "\nTurns: {} running, {} queued. Replies: {} on their way, {} parked{}\n",
            waiting.open_turns,
            waiting.queued_turns,
            waiting.pending_chunks,
            waiting.parked_chunks,
            if waiting.parked_chunks > 0 {
                " (see: bulkhead queue list)"
            } else {
                ""
            }
        )),
        None => text.push_str("\nThe hub does not answer; what was accepted waits on the disk\n"),
    }
    for note in &report.tree.notes {
        text.push_str(&format!("Note: {note}\n"));
    }
    text
}

fn row(process: &ProcessStatus, links: Option<&BTreeMap<String, bool>>) -> [String; 8] {
    let state = match process.next_start_in_ms {
        Some(ms) => format!("{} {}", process.state, span(ms)),
        None => process.state.clone(),
    };
    let link = link(links, &process.name).unwrap_or("-");
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        process.name.clone(),
        state,
        or_dash(process.pid.map(|pid| pid.to_string())),
        or_dash(process.uptime_ms.map(span)),
        process.restarts.to_string(),
        link.into(),
        or_dash(process.last_exit.clone()),
        or_dash(process.status.clone()),
    ]
}

/// A span of time in the two largest units that matter.
fn span(ms: u64) -> String {
    let secs = ms / 1000;
    match secs {
        0 => format!("{ms} ms"),
        1..60 => format!("{secs} s"),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} min", secs / 3600, secs / 60 % 60),
        _ => format!("{} d {} h", secs / 86_400, secs / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (ms, text) in [
            (250, "250 ms"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (3_660_000, "1 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
