//! The life of one agent process as the shell sees it: what it prints is always read, what is to be
//! written is written, and when it is gone everything it started goes too.

use std::time::Duration;

use ipc_schema::{Fault, Trouble};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::launch;
use super::reader::{self, Lines, Read};
use super::sweep::Claim;
use crate::session::{Event, Exit};

/// Lines that wait to be written; the protocol has a handful under way at most.
const ORDERS: usize = 64;
/// How long output may come after the end: a process that nobody could kill may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the end of a process that was killed is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a process is told.
#[derive(Debug)]
pub enum Order {
    /// Write this.
    Write(Vec<u8>),
    /// Close its stdin.
    Close,
    /// Kill it and everything that it started.
    Kill,
}

/// How a process's stdout is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Into lines.
    Lines,
    /// As it comes.
    Bytes,
}

/// The shell's hold on a process.
#[derive(Debug)]
pub struct Hold {
    orders: mpsc::Sender<Order>,
    /// The process.
    pub pid: i32,
    claim: Claim,
}

impl Hold {
    /// Tells it something. A process that reads nothing for so long is killed.
    pub fn order(&self, order: Order) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::warn!(
                pid = self.pid,
                "the agent does not read its input; it is killed"
            );
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    /// Sends it SIGINT.
    pub fn nudge(&self) {
        // Gone meanwhile: its end is told anyway.
        let pid = self.claim.listener().unwrap_or(self.pid);
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
    }
}

/// Follows a process from [`Event::Launched`] to its end, telling `events` with `launch`.
pub fn follow(
    child: Child,
    launch: u64,
    framing: Framing,
    claim: Claim,
    events: mpsc::Sender<(u64, Event)>,
) -> Hold {
    let (orders, inbox) = mpsc::channel(ORDERS);
    let pid = child.id().map_or(0, u32::cast_signed);
    tokio::spawn(run(child, launch, framing, claim.clone(), inbox, events));
    Hold { orders, pid, claim }
}

async fn run(
    mut child: Child,
    launch: u64,
    framing: Framing,
    claim: Claim,
    mut orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<(u64, Event)>,
) {
    // First of all, so that nothing it prints comes before it.
    let _ = events.send((launch, Event::Launched)).await;
    let (writer, lines) = mpsc::channel(ORDERS);
    let writing = tokio::spawn(write(child.stdin.take(), lines));
    let mut writer = Some(writer);
    let stdout = child.stdout.take();
    let listening = tokio::spawn(listen(stdout, framing, launch, events.clone()));
    let stderr = child.stderr.take();
    let (last, last_words) = tokio::sync::watch::channel(Vec::new());
    let hearing = tokio::spawn(async move {
        if let Some(stderr) = stderr {
            hear(stderr, &last).await;
        }
    });

    let mut give_up: Option<Instant> = None;
    let status = loop {
        let too_late = async {
            match give_up {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => break status.ok(),
            () = too_late => {
                tracing::error!(pid = claim.agent, "the agent does not die; it is given up");
                break None;
            }
            order = orders.recv() => match order {
                Some(Order::Write(bytes)) => {
                    if writer.as_ref().is_some_and(|writer| writer.try_send(bytes).is_err()) {
                        tracing::warn!(pid = claim.agent, "the agent does not read its input");
                        let _ = child.start_kill();
                    }
                }
                Some(Order::Close) => writer = None,
                // Without a hold on it nobody is interested any more.
                Some(Order::Kill) | None => {
                    if give_up.is_none() {
                        give_up = Some(Instant::now() + PATIENCE);
                        // Children first: afterwards they are harder to tell.
                        let claim = claim.clone();
                        tokio::task::spawn_blocking(move || claim.end(false, PATIENCE));
                    }
                    if orders.is_closed() {
                        let _ = timeout(PATIENCE, child.wait()).await;
                        break None;
                    }
                }
            },
        }
    };
    drop(writer);
    let left = tokio::task::spawn_blocking(move || claim.end(false, PATIENCE)).await;
    if let Ok(left) = left
        && !left.is_empty()
    {
        tracing::warn!(?left, "processes that the agent started do not end");
    }
    let mut listening = listening;
    if timeout(LAST_WORDS, &mut listening).await.is_err() {
        listening.abort();
    }
    let mut hearing = hearing;
    if timeout(LAST_WORDS, &mut hearing).await.is_err() {
        hearing.abort();
    }
    writing.abort();
    let words = String::from_utf8_lossy(&last_words.borrow())
        .trim()
        .to_owned();
    let event = match status.and_then(|status| status.code()) {
        Some(code) if code == i32::from(launch::FAILURE) && words.starts_with(launch::FAILED) => {
            let why = words[launch::FAILED.len()..].to_owned();
            Event::NotLaunched(Fault::AgentMissing {
                cmd: String::new(),
                why,
            })
        }
        Some(code) if code == i32::from(launch::FAILURE) && words.starts_with(launch::UNJAILED) => {
            let why = &words[launch::UNJAILED.len()..];
            tracing::error!(
                why,
                "the agent's sandbox cannot be closed, so it is not started"
            );
            Event::NotLaunched(Fault::Runner {
                at: Trouble::Sandbox,
                detail: why.to_owned(),
            })
        }
        code => Event::Exited(Exit {
            code,
            signal: status
                .and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status)),
            words,
        }),
    };
    // Nobody is interested: the runner ends.
    let _ = events.send((launch, event)).await;
}

async fn write(stdin: Option<ChildStdin>, mut lines: mpsc::Receiver<Vec<u8>>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(line) = lines.recv().await {
        // It has closed its stdin, or is gone: its end tells.
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
    }
}

async fn listen(
    stdout: Option<ChildStdout>,
    framing: Framing,
    launch: u64,
    events: mpsc::Sender<(u64, Event)>,
) {
    let Some(mut stdout) = stdout else { return };
    match framing {
        Framing::Lines => {
            let mut lines = Lines::new(stdout);
            while let Ok(Some(read)) = lines.next().await {
                let event = match read {
                    Read::Line(line) => Event::Line(line),
                    Read::Overlong => Event::Overlong,
                };
                if events.send((launch, event)).await.is_err() {
                    return;
                }
            }
        }
        Framing::Bytes => {
            let mut chunk = vec![0; 64 << 10];
            while let Ok(n) = stdout.read(&mut chunk).await
                && n > 0
            {
                let bytes = chunk.get(..n).unwrap_or_default().to_vec();
                if events.send((launch, Event::Output(bytes))).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn hear(stderr: impl AsyncRead + Unpin, last: &tokio::sync::watch::Sender<Vec<u8>>) {
    let mut stderr = stderr;
    let mut chunk = [0; 4096];
    while let Ok(n) = stderr.read(&mut chunk).await
        && n > 0
    {
        last.send_modify(|tail| reader::keep_tail(tail, chunk.get(..n).unwrap_or_default()));
    }
}
