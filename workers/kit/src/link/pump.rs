//! The shell of the link: connects, reads, writes, waits. What it all means stands in
//! [`super::session`], [`super::outgoing`] and [`super::relink`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{GenericFilePath, ToFsName as _};
use ipc_schema::{Decoder, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::relink::{Ended, Next, Relink};
use super::session::{Session, hello};
use super::{LinkAddress, LinkConfig, LinkEvent, Shared};

/// How long a Hello may stay unanswered. A hub that is being restarted leaves our connection in
/// the backlog of a socket that outlives it, and answers as soon as it is back.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How much is written at once; what is urgent waits for no more than this and one frame.
const BATCH: usize = 64 * 1024;

type Events = mpsc::Sender<(u64, LinkEvent)>;

/// Links, and links again, until the events are dropped or the hub refuses the schema.
pub(super) async fn run(config: LinkConfig, shared: Arc<Shared>, events: Events) {
    let mut relink = Relink::new();
    // Only a change of the reason is logged: a hub that is away for an hour is one line, not many.
    let mut last_reason = None;
    loop {
        let mut link = Link {
            config: &config,
            shared: &shared,
            events: &events,
            session: Session::default(),
            relink: &mut relink,
        };
        let ended = link.converse().await;
        let was_up = link.session.up;
        {
            let mut state = shared.state();
            state.out.close();
            state.writing = false;
        }
        shared.moved.notify_waiters();
        if was_up {
            last_reason = None;
        }
        let reason = match &ended {
            Ended::Abandoned => return,
            Ended::Fell(why) => {
                format!("no link to the hub at {}: {why}; trying on", config.address)
            }
            Ended::Refused(code, hint) => format!("the hub refused the link ({code:?}): {hint}"),
        };
        if last_reason.as_ref() != Some(&reason) {
            match &ended {
                Ended::Refused(..) => error!("{reason}"),
                _ => warn!("{reason}"),
            }
            last_reason = Some(reason);
        }
        let event = match ended.clone() {
            Ended::Refused(code, hint) => Some(LinkEvent::Refused { code, hint }),
            Ended::Fell(why) if was_up => Some(LinkEvent::Down { why }),
            _ => None,
        };
        if let Some(event) = event
            && events.send((0, event)).await.is_err()
        {
            return;
        }
        match relink.after(&ended, Instant::now(), fastrand::f64()) {
            Next::Stop => return,
            Next::Retry(delay) => tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = events.closed() => return,
            },
        }
    }
}

/// One attempt.
struct Link<'a> {
    config: &'a LinkConfig,
    shared: &'a Shared,
    events: &'a Events,
    session: Session,
    relink: &'a mut Relink,
}

impl Link<'_> {
    /// From the connection to its end.
    async fn converse(&mut self) -> Ended {
        let stream = match connect(&self.config.address).await {
            Ok(stream) => stream,
            Err(error) => return Ended::Fell(error.to_string()),
        };
        let (mut reader, mut writer) = (&stream, &stream);
        let mut outgoing = match encode(&hello(self.config)) {
            Ok(frame) => frame,
            Err(error) => return Ended::Fell(format!("our own hello: {error}")),
        };
        let mut written = 0;
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 16 * 1024];
        let mut pending = VecDeque::new();
        let handshake = tokio::time::sleep(HANDSHAKE);
        tokio::pin!(handshake);
        loop {
            while pending.is_empty() {
                match decoder.next() {
                    Ok(None) => break,
                    Ok(Some(envelope)) => match self.take(envelope) {
                        Ok(event) => pending.extend(event),
                        Err(ended) => return ended,
                    },
                    Err(junk) => return Ended::Fell(format!("the hub sent junk: {junk}")),
                }
            }
            if written == outgoing.len() {
                outgoing.clear();
                written = 0;
                pending.extend(self.fill(&mut outgoing));
            }
            tokio::select! {
                permit = self.events.reserve(), if !pending.is_empty() => {
                    let (Ok(permit), Some(event)) = (permit, pending.pop_front()) else {
                        return Ended::Abandoned;
                    };
                    permit.send(event);
                }
                () = self.events.closed() => return Ended::Abandoned,
                read = reader.read(&mut buffer), if pending.is_empty() => match read {
                    Ok(0) if decoder.in_mid_frame() => {
                        return Ended::Fell("the hub closed the link in mid-frame".into());
                    }
                    Ok(0) => return Ended::Fell("the hub closed the link".into()),
                    Ok(n) => decoder.feed(buffer.get(..n).unwrap_or_default()),
                    Err(error) => return Ended::Fell(error.to_string()),
                },
                wrote = writer.write(outgoing.get(written..).unwrap_or_default()),
                    if written < outgoing.len() => match wrote {
                    Ok(0) => return Ended::Fell("the hub takes no more bytes".into()),
                    Ok(n) => written += n,
                    Err(error) => return Ended::Fell(error.to_string()),
                },
                () = self.shared.wake.notified(), if written == outgoing.len() => {}
                () = &mut handshake, if !self.session.up => {
                    let seconds = HANDSHAKE.as_secs();
                    return Ended::Fell(format!("no answer to our hello within {seconds} s"));
                }
            }
        }
    }

    fn take(&mut self, envelope: ipc_schema::Envelope) -> Result<Option<(u64, LinkEvent)>, Ended> {
        let mut state = self.shared.state();
        let state = &mut *state;
        let event = self
            .session
            .received(envelope, &mut state.out, &mut state.grant)?;
        if matches!(event, Some(LinkEvent::Up(_))) {
            state.epoch += 1;
            self.relink.up(Instant::now());
            self.shared.moved.notify_waiters();
            info!("linked to the hub");
        }
        Ok(event.map(|event| (state.epoch, event)))
    }

    /// Takes a batch from the queue. What cannot be written as a frame is reported as nacked.
    fn fill(&mut self, outgoing: &mut Vec<u8>) -> Option<(u64, LinkEvent)> {
        let mut state = self.shared.state();
        let mut unsendable = None;
        while outgoing.len() < BATCH && unsendable.is_none() {
            let Some((ticket, envelope)) = state.out.pop() else {
                break;
            };
            match encode(&envelope) {
                Ok(frame) => outgoing.extend_from_slice(&frame),
                Err(error) => {
                    let why = error.to_string();
                    error!("something was too large for the link and is not sent: {why}");
                    let event = LinkEvent::Nacked {
                        ticket: Some(ticket),
                        why,
                    };
                    unsendable = Some((state.epoch, event));
                }
            }
        }
        state.writing = !outgoing.is_empty();
        drop(state);
        self.shared.moved.notify_waiters();
        unsendable
    }
}

async fn connect(address: &LinkAddress) -> io::Result<Stream> {
    let LinkAddress::Unix(path) = address;
    Stream::connect(path.as_os_str().to_fs_name::<GenericFilePath>()?).await
}
