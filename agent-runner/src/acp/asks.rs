//! The permissions that one agent process asks for.
//!
//! Promises: each gets an id that no other question ever has; each is answered once: with the option
//! of the *kind* that a person chose (what an option is called is shown and never read), with a
//! rejection at its deadline, or as cancelled when the turn is interrupted. "Always" is what the
//! agent's own option of that kind stands for; a person who says no rejects once, never for good.
//! Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use agent_client_protocol_schema::v1::{
    PermissionOption, PermissionOptionId, PermissionOptionKind, RequestPermissionOutcome,
    RequestPermissionResponse, SelectedPermissionOutcome, ToolCallContent, ToolKind,
};
use ipc_schema::{Decision, Question, QuestionKind};

use super::protocol::Act;
use super::rpc;
use super::words::{self, Tool};
use crate::text;

/// Open requests beyond this are rejected at once.
const OPEN: usize = 32;
/// The longest words of an "always" that are offered, in bytes: nobody reads more.
const LONGEST_ALWAYS: usize = 2 * 1024;

/// What is open.
#[derive(Debug)]
pub(super) struct Asks {
    /// Makes the ids of this process's questions unlike those of any other.
    nonce: String,
    timeout: Duration,
    asked: u64,
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    id: String,
    /// The agent's request.
    request: String,
    once: Option<PermissionOptionId>,
    always: Option<PermissionOptionId>,
    reject: Option<PermissionOptionId>,
    deadline: Instant,
}

impl Asks {
    pub(super) fn new(nonce: String, timeout: Duration) -> Asks {
        Asks {
            nonce,
            timeout,
            asked: 0,
            open: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A request came.
    pub(super) fn ask(
        &mut self,
        request: &str,
        tool: &Tool,
        content: &[ToolCallContent],
        options: &[PermissionOption],
        now: Instant,
    ) -> Act {
        let of = |kind: PermissionOptionKind| options.iter().find(|option| option.kind == kind);
        let id = |kind| of(kind).map(|option| option.option_id.clone());
        let plan = (tool.kind == ToolKind::SwitchMode)
            .then(|| words::plan(tool, content))
            .flatten();
        let mut open = Open {
            id: format!("{}.{}", self.nonce, self.asked),
            request: request.to_owned(),
            once: id(PermissionOptionKind::AllowOnce),
            always: None,
            reject: id(PermissionOptionKind::RejectOnce),
            deadline: now + self.timeout,
        };
        if self.open.len() >= OPEN {
            return Act::Write(open.rejection());
        }
        let about = match plan {
            // What would go with "always" is another mode, not this plan.
            Some(text) => QuestionKind::Plan { text },
            None => {
                let always = of(PermissionOptionKind::AllowAlways)
                    .filter(|option| option.name.len() <= LONGEST_ALWAYS);
                open.always = always.map(|option| option.option_id.clone());
                QuestionKind::Permission {
                    tool: text::head(&tool.name(), 200).to_owned(),
                    detail: words::detail(tool, content),
                    always: always.map(|option| words::line(&option.name, LONGEST_ALWAYS)),
                }
            }
        };
        self.asked += 1;
        let question = Question {
            question: open.id.clone(),
            about,
            deadline_ms: self.timeout.as_millis().try_into().unwrap_or(u64::MAX),
        };
        self.open.push_back(open);
        Act::Asked(question)
    }

    /// A person decided.
    pub(super) fn decide(&mut self, question: &str, decision: &Decision) -> Vec<Act> {
        let decided = |applied| Act::Decided {
            question: question.to_owned(),
            applied,
        };
        let Some(at) = self.open.iter().position(|open| open.id == question) else {
            return vec![decided(false)];
        };
        let open = &self.open[at];
        let line = match decision {
            Decision::Deny { .. } => Some(open.rejection()),
            Decision::Allow => open.once.clone().map(|id| open.chosen(id)),
            Decision::AllowAlways => open.always.clone().map(|id| open.chosen(id)),
            Decision::Answers { .. } => None,
        };
        match line {
            Some(line) => {
                self.open.remove(at);
                vec![Act::Write(line), decided(true)]
            }
            // It does not fit the question, which stays open.
            None => vec![decided(false)],
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.deadline).min()
    }

    /// Rejects what nobody answered in time.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Act> {
        let mut acts = Vec::new();
        self.open.retain(|open| {
            let late = open.deadline <= now;
            if late {
                acts.push(Act::Write(open.rejection()));
                acts.push(open.withdrawn(true));
            }
            !late
        });
        acts
    }

    /// The turn is interrupted, or over: every open request is answered as cancelled.
    pub(super) fn cancel(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        for open in self.open.drain(..) {
            acts.push(Act::Write(cancelled(&open.request)));
            acts.push(open.withdrawn(false));
        }
        acts
    }
}

impl Open {
    fn chosen(&self, id: PermissionOptionId) -> String {
        let outcome = RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(id));
        rpc::answer(&self.request, &RequestPermissionResponse::new(outcome))
    }

    /// Rejects this once. Where that is not offered it is cancelled: nothing is rejected for good
    /// that nobody rejected for good.
    fn rejection(&self) -> String {
        match self.reject.clone() {
            Some(id) => self.chosen(id),
            None => cancelled(&self.request),
        }
    }

    fn withdrawn(&self, expired: bool) -> Act {
        Act::Withdrawn {
            question: self.id.clone(),
            expired,
        }
    }
}

/// The line that answers a request as cancelled.
pub(super) fn cancelled(request: &str) -> String {
    let outcome = RequestPermissionOutcome::Cancelled;
    rpc::answer(request, &RequestPermissionResponse::new(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn options(kinds: &[&str]) -> Vec<PermissionOption> {
        let all: Vec<Value> = kinds
            .iter()
            // The labels lie: whoever reads them is caught.
            .map(|kind| json!({"optionId": format!("o-{kind}"), "name": "Allow", "kind": kind}))
            .collect();
        serde_json::from_value(json!(all)).unwrap()
    }

    const ALL: [&str; 4] = ["reject_always", "allow_always", "reject_once", "allow_once"];

    fn asked(kinds: &[&str]) -> (Asks, String) {
        let mut asks = Asks::new("n".into(), Duration::from_secs(60));
        let tool = Tool::default();
        let act = asks.ask("7", &tool, &[], &options(kinds), Instant::now());
        let Act::Asked(question) = act else {
            panic!("{act:?}")
        };
        (asks, question.question)
    }

    fn answers(kinds: &[&str], decision: Decision) -> Option<Value> {
        let (mut asks, question) = asked(kinds);
        let acts = asks.decide(&question, &decision);
        let line = acts.iter().find_map(|act| match act {
            Act::Write(line) => Some(line),
            _ => None,
        })?;
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["id"], 7);
        assert!(asks.is_empty());
        Some(line["result"]["outcome"].clone())
    }

    fn chosen(id: &str) -> Option<Value> {
        Some(json!({"outcome": "selected", "optionId": id}))
    }

    fn deny() -> Decision {
        Decision::Deny { why: String::new() }
    }

    #[test]
    fn an_answer_is_found_by_its_kind_and_never_by_its_label() {
        assert_eq!(answers(&ALL, Decision::Allow), chosen("o-allow_once"));
        assert_eq!(
            answers(&ALL, Decision::AllowAlways),
            chosen("o-allow_always")
        );
        assert_eq!(answers(&ALL, deny()), chosen("o-reject_once"));
    }

    #[test]
    fn what_is_not_offered_is_not_widened() {
        assert_eq!(answers(&["allow_always"], Decision::Allow), None);
        assert_eq!(answers(&["allow_once"], Decision::AllowAlways), None);
        assert_eq!(
            answers(&["allow_once", "reject_always"], deny()),
            Some(json!({"outcome": "cancelled"}))
        );
    }

    #[test]
    fn a_question_is_rejected_at_its_deadline_and_a_late_decision_changes_nothing() {
        let (mut asks, question) = asked(&ALL);
        let now = asks.deadline().unwrap();
        assert_eq!(asks.expire(now - Duration::from_secs(1)), []);
        let acts = asks.expire(now);
        assert!(matches!(&acts[0], Act::Write(line) if line.contains("o-reject_once")));
        assert!(matches!(&acts[1], Act::Withdrawn { expired: true, .. }));
        let late = asks.decide(&question, &Decision::Allow);
        let applied = false;
        assert_eq!(late, [Act::Decided { question, applied }]);
    }

    #[test]
    fn a_flood_of_questions_is_bounded() {
        let (mut asks, _) = asked(&ALL);
        for n in 1..100 {
            let act = asks.ask("8", &Tool::default(), &[], &options(&ALL), Instant::now());
            assert_eq!(matches!(act, Act::Asked(_)), n < OPEN);
        }
        assert_eq!(asks.cancel().len(), 2 * OPEN);
    }
}
