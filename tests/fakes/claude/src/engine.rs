//! The agent as a machine: lines, signals and outcomes in, actions out.
//!
//! Promises: pure but for fresh uuids and time stamps; one turn at a time; what arrives in a turn waits or is injected as measured.
//! Does not: read, write or run anything itself.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use fake_model::script::{Point, Script, ToolCall};
use serde_json::{Value, json};

use crate::history::History;
use crate::lines::{self, Stamp};
use crate::mcp::Server;
use crate::options::Options;
use crate::permission::TOOLS;
use crate::queue::{Known, Waiting};
use crate::stop::Then;
use crate::turn::{Beat, Kind, Outcome, Turn, Wait};

/// What the engine hears.
#[derive(Debug)]
pub(crate) enum Input {
    /// A line of stdin.
    Line(String),
    /// stdin was closed.
    Closed,
    /// SIGINT.
    Sigint,
    /// SIGTERM.
    Sigterm,
    /// A point or a pause is passed.
    Passed(u64),
    /// A tool came back.
    ToolDone(u64, Outcome),
}

/// A turn stands at a point and asks to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) n: u64,
    pub(crate) uuid: String,
    pub(crate) prompt: String,
    pub(crate) point: Point,
    /// The script wants the turn held here.
    pub(crate) wanted: bool,
    /// The turn was begun by an earlier process.
    pub(crate) continued: bool,
}

/// What the engine wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Print(Value),
    /// This text and a line's end.
    Junk(String),
    Flood(usize),
    Row {
        row: Value,
        now: bool,
    },
    Save,
    /// The session has this id from now on.
    Rename(String),
    Reach(Reach),
    /// The turn no longer stands where it stood.
    Leave(u64),
    Pause(u64, Duration),
    Run {
        n: u64,
        uuid: String,
        call: ToolCall,
    },
    StopTool,
    /// A rule goes into the project's local settings.
    Grant(Vec<String>),
    Stderr(String),
    Exit(i32),
}

/// What is known before the first line.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) stamp: Stamp,
    pub(crate) options: Options,
    pub(crate) cwd: PathBuf,
    /// `CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS`.
    pub(crate) tells_state: bool,
    /// `CLAUDE_CODE_EAGER_FLUSH`.
    pub(crate) eager: bool,
    /// `CLAUDE_CODE_RESUME_INTERRUPTED_TURN`.
    pub(crate) resumes_turns: bool,
    /// `CLAUDE_CODE_MAX_RETRIES`.
    pub(crate) retries: u32,
    /// Where a key was found; `None` is logged out.
    pub(crate) key: Option<&'static str>,
}

pub(crate) struct Engine {
    pub(crate) facts: Facts,
    pub(crate) leaf: Option<String>,
    pub(crate) known: HashMap<String, Known>,
    /// A prompt that stands in the file and is run when it comes again.
    pub(crate) bare: Option<String>,
    pub(crate) queue: VecDeque<Waiting>,
    pub(crate) turn: Option<Turn>,
    /// What background work will say once the turn is over.
    later: VecDeque<String>,
    pub(crate) allowed: Vec<String>,
    pub(crate) offered: Vec<String>,
    pub(crate) server: Server,
    closed: bool,
    pub(crate) hung: bool,
    /// The exit code of a clean end.
    pub(crate) code: i32,
    numbers: u64,
    pub(crate) actions: Vec<Action>,
}

impl Engine {
    pub(crate) fn new(facts: Facts) -> Self {
        let refused = &facts.options.disallowed;
        let chosen = facts.options.tools.as_ref();
        let offered = TOOLS.iter().map(|tool| (*tool).to_owned());
        let offered = offered
            .filter(|tool| {
                !refused.contains(tool) && chosen.is_none_or(|chosen| chosen.contains(tool))
            })
            .collect();
        Self {
            allowed: facts.options.allowed.clone(),
            facts,
            leaf: None,
            known: HashMap::new(),
            bare: None,
            queue: VecDeque::new(),
            turn: None,
            later: VecDeque::new(),
            offered,
            server: Server::default(),
            closed: false,
            hung: false,
            code: 0,
            numbers: 0,
            actions: Vec::new(),
        }
    }

    /// Takes up a session; an interrupted turn goes on at once if the environment wants it.
    pub(crate) fn resume(&mut self, history: History) -> Vec<Action> {
        self.leaf = history.leaf;
        self.known = history
            .prompts
            .into_iter()
            .map(|uuid| (uuid, Known::FromFile))
            .collect();
        match history.open {
            Some(open) if self.facts.resumes_turns => {
                let script = Script::parse(&open.prompt);
                let mut turn = Turn::new(
                    Kind::Continued,
                    vec![open.uuid],
                    Value::Null,
                    open.prompt,
                    script,
                );
                turn.outcomes = open.outcomes;
                turn.cycle = vec![lines::uuid()];
                self.tell_state("running");
                self.begin(turn);
                self.play();
            }
            Some(open) if open.bare && self.facts.stamp.version.reruns_bare_prompts() => {
                self.known.remove(&open.uuid);
                self.bare = Some(open.uuid);
            }
            _ => {}
        }
        std::mem::take(&mut self.actions)
    }

    /// Hears one thing and says what is to be done.
    pub(crate) fn hear(&mut self, input: Input) -> Vec<Action> {
        if !self.hung {
            match input {
                Input::Line(line) => self.line(&line),
                Input::Closed => self.close(),
                Input::Sigint => self.sigint(),
                Input::Sigterm => {
                    if self.facts.stamp.version.ends_tools() {
                        self.actions.push(Action::StopTool);
                    }
                    self.actions.extend([Action::Save, Action::Exit(143)]);
                }
                Input::Passed(n) => self.passed(n),
                Input::ToolDone(n, outcome) => self.tool_done(n, outcome),
            }
            self.play();
        } else if matches!(input, Input::Sigterm) {
            self.actions.push(Action::Exit(143));
        }
        std::mem::take(&mut self.actions)
    }

    pub(crate) fn print(&mut self, line: Value) {
        self.actions.push(Action::Print(line));
    }

    pub(crate) fn tell_state(&mut self, state: &str) {
        if self.facts.tells_state && self.facts.stamp.version.tells_state() {
            let line = self.facts.stamp.state(state);
            self.print(line);
        }
    }

    pub(crate) fn tell_lifecycle(&mut self, uuids: &[String], state: &str) {
        if self.facts.stamp.version.tells_lifecycle() {
            for uuid in uuids {
                let line = self.facts.stamp.lifecycle(uuid, state);
                self.print(line);
            }
        }
    }

    /// A row below the last one.
    pub(crate) fn chain(&mut self, kind: &str, uuid: &str, more: Value, now: bool) {
        let row = self.facts.stamp.row(kind, uuid, self.leaf.as_deref(), more);
        self.leaf = Some(uuid.to_owned());
        self.actions.push(Action::Row { row, now });
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn line(&mut self, line: &str) {
        let version = self.facts.stamp.version;
        if line.is_empty() || (version.skips_blank_lines() && line.trim().is_empty()) {
            return;
        }
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            let words = format!(
                "Error parsing streaming input line ({} chars): SyntaxError",
                line.len()
            );
            return self.fail(words);
        };
        match line["type"].as_str() {
            Some("user") => match line["message"]["role"].as_str() {
                Some("user") => self.message(&line),
                role => {
                    let role = role.unwrap_or("undefined");
                    self.fail(format!("Error: Expected message role 'user', got '{role}'"));
                }
            },
            Some("control_request") => self.control(&line),
            Some("control_response") if self.server_answers(&line) => {}
            Some("control_response") => self.answer(&line),
            _ => {} // keep_alive, and what it does not know
        }
    }

    fn fail(&mut self, words: String) {
        self.actions
            .extend([Action::Stderr(words), Action::Save, Action::Exit(1)]);
        self.hung = true;
    }

    pub(crate) fn begin(&mut self, mut turn: Turn) {
        let (version, retries) = (self.facts.stamp.version, self.facts.retries);
        self.tell_lifecycle(&turn.cycle, "started");
        self.later.extend(
            turn.script
                .later
                .clone()
                .filter(|_| turn.kind == Kind::Asked),
        );
        turn.open(version, retries, self.facts.key.is_some());
        self.turn = Some(turn);
    }

    pub(crate) fn print_init(&mut self) {
        let facts = &self.facts;
        let key = facts.key.unwrap_or("none");
        let line = facts.stamp.init(
            &facts.options.model,
            &facts.options.mode,
            &self.offered,
            key,
        );
        self.print(line);
    }

    /// The turn is over: the next one, background work, or rest.
    pub(crate) fn rest(&mut self) {
        self.turn = None;
        if !self.queue.is_empty() {
            return self.next();
        }
        self.tell_state("idle");
        if let Some(said) = self.later.pop_front() {
            let task = json!({ "task_id": "b1", "status": "completed", "summary": "Background work is done" });
            let line = self.facts.stamp.system("task_notification", task);
            self.print(line);
            self.tell_state("running");
            let script = Script::parse(&format!("#say {said}"));
            let text = "<task-notification>".to_owned();
            self.begin(Turn::new(
                Kind::Unasked,
                Vec::new(),
                Value::Null,
                text,
                script,
            ));
        } else if self.closed {
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.actions.extend([Action::Save, Action::Exit(self.code)]);
        self.hung = true;
    }

    fn close(&mut self) {
        self.closed = true;
        match &self.turn {
            None => self.leave(),
            Some(turn) if turn.wait == Wait::Answer => {
                self.tell_state("running");
                let words = "Tool permission request failed: Error: Tool permission stream closed before response received";
                self.tool_fails(words);
            }
            Some(_) => {}
        }
    }

    fn sigint(&mut self) {
        let result = self.facts.stamp.version.results_on_sigint();
        if self.turn.as_ref().is_some_and(Turn::can_be_stopped) {
            self.stop_turn(None, Then::Leave { result });
        }
        self.actions.extend([Action::Save, Action::Exit(0)]);
        self.hung = true;
    }

    fn passed(&mut self, n: u64) {
        if let Some(turn) = &mut self.turn
            && matches!(turn.wait, Wait::Point(at, _) | Wait::Pause(at) if at == n)
        {
            turn.wait = Wait::Nothing;
        }
    }

    /// The number of the point that the turn stands at.
    pub(crate) fn standing(&self) -> Option<u64> {
        match self.turn.as_ref()?.wait {
            Wait::Point(n, _) => Some(n),
            _ => None,
        }
    }

    /// Plays beats until the turn has to wait.
    fn play(&mut self) {
        while !self.hung
            && let Some(turn) = &mut self.turn
            && turn.wait == Wait::Nothing
        {
            let Some(beat) = turn.beats.pop_front() else {
                return;
            };
            match beat {
                Beat::Hang => self.hung = true,
                Beat::Die(code) => {
                    self.actions.push(Action::Exit(code));
                    self.hung = true;
                }
                Beat::Keep => self.keep(),
                Beat::Outcome(outcome) => self.outcome(outcome),
                Beat::End => {
                    self.end_rows();
                    self.rest();
                }
                beat => self.beat(beat),
            }
        }
    }
}
