//! What one agent process asks a person: permissions, and forms made of choices.
//!
//! Promises: each gets an id that no other question ever has; each request is answered once: with the
//! option of the *kind* that a person chose (what an option is called is shown and never read), with a
//! rejection at its deadline, or as cancelled when the turn is interrupted. "Always" is what the
//! agent's own option of that kind stands for; a person who says no rejects once, never for good. A
//! form is asked question by question and answered whole.
//! Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use agent_client_protocol_schema::v1::{
    PermissionOption, PermissionOptionId, PermissionOptionKind, RequestPermissionOutcome,
    RequestPermissionResponse, SelectedPermissionOutcome, ToolCallContent, ToolKind,
};
use ipc_schema::{Decision, Question, QuestionKind};
use serde_json::Value;

use super::form::{self, Form};
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
    about: About,
    deadline: Instant,
}

#[derive(Debug)]
enum About {
    /// The options by their kinds.
    Permission {
        once: Option<PermissionOptionId>,
        always: Option<PermissionOptionId>,
        reject: Option<PermissionOptionId>,
    },
    Form(Form),
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
        let mut always = None;
        let about = match plan {
            // What would go with "always" is another mode, not this plan.
            Some(text) => QuestionKind::Plan { text },
            None => {
                let offered = of(PermissionOptionKind::AllowAlways)
                    .filter(|option| option.name.len() <= LONGEST_ALWAYS);
                always = offered.map(|option| option.option_id.clone());
                QuestionKind::Permission {
                    tool: text::head(&tool.name(), 200).to_owned(),
                    detail: words::detail(tool, content),
                    always: offered.map(|option| words::line(&option.name, LONGEST_ALWAYS)),
                }
            }
        };
        let open = Open {
            id: String::new(),
            request: request.to_owned(),
            about: About::Permission {
                once: id(PermissionOptionKind::AllowOnce),
                always,
                reject: id(PermissionOptionKind::RejectOnce),
            },
            deadline: now,
        };
        match self.open.len() {
            OPEN.. => Act::Write(open.rejection()),
            _ => self.put(open, about, now),
        }
    }

    /// A form came.
    pub(super) fn ask_form(&mut self, request: &str, params: &str, now: Instant) -> Act {
        let params: Value = serde_json::from_str(params).unwrap_or_default();
        let form = Form::read(&params).and_then(|form| Some((form.question()?, form)));
        match form.filter(|_| self.open.len() < OPEN) {
            Some((question, form)) => {
                let open = Open {
                    id: String::new(),
                    request: request.to_owned(),
                    about: About::Form(form),
                    deadline: now,
                };
                self.put(open, question, now)
            }
            None => {
                tracing::warn!("the agent has a form that cannot be shown: it is cancelled");
                Act::Write(rpc::answer(request, &form::cancelled()))
            }
        }
    }

    /// Puts a question to a person.
    fn put(&mut self, mut open: Open, about: QuestionKind, now: Instant) -> Act {
        open.id = format!("{}.{}", self.nonce, self.asked);
        open.deadline = now + self.timeout;
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
    pub(super) fn decide(&mut self, question: &str, decision: &Decision, now: Instant) -> Vec<Act> {
        let decided = |applied| Act::Decided {
            question: question.to_owned(),
            applied,
        };
        let Some(at) = self.open.iter().position(|open| open.id == question) else {
            return vec![decided(false)];
        };
        let Some(open) = self.open.get_mut(at) else {
            return vec![decided(false)];
        };
        let line = match (&mut open.about, decision) {
            (_, Decision::Deny { .. }) => Some(open.rejection()),
            (About::Permission { once, .. }, Decision::Allow) => {
                let once = once.clone();
                once.map(|id| open.chosen(id))
            }
            (About::Permission { always, .. }, Decision::AllowAlways) => {
                let always = always.clone();
                always.map(|id| open.chosen(id))
            }
            (About::Form(form), _) => {
                let fits = matches!(decision, Decision::Answers { answers } if form.fill(answers));
                match form.question() {
                    None => Some(rpc::answer(&open.request, &form.accepted())),
                    // The same request goes on, or is put again to somebody whose answer does not fit.
                    Some(next) => {
                        let Some(open) = self.open.remove(at) else {
                            return Vec::new();
                        };
                        return vec![decided(fits), self.put(open, next, now)];
                    }
                }
            }
            _ => None,
        };
        // What the agent does not offer is not widened; and nobody can answer any more, so it is rejected.
        let applied = line.is_some();
        let line = line.unwrap_or_else(|| open.rejection());
        self.open.remove(at);
        vec![Act::Write(line), decided(applied)]
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
            acts.push(Act::Write(open.cancelled()));
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
        match &self.about {
            About::Permission {
                reject: Some(id), ..
            } => self.chosen(id.clone()),
            About::Permission { .. } => self.cancelled(),
            About::Form(_) => rpc::answer(&self.request, &form::declined()),
        }
    }

    fn cancelled(&self) -> String {
        match &self.about {
            About::Permission { .. } => cancelled(&self.request),
            About::Form(_) => rpc::answer(&self.request, &form::cancelled()),
        }
    }

    fn withdrawn(&self, expired: bool) -> Act {
        Act::Withdrawn {
            question: self.id.clone(),
            expired,
        }
    }
}

/// The line that answers a request for a permission as cancelled.
pub(super) fn cancelled(request: &str) -> String {
    let outcome = RequestPermissionOutcome::Cancelled;
    rpc::answer(request, &RequestPermissionResponse::new(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let acts = asks.decide(&question, &decision, Instant::now());
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
        let rejected = Some(json!({"outcome": "cancelled"}));
        assert_eq!(answers(&["allow_always"], Decision::Allow), rejected);
        assert_eq!(answers(&["allow_once"], Decision::AllowAlways), rejected);
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
        let late = asks.decide(&question, &Decision::Allow, now);
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

    #[test]
    fn a_form_is_asked_question_by_question_and_answered_once() {
        let option = |label: &str| json!({"const": label, "title": label});
        let field = |text: &str| json!({"type": "string", "description": text, "oneOf": [option("a"), option("b")]});
        let params = json!({"mode": "form", "sessionId": "s", "message": "m", "requestedSchema":
            {"type": "object", "properties": {"p": field("P?"), "q": field("Q?")}}});
        let begin = |asks: &mut Asks| {
            let act = asks.ask_form("7", &params.to_string(), Instant::now());
            let Act::Asked(question) = act else {
                panic!("{act:?}")
            };
            question.question
        };
        let answers = |text: &str, answer: &str| Decision::Answers {
            answers: [(text.to_owned(), answer.to_owned())].into(),
        };
        let mut asks = Asks::new("n".into(), Duration::from_secs(60));
        let now = Instant::now();
        let first = begin(&mut asks);
        let unfit = asks.decide(&first, &Decision::Allow, now);
        let [Act::Decided { applied: false, .. }, Act::Asked(again)] = &unfit[..] else {
            panic!("{unfit:?}")
        };
        let first = again.question.clone();
        let acts = asks.decide(&first, &answers("P?", "a"), now);
        let [Act::Decided { applied: true, .. }, Act::Asked(second)] = &acts[..] else {
            panic!("{acts:?}")
        };
        assert_ne!(second.question, first);
        let acts = asks.decide(&second.question.clone(), &answers("Q?", "b"), now);
        let [Act::Write(line), Act::Decided { applied: true, .. }] = &acts[..] else {
            panic!("{acts:?}")
        };
        let line: Value = serde_json::from_str(line).unwrap();
        let content = json!({"p": "a", "q": "b"});
        assert_eq!(
            line["result"],
            json!({"action": "accept", "content": content})
        );
        assert!(asks.is_empty());

        for (acts, action) in [
            (
                {
                    let question = begin(&mut asks);
                    asks.decide(&question, &deny(), now)
                },
                "decline",
            ),
            (
                {
                    begin(&mut asks);
                    asks.expire(now + Duration::from_secs(120))
                },
                "decline",
            ),
            (
                {
                    begin(&mut asks);
                    asks.cancel()
                },
                "cancel",
            ),
            (vec![asks.ask_form("7", "{}", now)], "cancel"),
        ] {
            let Act::Write(line) = &acts[0] else {
                panic!("{acts:?}")
            };
            assert!(line.contains(action), "{line}");
        }
    }
}
