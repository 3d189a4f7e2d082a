//! Prompts: which are new, which wait, which of them become a turn.
//!
//! Promises: a uuid that is known is echoed and not run; what waits becomes one turn, or is injected after a tool.
//! Does not: bound the queue; the real one does not either, and the runner has one prompt in flight.

use fake_model::script::Script;
use serde_json::{Value, json};

use crate::engine::{Action, Engine};
use crate::history::text_of;
use crate::lines;
use crate::turn::{Kind, Turn};

/// How a uuid is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    FromFile,
    Live,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    uuid: String,
    /// It came with a uuid, so the version speaks of its life.
    named: bool,
    content: Value,
    text: String,
}

impl Engine {
    pub(crate) fn message(&mut self, line: &Value) {
        let content = line["message"]["content"].clone();
        let named = line["uuid"].as_str().map(str::to_owned);
        let uuid = named.clone().unwrap_or_else(lines::uuid);
        if let Some(known) = self.known.get(&uuid).copied() {
            return self.echo_known(&uuid, &content, known);
        }
        self.known.insert(uuid.clone(), Known::Live);
        let text = text_of(&content);
        let row = self.facts.stamp.queue_row("enqueue", Some(&text));
        self.actions.push(Action::Row { row, now: false });
        if self.turn.is_none() {
            self.tell_state("running");
        }
        if named.is_some() {
            self.tell_lifecycle(std::slice::from_ref(&uuid), "queued");
        }
        self.queue.push_back(Waiting {
            uuid,
            named: named.is_some(),
            content,
            text,
        });
        if self.turn.is_none() {
            self.next();
        }
    }

    /// A prompt that was heard before is echoed and not run.
    fn echo_known(&mut self, uuid: &str, content: &Value, known: Known) {
        if self.facts.options.replay {
            let line = self
                .facts
                .stamp
                .user(uuid, content, json!({ "isReplay": true }));
            self.print(line);
        }
        if known == Known::FromFile {
            self.tell_lifecycle(&[uuid.to_owned()], "completed");
        }
        if self.turn.is_none() {
            self.code = 0; // as if a turn had gone well
            self.tell_state("idle");
        }
    }

    /// Everything that waits becomes one turn.
    pub(crate) fn next(&mut self) {
        let waiting: Vec<_> = self.queue.drain(..).collect();
        let Some((last, earlier)) = waiting.split_last() else {
            return;
        };
        for _ in &waiting {
            let row = self.facts.stamp.queue_row("dequeue", None);
            self.actions.push(Action::Row { row, now: false });
        }
        for one in earlier {
            if self.facts.options.replay {
                let line =
                    self.facts
                        .stamp
                        .user(&one.uuid, &one.content, json!({ "isReplay": true }));
                self.print(line);
            }
        }
        let texts: Vec<_> = waiting.iter().map(|one| one.text.as_str()).collect();
        let text = texts.join("\n");
        let content = if earlier.is_empty() {
            last.content.clone()
        } else {
            json!(text)
        };
        let prompts = waiting.iter().map(|one| one.uuid.clone()).collect();
        let mut turn = Turn::new(
            Kind::Asked,
            prompts,
            content,
            text.clone(),
            Script::parse(&text),
        );
        turn.cycle = waiting
            .iter()
            .filter(|one| one.named)
            .map(|one| one.uuid.clone())
            .collect();
        if turn.text.trim() == "/clear" {
            return self.clear(&turn);
        }
        self.begin(turn);
    }

    /// `/clear`: the session has a new id from here on.
    fn clear(&mut self, turn: &Turn) {
        self.tell_lifecycle(&turn.cycle, "started");
        let id = lines::uuid();
        self.actions.push(Action::Rename(id.clone()));
        self.facts.stamp.session.clone_from(&id);
        self.leaf = None;
        let reset = json!({ "type": "conversation_reset", "new_conversation_id": id, "trigger": "clear",
            "uuid": lines::uuid(), "session_id": id });
        self.print(reset);
        self.print_init();
        let uuid = turn.prompts.last().cloned().unwrap_or_default();
        let content = json!("<command-name>/clear</command-name>");
        self.chain(
            "user",
            &uuid,
            json!({ "message": { "role": "user", "content": content } }),
            true,
        );
        if self.facts.options.replay {
            let line = self
                .facts
                .stamp
                .user(&uuid, &content, json!({ "isReplay": true }));
            self.print(line);
        }
        let result = json!({ "subtype": "success", "is_error": false, "num_turns": 0, "result": "", "stop_reason": null });
        let result = self.facts.stamp.result(result);
        self.print(result);
        self.tell_lifecycle(&turn.cycle, "completed");
        self.rest();
    }

    /// The uuids that wait.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.queue.iter().map(|one| one.uuid.clone()).collect()
    }

    /// Takes a waiting message back; says whether it was there.
    pub(crate) fn take_back(&mut self, uuid: &str) -> bool {
        let before = self.queue.len();
        self.queue.retain(|one| one.uuid != uuid);
        before > self.queue.len()
    }

    /// What waits is told to the model together with a tool's outcome.
    pub(crate) fn inject(&mut self) {
        let waiting: Vec<_> = self.queue.drain(..).collect();
        for one in &waiting {
            if self.facts.options.replay {
                let line =
                    self.facts
                        .stamp
                        .user(&one.uuid, &one.content, json!({ "isReplay": true }));
                self.print(line);
            }
            let row = self.facts.stamp.queue_row("remove", None);
            self.actions.push(Action::Row { row, now: false });
        }
        let uuids: Vec<_> = waiting
            .into_iter()
            .filter(|one| one.named)
            .map(|one| one.uuid)
            .collect();
        self.tell_lifecycle(&uuids, "started");
        if let Some(turn) = &mut self.turn {
            turn.injected.extend(uuids);
        }
    }
}
