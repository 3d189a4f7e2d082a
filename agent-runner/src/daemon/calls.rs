//! Calls of tools: run beside the agent, ended when nobody waits for them any more.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use ipc_schema::{BlobRef, Body};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use worker_kit::link::{NotSent, Ticket};

use super::effects::own;
use super::upload::{Upload, Uploads};
use super::{EVENTS, Shell};
use crate::claude::argv;
use crate::jail::kernel::System;
use crate::session::{Came, Event};
use crate::tools::changeable::Changeable;
use crate::tools::mcp::{Call, Said};
use crate::tools::program::Surroundings;
use crate::tools::{Does, clock, file, run};

/// Calls that run, and files on their way to the hub.
pub(super) struct Calls {
    running: HashMap<(u64, u64), AbortHandle>,
    /// The programs of tools: they are waited for where they were started.
    pub(super) programs: Arc<Mutex<HashSet<i32>>>,
    pub(super) uploads: Uploads<Ticket>,
    /// One file is read and sent at a time: it is in memory meanwhile.
    one: Arc<Semaphore>,
    pub(super) inbox: mpsc::Receiver<Upload>,
    outbox: mpsc::Sender<Upload>,
}

impl Calls {
    pub(super) fn new() -> Calls {
        let (outbox, inbox) = mpsc::channel(EVENTS);
        Calls {
            running: HashMap::new(),
            programs: Arc::default(),
            uploads: Uploads::new(),
            one: Arc::new(Semaphore::new(1)),
            inbox,
            outbox,
        }
    }

    /// The programs that run.
    pub(super) fn pids(&self) -> HashSet<i32> {
        self.programs
            .lock()
            .map(|programs| programs.clone())
            .unwrap_or_default()
    }

    /// Nobody waits for it any more, or it is over.
    pub(super) fn end(&mut self, launch: u64, call: u64) {
        if let Some(task) = self.running.remove(&(launch, call)) {
            task.abort();
        }
        self.uploads.forget(launch, call);
    }

    /// Ends all of them.
    pub(super) fn end_all(&mut self) {
        for (_, task) in self.running.drain() {
            task.abort();
        }
    }
}

impl Shell {
    pub(super) fn call(&mut self, launch: u64, session: &str, call: Call, most: u64) {
        let id = call.id;
        let outbox = self.outbox.clone();
        let tell = move |came: Came| async move {
            // Nobody is interested: the runner ends.
            let _ = outbox
                .send((launch, Event::Called { call: id, came }))
                .await;
        };
        let task = match call.does {
            Does::CurrentTime => tokio::spawn(async move {
                let said = clock::tell(jiff::Timestamp::now(), &call.input);
                tell(Came::Said(said.map_or_else(Said::failed, Said::done))).await;
            }),
            Does::Operators(tool) => {
                tracing::info!(tool = tool.name, "a tool of the operator's is called");
                let mut claim = self.locks.claim(session);
                claim.lock = None;
                // The point ends the number: 1 is not the beginning of 12.
                claim.mark = format!("{}/tool-{launch}-{id}.", claim.mark);
                let mut environment = argv::passed_on(own);
                if let Some(path) = environment.get_mut("PATH") {
                    // Whatever of the program's looks for another is not to find the agent's.
                    *path = Changeable::new(&self.options, own, System).kept(path);
                }
                let around = Surroundings {
                    environment,
                    claim,
                    // Also after an upgrade has put another in its place.
                    launcher: "/proc/self/exe".into(),
                    programs: Arc::clone(&self.calls.programs),
                };
                tokio::spawn(async move {
                    let said = run::run(&tool, &call.input, around).await;
                    tracing::info!(tool = tool.name, failed = said.failed, "the tool is done");
                    tell(Came::Said(said)).await;
                })
            }
            Does::SendFile => {
                let path = call.input["path"].as_str().unwrap_or_default().to_owned();
                let caption = call.input["caption"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let (spaces, session) = (self.spaces.clone(), session.to_owned());
                let (one, uploads) = (Arc::clone(&self.calls.one), self.calls.outbox.clone());
                tokio::spawn(async move {
                    let Ok(permit) = one.acquire_owned().await else {
                        return;
                    };
                    let read = tokio::task::spawn_blocking(move || {
                        let work_dir = spaces.open(&session)?;
                        let read = file::read(&work_dir, &path, most)?;
                        Ok::<_, String>((sha256(&read.bytes), read))
                    });
                    let (sha256, read) = match read.await {
                        Ok(Ok(read)) => read,
                        Ok(Err(why)) => return tell(Came::Said(Said::failed(why))).await,
                        // The runner ends.
                        Err(_) => return,
                    };
                    let file = BlobRef {
                        sha256,
                        name: read.name,
                        mime: read.mime.to_owned(),
                        size: read.bytes.len() as u64,
                    };
                    tracing::info!(bytes = file.size, "a file is on its way to the chat");
                    let upload = Upload::new(launch, id, file, caption, read.bytes, permit);
                    let _ = uploads.send(upload).await;
                })
            }
        };
        self.calls.running.insert((launch, id), task.abort_handle());
    }

    /// Sends the next piece of a file, if one is on its way.
    pub(super) fn upload(&mut self) {
        let Some(piece) = self.calls.uploads.next() else {
            return;
        };
        match self.link.send(Body::BlobSegment(piece), "") {
            Ok(ticket) => self.calls.uploads.sent(ticket),
            Err(NotSent::Full) => {}
            Err(NotSent::Down) => self.calls.uploads.pause(),
        }
    }

    /// The hub keeps a file.
    pub(super) fn blob_kept(&mut self, sha256: &str) {
        if let Some(upload) = self.calls.uploads.kept(sha256) {
            let (launch, call) = upload.of();
            let (file, caption) = upload.into_file();
            self.process(
                launch,
                Event::Called {
                    call,
                    came: Came::File { file, caption },
                },
            );
        }
    }

    /// The hub could not use a piece of a file. Whether it was one.
    pub(super) fn blob_refused(&mut self, ticket: Option<Ticket>, why: &str) -> bool {
        let Some(upload) = self.calls.uploads.refused(ticket) else {
            return false;
        };
        let (launch, call) = upload.of();
        let said = Said::failed(format!("the file was not taken: {why}"));
        self.process(
            launch,
            Event::Called {
                call,
                came: Came::Said(said),
            },
        );
        true
    }
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
