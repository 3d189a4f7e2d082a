//! The WebSocket.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fake_kit::{Upgrade, WebSocket};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::faults::{Close, PongForm, once};
use crate::{Event, Order, Shared};

#[derive(Deserialize)]
pub(crate) struct Address {
    app_id: String,
    token: String,
}

pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Query(Address { app_id, token }): Query<Address>,
    upgrade: Upgrade,
) -> Response {
    let (refused, close) = {
        let mut state = shared.state();
        let good = app_id == shared.account.app_id && state.is_good(&token);
        let faults = &mut state.faults;
        let refused = once(&mut faults.upgrade, &mut faults.upgrade_times);
        // One that was refused is not there to be closed.
        let close = match refused {
            Some(_) => None,
            None => once(&mut faults.close, &mut faults.close_times),
        };
        let bad = || Close {
            code: 4002,
            reason: "invalid token".into(),
        };
        let mut close = close.or_else(|| (!good).then(bad));
        if let Some(close) = close.as_mut().filter(|_| faults.repeat_token) {
            close.reason = format!("{} {token}", close.reason);
        }
        (refused, close)
    };
    if let Some(status) = refused {
        shared.protocol.push(Event::Refused { status });
        return StatusCode::from_u16(status)
            .unwrap_or(StatusCode::FORBIDDEN)
            .into_response();
    }
    upgrade.accept(WebSocketConfig::default(), move |socket| async move {
        talk(shared, socket, close, token).await;
    })
}

async fn talk(shared: Arc<Shared>, socket: WebSocket, close: Option<Close>, token: String) {
    let (orders, mut inbox) = mpsc::unbounded_channel();
    let connection = {
        let mut state = shared.state();
        let connection = state.next_connection;
        state.next_connection += 1;
        if close.is_none() {
            if !state.faults.hold {
                for frame in state.unsent.drain(..) {
                    let _ = orders.send(Order::Send(frame)); // the other end is in our hand
                }
            }
            state.connections.insert(connection, orders);
        }
        connection
    };
    let mut talk = Talk {
        shared,
        socket,
        connection,
        token,
        deaf: false,
    };
    talk.shared.protocol.push(Event::Connected { connection });
    if let Some(Close { code, reason }) = close {
        talk.close(code, reason).await;
    } else {
        let connected = json!({"type": "connected", "app_id": talk.shared.account.app_id,
            "connection_id": connection.to_string(), "message": "ok"});
        talk.send(Message::text(connected.to_string())).await;
        while let Some(goes_on) = talk.step(&mut inbox).await {
            if !goes_on {
                let Talk {
                    shared,
                    socket,
                    connection,
                    ..
                } = talk;
                // It ends in any case.
                let _ = fake_kit::reset(socket);
                ended(&shared, connection, inbox);
                return;
            }
        }
    }
    ended(&talk.shared, connection, inbox);
}

/// Forgets the connection. What was said on it and never sent waits for the next.
fn ended(shared: &Shared, connection: u64, mut inbox: mpsc::UnboundedReceiver<Order>) {
    shared.state().connections.remove(&connection);
    inbox.close();
    while let Ok(order) = inbox.try_recv() {
        if let Order::Send(frame) = order {
            shared.deliver(frame);
        }
    }
    shared.protocol.push(Event::Closed { connection });
}

struct Talk {
    shared: Arc<Shared>,
    socket: WebSocket,
    connection: u64,
    token: String,
    deaf: bool,
}

impl Talk {
    /// One event; `None` = it is over, `Some(false)` = it is to be reset.
    async fn step(&mut self, inbox: &mut mpsc::UnboundedReceiver<Order>) -> Option<bool> {
        tokio::select! {
            message = self.socket.next() => match message? {
                Ok(Message::Text(text)) => Some(self.take(&text).await),
                Ok(Message::Close(_)) | Err(_) => None,
                Ok(Message::Pong(_)) => {
                    let connection = self.connection;
                    self.shared.protocol.push(Event::FramePong { connection });
                    Some(true)
                }
                Ok(_) => Some(true),
            },
            order = inbox.recv() => match order? {
                Order::Send(frame) => {
                    let connection = self.connection;
                    self.shared.protocol.push(Event::Said { connection, frame: frame.clone() });
                    self.send(Message::text(frame)).await;
                    Some(true)
                }
                Order::FramePing => {
                    self.send(Message::Ping(Vec::new().into())).await;
                    Some(true)
                }
                Order::Close(code, reason) => {
                    self.close(code, reason).await;
                    None
                }
                Order::Reset => Some(false),
            },
        }
    }

    /// Whether the connection goes on.
    async fn take(&mut self, text: &str) -> bool {
        let connection = self.connection;
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        match frame["type"].as_str() {
            Some("ping") => {
                self.shared.protocol.push(Event::Ping { connection });
                let (silent, form) = {
                    let faults = &self.shared.state().faults;
                    (faults.silent || self.deaf, faults.pong)
                };
                if !silent {
                    self.send(match form {
                        PongForm::Text => Message::text("pong"),
                        PongForm::Json => Message::text(r#"{"type":"pong"}"#),
                        PongForm::Frame => Message::Pong(Vec::new().into()),
                    })
                    .await;
                }
                true
            }
            Some("pong") => {
                self.shared.protocol.push(Event::Pong { connection });
                true
            }
            Some("send_message") => self.chunk(&frame["payload"]).await,
            _ => {
                self.violation("a frame of no known type".into()).await;
                true
            }
        }
    }

    async fn chunk(&mut self, payload: &Value) -> bool {
        if self.deaf {
            return true;
        }
        let taken = self.shared.state().phone.take(payload);
        let chunk = match taken {
            Ok(chunk) => chunk,
            Err(words) => {
                self.violation(words).await;
                return true;
            }
        };
        self.shared.protocol.push(Event::Chunk {
            connection: self.connection,
            uid: chunk.shown.uid.clone(),
            message_id: chunk.shown.message_id.clone(),
            chunk_id: chunk.chunk_id,
            done: chunk.shown.done,
        });
        self.shared.shown.push(chunk.shown);
        let faults = &mut self.shared.state().faults;
        self.deaf = reached(&mut faults.deaf_after);
        !reached(&mut faults.cut_after)
    }

    async fn violation(&mut self, words: String) {
        self.shared.protocol.push(Event::Violation {
            words: words.clone(),
        });
        let words = match self.shared.state().faults.repeat_token {
            true => format!("{words}: {}", self.token),
            false => words,
        };
        let error = json!({"type": "error", "code": 400, "message": words});
        self.send(Message::text(error.to_string())).await;
    }

    async fn send(&mut self, message: Message) {
        // A client that has gone is seen by the next read.
        let _ = self.socket.send(message).await;
    }

    async fn close(&mut self, code: u16, reason: String) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        let _ = self.socket.close(Some(frame)).await;
        // Until the client has read it, or gone.
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// Counts one down; whether that was the last.
fn reached(left: &mut Option<u32>) -> bool {
    match left {
        Some(0 | 1) => {
            *left = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}
