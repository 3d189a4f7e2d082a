//! From a message to the hub: files first, then the event, in the order in which they came.

use std::sync::Arc;
use std::time::Duration;

use ipc_schema::{Access, BlobRef, Inbound, Sender};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, warn};
use worker_kit::hub::Answer;
use worker_kit::{Hub, Missing};

use crate::message::{self, File, Message};

/// Bytes of messages that are held until the hub has them.
const BUDGET: u32 = 64 << 20;
/// What the smallest message counts for, so that their number is bounded too.
const LEAST: u32 = 4 << 10;
/// How long the hub may take to keep one file.
const FILE_DEADLINE: Duration = Duration::from_secs(60);

/// Told to whoever wrote a message that the hub cannot commit yet.
const DEFERRED: &str = "消息已收到，但暂时无法保存，会自动重试，无需重发。\n\
    Your message is here but cannot be stored yet; it is being retried.";

/// Told to whoever wrote a message that the hub cannot use.
const UNUSABLE: &str = "这条消息无法处理，没有收下，请换一种方式再发。\n\
    Your message could not be used and was not taken: please send it in another way.";

/// A message on its way.
pub(crate) struct Arrived {
    /// As it came.
    pub(crate) payload: Value,
    /// Who wrote it.
    pub(crate) from: String,
    /// The account is theirs.
    pub(crate) owner: bool,
    /// Its id.
    pub(crate) id: String,
    /// Whether they may.
    pub(crate) access: Access,
    /// For the logs.
    pub(crate) trace: String,
}

/// Too much is held already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// The way to the hub.
pub(crate) struct Intake {
    arrived: mpsc::UnboundedSender<(Arrived, OwnedSemaphorePermit)>, // bounded by the budget
    budget: Arc<Semaphore>,
    carrying: JoinSet<()>,
}

/// Something to tell a person: the id, the words.
pub(crate) type Notice = (String, &'static str);

impl Intake {
    /// Starts the way as a task; it ends after the last message once this is dropped.
    pub(crate) fn start(hub: Hub, notices: mpsc::Sender<Notice>) -> Intake {
        let (arrived, inbox) = mpsc::unbounded_channel();
        let mut carrying = JoinSet::new();
        carrying.spawn(carry(hub, inbox, notices));
        Intake {
            arrived,
            budget: Arc::new(Semaphore::new(BUDGET as usize)),
            carrying,
        }
    }

    /// Waits until everything that was taken is in the hub's care. Put it under a deadline: with the
    /// hub away it does not return.
    pub(crate) async fn ended(self) {
        let Intake {
            arrived,
            mut carrying,
            ..
        } = self;
        drop(arrived);
        while carrying.join_next().await.is_some() {}
    }

    /// Room for a frame of so many bytes.
    ///
    /// # Errors
    /// [`Busy`]: tell the sender.
    pub(crate) fn room(&self, bytes: usize) -> Result<Room<'_>, Busy> {
        let cost = u32::try_from(bytes).unwrap_or(BUDGET).clamp(LEAST, BUDGET);
        let held = Arc::clone(&self.budget)
            .try_acquire_many_owned(cost)
            .map_err(|_| Busy)?;
        Ok(Room { intake: self, held })
    }
}

/// Room that was found.
pub(crate) struct Room<'a> {
    intake: &'a Intake,
    held: OwnedSemaphorePermit,
}

impl Room<'_> {
    /// Sends a message on its way.
    pub(crate) fn take(self, arrived: Arrived) {
        // The task lives for as long as the intake.
        let _ = self.intake.arrived.send((arrived, self.held));
    }
}

async fn carry(
    hub: Hub,
    mut inbox: mpsc::UnboundedReceiver<(Arrived, OwnedSemaphorePermit)>,
    notices: mpsc::Sender<Notice>,
) {
    while let Some((arrived, _held)) = inbox.recv().await {
        let Arrived {
            payload,
            from,
            owner,
            id,
            access,
            trace,
        } = arrived;
        let mut inbound = match access {
            Access::Granted => {
                let message = message::read(&payload, from.clone(), id);
                drop(payload);
                event(&hub, message).await
            }
            // Who may not talk to the agent leaves nothing behind but the fact.
            Access::Refused => bare(from.clone(), id, access),
        };
        inbound.sender.owner = owner;
        let mut offer = hub.offer(inbound, &trace).await;
        if access == Access::Refused {
            continue;
        }
        let notices = notices.clone();
        // As many at most as the hub's side lets be open.
        tokio::spawn(async move {
            let mut told = false;
            loop {
                match offer.answer().await {
                    Answer::Accepted => return,
                    Answer::Unusable(why) => {
                        warn!("a message was lost: {why}");
                        // Nobody listens: we are ending.
                        let _ = notices.send((from, UNUSABLE)).await;
                        return;
                    }
                    Answer::Deferred { .. } if !told => {
                        told = notices.send((from.clone(), DEFERRED)).await.is_ok();
                    }
                    Answer::Deferred { .. } => {}
                }
            }
        });
    }
}

fn bare(from: String, id: String, access: Access) -> Inbound {
    Inbound {
        event_id: id,
        conversation: format!("dm:{from}"),
        address: from.clone(),
        direct: true,
        shared: false,
        sender: Sender {
            id: from,
            ..Sender::default()
        },
        access,
        ..Inbound::default()
    }
}

async fn event(hub: &Hub, message: Message) -> Inbound {
    let Message {
        id,
        from,
        text,
        files,
        mut left_out,
        sent_at_ms,
    } = message;
    let mut attachments = Vec::new();
    for file in files {
        match keep(hub, &file).await {
            Ok(blob) => attachments.push(blob),
            Err(why) => {
                warn!("a file of {} bytes was left out: {why}", file.bytes.len());
                let unkept = Missing::new("it could not be stored", "无法保存");
                left_out.push(unkept.of(&file.name, &file.name));
            }
        }
    }
    debug!(event = id, files = attachments.len(), "a message");
    let mut inbound = Inbound {
        text,
        attachments,
        sent_at_ms,
        ..bare(from, id, Access::Granted)
    };
    for missing in left_out {
        missing.note(&mut inbound);
    }
    inbound
}

async fn keep(hub: &Hub, file: &File) -> Result<BlobRef, String> {
    let kept = hub.put_blob(&file.bytes, &file.name, &file.mime);
    match tokio::time::timeout(FILE_DEADLINE, kept).await {
        Ok(Ok(blob)) => Ok(blob),
        Ok(Err(unkept)) => Err(unkept.to_string()),
        Err(_) => Err(format!(
            "the hub did not keep it within {} s",
            FILE_DEADLINE.as_secs()
        )),
    }
}
