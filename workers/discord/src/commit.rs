//! Has the hub keep how far things are dealt with: often enough that little is sent again after a
//! restart, seldom enough that it costs next to nothing.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::bot::Bot;
use crate::keep::{FLOORS, GATEWAY, Moment};

/// Changes of so long are committed together.
const TOGETHER: Duration = Duration::from_millis(500);

/// Commits until it is dropped.
pub(crate) async fn run(bot: Arc<Bot>) {
    let mut last = None;
    loop {
        tokio::select! {
            () = bot.urgent.notified() => {}
            () = bot.dirty.notified() => tokio::select! {
                () = bot.urgent.notified() => {}
                () = tokio::time::sleep(TOGETHER) => {}
            },
        }
        let moment = bot.keep().moment();
        commit(&bot, &moment, last.as_ref()).await;
        bot.keep().committed(&moment);
        last = Some(moment);
    }
}

/// The last time, in a drain.
pub(crate) async fn finally(bot: &Bot) {
    let moment = bot.keep().moment();
    commit(bot, &moment, None).await;
}

async fn commit(bot: &Bot, moment: &Moment, last: Option<&Moment>) {
    // The floors first: a session that is acknowledged further than its floors would read back more
    // than it has to, never less.
    if last.is_none_or(|last| last.floors != moment.floors)
        && let Err(error) = bot.hub.put_cursor(FLOORS, moment.floors.clone()).await
    {
        error!("how far the channels are read cannot be kept: {error}");
    }
    if let Some(gateway) = &moment.gateway
        && last.is_none_or(|last| last.gateway != moment.gateway)
        && let Err(error) = bot.hub.put_cursor(GATEWAY, gateway.clone()).await
    {
        error!("the session cannot be kept: {error}");
    }
}
