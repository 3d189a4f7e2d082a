//! The gateway: sessions that outlive connections, and the connections.
//!
//! `protocol`, `identify` and `resume` hold the rules, `connection` the sockets. A [`Session`] has a sequence and a replay buffer; a [`Link`] is one WebSocket.

pub(crate) mod connection;
mod identify;
mod links;
mod protocol;
mod resume;
mod session;

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Id;
use crate::ledger::Host;

pub(crate) use session::Session;

/// Intent bits.
pub(crate) mod intent {
    pub(crate) const GUILDS: u64 = 1 << 0;
    pub(crate) const GUILD_MEMBERS: u64 = 1 << 1;
    pub(crate) const GUILD_PRESENCES: u64 = 1 << 8;
    pub(crate) const GUILD_MESSAGES: u64 = 1 << 9;
    pub(crate) const GUILD_REACTIONS: u64 = 1 << 10;
    pub(crate) const GUILD_TYPING: u64 = 1 << 11;
    pub(crate) const DIRECT_MESSAGES: u64 = 1 << 12;
    pub(crate) const DIRECT_REACTIONS: u64 = 1 << 13;
    pub(crate) const DIRECT_TYPING: u64 = 1 << 14;
    pub(crate) const MESSAGE_CONTENT: u64 = 1 << 15;
    /// Every bit that means something: 0 to 16, 20, 21, 24 and 25.
    pub(crate) const KNOWN: u64 = 0x1_ffff | 1 << 20 | 1 << 21 | 1 << 24 | 1 << 25;
}

/// What is to be written to a socket.
#[derive(Debug)]
pub(crate) enum Out {
    Text(String),
    Binary(Vec<u8>),
    /// Bytes for the TCP stream itself, under the WebSocket.
    Raw(Vec<u8>),
    /// A close frame, then the end once the peer has answered it.
    Close {
        code: u16,
        reason: String,
    },
    /// The end without a close frame, as a reset or in order.
    Cut {
        reset: bool,
    },
}

/// How deaf and dumb a link has become on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Normal,
    /// Heartbeats are not acknowledged; everything else works.
    NoAcks,
    /// Nothing more is sent, not even an answer to a close frame.
    Mute,
}

/// Frames that wait for one socket. A bot that lets more pile up is cut off, as a slow reader is by the real gateway.
pub(crate) const MOST_WAITING: usize = 1 << 16;

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) host: Host,
    pub(crate) out: mpsc::Sender<(Instant, Out)>,
    pub(crate) bot: Option<Id>,
    pub(crate) session: Option<String>,
    pub(crate) voice: Voice,
    pub(crate) hello_sent: bool,
    /// Times of the frames received in the last minute.
    pub(crate) received: VecDeque<u64>,
    /// Closed by the fake: what still comes in is nobody's business.
    pub(crate) closing: bool,
    pub(crate) latency_ms: u64,
}

impl Link {
    /// Queues a frame, unless the link is mute.
    pub(crate) fn send(&self, out: Out) {
        if self.voice == Voice::Mute {
            return;
        }
        let due = Instant::now() + std::time::Duration::from_millis(self.latency_ms);
        // Full or gone: either way the socket's task ends and says so.
        let _ = self.out.try_send((due, out));
    }

    /// Sends `{op, d}`.
    pub(crate) fn op(&self, op: u64, d: &serde_json::Value) {
        self.send(Out::Text(
            serde_json::json!({ "op": op, "d": d, "s": null, "t": null }).to_string(),
        ));
    }
}
