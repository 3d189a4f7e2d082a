//! The real worker against a faithful fake Discord and a hub without a mind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

mod attachments;
mod doctor;
mod edits;
mod ends;
mod gateway;
mod inbound;
mod interactions;
mod nothing_lost;
mod outbound;
mod proxy;
mod relay;
mod shapes;
mod stage;
mod threads;
