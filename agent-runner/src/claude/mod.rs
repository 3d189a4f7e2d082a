//! Claude Code: its command line, its protocol and its session files. Everything here is pure.

pub mod argv;
mod asks;
pub mod cost;
pub mod fault;
pub mod lines;
pub mod message;
mod pending;
pub mod protocol;
pub mod question;
pub mod tasks;
pub mod transcript;
mod words;

#[cfg(test)]
mod fixtures;
