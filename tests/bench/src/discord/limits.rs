//! Many messages over many channels while Discord limits every route and the whole: order and loss are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::report::figure;
use crate::rig::Rig;
use crate::rounds::Rounds;
use crate::side::Side;
use crate::talk::talk;

/// Nothing for so long means that nothing more comes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(rounds: &Rounds) -> Result<bool> {
    let rig = Rig::start().await?;
    let channels = rig.channels(rounds.conversations);
    rig.discord.set(|options| options.rate_limits = true);
    let each = rounds.limited.div_ceil(channels.len());
    let side = Side::discord(&rig.discord, &channels);
    let outcome = talk(side, rounds.limited, each, PATIENCE).await;
    figure(
        &format!(
            "{} messages at once over {} channels, rate limits on",
            rounds.limited,
            channels.len()
        ),
        format!(
            "lost {}, doubled {}, misordered {}; {:.1} s, {} other messages; answered 429: {}",
            outcome.lost,
            outcome.doubled,
            outcome.misordered,
            outcome.took.as_secs_f64(),
            outcome.others,
            words(&outcome.limited),
        ),
    );
    Ok(outcome.well())
}

fn words(limited: &BTreeMap<String, usize>) -> String {
    let each = limited
        .iter()
        .map(|(route, count)| format!("{count} {route}"));
    let all = each.collect::<Vec<_>>().join(", ");
    if all.is_empty() { "none".into() } else { all }
}
