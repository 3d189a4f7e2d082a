//! What the worker has in memory over very many events.

use anyhow::Result;
use fake_hub::Seen;
use harness::DEADLINE;

use crate::procs::{Memory, memory};
use crate::report::figure;
use crate::rounds::Rounds;
use crate::worker::Discord;

const CHANNELS: usize = 100;
/// Events between two looks at the memory; also the most that are on their way at once.
const STEP: usize = 500;

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    let worker = Discord::start().await?;
    let (discord, pid) = (&worker.discord, worker.pid()?);
    let scene = discord.scene();
    let channels: Vec<_> = (0..CHANNELS)
        .map(|n| discord.add_channel(scene.guild, &format!("bench-{n}")))
        .collect();
    let mut seen = vec![memory(pid)?];
    let mut turn = channels.iter().cycle();
    let mut done = 0;
    while done < rounds.events {
        let since = worker.hub.ledger().next();
        let step = STEP.min(rounds.events - done);
        for n in done..done + step {
            if let Some(channel) = turn.next() {
                discord.user_says(scene.owner, *channel, &format!("event {n}"));
            }
        }
        let mut left = step;
        let all = |it: &Seen| {
            left -= usize::from(it.inbound().is_some());
            left == 0
        };
        worker
            .hub
            .ledger()
            .wait_for_since(since, all, DEADLINE)
            .await?;
        done += step;
        seen.push(memory(pid)?);
        worker
            .hub
            .ledger()
            .forget_before(worker.hub.ledger().next());
        discord.seen().forget_before(discord.seen().next());
        discord.wire().forget_before(discord.wire().next());
    }
    let at = |part: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let index = ((seen.len() - 1) as f64 * part) as usize;
        seen.get(index).copied().unwrap_or_default()
    };
    let most = seen.iter().map(|it| it.rss).max().unwrap_or(0);
    let words = |it: Memory| format!("{:.1}/{:.1}", mib(it.rss), mib(it.pss));
    figure(
        &format!(
            "memory of discord-worker over {} events, all accepted (RSS/PSS, MiB)",
            rounds.events
        ),
        format!(
            "start {}, middle {}, end {}; most RSS {:.1}",
            words(at(0.0)),
            words(at(0.5)),
            words(at(1.0)),
            mib(most),
        ),
    );
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
