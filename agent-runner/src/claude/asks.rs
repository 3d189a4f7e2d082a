//! The requests of one Claude Code process that wait for a person.
//!
//! Promises: each gets an id that no other question ever has; each is answered once: by a decision,
//! by a denial at its deadline, or not at all because the CLI withdrew it. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipc_schema::{Decision, Question};
use serde_json::Value;

use super::lines::ToolUse;
use super::protocol::Act;
use super::question::{self, Reply};

/// Open requests beyond this are denied: the CLI puts one at a time.
const OPEN: usize = 32;

/// What is open.
#[derive(Debug)]
pub(super) struct Asks {
    /// Makes the ids of this process's questions unlike those of any other.
    nonce: String,
    timeout: Duration,
    open: VecDeque<Open>,
    /// The plan that the agent wrote last: newer CLIs ask about it with an empty input.
    plan: Option<String>,
}

#[derive(Debug)]
struct Open {
    id: String,
    question: question::Question,
    deadline: Instant,
}

impl Asks {
    pub(super) fn new(nonce: String, timeout: Duration) -> Asks {
        Asks {
            nonce,
            timeout,
            open: VecDeque::new(),
            plan: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The first open question's id and request.
    #[cfg(test)]
    pub(super) fn first(&self) -> Option<(String, String)> {
        let open = self.open.front()?;
        Some((open.id.clone(), open.question.request().to_owned()))
    }

    /// Notes a plan, if this call of a tool carries one.
    pub(super) fn note(&mut self, tool: &str, input: &Value) {
        let is_plan = |path: &str| path.contains("/plans/");
        let plan = match tool {
            "ExitPlanMode" => input["plan"].as_str(),
            "Write" if input["file_path"].as_str().is_some_and(is_plan) => {
                input["content"].as_str()
            }
            _ => None,
        };
        if let Some(plan) = plan {
            self.plan = Some(plan.to_owned());
        }
    }

    /// A request came; `heard` = there is somebody to ask.
    pub(super) fn ask(&mut self, request: String, tool: ToolUse, heard: bool, now: Instant) -> Act {
        if !heard || self.open.len() >= OPEN {
            return Act::Write(question::nobody_to_ask(&request));
        }
        let question = question::Question::new(request, tool, self.plan.as_deref());
        let open = Open {
            id: id(&self.nonce, &question),
            question,
            deadline: now + self.timeout,
        };
        let asked = Act::Asked(put(&open, self.timeout));
        self.open.push_back(open);
        asked
    }

    /// A person decided.
    pub(super) fn decide(&mut self, question: &str, decision: Decision, now: Instant) -> Vec<Act> {
        let decided = |applied| Act::Decided {
            question: question.to_owned(),
            applied,
        };
        let Some(at) = self.open.iter().position(|open| open.id == question) else {
            return vec![decided(false)];
        };
        let open = &mut self.open[at];
        let grants = match decision {
            Decision::AllowAlways => open.question.grants(),
            _ => Vec::new(),
        };
        match open.question.decide(decision) {
            Reply::Line(line) => {
                self.open.remove(at);
                let mut acts = vec![Act::Write(line), decided(true)];
                if !grants.is_empty() {
                    acts.push(Act::Grant(grants));
                }
                acts
            }
            Reply::Next => {
                open.id = id(&self.nonce, &open.question);
                open.deadline = now + self.timeout;
                vec![decided(true), Act::Asked(put(open, self.timeout))]
            }
            Reply::Unfit => vec![decided(false)],
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.deadline).min()
    }

    /// Denies what nobody answered in time.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Act> {
        let minutes = self.timeout.as_secs().div_ceil(60);
        let why = format!("Nobody answered within {minutes} min. Go on without it, or ask again.");
        let mut acts = Vec::new();
        self.open.retain(|open| {
            let late = open.deadline <= now;
            if late {
                acts.push(Act::Write(open.question.denial(&why)));
                acts.push(withdrawn(open, true));
            }
            !late
        });
        acts
    }

    /// The CLI does not want an answer any more; `None` = to none of its requests.
    pub(super) fn withdraw(&mut self, request: Option<&str>) -> Vec<Act> {
        let mut acts = Vec::new();
        self.open.retain(|open| {
            let gone = request.is_none_or(|request| request == open.question.request());
            if gone {
                acts.push(withdrawn(open, false));
            }
            !gone
        });
        acts
    }
}

fn withdrawn(open: &Open, expired: bool) -> Act {
    Act::Withdrawn {
        question: open.id.clone(),
        expired,
    }
}

fn id(nonce: &str, question: &question::Question) -> String {
    match question.index() {
        0 => format!("{nonce}.{}", question.request()),
        index => format!("{nonce}.{}.{index}", question.request()),
    }
}

fn put(open: &Open, timeout: Duration) -> Question {
    Question {
        question: open.id.clone(),
        about: open.question.words(),
        deadline_ms: timeout.as_millis().try_into().unwrap_or(u64::MAX),
    }
}
