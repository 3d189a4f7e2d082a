//! What the runner has told the hub of each attempt, and what it has still to tell. Pure.
//!
//! Promises: the updates of an attempt are numbered from 1 without gaps, `Ended` comes once and
//! last, and each is held until the hub has committed it; after a relink everything that is held is
//! said again, in order. What is held is bounded ([`HELD_BYTES`] of text an attempt): who has more
//! to say asks [`Board::has_room`] first and keeps the rest where it can be read again.

use std::collections::{BTreeMap, VecDeque};

use ipc_schema::{
    Body, MAX_TEXT, Outcome, Standing, TurnEvent, TurnRef, TurnStanding, TurnUpdate, TurnsAnswer,
    Unprompted,
};

use crate::text;

/// Text of one attempt that may wait for the hub. One piece more is taken if there is none.
pub const HELD_BYTES: usize = 1 << 20;
/// A piece of text, in bytes.
pub const PIECE_BYTES: usize = MAX_TEXT / 2;
/// How many stopped turns and ended attempts are remembered.
const REMEMBERED: usize = 1024;
/// How many texts may wait that belong to no turn; the oldest is dropped for another.
const UNPROMPTED: usize = 64;

/// What is to be sent, with its trace.
pub type Say = (Body, String);

/// What a prompt is to the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It is to be run.
    New,
    /// It is running, or has run.
    Known,
    /// It was interrupted before it came; told as stopped.
    Stopped,
}

#[derive(Debug, Default)]
struct Attempt {
    trace: String,
    /// The number of the last update.
    last: u64,
    held: VecDeque<TurnUpdate>,
    held_bytes: usize,
    ended: bool,
    /// The hub does not know it: nothing is told of it any more.
    disowned: bool,
}

/// Every attempt that is of interest to the hub.
#[derive(Debug, Default)]
pub struct Board {
    attempts: BTreeMap<TurnRef, Attempt>,
    /// Turns that are never to run, because they were stopped.
    stopped: VecDeque<String>,
    /// Attempts that are over and committed.
    gone: VecDeque<TurnRef>,
    unprompted: VecDeque<Unprompted>,
    /// The link stands and the hub has compared notes.
    open: bool,
}

impl Board {
    /// The link is down, or newly up: nothing is said until the hub has compared notes.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Takes note of a prompt.
    pub fn begin(&mut self, at: &TurnRef, trace: &str, say: &mut Vec<Say>) -> Begin {
        if self.attempts.contains_key(at) || self.gone.contains(at) {
            return Begin::Known;
        }
        let attempt = Attempt {
            trace: trace.to_owned(),
            ..Attempt::default()
        };
        self.attempts.insert(at.clone(), attempt);
        if self.stopped.contains(&at.turn) {
            self.keep(
                at,
                TurnEvent::Ended {
                    outcome: Outcome::Stopped,
                },
                say,
            );
            return Begin::Stopped;
        }
        Begin::New
    }

    /// Remembers that a turn was stopped, whether or not its prompt has come.
    pub fn stop(&mut self, turn: &str) {
        if !self.stopped.iter().any(|stopped| stopped == turn) {
            remember(&mut self.stopped, turn.to_owned());
        }
    }

    /// Whether this attempt was begun and is not over.
    pub fn runs(&self, at: &TurnRef) -> bool {
        self.attempts.get(at).is_some_and(|attempt| !attempt.ended)
    }

    /// Whether more content may be held.
    pub fn has_room(&self, at: &TurnRef) -> bool {
        self.attempts
            .get(at)
            .is_none_or(|attempt| attempt.disowned || attempt.held_bytes < HELD_BYTES)
    }

    /// How many events of this attempt wait for the hub.
    pub fn held(&self, at: &TurnRef) -> usize {
        self.attempts
            .get(at)
            .map_or(0, |attempt| attempt.held.len())
    }

    /// Numbers, holds and says an event; its number. After `Ended` nothing more is taken.
    pub fn keep(&mut self, at: &TurnRef, event: TurnEvent, say: &mut Vec<Say>) -> Option<u64> {
        let attempt = self.attempts.get_mut(at).filter(|attempt| !attempt.ended)?;
        attempt.ended = matches!(event, TurnEvent::Ended { .. });
        if attempt.disowned {
            if attempt.ended {
                self.attempts.remove(at);
            }
            return None;
        }
        attempt.last += 1;
        attempt.held_bytes += weight(&event);
        let update = TurnUpdate {
            at: at.clone(),
            n: attempt.last,
            event,
        };
        if self.open {
            say.push((Body::TurnUpdate(update.clone()), attempt.trace.clone()));
        }
        attempt.held.push_back(update);
        Some(attempt.last)
    }

    /// Says a block of text, in pieces.
    pub fn keep_text(&mut self, at: &TurnRef, block: &str, text: &str, say: &mut Vec<Say>) {
        let mut pieces = pieces(text).peekable();
        while let Some(piece) = pieces.next() {
            let event = TurnEvent::Text {
                block: block.to_owned(),
                text: piece.to_owned(),
                more: pieces.peek().is_some(),
            };
            self.keep(at, event, say);
        }
    }

    /// Says something that may be lost.
    pub fn show(&self, at: &TurnRef, event: TurnEvent, say: &mut Vec<Say>) {
        let Some(attempt) = self.attempts.get(at) else {
            return;
        };
        if self.open && !attempt.ended && !attempt.disowned {
            let update = TurnUpdate {
                at: at.clone(),
                n: 0,
                event,
            };
            say.push((Body::TurnUpdate(update), attempt.trace.clone()));
        }
    }

    /// Says a text that belongs to no turn.
    pub fn unprompted(&mut self, session: &str, id: &str, text: &str, say: &mut Vec<Say>) {
        for (index, piece) in pieces(text).enumerate() {
            let id = if index == 0 {
                id.to_owned()
            } else {
                format!("{id}/{index}")
            };
            let said = Unprompted {
                id,
                session: session.to_owned(),
                text: piece.to_owned(),
            };
            if self.open {
                say.push((Body::Unprompted(said.clone()), String::new()));
            }
            if self.unprompted.len() == UNPROMPTED {
                tracing::warn!(
                    "the hub is away too long: an unasked-for text of the agent's is dropped"
                );
                self.unprompted.pop_front();
            }
            self.unprompted.push_back(said);
        }
    }

    /// The hub has committed that text.
    pub fn unprompted_kept(&mut self, id: &str) {
        self.unprompted.retain(|said| said.id != id);
    }

    /// The hub has committed the updates up to `n`. Whether that made room.
    pub fn kept(&mut self, at: &TurnRef, n: u64) -> bool {
        let Some(attempt) = self.attempts.get_mut(at) else {
            return false;
        };
        let was_full = attempt.held_bytes >= HELD_BYTES;
        while attempt.held.front().is_some_and(|update| update.n <= n)
            && let Some(update) = attempt.held.pop_front()
        {
            attempt.held_bytes -= weight(&update.event);
        }
        let made_room = was_full && attempt.held_bytes < HELD_BYTES;
        if attempt.ended && attempt.held.is_empty() {
            self.attempts.remove(at);
            remember(&mut self.gone, at.clone());
        }
        made_room
    }

    /// Compares notes with the hub: the answer, and which running attempts it does not know. What
    /// is held follows the answer.
    pub fn compare(&mut self, open: &[TurnRef], say: &mut Vec<Say>) -> Vec<TurnRef> {
        let standing = |at: &TurnRef| match self.attempts.get(at) {
            Some(attempt) if attempt.ended => Standing::Ended,
            Some(_) => Standing::Running,
            None if self.gone.contains(at) => Standing::Ended,
            None => Standing::Unknown,
        };
        let turns = open
            .iter()
            .map(|at| TurnStanding {
                at: at.clone(),
                standing: standing(at),
            })
            .collect();
        say.push((Body::TurnsAnswer(TurnsAnswer { turns }), String::new()));
        let mut unknown = Vec::new();
        self.attempts.retain(|at, attempt| {
            let listed = open.contains(at);
            if !listed && !attempt.ended {
                attempt.disowned = true;
                attempt.held.clear();
                attempt.held_bytes = 0;
                unknown.push(at.clone());
            }
            listed || !attempt.ended
        });
        self.open = true;
        self.again(say);
        unknown
    }

    /// Says everything again that is held.
    pub fn again(&self, say: &mut Vec<Say>) {
        if !self.open {
            return;
        }
        for attempt in self.attempts.values() {
            say.extend(
                attempt
                    .held
                    .iter()
                    .map(|update| (Body::TurnUpdate(update.clone()), attempt.trace.clone())),
            );
        }
        let unprompted = self.unprompted.iter().cloned();
        say.extend(unprompted.map(|said| (Body::Unprompted(said), String::new())));
    }

    /// Whether the hub has committed everything.
    pub fn is_settled(&self) -> bool {
        self.attempts
            .values()
            .all(|attempt| attempt.held.is_empty())
            && self.unprompted.is_empty()
    }

    /// The whole result of an earlier attempt at this turn, if it is still held from its first
    /// update to its last.
    pub fn result_of(&self, turn: &str) -> Option<Vec<TurnEvent>> {
        let whole = |attempt: &&Attempt| {
            attempt.ended && attempt.held.front().is_some_and(|update| update.n == 1)
        };
        let mut attempts = self.attempts.iter().filter(|(at, _)| at.turn == turn);
        let held = attempts.find_map(|(_, attempt)| Some(attempt).filter(whole))?;
        Some(
            held.held
                .iter()
                .map(|update| update.event.clone())
                .collect(),
        )
    }
}

fn remember<T>(list: &mut VecDeque<T>, one: T) {
    if list.len() == REMEMBERED {
        list.pop_front();
    }
    list.push_back(one);
}

fn weight(event: &TurnEvent) -> usize {
    match event {
        TurnEvent::Text { text, .. } => text.len(),
        _ => 0,
    }
}

/// Cuts text into pieces of at most [`PIECE_BYTES`]; one empty piece of an empty text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let all = rest.take()?;
        let piece = text::head(all, PIECE_BYTES);
        let more = &all[piece.len()..];
        rest = (!more.is_empty()).then_some(more);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(turn: &str, attempt: u32) -> TurnRef {
        TurnRef {
            turn: turn.into(),
            attempt,
        }
    }

    fn ended() -> TurnEvent {
        TurnEvent::Ended {
            outcome: Outcome::Done,
        }
    }

    fn numbers(say: &[Say]) -> Vec<u64> {
        say.iter()
            .filter_map(|(body, _)| match body {
                Body::TurnUpdate(update) => Some(update.n),
                _ => None,
            })
            .collect()
    }

    fn standings(say: &[Say]) -> Vec<Standing> {
        say.iter()
            .find_map(|(body, _)| match body {
                Body::TurnsAnswer(answer) => {
                    Some(answer.turns.iter().map(|t| t.standing).collect())
                }
                _ => None,
            })
            .unwrap()
    }

    /// A board that has compared notes.
    fn board() -> Board {
        let mut board = Board::default();
        board.compare(&[], &mut Vec::new());
        board
    }

    fn thinking() -> TurnEvent {
        TurnEvent::Thinking {
            text: String::new(),
        }
    }

    #[test]
    fn updates_are_numbered_held_and_said_again() {
        let (mut board, mut say) = (board(), Vec::new());
        assert_eq!(board.begin(&at("t", 1), "x", &mut say), Begin::New);
        assert_eq!(board.begin(&at("t", 1), "x", &mut say), Begin::Known);
        board.keep_text(&at("t", 1), "b", "text", &mut say);
        board.show(&at("t", 1), thinking(), &mut say);
        board.keep(&at("t", 1), ended(), &mut say);
        board.keep(&at("t", 1), ended(), &mut say);
        assert_eq!(numbers(&say), [1, 0, 2]);
        board.kept(&at("t", 1), 1);

        board.close();
        let mut say = Vec::new();
        board.show(&at("t", 1), thinking(), &mut say);
        assert!(say.is_empty());
        assert!(
            board
                .compare(&[at("t", 1), at("u", 1)], &mut say)
                .is_empty()
        );
        assert_eq!(standings(&say), [Standing::Ended, Standing::Unknown]);
        assert!(
            matches!(say[0].0, Body::TurnsAnswer(_)),
            "the answer goes first"
        );
        assert_eq!(numbers(&say), [2]);
        board.kept(&at("t", 1), 2);
        assert!(board.is_settled());
        assert_eq!(board.begin(&at("t", 1), "x", &mut say), Begin::Known);
    }

    #[test]
    fn a_turn_stopped_before_its_prompt_never_runs() {
        let (mut board, mut say) = (board(), Vec::new());
        board.stop("t");
        assert_eq!(board.begin(&at("t", 1), "", &mut say), Begin::Stopped);
        assert_eq!(numbers(&say), [1]);
        assert_eq!(board.begin(&at("t", 2), "", &mut say), Begin::Stopped);
        for n in 0..2 * REMEMBERED {
            board.stop(&n.to_string());
        }
        assert_eq!(board.stopped.len(), REMEMBERED);
    }

    #[test]
    fn what_the_hub_does_not_know_is_told_no_more() {
        let (mut board, mut say) = (board(), Vec::new());
        board.begin(&at("t", 1), "", &mut say);
        board.keep_text(&at("t", 1), "b", "text", &mut say);
        board.begin(&at("u", 1), "", &mut say);
        board.keep(&at("u", 1), ended(), &mut say);
        let mut say = Vec::new();
        assert_eq!(board.compare(&[], &mut say), [at("t", 1)]);
        board.keep(&at("t", 1), ended(), &mut say);
        assert!(numbers(&say).is_empty());
        assert!(board.is_settled() && board.attempts.is_empty());
    }

    #[test]
    fn what_is_held_is_bounded_and_room_is_told() {
        let (mut board, mut say) = (board(), Vec::new());
        board.begin(&at("t", 1), "", &mut say);
        board.keep_text(&at("t", 1), "b", &"é".repeat(HELD_BYTES), &mut say);
        assert!(!board.has_room(&at("t", 1)));
        let last = *numbers(&say).last().unwrap();
        assert_eq!(last as usize, (2 * HELD_BYTES).div_ceil(PIECE_BYTES));
        assert!(!board.kept(&at("t", 1), 1));
        assert!(board.kept(&at("t", 1), last));
        assert!(board.has_room(&at("t", 1)));
    }

    #[test]
    fn pieces_join_to_the_whole() {
        for text in [
            String::new(),
            "x".into(),
            "é".repeat(PIECE_BYTES),
            "x".repeat(PIECE_BYTES),
        ] {
            let all: Vec<&str> = pieces(&text).collect();
            assert_eq!(all.concat(), text);
            assert!(!all.is_empty() && all.iter().all(|piece| piece.len() <= PIECE_BYTES));
        }
    }

    #[test]
    fn a_result_that_is_held_whole_can_be_given_again() {
        let (mut board, mut say) = (board(), Vec::new());
        board.begin(&at("t", 1), "", &mut say);
        board.keep_text(&at("t", 1), "b", "text", &mut say);
        assert_eq!(board.result_of("t"), None);
        board.keep(&at("t", 1), ended(), &mut say);
        assert_eq!(board.result_of("t").unwrap().len(), 2);
        board.kept(&at("t", 1), 1);
        assert_eq!(board.result_of("t"), None);
    }

    #[test]
    fn unasked_for_texts_are_held_until_they_are_kept() {
        let (mut board, mut say) = (board(), Vec::new());
        board.close();
        for n in 0..=UNPROMPTED {
            board.unprompted("s", &n.to_string(), "text", &mut say);
        }
        assert!(say.is_empty());
        board.compare(&[], &mut say);
        assert_eq!(say.len(), 1 + UNPROMPTED);
        for n in 0..=UNPROMPTED {
            board.unprompted_kept(&n.to_string());
        }
        assert!(board.is_settled());
    }
}
