//! What the runner wants done, done: words on the link, processes started and told, files read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipc_schema::{Body, Fault, Sandbox, Trouble};
use worker_kit::link::NotSent;

use super::{Jailed, Shell, files};
use crate::beneath;
use crate::berths::Memory;
use crate::claude::transcript::{self, Reading};
use crate::claude::{argv, cost};
use crate::home;
use crate::jail::denial::Judge;
use crate::jail::kernel::System;
use crate::model::ModelProxy;
use crate::process::cage::{Cage, Served};
use crate::process::memory;
use crate::process::pump::{self, Framing, Order};
use crate::process::spawn::Spawn;
use crate::process::sweep;
use crate::process::tail::{self, Tail};
use crate::session::{Effect, Event, Prepared, What};
use crate::tools::door::Door;

impl Shell {
    pub(super) fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Say(body, trace) => self.say(body, &trace),
            Effect::Prepare {
                launch,
                session,
                agent_session,
                begun,
                prompt,
                known,
            } => {
                let (locks, projects) = (self.locks.clone(), self.projects(&session));
                let spaces = self.spaces.clone();
                let taken = Arc::clone(&self.taken);
                self.answer(launch, move || {
                    Event::Prepared(locks.take(&session).and_then(|lock| {
                        let file = projects.and_then(|dir| tail::find(&dir, &agent_session));
                        let reading = match (&file, prompt) {
                            (Some(file), Some(prompt)) => read(file.clone(), &prompt, &known)
                                .map_err(|why| trouble(Trouble::Session, why))?,
                            _ => Reading::ABSENT,
                        };
                        spaces
                            .ensure(&session, begun || file.is_some())
                            .map_err(|why| trouble(Trouble::Directory, why))?;
                        if let Ok(mut taken) = taken.lock() {
                            taken.insert(launch, lock);
                        }
                        let spent = file.as_ref().and_then(|file| {
                            cost::begins_with(&mut beneath::regular(file).ok()?)
                                .ok()
                                .flatten()
                        });
                        Ok(Prepared {
                            file: file.is_some(),
                            reading,
                            spent,
                            work_dir: spaces.dir(&session),
                        })
                    }))
                });
            }
            Effect::Release { launch } => drop(self.lock_of(launch)),
            Effect::Launch {
                launch,
                session,
                what,
            } => match &what {
                // No lock is taken for it, so this is where its directory is seen to.
                What::Command { .. } if self.spaces.wanted() || self.spaces.has(&session) => {
                    let spaces = self.spaces.clone();
                    self.placing.insert(launch, (session.clone(), what));
                    self.answer(launch, move || {
                        Event::Placed(spaces.ensure(&session, false))
                    });
                }
                _ => self.launch(launch, &session, what),
            },
            Effect::Write { launch, line } => {
                let mut bytes = line.into_bytes();
                bytes.push(b'\n');
                self.order(launch, Order::Write(bytes));
            }
            Effect::CloseInput { launch } => self.order(launch, Order::Close),
            Effect::Nudge { launch } => {
                if let Some((hold, _)) = self.holds.get(&launch) {
                    hold.nudge();
                }
            }
            Effect::Kill { launch } => {
                if self.placing.remove(&launch).is_some() {
                    let why = "it was ended before it began".into();
                    self.tell(launch, Event::NotLaunched(trouble(Trouble::Start, why)));
                }
                self.order(launch, Order::Kill);
            }
            Effect::Sweep { launch } => {
                let claim = self.holds.get(&launch).map(|(_, claim)| claim.clone());
                self.answer(launch, move || {
                    let left = claim.map(|claim| claim.end(true, Duration::from_secs(1)));
                    if left.is_some_and(|left| !left.is_empty()) {
                        tracing::warn!("some processes of a stopped turn do not end");
                    }
                    Event::Swept
                });
            }
            Effect::Await {
                launch,
                session,
                agent_session,
                id,
            } => {
                if !self.tails.contains_key(&launch)
                    && let Some(file) = self
                        .projects(&session)
                        .and_then(|dir| tail::find(&dir, &agent_session))
                {
                    self.tails.insert(launch, Tail::new(file));
                }
                if let Some(tail) = self.tails.get_mut(&launch) {
                    tail.wait_for(id);
                }
            }
            Effect::Tidy { session } => {
                if !self.spaces.has(&session) {
                    return;
                }
                let (locks, spaces) = (self.locks.clone(), self.spaces.clone());
                self.answer(0, move || {
                    // Whoever holds the lock is at work in it again.
                    if let Some(tidying) = locks.tidy(&session) {
                        spaces.close(&session);
                        drop(tidying);
                    }
                    Event::Swept
                });
            }
            Effect::Measure { agents } => {
                let all = agents.then(|| self.locks.all());
                self.answer(0, move || {
                    Event::Measured(Memory {
                        available: memory::available(),
                        agents: all.map(|all| memory::of(&all)),
                    })
                });
            }
            Effect::Call {
                launch,
                session,
                call,
                most,
            } => self.call(launch, &session, call, most),
            Effect::Uncall { launch, call } => self.calls.end(launch, call),
            Effect::Mcp {
                launch,
                client,
                message,
            } => {
                if let Some(door) = &self.door {
                    door.say(launch, client, message);
                }
            }
            Effect::Grant { rules } => self.grants.add(rules),
            Effect::AwaitNothing { launch } => {
                if let Some(tail) = self.tails.get_mut(&launch) {
                    tail.clear();
                }
            }
            Effect::Read {
                launch,
                session,
                agent_session,
                prompt,
                known,
            } => {
                let projects = self.projects(&session);
                self.answer(launch, move || {
                    let file = projects.and_then(|dir| tail::find(&dir, &agent_session));
                    let reading =
                        file.map_or(Ok(Reading::ABSENT), |file| read(file, &prompt, &known));
                    Event::Read { prompt, reading }
                });
            }
        }
    }

    fn say(&mut self, body: Body, trace: &str) {
        let kept = match &body {
            Body::TurnUpdate(update) => update.n > 0,
            Body::Unprompted(_) => true,
            _ => false,
        };
        // An update that overtook one before it would be refused.
        if kept && self.stalled {
            return;
        }
        match self.link.send(body, trace) {
            Ok(_) | Err(NotSent::Down) => {}
            Err(NotSent::Full) => self.stalled |= kept,
        }
    }

    /// The directory of a program is there, or not.
    pub(super) fn placed(&mut self, launch: u64, placed: Result<(), String>) {
        let Some((session, what)) = self.placing.remove(&launch) else {
            return;
        };
        match placed {
            Ok(()) => self.launch(launch, &session, what),
            Err(why) => {
                self.tell(launch, Event::NotLaunched(trouble(Trouble::Directory, why)));
            }
        }
        self.tell_worktrees();
    }

    /// Removes what has lain in the work directory for too long.
    pub(super) fn clean(&self) {
        let (locks, spaces) = (self.locks.clone(), self.spaces.clone());
        let work_dir = self.options.work_dir.clone();
        self.answer(0, move || {
            let now = SystemTime::now();
            files::clean(&work_dir, now);
            spaces.sweep(now, |session| locks.tidy(session));
            Event::Swept
        });
    }

    /// Tells the hub of the worktrees, if that is due.
    pub(super) fn tell_worktrees(&mut self) {
        let news = match std::mem::take(&mut self.untold) {
            true => Some(self.spaces.told()).filter(|told| {
                // Who has none and has never had any is no news.
                self.spaces.wanted() || !told.worktrees.is_empty()
            }),
            false => self.spaces.news(),
        };
        if let Some(news) = news {
            let sent = self.link.send(Body::Worktrees(news), "");
            self.untold = matches!(sent, Err(NotSent::Full));
        }
    }

    /// Tells the hub how the agents are closed in, if that is due.
    pub(super) fn tell_sandbox(&mut self) {
        if !self.sandbox_untold || !self.link.is_up() {
            return;
        }
        let closed = self.cage.as_ref();
        let told = Sandbox {
            by: closed.map_or("", Cage::describe).to_owned(),
            network: closed.map_or("", Cage::network).to_owned(),
            refused: self.refusals.last().cloned().collect(),
        };
        let sent = self.link.send(Body::Sandbox(told), "");
        self.sandbox_untold = matches!(sent, Err(NotSent::Full));
    }

    fn order(&self, launch: u64, order: Order) {
        if let Some((hold, _)) = self.holds.get(&launch) {
            hold.order(order);
        }
    }

    /// Does what takes time elsewhere and tells the runner what came of it.
    fn answer(&self, launch: u64, work: impl FnOnce() -> Event + Send + 'static) {
        let outbox = self.outbox.clone();
        tokio::task::spawn_blocking(move || {
            // Nobody is interested: the runner ends.
            let _ = outbox.blocking_send((launch, work()));
        });
    }

    fn lock_of(&self, launch: u64) -> Option<File> {
        self.taken.lock().ok()?.remove(&launch)
    }

    /// Tells the runner later: it is in the midst of a step.
    fn tell(&self, launch: u64, event: Event) {
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let _ = outbox.send((launch, event)).await;
        });
    }

    fn launch(&mut self, launch: u64, session: &str, what: What) {
        // First, so that it falls with whatever goes wrong below.
        let lock = self.lock_of(launch);
        let mut claim = self.locks.claim(session);
        if let Err(why) = home::make(&self.options, session) {
            return self.tell(launch, Event::NotLaunched(trouble(Trouble::Directory, why)));
        }
        let volume = home::volume(&self.options, session);
        let (arguments, mut environment, framing, input) = match what {
            What::Claude(mut start) => {
                start.granted = self.grants.rules().to_vec();
                let said = home::said(&self.options, session);
                self.remark(said.remarks);
                start.words = said.words;
                // Without tools there is nothing to be done there.
                start.volume = volume.clone().filter(|_| !self.options.tools_only);
                if self.spaces.has(session) {
                    start.beside = self.spaces.beside(session).read;
                }
                (
                    argv::arguments(&self.options, &start),
                    argv::environment(&self.options, &start, own),
                    Framing::Lines,
                    None,
                )
            }
            What::Acp => (
                self.options.args.clone(),
                argv::base_environment(&self.options, own),
                Framing::Lines,
                None,
            ),
            What::Command { turn, text } => {
                let mut environment = argv::base_environment(&self.options, own);
                environment.insert("BULKHEAD_PROJECT".into(), self.project.clone());
                environment.insert("BULKHEAD_SESSION".into(), session.to_owned());
                environment.insert("BULKHEAD_TURN".into(), turn.turn);
                (
                    self.options.args.clone(),
                    environment,
                    Framing::Bytes,
                    Some(text),
                )
            }
        };
        environment.insert(sweep::MARK.into(), claim.mark.clone());
        home::furnish(&self.options, session, &mut environment);
        if let Some(model) = &self.model {
            match model.grant(launch) {
                Ok(token) => model.lead(&token, &mut environment),
                Err(error) => {
                    let why = format!("it cannot be led to its model: {error}");
                    return self.tell(launch, Event::NotLaunched(trouble(Trouble::Start, why)));
                }
            }
        }
        let work_dir = match self.spaces.open(session) {
            Ok(work_dir) => work_dir,
            Err(why) => {
                return self.tell(launch, Event::NotLaunched(trouble(Trouble::Directory, why)));
            }
        };
        let mut beside = self.spaces.beside(session).and(volume);
        if let Some(door) = &self.door {
            match door.admit(launch) {
                Ok(pass) => beside.read.extend([self.program.clone(), pass]),
                Err(error) => {
                    let why = format!("it cannot be offered its tools: {error}");
                    return self.tell(launch, Event::NotLaunched(trouble(Trouble::Start, why)));
                }
            }
        }
        let spawn = Spawn {
            program: self.options.program(),
            arguments: &arguments,
            environment: &environment,
            work_dir: &work_dir,
            beside,
            lock,
            served: Served {
                model: self.model.as_ref().map(ModelProxy::port),
                tools: self.door.as_ref().map(Door::port),
            },
            cage: self.cage.as_ref(),
        };
        match spawn.start() {
            Ok((child, jail)) => {
                self.jails.extend(jail.map(|jail| {
                    let judge = Judge::new(&jail, &self.options.state_dir, &System);
                    let jailed = Jailed {
                        session: session.to_owned(),
                        scratch: jail.scratch,
                        judge,
                    };
                    (launch, jailed)
                }));
                claim.agent = child.id().map(u32::cast_signed);
                claim.jailed = self.cage.is_some();
                let hold = pump::follow(child, launch, framing, claim.clone(), self.outbox.clone());
                if let Some(text) = input {
                    hold.order(Order::Write(text.into_bytes()));
                    hold.order(Order::Close);
                }
                self.holds.insert(launch, (hold, claim));
            }
            Err(fault) => self.tell(launch, Event::NotLaunched(fault)),
        }
    }

    /// Where the files of a session are.
    fn projects(&self, session: &str) -> Option<PathBuf> {
        let mut environment: BTreeMap<String, String> = argv::base_environment(&self.options, own);
        home::furnish(&self.options, session, &mut environment);
        argv::projects_dir(&environment)
    }
}

/// The runner's own environment; who has no home in it has the one of their account.
pub(crate) fn own(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let account = nix::unistd::User::from_uid(nix::unistd::geteuid());
        match (name, account) {
            ("HOME", Ok(Some(account))) => Some(account.dir.to_str()?.to_owned()),
            _ => None,
        }
    })
}

/// The largest session file that is read, bytes: far more than any has, far less than an agent could
/// make one seem to have.
const SESSION_FILE: u64 = 1 << 30;

fn read(file: PathBuf, prompt: &str, known: &BTreeSet<String>) -> Result<Reading, String> {
    let reading = beneath::regular(&file).and_then(|opened| {
        if opened.metadata()?.len() > SESSION_FILE {
            let words = "it is larger than 1 GiB. Move it away; the session begins anew then";
            return Err(io::Error::other(words));
        }
        let opened = BufReader::with_capacity(1 << 16, opened.take(SESSION_FILE));
        transcript::read(opened, prompt, known)
    });
    reading.map_err(|error| format!("the session file {}: {error}", file.display()))
}

/// What this runner failed at.
fn trouble(at: Trouble, detail: String) -> Fault {
    Fault::Runner { at, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_file_that_is_none_is_told_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.jsonl");
        let why = || read(file.clone(), "p", &BTreeSet::new()).unwrap_err();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(why().contains("no regular file"));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(why().contains("symbolic link"));
        std::fs::remove_file(&file).unwrap();
        let large = File::create(&file).unwrap();
        large.set_len(1 << 40).unwrap();
        assert!(why().contains("larger than 1 GiB"));
    }
}
