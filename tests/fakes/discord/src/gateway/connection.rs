//! The sockets of the gateway: a thin shell around `protocol`.
//!
//! Promises: one task a socket; its end is always told to the core, however it comes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fake_kit::{Upgrade, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use super::{Link, MOST_WAITING, Out, Voice, protocol::Heard};
use crate::core::Shared;
use crate::ledger::{Ender, Host, Wire};

/// How long a peer may take to answer our close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a mute peer keeps a socket that the bot has closed.
const MUTE_PATIENCE: Duration = Duration::from_secs(120);
/// Largest frame read; the rule of 4096 bytes is the protocol's and needs to see somewhat larger ones.
const LARGEST_READ: usize = 1 << 20;

/// The base address.
pub(crate) async fn base(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    upgrade: Upgrade,
) -> Response {
    accept(shared, Host::Base, &query.unwrap_or_default(), upgrade)
}

/// The address of `resume_gateway_url`.
pub(crate) async fn resume(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    upgrade: Upgrade,
) -> Response {
    accept(shared, Host::Resume, &query.unwrap_or_default(), upgrade)
}

fn accept(shared: Arc<Shared>, host: Host, query: &str, upgrade: Upgrade) -> Response {
    let asked: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let find = |key| {
        asked
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    if find("encoding").is_some_and(|it| it != "json") || find("compress").is_some() {
        let words = "this fake speaks uncompressed JSON only: leave out `compress` and say `encoding=json`\n";
        return (StatusCode::NOT_IMPLEMENTED, words).into_response();
    }
    let refused = {
        let mut core = shared.core();
        let now = core.now();
        core.faults.on_upgrade(now)
    };
    if let Some(status) = refused {
        shared.wire.push(Wire::UpgradeRefused { host, status });
        return StatusCode::from_u16(status)
            .unwrap_or(StatusCode::BAD_GATEWAY)
            .into_response();
    }
    let version_ok = find("v") == Some("10");
    let query = query.to_owned();
    let config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_READ))
        .max_frame_size(Some(LARGEST_READ));
    upgrade.accept(config, move |socket| async move {
        let (out, queue) = mpsc::channel(MOST_WAITING);
        let id = {
            let mut core = shared.core();
            let id = core.next_link;
            core.next_link += 1;
            let latency_ms = core.options.latency_ms;
            let link = Link {
                id,
                host,
                out,
                bot: None,
                session: None,
                voice: Voice::Normal,
                hello_sent: false,
                received: VecDeque::new(),
                closing: false,
                latency_ms,
            };
            core.opened(link, &query, version_ok);
            id
        };
        // However this task ends, also by being dropped with the server, the core hears of it.
        let mut farewell = Farewell {
            shared: Arc::clone(&shared),
            id,
            by: Ender::Server,
            code: None,
        };
        farewell.code = talk(&shared, id, socket, queue).await;
        farewell.by = Ender::Client;
    })
}

struct Farewell {
    shared: Arc<Shared>,
    id: u64,
    by: Ender,
    code: Option<u16>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.shared.core().gone(self.id, self.by, self.code);
    }
}

/// Speaks until the socket is over; gives the code of the bot's close frame, if it sent one.
async fn talk(
    shared: &Shared,
    id: u64,
    mut socket: WebSocket,
    mut queue: mpsc::Receiver<(Instant, Out)>,
) -> Option<u16> {
    let patience = {
        let core = shared.core();
        Duration::from_millis(core.options.heartbeat_ms + core.options.heartbeat_grace_ms)
    };
    let mut beat_due = Instant::now() + patience;
    let mut waiting: Option<(Instant, Out)> = None;
    loop {
        // What is due is written at once: a timer would add up to a millisecond.
        if let Some((_, out)) = waiting.take_if(|(due, _)| *due <= Instant::now()) {
            match write(&mut socket, out).await {
                Ok(Next::Go) => {}
                Ok(Next::Closing) => return answered_close(&mut socket).await,
                Ok(Next::Cut { reset }) => {
                    if reset {
                        // Where the option cannot be set it ends in order, which is as abrupt for the bot.
                        let _ = fake_kit::reset(socket);
                    }
                    return None;
                }
                Err(_) => return None,
            }
        }
        let due = waiting.as_ref().map_or_else(Instant::now, |(due, _)| *due);
        tokio::select! {
            next = queue.recv(), if waiting.is_none() => match next {
                Some(next) => waiting = Some(next),
                None => return None,
            },
            () = sleep_until(due), if waiting.is_some() => {}
            frame = socket.next() => match frame {
                Some(Ok(Message::Text(text))) => {
                    if shared.core().received(id, text.as_str()) == Heard::Heartbeat {
                        beat_due = Instant::now() + patience;
                    }
                }
                Some(Ok(Message::Binary(_))) => shared.core().close_link(id, 4002, "Error while decoding payload."),
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map(|frame| u16::from(frame.code));
                    if shared.core().is_mute(id) {
                        shared.core().gone(id, Ender::Client, code);
                        linger(&mut socket).await;
                    } else {
                        let _ = socket.flush().await; // the answer to the close frame
                    }
                    return code;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            },
            () = sleep_until(beat_due) => {
                beat_due = Instant::now() + patience;
                shared.core().beat_missed(id);
            }
        }
    }
}

enum Next {
    Go,
    Closing,
    Cut { reset: bool },
}

async fn write(
    socket: &mut WebSocket,
    out: Out,
) -> Result<Next, tokio_tungstenite::tungstenite::Error> {
    match out {
        Out::Text(text) => socket.send(Message::text(text)).await?,
        Out::Binary(bytes) => socket.send(Message::binary(bytes)).await?,
        Out::Raw(bytes) => {
            socket.flush().await?;
            socket
                .get_mut()
                .write_all(&bytes)
                .await
                .map_err(tokio_tungstenite::tungstenite::Error::Io)?;
        }
        Out::Close { code, reason } => {
            let frame = CloseFrame {
                code: code.into(),
                reason: reason.into(),
            };
            socket.send(Message::Close(Some(frame))).await?;
            return Ok(Next::Closing);
        }
        Out::Cut { reset } => return Ok(Next::Cut { reset }),
    }
    Ok(Next::Go)
}

/// After our close frame: reads until the bot's answer, with patience.
async fn answered_close(socket: &mut WebSocket) -> Option<u16> {
    let answer = async {
        while let Some(Ok(frame)) = socket.next().await {
            if let Message::Close(frame) = frame {
                let _ = socket.flush().await;
                return frame.map(|frame| u16::from(frame.code));
            }
        }
        None
    };
    timeout(CLOSE_PATIENCE, answer).await.ok().flatten()
}

/// A mute peer does not answer a close frame: it holds the socket until the bot lets go of it.
async fn linger(socket: &mut WebSocket) {
    let gone = async {
        let mut sink = [0; 1024];
        while let Ok(1..) = socket.get_mut().read(&mut sink).await {}
        Ok::<(), io::Error>(())
    };
    let _ = timeout(MUTE_PATIENCE, gone).await;
}
