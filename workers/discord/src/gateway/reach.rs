//! The gateway's way out: to an address, to a place in the daily budget, and back to nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tracing::{debug, warn};

use super::FAREWELL;
use super::budget::{Spent, Verdict};
use super::dial::{self, Socket};
use super::moves::{Event, Host};
use crate::bot::{Bot, lock};
use crate::keep::IDENTIFY;

/// Connects to one of Discord's gateway addresses.
///
/// # Errors
/// In words.
pub(super) async fn connect(bot: Arc<Bot>, host: Host) -> Result<Box<Socket>, String> {
    let told = match host {
        Host::Resume(url) => url,
        Host::Base => {
            let known = lock(&bot.gateway_url).clone();
            match known {
                Some(url) => url,
                None => {
                    let told = bot.rest.gateway_bot().await;
                    told.map_err(|why| why.to_string())?.url
                }
            }
        }
    };
    let dialed = dial::dial(
        dial::address(&told, bot.rest.is_encrypted())?,
        bot.rest.proxy(),
    )
    .await;
    if dialed.is_err() {
        // Perhaps it is no longer there: Discord is asked again.
        *lock(&bot.gateway_url) = None;
    }
    dialed.map(Box::new)
}

/// Asks whether an IDENTIFY may go; it is committed as spent before the answer is yes.
pub(super) async fn ask_budget(bot: Arc<Bot>, reserved: Arc<AtomicBool>, window_ms: u64) -> Event {
    let limit = match bot.rest.gateway_bot().await {
        Ok(told) => {
            *lock(&bot.gateway_url) = Some(told.url);
            told.session_start_limit
        }
        Err(why) => {
            let words = format!("Discord does not say whether a session may be begun: {why}");
            warn!("{words}");
            return Event::BudgetUnknown(words);
        }
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut spent = Spent::read(&bot.hub.cursor(IDENTIFY).unwrap_or_default());
    if reserved.load(Relaxed) && limit.remaining > 0 {
        return Event::MayIdentify;
    }
    match spent.judge(limit, window_ms, now_ms) {
        Verdict::Go => {
            spent.spend(now_ms);
            if let Err(error) = bot.hub.put_cursor(IDENTIFY, spent.write()).await {
                let words = format!("the hub does not keep the start of a session: {error}");
                warn!("{words}");
                return Event::BudgetUnknown(words);
            }
            reserved.store(true, Relaxed);
            Event::MayIdentify
        }
        Verdict::Wait(wait) => {
            debug!("a session may be begun in {} s", wait.as_secs());
            Event::IdentifyLater(wait)
        }
        Verdict::UsedUp(wait) => {
            let minutes = wait.as_secs().div_ceil(60);
            let words = format!(
                "not connected: Discord's daily limit of session starts is used up; trying again in \
                 {minutes} min"
            );
            warn!("{words}");
            bot.status.connection(words);
            Event::IdentifyLater(wait)
        }
    }
}

/// Says goodbye; the TCP connection goes after 2 s, whatever the peer does.
pub(super) async fn close(mut socket: Socket, code: u16) {
    let farewell = async {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // In time or not, the socket is dropped.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}
