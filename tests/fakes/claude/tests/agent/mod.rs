//! Drives an agent process: the fake one, or the real one.
#![allow(dead_code, unreachable_pub, clippy::expect_used, clippy::panic)] // each test binary uses its part of it

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// No wait of a test is longer.
pub const SOON: Duration = Duration::from_secs(20);

/// What every start of an agent needs.
#[derive(Clone)]
pub struct Start {
    pub program: PathBuf,
    pub home: PathBuf,
    pub cwd: PathBuf,
    pub env: HashMap<String, String>,
}

impl Start {
    pub fn fake(dir: &Path) -> Self {
        let (home, cwd) = (dir.join("home"), dir.join("work"));
        for dir in [&home, &cwd] {
            std::fs::create_dir_all(dir).expect("a directory");
        }
        // The agent sees the real path, and makes the slug of it.
        let cwd = cwd.canonicalize().expect("a path");
        let program = PathBuf::from(env!("CARGO_BIN_EXE_fake-claude"));
        let mut start = Self {
            program,
            home,
            cwd,
            env: HashMap::new(),
        };
        for name in [
            "CLAUDE_CODE_EAGER_FLUSH",
            "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS",
        ] {
            start = start.with(name, "1");
        }
        start.with("CLAUDE_CODE_MAX_RETRIES", "1")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    pub fn resuming(self) -> Self {
        self.with("CLAUDE_CODE_RESUME_INTERRUPTED_TURN", "1")
    }

    pub fn session_file(&self, session: &str) -> PathBuf {
        fake_claude::session_file(&self.home.join(".claude"), &self.cwd, session)
    }

    pub fn rows(&self, session: &str) -> Vec<Value> {
        let file = std::fs::read_to_string(self.session_file(session)).unwrap_or_default();
        file.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// Starts with `--session-id` and the usual options.
    pub fn new_session(&self, session: &str) -> Agent {
        self.start(&["--session-id", session])
    }

    /// Starts with `--resume` and the usual options.
    pub fn resume(&self, session: &str) -> Agent {
        self.start(&["--resume", session])
    }

    pub fn start(&self, args: &[&str]) -> Agent {
        let usual = "-p --output-format stream-json --input-format stream-json --verbose --permission-prompt-tool stdio \
             --replay-user-messages --setting-sources user --strict-mcp-config --include-partial-messages";
        let mut child = Command::new(&self.program)
            .args(usual.split_whitespace())
            .args(args)
            .current_dir(&self.cwd)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the agent's program");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut stderr = child.stderr.take().expect("a pipe");
        let (to, printed) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line)
                    .unwrap_or_else(|_| json!({ "type": "no-json", "line": line }));
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text).await;
            text
        });
        Agent {
            stdin: child.stdin.take(),
            child,
            printed,
            seen: Vec::new(),
            stderr,
        }
    }
}

/// A running agent.
pub struct Agent {
    child: Child,
    stdin: Option<ChildStdin>,
    printed: mpsc::UnboundedReceiver<Value>,
    /// Every line so far.
    pub seen: Vec<Value>,
    stderr: JoinHandle<String>,
}

impl Agent {
    pub async fn send(&mut self, line: &Value) {
        self.send_text(&line.to_string()).await;
    }

    pub async fn send_text(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        // A dead agent is what some tests want.
        let _ = stdin.write_all(format!("{line}\n").as_bytes()).await;
    }

    pub async fn prompt(&mut self, uuid: &str, text: &str) {
        self.send(&json!({ "type": "user", "uuid": uuid, "message": { "role": "user", "content": text } })).await;
    }

    pub async fn control(&mut self, id: &str, request: Value) {
        self.send(&json!({ "type": "control_request", "request_id": id, "request": request }))
            .await;
    }

    pub async fn answer(&mut self, question: &Value, response: Value) {
        let id = &question["request_id"];
        let response = json!({ "subtype": "success", "request_id": id, "response": response });
        self.send(&json!({ "type": "control_response", "response": response }))
            .await;
    }

    pub async fn allow(&mut self, question: &Value) {
        let input = question["request"]["input"].clone();
        self.answer(
            question,
            json!({ "behavior": "allow", "updatedInput": input }),
        )
        .await;
    }

    pub fn close(&mut self) {
        self.stdin = None;
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// The next line.
    pub async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(SOON, self.printed.recv()).await;
        let line =
            line.unwrap_or_else(|_| panic!("no line within {SOON:?}; so far:\n{}", self.story()));
        self.seen.extend(line.clone());
        line
    }

    /// Waits for a line, from the next one on.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next().await {
                Some(line) if wanted(&line) => return line,
                Some(_) => {}
                None => panic!("it ended before that line; it said:\n{}", self.story()),
            }
        }
    }

    pub async fn until_type(&mut self, kind: &str) -> Value {
        self.until(|line| line["type"] == kind).await
    }

    pub async fn until_state(&mut self, state: &str) -> Value {
        self.until(|line| line["subtype"] == "session_state_changed" && line["state"] == state)
            .await
    }

    pub async fn until_delta(&mut self) -> Value {
        self.until(|line| line["event"]["type"] == "content_block_delta")
            .await
    }

    /// Waits until everything sent so far has been heard: the answer to a request that changes nothing.
    pub async fn heard(&mut self) {
        self.control("heard", json!({ "subtype": "mcp_status" }))
            .await;
        self.until(|line| line["response"]["request_id"] == "heard")
            .await;
        self.seen.pop();
    }

    /// Waits for its end; gives the exit code, or the negative signal, and stderr.
    pub async fn end(&mut self) -> (i32, String) {
        use std::os::unix::process::ExitStatusExt as _;
        let story = |agent: &Self| format!("it did not end; it said:\n{}", agent.story());
        let status = tokio::time::timeout(SOON, self.child.wait()).await;
        let status = status
            .unwrap_or_else(|_| panic!("{}", story(self)))
            .expect("a status");
        while let Some(line) = self.printed.recv().await {
            self.seen.push(line);
        }
        let stderr = (&mut self.stderr).await.expect("no panic");
        let code = status
            .code()
            .unwrap_or_else(|| -status.signal().expect("a signal"));
        (code, stderr)
    }

    /// Closes stdin and waits for its end.
    pub async fn finish(&mut self) -> (i32, String) {
        self.close();
        self.end().await
    }

    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.end().await.0, -9);
    }

    fn story(&self) -> String {
        self.seen
            .iter()
            .map(|line| format!("  {}\n", shape(line)))
            .collect()
    }

    /// The shapes of all lines that are not stream events.
    pub fn shapes(&self) -> Vec<String> {
        shapes(&self.seen)
    }
}

/// What a line is, without what differs from run to run.
pub fn shape(line: &Value) -> String {
    let mut words = vec![line["type"].as_str().unwrap_or("?").to_owned()];
    for key in [
        "subtype",
        "state",
        "status",
        "error",
        "is_error",
        "api_error_status",
        "terminal_reason",
        "isReplay",
        "isMeta",
        "isAbortedMidStream",
        "isApiErrorMessage",
        "permissionMode",
    ] {
        let value = &line[key];
        if !value.is_null() && *value != json!(false) {
            words.push(format!(
                "{key}={}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            ));
        }
    }
    for key in ["request", "response"] {
        if let Some(subtype) = line[key]["subtype"].as_str() {
            words.push(subtype.to_owned());
        }
    }
    if let Some(event) = line["event"]["type"].as_str() {
        words.push(event.to_owned());
    }
    match &line["message"]["content"] {
        Value::Array(blocks) => words.extend(
            blocks
                .iter()
                .filter_map(|block| block["type"].as_str())
                .map(str::to_owned),
        ),
        Value::String(_) => words.push("string".to_owned()),
        _ => {}
    }
    words.join(" ")
}

pub fn shapes(lines: &[Value]) -> Vec<String> {
    lines
        .iter()
        .filter(|line| line["type"] != "stream_event")
        .map(shape)
        .collect()
}

/// The kinds of the stream events, a run of deltas as one.
pub fn events(lines: &[Value]) -> Vec<String> {
    let mut events: Vec<_> = lines
        .iter()
        .filter_map(|line| line["event"]["type"].as_str())
        .map(str::to_owned)
        .collect();
    events.dedup();
    events
}
