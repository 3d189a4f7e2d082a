//! The Discord worker: an event until it is accepted, order and loss under rate limits, memory, the way back after a kill.

mod accepted;
mod limits;
mod memory;
mod resumed;

use anyhow::Result;

use crate::report;
use crate::rounds::Rounds;

/// Takes all of its figures; whether nothing happened that must not.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    report::subject("discord");
    accepted::run(rounds).await?;
    let well = limits::run(rounds).await?;
    memory::run(rounds).await?;
    resumed::run(rounds).await?;
    Ok(well)
}
