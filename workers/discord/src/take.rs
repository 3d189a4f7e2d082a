//! One event, from its turn in its channel to where the hub keeps it.
//!
//! A message is judged, gets its conversation once and for good, has its files fetched and is
//! offered. A change or a withdrawal goes where its message went; of one that is not known any more
//! a withdrawal is dropped. The event's ticket is open until the hub has committed it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_schema::{Access, Act, Inbound, Lack};
use worker_kit::hub::{Answer, Offer};

use crate::access::Verdict;
use crate::attachments::{self, Gathered};
use crate::backfill;
use crate::bot::{Bot, lock};
use crate::events::Message;
use crate::heard::Settled;
use crate::inbound;
use crate::inbox::Event;
use crate::intake::{self, Addressed, Home};
use crate::interactions;
use crate::lanes::{Lanes, Place};
use crate::rest::{Once, calls};
use crate::snowflake::Id;
use crate::threads::{self, Belongs, ask};
use crate::watermark::Ticket;

/// A message that the hub puts off for longer than this gets a mark that its writer sees.
const PUT_OFF: Duration = Duration::from_secs(2);
const HOURGLASS: &str = "⏳";

/// Its places in the channel; given back once its conversation is known.
type Places = Vec<Place<Id>>;

/// Takes an event that has its turn in its channel.
pub(crate) async fn event(
    bot: Arc<Bot>,
    event: Event,
    places: Places,
    conversations: Lanes<String>,
) {
    match event {
        Event::Wrote(ticket, message) => {
            wrote(bot, ticket, *message, places, conversations).await;
        }
        Event::Changed(ticket, message, at_ms) => {
            if let Some((home, known)) = changed(&bot, &message, at_ms).await {
                let mut place = conversations.queue(home.conversation.clone());
                drop(places);
                place.turn().await;
                let files = attachments::gather(&bot, &message, &known).await;
                let offer = offer_change(&bot, &message, &home, files, at_ms).await;
                follow_act(bot, offer, ticket, change_id(message.id, at_ms));
            } else {
                bot.keep().act_accepted(ticket);
                bot.dirty.notify_one();
            }
        }
        Event::Acted(ticket, interaction) => {
            // Who presses does not wait for files of those who wrote before.
            drop(places);
            let id = interaction.id.to_string();
            let offer = interactions::offer(&bot, *interaction).await;
            follow_act(bot, offer, ticket, id);
        }
        Event::Withdrew(ticket, _, messages) => {
            withdrew(bot, ticket, &messages, places, conversations).await;
        }
    }
}

async fn wrote(
    bot: Arc<Bot>,
    ticket: Option<Ticket>,
    mut message: Message,
    places: Places,
    conversations: Lanes<String>,
) {
    let (channel, id) = (message.channel_id, message.id);
    let done = || {
        bot.keep().accepted(ticket, channel, id);
        bot.dirty.notify_one();
    };
    if lock(&bot.accepted).contains(&id.to_string()) {
        return done();
    }
    let before = lock(&bot.heard).settled(id).map(|it| it.home.clone());
    let (access, home, lacks) = match before {
        Some(home) => (Access::Granted, home, Vec::new()),
        None => match settle(&bot, &mut message).await {
            Some(settled) => settled,
            None => {
                lock(&bot.heard).forget(id);
                return done();
            }
        },
    };
    let mut place = conversations.queue(home.conversation.clone());
    drop(places);
    place.turn().await;
    let offered = lock(&bot.heard).settled(id).is_some_and(|it| it.offered);
    let files = match access {
        // What is offered already is only joined.
        Access::Granted if !offered => attachments::gather(&bot, &message, &[]).await,
        _ => Gathered::default(),
    };
    let owner = bot.owners.contains(&message.author.id);
    let mut inbound = inbound::inbound(&message, &bot.world(), &home, access, owner);
    let gap = access == Access::Granted && bot.keep().floors.has_gap(channel);
    if gap {
        backfill::gap().note(&mut inbound);
    }
    inbound.lacks = lacks;
    put(&mut inbound, &files);
    let offer = bot.hub.offer(inbound, &trace(id)).await;
    if let Some(it) = lock(&bot.heard).settled_mut(id) {
        it.offered = true;
        if it.files.is_empty() {
            it.files = files.kept;
        }
    }
    tokio::spawn(follow(Arc::clone(&bot), offer, ticket, message, gap));
}

/// The verdict over a message, and the conversation that it belongs to; none if nothing comes of it.
async fn settle(bot: &Bot, message: &mut Message) -> Option<(Access, Home, Vec<Lack>)> {
    let (guild, channel, id) = (message.guild_id, message.channel_id, message.id);
    let addressed = know(bot, message).await;
    match (judge(bot, message), addressed) {
        (_, Addressed::No | Addressed::Perhaps) | (Verdict::Elsewhere, _) => return None,
        (Verdict::Granted, _) => {}
        // Who was not spoken to is not spoken to.
        (Verdict::Refused, Addressed::InPassing) => return None,
        (Verdict::Refused, Addressed::Directly) => {
            if !lock(&bot.refusals).tell(message.author.id, Instant::now()) {
                return None;
            }
            lock(&bot.heard).forget(id);
            let user = message.author.id;
            let home = Home::of(guild, channel, user, &bot.world(), &bot.habits);
            return Some((Access::Refused, home, Vec::new()));
        }
    }
    if bot.keep().floors.open(channel, guild, id) {
        bot.urgent.notify_one();
    }
    let Belongs::To(home, lacks) = threads::settle(bot, message).await else {
        return None;
    };
    let settled = Settled {
        home: home.clone(),
        sender: inbound::sender(message, bot.owners.contains(&message.author.id)),
        files: Vec::new(),
        offered: false,
        changed_ms: intake::changed_ms(message).unwrap_or(0),
    };
    lock(&bot.heard).settle(id, settled);
    Some((Access::Granted, home, lacks))
}

/// The conversation of a changed message, and its files that the hub keeps already; none if nothing
/// comes of the change.
async fn changed(
    bot: &Bot,
    message: &Message,
    at_ms: u64,
) -> Option<(Home, Vec<(Id, ipc_schema::BlobRef)>)> {
    let mut message = message.clone();
    let addressed = know(bot, &mut message).await;
    if judge(bot, &message) != Verdict::Granted {
        return None;
    }
    if let Some(it) = lock(&bot.heard).settled_mut(message.id) {
        if it.changed_ms >= at_ms {
            return None;
        }
        it.changed_ms = at_ms;
        return Some((it.home.clone(), it.files.clone()));
    }
    if matches!(addressed, Addressed::No | Addressed::Perhaps) {
        return None;
    }
    // It came before this process did.
    let (guild, channel) = (message.guild_id, message.channel_id);
    if guild.is_some() && bot.habits.threads && message.has_thread() {
        return Some((Home::thread(message.id), Vec::new()));
    }
    let user = message.author.id;
    let home = Home::of(guild, channel, user, &bot.world(), &bot.habits);
    Some((home, Vec::new()))
}

async fn offer_change(
    bot: &Bot,
    message: &Message,
    home: &Home,
    files: Gathered,
    at_ms: u64,
) -> Offer {
    let owner = bot.owners.contains(&message.author.id);
    let mut inbound = inbound::inbound(message, &bot.world(), home, Access::Granted, owner);
    put(&mut inbound, &files);
    let of = std::mem::replace(&mut inbound.event_id, change_id(message.id, at_ms));
    inbound.act = Act::Edited { of };
    inbound.order = 0;
    inbound.sent_at_ms = at_ms;
    bot.hub.offer(inbound, &trace(message.id)).await
}

async fn withdrew(
    bot: Arc<Bot>,
    ticket: Ticket,
    messages: &[Id],
    places: Places,
    conversations: Lanes<String>,
) {
    let gone: Vec<_> = {
        let heard = lock(&bot.heard);
        let gone = messages.iter().filter_map(|id| {
            let it = heard.settled(*id)?;
            let place = conversations.queue(it.home.conversation.clone());
            Some((*id, it.home.clone(), it.sender.clone(), place))
        });
        gone.collect()
    };
    drop(places);
    let mut offers = Vec::new();
    for (id, home, sender, mut place) in gone {
        place.turn().await;
        let inbound = Inbound {
            event_id: format!("{id}:d"),
            conversation: home.conversation,
            address: home.channel.to_string(),
            direct: home.direct,
            shared: home.shared,
            sender,
            access: Access::Granted,
            act: Act::Deleted { of: id.to_string() },
            ..Inbound::default()
        };
        offers.push(bot.hub.offer(inbound, &trace(id)).await);
    }
    tokio::spawn(async move {
        for offer in offers {
            // One that the hub cannot use is as done as it will be.
            let _ = offer.accepted().await;
        }
        bot.keep().act_accepted(ticket);
        bot.dirty.notify_one();
    });
}

fn put(inbound: &mut Inbound, files: &Gathered) {
    let blobs = files.kept.iter().map(|(_, blob)| blob.clone());
    inbound.attachments.extend(blobs);
    for missing in &files.left_out {
        missing.clone().note(inbound);
    }
}

fn judge(bot: &Bot, message: &Message) -> Verdict {
    intake::judge(message, &bot.world(), &bot.rules, &bot.owners)
}

/// The event that a change of a message is.
pub(crate) fn change_id(message: Id, at_ms: u64) -> String {
    format!("{message}:e:{at_ms}")
}

fn trace(message: Id) -> String {
    format!("discord-{message}")
}

/// Waits until the hub has the message. Who waits for long sees that. `gap`: the message says that
/// a part of its channel was not read.
async fn follow(
    bot: Arc<Bot>,
    mut offer: Offer,
    ticket: Option<Ticket>,
    message: Message,
    gap: bool,
) {
    let (channel, id) = (message.channel_id, message.id);
    let mut marked = false;
    loop {
        match offer.answer().await {
            Answer::Accepted => {
                lock(&bot.accepted).insert(&id.to_string());
                if gap {
                    bot.keep().floors.gap_told(channel);
                }
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

/// Waits until the hub has what happened to a message.
fn follow_act(bot: Arc<Bot>, offer: Offer, ticket: Ticket, event_id: String) {
    tokio::spawn(async move {
        if offer.accepted().await.is_ok() {
            lock(&bot.accepted).insert(&event_id);
        }
        bot.keep().act_accepted(ticket);
        bot.dirty.notify_one();
    });
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
    let channel = message.channel_id;
    let addressed = |message: &Message| {
        let adopted = bot.keep().floors.is_adopted(channel);
        intake::addressed(message, &bot.world(), &bot.habits, adopted)
    };
    let mut to = addressed(message);
    if let (Addressed::Perhaps, Some(guild)) = (to, message.guild_id) {
        if !message.mention_roles.is_empty() && !bot.world().knows_roles(guild) {
            let roles = ask(|| bot.rest.roles(guild)).await;
            bot.world().set_roles(guild, roles.unwrap_or_default());
            to = addressed(message);
        }
        if to == Addressed::Perhaps {
            learn(bot, channel).await;
            to = addressed(message);
        }
    }
    let Some(guild) = message.guild_id.filter(|_| to != Addressed::No) else {
        return to;
    };
    let mut unknown = intake::unknown_channels(message, &bot.world());
    if bot.habits.threads || bot.rules.needs_parent(channel) {
        unknown.insert(channel);
    }
    for channel in unknown {
        if bot.world().known_channel(channel).is_none() {
            learn(bot, channel).await;
        }
    }
    let author = message.author.id;
    if message.member.is_none() && bot.rules.needs_roles(author) {
        message.member = ask(|| bot.rest.member(guild, author)).await;
    }
    to
}

/// Asks what a channel is, if that is not known. One that Discord will not tell of is a channel without a name.
pub(crate) async fn learn(bot: &Bot, channel: Id) {
    if bot.world().known_channel(channel).is_some() {
        return;
    }
    match ask(|| bot.rest.channel(channel)).await {
        Some(known) => bot.world().channel(known),
        None => bot
            .world()
            .channel(crate::events::Channel::nameless(channel)),
    }
}
