//! What the runner adds to a turn: from the hub's prompt until the agent has it, and from the agent's result until the hub has the end.
//!
//! The agent notes by the machine's clock when it reads and when it writes, so its own time is in neither.

use anyhow::{Result, bail};
use fake_claude::{Moment, TIMES, clock, moments};

use crate::desk::Desk;
use crate::report::{Times, figure};
use crate::rounds::Rounds;

/// Whether every turn was answered.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let mut desk = Desk::start(&[(TIMES, "times")]).await?;
    let mut turns = Vec::new();
    let mut lost = 0;
    // The first waits for its agent to start, and after the last what the agent noted of all others is there.
    for n in 0..rounds.latency + 2 {
        let begun = clock()?;
        desk.say(0, &format!("#say answer-{n}"));
        let end = desk.end().await?;
        turns.push((begun, clock()?));
        lost += usize::from(!end.is_answer(&format!("answer-{n}")));
    }
    let noted = moments(&desk.work("times"))?;
    let (mut there, mut back, mut both) = <(Times, Times, Times)>::default();
    let turns = turns.into_iter().zip(noted.chunks(2));
    for ((begun, ended), noted) in turns.skip(1).take(rounds.latency) {
        let [Moment::Read(read), Moment::Answered(answered)] = noted else {
            bail!("the agent noted {noted:?} of a turn");
        };
        let (to, fro) = (read.saturating_sub(begun), ended.saturating_sub(*answered));
        there.push(to);
        back.push(fro);
        both.push(to + fro);
    }
    figure(
        "a turn, beyond the agent: prompt from the hub -> on the agent's stdin",
        there,
    );
    figure(
        "  the agent's result on its stdout -> the turn's end at the hub",
        back,
    );
    figure("  both", both);
    figure("  turns without their answer", lost);
    Ok(lost == 0)
}
