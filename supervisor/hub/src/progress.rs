//! What the chat sees of a turn while it runs. Pure.
//!
//! Steps (the agent thinks, uses a tool) are passing: they may be lost. Text that the agent wrote
//! before its last words is content: it stays complete, however many pages it takes. A page is one
//! message; it is posted once, changed while it is open, and closed for good when it is full or the
//! turn is over. A page of steps alone never overflows: its oldest steps give way.
//!
//! Texts that come in here are set in the platform's dialect already.

use serde::{Deserialize, Serialize};

/// What stands in place of steps that gave way.
const GONE: &str = "…";

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Post a page that reads like this; it is the open one now.
    Open(String),
    /// The open page is full, reads like this for good and is no longer the open one. `content` = it
    /// holds words of the agent's, so where it cannot be changed it is posted anew.
    Close {
        /// See above.
        text: String,
        /// See above.
        content: bool,
    },
    /// The open page has changed.
    Changed,
}

/// The pages of a turn, as far as they are open; kept in the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Board {
    /// The chunk that posted the open page; empty = it is not posted.
    pub page: String,
    /// What stands on the open page.
    text: String,
    /// It holds words of the agent's.
    content: bool,
    /// The last line says that the agent thinks.
    thinks: bool,
    /// Cards cannot be posted here.
    pub plain: bool,
}

impl Board {
    /// Nothing stands on the open page.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What stands on the open page.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The open page holds words of the agent's.
    pub fn has_content(&self) -> bool {
        self.content
    }

    /// The agent thinks: said once until something else happens. `room` is a page's, in code points.
    pub fn thinks(&mut self, line: &str, room: usize) -> Vec<Step> {
        if self.thinks {
            return Vec::new();
        }
        let steps = self.step(line, room);
        self.thinks = true;
        steps
    }

    /// Something happened: a line.
    pub fn step(&mut self, line: &str, room: usize) -> Vec<Step> {
        let line: String = line.chars().take(room).collect();
        self.thinks = false;
        if !self.fits(&line, room) && !self.content {
            self.forget_steps(line.chars().count(), room);
        }
        self.put(&line, "\n", false, room)
    }

    /// Words of the agent's, in pieces that each fit a page.
    pub fn content<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a str>,
        room: usize,
    ) -> Vec<Step> {
        self.thinks = false;
        let mut steps = Vec::new();
        for piece in pieces {
            steps.extend(self.put(piece, "\n\n", true, room));
        }
        steps
    }

    fn fits(&self, more: &str, room: usize) -> bool {
        self.text.is_empty() || self.text.chars().count() + 2 + more.chars().count() <= room
    }

    /// The older half of the steps gives way, or more of them.
    fn forget_steps(&mut self, needed: usize, room: usize) {
        let most = (room / 2).min(room.saturating_sub(needed + GONE.len() + 2));
        let mut kept: Vec<&str> = Vec::new();
        let mut chars = 0;
        for line in self.text.lines().rev().filter(|line| *line != GONE) {
            chars += line.chars().count() + 1;
            if chars > most {
                break;
            }
            kept.push(line);
        }
        kept.push(GONE);
        kept.reverse();
        self.text = kept.join("\n");
    }

    fn put(&mut self, more: &str, between: &str, content: bool, room: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.fits(more, room) {
            steps.push(Step::Close {
                text: std::mem::take(&mut self.text),
                content: std::mem::take(&mut self.content),
            });
            self.page.clear();
        }
        // Words and steps are parted, steps among themselves are not.
        let between = if self.content && !content {
            "\n\n"
        } else {
            between
        };
        let opens = self.text.is_empty();
        if !opens {
            self.text.push_str(between);
        }
        self.text.push_str(more);
        self.content |= content;
        steps.push(if opens && self.page.is_empty() {
            Step::Open(self.text.clone())
        } else {
            Step::Changed
        });
        steps
    }
}

/// Whether so much new text is worth a change.
pub fn is_news(shown: usize, now: usize, min_delta: usize) -> bool {
    now.abs_diff(shown) >= min_delta.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 40;

    #[test]
    fn thinking_is_said_once_until_something_else_happens() {
        let mut board = Board::default();
        assert_eq!(board.thinks("T", ROOM), [Step::Open("T".into())]);
        board.page = "p".into();
        assert_eq!(board.thinks("T", ROOM), []);
        assert_eq!(board.step("tool", ROOM), [Step::Changed]);
        assert_eq!(board.thinks("T", ROOM), [Step::Changed]);
        assert_eq!(board.text(), "T\ntool\nT");
    }

    #[test]
    fn a_page_of_steps_forgets_its_oldest() {
        let mut board = Board::default();
        for n in 0..100 {
            for step in board.step(&format!("step number {n}"), ROOM) {
                assert!(!matches!(step, Step::Close { .. }));
                board.page = "p".into();
            }
            assert!(board.text().chars().count() <= ROOM, "{}", board.text());
        }
        assert!(board.text().starts_with("…\n") && board.text().ends_with("step number 99"));
    }

    #[test]
    fn words_are_never_forgotten_and_parted_from_steps() {
        let mut board = Board::default();
        board.step("tool", ROOM);
        board.page = "p".into();
        assert_eq!(board.content(["words"], ROOM), [Step::Changed]);
        board.step("tool", ROOM);
        assert_eq!(board.text(), "tool\n\nwords\n\ntool");
        let long = "x".repeat(ROOM);
        let steps = board.content([long.as_str()], ROOM);
        let closed = Step::Close {
            text: "tool\n\nwords\n\ntool".into(),
            content: true,
        };
        assert_eq!(steps, [closed, Step::Open(long)]);
    }

    #[test]
    fn a_board_comes_back_as_it_was() {
        let mut board = Board::default();
        board.content(["a"], ROOM);
        let kept = serde_json::to_string(&board).unwrap();
        assert_eq!(serde_json::from_str::<Board>(&kept).unwrap(), board);
        assert_eq!(
            serde_json::from_str::<Board>("{}").unwrap(),
            Board::default()
        );
    }

    proptest! {
        #[test]
        fn every_word_stands_on_some_page_and_no_page_is_too_long(
            acts in prop::collection::vec((any::<bool>(), "[a-z]{1,40}"), 0..60)
        ) {
            let mut board = Board::default();
            let mut pages: Vec<String> = Vec::new();
            let mut words: Vec<String> = Vec::new();
            for (n, (content, text)) in acts.into_iter().enumerate() {
                let steps = if content {
                    words.push(text.clone());
                    board.content([text.as_str()], ROOM)
                } else {
                    board.step(&text, ROOM)
                };
                for step in steps {
                    match step {
                        Step::Open(_) => board.page = n.to_string(),
                        Step::Close { text, .. } => pages.push(text),
                        Step::Changed => prop_assert!(!board.page.is_empty()),
                    }
                }
            }
            pages.push(board.text().to_owned());
            prop_assert!(pages.iter().all(|page| page.chars().count() <= ROOM));
            let all = pages.join("\n\n");
            let mut from = 0;
            for word in words {
                let at = all[from..].find(&word);
                prop_assert!(at.is_some(), "{word} is missing in {all}");
                from += at.unwrap_or(0) + word.len();
            }
        }
    }
}
