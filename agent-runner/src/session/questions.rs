//! The questions of one turn: which were asked, and to which an answer is still of use.
//!
//! Promises: what is to be told to the hub of each is in order: asked, then withdrawn or decided. What
//! is remembered is bounded; what is over is forgotten first.

use std::collections::VecDeque;

use ipc_schema::{Question, TurnEvent};

/// How many are remembered.
const MOST: usize = 256;

/// The questions of one turn.
#[derive(Debug, Default)]
pub struct Questions {
    /// In the order in which they were asked.
    all: VecDeque<Asked>,
}

#[derive(Debug)]
struct Asked {
    id: String,
    open: bool,
}

/// How a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is none of this turn's, or was forgotten.
    Unknown,
    /// An answer is waited for.
    Open,
    /// It was withdrawn, or decided: an answer comes too late.
    Over,
}

impl Questions {
    /// The agent asks.
    pub fn asked(&mut self, question: Question) -> TurnEvent {
        if self.all.len() == MOST {
            let over = self.all.iter().position(|asked| !asked.open);
            self.all.remove(over.unwrap_or_default());
        }
        self.all.push_back(Asked {
            id: question.question.clone(),
            open: true,
        });
        TurnEvent::Asked(question)
    }

    /// Nobody is to be asked any more; `expired` = nobody answered in time.
    pub fn withdrawn(&mut self, question: String, expired: bool) -> TurnEvent {
        self.set(&question, false);
        TurnEvent::Withdrawn { question, expired }
    }

    /// An answer was used, or not: then it is waited for still.
    pub fn decided(&mut self, question: String, applied: bool) -> TurnEvent {
        self.set(&question, !applied);
        TurnEvent::Decided { question, applied }
    }

    /// An answer came for one that is over.
    pub fn late(question: &str) -> TurnEvent {
        TurnEvent::Decided {
            question: question.to_owned(),
            applied: false,
        }
    }

    /// How a question stands.
    pub fn standing(&self, question: &str) -> Standing {
        let asked = self.all.iter().find(|asked| asked.id == question);
        match asked.map(|asked| asked.open) {
            None => Standing::Unknown,
            Some(true) => Standing::Open,
            Some(false) => Standing::Over,
        }
    }

    /// Who asked is gone: everything that is open is withdrawn.
    pub fn withdraw(&mut self) -> Vec<TurnEvent> {
        let open = self.all.iter_mut().filter(|asked| asked.open);
        open.map(|asked| {
            asked.open = false;
            TurnEvent::Withdrawn {
                question: asked.id.clone(),
                expired: false,
            }
        })
        .collect()
    }

    fn set(&mut self, question: &str, open: bool) {
        if let Some(asked) = self.all.iter_mut().find(|asked| asked.id == question) {
            asked.open = open;
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc_schema::QuestionKind;

    use super::*;

    fn ask(questions: &mut Questions, id: &str) {
        let question = Question {
            question: id.to_owned(),
            about: QuestionKind::Plan { text: "p".into() },
            deadline_ms: 1,
        };
        assert_eq!(
            questions.asked(question.clone()),
            TurnEvent::Asked(question)
        );
    }

    #[test]
    fn an_answer_is_of_use_until_the_question_is_over() {
        let mut questions = Questions::default();
        for id in ["a", "b", "c"] {
            ask(&mut questions, id);
        }
        assert_eq!(questions.standing("x"), Standing::Unknown);
        // What could not be used may be said again.
        questions.decided("a".into(), false);
        assert_eq!(questions.standing("a"), Standing::Open);
        questions.decided("a".into(), true);
        assert_eq!(questions.standing("a"), Standing::Over);
        questions.withdrawn("b".into(), true);
        assert_eq!(questions.standing("b"), Standing::Over);
        let withdrawn = TurnEvent::Withdrawn {
            question: "c".into(),
            expired: false,
        };
        assert_eq!(questions.withdraw(), [withdrawn], "each once");
        assert_eq!(questions.standing("c"), Standing::Over);
        assert_eq!(questions.withdraw(), []);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_open_is_forgotten_last() {
        let mut questions = Questions::default();
        ask(&mut questions, "first");
        ask(&mut questions, "over");
        questions.decided("over".into(), true);
        for n in 0..MOST - 1 {
            ask(&mut questions, &n.to_string());
        }
        assert_eq!(questions.standing("first"), Standing::Open);
        assert_eq!(questions.standing("over"), Standing::Unknown);
        ask(&mut questions, "one too many");
        assert_eq!(questions.standing("first"), Standing::Unknown);
        assert_eq!(questions.all.len(), MOST);
    }
}
