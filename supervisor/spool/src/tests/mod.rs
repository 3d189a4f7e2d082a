//! Tests of the spool from within. Those that need processes of their own are in `tests/`.

mod blobs;
mod full;
mod inbox;
mod migration;
mod model;
mod outbox;
mod plans;
mod progress;
mod prune;
mod questions;
mod refusals;
mod samples;
mod sessions;
mod statements;
mod turns;
