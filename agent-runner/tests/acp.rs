//! The real runner with the fake ACP agent: turns, permissions, stops, deaths, conversations.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use ipc_schema::{Decision, Fault, Outcome, QuestionKind, Remark, TurnEvent};
use serde_json::{Value, json};
use support::{Desk, Turn, fake_acp, kill, nap, processes};

async fn acp(args: &[&str]) -> Desk {
    acp_with(args, json!({})).await
}

async fn acp_with(args: &[&str], more: Value) -> Desk {
    // Its numbers of processes are those out here then.
    let mut options = json!({"kind": "acp", "cmd": fake_acp(), "args": args, "sandbox": "off"});
    if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
        options.extend(more);
    }
    Desk::start(options).await
}

fn words(turn: &Turn) -> &str {
    match &turn.outcome {
        Some(Outcome::Failed {
            fault: Fault::Agent { words } | Fault::LoggedOut { words },
        }) => words,
        other => panic!("{other:?}"),
    }
}

/// Waits until the agent stands at `#hold` or `#deaf`; its process.
async fn held(desk: &Desk) -> i32 {
    let file = desk.work().join("held");
    loop {
        let held = std::fs::read_to_string(&file).unwrap_or_default();
        if let Ok(pid) = held.parse() {
            std::fs::remove_file(&file).unwrap();
            return pid;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until that command runs itself, and not only the shells around it.
async fn up(nap: &str) {
    let line = format!("{}\0", nap.replace(' ', "\0"));
    let runs = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it == line.as_bytes())
    };
    while !processes(nap).iter().any(runs) {
        tokio::task::yield_now().await;
    }
}

async fn asked(desk: &Desk, turn: &str) -> Turn {
    desk.turn(turn, |turn| !turn.questions.is_empty()).await
}

const CANNOT: Outcome = Outcome::Failed {
    fault: Fault::CannotResume,
};

#[tokio::test]
async fn turns_are_answered_by_one_process_that_sees_none_of_our_environment() {
    let desk = acp(&[]).await;
    desk.prompt("s", "one", "hello");
    assert_eq!(desk.answer("one").await.texts(), ["You said: hello"]);
    let script = "#say first\n#think hm\n#plan a | b\n#used 7 100\n#say second\n#recall";
    desk.prompt("s", "two", script);
    let turn = desk.answer("two").await;
    assert_eq!(turn.texts(), ["first", "second", "2 free small"]);
    let used = TurnEvent::Usage {
        context_tokens: 7,
        context_window: 100,
        cost_microusd: 250_000,
        model: String::new(),
    };
    assert!(turn.events.contains(&used), "{turn:#?}");
    desk.prompt("s", "env", "#tool echo \"$CANARY-$HOME\" > env");
    desk.decide(&asked(&desk, "env").await.questions[0], Decision::Allow);
    desk.answer("env").await;
    let env = std::fs::read_to_string(desk.work().join("env")).unwrap();
    assert!(env.starts_with("-/"), "{env}");
}

// pitfall: ACP: the answer is matched on option.kind
#[tokio::test]
async fn a_permission_is_given_refused_or_given_for_good() {
    let desk = acp(&[]).await;
    let turn = |name: &'static str, decision: Decision| {
        let desk = &desk;
        async move {
            desk.prompt("s", name, &format!("#tool touch {name}\n#say done"));
            let turn = asked(desk, name).await;
            let QuestionKind::Permission { detail, always, .. } = &turn.questions[0].about else {
                panic!("{turn:?}")
            };
            assert_eq!(*detail, format!("touch {name}"));
            assert_eq!(always.as_deref(), Some("Reject"), "shown, and never read");
            assert!(!desk.work().join(name).exists());
            desk.decide(&turn.questions[0], decision);
            let turn = desk.answer(name).await;
            assert_eq!(turn.texts(), ["done"]);
            desk.work().join(name).exists()
        }
    };
    assert!(turn("allowed", Decision::Allow).await);
    let why = "no".to_owned();
    assert!(!turn("denied", Decision::Deny { why }).await);
    assert!(turn("always", Decision::AllowAlways).await);
    desk.prompt("s", "unasked", "#tool touch unasked");
    assert_eq!(desk.answer("unasked").await.questions.len(), 0);
    assert!(desk.work().join("unasked").exists());
}

// pitfall: ACP: a rejected permission ends the turn in opencode
#[tokio::test]
async fn a_denial_may_end_the_turn() {
    let desk = acp(&[]).await;
    desk.prompt("s", "t", "#deny-ends\n#tool touch made\n#say never");
    let why = String::new();
    desk.decide(
        &asked(&desk, "t").await.questions[0],
        Decision::Deny { why },
    );
    let turn = desk.answer("t").await;
    assert_eq!(turn.texts().len(), 1);
    assert!(turn.texts()[0].contains("because that was denied"));
    desk.prompt("s", "next", "hello");
    desk.answer("next").await;
}

#[tokio::test]
async fn a_question_that_nobody_answers_is_rejected_and_a_late_answer_is_told() {
    let desk = acp_with(&[], json!({"question_timeout_secs": 1})).await;
    desk.prompt("s", "t", "#tool touch made\n#hold");
    let turn = asked(&desk, "t").await;
    held(&desk).await;
    desk.decide(&turn.questions[0], Decision::Allow);
    let late = |event: &TurnEvent| matches!(event, TurnEvent::Decided { applied: false, .. });
    let turn = desk.turn("t", |turn| turn.events.iter().any(late)).await;
    let expired = |event: &TurnEvent| matches!(event, TurnEvent::Withdrawn { expired: true, .. });
    assert!(turn.events.iter().any(expired));
    assert!(!desk.work().join("made").exists());
    desk.interrupt("t");
    assert_eq!(desk.ended("t").await.outcome, Some(Outcome::Stopped));
}

#[tokio::test]
async fn a_stop_ends_the_turn_and_everything_that_was_started() {
    let [a, b] = [7401, 7402].map(nap);
    for (how, text) in [
        ("hold", "#hold"),
        ("deaf", "#deaf"),
        ("question", "#tool true"),
    ] {
        let desk = acp(&[]).await;
        desk.prompt(
            "s",
            "t",
            &format!("#say so far\n#spawn {a}\n#spawn {b}\n{text}"),
        );
        match how {
            "question" => drop(asked(&desk, "t").await),
            _ => drop(held(&desk).await),
        }
        up(&a).await;
        up(&b).await;
        desk.interrupt("t");
        let turn = desk.ended("t").await;
        assert_eq!(turn.outcome, Some(Outcome::Stopped), "{how}");
        assert_eq!(turn.texts(), ["so far"], "{how}");
        for nap in [&a, &b] {
            assert_eq!(processes(nap), Vec::<i32>::new(), "{how}");
        }
        desk.prompt("s", "next", "#recall");
        assert_eq!(desk.answer("next").await.texts(), ["2 free small"], "{how}");
    }
}

// pitfall: ACP: session/load replays history: suppressed until its reply
#[tokio::test]
async fn a_conversation_outlives_its_process_and_its_runner() {
    for args in [&[] as &[&str], &["--resume"]] {
        let mut desk = acp(args).await;
        desk.prompt("s", "one", "#say old");
        desk.answer("one").await;
        desk.kill_runner(2).await;
        desk.compared(2).await;
        desk.prompt("s", "two", "#recall");
        let turn = desk.answer("two").await;
        assert_eq!(
            turn.texts(),
            ["2 free small"],
            "the replay is not said again"
        );
        desk.prompt("other", "three", "#recall");
        assert_eq!(desk.answer("three").await.texts(), ["1 free small"]);
    }
}

#[tokio::test]
async fn a_conversation_that_cannot_be_gone_on_with_is_told() {
    let mut desk = acp(&["--no-load"]).await;
    desk.prompt("s", "one", "hello");
    desk.answer("one").await;
    desk.kill_runner(2).await;
    desk.compared(2).await;
    desk.prompt("s", "two", "#recall");
    let turn = desk.answer("two").await;
    assert!(forgot(&turn).is_some(), "{turn:#?}");
    assert_eq!(turn.texts(), ["1 free small"]);

    let mut desk = acp(&[]).await;
    desk.prompt("s", "one", "hello");
    desk.answer("one").await;
    desk.kill_runner(2).await;
    desk.compared(2).await;
    std::fs::remove_dir_all(desk.dir.path().join("home/.fake-acp")).unwrap();
    desk.prompt("s", "two", "#recall");
    let turn = desk.answer("two").await;
    let why = forgot(&turn).unwrap_or_default();
    assert!(why.contains("no longer has it"), "{turn:#?}");
}

/// Why the agent does not remember what was said before, if that was told.
fn forgot(turn: &Turn) -> Option<&str> {
    turn.events.iter().find_map(|event| match event {
        TurnEvent::Remark {
            about: Remark::Forgot { why },
        } => Some(why.as_str()),
        _ => None,
    })
}

#[tokio::test]
async fn a_prompt_is_not_sent_again_whoever_dies() {
    let mut desk = acp(&[]).await;
    let script = "#say so far\n#tool echo ran >> runs\n#hold";
    desk.prompt("s", "agent", script);
    desk.decide(
        &asked(&desk, "agent").await.questions[0],
        Decision::AllowAlways,
    );
    kill(held(&desk).await);
    let turn = desk.ended("agent").await;
    assert_eq!(turn.outcome, Some(CANNOT));

    desk.prompt("s", "runner", script);
    desk.decide(&asked(&desk, "runner").await.questions[0], Decision::Allow);
    let pid = held(&desk).await;
    desk.kill_runner(2).await;
    assert_eq!(desk.ended("runner").await.outcome, Some(CANNOT));
    let gone = format!("/proc/{pid}/cmdline");
    assert_eq!(
        std::fs::read(gone).unwrap_or_default(),
        b"",
        "the old agent is gone"
    );
    let runs = std::fs::read_to_string(desk.work().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2);
    desk.prompt("s", "next", "#recall");
    assert_eq!(desk.answer("next").await.texts(), ["3 free small"]);
}

// pitfall: ACP: an API error is an RPC error, or plain chat text
#[tokio::test]
async fn failures_are_told_in_words_and_the_session_goes_on() {
    let desk = acp(&[]).await;
    for (n, (script, part)) in [
        (
            "#error -32603 Internal error: API Error: 529",
            "API Error: 529",
        ),
        ("#error -32000 Authentication required", "run `fake login`"),
        ("#stop max_tokens", "limit of tokens"),
        ("#stop refusal", "refuses"),
        ("#say half\n#exit 3", "ended with code 3"),
    ]
    .into_iter()
    .enumerate()
    {
        let turn = format!("t{n}");
        desk.prompt("s", &turn, script);
        let turn = desk.ended(&turn).await;
        assert!(words(&turn).contains(part), "{script}: {turn:#?}");
    }
    desk.prompt("s", "last", "#fs\n#unasked by the way");
    assert_eq!(desk.answer("last").await.texts(), ["-32601"]);
    // It comes after the end of the turn, and a prompt may be quicker.
    while desk.unprompted().is_empty() {
        tokio::task::yield_now().await;
    }
    desk.prompt("s", "recall", "#recall");
    assert_eq!(desk.answer("recall").await.texts(), ["7 free small"]);
    assert_eq!(desk.unprompted(), ["by the way"]);
}

#[tokio::test]
async fn an_agent_that_cannot_begin_is_told_in_words() {
    let script = |script: &str| {
        let args = json!(["-c", script, "agent"]);
        json!({"cmd": "sh", "args": args})
    };
    for (options, part) in [
        (script("exit 1"), "code 1"),
        (script("exit 0"), "without a word of ACP"),
        (script("echo 'no key' >&2; exit 2"), "no key"),
        (script("echo junk; echo '[]'; exit 4"), "code 4"),
        (script("head -c 100000000 /dev/zero; exit 5"), "code 5"),
        (json!({"args": ["--version", "2"]}), "speaks version 2"),
        (
            json!({"args": ["--logged-out"]}),
            "A key (run `fake login`)",
        ),
        (json!({"mode": "plan"}), "no modes"),
        (
            json!({"args": ["--modes"], "mode": "yolo"}),
            "free, default, plan",
        ),
    ] {
        let desk = acp_with(&[], options.clone()).await;
        desk.prompt("s", "t", "hello");
        let turn = desk.ended("t").await;
        assert!(words(&turn).contains(part), "{options}: {turn:#?}");
        assert!(peak(&desk) < 80_000, "{options}: {} kB", peak(&desk));
    }
}

/// The most memory that the runner has had, kB.
fn peak(desk: &Desk) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", desk.pid())).unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn an_agent_that_says_nothing_can_be_stopped() {
    let desk = acp(&["--dumb"]).await;
    desk.prompt("s", "t", "hello");
    while processes(&fake_acp().display().to_string()).is_empty() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("t");
    assert_eq!(desk.ended("t").await.outcome, Some(Outcome::Stopped));
}

#[tokio::test]
async fn junk_and_floods_are_passed_over_and_memory_stays_bounded() {
    let desk = acp(&[]).await;
    let script = "#junk no JSON\n#junk {}\n#junk {\"method\":7}\n#flood 16000000\n#flood 40000000\n\
                  #junk {\"id\":\"x\",\"method\":\"odd\"}\n#say the end";
    desk.prompt("s", "t", script);
    assert_eq!(desk.answer("t").await.texts(), ["the end"]);
    assert!(peak(&desk) < 120_000, "{} kB", peak(&desk));
}

#[tokio::test]
async fn a_daemon_goes_with_its_agent() {
    let daemon = nap(7403);
    let desk = acp(&[]).await;
    desk.prompt("s", "t", &format!("#spawn {daemon}\n#say up"));
    desk.answer("t").await;
    up(&daemon).await;
    desk.prompt("s", "end", "#exit 3");
    desk.ended("end").await;
    assert_eq!(processes(&daemon), Vec::<i32>::new());
}

#[tokio::test]
async fn in_its_sandbox_it_keeps_its_conversations_and_is_stopped_with_all_it_started() {
    let daemon = nap(7404);
    let more = json!({"sandbox": {}, "home_dirs": [".fake-acp"]});
    let mut desk = acp_with(&[], more).await;
    desk.prompt("s", "one", &format!("#spawn {daemon}\n#hold"));
    while !desk.work().join("held").exists() {
        tokio::task::yield_now().await;
    }
    up(&daemon).await;
    desk.interrupt("one");
    assert_eq!(desk.ended("one").await.outcome, Some(Outcome::Stopped));
    assert_eq!(processes(&daemon), Vec::<i32>::new());
    desk.kill_runner(2).await;
    desk.compared(2).await;
    desk.prompt("s", "two", "#recall");
    assert_eq!(desk.answer("two").await.texts(), ["2 free small"]);
}

#[tokio::test]
async fn the_mode_and_the_model_are_the_sessions() {
    let desk = acp_with(&["--modes"], json!({"mode": "default"})).await;
    desk.prompt("s", "one", "#recall");
    assert_eq!(desk.answer("one").await.texts(), ["1 default small"]);
    desk.prompt_with("s", "two", "#recall", |prompt| {
        prompt.mode = "plan".into();
        prompt.model = "large".into();
    });
    assert_eq!(desk.answer("two").await.texts(), ["2 plan large"]);
    desk.prompt_with("s", "three", "hello", |prompt| prompt.model = "huge".into());
    let turn = desk.ended("three").await;
    assert!(words(&turn).contains("small, large"), "{turn:#?}");

    let desk = acp_with(&["--logged-out"], json!({"auth_method": "key"})).await;
    desk.prompt("s", "t", "hello");
    desk.answer("t").await;
}
