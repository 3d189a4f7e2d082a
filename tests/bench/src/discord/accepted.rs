//! From the gateway's event to `Accepted`: through the worker alone, and through worker and hub to the commit.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::report::{Times, figure};
use crate::rig::Rig;
use crate::rounds::Rounds;
use crate::spool::Reader;
use crate::worker::Discord;

/// Channels that the events are spread over.
const CHANNELS: usize = 10;

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    figure(
        "gateway event -> offered to the hub (the worker alone, a hub without a mind)",
        offered(rounds.latency).await?,
    );
    figure(
        "gateway event -> Accepted (worker and hub, until its commit is on disk)",
        committed(rounds.latency).await?,
    );
    Ok(())
}

async fn offered(rounds: usize) -> Result<Times> {
    let worker = Discord::start().await?;
    let scene = worker.discord.scene();
    let mut times = Times::default();
    for n in 0..rounds {
        let since = worker.hub.ledger().next();
        let begun = Instant::now();
        let id = worker
            .discord
            .user_says(scene.owner, scene.general, &format!("hello {n}"));
        let at = worker.offered(since, &id.to_string()).await?;
        times.push(at.duration_since(begun));
    }
    Ok(times)
}

async fn committed(rounds: usize) -> Result<Times> {
    let rig = Rig::start().await?;
    let owner = rig.discord.scene().owner;
    let channels = rig.channels(CHANNELS);
    let mut reader = Reader::open(&rig.tree.state_dir())?;
    let mut times = Times::default();
    for (n, channel) in channels.iter().cycle().take(rounds).enumerate() {
        let begun = Instant::now();
        let id = rig.discord.user_says(owner, *channel, &format!("#say {n}"));
        let look = move || {
            let seen = reader.committed("discord-main", &id.to_string());
            (reader, seen, Instant::now())
        };
        let (back, seen, at) = tokio::task::spawn_blocking(look).await.context("a look")?;
        seen?;
        reader = back;
        times.push(at.duration_since(begun));
        // The next is measured on a tree that rests.
        rig.discord
            .wait_reply(*channel, id, harness::DEADLINE)
            .await?;
    }
    Ok(times)
}
