//! Faults on request.
//!
//! Three kinds: those that wait for a coming connection, identify or resume ([`GatewayFault`]), those that happen now ([`Act`]), and those that
//! wait for a REST request ([`RestFault`]). All of them can be asked for in JSON over the control surface, in the same words.
//!
//! These are the words; `armed` keeps what waits, `strike` does what happens now. Does not: bend a rule that no fault names.

use serde::Deserialize;
use serde_json::Value;

use crate::Id;

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// The next so many times.
    Next(u32),
    /// For so many milliseconds of the fake's clock.
    ForMs(u64),
    /// Until it is cleared.
    Always,
}

impl Default for Times {
    fn default() -> Self {
        Self::Next(1)
    }
}

/// A fault for coming connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayFault {
    /// The upgrade is answered with this HTTP status.
    RefuseUpgrade {
        /// The status.
        status: u16,
    },
    /// The socket opens and nothing comes.
    NoHello,
    /// The socket opens and is closed at once: with a code, or without a close frame.
    AcceptClose {
        /// The code.
        #[serde(default)]
        code: Option<u16>,
    },
    /// Op 7 comes before Hello.
    ReconnectBeforeHello,
    /// A dispatch comes before Hello.
    DispatchBeforeHello,
    /// IDENTIFY gets op 9 `false`.
    RefuseIdentify,
    /// IDENTIFY gets no answer.
    SilentIdentify,
    /// RESUME gets op 9; `resumable: false` ends the session.
    RefuseResume {
        /// The `d` of op 9.
        #[serde(default)]
        resumable: bool,
    },
    /// RESUME gets no answer.
    SilentResume,
    /// After READY or RESUMED nothing comes any more, not even an answer to a close frame.
    MuteAfterReady,
    /// After READY or RESUMED heartbeats are not acknowledged; the rest works.
    NoAcksAfterReady,
}

/// What happens now, to every open connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Op 1: a heartbeat is wanted at once.
    AskHeartbeat,
    /// Op 7: please reconnect. `mute`: and then nothing more.
    Reconnect {
        /// Whether nothing comes after it.
        #[serde(default)]
        mute: bool,
    },
    /// Op 9. `resumable: false` ends the session.
    InvalidSession {
        /// Its `d`.
        #[serde(default)]
        resumable: bool,
    },
    /// A close frame.
    Close {
        /// Its code.
        code: u16,
    },
    /// The connection ends without a close frame.
    Cut {
        /// By a TCP reset.
        #[serde(default)]
        reset: bool,
    },
    /// Nothing comes any more.
    Mute,
    /// Heartbeats are not acknowledged any more.
    NoAcks,
    /// All is well again on the open connections.
    Unmute,
    /// The last event once more, with the same sequence.
    RepeatLast,
    /// The MESSAGE_CREATE of this message once more, as a new event.
    RepeatMessage {
        /// Which.
        message: Id,
    },
    /// An event of this name with this body, numbered as usual; any JSON, fitting or not.
    Event {
        /// `t`
        name: String,
        /// `d`
        body: Value,
    },
    /// A numbered dispatch whose body is this text, JSON or not.
    MalformedEvent {
        /// `t`
        name: String,
        /// What stands for `d`.
        body: String,
    },
    /// A text frame as it is.
    Text {
        /// The frame.
        frame: String,
    },
    /// A binary frame of this many bytes.
    Binary {
        /// How many.
        bytes: usize,
    },
    /// A text frame of this many bytes: an unknown event that is JSON, unnumbered.
    Oversize {
        /// How many.
        bytes: usize,
    },
    /// A message in this many fragments of this many bytes each that never ends.
    EndlessFragments {
        /// How many.
        count: usize,
        /// How large.
        bytes: usize,
    },
    /// Bytes that are no WebSocket frame at all.
    Junk {
        /// How many.
        bytes: usize,
    },
}

/// A fault for a REST request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestFault {
    /// Only requests of this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only this route: a template such as `/channels/{channel.id}/messages`, or a path below the API base.
    #[serde(default)]
    pub route: Option<String>,
    /// So many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// How often.
    #[serde(default)]
    pub times: Times,
    /// What.
    pub what: RestAct,
}

/// What strikes a REST request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestAct {
    /// Not done; this status, code and message instead.
    Error {
        /// HTTP status.
        status: u16,
        /// Discord's code.
        #[serde(default)]
        code: u64,
        /// Its words.
        #[serde(default)]
        message: String,
    },
    /// Not done; 429 of the route.
    UserLimit {
        /// Seconds.
        retry_after: f64,
        /// Whether it is the resource's limit and not the bot's.
        #[serde(default)]
        shared: bool,
    },
    /// Not done; the global 429.
    GlobalLimit {
        /// Seconds.
        retry_after: f64,
    },
    /// Not done; the HTML 429 of Cloudflare.
    Cloudflare {
        /// Seconds in `Retry-After`, if it has that header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Done, so many milliseconds later.
    Delay {
        /// How much.
        ms: u64,
    },
    /// Not done and never answered.
    Hang,
    /// Not done; the connection is cut.
    Cut,
    /// Done, and then the connection is cut in place of the response.
    LoseResponse,
    /// Held before it is done, until it is released.
    HoldRequest,
    /// Done; the response is held until it is released.
    HoldResponse,
    /// Done; 200 with a body that is not JSON.
    Garbage,
}

/// What a person changes in the developer portal, or Discord by itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Portal {
    /// The switch of the message content intent.
    ContentIntent(bool),
    /// The address for interactions over HTTP; with one, none come over the gateway.
    InteractionsEndpoint(Option<String>),
    /// The application belongs to a team of these people; empty: to its owner alone.
    Team(Vec<Id>),
    /// The token is void; open sessions end with 4004.
    VoidToken,
    /// The token works (again).
    RestoreToken,
    /// IDENTIFYs left, and milliseconds until there are more.
    IdentifyBudget {
        /// How many.
        remaining: u32,
        /// How long.
        reset_after_ms: u64,
    },
    /// An outage of a guild begins (GUILD_DELETE) or ends (GUILD_CREATE).
    GuildOutage {
        /// Which.
        guild: Id,
        /// Begins or ends.
        out: bool,
    },
    /// What someone may not do in a channel: permission bits, replacing what was denied before.
    Deny {
        /// Who.
        user: Id,
        /// Where.
        channel: Id,
        /// What.
        bits: u64,
    },
    /// Every attachment address issued so far is void.
    ExpireAttachments,
}

/// Any fault, as the control surface takes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// For coming connections.
    Gateway {
        /// What.
        what: GatewayFault,
        /// How often.
        #[serde(default)]
        times: Times,
    },
    /// At once.
    Now(Act),
    /// For REST requests.
    Rest(RestFault),
    /// In the portal of the first bot.
    Portal(Portal),
    /// All armed faults are off; what is held is released.
    Clear,
}
