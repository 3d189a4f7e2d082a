//! Long replies: from the question to the first and to the last piece on the phone.

use std::time::Instant;

use anyhow::Result;
use harness::DEADLINE;

use crate::report::{Times, figure};
use crate::rig::Rig;
use crate::rounds::Rounds;
use crate::side::FIRST_UID;

/// Lengths, in characters.
const LENGTHS: [usize; 2] = [6_000, 100_000];

/// Whether every reply came whole, as one message.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let rig = Rig::start().await?;
    reply(&rig, 10).await?; // the agent is started before anything counts
    let mut well = true;
    for length in LENGTHS {
        let (mut first, mut last) = (Times::default(), Times::default());
        let (mut pieces, mut longest) = (0, 0);
        for _ in 0..rounds.replies {
            let reply = reply(&rig, length).await?;
            first.push(reply.first);
            last.push(reply.last);
            well &= reply.whole;
            (pieces, longest) = (reply.pieces, longest.max(reply.longest));
        }
        figure(
            &format!("a reply of {length} characters: question -> first piece"),
            first,
        );
        figure(
            &format!("  -> last piece, of {pieces}, the longest of {longest} characters"),
            last,
        );
    }
    Ok(well)
}

struct Reply {
    first: std::time::Duration,
    last: std::time::Duration,
    pieces: usize,
    longest: usize,
    /// One message of at least the length that was asked for.
    whole: bool,
}

async fn reply(rig: &Rig, length: usize) -> Result<Reply> {
    let shown = rig.weibo.shown();
    let since = shown.next();
    let begun = Instant::now();
    rig.weibo.user_says(FIRST_UID, &format!("#chars {length}"));
    shown.wait_for_since(since, |_| true, DEADLINE).await?;
    let first = begun.elapsed();
    shown.wait_for_since(since, |it| it.done, DEADLINE).await?;
    let last = begun.elapsed();
    let pieces = shown.since(since);
    let chars = |text: &str| text.chars().count();
    let message = pieces.first().map(|it| it.what.message_id.clone());
    let one = pieces
        .iter()
        .all(|it| Some(&it.what.message_id) == message.as_ref());
    let reply = Reply {
        first,
        last,
        pieces: pieces.len(),
        longest: pieces
            .iter()
            .map(|it| chars(&it.what.text))
            .max()
            .unwrap_or(0),
        whole: one && pieces.iter().map(|it| chars(&it.what.text)).sum::<usize>() >= length,
    };
    shown.forget_before(shown.next());
    rig.weibo
        .protocol()
        .forget_before(rig.weibo.protocol().next());
    Ok(reply)
}
