//! What the tree costs while nobody says anything.

use std::time::Duration;

use anyhow::Result;

use crate::procs::{cpu_of, memory};
use crate::report::figure;
use crate::rig::Rig;
use crate::rounds::Rounds;

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    let rig = Rig::start().await?;
    let pids = rig.pids().await?;
    let all = || cpu_of(pids.values().copied());
    // This is the one place where time itself is what is waited for.
    let window = Duration::from_secs(rounds.idle_s);
    tokio::time::sleep(window / 5).await; // the dust of the start settles
    let before = all()?;
    tokio::time::sleep(window).await;
    let spent = all()?.saturating_sub(before);
    let mut parts = Vec::new();
    let mut sum = 0.0;
    for (name, pid) in &pids {
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 KiB")]
        let mib = memory(*pid)?.pss as f64 / 1024.0;
        sum += mib;
        parts.push(format!("{name} {mib:.1}"));
    }
    figure(
        "memory, idle: sum of PSS",
        format!("{sum:.1} MiB ({})", parts.join(", ")),
    );
    figure(
        &format!("CPU, idle, over {} s", rounds.idle_s),
        format!(
            "{:.3} % of a core",
            spent.as_secs_f64() * 100.0 / window.as_secs_f64()
        ),
    );
    Ok(())
}
