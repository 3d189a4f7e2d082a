//! From nothing to connected, and from a kill to being back.

use std::time::Instant;

use anyhow::Result;
use fake_claude::{ClaudeControl, Point};
use harness::DEADLINE;
use nix::sys::signal::Signal;

use crate::report::{Times, figure};
use crate::rig::{Rig, Stage};
use crate::rounds::Rounds;

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    let (mut started, mut worker, mut hub, mut runner) = Default::default();
    for _ in 0..rounds.kills {
        start(&mut started).await?;
        killed_worker(&mut worker).await?;
        killed_hub(&mut hub).await?;
        killed_runner(&mut runner).await?;
    }
    figure("cold start -> both platforms connected", started);
    figure("kill -9 of a worker -> ready again (first restart)", worker);
    figure("kill -9 of the hub -> a message said then is answered", hub);
    figure("kill -9 of the runner in mid-answer -> the answer", runner);
    Ok(())
}

async fn start(times: &mut Times) -> Result<()> {
    let stage = Stage::new().await?;
    let begun = Instant::now();
    let _rig = stage.connect().await?;
    times.push(begun.elapsed());
    Ok(())
}

async fn killed_worker(times: &mut Times) -> Result<()> {
    let rig = Rig::start().await?;
    let pid = rig.tree.pid("discord-main").await;
    let since = rig.tree.log.next();
    let ready = |line: &String| line.contains("ready process=\"discord-main\"");
    let begun = Instant::now();
    rig.tree.signal(pid, Signal::SIGKILL);
    rig.tree.log.wait_for_since(since, ready, DEADLINE).await?;
    times.push(begun.elapsed());
    Ok(())
}

async fn killed_hub(times: &mut Times) -> Result<()> {
    let rig = Rig::start().await?;
    let owner = rig.discord.scene().owner;
    let dm = rig.discord.dm_channel(owner);
    // The agent is there already; it is the hub that is waited for.
    let asked = rig.discord.dm(owner, "#say before");
    rig.discord.wait_reply(dm, asked, DEADLINE).await?;
    let pid = rig.tree.pid("hub").await;
    let begun = Instant::now();
    rig.tree.signal(pid, Signal::SIGKILL);
    let asked = rig.discord.dm(owner, "#say after");
    let answer = |line: &fake_discord::Line| line.text == "after";
    rig.discord.wait_line(dm, asked, answer, DEADLINE).await?;
    times.push(begun.elapsed());
    Ok(())
}

async fn killed_runner(times: &mut Times) -> Result<()> {
    let control = ClaudeControl::start().await?;
    let rig = Stage::held_by(&control).await?.connect().await?;
    let owner = rig.discord.scene().owner;
    let dm = rig.discord.dm_channel(owner);
    let asked = rig.discord.dm(owner, "#say after\n#hold first-delta");
    control.held(Point::FirstDelta, DEADLINE).await?;
    let pid = rig.tree.pid("runner-demo").await;
    let begun = Instant::now();
    rig.tree.signal(pid, Signal::SIGKILL);
    let answer = |line: &fake_discord::Line| line.text == "after";
    rig.discord.wait_line(dm, asked, answer, DEADLINE).await?;
    times.push(begun.elapsed());
    Ok(())
}
