//! What a conversation had cost when its last process wrote that down: Claude Code 2.1 does so as it
//! leaves (`cost-state` in the session file), and the next process counts on from there. One that was
//! killed has written nothing, so its share is missing from every later sum of the CLI's: whoever knows
//! where a process begins can tell what it has spent itself.

use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;

use super::lines::microusd;

/// How much of the end of a file is looked at.
const LOOK: u64 = 8 << 20;

#[derive(Deserialize)]
struct State {
    r#type: String,
    #[serde(rename = "totalCostUSD")]
    total: serde_json::Value,
}

/// Millionths of a dollar with which a process begins that resumes this file; none: it stands further
/// back than is looked.
///
/// # Errors
/// What reading gives.
pub fn begins_with(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(LOOK);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(LOOK).read_to_end(&mut end)?;
    let mut lines = end.split(|byte| *byte == b'\n').rev();
    let total = lines.find_map(|line| {
        // Most lines are long and none of these.
        let head = line.get(..line.len().min(64))?;
        head.windows(10)
            .any(|word| word == b"cost-state")
            .then_some(())?;
        let state: State = serde_json::from_slice(line).ok()?;
        (state.r#type == "cost-state").then(|| microusd(&state.total))
    });
    Ok(total.or((from == 0).then_some(0)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn of(text: &str) -> Option<u64> {
        begins_with(&mut Cursor::new(text)).unwrap()
    }

    #[test]
    fn the_last_sum_that_was_written_down_counts() {
        let state =
            |sum: &str| format!(r#"{{"type":"cost-state","sessionId":"s","totalCostUSD":{sum}}}"#);
        let said = r#"{"type":"user","message":{"content":"\"type\":\"cost-state\""}}"#;
        let file = format!(
            "{said}\n{}\n{said}\n{}\n{said}\n",
            state("0.1"),
            state("0.25")
        );
        assert_eq!(of(&file), Some(250_000));
        // Killed before it wrote any, or in the midst of it.
        assert_eq!(of(""), Some(0));
        assert_eq!(of(said), Some(0));
        let half = format!("{}\n{}", state("0.1"), &state("0.25")[..50]);
        assert_eq!(of(&half), Some(100_000));
        let long = format!("{}\n{}", state("0.1"), "x".repeat(LOOK as usize));
        assert_eq!(of(&long), None);
    }
}
