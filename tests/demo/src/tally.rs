//! What was sent and what became of it.
//!
//! Each prompt of the script ends in a word that no other has and asks for it; whatever holds that
//! word is an answer to it.

use std::fmt;

use crate::scene::Scene;

/// The count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Messages of people.
    pub(crate) sent: usize,
    /// Those with an answer.
    pub(crate) answered: usize,
    /// Those without.
    pub(crate) lost: usize,
    /// Those with more than one.
    pub(crate) doubled: usize,
    /// Processes that were started again.
    pub(crate) restarts: u64,
}

impl Tally {
    /// Counts over both ledgers; `on_weibo` is what was sent there.
    pub(crate) fn of(scene: &Scene, on_weibo: &[String], restarts: u64) -> Tally {
        let discord = scene
            .discord
            .tally(|prompt, line| answers(&prompt.text, &line.text));
        let bubbles = scene.weibo.bubbles(scene.weibo.account().owner);
        let texts: Vec<String> = bubbles.into_iter().map(|bubble| bubble.text).collect();
        let weibo = count(on_weibo, &texts);
        Tally {
            sent: discord.sent + weibo.sent,
            answered: discord.answered + weibo.answered,
            lost: discord.lost.len() + weibo.lost,
            doubled: discord.doubled.len() + weibo.doubled,
            restarts,
        }
    }

    /// Whether every message was answered, and once.
    pub(crate) fn agrees(&self) -> bool {
        self.sent > 0 && self.sent == self.answered && self.lost == 0 && self.doubled == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sent {} · answered {} · lost {} · doubled {} · restarts {}",
            self.sent, self.answered, self.lost, self.doubled, self.restarts
        )
    }
}

/// Whether a text answers a prompt: it holds the prompt's last word.
pub(crate) fn answers(prompt: &str, text: &str) -> bool {
    let word = prompt.split_whitespace().last().unwrap_or(prompt);
    // A model may begin its answer with a capital.
    text.to_lowercase().contains(&word.to_lowercase())
}

fn count(prompts: &[String], texts: &[String]) -> Tally {
    let mut tally = Tally::default();
    for prompt in prompts {
        tally.sent += 1;
        match texts.iter().filter(|text| answers(prompt, text)).count() {
            0 => tally.lost += 1,
            1 => tally.answered += 1,
            _ => {
                tally.answered += 1;
                tally.doubled += 1;
            }
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(texts: &[&str]) -> Tally {
        let prompts = ["say anchor", "只说 灯塔"].map(String::from);
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        count(&prompts, &texts)
    }

    #[test]
    fn each_answered_once_agrees() {
        let tally = counted(&["Anchor.", "灯塔"]);
        assert!(tally.agrees());
        assert_eq!(
            tally.to_string(),
            "sent 2 · answered 2 · lost 0 · doubled 0 · restarts 0"
        );
    }

    #[test]
    fn lost_doubled_and_nothing_at_all_do_not() {
        let lost = counted(&["anchor"]);
        assert_eq!((lost.answered, lost.lost, lost.agrees()), (1, 1, false));
        let doubled = counted(&["anchor", "灯塔", "anchor"]);
        assert_eq!(
            (doubled.answered, doubled.doubled, doubled.agrees()),
            (2, 1, false)
        );
        assert!(!Tally::default().agrees());
    }
}
