//! One link: bytes in and out of a socket, frames and credits on top.
//!
//! A link that breaks a rule (junk, half a frame, a wrong key, more data than it was granted) is
//! closed with a logged reason; nobody else notices.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::tokio::{Listener, Stream};
use ipc_schema::{
    Body, CREDIT_WINDOW, Credit, Decoder, Envelope, FrameError, Grant, Hello, LinkSecret,
    Overdrawn, Refuse, encode,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::handshake::judge;
use crate::outgoing::{Full, Outgoing};

/// A peer must have said Hello by then.
const HELLO: Duration = Duration::from_secs(5);
/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Strangers that may be in mid-handshake on one listener.
const HANDSHAKES: usize = 4;

/// What a link tells the hub.
#[derive(Debug)]
pub enum FromLink {
    /// A peer proved itself.
    Up {
        /// The hub's end.
        link: Link,
        /// What it said.
        hello: Box<Hello>,
        /// The grammar.
        schema: u32,
    },
    /// It said something.
    Got {
        /// Which link of the peer's.
        number: u64,
        /// What.
        envelope: Box<Envelope>,
    },
    /// The link is gone.
    Down {
        /// Which link of the peer's.
        number: u64,
    },
}

/// The hub's end of a link. Dropping it closes the link once everything that may go has gone.
#[derive(Debug)]
pub struct Link {
    /// Tells links of one peer apart.
    pub number: u64,
    queue: Rc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    outgoing: RefCell<Outgoing>,
    closed: RefCell<bool>,
    changed: Notify,
}

impl Link {
    /// Queues an envelope.
    ///
    /// # Errors
    /// [`Full`] if the peer does not read: drop the link.
    pub fn send(&self, trace: String, body: Body) -> Result<(), Full> {
        self.queue.outgoing.borrow_mut().push(trace, body)?;
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.queue.closed.replace(true);
        self.queue.changed.notify_one();
    }
}

/// One peer's door: its name, its secret, and where its links report.
pub struct Door {
    /// The process name.
    pub peer: String,
    /// What its keys are checked against.
    pub secret: LinkSecret,
    /// Where to report, with the peer's name.
    pub report: mpsc::Sender<(String, FromLink)>,
}

/// Lets peers in at one listener, for ever.
pub async fn admit(listener: Listener, door: Door) {
    let door = Rc::new(door);
    let newest = Rc::new(RefCell::new(0));
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    let mut number = 0;
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(peer = %door.peer, %error, "cannot accept a link");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Strangers wait in the kernel's backlog while others are being looked at.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        number += 1;
        let (door, newest) = (Rc::clone(&door), Rc::clone(&newest));
        tokio::task::spawn_local(async move {
            let mut place = Some(place);
            let why = serve(stream, &door, &newest, number, &mut place).await;
            tracing::info!(peer = %door.peer, why = %why, "link closed");
            let _ = door
                .report
                .send((door.peer.clone(), FromLink::Down { number }))
                .await;
        });
    }
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the peer closed it")]
    Closed,
    #[error("it ended in the middle of a frame")]
    HalfFrame,
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Overdrawn(#[from] Overdrawn),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no Hello within {} s", HELLO.as_secs())]
    Mute,
    #[error("refused: {0}")]
    Refused(String),
    #[error("it belongs to uid {0}, not to this hub's")]
    Stranger(u32),
    #[error("the hub closed it")]
    Ours,
    #[error("{0}")]
    Full(#[from] Full),
}

async fn serve(
    stream: Stream,
    door: &Door,
    newest: &RefCell<u64>,
    number: u64,
    place: &mut Option<OwnedSemaphorePermit>,
) -> End {
    match talk(stream, door, newest, number, place).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn talk(
    stream: Stream,
    door: &Door,
    newest: &RefCell<u64>,
    number: u64,
    place: &mut Option<OwnedSemaphorePermit>,
) -> Result<std::convert::Infallible, End> {
    let uid = peer_uid(&stream)?;
    if uid != nix::unistd::geteuid().as_raw() && uid != 0 {
        return Err(End::Stranger(uid));
    }
    let (mut from, mut to) = (&stream, &stream);
    let mut decoder = Decoder::default();
    let first = tokio::time::timeout(HELLO, read_one(&mut from, &mut decoder))
        .await
        .map_err(|_| End::Mute)??;
    let judged = judge(&first.body, &door.peer, &door.secret, *newest.borrow());
    let (hello, schema) = match judged {
        Ok(judged) => judged,
        Err(refuse) => return Err(send_off(&mut to, refuse).await),
    };
    newest.replace(hello.generation);
    place.take();
    let queue = Rc::new(Queue::default());
    let link = Link {
        number,
        queue: Rc::clone(&queue),
    };
    let up = FromLink::Up {
        link,
        hello: Box::new(hello),
        schema,
    };
    let report = |what| async move {
        door.report
            .send((door.peer.clone(), what))
            .await
            .map_err(|_| End::Ours)
    };
    report(up).await?;
    tokio::select! {
        end = read(&mut from, &mut decoder, &queue, number, report) => end,
        end = write(&mut to, &queue) => end,
    }
}

async fn read_one(
    from: &mut (impl AsyncRead + Unpin),
    decoder: &mut Decoder,
) -> Result<Envelope, End> {
    let mut buffer = vec![0; READ];
    loop {
        if let Some(envelope) = decoder.next()? {
            return Ok(envelope);
        }
        match from.read(&mut buffer).await? {
            0 if decoder.in_mid_frame() => return Err(End::HalfFrame),
            0 => return Err(End::Closed),
            n => decoder.feed(&buffer[..n]),
        }
    }
}

async fn read<F: Future<Output = Result<(), End>>>(
    from: &mut (impl AsyncRead + Unpin),
    decoder: &mut Decoder,
    queue: &Queue,
    number: u64,
    report: impl Fn(FromLink) -> F,
) -> Result<std::convert::Infallible, End> {
    let mut grant = Grant::default();
    loop {
        let envelope = read_one(from, decoder).await?;
        if let Body::Credit(credit) = envelope.body {
            queue.outgoing.borrow_mut().grant(credit);
            queue.changed.notify_one();
            continue;
        }
        let data = envelope.body.costs_credit();
        if data {
            grant.received()?;
        }
        // Bounded: waits while the hub has enough to do, and so does the peer's credit.
        report(FromLink::Got {
            number,
            envelope: Box::new(envelope),
        })
        .await?;
        if data && let Some(credit) = grant.finished() {
            queue
                .outgoing
                .borrow_mut()
                .push(String::new(), Body::Credit(credit))?;
            queue.changed.notify_one();
        }
    }
}

async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    queue: &Queue,
) -> Result<std::convert::Infallible, End> {
    loop {
        let mut bytes = Vec::new();
        while bytes.len() < READ
            && let Some(envelope) = queue.outgoing.borrow_mut().pop()
        {
            match encode(&envelope) {
                Ok(frame) => bytes.extend_from_slice(&frame),
                // One of ours is too long: losing it is a bug, losing the link as well is worse.
                Err(error) => tracing::error!(%error, "an envelope cannot be sent"),
            }
        }
        if !bytes.is_empty() {
            to.write_all(&bytes).await?;
        } else if *queue.closed.borrow() {
            return Err(End::Ours);
        } else {
            queue.changed.notified().await;
        }
    }
}

async fn send_off(to: &mut (impl AsyncWrite + Unpin), refuse: Refuse) -> End {
    let why = refuse.hint.clone();
    let envelope = Envelope {
        id: 1,
        trace: String::new(),
        body: Body::Refuse(refuse),
    };
    if let Ok(frame) = encode(&envelope) {
        let _ = tokio::time::timeout(HELLO, to.write_all(&frame)).await;
    }
    End::Refused(why)
}

fn peer_uid(stream: &Stream) -> std::io::Result<u32> {
    use std::os::fd::AsFd as _;
    let Stream::UdSocket(socket) = stream;
    let credentials =
        nix::sys::socket::getsockopt(&socket.as_fd(), nix::sys::socket::sockopt::PeerCredentials)?;
    Ok(credentials.uid())
}

/// What a peer may send before it is granted more.
pub const FIRST_CREDIT: Credit = Credit {
    frames: CREDIT_WINDOW,
};
