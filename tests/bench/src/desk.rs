//! A runner alone, between a fake hub and its agents.
//!
//! What a hub keeps of turns is kept here: one is open at a time, its updates are acknowledged as they come, and a runner that does not
//! know it any more is handed it again as the next attempt.
//!
//! Promises: updates come without gaps and in order, or it is an error.
//! Does not: commit anything, so that the runner's time is its own; keep anything of a turn that is over.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use fake_hub::{FakeHub, Seen};
use harness::{DEADLINE, descendants, program};
use ipc_schema::{
    Body, Interrupt, OpenTurns, Outcome, Prompt, Standing, TurnEvent, TurnRef, TurnUpdate,
    TurnsAnswer, UpdatesKept,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What the kernel calls the runner's own processes around an agent, which it starts as `/proc/self/exe`.
const AROUND: &str = "exe";

/// The runner and what is around it.
pub(crate) struct Desk {
    directory: TempDir,
    hub: FakeHub,
    runner: Child,
    /// How often one was started.
    generation: u64,
    options: Value,
    /// How many turns there were.
    turns: usize,
    open: Option<Open>,
    /// The first entry of the hub's ledger that was not looked at.
    next: u64,
}

/// The turn that is not over.
struct Open {
    session: usize,
    at: TurnRef,
    text: String,
    /// The number of this attempt's last update.
    updates: u64,
    /// The answer so far.
    answer: String,
}

impl Open {
    fn prompt(&self) -> Prompt {
        Prompt {
            at: self.at.clone(),
            session: format!("s{}", self.session),
            agent_session: uuid(1, self.session),
            prompt_id: self.at.turn.clone(),
            resend: self.at.attempt > 1,
            text: self.text.clone(),
            ..Prompt::default()
        }
    }
}

/// The `n`-th id of a kind.
fn uuid(kind: usize, n: usize) -> String {
    format!("{kind:08}-0000-4000-8000-{n:012}")
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) answer: String,
}

impl End {
    /// The agent said this, once, and all is well.
    pub(crate) fn is_answer(&self, text: &str) -> bool {
        self.outcome == Outcome::Done && self.answer == text
    }
}

impl Desk {
    /// Starts a runner with the fake Claude Code, whose tools need no question, and waits for its link.
    pub(crate) async fn start(env: &[(&str, &str)]) -> Result<Desk> {
        let cmd = program("fake-claude");
        Desk::with(json!({ "cmd": cmd, "allowed_tools": ["Bash"] }), env).await
    }

    /// The same with options of one's own.
    pub(crate) async fn with(mut options: Value, env: &[(&str, &str)]) -> Result<Desk> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        for name in ["home", "work"] {
            std::fs::create_dir(path(name))?;
        }
        options["work_dir"] = json!(path("work"));
        options["state_dir"] = json!(path("state"));
        options["env"] = json!({ "HOME": path("home") });
        for (name, value) in env {
            options["env"][*name] = json!(value);
        }
        // Many agents at once are what is measured.
        options["reserve_memory_mb"] = json!(0);
        let hub = FakeHub::start().context("no fake hub")?;
        let runner = spawn(directory.path(), &hub, &options, 1)?;
        let mut desk = Desk {
            directory,
            hub,
            runner,
            generation: 1,
            options,
            turns: 0,
            open: None,
            next: 0,
        };
        while !matches!(desk.hear().await?, Seen::Hello(_)) {}
        Ok(desk)
    }

    /// A path in the work directory, where agents may write.
    pub(crate) fn work(&self, name: &str) -> PathBuf {
        self.directory.path().join("work").join(name)
    }

    pub(crate) fn pid(&self) -> Result<i32> {
        let id = self.runner.id().context("the runner has ended")?;
        Ok(i32::try_from(id)?)
    }

    /// What lives below the runner: its own processes around the agents, and the agents.
    pub(crate) fn below(&self) -> Result<(Vec<i32>, Vec<i32>)> {
        let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
        let is_around = |pid: &i32| name(*pid).is_ok_and(|name| name.trim_end() == AROUND);
        Ok(descendants(self.pid()?).into_iter().partition(is_around))
    }

    /// Somebody says something in a session.
    pub(crate) fn say(&mut self, session: usize, text: &str) {
        self.turns += 1;
        let at = TurnRef {
            turn: uuid(2, self.turns),
            attempt: 1,
        };
        let open = Open {
            session,
            at,
            text: text.to_owned(),
            updates: 0,
            answer: String::new(),
        };
        self.hub.say(Body::Prompt(open.prompt()));
        self.open = Some(open);
    }

    /// Somebody wants the open turn to stop.
    pub(crate) fn stop(&self) {
        if let Some(open) = &self.open {
            self.hub.say(Body::Interrupt(Interrupt {
                at: open.at.clone(),
                session: open.prompt().session,
            }));
        }
    }

    /// Waits until the open turn is told of something that `pick` wants.
    pub(crate) async fn until<R>(&mut self, pick: impl Fn(&TurnEvent) -> Option<R>) -> Result<R> {
        loop {
            let Seen::Got(envelope) = self.hear().await? else {
                continue;
            };
            match envelope.body {
                Body::TurnUpdate(update) => {
                    if let Some(found) = self.update(update)?.as_ref().and_then(&pick) {
                        return Ok(found);
                    }
                }
                Body::TurnsAnswer(answer) => self.compare(&answer),
                _ => {}
            }
        }
    }

    /// Waits for the end of the open turn.
    pub(crate) async fn end(&mut self) -> Result<End> {
        let outcome = |event: &TurnEvent| match event {
            TurnEvent::Ended { outcome } => Some(outcome.clone()),
            _ => None,
        };
        let outcome = self.until(outcome).await?;
        let open = self.open.take().context("no turn is open")?;
        let answer = open.answer;
        Ok(End { outcome, answer })
    }

    /// Kills the runner and starts the next, as a monitor without any patience would.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.runner.kill().await?;
        self.generation += 1;
        let directory = self.directory.path();
        self.runner = spawn(directory, &self.hub, &self.options, self.generation)?;
        Ok(())
    }

    /// The next thing that the runner does. One that links is asked for the turn that is open.
    async fn hear(&mut self) -> Result<Seen> {
        let ledger = self.hub.ledger();
        let heard = ledger.wait_for_since(self.next, |_| true, DEADLINE).await;
        let heard = heard.with_context(|| self.log())?;
        self.next = heard.index + 1;
        ledger.forget_before(self.next);
        if let Seen::Hello(_) = heard.what {
            let turns = self.open.iter().map(|open| open.at.clone()).collect();
            self.hub.say(Body::OpenTurns(OpenTurns { turns }));
        }
        Ok(heard.what)
    }

    /// Takes an update in as a hub does; what happened, if that is news of the open turn.
    fn update(&mut self, update: TurnUpdate) -> Result<Option<TurnEvent>> {
        let TurnUpdate { at, n, event } = update;
        let mut news = false;
        if let Some(open) = self.open.as_mut().filter(|open| open.at == at) {
            news = n == 0 || n > open.updates;
            if n > open.updates {
                ensure!(n == open.updates + 1, "{n} came after {}", open.updates);
                open.updates = n;
                if let TurnEvent::Text { text, .. } = &event {
                    open.answer.push_str(text);
                }
            }
        }
        if n > 0 {
            self.hub.say(Body::UpdatesKept(UpdatesKept { at, n }));
        }
        Ok(news.then_some(event))
    }

    /// What a runner does not know of is asked for again.
    fn compare(&mut self, answer: &TurnsAnswer) {
        let unknown = |at: &TurnRef| {
            let mut turns = answer.turns.iter();
            turns.any(|it| it.at == *at && it.standing == Standing::Unknown)
        };
        if let Some(open) = self.open.as_mut().filter(|open| unknown(&open.at)) {
            open.at.attempt += 1;
            open.updates = 0;
            open.answer.clear();
            self.hub.say(Body::Prompt(open.prompt()));
        }
    }

    /// What the runners said, for an error's words.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        format!("the runner said:\n{log}")
    }
}

fn spawn(directory: &Path, hub: &FakeHub, options: &Value, generation: u64) -> Result<Child> {
    // The tests' hub asks for a talkative log, which is not what runs in the world.
    let text = hub
        .config("bench", &options.to_string())
        .replace("\"debug\"", "\"info\"")
        .replace("\"generation\":1", &format!("\"generation\":{generation}"));
    let config = directory.join("config.json");
    std::fs::write(&config, text)?;
    let mut log = std::fs::OpenOptions::new();
    let log = log.create(true).append(true).open(directory.join("log"))?;
    Command::new(program("agent-runner"))
        .args(["bench", "--link", &hub.address(), "--config-file"])
        .arg(config)
        .stdin(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("agent-runner does not start")
}
