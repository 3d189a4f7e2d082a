//! What the two ledgers hold.
//!
//! [`Seen`] is what people saw in their clients; [`Wire`] is what bots did with the protocol. Both are append-only and in order.
//! They never hold a token.

use serde::Serialize;
use serde_json::Value;

use crate::Id;

/// One thing that people saw.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    /// A message appeared.
    Posted(Line),
    /// A message changed; the line is what it says now.
    Edited(Line),
    /// A message went away.
    Deleted {
        /// Where.
        channel: Id,
        /// Which.
        message: Id,
        /// Who deleted it.
        by: Id,
    },
    /// "… is typing", for ten seconds.
    Typing {
        /// Where.
        channel: Id,
        /// Who.
        user: Id,
    },
    /// A reaction came or went.
    Reacted {
        /// Where.
        channel: Id,
        /// On which message.
        message: Id,
        /// Whose.
        user: Id,
        /// Which.
        emoji: String,
        /// Came (true) or went.
        added: bool,
    },
    /// A thread was made.
    ThreadMade {
        /// The channel it hangs on.
        parent: Id,
        /// The thread.
        thread: Id,
        /// Its name.
        name: String,
        /// Who made it.
        by: Id,
    },
    /// An interaction was answered in time.
    Answered {
        /// Which.
        interaction: Id,
        /// Who had clicked or typed.
        user: Id,
        /// Callback type: 4 message, 5 deferred message, 6 deferred update, 7 update.
        callback: u64,
    },
    /// "This interaction failed": no answer within three seconds.
    Failed {
        /// Which.
        interaction: Id,
        /// Who had clicked or typed.
        user: Id,
    },
}

impl Seen {
    /// The line, if this is a message that appeared.
    #[must_use]
    pub fn posted(&self) -> Option<&Line> {
        match self {
            Self::Posted(line) => Some(line),
            _ => None,
        }
    }
}

/// A message as people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Where.
    pub channel: Id,
    /// Which.
    pub message: Id,
    /// Whose.
    pub author: Id,
    /// Whether a bot wrote it.
    pub from_bot: bool,
    /// Its text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<Id>,
    /// Who was notified by a mention, a role, @everyone or the reply itself.
    pub pings: Vec<Id>,
    /// Whether it was @everyone or @here that did it.
    pub everyone: bool,
    /// SUPPRESS_NOTIFICATIONS: no push, no sound.
    pub silent: bool,
    /// Its files.
    pub files: Vec<FileSeen>,
    /// Its embeds, as sent.
    pub embeds: Vec<Value>,
    /// Its components, as sent.
    pub components: Vec<Value>,
    /// The nonce it was sent with.
    pub nonce: Option<String>,
    /// For an ephemeral message, the only one who sees it.
    pub only_for: Option<Id>,
    /// "… is thinking": a deferred answer that has not come yet.
    pub loading: bool,
}

/// A file as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSeen {
    /// Name.
    pub name: String,
    /// Bytes.
    pub size: usize,
}

/// Which of the two gateway addresses a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// That of `GET /gateway/bot`.
    Base,
    /// That of `resume_gateway_url`.
    Resume,
}

/// What became of an IDENTIFY or a RESUME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// READY or RESUMED was sent.
    Accepted {
        /// The session.
        session: String,
        /// Events sent again.
        replayed: usize,
    },
    /// Op 9.
    Invalid {
        /// Its `d`.
        resumable: bool,
    },
    /// Closed with this code.
    Closed(u16),
    /// A fault: no answer at all.
    Ignored,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ender {
    /// The bot.
    Client,
    /// The fake, by rule or on request.
    Server,
}

/// One thing on the wire.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "wire", rename_all = "snake_case")]
pub enum Wire {
    /// A WebSocket was opened.
    Connected {
        /// Counts connections from 0.
        connection: u64,
        /// At which address.
        host: Host,
        /// The query, such as `v=10&encoding=json`.
        query: String,
    },
    /// An upgrade was refused on request.
    UpgradeRefused {
        /// At which address.
        host: Host,
        /// HTTP status.
        status: u16,
    },
    /// An IDENTIFY and what became of it.
    Identify {
        /// On which connection.
        connection: u64,
        /// Which bot, if the token was right.
        bot: Option<Id>,
        /// Intents asked for.
        intents: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A RESUME and what became of it.
    Resume {
        /// On which connection.
        connection: u64,
        /// At which address that is.
        host: Host,
        /// Session it named.
        session: String,
        /// Sequence it named.
        seq: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A heartbeat.
    Heartbeat {
        /// On which connection.
        connection: u64,
        /// Its `d`.
        seq: Option<u64>,
        /// Whether it was acknowledged.
        acked: bool,
    },
    /// Another opcode, such as a presence update.
    Received {
        /// On which connection.
        connection: u64,
        /// Which.
        op: u64,
    },
    /// A dispatch was sent to a session (whether or not it is connected).
    Dispatched {
        /// Which session.
        session: String,
        /// Its sequence.
        seq: u64,
        /// Its name.
        event: String,
    },
    /// A connection ended.
    Closed {
        /// Which.
        connection: u64,
        /// By whom.
        by: Ender,
        /// Close code, if there was a close frame.
        code: Option<u16>,
    },
    /// The IDENTIFY budget was overrun: every session ended and the token is void.
    TokenReset {
        /// Whose.
        bot: Id,
    },
    /// A REST request arrived.
    Request {
        /// Counts requests from 0.
        request: u64,
        /// Method.
        method: String,
        /// Path below the API base, with its query.
        path: String,
        /// Route template, such as `/channels/{channel.id}/messages`; empty if unknown.
        route: String,
        /// Which bot, if the token was right.
        bot: Option<Id>,
        /// JSON body, or `payload_json`.
        body: Value,
    },
    /// A REST request was stopped by a hold: before it was done, or with the response in hand.
    Held {
        /// Which request.
        request: u64,
        /// Which hold.
        hold: u64,
    },
    /// A REST request was answered.
    Response {
        /// Which request.
        request: u64,
        /// Method, again.
        method: String,
        /// Route template, again.
        route: String,
        /// HTTP status.
        status: u16,
        /// Discord's error code, if the body has one.
        code: Option<u64>,
    },
    /// A REST request was never answered: the client left, or a fault cut it.
    Unanswered {
        /// Which request.
        request: u64,
    },
    /// A file was asked of the CDN.
    Cdn {
        /// Path.
        path: String,
        /// HTTP status.
        status: u16,
        /// Whether the request carried an Authorization header, which it never should.
        authorized: bool,
    },
}
