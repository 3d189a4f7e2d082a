//! The whole tree: latency, throughput, what it costs, how fast it is there and back.

mod back;
mod idle;
mod load;

use anyhow::Result;

use crate::report;
use crate::rounds::Rounds;

/// Takes all of its figures; whether nothing happened that must not.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    report::subject(
        "the whole tree (monitor, hub, discord-worker, weibo-worker, agent-runner; an agent that answers at once)",
    );
    let well = load::run(rounds).await?;
    idle::run(rounds).await?;
    back::run(rounds).await?;
    Ok(well)
}
