//! The link against a hub on a real socket: relinks, refusals, junk, credit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it stands"
)]

use fake_hub::{FakeHub, SOON, Seen};
use ipc_schema::{Body, Capabilities, CursorPut, LinkKey, Nack, RefuseCode, Unprompted};
use tokio::time::timeout;
use worker_kit::link::{self, LinkConfig, LinkEvent, LinkEvents, LinkSender, NotSent};

fn config(hub: &FakeHub) -> LinkConfig {
    LinkConfig {
        address: hub.address().parse().unwrap(),
        software: "test 1".into(),
        kind: "test".into(),
        instance: "main".into(),
        generation: 1,
        capabilities: Capabilities::default(),
        link_key: hub.key(),
    }
}

async fn next(events: &mut LinkEvents) -> LinkEvent {
    timeout(SOON, events.next())
        .await
        .expect("in time")
        .expect("not over")
}

async fn up(hub: &FakeHub) -> (LinkSender, LinkEvents) {
    let (sender, mut events) = link::start(config(hub));
    assert!(matches!(next(&mut events).await, LinkEvent::Up(_)));
    (sender, events)
}

fn put(number: u64) -> Body {
    Body::CursorPut(CursorPut {
        name: "n".into(),
        number,
        value: Vec::new(),
    })
}

fn data(id: &str) -> Body {
    Body::Unprompted(Unprompted {
        id: id.into(),
        session: String::new(),
        text: String::new(),
    })
}

fn data_id(body: &Body) -> Option<String> {
    match body {
        Body::Unprompted(unprompted) => Some(unprompted.id.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_hub_that_dies_is_found_again_and_old_words_are_not_said_twice() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.credit = 0);
    let (sender, mut events) = up(&hub).await;
    sender.send(data("waits for credit"), "").unwrap();
    for round in 0..3 {
        hub.die();
        assert!(matches!(next(&mut events).await, LinkEvent::Down { .. }));
        hub.rule(|rules| rules.credit = if round == 2 { 9 } else { 0 });
        assert_eq!(sender.send(put(1), ""), Err(NotSent::Down));
        hub.come_back();
        assert!(
            matches!(next(&mut events).await, LinkEvent::Up(_)),
            "round {round}"
        );
    }
    sender.send(put(7), "the trace").unwrap();
    let number = hub.wait(|body| match body {
        Body::CursorPut(put) => Some(put.number),
        _ => None,
    });
    assert_eq!(number.await.unwrap(), 7);
    assert_eq!(
        hub.ledger()
            .filter_map(|seen| seen.body().and_then(data_id)),
        [""; 0]
    );
}

#[tokio::test]
async fn a_hello_in_the_backlog_is_answered_when_the_hub_is_back() {
    let hub = FakeHub::start().unwrap();
    hub.die();
    let (_sender, mut events) = link::start(config(&hub));
    // The connection stands in the backlog; nothing can come before the hub is back.
    tokio::task::yield_now().await;
    hub.come_back();
    assert!(matches!(next(&mut events).await, LinkEvent::Up(_)));
}

#[tokio::test]
async fn a_socket_that_appears_later_is_found() {
    let hub = FakeHub::start().unwrap();
    let mut config = config(&hub);
    let dir = tempfile::tempdir().unwrap();
    let later = dir.path().join("later.sock");
    config.address = format!("unix:{}", later.display()).parse().unwrap();
    let (_sender, mut events) = link::start(config);
    tokio::task::yield_now().await;
    let LinkEvent::Up(_) = ({
        let real = hub.address();
        std::os::unix::fs::symlink(real.strip_prefix("unix:").unwrap(), &later).unwrap();
        next(&mut events).await
    }) else {
        panic!("not up");
    };
}

#[tokio::test]
async fn refusals_are_told_and_only_the_schema_ends_the_link() {
    let hub = FakeHub::start().unwrap();
    let mut wrong = config(&hub);
    wrong.link_key = LinkKey(vec![2; 32]);
    let (_sender, mut events) = link::start(wrong);
    let LinkEvent::Refused { code, hint } = next(&mut events).await else {
        panic!("not refused");
    };
    assert_eq!((code, hint.is_empty()), (RefuseCode::Key, false));

    hub.rule(|rules| rules.refuse = Some(RefuseCode::Schema));
    let (_sender, mut events) = link::start(config(&hub));
    let refused = next(&mut events).await;
    assert!(matches!(
        refused,
        LinkEvent::Refused {
            code: RefuseCode::Schema,
            ..
        }
    ));
    assert_eq!(timeout(SOON, events.next()).await.unwrap(), None);
}

#[tokio::test]
async fn a_busy_hub_is_asked_again_at_once() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| rules.refuse = Some(RefuseCode::Busy));
    let (_sender, mut events) = link::start(config(&hub));
    assert!(matches!(next(&mut events).await, LinkEvent::Refused { .. }));
    hub.rule(|rules| rules.refuse = None);
    while !matches!(next(&mut events).await, LinkEvent::Up(_)) {}
}

#[tokio::test]
async fn junk_closes_the_link_which_comes_back() {
    let hub = FakeHub::start().unwrap();
    let (_sender, mut events) = up(&hub).await;
    let half = [0, 0, 1, 0, 0x81];
    for junk in [
        &[0xff; 4][..],
        &[0; 4],
        &[0, 0, 0, 3, 1, 2, 3],
        b"GET / HTTP/1.1\r\n\r\n",
        &half,
    ] {
        hub.raw(junk);
        hub.drop_link();
        let LinkEvent::Down { why } = next(&mut events).await else {
            panic!("still up after {junk:?}");
        };
        assert!(why.contains("junk") || why.contains("mid-frame"), "{why}");
        assert!(matches!(next(&mut events).await, LinkEvent::Up(_)));
    }
}

#[tokio::test]
async fn an_unknown_kind_is_nacked_and_the_link_goes_on() {
    let hub = FakeHub::start().unwrap();
    let (_sender, mut events) = up(&hub).await;
    // {"id": 9, "body": {"kind": "from_the_future", "x": 1}}
    let mut frame = vec![0, 0, 0, 0, 0x82, 0xa2, b'i', b'd', 9, 0xa4];
    frame.extend(b"body\x82\xa4kind\xaffrom_the_future\xa1x\x01");
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    hub.raw(&frame);
    let nacked = hub.wait(|body| match body {
        Body::Nack(Nack { id, .. }) => Some(*id),
        _ => None,
    });
    assert_eq!(nacked.await.unwrap(), 9);
    hub.accept("e");
    let LinkEvent::Got(envelope) = next(&mut events).await else {
        panic!("the link fell");
    };
    assert!(matches!(envelope.body, Body::Accepted(_)));
}

#[tokio::test]
async fn data_stops_at_the_credit_and_control_does_not() {
    let hub = FakeHub::start().unwrap();
    hub.rule(|rules| {
        rules.credit = 2;
        rules.grant = false;
    });
    let (sender, _events) = up(&hub).await;
    assert!((0..5).all(|n| sender.send(data(&n.to_string()), "").is_ok()));
    sender.send(put(1), "").unwrap();
    hub.wait(|body| matches!(body, Body::CursorPut(_)).then_some(()))
        .await
        .unwrap();
    hub.wait_nth(2, data_id).await.unwrap();
    // Control sent after the data came to its stop, so the hub has everything that could come.
    sender.send(put(2), "").unwrap();
    hub.wait_nth(2, |b| matches!(b, Body::CursorPut(_)).then_some(()))
        .await
        .unwrap();
    assert_eq!(
        hub.ledger()
            .filter_map(|seen| seen.body().and_then(data_id)),
        ["0", "1"]
    );
    hub.say(Body::Credit(ipc_schema::Credit { frames: 3 }));
    assert_eq!(hub.wait_nth(5, data_id).await.unwrap(), "4");
}

#[tokio::test]
async fn credit_is_granted_back_as_events_are_taken() {
    let hub = FakeHub::start().unwrap();
    let (_sender, mut events) = up(&hub).await;
    for n in 0..ipc_schema::CREDIT_WINDOW {
        hub.say(Body::Deliver(fake_hub::chunk(
            &n.to_string(),
            "r",
            n,
            64,
            "a",
            "",
        )));
    }
    let credit = |body: &Body| match body {
        Body::Credit(credit) => Some(credit.frames),
        _ => None,
    };
    for _ in 0..ipc_schema::CREDIT_WINDOW {
        assert!(matches!(next(&mut events).await, LinkEvent::Got(_)));
    }
    hub.wait_nth(2, credit).await.unwrap();
    let granted: u32 = hub
        .ledger()
        .filter_map(|seen| seen.body().and_then(credit))
        .iter()
        .sum();
    assert_eq!(granted, ipc_schema::CREDIT_WINDOW);
}

#[tokio::test]
async fn what_fits_no_frame_is_nacked_at_home() {
    let hub = FakeHub::start().unwrap();
    let (sender, mut events) = up(&hub).await;
    let text = "x".repeat(ipc_schema::MAX_FRAME);
    let body = Unprompted {
        id: "big".into(),
        session: String::new(),
        text,
    };
    let sent = sender.send(Body::Unprompted(body), "").unwrap();
    let LinkEvent::Nacked { ticket, .. } = next(&mut events).await else {
        panic!("sent");
    };
    assert_eq!(ticket, Some(sent));
    sender.send(data("small"), "").unwrap();
    hub.wait(data_id).await.unwrap();
}

#[tokio::test]
async fn a_nack_names_what_was_sent() {
    let hub = FakeHub::start().unwrap();
    let (sender, mut events) = up(&hub).await;
    let sent = sender.send(data("bad"), "").unwrap();
    hub.wait(data_id).await.unwrap();
    let id = hub.ledger().filter_map(|seen| match seen {
        Seen::Got(envelope) if data_id(&envelope.body).is_some() => Some(envelope.id),
        _ => None,
    });
    hub.say(Body::Nack(Nack {
        id: id[0],
        why: "no".into(),
    }));
    let expected = LinkEvent::Nacked {
        ticket: Some(sent),
        why: "no".into(),
    };
    assert_eq!(next(&mut events).await, expected);
}

#[tokio::test]
async fn dropping_the_events_ends_the_link() {
    let hub = FakeHub::start().unwrap();
    let (sender, events) = up(&hub).await;
    drop(events);
    let closed = |seen: &Seen| *seen == Seen::Closed;
    hub.ledger().wait_for(closed, SOON).await.unwrap();
    assert!(!sender.is_up() || sender.send(put(1), "").is_ok());
}
