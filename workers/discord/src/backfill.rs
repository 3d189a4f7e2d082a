//! Reads the channels back after a new session: what was written in between came in no event.
//!
//! Only channels with a floor, down to the floor, offered oldest first; at most the newest three
//! pages of a channel. That there was more is told to whoever is answered there next. What the hub
//! has seen already it drops by itself.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use worker_kit::Missing;

use crate::bot::{Bot, lock};
use crate::events::Message;
use crate::floors::Floor;
use crate::inbox::{Event, Flow};
use crate::intake::{Addressed, addressed};
use crate::rest::NoAnswer;
use crate::rest::calls::{Edge, PAGE};
use crate::snowflake::Id;

/// The most pages of one channel.
const PAGES: usize = 3;
/// How long a channel is left alone whose history Discord did not give.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// That a part of a channel was not read, in words for the next one who is answered there.
pub(crate) fn gap() -> Missing {
    let most = PAGES * PAGE;
    Missing::new(
        format!(
            "older messages here: more than {most} came while the bot was away, and the newest \
             {most} were read; whoever still waits for an answer should write again"
        ),
        format!(
            "这里更早的消息：机器人离线期间有超过 {most} 条消息，只读取了最新的 {most} 条；仍在等待回复\
             的人请重新发送"
        ),
    )
}

/// Reads every channel back and offers what is for us.
pub(crate) async fn run(bot: &Arc<Bot>, flow: &mut Flow) {
    if !bot.keep().owes() {
        return; // a later session has been read back already
    }
    let floors = bot.keep().floors.pinned();
    let mut found = 0;
    for (channel, floor) in floors {
        let (messages, whole) = channel_since(bot, channel, &floor).await;
        if !whole {
            warn!(
                channel = %channel,
                "more than {} messages were written while there was no session; older ones are not \
                 read, whoever waits for an answer has to write again",
                PAGES * PAGE
            );
            bot.keep().floors.skipped(channel);
        }
        for message in messages {
            if offer(bot, flow, message).await {
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

/// Whether the message is, or may be, for us.
async fn offer(bot: &Bot, flow: &mut Flow, message: Message) -> bool {
    let (channel, id) = (message.channel_id, message.id);
    {
        let mut keep = bot.keep();
        let adopted = keep.floors.is_adopted(channel);
        let to = addressed(&message, &bot.world(), &bot.habits, adopted);
        let again = lock(&bot.accepted).contains(&id.to_string());
        if to == Addressed::No || again {
            keep.floors.passed(channel, id);
            return false;
        }
        keep.floors.perhaps(channel, id);
        lock(&bot.heard).note(id);
    }
    flow.begin(Event::Wrote(None, Box::new(message))).await;
    true
}

/// Messages after the floor, oldest first, and whether these are all.
async fn channel_since(bot: &Bot, channel: Id, floor: &Floor) -> (Vec<Message>, bool) {
    let mut messages: Vec<Message> = Vec::new();
    let mut edge = Edge::Newest;
    let mut whole = false;
    // One page more than is taken, to see whether there is more.
    for number in 0..=PAGES {
        let Some(page) = page(bot, channel, edge).await else {
            whole = true; // what there is more of cannot be read at all
            break;
        };
        let oldest = page.last().map(|message| message.id);
        let new = page.into_iter().filter(|it| it.id > floor.message);
        let before = messages.len();
        messages.extend(new);
        if number == PAGES {
            whole = messages.len() == before;
            messages.truncate(before);
            break;
        }
        match oldest.filter(|oldest| *oldest > floor.message) {
            Some(oldest) => edge = Edge::Before(oldest),
            None => {
                whole = true;
                break;
            }
        }
    }
    messages.reverse();
    for message in &mut messages {
        // A history names no server.
        message.guild_id = message.guild_id.or(floor.guild);
    }
    (messages, whole)
}

async fn page(bot: &Bot, channel: Id, edge: Edge) -> Option<Vec<Message>> {
    loop {
        match bot.rest.history(&channel.to_string(), edge).await {
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
