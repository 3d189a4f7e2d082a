//! One process of the tree: its spec, its life and what the shell holds for it.
//!
//! It logs every step of that life in words; it decides none.

use std::os::fd::OwnedFd;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::control::ProcessStatus;
use crate::notify::NotifySocket;
use crate::spec::{ProcessSpec, Timing};
use crate::table::{Action, Event, Life, Limits, Now, State};

pub(crate) struct Process {
    pub(crate) spec: ProcessSpec,
    pub(crate) life: Life,
    pub(crate) limits: Limits,
    pub(crate) notify: NotifySocket,
    pub(crate) born: Option<Born>,
    /// Removed from the configuration: it goes as soon as it has ended.
    pub(crate) leaving: bool,
    /// It has been ready at least once.
    pub(crate) proven: bool,
    degraded: bool,
    last_exit: Option<String>,
    status: Option<String>,
    /// Why the monitor ended the process that is now dying.
    ended_for: Option<&'static str>,
}

/// A living process.
pub(crate) struct Born {
    pub(crate) pid: Pid,
    pub(crate) at: Now,
    /// Held, never written to.
    pub(crate) _alive: OwnedFd,
}

impl Process {
    pub(crate) fn new(spec: ProcessSpec, notify: NotifySocket, timing: &Timing) -> Self {
        Self {
            limits: spec.limits(timing),
            spec,
            life: Life::default(),
            notify,
            born: None,
            leaving: false,
            proven: false,
            degraded: false,
            last_exit: None,
            status: None,
            ended_for: None,
        }
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.born.as_ref().map(|born| born.pid)
    }

    /// Gives it another spec; the next birth uses it.
    pub(crate) fn replace(&mut self, spec: ProcessSpec, timing: &Timing) {
        self.keep(spec, timing);
        self.leaving = false;
    }

    /// Gives it other durations; it lives on.
    pub(crate) fn keep(&mut self, spec: ProcessSpec, timing: &Timing) {
        self.limits = spec.limits(timing);
        self.spec = spec;
    }

    pub(crate) fn came_to_life(&mut self, born: Born) {
        let (name, generation) = (&self.spec.name, self.life.generation);
        tracing::info!(
            process = name,
            pid = born.pid.as_raw(),
            generation,
            "started"
        );
        self.born = Some(born);
        self.status = None;
        self.ended_for = None;
    }

    pub(crate) fn was_not_born(&mut self, error: &std::io::Error) {
        self.last_exit = Some(format!("could not be started: {error}"));
    }

    pub(crate) fn says(&mut self, text: String) {
        tracing::debug!(process = self.spec.name, status = text, "says");
        self.status = Some(text);
    }

    /// Sends what the table decided.
    pub(crate) fn signal(&mut self, action: Action) {
        let Some(pid) = self.pid() else { return };
        // The pid cannot be a stranger's: it is ours until it is buried.
        let signal = match action {
            Action::Birth(_) => return,
            Action::Term => Signal::SIGTERM,
            Action::Abort => Signal::SIGABRT,
            Action::Kill => Signal::SIGKILL,
        };
        if action == Action::Kill {
            // The group first: once its leader is dead, it is `bury` that ends the group.
            let _ = killpg(pid, signal);
        }
        // ESRCH is not possible, and a zombie ignores what it is sent.
        let _ = kill(pid, signal);
        // A stopped process hears nothing until it is continued.
        let _ = kill(pid, Signal::SIGCONT);
    }

    /// Follows one step of the table: remembers what `status` tells, and logs it.
    pub(crate) fn follow(&mut self, before: State, event: Event, action: Option<Action>, now: Now) {
        let process = self.spec.name.as_str();
        let generation = self.life.generation;
        let pid = self.born.as_ref().map(|born| born.pid.as_raw());

        if let Event::Died(death) = event {
            let why = self
                .ended_for
                .take()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default();
            let words = format!("{death}{why}");
            match before {
                State::Draining { .. } => {
                    tracing::info!(process, pid, generation, "ended: {words}")
                }
                _ => tracing::warn!(process, pid, generation, "died: {words}"),
            }
            self.last_exit = Some(words);
            self.born = None;
        }
        match (event, action) {
            (Event::Tick, Some(Action::Abort)) => {
                self.ended_for = Some("it missed its watchdog beats");
                tracing::warn!(
                    process,
                    pid,
                    generation,
                    "missed its watchdog beats; is sent SIGABRT"
                );
            }
            (Event::Tick, Some(Action::Term)) => {
                self.ended_for = Some("it was not ready in time");
                let limit = self.limits.ready.as_millis();
                tracing::warn!(
                    process,
                    pid,
                    generation,
                    "was not ready within {limit} ms; is ended"
                );
            }
            (Event::Tick, Some(Action::Kill)) => {
                self.ended_for.get_or_insert("it did not end in time");
                tracing::warn!(
                    process,
                    pid,
                    generation,
                    "did not end in time; is sent SIGKILL"
                );
            }
            (_, Some(Action::Term)) => tracing::info!(process, pid, generation, "is told to end"),
            _ => {}
        }
        match self.life.state {
            state if state == before => {}
            State::Ready { .. } if !matches!(before, State::Ready { .. }) => {
                self.proven = true;
                tracing::info!(process, pid, generation, "ready");
            }
            State::Backoff { until } => {
                let wait = until.saturating_sub(now).as_millis();
                let (failures, last) = (self.life.failures, self.last_exit.as_deref());
                tracing::warn!(
                    process,
                    generation,
                    failures,
                    last,
                    "starts again in {wait} ms"
                );
            }
            State::Held(held) => {
                let last = self.last_exit.as_deref();
                tracing::error!(process, generation, last, "held: {}", held.words(process));
            }
            _ => {}
        }
    }

    /// Raises or ends the alarm.
    pub(crate) fn watch_health(&mut self, now: Now) {
        let degraded = self.life.degraded(now, &self.limits);
        if degraded == self.degraded {
            return;
        }
        self.degraded = degraded;
        let process = self.spec.name.as_str();
        let (deaths, window) = (self.limits.alarm_deaths, self.limits.alarm_window.as_secs());
        match degraded {
            true => tracing::error!(process, "degraded: died {deaths} times within {window} s"),
            false => tracing::info!(process, "no longer degraded"),
        }
    }

    pub(crate) fn report(&self, now: Now) -> ProcessStatus {
        let life = &self.life;
        let state = match life.state {
            State::Stopped if life.generation == 0 => "waiting",
            State::Stopped => "stopped",
            State::Starting { .. } => "starting",
            State::Ready { .. } => "ready",
            State::Backoff { .. } => "backoff",
            State::Draining { .. } => "draining",
            State::Held(_) => "held",
        };
        let ms = |span: Now| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        ProcessStatus {
            name: self.spec.name.clone(),
            role: self.spec.role,
            state: state.to_owned(),
            pid: self.pid().map(Pid::as_raw),
            uptime_ms: self
                .born
                .as_ref()
                .map(|born| ms(now.saturating_sub(born.at))),
            generation: life.generation,
            restarts: life.generation.saturating_sub(1),
            failures: life.failures,
            last_exit: self.last_exit.clone(),
            next_start_in_ms: match life.state {
                State::Backoff { until } => Some(ms(until.saturating_sub(now))),
                _ => None,
            },
            status: self.status.clone(),
            held: match life.state {
                State::Held(held) => Some(held.words(&self.spec.name)),
                _ => None,
            },
            degraded: life.degraded(now, &self.limits),
        }
    }
}
