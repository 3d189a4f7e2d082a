//! Reads the channels back after a new session: what was written in between came in no event.
//!
//! Only channels with a floor, from the floor on, oldest first; at most three pages a channel, and a
//! rest that is not read is said. What the hub has seen already it drops by itself.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::bot::{Bot, lock};
use crate::events::Message;
use crate::floors::Floor;
use crate::inbox;
use crate::intake::{Addressed, addressed};
use crate::rest::NoAnswer;
use crate::rest::calls::{Edge, PAGE};
use crate::snowflake::Id;

/// The most pages of one channel.
const PAGES: usize = 3;
/// How long a channel is left alone whose history Discord did not give.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Reads every channel back and offers what is for us.
pub(crate) async fn run(bot: &Arc<Bot>) {
    if !bot.keep().owes() {
        return; // a later session has been read back already
    }
    let floors = bot.keep().floors.pinned();
    let mut found = 0;
    for (channel, floor) in floors {
        for message in channel_since(bot, channel, floor).await {
            let to = addressed(&message, &bot.world(), &bot.habits);
            let again = lock(&bot.accepted).contains(&message.id.to_string());
            if to == Addressed::No || again {
                bot.keep().floors.passed(channel, message.id);
            } else {
                bot.keep()
                    .floors
                    .open(channel, message.guild_id, message.id);
                inbox::take(bot, None, message).await;
                found += 1;
            }
        }
        bot.keep().floors.unpin(channel);
    }
    bot.keep().read_back();
    bot.dirty.notify_one();
    if found > 0 {
        info!(
            messages = found,
            "took up what was written while there was no session"
        );
    }
}

/// Messages after the floor, oldest first.
async fn channel_since(bot: &Bot, channel: Id, floor: Floor) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut after = floor.message;
    for _ in 0..PAGES {
        let Some(mut page) = page(bot, channel, after).await else {
            return messages;
        };
        page.retain(|message| message.id > after);
        page.reverse();
        let Some(newest) = page.last().map(|message| message.id) else {
            return messages;
        };
        after = newest;
        let last = page.len() < PAGE;
        for mut message in page {
            // A history names no server.
            message.guild_id = message.guild_id.or(floor.guild);
            messages.push(message);
        }
        if last {
            return messages;
        }
    }
    warn!(
        channel = %channel,
        "more than {} messages were written while there was no session; the newer ones are not \
         read, whoever waits for an answer has to write again",
        PAGES * PAGE
    );
    messages
}

async fn page(bot: &Bot, channel: Id, after: Id) -> Option<Vec<Message>> {
    loop {
        match bot
            .rest
            .history(&channel.to_string(), Edge::After(after))
            .await
        {
            Ok(page) => return Some(page),
            Err(NoAnswer::Refused(refused)) => {
                let code = refused.code;
                info!(channel = %channel, code, "a channel cannot be read back; give the bot Read Message History there");
                return None;
            }
            Err(NoAnswer::Unauthorized) => std::future::pending().await, // the worker ends
            Err(NoAnswer::Trouble(why)) => {
                warn!("cannot read a channel back, trying on: {why}");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}
