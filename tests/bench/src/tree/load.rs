//! Latency of one message at a time, throughput of many conversations, and the CPU that they cost.
//!
//! Throughput goes through Weibo: Discord takes 50 requests a second from a bot, and the worker keeps itself below that.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use harness::descendants;

use crate::procs::cpu_of;
use crate::report::figure;
use crate::rig::{Rig, agent_alone};
use crate::rounds::Rounds;
use crate::side::Side;
use crate::talk::{Outcome, one_by_one, talk};

/// Nothing for so long means that nothing more comes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two messages on Discord: an answer is two or three requests.
const PACE: Duration = Duration::from_millis(75);

pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let rig = Rig::start().await?;
    let channels = rig.channels(rounds.conversations);
    let pids = rig.pids().await?;
    let product = || cpu_of(pids.values().copied());
    let discord = || Side::discord(&rig.discord, &channels);
    let weibo = || Side::weibo(&rig.weibo, rounds.conversations);
    let one = |side, pace| one_by_one(side, rounds.latency, pace, PATIENCE);
    // Every agent is started and every session made before anything counts.
    let mut well = true;
    for side in [discord(), weibo()] {
        well &= talk(side, rounds.conversations, 1, PATIENCE).await.well();
    }

    for (name, side, pace) in [
        ("Discord", discord(), PACE),
        ("Weibo", weibo(), Duration::ZERO),
    ] {
        let first = one(side, pace).await;
        well &= first.well();
        let what = format!("message in -> answer out, {name}, one at a time");
        figure(&what, &first.times);
    }
    figure(
        "  of that the agent's own time, asked directly",
        agent_alone(rounds.latency).await?,
    );

    let before = (product()?, agents(&pids)?);
    let many = talk(weibo(), rounds.throughput, 1, PATIENCE).await;
    well &= many.well();
    let spent = (
        product()?.saturating_sub(before.0),
        agents(&pids)?.saturating_sub(before.1),
    );
    report(rounds, &many);
    let per = |time: Duration| time.as_secs_f64() / thousand(rounds.throughput);
    figure(
        "CPU for 1,000 of them: the tree; the agents beside it",
        format!("{:.3} s; {:.3} s", per(spent.0), per(spent.1)),
    );

    let last = one(weibo(), Duration::ZERO).await;
    well &= last.well();
    let history = rounds.throughput + 2 * (rounds.latency + rounds.conversations);
    figure(
        &format!("message in -> answer out, Weibo, after {history} messages of history"),
        &last.times,
    );
    Ok(well)
}

fn report(rounds: &Rounds, many: &Outcome) {
    #[allow(clippy::cast_precision_loss, reason = "a count of messages")]
    let rate = (rounds.throughput - many.lost) as f64 / many.took.as_secs_f64();
    figure(
        &format!(
            "messages a second, Weibo, {} over {} conversations",
            rounds.throughput, rounds.conversations
        ),
        format!(
            "{rate:.0}/s; lost {}, doubled {}, misordered {}, {} other messages",
            many.lost, many.doubled, many.misordered, many.others
        ),
    );
    figure("  message in -> answer out meanwhile", &many.times);
}

#[allow(clippy::cast_precision_loss, reason = "a count of messages")]
fn thousand(messages: usize) -> f64 {
    messages as f64 / 1000.0
}

/// What the agents have used: everything below the tree that is none of its own processes.
fn agents(pids: &BTreeMap<&'static str, i32>) -> Result<Duration> {
    let Some(monitor) = pids.get("monitor") else {
        return Ok(Duration::ZERO);
    };
    let own: Vec<i32> = pids.values().copied().collect();
    let below = descendants(*monitor);
    cpu_of(below.into_iter().filter(|pid| !own.contains(pid)))
}
