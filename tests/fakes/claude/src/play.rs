//! The beats of a turn, played: what each prints and writes.
//!
//! Promises: pure as the rest of the engine.
//! Does not: decide the order; that is [`crate::turn`].

use fake_model::script::Trouble;
use serde_json::{Value, json};

use crate::engine::{Action, Engine, Reach};
use crate::lines;
use crate::permission::{Permissions, Verdict, suggestions};
use crate::turn::{Beat, Kind, Pending, Turn, Wait, error_name, error_words};

impl Engine {
    /// Plays one beat of the running turn.
    pub(crate) fn beat(&mut self, beat: Beat) {
        let Some(mut turn) = self.turn.take() else {
            return;
        };
        let stamp = self.facts.stamp.clone();
        let model = self.facts.options.model.clone();
        match beat {
            Beat::Point(point) => {
                let n = self.number();
                turn.wait = Wait::Point(n, point);
                self.actions.push(Action::Reach(Reach {
                    n,
                    uuid: turn.prompts.last().cloned().unwrap_or_default(),
                    prompt: turn.text.clone(),
                    point,
                    wanted: turn.script.holds.contains(&point),
                    continued: turn.kind == Kind::Continued,
                }));
            }
            Beat::Pause(time) => {
                let n = self.number();
                turn.wait = Wait::Pause(n);
                self.actions.push(Action::Pause(n, time));
            }
            Beat::Init => self.print_init(),
            Beat::Requesting => {
                self.print(stamp.system("status", json!({ "status": "requesting" })));
                if self.facts.eager {
                    // The model takes longer than the file.
                    self.actions.push(Action::Save);
                }
            }
            Beat::Echo => self.echo(&mut turn),
            Beat::MessageStart => {
                turn.message = fake_model::id("msg");
                turn.index = 0;
                let message = json!({ "id": turn.message, "type": "message", "role": "assistant", "model": model,
                    "content": [], "stop_reason": null, "stop_sequence": null });
                self.event(
                    &turn,
                    json!({ "type": "message_start", "message": message }),
                );
            }
            Beat::Thought(text) => {
                let block = |text: &str, signature: &str| json!({ "type": "thinking", "thinking": text, "signature": signature });
                self.event(&turn, json!({ "type": "content_block_start", "index": turn.index, "content_block": block("", "") }));
                if stamp.version.counts_thinking() {
                    let tokens = text.len().div_ceil(4);
                    let count =
                        json!({ "estimated_tokens": tokens, "estimated_tokens_delta": tokens });
                    self.print(stamp.system("thinking_tokens", count));
                }
                let delta = json!({ "type": "thinking_delta", "thinking": text });
                self.event(
                    &turn,
                    json!({ "type": "content_block_delta", "index": turn.index, "delta": delta }),
                );
                self.block(&mut turn, block(&text, "c2lnbmVk"));
            }
            Beat::TextStart => {
                turn.saying = Some(String::new());
                let block = json!({ "type": "text", "text": "" });
                self.event(&turn, json!({ "type": "content_block_start", "index": turn.index, "content_block": block }));
            }
            Beat::Delta(text) => {
                let delta = json!({ "type": "text_delta", "text": text });
                self.event(
                    &turn,
                    json!({ "type": "content_block_delta", "index": turn.index, "delta": delta }),
                );
                turn.saying.get_or_insert_default().push_str(&text);
            }
            Beat::Text(text) => {
                turn.saying = None;
                self.block(&mut turn, json!({ "type": "text", "text": text }));
                turn.last_text = text;
            }
            Beat::Call(call) => {
                let id = fake_model::id("toolu");
                let block = |input: &Value| json!({ "type": "tool_use", "id": id, "name": call.name, "input": input });
                self.event(&turn, json!({ "type": "content_block_start", "index": turn.index, "content_block": block(&json!({})) }));
                let delta =
                    json!({ "type": "input_json_delta", "partial_json": call.input.to_string() });
                self.event(
                    &turn,
                    json!({ "type": "content_block_delta", "index": turn.index, "delta": delta }),
                );
                self.block(&mut turn, block(&call.input));
                turn.pending = Some(Pending {
                    id,
                    call,
                    question: None,
                });
            }
            Beat::MessageEnd { calls } => {
                let reason = if calls { "tool_use" } else { "end_turn" };
                for (uuid, block) in std::mem::take(&mut turn.blocks) {
                    let message = lines::message(&turn.message, &model, &block, Some(reason));
                    self.chain("assistant", &uuid, json!({ "message": message }), false);
                }
                let delta = json!({ "stop_reason": reason, "stop_sequence": null });
                self.event(&turn, json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": 5 } }));
                self.event(&turn, json!({ "type": "message_stop" }));
            }
            Beat::Decide => {
                self.turn = Some(turn);
                return self.decide();
            }
            Beat::Retry {
                trouble,
                attempt,
                most,
            } => {
                self.print(stamp.system(
                    "api_retry",
                    json!({ "attempt": attempt, "max_retries": most, "retry_delay_ms": 500,
                    "error_status": trouble.status(), "error": error_name(trouble, true) }),
                ));
            }
            Beat::GiveUp(trouble) => {
                let (uuid, words) = (lines::uuid(), error_words(trouble));
                let text = json!({ "type": "text", "text": words });
                let message =
                    lines::message(&lines::uuid(), "<synthetic>", &text, Some("stop_sequence"));
                let error = error_name(trouble, false);
                let mut more = json!({ "error": error });
                if let (true, Some(status)) = (stamp.version.names_prompts(), told_status(trouble))
                {
                    more["api_error_status"] = json!(status);
                }
                let line = stamp.assistant(&uuid, &message, more);
                self.print(stamp.answering(line, &turn.prompts));
                self.chain(
                    "assistant",
                    &uuid,
                    json!({ "message": message, "error": error, "isApiErrorMessage": true }),
                    false,
                );
                turn.last_text = words;
                turn.failed = Some(trouble);
            }
            Beat::Junk(text) => self.actions.push(Action::Junk(text)),
            Beat::Flood(bytes) => self.actions.push(Action::Flood(bytes)),
            Beat::Save => {
                if stamp.version.saves_before_result() || self.facts.eager {
                    self.actions.push(Action::Save);
                }
                let injected = std::mem::take(&mut turn.injected);
                self.tell_lifecycle(&injected, "completed");
            }
            Beat::Result => self.succeed(&turn),
            Beat::Keep | Beat::Outcome(_) | Beat::End | Beat::Hang | Beat::Die(_) => {} // the engine's own
        }
        self.turn = Some(turn);
    }

    pub(crate) fn event(&mut self, turn: &Turn, event: Value) {
        if self.facts.options.partial {
            let line = self.facts.stamp.stream(event, &turn.prompts);
            self.print(line);
        }
    }

    pub(crate) fn echo(&mut self, turn: &mut Turn) {
        if !std::mem::replace(&mut turn.echoed, true)
            && self.facts.options.replay
            && let Some(uuid) = turn.prompts.last()
        {
            let line = self
                .facts
                .stamp
                .user(uuid, &turn.content, json!({ "isReplay": true }));
            self.print(line);
        }
    }

    /// A finished block: its line, then the end of its events.
    fn block(&mut self, turn: &mut Turn, block: Value) {
        let uuid = lines::uuid();
        let message = lines::message(&turn.message, &self.facts.options.model, &block, None);
        let line = self.facts.stamp.assistant(&uuid, &message, json!({}));
        let line = self.facts.stamp.answering(line, &turn.prompts);
        self.print(line);
        self.event(
            turn,
            json!({ "type": "content_block_stop", "index": turn.index }),
        );
        turn.blocks.push((uuid, block));
        turn.index += 1;
    }

    /// The prompt's row, unless it is in the file already; below it one that every reader of the chain has to climb over.
    pub(crate) fn keep(&mut self) {
        let Some(turn) = &self.turn else { return };
        let (kind, content) = (turn.kind, turn.content.clone());
        let (prompt, row) = (turn.prompts.last().cloned(), turn.cycle.last().cloned());
        let mode = self.facts.options.mode.clone();
        match (kind, prompt) {
            (Kind::Asked, Some(uuid)) if self.bare.as_ref() == Some(&uuid) => {
                self.bare = None;
                let filler = json!({ "type": "text", "text": "No response requested." });
                let message = lines::message(
                    &lines::uuid(),
                    "<synthetic>",
                    &filler,
                    Some("stop_sequence"),
                );
                let leaf = self.leaf.clone();
                self.chain(
                    "assistant",
                    &lines::uuid(),
                    json!({ "message": message, "isApiErrorMessage": false }),
                    true,
                );
                self.leaf = leaf; // the answer hangs below the prompt, not below the filler
            }
            (Kind::Asked, Some(uuid)) => {
                let message = json!({ "role": "user", "content": content });
                self.chain(
                    "user",
                    &uuid,
                    json!({ "message": message, "permissionMode": mode, "promptSource": "sdk" }),
                    true,
                );
            }
            (Kind::Continued, Some(uuid)) => {
                let text = json!([{ "type": "text", "text": fake_model::CONTINUE }]);
                let mut more = json!({ "message": { "role": "user", "content": text }, "isMeta": true,
                    "permissionMode": mode, "promptSource": "system" });
                if self.facts.stamp.version.names_prompts() {
                    more["carriesOnTurnOf"] = json!(uuid);
                }
                self.chain("user", &row.unwrap_or_default(), more, true);
            }
            _ => {
                let message = json!({ "role": "user", "content": "<task-notification>" });
                self.chain(
                    "user",
                    &lines::uuid(),
                    json!({ "message": message, "promptSource": "system" }),
                    true,
                );
            }
        }
        self.chain(
            "attachment",
            &lines::uuid(),
            json!({ "attachment": { "type": "environment" } }),
            false,
        );
    }

    /// The tool's fate.
    pub(crate) fn decide(&mut self) {
        let Some(pending) = self.turn.as_ref().and_then(|turn| turn.pending.clone()) else {
            return;
        };
        let served = self.server.owns(&pending.call.name);
        if served && self.server.is_greeted() {
            return self.call_server(); // waits
        }
        let permissions = Permissions {
            mode: &self.facts.options.mode,
            asks: self.facts.options.asks,
            allowed: &self.allowed,
            offered: &self.offered,
            cwd: &self.facts.cwd,
        };
        match permissions.judge(&pending.call) {
            Verdict::Run if served => {
                // What was said is in the file before anything is done.
                self.actions.push(Action::Save);
                self.call_server();
            }
            Verdict::Run => self.run_tool(),
            Verdict::Refuse(words) => self.tool_fails(&words),
            Verdict::Ask => {
                let request = lines::uuid();
                self.tell_state("requires_action");
                let call = &pending.call;
                let mut ask = json!({ "subtype": "can_use_tool", "tool_name": call.name, "display_name": call.name,
                    "input": call.input, "tool_use_id": pending.id });
                match suggestions(call) {
                    Value::Null => ask["requires_user_interaction"] = json!(true),
                    suggested => ask["permission_suggestions"] = suggested,
                }
                self.print(
                    json!({ "type": "control_request", "request_id": request, "request": ask }),
                );
                if let Some(turn) = &mut self.turn {
                    turn.wait = Wait::Answer;
                    turn.pending = Some(Pending {
                        question: Some(request),
                        ..pending
                    });
                }
            }
        }
    }

    pub(crate) fn run_tool(&mut self) {
        let n = self.number();
        // What was said is in the file before anything is done.
        self.actions.push(Action::Save);
        if let Some(turn) = &mut self.turn
            && let Some(pending) = &turn.pending
        {
            turn.wait = Wait::Tool(n);
            let uuid = turn.prompts.last().cloned().unwrap_or_default();
            self.actions.push(Action::Run {
                n,
                uuid,
                call: pending.call.clone(),
            });
        }
    }

    /// The result of a turn that came to its end, an API error included.
    fn succeed(&mut self, turn: &Turn) {
        let stamp = &self.facts.stamp;
        let failed = turn.failed;
        let reason = failed.map_or("completed", |_| stamp.version.reason_of_trouble());
        let status = failed.and_then(told_status);
        let stop = if failed.is_some() {
            "stop_sequence"
        } else {
            "end_turn"
        };
        let line = stamp.result(json!({
            "subtype": "success", "is_error": failed.is_some(), "api_error_status": status, "num_turns": 1 + turn.outcomes.len(),
            "result": turn.last_text, "stop_reason": stop, "terminal_reason": reason, "permission_denials": turn.denials,
        }));
        let line = stamp.answering(line, &turn.prompts);
        self.print(line);
        let state = if failed.is_some() {
            "cancelled"
        } else {
            "completed"
        };
        self.tell_lifecycle(&turn.cycle, state);
        self.code = i32::from(failed.is_some());
    }

    /// The rows that close a turn.
    pub(crate) fn end_rows(&mut self) {
        let Some(turn) = &self.turn else { return };
        let row = json!({ "type": "last-prompt", "lastPrompt": turn.text, "leafUuid": self.leaf, "sessionId": self.facts.stamp.session });
        self.actions.push(Action::Row { row, now: false });
    }
}

/// The status that is told; there is none where no request was made.
fn told_status(trouble: Trouble) -> Option<u16> {
    match trouble {
        Trouble::LoggedOut => None,
        Trouble::Status(status) => Some(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Facts, Input};
    use crate::lines::Stamp;
    use crate::options::parse;
    use crate::version::Version;

    /// A whole turn without a control: what is done, one word an action.
    fn turn(version: Version, eager: bool) -> Vec<String> {
        let line = "-p --verbose --input-format stream-json --output-format stream-json --replay-user-messages";
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let stamp = Stamp {
            session: "s".into(),
            cwd: "/w".into(),
            version,
        };
        let options = parse(&words, "").expect("a good line");
        let facts = Facts {
            stamp,
            options,
            cwd: "/w".into(),
            tells_state: true,
            eager,
            resumes_turns: false,
            retries: 0,
            key: Some("none"),
        };
        let mut engine = Engine::new(facts);
        let prompt = json!({ "type": "user", "uuid": "u", "message": { "role": "user", "content": "hello" } });
        let mut inputs = vec![Input::Line(prompt.to_string())];
        let mut done = Vec::new();
        while let Some(input) = inputs.pop() {
            for action in engine.hear(input) {
                done.push(match action {
                    Action::Print(line) => {
                        format!("print {}", line["type"].as_str().unwrap_or("?"))
                    }
                    Action::Row { row, now } => {
                        format!("row {} {now}", row["type"].as_str().unwrap_or("?"))
                    }
                    Action::Reach(reach) => {
                        inputs.push(Input::Passed(reach.n));
                        continue;
                    }
                    Action::Save => "save".to_owned(),
                    other => panic!("{other:?}"),
                });
            }
        }
        done
    }

    #[test]
    fn what_is_in_the_file_at_the_result_depends_on_the_flag_and_the_version() {
        for (version, eager, saved) in [
            (Version::V2_1_329, true, true),
            (Version::V2_1_329, false, true),
            (Version::V2_1_197, true, true),
            (Version::V2_1_197, false, false),
        ] {
            let done = turn(version, eager);
            let place = |word: &str| done.iter().position(|done| done == word).expect(word);
            let (said, kept, result) = (
                place("print assistant"),
                place("row assistant false"),
                place("print result"),
            );
            assert!(said < kept && kept < result, "{version:?}: {done:#?}");
            assert_eq!(
                done[kept..result].contains(&"save".to_owned()),
                saved,
                "{version:?} eager={eager}: {done:#?}"
            );
            assert!(place("row user true") < said);
        }
    }
}
