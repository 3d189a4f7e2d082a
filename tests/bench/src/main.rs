//! Figures of the real processes against the fakes, on this machine.
//!
//! ```text
//! cargo run --release -p bench -- discord          gateway event to Accepted, rate limits, memory, kill to RESUMED
//! cargo run --release -p bench -- weibo            a drop, long replies, a million messages deduplicated
//! cargo run --release -p bench -- runner           its own time a turn, memory a session, /stop, kills
//! cargo run --release -p bench -- tree             latency, throughput, CPU, memory, starts, kills
//! cargo run --release -p bench -- all
//! cargo run --release -p bench -- all --short      the same with few rounds: that it runs, not how fast
//! ```
//!
//! Each figure is printed as `min / median / p99 / max` of its `n` rounds, and what exactly was measured stands beside it. The first line
//! says how the programs were built, how many cores there are and the median of the disk's `fdatasync`, since every message waits for some.
//! The fakes run in this process and share the machine with what is measured: throughput is that of both together.
//! With `BULKHEAD_CLAUDE=/path/to/claude`, `runner` also takes the memory of that command line while it is idle.
//!
//! Promises: nothing is asserted of a time or a size. What must not happen at all (a message lost, doubled, out of order) is counted and
//! printed, and the exit code is 1 if it happened or if a figure could not be taken.
//! Does not: warm caches, pin cores or quiet the machine; run it on an idle one, twice.
//!
//! A subject is a file with a function that takes [`Rounds`] and prints through [`report`]; what several need is in `rig`, `worker`,
//! `desk`, `side`, `talk`, `procs` and `spool`.

#![allow(clippy::print_stdout, reason = "a command line's output")]

mod desk;
mod discord;
mod disk;
mod procs;
mod report;
mod rig;
mod rounds;
mod runner;
mod side;
mod spool;
mod talk;
mod tree;
mod weibo;
mod worker;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use crate::rounds::Rounds;

/// Measure the real processes against the fakes.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Args {
    /// What is measured
    #[arg(value_enum)]
    subject: Subject,

    /// Few rounds: that it runs, not how fast
    #[arg(long)]
    short: bool,

    /// Messages through the whole tree in `tree`'s throughput, and so the history of the latency after it
    #[arg(long)]
    messages: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The disk's fdatasync alone
    Disk,
    /// The Discord worker
    Discord,
    /// Weibo, through worker and hub
    Weibo,
    /// The runner, between a hub and agents of the bench's own
    Runner,
    /// The whole tree
    Tree,
    /// Everything
    All,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing happened that must not.
fn run(args: &Args) -> Result<bool> {
    let mut rounds = Rounds::new(args.short);
    rounds.throughput = args.messages.unwrap_or(rounds.throughput);
    if args.subject != Subject::Disk {
        harness::programs();
    }
    report::heading(&disk::fdatasync(rounds.disk)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(async {
        let mut well = true;
        if matches!(args.subject, Subject::Discord | Subject::All) {
            well &= discord::run(&rounds).await?;
        }
        if matches!(args.subject, Subject::Weibo | Subject::All) {
            well &= weibo::run(&rounds).await?;
        }
        if matches!(args.subject, Subject::Runner | Subject::All) {
            well &= runner::run(&rounds).await?;
        }
        if matches!(args.subject, Subject::Tree | Subject::All) {
            well &= tree::run(&rounds).await?;
        }
        Ok(well)
    })
}
