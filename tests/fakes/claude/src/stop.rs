//! Tools that come back, questions that are answered, turns that are stopped.
//!
//! Promises: pure as the rest of the engine; the orders are the measured ones.
//! Does not: wait for anything.

use fake_model::script::Point;
use serde_json::{Value, json};

use crate::engine::{Action, Engine};
use crate::history::STOPPED;
use crate::lines;
use crate::permission::granted_rules;
use crate::turn::{Beat, Outcome, Pending, Turn, Wait};

/// What follows a turn that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next turn, or rest.
    GoOn,
    /// The process ends, after a result if there is one.
    Leave { result: bool },
}

impl Engine {
    /// A tool came back; before its outcome is told the turn can be held.
    pub(crate) fn tool_done(&mut self, n: u64, outcome: Outcome) {
        if let Some(turn) = &mut self.turn
            && turn.wait == Wait::Tool(n)
        {
            turn.wait = Wait::Nothing;
            turn.beats
                .extend([Beat::Point(Point::Tool), Beat::Outcome(outcome)]);
        }
    }

    /// A tool of the runner's own came back.
    pub(crate) fn server_done(&mut self, outcome: Outcome) {
        if let Some(turn) = &mut self.turn
            && turn.wait == Wait::Server
        {
            turn.wait = Wait::Nothing;
            turn.beats
                .extend([Beat::Point(Point::Tool), Beat::Outcome(outcome)]);
        }
    }

    /// The tool does not run; the model hears why.
    pub(crate) fn tool_fails(&mut self, words: &str) {
        let text = words.to_owned();
        self.tool_says(Outcome { text, failed: true });
    }

    /// The tool needs nothing done: its outcome is known.
    fn tool_says(&mut self, outcome: Outcome) {
        if let Some(turn) = &mut self.turn {
            turn.wait = Wait::Nothing;
            turn.beats.push_back(Beat::Outcome(outcome));
        }
    }

    /// The outcome is told, what waits is injected, and the model goes on.
    pub(crate) fn outcome(&mut self, outcome: Outcome) {
        self.tell_outcome(&outcome);
        self.inject();
        let version = self.facts.stamp.version;
        if let Some(turn) = &mut self.turn {
            turn.outcomes.push(outcome.text);
            turn.beats.push_back(Beat::Requesting);
            turn.next_message(version);
        }
    }

    fn tell_outcome(&mut self, outcome: &Outcome) {
        let Some(pending) = self.turn.as_mut().and_then(|turn| turn.pending.take()) else {
            return;
        };
        let uuid = lines::uuid();
        let content = json!([{ "type": "tool_result", "tool_use_id": pending.id, "content": outcome.text, "is_error": outcome.failed }]);
        let line = self.facts.stamp.user(&uuid, &content, json!({}));
        self.print(line);
        self.chain(
            "user",
            &uuid,
            json!({ "message": { "role": "user", "content": content } }),
            false,
        );
    }

    /// The answer to a question. Any other is ignored, as the real one ignores it.
    pub(crate) fn answer(&mut self, line: &Value) {
        let response = &line["response"];
        let Some(turn) = &mut self.turn else { return };
        let Some(pending) = &mut turn.pending else {
            return;
        };
        let asked = pending.question.is_some()
            && pending.question.as_deref() == response["request_id"].as_str();
        if turn.wait != Wait::Answer || !asked {
            return;
        }
        pending.question = None;
        let pending = pending.clone();
        let first = self.facts.stamp.version.echoes_answers_first();
        if !first {
            self.tell_state("running");
        }
        if self.facts.options.replay {
            self.print(line.clone());
        }
        if first {
            self.tell_state("running");
        }
        let decision = &response["response"];
        match decision["behavior"].as_str() {
            Some("allow")
                if decision["updatedInput"].is_object()
                    || self.facts.stamp.version.allows_without_input() =>
            {
                self.allow(pending, decision);
            }
            Some("deny") => self.deny(pending, decision),
            _ => self.tool_fails(
                "Tool permission request failed: the answer is neither a whole allow nor a deny",
            ),
        }
    }

    fn allow(&mut self, mut pending: Pending, decision: &Value) {
        if decision["updatedInput"].is_object() {
            pending.call.input = decision["updatedInput"].clone();
        }
        for update in decision["updatedPermissions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let rules = granted_rules(update);
            let local = update["destination"] == "localSettings";
            if local && !rules.is_empty() {
                self.actions.push(Action::Grant(rules.clone()));
            }
            // Written down, and of no effect where that file is not read.
            if !local || self.facts.options.local {
                self.allowed.extend(rules);
            }
            if let (Some("setMode"), Some(mode)) =
                (update["type"].as_str(), update["mode"].as_str())
            {
                self.set_mode(mode);
            }
        }
        let said = match pending.call.name.as_str() {
            "AskUserQuestion" => Some(answers(&pending.call.input)),
            "ExitPlanMode" => {
                self.set_mode("default");
                Some("The plan is approved.".to_owned())
            }
            _ => None,
        };
        if let Some(turn) = &mut self.turn {
            turn.pending = Some(pending);
        }
        match said {
            Some(text) => self.tool_says(Outcome {
                text,
                failed: false,
            }),
            None => self.run_tool(),
        }
    }

    fn deny(&mut self, pending: Pending, decision: &Value) {
        if let Some(turn) = &mut self.turn {
            turn.denials.push(json!({ "tool_name": pending.call.name, "tool_use_id": pending.id, "tool_input": pending.call.input }));
        }
        if decision["interrupt"] == true {
            self.end_stopped_tool();
            self.end_stopped("aborted_tools", Then::GoOn);
        } else {
            let words = decision["message"]
                .as_str()
                .unwrap_or("Refused.")
                .to_owned();
            self.tool_fails(&words);
        }
    }

    pub(crate) fn set_mode(&mut self, mode: &str) {
        if self.facts.options.mode != mode {
            mode.clone_into(&mut self.facts.options.mode);
            let line = self
                .facts
                .stamp
                .system("status", json!({ "status": null, "permissionMode": mode }));
            self.print(line);
        }
    }

    /// Ends the running turn. `answer` goes out where the real one sends it.
    pub(crate) fn stop_turn(&mut self, answer: Option<Value>, then: Then) {
        let Some(turn) = &self.turn else { return };
        let wait = turn.wait;
        let question = turn
            .pending
            .as_ref()
            .and_then(|pending| pending.question.clone());
        if let Wait::Point(n, _) = wait {
            self.actions.push(Action::Leave(n));
        }
        self.cancel_call();
        if let Some(request) = &question {
            self.print(json!({ "type": "control_cancel_request", "request_id": request }));
        }
        if let Some(answer) = answer {
            self.print(answer);
        }
        if question.is_some() {
            self.tell_state("running");
        }
        match wait {
            Wait::Answer | Wait::Tool(_) | Wait::Server | Wait::Point(_, Point::Tool) => {
                self.actions.push(Action::StopTool);
                self.end_stopped_tool();
                self.end_stopped("aborted_tools", then);
            }
            _ => {
                self.end_stopped_text();
                self.end_stopped("aborted_streaming", then);
            }
        }
    }

    fn end_stopped_tool(&mut self) {
        self.tell_outcome(&Outcome {
            text: "The user stopped this tool.".to_owned(),
            failed: true,
        });
        self.mark("[Request interrupted by user for tool use]");
    }

    fn end_stopped_text(&mut self) {
        // A turn stopped before its prompt was kept keeps it now: the mark needs something to hang below.
        if self
            .turn
            .as_ref()
            .is_some_and(|turn| turn.beats.contains(&Beat::Keep))
        {
            self.keep();
        }
        let Some(mut turn) = self.turn.take() else {
            return;
        };
        self.echo(&mut turn);
        let cut = turn.saying.take().filter(|text| !text.is_empty());
        if let Some(text) = &cut {
            let (uuid, block) = (lines::uuid(), json!({ "type": "text", "text": text }));
            let message = lines::message(&turn.message, &self.facts.options.model, &block, None);
            let line = self.facts.stamp.assistant(&uuid, &message, json!({}));
            self.print(self.facts.stamp.answering(line, &turn.prompts));
            turn.blocks.push((uuid, block));
        }
        for (uuid, block) in std::mem::take(&mut turn.blocks) {
            let message = lines::message(&turn.message, &self.facts.options.model, &block, None);
            let mut more = json!({ "message": message });
            if self.facts.stamp.version.marks_cut_blocks() {
                more["isAbortedMidStream"] = json!(true);
            }
            self.chain("assistant", &uuid, more, false);
        }
        self.mark(&format!("{STOPPED}]"));
        if cut.is_some() && self.facts.stamp.version.names_prompts() {
            self.end_of_cut_stream(&turn);
        }
        self.turn = Some(turn);
    }

    fn mark(&mut self, words: &str) {
        let uuid = lines::uuid();
        let content = json!([{ "type": "text", "text": words }]);
        let line = self.facts.stamp.user(&uuid, &content, json!({}));
        self.print(line);
        self.chain(
            "user",
            &uuid,
            json!({ "message": { "role": "user", "content": content } }),
            false,
        );
    }

    /// The events that close the message which was cut.
    fn end_of_cut_stream(&mut self, turn: &Turn) {
        self.event(
            turn,
            json!({ "type": "content_block_stop", "index": turn.index }),
        );
        let delta = json!({ "stop_reason": null, "stop_sequence": null });
        self.event(
            turn,
            json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 1 } }),
        );
        self.event(turn, json!({ "type": "message_stop" }));
    }

    fn end_stopped(&mut self, reason: &str, then: Then) {
        if self.facts.stamp.version.saves_before_result() || self.facts.eager {
            self.actions.push(Action::Save);
        }
        self.end_rows();
        let Some(turn) = self.turn.take() else { return };
        if then != (Then::Leave { result: false }) {
            let turns = if reason == "aborted_tools" { 3 } else { 2 };
            let line = self.facts.stamp.result(json!({
                "subtype": "error_during_execution", "is_error": true, "num_turns": turns, "stop_reason": null,
                "terminal_reason": reason, "permission_denials": turn.denials, "errors": ["the turn was interrupted"],
            }));
            let line = self.facts.stamp.answering(line, &turn.prompts);
            self.print(line);
        }
        self.tell_lifecycle(&turn.injected, "cancelled");
        self.tell_lifecycle(&turn.cycle, "cancelled");
        self.code = 1;
        if then == Then::GoOn {
            self.rest();
        }
    }
}

/// What the model hears of the answers to its questions.
fn answers(input: &Value) -> String {
    let Some(answers) = input["answers"]
        .as_object()
        .filter(|answers| !answers.is_empty())
    else {
        return "The user gave no answer.".to_owned();
    };
    let text = |answer: &Value| {
        answer
            .as_str()
            .map_or_else(|| answer.to_string(), str::to_owned)
    };
    let answers: Vec<_> = answers
        .iter()
        .map(|(question, answer)| format!("\"{question}\"=\"{}\"", text(answer)))
        .collect();
    format!("The user answered: {}", answers.join(", "))
}
