//! What the operator sees of a runner: its line in `status`, and the refusals of its sandbox.

use super::{Jailed, NOT_SHOWN, Shell};
use crate::jail::denial;
use crate::jail::kernel::System;
use crate::options::AgentKind;
use crate::runner::Input;
use crate::session::Event;

impl Shell {
    /// What an agent or its tools say of what the jail has refused them: in the log and in the chat
    /// once, in `status` as long as it is the last.
    pub(super) fn refused(&mut self, launch: u64, event: &Event) {
        let Some(Jailed { session, judge, .. }) = self.jails.get(&launch) else {
            return;
        };
        let refusals = match event {
            Event::Line(line) => judge.told(line, &System),
            Event::Output(bytes) => judge.output(&String::from_utf8_lossy(bytes), &System),
            Event::Exited(exit) => judge.output(&exit.words, &System),
            _ => return,
        };
        let session = session.clone();
        for refusal in refusals {
            let news = self.refusals.note(&session, &refusal);
            self.sandbox_untold = true;
            self.status = NOT_SHOWN;
            if news {
                let words = denial::words(&refusal);
                tracing::warn!("{words}");
                let about = ipc_schema::Remark::Refused { what: refusal };
                self.step(Input::Process(launch, Event::Refused(about)));
            }
        }
    }

    /// Takes note of what is wrong with the agent's texts: in the log once, in the status as long
    /// as it is so.
    pub(super) fn remark(&mut self, remarks: Vec<String>) {
        if self.remarks != remarks {
            remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
            self.remarks = remarks;
            // Shown at the end of this step.
            self.status = NOT_SHOWN;
        }
    }

    pub(super) fn show(&mut self) {
        let (live, busy) = self.runner.counts();
        let counts = (live, busy, self.runner.waiting());
        if counts != self.status {
            self.status = counts;
            let waiting = match counts.2 {
                0 => String::new(),
                waiting => format!(", waiting for room: {waiting}"),
            };
            let mut words = format!("sessions live: {live}, with a turn: {busy}{waiting}");
            if self.options.kind == AgentKind::ClaudeCode || self.model.is_some() {
                words.push_str("; model by ");
                words.push_str(self.options.login().in_words());
            }
            match &self.cage {
                None => words.push_str("; sandbox: OFF"),
                Some(cage) => {
                    let (by, network) = (cage.describe(), cage.network());
                    words.push_str(&format!("; sandbox: on ({by}, network: {network})"));
                }
            }
            if let Some(last) = self.refusals.last().next_back() {
                let last = denial::few_words(&last.what);
                words.push_str(&format!("; last refused: {last}"));
            }
            if self.options.kind == AgentKind::ClaudeCode && !self.options.tools_only {
                words.push_str(match self.options.trusts_project() {
                    true => "; project's files trusted",
                    false => "; of the project's files CLAUDE.md only",
                });
            }
            for remark in &self.remarks {
                words.push_str("; ");
                words.push_str(remark);
            }
            self.life.status(&words);
        }
    }
}
