//! From `kill -9` of the worker to RESUMED: its first restart by the monitor, the link, the connection.

use std::time::Instant;

use anyhow::{Result, bail};
use fake_discord::{Outcome, Wire};
use harness::DEADLINE;
use nix::sys::signal::Signal;

use crate::report::{Times, figure};
use crate::rig::Rig;
use crate::rounds::Rounds;

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    let mut times = Times::default();
    for _ in 0..rounds.kills {
        // A tree of its own each time: a second restart would wait longer by design.
        let rig = Rig::start().await?;
        settle(&rig).await?;
        let pid = rig.tree.pid("discord-main").await;
        let since = rig.discord.wire().next();
        let begun = Instant::now();
        rig.tree.signal(pid, Signal::SIGKILL);
        let greeted = rig.discord.wait_connected(since, DEADLINE).await?;
        times.push(begun.elapsed());
        let Wire::Resume {
            outcome: Outcome::Accepted { .. },
            ..
        } = greeted.what
        else {
            bail!("the worker came back with a new session: {greeted:?}");
        };
    }
    figure("kill -9 of discord-worker -> RESUMED", times);
    Ok(())
}

/// One message and its answer, so that there is a session worth resuming.
async fn settle(rig: &Rig) -> Result<()> {
    let owner = rig.discord.scene().owner;
    let asked = rig.discord.dm(owner, "#say ready");
    let dm = rig.discord.dm_channel(owner);
    rig.discord.wait_reply(dm, asked, DEADLINE).await?;
    Ok(())
}
