//! What happens to the session and what it does: the words between [`super::session`] and its shell.

use std::borrow::Cow;
use std::time::Duration;

use super::close::Fatal;

/// Which address to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// That of `GET /gateway/bot`.
    Base,
    /// The session's own.
    Resume(String),
}

/// A session that can be resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resumable {
    pub(crate) session: String,
    /// `resume_gateway_url`; may be empty.
    pub(crate) url: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time passed; see [`super::session::Session::deadline`].
    Tick,
    /// The connection stands.
    Opened,
    /// It could not be made; in words.
    NotOpened(String),
    /// It ended, with the code of the peer's close frame if there was one.
    Closed(Option<u16>),
    /// Op 10.
    Hello(Duration),
    /// Op 1.
    BeatNow,
    /// Op 7.
    Reconnect,
    /// Op 9.
    Invalid { resumable: bool },
    /// READY.
    Ready(Resumable),
    /// RESUMED.
    Resumed,
    /// Any other frame. Like each of the above it is a sign of life.
    Heard,
    /// An IDENTIFY may go, and is committed as spent.
    MayIdentify,
    /// It may not yet.
    IdentifyLater(Duration),
    /// Nobody could tell; in words.
    BudgetUnknown(String),
    /// Events were dropped here: have them sent again.
    Replay,
    /// Begin a new session: the intents have changed.
    Renew,
}

impl Event {
    /// Any frame shows that the peer lives, not only an acknowledgement: floods delay those.
    pub(crate) fn is_sign_of_life(&self) -> bool {
        matches!(
            self,
            Event::Hello(_)
                | Event::BeatNow
                | Event::Reconnect
                | Event::Invalid { .. }
                | Event::Ready(_)
                | Event::Resumed
                | Event::Heard
        )
    }
}

/// What to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask whether an IDENTIFY may go, and commit it as spent if so.
    AskBudget,
    Connect(Host),
    /// Send a heartbeat.
    Beat,
    /// Send IDENTIFY.
    Identify,
    /// Send RESUME for this session.
    Resume(String),
    /// Send a close frame with this code and let go of the socket within 2 s, whatever the peer does.
    Close(u16),
    /// Let go of the connection, or of the attempt at one.
    Drop,
    /// The connection fell, or failed; in words for the status.
    Down(Cow<'static, str>),
    /// It stands again.
    Up {
        resumed: bool,
    },
    /// There is nothing more to try.
    Stop(Fatal),
}
