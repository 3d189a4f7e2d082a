//! What agents have asked, and what people answered.

use rusqlite::{Row, params};

use crate::words::{signed, unsigned};
use crate::{Question, QuestionState, Result, Spool};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT questions.id, turns.id, questions.attempt, questions.session, about,
                    questions.state, decision, asked_at
             FROM questions JOIN turns ON turns.number = questions.turn ",
            $rest
        )
    };
}

fn read(row: &Row<'_>) -> rusqlite::Result<Question> {
    Ok(Question {
        id: row.get(0)?,
        turn: row.get(1)?,
        attempt: row.get(2)?,
        session: row.get(3)?,
        about: row.get(4)?,
        state: row.get(5)?,
        decision: row.get(6)?,
        asked_at: unsigned(row.get(7)?),
    })
}

impl Spool {
    /// Stores the question, in place of what was stored under its id.
    ///
    /// # Errors
    /// [`crate::SpoolError::Bug`] if its turn is not in the spool.
    pub fn put_question(&self, question: &Question) -> Result<()> {
        let turn = self.turn_number(&question.turn)?;
        self.run(
            "INSERT INTO questions
             (id, turn, attempt, project, session, about, state, decision, asked_at)
             SELECT ?1, turns.number, ?3, turns.project, ?4, ?5, ?6, ?7, ?8
             FROM turns WHERE turns.number = ?2
             ON CONFLICT (id) DO UPDATE
             SET turn = excluded.turn, attempt = excluded.attempt, project = excluded.project,
                 session = excluded.session, about = excluded.about, state = excluded.state,
                 decision = excluded.decision, asked_at = excluded.asked_at",
            params![
                question.id,
                turn,
                question.attempt,
                question.session,
                question.about,
                question.state,
                question.decision,
                signed(question.asked_at)
            ],
        )?;
        Ok(())
    }

    /// The question, if there is one of that id.
    pub fn question(&self, id: &str) -> Result<Option<Question>> {
        self.one(select!("WHERE questions.id = ?1"), [id], read)
    }

    /// The session's oldest question that nobody has answered.
    pub fn open_question(&self, session: &str) -> Result<Option<Question>> {
        self.one(
            select!(
                "WHERE questions.session = ?1 AND questions.state = 'open'
                 ORDER BY questions.number LIMIT 1"
            ),
            [session],
            read,
        )
    }

    /// The project's questions that are open or decided, in the order in which they were asked.
    pub fn open_questions(&self, project: &str) -> Result<Vec<Question>> {
        self.all(
            select!(
                "WHERE questions.project = ?1 AND questions.state IN ('open', 'decided')
                 ORDER BY questions.number"
            ),
            [project],
            read,
        )
    }

    /// Closes every question of the turn and returns those that were not closed before, as they now
    /// are: one that had been decided has a decision.
    pub fn close_questions_of(&self, turn: &str) -> Result<Vec<Question>> {
        self.scoped(|spool| {
            let mut closed = spool.all(
                select!(
                    "WHERE questions.turn = (SELECT number FROM turns WHERE id = ?1)
                     AND questions.state <> 'closed' ORDER BY questions.number"
                ),
                [turn],
                read,
            )?;
            if !closed.is_empty() {
                spool.run(
                    "UPDATE questions SET state = 'closed'
                     WHERE turn = (SELECT number FROM turns WHERE id = ?1) AND state <> 'closed'",
                    [turn],
                )?;
            }
            for question in &mut closed {
                question.state = QuestionState::Closed;
            }
            Ok(closed)
        })
    }
}
