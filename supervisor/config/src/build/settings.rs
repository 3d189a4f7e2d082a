//! The settings that hold for every project, and the display, which a project may change.

use super::Build;
use crate::plan::{
    Alias, Command, Display, DisplayMode, InstantReply, OutgoingRateLimit, Pace, Queue, RateLimit,
    Spool, StreamPreview, Supervision,
};
use crate::problems::shown;
use crate::walk::Section;

impl Build<'_, '_> {
    /// The display at the top of the file.
    pub(super) fn display(&mut self, top: &Section) -> Display {
        self.display_over(top, None)
    }

    /// A `[display]` of a table, on top of another one.
    pub(super) fn display_over(&mut self, around: &Section, base: Option<&Display>) -> Display {
        let empty = Section::default();
        let own = around.table("display").unwrap_or(&empty);
        if let Some(quiet) = around.bool("quiet") {
            let word = if quiet { "quiet" } else { "full" };
            let why = format!("an old key: write mode = \"{word}\" under display instead");
            self.problems
                .warn(around.at("quiet"), &around.path("quiet"), why);
        }
        let mode = match (own.text("mode"), around.bool("quiet")) {
            (Some("full"), _) => Some(DisplayMode::Full),
            (Some("compact"), _) => Some(DisplayMode::Compact),
            (Some(_), _) | (None, Some(true)) => Some(DisplayMode::Quiet),
            (None, Some(false)) => Some(DisplayMode::Full),
            (None, None) => None,
        };
        // A mode that is written here brings its own defaults; else those around it hold.
        let shows = |mode: DisplayMode| mode == DisplayMode::Full;
        let length = |name: &str, around: Option<Option<u32>>, default: u32| match (
            own.int::<u32>(name),
            around,
        ) {
            (Some(own), _) => Some(own).filter(|length| *length > 0),
            (None, Some(around)) => around,
            (None, None) => Some(default),
        };
        let messages = |name: &str, around: Option<bool>| {
            own.bool(name)
                .or(mode.map(shows))
                .or(around)
                .unwrap_or(true)
        };
        // A project may write these two beside its `display` as well.
        let indicator = |name: &str, base: Option<bool>| {
            own.bool(name)
                .or_else(|| around.bool(name))
                .or(base)
                .unwrap_or(true)
        };
        Display {
            mode: mode
                .or(base.map(|base| base.mode))
                .unwrap_or(DisplayMode::Full),
            thinking_messages: messages("thinking_messages", base.map(|b| b.thinking_messages)),
            thinking_max_len: length("thinking_max_len", base.map(|b| b.thinking_max_len), 300),
            tool_messages: messages("tool_messages", base.map(|b| b.tool_messages)),
            tool_max_len: length("tool_max_len", base.map(|b| b.tool_max_len), 500),
            history_max_len: length("history_max_len", base.map(|b| b.history_max_len), 1000),
            show_context_indicator: indicator(
                "show_context_indicator",
                base.map(|b| b.show_context_indicator),
            ),
            show_workdir_indicator: indicator(
                "show_workdir_indicator",
                base.map(|b| b.show_workdir_indicator),
            ),
            reply_footer: indicator("reply_footer", base.map(|b| b.reply_footer)),
        }
    }

    /// The operator's own commands; one without a prompt is left out.
    pub(super) fn commands(&mut self, top: &Section) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for section in top.tables("commands") {
            // A shell command of cc-connect's: the walk has warned, and there is nothing to plan.
            if section.has("exec") && !section.written("prompt") {
                continue;
            }
            let name = section.required(self.problems, "name", "write the word that follows the /");
            let name = name.trim().trim_start_matches('/').to_lowercase();
            let prompt = section.required(self.problems, "prompt", "write what the agent is asked");
            self.check_word(section, "name", &name);
            if !name.is_empty() && commands.iter().any(|known| known.name == name) {
                let why = format!(
                    "there are two commands named `{}`: rename one",
                    shown(&name)
                );
                self.problems
                    .error(section.at("name"), &section.path("name"), why);
            }
            let description = section.text("description").unwrap_or_default().to_owned();
            commands.push(Command {
                name,
                description,
                prompt,
            });
        }
        commands
    }

    /// First words that stand for commands.
    pub(super) fn aliases(&mut self, top: &Section) -> Vec<Alias> {
        let mut aliases: Vec<Alias> = Vec::new();
        for section in top.tables("aliases") {
            let name = section.required(self.problems, "name", "write the word that people type");
            let name = name.trim().to_owned();
            let command = section.required(
                self.problems,
                "command",
                "write a command such as \"/help\"",
            );
            let command = format!("/{}", command.trim().trim_start_matches('/'));
            self.check_word(section, "name", &name);
            if !name.is_empty() && aliases.iter().any(|known| known.name == name) {
                let why = format!("there are two aliases named `{}`: rename one", shown(&name));
                self.problems
                    .error(section.at("name"), &section.path("name"), why);
            }
            aliases.push(Alias { name, command });
        }
        aliases
    }

    fn check_word(&mut self, section: &Section, key: &str, word: &str) {
        if word.contains(char::is_whitespace) || word.chars().count() > 32 {
            let why = "must be one word of at most 32 characters";
            self.problems
                .error(section.at(key), &section.path(key), why);
        }
    }

    /// How processes are watched.
    pub(super) fn supervision(&mut self, top: &Section) -> Supervision {
        let empty = Section::default();
        let own = top.table("supervision").unwrap_or(&empty);
        let backoff_min_ms = own.int("backoff_min_ms").unwrap_or(200);
        let backoff_max_ms = own.int("backoff_max_ms").unwrap_or(60_000);
        if backoff_max_ms < backoff_min_ms {
            let key = if own.written("backoff_max_ms") {
                "backoff_max_ms"
            } else {
                "backoff_min_ms"
            };
            let why = format!(
                "the longest wait, {backoff_max_ms}, is below the shortest, {backoff_min_ms}"
            );
            self.problems.error(own.at(key), &own.path(key), why);
        }
        Supervision {
            backoff_min_ms,
            backoff_max_ms,
            backoff_reset_secs: own.int("backoff_reset_secs").unwrap_or(60),
            ready_timeout_secs: own.int("ready_timeout_secs").unwrap_or(30),
            watchdog_secs: own.nonzero("watchdog_secs", 10),
            drain_timeout_secs: own.int("drain_timeout_secs").unwrap_or(20),
            degraded_restarts: own.int("degraded_restarts").unwrap_or(5),
            degraded_window_secs: own.int("degraded_window_secs").unwrap_or(600),
        }
    }
}

pub(super) fn stream_preview(top: &Section) -> StreamPreview {
    let empty = Section::default();
    let own = top.table("stream_preview").unwrap_or(&empty);
    StreamPreview {
        enabled: own.bool("enabled").unwrap_or(true),
        interval_ms: own.int("interval_ms").unwrap_or(1500),
        min_delta_chars: own.int("min_delta_chars").unwrap_or(30),
        max_chars: own.int("max_chars").unwrap_or(2000),
    }
}

pub(super) fn instant_reply(top: &Section) -> InstantReply {
    let own = top.table("instant_reply");
    InstantReply {
        enabled: own.and_then(|own| own.bool("enabled")).unwrap_or(false),
        content: own.and_then(|own| own.text("content")).map(str::to_owned),
    }
}

pub(super) fn rate_limit(own: Option<&Section>) -> RateLimit {
    RateLimit {
        max_messages: own.and_then(|own| own.int("max_messages")).unwrap_or(20),
        window_secs: own.and_then(|own| own.int("window_secs")).unwrap_or(60),
    }
}

pub(super) fn outgoing_rate_limit(top: &Section) -> OutgoingRateLimit {
    let empty = Section::default();
    let own = top.table("outgoing_rate_limit").unwrap_or(&empty);
    let pace = |own: &Section, base: Pace| {
        let burst = own.nonzero("burst", 0);
        match own.number("max_per_second") {
            // A burst that isn't written follows from its rate, never below one message.
            Some(rate) => Pace {
                max_per_second: rate,
                burst: burst.unwrap_or(rate.ceil() as u32).max(1),
            },
            None => Pace {
                burst: burst.unwrap_or(base.burst),
                ..base
            },
        }
    };
    let default = pace(
        own,
        Pace {
            max_per_second: 0.0,
            burst: 1,
        },
    );
    let platforms = own
        .named("platforms")
        .map(|(kind, own)| (kind.clone(), pace(own, default)))
        .collect();
    OutgoingRateLimit { default, platforms }
}

pub(super) fn queue(top: &Section) -> Queue {
    let own = top.table("queue");
    Queue {
        max_depth: own
            .and_then(|own| own.nonzero("max_depth", 50))
            .unwrap_or(50),
    }
}

pub(super) fn spool(top: &Section) -> Spool {
    let empty = Section::default();
    let own = top.table("spool").unwrap_or(&empty);
    Spool {
        dir: own.text("dir").map(Into::into),
        max_size_mb: own.int("max_size_mb").unwrap_or(2048),
        max_age_days: own.int("max_age_days").unwrap_or(30),
    }
}
