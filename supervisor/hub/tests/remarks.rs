//! What a runner has to say for itself: put into words here, in the language of whoever asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::plan::{Plan, Style};
use hub::texts::{Lang, Text, say};
use ipc_schema::*;

fn styled(style: Style) -> Plan {
    let mut plan = plan();
    plan.platforms.get_mut(WORKER).unwrap().progress = style;
    plan
}

fn retry(attempt: u64, wait_ms: u64) -> Remark {
    Remark::Retry {
        status: 529,
        attempt,
        of: 11,
        wait_ms,
    }
}

fn remark(about: &Remark) -> TurnEvent {
    TurnEvent::Remark {
        about: about.clone(),
    }
}

#[test]
fn what_a_runner_failed_at_is_said_in_the_persons_language_and_not_as_the_agents_words() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "你好")).remove(0).at;
    let fault = Fault::Runner {
        at: Trouble::Sandbox,
        detail: "no namespaces".into(),
    };
    let out = desk.update(&at, 1, ended(Outcome::Failed { fault }));
    let text = Text::RunnerError {
        at: Trouble::Sandbox,
        detail: "no namespaces",
    };
    assert_eq!(desk.post_all(out), [say(&text, Lang::Zh)]);
}

#[test]
fn a_remark_that_belongs_to_the_answer_is_a_message() {
    let mut desk = Desk::linked();
    let at = prompts(&desk.says("e1", "你好")).remove(0).at;
    desk.update(&at, 1, started(false));
    let forgot = Remark::Forgot {
        why: "no such session".into(),
    };
    let out = desk.update(&at, 2, remark(&forgot));
    assert_eq!(desk.post_all(out), [say(&Text::Remark(&forgot), Lang::Zh)]);
    let out = desk.update(&at, 3, remark(&Remark::Unknown));
    assert_eq!(desk.post_all(out), [""; 0]);
}

#[test]
fn a_model_that_does_not_answer_is_a_step() {
    let mut desk = Desk::linked_with(styled(Style::Legacy));
    let at = prompts(&desk.says("e1", "go")).remove(0).at;
    desk.update(&at, 1, started(false));
    let out = desk.update(&at, 0, remark(&retry(2, 500)));
    let words = say(&Text::Remark(&retry(2, 500)), Lang::En);
    assert_eq!(desk.post_all(out), [format!("ℹ️ {words}")]);
}

#[test]
fn where_nothing_else_is_shown_it_is_told_once_after_a_while() {
    for style in [Style::Bubble, Style::Off] {
        let mut desk = Desk::linked_with(styled(style));
        let at = prompts(&desk.says("e1", "go")).remove(0).at;
        desk.update(&at, 1, started(false));
        for attempt in 2..=5 {
            let out = desk.update(&at, 0, remark(&retry(attempt, 500)));
            assert_eq!(desk.post_all(out), [""; 0], "{attempt}");
        }
        let out = desk.update(&at, 0, remark(&retry(6, 9_000)));
        let words = say(&Text::Retrying(&retry(6, 9_000)), Lang::En);
        assert_eq!(desk.post_all(out), [words]);
        let out = desk.update(&at, 0, remark(&retry(7, 60_000)));
        assert_eq!(desk.post_all(out), [""; 0]);
    }
}
