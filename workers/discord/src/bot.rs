//! What the parts of the worker share: the bot, what it knows, and its way to Discord and the hub.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use worker_kit::{Hub, Life, RecentIds};

use crate::access::{Refusals, Rules};
use crate::attachments::Files;
use crate::heard::Heard;
use crate::inbox::Inbox;
use crate::intake::Habits;
use crate::interactions::Answerable;
use crate::keep::Keep;
use crate::rest::Rest;
use crate::snowflake::Id;
use crate::status::Status;
use crate::threads::Writable;
use crate::world::World;

/// What is asked of the gateway from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Have dropped events sent again.
    Replay,
    /// The content intent is switched on.
    ContentAllowed,
}

/// One bot, once Discord has said who it is.
pub(crate) struct Bot {
    pub(crate) me: Id,
    pub(crate) name: String,
    pub(crate) application: Id,
    /// The one server that gets the slash menu; none: all of them.
    pub(crate) menu_guild: Option<Id>,
    pub(crate) owners: BTreeSet<Id>,
    pub(crate) rules: Rules,
    pub(crate) habits: Habits,
    pub(crate) rest: Rest,
    pub(crate) hub: Hub,
    pub(crate) life: Life,
    pub(crate) status: Status,
    pub(crate) world: Mutex<World>,
    pub(crate) keep: Mutex<Keep>,
    /// Something of `keep` is to be committed soon.
    pub(crate) dirty: Notify,
    /// It is to be committed now.
    pub(crate) urgent: Notify,
    pub(crate) inbox: Inbox,
    pub(crate) refusals: Mutex<Refusals>,
    pub(crate) echoes: Mutex<Echoes>,
    /// Events that the hub has: a replay brings them again.
    pub(crate) accepted: Mutex<RecentIds>,
    /// Where the last messages went.
    pub(crate) heard: Mutex<Heard>,
    pub(crate) files: Files,
    pub(crate) writable: Mutex<Writable>,
    /// Interactions that can be answered.
    pub(crate) answerable: Mutex<Answerable>,
    /// Channels that take no cards.
    pub(crate) cardless: Mutex<Cardless>,
    /// The gateway's address, as Discord named it last.
    pub(crate) gateway_url: Mutex<Option<String>>,
    /// How many servers Discord said the bot is in; a resumed session does not tell.
    pub(crate) guilds_told: Option<u64>,
    pub(crate) commands: mpsc::Sender<Command>,
}

/// Locks; what another thread would have left behind in a panic does not exist: a panic aborts.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bot {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(crate) fn keep(&self) -> MutexGuard<'_, Keep> {
        lock(&self.keep)
    }

    /// Says that the session stands; `guilds` as far as this session has told.
    pub(crate) fn connected(&self, guilds: usize) {
        let guilds = if guilds == 0 {
            self.guilds_told.unwrap_or(0)
        } else {
            guilds as u64
        };
        let servers = if guilds == 1 { "server" } else { "servers" };
        self.status
            .connection(format!("connected as {}, {guilds} {servers}", self.name));
    }

    pub(crate) fn command(&self, command: Command) {
        // Full or gone: the same command waits already, or the worker ends.
        let _ = self.commands.try_send(command);
    }
}

/// Channels in which the bot lately lacked the right to post cards. Bounded; tried again after a
/// while.
#[derive(Debug, Default)]
pub(crate) struct Cardless(HashMap<String, Instant>);

impl Cardless {
    const MOST: usize = 1024;
    const WHILE: Duration = Duration::from_secs(600);

    pub(crate) fn note(&mut self, channel: &str, now: Instant) {
        if self.0.len() >= Cardless::MOST {
            self.0.retain(|_, since| now - *since < Cardless::WHILE);
        }
        if self.0.len() < Cardless::MOST {
            self.0.insert(channel.to_owned(), now);
        }
    }

    pub(crate) fn contains(&self, channel: &str, now: Instant) -> bool {
        let since = self.0.get(channel);
        since.is_some_and(|since| now - *since < Cardless::WHILE)
    }
}

/// The bot's own messages, by nonce: as the gateway showed them and as posts were answered. Bounded.
#[derive(Debug, Default)]
pub(crate) struct Echoes {
    by_nonce: HashMap<String, Id>,
    order: VecDeque<String>,
    messages: BTreeSet<Id>,
}

impl Echoes {
    const MOST: usize = 2048;

    pub(crate) fn note(&mut self, nonce: &str, message: Id) {
        if nonce.is_empty() || self.by_nonce.insert(nonce.to_owned(), message).is_some() {
            return;
        }
        self.messages.insert(message);
        self.order.push_back(nonce.to_owned());
        if self.order.len() > Echoes::MOST
            && let Some(oldest) = self.order.pop_front()
            && let Some(message) = self.by_nonce.remove(&oldest)
        {
            self.messages.remove(&message);
        }
    }

    /// The message with that nonce.
    pub(crate) fn message(&self, nonce: &str) -> Option<Id> {
        self.by_nonce.get(nonce).copied()
    }

    /// Whether the message has a nonce other than this.
    pub(crate) fn is_another(&self, message: Id, nonce: &str) -> bool {
        self.messages.contains(&message) && self.message(nonce) != Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_without_cards_is_tried_again_after_a_while() {
        let mut cardless = Cardless::default();
        let now = Instant::now();
        cardless.note("5", now);
        assert!(cardless.contains("5", now) && !cardless.contains("6", now));
        assert!(!cardless.contains("5", now + Cardless::WHILE));
        (0..5000).for_each(|n| cardless.note(&n.to_string(), now));
        assert!(cardless.0.len() <= Cardless::MOST);
    }

    #[test]
    fn echoes_are_found_by_nonce_and_forgotten_in_order() {
        let mut echoes = Echoes::default();
        echoes.note("", Id(1));
        echoes.note("a", Id(2));
        echoes.note("a", Id(2));
        assert_eq!(echoes.message("a"), Some(Id(2)));
        assert!(echoes.is_another(Id(2), "b") && !echoes.is_another(Id(2), "a"));
        assert!(!echoes.is_another(Id(3), "b"));
        (0..10_000_u64).for_each(|n| echoes.note(&n.to_string(), Id(n + 10)));
        assert_eq!(echoes.message("a"), None);
        assert_eq!(
            (
                echoes.order.len(),
                echoes.by_nonce.len(),
                echoes.messages.len()
            ),
            (2048, 2048, 2048)
        );
    }
}
