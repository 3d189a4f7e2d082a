//! What counts as an answer to an agent's question, and what does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::texts::{Lang, Text, say};
use ipc_schema::*;

fn en(text: Text<'_>) -> String {
    say(&text, Lang::En)
}

fn mend(body: Body, change: impl FnOnce(&mut Inbound)) -> Body {
    let Body::Inbound(mut inbound) = body else {
        panic!()
    };
    change(&mut inbound);
    Body::Inbound(inbound)
}

/// The agent asks for leave.
fn asking(question: &str) -> TurnEvent {
    TurnEvent::Asked(Question {
        question: question.into(),
        about: QuestionKind::Permission {
            tool: "Bash".into(),
            detail: "rm -r x".into(),
            always: None,
        },
        deadline_ms: 1000,
    })
}

/// A "1" of Weibo's, which numbers nothing.
fn one(id: &str, sent_at_ms: u64) -> Body {
    mend(inbound(id, "ann", "1"), |m| m.sent_at_ms = sent_at_ms)
}

fn posted(key: &str, platform_id: &str) -> Body {
    Body::Delivered(Delivered {
        key: key.into(),
        platform_id: platform_id.into(),
        ..Delivered::default()
    })
}

fn allows(out: &[hub::engine::Out], question: &str) -> bool {
    out.iter().any(|out| {
        matches!(&out.body, Body::Decide(it) if it.question == question && it.decision == Decision::Allow)
    })
}

/// A turn that asks; the turn and the message of the question.
fn asks(desk: &mut Desk) -> (TurnRef, String) {
    let prompt = prompts(&desk.says("e1", "one")).remove(0);
    let about = QuestionKind::Permission {
        tool: "Bash".into(),
        detail: "ls".into(),
        always: None,
    };
    let question = Question {
        question: "q1".into(),
        about,
        deadline_ms: 1000,
    };
    let out = desk.update(&prompt.at, 1, TurnEvent::Asked(question));
    let shown = deliveries(&out).remove(0);
    let posted = Delivered {
        key: shown.key,
        platform_id: "500".into(),
        ..Delivered::default()
    };
    desk.got(WORKER, Body::Delivered(posted));
    (prompt.at, shown.text)
}

#[test]
fn a_question_is_answered_by_its_asker_only_and_only_by_a_whole_word() {
    let mut desk = Desk::linked();
    let shared = |id: &str, user: &str, text: &str| {
        mend(inbound(id, user, text), |m| {
            m.conversation = "channel".into();
            m.address = "channel".into();
            m.shared = true;
        })
    };
    let out = desk.got(WORKER, shared("e1", "ann", "one"));
    let prompt = prompts(&out).remove(0);
    assert_eq!(prompt.text, "ANN says:\none");
    let about = QuestionKind::Permission {
        tool: "Bash".into(),
        detail: "ls".into(),
        always: None,
    };
    let question = Question {
        question: "q1".into(),
        about,
        deadline_ms: 1000,
    };
    desk.update(&prompt.at, 1, started(false));
    let out = desk.update(&prompt.at, 2, TurnEvent::Asked(question));
    assert_eq!(desk.post_all(out).len(), 1);

    let out = desk.got(WORKER, shared("e2", "bob", "1"));
    assert_eq!(desk.post_all(out), [en(Text::QuestionNotYours)]);
    let out = desk.got(WORKER, shared("e3", "ann", "please don't allow"));
    assert!(!kinds(&out).contains(&"decide".to_owned()));
    assert_eq!(desk.post_all(out), [en(Text::QuestionStillOpen)]);
    let out = desk.wait(QUEUED);
    assert_eq!(desk.post_all(out), [en(Text::Queued { ahead: 1 })]);
    let out = desk.got(WORKER, shared("e4", "ann", "1"));
    assert!(out.iter().any(|out| matches!(
        &out.body,
        Body::Decide(Decide { question, decision: Decision::Allow }) if question == "q1"
    )));
    // Said again to a runner that may have missed it, until the runner confirms.
    desk.kill_hub();
    desk.worker_up();
    let out = desk.runner_up(true, Standing::Running);
    assert!(kinds(&out).contains(&"decide".to_owned()));
    let decided = TurnEvent::Decided {
        question: "q1".into(),
        applied: true,
    };
    let out = desk.update(&prompt.at, 3, decided);
    assert_eq!(desk.post_all(out), [en(Text::DecidedAllow { who: "ANN" })]);
    let out = desk.got(WORKER, shared("e5", "ann", "1"));
    assert!(
        !kinds(&out).contains(&"decide".to_owned()),
        "with no open question 1 is a prompt"
    );
}

/// A "1" that was written before the question was shown approves nothing.
#[test]
fn an_answer_from_before_the_question_is_no_answer() {
    let mut desk = Desk::linked();
    asks(&mut desk);
    let answer = |id: &str, order| mend(inbound(id, "ann", "1"), |m| m.order = order);
    let out = desk.got(WORKER, answer("e2", 499));
    assert!(!kinds(&out).contains(&"decide".to_owned()));
    assert_eq!(desk.post_all(out), [en(Text::AnsweredEarly)]);
    let out = desk.got(WORKER, answer("e3", 501));
    assert!(kinds(&out).contains(&"decide".to_owned()));
}

#[test]
fn a_question_of_a_dead_agent_cannot_be_answered() {
    let mut desk = Desk::linked();
    asks(&mut desk);
    desk.runner_up(true, Standing::Unknown);
    let out = desk.says("e2", "1");
    assert!(!kinds(&out).contains(&"decide".to_owned()));
}

#[test]
fn a_question_that_is_over_is_edited_to_say_so() {
    for (expired, words) in [
        (true, en(Text::QuestionExpired)),
        (false, en(Text::QuestionWithdrawn)),
    ] {
        for edit in [true, false] {
            let can = Capabilities {
                edit,
                ..worker_can()
            };
            let mut desk = Desk::linked_to(plan(), can);
            let (at, question) = asks(&mut desk);
            let over = TurnEvent::Withdrawn {
                question: "q1".into(),
                expired,
            };
            let out = desk.update(&at, 2, over);
            let said = deliveries(&out);
            match (edit, expired) {
                (true, _) => {
                    assert_eq!(said.len(), 1, "{said:?}");
                    assert_eq!(said[0].edits, "500", "the question itself is changed");
                    assert!(said[0].text.starts_with(&question), "{}", said[0].text);
                    assert!(said[0].text.ends_with(&words), "{}", said[0].text);
                    assert_eq!(said[0].controls, []);
                }
                (false, true) => assert_eq!(said[0].text, words),
                // Nobody waits for the agent's own change of mind.
                (false, false) => assert_eq!(said, []),
            }
            desk.post_all(out);
            let out = desk.says("e2", "1");
            assert!(!kinds(&out).contains(&"decide".to_owned()));
            let pressed = mend(inbound("e3", "ann", ""), |m| {
                m.act = Act::Pressed {
                    question: "q1".into(),
                    values: vec!["allow".into()],
                };
            });
            let out = desk.got(WORKER, pressed);
            assert!(!kinds(&out).contains(&"decide".to_owned()));
            assert_eq!(desk.post_all(out), [en(Text::DecidedLate)]);
        }
    }
}

/// A platform that refuses a question for a while has not shown it.
#[test]
fn a_question_that_the_platform_refused_is_not_allowed_by_what_was_written_meanwhile() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let key = deliveries(&desk.update(&at, 1, asking("q1"))).remove(0).key;
    let refused = DeliveryFailed {
        key: key.clone(),
        failure: Failure::Retry(60_000),
        why: "429".into(),
    };
    desk.got(WORKER, Body::DeliveryFailed(refused));
    desk.now += 30_000;
    let meanwhile = desk.now;
    let out = desk.got(WORKER, one("e2", meanwhile));
    assert!(!allows(&out, "q1"), "{out:?}");
    let out = desk.wait(30_000);
    assert_eq!(deliveries(&out)[0].key, key);
    let out = desk.got(WORKER, posted(&key, "msg_1"));
    assert_eq!(desk.post_all(out), [en(Text::AnsweredEarly)]);
    // Written in the same outage, and told only now.
    let out = desk.got(WORKER, one("e3", meanwhile));
    assert!(!allows(&out, "q1"), "{out:?}");
    let out = desk.got(WORKER, one("e4", desk.now));
    assert!(allows(&out, "q1"), "{out:?}");
}

/// The worker is killed with the question in its hands; the platform has the person's "1" and not
/// the question.
#[test]
fn a_question_that_died_with_its_worker_is_not_allowed_by_what_the_outage_held() {
    for (order, id) in [(400, "500"), (0, "msg_1")] {
        let mut desk = Desk::linked();
        let at = prompts(&desk.says("e1", "one")).remove(0).at;
        let key = deliveries(&desk.update(&at, 1, asking("q1"))).remove(0).key;
        desk.now += 5_000;
        let early = |id: &str, sent_at| mend(one(id, sent_at), |m| m.order = order);
        let sent_at = desk.now;
        desk.now += 5_000;
        desk.worker_up();
        let out = desk.got(WORKER, early("e2", sent_at));
        assert!(!allows(&out, "q1"), "{out:?}");
        desk.got(WORKER, posted(&key, id));
        let out = desk.got(WORKER, early("e3", sent_at));
        assert!(!allows(&out, "q1"), "{out:?}");
    }
}

/// Somebody taps twice: the second "1" is older than the question that it finds.
#[test]
fn a_doubled_answer_does_not_allow_the_next_question() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let out = desk.update(&at, 1, asking("q1"));
    desk.post_all(out);
    desk.now += 5_000;
    let tapped = desk.now;
    assert!(allows(&desk.got(WORKER, one("e2", tapped)), "q1"));
    desk.now += 500;
    let decided = TurnEvent::Decided {
        question: "q1".into(),
        applied: true,
    };
    let mut out = desk.update(&at, 2, decided);
    out.extend(desk.update(&at, 3, asking("q2")));
    desk.post_all(out);
    let out = desk.got(WORKER, one("e3", tapped + 300));
    assert!(!allows(&out, "q2"), "{out:?}");
    assert_eq!(desk.post_all(out), [en(Text::AnsweredEarly)]);
    // Right after it was shown it can be answered.
    let out = desk.got(WORKER, one("e4", desk.now));
    assert!(allows(&out, "q2"), "{out:?}");
}

/// The chat can be quicker than the worker's word that the question stands in it.
#[test]
fn an_answer_in_the_instant_in_which_its_question_is_posted_waits_for_its_number() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let key = deliveries(&desk.update(&at, 1, asking("q1"))).remove(0).key;
    let numbered = |id: &str, order| mend(inbound(id, "ann", "1"), |m| m.order = order);
    let out = desk.got(WORKER, numbered("e2", 499));
    assert_eq!(kinds(&out), ["deferred"]);
    let out = desk.got(WORKER, posted(&key, "500"));
    desk.post_all(out);
    let out = desk.got(WORKER, numbered("e2", 499));
    assert_eq!(desk.post_all(out), [en(Text::AnsweredEarly)]);
    let out = desk.got(WORKER, numbered("e3", 501));
    assert!(allows(&out, "q1"), "{out:?}");
}

#[test]
fn what_may_stand_is_parked_unless_only_its_reader_could_tell() {
    let mut desk = Desk::linked();
    asks(&mut desk);
    let unsure = |chunk: &Deliver| {
        Body::DeliveryFailed(DeliveryFailed {
            key: chunk.key.clone(),
            failure: Failure::Ambiguous,
            why: "it may stand already".into(),
        })
    };
    let pressed = mend(inbound("e2", "bob", ""), |m| {
        m.act = Act::Pressed {
            question: "q1".into(),
            values: vec!["allow".into()],
        };
    });
    let private = deliveries(&desk.got(WORKER, pressed)).remove(0);
    assert!(private.private && private.text == en(Text::QuestionNotYours));
    let out = desk.got(WORKER, unsure(&private));
    assert_eq!(desk.post_all(out), [""; 0], "nothing is said to everybody");
    assert_eq!(desk.spool.waiting().unwrap().parked_chunks, 0);
    let public = deliveries(&desk.says("e3", "/whoami")).remove(0);
    let out = desk.got(WORKER, unsure(&public));
    assert_eq!(desk.post_all(out), [en(Text::PartFailed)]);
    assert_eq!(desk.spool.waiting().unwrap().parked_chunks, 1);
}
