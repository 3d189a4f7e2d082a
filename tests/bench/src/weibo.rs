//! Weibo: dedup over very many messages, the way back after a drop and after a kill, long replies.

mod dedup;
mod dropped;
mod replies;

use anyhow::Result;

use crate::report;
use crate::rounds::Rounds;

/// Takes all of its figures; whether nothing happened that must not.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    report::subject("weibo");
    dropped::run(rounds).await?;
    let mut well = replies::run(rounds).await?;
    well &= dedup::run(rounds).await?;
    Ok(well)
}
