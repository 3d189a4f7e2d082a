//! Waiting and counting: what tests ask of the ledgers.
//!
//! Predicates run while a ledger is locked: they look at what they are given and call nothing of the fake.
//! Promises: nothing here polls or sleeps; a wait that fails says what came instead.

use std::collections::BTreeMap;
use std::time::Duration;

use fake_kit::{Entry, Timeout};
use serde::Serialize;

use crate::{FakeDiscord, Id, Line, Outcome, Seen, Wire};

/// Prompts and their answers, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages of people.
    pub sent: usize,
    /// Those with at least one answer.
    pub answered: usize,
    /// Those with none.
    pub lost: Vec<Id>,
    /// Those with more than one.
    pub doubled: Vec<Id>,
}

impl FakeDiscord {
    /// Waits for something that people see, old or new.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_seen(
        &self,
        predicate: impl FnMut(&Seen) -> bool,
        deadline: Duration,
    ) -> Result<Entry<Seen>, Timeout> {
        self.seen().wait_for(predicate, deadline).await
    }

    /// Waits for something on the wire, old or new.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_wire(
        &self,
        predicate: impl FnMut(&Wire) -> bool,
        deadline: Duration,
    ) -> Result<Entry<Wire>, Timeout> {
        self.wire().wait_for(predicate, deadline).await
    }

    /// Waits until a bot was greeted, by READY or RESUMED, at or past index `since` of the wire ledger.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_connected(
        &self,
        since: u64,
        deadline: Duration,
    ) -> Result<Entry<Wire>, Timeout> {
        let greeted = |wire: &Wire| {
            matches!(
                wire,
                Wire::Identify {
                    outcome: Outcome::Accepted { .. },
                    ..
                } | Wire::Resume {
                    outcome: Outcome::Accepted { .. },
                    ..
                }
            )
        };
        self.wire().wait_for_since(since, greeted, deadline).await
    }

    /// Waits for the first message of a bot in `channel` after message `after`.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_reply(
        &self,
        channel: Id,
        after: Id,
        deadline: Duration,
    ) -> Result<Line, Timeout> {
        self.wait_line(channel, after, |_| true, deadline).await
    }

    /// Waits for the first message of a bot in `channel` after message `after` that `fits`.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_line(
        &self,
        channel: Id,
        after: Id,
        mut fits: impl FnMut(&Line) -> bool,
        deadline: Duration,
    ) -> Result<Line, Timeout> {
        let hit = |seen: &Seen| {
            seen.posted().is_some_and(|line| {
                line.channel == channel && line.from_bot && line.message > after && fits(line)
            })
        };
        let entry = self
            .seen()
            .wait_for_since(self.seen_at(after), hit, deadline)
            .await?;
        match entry.what {
            Seen::Posted(line) => Ok(line),
            // The predicate lets only posts through.
            _ => Err(Timeout {
                waited: deadline,
                seen: entry.index,
                last: String::new(),
            }),
        }
    }

    /// Waits for `count` messages of bots in `channel` after message `after`, in order.
    ///
    /// # Errors
    /// [`Timeout`].
    pub async fn wait_replies(
        &self,
        channel: Id,
        after: Id,
        count: usize,
        deadline: Duration,
    ) -> Result<Vec<Line>, Timeout> {
        let mut found = Vec::new();
        if count == 0 {
            return Ok(found);
        }
        let collect = |seen: &Seen| {
            found.extend(
                seen.posted()
                    .filter(|line| reply(line, channel, after))
                    .cloned(),
            );
            found.len() >= count
        };
        self.seen()
            .wait_for_since(self.seen_at(after), collect, deadline)
            .await?;
        Ok(found)
    }

    /// Messages of bots in `channel` after message `after`, as they were posted.
    #[must_use]
    pub fn replies(&self, channel: Id, after: Id) -> Vec<Line> {
        let entries = self.seen().since(self.seen_at(after));
        let lines = entries.into_iter().filter_map(|entry| match entry.what {
            Seen::Posted(line) => Some(line),
            _ => None,
        });
        lines.filter(|line| reply(line, channel, after)).collect()
    }

    /// Where the message stands in the ledger of what was seen; 0 if it is gone.
    fn seen_at(&self, message: Id) -> u64 {
        self.shared
            .core()
            .world
            .message(message)
            .map_or(0, |it| it.seen_at)
    }

    /// What a channel shows now, oldest first: edited as edited, deleted gone, without what the system wrote.
    #[must_use]
    pub fn transcript(&self, channel: Id) -> Vec<Line> {
        let core = self.shared.core();
        let place = core.world.channels.get(&channel);
        let messages = place.into_iter().flat_map(|place| place.messages.values());
        messages
            .filter(|it| !it.of_the_system())
            .map(|it| it.line(core.world.is_bot(it.author)))
            .collect()
    }

    /// Counts prompts and answers over the whole ledger. `answers(prompt, line)` says whether a bot's line in the same channel,
    /// later than the prompt, is the answer (or the first part of it) to that prompt.
    #[must_use]
    pub fn tally(&self, answers: impl Fn(&Line, &Line) -> bool) -> Tally {
        let mut places: BTreeMap<Id, Vec<Line>> = BTreeMap::new();
        for line in self.seen().filter_map(|seen| seen.posted().cloned()) {
            places.entry(line.channel).or_default().push(line);
        }
        let mut tally = Tally::default();
        for lines in places.values() {
            for (index, prompt) in lines.iter().enumerate().filter(|(_, line)| !line.from_bot) {
                let later = lines.get(index + 1..).unwrap_or_default();
                let hits = later
                    .iter()
                    .filter(|line| line.from_bot && answers(prompt, line))
                    .count();
                tally.sent += 1;
                tally.answered += usize::from(hits > 0);
                match hits {
                    0 => tally.lost.push(prompt.message),
                    1 => {}
                    _ => tally.doubled.push(prompt.message),
                }
            }
        }
        tally
    }

    /// Requests on the wire, oldest first: method, path and body.
    #[must_use]
    pub fn requests(&self, method: &str, route: &str) -> Vec<(String, serde_json::Value)> {
        self.wire().filter_map(|wire| match wire {
            Wire::Request {
                method: it,
                route: at,
                path,
                body,
                ..
            } if it == method && at == route => Some((path.clone(), body.clone())),
            _ => None,
        })
    }
}

fn reply(line: &Line, channel: Id, after: Id) -> bool {
    line.channel == channel && line.from_bot && line.message > after
}
