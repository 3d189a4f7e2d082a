//! What sessions have in memory while nobody says anything in them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fake_model::FakeModel;
use serde_json::json;

use crate::desk::Desk;
use crate::procs::memory;
use crate::report::figure;
use crate::rounds::Rounds;

/// After a turn the real command line still tidies up.
const SETTLES: Duration = Duration::from_secs(5);

pub(crate) async fn run(rounds: &Rounds) -> Result<()> {
    let mut desk = Desk::start(&[]).await?;
    let (mut sessions, mut alone) = (0, None);
    for count in rounds.sessions {
        while sessions < *count {
            greet(&mut desk, sessions).await?;
            sessions += 1;
        }
        let (around, agents) = desk.below()?;
        let (runner, around, agents) = (pss([desk.pid()?])?, pss(around)?, pss(agents)?);
        let before = *alone.get_or_insert(runner);
        #[allow(clippy::cast_precision_loss, reason = "a few")]
        let each = (runner + around - before) / (*count).max(1) as f64;
        figure(
            &format!("memory of agent-runner, {count} idle sessions (PSS)"),
            format!(
                "{runner:.1} MiB, around its agents {around:.1}: {each:.2} a session; fake agents {agents:.1}"
            ),
        );
    }
    if let Some(cli) = std::env::var_os("BULKHEAD_CLAUDE") {
        let cli = cli
            .into_string()
            .ok()
            .context("BULKHEAD_CLAUDE is no text")?;
        real(&cli).await?;
    }
    Ok(())
}

/// The real command line, whose model is a fake.
async fn real(cli: &str) -> Result<()> {
    let model = FakeModel::start().await?;
    let env = [
        ("ANTHROPIC_BASE_URL", &*model.url()),
        ("ANTHROPIC_API_KEY", "dummy"),
        ("IS_SANDBOX", "1"),
    ];
    let mut desk = Desk::with(json!({ "cmd": cli }), &env).await?;
    greet(&mut desk, 0).await?;
    tokio::time::sleep(SETTLES).await;
    let (_, agents) = desk.below()?;
    figure(
        "  the real command line in one idle session (PSS)",
        format!("{:.1} MiB", pss(agents)?),
    );
    Ok(())
}

/// One turn, without which there is no process.
async fn greet(desk: &mut Desk, session: usize) -> Result<()> {
    desk.say(session, "#say hello");
    let end = desk.end().await?;
    ensure!(end.is_answer("hello"), "it answered {end:?}");
    Ok(())
}

/// MiB of all of them.
fn pss(pids: impl IntoIterator<Item = i32>) -> Result<f64> {
    let mut kib = 0;
    for pid in pids {
        kib += memory(pid)?.pss;
    }
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52 KiB")]
    Ok(kib as f64 / 1024.0)
}
