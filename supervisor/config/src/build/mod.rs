//! Makes the plan from the checked tables: defaults, what is required, and how keys depend on each
//! other.
//!
//! Promises: goes on after a problem, so that one check tells everything; the plan it returns then
//! is thrown away by the caller.

mod agent;
mod auth;
mod home;
mod platform;
mod project;
mod settings;
mod tools;
mod users;

use std::path::PathBuf;

use crate::closed::Closed;
use crate::context::Context;
use crate::plan::{Attachments, Lang, LogLevel, Plan};
use crate::problems::Problems;
use crate::walk::Section;

/// What the parts of a build share.
pub(crate) struct Build<'a, 't> {
    pub(crate) cx: &'a Context,
    pub(crate) problems: &'a mut Problems<'t>,
    /// What no agent in a sandbox may be let into.
    pub(crate) closed: &'a mut Closed,
}

impl Build<'_, '_> {
    /// The plan of a whole file.
    pub(crate) fn plan(&mut self, top: &Section) -> Plan {
        let state_dir: Option<PathBuf> = top.text("data_dir").map(Into::into);
        let spool = settings::spool(top);
        self.closed
            .add_own(self.cx, state_dir.as_deref(), spool.dir.as_deref());
        let display = self.display(top);
        let projects = self.projects(top, &display);
        Plan {
            language: self.language(top),
            log_level: log_level(top),
            state_dir,
            stream_preview: settings::stream_preview(top),
            instant_reply: settings::instant_reply(top),
            rate_limit: settings::rate_limit(top.table("rate_limit")),
            outgoing_rate_limit: settings::outgoing_rate_limit(top),
            queue: settings::queue(top),
            commands: self.commands(top),
            aliases: self.aliases(top),
            banned_words: top
                .list("banned_words")
                .iter()
                .map(|w| w.trim().to_lowercase())
                .collect(),
            attachments: Attachments {
                send: top.text("attachment_send") != Some("off"),
                max_size_mb: top.nonzero("max_attachment_size_mb", 50).unwrap_or(50),
            },
            idle_timeout_mins: top.nonzero("idle_timeout_mins", 120),
            max_turn_time_mins: top.nonzero("max_turn_time_mins", 0),
            supervision: self.supervision(top),
            spool,
            display,
            projects,
        }
    }

    /// A `language` key: none means that it is found by itself.
    fn language(&mut self, section: &Section) -> Option<Lang> {
        let word = section.text("language")?;
        let (lang, told) = match word {
            "en" => (Some(Lang::En), None),
            "zh" => (Some(Lang::Zh), None),
            "zh-TW" => (
                Some(Lang::Zh),
                Some("there are no traditional characters yet: zh is used"),
            ),
            "ja" | "es" => (
                Some(Lang::En),
                Some("this language is not there yet: en is used"),
            ),
            _ => (None, None),
        };
        if let Some(told) = told {
            self.problems
                .warn(section.at("language"), &section.path("language"), told);
        }
        lang
    }
}

fn log_level(top: &Section) -> LogLevel {
    match top.table("log").and_then(|log| log.text("level")) {
        Some("error") => LogLevel::Error,
        Some("warn") => LogLevel::Warn,
        Some("debug") => LogLevel::Debug,
        Some("trace") => LogLevel::Trace,
        _ => LogLevel::Info,
    }
}
