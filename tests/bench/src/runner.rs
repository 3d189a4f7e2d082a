//! The runner alone, with the fake Claude Code: its own time in a turn, what idle sessions cost, how fast a turn is stopped, and how fast
//! it goes on after a kill.

mod again;
mod beyond;
mod idle;
mod stop;

use anyhow::Result;

use crate::report;
use crate::rounds::Rounds;

/// Takes all of its figures; whether nothing happened that must not.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    report::subject("runner");
    let mut well = beyond::run(rounds).await?;
    idle::run(rounds).await?;
    well &= stop::run(rounds).await?;
    well &= again::run(rounds).await?;
    Ok(well)
}
