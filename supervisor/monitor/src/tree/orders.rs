//! What the operator asks of the tree, by socket or by signal: status, restart, stop, reload.

use super::{Stopping, Tree};
use crate::control::{Answer, Request, Status};
use crate::process::Process;
use crate::reload::compare;
use crate::spec::{self, ProcessSpec, Wanted};
use crate::table::{Event, Now, State};

impl Tree {
    pub(super) fn stop(&mut self, now: Now) {
        match &mut self.stopping {
            None => {
                tracing::info!("stops: workers, then runners, then the hub");
                self.stopping = Some(Stopping {
                    at_once: false,
                    ended: None,
                });
            }
            Some(stopping) => {
                tracing::warn!("was asked twice to stop: ends everything at once");
                stopping.at_once = true;
                for index in 0..self.processes.len() {
                    self.apply(index, Event::Kill, now);
                }
            }
        }
    }

    pub(super) fn answer(&mut self, request: Request, now: Now) -> Answer {
        match request {
            Request::Status => Answer::Status(self.status(now)),
            Request::Restart(name) => self.restart(&name, now),
            Request::Stop => match self.stopping {
                Some(_) => Answer::Done("is already stopping".to_owned()),
                None => {
                    self.stop(now);
                    Answer::Done("stops: workers, then runners, then the hub".to_owned())
                }
            },
            Request::Reload => match self.reload(now) {
                Ok(words) => Answer::Done(words),
                Err(words) => Answer::Refused(words),
            },
        }
    }

    fn status(&self, now: Now) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: nix::unistd::getpid().as_raw(),
            uptime_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            runtime_dir: self.claim.runtime_dir().display().to_string(),
            stopping: self.stopping.is_some(),
            notes: self.notes.clone(),
            processes: self
                .processes
                .iter()
                .map(|process| process.report(now))
                .collect(),
        }
    }

    fn restart(&mut self, name: &str, now: Now) -> Answer {
        if self.stopping.is_some() {
            return Answer::Refused("the tree is stopping; nothing is started any more".to_owned());
        }
        let Some(index) = self.processes.iter().position(|one| one.spec.name == name) else {
            let names: Vec<&str> = self.processes.iter().map(|one| &*one.spec.name).collect();
            return Answer::Refused(format!(
                "no process {name:?}; there are: {}",
                names.join(", ")
            ));
        };
        if self.processes[index].leaving {
            let words = format!("{name} is no longer in the configuration and is draining");
            return Answer::Refused(words);
        }
        tracing::info!(process = name, "is to restart, by order of the operator");
        self.apply(index, Event::Restart, now);
        let process = &self.processes[index];
        Answer::Done(match process.life.state {
            State::Draining { .. } => format!(
                "{name} drains ({} ms at most), then starts anew",
                process.limits.drain.as_millis()
            ),
            State::Stopped => format!("{name} has not been started yet; it waits for its turn"),
            _ => format!("{name} starts"),
        })
    }

    pub(super) fn reload(&mut self, now: Now) -> Result<String, String> {
        if self.stopping.is_some() {
            return Err("the tree is stopping; nothing is reloaded any more".to_owned());
        }
        let read = (self.reload)().and_then(|new| spec::check(&new.processes).map(|()| new));
        let outcome = read.and_then(|new| self.change_to(new, now));
        match &outcome {
            Ok(words) => tracing::info!("reloaded: {words}"),
            Err(words) => tracing::error!("not reloaded, everything stays as it is: {words}"),
        }
        outcome
    }

    fn change_to(&mut self, wanted: Wanted, now: Now) -> Result<String, String> {
        fn key(spec: &ProcessSpec) -> (&str, &str) {
            (&spec.name, &spec.fingerprint)
        }
        let new = wanted.processes;
        let staying = self.processes.iter().filter(|process| !process.leaving);
        let changes = compare(
            staying.map(|process| key(&process.spec)),
            new.iter().map(key),
        );
        let known = |tree: &Self, name: &str| {
            tree.processes
                .iter()
                .position(|process| process.spec.name == name)
        };
        // What can fail comes first, so that a failure changes nothing.
        let mut sockets = Vec::new();
        for name in &changes.added {
            if known(self, name).is_none() {
                let socket = self.notify_socket();
                sockets.push(socket.map_err(|error| format!("{name} cannot be added: {error}"))?);
            }
        }
        self.timing = wanted.timing;
        for spec in new {
            let added = changes.added.contains(&spec.name);
            match known(self, &spec.name) {
                // It may be on its way out and wanted again.
                Some(index) if added || changes.changed.contains(&spec.name) => {
                    self.processes[index].replace(spec, &self.timing);
                    let event = if added { Event::Start } else { Event::Restart };
                    self.apply(index, event, now);
                }
                Some(index) => self.processes[index].keep(spec, &self.timing),
                None => {
                    if let Some(notify) = sockets.pop() {
                        self.processes
                            .push(Process::new(spec, notify, &self.timing));
                    }
                }
            }
        }
        for index in 0..self.processes.len() {
            if changes.gone.contains(&self.processes[index].spec.name) {
                self.processes[index].leaving = true;
                self.apply(index, Event::Stop, now);
            }
        }
        self.processes.sort_by_key(|process| process.spec.role);
        Ok(changes.words())
    }
}
