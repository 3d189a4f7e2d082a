//! Very many messages through worker and hub, the first ones repeated all the time: what the two have in memory, and whether a repeat is
//! ever taken for new.
//!
//! Each person's first message is answered; the rest is taken in, deduplicated and, since the hub's limit is one, refused in words now and
//! then. The first messages are sent again, byte for byte, at every step: whatever is answered twice was not known.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use fake_weibo::Event;
use harness::DEADLINE;
use serde_json::Value;

use crate::procs::{Memory, memory};
use crate::report::figure;
use crate::rig::{Rig, Stage};
use crate::rounds::Rounds;
use crate::side::FIRST_UID;
use crate::spool::Reader;

/// People, and so messages that are answered and repeated.
const PEOPLE: usize = 20;
/// Messages between two looks; also the most that are on their way at once.
const STEP: usize = 1000;

pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let rig = Stage::of_one_answer().await?.connect().await?;
    rig.tree.logged("bulkhead is running").await;
    let mut answers = HashMap::new();
    let repeated = first(&rig, &mut answers).await?;
    let (worker, hub) = (rig.tree.pid("weibo-main").await, rig.tree.pid("hub").await);
    let mut seen = vec![(memory(worker)?, memory(hub)?)];
    let mut reader = Reader::open(&rig.tree.state_dir())?;
    let begun = Instant::now();
    let mut done = 0;
    while done < rounds.dedup {
        let step = STEP.min(rounds.dedup - done);
        let said: Vec<String> = (done..done + step)
            .map(|n| rig.weibo.user_says(uid(n), &format!("message {n}")))
            .collect();
        repeated
            .iter()
            .for_each(|payload| rig.weibo.user_sends(payload));
        let look = move || {
            // The last of each person's.
            let mut last = said.iter().rev().take(PEOPLE);
            let committed = last.try_for_each(|id| reader.committed("weibo-main", id));
            (reader, committed)
        };
        let (back, committed) = tokio::task::spawn_blocking(look).await.context("a look")?;
        committed?;
        reader = back;
        done += step;
        seen.push((memory(worker)?, memory(hub)?));
        collect(&rig, &mut answers);
        rig.weibo
            .protocol()
            .forget_before(rig.weibo.protocol().next());
    }
    let took = begun.elapsed();
    // The last repeats are behind the last messages; a command's answer is behind them.
    for n in 0..PEOPLE {
        rig.weibo.user_says(uid(n), "/whoami");
        let whoami = |shown: &fake_weibo::Shown| shown.text.contains(&format!("dm:{}", uid(n)));
        rig.weibo.shown().wait_for(whoami, DEADLINE).await?;
    }
    collect(&rig, &mut answers);
    let doubled: usize = answers.values().map(|times| times - 1).sum();
    let whose = [
        (
            "weibo-worker",
            seen.iter().map(|(it, _)| *it).collect::<Vec<_>>(),
        ),
        ("hub", seen.iter().map(|(_, it)| *it).collect()),
    ];
    for (name, seen) in whose {
        figure(
            &format!("memory of {name} over {done} messages (RSS/PSS, MiB)"),
            course(&seen),
        );
    }
    #[allow(clippy::cast_precision_loss, reason = "a count of messages")]
    let rate = done as f64 / took.as_secs_f64();
    let repeats = PEOPLE * done.div_ceil(STEP);
    figure(
        "  taken in, each known by its id from then on",
        format!("{rate:.0}/s; of {repeats} repeats answered again: {doubled}"),
    );
    Ok(doubled == 0)
}

/// Says the first messages, and waits for their answers; the messages.
async fn first(rig: &Rig, answers: &mut HashMap<String, usize>) -> Result<Vec<Value>> {
    for n in 0..PEOPLE {
        let since = rig.weibo.shown().next();
        rig.weibo.user_says(uid(n), &format!("#say known-{n}"));
        let known = format!("known-{n}");
        let answer = |shown: &fake_weibo::Shown| shown.text == known;
        rig.weibo
            .shown()
            .wait_for_since(since, answer, DEADLINE)
            .await?;
    }
    collect(rig, answers);
    let said = rig.weibo.protocol().filter_map(|event| match event {
        Event::Said { frame, .. } => serde_json::from_str::<Value>(frame).ok(),
        _ => None,
    });
    let payloads: Vec<Value> = said
        .into_iter()
        .map(|mut it| it["payload"].take())
        .collect();
    ensure!(payloads.len() == PEOPLE, "{} were sent", payloads.len());
    Ok(payloads)
}

fn uid(n: usize) -> u64 {
    FIRST_UID + (n % PEOPLE) as u64
}

/// Counts the agent's answers, each of which is a text of its own, and drops what was looked at.
fn collect(rig: &Rig, answers: &mut HashMap<String, usize>) {
    let shown = rig.weibo.shown();
    let next = shown.next();
    for text in shown.filter_map(|it| Some(it.text.clone())) {
        if text.starts_with("known-") || text.starts_with("You said: ") {
            *answers.entry(text).or_default() += 1;
        }
    }
    shown.forget_before(next);
}

/// The beginning, the middle, the end and the most.
fn course(seen: &[Memory]) -> String {
    let words = |it: Option<&Memory>| {
        let it = it.copied().unwrap_or_default();
        format!("{:.1}/{:.1}", mib(it.rss), mib(it.pss))
    };
    let most = seen.iter().map(|it| it.rss).max().unwrap_or(0);
    format!(
        "start {}, first tenth {}, middle {}, end {}; most RSS {:.1}",
        words(seen.first()),
        words(seen.get(seen.len() / 10)),
        words(seen.get(seen.len() / 2)),
        words(seen.last()),
        mib(most)
    )
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52 KiB")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
