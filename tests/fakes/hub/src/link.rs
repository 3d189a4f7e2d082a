//! One link: reads, answers by the rules, does as the test orders.

use std::sync::Arc;

use ipc_schema::{
    Accepted, BlobGet, BlobGone, BlobKept, BlobSegment, Body, Cursor, CursorKept, Decoder,
    DeliveryKept, Envelope, Grant, Hello, MAX_SEGMENT, Refuse, RefuseCode, Welcome, agree, encode,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::{Order, Seen, Shared, lock};

/// Takes links until the hub is dropped; none while it is away.
pub(crate) async fn accept(
    listener: UnixListener,
    shared: Arc<Shared>,
    mut away: watch::Receiver<bool>,
) {
    loop {
        if away.wait_for(|away| !away).await.is_err() {
            return;
        }
        let mut watched = away.clone();
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (orders, inbox) = mpsc::unbounded_channel();
                *lock(&shared.link) = Some(orders);
                tokio::spawn(talk(stream, Arc::clone(&shared), inbox, away.clone()));
            }
            gone = watched.changed() => if gone.is_err() { return },
        }
    }
}

async fn talk(
    stream: UnixStream,
    shared: Arc<Shared>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut away: watch::Receiver<bool>,
) {
    let (mut reader, writer) = stream.into_split();
    let mut link = Link {
        shared,
        writer,
        grant: Grant::default(),
        last_id: 0,
        welcomed: false,
    };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 * 1024];
    'talk: loop {
        tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(n) if n > 0 => decoder.feed(buffer.get(..n).unwrap_or_default()),
                _ => break,
            },
            order = orders.recv() => match order {
                Some(Order::Say(body, trace)) => link.say(body, &trace).await,
                Some(Order::Raw(bytes)) => link.write(&bytes).await,
                Some(Order::Drop) | None => break,
            },
            () = dies(&mut away) => break,
        }
        loop {
            match decoder.next() {
                Ok(Some(envelope)) => {
                    if !link.take(envelope).await {
                        break 'talk;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    link.shared.ledger.push(Seen::Junk(error.to_string()));
                    break 'talk;
                }
            }
        }
    }
    link.shared.ledger.push(Seen::Closed);
}

async fn dies(away: &mut watch::Receiver<bool>) {
    // An error means that the hub is gone, which is the same.
    let _ = away.wait_for(|away| *away).await;
}

struct Link {
    shared: Arc<Shared>,
    writer: tokio::net::unix::OwnedWriteHalf,
    grant: Grant,
    last_id: u64,
    welcomed: bool,
}

impl Link {
    /// Whether the link goes on.
    async fn take(&mut self, envelope: Envelope) -> bool {
        let rules = lock(&self.shared.rules).clone();
        let trace = envelope.trace.clone();
        let body = envelope.body.clone();
        let costs = body.costs_credit();
        match &body {
            Body::Hello(hello) => return self.greet(hello.clone(), &rules).await,
            _ if !self.welcomed => return true,
            // Noted before it is answered: a test that sees the answer's effect finds the cause.
            _ => self.shared.ledger.push(Seen::Got(envelope)),
        };
        if costs && rules.grant {
            if self.grant.received().is_err() {
                return false;
            }
            if let Some(credit) = self.grant.finished() {
                self.say(Body::Credit(credit), "").await;
            }
        }
        let answer = match body {
            Body::Inbound(inbound) if rules.accept => Some(Body::Accepted(Accepted {
                event_id: inbound.event_id,
            })),
            Body::CursorPut(put) if rules.keep_cursors => {
                lock(&self.shared.kept)
                    .cursors
                    .insert(put.name.clone(), put.value);
                Some(Body::CursorKept(CursorKept {
                    name: put.name,
                    number: put.number,
                }))
            }
            Body::Delivered(delivered) if rules.keep_results => {
                Some(Body::DeliveryKept(DeliveryKept { key: delivered.key }))
            }
            Body::DeliveryFailed(failed) if rules.keep_results => {
                Some(Body::DeliveryKept(DeliveryKept { key: failed.key }))
            }
            Body::BlobSegment(segment) => self
                .file(segment)
                .filter(|_| rules.keep_files)
                .map(Body::BlobKept),
            Body::BlobGet(get) => Some(self.piece(get)),
            _ => None,
        };
        if let Some(answer) = answer {
            self.say(answer, &trace).await;
        }
        true
    }

    async fn greet(&mut self, hello: Hello, rules: &crate::Rules) -> bool {
        let good_key = hello.link_key.0 == [1; 32];
        let schema = agree(hello.schema_min, hello.schema_max);
        self.shared.ledger.push(Seen::Hello(hello));
        if !rules.greet {
            return true;
        }
        let code = match (rules.refuse, schema) {
            (Some(code), _) => Err(code),
            (None, None) => Err(RefuseCode::Schema),
            (None, Some(_)) if !good_key => Err(RefuseCode::Key),
            (None, Some(schema)) => Ok(schema),
        };
        match code {
            Ok(schema) => {
                let cursors = lock(&self.shared.kept)
                    .cursors
                    .iter()
                    .map(|(name, value)| Cursor {
                        name: name.clone(),
                        value: value.clone(),
                    })
                    .collect();
                self.welcomed = true;
                let welcome = Welcome {
                    schema,
                    credit: rules.credit,
                    cursors,
                    commands: rules.commands.clone(),
                };
                self.say(Body::Welcome(welcome), "").await;
                true
            }
            Err(code) => {
                let hint = "the test says so".into();
                self.say(Body::Refuse(Refuse { code, hint }), "").await;
                false
            }
        }
    }

    /// Adds a piece; the file's name once it is whole and what its name says.
    fn file(&self, segment: BlobSegment) -> Option<BlobKept> {
        let mut kept = lock(&self.shared.kept);
        let file = kept.files.entry(segment.sha256.clone()).or_default();
        file.truncate(usize::try_from(segment.offset).ok()?);
        file.extend_from_slice(&segment.bytes);
        if file.len() as u64 != segment.total {
            return None;
        }
        let hash: String = Sha256::digest(&*file)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        (hash == segment.sha256).then_some(BlobKept {
            sha256: segment.sha256,
        })
    }

    /// A piece of a file that is kept.
    fn piece(&self, get: BlobGet) -> Body {
        let kept = lock(&self.shared.kept);
        let rest = kept.files.get(&get.sha256).and_then(|file| {
            let offset = usize::try_from(get.offset).ok()?;
            Some((file.len() as u64, file.get(offset..)?))
        });
        match rest {
            Some((total, rest)) => Body::BlobSegment(BlobSegment {
                sha256: get.sha256,
                offset: get.offset,
                total,
                bytes: rest.get(..MAX_SEGMENT).unwrap_or(rest).to_vec(),
            }),
            None => Body::BlobGone(BlobGone { sha256: get.sha256 }),
        }
    }

    async fn say(&mut self, body: Body, trace: &str) {
        self.last_id += 1;
        let envelope = Envelope {
            id: self.last_id,
            trace: trace.into(),
            body,
        };
        if let Ok(frame) = encode(&envelope) {
            self.write(&frame).await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        // The peer has gone: the reader sees it too.
        let _ = self.writer.write_all(bytes).await;
    }
}
