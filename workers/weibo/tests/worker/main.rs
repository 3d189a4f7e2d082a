//! The real worker between a Weibo that obeys what is known of it and a hub without a mind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

mod connection;
mod files;
mod inbound;
mod process;
mod replies;
mod stage;
mod token;
