//! Events that are for us, on their way to the hub: in order where it matters, side by side where
//! not.
//!
//! What needs asking is asked on this way, so that the gateway never waits. An event first has its
//! turn in its channel, until its conversation is known, and then its turn in that conversation,
//! until the hub has it in hand: the events of a conversation stay in their order while those of
//! others overtake them. Bounded; when it is full, later events are dropped and fetched again by a
//! RESUME once there is room, since the watermark does not pass them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::backfill;
use crate::bot::{Bot, Command, lock};
use crate::events::{Interaction, Message};
use crate::lanes::Lanes;
use crate::snowflake::Id;
use crate::take;
use crate::watermark::Ticket;

/// Events that wait.
const MOST: usize = 1024;
/// Events that are under way at a time.
const UNDER_WAY: usize = 64;

/// Something that somebody did.
#[derive(Debug)]
pub(crate) enum Event {
    /// Wrote a message. The ticket is none for one that was read back.
    Wrote(Option<Ticket>, Box<Message>),
    /// Changed a message, at that time in milliseconds.
    Changed(Ticket, Box<Message>, u64),
    /// Pressed something or chose a command.
    Acted(Ticket, Box<Interaction>),
    /// Took messages back, in that channel.
    Withdrew(Ticket, Id, Vec<Id>),
}

impl Event {
    fn channel(&self) -> Id {
        match self {
            Event::Wrote(_, message) | Event::Changed(_, message, _) => message.channel_id,
            Event::Acted(_, interaction) => interaction.channel_id,
            Event::Withdrew(_, channel, _) => *channel,
        }
    }
}

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Item {
    /// Read the channels back.
    ReadBack,
    /// An event.
    Event(Event),
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

/// What is under way.
pub(crate) struct Flow {
    bot: Arc<Bot>,
    channels: Lanes<Id>,
    conversations: Lanes<String>,
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Flow {
    /// Takes up an event, once there is room.
    pub(crate) async fn begin(&mut self, event: Event) {
        // An error would mean a closed semaphore; it never is.
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        let mut places = vec![self.channels.queue(event.channel())];
        if let Event::Wrote(_, message) = &event
            && self.bot.habits.threads
            && message.id != message.channel_id
        {
            // Its thread, if it gets one, has its id. What is written there waits until that is
            // known, also if Discord tells of it before it answers. (The first message of a forum's
            // post is in there already.)
            places.push(self.channels.queue(message.id));
        }
        let (bot, conversations) = (Arc::clone(&self.bot), self.conversations.clone());
        self.tasks.spawn(async move {
            for place in &mut places {
                place.turn().await;
            }
            take::event(bot, event, places, conversations).await;
            drop(room);
        });
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Works until it is dropped.
pub(crate) async fn run(bot: Arc<Bot>) {
    let mut flow = Flow {
        bot: Arc::clone(&bot),
        channels: Lanes::default(),
        conversations: Lanes::default(),
        room: Arc::new(Semaphore::new(UNDER_WAY)),
        tasks: JoinSet::new(),
    };
    loop {
        match bot.inbox.next().await {
            Item::ReadBack => backfill::run(&bot, &mut flow).await,
            Item::Event(event) => flow.begin(event).await,
        }
        if bot.inbox.is_empty() && bot.keep().mark.has_dropped() {
            bot.command(Command::Replay);
        }
    }
}
