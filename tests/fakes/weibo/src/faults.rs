//! What can go wrong on request.

use serde::{Deserialize, Serialize};

/// What goes wrong. The default is: nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The token endpoint's.
    pub token: Option<TokenFault>,
    /// How often `token` still happens; absent = for ever.
    pub token_times: Option<u32>,
    /// What `expire_in` says; absent = 7199. The token is really refused after it.
    pub expire_in: Option<u64>,
    /// Refuse WebSockets with this status.
    pub upgrade: Option<u16>,
    /// How often `upgrade` still happens; absent = for ever.
    pub upgrade_times: Option<u32>,
    /// Close each WebSocket right after it was accepted.
    pub close: Option<Close>,
    /// How often `close` still happens; absent = for ever.
    pub close_times: Option<u32>,
    /// Answer no ping, and take everything else.
    pub silent: bool,
    /// How pings are answered.
    pub pong: PongForm,
    /// Reset the connection after so many more chunks were shown; then the fault is over.
    pub cut_after: Option<u32>,
    /// After so many more chunks were shown, show none and answer nothing on that connection, as
    /// if the line were dead; then the fault is over.
    pub deaf_after: Option<u32>,
    /// What `send_file` answers.
    pub file: Option<FileFault>,
    /// How often `file` still happens; absent = for ever.
    pub file_times: Option<u32>,
    /// Say nothing of the owner when a token is given.
    pub no_uid: bool,
    /// Repeat the token in every reason for closing and in every `error`, as careless services do.
    pub repeat_token: bool,
    /// Send what people say twice.
    pub duplicate: bool,
    /// Keep what people say until this is taken back.
    pub hold: bool,
}

/// How the token endpoint fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFault {
    /// With this status.
    Status(u16),
    /// With status 200 and this `code`.
    Code(i64),
    /// With a page for people.
    Html,
    /// It never answers.
    Hang,
    /// The connection is closed in place of an answer.
    Drop,
    /// With an answer that repeats the secret, as careless services do.
    Echo,
}

/// How `send_file` fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFault {
    /// With this status.
    Status(u16),
    /// With status 200 and this `code`.
    Code(i64),
    /// The file is there; the connection is closed in place of an answer.
    Drop,
    /// As if the token were wrong.
    Token,
}

/// A close frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Its code.
    pub code: u16,
    /// Its reason.
    #[serde(default)]
    pub reason: String,
}

/// The forms of a pong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PongForm {
    /// The bare text `pong`.
    #[default]
    Text,
    /// `{"type":"pong"}`.
    Json,
    /// A WebSocket pong frame.
    Frame,
}

/// Takes one of `times`; whether there was one.
pub(crate) fn once<T: Clone>(fault: &mut Option<T>, times: &mut Option<u32>) -> Option<T> {
    match times {
        Some(0) => {
            *fault = None;
            None
        }
        Some(left) => {
            *left -= 1;
            fault.clone()
        }
        None => fault.clone(),
    }
}
