//! Conversations with the bot: what is said, what comes back, and whether all of it came once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::report::Times;
use crate::side::Side;

/// What became of many messages.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From the message to its answer.
    pub(crate) times: Times,
    /// From the first message to the last answer.
    pub(crate) took: Duration,
    /// Messages without an answer.
    pub(crate) lost: usize,
    /// Answers beyond the first.
    pub(crate) doubled: usize,
    /// Answers that came before one to an earlier message of their conversation.
    pub(crate) misordered: usize,
    /// Other messages of the bot.
    pub(crate) others: usize,
    /// Requests that the platform answered with 429, by route.
    pub(crate) limited: BTreeMap<String, usize>,
}

impl Outcome {
    fn note_limited(&mut self, routes: Vec<String>) {
        for route in routes {
            *self.limited.entry(route).or_default() += 1;
        }
    }

    /// Whether nothing happened that must not.
    pub(crate) fn well(&self) -> bool {
        self.lost + self.doubled + self.misordered == 0
    }
}

struct Said {
    at: Instant,
    conversation: usize,
    answers: usize,
}

/// Messages under way.
struct Talk {
    total: usize,
    said: Vec<Said>,
}

impl Talk {
    /// Says the next message, unless all are said.
    fn say(&mut self, side: &Side<'_>, conversation: usize) {
        if self.said.len() < self.total {
            let text = format!("#say {}", word(self.said.len()));
            self.said.push(Said {
                at: Instant::now(),
                conversation,
                answers: 0,
            });
            side.say(conversation, &text);
        }
    }
}

/// Says `total` messages, in each conversation at most `ahead` before their answers, and collects the answers until all have come or
/// nothing has for `patience`.
pub(crate) async fn talk(
    mut side: Side<'_>,
    total: usize,
    ahead: usize,
    patience: Duration,
) -> Outcome {
    let begun = Instant::now();
    let said = Vec::with_capacity(total);
    let mut talk = Talk { total, said };
    for _ in 0..ahead {
        (0..side.conversations()).for_each(|conversation| talk.say(&side, conversation));
    }
    let mut outcome = Outcome::default();
    let mut newest = vec![0; side.conversations()];
    let mut answered = 0;
    while answered < total {
        let texts = side.texts(patience).await;
        if texts.is_empty() {
            break;
        }
        for (conversation, text) in texts {
            let Some((number, it)) = number(&text).and_then(|n| Some((n, talk.said.get_mut(n)?)))
            else {
                outcome.others += 1;
                continue;
            };
            it.answers += 1;
            if it.answers > 1 || it.conversation != conversation {
                outcome.doubled += 1;
                continue;
            }
            outcome.times.push(it.at.elapsed());
            outcome.took = begun.elapsed();
            answered += 1;
            if let Some(newest) = newest.get_mut(conversation) {
                outcome.misordered += usize::from(number < *newest);
                *newest = number.max(*newest);
            }
            talk.say(&side, conversation);
        }
        outcome.note_limited(side.forget());
    }
    outcome.lost = total - answered;
    outcome
}

/// One message at a time, each in the next of the conversations, and none sooner than `pace` after the last.
pub(crate) async fn one_by_one(
    mut side: Side<'_>,
    total: usize,
    pace: Duration,
    patience: Duration,
) -> Outcome {
    let mut outcome = Outcome::default();
    let conversations = side.conversations().max(1);
    for n in 0..total {
        let begun = Instant::now();
        side.say(n % conversations, &format!("#say {}", word(n)));
        // What comes late of an earlier one is not waited for again.
        let answered = 'answer: loop {
            let texts = side.texts(patience).await;
            if texts.is_empty() {
                break false;
            }
            for (_, text) in texts {
                match number(&text) {
                    Some(it) if it == n => break 'answer true,
                    Some(_) => outcome.doubled += 1,
                    None => outcome.others += 1,
                }
            }
        };
        if answered {
            outcome.times.push(begun.elapsed());
        } else {
            outcome.lost += 1;
        }
        outcome.note_limited(side.forget());
        tokio::time::sleep(pace.saturating_sub(begun.elapsed())).await;
    }
    outcome
}

fn word(number: usize) -> String {
    format!("answer-{number}-end")
}

fn number(text: &str) -> Option<usize> {
    text.strip_prefix("answer-")?
        .strip_suffix("-end")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::{Side, number, talk, word};
    use fake_discord::{FakeDiscord, Wire};
    use std::time::Duration;

    #[test]
    fn words_are_their_numbers() {
        assert_eq!(number(&word(12)), Some(12));
        assert_eq!(number("answer-12-ended"), None);
    }

    #[tokio::test]
    async fn what_nobody_answers_is_lost() {
        let discord = FakeDiscord::start().await;
        let channels = [discord.scene().general, discord.scene().random];
        let side = Side::discord(&discord, &channels);
        let outcome = talk(side, 3, 1, Duration::ZERO).await;
        assert_eq!((outcome.lost, outcome.well()), (3, false));
        // Two were said, and the third would have followed an answer.
        assert_eq!(discord.transcript(channels[0]).len(), 1);
        assert_eq!(discord.transcript(channels[1]).len(), 1);
        assert_eq!(
            discord
                .wire()
                .count(|it| matches!(it, Wire::Request { .. })),
            0
        );
    }
}
