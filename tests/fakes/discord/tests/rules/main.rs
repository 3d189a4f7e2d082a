//! Raw clients against the fake: each documented rule and each fault in a small test of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

mod client;
mod control;
mod faults;
mod gateway;
mod interactions;
mod messages;
mod permissions;
mod rest;
mod resume;
mod threads;
mod words;
