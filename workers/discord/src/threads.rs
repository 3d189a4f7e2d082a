//! A thread for each conversation (`thread_isolation`).
//!
//! Promises:
//! - A message to the bot in a channel gets a thread of its own, named by its first line; its id is
//!   the message's, so that a second try, in whatever process, finds the first one's thread.
//! - Where a right is missing the message belongs to the channel instead, and which right it is goes
//!   along for a word to the sender.
//! - A message belongs to one conversation, however often it comes: what cannot be asked again
//!   (that no thread could be opened) is committed before the message is offered.
//! - Trouble that may pass is no decision: it is tried on.
//!
//! In a thread the bot opens none, and takes the thread over for its conversation; neither does it
//! in direct messages and where Discord has no threads. Who may write is not decided here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ipc_schema::Lack;
use tracing::{error, info, warn};

use crate::bot::{Bot, lock};
use crate::events::Message;
use crate::inbound;
use crate::intake::{Habits, Home};
use crate::keep::FLOORS;
use crate::permissions::{SEND_MESSAGES_IN_THREADS, in_channel, in_guild};
use crate::rest::NoAnswer;
use crate::rest::answer::Refused;
use crate::snowflake::Id;
use crate::world::World;

/// How long Discord is left alone after trouble.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long it is taken for granted that threads of a channel can be written in.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// The most channels of which that is known.
const CHANNELS: usize = 1024;

/// Where a message belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// To this conversation; rights that the bot would have needed.
    To(Home, Vec<Lack>),
    /// To none: its writer has taken it back.
    Nowhere,
}

/// Channels whose threads the bot can write in, and since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Writable(HashMap<Id, Instant>);

impl Writable {
    fn knows(&self, channel: Id, now: Instant) -> bool {
        let since = self.0.get(&channel);
        since.is_some_and(|since| now.saturating_duration_since(*since) < GOOD_FOR)
    }

    fn note(&mut self, channel: Id, now: Instant) {
        if self.0.len() >= CHANNELS {
            self.0
                .retain(|_, since| now.saturating_duration_since(*since) < GOOD_FOR);
        }
        if self.0.len() >= CHANNELS {
            self.0.clear();
        }
        self.0.insert(channel, now);
    }
}

/// Whether a thread is to be opened for the message.
fn opens(message: &Message, world: &World, habits: &Habits) -> bool {
    let known = world.known_channel(message.channel_id);
    habits.threads && message.guild_id.is_some() && known.is_some_and(|known| known.opens_threads())
}

/// What a refusal to open a thread means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// There it is already.
    There,
    /// The message is gone.
    Gone,
    /// A right is missing, as far as Discord says.
    NoRight,
    /// There can be none; nothing that a right would mend.
    Never,
}

fn read(refused: &Refused) -> Refusal {
    match refused.code {
        160_004 => Refusal::There,
        10008 => Refusal::Gone,
        50013 | 50001 => Refusal::NoRight,
        // 50024: a kind of channel without threads; 160006: too many are open.
        _ => Refusal::Never,
    }
}

/// The conversation of a message to the bot that may be answered. Opens its thread if it is to
/// have one.
pub(crate) async fn settle(bot: &Bot, message: &Message) -> Belongs {
    let (guild, channel, id) = (message.guild_id, message.channel_id, message.id);
    let plain = Home::of(guild, channel, message.author.id, &bot.world(), &bot.habits);
    if plain == Home::thread(channel) {
        adopt(bot, channel, message);
        return Belongs::To(plain, Vec::new());
    }
    let wanted = opens(message, &bot.world(), &bot.habits);
    let Some(guild) = guild.filter(|_| wanted) else {
        return Belongs::To(plain, Vec::new());
    };
    let fallen = bot.keep().floors.fallen(channel, id);
    if let Some(lack) = fallen {
        return Belongs::To(plain, lack.into_iter().collect());
    }
    let thread = || {
        adopt(bot, id, message);
        Belongs::To(Home::thread(id), Vec::new())
    };
    if message.has_thread() && exists(bot, id).await {
        return thread();
    }
    if !writable(bot, guild, channel).await {
        return fall(bot, message, plain, Some(Lack::InThreads)).await;
    }
    match open(bot, message).await {
        None => thread(),
        Some(Refusal::Gone) => {
            info!(message = %id, "a message is gone before its thread could be opened");
            Belongs::Nowhere
        }
        // Whatever Discord refuses for: if the thread is there, an earlier try has opened it.
        Some(_) if exists(bot, id).await => thread(),
        Some(Refusal::NoRight) => fall(bot, message, plain, Some(Lack::Threads)).await,
        Some(_) => fall(bot, message, plain, None).await,
    }
}

/// Tries until there is a thread, which is none, or a refusal.
async fn open(bot: &Bot, message: &Message) -> Option<Refusal> {
    let (channel, id) = (message.channel_id, message.id);
    let mut title = inbound::title(message, &bot.world());
    loop {
        match bot.rest.open_thread(channel, id, &title).await {
            Ok(thread) => {
                bot.world().channel(thread);
                return None;
            }
            // Discord refuses some names; the bot's own it does not.
            Err(NoAnswer::Refused(refused)) if refused.code == 50035 && title != bot.name => {
                title.clone_from(&bot.name);
            }
            Err(NoAnswer::Refused(refused)) => {
                let refusal = read(&refused);
                if refusal == Refusal::Never {
                    let (code, words) = (refused.code, &refused.words);
                    warn!(
                        code,
                        "no thread can be opened, it goes on in the channel: {words}"
                    );
                }
                return Some(refusal);
            }
            Err(NoAnswer::Unauthorized) => std::future::pending().await, // the worker ends
            Err(NoAnswer::Trouble(why)) => {
                warn!("cannot open a thread, trying on: {why}");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

/// Follow-ups in the thread are for the bot from now on, also after a restart.
fn adopt(bot: &Bot, thread: Id, message: &Message) {
    let mut keep = bot.keep();
    if keep.floors.adopt(thread, message.guild_id, message.id) {
        bot.urgent.notify_one();
    }
}

/// The message belongs to the channel, for good.
async fn fall(bot: &Bot, message: &Message, plain: Home, lack: Option<Lack>) -> Belongs {
    let floors = {
        let mut keep = bot.keep();
        keep.floors.fell(message.channel_id, message.id, lack);
        keep.floors.write()
    };
    if let Err(error) = bot.hub.put_cursor(FLOORS, floors).await {
        error!("how far the channels are read cannot be kept: {error}");
    }
    Belongs::To(plain, lack.into_iter().collect())
}

/// Whether the thread is there; if so, it is known from now on.
async fn exists(bot: &Bot, thread: Id) -> bool {
    match ask(|| bot.rest.channel(thread)).await {
        Some(channel) => {
            bot.world().channel(channel);
            true
        }
        None => false,
    }
}

/// Whether the bot can write in threads of the channel. Only a good answer is believed for long: a
/// right that was given is noticed at once.
async fn writable(bot: &Bot, guild: Id, channel: Id) -> bool {
    if lock(&bot.writable).knows(channel, Instant::now()) {
        return true;
    }
    let questions = async {
        tokio::join!(
            ask(|| bot.rest.whole_guild(guild)),
            ask(|| bot.rest.whole_channel(channel)),
            ask(|| bot.rest.member(guild, bot.me)),
        )
    };
    // What Discord will not say is found out by trying.
    let (Some(whole), Some(place), Some(member)) = questions.await else {
        return true;
    };
    let base = in_guild(&whole, bot.me, &member.roles);
    let may = in_channel(base, &place, guild, bot.me, &member.roles);
    let writable = may & SEND_MESSAGES_IN_THREADS != 0;
    if writable {
        lock(&bot.writable).note(channel, Instant::now());
    }
    writable
}

/// Asks until there is an answer; none if Discord will not say.
pub(crate) async fn ask<T, F>(question: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, NoAnswer>>,
{
    loop {
        match question().await {
            Ok(answer) => return Some(answer),
            Err(NoAnswer::Refused(refused)) => {
                let code = refused.code;
                tracing::debug!(code, "Discord will not say what a message needs known");
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::intake::tests::{message, world};

    #[test]
    fn where_a_thread_is_opened() {
        let habits = Habits {
            threads: true,
            ..Habits::default()
        };
        let mut world = world();
        for (id, kind) in [(110, 5), (111, 2), (112, 15), (113, 10), (114, 12)] {
            let channel = json!({"id": id, "type": kind, "guild_id": "100", "parent_id": "103"});
            world.channel(serde_json::from_value(channel).unwrap());
        }
        for (channel, expected) in [
            (103, true),  // a text channel
            (110, true),  // announcements
            (104, false), // a thread
            (113, false), // one below announcements
            (114, false), // a private one
            (111, false), // the text of a voice channel
            (112, false), // a forum; nobody writes there but in posts, which are threads
            (999, false), // nobody knows
        ] {
            let message = message(json!({"channel_id": channel}));
            assert_eq!(opens(&message, &world, &habits), expected, "{channel}");
            assert!(!opens(&message, &world, &Habits::default()));
        }
        assert!(!opens(&message(json!({"guild_id": null})), &world, &habits));
    }

    #[test]
    fn what_a_refusal_means() {
        for (code, expected) in [
            (160_004, Refusal::There),
            (10008, Refusal::Gone),
            (50013, Refusal::NoRight),
            (50001, Refusal::NoRight),
            (50024, Refusal::Never),
            (160_006, Refusal::Never),
            (50035, Refusal::Never),
            (0, Refusal::Never),
        ] {
            let refused = Refused {
                code,
                ..Refused::default()
            };
            assert_eq!(read(&refused), expected, "{code}");
        }
    }

    #[test]
    fn a_right_is_believed_for_a_while() {
        let now = Instant::now();
        let mut writable = Writable::default();
        assert!(!writable.knows(Id(1), now));
        writable.note(Id(1), now);
        assert!(writable.knows(Id(1), now + GOOD_FOR / 2) && !writable.knows(Id(2), now));
        assert!(!writable.knows(Id(1), now + GOOD_FOR));
        (0..10_000).for_each(|n| writable.note(Id(n), now));
        assert!(writable.0.len() <= CHANNELS);
    }
}
