//! Messages that are for us, on their way to the hub, in order.
//!
//! What needs asking (whose role it is, a thread's parent, a member's roles) is asked here, so that
//! the gateway never waits. Bounded: when it is full, later events are dropped and fetched again by
//! a RESUME once there is room, since the watermark does not pass them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ipc_schema::Access;
use tokio::sync::Notify;
use tracing::{debug, warn};
use worker_kit::hub::{Answer, Offer};

use crate::access::Verdict;
use crate::backfill;
use crate::bot::{Bot, Command, lock};
use crate::events::Message;
use crate::intake::{self, Addressed};
use crate::rest::{NoAnswer, Once, calls};
use crate::watermark::Ticket;

/// Messages that wait.
const MOST: usize = 1024;
/// How long a question is left alone that Discord did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// A message that the hub puts off for longer than this gets a mark that its writer sees.
const PUT_OFF: Duration = Duration::from_secs(2);
const HOURGLASS: &str = "⏳";

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Item {
    /// Read the channels back.
    ReadBack,
    /// A message.
    Message(Ticket, Box<Message>),
}

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    items: Mutex<VecDeque<Item>>,
    more: Notify,
}

impl Inbox {
    /// Whether there was room. There always is for what comes once a session.
    pub(crate) fn push(&self, item: Item) -> bool {
        let mut items = lock(&self.items);
        if items.len() >= MOST && !matches!(item, Item::ReadBack) {
            return false;
        }
        items.push_back(item);
        self.more.notify_one();
        true
    }

    async fn next(&self) -> Item {
        loop {
            let item = lock(&self.items).pop_front();
            match item {
                Some(item) => return item,
                None => self.more.notified().await,
            }
        }
    }

    fn is_empty(&self) -> bool {
        lock(&self.items).is_empty()
    }
}

/// Works until it is dropped.
pub(crate) async fn run(bot: Arc<Bot>) {
    loop {
        match bot.inbox.next().await {
            Item::ReadBack => backfill::run(&bot).await,
            Item::Message(ticket, message) => take(&bot, Some(ticket), *message).await,
        }
        if bot.inbox.is_empty() && bot.keep().mark.has_dropped() {
            bot.command(Command::Replay);
        }
    }
}

/// One message, up to where the hub keeps trying for it.
pub(crate) async fn take(bot: &Arc<Bot>, ticket: Option<Ticket>, mut message: Message) {
    let (channel, id) = (message.channel_id, message.id);
    let done = || {
        bot.keep().accepted(ticket, channel, id);
        bot.dirty.notify_one();
    };
    let addressed = know(bot, &mut message).await;
    let access = match (judge(bot, &message), addressed) {
        (_, Addressed::No | Addressed::PerhapsByRole) | (Verdict::Elsewhere, _) => return done(),
        (Verdict::Granted, _) => Access::Granted,
        // Who was not spoken to is not spoken to.
        (Verdict::Refused, Addressed::InPassing) => return done(),
        (Verdict::Refused, Addressed::Directly) => {
            if !lock(&bot.refusals).tell(message.author.id, Instant::now()) {
                return done();
            }
            Access::Refused
        }
    };
    let inbound = intake::inbound(&message, &bot.world(), &bot.habits, access);
    let offer = bot.hub.offer(inbound, &format!("discord-{id}")).await;
    tokio::spawn(follow(Arc::clone(bot), offer, ticket, message));
}

fn judge(bot: &Bot, message: &Message) -> Verdict {
    intake::judge(message, &bot.world(), &bot.rules, &bot.owners)
}

/// Waits until the hub has the message. Who waits for long sees that.
async fn follow(bot: Arc<Bot>, mut offer: Offer, ticket: Option<Ticket>, message: Message) {
    let (channel, id) = (message.channel_id, message.id);
    let mut marked = false;
    loop {
        match offer.answer().await {
            Answer::Accepted => {
                lock(&bot.accepted).insert(&id.to_string());
                break;
            }
            Answer::Unusable(_) => break,
            Answer::Deferred { retry_after, .. } if retry_after >= PUT_OFF && !marked => {
                marked = true;
                mark(&bot, &message, true).await;
            }
            Answer::Deferred { .. } => {}
        }
    }
    bot.keep().accepted(ticket, channel, id);
    bot.dirty.notify_one();
    if marked {
        mark(&bot, &message, false).await;
    }
}

/// Best effort: it may lack the permission, and reactions are limited tightly.
async fn mark(bot: &Bot, message: &Message, on: bool) {
    let call = calls::react(message.channel_id, message.id, HOURGLASS, on);
    for _ in 0..3 {
        if bot.rest.place(&call.key, PUT_OFF).await.is_err() {
            return;
        }
        if !matches!(bot.rest.once(&call).await, Once::Limited) {
            return;
        }
    }
}

/// Learns what has to be known to judge the message; whether it is for us.
async fn know(bot: &Bot, message: &mut Message) -> Addressed {
    let mut addressed = intake::addressed(message, &bot.world(), &bot.habits);
    if let (Addressed::PerhapsByRole, Some(guild)) = (addressed, message.guild_id) {
        let roles = ask(|| bot.rest.roles(guild)).await;
        bot.world().set_roles(guild, roles.unwrap_or_default());
        addressed = intake::addressed(message, &bot.world(), &bot.habits);
    }
    let Some(guild) = message.guild_id.filter(|_| addressed != Addressed::No) else {
        return addressed;
    };
    let mut unknown = intake::unknown_channels(message, &bot.world());
    if bot.rules.needs_parent(message.channel_id)
        && bot.world().known_channel(message.channel_id).is_none()
    {
        unknown.insert(message.channel_id);
    }
    for channel in unknown {
        if let Some(channel) = ask(|| bot.rest.channel(channel)).await {
            bot.world().channel(channel);
        }
    }
    let author = message.author.id;
    if message.member.is_none() && bot.rules.needs_roles(author) {
        message.member = ask(|| bot.rest.member(guild, author)).await;
    }
    addressed
}

/// Asks until there is an answer; none if Discord will not say.
async fn ask<T, F>(question: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, NoAnswer>>,
{
    loop {
        match question().await {
            Ok(answer) => return Some(answer),
            Err(NoAnswer::Refused(refused)) => {
                debug!(
                    code = refused.code,
                    "Discord will not say what a message needs known"
                );
                return None;
            }
            Err(NoAnswer::Unauthorized) => std::future::pending().await, // the worker ends
            Err(NoAnswer::Trouble(why)) => {
                warn!("cannot look up what a message needs known, trying on: {why}");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}
