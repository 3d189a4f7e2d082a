//! The words that the hub and its peers (workers and runners) exchange, and how they are written
//! on a link.
//!
//! A frame is a big-endian `u32` length and one MessagePack map with named keys (an [`Envelope`]).
//! The length is checked against [`MAX_FRAME`] before anything is allocated for it.
//!
//! Promises:
//! - **Additive only.** A field may be added, with a default; none is renamed, retyped or reused.
//!   Unknown fields are ignored; an unknown kind decodes as [`Body::Unknown`] and is answered with
//!   a [`Nack`], so that an older peer survives a newer one. `vectors/` holds golden frames that
//!   are never edited after a release.
//! - **Grammar apart from features.** The schema version ([`SCHEMA`]) decides how frames are read;
//!   [`Capabilities`] decide what a peer is asked to do.
//! - **Nothing here does I/O** or knows the time: bytes in, envelopes out.

mod blob;
mod codec;
mod credit;
mod delivery;
mod envelope;
mod handshake;
mod inbound;
mod link_key;
mod sandbox;
mod turn;
mod workspace;

pub use blob::{BlobGet, BlobGone, BlobKept, BlobRef, BlobSegment, MAX_SEGMENT};
pub use codec::{Decoder, FrameError, MAX_FRAME, encode};
pub use credit::{Allowance, CREDIT_WINDOW, Credit, Grant, Overdrawn};
pub use delivery::{
    Activity, Card, Control, Deliver, Delivered, DeliveryFailed, DeliveryKept, Failure, Revise,
    SelectOption, Tone,
};
pub use envelope::{Body, Envelope, Nack};
pub use handshake::{
    Capabilities, CommandOption, CommandSpec, Cursor, Hello, Refuse, RefuseCode, SCHEMA,
    SCHEMA_MIN, Welcome, agree,
};
pub use inbound::{
    Accepted, Access, Act, CursorKept, CursorPut, Deferred, Inbound, Lack, MAX_TEXT, Sender,
};
pub use link_key::{LinkKey, LinkSecret};
pub use sandbox::{Refusal, Refused, Sandbox};
pub use turn::{
    Choice, CloseSession, Decide, Decision, Fault, Interrupt, OpenTurns, Outcome, Prompt, Question,
    QuestionKind, Remark, Standing, Trouble, TurnEvent, TurnRef, TurnStanding, TurnUpdate,
    TurnsAnswer, Unprompted, UnpromptedKept, UpdatesKept,
};
pub use workspace::{Worktree, Worktrees};
