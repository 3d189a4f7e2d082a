//! A hub with just enough mind, and the real runner beside it.
//!
//! The mind keeps what a hub keeps (open turns, attempts, committed updates), checks what a hub
//! relies on (updates without gaps, nothing after the end), and hands a turn out again as a hub
//! does. It outlives its links and its runners.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "several test programs share this"
)]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use fake_claude::ClaudeControl;
use fake_hub::{FakeHub, Seen};
use ipc_schema::{
    Body, CloseSession, Decide, Decision, Fault, Interrupt, OpenTurns, Outcome, Prompt, Question,
    Standing, TurnEvent, TurnRef, TurnUpdate, UnpromptedKept, UpdatesKept, Worktree,
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use uuid::Uuid;

/// How long anything may take before a test gives up on it.
pub const SOON: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;

/// A turn as the hub has it.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    session: String,
    text: String,
    pub attempt: u32,
    updates: u64,
    /// The committed content of this attempt: blocks in order.
    pub blocks: Vec<(String, String)>,
    pub events: Vec<TurnEvent>,
    /// What was shown of it and may have been lost.
    pub shown: Vec<TurnEvent>,
    pub questions: Vec<Question>,
    pub outcome: Option<Outcome>,
    /// How often it was told that the agent went on.
    pub continued: usize,
}

impl Turn {
    /// The texts of the answer.
    pub fn texts(&self) -> Vec<&str> {
        self.blocks.iter().map(|(_, text)| text.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct Mind {
    turns: BTreeMap<String, Turn>,
    /// Session → the agent's own id of it, where the runner has told one.
    sessions: BTreeMap<String, String>,
    unprompted: Vec<String>,
    worktrees: Vec<Worktree>,
    complaints: Vec<String>,
    answers: usize,
}

impl Mind {
    fn update(&mut self, update: TurnUpdate) -> Vec<Body> {
        let TurnUpdate { at, n, event } = update;
        let kept = |n| vec![Body::UpdatesKept(UpdatesKept { at: at.clone(), n })];
        let Some(turn) = self
            .turns
            .get_mut(&at.turn)
            .filter(|t| t.attempt == at.attempt)
        else {
            return kept(n);
        };
        if n == 0 {
            turn.shown.push(event);
            return Vec::new();
        }
        if n <= turn.updates {
            return kept(turn.updates);
        }
        if n != turn.updates + 1 {
            self.complaints
                .push(format!("{at:?}: update {n} after {}", turn.updates));
            return Vec::new();
        }
        if turn.outcome.is_some() {
            self.complaints
                .push(format!("{at:?}: {event:?} after the end"));
        }
        turn.updates = n;
        turn.events.push(event.clone());
        match event {
            TurnEvent::Started {
                agent_session,
                continued,
            } => {
                turn.continued += usize::from(continued);
                self.sessions.insert(turn.session.clone(), agent_session);
            }
            TurnEvent::Text { block, text, .. } => {
                let last = turn.blocks.len().saturating_sub(1);
                match turn.blocks.iter().position(|(known, _)| *known == block) {
                    Some(at) if at == last => turn.blocks[at].1.push_str(&text),
                    Some(_) => self.complaints.push(format!("{at:?}: block {block} twice")),
                    None => turn.blocks.push((block, text)),
                }
            }
            TurnEvent::Asked(question) => turn.questions.push(question),
            TurnEvent::Ended {
                outcome:
                    Outcome::Failed {
                        fault: Fault::Died { .. },
                    },
            } if turn.attempt < ATTEMPTS => {
                let mut out = kept(n);
                out.push(again(&self.sessions, &at.turn, turn));
                return out;
            }
            TurnEvent::Ended { outcome } => turn.outcome = Some(outcome),
            _ => {}
        }
        kept(n)
    }
}

fn again(sessions: &BTreeMap<String, String>, id: &str, turn: &mut Turn) -> Body {
    let told = sessions.get(&turn.session).filter(|id| !id.is_empty());
    let agent_session =
        told.map_or_else(|| agent_session(&turn.session).to_string(), String::clone);
    turn.attempt += 1;
    turn.updates = 0;
    turn.blocks.clear();
    turn.questions.clear();
    Body::Prompt(Prompt {
        at: TurnRef {
            turn: id.to_owned(),
            attempt: turn.attempt,
        },
        session: turn.session.clone(),
        agent_session,
        prompt_id: prompt_id(id).to_string(),
        resend: turn.attempt > 1,
        text: turn.text.clone(),
        ..Prompt::default()
    })
}

pub fn agent_session(session: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, session.as_bytes())
}

pub fn prompt_id(turn: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, turn.as_bytes())
}

/// A runner, its hub and its agents' control.
pub struct Desk {
    pub dir: tempfile::TempDir,
    pub hub: Arc<FakeHub>,
    pub control: ClaudeControl,
    pub runner: Child,
    options: Value,
    mind: Arc<Mutex<Mind>>,
    changed: watch::Receiver<u64>,
}

impl Desk {
    /// Starts a runner whose options are the least plus `more`.
    pub async fn start(more: Value) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["home", "work"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let hub = Arc::new(FakeHub::start().unwrap());
        let control = ClaudeControl::start().await.unwrap();
        let mut options = json!({
            "work_dir": dir.path().join("work"),
            "state_dir": dir.path().join("state"),
            "env": {
                "HOME": dir.path().join("home"),
                "FAKE_CLAUDE_CONTROL": control.address(),
            },
        });
        merge(&mut options, more);
        let mind = Arc::new(Mutex::new(Mind::default()));
        let (change, changed) = watch::channel(0);
        tokio::spawn(think(Arc::clone(&hub), Arc::clone(&mind), change));
        let runner = spawn(dir.path(), &hub, &options, 1);
        let desk = Desk {
            dir,
            hub,
            control,
            runner,
            options,
            mind,
            changed,
        };
        desk.compared(1).await;
        desk
    }

    /// A runner with the fake Claude Code, whose tools need no question.
    pub async fn claude() -> Desk {
        Desk::start(json!({"cmd": fake_claude(), "allowed_tools": ["Bash"]})).await
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The same, with something more in the prompt.
    pub fn prompt_with(
        &self,
        session: &str,
        turn: &str,
        text: &str,
        change: impl FnOnce(&mut Prompt),
    ) {
        let mut fresh = Turn {
            session: session.into(),
            text: text.into(),
            ..Turn::default()
        };
        let mut mind = self.mind.lock().unwrap();
        let prompt = again(&mind.sessions, turn, &mut fresh);
        mind.turns.insert(turn.into(), fresh);
        drop(mind);
        if let Body::Prompt(mut prompt) = prompt {
            change(&mut prompt);
            self.hub.say(Body::Prompt(prompt));
        }
    }

    /// Somebody says something in a session.
    pub fn prompt(&self, session: &str, turn: &str, text: &str) {
        let mut fresh = Turn {
            session: session.into(),
            text: text.into(),
            ..Turn::default()
        };
        let mut mind = self.mind.lock().unwrap();
        let prompt = again(&mind.sessions, turn, &mut fresh);
        mind.turns.insert(turn.into(), fresh);
        drop(mind);
        self.hub.say(prompt);
    }

    pub fn interrupt(&self, turn: &str) {
        let (attempt, session) = {
            let mind = self.mind.lock().unwrap();
            let turn = &mind.turns[turn];
            (turn.attempt, turn.session.clone())
        };
        let at = TurnRef {
            turn: turn.into(),
            attempt,
        };
        self.hub.say(Body::Interrupt(Interrupt { at, session }));
    }

    pub fn decide(&self, question: &Question, decision: Decision) {
        let question = question.question.clone();
        self.hub.say(Body::Decide(Decide { question, decision }));
    }

    /// Waits until a turn looks like that.
    pub async fn turn(&self, turn: &str, like: impl Fn(&Turn) -> bool) -> Turn {
        let mut changed = self.changed.clone();
        let found = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = self
                    .mind
                    .lock()
                    .unwrap()
                    .turns
                    .get(turn)
                    .filter(|t| like(t))
                {
                    return found.clone();
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(SOON, found).await {
            Ok(found) => found,
            Err(_) => panic!(
                "{turn} did not come so far: {:#?}\nthe runner said:\n{}",
                self.mind.lock().unwrap(),
                self.log()
            ),
        }
    }

    pub async fn ended(&self, turn: &str) -> Turn {
        self.turn(turn, |turn| turn.outcome.is_some()).await
    }

    /// The answer of a turn, which must have been answered.
    pub async fn answer(&self, turn: &str) -> Turn {
        let turn = self.ended(turn).await;
        assert_eq!(
            turn.outcome,
            Some(Outcome::Done),
            "{turn:#?}\n{}",
            self.log()
        );
        turn
    }

    /// Waits until the runner has compared notes so often.
    pub async fn compared(&self, times: usize) {
        let mut changed = self.changed.clone();
        let enough = async {
            while self.mind.lock().unwrap().answers < times {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(SOON, enough)
            .await
            .unwrap_or_else(|_| panic!("{}", self.log()));
    }

    pub fn answers(&self) -> usize {
        self.mind.lock().unwrap().answers
    }

    pub fn unprompted(&self) -> Vec<String> {
        self.mind.lock().unwrap().unprompted.clone()
    }

    /// Waits until the runner's worktrees are like that.
    pub async fn worktrees(&self, like: impl Fn(&[Worktree]) -> bool) -> Vec<Worktree> {
        let mut changed = self.changed.clone();
        let found = async {
            loop {
                changed.borrow_and_update();
                let now = self.mind.lock().unwrap().worktrees.clone();
                if like(&now) {
                    return now;
                }
                changed.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(SOON, found).await {
            Ok(found) => found,
            Err(_) => panic!("{:#?}\n{}", self.mind.lock().unwrap(), self.log()),
        }
    }

    /// The hub lets a session go.
    pub fn close(&self, session: &str) {
        let session = session.to_owned();
        self.hub.say(Body::CloseSession(CloseSession { session }));
    }

    pub fn pid(&self) -> i32 {
        self.runner.id().unwrap().cast_signed()
    }

    /// The agent of a session, and what is around it. Sessions have the same names in each test, so
    /// that only what this runner has started is looked at.
    pub fn agents(&self, session: &str) -> Vec<i32> {
        let all = processes(&agent_session(session).to_string());
        let runner = self.pid();
        all.into_iter()
            .filter(|pid| descends(*pid, runner))
            .collect()
    }

    /// The agent of a session by its number out here; it calls itself `inside`, since its sandbox has
    /// numbers of its own.
    pub fn outside(&self, inside: u32, session: &str) -> i32 {
        named(inside, session, self.agents(session))
    }

    /// Kills the runner, waits for its end and starts the next.
    pub async fn kill_runner(&mut self, generation: u64) {
        kill(self.pid());
        let status = self.runner.wait().await.unwrap();
        assert_eq!(status.signal(), Some(9));
        self.restart(generation);
    }

    pub fn restart(&mut self, generation: u64) {
        self.runner = spawn(self.dir.path(), &self.hub, &self.options, generation);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the runner said:\n{}", self.log());
            return;
        }
        let mind = self.mind.lock().unwrap();
        assert!(mind.complaints.is_empty(), "{:#?}", mind.complaints);
    }
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn spawn(dir: &Path, hub: &FakeHub, options: &Value, generation: u64) -> Child {
    let config = dir.join("config.json");
    let text = hub.config("project", &options.to_string());
    let text = text.replace(
        r#""generation":1"#,
        &format!(r#""generation":{generation}"#),
    );
    std::fs::write(&config, text).unwrap();
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_agent-runner"))
        .args(["project", "--link", &hub.address(), "--config-file"])
        .arg(config)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir.join("home"))
        .env("CANARY", "not for agents")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The mind at work: reads what the runner says and answers as a hub does.
async fn think(hub: Arc<FakeHub>, mind: Arc<Mutex<Mind>>, change: watch::Sender<u64>) {
    let mut next = 0;
    loop {
        for entry in hub.ledger().since(next) {
            next = entry.index + 1;
            let answers = {
                let mut mind = mind.lock().unwrap();
                react(&mut mind, entry.what)
            };
            for answer in answers {
                hub.say(answer);
            }
            change.send_modify(|changes| *changes += 1);
        }
        hub.ledger().wait_past(next, SOON).await;
    }
}

fn react(mind: &mut Mind, seen: Seen) -> Vec<Body> {
    let body = match seen {
        Seen::Hello(_) => {
            let open = mind.turns.iter().filter(|(_, turn)| turn.outcome.is_none());
            let turns = open
                .map(|(id, turn)| TurnRef {
                    turn: id.clone(),
                    attempt: turn.attempt,
                })
                .collect();
            return vec![Body::OpenTurns(OpenTurns { turns })];
        }
        Seen::Got(envelope) => envelope.body,
        Seen::Junk(why) => {
            mind.complaints.push(why);
            return Vec::new();
        }
        Seen::Closed => return Vec::new(),
    };
    match body {
        Body::TurnUpdate(update) => mind.update(update),
        Body::TurnsAnswer(answer) => {
            mind.answers += 1;
            let unknown = answer
                .turns
                .into_iter()
                .filter(|t| t.standing == Standing::Unknown);
            unknown
                .filter_map(|t| {
                    let turn = mind.turns.get_mut(&t.at.turn)?;
                    (turn.attempt == t.at.attempt).then(|| again(&mind.sessions, &t.at.turn, turn))
                })
                .collect()
        }
        Body::Unprompted(said) => {
            mind.unprompted.push(said.text);
            vec![Body::UnpromptedKept(UnpromptedKept { id: said.id })]
        }
        Body::Worktrees(told) => {
            mind.worktrees = told.worktrees;
            Vec::new()
        }
        Body::Nack(nack) => {
            mind.complaints.push(nack.why);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// The fake Claude Code, built now: a test never runs a stale one.
pub fn fake_claude() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("fake-claude"))
}

/// The fake ACP agent, built now.
pub fn fake_acp() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("fake-acp"))
}

fn built(package: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build
        .args(["build", "--package", package, "--bin", package])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let output = build.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find(|path| path.ends_with(package))
        .unwrap()
}

/// SIGKILL.
pub fn kill(pid: i32) {
    use nix::sys::signal::{Signal, kill};
    kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// The process whose command line holds `text` and that calls itself `inside`, by its number here.
pub fn numbered(inside: u32, text: &str) -> i32 {
    named(inside, text, processes(text))
}

fn named(inside: u32, text: &str, among: Vec<i32>) -> i32 {
    let own = inside.to_string();
    let is_it = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        numbers.and_then(|all| all.split_whitespace().last()) == Some(own.as_str())
    };
    let found = among.into_iter().find(is_it);
    found.unwrap_or_else(|| panic!("no process {inside} with {text}"))
}

/// A command that sleeps for hours and is known by its number, to this run of the tests alone.
pub fn nap(n: u32) -> String {
    format!("sleep {n}.{}", std::process::id())
}

/// Whether a process comes from that one.
fn descends(pid: i32, from: i32) -> bool {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(1)?.parse().ok()
    };
    std::iter::successors(Some(pid), |pid| parent(*pid)).any(|pid| pid == from)
}

/// Living processes whose command line holds `text`.
pub fn processes(text: &str) -> Vec<i32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line)
                .replace('\0', " ")
                .contains(text)
        })
        .collect()
}
