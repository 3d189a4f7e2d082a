//! Chunks, lanes, leases.

use super::samples::{chunk, keys, question, spool, turn};
use crate::{Chunk, ChunkState, Counts, Spool, SpoolError, Turn, TurnState};

const ME: &str = "discord-main";

fn three(spool: &Spool) {
    for position in 0..3 {
        let key = format!("r-{position}");
        spool
            .add_chunk(&Chunk {
                position,
                ..chunk(&key, "r", "a")
            })
            .unwrap();
    }
}

fn state(spool: &Spool, key: &str) -> ChunkState {
    spool.chunk(key).unwrap().unwrap().state
}

#[test]
fn a_chunk_comes_back_as_it_was() {
    let spool = spool();
    let mut one = Chunk {
        position: 2,
        not_before: 9,
        ..chunk("k", "r", "a")
    };
    one.number = spool.add_chunk(&one).unwrap();
    assert_eq!(spool.chunk("k").unwrap(), Some(one));
    assert_eq!(spool.chunk("other").unwrap(), None);
    assert!(matches!(
        spool.add_chunk(&chunk("k", "r", "a")),
        Err(SpoolError::Bug(_))
    ));
}

#[test]
fn only_a_chunk_that_was_never_handed_out_is_rewritten() {
    let spool = spool();
    spool.add_chunk(&chunk("k", "r", "a")).unwrap();
    assert!(spool.rewrite("k", "new", "{}").unwrap());
    let known = spool.chunk("k").unwrap().unwrap();
    assert_eq!((known.text.as_str(), known.form.as_str()), ("new", "{}"));
    spool.lease("k", 5).unwrap();
    assert!(!spool.rewrite("k", "late", "").unwrap());
    assert_eq!(spool.chunk("k").unwrap().unwrap().text, "new");
}

#[test]
fn keys_fit_a_nonce() {
    let spool = spool();
    spool.add_chunk(&chunk(&"k".repeat(25), "r", "a")).unwrap();
    for key in ["", &"k".repeat(26)] {
        assert!(matches!(
            spool.add_chunk(&chunk(key, "r", "a")),
            Err(SpoolError::Bug(_))
        ));
    }
}

#[test]
fn a_lane_gives_its_first_chunks_in_order() {
    let spool = spool();
    three(&spool);
    spool.add_chunk(&chunk("b-0", "s", "b")).unwrap();
    spool
        .add_chunk(&Chunk {
            instance: "weibo-main".into(),
            ..chunk("w", "t", "a")
        })
        .unwrap();
    assert_eq!(spool.lane_heads(ME).unwrap(), ["a", "b"]);
    assert_eq!(spool.lane_heads("nobody").unwrap(), [""; 0]);
    assert_eq!(keys(&spool.lane(ME, "a", 2).unwrap()), ["r-0", "r-1"]);
    spool.lease("r-0", 30).unwrap();
    assert_eq!(
        keys(&spool.lane(ME, "a", 9).unwrap()),
        ["r-0", "r-1", "r-2"]
    );
    spool.delivered("r-0", "id", 31).unwrap();
    assert_eq!(keys(&spool.lane(ME, "a", 9).unwrap()), ["r-1", "r-2"]);
    spool.delivered("b-0", "id", 31).unwrap();
    assert_eq!(spool.lane_heads(ME).unwrap(), ["a"]);
}

#[test]
fn the_first_lease_stays() {
    let spool = spool();
    three(&spool);
    spool.lease("r-0", 30).unwrap();
    spool.lease("r-0", 40).unwrap();
    let leased = spool.chunk("r-0").unwrap().unwrap();
    assert_eq!((leased.state, leased.leased_at), (ChunkState::Leased, 30));
    spool.delivered("r-0", "id", 50).unwrap();
    assert!(matches!(spool.lease("r-0", 60), Err(SpoolError::Bug(_))));
    assert!(matches!(spool.lease("nobody", 60), Err(SpoolError::Bug(_))));
}

#[test]
fn a_delivery_is_a_fact_in_every_state() {
    let spool = spool();
    three(&spool);
    spool.lease("r-1", 30).unwrap();
    spool.park_reply("r", "no permission", 31).unwrap();
    assert!(spool.delivered("r-1", "4711", 40).unwrap());
    assert!(!spool.delivered("r-1", "other", 41).unwrap());
    let chunk = spool.chunk("r-1").unwrap().unwrap();
    assert_eq!(
        (chunk.state, chunk.platform_id.as_str()),
        (ChunkState::Delivered, "4711")
    );
    assert_eq!(state(&spool, "r-0"), ChunkState::Parked);
    assert!(!spool.delivered("nobody", "x", 42).unwrap());
}

#[test]
fn a_postponed_chunk_waits_until_it_is_leased_again() {
    let spool = spool();
    three(&spool);
    assert_eq!(spool.next_due().unwrap(), None);
    spool.lease("r-0", 30).unwrap();
    spool.postpone("r-0", 500, "slow down").unwrap();
    spool.postpone("r-1", 400, "slow down").unwrap();
    assert_eq!(spool.next_due().unwrap(), Some(400));
    spool.lease("r-1", 400).unwrap();
    assert_eq!(spool.next_due().unwrap(), Some(500));
    let chunk = spool.chunk("r-0").unwrap().unwrap();
    assert_eq!(
        (
            chunk.state,
            chunk.leased_at,
            chunk.retries,
            chunk.why.as_str()
        ),
        (ChunkState::Leased, 30, 1, "slow down")
    );
    spool.delivered("r-0", "id", 501).unwrap();
    assert_eq!(spool.next_due().unwrap(), None);
    spool.postpone("r-0", 900, "late").unwrap();
    assert_eq!(state(&spool, "r-0"), ChunkState::Delivered);
    assert_eq!(spool.next_due().unwrap(), None);
}

#[test]
fn a_reply_is_parked_and_requeued_as_one() {
    let spool = spool();
    three(&spool);
    spool.add_chunk(&chunk("next", "r2", "a")).unwrap();
    spool.delivered("r-0", "id", 30).unwrap();
    spool.lease("r-1", 30).unwrap();
    spool.postpone("r-2", 90, "slow down").unwrap();
    assert_eq!(spool.park_reply("r", "no permission", 31).unwrap(), 2);
    assert_eq!(spool.park_reply("r", "again", 32).unwrap(), 0);
    assert_eq!(
        keys(&spool.lane(ME, "a", 9).unwrap()),
        ["next"],
        "the lane goes on"
    );
    assert_eq!(spool.next_due().unwrap(), None);
    let parked = spool.parked(9).unwrap();
    assert_eq!(keys(&parked), ["r-1", "r-2"]);
    assert!(parked.iter().all(|chunk| chunk.why == "no permission"));
    assert_eq!(keys(&spool.parked(1).unwrap()), ["r-1"]);

    assert_eq!(spool.requeue("r", 60).unwrap(), 2);
    assert_eq!(spool.requeue("r", 61).unwrap(), 0);
    assert_eq!(
        keys(&spool.lane(ME, "a", 9).unwrap()),
        ["r-1", "r-2", "next"]
    );
    let again = spool.chunk("r-1").unwrap().unwrap();
    assert_eq!(
        (
            again.state,
            again.leased_at,
            again.retries,
            again.why.as_str()
        ),
        (ChunkState::Pending, 0, 0, "")
    );
}

#[test]
fn what_waits_is_counted() {
    let spool = spool();
    assert_eq!(spool.waiting().unwrap(), Counts::default());
    three(&spool);
    spool.lease("r-0", 30).unwrap();
    for key in ["p-0", "p-1"] {
        spool.add_chunk(&chunk(key, key, "b")).unwrap();
        spool.park_reply(key, "why", 30).unwrap();
    }
    for n in 0..4 {
        let state = if n == 0 {
            TurnState::Running
        } else {
            TurnState::Queued
        };
        spool
            .add_turn(&Turn {
                state,
                ..turn(&format!("t{n}"), "s")
            })
            .unwrap();
    }
    spool.put_question(&question("q", "t0", "s")).unwrap();
    let counts = Counts {
        queued_turns: 3,
        open_turns: 1,
        open_questions: 1,
        pending_chunks: 2,
        leased_chunks: 1,
        parked_chunks: 2,
    };
    assert_eq!(spool.waiting().unwrap(), counts);
}
