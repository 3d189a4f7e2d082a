//! The hub: routes between chats and agents, keeps the spool, decides what is said and when.
//!
//! Promises:
//! - What it has called `Accepted` is on disk, with what comes of it.
//! - Nothing is sent before the transaction that decided it is committed; killed at any instant it
//!   starts again from the spool and agrees anew with its peers.
//! - It has no network and no secret of a platform. Message bodies never reach its log.
//!
//! It does not watch over processes (the monitor does), nor speak any platform's protocol (the
//! workers do), nor drive agents (the runners do).

pub mod answer;
pub mod command;
pub mod control;
pub mod engine;
pub mod form;
pub mod handshake;
pub mod ids;
pub mod lane;
pub mod link;
pub mod menu;
pub mod mode;
pub mod outgoing;
pub mod pace;
pub mod plan;
pub mod progress;
pub mod prompt;
pub mod question;
pub mod rate;
pub mod roles;
pub mod run;
pub mod serve;
pub mod texts;
pub mod turn;
pub mod used;
