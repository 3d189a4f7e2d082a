//! `--doctor`: the working directory, the agent's program and its login, examined for real.
//!
//! The login is tried by a turn of one line, with the program, arguments and environment that every
//! turn has; offline it is not. Of a plain command nothing is run: nobody knows what it would do.
//!
//! Promises: what was started is ended with all that it started, also when this process is killed;
//! the session of that turn is taken away again, where it is known how; no key is in what is said.

mod acp;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipc_schema::Fault;
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;
use worker_kit::{Doctor, Finding};

use crate::beneath::Dir;
use crate::claude::argv::{self, Start};
use crate::claude::fault;
use crate::claude::lines::{self, Line};
use crate::daemon::own;
use crate::home::{self, CONFIG_DIR};
use crate::jail::kernel;
use crate::model::{Limits, ModelProxy, Upstream};
use crate::options::{AgentKind, Login, Options};
use crate::process::cage::{Cage, Served};
use crate::process::pump::{self, Framing, Hold, Order};
use crate::process::scratch;
use crate::process::spawn::{self, Spawn};
use crate::process::sweep::{self, Claim};
use crate::process::tail;
use crate::session::{Event, Exit};
use crate::text;
use crate::workspace::Beside;

/// How long the program may take to say its version.
const VERSION: Duration = Duration::from_secs(20);
/// How long the turn may take.
const TURN: Duration = Duration::from_secs(90);
/// How long the program may take to end once its input is closed.
const FAREWELL: Duration = Duration::from_secs(5);
/// Events that wait; a line may be long.
const EVENTS: usize = 8;
/// The longest version that is shown, in bytes.
const VERSION_BYTES: usize = 80;
/// The name of the session of that turn.
const SESSION: &str = "doctor";
const PROMPT: &str = "This is a test of the connection. Answer with the one word: ok";
/// Parts of the names of variables that hold keys.
const KEYS: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSW", "AUTH", "CREDENTIAL"];

/// Examines, and says what it finds.
pub(crate) async fn examine(options: Options, doctor: &mut Doctor) {
    let keys = options.env.iter().filter(|(name, _)| {
        let name = name.to_ascii_uppercase();
        KEYS.iter().any(|part| name.contains(part))
    });
    keys.for_each(|(_, value)| doctor.hide(value));
    for secret in [&options.api_key, &options.oauth_token, &options.proxy] {
        secret.iter().for_each(|secret| doctor.hide(secret));
    }
    let there = work_dir(&options.work_dir, doctor);
    // Beside a runner that may be running, and nothing is to be left behind.
    let scratches = std::env::temp_dir().join(format!("bulkhead-doctor-{}", Uuid::new_v4()));
    if let Some(cage) = sandbox(&options, &scratches, doctor) {
        let work_dir = match there {
            true => options.work_dir.clone(),
            false => scratches.join("work"),
        };
        if let Err(error) = fs::create_dir_all(&work_dir) {
            tracing::warn!(%error, "{} cannot be made", work_dir.display());
        }
        match Agent::new(options, work_dir, cage).await {
            Ok(agent) => try_out(&agent, there, doctor).await,
            Err(why) => {
                let advice = "mend api_key, base_url, proxy or volume in [projects.agent.options]";
                doctor.find(Finding::fail("login", why, advice));
            }
        }
    }
    if let Err(error) = scratch::remove(&scratches) {
        tracing::warn!(%error, "{} stays", scratches.display());
    }
}

/// The program and its login.
async fn try_out(agent: &Agent, there: bool, doctor: &mut Doctor) {
    let Some(program) = agent.program(doctor) else {
        return;
    };
    doctor.fact("program", &program.display().to_string());
    if agent.options.kind == AgentKind::Acp {
        let offline = !there || doctor.manner().offline;
        return acp::examine(agent, &program, offline, doctor).await;
    }
    if agent.options.kind != AgentKind::ClaudeCode {
        let says = format!("{} is there; it is not run for a test", program.display());
        return doctor.find(Finding::ok("cli", says));
    }
    let Some(version) = agent.version(&program, doctor).await else {
        return;
    };
    doctor.fact("version", &version);
    if there {
        for remark in home::said(&agent.options, SESSION).remarks {
            let advice = "mend the file, or the key in [projects.agent.options]";
            doctor.find(Finding::warn("texts", remark, advice));
        }
    }
    if there && !doctor.manner().offline {
        let found = agent.login().await;
        doctor.find(found);
    }
}

/// Whether the agent can be started there; what it may do there is told.
fn work_dir(dir: &Path, doctor: &mut Doctor) -> bool {
    let shown = dir.display();
    if !dir.is_dir() {
        let says = format!("there is no directory {shown}");
        let advice = format!("create it with  mkdir -p {shown}  or mend `work_dir`");
        doctor.find(Finding::fail("work_dir", says, advice));
        return false;
    }
    let who = user();
    if let Err(error) = fs::read_dir(dir) {
        let says = format!("{who} may not read {shown}: {error}");
        let advice = format!("give {who} the right: chmod u+rx, or chown it to {who}");
        doctor.find(Finding::fail("work_dir", says, advice));
        return false;
    }
    match try_write(dir) {
        Ok(()) => doctor.find(Finding::ok(
            "work_dir",
            format!("{shown}: readable and writable"),
        )),
        Err(error) => {
            let says = format!("{who} may not write in {shown}: {error}");
            let advice = format!(
                "give {who} the right: chmod u+rwx, or chown it to {who}; or mend `work_dir`"
            );
            doctor.find(Finding::fail("work_dir", says, advice));
        }
    }
    true
}

/// How the agent is jailed; nothing = it cannot be, and so is not started.
#[expect(clippy::option_option, reason = "no jail, or no way to have one")]
fn sandbox(options: &Options, scratches: &Path, doctor: &mut Doctor) -> Option<Option<Cage>> {
    match Cage::new(options, scratches) {
        Ok(None) => {
            let says = "it is off: the agent may do everything that its user may";
            let advice = "take  sandbox = \"off\"  out of [projects.agent]";
            doctor.find(Finding::warn("sandbox", says, advice));
            Some(None)
        }
        Ok(Some(cage)) => {
            match cage.no_namespaces() {
                None => doctor.find(Finding::ok("sandbox", cage.describe())),
                Some(why) => {
                    let says = format!("{}: {why}", cage.describe());
                    let advice = kernel::without_namespaces(why);
                    doctor.find(Finding::warn("sandbox", says, advice));
                }
            }
            Some(Some(cage))
        }
        Err(why) => {
            let advice = "see above; docs/sandbox.md tells what each way needs";
            doctor.find(Finding::fail("sandbox", why, advice));
            None
        }
    }
}

/// Makes a file and takes it away again: only that tells of rights, mounts and quotas alike.
fn try_write(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".bulkhead-doctor-{}", Uuid::new_v4()));
    let mut new = fs::OpenOptions::new();
    new.write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(path)
}

fn user() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("user {uid}"),
    }
}

/// The agent, as turns have it.
struct Agent {
    options: Options,
    work_dir: PathBuf,
    start: Start,
    environment: BTreeMap<String, String>,
    claim: Claim,
    model: Option<ModelProxy>,
    cage: Option<Cage>,
}

impl Agent {
    /// `work_dir`: where it is tried out.
    ///
    /// # Errors
    /// In words: the way to its model cannot be opened.
    async fn new(options: Options, work_dir: PathBuf, cage: Option<Cage>) -> Result<Agent, String> {
        let session = Uuid::new_v4().to_string();
        let mark = format!("doctor-{session}");
        let start = Start {
            session,
            resume: false,
            revive: false,
            ..Start::default()
        };
        let claude = options.kind == AgentKind::ClaudeCode;
        let mut environment = match claude {
            true => argv::environment(&options, &start, own),
            false => argv::base_environment(&options, own),
        };
        if options.volume.is_some() {
            home::make(&options, SESSION)?;
            home::furnish(&options, SESSION, &mut environment);
        }
        environment.insert(sweep::MARK.into(), mark.clone());
        if claude && !options.env.contains_key("CLAUDE_CODE_MAX_RETRIES") {
            // A person waits for the answer.
            environment.insert("CLAUDE_CODE_MAX_RETRIES".into(), "1".into());
        }
        let mut model = None;
        if let Some(upstream) = Upstream::new(&options)? {
            let opened = ModelProxy::start(upstream, Limits::default()).await;
            let opened = opened.map_err(|error| error.to_string())?;
            let token = opened.grant(0).map_err(|error| error.to_string())?;
            opened.lead(&token, &mut environment);
            model = Some(opened);
        }
        Ok(Agent {
            options,
            work_dir,
            start,
            environment,
            claim: Claim {
                mark,
                jailed: cage.is_some(),
                ..Claim::default()
            },
            model,
            cage,
        })
    }

    /// Where its program is.
    fn program(&self, doctor: &mut Doctor) -> Option<PathBuf> {
        let path = self.environment.get("PATH").map_or("", String::as_str);
        let found = spawn::find(self.options.program(), path, &self.work_dir);
        found
            .map_err(|why| doctor.find(missing(&self.options, &why)))
            .ok()
    }

    /// What it says of its version.
    async fn version(&self, program: &Path, doctor: &mut Doctor) -> Option<String> {
        let mut arguments = self.options.args.clone();
        arguments.push("--version".into());
        let shown = program.display();
        let said = match self.begin(&arguments, Framing::Bytes) {
            Ok((hold, events)) => said(hold, events).await,
            Err(fault) => Err(words(&fault)),
        };
        match said {
            Ok(version) => {
                doctor.find(Finding::ok("cli", format!("{shown}: version {version}")));
                Some(version)
            }
            Err(why) => {
                let says = format!("{shown} does not say its version: {why}");
                let advice = format!(
                    "type  {shown} --version  to see for yourself; install it anew with  npm install -g \
                     @anthropic-ai/claude-code"
                );
                doctor.find(Finding::fail("cli", says, advice));
                None
            }
        }
    }

    fn begin(
        &self,
        arguments: &[String],
        framing: Framing,
    ) -> Result<(Hold, mpsc::Receiver<(u64, Event)>), Fault> {
        let work_dir = Dir::open(&self.work_dir).map_err(|error| Fault::Agent {
            words: format!("{}: {error}", self.work_dir.display()),
        })?;
        let (child, _) = Spawn {
            beside: Beside::default().and(home::volume(&self.options, SESSION)),
            program: self.options.program(),
            arguments,
            environment: &self.environment,
            work_dir: &work_dir,
            lock: None,
            served: Served {
                model: self.model.as_ref().map(ModelProxy::port),
                tools: None,
            },
            cage: self.cage.as_ref(),
        }
        .start()?;
        let claim = Claim {
            agent: child.id().map(u32::cast_signed),
            ..self.claim.clone()
        };
        let (to, events) = mpsc::channel(EVENTS);
        Ok((pump::follow(child, 0, framing, claim, to), events))
    }

    /// One turn.
    async fn login(&self) -> Finding {
        let arguments = argv::arguments(&self.options, &self.start);
        let ended = match self.begin(&arguments, Framing::Lines) {
            Ok((hold, mut events)) => {
                let message = json!({"role": "user", "content": PROMPT});
                let uuid = Uuid::new_v4().to_string();
                let line = json!({"type": "user", "uuid": uuid, "message": message});
                hold.order(Order::Write(format!("{line}\n").into_bytes()));
                let mut retry = None;
                let turn = tokio::time::timeout(TURN, turn(&mut events, &mut retry)).await;
                leave(hold, events).await;
                turn.unwrap_or_else(|_| Err(late(retry)))
            }
            Err(fault) => Err(fault),
        };
        self.forget();
        match ended {
            Ok(()) => Finding::ok("login", "it answers a turn of one line"),
            Err(fault) => self.judge(&fault),
        }
    }

    /// Takes the session of the test away: nobody will go on with it.
    fn forget(&self) {
        let projects = argv::projects_dir(&self.environment);
        let file = projects.and_then(|dir| tail::find(&dir, &self.start.session));
        // What cannot be taken away is one small file too many.
        let _ = file.map(fs::remove_file);
        home::forget(&self.options, SESSION);
    }

    fn judge(&self, fault: &Fault) -> Finding {
        let program = text::quoted(self.options.program());
        let (who, dir) = (user(), self.work_dir.display());
        // A login is kept where the configuration is, which the agent may write: the program alone
        // would run what it put there.
        let kept = self
            .environment
            .get(CONFIG_DIR)
            .map_or_else(|| "~/.claude".to_owned(), |dir| text::quoted(dir));
        match fault {
            Fault::LoggedOut { words } => match self.options.login() {
                Login::Stored => Finding::fail(
                    "login",
                    format!("it is not logged in: {words}"),
                    format!(
                        "run in a terminal as {who}:  (d=$(mktemp -d) && cd / && {CONFIG_DIR}=$d {program} \
                         --setting-sources \"\" auth login && mkdir -p {kept} && \
                         mv -T $d/.credentials.json {kept}/.credentials.json)  — not {program} alone, which \
                         would run commands that the agent wrote into its settings; or give it a key: \
                         api_key = \"${{ANTHROPIC_API_KEY}}\" in [projects.agent.options]"
                    ),
                ),
                Login::Token => Finding::fail(
                    "login",
                    format!("its token is not valid: {words}"),
                    format!(
                        "run  {CONFIG_DIR}=$(mktemp -d) {program} --setting-sources \"\" setup-token  in a \
                         terminal and put what it prints into oauth_token of [projects.agent.options]"
                    ),
                ),
                Login::Key => Finding::fail(
                    "login",
                    format!("its key is not valid: {words}"),
                    "put a valid key into api_key of [projects.agent.options]",
                ),
            },
            Fault::AgentMissing { why, .. } => missing(&self.options, why),
            other => Finding::fail(
                "login",
                format!("a turn of one line fails: {}", words(other)),
                format!("run  {program}  in {dir} as {who} and say something to it"),
            ),
        }
    }
}

fn missing(options: &Options, why: &str) -> Finding {
    let program = options.program();
    let says = format!("`{program}` is not found: {why}");
    let install = match options.kind {
        AgentKind::ClaudeCode => {
            "install Claude Code with  npm install -g @anthropic-ai/claude-code  or"
        }
        _ => "install it, or",
    };
    let advice = format!("{install} write its whole path into `cmd` in [projects.agent.options]");
    Finding::fail("cli", says, advice)
}

/// What a program prints until it ends well, in one line.
async fn said(hold: Hold, mut events: mpsc::Receiver<(u64, Event)>) -> Result<String, String> {
    hold.order(Order::Close);
    let mut output = Vec::new();
    let end = async {
        while let Some((_, event)) = events.recv().await {
            match event {
                Event::Output(bytes) if output.len() < VERSION_BYTES => output.extend(bytes),
                Event::Exited(exit) => return Some(exit),
                _ => {}
            }
        }
        None
    };
    let exit = tokio::time::timeout(VERSION, end).await;
    leave(hold, events).await;
    let exit = exit.map_err(|_| format!("no answer within {} s", VERSION.as_secs()))?;
    let output = String::from_utf8_lossy(&output);
    let line = output.lines().next().unwrap_or_default().trim();
    match exit {
        Some(Exit { code: Some(0), .. }) if !line.is_empty() => {
            Ok(text::head(line, VERSION_BYTES).to_owned())
        }
        Some(exit) => Err(fault::clip(&exit.describe("it"))),
        None => Err("it cannot be started".into()),
    }
}

/// Waits for the end of the one turn.
async fn turn(
    events: &mut mpsc::Receiver<(u64, Event)>,
    retry: &mut Option<Option<u64>>,
) -> Result<(), Fault> {
    let agent = |words: String| Fault::Agent { words };
    while let Some((_, event)) = events.recv().await {
        match event {
            Event::Line(line) => match lines::read(&line) {
                Ok(Line::Result(ended)) if ended.is_error => return Err(fault::of_result(&ended)),
                Ok(Line::Result(_)) => return Ok(()),
                Ok(Line::ApiRetry(again)) => *retry = Some(again.error_status),
                _ => {}
            },
            Event::Exited(exit) if fault::is_logged_out(&exit.words) => {
                let words = fault::clip(&exit.words);
                return Err(Fault::LoggedOut { words });
            }
            Event::Exited(exit) => return Err(agent(fault::clip(&exit.describe("it")))),
            Event::NotLaunched(fault) => return Err(fault),
            _ => {}
        }
    }
    Err(agent("it is gone".into()))
}

/// Why there was no answer in time. `retry`: the model's API was asked again, after this status.
fn late(retry: Option<Option<u64>>) -> Fault {
    let seconds = TURN.as_secs();
    let words = match retry {
        Some(Some(status)) => {
            format!("no answer within {seconds} s; the model's API answers with HTTP {status}")
        }
        Some(None) => format!("no answer within {seconds} s; the model's API cannot be reached"),
        None => format!("no answer within {seconds} s"),
    };
    Fault::Agent { words }
}

fn words(fault: &Fault) -> String {
    match fault {
        Fault::AgentMissing { why, .. } => why.clone(),
        Fault::LoggedOut { words } | Fault::Agent { words } | Fault::Died { words } => {
            words.clone()
        }
        Fault::Runner { detail, .. } => detail.clone(),
        _ => "it fails".into(),
    }
}

/// Ends it, and everything that it started.
async fn leave(hold: Hold, mut events: mpsc::Receiver<(u64, Event)>) {
    hold.order(Order::Close);
    let over = |event: &Event| matches!(event, Event::Exited(_) | Event::NotLaunched(_));
    let ended = async {
        // `None`: its end was told before.
        while let Some((_, event)) = events.recv().await {
            if over(&event) {
                return;
            }
        }
    };
    if tokio::time::timeout(FAREWELL, ended).await.is_err() {
        hold.order(Order::Kill);
        while let Some((_, event)) = events.recv().await {
            if over(&event) {
                return;
            }
        }
    }
}
