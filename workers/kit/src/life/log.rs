//! The log: one line an event on stderr, each with the name of its process.

use std::fmt;
use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

struct Lines {
    process: String,
    /// A journal stamps the lines itself.
    stamped: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.stamped {
            SystemTime.format_time(&mut writer)?;
            writer.write_char(' ')?;
        }
        write!(writer, "{:>5} {}: ", event.metadata().level(), self.process)?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Starts the log. Each line names `process`; code of `ours` (crates by their library's name) is
/// logged at `level`; foreign crates only warn, since they know nothing of what is secret.
pub fn start(process: &str, ours: &[&str], level: &str) {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let targets = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("worker_kit", level)
        .with_targets(ours.iter().map(|ours| (*ours, level)));
    let lines = Lines {
        process: process.to_owned(),
        stamped: std::env::var_os("JOURNAL_STREAM").is_none(),
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(lines)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that somebody else has started one; then theirs is the log.
    let _ = tracing_subscriber::registry()
        .with(layer)
        .with(targets)
        .try_init();
}

/// A panic is a fault of ours: it is logged and ends the process at once, also in a task that
/// nobody awaits. Only the place is told; the words could quote what somebody wrote.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        tracing::error!("panicked at {place}; this is a fault of the program, please report it");
        std::process::abort();
    }));
}
