//! From a person's stop to the end of the turn, and to the end of what its tool had started: children that ignore SIGTERM, in sessions of
//! their own and without a parent.

use std::time::Instant;

use anyhow::{Result, bail};
use harness::{DEADLINE, running};
use ipc_schema::Outcome;

use crate::desk::Desk;
use crate::report::{Times, figure};
use crate::rounds::Rounds;

/// Whether every turn was stopped and nothing lived on.
pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let mut desk = Desk::start(&[]).await?;
    let (mut stopped, mut gone) = (Times::default(), Times::default());
    let mut failed = 0;
    for n in 0..rounds.stops {
        // Known by its number, to this run of the bench alone.
        let nap = format!("sleep {}.{}", 7000 + n, std::process::id());
        let up = desk.work(&format!("up-{n}"));
        let script = format!(
            "trap '' TERM; setsid {nap} & (env -i setsid {nap} &); touch {}; {nap}",
            up.display()
        );
        desk.say(0, &format!("#tool Bash {script}\n#say never"));
        let late = Instant::now() + DEADLINE;
        while !up.exists() || running(&nap) < 3 {
            if Instant::now() > late {
                bail!("the tool did not start");
            }
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        desk.stop();
        let end = desk.end().await?;
        stopped.push(begun.elapsed());
        failed += usize::from(end.outcome != Outcome::Stopped);
        while running(&nap) > 0 {
            if Instant::now() > late {
                bail!("what the tool started lives on");
            }
        }
        gone.push(begun.elapsed());
    }
    figure(
        "stop, in a tool with children that ignore TERM or left -> the turn's end",
        stopped,
    );
    figure(
        "  -> seen that none of them lives (a look takes its time)",
        gone,
    );
    figure("  turns that ended otherwise", failed);
    Ok(failed == 0)
}
