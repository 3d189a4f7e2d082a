//! The loop around the table: it feeds every life with what happened and does what it decides.
//!
//! One thread, one loop, no locks. Each turn does the same things in the same order, whatever woke
//! it: hear, bury, look at the clock, start and stop in order, sweep. So a signal that came twice,
//! early or not at all changes nothing but the moment.

mod orders;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::poll_fn;
use std::path::PathBuf;
use std::task::Poll;
use std::time::Duration;

use nix::unistd::{Pid, geteuid};
use tokio::time::{Instant, sleep_until};

use crate::births;
use crate::claim::Claim;
use crate::control::{Control, Question};
use crate::deaths;
use crate::error::MonitorError;
use crate::notify::{Note, NotifySocket};
use crate::order;
use crate::process::{Born, Process};
use crate::signals::{Asked, Signals};
use crate::spec::{self, Reload, Role, Timing, TreeSpec};
use crate::strays::Sweeper;
use crate::table::{Action, Event, Now, State};

/// From SIGTERM to SIGKILL for strays when everything is to end at once.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How a monitor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// In order: everybody was given time to drain.
    Drained,
    /// At once, because it was asked twice.
    Forced,
}

/// Runs the tree until it is told to stop. Needs a current-thread tokio runtime with I/O and time,
/// on the process' first thread: PDEATHSIG belongs to the thread that spawns.
///
/// # Errors
/// Only before the first birth; see [`MonitorError`].
pub async fn run(spec: TreeSpec) -> Result<Exit, MonitorError> {
    let (mut child, mut signals) =
        Signals::catch().map_err(MonitorError::system("catch signals"))?;
    let mut control = Control::open(&Claim::control_socket(spec.claim.runtime_dir()))?;
    let mut tree = Tree::plant(spec)?;

    let mut turned = tree.now();
    tree.turn(turned);
    loop {
        if let Some(exit) = tree.finished() {
            return Ok(exit);
        }
        let fell_asleep = tree.now();
        let wake_at = tree.next_wake(fell_asleep);
        let mut asked = None;
        let mut question = None;
        tokio::select! {
            _ = child.recv() => {}
            by = signals.next() => asked = Some(by),
            next = control.next() => question = Some(next),
            () = tree.heard() => {}
            () = sleep_until(tree.origin + wake_at) => {}
        }
        let now = tree.now();
        // Both the last turn and this sleep may have taken longer than they should.
        let lost = fell_asleep
            .saturating_sub(turned)
            .max(now.saturating_sub(wake_at));
        tree.mind_the_gap(lost, now);
        match asked {
            Some(Asked::Stop) => tree.stop(now),
            Some(Asked::Reload) => drop(tree.reload(now)),
            None => {}
        }
        if let Some(Question { request, answer }) = question {
            // Who asks wants to know how things are, not how they were before the last sleep.
            tree.turn(now);
            // A client that has left needs no answer.
            let _ = answer.send(tree.answer(request, now));
        }
        tree.turn(now);
        turned = now;
    }
}

struct Tree {
    claim: Claim,
    launcher: (PathBuf, Vec<OsString>),
    timing: Timing,
    projects: usize,
    reload: Reload,
    origin: Instant,
    processes: Vec<Process>,
    /// Numbers the notify sockets; names of processes are not made for paths.
    serial: u64,
    sweeper: Sweeper,
    sweep_at: Now,
    strays: usize,
    notes: Vec<String>,
    announced: bool,
    stopping: Option<Stopping>,
}

struct Stopping {
    at_once: bool,
    /// When the last process had ended; from then on only strays are waited for.
    ended: Option<Now>,
}

impl Tree {
    fn plant(spec: TreeSpec) -> Result<Self, MonitorError> {
        spec::check(&spec.wanted.processes).map_err(MonitorError::Spec)?;
        let mut notes = Vec::new();
        if let Err(errno) = nix::sys::prctl::set_child_subreaper(true) {
            notes.push(format!(
                "this system has no subreaper ({}): what an agent leaves behind when its runner \
                 dies may live on",
                errno.desc()
            ));
        }
        notes.push(match geteuid().as_raw() {
            0 => "every process runs as root: they are apart, but not protected from each other"
                .to_owned(),
            uid => format!(
                "every process runs as uid {uid}: they are apart, but not protected from each other"
            ),
        });
        let mut tree = Self {
            claim: spec.claim,
            launcher: spec.launcher,
            timing: spec.wanted.timing,
            projects: spec.projects,
            reload: spec.reload,
            origin: Instant::now(),
            processes: Vec::new(),
            serial: 0,
            sweeper: Sweeper::default(),
            sweep_at: Duration::ZERO,
            strays: 0,
            notes,
            announced: false,
            stopping: None,
        };
        for process in spec.wanted.processes {
            let notify = tree.notify_socket()?;
            tree.processes
                .push(Process::new(process, notify, &tree.timing));
        }
        tree.processes.sort_by_key(|process| process.spec.role);
        Ok(tree)
    }

    fn notify_socket(&mut self) -> Result<NotifySocket, MonitorError> {
        self.serial += 1;
        NotifySocket::bind(self.claim.notify_socket(self.serial))
    }

    fn now(&self) -> Now {
        self.origin.elapsed()
    }

    /// Everything that a wake-up may be about.
    fn turn(&mut self, now: Now) {
        for index in 0..self.processes.len() {
            self.hear(index, now);
        }
        self.bury(now);
        for index in 0..self.processes.len() {
            self.apply(index, Event::Tick, now);
            self.processes[index].watch_health(now);
        }
        self.start_and_stop(now);
        self.sweep(now);
        self.announce();
    }

    /// One event through the table, and what comes of it.
    fn apply(&mut self, index: usize, event: Event, now: Now) {
        let process = &mut self.processes[index];
        let before = process.life.state;
        let jitter = fastrand::u32(..);
        let (life, action) = process
            .life
            .clone()
            .step(event, now, &process.limits, jitter);
        process.life = life;
        process.follow(before, event, action, now);
        match action {
            None => {}
            Some(Action::Birth(generation)) => {
                let notify = process.notify.path();
                match births::spawn(&self.launcher, &process.spec, generation, notify) {
                    Ok(birth) => process.came_to_life(Born {
                        pid: birth.pid,
                        at: now,
                        _alive: birth.alive,
                    }),
                    Err(error) => {
                        process.was_not_born(&error);
                        self.apply(index, Event::Unborn, now);
                    }
                }
            }
            Some(signal) => process.signal(signal),
        }
    }

    /// Reads a process' notifications dry, so that no deadline is judged over an unread message.
    fn hear(&mut self, index: usize, now: Now) {
        let process = &mut self.processes[index];
        let from = process.pid();
        for note in process.notify.read(from, now) {
            let event = match note {
                Note::Ready => Event::Ready,
                Note::Beat => Event::Beat,
                Note::Stopping => Event::Stopping,
                Note::Status(text) => {
                    self.processes[index].says(text);
                    continue;
                }
            };
            self.apply(index, event, now);
        }
    }

    fn bury(&mut self, now: Now) {
        let mut any = false;
        for index in 0..self.processes.len() {
            let Some(pid) = self.processes[index].pid() else {
                continue;
            };
            let Some(death) = deaths::look(pid) else {
                continue;
            };
            // Its last words, while the pid still is its own.
            self.hear(index, now);
            deaths::bury(pid);
            self.apply(index, Event::Died(death), now);
            any = true;
        }
        let table: Vec<Pid> = self.processes.iter().filter_map(Process::pid).collect();
        if deaths::reap_strangers(&table) || any {
            self.sweep_at = now;
        }
    }

    fn start_and_stop(&mut self, now: Now) {
        let (stopping, at_once) = match &self.stopping {
            Some(stopping) => (true, stopping.at_once),
            None => (false, false),
        };
        // Starting or ending one may allow the next role in the same turn, so in role order.
        let mut roles = [Role::Hub, Role::Runner, Role::Worker];
        if stopping {
            roles.reverse();
        }
        for role in roles {
            let staying = self
                .processes
                .iter()
                .filter(|process| stopping || !process.leaving);
            let states = staying.map(|process| (process.spec.role, &process.life.state));
            let may = match stopping {
                true => at_once || order::may_stop(role, states),
                false => order::may_start(role, states),
            };
            for index in 0..self.processes.len() {
                let process = &self.processes[index];
                if !may || process.spec.role != role {
                    continue;
                }
                let event = match (stopping, process.leaving) {
                    (true, _) => Event::Stop,
                    (false, true) => continue,
                    (false, false) => Event::Start,
                };
                if stopping || process.life.state == State::Stopped {
                    self.apply(index, event, now);
                }
            }
        }
        self.processes
            .retain(|process| !process.leaving || !order::has_ended(&process.life.state));
    }

    fn sweep(&mut self, now: Now) {
        let due = self
            .sweeper
            .deadline()
            .map_or(self.sweep_at, |kill| kill.min(self.sweep_at));
        if now < due
            && self
                .stopping
                .as_ref()
                .is_none_or(|stopping| stopping.ended.is_none())
        {
            return;
        }
        let table: BTreeSet<i32> = self
            .processes
            .iter()
            .filter_map(|process| Some(process.pid()?.as_raw()))
            .collect();
        let grace = match &self.stopping {
            Some(Stopping { at_once: true, .. }) => AT_ONCE,
            _ => self.timing.stray_grace,
        };
        self.sweep_at = now + self.timing.stray_scan;
        match self.sweeper.sweep(&table, now, grace) {
            Ok(strays) => self.strays = strays,
            Err(error) => {
                self.strays = 0;
                let note = format!("/proc cannot be read ({error}): strays are not found");
                if !self.notes.contains(&note) {
                    tracing::error!("{note}");
                    self.notes.push(note);
                }
            }
        }
    }

    fn announce(&mut self) {
        if !self.announced && self.processes.iter().all(|process| process.proven) {
            self.announced = true;
            tracing::info!(projects = self.projects, "bulkhead is running");
        }
    }

    /// Waits until a process has said something.
    async fn heard(&self) {
        poll_fn(|cx| {
            let mut heard = Poll::Pending;
            for process in &self.processes {
                if process.notify.poll_readable(cx).is_ready() {
                    heard = Poll::Ready(());
                }
            }
            heard
        })
        .await
    }

    fn next_wake(&self, now: Now) -> Now {
        let lives = self
            .processes
            .iter()
            .filter_map(|process| process.life.deadline(&process.limits));
        let pauses = self
            .processes
            .iter()
            .filter_map(|process| process.notify.deadline());
        let sweeps = [Some(self.sweep_at), self.sweeper.deadline()]
            .into_iter()
            .flatten();
        lives
            .chain(pauses)
            .chain(sweeps)
            .fold(now + self.timing.tick, Now::min)
    }

    /// A monitor that was stopped, or a machine that was, must not take the silence of that time
    /// for the silence of its processes.
    fn mind_the_gap(&mut self, lost: Duration, now: Now) {
        if lost < self.timing.asleep {
            return;
        }
        let ms = lost.as_millis();
        tracing::warn!("the monitor did not run for {ms} ms; every deadline is moved by as much");
        for index in 0..self.processes.len() {
            self.apply(index, Event::Woke(lost), now);
        }
    }

    /// Whether a stop is complete: nobody of the table is left, and no stray.
    fn finished(&mut self) -> Option<Exit> {
        let now = self.now();
        let all = self
            .processes
            .iter()
            .all(|process| order::has_ended(&process.life.state));
        let stopping = self.stopping.as_mut()?;
        if !all {
            return None;
        }
        let patience = self.timing.stray_grace * 2;
        let exit = if stopping.at_once {
            Exit::Forced
        } else {
            Exit::Drained
        };
        match stopping.ended {
            None => {
                // One more turn looks for what they left behind.
                stopping.ended = Some(now);
                self.turn(now);
            }
            Some(ended) if now < ended + patience => {}
            Some(_) => {
                tracing::error!("{} processes could not be ended; leaves them", self.strays);
                return Some(exit);
            }
        }
        (self.strays == 0).then_some(exit)
    }
}
