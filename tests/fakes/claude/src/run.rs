//! The agent as a process: stdin, stdout, signals, the session file, tools and the control around the engine.
//!
//! Promises: stdin is read to its end whatever the turn does; what is printed in one go reaches the pipe in order; a reader that left
//! does not stop a turn.
//! Does not: decide.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc as threads;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::engine::{Action, Engine, Facts, Input, Reach};
use crate::file::{LATE, SessionFile, anywhere, session_file};
use crate::history;
use crate::lines::{Stamp, lossy};
use crate::link::{At, CONTROL, Hello, Link, Said, Told};
use crate::options::{Options, Refused, Session, parse};
use crate::tools::{self, Group, TOOL_LOG};
use crate::version::Version;

/// Lines of stdin that may wait for the engine.
const WAITING_LINES: usize = 1024;

/// Plays the agent; gives the exit code.
///
/// # Errors
/// The process cannot be set up: no home, no working directory, no signals.
pub async fn run() -> io::Result<i32> {
    let args: Vec<String> = env::args().skip(1).collect();
    let version = match env::var("FAKE_CLAUDE_AS") {
        Ok(name) => Version::named(&name).map_err(io::Error::other)?,
        Err(_) => Version::default(),
    };
    let begun = parse(&args, version.number()).and_then(|options| Begun::new(options, version));
    match begun {
        Ok(begun) => begun.run(args).await,
        Err(refused) => {
            let mut out = io::stdout();
            for (to, text) in [
                (&mut out as &mut dyn io::Write, &refused.stdout),
                (&mut io::stderr(), &refused.stderr),
            ] {
                if !text.is_empty() {
                    writeln!(to, "{text}")?;
                }
            }
            Ok(refused.code)
        }
    }
}

struct Begun {
    facts: Facts,
    config: PathBuf,
    path: PathBuf,
    resumed: bool,
}

impl Begun {
    fn new(options: Options, version: Version) -> Result<Self, Refused> {
        let set = |name: &str| {
            env::var(name).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
        };
        if options.mode == "bypassPermissions" && is_root() && !set("IS_SANDBOX") {
            return Err(Refused::saying(
                "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            ));
        }
        let cwd = env::current_dir()
            .map_err(|error| Refused::saying(format!("no working directory: {error}")))?;
        let config = env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".claude")));
        let config =
            config.ok_or_else(|| Refused::saying("neither CLAUDE_CONFIG_DIR nor HOME is set"))?;
        let (session, path, resumed) = match &options.session {
            Session::New(id) => {
                let path = session_file(&config, &cwd, id);
                if path.exists() {
                    return Err(Refused::saying(format!(
                        "Error: Session ID {id} is already in use."
                    )));
                }
                (id.clone(), path, false)
            }
            Session::Resume(id) => {
                let here = Some(session_file(&config, &cwd, id)).filter(|path| path.is_file());
                let found =
                    here.or_else(|| anywhere(&config, id).filter(|_| version.resumes_anywhere()));
                (
                    id.clone(),
                    found.ok_or_else(|| missing(id, &cwd, version))?,
                    true,
                )
            }
        };
        let facts = Facts {
            stamp: Stamp {
                session,
                cwd: lossy(&cwd),
                version,
            },
            options,
            tells_state: set("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"),
            eager: set("CLAUDE_CODE_EAGER_FLUSH"),
            resumes_turns: set("CLAUDE_CODE_RESUME_INTERRUPTED_TURN"),
            retries: env::var("CLAUDE_CODE_MAX_RETRIES")
                .ok()
                .and_then(|n| n.parse().ok())
                .unwrap_or(10),
            key: key(&config),
            cwd,
        };
        Ok(Self {
            facts,
            config,
            path,
            resumed,
        })
    }

    async fn run(self, args: Vec<String>) -> io::Result<i32> {
        let link = match env::var(CONTROL) {
            Ok(address) => {
                let mut link = Link::connect(&address).await?;
                let mut names: Vec<_> = env::vars_os()
                    .map(|(name, _)| name.to_string_lossy().into_owned())
                    .collect();
                names.sort();
                let Stamp { session, cwd, .. } = self.facts.stamp.clone();
                let hello = Hello {
                    pid: std::process::id(),
                    session,
                    resumed: self.resumed,
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
            .map_or_else(|| self.facts.cwd.join(TOOL_LOG), PathBuf::from);
        let history = if self.resumed {
            history::read(&fs::read_to_string(&self.path)?)
        } else {
            history::History::default()
        };
        let (to, inputs) = mpsc::unbounded_channel();
        let mut process = Process {
            file: SessionFile::new(self.path, self.facts.eager),
            late: None,
            config: self.config,
            cwd: self.facts.cwd.clone(),
            session: self.facts.stamp.session.clone(),
            log,
            link,
            group: None,
            printer: Printer::start(),
            to,
            inputs,
            engine: Engine::new(self.facts),
        };
        let actions = process.engine.resume(history);
        let code = process.serve(signals, actions).await?;
        Ok(code)
    }
}

fn missing(id: &str, cwd: &Path, version: Version) -> Refused {
    let words = format!("No conversation found with session ID: {id}");
    let stamp = Stamp {
        session: id.to_owned(),
        cwd: lossy(cwd),
        version,
    };
    let result = stamp.result(
        json!({ "subtype": "error_during_execution", "is_error": true, "num_turns": 0,
        "stop_reason": null, "errors": [words] }),
    );
    Refused {
        code: 1,
        stdout: result.to_string(),
        stderr: words,
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where a key is found. With `FAKE_CLAUDE_LOGIN=checked` the fake looks where the real one looks; without, it is logged in.
fn key(config: &Path) -> Option<&'static str> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("ANTHROPIC_API_KEY") {
        return Some("ANTHROPIC_API_KEY");
    }
    let other = [
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    ];
    let stored = config.join(".credentials.json").is_file();
    let checked = env::var("FAKE_CLAUDE_LOGIN").is_ok_and(|login| login == "checked");
    (other.iter().any(|name| set(name)) || stored || !checked).then_some("none")
}

/// Prints in a thread of its own: a reader that is slow holds up nothing else, as with the real one.
struct Printer {
    to: threads::Sender<Vec<u8>>,
    thread: std::thread::JoinHandle<()>,
}

impl Printer {
    fn start() -> Self {
        let (to, texts) = threads::channel::<Vec<u8>>();
        let thread = std::thread::spawn(move || {
            let mut out = io::stdout();
            for text in texts {
                // A reader that left does not stop the turn.
                let _ = out.write_all(&text).and_then(|()| out.flush());
            }
        });
        Self { to, thread }
    }

    fn print(&self, text: Vec<u8>) {
        let _ = self.to.send(text); // the thread lives as long as we do
    }

    fn finish(self) {
        drop(self.to);
        let _ = self.thread.join(); // it does not panic
    }
}

struct Process {
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
    to: mpsc::UnboundedSender<Input>,
    inputs: mpsc::UnboundedReceiver<Input>,
}

impl Process {
    async fn serve(
        mut self,
        (mut term, mut int): (Signal, Signal),
        actions: Vec<Action>,
    ) -> io::Result<i32> {
        let mut stdin = read_stdin();
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
        let mut text = Vec::new();
        let mut ended = None;
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Print(line) => {
                    text.extend_from_slice(line.to_string().as_bytes());
                    text.push(b'\n');
                }
                Action::Junk(line) => text.extend_from_slice(format!("{line}\n").as_bytes()),
                Action::Flood(bytes) => {
                    text.resize(text.len() + bytes, b'x');
                    text.push(b'\n');
                }
                Action::Row { row, now } => {
                    self.file.add(&row, now)?;
                    if self.file.has_gathered() && self.late.is_none() {
                        self.late = Some(Instant::now() + LATE);
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

    fn flush(&self, text: &mut Vec<u8>) {
        if !text.is_empty() {
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
fn read_stdin() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(WAITING_LINES);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { return };
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
