//! What the hub does when there is little room, and when there is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::engine::Event;
use hub::texts::{Lang, Text, say};
use ipc_schema::*;

fn en(text: Text<'_>) -> String {
    say(&text, Lang::En)
}

fn got(peer: &str, body: Body) -> Event {
    Event::Got {
        peer: peer.into(),
        id: 7,
        trace: String::new(),
        body,
    }
}

/// Longer than any free room of a small spool.
fn long() -> String {
    "x".repeat(100_000)
}

/// Only the reserve is left in the spool, with some pages in it.
fn crowd(desk: &Desk) {
    for n in 0..20 {
        let id = format!("filler{n}");
        desk.spool.put_cursor("filler", &id, &[0; 60_000]).unwrap();
    }
    let bound = (100..10_000).rev().find(|pages| {
        desk.spool.limit_size(pages * 4096).unwrap();
        desk.spool.is_crowded().unwrap()
    });
    bound.unwrap();
}

/// With only the reserve left a new prompt is refused in words, and what ends work is not refused.
#[test]
fn a_crowded_spool_takes_no_prompt_and_still_stops_and_is_answered() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    desk.update(&at, 1, started(false));
    let question = |id: &str| {
        TurnEvent::Asked(Question {
            question: id.into(),
            about: QuestionKind::Permission {
                tool: "Bash".into(),
                detail: "ls".into(),
                always: None,
            },
            deadline_ms: 1000,
        })
    };
    let out = desk.update(&at, 2, question("q1"));
    desk.post_all(out);
    crowd(&desk);
    let out = desk.says("e2", "two");
    assert_eq!(kinds(&out)[0], "accepted", "{out:?}");
    assert_eq!(desk.post_all(out), [en(Text::SpoolCrowded)]);
    // Not once a message.
    let out = desk.says("e3", "three");
    assert_eq!(desk.post_all(out), [""; 0]);
    let out = desk.says("e4", "1");
    assert!(kinds(&out).contains(&"decide".to_owned()), "{out:?}");
    let out = desk.update(&at, 3, question("q2"));
    desk.post_all(out);
    let pressed = |act| {
        let Body::Inbound(it) = inbound("e5", "ann", "") else {
            panic!()
        };
        Body::Inbound(Inbound { act, ..it })
    };
    let press = Act::Pressed {
        question: "q2".into(),
        values: vec!["allow".into()],
    };
    let out = desk.got(WORKER, pressed(press));
    assert!(kinds(&out).contains(&"decide".to_owned()), "{out:?}");
    let out = desk.says("e6", "/stop");
    assert!(kinds(&out).contains(&"interrupt".to_owned()), "{out:?}");
}

/// What a runner holds is refused, so that it says it again; the hub goes on.
#[test]
fn without_room_a_runner_is_told_to_say_it_again() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    desk.update(&at, 1, started(false));
    desk.spool.limit_size(0).unwrap();
    let text = block("b", &long());
    let out = desk.update(&at, 2, text.clone());
    assert_eq!(kinds(&out), ["nack"]);
    let unprompted = Body::Unprompted(Unprompted {
        id: "u1".into(),
        session: desk.spool.turn(&at.turn).unwrap().unwrap().session,
        text: long(),
    });
    let out = desk.got(RUNNER, unprompted.clone());
    assert_eq!(kinds(&out), ["nack"]);
    desk.spool.limit_size(1 << 30).unwrap();
    let out = desk.update(&at, 2, text);
    assert_eq!(kinds(&out), ["updates_kept"]);
    let out = desk.got(RUNNER, unprompted);
    assert!(kinds(&out).contains(&"unprompted_kept".to_owned()));
}

/// What a worker says once a link is kept in memory until there is room.
#[test]
fn without_room_what_is_said_once_is_held_and_stored_later() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let key = deliveries(&desk.answer(&at, "hi")).remove(0).key;
    desk.spool.limit_size(0).unwrap();
    let delivered = Body::Delivered(Delivered {
        key: key.clone(),
        platform_id: long(),
        ..Delivered::default()
    });
    let cursor = Body::CursorPut(CursorPut {
        name: "gateway".into(),
        number: 4,
        value: vec![1; 60_000],
    });
    assert_eq!(kinds(&desk.got(WORKER, delivered.clone())), [""; 0]);
    assert_eq!(kinds(&desk.got(WORKER, cursor)), [""; 0]);
    assert_eq!(kinds(&desk.wait(1_000)), [""; 0], "there is still no room");
    assert_eq!(desk.engine.next_wake(), Some(desk.now + 1_000));
    desk.spool.limit_size(1 << 30).unwrap();
    let out = desk.wait(1_000);
    assert_eq!(kinds(&out), ["delivery_kept", "cursor_kept"]);
    // A worker that links says it all again, and a cursor of before would be in its way.
    desk.spool.limit_size(0).unwrap();
    let old = Body::CursorPut(CursorPut {
        name: "other".into(),
        number: 5,
        value: vec![1; 60_000],
    });
    desk.got(WORKER, old);
    desk.spool.limit_size(1 << 30).unwrap();
    desk.worker_up();
    assert_eq!(desk.spool.cursors(WORKER).unwrap().len(), 1);
}

/// One that cannot be put off ends the hub, and everybody else is answered first.
#[test]
fn a_sender_hears_even_of_a_hub_that_ends() {
    let mut desk = Desk::linked();
    desk.spool.limit_size(0).unwrap();
    let up = Event::Up {
        peer: WORKER.into(),
        capabilities: Capabilities {
            language: "x".repeat(60_000),
            ..worker_can()
        },
    };
    let out = desk.batch(vec![got(WORKER, inbound("e1", "ann", &long())), up]);
    assert_eq!(kinds(&out), ["deferred"]);
    assert_eq!(desk.engine.next_wake(), Some(0));
    let error = desk.engine.batch(Vec::new(), desk.now).unwrap_err();
    assert!(error.is_full(), "{error}");
}
