//! A platform as `talk` needs it: people say things in conversations, and the bot's texts come back.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use fake_discord::{FakeDiscord, Id, Seen, Wire};
use fake_weibo::FakeWeibo;

/// People of Weibo have ids from here on.
pub(crate) const FIRST_UID: u64 = 3_000_000_000;

/// One platform, looked at from now on.
pub(crate) enum Side<'a> {
    /// The owner in channels of the guild.
    Discord {
        discord: &'a FakeDiscord,
        channels: &'a [Id],
        seen: u64,
    },
    /// As many people, each in their own direct messages.
    Weibo {
        weibo: &'a FakeWeibo,
        people: usize,
        shown: u64,
        /// What came of messages that are not finished yet.
        open: HashMap<(String, String), String>,
    },
}

impl<'a> Side<'a> {
    pub(crate) fn discord(discord: &'a FakeDiscord, channels: &'a [Id]) -> Side<'a> {
        let seen = discord.seen().next();
        let side = Side::Discord {
            discord,
            channels,
            seen,
        };
        side.forget();
        side
    }

    pub(crate) fn weibo(weibo: &'a FakeWeibo, people: usize) -> Side<'a> {
        let shown = weibo.shown().next();
        Side::Weibo {
            weibo,
            people,
            shown,
            open: HashMap::new(),
        }
    }

    /// How many conversations there are.
    pub(crate) fn conversations(&self) -> usize {
        match self {
            Side::Discord { channels, .. } => channels.len(),
            Side::Weibo { people, .. } => *people,
        }
    }

    /// Somebody says something in a conversation.
    pub(crate) fn say(&self, conversation: usize, text: &str) {
        match self {
            Side::Discord {
                discord, channels, ..
            } => {
                if let Some(channel) = channels.get(conversation) {
                    discord.user_says(discord.scene().owner, *channel, text);
                }
            }
            Side::Weibo { weibo, .. } => {
                weibo.user_says(FIRST_UID + conversation as u64, text);
            }
        }
    }

    /// The bot's next texts with their conversations, at least one; none if nothing comes for so long.
    pub(crate) async fn texts(&mut self, patience: Duration) -> VecDeque<(usize, String)> {
        let mut found = VecDeque::new();
        while found.is_empty() {
            let came = match self {
                Side::Discord { discord, seen, .. } => {
                    discord.seen().wait_past(*seen, patience).await
                }
                Side::Weibo { weibo, shown, .. } => weibo.shown().wait_past(*shown, patience).await,
            };
            if !came {
                return found;
            }
            self.take(&mut found);
        }
        found
    }

    fn take(&mut self, found: &mut VecDeque<(usize, String)>) {
        match self {
            Side::Discord {
                discord,
                channels,
                seen,
            } => {
                for entry in discord.seen().since(*seen) {
                    *seen = entry.index + 1;
                    let Seen::Posted(line) = entry.what else {
                        continue;
                    };
                    let channel = channels.iter().position(|it| *it == line.channel);
                    if let (true, Some(channel)) = (line.from_bot, channel) {
                        found.push_back((channel, line.text));
                    }
                }
            }
            Side::Weibo {
                weibo, shown, open, ..
            } => {
                for entry in weibo.shown().since(*shown) {
                    *shown = entry.index + 1;
                    let piece = entry.what;
                    let uid: u64 = piece.uid.parse().unwrap_or(0);
                    let key = (piece.uid, piece.message_id);
                    let text = open.entry(key.clone()).or_default();
                    text.push_str(&piece.text);
                    if !piece.done {
                        continue;
                    }
                    let text = open.remove(&key).unwrap_or_default();
                    if let Some(person) = uid.checked_sub(FIRST_UID) {
                        found.push_back((usize::try_from(person).unwrap_or(usize::MAX), text));
                    }
                }
            }
        }
    }

    /// Drops what was looked at, which long runs would keep; the requests dropped that were answered with 429.
    pub(crate) fn forget(&self) -> Vec<String> {
        match self {
            Side::Discord { discord, seen, .. } => {
                discord.seen().forget_before(*seen);
                let wire = discord.wire();
                let next = wire.next();
                let limited = wire.filter_map(|it| match it {
                    Wire::Response {
                        status: 429,
                        method,
                        route,
                        ..
                    } => Some(format!("{method} {route}")),
                    _ => None,
                });
                wire.forget_before(next);
                limited
            }
            Side::Weibo { weibo, shown, .. } => {
                weibo.shown().forget_before(*shown);
                weibo.protocol().forget_before(weibo.protocol().next());
                Vec::new()
            }
        }
    }
}
