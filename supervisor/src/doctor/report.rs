//! What was found, as a person or a program reads it.

use anyhow::Result;
use serde::Serialize;
use worker_kit::Finding;
use worker_kit::doctor::{Fact, Verdict};

use crate::status::print;

/// Prints groups of findings as they come, or all of them at the end as one JSON document.
pub(crate) struct Report {
    json: bool,
    document: Document,
}

#[derive(Default, Serialize)]
struct Document {
    ok: usize,
    warn: usize,
    fail: usize,
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    findings: Vec<Finding>,
    facts: serde_json::Map<String, serde_json::Value>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report {
            json,
            document: Document::default(),
        }
    }

    /// What follows is of this.
    pub(crate) fn group(&mut self, name: &str) {
        if !self.json {
            let gap = if self.document.groups.is_empty() {
                ""
            } else {
                "\n"
            };
            print(&format!("{gap}{name}\n"));
        }
        self.document.groups.push(Group {
            name: name.to_owned(),
            findings: Vec::new(),
            facts: serde_json::Map::new(),
        });
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        let count = match finding.verdict {
            Verdict::Ok => &mut self.document.ok,
            Verdict::Warn => &mut self.document.warn,
            Verdict::Fail => &mut self.document.fail,
        };
        *count += 1;
        if !self.json {
            print(&shown(&finding));
        }
        if let Some(group) = self.document.groups.last_mut() {
            group.findings.push(finding);
        }
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        if let Some(group) = self.document.groups.last_mut() {
            group.facts.insert(fact.fact, fact.value.into());
        }
    }

    /// A word where there was nothing to find.
    pub(crate) fn nothing(&mut self, words: &str) {
        if !self.json {
            print(&format!("  -     {words}\n"));
        }
    }

    /// The last words; whether nothing has failed.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub(crate) fn end(&self) -> Result<bool> {
        let Document { ok, warn, fail, .. } = self.document;
        if self.json {
            print(&format!(
                "{}\n",
                serde_json::to_string_pretty(&self.document)?
            ));
        } else if fail > 0 {
            print(&format!("\n{fail} failed, {warn} to look at, {ok} well\n"));
        } else {
            print(&format!("\nNothing failed: {warn} to look at, {ok} well\n"));
        }
        Ok(fail == 0)
    }
}

/// A finding in two lines at most.
pub(crate) fn shown(finding: &Finding) -> String {
    let word = match finding.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let mut text = format!("  {word:<5} {:<12} {}\n", finding.check, finding.says);
    if !finding.advice.is_empty() {
        text.push_str(&format!("        → {}\n", finding.advice));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_out_and_says_what_to_do() {
        let text = shown(&Finding::fail("token", "refused", "click here"));
        assert_eq!(text, "  FAIL  token        refused\n        → click here\n");
        let text = shown(&Finding::ok("token", "known"));
        assert_eq!(text, "  ok    token        known\n");
    }

    #[test]
    fn one_failure_is_a_failure() {
        let mut report = Report::new(true);
        report.group("a");
        report.find(Finding::ok("x", ""));
        report.find(Finding::warn("y", "", ""));
        assert!(report.end().unwrap());
        report.group("b");
        report.find(Finding::fail("z", "", ""));
        report.fact(Fact {
            fact: "k".into(),
            value: "v".into(),
        });
        assert!(!report.end().unwrap());
        let document = serde_json::to_value(&report.document).unwrap();
        assert_eq!(document["groups"][1]["facts"]["k"], "v");
        assert_eq!(document["groups"][1]["findings"][0]["verdict"], "fail");
        assert_eq!(
            (document["ok"].as_u64(), document["fail"].as_u64()),
            (Some(1), Some(1))
        );
    }
}
