//! From the moment at which the connection is gone to the one at which it stands again.

use std::time::Instant;

use anyhow::Result;
use fake_weibo::Event;
use harness::DEADLINE;
use nix::sys::signal::Signal;

use crate::report::{Times, figure};
use crate::rig::Rig;
use crate::rounds::Rounds;

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    let (mut cut, mut killed) = (Times::default(), Times::default());
    for _ in 0..rounds.kills {
        // A tree of its own each time: a second drop soon after would wait longer by design.
        let rig = Rig::start().await?;
        again(&rig, &mut cut, || rig.weibo.cut()).await?;
        let pid = rig.tree.pid("weibo-main").await;
        again(&rig, &mut killed, || rig.tree.signal(pid, Signal::SIGKILL)).await?;
    }
    figure(
        "TCP reset -> connected again (1 to 1.25 s of it wait by design)",
        cut,
    );
    figure(
        "kill -9 of weibo-worker -> connected again (first restart)",
        killed,
    );
    Ok(())
}

async fn again(rig: &Rig, times: &mut Times, end: impl FnOnce()) -> Result<()> {
    let since = rig.weibo.protocol().next();
    let connected = |event: &Event| matches!(event, Event::Connected { .. });
    let begun = Instant::now();
    end();
    rig.weibo
        .protocol()
        .wait_for_since(since, connected, DEADLINE)
        .await?;
    times.push(begun.elapsed());
    Ok(())
}
