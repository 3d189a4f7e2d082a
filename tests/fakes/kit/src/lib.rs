//! What the fakes share.
//!
//! * [`Ledger`]: an append-only record of what happened, that tests wait on by event and not by polling.
//! * [`Server`]: an HTTP/1.1 server on a kernel-picked loopback port whose single connections can be cut on request.
//! * [`Upgrade`]: WebSocket over that server, down to the TCP stream, so that a fault can write raw bytes or reset it.
//! * [`control`]: the pieces of the HTTP control surface that every fake's binary has.
//!
//! Promises: loopback only, no sleeping inside, everything ends when its owner is dropped.
//! Does not: know any platform. The rules of a real service stand in the fake of that service.

pub mod control;
mod ledger;
mod server;
mod websocket;

pub use ledger::{Entry, Ledger, Timeout};
pub use server::{Connection, DropConnection, Server};
pub use websocket::{Upgrade, WebSocket, reset};

// The fakes speak the same versions as this crate.
pub use axum;
pub use tokio_tungstenite;
