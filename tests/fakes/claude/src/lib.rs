//! A `claude` that obeys what was measured of the real one, for tests that are fast and always the same.
//!
//! It takes the same command line, speaks the same lines on stdin and stdout and keeps the same session files. What happens in a turn is
//! told by directives in the prompt (`fake_model::script`); without any the prompt is echoed. A test can hold turns at points
//! through [`ClaudeControl`], whose address the process finds in the variable [`CONTROL`].
//!
//! | variable | |
//! |---|---|
//! | `FAKE_CLAUDE_CONTROL` | `HOST:PORT` or the path of a socket: [`ClaudeControl::address`] |
//! | `FAKE_CLAUDE_AS` | the version to be: `2.1.329` (default), `2.1.197`, `older` (no `session_state_changed`) |
//! | `FAKE_CLAUDE_LOGIN` | `checked`: without a key or stored credentials it is logged out, as the real one |
//! | `FAKE_CLAUDE_TOOL_LOG` | where runs of tools are written down, instead of [`TOOL_LOG`] in the working directory |
//! | `FAKE_CLAUDE_TIMES` | where it is noted when prompts are read and results are written: [`moments`] |
//!
//! Promises: the rules of the fixtures in `agent-runner/tests/fixtures`, which its tests replay against it.
//! Does not: talk to a model, load settings, play servers of tools other than the runner's own, subagents, hooks or compaction.

mod begin;
mod control;
mod engine;
mod file;
mod history;
mod lines;
mod link;
mod mcp;
mod options;
mod permission;
mod play;
mod queue;
mod run;
mod stop;
mod times;
mod tools;
mod turn;
mod verbs;
mod version;

pub use begin::run;
pub use control::{ClaudeControl, Event, Stand};
pub use fake_model::script::{Point, prose};
pub use file::{session_file, slug};
pub use link::{CONTROL, Hello};
pub use times::{Moment, TIMES, clock, moments};
pub use tools::{TOOL_LOG, ToolRun, tool_runs};
pub use version::Version;
