//! What the hub does with an event, case by case.

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
use spool::{ChunkState, TurnState};

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

#[test]
fn a_message_is_accepted_prompted_answered_and_posted() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "hello");
    assert_eq!(kinds(&out), ["accepted", "prompt", "activity"]);
    let prompt = prompts(&out).remove(0);
    assert_eq!(
        (prompt.text.as_str(), prompt.at.attempt, prompt.resend),
        ("hello", 1, false)
    );
    let out = desk.answer(&prompt.at, "hi there");
    assert_eq!(desk.post_all(out), ["hi there"]);
    let turn = desk.spool.turn(&prompt.at.turn).unwrap().unwrap();
    assert_eq!(turn.state, TurnState::Ended);
    assert_eq!(desk.spool.waiting().unwrap().pending_chunks, 0);
}

#[test]
fn the_same_event_twice_is_accepted_twice_and_answered_once() {
    let mut desk = Desk::linked();
    desk.says("e1", "hello");
    assert_eq!(kinds(&desk.says("e1", "hello")), ["accepted"]);
    desk.kill_hub();
    assert_eq!(kinds(&desk.says("e1", "hello")), ["accepted"]);
}

#[test]
fn twenty_at_once_are_answered_in_order() {
    let mut desk = Desk::linked();
    let mut current = None;
    for n in 0..20 {
        let out = desk.says(&format!("e{n}"), &format!("{n}"));
        assert!(kinds(&out).contains(&"accepted".to_owned()));
        current = current.or(prompts(&out).pop());
        desk.post_all(out);
    }
    let mut answered = Vec::new();
    while let Some(prompt) = current {
        let out = desk.answer(&prompt.at, &format!("re {}", prompt.text));
        current = prompts(&out).pop();
        answered.extend(desk.post_all(out));
    }
    let expected: Vec<String> = (0..20).map(|n| format!("re {n}")).collect();
    assert_eq!(answered, expected);
}

#[test]
fn a_message_in_the_instant_a_turn_ends_is_not_lost() {
    let mut desk = Desk::linked();
    let first = prompts(&desk.says("e1", "one")).remove(0);
    desk.update(&first.at, 1, started(false));
    // Both orders of the end and the next message, in one batch.
    let end = |at: &TurnRef, n| {
        let update = TurnUpdate {
            at: at.clone(),
            n,
            event: ended(Outcome::Done),
        };
        hub::engine::Event::Got {
            peer: RUNNER.into(),
            id: 1,
            trace: String::new(),
            body: Body::TurnUpdate(update),
        }
    };
    let says = |id: &str| hub::engine::Event::Got {
        peer: WORKER.into(),
        id: 1,
        trace: String::new(),
        body: inbound(id, "ann", id),
    };
    let out = desk.batch(vec![end(&first.at, 2), says("two")]);
    let second = prompts(&out).remove(0);
    assert_eq!(second.text, "two");
    desk.update(&second.at, 1, started(false));
    let out = desk.batch(vec![says("three"), end(&second.at, 2)]);
    assert_eq!(prompts(&out).remove(0).text, "three");
}

#[test]
fn who_waits_is_told_how_many_are_ahead_and_a_full_queue_says_so() {
    let mut desk = Desk::linked_with(hub::plan::Plan {
        queue_depth: 2,
        ..plan()
    });
    desk.says("e1", "1");
    let mut out = desk.says("e2", "2");
    out.extend(desk.says("e3", "3"));
    assert_eq!(desk.post_all(out), [""; 0], "it may be a matter of moments");
    let out = desk.says("e4", "4");
    assert_eq!(desk.post_all(out), [en(Text::QueueFull { depth: 2 })]);
    // A flood is told so now and then, else the words would stand before every answer.
    for n in 0..1000 {
        let out = desk.says(&format!("f{n}"), "more");
        assert_eq!(desk.post_all(out), [""; 0]);
    }
    let out = desk.wait(5_000);
    // Once, however many they have sent.
    assert_eq!(desk.post_all(out), [en(Text::Queued { ahead: 1 })]);
    let out = desk.says("e5", "5");
    assert_eq!(desk.post_all(out), [en(Text::QueueFull { depth: 2 })]);
    let out = desk.wait(60_000);
    assert_eq!(desk.post_all(out), [""; 0]);
}

#[test]
fn everybody_who_waits_is_told_and_a_killed_hub_tells_nobody_twice() {
    let mut desk = Desk::linked();
    let ask = |id: &str, user: &str| {
        let Body::Inbound(it) = inbound(id, user, id) else {
            panic!()
        };
        Body::Inbound(Inbound {
            conversation: "channel".into(),
            address: "channel".into(),
            shared: true,
            ..it
        })
    };
    let first = prompts(&desk.got(WORKER, ask("e1", "ann"))).remove(0);
    for (id, user) in [("e2", "ann"), ("e3", "bob"), ("e4", "bob")] {
        let out = desk.got(WORKER, ask(id, user));
        assert_eq!(desk.post_all(out), [""; 0]);
    }
    desk.kill_hub();
    let mut out = desk.worker_up();
    let standing = Standing::Running;
    out.extend(desk.runner_up(true, standing));
    out.extend(desk.wait(QUEUED));
    let told = [1, 2].map(|ahead| en(Text::Queued { ahead }));
    assert_eq!(desk.post_all(out), told);
    desk.kill_hub();
    let mut out = desk.worker_up();
    out.extend(desk.runner_up(true, standing));
    out.extend(desk.wait(QUEUED));
    assert_eq!(desk.post_all(out), [""; 0]);
    // Behind the next turn they wait anew, and what they know they are not told again.
    let out = desk.answer(&first.at, "done");
    assert_eq!(desk.post_all(out), ["done"]);
    let out = desk.got(WORKER, ask("e5", "bob"));
    assert_eq!(desk.post_all(out), [""; 0]);
    let out = desk.wait(QUEUED);
    assert_eq!(desk.post_all(out), [en(Text::Queued { ahead: 1 })]);
}

#[test]
fn a_lost_attempt_is_sent_again_with_the_same_id_if_the_agent_drops_repeats() {
    let mut desk = Desk::linked();
    let first = prompts(&desk.says("e1", "one")).remove(0);
    desk.update(&first.at, 1, started(false));
    desk.update(&first.at, 2, block("b", "half of it"));
    let out = desk.runner_up(true, Standing::Unknown);
    let again = prompts(&out).remove(0);
    assert_eq!(
        (again.prompt_id, again.at.attempt, again.resend),
        (first.prompt_id, 2, true)
    );
    // What the first attempt had said counts for nothing.
    let out = desk.answer(&again.at, "all of it");
    assert_eq!(desk.post_all(out), ["all of it"]);
}

#[test]
fn who_waits_for_a_continued_turn_is_told() {
    let mut desk = Desk::linked();
    desk.says("e1", "one");
    let again = prompts(&desk.runner_up(true, Standing::Unknown)).remove(0);
    let out = desk.update(&again.at, 1, started(true));
    assert_eq!(desk.post_all(out), [en(Text::Resumed)]);
}

#[test]
fn an_agent_that_cannot_resume_is_never_run_twice() {
    let mut desk = Desk::new(plan());
    desk.worker_up();
    desk.runner_up(false, Standing::Unknown);
    desk.says("e1", "one");
    let out = desk.runner_up(false, Standing::Unknown);
    assert_eq!(prompts(&out), []);
    assert_eq!(desk.post_all(out), [en(Text::CannotResume)]);
}

#[test]
fn the_fourth_attempt_is_not_made() {
    let mut desk = Desk::linked();
    desk.says("e1", "one");
    for attempt in 2..=3 {
        assert_eq!(
            prompts(&desk.runner_up(true, Standing::Unknown))[0]
                .at
                .attempt,
            attempt
        );
    }
    let out = desk.runner_up(true, Standing::Unknown);
    assert_eq!(prompts(&out), []);
    assert_eq!(desk.post_all(out), [en(Text::TooManyAttempts)]);
}

#[test]
fn an_agent_that_died_is_tried_again_then_told() {
    let mut desk = Desk::linked();
    let mut at = prompts(&desk.says("e1", "one")).remove(0).at;
    let died = || {
        ended(Outcome::Failed {
            fault: Fault::Died {
                words: "SIGKILL".into(),
            },
        })
    };
    for _ in 0..2 {
        at = prompts(&desk.update(&at, 1, died())).remove(0).at;
    }
    let out = desk.update(&at, 1, died());
    assert_eq!(
        desk.post_all(out),
        [en(Text::AgentError { words: "SIGKILL" })]
    );
}

#[test]
fn updates_are_counted_once_and_gaps_are_refused() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    desk.update(&at, 1, started(false));
    let out = desk.update(&at, 2, block("b", "x"));
    assert_eq!(kinds(&out), ["updates_kept"]);
    let out = desk.update(&at, 2, block("b", "x"));
    assert_eq!(kinds(&out), ["updates_kept"]);
    let out = desk.update(&at, 4, ended(Outcome::Done));
    assert_eq!(kinds(&out), ["nack"]);
    let out = desk.update(&at, 3, ended(Outcome::Done));
    assert_eq!(desk.post_all(out), ["x"]);
}

#[test]
fn an_update_of_an_old_attempt_is_forgotten() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    desk.runner_up(true, Standing::Unknown);
    let out = desk.update(&at, 1, ended(Outcome::Done));
    assert_eq!(kinds(&out), ["updates_kept"]);
    assert!(deliveries(&out).is_empty());
}

#[test]
fn chunks_go_one_by_one_and_again_after_a_relink() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let long: String = (0..300)
        .map(|n| format!("line number {n} of a long answer\n"))
        .collect();
    let out = desk.answer(&at, &long);
    let first = deliveries(&out);
    assert_eq!(first.len(), 1, "one address takes one at a time");
    assert!(first[0].count > 2);
    assert_eq!(first[0].age_ms, 0);
    desk.now += 5000;
    desk.kill_hub();
    let again = deliveries(&desk.worker_up());
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0].key, again[0].age_ms), (&first[0].key, 5000));
    desk.runner_up(true, Standing::Unknown);
    let out = desk.worker_up();
    assert_eq!(desk.post_all(out).len(), first[0].count as usize);
}

#[test]
fn a_chunk_that_must_wait_holds_the_lane_and_goes_when_it_is_due() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let out = desk.answer(&at, "hi");
    let key = deliveries(&out)[0].key.clone();
    let retry = DeliveryFailed {
        key,
        failure: Failure::Retry(3000),
        why: "429".into(),
    };
    let out = desk.got(WORKER, Body::DeliveryFailed(retry));
    assert!(deliveries(&out).is_empty());
    assert_eq!(
        desk.engine.next_wake().map(|due| due - desk.now),
        Some(3000)
    );
    assert!(deliveries(&desk.wait(2999)).is_empty());
    let out = desk.wait(1);
    assert_eq!(desk.post_all(out), ["hi"]);
}

#[test]
fn a_permanent_failure_parks_the_rest_and_the_lane_goes_on() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let long = "word ".repeat(1000);
    let out = desk.answer(&at, &long);
    let first = deliveries(&out).remove(0);
    let done = Delivered {
        key: first.key.clone(),
        platform_id: "m".into(),
        ..Delivered::default()
    };
    let second = deliveries(&desk.got(WORKER, Body::Delivered(done))).remove(0);
    let no = DeliveryFailed {
        key: second.key,
        failure: Failure::Permanent,
        why: "50001".into(),
    };
    let out = desk.got(WORKER, Body::DeliveryFailed(no));
    assert_eq!(desk.post_all(out), [en(Text::PartFailed)]);
    let counts = desk.spool.waiting().unwrap();
    assert_eq!(counts.parked_chunks, u64::from(first.count) - 1);
    // The operator mends it and tries again.
    let chunks = desk.engine.requeue(&first.reply, desk.now).unwrap();
    assert_eq!(chunks, u64::from(first.count) - 1);
    let out = desk.wait(0);
    assert_eq!(desk.post_all(out).len() as u64, chunks);
}

#[test]
fn a_peer_speaks_only_of_what_is_its_own() {
    let mut plan = plan();
    let other = plan.platforms[WORKER].clone();
    plan.platforms.insert("weibo-main".into(), other);
    let mut desk = Desk::new(plan);
    desk.worker_up();
    desk.runner_up(true, Standing::Unknown);
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let first = deliveries(&desk.answer(&at, "hi")).remove(0);
    let lie = Delivered {
        key: first.key.clone(),
        platform_id: "m".into(),
        ..Delivered::default()
    };
    desk.got("weibo-main", Body::Delivered(lie));
    assert_eq!(
        desk.spool.chunk(&first.key).unwrap().unwrap().state,
        ChunkState::Leased
    );
    let no = DeliveryFailed {
        key: first.key.clone(),
        failure: Failure::Permanent,
        why: "no".into(),
    };
    desk.got("weibo-main", Body::DeliveryFailed(no));
    assert_eq!(
        desk.spool.chunk(&first.key).unwrap().unwrap().state,
        ChunkState::Leased
    );
}

#[test]
fn cursors_that_would_not_fit_a_welcome_are_refused() {
    let mut desk = Desk::linked();
    let put = |name: &str| {
        Body::CursorPut(CursorPut {
            name: name.into(),
            number: 1,
            value: vec![0; 60_000],
        })
    };
    assert_eq!(kinds(&desk.got(WORKER, put("a"))), ["cursor_kept"]);
    assert_eq!(kinds(&desk.got(WORKER, put("b"))), ["cursor_kept"]);
    assert_eq!(kinds(&desk.got(WORKER, put("c"))), ["nack"]);
    assert_eq!(kinds(&desk.got(WORKER, put("b"))), ["cursor_kept"]);
}

#[test]
fn a_delivery_is_never_stale() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    let first = deliveries(&desk.answer(&at, "hi")).remove(0);
    desk.kill_hub();
    let done = Delivered {
        key: first.key,
        platform_id: "m".into(),
        ..Delivered::default()
    };
    let out = desk.got(WORKER, Body::Delivered(done));
    assert_eq!(kinds(&out), ["delivery_kept"]);
    assert!(deliveries(&desk.worker_up()).is_empty());
}

#[test]
fn who_waits_for_a_turn_whose_runner_goes_away_is_told_once() {
    let mut desk = Desk::linked();
    desk.says("e1", "one");
    let out = desk.says("e2", "two");
    desk.post_all(out);
    desk.batch(vec![hub::engine::Event::Down {
        peer: RUNNER.into(),
    }]);
    let out = desk.wait(15_000);
    let told = desk.post_all(out);
    assert!(!told.is_empty() && told.iter().all(|text| *text == en(Text::RunnerDown)));
    for n in 0..20 {
        let out = desk.says(&format!("more{n}"), "more");
        desk.post_all(out);
    }
    let out = desk.wait(60_000);
    assert_eq!(desk.post_all(out), [""; 0]);
}

#[test]
fn a_stranger_is_told_once_a_day_and_never_the_text() {
    let mut desk = Desk::linked();
    let stranger =
        |id: &str, user: &str| mend(inbound(id, user, ""), |m| m.access = Access::Refused);
    let out = desk.got(WORKER, stranger("e1", "eve"));
    assert_eq!(
        desk.post_all(out),
        [en(Text::Refused {
            id: "eve",
            key: "allow_from"
        })]
    );
    let out = desk.got(WORKER, stranger("e2", "eve"));
    assert_eq!(kinds(&out), ["accepted"]);
    for n in 0..100 {
        let out = desk.got(WORKER, stranger(&format!("s{n}"), &format!("stranger{n}")));
        let told = usize::from(n < 19);
        assert_eq!(desk.post_all(out).len(), told, "stranger {n}");
    }
    desk.now += 25 * 3_600_000;
    let out = desk.got(WORKER, stranger("e3", "eve"));
    assert_eq!(desk.post_all(out).len(), 1);
}

#[test]
fn words_are_in_the_language_of_the_first_message() {
    let mut desk = Desk::linked();
    let prompt = prompts(&desk.says("e1", "你好")).remove(0);
    desk.says("e2", "hello?");
    let out = desk.wait(QUEUED);
    assert_eq!(
        desk.post_all(out),
        [say(&Text::Queued { ahead: 1 }, Lang::Zh)]
    );
    let fault = Fault::AgentMissing {
        cmd: "claude".into(),
        why: String::new(),
    };
    let out = desk.update(&prompt.at, 1, ended(Outcome::Failed { fault }));
    assert_eq!(
        desk.post_all(out),
        [say(&Text::AgentMissing { cmd: "claude" }, Lang::Zh)]
    );
}

#[test]
fn a_bare_mention_is_help() {
    let mut desk = Desk::linked();
    let out = desk.says("e1", "  ");
    let mut all = hub::command::BUILT_IN.to_vec();
    // Its agent cannot.
    all.retain(|name| *name != "compact");
    let help = Text::Help {
        built_in: &all,
        own: &[],
    };
    assert_eq!(desk.post_all(out), [en(help)]);
}

#[test]
fn a_bare_mention_in_a_reply_or_with_something_forwarded_asks_about_that() {
    let mut desk = Desk::linked();
    let about = mend(inbound("e1", "ann", " "), |m| m.quoted = Some("far".into()));
    let prompt = prompts(&desk.got(WORKER, about)).remove(0);
    assert!(prompt.text.starts_with("> far\n"), "{}", prompt.text);
}

#[test]
fn an_empty_answer_is_said_to_be_one() {
    let mut desk = Desk::linked();
    let prompt = prompts(&desk.says("e1", "one")).remove(0);
    let out = desk.update(&prompt.at, 1, ended(Outcome::Done));
    assert_eq!(desk.post_all(out), [en(Text::EmptyAnswer)]);
}

#[test]
fn who_waits_for_a_runner_is_told_and_still_answered() {
    let mut desk = Desk::new(plan());
    desk.worker_up();
    let out = desk.says("e1", "one");
    assert_eq!(kinds(&out), ["accepted"]);
    let out = desk.wait(15_000);
    assert_eq!(desk.post_all(out), [en(Text::RunnerDown)]);
    let out = desk.runner_up(true, Standing::Unknown);
    assert_eq!(prompts(&out).remove(0).text, "one");
}

#[test]
fn a_full_disk_defers_and_changes_nothing() {
    let mut desk = Desk::linked();
    desk.spool.limit_size(0).unwrap();
    let big = "x".repeat(100_000);
    let out = desk.says("e1", &big);
    assert_eq!(kinds(&out), ["deferred"]);
    desk.spool.limit_size(1 << 30).unwrap();
    assert_eq!(prompts(&desk.says("e1", &big)).len(), 1);
}

#[test]
fn a_kind_from_the_wrong_side_is_refused_and_harms_nobody() {
    let mut desk = Desk::linked();
    let out = desk.got(RUNNER, inbound("e1", "ann", "hi"));
    assert_eq!(kinds(&out), ["nack"]);
    let out = desk.got(WORKER, Body::TurnsAnswer(TurnsAnswer { turns: Vec::new() }));
    assert_eq!(kinds(&out), ["nack"]);
    let out = desk.got(WORKER, Body::Unknown);
    assert_eq!(kinds(&out), ["nack"]);
}

#[test]
fn cursors_are_kept() {
    let mut desk = Desk::linked();
    let put = CursorPut {
        name: "gateway".into(),
        number: 4,
        value: vec![1],
    };
    let out = desk.got(WORKER, Body::CursorPut(put));
    assert_eq!(kinds(&out), ["cursor_kept"]);
    assert_eq!(
        desk.spool.cursors(WORKER).unwrap(),
        [("gateway".to_owned(), vec![1])]
    );
}
