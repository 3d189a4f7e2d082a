//! From a kill in the midst of an answer to the next word of it at the hub.

use std::time::Instant;

use anyhow::{Context as _, Result};
use fake_claude::{CONTROL, ClaudeControl, Point};
use harness::DEADLINE;
use ipc_schema::TurnEvent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::desk::Desk;
use crate::report::{Times, figure};
use crate::rounds::Rounds;

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Agent,
    Runner,
}

/// Whether every answer came, whole and once.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let mut lost = 0;
    for (victim, what) in [
        (
            Victim::Agent,
            "kill -9 of an agent in mid-answer -> its next words at the hub",
        ),
        (
            Victim::Runner,
            "kill -9 of agent-runner in mid-answer, started again at once -> next words",
        ),
    ] {
        let mut times = Times::default();
        for _ in 0..rounds.kills {
            lost += usize::from(!killed(victim, &mut times).await?);
        }
        figure(what, times);
    }
    figure("  answers that did not come whole and once", lost);
    Ok(lost == 0)
}

async fn killed(victim: Victim, times: &mut Times) -> Result<bool> {
    // One of its own each time: a second kill soon after might wait longer by design.
    let control = ClaudeControl::start().await?;
    let mut desk = Desk::start(&[(CONTROL, control.address())]).await?;
    desk.say(0, "#say Before. \n#say The end.\n#hold first-delta");
    control.held(Point::FirstDelta, DEADLINE).await?;
    let begun = Instant::now();
    match victim {
        Victim::Agent => {
            let (_, agents) = desk.below()?;
            let agent = agents.first().context("there is no agent")?;
            kill(Pid::from_raw(*agent), Signal::SIGKILL)?;
        }
        Victim::Runner => desk.kill().await?,
    }
    // What was on its way before the kill does not count.
    let again = |event: &TurnEvent| match event {
        TurnEvent::Started { continued, .. } => continued.then_some(()),
        _ => None,
    };
    desk.until(again).await?;
    let words = |event: &TurnEvent| {
        let spoken = matches!(event, TurnEvent::Partial { .. } | TurnEvent::Text { .. });
        spoken.then_some(())
    };
    desk.until(words).await?;
    times.push(begun.elapsed());
    Ok(desk.end().await?.is_answer("Before.The end."))
}
