//! The real runner with many sessions: room for few agents, a worktree each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use fake_claude::Event;
use ipc_schema::TurnEvent;
use serde_json::json;
use support::{Desk, fake_claude};

/// The most agents that lived at a time.
fn peak(desk: &Desk) -> usize {
    let mut live = 0_usize;
    let counts = desk.control.ledger().filter_map(|event| {
        match event {
            Event::Started(_) => live += 1,
            Event::Gone { .. } => live -= 1,
            _ => {}
        }
        Some(live)
    });
    counts.into_iter().max().unwrap_or(0)
}

#[tokio::test]
async fn more_sessions_than_agents_may_run_are_all_answered_in_turn() {
    let mut desk = Desk::start(json!({"cmd": fake_claude(), "max_agents": 2})).await;
    let say = |desk: &Desk, round: u32| {
        for n in 0..5 {
            let text = format!("#say {n} in round {round}");
            desk.prompt(&format!("s{n}"), &format!("t{n}.{round}"), &text);
        }
    };
    say(&desk, 1);
    let mut waited = 0;
    for n in 0..5 {
        let turn = desk.answer(&format!("t{n}.1")).await;
        assert_eq!(turn.texts(), [format!("{n} in round 1")]);
        let waits = |event: &&TurnEvent| matches!(event, TurnEvent::Waiting { .. });
        waited += turn.events.iter().filter(waits).count();
    }
    assert!(
        (1..=3).contains(&waited),
        "{waited} were told that they wait"
    );
    // Whoever waited when the runner died is asked again, and each is answered once.
    say(&desk, 2);
    desk.kill_runner(2).await;
    for n in 0..5 {
        let turn = desk.answer(&format!("t{n}.2")).await;
        assert_eq!(turn.texts(), [format!("{n} in round 2")]);
    }
    assert!(peak(&desk) <= 2, "{} lived at once", peak(&desk));
}
