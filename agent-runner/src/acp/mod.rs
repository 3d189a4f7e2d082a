//! The Agent Client Protocol: JSON-RPC 2.0, a line each, on an agent's stdin and stdout. Everything
//! here is pure. The shapes are those of the crate `agent-client-protocol-schema`, version 1.

mod asks;
mod flight;
mod form;
mod opening;
pub mod protocol;
mod rpc;
mod setup;
mod stray;
mod words;
