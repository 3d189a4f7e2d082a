//! Questions.

use super::samples::{question, spool, turn};
use crate::{Question, QuestionState, Spool, SpoolError};

fn asked() -> Spool {
    let spool = spool();
    for (turn_id, session) in [("t1", "s1"), ("t2", "s2")] {
        spool.add_turn(&turn(turn_id, session)).unwrap();
    }
    for (id, turn, session) in [("q1", "t1", "s1"), ("q2", "t1", "s1"), ("q3", "t2", "s2")] {
        spool.put_question(&question(id, turn, session)).unwrap();
    }
    spool
}

fn decide(spool: &Spool, id: &str) -> Question {
    let decided = Question {
        state: QuestionState::Decided,
        decision: "{\"allow\":true}".into(),
        ..spool.question(id).unwrap().unwrap()
    };
    spool.put_question(&decided).unwrap();
    decided
}

fn ids(questions: &[Question]) -> Vec<&str> {
    questions
        .iter()
        .map(|question| question.id.as_str())
        .collect()
}

#[test]
fn a_question_comes_back_as_it_was() {
    let spool = asked();
    assert_eq!(
        spool.question("q1").unwrap(),
        Some(question("q1", "t1", "s1"))
    );
    assert_eq!(spool.question("q9").unwrap(), None);
    let decided = decide(&spool, "q1");
    assert_eq!(spool.question("q1").unwrap(), Some(decided));
}

#[test]
fn the_oldest_unanswered_question_of_a_session_is_the_open_one() {
    let spool = asked();
    assert_eq!(spool.open_question("s1").unwrap().unwrap().id, "q1");
    decide(&spool, "q1");
    assert_eq!(spool.open_question("s1").unwrap().unwrap().id, "q2");
    decide(&spool, "q2");
    assert_eq!(spool.open_question("s1").unwrap(), None);
    assert_eq!(spool.open_question("s2").unwrap().unwrap().id, "q3");
    assert_eq!(ids(&spool.open_questions("p").unwrap()), ["q1", "q2", "q3"]);
    assert!(spool.open_questions("other").unwrap().is_empty());
}

#[test]
fn the_questions_of_a_turn_are_closed_together() {
    let spool = asked();
    let decided = decide(&spool, "q2");
    let closed = spool.close_questions_of("t1").unwrap();
    assert_eq!(ids(&closed), ["q1", "q2"]);
    assert!(
        closed
            .iter()
            .all(|question| question.state == QuestionState::Closed)
    );
    assert_eq!(closed[1].decision, decided.decision);
    assert_eq!(spool.question("q1").unwrap().as_ref(), Some(&closed[0]));
    assert!(spool.close_questions_of("t1").unwrap().is_empty(), "once");
    assert_eq!(ids(&spool.open_questions("p").unwrap()), ["q3"]);
}

#[test]
fn a_question_without_a_turn_is_a_fault() {
    let spool = asked();
    assert!(matches!(
        spool.put_question(&question("q", "nobody", "s1")),
        Err(SpoolError::Bug(_))
    ));
}
