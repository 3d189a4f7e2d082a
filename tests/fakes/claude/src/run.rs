//! The agent as a process: stdin, stdout, signals, the session file, tools and the control around the engine.
//!
//! Promises: stdin is read to its end whatever the turn does; what is printed in one go reaches the pipe in order; a reader that left
//! does not stop a turn.
//! Does not: decide.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::sync::mpsc as threads;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::begin::Begun;
use crate::engine::{Action, Engine, Input, Reach};
use crate::file::{SessionFile, session_file};
use crate::history;
use crate::lines::Stamp;
use crate::link::{At, CONTROL, Hello, Link, Said, Told};
use crate::times::Times;
use crate::tools::{self, Group, TOOL_LOG};

/// Lines of stdin that may wait for the engine.
const WAITING_LINES: usize = 1024;

/// What is printed in one go.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    /// A result is in it.
    answers: bool,
}

/// Prints in a thread of its own: a reader that is slow holds up nothing else, as with the real one.
struct Printer {
    to: threads::Sender<Text>,
    thread: std::thread::JoinHandle<()>,
}

impl Printer {
    fn start(times: Times) -> Self {
        let (to, texts) = threads::channel::<Text>();
        let thread = std::thread::spawn(move || {
            let mut out = io::stdout();
            for text in texts {
                let mut print = || out.write_all(&text.bytes).and_then(|()| out.flush());
                // A reader that left does not stop the turn.
                let _ = match text.answers {
                    true => times.answer(print),
                    false => print(),
                };
            }
        });
        Self { to, thread }
    }

    fn print(&self, text: Text) {
        let _ = self.to.send(text); // the thread lives as long as we do
    }

    fn finish(self) {
        drop(self.to);
        let _ = self.thread.join(); // it does not panic
    }
}

pub(crate) struct Process {
    engine: Engine,
    file: SessionFile,
    /// When what has gathered for the file is written.
    late: Option<Instant>,
    config: PathBuf,
    cwd: PathBuf,
    session: String,
    log: PathBuf,
    link: Option<Link>,
    group: Option<Group>,
    printer: Printer,
    times: Times,
    to: mpsc::UnboundedSender<Input>,
    inputs: mpsc::UnboundedReceiver<Input>,
}

impl Process {
    /// Serves until the agent's end; gives the exit code.
    pub(crate) async fn run(begun: Begun, args: Vec<String>) -> io::Result<i32> {
        let Begun {
            facts,
            config,
            path,
            resumed,
        } = begun;
        let link = match env::var(CONTROL) {
            Ok(address) => {
                let mut link = Link::connect(&address).await?;
                let mut names: Vec<_> = env::vars_os()
                    .map(|(name, _)| name.to_string_lossy().into_owned())
                    .collect();
                names.sort();
                let Stamp { session, cwd, .. } = facts.stamp.clone();
                let hello = Hello {
                    pid: std::process::id(),
                    session,
                    resumed,
                    args,
                    cwd,
                    env: names,
                };
                link.say(&Said::Hello(hello)).await?;
                Some(link)
            }
            Err(_) => None,
        };
        let signals = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let log = env::var_os("FAKE_CLAUDE_TOOL_LOG")
            .map_or_else(|| facts.cwd.join(TOOL_LOG), PathBuf::from);
        let history = if resumed {
            history::read(&fs::read_to_string(&path)?)
        } else {
            history::History::default()
        };
        let times = Times::from_environment()?;
        let (to, inputs) = mpsc::unbounded_channel();
        let mut process = Process {
            file: SessionFile::new(path, facts.eager),
            late: None,
            config,
            cwd: facts.cwd.clone(),
            session: facts.stamp.session.clone(),
            log,
            link,
            group: None,
            printer: Printer::start(times.clone()),
            times,
            to,
            inputs,
            engine: Engine::new(facts),
        };
        let actions = process.engine.resume(history);
        let code = process.serve(signals, actions).await?;
        Ok(code)
    }

    async fn serve(
        mut self,
        (mut term, mut int): (Signal, Signal),
        actions: Vec<Action>,
    ) -> io::Result<i32> {
        let mut stdin = read_stdin(self.times.clone());
        let mut stdin_open = true;
        let mut ended = self.act(actions).await?;
        while ended.is_none() {
            let late = self.late;
            let input = tokio::select! {
                biased;
                _ = term.recv() => Input::Sigterm,
                _ = int.recv() => Input::Sigint,
                Some(input) = self.inputs.recv() => input,
                told = hear(&mut self.link) => match told {
                    Some(Told::Go { n }) => Input::Passed(n),
                    None => {
                        // Without a control nothing is held.
                        self.link = None;
                        let Some(n) = self.engine.standing() else { continue };
                        Input::Passed(n)
                    }
                },
                line = stdin.recv(), if stdin_open => match line {
                    Some(line) => Input::Line(line),
                    None => {
                        stdin_open = false;
                        Input::Closed
                    }
                },
                () = sleep_until(late) => {
                    self.late = None;
                    self.file.save()?;
                    continue;
                }
            };
            let quits = matches!(input, Input::Sigterm);
            let actions = self.engine.hear(input);
            ended = self.act(actions).await?;
            if quits && let Some(code) = ended {
                return Ok(code); // at once: nobody may be reading
            }
        }
        self.printer.finish();
        Ok(ended.unwrap_or_default())
    }

    /// Does what the engine wants; gives the exit code if that is an end.
    async fn act(&mut self, actions: Vec<Action>) -> io::Result<Option<i32>> {
        let mut actions = VecDeque::from(actions);
        let mut text = Text::default();
        let mut ended = None;
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Print(line) => {
                    text.answers |= line["type"] == "result";
                    text.bytes.extend_from_slice(line.to_string().as_bytes());
                    text.bytes.push(b'\n');
                }
                Action::Junk(line) => text.bytes.extend_from_slice(format!("{line}\n").as_bytes()),
                Action::Flood(bytes) => {
                    text.bytes.resize(text.bytes.len() + bytes, b'x');
                    text.bytes.push(b'\n');
                }
                Action::Row { row, now } => {
                    self.file.add(&row, now)?;
                    if let (Some(due), None) = (self.file.due(), self.late) {
                        self.late = Some(Instant::now() + due);
                    }
                }
                Action::Save => self.file.save()?,
                Action::Rename(id) => {
                    let path = session_file(&self.config, &self.cwd, &id);
                    self.file.turn_to(path)?;
                    self.session = id;
                }
                Action::Reach(reach) => {
                    self.flush(&mut text);
                    if let Some(n) = self.reach(reach).await {
                        actions.extend(self.engine.hear(Input::Passed(n)));
                    }
                }
                Action::Leave(n) => {
                    self.say(Said::Left { n }).await;
                }
                Action::Pause(n, time) => {
                    self.flush(&mut text);
                    let to = self.to.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(time).await;
                        let _ = to.send(Input::Passed(n)); // or the process is ending
                    });
                }
                Action::Run { n, uuid, call } => {
                    let (running, group) = tools::start(&call, &uuid, &self.cwd, &self.log);
                    self.group = group;
                    self.say(Said::Tool {
                        uuid,
                        name: call.name,
                        input: call.input,
                    })
                    .await;
                    let to = self.to.clone();
                    tokio::spawn(async move {
                        let _ = to.send(Input::ToolDone(n, running.finish().await)); // or the process is ending
                    });
                }
                Action::StopTool => {
                    if let Some(group) = self.group.take() {
                        group.kill();
                    }
                }
                Action::Grant(rules) => self.grant(&rules)?,
                Action::Stderr(words) => writeln!(io::stderr(), "{words}")?,
                Action::Exit(code) => ended = Some(code),
            }
        }
        self.flush(&mut text);
        if ended.is_some() {
            // Even the late lines are written by a process that ends by itself, but not by one that dies (`#exit`).
            self.late = None;
        }
        Ok(ended)
    }

    fn flush(&self, text: &mut Text) {
        if !text.bytes.is_empty() {
            self.printer.print(std::mem::take(text));
        }
    }

    async fn say(&mut self, said: Said) {
        if let Some(link) = &mut self.link
            && link.say(&said).await.is_err()
        {
            self.link = None;
        }
    }

    /// The control decides; without one the script does, and then there is nobody to release the turn.
    async fn reach(&mut self, reach: Reach) -> Option<u64> {
        let Reach {
            n,
            uuid,
            prompt,
            point,
            wanted,
            continued,
        } = reach;
        let session = self.session.clone();
        self.say(Said::At(At {
            n,
            session,
            uuid,
            prompt,
            point,
            wanted,
            continued,
        }))
        .await;
        let held = self.link.is_some() || (wanted && !continued);
        (!held).then_some(n)
    }

    /// Always allowed: the rule goes where the real one puts it.
    fn grant(&self, rules: &[String]) -> io::Result<()> {
        let path = self.cwd.join(".claude/settings.local.json");
        let old = fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let mut settings = old.unwrap_or_else(|| json!({}));
        let mut allow = settings["permissions"]["allow"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        allow.extend(rules.iter().map(|rule| json!(rule)));
        settings["permissions"]["allow"] = json!(allow);
        fs::create_dir_all(self.cwd.join(".claude"))?;
        fs::write(path, settings.to_string())
    }
}

async fn hear(link: &mut Option<Link>) -> Option<Told> {
    match link {
        Some(link) => link.hear().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The lines of stdin. A thread reads them: a blocking read cannot be given up.
fn read_stdin(times: Times) -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(WAITING_LINES);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { return };
            let _ = times.read(&line); // whoever measures finds that a moment is missing
            if to
                .blocking_send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    lines
}
