//! Who the bot is, and what it lacks: asked before it connects.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use worker_kit::{Backoff, Stop};

use crate::application::Application;
use crate::bot::{Bot, Command};
use crate::events::User;
use crate::options::Timing;
use crate::portal;
use crate::rest::{NoAnswer, Rest};
use crate::status::Status;

/// The application and the bot's user; asked until Discord answers.
///
/// # Errors
/// [`Stop::Credentials`] if the token is refused.
pub(crate) async fn who_am_i(rest: &Rest, status: &Status) -> Result<(Application, User), Stop> {
    let mut backoff = Backoff::new(
        Duration::from_secs(1),
        Duration::from_secs(60),
        Duration::from_secs(60),
    );
    loop {
        let why = match tokio::join!(rest.application(), rest.me()) {
            (Ok(application), Ok(me)) => return Ok((application, me)),
            (Err(why), _) | (_, Err(why)) => why,
        };
        if why == NoAnswer::Unauthorized {
            return Err(Stop::Credentials(portal::bad_token()));
        }
        warn!("cannot reach Discord, trying on: {why}");
        status.connection(format!("cannot reach Discord, trying on: {why}"));
        tokio::time::sleep(backoff.next(fastrand::f64())).await;
    }
}

/// Says what is missing and asks every minute, by REST alone, whether it still is.
pub(crate) fn probe_content(bot: &Arc<Bot>, timing: &Timing) {
    let words = portal::no_content_intent(bot.application);
    warn!("{words}; it is noticed within a minute, nothing has to be restarted");
    bot.status.warning(words);
    tokio::spawn(wait_for_content(
        Arc::clone(bot),
        Duration::from_millis(timing.probe_ms),
    ));
}

async fn wait_for_content(bot: Arc<Bot>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        // Trouble is told by whoever has it first.
        if bot
            .rest
            .application()
            .await
            .is_ok_and(|application| application.content_intent())
        {
            break;
        }
    }
    info!("Message Content Intent is switched on; a new session begins");
    bot.status.warning("");
    bot.command(Command::ContentAllowed);
}
