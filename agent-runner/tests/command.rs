//! The real runner with plain programs: what they say, how they fail, what they leave behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use ipc_schema::{Fault, Outcome, Remark, Trouble, TurnEvent};
use serde_json::json;
use support::{Desk, kill, nap, numbered, processes};

async fn shell(script: &str) -> Desk {
    Desk::start(json!({"kind": "command", "cmd": "sh", "args": ["-c", script]})).await
}

fn words(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Failed {
            fault: Fault::Agent { words },
        }) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_prompt_goes_in_and_a_reply_comes_out() {
    let desk = shell("cat; echo \" from $BULKHEAD_PROJECT in $BULKHEAD_SESSION, $CANARY.\"").await;
    desk.prompt("s", "t", "hello");
    assert_eq!(
        desk.answer("t").await.texts(),
        ["hello from project in s, ."]
    );
    // One process a turn, and one turn at a time.
    for n in 0..5 {
        desk.prompt("s", &n.to_string(), &n.to_string());
    }
    for n in 0..5 {
        let text = format!("{n} from project in s, .");
        assert_eq!(desk.answer(&n.to_string()).await.texts(), [text]);
    }
}

#[tokio::test]
async fn a_failure_says_its_last_words() {
    let desk = shell("cat >/dev/null; echo out; echo 'no such file' >&2; exit 3").await;
    desk.prompt("s", "t", "hello");
    let words = words(desk.ended("t").await.outcome);
    assert_eq!(words, "sh ended with code 3: no such file");
}

#[tokio::test]
async fn a_program_that_reads_nothing_and_one_that_says_nothing_end_their_turns() {
    let desk = shell("exit 0").await;
    desk.prompt("s", "t", &"x".repeat(200_000));
    assert_eq!(desk.answer("t").await.texts(), [""]);
}

#[tokio::test]
async fn a_flood_is_cut_and_says_so() {
    let desk = shell("yes | head -c 5000000").await;
    desk.prompt("s", "t", "hello");
    let turn = desk.answer("t").await;
    let text = turn.texts().concat();
    assert!(text.len() < 1_100_000, "{}", text.len());
    let cut = |event: &TurnEvent| {
        matches!(
            event,
            TurnEvent::Remark {
                about: Remark::Cut { missing: 1.., .. }
            }
        )
    };
    assert!(turn.events.iter().any(cut));
}

#[tokio::test]
async fn a_daemon_that_holds_the_output_open_does_not_hold_the_turn() {
    let desk = shell(&format!("setsid {} & echo done", nap(7101))).await;
    desk.prompt("s", "t", "hello");
    assert_eq!(desk.answer("t").await.texts(), ["done"]);
    assert_eq!(processes(&nap(7101)), Vec::<i32>::new());
}

#[tokio::test]
async fn stop_ends_a_program_and_its_children() {
    let [a, b, c] = [7102, 7103, 7104].map(nap);
    let desk = shell(&format!("trap '' TERM INT; {a} & touch up; {b}; {c}")).await;
    desk.prompt("s", "t", "hello");
    while !desk.work().join("up").exists() {
        tokio::task::yield_now().await;
    }
    desk.interrupt("t");
    assert_eq!(desk.ended("t").await.outcome, Some(Outcome::Stopped));
    for nap in [a, b, c] {
        assert_eq!(processes(&nap), Vec::<i32>::new(), "{nap}");
    }
}

#[tokio::test]
async fn a_program_is_not_run_again_whoever_dies() {
    let mut desk = shell(&format!("echo ran >> runs; echo $$ > pid; {}", nap(7105))).await;
    let pid = |desk: &Desk| -> Option<u32> {
        std::fs::read_to_string(desk.work().join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let cannot = Some(Outcome::Failed {
        fault: Fault::CannotResume,
    });

    desk.prompt("s", "program", "hello");
    while pid(&desk).is_none() {
        tokio::task::yield_now().await;
    }
    kill(numbered(pid(&desk).unwrap(), &nap(7105)));
    assert_eq!(desk.ended("program").await.outcome, cannot);
    std::fs::remove_file(desk.work().join("pid")).unwrap();

    desk.prompt("s", "runner", "hello");
    while pid(&desk).is_none() {
        tokio::task::yield_now().await;
    }
    desk.kill_runner(2).await;
    assert_eq!(desk.ended("runner").await.outcome, cannot);
    let runs = std::fs::read_to_string(desk.work().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2);
    assert_eq!(processes(&nap(7105)), Vec::<i32>::new());
}

#[tokio::test]
async fn a_missing_program_and_a_missing_directory_are_told_in_words() {
    let desk = Desk::start(json!({"kind": "command", "cmd": "no-such-program"})).await;
    desk.prompt("s", "t", "hello");
    let outcome = desk.ended("t").await.outcome;
    let Some(Outcome::Failed {
        fault: Fault::AgentMissing { cmd, why },
    }) = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(cmd, "no-such-program");
    assert!(why.contains("PATH"), "{why}");

    let desk = shell("true").await;
    std::fs::remove_dir(desk.work()).unwrap();
    desk.prompt("s", "t", "hello");
    let outcome = desk.ended("t").await.outcome;
    let Some(Outcome::Failed {
        fault: Fault::Runner {
            at: Trouble::Directory,
            detail,
        },
    }) = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(
        detail.contains("work_dir") && detail.contains("is not there"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_told_in_words() {
    let desk = Desk::start(json!({"kind": "command", "cmd": "./broken"})).await;
    let broken = desk.work().join("broken");
    std::fs::write(&broken, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    desk.prompt("s", "t", "hello");
    let outcome = desk.ended("t").await.outcome;
    let Some(Outcome::Failed {
        fault: Fault::AgentMissing { cmd, why },
    }) = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(cmd, "./broken");
    assert!(why.contains("No such file"), "{why}");
}

/// Programs in the place of Claude Code that do not speak its language.
#[tokio::test]
async fn an_agent_that_speaks_another_language_is_told_and_memory_stays_bounded() {
    for (script, expect) in [
        ("exit 1", "code 1"),
        (
            "echo 'cannot run as root' >&2; exit 1",
            "cannot run as root",
        ),
        ("head -c 100000000 /dev/zero; exit 2", "code 2"),
        (
            "echo junk; echo '[]'; echo 'more junk' >&2; exit 4",
            "more junk",
        ),
    ] {
        let args = json!(["-c", script, "agent"]);
        let desk = Desk::start(json!({"cmd": "sh", "args": args})).await;
        desk.prompt("s", "t", "hello");
        let words = words(desk.ended("t").await.outcome);
        assert!(words.contains(expect), "{script}: {words}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", desk.pid())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 80_000, "{script}: {peak} kB");
    }
}

#[tokio::test]
async fn one_runner_works_in_a_state_directory() {
    let mut desk = shell("cat").await;
    let first = std::mem::replace(&mut desk.runner, unused());
    desk.restart(2);
    assert_eq!(desk.runner.wait().await.unwrap().code(), Some(1));
    assert!(
        desk.log().contains("another runner works in"),
        "{}",
        desk.log()
    );
    desk.runner = first;
}

fn unused() -> tokio::process::Child {
    tokio::process::Command::new("true").spawn().unwrap()
}

/// What the program says of what it reads.
fn asked(verb: &str, about: &str) -> (Option<i32>, String) {
    use std::io::Write as _;
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_agent-runner"))
        .arg(verb)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = program.stdin.take().unwrap();
    stdin.write_all(about.as_bytes()).unwrap();
    drop(stdin);
    let output = program.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn bad_options_are_told_before_anything_runs() {
    let (code, told) = asked("--check", r#"{"kind":"cursor","work_dir":"/w"}"#);
    assert_eq!(code, Some(78));
    assert!(
        told.contains("kind:") && told.contains("state_dir:"),
        "{told}"
    );
}

#[test]
fn what_the_system_lacks_for_a_sandbox_is_named() {
    // No system has it.
    let about = r#"{"sandbox": {"mode": "bubblewrap", "network": "ports"}}"#;
    let (code, told) = asked("--lacks", about);
    assert_eq!(code, Some(0));
    assert!(told.contains("cannot do network = \"ports\""), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(
        asked("--lacks", r#"{"sandbox": "off"}"#),
        (Some(0), String::new())
    );
    assert_eq!(asked("--lacks", "{").0, Some(78));
    // Where these tests run, agents are closed in.
    assert_eq!(asked("--lacks", "{}"), (Some(0), String::new()));
}
